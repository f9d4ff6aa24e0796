"""What is wrong with a database is said with the remedy that helps: by the library's number, never by its words."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd import enrolment, limits
from syncd.cli.program import run as run_verb
from syncd.cli.reasons import told_text
from syncd.config import Config
from syncd.errors import (
    DatabaseLocked,
    DiskFull,
    NotCanonical,
    RuleBroken,
    StoreError,
    SyncdError,
    TemporaryError,
    written,
)
from syncd.node_files import open_node
from syncd.recovery.capture import Capture
from syncd.store.sqlite import SqliteStore
from tests.nodes import ROOT_UNIT
from tests.schema_builders import REGISTRY

NOBODY = 65534
ACCOUNT = NOBODY if os.geteuid() == 0 else os.geteuid()
WRONG = ("syncd verify", "make one with", "chown")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "encrypted"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "n"
    enrolment.init_root(folder, ROOT_UNIT, Config(encrypted=request.param))
    return folder


@pytest.fixture
def node(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    shutil.copytree(made, tmp_path / "n")
    return tmp_path / "n"


def spoil(change: Callable[[bytearray], None]) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return work


def overwrite(start: int, end: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[start:end] = b"\xa5" * (end - start)

    return change


def cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


def foreign(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE contacts (name TEXT)")
        connection.execute("PRAGMA application_id = 77")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


CASES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    # what happened to the file: (how, what is said, of the remedy)
    "missing": (Path.unlink, "is missing", "put it back"),
    "emptied": (lambda path: os.truncate(path, 0), "is empty (0 bytes)", "syncd restore"),
    "a directory": (directory, "is a directory, not a database", "move that directory away"),
    "its beginning": (spoil(overwrite(0, 100)), "damaged", "syncd restore"),
    "its middle": (spoil(overwrite(4096, 40_960)), "is damaged", "syncd restore"),
    "cut": (spoil(cut), "is damaged", "syncd restore"),
}


@pytest.mark.parametrize(("how", "said", "remedy"), CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    "verb", [["status"], ["sql", "SELECT count(*) FROM unit"], ["verify"], ["run"]], ids=lambda v: v[0]
)
def test_each_verb_says_what_is_wrong_with_the_file_and_what_helps(
    node: Path, verb: list[str], how: Callable[[Path], None], said: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    how(node / "syncd.db")
    code = run_verb([*verb, "--dir", str(node)])
    err = capsys.readouterr().err
    assert code != 0
    assert said in err, err
    assert remedy in err, err
    assert not [each for each in WRONG if each in err], err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "verb", [["status"], ["sql", "SELECT 1"], ["run"], ["init", "--unit", "42", "--unit-name", "X"]]
)
def test_another_programs_database_is_told_from_ours_and_not_written(
    tmp_path: Path, verb: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    path = tmp_path / "n" / "syncd.db"
    foreign(path)
    before = path.read_bytes()
    plain = ["--plain"] if verb[0] == "init" else []
    assert run_verb([*verb, *plain, "--dir", str(tmp_path / "n")]) == 78
    assert "is another program's database: it has no tables of syncd — put this node's own syncd.db back" in (
        capsys.readouterr().err
    )
    assert path.read_bytes() == before


def test_a_plain_file_is_told_from_a_wrong_key_also_where_the_key_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    enrolment.init_root(tmp_path / "plain", ROOT_UNIT, Config(encrypted=False))
    enrolment.init_root(tmp_path / "closed", ROOT_UNIT, Config())
    (tmp_path / "plain" / "syncd.toml").write_text("")
    assert run_verb(["status", "--dir", str(tmp_path / "plain")]) == 78
    assert "is not encrypted, but the setting is encrypted = true — set encrypted = false" in capsys.readouterr().err
    shutil.copy(tmp_path / "closed" / "database.key", tmp_path / "plain" / "database.key")
    assert run_verb(["status", "--dir", str(tmp_path / "plain")]) == 78
    assert "is not encrypted, but the setting is encrypted = true — set encrypted = false" in capsys.readouterr().err
    (tmp_path / "closed" / "database.key").write_bytes(bytes(32))
    assert run_verb(["sql", "SELECT 1", "--dir", str(tmp_path / "closed")]) == 78
    assert "does not open with this key" in capsys.readouterr().err
    (tmp_path / "closed" / "syncd.toml").write_text("encrypted = false\n")
    assert run_verb(["verify", "--dir", str(tmp_path / "closed")]) == 78
    assert "is encrypted (or damaged), but the setting is encrypted = false" in capsys.readouterr().err


if sys.platform != "win32":

    @pytest.fixture
    def own(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A node of an account that is not root, where that account can come."""
        monkeypatch.setenv("SYNCD_LANGUAGE", "en")
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(made, Path(folder) / "n")
            for each in (Path(folder), Path(folder) / "n", *(Path(folder) / "n").iterdir()):
                os.chown(each, ACCOUNT, -1)
            yield Path(folder) / "n"

    @contextlib.contextmanager
    def by_account() -> Iterator[None]:
        was = os.geteuid()
        os.seteuid(ACCOUNT)
        try:
            yield
        finally:
            os.seteuid(was)

    def write_into(path: Path, key: bytes | None) -> None:
        with contextlib.closing(SqliteStore(path, REGISTRY, key)) as store, store.write("clerk") as tx:
            tx.run("UPDATE unit SET name = 'Y'")

    @pytest.mark.parametrize(
        ("name", "mode", "remedy"),
        [
            ("syncd.db", 0o400, "chmod u+rw {}"), ("syncd.db", 0, "chmod u+rw {}"), (".", 0o500, "chmod u+rwx {}"),
        ],
    )  # fmt: skip
    def test_rights_taken_away_are_given_back_by_chmod(own: Path, name: str, mode: int, remedy: str) -> None:
        (own / name).chmod(mode)
        key = own / "database.key"
        raw = key.read_bytes() if key.exists() else None
        with by_account(), pytest.raises(SyncdError) as caught:
            write_into(own / "syncd.db", raw)
        assert remedy.format(own / name) in caught.value.english
        (own / name).chmod(0o700)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    @pytest.mark.parametrize("verb", [
        ["status"], ["run"], ["sql", "SELECT 1"], ["backup", "x"], ["init", "--unit", "42", "--unit-name", "X"],
    ], ids=lambda v: v[0])  # fmt: skip
    def test_root_is_sent_to_the_nodes_own_account_and_leaves_nothing_behind(
        node: Path, verb: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for each in (node, *node.iterdir()):
            os.chown(each, NOBODY, -1)
        before = {each.name for each in node.iterdir()}
        assert run_verb([*verb, "--dir", str(node)]) == 77
        err = capsys.readouterr().err
        assert "sudo -u nobody syncd" in err
        assert "chown" not in err
        assert {each.name for each in node.iterdir()} == before


def failing(code: int, name: str, text: str) -> Exception:
    from sqlcipher3 import dbapi2

    error = dbapi2.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    made: Exception = error
    return made


@pytest.mark.parametrize(("code", "name", "kind", "said"), [
    (13, "SQLITE_FULL", DiskFull, "no space left"), (5, "SQLITE_BUSY", DatabaseLocked, "locked by another program"),
    (517, "SQLITE_BUSY_SNAPSHOT", DatabaseLocked, "locked"), (6, "SQLITE_LOCKED", DatabaseLocked, "locked"),
    (4874, "SQLITE_IOERR_SHMSIZE", DiskFull, "no space left"), (266, "SQLITE_IOERR_READ", StoreError, "the disk"),
    (11, "SQLITE_CORRUPT", StoreError, "is damaged (SQLITE_CORRUPT)"), (1, "SQLITE_ERROR", StoreError, "SQLITE_ERROR"),
    (7, "SQLITE_NOMEM", TemporaryError, "memory"), (19, "SQLITE_CONSTRAINT", StoreError, "that is not syncd's"),
    (267, "SQLITE_CORRUPT_VTAB", StoreError, "is damaged"), (17, "SQLITE_SCHEMA", SyncdError, "changed the tables"),
])  # fmt: skip
def test_an_error_is_known_by_its_number_whatever_its_words(
    code: int, name: str, kind: type[SyncdError], said: str, tmp_path: Path
) -> None:
    from syncd.store.sqlite import translate

    found = translate(failing(code, name, "locked full_name of busy encrypted hmac"), str(tmp_path / "x.db"))
    assert isinstance(found, kind)
    assert said in found.english


def test_a_value_of_an_old_code_is_told_by_its_column_alone(tmp_path: Path) -> None:
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    with contextlib.closing(open_node(tmp_path / "n")) as opened:
        with opened.store.write("clerk") as tx:
            tx.run("UPDATE unit SET name = CAST(x'4E677579D46E2056A86E205468F6' AS TEXT)")
        with opened.store.read() as tx, pytest.raises(NotCanonical) as caught:
            tx.all("SELECT name AS full_name FROM unit")
        with opened.store.read() as tx, pytest.raises(NotCanonical) as streamed:
            list(tx.stream("SELECT name FROM unit"))
    assert "a value of column full_name in" in caught.value.english
    for error in (caught.value, streamed.value):
        assert "Ngu" not in error.english
        assert "space" not in error.english


def test_a_value_of_an_old_code_names_its_rows_and_the_statement_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    node = tmp_path / "n"
    enrolment.init_root(node, ROOT_UNIT, Config(encrypted=False))
    with contextlib.closing(open_node(node)) as opened:
        opened.node.write()
        with opened.store.write("clerk") as tx:
            tx.run("INSERT INTO household (number, kind, hamlet) VALUES ('7', 'family', 'Xóm 1'), ('8', 'family', '')")
            tx.run("UPDATE household SET hamlet = CAST(x'58F66D' AS TEXT) WHERE number = '8'")
            row_id = tx.value("SELECT id FROM household WHERE number = '8'")
        for read in ("SELECT hamlet FROM household", "SELECT id, hamlet FROM household"):
            with opened.store.read() as tx, pytest.raises(NotCanonical) as caught:
                list(tx.stream(read))
            assert f"household {row_id}" in str(caught.value)
            assert "Xóm" not in str(caught.value)
        with pytest.raises(NotCanonical) as sealed:
            opened.node.write()
    assert told_text(written(sealed.value)) == str(sealed.value)
    [statement] = re.findall(r'syncd sql "([^"]+)"', str(sealed.value))
    assert run_verb(["sql", statement.replace("…", "Xóm 2"), "--dir", str(node)]) == 0
    with contextlib.closing(open_node(node)) as opened:
        opened.node.write()
        with opened.store.read() as tx:
            assert tx.value("SELECT hamlet FROM household WHERE number = '8'") == "Xóm 2"
            assert tx.value("SELECT count(*) FROM syncd_journal") == 0


def test_a_value_of_an_old_code_is_looked_for_among_the_newest_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large table is not read from end to end each time that reading fails."""
    monkeypatch.setattr(limits, "UNDECODED_ROWS_MAX", 2)
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    with contextlib.closing(open_node(tmp_path / "n")) as opened:
        with opened.store.write("clerk") as tx:
            tx.run("INSERT INTO household (number, kind, hamlet) VALUES ('7', 'family', ''), ('8', 'family', NULL)")
            tx.run("INSERT INTO household (number, kind, hamlet) VALUES ('9', 'family', '')")
            ids: dict[str, str] = dict(tx.all("SELECT number, id FROM household"))
        for number, named in (("7", ()), ("9", ("9",))):
            with opened.store.write("clerk") as tx:
                tx.run("UPDATE household SET hamlet = CAST(x'58F66D' AS TEXT) WHERE number = ?", (number,))
            with opened.store.read() as tx, pytest.raises(NotCanonical) as caught:
                tx.all("SELECT hamlet FROM household")
            assert "hamlet" in str(caught.value)
            assert [each for each in ids if ids[each] in str(caught.value)] == list(named)


def test_a_dropped_table_is_put_back_by_the_steps_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    node, aside = tmp_path / "n", tmp_path / "aside"
    enrolment.init_root(node, ROOT_UNIT, Config(encrypted=False))
    with contextlib.closing(open_node(node)) as opened:
        with opened.store.write("clerk") as tx:
            tx.run("INSERT INTO household (number, kind) VALUES ('7', 'family')")
        opened.node.write()
    assert run_verb(["backup", str(tmp_path / "b"), "--dir", str(node)]) == 0
    with contextlib.closing(sqlite3.connect(node / "syncd.db")) as program:
        program.execute("DROP TABLE household")
    with contextlib.closing(open_node(node)) as opened:
        trouble = Capture(opened).examine()
    said = str(trouble)
    assert "không còn bảng household" in said
    assert "không mất gì" not in said, "its rows are gone here"
    assert trouble is not None
    assert told_text(written(trouble)) == said
    assert "syncd.db cùng -wal và -shm" in said
    aside.mkdir()
    for each in node.glob("syncd.db*"):
        each.rename(aside / each.name)
    assert run_verb(["restore", str(tmp_path / "b"), "--dir", str(node)]) == 0
    with contextlib.closing(open_node(node)) as opened, opened.store.read() as tx:
        assert tx.value("SELECT count(*) FROM household") == 1


def test_a_broken_rule_is_still_a_broken_rule(tmp_path: Path) -> None:
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    with contextlib.closing(open_node(tmp_path / "n")) as opened, pytest.raises(RuleBroken):
        insert(opened.store)


def insert(store: object) -> None:
    with store.write("clerk") as tx:  # type: ignore[attr-defined]
        tx.run("INSERT INTO household (number, kind) VALUES ('x', 'family')")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\x00" * 4096, b"[1]", b'{"a": 3}', b'{"a": [1, "zz"]}', b"\xff\xfe{}"]
)
def test_a_mark_that_says_nothing_any_more_stops_nobody_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    (tmp_path / "n" / "positions").write_bytes(content)
    with contextlib.closing(open_node(tmp_path / "n")) as opened:
        opened.node.write()
        opened.node.rejoin.note_positions()
    assert b"unreadable" not in (tmp_path / "n" / "positions").read_bytes()
    with contextlib.closing(open_node(tmp_path / "n")) as opened, opened.store.read() as tx:
        from syncd.positions import HighWater

        assert HighWater(tmp_path / "n").behind(tx) == []


def test_a_mark_that_says_nothing_has_a_child_ask_its_parent_first(tmp_path: Path) -> None:
    from syncd.positions import UNREADABLE, HighWater, mark_restored

    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    (tmp_path / "n" / "positions").write_bytes(b"")
    with contextlib.closing(open_node(tmp_path / "n")) as opened, opened.store.read() as tx:
        assert HighWater(tmp_path / "n").behind(tx) == [UNREADABLE]
        mark_restored(tmp_path / "n")
        assert HighWater(tmp_path / "n").behind(tx) == ["restored"]


def test_join_at_a_dead_parent_asks_to_be_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    there = "https://127.0.0.1:9"
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(listen="127.0.0.1:9", addresses=[there]))
    node = ["--dir", str(tmp_path / "n")]
    below = "INSERT INTO unit (parent_id, level, code, name) SELECT id, 'commune', '01', 'X' FROM unit"
    assert run_verb(["sql", below, *node]) == 0
    assert run_verb(["token", "--unit", "01", *node, "--json"]) == 0
    token = json.loads(capsys.readouterr().out.partition("\n")[2])["token"]
    assert run_verb(["join", "--dir", str(tmp_path / "c"), token]) == 75
    err = capsys.readouterr().err
    assert "does not answer" in err
    assert "run this command again; check that the parent runs" in err
    assert "by itself" not in err
