"""The short way of PostgreSQL's capture: one row, whatever the search_path, by what this node keeps at that moment."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import psycopg
import pytest

from schema import triggers
from tests.programs import Program, Refused
from tests.schema_builders import IDENTITY, OTHER_UNIT, PERSON, REGISTRY, UNIT, mask, postgres_node

WAIT_S_MAX = 120
INSERT_KEEPER = "INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (%s, %s, 2, 1)"
EVIL = f"""
CREATE SCHEMA evil;
CREATE FUNCTION evil.mixed(bigint, integer) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE ''evil''; END';
CREATE OPERATOR evil.& (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = evil.mixed);
{"".join(
    f"CREATE FUNCTION evil.same({kind}, {kind}) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''evil''; END';"
    f"CREATE OPERATOR evil.= (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = evil.same);"
    for kind in ("uuid", "text", "bigint", "date", "bytea")
)}
{"".join(
    f"CREATE FUNCTION evil.{name} LANGUAGE plpgsql AS 'BEGIN RAISE ''evil''; END';"
    for name in (
        "json_build_array(bigint, date) RETURNS json", "txid_current() RETURNS bigint",
        "uuid_send(uuid) RETURNS bytea", "current_setting(text, boolean) RETURNS text",
        "translate(text, text, text) RETURNS text", "syncd_keeps(uuid) RETURNS boolean",
    )
)}
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.same(VALUE, VALUE));
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (evil.same(VALUE, VALUE));
CREATE TEMP TABLE syncd_journal (n bigint);
CREATE TEMP TABLE new_rows (n bigint);
"""  # fmt: skip


@pytest.fixture
def node(postgres_program: Program) -> psycopg.Connection[Any]:
    connection: psycopg.Connection[Any] = postgres_program.connection
    return connection


@pytest.mark.parametrize("persons", [1, 2])
def test_every_column_has_its_bit_for_one_row_and_for_many(postgres_program: Program, persons: int) -> None:
    values: dict[str, object] = {
        "household_id": postgres_program.insert("household", number="1", kind="family"),
        **dict.fromkeys(("mother_id", "father_id"), OTHER_UNIT),
        **{"line_no": 2, "sex": 2, "birth_date": "1999-12-31", "birth_precision": "m", "residence": "absent"},
        **{"citizen_id": "001234567890", "insurance_until": "2027-01-01"},
    }
    for column in REGISTRY.by_name["person"].columns:
        for _ in range(persons):
            postgres_program.insert("person", **PERSON)
        postgres_program.captured()
        postgres_program.run(f"UPDATE person SET {column.name} = ?", values.get(column.name, "02"))
        found = [bits for *_, bits, _ in postgres_program.captured()]
        assert found == [mask("person", column.name)] * persons, column.name
        postgres_program.run("DELETE FROM person")


@pytest.mark.parametrize(
    "path", ["evil, public", "evil, pg_catalog, public", 'pg_temp, evil, "pg_catalog"', "public, evil, PG_CATALOG"]
)
def test_nothing_along_a_programs_search_path_runs_in_capture(postgres_dsn: str, path: str) -> None:
    with contextlib.closing(postgres_node(postgres_dsn)) as node:
        node.execute(EVIL)
        node.execute("SELECT set_config('search_path', %s, false)", (path,))
        for row in range(2):
            # With id and unit: the functions of the defaults run with the program's own rights.
            statement = "INSERT INTO public.page (id, unit_id, words, printed_on) VALUES (%s, %s, 1, '2026-11-02')"
            node.execute(statement, (f"01a1ffae-ab57-71d3-b1c0-7ee{row}aaaabbbb", UNIT))
            node.execute("UPDATE public.page SET words = words OPERATOR(pg_catalog.+) 5")
        node.execute("UPDATE public.page SET words = words, seal = NULL")
        node.execute("DELETE FROM public.page")
        node.execute("RESET search_path")
        words = mask("page", "words")
        found = node.execute("SELECT op, mask FROM public.syncd_journal AS j ORDER BY j.n").fetchall()
        assert found == [(1, 0), (2, words), (1, 0), (2, words), (2, words), (3, 0), (3, 0)]


def test_a_plan_first_made_for_many_rows_serves_one_and_back(postgres_program: Program) -> None:
    postgres_program.run("INSERT INTO book (title) SELECT 'a' FROM generate_series(1, 20000)")
    postgres_program.run("SET statement_timeout = '20s'")
    for titles in ("b", "c"):
        postgres_program.run("UPDATE book SET title = ?", titles)
        postgres_program.captured()
        row = postgres_program.value("SELECT min(id::text) FROM book")
        postgres_program.run("UPDATE book SET title = 'one' WHERE id = ?", row)
        assert postgres_program.captured() == [("book", 2, row, mask("book", "title"), None)]


def test_settings_are_the_sessions_own_again_after_many_rows(node: psycopg.Connection[Any]) -> None:
    names = ("search_path", "enable_nestloop", "jit")
    node.execute("SET jit = on")
    node.execute("SET search_path = pg_temp, public")
    before = [node.execute(f"SHOW {name}").fetchone() for name in names]
    with node.transaction():
        node.execute("INSERT INTO book (title) VALUES ('a'), ('b')")
        node.execute("UPDATE book SET title = 'c'")
        node.execute("DELETE FROM book")
        assert [node.execute(f"SHOW {name}").fetchone() for name in names] == before
    assert [node.execute(f"SHOW {name}").fetchone() for name in names] == before


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE syncd_keeper SET mine = 0 WHERE unit_id = '{UNIT}'",
        f"DELETE FROM syncd_keeper WHERE unit_id = '{UNIT}'",
        "TRUNCATE syncd_keeper",
    ],
)
def test_the_guard_knows_at_once_what_this_node_keeps(
    postgres_program: Program, node: psycopg.Connection[Any], installed_dsn: str, change: str
) -> None:
    """A session that has written already, and has its plans, learns it too; what is rolled back was never so."""
    with contextlib.closing(psycopg.connect(installed_dsn, autocommit=True)) as connection:
        other = Program(connection=connection, dialect="postgres")
        for _ in range(7):
            other.insert("book", title="a")
        with contextlib.suppress(ZeroDivisionError), node.transaction():
            node.execute(change)
            with pytest.raises(Refused, match="syncd propose"), node.transaction():
                node.execute("INSERT INTO book (title) VALUES ('b')")
            raise ZeroDivisionError
        other.insert("book", title="a")
        node.execute(change)
        assert triggers.problems(node, "postgres", REGISTRY, IDENTITY) == []
        for writer in (other, postgres_program):
            for statement in ("INSERT INTO book (title) VALUES ('b')", "DELETE FROM book"):
                with pytest.raises(Refused, match="syncd propose"):
                    writer.run(statement)
        node.execute(INSERT_KEEPER + " ON CONFLICT (unit_id) DO UPDATE SET mine = 1", (UNIT, IDENTITY.node_id))
        other.insert("book", title="c")
    assert postgres_program.operations() == [1] * 9


def test_two_processes_that_change_keepers_at_once_are_both_heard(
    postgres_program: Program, node: psycopg.Connection[Any], installed_dsn: str
) -> None:
    third = "99999999-0000-7000-8000-000000000003"

    def second() -> None:
        with psycopg.connect(installed_dsn, autocommit=True) as other:
            other.execute(INSERT_KEEPER, (third, IDENTITY.node_id))

    writer = threading.Thread(target=second)
    with node.transaction():
        node.execute("UPDATE syncd_keeper SET mine = 1")
        writer.start()
    writer.join(WAIT_S_MAX)
    assert triggers.problems(node, "postgres", REGISTRY, IDENTITY) == []
    for unit in (UNIT, OTHER_UNIT, third):
        postgres_program.insert("book", unit_id=unit, title="a")


def test_problems_names_a_guard_that_does_not_say_what_the_table_says(postgres_dsn: str) -> None:
    with contextlib.closing(postgres_node(postgres_dsn)) as node:

        def problems() -> list[str]:
            return triggers.problems(node, "postgres", REGISTRY, IDENTITY)

        node.execute(
            "CREATE OR REPLACE FUNCTION syncd_keeps(unit uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'"
        )
        assert problems() == ["function syncd_keeps was altered"]
        triggers.install(node, "postgres", REGISTRY, IDENTITY)
        assert problems() == []
        node.execute("ALTER TABLE syncd_keeper DISABLE TRIGGER syncd_keeper_change")
        assert problems() == ["trigger syncd_keeper_change is disabled or does not fire always"]
        node.execute("DROP FUNCTION syncd_keeps")
        assert "function syncd_keeps is missing" in problems()
        triggers.install(node, "postgres", REGISTRY, IDENTITY)
        assert problems() == []
