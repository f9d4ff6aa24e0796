"""One cell of a list: what it holds once the marks of the program that wrote it are off, or the rule it breaks.

Enters: the text of a cell. Leaves: its text, empty where it says that it holds nothing; what was odd about it.
Must hold: what a spreadsheet put there instead of what was typed (an error, a formula, digits that are gone) is refused
with its own reason and what to do; no text here holds a value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from schema.values import Value
from syncd.inputs.text import clean
from syncd.text.vietnamese import is_syllable

Values = dict[str, Value]
CodeKeys = Mapping[str, Mapping[str, str]]  # list name → code, or name without diacritics → code


class CellError(Exception):
    """A cell breaks a rule. Carries the rule's word and its wording, no value."""

    def __init__(self, rule: str, text_vi: str, text_en: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.text_vi = text_vi
        self.text_en = text_en


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a cell is judged by. `month_first`: columns in which some date can only be read with the month first."""

    codes: CodeKeys
    today: date
    month_first: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Oddities:
    """What was read and is worth a look: rule → its wording, Vietnamese and English."""

    found: dict[str, tuple[str, str]] = field(default_factory=dict)

    def note(self, rule: str, text_vi: str, text_en: str) -> None:
        self.found.setdefault(rule, (text_vi, text_en))


# Zero-width and direction marks, soft hyphens, marks of byte order: nobody typed them, nobody sees them.
INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
WIDE = re.compile("[\uff01-\uff5e]")  # as keyboards of East Asia write them
ZERO_WIDTH = re.compile(r"(\w[^\W_]*)\u200b+(?=([^\W_]\w*))")
# What Excel, LibreOffice and Google show instead of a result; ### is a number that did not fit its column.
FAILED = re.compile(
    r"#(n/a|ref!|value!|name\?|div/0!|null!|num!|spill!|calc!|error!|field!|blocked!|connect!|getting_data|unknown!)"
    r"|#{3,}|err:\d{3}|loading\.\.\.|đang tải\.\.\.",
    re.IGNORECASE,
)
# How programs write that there is nothing, in exactly these letters (Nan may be a hamlet).
NOTHING = frozenset({
    "nan", "NaN", "NULL", "null", "None", "NaT", "<NA>", "N/A", "n/a", "\\N", "(null)", "(blank)", "(trống)",
    "-", "--", "---", "–", "—", ".", "..", "...", "…", "_",
})  # fmt: skip
QUOTES = "'\u2018\u2019`"  # what stands in front of a number to keep it a text
TEXT_FORMULA = re.compile(r'="(?P<text>[^"]*)"')


def visible(text: str) -> str:
    """The text without what cannot be seen. A zero-width space parts words, as programs use it, unless it stands within
    one.
    """
    if text.isascii() and text.isalnum():
        return text  # the usual cell, told at little cost
    parted = ZERO_WIDTH.sub(_parted, text) if "\u200b" in text else text
    return clean(INVISIBLE.sub("", parted))


def _parted(found: re.Match[str]) -> str:
    one, other = found[1], found[2]  # the second stays in the text
    if one.isdigit() and other.isdigit():
        return one
    is_within = not (one[-1].islower() and other[0].isupper()) and is_syllable(clean(one + other))
    return one if is_within else f"{one} "


def prepared(text: str, odd: Oddities) -> str:
    """The text without what programs put around it; empty where it stands for nothing. Raises CellError."""
    if text.isascii() and text.isalnum() and text not in NOTHING:
        return text  # the usual cell, told at little cost
    value = clean(text)
    seen = visible(value)
    if seen != value and value.strip("\ufeff"):
        odd.note("invisible", "có ký tự không nhìn thấy; đã bỏ", "holds characters that cannot be seen; left out")
    if WIDE.search(seen):
        odd.note("wide", "có chữ số hoặc chữ cái dạng rộng; đã đổi", "holds wide digits or letters; turned")
        seen = WIDE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), seen)
    if FAILED.fullmatch(seen):
        raise CellError(
            "failed",
            "ô là lỗi của bảng tính (#N/A, ####): sửa công thức hoặc nhập lại giá trị",
            "the cell is a spreadsheet's error (#N/A, ####): mend the formula or type the value",
        )
    if formula := TEXT_FORMULA.fullmatch(seen):
        odd.note("quoted", 'viết dạng ="…"; đã lấy phần trong ngoặc', 'is written ="…"; what stands inside was taken')
        seen = clean(formula["text"])
    elif seen.startswith("="):
        raise CellError(
            "formula",
            "ô là công thức: Copy rồi Paste Special, Values, và lưu lại",
            "the cell is a formula: Copy, Paste Special, Values, and save again",
        )
    if len(seen) > 2 and seen[0] in QUOTES and seen[-1] in QUOTES:
        odd.note("quotes", "nằm giữa hai dấu nháy đơn; đã bỏ", "stands between apostrophes; left out")
        seen = seen[1:-1].strip()
    elif len(seen) > 1 and seen[0] in QUOTES:
        odd.note("apostrophe", "có dấu nháy đơn đứng đầu; đã bỏ", "begins with an apostrophe; left out")
        seen = seen[1:].strip()
    if seen in NOTHING:
        odd.note("nothing", "ô ghi là không có giá trị; được coi là trống", "says that it holds nothing; read as empty")
        return ""
    return seen
