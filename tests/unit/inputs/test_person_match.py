"""Who a row is, and what the register knows better than a file: its spelling, and who has died or moved away."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.inputs.person_file import PersonLine
from syncd.inputs.person_match import Matched, match
from syncd.inputs.spelling import why_kept

KEPT: dict[str, Any] = {
    "id": "1", "line_no": 1, "full_name": "Nguyễn Thị Hải", "sex": 2, "birth_date": "1960-03-05",
    "birth_precision": "d", "residence": "usual", "citizen_id": None, "insurance_no": None,
}  # fmt: skip


def told(*rows: dict[str, Any], kept: tuple[dict[str, Any], ...] = ({},)) -> Matched:
    lines = [PersonLine(line=place, values={
        **{name: value for name, value in KEPT.items() if value is not None and name not in ("id", "residence")}, **row,
    }) for place, row in enumerate(rows, 2)]  # fmt: skip
    return match(lines, [{**KEPT, "id": str(place), **row} for place, row in enumerate(kept)], {})


SPELLINGS = [
    # file, register, why the register's stays
    ("NGUYỄN THỊ HẢI", "Nguyễn Thị Hải", "case_kept"),
    ("nguyễn thị hải", "Nguyễn Thị Hải", "case_kept"),
    ("Nguyễn thị Hải", "Nguyễn Thị Hải", "case_kept"),
    ("NGUYEN THI HAI", "Nguyễn Thị Hải", "name_kept"),
    ("Nguyên Thị Hai", "Nguyễn Thị Hải", "name_kept"),
    ("Nguyễn Thi Hai", "Nguyễn Thị Hải", "name_kept"),
    ("Dang Van Duc", "Đặng Văn Đức", "name_kept"),
    ("Y BLO", "Y Blŏ", "name_kept"),
    ("Trần Thị Hoà", "Trần Thị Hòa", "tone_place"),
    ("Nguyễn Thị Hải", "NGUYỄN THỊ HẢI", None),
    ("Nguyễn Thị Hải", "Nguyen Thi Hai", None),
    ("Nguyễn Thị Hãi", "Nguyễn Thị Hải", None),
    ("Nguyễn Thị Hai Em", "Nguyễn Thị Hải", None),
    ("Nguyễn Thị Hải", "Nguyễn Thị Hải", None),
    ("THÔN 3", "Thôn 3", "case_kept"),
    ("Thon 3", "Thôn 3", "name_kept"),
    ("Thôn 4", "Thôn 3", None),
]


@pytest.mark.parametrize(("text", "kept", "rule"), SPELLINGS)
def test_a_spelling_gives_way_only_to_a_better_one(text: str, kept: str, rule: str | None) -> None:
    reason = why_kept(text, kept)
    assert (reason and reason[0]) == rule


def test_capitals_are_told_and_write_nothing() -> None:
    found = told({"full_name": "NGUYỄN THỊ HẢI"})
    ((line, _),) = found.pairs
    assert "full_name" not in line.values
    assert [(place, column, words[0]) for place, column, words in found.notes] == [(2, "full_name", "case_kept")]


@pytest.mark.parametrize("line_no", [1, 2])
def test_a_list_without_any_mark_names_the_same_persons_by_their_day_and_sex(line_no: int) -> None:
    found = told({"full_name": "NGUYEN THI HAI", "line_no": line_no})
    assert (len(found.pairs), found.new, found.questions) == (1, [], [])


TWINS: tuple[dict[str, Any], ...] = ({}, {"full_name": "Nguyễn Thị Hái", "line_no": 2})
UNSURE = {
    "one of two twins": ({"full_name": "NGUYEN THI HAI", "line_no": 3}, TWINS),
    "another mark": ({"full_name": "Nguyễn Thị Hài", "line_no": 2}, ({},)),
    "the year alone": (
        {"full_name": "NGUYEN THI HAI", "line_no": 2, "birth_date": "1960-01-01", "birth_precision": "y"}, ({},),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("row", "kept"), UNSURE.values(), ids=UNSURE)
def test_a_bare_name_that_may_be_two_persons_is_a_question(row: dict[str, Any], kept: tuple[Any, ...]) -> None:
    found = told(row, kept=kept)
    assert (found.pairs, found.new, len(found.questions)) == ([], [], 1)


@pytest.mark.parametrize("kept", ["deceased", "departed"])
@pytest.mark.parametrize("row", ["usual", "temporary", "absent"])
def test_nobody_comes_to_life_or_back_by_a_list(kept: str, row: str) -> None:
    found = told({"residence": row}, kept=({"residence": kept},))
    assert [(line, column) for line, column, _ in found.questions] == [(2, "residence")]


def test_somebody_gone_whom_a_list_still_names_stays_gone_and_is_told() -> None:
    found = told({}, kept=({"residence": "deceased"},))
    assert ([words[0] for _, _, words in found.notes], found.questions) == (["gone"], [])
    died = told({"residence": "deceased"}, kept=({"residence": "departed"},))
    assert (died.notes, died.questions) == ([], [])


def test_the_first_day_of_a_year_is_no_better_than_the_year() -> None:
    year = {"birth_date": "1960-01-01", "birth_precision": "y"}
    found = told({"birth_date": "1960-01-01"}, kept=(year,))
    ((line, _),) = found.pairs
    assert (line.values.keys() & year.keys(), [words[0] for _, _, words in found.notes]) == (set(), ["first_day"])
    ((line, _),) = told({"birth_date": "1960-03-01"}, kept=(year,)).pairs
    assert line.values["birth_date"] == "1960-03-01"
