"""Capture and guard that only SQLite needs: REPLACE, row ids, connections that do not enforce references.

Encrypted (SQLCipher), plain, and the SQLite of another program; what both databases share is in the other files.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from schema import triggers
from tests.programs import Program, Refused
from tests.schema_builders import IDENTITY, OTHER_UNIT, PERSON, REGISTRY, sqlite_node

WAS = [1, "2000-01-31", "01", "usual"]
OWN_ROW = "01a1ffae-ab57-71d3-b1c0-7ee1aaaabbbb"
THIRD_UNIT = "99999999-0000-7000-8000-000000000003"
PERSON_FULL_MASK = sum(1 << column.number for column in REGISTRY.by_name["person"].columns)


@pytest.fixture
def memory() -> Iterator[Program]:
    """For what is the same in every SQLite."""
    with contextlib.closing(sqlite_node()) as connection:
        yield Program(connection=connection, dialect="sqlite")


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize("verb", ["REPLACE", "INSERT OR REPLACE"])
def test_replace_of_a_kept_row_is_captured_with_its_old_values(
    sqlite_program: Program, recursive: str, verb: str
) -> None:
    row = sqlite_program.insert("person", **PERSON)
    sqlite_program.captured()
    sqlite_program.run(f"PRAGMA recursive_triggers = {recursive}")
    written = {"id": row, **PERSON, "sex": 2}
    marks = ", ".join("?" * len(written))
    sqlite_program.run(f"{verb} INTO person ({', '.join(written)}) VALUES ({marks})", *written.values())
    seen = sqlite_program.captured()
    assert seen[-1] == ("person", 2, row, PERSON_FULL_MASK, WAS)
    assert seen[:-1] == ([("person", 3, row, 0, WAS)] if recursive == "ON" else [])


def test_replace_of_a_new_row_is_an_insert(sqlite_program: Program) -> None:
    sqlite_program.run("PRAGMA recursive_triggers = OFF")
    sqlite_program.run("REPLACE INTO book (id, title) VALUES (?, 'a')", OWN_ROW)
    assert sqlite_program.captured() == [("book", 1, OWN_ROW, 0, None)]


def test_what_replace_left_behind_never_marks_a_later_insert(sqlite_program: Program) -> None:
    sqlite_program.run("PRAGMA recursive_triggers = OFF")
    row = sqlite_program.insert("book", title="a")
    sqlite_program.run("INSERT OR IGNORE INTO book (id, title) VALUES (?, 'b')", row)
    sqlite_program.run("DELETE FROM book")
    sqlite_program.captured()
    sqlite_program.run("INSERT INTO book (id, title) VALUES (?, 'c')", row)
    assert sqlite_program.captured() == [("book", 1, row, 0, None)]


def test_replace_never_moves_a_row_to_another_unit(memory: Program) -> None:
    memory.run("INSERT INTO syncd_keeper VALUES (?, ?, 1, 1)", THIRD_UNIT, IDENTITY.node_id)
    memory.run("PRAGMA recursive_triggers = OFF")
    row = memory.insert("book", title="a")
    with pytest.raises(Refused, match="never change"):
        memory.run("REPLACE INTO book (id, unit_id, title) VALUES (?, ?, 'a')", row, THIRD_UNIT)


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_replace_of_a_household_keeps_its_persons(sqlite_program: Program, recursive: str) -> None:
    sqlite_program.run(f"PRAGMA recursive_triggers = {recursive}")
    household = sqlite_program.insert("household", number="1", kind="family")
    sqlite_program.insert("person", **PERSON, household_id=household)
    sqlite_program.run("REPLACE INTO household (id, number, kind) VALUES (?, '2', 'family')", household)
    kept = "SELECT h.number FROM person JOIN household AS h ON h.id = household_id"
    assert sqlite_program.rows(kept) == [("2",)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO book (rowid, title) VALUES (1, 'b')",
        "INSERT INTO book (rowid, title) VALUES (-1, 'b')",
        "UPDATE OR REPLACE book SET rowid = 7",
    ],
)
def test_a_written_rowid_is_refused_because_replace_could_remove_another_row(
    sqlite_program: Program, statement: str
) -> None:
    sqlite_program.insert("book", title="a")
    with pytest.raises(Refused, match="syncd"):
        sqlite_program.run(statement)
    assert sqlite_program.rows("SELECT title FROM book") == [("a",)]


def test_a_cascade_that_the_connection_would_not_carry_out_is_refused(sqlite_program: Program) -> None:
    sqlite_program.run("PRAGMA foreign_keys = OFF")
    book = sqlite_program.insert("book", title="a")
    sqlite_program.insert("page", book_id=book, words=1)
    with pytest.raises(Refused, match=r"refer.*PRAGMA foreign_keys = ON"):
        sqlite_program.run("DELETE FROM book")


@pytest.mark.parametrize(
    ("enforced", "said"), [("ON", "FOREIGN KEY"), ("OFF", "household_id.*set PRAGMA foreign_keys = ON")]
)
def test_a_reference_inside_the_unit_must_exist_whatever_the_connection_enforces(
    sqlite_program: Program, enforced: str, said: str
) -> None:
    sqlite_program.run(f"PRAGMA foreign_keys = {enforced}")
    with pytest.raises(Refused, match=said):
        sqlite_program.insert("person", **PERSON, household_id=OWN_ROW)
    sqlite_program.insert("person", **PERSON)
    with pytest.raises(Refused, match=said):
        sqlite_program.run("UPDATE person SET household_id = ?", OWN_ROW)


def test_a_child_may_come_before_its_parent_and_leave_after_it(program: Program) -> None:
    """In one transaction of a program that has foreign keys on, as PostgreSQL always has."""
    if program.dialect == "sqlite":
        program.run("PRAGMA foreign_keys = ON")
    program.run("BEGIN")
    program.insert("page", book_id=OWN_ROW, words=1)
    program.insert("book", id=OWN_ROW, title="a")
    program.insert("person", **PERSON, household_id=OWN_ROW)
    program.insert("household", id=OWN_ROW, number="1", kind="family")
    program.run("COMMIT")
    program.run("BEGIN")
    program.run("DELETE FROM household")
    program.run("DELETE FROM person")
    program.run("COMMIT")
    assert program.value("SELECT count(*) FROM household") == 0
    program.insert("household", id=OWN_ROW, number="1", kind="family")
    program.insert("person", **PERSON, household_id=OWN_ROW)
    with pytest.raises((*Refused, psycopg.errors.ForeignKeyViolation)):
        program.run("DELETE FROM household")
    assert program.value("SELECT count(*) FROM household") == 1


@pytest.mark.parametrize("conflict", ["IGNORE", "REPLACE", "FAIL"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE OR {} person SET phone = '1'",
        f"INSERT OR {{}} INTO book (unit_id, title) VALUES ('{OTHER_UNIT}', 'a')",
    ],
)
def test_a_foreign_units_row_is_refused_whatever_the_conflict_clause(
    sqlite_program: Program, statement: str, conflict: str
) -> None:
    sqlite_program.foreign_person()
    with pytest.raises(Refused, match="syncd propose"):
        sqlite_program.run(statement.format(conflict))
    assert sqlite_program.captured() == []
    assert sqlite_program.value("SELECT count(*) FROM person WHERE phone IS NULL") == 1
    assert sqlite_program.value("SELECT count(*) FROM book") == 0


def test_the_refusal_names_the_keeper_in_vietnamese_and_english(memory: Program) -> None:
    row = memory.foreign_person()
    with pytest.raises(Refused) as caught:
        memory.run("UPDATE person SET phone = '1'")
    text = str(caught.value)
    assert text.index("do máy Xã Bên giữ") < text.index("is kept by node Xã Bên")
    assert f"syncd propose update person {row}" in text
    memory.run("DELETE FROM syncd_keeper WHERE unit_id = ?", OTHER_UNIT)
    with pytest.raises(Refused, match="không rõ / unknown"):
        memory.run("UPDATE person SET phone = '1'")


def test_problems_names_missing_altered_and_foreign_triggers(memory: Program) -> None:
    def problems() -> list[str]:
        return triggers.problems(memory.connection, "sqlite", REGISTRY, IDENTITY)

    assert problems() == []
    memory.run("DROP TRIGGER syncd_person_update")
    memory.run("DROP TRIGGER syncd_book_insert")
    memory.run("CREATE TRIGGER syncd_book_insert AFTER INSERT ON book BEGIN SELECT 1; END")
    memory.run("CREATE TRIGGER syncd_extra AFTER INSERT ON book BEGIN SELECT 1; END")
    assert problems() == [
        "trigger syncd_book_insert was altered",
        "trigger syncd_extra is not one of this installation's",
        "trigger syncd_person_update is missing",
    ]
    triggers.install(memory.connection, "sqlite", REGISTRY, IDENTITY)
    assert problems() == []
    assert triggers.problems(memory.connection, "sqlite", REGISTRY, IDENTITY, foreign_writes="propose") != []


def test_capture_uses_built_in_sql_only(tmp_path: Path) -> None:
    """A program with the standard library's SQLite writes a database that syncd made."""
    path = str(tmp_path / "shared.db")
    sqlite_node(path, dialect="sqlite-portable").close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        other = Program(connection=connection, dialect="sqlite")
        row = other.insert("person", **PERSON)
        assert other.captured() == [("person", 1, row, 0, None)]
        with pytest.raises(sqlite3.IntegrityError, match="syncd propose"):
            other.insert("person", **PERSON, unit_id=OTHER_UNIT)
