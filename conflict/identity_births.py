"""Dates of birth compared under their precisions, with the slips that hands make.

Enters: two dates (YYYY-MM-DD) with their precisions d, m or y. Leaves: how they agree. Must hold: symmetric.
"""

from enum import IntEnum
from operator import ne

_YEAR_SLIPS = frozenset({1, 10})


class BirthLikeness(IntEnum):
    """How two dates agree, the closest first."""

    SAME = 1  # to the day
    SAME_MONTH = 2  # as far as the coarser one goes
    SAME_YEAR = 3
    SWAPPED = 4  # day and month exchanged
    YEAR_SLIP = 5  # day and month agree, the year is one or ten off or has two digits exchanged
    DAY_SLIP = 6  # one digit of day or month differs, or the day before or after
    ROUNDED = 7  # the year agrees and one side says 1 January, as people do who do not know the day
    PART = 8  # the year and either day or month agree
    DIFFERENT = 9


def compare_births(left: str, left_precision: str, right: str, right_precision: str) -> BirthLikeness:
    """How two dates of birth agree; a precision that is not stated is the day."""
    # Where the rest of a date is not known, a slip cannot be told from another year or month.
    if "y" in (left_precision, right_precision):
        return BirthLikeness.SAME_YEAR if left[:4] == right[:4] else BirthLikeness.DIFFERENT
    if "m" in (left_precision, right_precision):
        return BirthLikeness.SAME_MONTH if left[:7] == right[:7] else BirthLikeness.DIFFERENT
    return BirthLikeness.SAME if left == right else _compare_days(left, right)


def _compare_days(left: str, right: str) -> BirthLikeness:
    if left[4:] == right[4:]:
        return BirthLikeness.YEAR_SLIP if _is_year_slip(left[:4], right[:4]) else BirthLikeness.DIFFERENT
    if left[:4] != right[:4]:
        return BirthLikeness.DIFFERENT
    if left[5:7] == right[8:] and left[8:] == right[5:7]:
        return BirthLikeness.SWAPPED
    if sum(map(ne, left, right)) == 1 or (left[:7] == right[:7] and abs(int(left[8:]) - int(right[8:])) == 1):
        return BirthLikeness.DAY_SLIP
    if "-01-01" in (left[4:], right[4:]):
        return BirthLikeness.ROUNDED
    if left[:7] == right[:7] or left[8:] == right[8:]:
        return BirthLikeness.PART
    return BirthLikeness.DIFFERENT


def _is_year_slip(left: str, right: str) -> bool:
    exchanged = left[:2] == right[:2] and left[2:] == right[3] + right[2]
    return exchanged or abs(int(left) - int(right)) in _YEAR_SLIPS
