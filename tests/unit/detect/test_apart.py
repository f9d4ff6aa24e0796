"""Rows that a rule fails on are found by halves; all others are judged, and attempts are bounded."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from conflict.case import CaseKind
from syncd import limits
from syncd.detect.apart import by_halves
from syncd.detect.changed import Changed
from syncd.errors import DiskFull, UnfitTables
from tests.contained import Contained


def changed(count: int) -> Changed:
    rows = defaultdict(set, {"person": {f"p{n}" for n in range(count)}, "birth": {f"b{n}" for n in range(count)}})
    return Changed(rows=rows)


def rows_of(part: Changed) -> set[str]:
    return {row for ids in part.rows.values() for row in ids}


def judge_but(bad: set[str], part: Changed) -> set[str]:
    if rows_of(part) & bad:
        raise ValueError("a value of a record")
    return rows_of(part)


@pytest.mark.parametrize("bad", [{"p3"}, {"b0", "p49"}, set(random.Random(3).sample([f"p{n}" for n in range(50)], 5))])
def test_every_row_but_those_is_judged_and_each_of_them_named(bad: set[str], contained: Contained) -> None:
    done, stopped = by_halves("twins", changed(50), lambda part: judge_but(bad, part), lambda _rows: {"p3": "unit"})
    assert set().union(*done) == rows_of(changed(50)) - bad
    assert {side.row_id for each in stopped for side in each.sides} == bad
    for each in stopped:
        assert each.kind is CaseKind.DUTY_STOPPED
        assert len(each.sides) == 1
        assert each.sides[0].unit_id == ("unit" if each.sides[0].row_id == "p3" else None)
        assert each.detail["rule"] == "twins"
        assert "ValueError" in str(each.detail["error"])
        assert "a value" not in str(each.detail)
    assert len(contained.bugs) == len(bad)
    contained.bugs.clear()


def test_a_rule_that_fails_on_everything_is_one_case_after_so_many_attempts(contained: Contained) -> None:
    tried: list[int] = []

    def judge(part: Changed) -> None:
        tried.append(len(rows_of(part)))
        raise ValueError

    done, stopped = by_halves("twins", changed(1_500), judge, lambda _rows: {})
    assert done == []
    assert len(tried) <= 2 * limits.DETECT_TRIES_MAX
    (only,) = stopped
    assert len(only.sides) == limits.CASE_ROWS_MAX
    contained.bugs.clear()


def test_a_failure_that_no_row_shows_is_told_all_the_same(contained: Contained) -> None:
    def judge(_part: Changed) -> None:
        raise ValueError

    assert by_halves("twins", Changed(units={"a unit"}), judge, lambda _rows: {}) == ([], [])
    assert len(contained.bugs) == 1
    together = rows_of(changed(3))
    done, stopped = by_halves(
        "twins", changed(3), lambda part: judge_but(together, part) if rows_of(part) == together else part,
        lambda _rows: {},
    )  # fmt: skip
    assert (len(done), stopped, len(contained.bugs)) == (2, [], 2)
    contained.bugs.clear()


def test_what_concerns_the_whole_node_passes() -> None:
    def judge(_part: Changed) -> None:
        raise DiskFull("full", "free space")

    with pytest.raises(DiskFull):
        by_halves("twins", changed(3), judge, lambda _rows: {})


def test_a_table_that_is_gone_is_the_fault_of_no_row(contained: Contained) -> None:
    def judge(_part: Changed) -> None:
        raise UnfitTables("no such table", "put it back")

    done, stopped = by_halves("twins", changed(4), judge, lambda _rows: {})
    assert done == []
    (only,) = stopped
    assert len(only.sides) == 8
    assert len(contained.stopped) == 1
    contained.stopped.clear()
