"""Rows are checked with the rules of the tables, and what is wrong is said without saying the value."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest
import sqlcipher3.dbapi2 as sqlcipher
from hypothesis import given
from hypothesis import strategies as st

from schema.population import UNIT
from schema.values import ROWS_AT_ONCE, Problem, check_row, check_values, normalise, rows_hold, values_hold
from tests.schema_builders import PERSON, REGISTRY, insert, sqlite_node

PERSON_TABLE = REGISTRY.by_name["person"]
HOUSEHOLD = REGISTRY.by_name["household"]


def columns(problems: list[Problem]) -> list[str]:
    return [problem.column for problem in problems]


def test_a_good_row_has_no_problem() -> None:
    assert check_row(PERSON_TABLE, PERSON) == []


def test_a_missing_column_is_named_only_for_a_whole_row() -> None:
    assert columns(check_row(PERSON_TABLE, {k: v for k, v in PERSON.items() if k != "sex"})) == ["sex"]
    assert check_values(PERSON_TABLE, {"phone": "1"}) == []


def test_oversight_rows_need_no_unit_and_registers_get_theirs() -> None:
    unit = REGISTRY.by_name["unit"]
    assert check_row(unit, {"level": "commune", "code": "00123", "name": "Xã Mẫu", "unit_id": None}) == []
    assert columns(check_row(PERSON_TABLE, {**PERSON, "unit_id": None})) == ["unit_id"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("birth_date", "2024-02-31"),
        ("birth_date", "31/01/2000"),
        ("full_name", "a\0b"),
        ("full_name", "\ud800"),
        ("full_name", "a" * 201),
        ("full_name", None),
        ("sex", 3),
        ("sex", "1"),
        ("sex", True),
        ("line_no", 2**63),
        ("line_no", 1.5),
        ("line_no", float("nan")),
        ("citizen_id", "123"),
        ("mother_id", "MOTHER"),
        ("nickname", "x"),
    ],
)
def test_a_bad_value_is_a_problem_of_its_column(column: str, value: Any) -> None:
    problems = check_row(PERSON_TABLE, {**PERSON, column: value})
    assert set(columns(problems)) == {column}


def test_the_rule_is_said_in_both_languages_without_the_value() -> None:
    (problem,) = check_row(PERSON_TABLE, {**PERSON, "citizen_id": "98765"})
    assert problem.rule_vi == "số định danh gồm đúng 12 chữ số"
    assert problem.rule_en == "a citizen id is exactly 12 digits"
    assert "98765" not in repr(problem)


def test_a_rule_across_columns_is_named() -> None:
    row = {"number": "12", "kind": "family", "opened_on": "2024-01-02", "closed_on": "2024-01-01"}
    assert columns(check_row(HOUSEHOLD, row)) == ["closed_after_opened"]
    unit = {"level": "commune", "code": "18073", "name": "Xã thử", "valid_from": "2025-07-01"}
    broken = ["valid_for_a_time"]
    for last, wrong in (("2025-07-02", []), ("2025-07-01", broken), ("0081-07-01", broken)):
        assert columns(check_row(UNIT, {**unit, "valid_to": last})) == wrong
    assert check_values(HOUSEHOLD, {"closed_on": "2024-01-01"}) == []


@pytest.mark.parametrize(
    ("number", "good"), [("12", True), ("12.1", True), ("12.", False), ("1.2.3", False), ("a", False)]
)
def test_household_numbers(number: str, good: bool) -> None:
    assert (check_row(HOUSEHOLD, {"number": number, "kind": "family"}) == []) is good


def test_text_is_normalised_to_nfc_and_measured_so() -> None:
    decomposed = "a\u0302\u0301"
    assert normalise({"full_name": decomposed, "sex": 1, "seal": b"x"}) == {"full_name": "ấ", "sex": 1, "seal": b"x"}
    assert check_row(PERSON_TABLE, {**PERSON, "full_name": decomposed * 200}) == []


ANYTHING = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=15), st.binary(max_size=4), st.dates().map(str)
)


@given(st.fixed_dictionaries(dict.fromkeys(("sex", "birth_date", "citizen_id", "full_name", "line_no"), ANYTHING)))
def test_what_passes_here_passes_in_the_table_and_what_fails_there_fails_here(values: dict[str, Any]) -> None:
    """Both ways, except that SQLite's columns turn '1' into 1 and 1.0 into 1, which this check does not."""
    row = {**PERSON, **values}
    problems = check_row(PERSON_TABLE, row)
    with contextlib.closing(sqlite_node()) as node:
        if not problems:
            insert(node, "person", normalise(row))
            return
        strict = all(isinstance(row[name], int | None) for name in ("sex", "line_no")) and all(
            isinstance(row[name], str | None) for name in ("birth_date", "citizen_id", "full_name")
        )
        if strict:
            with pytest.raises((sqlcipher.Error, sqlite3.Error, OverflowError, UnicodeError)):
                insert(node, "person", normalise(row))


GOOD: dict[str, Any] = {"full_name": "A", "birth_date": "2000-01-31", "citizen_id": None, "line_no": 1, "phone": "1"}
BAD: list[tuple[str, Any]] = [
    ("birth_date", "2024-02-31"), ("full_name", None), ("full_name", "\ud800"), ("full_name", "a\0b"),
    ("citizen_id", "12"), ("line_no", 1.5), ("phone", "1" * 10_000),
]  # fmt: skip


@given(st.lists(st.sampled_from([None, None, None, *BAD]), max_size=6), st.permutations(sorted(GOOD)))
def test_many_rows_asked_at_once_hold_where_each_of_them_does(bad: list[Any], names: list[str]) -> None:
    rows = [{name: GOOD[name] for name in names} | (dict([each]) if each else {}) for each in bad]
    assert values_hold(PERSON_TABLE, rows) == (not any(check_values(PERSON_TABLE, row) for row in rows))
    whole = [{**PERSON, **row} for row in rows]
    assert rows_hold(PERSON_TABLE, whole) == (not any(check_row(PERSON_TABLE, row) for row in whole))


def test_the_last_of_very_many_rows_is_asked_about_too() -> None:
    rows = [dict(GOOD) for _ in range(2 * ROWS_AT_ONCE + 1)]
    assert values_hold(PERSON_TABLE, rows)
    rows[-1]["citizen_id"] = "12"
    assert not values_hold(PERSON_TABLE, rows)


def test_rows_that_lack_a_column_do_not_hold() -> None:
    lacking = {name: value for name, value in PERSON.items() if name != "sex"}
    assert not rows_hold(PERSON_TABLE, [lacking])
    assert values_hold(PERSON_TABLE, [lacking])
    assert values_hold(PERSON_TABLE, [{}, {}])
