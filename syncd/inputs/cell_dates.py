"""Dates as people and spreadsheets write them. The day comes first; nothing is guessed.

Enters: the text of a cell. Leaves: a canonical date and how much of it is known, or the reason why it is none.
Must hold: a date that reads two ways is read only where its column gives no reason to doubt the order; what a
spreadsheet shows for an empty cell, a number of days or a year of two digits is no date.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from syncd.inputs.cell import Around, CellError, Oddities
from syncd.inputs.limits import HOUSEHOLD_YEAR_MIN, INSURED_YEAR_MIN, INSURED_YEARS_AHEAD_MAX
from syncd.inputs.text import plain
from syncd.limits import AGE_YEARS_MAX

MIDNIGHT = re.compile(
    r"(?:[ t]|, )0{1,2}:00(?::00(?:\.0+)?)?(?: ?(?:am|sa))?(?:z|[+-]00:?00|\+07:?00)?| 12:00(:00)? (am|sa)"
)
TIME = re.compile(r"[ t,]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?(am|pm|sa|ch))?(z|[+-]\d\d:?\d\d)?")
MONTHS = {
    name: place
    for place, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
MONTH_NAME = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    "nov(?:ember)?|dec(?:ember)?"
)
NAMED_FIRST = re.compile(rf"(?P<name>{MONTH_NAME})\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})")
YEAR_FIRST = re.compile(rf"(?P<y>\d{{4}})[ /.-](?P<name>{MONTH_NAME})[ /.-](?P<d>\d{{1,2}})")
BEFORE = re.compile(  # a weekday, or the word day
    r"^(?:(?:thu (?:hai|ba|tu|nam|sau|bay)|chu nhat|"
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?),? |ngay )"
)
NAMED_MONTH = re.compile(rf"(?:(?P<d>\d{{1,2}})[ /.-])?(?P<name>{MONTH_NAME})\.?,?[ /.-](?P<y>\d{{4}})")
IN_WORDS = re.compile(
    r"(?:(?P<d>\d{1,2})[ /.,-]{1,2})?(?:thang|thg|th)[. ]{0,2}(?P<m>\d{1,2}|[a-z]{2,4}(?: mot| hai)?)"
    r"(?:,? nam |[ ,/.-]{1,2})(?P<y>\d{4})"
)
NUMBER_WORDS = ("mot", "hai", "ba", "tu", "nam", "sau", "bay", "tam", "chin", "muoi", "muoi mot", "muoi hai")
YEAR_IN_WORDS = re.compile(r"nam (?P<y>\d{4})")
DATE_FORMS = (
    (re.compile(r"(?P<d>\d{1,2}) ?[/.-] ?(?P<m>\d{1,2}) ?[/.-] ?(?P<y>\d{4})"), "d"),
    (re.compile(r"(?P<y>\d{4})[/.-](?P<m>\d{1,2})[/.-](?P<d>\d{1,2})"), "d"),
    (re.compile(r"(?P<y>(?:19|20)\d\d)(?P<m>\d\d)(?P<d>\d\d)"), "d"),
    (re.compile(r"(?P<m>\d{1,2}) ?[/.-] ?(?P<y>\d{4})"), "m"),
    (re.compile(r"(?P<y>\d{4})[/.-](?P<m>\d{1,2})"), "m"),
    (re.compile(r"(?P<y>\d{4})(?:\.0+)?"), "y"),
)
MONTH_WORD = r"(?:[a-z]{3,9}\.?|(?:thang|thg|th)[. ]{0,2}\d{1,2})"
SHORT_YEAR = re.compile(
    rf"\d{{1,2}}[ /.-]{{1,2}}(\d{{1,2}}|{MONTH_WORD})[ ,/.-]{{1,2}}\d{{2}}|{MONTH_WORD}[ ,/.-]{{1,2}}\d{{2}}|"
    rf"\d{{2}}[ /.-]{MONTH_WORD}|{MONTH_WORD} \d{{1,2}},? \d{{2}}"
)
NO_YEAR = re.compile(rf"\d{{1,2}}[ /.-]{{1,2}}(\d{{1,2}}|{MONTH_WORD})|{MONTH_WORD} \d{{1,2}}")
EIGHT_DIGITS = re.compile(r"\d{8}(?:\.0+)?")
LUNAR = re.compile(r".*\b(?:am lich|al)\b.*")
OLD_YEAR = re.compile(
    r"(?:giap|at|binh|dinh|mau|ky|canh|tan|nham|quy) (?:ty|suu|dan|mao|meo|thin|ngo|mui|than|dau|tuat|hoi)"
)
SERIAL = re.compile(r"\d{5}(\.\d+)?")
DAY_OF_NONE = frozenset({"1899-12-30", "1899-12-31", "1900-01-01"})  # how spreadsheets show an empty cell, or 0
NO_DAY = re.compile(r"0?0/0?1/1900|0?1/0?0/1900|1900-0?1-0?0")
BY_DAY_OR_MONTH = re.compile(r"(\d{1,2}) ?[/.-] ?(\d{1,2}) ?[/.-] ?\d{4}(?!\d)")

DATE = (
    "date",
    "ngày có dạng dd/mm/yyyy (ngày sinh có thể là mm/yyyy hoặc yyyy)",
    "a date is dd/mm/yyyy or yyyy-mm-dd; a birth date may be mm/yyyy or yyyy",
)
SHORT = (
    "year_digits",
    "năm phải đủ bốn chữ số: định dạng cột là dd/mm/yyyy rồi lưu lại",
    "a year has four digits: format the column as dd/mm/yyyy and save again",
)
WITHOUT_YEAR = ("date", "thiếu năm: ghi đủ dd/mm/yyyy", "the year is missing: write dd/mm/yyyy")
RUN_TOGETHER = (
    "date_digits",
    "tám chữ số liền nhau đọc được nhiều cách: ghi dd/mm/yyyy",
    "eight digits in a row read several ways: write dd/mm/yyyy",
)
BY_MOON = (
    "lunar",
    "là ngày hoặc năm âm lịch: ghi ngày dương lịch, dd/mm/yyyy, hoặc chỉ năm dương lịch",
    "is a day or year of the lunar calendar: write the solar one, dd/mm/yyyy, or the solar year alone",
)
NUMBER = (
    "date_number",
    "ô là số ngày của bảng tính, không phải ngày: định dạng cột là dd/mm/yyyy rồi lưu lại",
    "the cell is a spreadsheet's number of days: format the column as dd/mm/yyyy and save again",
)
EMPTY_DAY = (
    "empty_date",
    "bảng tính hiện ngày này cho ô trống: xóa nội dung ô hoặc nhập ngày đúng",
    "this is the day a spreadsheet shows for an empty cell: clear it or type the date",
)
MONTH_FIRST = (
    "month_first",
    "tháng đứng trước ngày (mm/dd/yyyy): đổi sang dd/mm/yyyy",
    "the month comes before the day (mm/dd/yyyy): change it to dd/mm/yyyy",
)
EITHER_WAY = (
    "date_order",
    "cột này có ngày viết tháng trước, nên ngày này đọc được hai cách: đổi cả cột sang dd/mm/yyyy hoặc yyyy-mm-dd",
    "some dates of this column have the month first, so this one reads two ways: write the column as dd/mm/yyyy or "
    "yyyy-mm-dd",
)
OF_DAY = (
    "date_time",
    "có giờ khác 00:00, nên không rõ ngày nào: chỉ ghi ngày, dd/mm/yyyy",
    "has a time other than 00:00, so the day is not sure: write the day alone, dd/mm/yyyy",
)


def read_partial_date(text: str, *, either_way: bool = False) -> tuple[str, str]:
    """(date, precision d, m or y); what is unknown becomes the first month or day. `either_way`: its column holds dates
    with the month first. Raises CellError.
    """
    value = _without_time(" ".join(text.casefold().split()))
    order = BY_DAY_OR_MONTH.fullmatch(value)
    if order and int(order[1]) <= 12 < int(order[2]) <= 31:
        raise CellError(*MONTH_FIRST)
    if order and either_way and order[1].lstrip("0") != order[2].lstrip("0") and 0 < int(order[1]) <= 12:
        raise CellError(*EITHER_WAY)
    if NO_DAY.fullmatch(value):
        raise CellError(*EMPTY_DAY)
    found = _parts(value)
    if found is None:
        raise CellError(*_why_none(value))
    parts, precision = found
    try:
        day = date(parts["y"], parts["m"], parts["d"]).isoformat()
    except ValueError:
        raise CellError(*(EMPTY_DAY if parts["y"] in (1899, 1900) else DATE)) from None
    if precision == "d" and day in DAY_OF_NONE:
        raise CellError(*EMPTY_DAY)
    return day, precision


def is_month_first(text: str) -> bool:
    """Whether a date can only be read with the month first."""
    match = BY_DAY_OR_MONTH.match(text.strip())
    return match is not None and 0 < int(match[1]) <= 12 < int(match[2]) <= 31


def birth_date(text: str, around: Around, odd: Oddities) -> tuple[str, str]:
    """The day of birth of somebody who may be alive. Raises CellError."""
    day, precision = read_partial_date(text, either_way="birth_date" in around.month_first)
    if day > around.today.isoformat():
        raise CellError("rule", "không được sau hôm nay", "is not after today")
    years = around.today.year - int(day[:4])
    if years > AGE_YEARS_MAX:
        raise CellError(
            "year",
            f"năm sinh cách đây hơn {AGE_YEARS_MAX} năm: xem lại năm",
            f"the birth lies more than {AGE_YEARS_MAX} years back: look at the year",
        )
    if years > 110:
        odd.note("age", "người trên 110 tuổi", "somebody older than 110 years")
    return day, precision


def insured_until(text: str, around: Around) -> str:
    """The last day of an insurance card. Raises CellError."""
    day = _whole(text, "insurance_until", around)
    last = around.today.year + INSURED_YEARS_AHEAD_MAX
    if not INSURED_YEAR_MIN <= int(day[:4]) <= last:
        raise CellError(
            "year",
            f"hạn thẻ phải từ năm {INSURED_YEAR_MIN} đến {last}; không có hạn thì để trống",
            f"a card ends between {INSURED_YEAR_MIN} and {last}; leave it empty where it has no end",
        )
    return day


def household_day(text: str, name: str, around: Around) -> str:
    """The day a household began or ended. Raises CellError."""
    day = _whole(text, name, around)
    if int(day[:4]) < HOUSEHOLD_YEAR_MIN:
        raise CellError(
            "year",
            f"năm trước {HOUSEHOLD_YEAR_MIN}: xem lại năm",
            f"lies before {HOUSEHOLD_YEAR_MIN}: look at the year",
        )
    if day > (around.today + timedelta(days=366)).isoformat():
        raise CellError("year", "quá một năm sau hôm nay: xem lại năm", "lies over a year ahead: look at the year")
    return day


def _whole(text: str, name: str, around: Around) -> str:
    day, precision = read_partial_date(text, either_way=name in around.month_first)
    if precision != "d":
        raise CellError(*DATE)
    return day


def _without_time(value: str) -> str:
    """Without 00:00, which spreadsheets and databases write behind a day. Any other time may mean the day before."""
    time = TIME.search(value)
    if time is None or time.end() != len(value):
        return value
    if MIDNIGHT.fullmatch(value[time.start() :]):
        return value[: time.start()]
    raise CellError(*OF_DAY)


def _parts(value: str) -> tuple[dict[str, int], str] | None:
    value = value.removeprefix("ngày ")
    for form, precision in DATE_FORMS:
        if match := form.fullmatch(value):
            parts = {name: int(digits) for name, digits in match.groupdict().items()}
            return _known(parts, precision)
    words = BEFORE.sub("", plain(value), count=1)
    for form in (NAMED_MONTH, NAMED_FIRST, YEAR_FIRST):
        if match := form.fullmatch(words):
            parts = {"y": int(match["y"]), "m": MONTHS[match["name"][:3]], "d": int(match["d"] or 0)}
            return _known(parts, "d")
    if (match := IN_WORDS.fullmatch(words)) and (match["m"].isdigit() or match["m"] in NUMBER_WORDS):
        month = int(match["m"]) if match["m"].isdigit() else NUMBER_WORDS.index(match["m"]) + 1
        return _known({"y": int(match["y"]), "m": month, "d": int(match["d"] or 0)}, "d")
    if match := YEAR_IN_WORDS.fullmatch(words):
        return _known({"y": int(match["y"])}, "y")
    return None


def _known(parts: dict[str, int], precision: str) -> tuple[dict[str, int], str]:
    """People write 00 for a day or month nobody knows."""
    if precision == "d" and parts["d"] == 0:
        parts, precision = {"y": parts["y"], "m": parts["m"]}, "m"
    if precision == "m" and parts["m"] == 0:
        parts, precision = {"y": parts["y"]}, "y"
    return {"m": 1, "d": 1, **parts}, precision


def _why_none(value: str) -> tuple[str, str, str]:
    if SERIAL.fullmatch(value):
        return NUMBER
    words = BEFORE.sub("", plain(value), count=1)
    if LUNAR.fullmatch(words) or OLD_YEAR.fullmatch(words):
        return BY_MOON
    if EIGHT_DIGITS.fullmatch(value):
        return RUN_TOGETHER
    if SHORT_YEAR.fullmatch(words):
        return SHORT
    return WITHOUT_YEAR if NO_YEAR.fullmatch(words) else DATE
