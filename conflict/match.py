"""Likeness of persons: does a row that somebody wishes to insert look like one already kept?

Enters: two rows as mappings. Leaves: yes or no; a yes only asks a person to look (I11), it never joins rows.
Must hold: symmetric; what is unknown on one side does not speak against likeness, except the name.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from conflict.limits import WORDS_REMEMBERED
from conflict.proposal import Value

# The letters that no Unicode decomposition turns into d: đ, and ð, which the look-alike capital Ð becomes.
_D_LETTERS = str.maketrans({"\u0111": "d", "\u00f0": "d"})

# How much of YYYY-MM-DD a precision vouches for (domain.md §3: d/m/y).
_PRECISION_CHARS: Mapping[Value, int] = {"y": 4, "m": 7, "d": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchColumns:
    """The names of the columns compared."""

    name: str = "full_name"
    birth_date: str = "birth_date"
    birth_precision: str = "birth_precision"
    sex: str = "sex"


PERSON_COLUMNS = MatchColumns()


def resembles(candidate: Mapping[str, Value], row: Mapping[str, Value], columns: MatchColumns = PERSON_COLUMNS) -> bool:
    """Same normalised name, birth dates compatible under their precisions, same sex."""
    return (
        _have_one_name(candidate.get(columns.name), row.get(columns.name))
        and _are_compatible(candidate.get(columns.sex), row.get(columns.sex))
        and _are_compatible(*_common_dates(candidate, row, columns))
    )


def normalise_name(name: str) -> str:
    """A name blind to case, diacritics (đ included), tone placement, punctuation and spacing: "Hoà" and "HÒA" alike.

    All marks are dropped, not tones alone: slips are often typed without any, and a false likeness costs a look
    while a missed one costs a person counted twice.
    """
    return " ".join(" ".join(map(_bare_word, name.split())).split())


@lru_cache(maxsize=WORDS_REMEMBERED)
def _bare_word(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.lower().translate(_D_LETTERS))
    bare = (character for character in decomposed if not unicodedata.category(character).startswith("M"))
    return "".join(character if character.isalnum() else " " for character in bare)


def _have_one_name(left: Value, right: Value) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        return False
    name = normalise_name(left)
    return name != "" and name == normalise_name(right)


def _are_compatible(left: Value, right: Value) -> bool:
    return left is None or right is None or left == right


def _common_dates(
    candidate: Mapping[str, Value], row: Mapping[str, Value], columns: MatchColumns
) -> tuple[Value, Value]:
    """Both birth dates cut to what the coarser precision vouches for; a day is meant where none is stated."""
    chars = min(_PRECISION_CHARS.get(side.get(columns.birth_precision), 10) for side in (candidate, row))
    dates = (candidate.get(columns.birth_date), row.get(columns.birth_date))
    first, second = (date[:chars] if isinstance(date, str) else None for date in dates)
    return first, second
