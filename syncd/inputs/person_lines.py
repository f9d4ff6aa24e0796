"""What each row of a list of persons is: a person, a household's own row, titles again, a sum, or a remark.

Enters: the cells of a row and the columns of its file. Leaves: their texts by column, and what the row is.
Must hold: a row is passed over only where it cannot be a person's; whatever has a name and anything else of a person is
one, and is refused where it is not whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from syncd.inputs.cell import CellError, Oddities, prepared
from syncd.inputs.cell_numbers import canonical_number, digits_of
from syncd.inputs.person_cells import BY_HEADER, REQUIRED, Field, title_key
from syncd.inputs.text import clean, plain

NUMBER = "household_number"
OF_PERSON = ("line_no", "full_name", "sex", "birth_date", "ethnic", "citizen_id", "insurance_no")
HOUSEHOLD_NUMBER = re.compile(r"\d+(\.\d)?")
SUM = re.compile(r"(tong cong|tong so|grand total|cong don|cong trang|tong|cong|total|sum)\b[^a-z]*(\d.*)?")
REMARK = re.compile(
    r"(nguoi lap|nguoi nhap|lap bieu|thu truong|truong tram|truong thon|can bo|vien chuc|cong tac vien|xac nhan|ky ten|"
    r"ghi chu|chu tich|tm\b|ngay .*thang .*nam|luu y|trang \d|page \d)"
)


class Sort(StrEnum):
    """What a row is."""

    PERSON = "person"
    HOUSEHOLD = "household"  # its number and its own columns, and nobody yet
    TITLES = "titles"  # again
    OTHER_TITLES = "other_titles"  # again, in another order
    NUMBERS = "numbers"  # of the columns, as forms have them below the titles
    SUM = "sum"
    REMARK = "remark"


PASSED_OVER: Mapping[Sort, tuple[str, str]] = {
    Sort.TITLES: ("dòng tiêu đề lặp lại; bỏ qua", "the titles again; passed over"),
    Sort.NUMBERS: ("dòng đánh số cột; bỏ qua", "numbers of the columns; passed over"),
    Sort.SUM: ("dòng tổng cộng; bỏ qua", "a sum; passed over"),
    Sort.REMARK: ("dòng không phải của một người; bỏ qua", "no person's line; passed over"),
}


def texts_of(fields: Sequence[Field | None], cells: Sequence[str]) -> dict[str, str]:
    """Cell by name of its column. Spreadsheets leave out the last cells of a row where they are empty."""
    return {field.name: cells[place] if place < len(cells) else "" for place, field in enumerate(fields) if field}


def household_key(text: str) -> str:
    """What the numbers of one household share, whatever was done to them; empty for none."""
    if text.isascii() and text.isdigit() and text[0] != "0":
        return text  # the usual cell, told at little cost
    try:
        value = prepared(text, Oddities())
        return canonical_number(digits_of(value))
    except CellError:
        return clean(text)


def sort_of(fields: Sequence[Field | None], cells: Sequence[str], texts: Mapping[str, str]) -> Sort:
    """What a row is."""
    filled = {name for name, text in texts.items() if text.strip()}
    if repeated := _titles_again(fields, cells):
        return repeated
    if _numbers_columns(cells):
        return Sort.NUMBERS
    if not filled & {"sex", "birth_date"} and any(SUM.fullmatch(plain(cell)) for cell in cells):
        return Sort.SUM
    person = filled & set(OF_PERSON)
    if person and not (person == {"full_name"} and NUMBER not in filled and REMARK.match(plain(texts["full_name"]))):
        return Sort.PERSON
    return Sort.HOUSEHOLD if HOUSEHOLD_NUMBER.fullmatch(household_key(texts[NUMBER])) else Sort.REMARK


def _titles_again(fields: Sequence[Field | None], cells: Sequence[str]) -> Sort | None:
    if not any(cell[:1].isalpha() for cell in (*cells[:1], *cells[-1:])) and (not cells or cells[0][:1].isdigit()):
        return None  # the usual row, told at little cost
    names = [found.name if (found := BY_HEADER.get(title_key(cell))) else None for cell in cells]
    if not set(REQUIRED) <= set(names):
        return None
    same = all(name is None or (field is not None and field.name == name)
               for field, name in zip(fields, names, strict=False))  # fmt: skip
    return Sort.TITLES if same else Sort.OTHER_TITLES


def _numbers_columns(cells: Sequence[str]) -> bool:
    """(1) (2) (3) …, or 1 2 3 … of which no person's row could consist."""
    if not cells or cells[0].strip(" ()[]") != "1":
        return False
    found = [cell.strip(" ()[]") for cell in cells]
    return len(found) >= len(REQUIRED) and found == [str(place + 1) for place in range(len(found))]
