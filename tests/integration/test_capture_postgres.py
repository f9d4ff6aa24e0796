"""Capture and guard on real PostgreSQL: statement triggers with transition tables, roles, COPY, MERGE, TRUNCATE."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from schema import triggers
from schema.ddl import UUID_PATTERN
from tests.postgres import PostgresServer
from tests.schema_builders import (
    IDENTITY,
    OTHER_UNIT,
    PERSON,
    REGISTRY,
    UNIT,
    insert,
    journal,
    mask,
    postgres_node,
    wipe_postgres,
)

Connection = psycopg.Connection[Any]
WAS = [1, "2000-01-31", "01", "usual"]
CLERK = "syncd_test_clerk"


@pytest.fixture(scope="module")
def shared_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """One installed database for the tests of this file."""
    dsn = postgres_server.create_database()
    postgres_node(dsn).close()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture
def node(shared_dsn: str) -> Iterator[Connection]:
    """The node as installed, whatever the test before did to its rows."""
    with contextlib.closing(psycopg.connect(shared_dsn, autocommit=True)) as connection:
        wipe_postgres(connection)
        yield connection


@pytest.fixture
def clerk(node: Connection, shared_dsn: str) -> Iterator[Connection]:
    """A program with its own role, which may write the records and nothing of syncd's."""
    role = f"{CLERK}_{node.info.backend_pid}"
    node.execute(f"CREATE ROLE {role} LOGIN")
    node.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON person, household, book, page TO {role}")
    with contextlib.closing(psycopg.connect(shared_dsn, user=role, autocommit=True)) as connection:
        yield connection
    node.execute(f"DROP OWNED BY {role}")
    node.execute(f"DROP ROLE {role}")


def captured(connection: Connection) -> list[tuple[str, int, str, int, Any]]:
    """The journal with `was` read as JSON."""
    return [(*row[:4], json.loads(row[4]) if row[4] else None) for row in journal(connection)]


def foreign_person(connection: Connection) -> str:
    """A row of OTHER_UNIT, as apply would have written it."""
    row_id = "01a1ffae-ab57-7daa-86ba-204dccccdddd"
    with connection.transaction():
        connection.execute("SET LOCAL syncd.applying = 'on'")
        insert(connection, "person", "%s", **{**PERSON, "id": row_id, "unit_id": OTHER_UNIT})
    return row_id


def new(connection: Connection, table: str, **values: object) -> str:
    return insert(connection, table, "%s", **values)


def test_default_id_is_a_uuid_7_with_the_nodes_tag_and_the_own_unit(node: Connection) -> None:
    found = new(node, "person", **PERSON)
    assert UUID_PATTERN.fullmatch(found)
    assert found[14] == "7"
    assert found[19] in "89ab"
    assert found.endswith("aaaabbbb")
    row = node.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, unit_id::text FROM person")
    now_ms, unit = row.fetchone() or (0, "")
    assert abs(int(found[:8] + found[9:13], 16) - now_ms) < 60_000
    assert unit == UNIT


def test_default_ids_differ(node: Connection) -> None:
    node.execute("INSERT INTO book (title) SELECT 'a' FROM generate_series(1, 5000)")
    assert node.execute("SELECT count(DISTINCT id) FROM book").fetchone() == (5_000,)


def test_insert_update_and_delete_are_captured_with_changed_columns_only(node: Connection) -> None:
    row = new(node, "person", **PERSON)
    node.execute("UPDATE person SET phone = '1', sex = 2, education = NULL")
    node.execute("UPDATE person SET phone = '2'")
    node.execute("DELETE FROM person")
    assert captured(node) == [
        ("person", 1, row, 0, None),
        ("person", 2, row, mask("person", "phone", "sex"), WAS),
        ("person", 2, row, mask("person", "phone"), None),
        ("person", 3, row, 0, [2, *WAS[1:]]),
    ]


def test_dates_in_the_journal_are_iso_whatever_the_session_shows(node: Connection) -> None:
    node.execute("SET DateStyle = 'SQL, DMY'")
    new(node, "page", words=3, printed_on="02/11/2026")
    captured(node)
    node.execute("UPDATE page SET printed_on = NULL")
    node.execute("DELETE FROM page")
    assert [was for *_, was in captured(node)] == [[3, "2026-11-02"], [3, None]]


def test_an_update_that_changes_nothing_journals_nothing(node: Connection) -> None:
    foreign_person(node)
    node.execute("UPDATE person SET sex = 1, phone = NULL, full_name = full_name")
    assert captured(node) == []


def test_a_statement_that_changes_some_rows_journals_those(node: Connection) -> None:
    rows = [new(node, "book", title=title) for title in "abc"]
    captured(node)
    node.execute("UPDATE book SET title = 'b'")
    assert sorted(row for _, _, row, *_ in captured(node)) == sorted([rows[0], rows[2]])


def test_rows_of_one_transaction_carry_its_number(node: Connection) -> None:
    with node.transaction():
        node.execute("INSERT INTO book (title) VALUES ('a'), ('b')")
        node.execute("UPDATE book SET title = 'c' WHERE title = 'a'")
        number = node.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    node.execute("INSERT INTO book (title) VALUES ('d')")
    rows = node.execute("SELECT tx FROM syncd_journal ORDER BY n").fetchall()
    assert rows[:3] == [number] * 3
    assert rows[3] != number


def test_on_conflict_copy_merge_and_returning_are_captured(node: Connection) -> None:
    row = new(node, "book", title="a")
    captured(node)
    node.execute(
        "INSERT INTO book (id, title) VALUES (%s, 'b'), (syncd_mint(), 'n') "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title",
        (row,),
    )
    node.execute("INSERT INTO book (id, title) VALUES (%s, 'x') ON CONFLICT DO NOTHING", (row,))
    assert sorted(op for _, op, *_ in captured(node)) == [1, 2]
    with node.cursor().copy("COPY book (title) FROM STDIN") as copy:
        for title in ("c", "d", "e"):
            copy.write_row((title,))
    assert [op for _, op, *_ in captured(node)] == [1, 1, 1]
    node.execute("""
        MERGE INTO book AS b USING (VALUES ('c'), ('d'), ('z')) AS s (title) ON b.title = s.title
        WHEN MATCHED AND s.title = 'c' THEN DELETE
        WHEN MATCHED THEN UPDATE SET title = 'dd'
        WHEN NOT MATCHED THEN INSERT (title) VALUES (s.title)""")
    assert sorted(op for _, op, *_ in captured(node)) == [1, 2, 3]


def test_executemany_and_writable_queries_are_captured(node: Connection) -> None:
    node.cursor().executemany("INSERT INTO book (title) VALUES (%s)", [("a",), ("b",)])
    node.execute("WITH gone AS (DELETE FROM book WHERE title = 'a' RETURNING title) "
                 "INSERT INTO book (title) SELECT title || '!' FROM gone")  # fmt: skip
    assert sorted(op for _, op, *_ in captured(node)) == [1, 1, 1, 3]


def test_a_bulk_statement_after_a_single_row_is_not_quadratic(node: Connection) -> None:
    """The plan of the first statement is kept by the session: a nested loop would compare 20 000 × 20 000 rows."""
    new(node, "book", title="a")
    for _ in range(6):
        node.execute("UPDATE book SET title = title || 'b'")
    node.execute("INSERT INTO book (title) SELECT 'a' FROM generate_series(1, 20000)")
    captured(node)
    node.execute("SET statement_timeout = '20s'")
    node.execute("UPDATE book SET title = 'z'")
    assert len(captured(node)) == 20_001


def test_cascades_are_captured(node: Connection) -> None:
    book = new(node, "book", title="a")
    pages = [new(node, "page", book_id=book, words=words) for words in (1, 2)]
    captured(node)
    node.execute("DELETE FROM book")
    assert sorted((table, op, row) for table, op, row, *_ in captured(node)) == sorted(
        [("book", 3, book), *(("page", 3, page) for page in pages)]
    )


def test_a_reference_inside_the_unit_is_checked_at_commit(node: Connection) -> None:
    missing = "01a1ffae-ab57-71d3-b1c0-7ee1aaaabbbb"
    with node.transaction():
        new(node, "person", **PERSON, household_id=missing)
        new(node, "household", id=missing, number="1", kind="family")
    with pytest.raises(errors.ForeignKeyViolation):
        node.execute("DELETE FROM household")
    assert len(captured(node)) == 2


def test_rollbacks_and_savepoints_leave_only_what_was_committed(node: Connection) -> None:
    with contextlib.suppress(ZeroDivisionError), node.transaction():
        new(node, "book", title="a")
        raise ZeroDivisionError
    with node.transaction():
        kept = new(node, "book", title="b")
        with contextlib.suppress(ZeroDivisionError), node.transaction():
            new(node, "book", title="c")
            raise ZeroDivisionError
    assert captured(node) == [("book", 1, kept, 0, None)]


def test_truncate_is_refused(node: Connection) -> None:
    new(node, "book", title="a")
    for statement in ("TRUNCATE book CASCADE", "TRUNCATE page"):
        with pytest.raises(errors.FeatureNotSupported, match="DELETE"):
            node.execute(statement)
    assert node.execute("SELECT count(*) FROM book").fetchone() == (1,)


def test_applying_is_neither_captured_nor_guarded_for_the_daemons_role(node: Connection) -> None:
    foreign_person(node)
    with node.transaction():
        node.execute("SET LOCAL syncd.applying = 'on'")
        node.execute("UPDATE person SET phone = '9'")
        node.execute("DELETE FROM person")
    assert captured(node) == []
    assert node.execute("SELECT current_setting('syncd.applying', true)").fetchone() in [("",), (None,)]


def test_a_clerk_is_captured_without_any_right_on_syncds_tables(node: Connection, clerk: Connection) -> None:
    row = new(clerk, "person", **PERSON)
    clerk.execute("UPDATE person SET phone = '1'")
    assert [(op, found) for _, op, found, *_ in captured(node)] == [(1, row), (2, row)]
    with pytest.raises(errors.InsufficientPrivilege):
        clerk.execute("DELETE FROM syncd_journal")


def test_a_clerk_who_says_applying_is_captured_and_guarded_all_the_same(node: Connection, clerk: Connection) -> None:
    foreign_person(node)
    clerk.execute("SET syncd.applying = 'on'")
    new(clerk, "book", title="a")
    assert [op for _, op, *_ in captured(node)] == [1]
    with pytest.raises(errors.InsufficientPrivilege, match="syncd propose"):
        clerk.execute("UPDATE person SET phone = '1'")


def test_a_clerks_own_tables_never_stand_in_for_syncds(node: Connection, clerk: Connection) -> None:
    clerk.execute("CREATE TEMP TABLE syncd_journal (LIKE public.book)")
    clerk.execute("SET search_path = pg_temp, public")
    clerk.execute("INSERT INTO book (title) VALUES ('a')")
    assert [op for _, op, *_ in captured(node)] == [1]


def test_triggers_fire_in_replica_sessions_too(node: Connection) -> None:
    node.execute("SET session_replication_role = 'replica'")
    new(node, "book", title="a")
    assert [op for _, op, *_ in captured(node)] == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE person SET phone = '1'",
        "DELETE FROM person",
        f"INSERT INTO book (unit_id, title) VALUES ('{UNIT}', 'own'), ('{OTHER_UNIT}', 'a')",
        f"INSERT INTO book (unit_id, title) VALUES ('{OTHER_UNIT}', 'a') ON CONFLICT DO NOTHING",
    ],
)
def test_a_foreign_units_row_is_refused(node: Connection, statement: str) -> None:
    foreign_person(node)
    with pytest.raises(errors.InsufficientPrivilege, match="syncd propose"):
        node.execute(statement)
    assert captured(node) == []


def test_one_foreign_row_among_own_ones_refuses_the_statement(node: Connection) -> None:
    foreign_person(node)
    new(node, "person", **PERSON)
    with pytest.raises(errors.InsufficientPrivilege):
        node.execute("UPDATE person SET phone = '1'")
    assert node.execute("SELECT count(*) FROM person WHERE phone IS NOT NULL").fetchone() == (0,)


def test_the_refusal_names_the_keeper_in_vietnamese_and_english(node: Connection) -> None:
    row = foreign_person(node)
    with pytest.raises(errors.InsufficientPrivilege) as caught:
        node.execute("UPDATE person SET phone = '1'")
    text = caught.value.diag.message_primary or ""
    assert text.index("do nút Xã Bên giữ") < text.index("is kept by node Xã Bên")
    assert f"syncd propose update person {row}" in text
    assert (caught.value.diag.message_hint or "") == f"syncd propose update person {row}"
    # What a person has to read stays short.
    assert len(caught.value.diag.context or "") < 400


def test_an_id_minted_elsewhere_is_refused(node: Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="minted"):
        new(node, "book", id="01a1ffae-ab57-7daa-86ba-204dccccdddd", title="a")


@pytest.mark.parametrize("change", [f"unit_id = '{OTHER_UNIT}'", "id = syncd_mint()"], ids=["unit", "id"])
def test_id_and_unit_never_change(node: Connection, change: str) -> None:
    new(node, "book", title="a")
    with pytest.raises(errors.InsufficientPrivilege, match="never change"):
        node.execute(f"UPDATE book SET {change}")


def test_oversight_and_control_rows_are_their_minters(node: Connection) -> None:
    row = "INSERT INTO code_list (unit_id, name, version, title) VALUES ({}, 'ethnic', 1, 'x')"
    with pytest.raises(errors.InsufficientPrivilege, match="root"):
        node.execute(row.format("NULL"))
    node.execute(row.format(f"'{OTHER_UNIT}'"))
    node.execute("UPDATE syncd_meta SET value = '0' WHERE key = 'depth'")
    node.execute(row.format("NULL"))
    node.execute("UPDATE node SET status = 'revoked'")
    with node.transaction():
        node.execute("SET LOCAL syncd.applying = 'on'")
        for table in ("code_list", "node"):
            node.execute(f"UPDATE {table} SET id = (left(id::text, 28) || 'ccccdddd')::uuid")
    for statement in ("UPDATE code_list SET title = 'y'", "DELETE FROM code_list", "UPDATE node SET name = 'y'"):
        with pytest.raises(errors.InsufficientPrivilege, match="minted"):
            node.execute(statement)


BAD = {
    "too long": ("full_name", "ữ" * 201),
    "a day that does not exist": ("birth_date", "2024-02-31"),
    "infinity as a date": ("birth_date", "infinity"),
    "year 0": ("birth_date", "0000-01-01"),
    "before year 1": ("birth_date", "0044-03-15 BC"),
    "after year 9999": ("birth_date", "10000-01-01"),
    "NaN": ("line_no", "NaN"),
    "infinity": ("line_no", "Infinity"),
    "a fraction": ("line_no", "1.5"),
    "not hex": ("mother_id", "z1a1ffae-ab57-7daa-86ba-204daaaabbbb"),
    "rule": ("sex", 3),
    "eleven digits": ("citizen_id", "12345678901"),
    "digits of another script": ("citizen_id", "٠١٢٣٤٥٦٧٨٩٠١"),
    "NUL": ("full_name", "a\0b"),
}


@pytest.mark.parametrize("case", BAD)
def test_values_outside_the_canonical_types_are_refused(node: Connection, case: str) -> None:
    column, value = BAD[case]
    with pytest.raises(psycopg.DataError if case == "NUL" else psycopg.Error):
        new(node, "person", **{**PERSON, column: value})


@pytest.mark.parametrize(
    ("column", "value"),
    [("birth_date", "0001-01-01"), ("birth_date", "9999-12-31"), ("full_name", "ữ" * 200), ("line_no", -(2**63))],
)
def test_values_at_the_edges_are_accepted(node: Connection, column: str, value: object) -> None:
    new(node, "person", **{**PERSON, column: value})


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
def test_instants_are_utc_and_real(node: Connection, moment: str, accepted: bool) -> None:
    statement = "UPDATE node SET enrolled_at = %s"
    if accepted:
        node.execute(statement, (moment,))
    else:
        with pytest.raises(psycopg.Error):
            node.execute(statement, (moment,))


def proposals(connection: Connection) -> list[tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT operation, table_name, row_id::text, unit_id::text, seen, wished, author_depth, author FROM proposal"
    ).fetchall()
    return [(*row[:4], json.loads(row[4]), json.loads(row[5]), *row[6:]) for row in rows]


def test_propose_mode_turns_foreign_writes_into_proposals(postgres_dsn: str) -> None:
    with contextlib.closing(postgres_node(postgres_dsn, foreign_writes="propose")) as node:
        row = foreign_person(node)
        me = node.info.user
        node.execute("UPDATE person SET phone = '1', sex = 2, ethnic = '01'")
        assert proposals(node) == [
            ("update", "person", row, OTHER_UNIT, {"sex": 1, "phone": None}, {"sex": 2, "phone": "1"}, 2, me)
        ]
        assert [(table, op) for table, op, *_ in captured(node)] == [("proposal", 1)]
        node.execute("DELETE FROM proposal")
        node.execute("DELETE FROM person")
        assert proposals(node) == [("delete", "person", row, OTHER_UNIT, PERSON, {}, 2, me)]
        node.execute("DELETE FROM proposal")
        node.execute("INSERT INTO book (unit_id, title) VALUES (%s, 'a'), (%s, 'b')", (OTHER_UNIT, UNIT))
        assert proposals(node) == [("insert", "book", None, OTHER_UNIT, {}, {"title": "a"}, 2, me)]
        assert node.execute("SELECT title FROM book").fetchall() == [("b",)]
        assert node.execute("SELECT sex, phone FROM person").fetchall() == [(1, None)]


def test_propose_mode_leaves_own_rows_and_applying_alone(postgres_dsn: str) -> None:
    with contextlib.closing(postgres_node(postgres_dsn, foreign_writes="propose")) as node:
        new(node, "book", title="a")
        node.execute("UPDATE book SET title = 'b'")
        node.execute("DELETE FROM book")
        foreign_person(node)
        assert proposals(node) == []
        assert [op for _, op, *_ in captured(node)] == [1, 2, 3]


def test_problems_names_missing_altered_and_disabled(node: Connection) -> None:
    def problems() -> list[str]:
        return triggers.problems(node, "postgres", REGISTRY, IDENTITY)

    assert problems() == []
    node.execute("ALTER TABLE person DISABLE TRIGGER syncd_person_update")
    node.execute("ALTER TABLE page ENABLE TRIGGER syncd_page_insert")
    node.execute("DROP TRIGGER syncd_book_insert ON book")
    node.execute("CREATE OR REPLACE TRIGGER syncd_book_delete AFTER DELETE ON book EXECUTE FUNCTION syncd_truncate()")
    node.execute("ALTER TABLE book ENABLE ALWAYS TRIGGER syncd_book_delete")
    node.execute("CREATE OR REPLACE FUNCTION syncd_book_update() RETURNS trigger LANGUAGE plpgsql AS "
                 "'BEGIN RETURN NULL; END'")  # fmt: skip
    node.execute("ALTER FUNCTION syncd_page_update() SET search_path = pg_temp")
    assert problems() == [
        "trigger syncd_page_insert is disabled or does not fire always",
        "trigger syncd_person_update is disabled or does not fire always",
        "trigger syncd_book_delete was altered",
        "trigger syncd_book_insert is missing",
        "function syncd_book_update was altered",
        "function syncd_page_update was altered",
    ]
    triggers.install(node, "postgres", REGISTRY, IDENTITY)
    assert problems() == []


def test_writers_of_one_table_do_not_wait_for_each_other(node: Connection, shared_dsn: str) -> None:
    """Capture takes no lock that two transactions share: the second commits while the first is still open."""
    done = threading.Event()

    def second() -> None:
        with psycopg.connect(shared_dsn, autocommit=True) as other:
            new(other, "book", title="second")
            done.set()

    with node.transaction():
        new(node, "book", title="first")
        writer = threading.Thread(target=second)
        writer.start()
        assert done.wait(20)
        writer.join()
    assert len(captured(node)) == 2
