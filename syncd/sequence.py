"""Sequencing: everything committed that one snapshot sees becomes one group per stream (design §2, I3).

Enters: the journal and the tables, read in one snapshot; callbacks that seal and count.
Leaves: the streams' logs extended, the journal without the rows that were seen, aggregates folded.
Must hold: nothing committed is skipped and nothing is taken twice, whatever commits late or out of order: no watermark,
no time-out. A group larger than `group_rows_max` is written in open pieces, each in a short transaction of its own; the
last transaction closes all groups and deletes exactly the journal rows the snapshot saw. What a crash leaves open is
discarded by name before anything else is written, and the journal still holds it all. A stream whose rows cannot be
sealed stays behind alone: its journal rows wait, all other streams go on (I10).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from schema.spec import Audience, Kind, Registry, Table
from syncd import limits, log
from syncd.envelope import Mark
from syncd.errors import ForkError, NotCanonical, TooLarge, written
from syncd.log import Stream
from syncd.replication import held_back, pieces
from syncd.replication.held_back import Failure, Unit
from syncd.replication.pieces import Parts, Write
from syncd.store.base import Row, Store, Tx
from syncd.wire import DELETE, INSERT, UPDATE, Block


class Counter(Protocol):
    """Collects what the cut changes in the aggregates and stores it with the last transaction."""

    def add(self, table: Table, unit_id: str | None, sign: int, values: Sequence[Sequence[Any]]) -> None: ...
    def store(self, tx: Tx) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What one sequencing did. `changed`: the tables that it took changes of, as `moving` has them. `failed`: the
    streams that cannot be sealed, and why."""

    rows: int
    streams: tuple[Stream, ...]
    changed: set[str]
    failed: dict[Unit, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What names exactly the journal rows a snapshot sees, and how many cuts were made before."""

    mark: int | str
    cuts: int


@dataclass(slots=True, kw_only=True)
class _Group:
    """The group of one stream while it is being written. `size`: of the long values in `parts`, in bytes."""

    stream: Stream
    counter: Counter
    tables: set[str] = field(default_factory=set)
    parts: Parts = field(default_factory=dict)
    deletes: list[Block] = field(default_factory=list)
    rows: int = 0  # in `parts`
    rows_all: int = 0
    size: int = 0
    opened: bool = False
    failed: NotCanonical | TooLarge | None = None

    @property
    def unit(self) -> Unit:
        return self.stream.kind, self.stream.unit_id

    @property
    def is_full(self) -> bool:
        return self.rows >= limits.GROUP_ROWS_MAX or self.size >= limits.PIECE_BYTES

    def add(self, audience: Audience, block: Block) -> None:
        self.parts.setdefault(audience, []).append(block)


def units_waiting(tx: Tx) -> list[tuple[int, str | None]]:
    """(table number, unit) pairs that have journal rows, so that their streams exist before the cut."""
    return [(row[0], row[1]) for row in tx.all("SELECT DISTINCT tab, unit_id FROM syncd_journal")]


def moving(tx: Tx, registry: Registry, changed: Iterable[str]) -> set[str]:
    """Of these tables with changes in the journal those from which anything follows: `unit` only where units have come,
    gone or moved, and are not only called otherwise."""
    names, unit = set(changed), registry.by_name["unit"]
    if "unit" in names:
        place = 1 << unit.by_name[unit.above].number
        moved = "SELECT 1 FROM syncd_journal WHERE tab = ? AND (op <> ? OR (mask & ?) <> 0) LIMIT 1"
        if tx.one(moved, (unit.number, UPDATE, place)) is None:
            names.remove("unit")
    return names


def sequence(
    store: Store,
    stream_of: Callable[[Table, str | None], Stream | None],
    write: Write,
    counter_of: Callable[[], Counter],
    checkpoint: Callable[[Tx, Stream], Parts | None],
    grown: Callable[[Stream], None],
    follow: Callable[[Tx, set[str]], None],
    skipped: frozenset[Unit] = frozenset(),
) -> Cut | None:
    """Turn all committed, unsequenced changes into groups. Returns None when a stream is still missing.

    `stream_of` gives the own stream of a table's rows of one unit; `checkpoint` gives the digests of a stream's content
    in the snapshot when one is due, and they travel right behind the group. `grown` hears of each committed piece.
    `follow` derives, with the last transaction, what follows from changes of these tables: only this snapshot says
    which the cut takes. `skipped`: what stays in the journal, since it cannot be sealed.
    """
    with store.read() as snapshot:
        seen = _look(snapshot)
        groups: dict[str, _Group] = {}
        for table, operations in _tables(snapshot, store, seen):
            query = _net_changes if operations != {INSERT} else _first_load
            for rows in pieces.read_rows(snapshot, table, *query(table, snapshot.dialect, seen.mark), FIRST_VALUE):
                for unit_id, of_unit in groupby(rows, key=itemgetter(0)):
                    if (int(table.kind), unit_id) in skipped:
                        continue
                    stream = stream_of(table, unit_id)
                    if stream is None:
                        return None  # written since the streams were prepared: the next cut takes it
                    group = groups.get(stream.stream_id)
                    if group is None:
                        group = groups[stream.stream_id] = _Group(stream=stream, counter=counter_of())
                    group.tables.add(table.name)
                    if group.failed is None:
                        _collect(table, unit_id, list(of_unit), group)
                    if group.is_full:
                        _write_piece(store, group, write, grown)
        for group in groups.values():
            _add_deletes(store, group, write, grown)
        return _close(store, snapshot, seen, groups, write, checkpoint, follow, skipped)


def _close(
    store: Store,
    snapshot: Tx,
    seen: _Seen,
    groups: dict[str, _Group],
    write: Write,
    checkpoint: Callable[[Tx, Stream], Parts | None],
    follow: Callable[[Tx, set[str]], None],
    skipped: frozenset[Unit],
) -> Cut:
    """One transaction: every group is closed, or void; once more without a group that turns out not to be sealable."""
    digests = {
        key: parts for key, group in groups.items()
        if group.failed is None and (parts := checkpoint(snapshot, group.stream))
    }  # fmt: skip
    changed = moving(snapshot, store.registry, {name for group in groups.values() for name in group.tables})
    while True:  # each time with one group less
        failed = {
            group.unit: Failure(error=group.failed, mark=held_back.mark(snapshot, store.registry, group.unit))
            for group in groups.values() if group.failed is not None
        }  # fmt: skip
        try:
            with store.apply("sequence-close") as tx:
                ended = [_end(tx, group, write, digests.get(key)) for key, group in groups.items()]
                for group in groups.values():
                    if group.failed is None:
                        group.counter.store(tx)
                _forget(tx, seen, store.registry, skipped | failed.keys())
                follow(tx, changed)
            break
        except _Unsealed as unsealed:
            unsealed.group.failed = unsealed.error
    total = sum(group.rows_all for group in groups.values() if group.failed is None)
    return Cut(rows=total, streams=tuple(ended), changed=changed, failed=failed)


class _Unsealed(Exception):  # noqa: N818 - carries an error out of the transaction that it rolls back
    """The rest of a group cannot be sealed."""

    def __init__(self, group: _Group, error: NotCanonical | TooLarge) -> None:
        super().__init__(str(error))
        self.group = group
        self.error = error


def _end(tx: Tx, group: _Group, write: Write, digests: Parts | None) -> Stream:
    """The stream behind its closed group, or behind a word that what was written of it is void."""
    stream = group.stream
    if group.failed is not None:
        if group.opened:
            stream = write(tx, stream, Mark.DISCARD, {}, 0)
        log.stop(tx, stream.stream_id, "stopped", written(group.failed))
        return stream
    if group.parts or group.opened:
        try:
            stream = pieces.write(tx, stream, Mark.CLOSED, group.parts, group.rows, write)
        except (TooLarge, NotCanonical) as error:
            raise _Unsealed(group, error) from error
        if digests:
            stream = write(tx, stream, Mark.CHECKPOINT, digests, 0)
    elif stream.state != "ok":
        stream = log.mark_applied(tx, stream)  # what could not be sealed is gone
    return stream


def _write_piece(store: Store, group: _Group, write: Write, grown: Callable[[Stream], None]) -> None:
    try:
        with store.apply("sequence-piece") as tx:
            group.stream = pieces.write(tx, group.stream, Mark.OPEN, group.parts, group.rows, write)
    except (TooLarge, NotCanonical) as error:
        group.failed = error
    else:
        group.opened = True
        grown(group.stream)
    group.parts, group.rows, group.size = {}, 0, 0


def _add_deletes(store: Store, group: _Group, write: Write, grown: Callable[[Stream], None]) -> None:
    """Deletes go last, and rows that refer before those referred to."""
    for block in reversed(group.deletes):
        if group.failed is not None:
            return
        group.add(_main_audience(store.registry.by_number[block.table]), block)
        group.rows += len(block.ids)
        if group.is_full:
            _write_piece(store, group, write, grown)


def _look(snapshot: Tx) -> _Seen:
    cuts = int(snapshot.value("SELECT value FROM syncd_meta WHERE key = 'cuts'") or 0)
    if snapshot.dialect == "sqlite":  # commits are serial: a prefix of n
        return _Seen(mark=snapshot.value("SELECT coalesce(max(n), 0) FROM syncd_journal"), cuts=cuts)
    return _Seen(mark=snapshot.value("SELECT pg_current_snapshot()::text"), cuts=cuts)


def _forget(tx: Tx, seen: _Seen, registry: Registry, kept: frozenset[Unit]) -> None:
    """Delete the journal rows of this cut but those `kept`, unless another process has cut since: SQLite numbers an
    emptied journal anew, and rows committed meanwhile would bear the numbers of those that are gone."""
    tx.run("INSERT INTO syncd_meta (key, value) VALUES ('cuts', '0') ON CONFLICT (key) DO NOTHING")
    counted = ("UPDATE syncd_meta SET value = ? WHERE key = 'cuts' AND value = ?", (str(seen.cuts + 1), str(seen.cuts)))
    if tx.run(*counted) != 1:
        raise ForkError("another process sequenced this journal", hint="syncd tries again by itself")
    others, values = held_back.others(tx.dialect, registry, kept)
    if tx.dialect == "sqlite":
        # Without a condition SQLite drops the pages whole instead of writing 200 000 deletions.
        is_all = not kept and tx.value("SELECT max(n) FROM syncd_journal") == seen.mark
        bound = f"DELETE FROM syncd_journal WHERE n <= {int(seen.mark)} AND {others}"
        tx.run("DELETE FROM syncd_journal" if is_all else bound, values)
    else:
        visible = "pg_visible_in_snapshot(tx::text::xid8, ?::pg_snapshot)"
        tx.run(f"DELETE FROM syncd_journal WHERE {visible} AND {others}", (seen.mark, *values))


def count_cut(tx: Tx) -> None:
    """The journal was changed by other means: a cut that had read it before must be begun anew."""
    tx.run("INSERT INTO syncd_meta (key, value) VALUES ('cuts', '0') ON CONFLICT (key) DO NOTHING")
    cuts = int(tx.value("SELECT value FROM syncd_meta WHERE key = 'cuts'"))
    tx.run("UPDATE syncd_meta SET value = ? WHERE key = 'cuts'", (str(cuts + 1),))


def _tables(snapshot: Tx, store: Store, seen: _Seen) -> list[tuple[Table, set[int]]]:
    """The tables with changes in this cut, in the order of their numbers, and the operations that occur: one reading of
    the journal for all of them."""
    bound, values = ("WHERE n <= ?", (seen.mark,)) if snapshot.dialect == "sqlite" else ("", ())
    operations: dict[int, set[int]] = {}
    for number, op in snapshot.all(f"SELECT DISTINCT tab, op FROM syncd_journal {bound}", values):
        operations.setdefault(number, set()).add(op)
    return [(table, operations[table.number]) for table in store.registry if table.number in operations]


def _first_load(table: Table, dialect: str, cut: Any) -> tuple[str, tuple[Any, ...]]:
    """The changed rows where all of them are inserts: no grouping is needed, and they start to flow at once."""
    bound, values = ("AND j.n <= ?", (table.number, cut)) if dialect == "sqlite" else ("", (table.number,))
    names = ", ".join(f"t.{column.sql}" for column in table.all_columns if column.name != "unit_id")
    return (
        f"""
        SELECT j.unit_id, j.row_id, {INSERT}, 0, 1, NULL, {names}
        FROM syncd_journal AS j LEFT JOIN {table.sql} AS t ON t.id = j.row_id
        WHERE j.tab = ? {bound} ORDER BY j.n
        """,
        values,
    )


def _net_changes(table: Table, dialect: str, cut: Any) -> tuple[str, tuple[Any, ...]]:
    """One row per changed row: unit, id, first operation, OR of masks, whether it was ever not an update, the counted
    columns' values before, and the row as the snapshot shows it (all NULL when it is gone)."""
    names = ", ".join(f"t.{column.sql}" for column in table.all_columns if column.name != "unit_id")
    values: tuple[Any, ...]
    if dialect == "sqlite":
        masks = " + ".join(f"max(mask & {1 << column.number})" for column in table.all_columns if column.number > 1)
        order, same, bound, values = "printf('%019d', n)", "IS", "AND n <= ?", (table.number, cut)
    else:
        masks = "bit_or(mask)"
        order, same, bound, values = "lpad(n::text, 19, '0')", "IS NOT DISTINCT FROM", "", (table.number,)
    was = f"substr(min(CASE WHEN was IS NOT NULL THEN {order} || was END), 20)" if table.fold else "NULL"
    return (
        f"""
        SELECT j.unit_id, j.row_id, j.first_op, j.mask, j.other, j.was, {names}
        FROM (
            SELECT unit_id, row_id, min(n * 4 + op) % 4 AS first_op, {masks} AS mask,
                   max(CASE WHEN op <> 2 THEN 1 ELSE 0 END) AS other, {was} AS was
            FROM syncd_journal WHERE tab = ? {bound}
            GROUP BY unit_id, row_id
        ) AS j LEFT JOIN {table.sql} AS t ON t.id = j.row_id AND t.unit_id {same} j.unit_id
        ORDER BY j.unit_id, j.row_id
        """,
        values,
    )


FIRST_VALUE = 6  # place of the row's id in a net change


def _collect(table: Table, unit_id: str | None, rows: list[Row], group: _Group) -> None:
    """Sort net changes into blocks by operation and changed columns, and count them."""
    group.rows_all += len(rows)
    group.size += pieces.rows_bytes(table, rows, FIRST_VALUE)
    firsts, ids = set(map(itemgetter(2), rows)), list(map(itemgetter(FIRST_VALUE), rows))
    if firsts == {INSERT} and None not in ids:
        group.rows += len(rows)
        _add_inserts(table, unit_id, rows, group)
        return
    inserts: list[Row] = []
    deletes: list[Row] = []
    updates: dict[int, list[Row]] = {}
    everything = sum(1 << column.number for column in table.all_columns if column.number > 1)
    for row in rows:
        if row[FIRST_VALUE] is None:
            if row[2] != INSERT:
                deletes.append(row)
        elif row[2] == INSERT:
            inserts.append(row)
        else:
            updates.setdefault(everything if row[4] else row[3], []).append(row)
    group.rows += len(inserts) + sum(map(len, updates.values()))
    if inserts:
        _add_inserts(table, unit_id, inserts, group)
    for mask, changed in updates.items():
        _add_updates(table, unit_id, mask, changed, group)
    if deletes:
        group.deletes.append(
            Block(table=table.number, op=DELETE, columns=(), ids=[row[1] for row in deletes], values=[])
        )
        _count_before(table, unit_id, deletes, group.counter)


def _add_inserts(table: Table, unit_id: str | None, rows: list[Row], group: _Group) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    ids, values = columns[1], columns[FIRST_VALUE + 1 :]
    main = _main_audience(table)
    for audience, block in _split(table, INSERT, table.columns, ids, values):
        # A part for fewer readers adds to rows that the main part inserts.
        group.add(audience, block if audience is main else replace(block, op=UPDATE))
    _count_now(table, unit_id, rows, group.counter)


def _add_updates(table: Table, unit_id: str | None, mask: int, rows: list[Row], group: _Group) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    chosen = [column for column in table.columns_of(mask) if column.number > 1]
    values = [columns[FIRST_VALUE + column.number - 1] for column in chosen]
    for audience, block in _split(table, UPDATE, chosen, columns[1], values):
        group.add(audience, block)
    if mask & table.fold_mask:
        moved = [row for row in rows if row[5] is not None]
        if moved:
            _count_before(table, unit_id, moved, group.counter)
            _count_now(table, unit_id, moved, group.counter)


def _split(
    table: Table, op: int, columns: Sequence[Any], ids: list[str], values: list[list[Any]]
) -> Iterator[tuple[Audience, Block]]:
    """One block per audience; an insert always has its main block, even without columns of that audience."""
    audiences = {column.audience for column in columns}
    if op == INSERT:
        audiences.add(_main_audience(table))
    for audience in sorted(audiences):
        places = [place for place, column in enumerate(columns) if column.audience is audience]
        yield (
            audience,
            Block(
                table=table.number,
                op=op,
                columns=tuple(columns[place].number for place in places),
                ids=ids,
                values=[values[place] for place in places],
            ),
        )


def _main_audience(table: Table) -> Audience:
    """The audience that learns which rows exist."""
    return Audience.PUBLIC if table.kind is Kind.CONTROL else Audience.SCOPE


def _count_now(table: Table, unit_id: str | None, rows: list[Row], counter: Counter) -> None:
    if table.fold is not None:
        places = [FIRST_VALUE + table.by_name[name].number - 1 for name in table.fold.all_columns]
        counter.add(table, unit_id, +1, [[row[place] for row in rows] for place in places])


def _count_before(table: Table, unit_id: str | None, rows: list[Row], counter: Counter) -> None:
    if table.fold is not None:
        counter.add(table, unit_id, -1, list(zip(*(json.loads(row[5]) for row in rows), strict=True)))
