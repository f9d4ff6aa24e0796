"""Columns and values are shown as people name them: every one has a title, in both languages, and reads both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from schema.population import PERSON, POPULATION_TABLES
from schema.spec import Column, Kind, Table, Type
from schema.tables import registry
from schema.titles import OF_TABLE, TITLES, VALUES, column_title
from syncd.inputs.person_cells import FIELDS
from syncd.inputs.problem import Problem
from syncd.inputs.unit_file import COLUMNS
from syncd.proposing import parse_settings
from syncd.text import titles

WORDS = re.compile(r"'(\w+)'")


@pytest.fixture(autouse=True)
def vietnamese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")


def columns() -> Iterator[tuple[Table, Column]]:
    return ((table, column) for table in POPULATION_TABLES for column in table.all_columns)


def test_every_column_of_the_records_has_a_title_in_both_languages() -> None:
    assert [
        (table.name, each.name) for table, each in columns() if not all(column_title(table.name, each.name) or ())
    ] == []
    assert [table.name for table in registry() if not (table.title_vi and table.title_en)] == []


def test_every_word_that_a_check_allows_has_a_title() -> None:
    found = [
        (each.name, word)
        for table, each in columns()
        for word in WORDS.findall(each.check or "")
        if word not in VALUES.get(each.name, {})
    ]
    assert found == []
    assert set(VALUES["sex"]) == {1, 2}


def test_files_name_columns_as_the_screens_do() -> None:
    assert {each.name: each.title for each in FIELDS} == {each.name: TITLES[each.name][0] for each in FIELDS}
    assert [name for name in COLUMNS if name not in TITLES] == []


def test_titles_are_no_names() -> None:
    assert [name for name, words in (*TITLES.items(), *OF_TABLE.items()) if any("_" in word for word in words)] == []


@pytest.mark.parametrize(("name", "kept", "shown"), [
    ("sex", 2, "nữ"), ("birth_date", "1981-03-05", "05/03/1981"), ("residence", "departed", "đã chuyển đi"),
    ("birth_precision", "y", "năm"), ("full_name", "Nguyễn Văn Mẫu", None), ("sex", None, None),
])  # fmt: skip
def test_a_value_is_shown_as_people_write_it(name: str, kept: object, shown: str | None) -> None:
    assert titles.value(PERSON.by_name[name], kept) == shown


def test_english_keeps_the_days_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    assert titles.value(PERSON.by_name["birth_date"], "1981-03-05") == "1981-03-05"
    assert titles.column("person", "birth_date") == "Birth date"


@pytest.mark.parametrize("setting", [
    "Giới tính=nữ", "gioi tinh=NU", "sex=2", "Sex=female",
    ])  # fmt: skip
def test_what_the_screen_shows_can_be_typed_back(setting: str) -> None:
    assert parse_settings(PERSON, (setting,)) == {"sex": 2}


def test_a_day_is_typed_as_it_is_shown() -> None:
    assert parse_settings(PERSON, ("Ngày sinh=5/3/1981",)) == {"birth_date": "1981-03-05"}


def test_a_deployments_own_column_is_shown_by_its_own_title(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Column(number=2, name="visited_on", type=Type.DATE, title_vi="Ngày thăm", title_en="Visited on")
    visits = Table(number=1000, name="visit", kind=Kind.REGISTER, columns=(own,), title_vi="Lần thăm", title_en="Visit")
    monkeypatch.setattr("syncd.text.titles.known", lambda: registry((visits,)))
    assert (titles.column("visit", "visited_on"), titles.table("visit")) == ("Ngày thăm", "Lần thăm")
    assert titles.column("visit", "nothing_known") == "nothing_known"


def test_a_problem_of_a_file_names_the_column_by_its_title() -> None:
    told = Problem(line=3, column="birth_date", rule="date", text_vi="sai", text_en="wrong")
    assert told.text("vi").startswith("dòng 3, cột Ngày sinh: sai")
    assert told.text("en").startswith("line 3, column Birth date: wrong")
