"""What goes into one envelope: rows read by size, parts cut in two where receivers would refuse them as one.

Enters: rows of a snapshot; the parts of a group. Leaves: rows in lists of bounded size; parts for smaller envelopes.
Must hold: no list of rows holds more than a piece and one reading; a cut keeps every row, and every part of one row in
one piece; what cannot be cut any further is said with its table and row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

from schema.spec import Audience, Column, Table, Type
from syncd import limits
from syncd.envelope import Mark
from syncd.errors import TooLarge
from syncd.log import Stream
from syncd.store.base import Row, Tx
from syncd.wire import Block

Parts = dict[Audience, list[Block]]


class Write(Protocol):
    """Seals parts as the next envelope of a stream and appends it; returns the stream as it now stands."""

    def __call__(self, tx: Tx, stream: Stream, mark: Mark, parts: Parts, rows: int) -> Stream: ...


def read_rows(tx: Tx, table: Table, query: str, values: Sequence[Any], first: int) -> Iterator[list[Row]]:
    """The rows of a query of any size, in lists of at most `GROUP_ROWS_MAX` rows and about `PIECE_BYTES`. Each row has
    the table's columns but `unit_id` from place `first` on."""
    if not _long_places(table):
        yield from tx.stream(query, values, limits.GROUP_ROWS_MAX)
        return
    gathered: list[Row] = []
    size = 0
    at_once = max(limits.LONG_ROWS_MIN, min(limits.GROUP_ROWS_MAX, limits.LIGHT_BYTES_MAX // table.row_bytes_max))
    for rows in tx.stream(query, values, at_once):
        gathered += rows
        size += rows_bytes(table, rows, first)
        if len(gathered) + at_once > limits.GROUP_ROWS_MAX or size >= limits.PIECE_BYTES:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def rows_bytes(table: Table, rows: Sequence[Row], first: int) -> int:
    """About how many bytes the long values of rows take, which hold all columns but `unit_id` from place `first` on; 0
    for a table whose rows are short."""
    return sum(_bytes_of(rows, first + place, is_bytes) for place, is_bytes in _long_places(table))


def write(tx: Tx, stream: Stream, mark: Mark, parts: Parts, rows: int, seal: Write) -> Stream:
    """Write one envelope, or several where receivers would refuse one. Raises TooLarge where a row is too long."""
    try:
        return seal(tx, stream, mark, parts, rows)
    except TooLarge as error:
        first, rest = halves(parts, error)
    stream = write(tx, stream, Mark.OPEN, first, rows // 2, seal)
    return write(tx, stream, mark, rest, rows - rows // 2, seal)


def halves(parts: Parts, error: TooLarge) -> tuple[Parts, Parts]:
    """The parts with the first half of their rows, and with the rest. Raises TooLarge where there is but one row."""
    ids = list(dict.fromkeys(row_id for blocks in parts.values() for block in blocks for row_id in block.ids))
    if len(ids) < 2:
        raise _one_row(parts) from error
    half = len(ids) // 2
    return _rows_of(parts, set(ids[:half])), _rows_of(parts, set(ids[half:]))


def _rows_of(parts: Parts, ids: set[str]) -> Parts:
    """The blocks with these rows alone."""
    chosen: Parts = {}
    for audience, blocks in parts.items():
        for block in blocks:
            places = [place for place, row_id in enumerate(block.ids) if row_id in ids]
            if places:
                values = [[column[place] for place in places] for column in block.values]
                kept = Block(
                    table=block.table,
                    op=block.op,
                    columns=block.columns,
                    ids=[block.ids[place] for place in places],
                    values=values,
                )
                chosen.setdefault(audience, []).append(kept)
    return chosen


def _one_row(parts: Parts) -> TooLarge:
    block = next(block for blocks in parts.values() for block in blocks)
    return TooLarge(
        f"table {block.table}, row {block.ids[0]}: this row is longer than any envelope",
        hint="the rows of this unit wait here, other units go on; shorten the row or delete it, and all goes on by"
        " itself",
    )


@lru_cache(maxsize=256)
def _long_places(table: Table) -> tuple[tuple[int, bool], ...]:
    """Place of each long column among all but `unit_id`, and whether it holds bytes."""
    if table.row_bytes_max * limits.GROUP_ROWS_MAX <= limits.LIGHT_BYTES_MAX:
        return ()
    kept = [column for column in table.all_columns if column.number != 1]
    return tuple((place, column.type is Type.BYTES) for place, column in enumerate(kept) if _is_long(column))


def _is_long(column: Column) -> bool:
    return column.bytes_most > limits.SHORT_BYTES_MAX


def _bytes_of(rows: Sequence[Row], place: int, is_bytes: bool) -> int:
    if is_bytes:
        return sum(len(row[place]) for row in rows if row[place] is not None)
    # Three bytes for each character that is not ASCII: no more than a few ever have four.
    return sum(len(text) if text.isascii() else 3 * len(text) for row in rows if (text := row[place]) is not None)
