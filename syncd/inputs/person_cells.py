"""The columns of the import template, and how each cell becomes a canonical value.

Enters: the text of one cell. Leaves: values by table column, or the rule it breaks; never the text itself.
Must hold: nothing is guessed: a date that reads two ways does not exist here (the day comes first), and a code whose
leading zero Excel has eaten is refused, since 1 may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from schema.values import Value
from syncd.inputs.problem import not_in_list
from syncd.inputs.text import clean, plain

Values = dict[str, Value]
CodeKeys = Mapping[str, Mapping[str, str]]  # list name → code, or name without diacritics → code


class CellError(Exception):
    """A cell breaks a rule. Carries the rule's word and its wording, no value."""

    def __init__(self, rule: str, text_vi: str, text_en: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.text_vi = text_vi
        self.text_en = text_en


Reader = Callable[[str, CodeKeys], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of the template. `column`: the table column it fills; a birth date fills its precision too."""

    name: str
    title: str
    of_household: bool
    column: str
    read: Reader


def read_cell(field: Field, text: str, codes: CodeKeys) -> Values:
    """The table columns a cell fills; none for an empty cell. Raises CellError."""
    value = clean(text)
    if not value:
        return {}
    if field.name == "birth_date":
        day, precision = read_partial_date(value)
        return {"birth_date": day, "birth_precision": precision}
    return {field.column: field.read(value, codes)}


DATE_ERROR = CellError(
    "date", "ngày có dạng dd/mm/yyyy (ngày sinh có thể là mm/yyyy hoặc yyyy)", "a date is dd/mm/yyyy or yyyy-mm-dd"
)
DATE_FORMS = (
    (re.compile(r"(?P<d>\d{1,2})[/.-](?P<m>\d{1,2})[/.-](?P<y>\d{4})"), "d"),
    (re.compile(r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"), "d"),
    (re.compile(r"(?P<m>\d{1,2})[/.-](?P<y>\d{4})"), "m"),
    (re.compile(r"(?P<y>\d{4})-(?P<m>\d{2})"), "m"),
    (re.compile(r"(?P<y>\d{4})"), "y"),
)


def read_partial_date(text: str) -> tuple[str, str]:
    """(date, precision d, m or y); what is unknown becomes the first month or day. Raises CellError."""
    for form, precision in DATE_FORMS:
        if match := form.fullmatch(text):
            parts = {"m": "1", "d": "1"} | match.groupdict()
            try:
                return date(int(parts["y"]), int(parts["m"]), int(parts["d"])).isoformat(), precision
            except ValueError:
                raise _again(DATE_ERROR) from None
    raise _again(DATE_ERROR)


def _again(error: CellError) -> CellError:
    """A fresh error of the same rule: a raised exception keeps its traceback, and with it the cell."""
    return CellError(error.rule, error.text_vi, error.text_en)


def _text(value: str, _codes: CodeKeys) -> Value:
    return value


def _whole_date(value: str, _codes: CodeKeys) -> Value:
    day, precision = read_partial_date(value)
    if precision != "d":
        raise _again(DATE_ERROR)
    return day


def _number(value: str, _codes: CodeKeys) -> Value:
    if not (value.isascii() and value.isdigit() and int(value[:10]) > 0 and len(value) <= 4):
        raise CellError("number", "là số nguyên từ 1 đến 9999", "is a whole number from 1 to 9999")
    return int(value)


SEXES = {"1": 1, "2": 2, "nam": 1, "nu": 2, "male": 1, "female": 2}
KINDS = {"family": "family", "collective": "collective", "gia dinh": "family", "tap the": "collective"}


def _sex(value: str, _codes: CodeKeys) -> Value:
    if plain(value) not in SEXES:
        raise CellError("sex", "giới tính là 1 hoặc nam, 2 hoặc nữ", "sex is 1 or male, 2 or female")
    return SEXES[plain(value)]


def _kind(value: str, _codes: CodeKeys) -> Value:
    if plain(value) not in KINDS:
        raise CellError("kind", "loại hộ là gia đình hoặc tập thể", "the kind is family or collective")
    return KINDS[plain(value)]


def _code(list_name: str) -> Reader:
    """Accepts a code or its exact name. While the list has not come down, any code passes: it never blocks."""

    def read(value: str, codes: CodeKeys) -> Value:
        known = codes.get(list_name)
        if not known:
            return value
        found = known.get(value) or known.get(plain(value))
        if found is None:
            raise CellError("code", *not_in_list(list_name))
        return found

    return read


def code_keys(names: Mapping[str, str]) -> dict[str, str]:
    """What a cell may hold for each code of a list: the code, or the name without diacritics where that is unique."""
    keys: dict[str, str] = {}
    doubled = set()
    for code, name in names.items():
        key = plain(name)
        if key in keys:
            doubled.add(key)
        keys[key] = code
    return {key: code for key, code in keys.items() if key not in doubled} | {code: code for code in names}


def _field(name: str, title: str, read: Reader, *, column: str = "", of_household: bool = False) -> Field:
    return Field(name=name, title=title, of_household=of_household, column=column or name, read=read)


FIELDS = (
    _field("household_number", "Số hộ", _text, column="number", of_household=True),
    _field("household_kind", "Loại hộ", _kind, column="kind", of_household=True),
    _field("hamlet", "Thôn, tổ dân phố", _text, of_household=True),
    _field("address", "Địa chỉ", _text, of_household=True),
    _field("enumeration_area", "Địa bàn điều tra", _text, of_household=True),
    _field("collaborator", "Cộng tác viên", _text, of_household=True),
    _field("opened_on", "Ngày lập hộ", _whole_date, of_household=True),
    _field("closed_on", "Ngày kết thúc hộ", _whole_date, of_household=True),
    _field("line_no", "Số thứ tự trong hộ", _number),
    _field("full_name", "Họ và tên", _text),
    _field("sex", "Giới tính", _sex),
    _field("birth_date", "Ngày sinh", _text),
    _field("ethnic", "Dân tộc", _code("ethnic")),
    _field("relation", "Quan hệ với chủ hộ", _code("relation")),
    _field("education", "Trình độ học vấn", _code("education")),
    _field("marital", "Tình trạng hôn nhân", _code("marital")),
    _field("residence", "Tình trạng cư trú", _code("residence")),
    _field("citizen_id", "Số định danh cá nhân", _text),
    _field("insurance_no", "Số thẻ bảo hiểm y tế", _text),
    _field("insurance_until", "Hạn thẻ bảo hiểm y tế", _whole_date),
    _field("phone", "Số điện thoại", _text),
)
"""The template, in the order of its columns. A file may have them in any order and leave out what is not required."""

REQUIRED = ("household_number", "line_no", "full_name", "sex", "birth_date", "ethnic")
DEFAULTS: Mapping[str, str] = {"kind": "family", "residence": "usual"}
CODE_LISTS = ("ethnic", "relation", "education", "marital", "residence")
# 12.1: generated registers count in whole numbers, so the template never meets one of their households.
EXAMPLES = (
    "12.1;gia đình;Thôn 3;;;;;;1;Nguyễn Văn Mẫu;nam;05/03/1981;01;01;05;2;usual;;;;",
    "12.1;gia đình;Thôn 3;;;;;;2;Trần Thị Thử;nữ;11/1984;Kinh;02;09;2;usual;;;;",
)
BY_HEADER = {plain(header): field for field in FIELDS for header in (field.name, field.title)}


def template() -> str:
    """A file to start from: titles in Vietnamese, one invented household; semicolons and a BOM, as Excel here wants."""
    return "\ufeff" + "\r\n".join([";".join(field.title for field in FIELDS), *EXAMPLES]) + "\r\n"
