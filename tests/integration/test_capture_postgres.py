"""Capture and guard that only PostgreSQL needs: transition tables, roles, COPY, MERGE, TRUNCATE, deferred references.

What both databases share is in the other files.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from schema import triggers
from tests.programs import Program, Refused
from tests.schema_builders import IDENTITY, OTHER_UNIT, PERSON, REGISTRY, UNIT, postgres_node

CLERK = "syncd_test_clerk"
OWN_ROW = "01a1ffae-ab57-71d3-b1c0-7ee1aaaabbbb"
WAIT_S_MAX = 120


@pytest.fixture
def clerk(postgres_program: Program, installed_dsn: str) -> Iterator[Program]:
    """A program with its own role, which may write the records and nothing of syncd's."""
    role = f"{CLERK}_{postgres_program.connection.info.backend_pid}"
    postgres_program.run(f"CREATE ROLE {role} LOGIN")
    postgres_program.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON person, household, book, page TO {role}")
    with contextlib.closing(psycopg.connect(installed_dsn, user=role, autocommit=True)) as connection:
        yield Program(connection=connection, dialect="postgres")
    postgres_program.run(f"DROP OWNED BY {role}")
    postgres_program.run(f"DROP ROLE {role}")


def test_dates_in_the_journal_are_iso_whatever_the_session_shows(postgres_program: Program) -> None:
    postgres_program.run("SET DateStyle = 'SQL, DMY'")
    postgres_program.insert("page", words=3, printed_on="02/11/2026")
    postgres_program.captured()
    postgres_program.run("UPDATE page SET printed_on = NULL")
    assert [was for *_, was in postgres_program.captured()] == [[3, "2026-11-02"]]


def test_an_update_that_changes_nothing_of_a_foreign_row_is_no_write(postgres_program: Program) -> None:
    postgres_program.foreign_person()
    postgres_program.run("UPDATE person SET sex = 1, phone = NULL, full_name = full_name")
    assert postgres_program.captured() == []


def test_rows_of_one_transaction_carry_its_number(postgres_program: Program) -> None:
    with postgres_program.transaction():
        postgres_program.run("INSERT INTO book (title) VALUES ('a'), ('b')")
        postgres_program.run("UPDATE book SET title = 'c' WHERE title = 'a'")
        number = postgres_program.value("SELECT pg_current_xact_id()::text::bigint")
    postgres_program.run("INSERT INTO book (title) VALUES ('d')")
    rows = [tx for (tx,) in postgres_program.rows("SELECT tx FROM syncd_journal ORDER BY n")]
    assert rows[:3] == [number] * 3
    assert rows[3] != number


def test_on_conflict_copy_and_merge_are_captured(postgres_program: Program) -> None:
    row = postgres_program.insert("book", title="a")
    postgres_program.captured()
    postgres_program.run(
        "INSERT INTO book (id, title) VALUES (?, 'b'), (syncd_mint(), 'n') "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title",
        row,
    )
    assert sorted(postgres_program.operations()) == [1, 2]
    with postgres_program.connection.cursor().copy("COPY book (title) FROM STDIN") as copy:
        for title in ("c", "d", "e"):
            copy.write_row((title,))
    assert postgres_program.operations() == [1, 1, 1]
    postgres_program.run("""
        MERGE INTO book AS b USING (VALUES ('c'), ('d'), ('z')) AS s (title) ON b.title = s.title
        WHEN MATCHED AND s.title = 'c' THEN DELETE
        WHEN MATCHED THEN UPDATE SET title = 'dd'
        WHEN NOT MATCHED THEN INSERT (title) VALUES (s.title)""")
    assert sorted(postgres_program.operations()) == [1, 2, 3]


def test_writable_queries_are_captured(postgres_program: Program) -> None:
    postgres_program.run("INSERT INTO book (title) VALUES ('a'), ('b')")
    postgres_program.run(
        "WITH gone AS (DELETE FROM book WHERE title = 'a' RETURNING title)"
        " INSERT INTO book (title) SELECT title || '!' FROM gone"
    )
    assert sorted(postgres_program.operations()) == [1, 1, 1, 3]


def test_a_bulk_statement_after_a_single_row_is_not_quadratic(postgres_program: Program) -> None:
    """The plan of the first statement is kept by the session: a nested loop would compare 20 000 × 20 000 rows."""
    postgres_program.insert("book", title="a")
    for _ in range(6):
        postgres_program.run("UPDATE book SET title = title || 'b'")
    postgres_program.run("INSERT INTO book (title) SELECT 'a' FROM generate_series(1, 20000)")
    postgres_program.captured()
    postgres_program.run("SET statement_timeout = '20s'")
    postgres_program.run("UPDATE book SET title = 'z'")
    assert len(postgres_program.captured()) == 20_001


def test_a_reference_inside_the_unit_is_checked_at_commit(postgres_program: Program) -> None:
    with postgres_program.transaction():
        postgres_program.insert("person", **PERSON, household_id=OWN_ROW)
        postgres_program.insert("household", id=OWN_ROW, number="1", kind="family")
    with pytest.raises(errors.ForeignKeyViolation):
        postgres_program.run("DELETE FROM household")
    assert postgres_program.operations() == [1, 1]


@pytest.mark.parametrize("statement", ["TRUNCATE book CASCADE", "TRUNCATE page"])
def test_truncate_is_refused(postgres_program: Program, statement: str) -> None:
    postgres_program.insert("book", title="a")
    with pytest.raises(errors.FeatureNotSupported, match="DELETE"):
        postgres_program.run(statement)
    assert postgres_program.value("SELECT count(*) FROM book") == 1


def test_a_clerk_is_captured_without_any_right_on_syncds_tables(postgres_program: Program, clerk: Program) -> None:
    row = clerk.insert("person", **PERSON)
    clerk.run("UPDATE person SET phone = '1'")
    assert [(op, found) for _, op, found, *_ in postgres_program.captured()] == [(1, row), (2, row)]
    with pytest.raises(errors.InsufficientPrivilege):
        clerk.run("DELETE FROM syncd_journal")


def test_a_clerk_who_says_applying_is_captured_and_guarded_all_the_same(
    postgres_program: Program, clerk: Program
) -> None:
    postgres_program.foreign_person()
    clerk.run("SET syncd.applying = 'on'")
    clerk.insert("book", title="a")
    assert postgres_program.operations() == [1]
    with pytest.raises(Refused, match="syncd propose"):
        clerk.run("UPDATE person SET phone = '1'")


def test_a_clerks_own_tables_never_stand_in_for_syncds(postgres_program: Program, clerk: Program) -> None:
    clerk.run("CREATE TEMP TABLE syncd_journal (LIKE public.book)")
    clerk.run("SET search_path = pg_temp, public")
    clerk.run("INSERT INTO book (title) VALUES ('a')")
    assert postgres_program.operations() == [1]


def test_triggers_fire_in_replica_sessions_too(postgres_program: Program) -> None:
    postgres_program.run("SET session_replication_role = 'replica'")
    postgres_program.insert("book", title="a")
    assert postgres_program.operations() == [1]


def test_own_rows_of_a_refused_statement_are_not_written_either(postgres_program: Program) -> None:
    with pytest.raises(Refused, match="syncd propose"):
        postgres_program.run("INSERT INTO book (unit_id, title) VALUES (?, 'own'), (?, 'foreign')", UNIT, OTHER_UNIT)
    assert postgres_program.captured() == []
    assert postgres_program.value("SELECT count(*) FROM book") == 0


def test_the_refusal_names_the_keeper_in_vietnamese_and_english(postgres_program: Program) -> None:
    row = postgres_program.foreign_person()
    with pytest.raises(errors.InsufficientPrivilege) as caught:
        postgres_program.run("UPDATE person SET phone = '1'")
    text = caught.value.diag.message_primary or ""
    assert text.index("do máy Xã Bên giữ") < text.index("is kept by node Xã Bên")
    assert f"syncd propose update person {row}" in text
    assert (caught.value.diag.message_hint or "") == f"syncd propose update person {row}"
    # What a person has to read stays short.
    assert len(caught.value.diag.context or "") < 400


def test_problems_names_missing_altered_and_disabled(postgres_dsn: str) -> None:
    with contextlib.closing(postgres_node(postgres_dsn)) as node:

        def problems() -> list[str]:
            return triggers.problems(node, "postgres", REGISTRY, IDENTITY)

        assert problems() == []
        for statement in (
            "ALTER TABLE person DISABLE TRIGGER syncd_person_update",
            "ALTER TABLE page ENABLE TRIGGER syncd_page_insert",
            "DROP TRIGGER syncd_book_insert ON book",
            "CREATE OR REPLACE TRIGGER syncd_book_delete AFTER DELETE ON book EXECUTE FUNCTION syncd_truncate()",
            "ALTER TABLE book ENABLE ALWAYS TRIGGER syncd_book_delete",
            "CREATE OR REPLACE FUNCTION syncd_book_update() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'",
            "ALTER FUNCTION syncd_page_update() SET search_path = pg_temp",
        ):
            node.execute(statement)
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


def test_writers_of_one_table_do_not_wait_for_each_other(postgres_program: Program, installed_dsn: str) -> None:
    """Capture takes no lock that two transactions share: the second commits while the first is still open."""
    done = threading.Event()

    def second() -> None:
        with psycopg.connect(installed_dsn, autocommit=True) as other:
            Program(connection=other, dialect="postgres").insert("book", title="second")
            done.set()

    with postgres_program.transaction():
        postgres_program.insert("book", title="first")
        writer = threading.Thread(target=second)
        writer.start()
        assert done.wait(WAIT_S_MAX)
        writer.join()
    assert postgres_program.operations() == [1, 1]
