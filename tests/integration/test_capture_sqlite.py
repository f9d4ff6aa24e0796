"""Capture and guard on real SQLite: encrypted (SQLCipher), plain, and the SQLite of another program."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3.dbapi2 as sqlcipher

from schema import triggers
from schema.triggers import ForeignWrites
from tests.schema_builders import (
    IDENTITY,
    OTHER_UNIT,
    PERSON,
    REGISTRY,
    UNIT,
    insert,
    journal,
    mask,
    sqlite_node,
)

Error = (sqlcipher.IntegrityError, sqlite3.IntegrityError)
WAS = '[1,"2000-01-31","01","usual"]'
PERSON_FULL_MASK = sum(1 << column.number for column in REGISTRY.by_name["person"].columns)
VARIANTS = {
    "encrypted": (sqlcipher, "sqlite", "00" * 32),
    "plain": (sqlcipher, "sqlite", None),
    "portable": (sqlcipher, "sqlite-portable", None),
    # The standard library's own, which may be older than the one syncd brings.
    "standard library": (sqlite3, "sqlite-portable", None),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One installed database file per variant; each test writes into a copy."""
    folder = tmp_path_factory.mktemp("installed")
    paths = {name: folder / f"{number}.db" for number, name in enumerate(VARIANTS)}
    for name, (module, dialect, key) in VARIANTS.items():
        sqlite_node(str(paths[name]), module=module, dialect=dialect, key=key).close()
    return paths


@pytest.fixture(params=VARIANTS)
def node(request: pytest.FixtureRequest, installed: dict[str, Path], tmp_path: Path) -> Iterator[Any]:
    module, _, key = VARIANTS[request.param]
    path = shutil.copy(installed[request.param], tmp_path / "node.db")
    with contextlib.closing(module.connect(path, isolation_level=None)) as connection:
        if key:
            connection.execute(f"PRAGMA key = \"x'{key}'\"")
        yield connection


@pytest.fixture
def memory() -> Iterator[Any]:
    with contextlib.closing(sqlite_node()) as connection:
        yield connection


def proposing(foreign_writes: ForeignWrites) -> contextlib.closing[Any]:
    return contextlib.closing(sqlite_node(foreign_writes=foreign_writes))


def foreign_person(connection: Any, **changes: object) -> str:
    """A row of OTHER_UNIT, as apply would have written it."""
    row_id = "01a1ffae-ab57-7daa-86ba-204dccccdddd"
    connection.execute("INSERT INTO syncd_applying (one) VALUES (1)")
    insert(connection, "person", **{**PERSON, "id": row_id, "unit_id": OTHER_UNIT, **changes})
    connection.execute("DELETE FROM syncd_applying")
    return row_id


def test_default_id_is_a_uuid_7_with_the_nodes_tag_and_the_own_unit(node: Any) -> None:
    found = insert(node, "person", **PERSON)
    assert found[14] == "7"
    assert found[19] in "89ab"
    assert found.endswith("aaaabbbb")
    now_ms = node.execute("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)").fetchone()[0]
    assert abs(int(found[:8] + found[9:13], 16) - now_ms) < 60_000
    assert node.execute("SELECT unit_id FROM person").fetchone()[0] == UNIT


def test_default_ids_differ(memory: Any) -> None:
    memory.executemany("INSERT INTO book (title) VALUES (?)", [("a",)] * 5_000)
    assert memory.execute("SELECT count(DISTINCT id) FROM book").fetchone()[0] == 5_000


def test_insert_update_and_delete_are_captured_with_changed_columns_only(node: Any) -> None:
    row = insert(node, "person", **PERSON)
    node.execute("UPDATE person SET phone = '1', sex = 2, education = NULL")
    node.execute("UPDATE person SET phone = '2'")
    node.execute("DELETE FROM person")
    assert journal(node) == [
        ("person", 1, row, 0, None),
        ("person", 2, row, mask("person", "phone", "sex"), WAS),
        ("person", 2, row, mask("person", "phone"), None),
        ("person", 3, row, 0, WAS.replace("1", "2", 1)),
    ]


def test_an_update_that_changes_nothing_journals_nothing(node: Any) -> None:
    insert(node, "person", **PERSON)
    journal(node)
    node.execute("UPDATE person SET sex = 1, phone = NULL, full_name = full_name")
    assert journal(node) == []


def test_a_flow_keeps_its_date_last(memory: Any) -> None:
    insert(memory, "page", words=3, printed_on="2026-11-02")
    journal(memory)
    memory.execute("UPDATE page SET printed_on = NULL")
    memory.execute("DELETE FROM page")
    assert [was for *_, was in journal(memory)] == ['[3,"2026-11-02"]', "[3,null]"]


def test_multi_row_statements_and_executemany_capture_every_row(node: Any) -> None:
    node.execute("INSERT INTO book (title) VALUES ('a'), ('b'), ('c')")
    node.executemany("INSERT INTO book (title) VALUES (?)", [("d",), ("e",)])
    node.execute("UPDATE book SET title = title || '!'")
    assert [op for _, op, *_ in journal(node)] == [1] * 5 + [2] * 5


def test_on_conflict_update_is_an_update_and_do_nothing_is_nothing(node: Any) -> None:
    row = insert(node, "book", title="a")
    journal(node)
    statement = "INSERT INTO book (id, title) VALUES (?, ?) ON CONFLICT (id) DO "
    node.execute(statement + "NOTHING", (row, "b"))
    assert journal(node) == []
    node.execute(statement + "UPDATE SET title = excluded.title", (row, "b"))
    assert journal(node) == [("book", 2, row, mask("book", "title"), None)]


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize("verb", ["REPLACE", "INSERT OR REPLACE"])
def test_replace_of_a_kept_row_is_captured_with_its_old_values(node: Any, recursive: str, verb: str) -> None:
    row = insert(node, "person", **PERSON)
    journal(node)
    node.execute(f"PRAGMA recursive_triggers = {recursive}")
    names = ", ".join(["id", *PERSON])
    node.execute(f"{verb} INTO person ({names}) VALUES (?, ?, 2, ?, ?, ?, ?)",
                 (row, *(v for k, v in PERSON.items() if k != "sex")))  # fmt: skip
    seen = journal(node)
    assert seen[-1] == ("person", 2, row, PERSON_FULL_MASK, WAS)
    assert seen[:-1] == ([("person", 3, row, 0, WAS)] if recursive == "ON" else [])


def test_replace_of_a_new_row_is_an_insert(node: Any) -> None:
    row = "01a1ffae-ab57-71d3-b1c0-7ee1aaaabbbb"
    node.execute("PRAGMA recursive_triggers = OFF")
    node.execute("REPLACE INTO book (id, title) VALUES (?, 'a')", (row,))
    assert journal(node) == [("book", 1, row, 0, None)]


def test_what_replace_left_behind_never_marks_a_later_insert(node: Any) -> None:
    node.execute("PRAGMA recursive_triggers = OFF")
    row = insert(node, "book", title="a")
    node.execute("INSERT OR IGNORE INTO book (id, title) VALUES (?, 'b')", (row,))
    node.execute("DELETE FROM book")
    journal(node)
    node.execute("INSERT INTO book (id, title) VALUES (?, 'c')", (row,))
    assert journal(node) == [("book", 1, row, 0, None)]


def test_replace_never_moves_a_row_to_another_unit(memory: Any) -> None:
    third = "99999999-0000-7000-8000-000000000003"
    memory.execute("INSERT INTO syncd_keeper VALUES (?, ?, 1, 1)", (third, IDENTITY.node_id))
    memory.execute("PRAGMA recursive_triggers = OFF")
    row = insert(memory, "book", title="a")
    with pytest.raises(sqlcipher.IntegrityError, match="never change"):
        memory.execute("REPLACE INTO book (id, unit_id, title) VALUES (?, ?, 'a')", (row, third))


def test_replace_of_a_household_keeps_its_persons(node: Any) -> None:
    for setting in ("ON", "OFF"):
        node.execute(f"PRAGMA recursive_triggers = {setting}")
        household = insert(node, "household", number="1", kind="family")
        insert(node, "person", **PERSON, household_id=household)
        node.execute("REPLACE INTO household (id, number, kind) VALUES (?, '2', 'family')", (household,))
    assert node.execute("SELECT count(*) FROM person JOIN household AS h ON h.id = household_id").fetchone()[0] == 2


def test_a_written_rowid_is_refused_because_replace_could_remove_another_row(node: Any) -> None:
    insert(node, "book", title="a")
    for statement in (
        "INSERT OR REPLACE INTO book (rowid, title) VALUES (1, 'b')",
        "INSERT INTO book (rowid, title) VALUES (-1, 'b')",
        "UPDATE OR REPLACE book SET rowid = 7",
    ):
        with pytest.raises(Error, match="syncd"):
            node.execute(statement)
    assert node.execute("SELECT title FROM book").fetchall() == [("a",)]


@pytest.mark.parametrize("enforced", ["ON", "OFF"])
def test_cascades_are_captured_or_refused(node: Any, enforced: str) -> None:
    node.execute(f"PRAGMA foreign_keys = {enforced}")
    book = insert(node, "book", title="a")
    page = insert(node, "page", book_id=book, words=1)
    journal(node)
    if enforced == "ON":
        node.execute("DELETE FROM book")
        assert sorted(journal(node)) == [("book", 3, book, 0, None), ("page", 3, page, 0, "[1,null]")]
    else:
        with pytest.raises(Error, match="refer"):
            node.execute("DELETE FROM book")


@pytest.mark.parametrize("enforced", ["ON", "OFF"])
def test_a_reference_inside_the_unit_must_exist_whatever_the_connection_enforces(node: Any, enforced: str) -> None:
    node.execute(f"PRAGMA foreign_keys = {enforced}")
    missing = "01a1ffae-ab57-71d3-b1c0-7ee1aaaabbbb"
    with pytest.raises(Error, match="household_id"):
        insert(node, "person", **PERSON, household_id=missing)
    insert(node, "person", **PERSON)
    with pytest.raises(Error, match="household_id"):
        node.execute("UPDATE person SET household_id = ?", (missing,))


def test_rollbacks_and_savepoints_leave_only_what_was_committed(node: Any) -> None:
    node.execute("BEGIN")
    insert(node, "book", title="a")
    node.execute("ROLLBACK")
    node.execute("BEGIN")
    kept = insert(node, "book", title="b")
    node.execute("SAVEPOINT s")
    insert(node, "book", title="c")
    node.execute("ROLLBACK TO s")
    node.execute("COMMIT")
    assert journal(node) == [("book", 1, kept, 0, None)]


def test_a_statement_that_fails_midway_leaves_nothing(node: Any) -> None:
    with pytest.raises(Error):
        node.execute("INSERT INTO book (title) VALUES ('a'), (NULL)")
    assert journal(node) == []


def test_applying_is_neither_captured_nor_guarded(node: Any) -> None:
    row = foreign_person(node)
    assert journal(node) == []
    node.execute("INSERT INTO syncd_applying (one) VALUES (1)")
    node.execute("UPDATE person SET phone = '9'")
    node.execute("DELETE FROM person WHERE id = ?", (row,))
    node.execute("DELETE FROM syncd_applying")
    assert journal(node) == []


FOREIGN = (
    "UPDATE person SET phone = '1'",
    "DELETE FROM person",
    f"INSERT INTO book (unit_id, title) VALUES ('{OTHER_UNIT}', 'a')",
)


@pytest.mark.parametrize("statement", FOREIGN)
@pytest.mark.parametrize("conflict", ["", "OR IGNORE ", "OR REPLACE ", "OR FAIL "])
def test_a_foreign_units_row_is_refused_whatever_the_conflict_clause(node: Any, statement: str, conflict: str) -> None:
    foreign_person(node)
    verb, rest = statement.split(" ", 1)
    if verb == "DELETE" and conflict:
        return  # DELETE has no conflict clause
    with pytest.raises(Error, match="syncd propose"):
        node.execute(f"{verb} {conflict}{rest}")
    assert journal(node) == []
    assert node.execute("SELECT count(*) FROM person WHERE phone IS NULL").fetchone()[0] == 1


def test_the_refusal_names_the_keeper_in_vietnamese_and_english(memory: Any) -> None:
    row = foreign_person(memory)
    with pytest.raises(sqlcipher.IntegrityError) as caught:
        memory.execute("UPDATE person SET phone = '1'")
    text = str(caught.value)
    assert text.index("do nút Xã Bên giữ") < text.index("is kept by node Xã Bên")
    assert f"syncd propose update person {row}" in text
    memory.execute("DELETE FROM syncd_keeper WHERE unit_id = ?", (OTHER_UNIT,))
    with pytest.raises(sqlcipher.IntegrityError, match="không rõ / unknown"):
        memory.execute("UPDATE person SET phone = '1'")


def test_an_id_minted_elsewhere_is_refused(node: Any) -> None:
    with pytest.raises(Error, match="syncd"):
        insert(node, "book", id="01a1ffae-ab57-7daa-86ba-204dccccdddd", title="a")


@pytest.mark.parametrize(
    "change", [f"unit_id = '{OTHER_UNIT}'", "id = '01a1ffae-ab57-7daa-86ba-204daaaabbbb'"], ids=["unit", "id"]
)
def test_id_and_unit_never_change(node: Any, change: str) -> None:
    insert(node, "book", title="a")
    with pytest.raises(Error, match="syncd"):
        node.execute(f"UPDATE book SET {change}")


def test_oversight_rows_are_their_minters_and_those_about_all_units_the_roots(node: Any) -> None:
    row = "INSERT INTO code_list (unit_id, name, version, title) VALUES ({}, 'ethnic', 1, 'x')"
    with pytest.raises(Error, match="syncd"):
        node.execute(row.format("NULL"))
    node.execute(row.format(f"'{OTHER_UNIT}'"))  # about a unit this node does not keep: its own decision
    node.execute("UPDATE syncd_meta SET value = '0' WHERE key = 'depth'")
    node.execute(row.format("NULL"))
    node.execute("INSERT INTO syncd_applying (one) VALUES (1)")
    node.execute("UPDATE code_list SET id = substr(id, 1, 28) || 'ccccdddd'")
    node.execute("DELETE FROM syncd_applying")
    for statement in ("UPDATE code_list SET title = 'y'", "DELETE FROM code_list"):
        with pytest.raises(Error, match="syncd"):
            node.execute(statement)


def test_control_rows_are_their_minters(node: Any) -> None:
    node.execute("UPDATE node SET status = 'revoked'")
    node.execute("INSERT INTO syncd_applying (one) VALUES (1)")
    node.execute("UPDATE node SET id = substr(id, 1, 28) || 'ccccdddd'")
    node.execute("DELETE FROM syncd_applying")
    with pytest.raises(Error, match="syncd"):
        node.execute("UPDATE node SET status = 'enrolled'")


BAD = {
    "NUL in text": ("full_name", "a\0b"),
    "NUL at the end": ("full_name", "a\0"),
    "too long": ("full_name", "ữ" * 201),
    "bytes as text": ("full_name", b"abc"),
    "a day that does not exist": ("birth_date", "2024-02-31"),
    "year 0": ("birth_date", "0000-01-01"),
    "a date with a time": ("birth_date", "2024-01-01 00:00"),
    "a date with NUL": ("birth_date", "2024-01-01\0"),
    "infinity as a date": ("birth_date", "infinity"),
    "now as a date": ("birth_date", "now"),
    "a fraction": ("line_no", 1.5),
    "NaN": ("line_no", float("nan")),
    "infinity": ("line_no", float("inf")),
    "text as a number": ("line_no", "abc"),
    "upper-case uuid": ("mother_id", "01A1FFAE-AB57-7DAA-86BA-204DAAAABBBB"),
    "not hex": ("mother_id", "z1a1ffae-ab57-7daa-86ba-204daaaabbbb"),
    "uuid with NUL": ("mother_id", "01a1ffae-ab57-7daa-86ba-204daaaabbbb\0"),
    "rule": ("sex", 3),
    "eleven digits": ("citizen_id", "12345678901"),
    "digits of another script": ("citizen_id", "٠١٢٣٤٥٦٧٨٩٠١"),
}


@pytest.mark.parametrize("case", BAD)
def test_values_outside_the_canonical_types_are_refused(node: Any, case: str) -> None:
    column, value = BAD[case]
    if case == "NaN":
        # SQLite has no NaN: it is NULL, which only a NOT NULL column refuses.
        column = "sex"
    with pytest.raises((sqlcipher.Error, sqlite3.Error)):
        insert(node, "person", **{**PERSON, column: value})


GOOD = {"first day": ("birth_date", "0001-01-01"), "last day": ("birth_date", "9999-12-31"),
        "leap day": ("birth_date", "2024-02-29"), "longest": ("full_name", "ữ" * 200),
        "64 bit": ("line_no", -(2**63))}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_values_at_the_edges_are_accepted(node: Any, case: str) -> None:
    column, value = GOOD[case]
    insert(node, "person", **{**PERSON, column: value})
    assert node.execute(f"SELECT {column} FROM person").fetchone()[0] == value


@pytest.mark.parametrize(
    ("moment", "accepted"),
    [
        ("2026-11-21T19:43:15Z", True),
        ("2026-11-21T19:43:15.123Z", True),
        ("2026-11-21T24:00:00Z", False),
        ("2026-02-30T00:00:00Z", False),
        ("2026-11-21T19:43:15+07:00", False),
        ("2026-11-21 19:43:15", False),
    ],
)
def test_instants_are_utc_and_real(node: Any, moment: str, accepted: bool) -> None:
    statement = "UPDATE node SET enrolled_at = ?"
    if accepted:
        node.execute(statement, (moment,))
    else:
        with pytest.raises(Error):
            node.execute(statement, (moment,))


def proposals(connection: Any) -> list[tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT operation, table_name, row_id, unit_id, seen, wished, author_depth FROM proposal ORDER BY rowid"
    ).fetchall()
    return [(*row[:4], json.loads(row[4]), json.loads(row[5]), row[6]) for row in rows]


def test_propose_mode_turns_a_foreign_update_into_a_proposal_of_the_changed_columns() -> None:
    with proposing("propose") as connection:
        row = foreign_person(connection)
        connection.execute("UPDATE person SET phone = '1', sex = 2, ethnic = '01'")
        assert proposals(connection) == [
            ("update", "person", row, OTHER_UNIT, {"sex": 1, "phone": None}, {"sex": 2, "phone": "1"}, 2)
        ]
        assert connection.execute("SELECT sex, phone FROM person").fetchall() == [(1, None)]
        assert [(table, op) for table, op, *_ in journal(connection)] == [("proposal", 1)]


def test_propose_mode_turns_foreign_inserts_and_deletes_into_proposals() -> None:
    with proposing("propose") as connection:
        row = foreign_person(connection)
        connection.execute("DELETE FROM person")
        connection.execute("INSERT INTO book (unit_id, title) VALUES (?, 'a'), (?, 'b')", (OTHER_UNIT, UNIT))
        assert proposals(connection) == [
            ("delete", "person", row, OTHER_UNIT, PERSON, {}, 2),
            ("insert", "book", None, OTHER_UNIT, {}, {"title": "a"}, 2),
        ]
        assert connection.execute("SELECT title FROM book").fetchall() == [("b",)]
        assert connection.execute("SELECT count(*) FROM person").fetchone()[0] == 1


def test_propose_mode_leaves_own_rows_and_applying_alone() -> None:
    with proposing("propose") as connection:
        insert(connection, "book", title="a")
        connection.execute("UPDATE book SET title = 'b'")
        connection.execute("DELETE FROM book")
        foreign_person(connection)
        assert proposals(connection) == []
        assert [op for _, op, *_ in journal(connection)] == [1, 2, 3]


def test_problems_names_missing_altered_and_foreign_triggers(memory: Any) -> None:
    def problems() -> list[str]:
        return triggers.problems(memory, "sqlite", REGISTRY, IDENTITY)

    assert problems() == []
    memory.execute("DROP TRIGGER syncd_person_update")
    memory.execute("DROP TRIGGER syncd_book_insert")
    memory.execute("CREATE TRIGGER syncd_book_insert AFTER INSERT ON book BEGIN SELECT 1; END")
    memory.execute("CREATE TRIGGER syncd_extra AFTER INSERT ON book BEGIN SELECT 1; END")
    assert problems() == [
        "trigger syncd_book_insert was altered",
        "trigger syncd_extra is not one of this installation's",
        "trigger syncd_person_update is missing",
    ]
    triggers.install(memory, "sqlite", REGISTRY, IDENTITY)
    assert problems() == []
    assert triggers.problems(memory, "sqlite", REGISTRY, IDENTITY, foreign_writes="propose") != []


def test_capture_uses_built_in_sql_only(tmp_path: Path) -> None:
    """A program with the standard library's SQLite writes a database that syncd made."""
    path = str(tmp_path / "shared.db")
    sqlite_node(path, dialect="sqlite-portable").close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        row = insert(other, "person", **PERSON)
        assert journal(other) == [("person", 1, row, 0, None)]
        with pytest.raises(sqlite3.IntegrityError, match="syncd propose"):
            insert(other, "person", **PERSON, unit_id=OTHER_UNIT)
