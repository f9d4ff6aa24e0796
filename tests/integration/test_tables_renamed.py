"""A table or a column of ours that another program renamed while no daemon ran: each verb says so, the screen names the
statement that takes it back, and it works word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncd.cli import program
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.language import prefer
from syncd.node_files import connector


@pytest.fixture(params=["sqlite", "postgresql"])
def node(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Config]]:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    database = request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else "sqlite"
    config = Config(database=database)
    init_root(tmp_path / "tinh", Unit(code="42", name="Tỉnh", level="province"), config)
    yield tmp_path / "tinh", config
    prefer("auto")


def statement(node: tuple[Path, Config], sql: str) -> None:
    with closing(connector(*node)()) as connection:
        connection.execute(sql)


def test_what_another_program_renamed_is_told_with_its_way_back(
    node: tuple[Path, Config], capsys: pytest.CaptureFixture[str]
) -> None:
    def says(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = program.run([*arguments, "--dir", str(node[0])])
        out, err = capsys.readouterr()
        return code, " ".join((out + err).split())

    for renamed in ("ALTER TABLE person RENAME TO person_cu", "ALTER TABLE proposal RENAME COLUMN withdrawn_at TO w"):
        statement(node, renamed)
        code, said = says("figures" if "person" in renamed else "status")
        assert (code, "another program changed the tables" in said) == (1, True), said
        back = re.search(r"run: (ALTER [^;]+);", said)
        assert back is not None, said
        code, said = says("verify", "--full")
        assert (code, "names the statement that takes it back" in said) == (1, True), said
        statement(node, back[1])
        assert says("status", "--check")[0] < 2
        assert says("verify", "--full")[0] in (0, 75)
