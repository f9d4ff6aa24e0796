"""A node that turns foreign writes into proposals (`foreign_writes = propose`), on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer
from tests.programs import Program
from tests.schema_builders import OTHER_UNIT, PERSON, UNIT, postgres_node, sqlite_node


@pytest.fixture(params=["sqlite", "postgres"])
def proposing(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[Program]:
    if request.param == "sqlite":
        connection = sqlite_node(foreign_writes="propose")
    else:
        connection = postgres_node(request.getfixturevalue("postgres_dsn"), foreign_writes="propose")
    with contextlib.closing(connection):
        yield Program(connection=connection, dialect=request.param)


def test_a_foreign_update_becomes_a_proposal_of_the_changed_columns(proposing: Program) -> None:
    row = proposing.foreign_person()
    proposing.run("UPDATE person SET phone = '1', sex = 2, ethnic = '01'")
    assert [(table, op) for table, op, *_ in proposing.captured()] == [("proposal", 1)]
    assert proposing.proposals() == [
        ("update", "person", row, OTHER_UNIT, {"sex": 1, "phone": None}, {"sex": 2, "phone": "1"}, 2)
    ]
    assert proposing.rows("SELECT sex, phone FROM person") == [(1, None)]


def test_foreign_inserts_and_deletes_become_proposals(proposing: Program) -> None:
    row = proposing.foreign_person()
    proposing.run("DELETE FROM person")
    assert proposing.proposals() == [("delete", "person", row, OTHER_UNIT, PERSON, {}, 2)]
    assert proposing.value("SELECT count(*) FROM person") == 1
    proposing.run("INSERT INTO book (unit_id, title) VALUES (?, 'a'), (?, 'b')", OTHER_UNIT, UNIT)
    assert proposing.proposals() == [("insert", "book", None, OTHER_UNIT, {}, {"title": "a"}, 2)]
    assert proposing.rows("SELECT title FROM book") == [("b",)]


def test_own_rows_and_applying_are_left_alone(proposing: Program) -> None:
    proposing.insert("book", title="a")
    proposing.run("UPDATE book SET title = 'b'")
    proposing.run("DELETE FROM book")
    proposing.foreign_person()
    assert proposing.operations() == [1, 2, 3]
    assert proposing.proposals() == []


def test_a_proposal_names_the_role_that_wished_it(postgres_dsn: str) -> None:
    with contextlib.closing(postgres_node(postgres_dsn, foreign_writes="propose")) as connection:
        program = Program(connection=connection, dialect="postgres")
        program.foreign_person()
        program.run("UPDATE person SET phone = '1'")
        assert program.value("SELECT author FROM proposal") == connection.info.user
