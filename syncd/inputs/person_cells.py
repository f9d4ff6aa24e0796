"""The columns of the import template, and how each cell becomes a canonical value.

Enters: the text of one cell. Leaves: values by table column, or the rule it breaks; never the text itself.
Must hold: nothing is guessed: a date that reads two ways is read with the day first or not at all, and a code whose
leading zero Excel has eaten is refused, since 1 may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schema.values import Value
from syncd.inputs.cell import INVISIBLE, Around, CellError, Oddities, Values, prepared
from syncd.inputs.cell_dates import birth_date, household_day, insured_until
from syncd.inputs.cell_numbers import citizen_id, digits_of, household_number, insurance_no, phone, small_number
from syncd.inputs.cell_texts import as_letters, free_text, person_name, refuse_garbled
from syncd.inputs.problem import not_in_list
from syncd.inputs.text import plain

Reader = Callable[[str, Around, Oddities], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of the template. `column`: the table column it fills; a birth date fills its precision too."""

    name: str
    title: str
    of_household: bool
    column: str
    read: Reader
    also: tuple[str, ...] = ()  # further titles, as lists of other offices bear them


def read_cell(field: Field, text: str, around: Around, odd: Oddities) -> Values:
    """The table columns a cell fills; none for an empty cell. Raises CellError."""
    if field.read in (person_name, free_text):
        text = as_letters(text, odd)
        refuse_garbled(text)
    value = prepared(text, odd)
    if not value:
        return {}
    if field.name == "birth_date":
        day, precision = birth_date(value, around, odd)
        return {"birth_date": day, "birth_precision": precision}
    kept = field.read(value, around, odd)
    return {} if kept is None else {field.column: kept}


def title_key(title: str) -> str:
    """What titles of one column share: no marks, no hint in brackets, nothing that cannot be seen."""
    text = plain(INVISIBLE.sub("", title)).strip("\"'* :")
    return re.sub(r"\s*[(\[][^)\]]*[)\]]\s*$", "", text).strip("* :")


def _text(value: str, _around: Around, _odd: Oddities) -> Value:
    return value


def _household_day(name: str) -> Reader:
    return lambda value, around, _odd: household_day(value, name, around)


SEXES = {"1": 1, "2": 2, "nam": 1, "nu": 2, "male": 1, "female": 2}
KINDS = {"family": "family", "collective": "collective", "gia dinh": "family", "tap the": "collective"}


def _sex(value: str, _around: Around, _odd: Oddities) -> Value:
    sex = SEXES.get(plain(digits_of(value)))
    if sex is None:
        raise CellError("sex", "giới tính là 1 hoặc nam, 2 hoặc nữ", "sex is 1 or male, 2 or female")
    return sex


def _kind(value: str, _around: Around, _odd: Oddities) -> Value:
    if plain(value) not in KINDS:
        raise CellError("kind", "loại hộ là gia đình hoặc tập thể", "the kind is family or collective")
    return KINDS[plain(value)]


def _code(list_name: str) -> Reader:
    """Accepts a code or its exact name. While the list has not come down, any code passes: it never blocks."""

    def read(value: str, around: Around, _odd: Oddities) -> Value:
        known = around.codes.get(list_name)
        if not known:
            return value
        found = known.get(value) or known.get(plain(value)) or known.get(digits_of(value))
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


def _field(name: str, title: str, read: Reader, *also: str, column: str = "", of_household: bool = False) -> Field:
    return Field(name=name, title=title, of_household=of_household, column=column or name, read=read, also=also)


FIELDS = (
    _field("household_number", "Số hộ", household_number, "Hộ số", "Mã hộ", column="number", of_household=True),
    _field("household_kind", "Loại hộ", _kind, column="kind", of_household=True),
    _field("hamlet", "Thôn, tổ dân phố", free_text, "Thôn", "Tổ dân phố", "Thôn/tổ dân phố", of_household=True),
    _field("address", "Địa chỉ", free_text, of_household=True),
    _field("enumeration_area", "Địa bàn điều tra", free_text, of_household=True),
    _field("collaborator", "Cộng tác viên", person_name, of_household=True),
    _field("opened_on", "Ngày lập hộ", _household_day("opened_on"), of_household=True),
    _field("closed_on", "Ngày kết thúc hộ", _household_day("closed_on"), of_household=True),
    _field("line_no", "Số thứ tự trong hộ", small_number, "STT trong hộ"),
    _field("full_name", "Họ và tên", person_name, "Họ tên", "Họ, tên", "Họ và tên đầy đủ"),
    _field("sex", "Giới tính", _sex, "Nam/nữ"),
    _field("birth_date", "Ngày sinh", _text, "Ngày tháng năm sinh", "Ngày, tháng, năm sinh"),
    _field("ethnic", "Dân tộc", _code("ethnic")),
    _field("relation", "Quan hệ với chủ hộ", _code("relation"), "Quan hệ chủ hộ"),
    _field("education", "Trình độ học vấn", _code("education")),
    _field("marital", "Tình trạng hôn nhân", _code("marital")),
    _field("residence", "Tình trạng cư trú", _code("residence")),
    _field("citizen_id", "Số định danh cá nhân", citizen_id, "Số định danh", "CCCD", "Số CCCD", "Số căn cước"),
    _field("insurance_no", "Số thẻ bảo hiểm y tế", insurance_no, "Số BHYT", "Số thẻ BHYT", "Mã thẻ BHYT"),
    _field("insurance_until", "Hạn thẻ bảo hiểm y tế", lambda value, around, _: insured_until(value, around),
           "Hạn thẻ BHYT"),
    _field("phone", "Số điện thoại", phone, "Điện thoại", "SĐT"),
)  # fmt: skip
"""The template, in the order of its columns. A file may have them in any order and leave out what is not required."""

REQUIRED = ("household_number", "line_no", "full_name", "sex", "birth_date", "ethnic")
DEFAULTS: Mapping[str, str] = {"kind": "family", "residence": "usual"}
CODE_LISTS = ("ethnic", "relation", "education", "marital", "residence")
# 12.1: generated registers count in whole numbers, so the template never meets one of their households.
EXAMPLES = (
    "12.1;gia đình;Thôn 3;;;;;;1;Nguyễn Văn Mẫu;nam;05/03/1981;01;01;05;2;usual;;;;",
    "12.1;gia đình;Thôn 3;;;;;;2;Trần Thị Thử;nữ;11/1984;Kinh;02;09;2;usual;;;;",
)
BY_HEADER = {title_key(header): field for field in FIELDS for header in (field.name, field.title, *field.also)}


def template() -> str:
    """A file to start from: titles in Vietnamese, one invented household; semicolons and a BOM, as Excel here wants."""
    return "\ufeff" + "\r\n".join([";".join(field.title for field in FIELDS), *EXAMPLES]) + "\r\n"
