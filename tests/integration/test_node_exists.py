"""`init` and `join` over a directory that has a node: which one it is, and what to do; nothing of it changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd import enrolment
from syncd.admission import TokenKind, Way, make_token
from syncd.config import Config
from syncd.errors import AlreadyRunning, ConfigError, SyncdError
from syncd.node.holding import LOCK_FILE
from syncd.node_files import open_node
from syncd.security.names import ROOT_CERTIFICATE_FILE
from syncd.setup import set_facts
from syncd.system import lock_file

ROOT = enrolment.Unit(code="42", name="Tỉnh thử", level="province")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A root, and a token of it for unit 18133."""
    place = tmp_path_factory.mktemp("trees") / "tinh"
    enrolment.init_root(place, ROOT, Config(encrypted=False, addresses=["https://127.0.0.1:1"], listen="127.0.0.1:0"))
    opened = open_node(place)
    with opened.store.write("units") as tx:
        tx.run(
            "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'commune', '18133', 'Xã Sơn Giang')",
            (opened.facts["unit_id"],),
        )
    way = Way(addresses=("https://127.0.0.1:1",), ca_pem=(place / ROOT_CERTIFICATE_FILE).read_text())
    token = make_token(opened.node, "18133", TokenKind.LEAF, way, 3600, lambda n: b"7" * n)
    opened.close()
    return place, token


@pytest.fixture(params=["stopped", "running"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Another root, unit 43; as a daemon holds it, or nobody."""
    enrolment.init_root(tmp_path / "a", enrolment.Unit(code="43", name="Tỉnh B", level="province"),
                        Config(encrypted=False))  # fmt: skip
    if request.param == "stopped":
        yield tmp_path / "a"
        return
    with lock_file(tmp_path / "a" / LOCK_FILE):
        yield tmp_path / "a"


def content(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir()) if not path.name.endswith("-shm")}


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_node_that_is_there_is_named_whether_it_runs_or_not(
    place: Path, root: tuple[Path, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    before = content(place)
    assert enrolment.init_root(place, enrolment.Unit(code="43", name="Tỉnh B", level="province"),
                               Config(encrypted=False)).already  # fmt: skip
    asked: Callable[[], object]
    for wanted, asked in (
        (ROOT.code, lambda: enrolment.init_root(place, ROOT, Config(encrypted=False))),
        ("18133", lambda: enrolment.join(place, root[1], Config(encrypted=False))),
        ("", lambda: enrolment.init_root(place, ROOT, Config(encrypted=False, database="postgresql://elsewhere/x"))),
    ):
        with pytest.raises(ConfigError) as refused:
            asked()
        said = str(refused.value)
        assert "43 Tỉnh B · " in said
        assert wanted in said
        assert "syncd status" in said
        assert LOCK_FILE not in said
        assert not UUID.search(said)
        assert language == "en" or " node " not in said
    assert content(place) == before


def test_a_station_that_runs_says_so_to_a_second_join(root: tuple[Path, str], tmp_path: Path) -> None:
    station = tmp_path / "xa"
    enrolment.init_root(station, enrolment.Unit(code="18133", name="Xã Sơn Giang", level="commune"),
                        Config(encrypted=False))  # fmt: skip
    parent, child = open_node(root[0]), open_node(station)
    with child.store.apply("as joined") as tx:
        set_facts(tx, [("parent_id", parent.node.node_id)])
    for each in (parent, child):
        each.close()
    with lock_file(station / LOCK_FILE), pytest.raises(AlreadyRunning) as refused:
        enrolment.join(station, root[1], Config(encrypted=False))
    assert "18133 Xã Sơn Giang · " in str(refused.value)
    assert LOCK_FILE not in str(refused.value)
    with pytest.raises(ConfigError, match="18133 Xã Sơn Giang"):  # a station is made no root
        enrolment.init_root(station, enrolment.Unit(code="18133", name="x", level="commune"), Config(encrypted=False))
    with pytest.raises(SyncdError) as tried:  # its own parent's token, nobody running: it is on its way
        enrolment.join(station, root[1], Config(encrypted=False))
    assert not isinstance(tried.value, ConfigError | AlreadyRunning), tried.value
