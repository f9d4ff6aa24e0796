"""Applying a stream: open, apply, count, compare and advance in one transaction per run of groups (design §4, I8–I10).

Enters: the log beyond a stream's applied position. Leaves: tables, aggregates, checkpoints and position moved together.
Must hold: a group becomes visible whole or not at all; a group that cannot be applied stops its own stream with a
reason, after everything before it was committed; what the cause removes (a key, a newer unit tree, an upgrade) is tried
again by itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conflict.case import CaseKind
from schema.spec import Audience, Kind, Table
from schema.tables import SCHEMA_REVISION
from syncd import handover, limits, log, moved_rows, receipt
from syncd.aggregate import Cells
from syncd.apply import apply_blocks
from syncd.cases import close_cases, open_case
from syncd.clock import Clock, instant_of
from syncd.envelope import Envelope, Mark, parse_envelope, stream_id_of
from syncd.errors import (
    Altered,
    KeyMissing,
    SchemaNewer,
    StreamBehind,
    SyncdError,
    TooLarge,
    TreeOlder,
    Unsupported,
)
from syncd.keys import KeyRing
from syncd.log import Entry, Stream
from syncd.node.barriers import PASSING, reason_of, tell
from syncd.open import open_parts
from syncd.store.base import Store, Tx
from syncd.terms import DERIVED_FROM, refresh_keepers
from syncd.topology import subtree
from syncd.tree import load_tree
from syncd.verify import compare
from syncd.wire import INSERT, UPDATE, Block, CheckpointLine, Schema, decode_bodies, decode_body, decode_checkpoint

if TYPE_CHECKING:
    from syncd.security.identity import NodeKeys

_NEXT_END = """
    SELECT min(l.seq) FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id
    WHERE s.stream_id = ? AND l.seq > s.applied_seq AND l.mark <> ?
"""
More = Callable[[], bool]
ChangedAt = dict[tuple[str, int], int]  # (row, column number) → milliseconds since 1970, by the keeper's clock


@dataclass(slots=True, kw_only=True)
class _Run:
    """What one transaction has applied so far. `whole`: the last closed group, where the transaction may stop."""

    at: Stream
    touched: set[str] = field(default_factory=set)
    cells: Cells = field(default_factory=Cells)
    whole: tuple[int, bytes] = (0, b"")
    seq: int = 0
    groups: int = 0
    tree_seq: int | None = None  # the unit tree's version, as it was last asked for
    room: subtree.Room = field(default_factory=dict)


def _is_taken(at: Stream) -> bool:
    """Whether the envelopes of a stream come from elsewhere: of its own ones only while they are taken back."""
    return not at.own or at.rejoin_seq > 0


class _Failed(Exception):  # noqa: N818 - carries an error out of the transaction that it rolls back
    """A group cannot be applied; `whole_seq` is the position before it, `applied_seq` where the transaction began."""

    def __init__(self, whole_seq: int, applied_seq: int, error: Exception) -> None:
        super().__init__(str(error))
        self.whole_seq = whole_seq
        self.applied_seq = applied_seq
        self.error = error


class _Again(Exception):  # noqa: N818 - not an error: the transaction is rolled back and only whole groups are tried
    """The rest of an open group did not come in time, or turned out to be void."""


class Applier:
    """Applies the streams of one store."""

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        wire_schema: Schema,
        clock: Clock,
        node_keys: NodeKeys,
        tables_changed: Callable[[set[str]], None],
    ) -> None:
        self.registry = store.registry
        self._store = store
        self._ring = ring
        self._wire_schema = wire_schema
        self._clock = clock
        self._keys = node_keys
        self._tables_changed = tables_changed
        self._brought: subtree.Counts = {}
        # Called in the transaction, before envelopes of an own stream are applied: what was typed meanwhile is kept.
        self.make_way: Callable[[Tx, Stream], Stream] = lambda _tx, at: at

    def apply(self, stream_id: str, more: More | None = None) -> bool:
        """Apply what the log holds beyond the applied position; returns whether anything moved.

        `more` waits for the rest of an open group and says whether any came; without it only closed groups are begun.
        """
        moved = False
        for _ in range(limits.APPLY_TURNS_MAX):  # then other streams have their turn, however fast this one grows
            try:
                went_on = self._transaction(stream_id, more, None)
            except _Again:
                more = None
                continue
            except _Failed as failed:
                if failed.whole_seq > failed.applied_seq:
                    moved = self._transaction(stream_id, None, failed.whole_seq) or moved
                self.stop(stream_id, failed.error)
                return moved
            except PASSING:
                raise
            except Exception as error:  # whatever follows from some row: up to the group before it all is good
                tell(error, duty="apply", about=stream_id)
                return self._group_by_group(stream_id) or moved
            moved = moved or went_on
            if not went_on:
                break
        return moved

    def _group_by_group(self, stream_id: str) -> bool:
        """A transaction failed behind its last group; returns whether any moved. Stops the stream at the group at
        fault."""
        moved = False
        for _ in range(limits.APPLY_TURNS_MAX):
            with self._store.read() as tx:
                end = tx.value(_NEXT_END, (stream_id, int(Mark.OPEN)))
            try:
                if end is None or not self._transaction(stream_id, None, int(end)):
                    return moved
            except PASSING:
                raise
            except _Again:
                return moved
            except Exception as error:
                self.stop(stream_id, error.error if isinstance(error, _Failed) else error)
                return moved
            moved = True
        return moved

    def _transaction(self, stream_id: str, more: More | None, until: int | None) -> bool:
        """One transaction: whole groups up to `until`, or to the end of the log, or until the writer's turn is over."""
        with self._store.read() as tx:
            seen = log.stream(tx, stream_id)
        if seen is None or not _is_taken(seen) or not self._has_work(seen, more, until):
            return False  # before a write transaction, which would reach the disk even empty
        with self._store.apply("apply") as tx:
            tx.lock(stream_id)
            at = log.stream(tx, stream_id)
            if at is None or not _is_taken(at) or not self._has_work(at, more, until):
                return False
            if at.own:
                at = self.make_way(tx, at)
            run = _Run(at=at, whole=(at.applied_seq, at.applied_hash), seq=at.applied_seq)
            for entry in self._entries(tx, run, more, until):
                self._entry(tx, run, entry)
            run.cells.store(tx)
            moved = log.applied_to(tx, at, *run.whole)
            if at.state == "stopped":
                subtree.goes_on(tx, stream_id, instant_of(self._clock()))
            self._effects(tx, run, moved)
        self._tables_changed(run.touched)
        return run.whole[0] > at.applied_seq

    def _has_work(self, at: Stream, more: More | None, until: int | None) -> bool:
        """Whether a whole group lies ahead; on PostgreSQL an open one is begun while its rest arrives."""
        if at.applied_seq < at.floor_seq:
            return False  # what lies between was forgotten: a baseline comes first (`syncd/baseline.py`)
        end = at.held_seq if not at.open_from else at.open_from - 1
        if more is not None and self._store.dialect != "sqlite":
            end = at.held_seq
        return at.applied_seq < (end if until is None else min(end, until))

    def _entries(self, tx: Tx, run: _Run, more: More | None, until: int | None) -> Iterator[Entry]:
        """The entries to apply, in order; ends between groups."""
        began = time.monotonic()
        while True:
            found = log.entries(tx, run.at.stream_id, run.seq, limits.APPLY_BYTES_MAX)
            for entry in found:
                if entry.seq <= run.seq:
                    continue  # of a void group that was stepped over
                if run.seq == run.whole[0]:
                    if run.seq == until or (run.seq > run.at.applied_seq and self._turn_is_over(run, began)):
                        return  # a turn applies one group at least, however slowly the log was read
                    if entry.mark is Mark.OPEN and not self._may_begin(tx, run, more):
                        return
                    if entry.seq <= run.seq:
                        continue
                yield entry
            if not found and run.seq == run.whole[0]:
                return
            if not found and (more is None or not more()):
                raise _Again

    def _may_begin(self, tx: Tx, run: _Run, more: More | None) -> bool:
        """How the group ahead ends: a void one is stepped over, an open one waits unless its rest is awaited here."""
        end = tx.one(
            "SELECT seq, mark, hash FROM syncd_log WHERE stream_id = ? AND seq > ? AND mark <> ? ORDER BY seq LIMIT 1",
            (run.at.stream_id, run.seq, int(Mark.OPEN)),
        )
        if end is None:
            return more is not None and self._store.dialect != "sqlite"
        if end[1] == Mark.DISCARD:
            run.seq, run.whole = end[0], (end[0], bytes(end[2]))
        return True

    def _turn_is_over(self, run: _Run, began: float) -> bool:
        """Whether the writer's lock was held long enough. What follows from records costs by all there are: with each
        of N that came it would be N² (a station joins a hub of N others), so that they have more time."""
        limit_ms = limits.WRITE_LOCK_MS_MAX if self._store.dialect == "sqlite" else limits.APPLY_TURN_MS_MAX
        if run.groups < limits.RECORDS_GROUPS_MIN and run.touched & DERIVED_FROM:
            limit_ms = max(limit_ms, limits.RECORDS_LOCK_MS_MAX)
        return (time.monotonic() - began) * 1000 > limit_ms * limits.TURN_SHARE

    def _entry(self, tx: Tx, run: _Run, entry: Entry) -> None:
        if entry.mark is Mark.DISCARD and run.seq != run.whole[0]:
            raise _Again  # the pieces applied in this transaction are void
        try:
            envelope = parse_envelope(entry.envelope)
            self._check_reader(tx, run, envelope)
            if entry.mark in (Mark.CHECKPOINT, Mark.ENDS):
                run.cells.store(tx)
                self.compare(tx, run.at, envelope)
            elif entry.mark is Mark.ADOPTS:
                handover.check_adopts(tx, run.at, envelope.header)
            elif entry.mark is not Mark.DISCARD:
                run.touched |= self.put(tx, run.at, envelope, run.cells, run.room)
        except PASSING:
            raise
        except Exception as error:  # ours, or whatever the envelope made of our code
            if not isinstance(error, SyncdError):
                tell(error, duty="apply", about=run.at.stream_id)
            raise _Failed(run.whole[0], run.at.applied_seq, error) from error
        run.seq = entry.seq
        if entry.mark is not Mark.OPEN:
            run.whole = (entry.seq, entry.hash)
            run.groups += 1

    def blocks(self, tx: Tx, at: Stream, envelope: Envelope) -> dict[Audience, list[Block]]:
        """What an envelope of `at` carries, opened: the changes this node may read, per audience."""
        bodies = self._bodies(tx, at, envelope)
        if not bodies.keys() <= set(Audience):
            raise Unsupported(
                f"envelope {envelope.header.seq} of stream {at.stream_id} has a part for an audience unknown here",
                hint="upgrade syncd on this node; the stream goes on by itself afterwards",
            )
        decoded = decode_bodies(bodies, self._wire_schema)
        return {Audience(audience): blocks for audience, blocks in decoded.items()}

    def blocks_for(self, tx: Tx, at: Stream, envelope: Envelope, audience: Audience) -> list[Block]:
        """The changes of an envelope for one audience alone; none where it has no such part."""
        keys = {
            (part.audience, part.epoch): key
            for part in envelope.header.parts
            if part.audience == audience and (key := self._ring.key(tx, at.stream_id, audience, part.epoch)) is not None
        }
        bodies = open_parts(envelope, keys).bodies if keys else {}
        return [block for body in bodies.values() for block in decode_body(body, self._wire_schema)]

    def put(self, tx: Tx, at: Stream, envelope: Envelope, cells: Cells, room: subtree.Room) -> set[str]:
        """The changes of one envelope of `at` into the tables; returns the names of those touched. `room`: what is left
        of the bounds in this transaction, empty at its begin."""
        blocks = self.blocks(tx, at, envelope)
        tag: str | None = at.keeper[28:]
        if moved_rows.concerns_moves(tx, at):
            tree = load_tree(tx)
            blocks = moved_rows.applicable(tx, self.registry, tree, at, blocks)
            tag = None if moved_rows.may_take_rows(tx, tree, at) else tag
            for table, unit_id, ids in [*moved_rows.left_behind(tx, self.registry, tree, at, blocks)][::-1]:
                counted = () if table.fold is None else table.fold.all_columns
                gone = tx.delete_ids(table, unit_id, ids, counted or ("id",))
                cells.add(table, unit_id, -1, list(zip(*gone, strict=True)) if counted else [])
        touched = apply_blocks(tx, self.registry, at, tag, blocks, cells)
        if at.kind == Kind.CONTROL and not at.own:
            subtree.require_bounded(tx, at, self._brings(blocks), room)
        subtree.require_few_rows(tx, at, envelope.header.seq, self._brought)
        return touched

    def _brings(self, blocks: Mapping[Audience, list[Block]]) -> Counter[str]:
        """Rows per table; a changed or deleted one counts as more than any bound: what it moves is not seen here."""
        found: Counter[str] = Counter()
        for block in (block for of_audience in blocks.values() for block in of_audience):
            rows = len(block.ids) if block.op == INSERT else limits.CONTROL_ROWS_MAX
            found[self.registry.by_number[block.table].name] += rows
        return found

    def put_baseline(self, tx: Tx, at: Stream, envelope: Envelope, cells: Cells) -> set[str]:
        """Rows of a baseline of `at` into its tables: whoever kept the unit before may have minted their ids. It is
        sealed with the keys of `at`."""
        blocks = moved_rows.applicable_of_baseline(tx, self.registry, at, self.blocks(tx, at, envelope))
        return apply_blocks(tx, self.registry, at, None, blocks, cells)

    @property
    def me(self) -> str:
        """This node."""
        return self._keys.node_id

    def compare(self, tx: Tx, at: Stream, envelope: Envelope) -> None:
        """This node stands at exactly the position the keeper digested: compare content (I1). The columns of keepers
        only where they are sure to have been read from the first day: who takes the unit over later reads them then.
        """
        stated = self._stated(tx, at, envelope)
        if not at.own and not self._is_root(tx):
            stated = [line for line in stated if line.audience != Audience.CUSTODIAN]
        self._compare(tx, at, stated)

    def compare_all(self, tx: Tx, at: Stream, envelope: Envelope) -> None:
        """The same once all columns are read."""
        self._compare(tx, at, self._stated(tx, at, envelope))

    def _stated(self, tx: Tx, at: Stream, envelope: Envelope) -> list[CheckpointLine]:
        return [line for body in self._bodies(tx, at, envelope).values() for line in decode_checkpoint(body)]

    def _compare(self, tx: Tx, at: Stream, lines: list[CheckpointLine]) -> None:
        if at.kind == Kind.REGISTER and moved_rows.is_behind(tx, at.unit_id):
            return  # some of what is stated has moved on here
        now = instant_of(self._clock())
        differences = compare(tx, self.registry, at, lines, now)
        for difference in differences:
            open_case(
                tx,
                CaseKind.CHECKPOINT_MISMATCH,
                (at.stream_id, difference.table, self._keys.node_id),
                opened_at=now,
                detail={
                    "table": difference.table,
                    "audience": difference.audience.name.lower(),
                    "seq": difference.seq,
                    "rows_stated": difference.rows_stated,
                    "rows_found": difference.rows_found,
                },
                stream_id=at.stream_id,
                unit_id=at.unit_id,
            )
        if not differences:
            close_cases(tx, CaseKind.CHECKPOINT_MISMATCH, at.stream_id, now)

    def _check_reader(self, tx: Tx, run: _Run, envelope: Envelope) -> None:
        header, at = envelope.header, run.at
        if header.schema_revision > SCHEMA_REVISION:
            raise SchemaNewer(
                f"envelope {header.seq} of stream {at.stream_id} needs schema revision {header.schema_revision},"
                f" this release has {SCHEMA_REVISION}",
                hint="upgrade syncd on this node; the stream goes on by itself afterwards",
            )
        if run.tree_seq is None or header.tree_seq > run.tree_seq:  # another process may have applied units meanwhile
            run.tree_seq = self.tree_seq(tx, None)
        if header.tree_seq > run.tree_seq:
            raise TreeOlder(
                f"envelope {header.seq} of stream {at.stream_id} was written under a newer unit tree",
                hint="the stream goes on by itself when the units have arrived",
            )

    def _bodies(self, tx: Tx, at: Stream, envelope: Envelope) -> Mapping[int, bytes]:
        keys = {
            (part.audience, part.epoch): key
            for part in envelope.header.parts
            if part.audience != Audience.PUBLIC
            and (key := self._ring.key(tx, at.stream_id, part.audience, part.epoch)) is not None
        }
        opened = open_parts(envelope, keys)
        if opened.absent:
            raise Altered(
                f"envelope {envelope.header.seq} of stream {at.stream_id} has lost its part for audience"
                f" {opened.absent[0]}",
                hint="nothing was applied; restore the last backup of this database",
            )
        locked = {audience for audience, _epoch in opened.locked}
        if Audience.SCOPE in locked or (Audience.CUSTODIAN in locked and self._is_root(tx)):
            raise KeyMissing(
                f"no key yet for stream {at.stream_id}",
                hint="the stream goes on by itself when the key grant has arrived",
            )
        return opened.bodies

    def _effects(self, tx: Tx, run: _Run, moved: Stream) -> None:
        """What follows from applied rows in the same transaction."""
        if handover.ends_here(tx, moved):
            run.touched.add("handover")  # a term may have ended, another may begin
        self.follow(tx, run.touched)
        if run.whole[0] > run.at.applied_seq:
            self.arrived(tx, moved)

    def follow(self, tx: Tx, touched: set[str]) -> None:
        """Derive anew what stands in no stream: who keeps what."""
        if touched & DERIVED_FROM:
            refresh_keepers(tx)

    def arrived(self, tx: Tx, at: Stream) -> None:
        """The tables show a stream further than before: the custodian says so."""
        if self._is_root(tx):
            self.vouch(tx, at)

    def changed(self, touched: set[str]) -> None:
        """Rows of these tables changed, and that is committed."""
        self._tables_changed(touched)

    def vouch(self, tx: Tx, stream: Stream) -> None:
        """As custodian: sign that this position is applied here."""
        receipt.store(tx, receipt.sign(self._keys, stream, self._clock()))

    def vouch_again(self, tx: Tx, stream: Stream) -> None:
        """As custodian: sign a position that was left behind, and has been returned to."""
        tx.run("UPDATE syncd_stream SET custodian_seq = 0 WHERE stream_id = ?", (stream.stream_id,))
        self.vouch(tx, stream)

    def tree_seq(self, tx: Tx, root_id: str | None) -> int:
        """The applied position of the root's stream about all units: the version of the unit tree."""
        root = root_id or str(tx.value("SELECT value FROM syncd_meta WHERE key = 'root_id'"))
        stream_id = stream_id_of(Kind.OVERSIGHT, None, root, 1)
        return int(tx.value("SELECT applied_seq FROM syncd_stream WHERE stream_id = ?", (stream_id,)) or 0)

    def _is_root(self, tx: Tx) -> bool:
        return bool(tx.value("SELECT value FROM syncd_meta WHERE key = 'root_id'") == self._keys.node_id)

    def stop(self, stream_id: str, error: Exception) -> None:
        """Record why a stream cannot be applied further."""
        state = "waiting" if isinstance(error, KeyMissing | TreeOlder | StreamBehind | SchemaNewer) else "stopped"
        reason = reason_of(error)
        with self._store.read() as tx:
            known = log.stream(tx, stream_id)
        if known is not None and (known.state, known.reason) == (state, reason):
            return  # tried again in vain: nothing to write
        with self._store.apply("stop") as tx:
            log.stop(tx, stream_id, state, reason)
            if known is not None and isinstance(error, TooLarge):
                subtree.note(tx, known, reason, instant_of(self._clock()))

    def changed_at(self, tx: Tx, stream_id: str, table: Table, wanted: Mapping[str, int]) -> ChangedAt:
        """When values of an own stream last changed: now if that is not sequenced yet, else the time of the newest of
        the last `HISTORY_ENVELOPES_MAX` envelopes that changed them. `wanted`: row → mask of columns.
        """
        left, found = dict(wanted), ChangedAt()
        # Read whole: the journal holds what was written since the last cut, and has no index on rows.
        journal = "SELECT row_id, op, mask FROM syncd_journal WHERE tab = ?"
        for rows in tx.stream(journal, (table.number,)):
            for row_id, op, mask in rows:
                _note(left, found, row_id, mask if op == UPDATE else -1, self._clock())
        at = log.stream(tx, stream_id)
        seq = at.held_seq + 1 if at is not None else 0
        for _ in range(limits.HISTORY_ENVELOPES_MAX):
            row = tx.one(
                "SELECT seq, mark, envelope FROM syncd_log WHERE stream_id = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
                (stream_id, seq),
            )
            if at is None or row is None or not left:
                break
            seq = row[0]
            if row[1] in (Mark.CLOSED, Mark.OPEN):
                self._note_changes(tx, at, parse_envelope(bytes(row[2])), table, left, found)
        return found

    def _note_changes(
        self, tx: Tx, at: Stream, envelope: Envelope, table: Table, left: dict[str, int], found: ChangedAt
    ) -> None:
        for blocks in decode_bodies(self._bodies(tx, at, envelope), self._wire_schema).values():
            for block in blocks:
                if block.table == table.number:
                    mask = sum(1 << column for column in block.columns)
                    for row_id in left.keys() & set(block.ids):
                        _note(left, found, row_id, mask, envelope.header.time_ms)


def _note(left: dict[str, int], found: ChangedAt, row_id: str, mask: int, time_ms: int) -> None:
    """Newest first: a column once found is not looked for any more."""
    changed = left.get(row_id, 0) & mask
    if changed:
        found |= {(row_id, column): time_ms for column in range(changed.bit_length()) if changed >> column & 1}
        left[row_id] &= ~changed
        if not left[row_id]:
            del left[row_id]
