"""Bounds of this package, each with its reason."""

# Design.md §5 makes a clock that is far off a case; a day is more than any time zone or daylight mistake explains.
CLOCK_OFFSET_MS_MAX = 24 * 60 * 60 * 1000

# The widest replicated table has some 30 columns; a proposal that names more than this is not one of ours.
PROPOSAL_COLUMNS_MAX = 256

# A reason is a sentence or two for a person to read.
REASON_CHARS_MAX = 2_000

# A union that outgrows its column could be signed and never applied; used where `Rules.chars_max` is silent.
UNION_CHARS_MAX = 2_000

# Checked before a stored detail is parsed: 256 columns of three values of some 4 000 characters.
DETAIL_CHARS_MAX = 4_000_000

# The canonical integer is 64 bits wide on both databases.
INT_MIN = -(2**63)
INT_MAX = 2**63 - 1
