"""The flow of one node, top to bottom: write (sequence, seal), accept (receive, open, apply), decide, vouch.

Enters: a store, this node's keys, a clock and randomness. Leaves: streams that grow, tables that follow them.
Must hold: every method ends at a commit; called again after a crash at any point, each goes on where the last commit
was.
The network is not here: `syncd/exchange.py` carries what `syncd/send.py` picks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from schema.spec import Kind, Table
from syncd import adopting, baseline, baseline_taking, handover, keys, lift, limits, log, sequence
from syncd.aggregate import Cells
from syncd.applying import Applier, ChangedAt, More
from syncd.awaited import Awaited
from syncd.clock import Clock
from syncd.clockwatch import ClockWatch
from syncd.envelope import Mark
from syncd.errors import EnvelopeError, ForkError, StoreError, written
from syncd.events import event
from syncd.granting import GRANT, grant_down, grant_followers
from syncd.identity.matching import Matching
from syncd.language import say
from syncd.log import Stream
from syncd.messages import Silent
from syncd.node.barriers import Barriers
from syncd.node.receiving import receive_apart
from syncd.own_streams import WRITTEN_TO, OwnStreams
from syncd.passing import Passing
from syncd.receipts import Receipts
from syncd.receive import FORKED, LATER, SETTLED, Received, receive
from syncd.rejoin import Rejoin
from syncd.replication.held_back import Failure, HeldBack, Unit, mark
from syncd.signals import APPLIED, LOG, RECEIPT, Signals
from syncd.store.base import Store, Tx
from syncd.store.patience import patiently
from syncd.store.pulse import Baton
from syncd.terms import refresh_keepers
from syncd.topology import subtree
from syncd.tree import Tree, load_tree

if TYPE_CHECKING:
    from syncd.detect.detector import Detector
    from syncd.security.identity import NodeKeys

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one call moved, so that the daemon knows whom to wake."""

    wrote: bool = False  # own streams grew
    applied: bool = False  # tables changed
    waiting: bool = False  # something is due again soon, without any news


class Node:
    """One node's stages over its store. Thread-safe: each stage holds its own lock, the store orders the writers."""

    def __init__(
        self,
        store: Store,
        node_keys: NodeKeys,
        clock: Clock,
        random_bytes: RandomBytes,
        elapsed_s: Callable[[], float] = time.monotonic,  # never set back
    ) -> None:
        self.store = store
        self.keys = node_keys
        self.clock = clock
        self.clock_offset_ms: int | None = None
        self.silent_below: Callable[[], list[Silent]] = list  # a daemon with children knows of some
        self.ring = keys.KeyRing(node_keys)
        self.signals = Signals()
        self._random = random_bytes
        self.sequencing = Baton()  # held wherever own streams change
        self._heads: dict[str, int] = {}  # own streams as last told of
        self._tree: Tree | None = None
        self._tree_changes = 0
        self._tree_guard = threading.Lock()
        self._tree_loading = Baton()
        # Whatever a process before this one had not come to.
        self._grants_due = self._proposals_due = self._notices_due = True
        self._ways_on: set[str] = set()  # streams of which a whole baseline has come since they were last tried
        self._rows_awaited = False  # a proposal waits for its row, which is on its way to another unit
        self.barriers = Barriers(store, clock)
        self.passing = Passing(self)
        self._detecting: Detector | None = None
        self.matching = Matching(store, clock, random_bytes)
        self.clocks = ClockWatch(store, clock)
        schema = baseline.wire_schema(store)
        self.applier = Applier(store, self.ring, schema, clock, node_keys, self._tables_changed)
        self.rejoin = Rejoin(
            store, self.applier, self.ring, clock, node_keys.node_id, self.sequencing, self.tree, self._rejoined
        )
        self.awaited = Awaited(store)
        with store.read() as tx:
            facts: dict[str, str] = dict(tx.all("SELECT key, value FROM syncd_meta"))
        self.node_id = node_keys.node_id
        node_keys.require_database(facts, say("tiến trình này", "this process"))
        self.root_id = facts.get("root_id", self.node_id)
        if self.is_root:
            self.clock_offset_ms = 0  # its clock is the one others are measured against
        self.recovery_public = bytes.fromhex(facts.get("recovery_public", ""))
        self.receipts = Receipts(store, clock, elapsed_s, self.signals, self.rejoin, self.tree, self.root_id)
        self.held_back = HeldBack(store.registry)
        self.own = OwnStreams(
            store, node_keys, self.ring, self.applier, clock, random_bytes, schema, self.tree,
            lambda: self.clock_offset_ms, self.root_id, self.recovery_public,
        )  # fmt: skip

    # --- what this node knows of the tree -----------------------------------------------------------------------

    @property
    def is_root(self) -> bool:
        return self.root_id == self.node_id

    def tree(self) -> Tree:
        """The tree as last committed here."""
        with self._tree_guard:
            tree = self._tree
        return self._load_tree() if tree is None else tree

    def _load_tree(self) -> Tree:
        with self._tree_loading:  # of many threads that want it one reads
            with self._tree_guard:
                tree, changes = self._tree, self._tree_changes
            if tree is None:
                with self.store.read() as tx:
                    tree = load_tree(tx)
                with self._tree_guard:
                    if changes == self._tree_changes:  # else a record came while this was read: it is read anew
                        self._tree = tree
            return tree

    def reread_tree(self) -> Tree:
        """The tree as it is now, whatever was last read: another process of this hub may have let a node in."""
        self._drop_tree()
        return self.tree()

    def _drop_tree(self) -> None:
        with self._tree_guard:
            self._tree = None
            self._tree_changes += 1

    def forget_tree(self) -> None:
        """Records of nodes, units or orders changed: everything concluded from them is due again."""
        self._drop_tree()
        self._conclude_anew()

    def _conclude_anew(self) -> None:
        self._grants_due = self._proposals_due = self._notices_due = self.passing.is_due = True

    def _tables_changed(self, names: set[str]) -> None:
        """Rows of these tables changed: what this node concludes from them is due again."""
        if names & {"node", "unit", "handover", "reassignment"}:
            self.forget_tree()
        elif "key_grant" in names:  # the tree is the same, but streams may be read now, or keys be passed on
            self._conclude_anew()
        if names & {"proposal", "verdict"}:
            self._notices_due = True
        if "proposal" in names or (self._rows_awaited and "verdict" in names):  # rows that move bring one
            self._proposals_due = True

    def _rejoined(self, names: set[str]) -> None:
        """A branch was left: what this node concluded from it is concluded anew."""
        self.own.clear()
        self.forget_tree()
        self._tables_changed(names | {"proposal"})

    # --- write: journal → log -----------------------------------------------------------------------------------

    @patiently
    def write(self, checkpoints: bool = False) -> int:
        """Sequence and seal everything committed so far; returns the number of changed rows. With `checkpoints`,
        digests of the written streams follow.
        """
        with self.sequencing:
            while True:
                with self.store.read() as tx:
                    if self.rejoin.is_held_back(tx):
                        return 0  # an own stream may go on elsewhere than in this log
                    opened = self.own.open_groups(tx)
                    skipped = self.held_back.skipped(tx)
                    waiting = self.held_back.without(sequence.units_waiting(tx), skipped)
                    strays = handover.strays(tx, self.store.registry, self.node_id, waiting)
                    names = self._changing(tx, waiting)
                self.own.discard(opened)
                if strays:
                    for unit_id in strays:
                        self._set_aside(unit_id)
                    continue
                if not waiting:
                    return 0
                self._tables_changed(names)
                if not self.own.prepare(waiting):
                    continue  # preparing wrote grants: they belong into this cut too
                try:
                    cut = sequence.sequence(
                        self.store,
                        self.own.of,
                        self.own.append,
                        Cells,
                        self.own.digests if checkpoints else _no_digests,
                        # a piece travels while others are read
                        lambda stream: self.signals.emit(LOG, [stream.stream_id]),
                        self.applier.follow,  # a unit moved by a clerk at the root changes who answers for it
                        skipped,
                    )
                except ForkError:
                    self.own.clear()
                    raise
                self.own.clear()
                if cut is not None:
                    self._tables_changed(cut.changed)  # also what was written since `names` were read
                    self._hold_back(cut, skipped)
                    self.tell_written(stream.stream_id for stream in cut.streams)
                    return cut.rows

    def _changing(self, tx: Tx, waiting: Iterable[tuple[int, str | None]]) -> set[str]:
        """The tables with changes that are not sequenced, of `unit` only where units come, go or move."""
        names = {self.store.registry.by_number[tab].name for tab, _unit in waiting}
        return sequence.moving(tx, self.store.registry, names)

    def _hold_back(self, cut: sequence.Cut, skipped: frozenset[Unit]) -> None:
        self.held_back.take(cut.failed, skipped)
        for (kind, unit_id), failure in cut.failed.items():
            event(
                "held-back", logging.WARNING, kind=Kind(kind).name.lower(), unit=unit_id, reason=written(failure.error)
            )

    def has_backlog(self) -> bool:
        """Whether committed rows wait to be sequenced that can be."""
        if not self.held_back:
            return self.store.backlog()
        with self.store.read() as tx:
            return self.held_back.has_more(tx)

    @property
    def owes_checkpoint(self) -> bool:
        """Whether an own stream may say more than its last checkpoint: whoever wrote it, and what came back of it."""
        return self.own.is_unchecked

    @patiently
    def checkpoint(self) -> int:
        """Write a checkpoint behind every own stream whose content has no newer one; returns how many were written.
        What cannot be written now stays owed."""
        with self.sequencing:
            if self.rejoin.holds_back():
                return 0
            self.own.is_unchecked = False  # whatever is written or comes back from here on is owed again
            try:
                return self._write_checkpoints()
            except BaseException:
                self.own.is_unchecked = True
                raise

    def _write_checkpoints(self) -> int:
        self.own.discard_open()
        written = 0
        with self.store.read() as snapshot:
            if self.held_back.has_more(snapshot):
                self.own.is_unchecked = True
                return 0  # content ahead of the log: it has its turn behind the next cut
            behind = self.held_back.skipped(snapshot)
            for stream in log.streams(snapshot, f"{WRITTEN_TO} AND held_seq > checkpoint_seq"):
                if (stream.kind, stream.unit_id) in behind:
                    continue
                parts = self.own.digests(snapshot, stream)
                with self.store.apply("checkpoint") as tx:
                    self.own.append(tx, stream, Mark.CHECKPOINT, parts, 0)
                self.tell_written([stream.stream_id])
                written += 1
        return written

    def notice(self) -> bool:
        """Tell of own streams that another process of this node has extended (`syncd verify` beside the daemon)."""
        with self.store.read() as tx:
            rows = tx.all("SELECT stream_id, held_seq, kind, checkpoint_seq FROM syncd_stream WHERE own = 1")
        new = [row for row in rows if row[1] > self._heads.get(row[0], 0)]
        grown = [row[0] for row in new]
        if any(seq > checked and kind != Kind.BASELINE for _stream_id, seq, kind, checked in new):
            self.own.is_unchecked = True
        by_others = self.own.extended_by_others({row[0]: row[1] for row in rows})
        if self._heads and any(row[2] == Kind.CONTROL for row in rows if row[0] in by_others):
            self.forget_tree()  # an order, or another node let in
        self._heads = {row[0]: row[1] for row in rows}
        self.tell_written(grown)
        return bool(grown)

    # --- accept: a neighbour's envelopes → log → tables -----------------------------------------------------------

    def accept(self, peer: str, envelopes: Sequence[bytes]) -> Received:
        """Take envelopes of a neighbour into the log; control streams are applied at once: the rest leans on them."""
        as_it_is: tuple[frozenset[str], Sequence[bytes]] = (frozenset(), envelopes)
        wanted, envelopes = self.barriers.run(
            "make way", lambda: self.rejoin.make_way(peer, envelopes), as_it_is, about=peer, passing=(EnvelopeError,)
        )
        result = self._receive(peer, envelopes, wanted)
        controls = [
            s.stream_id for s in result.streams.values() if s.kind == Kind.CONTROL and s.applied_seq < s.held_seq
        ]
        moved = [self.applier.apply(stream_id) for stream_id in controls]  # each of them, whatever the others did
        late = any(code == LATER for code, _seq, _why in result.refused.values())
        if result.refused and (any(moved) or late):
            # What waited for a node record of this very batch, or one that another process took; the rest is there.
            taken = result.taken
            self._drop_tree()
            result = self._receive(peer, envelopes, wanted)
            result.taken += taken
        if controls:
            self._add_bound(result, controls)
        if self.is_root and any(code in (FORKED, SETTLED) for code, *_ in result.refused.values()):
            self.rejoin.told_branch(peer)
        if any(s.kind == Kind.OVERSIGHT and s.applied_seq == 0 for s in result.streams.values()):
            self._grants_due = True
        self.signals.emit(LOG, [stream.stream_id for stream in result.streams.values()])
        return result

    def _add_bound(self, result: Received, controls: Sequence[str]) -> None:
        """Streams that were taken, and turned out to bring more nodes than they may: whoever sent them hears of it."""
        with self.store.read() as tx:
            found = [at for key in controls if (at := log.stream(tx, key)) is not None and subtree.is_bound(at)]
        for at in found:
            result.refused[at.stream_id] = (subtree.BOUND, at.applied_seq + 1, at.reason or "")

    def _receive(self, peer: str, envelopes: Sequence[bytes], wanted: frozenset[str]) -> Received:
        tree = self.tree()
        return receive_apart(lambda some: self._receive_at_once(tree, peer, some, wanted), peer, envelopes)

    def _receive_at_once(self, tree: Tree, peer: str, envelopes: Sequence[bytes], wanted: frozenset[str]) -> Received:
        """In as many transactions as it takes for others never to wait long: each ends between two envelopes."""
        result = Received()
        while result.seen < len(envelopes):
            with self.store.apply("receive") as tx:
                receive(tx, tree, peer, envelopes, self.clock(), wanted, result, _turn(result.seen, result))
                met = {key: at for key, at in result.streams.items() if key in result.here}
                baseline_taking.taken(tx, tree, self.applier, met, wanted, self.clock())
                self._ways_on.update(baseline_taking.stands_for(tx, met))
            result.streams |= met
        return result

    @patiently
    def apply_all(
        self,
        more_of: Callable[[str], More | None] | None = None,
        may_retry: Callable[[str], bool] = lambda _stream_id: True,
    ) -> Outcome:
        """Apply every stream that is behind its log, control streams first; a stream that cannot go on stops alone.

        `more_of(stream_id)`: what waits for the rest of its open group and says whether any came, or None.
        `may_retry(stream_id)`: whether it is time to try a stopped stream again.
        """
        with self.store.read() as tx:
            behind = log.streams(tx, "(own = 0 OR rejoin_seq > 0) AND applied_seq < held_seq")
        applied = False
        tree = self.tree()
        ways_on = set(self._ways_on)
        self._ways_on -= ways_on
        for stream in [s for s in behind if s.state != "stopped" or s.stream_id in ways_on or may_retry(s.stream_id)]:
            stream_id = stream.stream_id
            put_back = baseline_taking.may_take(tree, stream) and self.barriers.run(
                "take a baseline", partial(baseline_taking.take, self.store, self.applier, stream_id), False,
                stream_id=stream_id,
            )  # fmt: skip
            if self.applier.apply(stream_id, more_of(stream_id) if more_of else None) or put_back:
                applied = True
                self.signals.emit(APPLIED, [stream_id])
                if self.is_root:
                    self.signals.emit(RECEIPT, [stream_id])
        return Outcome(applied=applied)

    def tell_written(self, stream_ids: Iterable[str]) -> None:
        """Own streams have grown."""
        written = list(stream_ids)
        self.signals.emit(LOG, written)
        if self.is_root:
            self.signals.emit(RECEIPT, written)

    # --- what a node does on its own after news ---------------------------------------------------------------------

    def _decide(self) -> int:
        with self.store.read() as tx:
            if tx.one("SELECT 1 FROM proposal LIMIT 1") is None:
                return 0
        # Here, not above: most stations never meet a proposal, and deciding brings a second SQLite for its rules: 1 MB.
        from syncd.decide import decide_waiting
        from syncd.following import follow_rows

        moved = follow_rows(self.store, self.node_id, self.clock())
        self._rows_awaited = True  # what arrives meanwhile counts
        decided = decide_waiting(self.store, self.tree(), self.clock, self.clock_offset_ms, self.changed_at)
        if decided.has_referred:
            self.write()  # one cut later than what it follows, or two streams might wait for each other's group
            decided += decide_waiting(self.store, self.tree(), self.clock, self.clock_offset_ms, self.changed_at)
        self._rows_awaited = decided.is_waiting
        return moved + decided.count

    def _tell_authors(self) -> int:
        tree = self.tree()
        if not tree.terms:  # as a rule: verdicts come to whoever proposes
            return 0
        from syncd.review import notices  # here, not above: most stations never need it

        return notices.tell(self.store, tree)

    @patiently
    def settle(self) -> Outcome:
        """All that follows from news: `conclude`, then `look`."""
        concluded, looked = self.conclude(), self.look()
        return Outcome(wrote=concluded.wrote or looked.wrote, waiting=concluded.waiting or looked.waiting)

    def conclude(self) -> Outcome:
        """Decide proposals for units kept here, pass units on, grant keys that children need: all are local writes."""
        done = self.barriers.run("rejoin", self.rejoin.settle, None)
        rejoined, holds_back = done or (False, self.rejoin.holds_back())
        if rejoined:
            self.own.is_unchecked = True  # what came back may end without a checkpoint
        if holds_back:  # an own stream may have to follow one that ended by force since the copy
            return Outcome(wrote=self.barriers.run("cut", self.passing.cut_meanwhile, False) or rejoined)
        decided = granted = told = 0
        passed = self.passing.turn()
        if self._proposals_due:
            self._proposals_due = False
            try:
                made = self.barriers.run("decide", self._decide, None)
            except BaseException:
                self._proposals_due = True  # what failed is due again
                raise
            self._proposals_due = self._proposals_due or made is None
            decided = made or 0
        if self._notices_due:
            self._notices_due = False
            try:
                said = self.barriers.run("tell authors", self._tell_authors, None)
            except BaseException:
                self._notices_due = True
                raise
            self._notices_due = self._notices_due or said is None
            told = said or 0
        if self._grants_due or self.barriers.is_due_again(GRANT):
            self._grants_due = False
            try:
                granted = grant_down(self.store, self.tree(), self.ring, self.barriers)
                granted += grant_followers(self.store, self.tree(), self.ring, self.barriers)
            except BaseException:
                self._grants_due = True
                raise
        return Outcome(wrote=bool(rejoined or decided or told or granted or passed), waiting=self.passing.is_waiting)

    def look(self) -> Outcome:
        """Look for disagreements among some of the rows that changed; `waiting`: there are more."""
        looked = self.barriers.run("look for disagreements", lambda: self._detector().run(self.tree()), None)
        if looked is None:
            return Outcome()
        if looked.more:
            self.signals.emit(APPLIED, [self.node_id])  # its turn comes again, after what came meanwhile is applied
        return Outcome(wrote=looked.wrote, waiting=looked.more)

    def note_clock(self, node_id: str, offset_ms: int) -> None:
        """What a hello told of a neighbour's clock, or of this node's own."""
        record = self.tree().nodes.get(node_id)
        self.clocks.note(node_id, None if record is None else record.unit_id, offset_ms)

    def look_again_s(self) -> float | None:
        """When a disagreement is to be looked for again, although nothing moves: a term runs out."""
        return self._detector().next_look_s()

    def match(self, may_go_on: Callable[[], bool]) -> Outcome:
        """Part of the first look at everybody for rows that are one person; `waiting`: it has not ended. A daemon asks
        when nothing else is to do. Once it has ended this costs nothing, and `look` matches whoever changes."""
        if self.rejoin.holds_back():
            return Outcome()
        done = self.barriers.run("match persons", lambda: self.matching.step(self.tree(), may_go_on), None)
        return Outcome(wrote=bool(done and done.wrote), waiting=bool(done and done.more))

    def _detector(self) -> Detector:
        if self._detecting is None:
            from syncd.detect.detector import Detector

            self._detecting = Detector(
                self.store, self.ring, self.clock, self._random, self.barriers, self.rejoin.is_held_back,
                self.matching.changed,
            )  # fmt: skip
            self.signals.subscribe(self._detecting.on_signal)
        return self._detecting

    def adopt_late(self, stream_id: str, author: str) -> adopting.Admitted:
        """Make proposals of what a keeper wrote after its term. Raises UsageError."""
        made = adopting.adopt(
            self.store, self.applier, self.tree(), stream_id, author, self.clock(), self.clock_offset_ms
        )
        self._tables_changed({"proposal"})
        return made

    def _set_aside(self, unit_id: str) -> None:
        """What was typed while a unit passed on becomes this node's wish; the tables show what the log says again."""
        unit = (int(Kind.REGISTER), unit_id)
        try:
            with self.store.apply("set-aside") as tx:
                kept = lift.set_aside_unit(tx, self.applier, unit_id, self.clock())
        except StoreError as error:  # the log does not reach back here: this unit waits, no other does
            with self.store.read() as tx:
                failure = Failure(error=error, mark=mark(tx, self.store.registry, unit))
                self.held_back.take({unit: failure}, self.held_back.skipped(tx))
            event("held-back", logging.WARNING, kind="register", unit=unit_id, reason=written(error))
            return
        event("set-aside", logging.WARNING, unit=unit_id, wishes=kept)
        self._rejoined({table.name for table in self.store.registry.of_kind(Kind.REGISTER)})
        self.signals.emit(APPLIED, [self.node_id])  # whoever concludes writes the wishes down

    def changed_at(self, tx: Tx, stream_id: str, table: Table, wanted: Mapping[str, int]) -> ChangedAt:
        """When the keeper last changed values, by its own clock: read back from the log, newest first, bounded."""
        return self.applier.changed_at(tx, stream_id, table, wanted)

    @patiently
    def refresh(self) -> None:
        """Derive keepers anew after a local change of node records or units."""
        with self.store.apply("refresh") as tx:
            refresh_keepers(tx)
        self.forget_tree()


def _turn(first: int, result: Received) -> Callable[[], bool]:
    """Whether a transaction that began with envelope `first` of a batch has held the writer's lock long enough."""
    ends_at = time.monotonic() + limits.WRITE_LOCK_MS_MAX * limits.TURN_SHARE / 1000
    return lambda: result.seen - first >= limits.RECEIVE_ENVELOPES or time.monotonic() > ends_at


def _no_digests(_snapshot: Tx, _stream: Stream) -> None:
    return None
