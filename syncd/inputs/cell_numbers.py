"""Numbers that name somebody or something: of a household, a line, a citizen, an insurance card, a telephone.

Enters: the text of a cell. Leaves: the number as it is kept. Must hold: blanks and points that people put between
digits, and the .0 that programs put behind them, are left out; a number of which a program has dropped digits
(4.21E+09, a zero in front) is refused where more than one number could have been meant, and said to be so where only
one could.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from string import ascii_letters

from schema.values import Value
from syncd.inputs.cell import Around, CellError, Oddities
from syncd.inputs.text import plain

SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?\s*e\s*[+-]?\d{1,3}", re.IGNORECASE)
POINT_ZERO = re.compile(r"(\d+)[.,]0")
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?|thg ?\d{1,2})"
)
DATE_LIKE = re.compile(
    rf"\d{{1,2}}[/-]\d{{1,2}}[/-]\d{{2,4}}|\d{{4}}-\d\d-\d\d.*|\d{{1,2}}[/ -]{MONTH}|{MONTH}[/ -]\d{{1,4}}",
    re.IGNORECASE,
)
BETWEEN = re.compile(r"(?<=\d)[ .\u2010-\u2015-]+(?=\d)")
THOUSANDS = re.compile(r"\d{1,3}([., ]\d{3})+")
THOUSANDS_AND_TENTH = re.compile(r"(\d{1,3}(?:([.,])\d{3})+)(?!\2)[.,](\d)")  # 1.020,0: which mark is which is plain
INSURANCE = re.compile(r"[A-Z]{2}\d{13}|\d{10}")
# What people write in these columns where there is no number.
HAS_NONE = frozenset({
    "khong", "khong co", "chua", "chua co", "ko", "ko co", "k", "kco", "khong ro", "chua cap", "none", "chua lam",
    "dang lam", "cho cap", "chua duoc cap", "dang cho", "mat", "that lac", "bi mat", "khong biet", "khong nho", "quen",
    "khong the", "chua co the", "khong co the", "chua co so", "khong so", "tre em", "con nho", "x", "xx", "xxx", "?",
    "??", "???", "*", "***", "/", "//", "na", "no", "nil", "test",
})  # fmt: skip
SAME_DIGITS_MIN = 6
DIGITS_IN_ORDER = ("01234567890123456789", "98765432109876543210")

DROPPED = (
    "scientific",
    "bảng tính đã bỏ bớt chữ số (dạng 4.21E+09): định dạng cột là Text rồi nhập lại số",
    "a spreadsheet has dropped digits (4.21E+09): format the column as Text and type the number again",
)
DATED = (
    "number_date",
    "bảng tính đã đổi số thành ngày: định dạng cột là Text rồi nhập lại số",
    "a spreadsheet made a date of the number: format the column as Text and type the number again",
)
ZERO = (
    "leading_zero",
    "thiếu một chữ số, có thể là số 0 đứng đầu: định dạng cột là Text rồi nhập lại số",
    "one digit is missing, perhaps the zero in front: format the column as Text and type the number again",
)
THOUSAND = ("thousands", "số có dấu ngăn hàng nghìn: bỏ dấu đó", "has a mark between thousands: leave it out")


def digits_of(value: str) -> str:
    """The text without the .0 of a program. Raises CellError for a number whose digits are gone."""
    if SCIENTIFIC.fullmatch(value):
        raise CellError(*DROPPED)
    if DATE_LIKE.fullmatch(value):
        raise CellError(*DATED)
    return match[1] if (match := POINT_ZERO.fullmatch(value)) else value


def says_none(value: str, odd: Oddities) -> bool:
    """Whether the cell says in words that there is no number."""
    if plain(value) not in HAS_NONE:
        return False
    odd.note("nothing", "ô ghi là không có giá trị; được coi là trống", "says that it holds nothing; read as empty")
    return True


def is_made_up(value: str, whole: Collection[int] = (10, 12, 13)) -> bool:
    """Whether a number is what people type where they have none: one digit only, or digits in their order, as many as a
    number of its kind has (`whole`).
    """
    digits = BETWEEN.sub("", value.lstrip(ascii_letters).strip())
    if not digits.isascii() or not digits.isdigit():
        return False
    if len(set(digits)) == 1:
        return digits[0] == "0" or len(digits) >= SAME_DIGITS_MIN
    return len(digits) in whole and any(digits in order for order in DIGITS_IN_ORDER)


def names_nobody(value: str, odd: Oddities, *whole: int) -> bool:
    """Whether a cell says, in words or by a number that is none, that somebody has no number."""
    if says_none(value, odd):
        return True
    if not is_made_up(POINT_ZERO.sub(r"\1", value), whole):
        return False
    odd.note(
        "made_up",
        "số toàn một chữ số hoặc theo thứ tự 123…, không phải số của ai; được coi là trống",
        "one digit throughout, or digits in their order, is nobody's number; read as empty",
    )
    return True


def household_number(value: str, _around: Around, odd: Oddities) -> Value:
    """12 or 12.1. Zeros in front and .0 behind name the same household; so does a decimal comma."""
    number = canonical_number(digits_of(value))
    if THOUSANDS.fullmatch(number):
        raise CellError(*THOUSAND)
    if number != value:
        odd.note(
            "number_form",
            "số hộ viết dạng khác (số 0 ở đầu, .0 hoặc dấu phẩy); được đọc như số hộ thông thường",
            "the household number is written otherwise (zeros in front, .0, a comma); read as the plain number",
        )
    return number


def canonical_number(value: str) -> str:
    """The one form of a household number: 01020 and 1020.0 are 1020, 12,1 is 12.1. What is none stays as it is."""
    if both := THOUSANDS_AND_TENTH.fullmatch(value):
        value = f"{re.sub('[.,]', '', both[1])}.{both[3]}"
    match = re.fullmatch(r"0*(\d+)(?:[.,](\d))?", value)
    if match is None:
        return value
    return match[1] if match[2] in (None, "0") else f"{match[1]}.{match[2]}"


def small_number(value: str, _around: Around, _odd: Oddities) -> Value:
    """A whole number from 1 to 9999; a point behind it (1.) is how people number lists."""
    text = digits_of(value).removesuffix(".").removesuffix(")")
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) > 0):
        raise CellError("number", "là số nguyên từ 1 đến 9999", "is a whole number from 1 to 9999")
    return int(text)


def citizen_id(value: str, _around: Around, odd: Oddities) -> Value:
    """12 digits; all begin with 0, so that a number without it has lost it, or another."""
    if names_nobody(value, odd, 12):
        return None
    text = BETWEEN.sub("", digits_of(value))
    if text.isascii() and text.isdigit():
        if len(text) == 11:
            raise CellError(*ZERO)
        if len(text) == 9:
            raise CellError(
                "old_identity",
                "9 chữ số là chứng minh nhân dân cũ: nhập số định danh 12 chữ số, hoặc để trống",
                "9 digits are an old identity card: give the citizen id of 12 digits, or leave it empty",
            )
    return text


def insurance_no(value: str, _around: Around, odd: Oddities) -> Value:
    """10 digits, or two letters and 13 digits. Others are kept and noted."""
    if names_nobody(value, odd, 10, 13):
        return None
    text = BETWEEN.sub("", digits_of(value)).upper()
    joined = text.replace(" ", "").replace("-", "")
    if INSURANCE.fullmatch(joined):
        return joined
    if text.isascii() and text.isdigit() and len(text) == 9:
        raise CellError(*ZERO)
    odd.note(
        "insurance_form",
        "số thẻ không có dạng 10 chữ số, hoặc 2 chữ cái và 13 chữ số",
        "the number is neither 10 digits nor 2 letters and 13 digits",
    )
    return text


def phone(value: str, _around: Around, odd: Oddities) -> Value:
    """10 digits that begin with 0. Nine that do not have lost it, and no other digit can be missing."""
    if names_nobody(value, odd, 10):
        return None
    text = digits_of(value)
    number = re.sub(r"[ .()\u2010-\u2015-]", "", text)
    number = re.sub(r"^(?:\+|00)84(?=\d{9}$)", "0", number)
    if re.fullmatch(r"[35789]\d{8}", number):
        odd.note(
            "leading_zero",
            "số điện thoại mất số 0 đứng đầu; đã thêm lại",
            "the telephone number had lost the zero in front; put back",
        )
        number = f"0{number}"
    if re.fullmatch(r"0\d{9,10}", number):
        return number
    odd.note(
        "phone_form",
        "số điện thoại không có dạng 10 chữ số bắt đầu bằng 0",
        "the telephone number is not 10 digits that begin with 0",
    )
    return text
