"""Dates of birth under their precisions, and the slips that are told from other dates."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict.identity_births import BirthLikeness, compare_births

births = st.tuples(
    st.dates(min_value=date(1900, 1, 1), max_value=date(2026, 12, 31)).map(date.isoformat), st.sampled_from("dmy")
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1990-05-17 d", "1990-05-17 d", BirthLikeness.SAME),
        ("1990-05-01 m", "1990-05-17 d", BirthLikeness.SAME_MONTH),
        ("1990-01-01 y", "1990-05-17 d", BirthLikeness.SAME_YEAR),
        ("1990-01-01 y", "1990-05-01 m", BirthLikeness.SAME_YEAR),
        ("1991-01-01 y", "1990-05-17 d", BirthLikeness.DIFFERENT),
        ("1990-06-01 m", "1990-05-17 d", BirthLikeness.DIFFERENT),
        ("1990-05-11 d", "1990-11-05 d", BirthLikeness.SWAPPED),
        ("1990-05-17 d", "1991-05-17 d", BirthLikeness.YEAR_SLIP),
        ("1980-05-17 d", "1990-05-17 d", BirthLikeness.YEAR_SLIP),
        ("1968-05-17 d", "1986-05-17 d", BirthLikeness.YEAR_SLIP),
        ("1968-05-17 d", "1975-05-17 d", BirthLikeness.DIFFERENT),
        ("1990-05-17 d", "1990-05-27 d", BirthLikeness.DAY_SLIP),
        ("1990-05-19 d", "1990-05-20 d", BirthLikeness.DAY_SLIP),
        ("1990-01-01 d", "1990-05-17 d", BirthLikeness.ROUNDED),
        ("1990-05-17 d", "1990-05-02 d", BirthLikeness.PART),
        ("1990-05-17 d", "1990-12-17 d", BirthLikeness.PART),
        ("1990-05-17 d", "1990-08-28 d", BirthLikeness.DIFFERENT),
        ("1990-05-11 d", "1990-03-05 d", BirthLikeness.DIFFERENT),  # one half of an exchange is none
        ("1990-05-17 d", "1993-08-28 d", BirthLikeness.DIFFERENT),
    ],
)
def test_dates_agree_within_precision_or_by_one_slip(one: str, other: str, expected: BirthLikeness) -> None:
    assert compare_births(*one.split(), *other.split()) is expected
    assert compare_births(*other.split(), *one.split()) is expected


def test_a_precision_nobody_stated_is_the_day() -> None:
    assert compare_births("1990-05-17", "", "1990-05-18", "d") is BirthLikeness.DAY_SLIP


@given(births, births)
def test_likeness_of_dates_has_no_order(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert compare_births(*one, *other) is compare_births(*other, *one)
