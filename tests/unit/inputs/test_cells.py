"""What programs and people do to single cells: each is read where it can mean one thing, refused with its reason where
not, and said where it is odd."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

import pytest

from syncd.inputs import names
from syncd.inputs.cell import Around, CellError, Oddities
from syncd.inputs.person_cells import FIELDS, read_cell
from syncd.text.garbled import code_of
from syncd.text.vietnamese import is_syllable
from tests.unit.inputs.lists import CODES


def cp1258(text: str) -> str:
    """As bytes of Windows-1258 look to a program that takes them for Western ones."""
    parts = unicodedata.normalize("NFD", text)
    for base, mark in (*((vowel, "\u0302") for vowel in "aeoAEO"), ("a", "\u0306"), ("A", "\u0306"), ("o", "\u031b"),
                       ("u", "\u031b"), ("O", "\u031b"), ("U", "\u031b")):  # fmt: skip
        tones = "\u0323\u0300\u0301\u0303\u0309"
        parts = re.sub(f"{base}([{tones}]?){mark}", unicodedata.normalize("NFC", base + mark) + r"\1", parts)
    return parts.encode("cp1258").decode("cp1252")


BY_NAME = {field.name: field for field in FIELDS}
AROUND = Around(codes=CODES, today=date(2026, 11, 20))

READ = [
    # column, cell, value, note
    ("household_number", "1020.0", "1020", "number_form"),
    ("household_number", "01020", "1020", "number_form"),
    ("household_number", "12,1", "12.1", "number_form"),
    ("household_number", "'12.1", "12.1", "apostrophe"),
    ("household_number", '="1012"', "1012", "quoted"),
    ("line_no", "2.0", 2, None),
    ("line_no", "2.", 2, None),
    ("sex", "1.0", 1, None),
    ("sex", "NỮ", 2, None),
    ("ethnic", "'01", "01", "apostrophe"),
    ("marital", "2.0", "2", None),
    ("citizen_id", "042 060 000 001", "042060000001", None),
    ("citizen_id", "042.060.000.001", "042060000001", None),
    ("citizen_id", "\u200b042060000001\u00a0", "042060000001", "invisible"),
    ("citizen_id", "không có", None, "nothing"),
    ("citizen_id", "nan", None, "nothing"),
    ("insurance_no", "ht 4 42 9900000002", "HT4429900000002", None),
    ("insurance_no", "4210000000.0", "4210000000", None),
    ("insurance_no", "TE1", "TE1", "insurance_form"),
    ("phone", "'0912000003", "0912000003", "apostrophe"),
    ("phone", '="0912000004"', "0912000004", "quoted"),
    ("phone", "912000004", "0912000004", "leading_zero"),
    ("phone", "912000004.0", "0912000004", "leading_zero"),
    ("phone", "+84 912 000 004", "0912000004", None),
    ("phone", "0912.000.004", "0912000004", None),
    ("phone", "0912", "0912", "phone_form"),
    ("full_name", "Nguyễn\u200b Văn  Mẫu", "Nguyễn Văn Mẫu", "invisible"),
    ("full_name", "Nguyễn\u200bVăn\u200bMẫu", "Nguyễn Văn Mẫu", "invisible"),
    ("full_name", "NGUYỄN\u200bVĂN MẪU", "NGUYỄN VĂN MẪU", "invisible"),
    ("full_name", "Y BLŎ", "Y BLŎ", None),
    ("full_name", "Nguy&#7877;n V&#259;n M&#x1EAB;u", "Nguyễn Văn Mẫu", "entity"),
    ("full_name", "Nguy&amp;#7877;n V&abreve;n Mẫu", "Nguyễn Văn Mẫu", "entity"),
    ("full_name", "Ho&agrave;ng Th&uacute; An", "Hoàng Thú An", "entity"),
    ("full_name", "Nguye^~n Va(n Ma^~u", "Nguyễn Văn Mẫu", "viqr"),
    ("full_name", "Tra^`n Thi. Tha?o", "Trần Thị Thảo", "viqr"),
    ("full_name", "Ho^` DDu+'c Ti'n", "Hồ Đức Tín", "viqr"),
    ("full_name", "Nguye6n4 Va8n Ma6u4", "Nguyễn Văn Mẫu", "viqr"),
    ("full_name", "Nguye64n D9u71c Hoa2", "Nguyễn Đức Hòa", "viqr"),
    ("full_name", "'Nguyễn Văn Mẫu'", "Nguyễn Văn Mẫu", "quotes"),
    ("full_name", "Nguyeenx Vawn An", "Nguyeenx Vawn An", "telex"),
    ("full_name", "Dduwcs Anh", "Dduwcs Anh", "telex"),
    ("full_name", "Y Moan Eenuol", "Y Moan Eenuol", None),
    ("full_name", "James Brown", "James Brown", None),
    ("full_name", "Nguyen Van An", "Nguyen Van An", None),
    ("full_name", "@SUM", "@SUM", "name_form"),
    ("line_no", "\uff12", 2, "wide"),
    ("birth_date", "\uff10\uff15/03/1981", ("1981-03-05", "d"), "wide"),
    ("hamlet", "Tho^n 3", "Thôn 3", "viqr"),
    ("hamlet", "Th&ocirc;n 3", "Thôn 3", "entity"),
    ("hamlet", "A & B", "A & B", None),
    ("full_name", "H\u2019Hen Nie", "H\u2019Hen Nie", None),
    ("full_name", "Nguyen Van Nam 2", "Nguyen Van Nam 2", "name_form"),
    ("full_name", "Ngu\u200byễn Văn Mẫu", "Nguyễn Văn Mẫu", "invisible"),
    ("full_name", "Ho\u200bA", "Ho A", "invisible"),
    ("citizen_id", "042060\u200b000001", "042060000001", "invisible"),
    ("hamlet", "Thôn\u200b3", "Thôn 3", "invisible"),
    ("hamlet", "3.0", "3", None),
    ("enumeration_area", "001.0", "001", None),
    ("hamlet", "Thôn 3.0", "Thôn 3.0", None),
    ("full_name", "\u00d0ặng Văn Mẫu", "Đặng Văn Mẫu", "letter_d"),
    ("full_name", "'Nguyễn Văn Mẫu", "Nguyễn Văn Mẫu", "apostrophe"),
    ("full_name", "Nguyễn Văn Mẫu 2", "Nguyễn Văn Mẫu 2", "name_form"),
    ("full_name", "\u041dguyễn Văn Mẫu", "\u041dguyễn Văn Mẫu", "name_letters"),
    ("full_name", "François Müller", "François Müller", None),
    ("full_name", "Ksor Y Blŏ", "Ksor Y Blŏ", None),
    ("full_name", "H'Hen Niê", "H'Hen Niê", None),
    ("full_name", "Ê Ban", "Ê Ban", None),
    ("hamlet", "Ia Púch", "Ia Púch", None),
    ("hamlet", "Krông Năng, Ea Kuăng", "Krông Năng, Ea Kuăng", None),
    ("hamlet", "-", None, "nothing"),
    ("hamlet", "Nan", "Nan", None),
    ("birth_date", "1981.0", ("1981-01-01", "y"), None),
    ("birth_date", "1981-03-05 00:00:00", ("1981-03-05", "d"), None),
    ("birth_date", "1981-03-05T00:00:00.000Z", ("1981-03-05", "d"), None),
    ("birth_date", "05/03/1981 12:00:00 SA", ("1981-03-05", "d"), None),
    ("birth_date", "1981/3/5", ("1981-03-05", "d"), None),
    ("birth_date", "'05/03/1981", ("1981-03-05", "d"), "apostrophe"),
    ("birth_date", "05-Mar-1981", ("1981-03-05", "d"), None),
    ("birth_date", "ngày 5 tháng 3 năm 1981", ("1981-03-05", "d"), None),
    ("birth_date", "tháng 3/1981", ("1981-03-01", "m"), None),
    ("birth_date", "00/00/1981", ("1981-01-01", "y"), None),
    ("birth_date", "00/03/1981", ("1981-03-01", "m"), None),
    ("citizen_id", "000000000000", None, "made_up"),
    ("citizen_id", "111 111 111 111", None, "made_up"),
    ("citizen_id", "123456789012", None, "made_up"),
    ("citizen_id", "012345678901", None, "made_up"),
    ("citizen_id", "0", None, "made_up"),
    ("citizen_id", "-", None, "nothing"),
    ("citizen_id", "chưa làm", None, "nothing"),
    ("citizen_id", "?", None, "nothing"),
    ("insurance_no", "0000000000", None, "made_up"),
    ("insurance_no", "1234567890.0", None, "made_up"),
    ("insurance_no", "TE 0000000000000", None, "made_up"),
    ("insurance_no", "Chưa có", None, "nothing"),
    ("phone", "0000000000", None, "made_up"),
    ("phone", "không", None, "nothing"),
    ("birth_date", "05-thg3-1981", ("1981-03-05", "d"), None),
    ("birth_date", "5 thg 3 1981", ("1981-03-05", "d"), None),
    ("birth_date", "5 Thg3, 1981", ("1981-03-05", "d"), None),
    ("birth_date", "Mar 5, 1981", ("1981-03-05", "d"), None),
    ("birth_date", "March 5th 1981", ("1981-03-05", "d"), None),
    ("birth_date", "Thursday, March 5, 1981", ("1981-03-05", "d"), None),
    ("birth_date", "Thứ Năm, 5 tháng 3, 1981", ("1981-03-05", "d"), None),
    ("birth_date", "ngày 05/03/1981", ("1981-03-05", "d"), None),
    ("birth_date", "tháng ba năm 1981", ("1981-03-01", "m"), None),
    ("birth_date", "1981-Mar-05", ("1981-03-05", "d"), None),
    ("birth_date", "19810305", ("1981-03-05", "d"), None),
    ("household_number", "1.020,0", "1020", "number_form"),
    ("household_number", "1,020.0", "1020", "number_form"),
    ("birth_date", "1910", ("1910-01-01", "y"), "age"),
    ("insurance_until", "31/12/2027", "2027-12-31", None),
]
REFUSED = [
    ("household_number", "1,02E+03", "scientific"),
    ("household_number", "1.020", "thousands"),
    ("household_number", "12-Jan", "number_date"),
    ("household_number", "#REF!", "failed"),
    ("line_no", "0", "number"),
    ("line_no", "1.5", "number"),
    ("line_no", "②", "number"),
    ("ethnic", "1", "code"),
    ("ethnic", "01 Kinh", "code"),
    ("ethnic", "Kinh 01", "code"),
    ("sex", "1 nam", "sex"),
    ("household_number", "1 December", "number_date"),
    ("household_number", "Mar-12", "number_date"),
    ("household_number", "3-Thg1", "number_date"),
    ("ethnic", "1.0", "code"),
    ("citizen_id", "4.206E+10", "scientific"),
    ("citizen_id", "42060000001", "leading_zero"),
    ("citizen_id", "42060000001.0", "leading_zero"),
    ("citizen_id", "183456789", "old_identity"),
    ("insurance_no", "4.23E+09", "scientific"),
    ("insurance_no", "4,21E+09", "scientific"),
    ("insurance_no", "421000000", "leading_zero"),
    ("insurance_no", "05/03/1981", "number_date"),
    ("phone", "9.12E+08", "scientific"),
    ("phone", "=A1&B1", "formula"),
    ("full_name", "#n/a", "failed"),
    ("full_name", "########", "failed"),
    ("full_name", "Err:502", "failed"),
    ("full_name", "Nguy?n Văn An", "lost_letters"),
    ("full_name", "Nguy\ufffdn Văn An", "lost_letters"),
    ("full_name", "NguyÔn V¨n An", "garbled"),
    ("full_name", "§Æng H÷u Ph\u00adíc", "garbled"),
    ("full_name", "Nguyeãn Vaên An", "garbled"),
    ("full_name", "Ñaëng Höõu Phöôùc", "garbled"),
    ("full_name", "Nguyá»…n VÄƒn An", "garbled"),
    ("full_name", "Nguyễn Văn Hoà".encode().decode("latin-1"), "garbled"),
    ("full_name", "Nguyễn Văn Mẫu".encode().decode("mac_roman"), "garbled"),
    ("full_name", "Trần Đức Ẩn".encode().decode("mac_roman"), "garbled"),
    ("full_name", "Lê Hương".encode().decode("cp1258"), "garbled"),
    ("full_name", cp1258("Nguyễn Văn Mẫu"), "garbled"),
    ("full_name", cp1258("Trần Thị Thảo"), "garbled"),
    ("full_name", cp1258("ĐẶNG THỊ HẰNG"), "garbled"),
    ("full_name", cp1258("TRẦN"), "garbled"),
    ("hamlet", cp1258("Xóm Gò Dưới"), "garbled"),
    ("full_name", "Nguy&#7877", "entity"),
    ("full_name", "#NAME?", "failed"),
    ("full_name", "Nguyễn Văn Mẫu (đã mất)", "name_remark"),
    ("full_name", "Nguyễn Văn Mẫu - chết 2020", "name_remark"),
    ("full_name", "Nguyễn Văn " + "Mẫu " * 30, "long"),
    ("address", "Nhà " * 200, "long"),
    ("full_name", "Nguye^~n Brown", "signs"),
    ("full_name", "042060000001", "name"),
    ("hamlet", "Th\u00abn 3", "garbled"),
    ("hamlet", "Thoân 3", "garbled"),
    ("hamlet", "Th\u00c3\u00b4n 3", "garbled"),
    ("hamlet", "Th?n 3", "lost_letters"),
    ("address", "#VALUE!", "failed"),
    ("birth_date", "05/03/0081", "year"),
    ("birth_date", "1781", "year"),
    ("birth_date", "05/03/81", "year_digits"),
    ("birth_date", "5-Mar", "date"),
    ("birth_date", "Mar-81", "year_digits"),
    ("birth_date", "29650", "date_number"),
    ("birth_date", "05-Mar-81", "year_digits"),
    ("birth_date", "5 thg 3 81", "year_digits"),
    ("birth_date", "05-thg3-81", "year_digits"),
    ("birth_date", "Mar 5, 81", "year_digits"),
    ("birth_date", "05031981", "date_digits"),
    ("birth_date", "Tân Dậu", "lunar"),
    ("birth_date", "5/3/1981 ÂL", "lunar"),
    ("household_number", "1,020", "thousands"),
    ("household_number", "1 020", "thousands"),
    ("birth_date", "29650.0", "date_number"),
    ("birth_date", "03/25/1981", "month_first"),
    ("birth_date", "00/01/1900", "empty_date"),
    ("birth_date", "30/12/1899", "empty_date"),
    ("birth_date", "1981-03-04T17:00:00.000Z", "date_time"),
    ("birth_date", "31/02/2024", "date"),
    ("birth_date", "21/11/2026", "rule"),
    ("insurance_until", "31/12/0026", "year"),
    ("insurance_until", "31/12/9999", "year"),
    ("insurance_until", "2027", "date"),
    ("opened_on", "01/01/1015", "year"),
]


@pytest.mark.parametrize(("column", "cell", "value", "note"), READ)
def test_what_can_mean_one_thing_is_read_and_said_to_be_odd(
    column: str, cell: str, value: object, note: str | None
) -> None:
    odd = Oddities()
    values = read_cell(BY_NAME[column], cell, AROUND, odd)
    expected = tuple(values.values()) if len(values) > 1 else next(iter(values.values()), None)
    assert (expected, set(odd.found)) == (value, {note} - {None})


@pytest.mark.parametrize(("column", "cell", "rule"), REFUSED)
def test_what_can_mean_several_things_is_refused_with_its_own_reason(column: str, cell: str, rule: str) -> None:
    with pytest.raises(CellError) as caught:
        read_cell(BY_NAME[column], cell, AROUND, Oddities())
    assert caught.value.rule == rule
    assert cell not in caught.value.text_vi + caught.value.text_en


def test_a_column_with_the_month_first_makes_its_doubtful_dates_unreadable() -> None:
    doubtful = Around(codes=CODES, today=AROUND.today, month_first=frozenset({"birth_date"}))
    for cell in ("25/03/1981", "03/03/1981", "1981-03-05"):
        assert read_cell(BY_NAME["birth_date"], cell, doubtful, Oddities())
    with pytest.raises(CellError) as caught:
        read_cell(BY_NAME["birth_date"], "05/03/1981", doubtful, Oddities())
    assert caught.value.rule == "date_order"


def test_every_common_name_is_spelt_in_syllables_and_in_no_old_code() -> None:
    for parts in (names.FAMILY, names.MIDDLE_MALE, names.MIDDLE_FEMALE, names.GIVEN_MALE, names.GIVEN_FEMALE):
        for part in parts:
            assert is_syllable(part)
            assert code_of(f"{part} {part.upper()}") is None
