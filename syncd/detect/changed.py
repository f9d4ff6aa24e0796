"""Which rows to look at: those changed since the last time, read back from the log, and those whose time has come.

Enters: the log of every stream applied here, positions looked at so far, the agenda. Leaves: ids per table and the new
positions. Must hold: nothing that was applied is passed over, whatever crashed in between (positions follow, never
lead); rows are read again only where the log does not reach back, where the tree has changed, or when their time has
come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from schema.spec import Audience, Kind, Registry
from syncd import limits, log
from syncd.detect.place import Places
from syncd.envelope import Mark, parse_envelope
from syncd.keys import KeyRing
from syncd.node.barriers import Barriers
from syncd.open import open_parts
from syncd.rebuild import void_groups
from syncd.store.base import Tx, in_lists
from syncd.wire import DELETE, UPDATE, Block, decode_touched

# Of each table the columns that can make or end a disagreement; None: all of them.
WATCHED: Mapping[str, frozenset[str] | None] = {
    "household": frozenset({"number", "opened_on", "closed_on"}),
    "person": frozenset({
        "sex", "birth_date", "birth_precision", "residence", "mother_id", "father_id", "citizen_id", "insurance_no",
    }),
    "birth": frozenset({"child_id", "mother_id", "born_on", "sex"}),
    "death": frozenset({"person_id", "died_on"}),
    "migration": frozenset({"person_id", "direction", "moved_on", "match_id"}),
    "person_link": None,
    "move_match": None,
}  # fmt: skip
REGISTER_TABLES = ("household", "person", "birth", "death", "migration")
READ = "read what changed"  # a duty, of each stream apart
EVENTS = ("death", "migration")  # whose absence contradicts what a person's row says


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """How far a stream was looked through. `table`, `row_id`: where reading a whole unit has come to."""

    stream_id: str
    seq: int
    place: str
    table: int = 0
    row_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Changed:
    """`rows`: table → ids to look at. `due`: those that were on the agenda. `units`: where an event was deleted.

    `positions`: how far this brings each stream. `more`: not everything fitted. `unread`: streams that cannot be.
    """

    rows: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    due: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)
    positions: dict[str, Looked] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    more: bool = False

    @property
    def count(self) -> int:
        return sum(map(len, self.rows.values()))


class Reader:
    """Reads what changed. `known`: positions not written down yet, newer than those in the database."""

    def __init__(self, registry: Registry, ring: KeyRing, barriers: Barriers) -> None:
        self._registry = registry
        self._ring = ring
        self._barriers = barriers
        self._masks = {
            name: {registry.by_name[name].by_name[column].number for column in columns or ()}
            for name, columns in _watched(registry).items()
            if name in registry.by_name
        }

    def read(
        self, tx: Tx, places: Places, known: Mapping[str, Looked], only: Collection[str] | None, now: str
    ) -> Changed:  # fmt: skip
        """At most about `DETECT_ROWS` rows; the rest is there the next time. `only`: the streams that may have news."""
        changed = Changed()
        self._agenda(tx, changed, now)
        streams = _streams(tx, only)
        saved = _saved(tx, [at.stream_id for at in streams]) | dict(known)
        for at in streams:
            place = places.line_of(at.keeper)
            looked = saved.get(at.stream_id, Looked(stream_id=at.stream_id, seq=0, place=place))
            if not _is_due(at, looked, place):
                continue
            if changed.count >= limits.DETECT_ROWS:
                changed.more = True
                break
            work = partial(self._stream, tx, at, replace(looked, place=place), looked.place != place, changed)
            if not self._barriers.run(READ, work, False, stream_id=at.stream_id, unit_id=at.unit_id):
                changed.unread.add(at.stream_id)
        return changed

    def _agenda(self, tx: Tx, changed: Changed, now: str) -> None:
        rows = tx.all(
            "SELECT tab, row_id FROM syncd_agenda WHERE due_at <= ? ORDER BY due_at LIMIT ?",
            (now, limits.DETECT_DUE_ROWS),
        )
        for tab, row_id in rows:
            table = self._registry.by_number.get(tab)
            if table is not None:
                changed.rows[table.name].add(row_id)
                changed.due.add(row_id)
        changed.more = len(rows) == limits.DETECT_DUE_ROWS

    def _stream(self, tx: Tx, at: log.Stream, looked: Looked, is_elsewhere: bool, changed: Changed) -> bool:
        """A stream's news; the whole unit where the log cannot tell them, who stands above it has changed, or all of it
        is news: its rows come in smaller parts than the envelopes of a first load."""
        stepped_back = looked.seq > at.applied_seq or looked.seq < at.floor_seq
        by_unit = looked.table or is_elsewhere or stepped_back or (not looked.seq and _is_long(tx, at))
        if at.kind == Kind.REGISTER and by_unit:
            self._unit(tx, at, looked, changed)
            return True
        if stepped_back:
            looked = replace(looked, seq=max(at.floor_seq, 0) if looked.seq < at.floor_seq else at.applied_seq)
        self._entries(tx, at, looked, changed)
        return True

    def _entries(self, tx: Tx, at: log.Stream, looked: Looked, changed: Changed) -> None:
        void = void_groups(tx, at.stream_id)
        seq = looked.seq
        while seq < at.applied_seq and changed.count < limits.DETECT_ROWS:
            found = [entry for entry in log.entries(tx, at.stream_id, seq, limits.MIB) if entry.seq <= at.applied_seq]
            if not found:
                break
            for entry in found:
                is_void = any(first <= entry.seq < end for first, end in void)
                if entry.mark in (Mark.CLOSED, Mark.OPEN) and not is_void:
                    for block in self._blocks(tx, at, entry):
                        self._note(at, block, changed)
                seq = entry.seq
                if changed.count >= limits.DETECT_ROWS:
                    break
        changed.positions[at.stream_id] = replace(looked, seq=seq)
        changed.more = changed.more or seq < at.applied_seq

    def _blocks(self, tx: Tx, at: log.Stream, entry: log.Entry) -> Iterable[Block]:
        """What an envelope changed in columns that every holder of the stream may read."""
        envelope = parse_envelope(entry.envelope)
        keys = {
            (part.audience, part.epoch): key
            for part in envelope.header.parts
            if part.audience == Audience.SCOPE
            and (key := self._ring.key(tx, at.stream_id, part.audience, part.epoch)) is not None
        }
        body = open_parts(envelope, keys).bodies.get(Audience.SCOPE)
        return () if body is None else decode_touched(body)

    def _note(self, at: log.Stream, block: Block, changed: Changed) -> None:
        table = self._registry.by_number.get(block.table)
        if table is None or table.name not in self._masks:
            return
        watched = self._masks[table.name]
        if block.op == UPDATE and watched and watched.isdisjoint(block.columns):
            return
        changed.rows[table.name].update(block.ids)
        if block.op == DELETE and table.name in EVENTS and at.unit_id is not None:
            changed.units.add(at.unit_id)

    def _unit(self, tx: Tx, at: log.Stream, looked: Looked, changed: Changed) -> None:
        """Every row of a unit, in turns; what changes meanwhile is in the log behind the position of the first turn."""
        if not looked.table:
            looked = replace(looked, seq=at.applied_seq, table=self._registry.by_name[REGISTER_TABLES[0]].number)
        for name in REGISTER_TABLES:
            number = self._registry.by_name[name].number
            if number < looked.table:
                continue
            after = looked.row_id if number == looked.table else None
            ids = self._ids(tx, name, at.unit_id or "", after)
            changed.rows[name].update(ids)
            if len(ids) == limits.DETECT_ROWS:
                changed.positions[at.stream_id] = replace(looked, table=number, row_id=ids[-1])
                changed.more = True
                return
        changed.positions[at.stream_id] = replace(looked, table=0, row_id=None)
        changed.more = changed.more or looked.seq < at.applied_seq

    @staticmethod
    def _ids(tx: Tx, table: str, unit_id: str, after: str | None) -> list[str]:
        beyond = "" if after is None else " AND id > ?"
        values = (unit_id,) if after is None else (unit_id, after)
        query = f"SELECT id FROM {table} WHERE unit_id = ?{beyond} ORDER BY id LIMIT ?"
        return [row[0] for row in tx.all(query, (*values, limits.DETECT_ROWS))]


def _watched(registry: Registry) -> Mapping[str, frozenset[str] | None]:
    """The columns above, and of every register table those whose values come from a list."""
    watched = dict(WATCHED)
    for table in registry.of_kind(Kind.REGISTER):
        coded = frozenset(column.name for column in table.columns if column.code_list)
        before = watched.get(table.name, frozenset())
        if coded and before is not None:
            watched[table.name] = before | coded
    return watched


def save(tx: Tx, positions: Iterable[Looked]) -> None:
    """Write positions down."""
    tx.many(
        "INSERT INTO syncd_looked (stream_id, seq, place, row_tab, row_id) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (stream_id) DO UPDATE SET seq = excluded.seq, place = excluded.place,"
        " row_tab = excluded.row_tab, row_id = excluded.row_id",
        [(each.stream_id, each.seq, each.place, each.table, each.row_id) for each in positions],
    )


def _streams(tx: Tx, only: Collection[str] | None) -> list[log.Stream]:
    where = "kind IN (1, 2) AND unit_id IS NOT NULL AND applied_seq > 0"
    if only is None or len(only) > limits.DETECT_IDS_MAX:
        return log.streams(tx, where)
    found = (log.streams(tx, f"{where} AND stream_id IN ({marks})", some) for marks, some in in_lists(sorted(only)))
    return [at for some in found for at in some]


def _saved(tx: Tx, stream_ids: Sequence[str]) -> dict[str, Looked]:
    query = "SELECT stream_id, seq, place, row_tab, row_id FROM syncd_looked"
    if len(stream_ids) > limits.DETECT_IDS_MAX:
        rows = tx.all(query)
    else:
        lists = in_lists(stream_ids)
        rows = [row for marks, some in lists for row in tx.all(f"{query} WHERE stream_id IN ({marks})", some)]
    return {
        row[0]: Looked(stream_id=row[0], seq=row[1], place=row[2], table=row[3], row_id=row[4]) for row in rows
    }  # fmt: skip


def _is_long(tx: Tx, at: log.Stream) -> bool:
    """Whether the log of a stream holds more than is looked at in one turn."""
    rows = tx.value("SELECT coalesce(sum(rows), 0) FROM syncd_log WHERE stream_id = ?", (at.stream_id,))
    return int(rows) > limits.DETECT_ROWS


def _is_due(at: log.Stream, looked: Looked, place: str) -> bool:
    return looked.seq != at.applied_seq or looked.table != 0 or looked.place != place
