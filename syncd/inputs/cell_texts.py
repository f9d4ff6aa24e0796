"""Names and places: text that people read, and that other programs may have read by the wrong code.

Enters: the text of a cell. Leaves: the text as it is kept. Must hold: text that has lost letters, or whose letters are
those of an old font, is refused and never stored as somebody's name; names of all peoples are taken.
"""

from __future__ import annotations

import html
import re
import unicodedata

from schema.values import Value
from syncd.inputs.cell import FAILED, Around, CellError, Oddities
from syncd.inputs.cell_numbers import POINT_ZERO
from syncd.inputs.limits import NAME_CHARS_MAX, TEXT_CHARS_MAX
from syncd.inputs.text import clean, plain
from syncd.text.garbled import ETH, code_of
from syncd.text.typed import is_telex, typed_in_signs
from syncd.text.vietnamese import is_syllable

CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ue000-\uf8ff]")
GONE = re.compile(r"[(\[,;-] ?(?:da )?(?:mat|chet|tu tran|qua doi|chuyen di|chuyen khau|cat khau|bo di)\b")
LOST_LETTER = re.compile(r"\w\?\w|\w\?(?=\s|$)|(?:^|\s)\?\w")
ENTITY = re.compile(r"&(?:#\d{2,7}|#x[0-9a-f]{2,6}|[a-z]{2,31});", re.IGNORECASE)
ENTITY_CUT = re.compile(r"&#x?[0-9a-f]{2,7}(?!\d|;)", re.IGNORECASE)
ENTITIES_DEEP_MAX = 3  # &amp;#7877; is a mark that was escaped twice

LOST = (
    "lost_letters",
    "có chữ đã mất (dấu ? hoặc ô vuông trong chữ): xuất lại từ tệp gốc dạng CSV UTF-8",
    "letters are lost (? or a box within a word): export it again from the original as CSV UTF-8",
)


SIGNS = (
    "signs",
    "họ tên có dấu hiệu của kiểu gõ (^, ~, `) mà không đọc được: gõ lại bằng Unicode",
    "the name holds signs of a way of typing (^, ~, `) that cannot be read: type it again in Unicode",
)
ENTITY_LEFT = (
    "entity",
    "chữ còn ở dạng mã của trang web (&#7877;), bị cắt hoặc không rõ: xuất lại từ tệp gốc dạng CSV UTF-8",
    "holds what a web page writes for a letter (&#7877;), cut off or unknown: export it again as CSV UTF-8",
)


def as_letters(text: str, odd: Oddities) -> str:
    """The text with letters where programs and keyboards write several signs for one. Raises CellError."""
    if text.isalnum():
        return text  # told at little cost
    read = text
    for _ in range(ENTITIES_DEEP_MAX):
        if "&" in read:
            read = ENTITY.sub(lambda found: html.unescape(found[0]), read)
    if ENTITY_CUT.search(read):
        raise CellError(*ENTITY_LEFT)
    if read != text:
        odd.note("entity", "chữ viết dạng mã của trang web (&#7877;); đã đổi lại", "letters written as a web page does "
                 "(&#7877;); turned back")  # fmt: skip
    typed = typed_in_signs(read)
    if typed is not None:
        odd.note("viqr", "chữ gõ bằng dấu hiệu (VIQR, VNI); đã đổi thành chữ có dấu", "typed in signs (VIQR, VNI); "
                 "turned into letters")  # fmt: skip
        return typed
    return read


def refuse_garbled(text: str) -> None:
    """Raises CellError for text, as it stands in the file, that a program has read or written by the wrong code."""
    if FAILED.fullmatch(text.strip()):
        return  # told by its own name
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
    _refuse_long(value, TEXT_CHARS_MAX)
    return match[1] if (match := POINT_ZERO.fullmatch(value)) else _with_d(value, odd)


def person_name(value: str, _around: Around, odd: Oddities) -> Value:
    """Somebody's name."""
    _refuse_long(value, NAME_CHARS_MAX)
    if "?" in value:
        raise CellError(*LOST)
    if any(letter in "^~`" for letter in value):
        raise CellError(*SIGNS)
    if not any(letter.isalpha() for letter in value):
        raise CellError("name", "họ tên phải có chữ", "a name has letters")
    if any(letter.isdigit() or letter in '()[]{}<>/\\;,:"@#$%&*+=_|!' for letter in value):
        odd.note("name_form", "họ tên có chữ số, ngoặc hoặc dấu phân cách", "the name holds digits, brackets or marks")
    if GONE.search(plain(value)):
        raise CellError(
            "name_remark",
            "họ tên có ghi chú đã mất hoặc đã chuyển đi: ghi vào cột tình trạng cư trú, họ tên chỉ ghi tên",
            "the name holds a remark that somebody has died or moved away: write that into the residence, and the name "
            "alone here",
        )
    if is_telex(value):
        odd.note(
            "telex",
            "họ tên có vẻ gõ Telex mà chưa thành chữ có dấu; ghi như trong tệp",
            "the name seems to be typed in Telex without becoming letters with marks; kept as it is",
        )
    if any(letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN") for letter in value):
        odd.note(
            "name_letters",
            "họ tên có chữ cái không phải chữ La-tinh (có thể chỉ giống)",
            "the name holds letters of another alphabet (they may only look alike)",
        )
    return _with_d(value, odd)


def _refuse_long(value: str, most: int) -> None:
    if len(value) > most:
        raise CellError(
            "long",
            f"ô dài hơn {most} ký tự: xem có phải hai ô dính vào nhau không",
            f"the cell holds more than {most} characters: look whether two cells became one",
        )


def _with_d(value: str, odd: Oddities) -> str:
    """Ð and ð of other alphabets are Đ and đ where that gives a Vietnamese word."""
    read = " ".join(
        word.translate(ETH) if is_syllable(word.translate(ETH)) else word for word in clean(value).split(" ")
    )
    if read != value:
        odd.note("letter_d", "chữ Đ viết bằng ký tự khác; đã đổi lại", "Đ was written with another character; mended")
    return read
