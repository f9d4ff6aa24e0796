"""Likeness of names and persons."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict.match import MatchColumns, normalise_name, resembles
from conflict.proposal import Value

# Made-up persons.
ROW: dict[str, Value] = {
    "full_name": "Đặng Thị Hoà",
    "birth_date": "1990-05-17",
    "birth_precision": "d",
    "sex": 2,
}


@pytest.mark.parametrize(
    "spelling",
    [
        "Đặng Thị Hòa",
        "ĐẶNG  THỊ\u00a0HOÀ ",
        "dang thi hoa",
        unicodedata.normalize("NFD", "Đặng Thị Hoà"),
        "\u00d0ặng Thị Hoà",
    ],
)
def test_spellings_of_one_name_are_alike(spelling: str) -> None:
    assert normalise_name(spelling) == "dang thi hoa"


def test_apostrophes_and_hyphens_of_names_do_not_matter() -> None:
    assert normalise_name("H'Hen Niê") == normalise_name("H\u2019Hen Niê") == normalise_name("H-hen niê") == "h hen nie"


@given(st.text())
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert normalise_name(normalise_name(name)) == normalise_name(name)


@pytest.mark.parametrize(
    ("changed", "alike"),
    [
        ({}, True),
        ({"full_name": "DANG THI HOA"}, True),
        ({"full_name": "Đặng Thị Huệ"}, False),
        ({"full_name": None}, False),
        ({"full_name": " - "}, False),
        ({"sex": 1}, False),
        ({"sex": None}, True),
        ({"birth_date": "1990-05-18"}, False),
        ({"birth_date": "1990-05-18", "birth_precision": None}, False),
        ({"birth_date": "1990-05-01", "birth_precision": "m"}, True),
        ({"birth_date": "1990-06-01", "birth_precision": "m"}, False),
        ({"birth_date": "1990-01-01", "birth_precision": "y"}, True),
        ({"birth_date": "1991-01-01", "birth_precision": "y"}, False),
        ({"birth_date": None}, True),
    ],
)
def test_persons_are_alike_by_name_sex_and_birth_within_precision(changed: dict[str, Value], alike: bool) -> None:
    candidate = {**ROW, **changed}
    assert resembles(candidate, ROW) is alike
    assert resembles(ROW, candidate) is alike


def test_two_rows_without_a_name_are_not_alike() -> None:
    assert not resembles({**ROW, "full_name": ""}, {**ROW, "full_name": "?"})


def test_columns_may_have_other_names() -> None:
    columns = MatchColumns(name="ten", birth_date="ngay_sinh", birth_precision="do_chinh_xac", sex="gioi")
    one: dict[str, Value] = {"ten": "Hoà", "ngay_sinh": "1990-05-17", "gioi": 2}
    assert resembles(one, {**one, "ten": "hoa"}, columns)
    assert not resembles(one, {**one, "gioi": 1}, columns)
