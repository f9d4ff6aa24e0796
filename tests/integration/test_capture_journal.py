"""What every commit leaves in the journal, on SQLite (encrypted, plain, of another program) and on PostgreSQL alike."""

from __future__ import annotations

import time

import pytest

from schema.ddl import UUID_PATTERN
from tests.programs import Invalid, Program
from tests.schema_builders import PERSON, UNIT, mask

WAS = [1, "2000-01-31", "01", "usual"]
MANY = 5_000


def test_default_id_is_a_uuid_7_with_the_nodes_tag_and_the_own_unit(program: Program) -> None:
    found = program.insert("person", **PERSON)
    assert UUID_PATTERN.fullmatch(found)
    assert found[14] == "7"
    assert found[19] in "89ab"
    assert found.endswith("aaaabbbb")
    assert abs(int(found[:8] + found[9:13], 16) - time.time_ns() // 1_000_000) < 60_000
    assert program.value("SELECT CAST(unit_id AS text) FROM person") == UNIT


def test_default_ids_differ(program: Program) -> None:
    program.run(
        "INSERT INTO book (title) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " SELECT 'a' FROM n",
        MANY,
    )
    assert program.value("SELECT count(DISTINCT id) FROM book") == MANY


def test_insert_update_and_delete_are_captured_with_changed_columns_only(program: Program) -> None:
    row = program.insert("person", **PERSON)
    program.run("UPDATE person SET phone = '1', sex = 2, education = NULL")
    program.run("UPDATE person SET phone = '2'")
    program.run("DELETE FROM person")
    assert program.captured() == [
        ("person", 1, row, 0, None),
        ("person", 2, row, mask("person", "phone", "sex"), WAS),
        ("person", 2, row, mask("person", "phone"), None),
        ("person", 3, row, 0, [2, *WAS[1:]]),
    ]


def test_every_changed_column_has_its_bit(program: Program) -> None:
    row = program.insert("page", words=1)
    program.captured()
    program.run("UPDATE page SET words = 2, printed_on = '2026-11-02', seal = ?", b"\0")
    assert program.captured() == [("page", 2, row, mask("page", "words", "printed_on", "seal"), [1, None])]


def test_an_update_that_changes_nothing_journals_nothing(program: Program) -> None:
    program.insert("person", **PERSON)
    program.captured()
    program.run("UPDATE person SET sex = 1, phone = NULL, full_name = full_name")
    assert program.captured() == []


def test_a_statement_that_changes_some_rows_journals_those(program: Program) -> None:
    rows = [program.insert("book", title=title) for title in "abc"]
    program.captured()
    program.run("UPDATE book SET title = 'b'")
    assert sorted(row for _, _, row, *_ in program.captured()) == sorted([rows[0], rows[2]])


def test_a_flow_keeps_its_date_last(program: Program) -> None:
    program.insert("page", words=3, printed_on="2026-11-02")
    program.captured()
    program.run("UPDATE page SET printed_on = NULL")
    program.run("DELETE FROM page")
    assert [was for *_, was in program.captured()] == [[3, "2026-11-02"], [3, None]]


def test_multi_row_statements_and_executemany_capture_every_row(program: Program) -> None:
    program.run("INSERT INTO book (title) VALUES ('a'), ('b'), ('c')")
    program.many("INSERT INTO book (title) VALUES (?)", [("d",), ("e",)])
    program.run("UPDATE book SET title = title || '!'")
    assert program.operations() == [1] * 5 + [2] * 5


def test_on_conflict_update_is_an_update_and_do_nothing_is_nothing(program: Program) -> None:
    row = program.insert("book", title="a")
    program.captured()
    statement = "INSERT INTO book (id, title) VALUES (?, ?) ON CONFLICT (id) DO "
    program.run(statement + "NOTHING", row, "b")
    assert program.captured() == []
    program.run(statement + "UPDATE SET title = excluded.title", row, "b")
    assert program.captured() == [("book", 2, row, mask("book", "title"), None)]


def test_cascades_are_captured(program: Program) -> None:
    if program.dialect == "sqlite":
        program.run("PRAGMA foreign_keys = ON")
    book = program.insert("book", title="a")
    pages = [program.insert("page", book_id=book, words=words) for words in (1, 2)]
    program.captured()
    program.run("DELETE FROM book")
    wanted = [("book", 3, book, 0, None), *(("page", 3, page, 0, [n, None]) for n, page in enumerate(pages, start=1))]
    assert sorted(program.captured(), key=str) == sorted(wanted, key=str)


def test_rollbacks_and_savepoints_leave_only_what_was_committed(program: Program) -> None:
    program.run("BEGIN")
    program.insert("book", title="a")
    program.run("ROLLBACK")
    program.run("BEGIN")
    kept = program.insert("book", title="b")
    program.run("SAVEPOINT s")
    program.insert("book", title="c")
    program.run("ROLLBACK TO s")
    program.run("COMMIT")
    assert program.captured() == [("book", 1, kept, 0, None)]


def test_a_statement_that_fails_midway_leaves_nothing(program: Program) -> None:
    with pytest.raises(Invalid):
        program.run("INSERT INTO book (title) VALUES ('a'), (NULL)")
    assert program.captured() == []


def test_applying_is_neither_captured_nor_guarded(program: Program) -> None:
    program.foreign_person()
    with program.applying():
        program.run("UPDATE person SET phone = '9'")
        program.run("DELETE FROM person")
    assert program.captured() == []
    program.insert("book", title="a")
    assert program.operations() == [1], "applying ends with its transaction"
