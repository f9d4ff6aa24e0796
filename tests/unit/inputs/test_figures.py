"""Arithmetic of the figures: ages, the sex ratio with its interval, and the text operators read."""

from __future__ import annotations

import pytest

from syncd.errors import UsageError
from syncd.inputs.figures import BySex, Figures, RegisterState, month_number, sex_ratio
from syncd.inputs.figures_text import figures_text


def some_figures() -> Figures:
    state = RegisterState(
        unit_id="u",
        code="18133",
        name="Thị trấn Phố Châu",
        position=1234,
        changed_at="2026-11-19T20:30:00Z",
        state="ok",
    )
    return Figures(
        period="2026-11", units=("u",), units_below=0, usual=BySex(male=1200, female=1300), ages=(),
        residence={"usual": 2500}, ethnic=(), births=BySex(male=38, female=32), sex_ratio=sex_ratio(38, 32),
        deaths=BySex(male=1, female=0, unknown=1), arrivals=BySex(male=0, female=0), departures=BySex(male=0, female=0),
        registers=(state,), registers_missing=(), notes=(),
    )  # fmt: skip


def test_a_commune_with_70_births_has_a_wide_interval() -> None:
    ratio = sex_ratio(38, 32)
    assert (ratio.births, ratio.ratio) == (70, 118.8)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 75
    assert ratio.high > 185


@pytest.mark.parametrize(("male", "female"), [(0, 0), (5, 0), (0, 5)])
def test_a_ratio_that_cannot_be_formed_is_none(male: int, female: int) -> None:
    ratio = sex_ratio(male, female)
    assert (ratio.births, ratio.ratio, ratio.low, ratio.high) == (male + female, None, None, None)


@pytest.mark.parametrize("period", ["2026", "2026-13", "11/2026", "2026-00", "2026-1"])
def test_a_malformed_month_is_refused(period: str) -> None:
    with pytest.raises(UsageError):
        month_number(period)


def test_vietnamese_text_has_decimal_commas_and_local_dates() -> None:
    text = figures_text(some_figures(), "vi")
    assert "118,8 bé trai/100 bé gái (n = 70" in text
    assert "2.500 (nam 1.200, nữ 1.300)" in text
    assert "vị trí 1.234, 20/11/2026 03:30" in text


def test_english_text_says_unknown_sex() -> None:
    assert "Deaths: 2 (male 1, female 0, unknown 1)" in figures_text(some_figures(), "en")


def test_json_has_totals() -> None:
    assert some_figures().to_json()["births"] == {"male": 38, "female": 32, "unknown": 0, "total": 70}
