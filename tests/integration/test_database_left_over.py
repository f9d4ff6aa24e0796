"""What an earlier database has left in the place of a new one: moved aside, never removed, never taken for its own.

SQLite applies a log or a journal that lies beside a file of the right name, whoever wrote it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import enrolment
from syncd.backup import back_up
from syncd.cli.program import run as run_verb
from syncd.config import Config
from syncd.errors import ConfigError, SyncdError
from syncd.node_files import open_node
from syncd.restore import restore, restore_keys
from tests.nodes import ROOT_UNIT, Nodes

LEFT = {"log": ("-wal",), "index": ("-shm",), "journal": ("-journal",), "all": ("-wal", "-shm", "-journal")}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "encrypted"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `old` (a node), `backups` (of it), and `left` (what a program that died leaves of a database)."""
    folder = tmp_path_factory.mktemp("made")
    enrolment.init_root(folder / "old", ROOT_UNIT, Config(encrypted=request.param))
    with contextlib.closing(open_node(folder / "old")) as opened:
        opened.node.write(checkpoints=True)
        back_up(opened.node, folder / "old", folder / "backups")
    leave(folder / "left")
    return folder


def leave(folder: Path) -> None:
    """A log, an index and a hot journal as a killed program leaves them: valid, and of other content."""
    folder.mkdir()
    path = folder / "syncd.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE stray (a)")
        connection.executemany("INSERT INTO stray VALUES (?)", [("x" * 500,)] * 200)
        kept = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("-wal", "-shm")}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE stray SET a = a || 'y'")
        kept["-journal"] = Path(f"{path}-journal").read_bytes()
        connection.execute("ROLLBACK")
    path.unlink()
    for suffix, content in kept.items():
        Path(f"{path}{suffix}").write_bytes(content)


def put_left(made: Path, target: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    """Lay what was left into a directory; the same by name."""
    target.mkdir(mode=0o700, exist_ok=True)
    for suffix in suffixes:
        shutil.copy(made / "left" / f"syncd.db{suffix}", target / f"syncd.db{suffix}")
    return {f"syncd.db{suffix}": (target / f"syncd.db{suffix}").read_bytes() for suffix in suffixes}


def moved(target: Path) -> dict[str, bytes]:
    (folder,) = target.glob("replaced-*")
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def require_sound(directory: Path, units: int = 1) -> None:
    with contextlib.closing(open_node(directory)) as opened, opened.store.read() as tx:
        assert tx.value("SELECT count(*) FROM unit") == units
        assert tx.all("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("suffixes", LEFT.values(), ids=LEFT)
def test_a_restore_beside_what_was_left_is_readable_and_moves_it_aside(
    made: Path, tmp_path: Path, suffixes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "n"
    before = put_left(made, target, suffixes)
    done = restore(made / "backups", target, made / "old" / "exchange.key")
    assert done.rows > 0
    assert done.moved_to is not None
    assert moved(target) == before
    require_sound(target)
    assert not list(target.glob(".restoring*"))


def test_the_verb_says_where_it_has_moved_what_was_left(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    put_left(made, tmp_path / "n", ("-wal",))
    key = str(made / "old" / "exchange.key")
    assert run_verb(["restore", str(made / "backups"), "--to", str(tmp_path / "n"), "--key", key]) == 0
    assert "What an earlier database had left there was moved to" in capsys.readouterr().out


def test_an_emptied_database_and_its_log_are_moved_aside_too(made: Path, tmp_path: Path) -> None:
    before = put_left(made, tmp_path / "n", ("-wal", "-shm"))
    (tmp_path / "n" / "syncd.db").touch()
    restore(made / "backups", tmp_path / "n", made / "old" / "exchange.key")
    assert moved(tmp_path / "n") == {**before, "syncd.db": b""}
    require_sound(tmp_path / "n")


def test_a_database_that_is_there_is_named_with_all_its_files_and_stays(made: Path, tmp_path: Path) -> None:
    put_left(made, tmp_path / "n", ("-wal", "-shm"))
    (tmp_path / "n" / "syncd.db").write_bytes(b"anything")
    before = {each.name: each.read_bytes() for each in (tmp_path / "n").iterdir()}
    for put_back in (restore, restore_keys):
        with pytest.raises(ConfigError) as caught:
            put_back(made / "backups", tmp_path / "n", made / "old" / "exchange.key")
        assert put_back is restore_keys or "syncd.db, syncd.db-wal, syncd.db-shm" in caught.value.english
    assert {name: (tmp_path / "n" / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("suffixes", LEFT.values(), ids=LEFT)
def test_init_beside_what_was_left_begins_a_database_of_its_own(
    made: Path, tmp_path: Path, suffixes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = put_left(made, tmp_path / "n", suffixes)
    line = ["init", "--dir", str(tmp_path / "n"), "--unit", "42", "--unit-name", "X", "--plain", "--json"]
    assert run_verb(line) == 0
    assert Path(json.loads(capsys.readouterr().out)["moved_to"]).is_dir()
    assert moved(tmp_path / "n") == before
    require_sound(tmp_path / "n")
    assert run_verb(line) == 0, "again, nothing changes"
    assert len(list((tmp_path / "n").glob("replaced-*"))) == 1


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    found = Nodes(tmp_path)
    yield found
    found.close()


def test_join_beside_what_was_left_begins_a_database_of_its_own(made: Path, nodes: Nodes) -> None:
    root = nodes.root()
    before = put_left(made, nodes.folder / "node-01", LEFT["all"])
    commune = nodes.joined(root, "01", encrypted=False)
    assert moved(commune.directory) == before
    require_sound(commune.directory, units=0)


def test_a_root_that_has_worked_is_not_begun_anew_where_its_database_is_gone(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "old", tmp_path / "n")
    (tmp_path / "n" / "positions").write_text("{}")
    for each in (tmp_path / "n").glob("syncd.db*"):
        each.unlink()
    with pytest.raises(SyncdError, match="is missing") as caught:
        enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=(made / "old" / "database.key").exists()))
    assert "syncd restore" in caught.value.english
    assert not (tmp_path / "n" / "syncd.db").exists()
