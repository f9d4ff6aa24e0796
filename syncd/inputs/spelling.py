"""Which of two spellings of one name is the better: that of the register, or that of a file.

Enters: a text of a file, and the text kept. Leaves: why the kept one stays, or nothing. Must hold: capitals throughout,
lost marks and another place of a tone make no new name; what a file spells more fully is taken.
"""

from __future__ import annotations

import unicodedata

from syncd.inputs.text import clean, name_key, plain
from syncd.text.vietnamese import TONES

Reason = tuple[str, str, str]  # rule, and its wording
MARKS_KEPT: Reason = (
    "name_kept",
    "trong tệp viết thiếu dấu so với sổ; giữ cách viết trong sổ (nếu tệp mới đúng thì sửa trong sổ)",
    "the file writes it with fewer diacritics than the register, whose spelling stays (if the file is right, correct "
    "the register)",
)
CASE_KEPT: Reason = (
    "case_kept",
    "trong tệp chỉ khác chữ hoa, chữ thường; giữ cách viết trong sổ",
    "the file differs in capitals only; the register's spelling stays",
)
PLACE_KEPT: Reason = ("tone_place", "", "")  # hoà and hòa: nothing that anybody need be told


def why_kept(text: str, kept: str) -> Reason | None:
    """Why the kept spelling stays; None where they are equal, or the file's is to be taken."""
    text, kept = clean(text), clean(kept)
    if text == kept:
        return None
    if text.casefold() == kept.casefold():
        return CASE_KEPT if _usual_words(text) <= _usual_words(kept) else None
    if name_key(text) == name_key(kept):
        better = _usual_words(text) - _usual_words(kept)
        return None if better > 0 else CASE_KEPT if better < 0 else PLACE_KEPT
    return MARKS_KEPT if has_lost_marks(text, kept) else None


def has_lost_marks(text: str, kept: str) -> bool:
    """Whether a text is the kept one without some of its marks, and with no other."""
    words, kept_words = clean(text).casefold().split(" "), clean(kept).casefold().split(" ")
    return plain(text) == plain(kept) and all(
        name_key(one) == name_key(other) or _is_less(one, other)
        for one, other in zip(words, kept_words, strict=True)
    )  # fmt: skip


def _usual_words(text: str) -> int:
    """How many words begin with a capital and do not go on so, as names are written."""
    words = [word for word in text.split(" ") if word[:1].isalpha()]
    return sum(word[:1].isupper() and (len(word) == 1 or not word.isupper()) for word in words)


def _is_less(word: str, kept: str) -> bool:
    letters, tones = _parts(word)
    kept_letters, kept_tones = _parts(kept)
    return tones <= kept_tones and len(letters) == len(kept_letters) and all(
        one == other or (one[0] == other[0] and not one[1]) for one, other in zip(letters, kept_letters, strict=True)
    )  # fmt: skip


def _parts(word: str) -> tuple[list[tuple[str, str]], set[str]]:
    """(each letter with its mark, the tones)."""
    letters: list[tuple[str, str]] = []
    tones: set[str] = set()
    for letter in unicodedata.normalize("NFD", word):
        if letter in TONES:
            tones.add(letter)
        elif unicodedata.combining(letter) and letters:
            letters[-1] = (letters[-1][0], letters[-1][1] + letter)
        else:
            letters.append(("d", "-") if letter == "đ" else (letter, ""))
    return letters, tones
