"""Vietnamese text as it is stored and as it is compared. Enters: what people type. Leaves: NFC text, or a key.

Must hold: two spellings that differ only in letter case, blanks or the place of the tone mark (Thụy, Thuỵ) have one
`name_key`; texts that differ in a letter or a tone do not.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from syncd.text.vietnamese import TONES


def clean(value: str) -> str:
    """NFC without blanks at the ends or doubled inside. Names then compare as people read them."""
    return unicodedata.normalize("NFC", " ".join(value.split()))


@lru_cache(maxsize=50_000)
def name_key(value: str) -> str:
    """What two spellings of one name share. Old and new tone placement (hoà, hòa) count as one spelling."""
    return " ".join(_syllable_key(word) for word in unicodedata.normalize("NFD", clean(value).casefold()).split())


def plain(value: str) -> str:
    """Lower-case letters without any diacritics (đ as d), for headers and search."""
    decomposed = unicodedata.normalize("NFD", clean(value).casefold().replace("đ", "d"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _syllable_key(word: str) -> str:
    return "".join(letter for letter in word if letter not in TONES) + "".join(t for t in word if t in TONES)
