"""How much a body takes once it is unfolded, told from its packed form before memory is taken for it (PROTOCOL.md §6).

Enters: blocks as they are on the wire, the types of their columns. Leaves: a number of bytes that neither the decoded
columns, nor their COPY text, nor the rows in a database exceed.
Must hold: writer and reader ask the same function, so that nobody ever seals what others refuse; no value is built to
tell its size. The numbers are what CPython takes for a value, since a cell of two letters costs forty times its bytes.
"""

from collections.abc import Sequence
from typing import Final

from syncd.errors import TooLarge
from syncd.limits import UNFOLDED_BYTES_MAX

Column = tuple[bool | bytes | None, bytes | list[bytes] | None]  # nulls, values: as on the wire
RawBlock = tuple[int, int, Sequence[int], int, bytes, Sequence[Column]]  # table, op, columns, rows, ids, data

BLOCK_BYTES: Final = 512
COLUMN_BYTES: Final = 256
ROW_BYTES: Final = 160  # a row's two ids, and its place in every list
NULL_BYTES: Final = 8  # also of a value that is sent once for many rows
VALUE_BYTES: Final = 80
SHARED_FIXED_BYTES: Final = 40  # the text of a uuid, date or int, at most
# COPY text escapes a character by another; bytes become hexadecimal digits; CPython takes two bytes for most letters.
TIMES: Final = 2
TIMES_WIDE: Final = 4  # where one character beyond U+FFFF stands, CPython takes four for each of its value
LOOK_BYTES_MIN: Final = 256  # fewer are not looked through for one: a body may have thousands of short columns
_WIDE: Final = tuple(bytes((lead,)) for lead in range(0xF0, 0xF5))


class Budget:
    """What the blocks of one envelope, all its parts together, may still take."""

    def __init__(self) -> None:
        self.left_bytes = UNFOLDED_BYTES_MAX

    def take(self, block: RawBlock, types: Sequence[str]) -> None:
        """Raise `TooLarge` when a block is more than is left."""
        self.left_bytes -= block_bytes(block, types)
        if self.left_bytes < 0:
            raise TooLarge(
                f"the rows of an envelope unfold to more than {UNFOLDED_BYTES_MAX} bytes",
                "nothing was applied; the writer sends such rows in smaller pieces",
            )


def block_bytes(block: RawBlock, types: Sequence[str]) -> int:
    """What one block takes. `types` are the canonical types of its columns."""
    _table, _op, _columns, rows, _ids, data = block
    size = BLOCK_BYTES + ROW_BYTES * rows
    for (nulls, values), type_ in zip(data, types, strict=True):
        absent = 0 if nulls is None else rows if values is None else _count(nulls)
        size += COLUMN_BYTES + NULL_BYTES * absent
        if values is not None:
            size += _values_bytes(values, max(rows - absent, 0), type_)
    return size


def _count(nulls: bool | bytes) -> int:
    return int.from_bytes(nulls, "big").bit_count() if isinstance(nulls, bytes) else 0


def _values_bytes(data: bytes | list[bytes], present: int, type_: str) -> int:
    if isinstance(data, bytes):
        return VALUE_BYTES * present + _times(data) * len(data)
    if type_ == "bytes":
        return VALUE_BYTES * present + TIMES * sum(map(len, data))
    first = data[0]
    if type_ not in ("text", "instant"):
        different, longest = len(first) // 8, SHARED_FIXED_BYTES
    else:
        different, longest = _different(first), _longest(first, present)
    return VALUE_BYTES * different + _times(first) * len(first) + (NULL_BYTES + TIMES * longest) * present


def _different(packed: bytes) -> int:
    """How many texts a packed column holds."""
    width = packed[0] if packed else 0
    return (len(packed) - 1) // width if width else packed.count(b"\0")


def _longest(packed: bytes, present: int) -> int:
    """Bytes of the longest of the texts that are sent once for many rows."""
    width = packed[0] if packed else 0
    if width:
        return width
    if packed.count(b"\0") > present:
        return len(packed)  # more of them than rows: unpacking refuses it
    return max(map(len, packed.split(b"\0")))


def _times(packed: bytes) -> int:
    if len(packed) < LOOK_BYTES_MIN or any(map(packed.__contains__, _WIDE)):
        return TIMES_WIDE
    return TIMES
