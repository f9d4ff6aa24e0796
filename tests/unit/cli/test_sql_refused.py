"""What SQLite itself asks of the authorizer: no spelling of a statement gets past it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlcipher3 import dbapi2 as sqlite

from syncd.cli.sql_refused import Authorizer, refuse_script
from syncd.errors import PermissionDenied

TABLES = """
CREATE TABLE person (id TEXT);
CREATE TABLE syncd_journal (id TEXT);
CREATE TRIGGER captured AFTER INSERT ON person BEGIN INSERT INTO syncd_journal VALUES (NEW.id); END;
"""


def guarded() -> tuple[Any, Authorizer]:
    connection = sqlite.connect(":memory:", isolation_level=None)
    connection.executescript(TABLES)
    authorizer = Authorizer()
    connection.set_authorizer(authorizer)
    return connection, authorizer


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER captured",
        "DROP TABLE person",
        "ALTER TABLE person RENAME TO people",
        "CREATE TEMP TRIGGER t AFTER INSERT ON person BEGIN DELETE FROM syncd_journal; END",
        "VACUUM",
        "ATTACH ':memory:' AS other",
        "PRAGMA foreign_keys = OFF",
        "INSERT OR REPLACE INTO [syncd_journal] VALUES ('x')",
        "UPDATE main . `SYNCD_journal` SET id = 'x'",
    ],
)
def test_sqlite_refuses_structure_settings_and_own_tables(statement: str) -> None:
    connection, authorizer = guarded()
    with pytest.raises(sqlite.DatabaseError):
        connection.execute(statement)
    assert authorizer.refused is not None


def test_what_a_trigger_writes_and_what_is_read_is_allowed() -> None:
    connection, authorizer = guarded()
    connection.execute("INSERT INTO person VALUES ('a')")
    assert connection.execute("SELECT id FROM syncd_journal").fetchall() == [("a",)]
    assert connection.execute("PRAGMA table_info(person)").fetchall()
    assert authorizer.refused is None


@pytest.mark.parametrize("statement", ["-- x\ntruncate person", 'DELETE FROM ONLY public."syncd_meta"', "DO $$ x; $$"])
def test_a_script_is_judged_by_its_words(statement: str) -> None:
    with pytest.raises(PermissionDenied):
        refuse_script(statement)


def test_words_in_texts_and_comments_are_passed_over() -> None:
    refuse_script("SELECT 'it''s; DROP TABLE x' /* ; DROP */ -- ; DELETE FROM syncd_meta\n FROM person")
