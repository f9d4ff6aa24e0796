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

# Names: further syllables tell nothing more, and comparing costs their square.
NAME_SYLLABLES_MAX = 8

# However rare a name, equality of it alone is no more than one in a million: slips make names unique.
NAME_BITS_MAX = 20.0

# How far apart the two ends of one move may be reported (domain.md §3: after 90 days a move stands on the exception
# list; people who report late do so within a year).
MOVE_DAYS_MAX = 365

# Syllables of names whose folded form is remembered: Vietnamese names have some thousand, a megabyte in all.
WORDS_REMEMBERED = 4_096
