"""Text typed in signs: a letter and the signs of its marks, as VIQR (Nguye^~n) and a VNI keyboard turned off do.

Enters: the text of a cell. Leaves: the letters that were meant, or nothing. Must hold: a text is read so only where it
is ASCII, bears signs that nobody writes otherwise, and becomes Vietnamese syllables throughout; a question mark, a full
stop or a number behind a word is never enough.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from syncd.text.vietnamese import is_syllable

_MARKS = {"^": "\u0302", "(": "\u0306", "+": "\u031b", "*": "\u031b"}
_TONES = {"'": "\u0301", "`": "\u0300", "?": "\u0309", "~": "\u0303", ".": "\u0323"}
_SURE = re.compile(r"[aeo]\^|a\((?=[a-z'`?~.])|[ou][+*](?=[a-z'`?~.]|$|\s)|[aeiouy][\^(+*]?[`~]", re.IGNORECASE)
_SIGNED = re.compile(r"([aeiouy])(?:([\^(+*])(['`?~.])?|(['`?~.])([\^(+*])?)", re.IGNORECASE)
_VNI_MARKS = {"6": "\u0302", "7": "\u031b", "8": "\u0306"}
_VNI_TONES = dict(zip("12345", "\u0301\u0300\u0309\u0303\u0323", strict=True))
_NUMBERED = re.compile(r"[a-z]+[1-9][a-z1-9]*", re.IGNORECASE)
_VOWEL = re.compile("[aeiouy][\u0302\u0306\u031b]*", re.IGNORECASE)
_TELEX = (
    ("uow", "ươ"), ("aa", "â"), ("ee", "ê"), ("oo", "ô"), ("dd", "đ"), ("aw", "ă"), ("ow", "ơ"), ("uw", "ư"),
)  # fmt: skip
_TELEX_TONES = dict(zip("sfrxj", "\u0301\u0300\u0309\u0303\u0323", strict=True))
_CROSSED = {"dd": "đ", "Dd": "Đ", "DD": "Đ", "dD": "Đ"}
_NO_WORD = re.compile(r"[\d.,;:/()-]+")


def typed_in_signs(text: str) -> str | None:
    """The text that was meant; None for text that stands as it is."""
    if not text.isascii():
        return None
    if _SURE.search(text):
        return _if_syllables(text, _viqr)
    numbered = [word for word in text.split() if _NUMBERED.fullmatch(word)]
    if len(numbered) > 1 or any(re.search(r"[a-z][6-9][a-z1-9]", word, re.IGNORECASE) for word in numbered):
        return _if_syllables(text, _vni)
    return None


def is_telex(text: str) -> bool:
    """Whether words look like keys of Telex: no syllables as they stand, and syllables with a mark once read so. A name
    of another people may look so too, so that this is a remark and no reading.
    """
    words = text.split()
    if not text.isascii() or all(map(is_syllable, words)):
        return False
    return sum(map(_is_telex, words)) > len(words) // 3 and all(is_syllable(word) or _is_telex(word) for word in words)


def _is_telex(word: str) -> bool:
    low = word.casefold()
    for keys, letter in _TELEX:
        low = low.replace(keys, letter)
    tone = _TELEX_TONES.get(low[-1:], "")
    return not is_syllable(word) and is_syllable(low[:-1] + tone if tone else low)


def _if_syllables(text: str, read: Callable[[str], str]) -> str | None:
    words = [word if _NO_WORD.fullmatch(word) else unicodedata.normalize("NFC", read(word)) for word in text.split()]
    return " ".join(words) if all(_NO_WORD.fullmatch(word) or is_syllable(word) for word in words) else None


def _viqr(word: str) -> str:
    def letter(found: re.Match[str]) -> str:
        mark, tone = found[2] or found[5], found[3] or found[4]
        return found[1] + _MARKS.get(mark or "", "") + _TONES.get(tone or "", "")

    return _SIGNED.sub(letter, _crossed(word))


def _vni(word: str) -> str:
    """Marks stand behind their letter, the tone there or at the end of the word."""
    marked = re.sub("[dD]9", lambda found: "đ" if found[0] == "d9" else "Đ", word)
    for digit, mark in _VNI_MARKS.items():
        marked = re.sub(f"([aeouAEOU]){digit}", f"\\1{mark}", marked)
    tones = [letter for letter in marked if letter in _VNI_TONES]
    bare = "".join(letter for letter in marked if letter not in _VNI_TONES)
    if len(tones) != 1 or not (place := _place_of_tone(bare)):
        return marked
    return bare[:place] + _VNI_TONES[tones[0]] + bare[place:]


def _place_of_tone(word: str) -> int:
    """Behind which sign of a word without its tone the tone stands; 0 where no vowel is."""
    onset = re.match("qu|gi(?=[aeiouy])", word, re.IGNORECASE)
    found = list(_VOWEL.finditer(word, onset.end() if onset else 0))
    if not found:
        return 0
    marked = [vowel for vowel in found if len(vowel[0]) > 1]
    is_open = found[-1].end() == len(word)
    vowel = marked[-1] if marked else found[-2] if is_open and len(found) > 1 else found[-1]
    return vowel.end()


def _crossed(word: str) -> str:
    return re.sub("dd", lambda found: _CROSSED[found[0]], word, flags=re.IGNORECASE)
