"""The generated register: its rows obey the tables' rules, and its structure is an ordinary one."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from schema.values import check_row
from syncd.errors import UsageError
from syncd.inputs.generate import PERSON_NAMES, TABLES, Values, batches, citizen_id
from syncd.inputs.person_checks import says_another
from tests.unit.inputs.builders import TAG, UNIT

TODAY = date(2026, 11, 20)
Rows = dict[str, list[Values]]


def generated(persons: int, seed: int = 1) -> Rows:
    rows: Rows = {table.name: [] for table, _ in TABLES}
    for batch in batches(tag=TAG, unit_id=UNIT, persons=persons, seed=seed, today=TODAY):
        for table, values in batch.items():
            rows[table] += values
    return rows


@pytest.fixture(scope="module")
def rows() -> Rows:
    return generated(12_000)


def column(rows: Rows, name: str) -> list[str | int | None]:
    place = PERSON_NAMES.index(name)
    return [row[place] for row in rows["person"]]


def test_one_seed_generates_one_register_and_another_seed_another() -> None:
    assert generated(200) == generated(200)
    assert generated(200) != generated(200, seed=2)


def test_exactly_the_persons_asked_for_are_generated(rows: Rows) -> None:
    assert len(rows["person"]) == 12_000
    assert len(generated(1)["person"]) == 1
    assert not generated(0)["person"]


def test_generated_rows_obey_the_rules_of_their_tables() -> None:
    rows = generated(400)
    for table, names in TABLES:
        for values in rows[table.name]:
            assert not check_row(table, dict(zip(names, values, strict=True)))


def test_households_persons_and_residence_are_ordinary(rows: Rows) -> None:
    assert 3.3 < len(rows["person"]) / len(rows["household"]) < 3.9
    residence = Counter(column(rows, "residence"))
    here = residence["usual"] + residence["absent"] + residence["temporary"]
    assert 0.97 < residence["usual"] / here < 0.99
    assert here / len(rows["person"]) > 0.95


def test_ages_births_and_deaths_are_ordinary(rows: Rows) -> None:
    years = [TODAY.year - int(str(born)[:4]) for born in column(rows, "birth_date")]
    assert 0.18 < sum(age < 15 for age in years) / len(years) < 0.30
    assert 0.04 < sum(age >= 65 for age in years) / len(years) < 0.15
    assert 0.018 < len(rows["birth"]) / len(years) < 0.04
    assert 0.005 < len(rows["death"]) / len(years) < 0.02


def test_events_lie_in_the_last_24_months_and_ids_are_distinct(rows: Rows) -> None:
    days = [row[4] for row in (*rows["birth"], *rows["migration"])] + [row[3] for row in rows["death"]]
    assert all("2024-11-20" <= str(day) <= "2026-11-20" for day in days)
    ids = [row[0] for table, _ in TABLES for row in rows[table.name]]
    assert len(set(ids)) == len(ids)


def test_citizen_ids_are_twelve_digits_that_begin_with_zero(rows: Rows) -> None:
    numbers = [str(number) for number in column(rows, "citizen_id") if number is not None]
    assert all(len(number) == 12 and number.isdigit() and number[0] == "0" for number in numbers)
    assert len(numbers) > 0.9 * len(rows["person"])


def test_citizen_ids_say_sex_and_year_of_birth_as_real_ones_do(rows: Rows) -> None:
    persons = [dict(zip(PERSON_NAMES, row, strict=True)) for row in rows["person"]]
    assert [fact for person in persons for fact in says_another(person)] == []
    assert {citizen_id(0.5, sex, year)[3] for sex in (1, 2) for year in (1930, 2024)} == {"0", "1", "2", "3"}


def test_a_number_nobody_means_is_refused() -> None:
    with pytest.raises(UsageError):
        list(batches(tag=TAG, unit_id=UNIT, persons=-1, seed=1, today=TODAY))
