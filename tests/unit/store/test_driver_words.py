"""No words of a driver leave the program: errors are told by code and by names of the schema, never with a value."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from sqlcipher3 import dbapi2 as sqlite

from schema.tables import registry
from syncd import events
from syncd.cli import program
from syncd.errors import DatabaseLocked, DiskFull, SyncdError, written
from syncd.node.barriers import reason_of, unforeseen
from syncd.store.named import definition_refused, named
from syncd.store.sqlite import translate

NAME = "Nguyễn Thị Bưởi"
TABLES = """
CREATE TABLE person (id TEXT PRIMARY KEY, full_name TEXT CHECK (full_name < 'O'), sex INT NOT NULL UNIQUE);
CREATE TABLE strict_one (n INT) STRICT;
CREATE TABLE app_log (words TEXT UNIQUE);
"""
REFUSED = {
    "a byte of an old code": "SELECT CAST(x'4E67F5' || CAST('{name}' AS BLOB) AS TEXT) AS full_name",
    "an old code in an expression": "SELECT upper(CAST(x'4E67F5' || CAST('{name}' AS BLOB) AS TEXT))",
    "a trigger's own words": "CREATE TEMP TRIGGER t BEFORE INSERT ON person BEGIN SELECT RAISE(ABORT, '{name}'); END;"
    "INSERT INTO person VALUES ('1', '{name}', 1)",
    "words that sound like a constraint": "CREATE TEMP TRIGGER t BEFORE INSERT ON person BEGIN SELECT RAISE(ABORT,"
    " 'UNIQUE constraint failed: {name}'); END; INSERT INTO person VALUES ('1', 'x', 1)",
    "words that sound like a full disk": "CREATE TEMP TRIGGER t BEFORE INSERT ON person BEGIN SELECT RAISE(ABORT,"
    " 'database or disk is full: {name}'); END; INSERT INTO person VALUES ('1', 'x', 1)",
    "a path of JSON": "SELECT json_extract('{{}}', '{name}')",
    "a search": "CREATE VIRTUAL TABLE f USING fts5(a); SELECT * FROM f WHERE f MATCH '\"{name}'",
    "a name taken for a column": 'SELECT "x"."{name}" FROM person',
    "syntax": "SELECT {name} FROM",
    "no token": "SELECT '{name}",
    "a type": "INSERT INTO strict_one VALUES ('{name}')",
    "a rule": "INSERT INTO person VALUES ('1', 'Ơ{name}', 1)",
    "a missing value": "INSERT INTO person VALUES ('1', '{name}', NULL)",
    "twice": "INSERT INTO app_log VALUES ('{name}'), ('{name}')",
    "too long": "SELECT '{name}' || zeroblob(3000000000)",
}
# What Python and its libraries say of a value they cannot use.
EMPTY: dict[str, int] = {}
FOREIGN: dict[str, Callable[[], object]] = {
    "int": lambda: int(NAME),
    "key": lambda: EMPTY[NAME],
    "codec": lambda: NAME.encode("ascii"),
    "bytes": lambda: f"{NAME}\xf5".encode("latin-1", "ignore").decode("ascii") and b"\xf5\xff".decode(),
    "form": lambda: msgspec.json.decode(f'{{"{NAME}": 1}}', type=dict[str, str]),
    "host": lambda: socket.getaddrinfo(NAME + " ", 1),
}


@pytest.fixture
def connection() -> Iterator[Any]:
    with contextlib.closing(sqlite.connect(":memory:", isolation_level=None)) as opened:
        opened.executescript(TABLES)
        yield opened


def refusal(connection: Any, script: str) -> Exception:
    """The driver's error."""
    with pytest.raises(sqlite.Error) as caught:
        run(connection, script)
    found: Exception = caught.value
    return found


def run(connection: Any, script: str) -> None:
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite.complete_statement(pending):
            connection.execute(pending).fetchall()
            pending = ""
    if pending.strip("; "):
        connection.execute(pending.rstrip(";")).fetchall()


def everything_told(error: BaseException) -> str:
    """Whatever may reach a log, a screen, JSON or another node of an error."""
    told = io.StringIO()
    logger = logging.getLogger("told")
    logger.propagate = False
    for form in (events._TextLines(), events._JsonLines()):
        handler = logging.StreamHandler(told)
        handler.setFormatter(form)
        logger.handlers[:] = [handler]
        logger.error("bug", exc_info=error, extra={"fields": {"reason": written(error)}})
    ours = error if isinstance(error, SyncdError) else unforeseen(error)
    return " ".join([str(ours), ours.english, written(error), reason_of(error), told.getvalue()])


@pytest.mark.parametrize("case", REFUSED)
def test_no_refusal_of_the_database_quotes_a_value(connection: Any, case: str) -> None:
    error = refusal(connection, REFUSED[case].format(name=NAME))
    found = translate(error, "/var/lib/syncd/syncd.db")
    assert isinstance(found, SyncdError)
    assert not isinstance(found, DiskFull | DatabaseLocked)
    found.__cause__ = error
    said = everything_told(found)
    for part in NAME.split():
        assert part not in said


@pytest.mark.parametrize("case", FOREIGN)
def test_what_nobody_foresaw_is_told_by_kind_and_place_alone(case: str) -> None:
    with pytest.raises((ValueError, KeyError, OSError)) as caught:
        FOREIGN[case]()
    said = everything_told(caught.value)
    assert type(caught.value).__name__ in said
    assert "Bưởi" not in said.replace("\\u01b0\\u1edf", "ưở")


def test_a_bug_in_a_verb_is_told_without_a_value(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(program, "program", lambda: int(NAME))
    assert program.run(["status"]) == program.BUG
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "Bưởi" not in said


@pytest.mark.parametrize(("text", "names"), [
    ("NOT NULL constraint failed: person.full_name", "person.full_name"),
    ('null value in column "phone" of relation "person" violates', "phone, person"),
    ("Spalte »full_name« existiert nicht: syncd_log", "syncd_log"),
    (f"không nhận: {NAME}", ""), (f'cột "{NAME}"', ""), ("no such column: OLD.phone", "phone"),
    ('violates check constraint "ck_person_sex_rule"', "ck_person_sex_rule"), ("ck_Bưởi_rule, syncd_Bưởi", ""),
])  # fmt: skip
def test_only_names_of_the_schema_are_repeated(text: str, names: str) -> None:
    assert named(registry(), text) == names


def test_of_a_definition_the_syntax_is_told_and_no_row(connection: Any) -> None:
    wrong = refusal(connection, "CREATE TABLE x (a CHECK (nobody > 1) (")
    assert "syntax error" in definition_refused(wrong)
    connection.execute("INSERT INTO person VALUES ('1', ?, 1)", (NAME,))
    rows = refusal(connection, "CREATE TABLE y (a INT NOT NULL); INSERT INTO y SELECT NULL FROM person")
    assert definition_refused(rows) == "SQLITE_CONSTRAINT"
