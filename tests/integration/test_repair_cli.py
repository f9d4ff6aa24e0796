"""`syncd repair` as an officer types it: the way on for a tier above that stands still, told where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.cli.program import run as syncd
from tests.nodes import Nodes, TestNode
from tests.postgres import PostgresServer
from tests.waiting import until

NEW = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES ('Hồ Văn Mới', 1, '2001-01-01', 'd', '01', 'usual')"
)
STATE = "SELECT state FROM syncd_stream WHERE kind = 1 AND own = 0"


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer
) -> Iterator[list[TestNode]]:
    """A province on either database and a commune, their daemons running; a row typed before is at both."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root(request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else "sqlite")
        root.configure(listen=root.address.removeprefix("https://"))  # the same after a restart
        commune = nodes.joined(root, "01")
        commune.start()
        until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
        commune.sql(NEW)
        until(lambda: root.value("SELECT count(*) FROM person") == 1, "the first row arrives")
        yield [root, commune]
    finally:
        nodes.close()


def wedge(root: TestNode, commune: TestNode) -> None:
    """Rows come past the triggers, and a clerk edits them before anybody looks."""
    with commune.opened().store.apply("unseen") as tx:
        tx.run(NEW)
        tx.run(NEW)
    commune.sql("UPDATE person SET phone = '7'")
    until(lambda: root.value(STATE) == "stopped", "the stream stands still above")


def screen(node: TestNode, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = syncd([*arguments, "--dir", str(node.directory)])
    return code, " ".join(capsys.readouterr().out.split())


def test_a_stopped_tier_names_the_command_that_lets_it_go_on(
    pair: list[TestNode], capsys: pytest.CaptureFixture[str]
) -> None:
    root, commune = pair
    wedge(root, commune)
    said = " ".join(screen(root, capsys, "status")[1].split())
    assert f"run `syncd repair --dir {root.directory}` here; if the stream still stands, run it at the node" in said
    assert screen(root, capsys, "status", "--check")[0] == 2
    code, said = screen(root, capsys, "repair")
    assert code == 1
    assert "run `syncd repair` at the node that keeps it" in said
    code, said = screen(commune, capsys, "verify", "--full")
    assert code == 1
    assert "the log tells of 1 rows, here are 3" in said
    for node in pair:
        node.stop()
        node.start()
    code, said = screen(commune, capsys, "repair", "--json")
    told = json.loads(said)
    assert code == 0
    assert [each["journaled"] for each in told["found"]] == [{"person": 2}]
    assert len(told["baselines"]) == 1
    until(lambda: root.value(STATE) == "ok", "the stream goes on")
    until(lambda: root.value("SELECT count(*) FROM person WHERE phone = '7'") == 3, "with every row")
    commune.sql("UPDATE person SET phone = '8'")
    until(lambda: root.value("SELECT count(*) FROM person WHERE phone = '8'") == 3, "and what follows")
    assert screen(commune, capsys, "verify", "--full")[0] == 0
    assert screen(commune, capsys, "repair")[0] == 0


def test_an_altered_copy_is_put_back(pair: list[TestNode], capsys: pytest.CaptureFixture[str]) -> None:
    root, commune = pair
    assert screen(commune, capsys, "verify")[0] == 0  # a checkpoint, at the root too before long
    until(lambda: screen(root, capsys, "verify", "--full")[0] == 0, "the root can prove it")
    with root.opened().store.apply("unseen") as tx:
        tx.run("UPDATE person SET phone = '9'")
    code, said = screen(root, capsys, "verify", "--full")
    assert code == 1
    row_id = commune.value("SELECT id FROM person")
    assert f"person {row_id}" in said, "the row is named"
    code, said = screen(root, capsys, "repair", "--dry-run")
    assert (code, "put back" in said) == (0, True)
    assert root.value("SELECT phone FROM person") == "9"
    assert screen(root, capsys, "repair")[0] == 0
    assert root.value("SELECT phone FROM person") is None
    assert screen(root, capsys, "verify", "--full")[0] == 0
