"""Who may write what (I4), on SQLite (encrypted, plain, of another program) and on PostgreSQL alike."""

from __future__ import annotations

import pytest

from tests.programs import FOREIGN_ROW, Program, Refused
from tests.schema_builders import OTHER_UNIT, PERSON

OVERSIGHT = "INSERT INTO code_list (unit_id, name, version, title) VALUES ({}, 'ethnic', 1, 'x')"
MINT_ELSEWHERE = {
    "sqlite": "UPDATE {} SET id = substr(id, 1, 28) || 'ccccdddd'",
    "postgres": "UPDATE {} SET id = (left(id::text, 28) || 'ccccdddd')::uuid",
}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE person SET phone = '1'",
        "DELETE FROM person",
        f"INSERT INTO book (unit_id, title) VALUES ('{OTHER_UNIT}', 'a')",
        f"INSERT INTO book (unit_id, title) VALUES ('{OTHER_UNIT}', 'a') ON CONFLICT DO NOTHING",
    ],
)
def test_a_foreign_units_row_is_refused(program: Program, statement: str) -> None:
    program.foreign_person()
    with pytest.raises(Refused, match="syncd propose"):
        program.run(statement)
    assert program.captured() == []
    assert program.value("SELECT count(*) FROM person WHERE phone IS NULL") == 1
    assert program.value("SELECT count(*) FROM book") == 0


def test_one_foreign_row_among_own_ones_refuses_the_statement(program: Program) -> None:
    program.foreign_person()
    program.insert("person", **PERSON)
    with pytest.raises(Refused):
        program.run("UPDATE person SET phone = '1'")
    assert program.value("SELECT count(*) FROM person WHERE phone IS NOT NULL") == 0


def test_an_id_minted_elsewhere_is_refused(program: Program) -> None:
    with pytest.raises(Refused, match="syncd"):
        program.insert("book", id=FOREIGN_ROW, title="a")


@pytest.mark.parametrize(
    "change", [f"unit_id = '{OTHER_UNIT}'", "id = '01a1ffae-ab57-7daa-86ba-204daaaabbbb'"], ids=["unit", "id"]
)
def test_id_and_unit_never_change(program: Program, change: str) -> None:
    program.insert("book", title="a")
    with pytest.raises(Refused, match="syncd"):
        program.run(f"UPDATE book SET {change}")


def test_oversight_rows_are_their_minters_and_those_about_all_units_the_roots(program: Program) -> None:
    with pytest.raises(Refused, match="syncd"):
        program.run(OVERSIGHT.format("NULL"))
    program.run(OVERSIGHT.format(f"'{OTHER_UNIT}'"))  # about a unit this node does not keep: its own decision
    program.run("UPDATE syncd_meta SET value = '0' WHERE key = 'depth'")
    program.run(OVERSIGHT.format("NULL"))
    with program.applying():
        program.run(MINT_ELSEWHERE[program.dialect].format("code_list"))
    for statement in ("UPDATE code_list SET title = 'y'", "DELETE FROM code_list"):
        with pytest.raises(Refused, match="syncd"):
            program.run(statement)


def test_control_rows_are_their_minters(program: Program) -> None:
    program.run("UPDATE node SET status = 'revoked'")
    with program.applying():
        program.run(MINT_ELSEWHERE[program.dialect].format("node"))
    with pytest.raises(Refused, match="syncd"):
        program.run("UPDATE node SET status = 'enrolled'")
