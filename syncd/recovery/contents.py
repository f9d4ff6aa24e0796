"""The tables compared with the logs, row by row: what was changed past the triggers, or past applying.

Enters: a snapshot, the content of a stream as its log says (`replay.py`). Leaves: the rows that differ, by table.
Must hold: one reading of each side, in the order of ids; memory grows with what differs, not with the register; a
stream of which rows are on their way to another unit, or that is being taken back, is judged by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from schema.names import listed, quoted
from schema.spec import Audience, Kind, Table
from syncd import log, moved_rows
from syncd.applying import Applier
from syncd.log import Stream
from syncd.own_streams import WRITTEN_TO
from syncd.recovery.replay import Replay, compared
from syncd.store.base import Row, Tx
from syncd.verify import rows_of
from syncd.wire import DELETE, INSERT, UPDATE

EVERYTHING = frozenset(Audience)
WHAT_ALL_READ = frozenset({Audience.PUBLIC, Audience.SCOPE})


@dataclass(slots=True, kw_only=True)
class TableDifference:
    """One table of a stream. `gone`: told by the log, not here; `unknown`: here, not told; `changed`: other values.
    `emptied`: how many of these have lost a value. `nameless`: rows without an id, which nothing can speak of."""

    table: Table
    told: int = 0
    here: int = 0
    gone: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    emptied: int = 0
    nameless: int = 0

    @property
    def ids(self) -> list[str]:
        return [*self.gone, *self.unknown, *self.changed]

    @property
    def lost(self) -> int:
        """Rows of which something is not here any more."""
        return len(self.gone) + self.emptied

    def __bool__(self) -> bool:
        return bool(self.gone or self.unknown or self.changed or self.nameless)


def own_streams(tx: Tx) -> list[Stream]:
    """The streams written here, those too that nothing was ever written to: units kept here whose first rows may have
    come past the triggers."""
    found = log.streams(tx, f"{WRITTEN_TO} AND rejoin_seq = 0 AND open_from = 0")
    me = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'node_id'"))
    begun = "SELECT 1 FROM syncd_stream AS s WHERE s.kind = ? AND s.unit_id = k.unit_id"
    rows = tx.all(
        f"SELECT k.unit_id FROM syncd_keeper AS k WHERE k.mine = 1 AND NOT EXISTS ({begun}) ORDER BY k.unit_id",
        (int(Kind.REGISTER),),
    )
    return found + [
        Stream(stream_id="", kind=int(Kind.REGISTER), unit_id=unit, keeper=me, term=0, own=True) for (unit,) in rows
    ]


def may_judge(tx: Tx, at: Stream) -> bool:
    """Whether the tables must show exactly what the log of a stream says."""
    if at.rejoin_seq or at.open_from or at.applied_seq < at.floor_seq:
        return False
    return at.kind != Kind.REGISTER or not moved_rows.is_behind(tx, at.unit_id)


def compare(tx: Tx, replay: Replay, at: Stream) -> list[TableDifference]:
    """Every table of a stream, whether it differs or not. At a tier that is neither keeper nor custodian the columns of
    these two are left out."""
    root = tx.value("SELECT value FROM syncd_meta WHERE key = 'root_id'")
    is_root = root == tx.value("SELECT value FROM syncd_meta WHERE key = 'node_id'")
    audiences = EVERYTHING if at.own or is_root else WHAT_ALL_READ
    return [_table(tx, replay, at, table, compared(table, audiences)) for table in replay.tables]


def differences(tx: Tx, applier: Applier, at: Stream) -> list[TableDifference]:
    """The tables of a stream that differ from its log. Raises StoreError, EnvelopeError where it cannot be read."""
    with Replay(tx, applier, at) as replay:
        return [found for found in compare(tx, replay, at) if found]


@dataclass(slots=True)
class Captured:
    """What the journal says of one row that is not in the log yet."""

    operations: set[int]
    mask: int = 0

    def explains(self, table: Table, told: Row | None, here: Row | None) -> bool:
        """Whether sealing this brings the log to what the table shows."""
        if told is None or here is None:
            return (INSERT if told is None else DELETE) in self.operations
        return self.operations != {UPDATE} or not changed_mask(table, told, here) & ~self.mask


def captured(tx: Tx, at: Stream, table: Table) -> dict[str, Captured]:
    """What waits in the journal of the rows of a stream in one table, by row."""
    found: dict[str, Captured] = {}
    unit = ("unit_id IS NULL", ()) if at.unit_id is None else ("unit_id = ?", (at.unit_id,))
    query = f"SELECT row_id, op, mask FROM syncd_journal WHERE tab = ? AND {unit[0]}"
    for row_id, op, mask in tx.all(query, (table.number, *unit[1])) if at.own else ():
        each = found.setdefault(row_id, Captured(set()))
        each.operations.add(op)
        each.mask |= mask
    return found


def changed_mask(table: Table, told: Row, here: Row) -> int:
    """The columns in which two states of a row differ."""
    columns = [column for column in table.all_columns if column.number != 1]
    return sum(1 << column.number for column, a, b in zip(columns, told, here, strict=True) if a != b)


def _table(tx: Tx, replay: Replay, at: Stream, table: Table, places: Sequence[int]) -> TableDifference:
    found, waiting = TableDifference(table=table), captured(tx, at, table)
    for row_id, told, here in _side_by_side(replay.rows(table), _rows_here(tx, at, table, found)):
        found.told += told is not None
        found.here += here is not None
        if told == here or (row_id in waiting and waiting[row_id].explains(table, told, here)):
            continue
        if told is None or here is None:
            (found.gone if here is None else found.unknown).append(row_id)
        elif changed := [place for place in places if told[place] != here[place]]:
            found.changed.append(row_id)
            found.emptied += any(here[place] is None for place in changed)
    return found


def _rows_here(tx: Tx, at: Stream, table: Table, found: TableDifference) -> Iterator[Row]:
    where, values = rows_of(tx, at, table)
    for rows in tx.stream(
        f"SELECT {listed(columns_of(table))} FROM {quoted(table.name)} WHERE {where} ORDER BY id", values
    ):
        for row in rows:
            if row[0] is None:
                found.nameless += 1  # SQLite, where another program has made the table anew
            else:
                yield row


def columns_of(table: Table) -> list[str]:
    """The columns of a row as they are compared: the id, then the values."""
    return [column.name for column in table.all_columns if column.number != 1]


def _side_by_side(told: Iterator[Row], here: Iterator[Row]) -> Iterator[tuple[str, Row | None, Row | None]]:
    """Two readings in the order of ids, row by row: the id and both; None where one side lacks it."""
    left, right = next(told, None), next(here, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            yield str(left and left[0]), left, None
            left = next(told, None)
        elif left is None or right[0] < left[0]:
            yield str(right[0]), None, right
            right = next(here, None)
        else:
            yield str(left[0]), left, right
            left, right = next(told, None), next(here, None)


def values_of(table: Table, row: Row) -> dict[str, Any]:
    """A row by column names."""
    return dict(zip(columns_of(table), row, strict=True))
