"""Names and places: text that people read, and that other programs may have read by the wrong code.

Enters: the text of a cell. Leaves: the text as it is kept. Must hold: text that has lost letters, or whose letters are
those of an old font, is refused and never stored as somebody's name; names of all peoples are taken.
"""

from __future__ import annotations

import re
import unicodedata

from schema.values import Value
from syncd.inputs.cell import Around, CellError, Oddities
from syncd.inputs.cell_numbers import POINT_ZERO
from syncd.inputs.text import clean
from syncd.text.garbled import code_of
from syncd.text.vietnamese import is_syllable

CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ue000-\uf8ff]")
LOST_LETTER = re.compile(r"\w\?\w|\w\?(?=\s|$)|(?:^|\s)\?\w")
ETH = str.maketrans("\u00d0\u00f0\u0189\u0256", "\u0110\u0111\u0110\u0111")  # taken for Đ, which they only resemble

LOST = (
    "lost_letters",
    "có chữ đã mất (dấu ? hoặc ô vuông trong chữ): xuất lại từ tệp gốc dạng CSV UTF-8",
    "letters are lost (? or a box within a word): export it again from the original as CSV UTF-8",
)


def refuse_garbled(text: str) -> None:
    """Raises CellError for text, as it stands in the file, that a program has read or written by the wrong code."""
    code = code_of(text.strip())
    if code is not None:
        raise CellError(
            "garbled",
            f"chữ bị sai mã: {code.vi}; chuyển sang Unicode (UniKey, Ctrl+Shift+F6) rồi xuất lại CSV UTF-8",
            f"the letters are those of another code: {code.en}; convert to Unicode (UniKey, Ctrl+Shift+F6), and export "
            "as CSV UTF-8",
        )
    if CONTROL.search(text) or LOST_LETTER.search(text):
        raise CellError(*LOST)


def free_text(value: str, _around: Around, odd: Oddities) -> Value:
    """A place, an address; one that is but a number without the .0 of a program."""
    return match[1] if (match := POINT_ZERO.fullmatch(value)) else _with_d(value, odd)


def person_name(value: str, _around: Around, odd: Oddities) -> Value:
    """Somebody's name."""
    if "?" in value:
        raise CellError(*LOST)
    if not any(letter.isalpha() for letter in value):
        raise CellError("name", "họ tên phải có chữ", "a name has letters")
    if any(letter.isdigit() or letter in '()[]/\\;,"' for letter in value):
        odd.note("name_form", "họ tên có chữ số, ngoặc hoặc dấu phân cách", "the name holds digits, brackets or marks")
    if any(letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN") for letter in value):
        odd.note(
            "name_letters",
            "họ tên có chữ cái không phải chữ La-tinh (có thể chỉ giống)",
            "the name holds letters of another alphabet (they may only look alike)",
        )
    return _with_d(value, odd)


def _with_d(value: str, odd: Oddities) -> str:
    """Ð and ð of other alphabets are Đ and đ where that gives a Vietnamese word."""
    read = " ".join(
        word.translate(ETH) if is_syllable(word.translate(ETH)) else word for word in clean(value).split(" ")
    )
    if read != value:
        odd.note("letter_d", "chữ Đ viết bằng ký tự khác; đã đổi lại", "Đ was written with another character; mended")
    return read
