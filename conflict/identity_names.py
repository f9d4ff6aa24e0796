"""Names of persons compared as people write them: case, tones, order, keyboard leftovers and slips of the hand.

Enters: names as kept, and an edit distance (ours to be given: the standard library has none). Leaves: how alike they
are.
Must hold: symmetric. Folding joins what one hand may have written in two ways; what two hands may have meant, twins'
names above all (Anh and Ánh, Hải Anh and Hà Anh), stays told apart by `NameLikeness`.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from conflict.limits import NAME_SYLLABLES_MAX, WORDS_REMEMBERED
from conflict.match import normalise_name

Distance = Callable[[str, str], int]  # single edits, two neighbours exchanged counting as one

_VOWELS = "aeiouy"
_TONES = "\u0300\u0301\u0303\u0309\u0323"
_DOUBLED = re.compile(r"([aeod])\1")
_FIRST_VOWEL = re.compile(f"[{_VOWELS}]")
_TONE_KEYS = str.maketrans("", "", "sfrxjz")
_DIGITS = str.maketrans("", "", "0123456789")

# One slip in a short name, two in a long one, are a hand's; more are another name.
_TYPO_EDITS_MAX = 2
_LONG_NAME_CHARS = 12


class NameLikeness(IntEnum):
    """How two names agree, the closest first."""

    SAME = 1  # with all tones
    BARE = 2  # the same letters, a side without any tone: it may be a brother's
    REORDERED = 3  # the same syllables, tones included, in another order
    FAMILY_TYPO = 4  # a slip in the first syllable alone
    TONES_DIFFER = 5  # the same letters, but both sides wrote tones, and not the same ones
    MIDDLE_MISSING = 6  # first and last syllable agree, one side left the middle out
    TYPO = 7  # a slip elsewhere: the names of brothers differ by no more
    MIDDLE_DIFFERS = 8  # first and last syllable agree
    DIFFERENT = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name prepared for comparing. `syllables`: folded; `toned`: with its tones, placed alike; '' if it has none."""

    syllables: tuple[str, ...]
    toned: str

    @property
    def family(self) -> str:
        return self.syllables[0] if self.syllables else ""

    @property
    def given(self) -> str:
        return self.syllables[-1] if self.syllables else ""

    @property
    def middle(self) -> tuple[str, ...]:
        return self.syllables[1:-1]

    @property
    def ordered(self) -> str:
        """The syllables in an order of their own, so that names typed in another order meet."""
        return " ".join(sorted(self.syllables))


def read_name(full_name: str) -> Name:
    """A name as kept, folded."""
    return Name(syllables=fold_name(full_name), toned=toned_name(full_name))


def fold_name(full_name: str) -> tuple[str, ...]:
    """Syllables blind to case, diacritics, tone placement and y/i, and to what Telex or VNI leaves when it was off."""
    folded = (_fold_syllable(syllable) for syllable in normalise_name(full_name).split()[:NAME_SYLLABLES_MAX])
    return tuple(syllable for syllable in folded if syllable)


def toned_name(full_name: str) -> str:
    """The name in small letters, each syllable's tone behind it (hoà = hòa); '' when no letter bears any mark."""
    letters = unicodedata.normalize("NFD", full_name.lower())
    if "\u0111" not in letters and not any(map(unicodedata.combining, letters)):
        return ""
    return " ".join(map(_tone_last, letters.split()))


def compare_names(left: Name, right: Name, distance: Distance) -> NameLikeness:
    """How two names agree. A name without a letter agrees with none."""
    if not left.syllables or not right.syllables:
        return NameLikeness.DIFFERENT
    if left.ordered == right.ordered:
        return _compare_tones(left, right)
    if left.family == right.family and left.given == right.given and _one_left_out(left, right):
        return NameLikeness.MIDDLE_MISSING
    return _compare_letters(left, right, distance)


def _compare_tones(left: Name, right: Name) -> NameLikeness:
    if not left.toned or not right.toned:
        return NameLikeness.BARE
    if left.toned == right.toned:
        return NameLikeness.SAME
    if sorted(left.toned.split()) == sorted(right.toned.split()):
        return NameLikeness.REORDERED
    return NameLikeness.TONES_DIFFER


def _compare_letters(left: Name, right: Name, distance: Distance) -> NameLikeness:
    one, other = " ".join(left.syllables), " ".join(right.syllables)
    edits_max = _TYPO_EDITS_MAX if min(len(one), len(other)) >= _LONG_NAME_CHARS else 1
    if distance(one, other) <= edits_max:
        if left.syllables[1:] == right.syllables[1:] and left.toned.split()[1:] == right.toned.split()[1:]:
            return NameLikeness.FAMILY_TYPO
        if _slips(left, right, distance):
            return NameLikeness.TYPO
    if left.middle and right.middle and left.family == right.family and left.given == right.given:
        return NameLikeness.MIDDLE_DIFFERS
    return NameLikeness.DIFFERENT


def _slips(left: Name, right: Name, distance: Distance) -> bool:
    """At most one edit in each syllable: "Văn Nam" and "Văn Năng" yes, "Thị Lan" and "Thị Hoa" no."""
    if len(left.syllables) != len(right.syllables):
        return True  # a space too many or too few, which was an edit
    return max(map(distance, left.syllables, right.syllables)) <= 1


def _one_left_out(left: Name, right: Name) -> bool:
    """Of two names not equal with family and given name equal; one syllable alone is not both of these."""
    if min(len(left.syllables), len(right.syllables)) < 2:
        return False
    shorter, longer = sorted((left.middle, right.middle), key=len)
    rest = iter(longer)
    return all(syllable in rest for syllable in shorter)


@lru_cache(maxsize=WORDS_REMEMBERED)
def _fold_syllable(syllable: str) -> str:
    """What Telex makes of the keys: doubled letters and w are marks of vowels, s f r x j after the vowel are tones.

    No Vietnamese syllable holds those letters there; other peoples' names lose them on both sides alike.
    """
    plain = syllable.translate(_DIGITS) or syllable
    plain = _DOUBLED.sub(r"\1", plain)
    vowel = _FIRST_VOWEL.search(plain)
    if vowel is None:
        return plain.replace("w", "u")  # Telex writes ư for a w on its own
    head, tail = plain[: vowel.start()], plain[vowel.start() :]
    return head + tail.replace("w", "").translate(_TONE_KEYS).replace("y", "i")


def _tone_last(word: str) -> str:
    return "".join(sorted(word, key=lambda letter: letter in _TONES))
