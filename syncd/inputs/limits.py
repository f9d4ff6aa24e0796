"""Bounds of the domain's inputs and outputs, units last in the name."""

from __future__ import annotations

from typing import Final

# A file a person gives: lines are read one by one, but a wrong file must not be read for ever.
FILE_LINES_MAX: Final = 5_000_000
HEAD_LINES_MAX: Final = 60  # among which the titles are looked for
CELL_CHARS_MAX: Final = 10_000
PROBLEMS_MAX: Final = 1_000  # problems kept with their text; further ones are only counted
NAME_CHARS_MAX: Final = 100  # of a person; a longer one is two cells in one
TEXT_CHARS_MAX: Final = 500  # of a place or an address
UNIT_CELL_CHARS_MAX: Final = 300  # the longest note of the official conversion has 139
UNIT_LINES_MAX: Final = 200_000  # the whole country's conversion has 10 566

# What a date of a list may say; beyond it a digit is wrong, or a program filled in a date of its own.
HOUSEHOLD_YEAR_MIN: Final = 1900
INSURED_YEAR_MIN: Final = 1992  # before it nobody was insured
INSURED_YEARS_AHEAD_MAX: Final = 50

# One write transaction of an import: short enough that clerks and the daemon do not wait noticeably.
BATCH_PERSONS_MAX: Final = 2_000
HOUSEHOLD_PERSONS_MAX: Final = 1_000  # of a collective household too; a batch ends with a whole household
LOOKUP_VALUES_MAX: Final = 500  # values in one IN list

MINT_COUNT_MAX: Final = 1 << 20  # ids minted in one call: their distinct random parts stay below 42 bits
GENERATE_PERSONS_MAX: Final = 20_000_000
GENERATE_BATCH_PERSONS: Final = 5_000
EDITS_MAX: Final = 1_000_000
EDIT_PERSONS_MAX: Final = 20_000  # residents an edit stream picks from

AGE_TOP: Final = 85  # the last age group is open
TWICE_BATCH_HOUSEHOLDS: Final = 1_000  # in one transaction
