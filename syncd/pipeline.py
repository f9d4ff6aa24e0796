"""The flow of one node, top to bottom: write (sequence, seal), accept (receive, open, apply), decide, vouch.

Enters: a store, this node's keys, a clock and randomness. Leaves: streams that grow, tables that follow them.
Must hold: every method ends at a commit; called again after a crash at any point, each goes on where the last commit
was.
The network is not here: `syncd/exchange.py` carries what `syncd/send.py` picks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conflict.case import CaseKind
from schema.spec import Audience, Kind, Table
from schema.tables import SCHEMA_REVISION
from syncd import adopting, baseline, cutting, handover, keys, log, quarantine, reassign, receipt, sequence
from syncd.aggregate import Cells
from syncd.applying import Applier, ChangedAt, More
from syncd.cases import open_case
from syncd.clock import Clock, instant_of
from syncd.clockwatch import ClockWatch
from syncd.envelope import Adopted, Genesis, Header, Mark, stream_id_of
from syncd.errors import ForkError, StoreError
from syncd.granting import grant_down, grant_followers
from syncd.log import Stream
from syncd.rebuild import rebuild
from syncd.receive import LATER, Received, receive
from syncd.rejoin import Rejoin
from syncd.seal import PlainPart, seal_envelope
from syncd.sequence import Parts
from syncd.signals import APPLIED, LOG, RECEIPT, Signals
from syncd.store.base import Store, Tx
from syncd.terms import refresh_keepers
from syncd.tree import Term, Tree, load_tree
from syncd.verify import digest_stream
from syncd.wire import encode_body, encode_checkpoint

if TYPE_CHECKING:
    from syncd.detect.detector import Detector
    from syncd.security.identity import NodeKeys

RandomBytes = Callable[[int], bytes]
OWN_REGISTERS_AND_MORE = "own = 1 AND ended = 0 AND kind <> 4"  # what rows are written to


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one call moved, so that the daemon knows whom to wake."""

    wrote: bool = False  # own streams grew
    applied: bool = False  # tables changed
    waiting: bool = False  # something is due again soon, without any news


class Node:
    """One node's stages over its store. Thread-safe: each stage holds its own lock, the store orders the writers."""

    def __init__(self, store: Store, node_keys: NodeKeys, clock: Clock, random_bytes: RandomBytes) -> None:
        self.store = store
        self.keys = node_keys
        self.clock = clock
        self.clock_offset_ms: int | None = None
        self.ring = keys.KeyRing(node_keys)
        self.signals = Signals()
        self._fresh: dict[str, receipt.Receipt] = {}  # received and checked, on the way into the database
        self._random = random_bytes
        self._sequencing = threading.Lock()
        self._heads: dict[str, int] = {}  # own streams as last told of
        self._tree: Tree | None = None
        self._tree_changes = 0
        self._tree_guard = threading.Lock()
        # Whatever a process before this one had not come to.
        self._grants_due = self._proposals_due = self._terms_due = True
        self._leaving: dict[tuple[str, int], frozenset[str]] = {}  # terms to end → transactions that may still write
        self._own: dict[tuple[int, str | None], Stream] = {}
        self._detecting: Detector | None = None
        self.clocks = ClockWatch(store, clock)
        self._wire_schema = {
            table.number: {column.number: str(column.type) for column in table.all_columns} for table in store.registry
        }
        self.applier = Applier(store, self.ring, self._wire_schema, clock, node_keys, self._tables_changed)
        self.rejoin = Rejoin(
            store, self.applier, self.ring, clock, node_keys.node_id, self._sequencing, self.tree, self._rejoined
        )
        with store.read() as tx:
            facts: dict[str, str] = dict(tx.all("SELECT key, value FROM syncd_meta"))
        self.node_id = node_keys.node_id
        node_keys.require_node_id(facts.get("node_id", ""), "this process")
        self.root_id = facts.get("root_id", self.node_id)
        if self.is_root:
            self.clock_offset_ms = 0  # its clock is the one others are measured against
        self.recovery_public = bytes.fromhex(facts.get("recovery_public", ""))

    # --- what this node knows of the tree -----------------------------------------------------------------------

    @property
    def is_root(self) -> bool:
        return self.root_id == self.node_id

    def tree(self) -> Tree:
        """The tree as last committed here."""
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

    def _forget_tree(self) -> None:
        self._drop_tree()
        self._grants_due = self._proposals_due = self._terms_due = True

    def _tables_changed(self, names: set[str]) -> None:
        """Rows of these tables changed: what this node concludes from them is due again."""
        if names & {"node", "unit", "key_grant", "handover", "reassignment"}:
            self._forget_tree()
        if "proposal" in names:
            self._proposals_due = True

    def _rejoined(self, names: set[str]) -> None:
        """A branch was left: what this node concluded from it is concluded anew."""
        self._own.clear()
        self._forget_tree()
        self._tables_changed(names | {"proposal"})

    # --- write: journal → log -----------------------------------------------------------------------------------

    def write(self, checkpoints: bool = False) -> int:
        """Sequence and seal everything committed so far; returns the number of changed rows. With `checkpoints`,
        digests of the written streams follow.
        """
        with self._sequencing:
            while True:
                if self.rejoin.holds_back():
                    return 0  # an own stream may go on elsewhere than in this log
                self._discard_open()
                with self.store.read() as tx:
                    waiting = sequence.units_waiting(tx)
                    strays = handover.strays(tx, self.store.registry, self.node_id, waiting)
                if strays:
                    self._set_aside(strays)
                    continue
                if not waiting:
                    return 0
                names = {self.store.registry.by_number[tab].name for tab, _unit in waiting}
                if names & {"node", "unit", "handover"}:
                    self.refresh()  # a unit moved by a clerk at the root changes who answers for it
                self._tables_changed(names)
                if not self._prepare(waiting):
                    continue  # preparing wrote grants: they belong into this cut too
                try:
                    cut = sequence.sequence(
                        self.store,
                        self._own_stream,
                        self._append,
                        Cells(),
                        self._digests if checkpoints else _no_digests,
                        # a piece travels while others are read
                        lambda stream: self.signals.emit(LOG, [stream.stream_id]),
                    )
                except ForkError:
                    self._own.clear()
                    raise
                self._own.clear()
                if cut is not None:
                    self._tell_written(stream.stream_id for stream in cut.streams)
                    return cut.rows

    def checkpoint(self) -> int:
        """Write a checkpoint behind every own stream whose content has no newer one; returns how many were written."""
        with self._sequencing:
            if self.rejoin.holds_back():
                return 0
            self._discard_open()
            written = 0
            with self.store.read() as snapshot:
                if snapshot.one("SELECT 1 FROM syncd_journal LIMIT 1") is not None:
                    return 0  # content ahead of the log: the next cut brings its own
                for stream in log.streams(snapshot, f"{OWN_REGISTERS_AND_MORE} AND held_seq > checkpoint_seq"):
                    parts = self._digests(snapshot, stream)
                    with self.store.apply("checkpoint") as tx:
                        self._append(tx, stream, Mark.CHECKPOINT, parts, 0)
                    self._tell_written([stream.stream_id])
                    written += 1
            return written

    def notice(self) -> bool:
        """Tell of own streams that another process of this node has extended (`syncd verify` beside the daemon)."""
        with self.store.read() as tx:
            rows = tx.all("SELECT stream_id, held_seq, kind FROM syncd_stream WHERE own = 1")
        grown = [stream_id for stream_id, seq, _kind in rows if seq > self._heads.get(stream_id, 0)]
        if self._heads and any(kind == Kind.CONTROL for stream_id, _seq, kind in rows if stream_id in grown):
            self._forget_tree()  # an order, or another node let in
        self._heads = {stream_id: seq for stream_id, seq, _kind in rows}
        self._tell_written(grown)
        return bool(grown)

    def _discard_open(self) -> None:
        """A crash left an open group: say that it is void; the journal still holds all of it."""
        with self.store.read() as tx:
            opened = log.streams(tx, "own = 1 AND open_from > 0")
        for stream in opened:
            with self.store.apply("discard") as tx:
                self._append(tx, stream, Mark.DISCARD, {}, 0)

    def _prepare(self, waiting: Sequence[tuple[int, str | None]]) -> bool:
        """Load the own streams that waiting rows belong to, creating those missing; False when one was created."""
        with self.store.read() as tx:
            self._own = {(stream.kind, stream.unit_id): stream for stream in log.streams(tx, OWN_REGISTERS_AND_MORE)}
        wanted = {(int(self.store.registry.by_number[tab].kind), unit) for tab, unit in waiting}
        missing = sorted(wanted - self._own.keys(), key=str)
        for kind, unit in missing:
            self._create(kind, unit)
        return not missing

    def _create(self, kind: int, unit: str | None, term: int | None = None) -> Stream:
        tree = self.tree()
        if term is None:
            term = tree.term_to_write(unit or "") if kind == Kind.REGISTER else 1
        stream = Stream(
            stream_id=stream_id_of(kind, unit, self.node_id, term),
            kind=kind,
            unit_id=unit,
            keeper=self.node_id,
            term=term,
            own=True,
        )
        audiences = [] if kind == Kind.CONTROL else [Audience.SCOPE, Audience.CUSTODIAN]
        with self.store.write("create-stream") as tx:
            log.create(tx, stream)
            keys.new_epoch(
                tx, stream.stream_id, audiences, lambda audience: self._readers(tree, audience), self.keys.epoch_key
            )
        return stream

    def _readers(self, tree: Tree, audience: Audience) -> list[keys.Reader]:
        """Who reads what this node writes: itself, every ancestor (custodian only: the root), and the recovery key."""
        ids = (
            [self.node_id, *tree.ancestors(self.node_id)]
            if audience is Audience.SCOPE
            else {self.node_id, self.root_id}
        )
        readers = [
            keys.Reader(node_id=node_id, sealing_public=self._sealing_public(tree, node_id)) for node_id in sorted(ids)
        ]
        if self.recovery_public:
            readers.append(keys.Reader(node_id=keys.RECOVERY_READER, sealing_public=self.recovery_public))
        return readers

    def _sealing_public(self, tree: Tree, node_id: str) -> bytes:
        return self.keys.x25519_public if node_id == self.node_id else tree.nodes[node_id].sealing_public

    def _own_stream(self, table: Table, unit_id: str | None) -> Stream | None:
        return self._own.get((int(table.kind), unit_id))

    def _append(
        self, tx: Tx, stream: Stream, mark: Mark, parts: Parts, rows: int, adopts: Adopted | None = None
    ) -> Stream:
        """Seal and append one envelope behind `stream`; its first may take over what another stream left."""
        plains = [self._plain(tx, stream, int(audience), mark, body) for audience, body in sorted(parts.items())]
        first = stream.held_seq == 0
        header = Header(
            stream_id=stream.stream_id,
            seq=stream.held_seq + 1,
            previous=stream.held_hash,
            mark=int(mark),
            schema_revision=SCHEMA_REVISION,
            tree_seq=self._tree_seq(tx, stream),
            time_ms=self.clock(),
            clock_offset_ms=self.clock_offset_ms,
            rows=rows,
            genesis=Genesis(
                kind=stream.kind, unit=stream.unit_id, keeper=stream.keeper, term=stream.term, adopts=adopts
            )
            if first
            else None,
        )
        envelope = seal_envelope(header, plains, self.keys.sign, self._random)
        moved = log.append(tx, stream, envelope.header, envelope.hash, envelope.to_bytes())
        self._own[stream.kind, stream.unit_id] = moved
        if mark in (Mark.CHECKPOINT, Mark.ENDS):
            tx.run("UPDATE syncd_stream SET checkpoint_seq = ? WHERE stream_id = ?", (moved.held_seq, moved.stream_id))
        if self.is_root and not moved.open_from:
            self.applier.vouch(tx, moved)
        return moved

    def _plain(self, tx: Tx, stream: Stream, audience: int, mark: Mark, body: object) -> PlainPart:
        if mark in (Mark.CHECKPOINT, Mark.ENDS):  # what was digested is the content at the position it follows
            encoded = encode_checkpoint([replace(line, at_seq=stream.held_seq) for line in body])  # type: ignore[attr-defined]  # a checkpoint's parts are lines
        else:
            encoded = encode_body(body, self._wire_schema)  # type: ignore[arg-type]  # all others have blocks
        if audience == Audience.PUBLIC:
            return PlainPart(audience=audience, epoch=0, epoch_key=None, body=encoded)
        epoch = self.ring.newest_epoch(tx, stream.stream_id, audience) or 1
        return PlainPart(
            audience=audience, epoch=epoch, epoch_key=self.ring.key(tx, stream.stream_id, audience, epoch), body=encoded
        )

    def _tree_seq(self, tx: Tx, stream: Stream) -> int:
        """The version of the unit tree this was written under: how far the root's stream about all units is applied."""
        if stream.kind == Kind.CONTROL or stream.unit_id is None:
            return 0
        return self.applier.tree_seq(tx, self.root_id)

    def _digests(self, snapshot: Tx, stream: Stream) -> Parts:
        audiences = [Audience.PUBLIC] if stream.kind == Kind.CONTROL else [Audience.SCOPE, Audience.CUSTODIAN]
        parts: Parts = {}
        for audience in audiences:
            lines = digest_stream(snapshot, self.store.registry, stream, [audience], stream.held_seq)
            if lines:
                parts[audience] = lines  # type: ignore[assignment]  # a checkpoint's parts are lines
        return parts

    # --- accept: a neighbour's envelopes → log → tables -----------------------------------------------------------

    def accept(self, peer: str, envelopes: Sequence[bytes]) -> Received:
        """Take envelopes of a neighbour into the log; control streams are applied at once: the rest leans on them."""
        wanted = self.rejoin.make_way(peer, envelopes)
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
        if any(s.kind == Kind.OVERSIGHT and s.applied_seq == 0 for s in result.streams.values()):
            self._grants_due = True
        self.signals.emit(LOG, [stream.stream_id for stream in result.streams.values()])
        return result

    def _receive(self, peer: str, envelopes: Sequence[bytes], wanted: frozenset[str]) -> Received:
        tree = self.tree()
        with self.store.apply("receive") as tx:
            result = receive(tx, tree, peer, envelopes, self.clock(), wanted)
            baseline.taken(tx, tree, self.applier, result.streams, wanted, self.clock())
        return result

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
        for stream in [s for s in behind if s.state != "stopped" or may_retry(s.stream_id)]:
            stream_id = stream.stream_id
            put_back = baseline.may_take(tree, stream) and baseline.take(self.store, self.applier, stream_id)
            if self.applier.apply(stream_id, more_of(stream_id) if more_of else None) or put_back:
                applied = True
                self.signals.emit(APPLIED, [stream_id])
                if self.is_root:
                    self.signals.emit(RECEIPT, [stream_id])
        return Outcome(applied=applied)

    def _tell_written(self, stream_ids: Iterable[str]) -> None:
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
        return moved + decide_waiting(self.store, self.tree(), self.clock, self.clock_offset_ms, self.changed_at)

    def settle(self) -> Outcome:
        """Decide proposals for units kept here and grant keys that children need; both are local writes."""
        rejoined = self.rejoin.settle()
        if self.rejoin.holds_back():
            return Outcome(wrote=rejoined)
        decided = granted = 0
        passed = self._pass_terms()
        if self._proposals_due:
            self._proposals_due = False
            try:
                decided = self._decide()
            except BaseException:
                self._proposals_due = True  # what failed is due again
                raise
        if self._grants_due:
            self._grants_due = False
            try:
                granted = grant_down(self.store, self.tree(), self.ring)
                granted += grant_followers(self.store, self.tree(), self.ring)
            except BaseException:
                self._grants_due = True
                raise
        looked = self._detector().run(self.tree())
        if looked.more:
            self.signals.emit(APPLIED, [self.node_id])  # its turn comes again, after what came meanwhile is applied
        wrote = bool(rejoined or decided or granted or passed or looked.wrote)
        return Outcome(wrote=wrote, waiting=bool(self._leaving) or looked.more)

    def note_clock(self, node_id: str, offset_ms: int) -> None:
        """What a hello told of a neighbour's clock, or of this node's own."""
        record = self.tree().nodes.get(node_id)
        self.clocks.note(node_id, None if record is None else record.unit_id, offset_ms)

    def look_again_s(self) -> float | None:
        """When a disagreement is to be looked for again, although nothing moves: a term runs out."""
        return self._detector().next_look_s()

    def _identify(self, persons: set[str]) -> int:
        """Match changed persons where `syncd identity match` has made an index; most nodes never load what it needs."""
        with self.store.read() as tx:
            if not persons or tx.one("SELECT 1 FROM syncd_identity_person LIMIT 1") is None:
                return 0
        from syncd.identity.match import match_persons

        return match_persons(self.store, persons, instant_of(self.clock()), self._random)

    def _detector(self) -> Detector:
        if self._detecting is None:
            from syncd.detect.detector import Detector

            self._detecting = Detector(
                self.store, self.ring, self._wire_schema, self.clock, self._random, self._identify
            )
            self.signals.subscribe(self._detecting.on_signal)
        return self._detecting

    # --- terms: what this node hands over, what it takes over --------------------------------------------------------

    def _pass_terms(self) -> bool:
        """End the terms that an order ends, begin those whose predecessor has ended here; returns whether any did."""
        if not self._terms_due:
            return False
        self._terms_due = False  # news that come meanwhile make it due again
        cut = self._cut_terms()
        baseline.make_for_followers(self)
        with self.store.read() as tx:
            ends, begins = handover.ending(tx, self.node_id), handover.beginning(tx, self.node_id)
            moves = reassign.due(tx, self.tree())
        moved = [self._move(move) for move in moves]
        ended = [self._end_term(term) for term in ends]
        begun = [self._begin_term(beginning) for beginning in begins]
        done = [*cut, *moved, *ended, *begun]
        if not all(done):
            self._terms_due = True
        return any(done)

    def _move(self, move: reassign.Reassignment) -> bool:
        """Carry out an order to move rows. Two moves never share a cut: each stream would wait for the other's rows to
        be gone."""
        self.write()
        units = (move.from_unit, move.to_unit)
        with self.store.read() as tx:
            if any(handover.has_unsealed(tx, self.store.registry, unit_id) for unit_id in units):
                return False
        reassign.carry_out(self.store, move, self.node_id, instant_of(self.clock()))
        return True

    def _cut_terms(self) -> list[bool]:
        """Take streams back to where they end, by force or as another order stands; per unit whether it is done."""
        tree = self.tree()
        with self.store.read() as tx:
            units = cutting.overruns(tx, tree)
        quarantine.tell(self.store, tree, self.clock())
        return [self._cut_unit(tree, unit_id, streams) for unit_id, streams in units.items()]

    def _cut_unit(self, tree: Tree, unit_id: str, streams: Sequence[cutting.Overrun]) -> bool:
        own = [each.stream for each in streams if each.stream.own]
        if own and not self._is_sealed(unit_id, own[0].term):
            return False
        try:
            with self._sequencing:
                cutting.cut(self.store, self.applier, tree, unit_id, self.clock())
        except StoreError as error:  # its log does not reach back here: this unit waits, no other does
            self.applier.stop(streams[0].stream.stream_id, error)
            return False
        self._leaving.pop((unit_id, own[0].term if own else 0), None)
        self._own.clear()
        return True

    def _is_sealed(self, unit_id: str, term: int) -> bool:
        """Whether all that was written of a unit's register before its order came is in the log. The guard refuses new
        writes already (`refresh_keepers`); a transaction begun before may still write."""
        with self.store.read() as tx:
            writers = handover.writers(tx)
        waits_for = self._leaving.setdefault((unit_id, term), writers)
        if waits_for & writers:
            return False
        self.write()
        with self.store.read() as tx:
            return not handover.has_unsealed(tx, self.store.registry, unit_id)

    def _end_term(self, term: Term) -> bool:
        """Write the last envelope of a term; False while a transaction begun before the order can still write."""
        if not self._is_sealed(term.unit_id, term.term):
            return False
        with self._sequencing, self.store.read() as snapshot:
            if handover.has_unsealed(snapshot, self.store.registry, term.unit_id) or self.rejoin.holds_back():
                return False
            stream = log.stream(snapshot, handover.stream_of(term))
            stream = stream or self._create(Kind.REGISTER, term.unit_id, term.term)
            parts = self._digests(snapshot, stream)
            with self.store.apply("end-term") as tx:
                self._append(tx, stream, Mark.ENDS, parts, 0)
                refresh_keepers(tx)
        del self._leaving[term.unit_id, term.term]
        self._own.clear()
        self._forget_tree()
        self._tell_written([stream.stream_id])
        return True

    def adopt_late(self, stream_id: str, author: str) -> adopting.Admitted:
        """Make proposals of what a keeper wrote after its term. Raises UsageError."""
        made = adopting.adopt(
            self.store, self.applier, self.tree(), stream_id, author, self.clock(), self.clock_offset_ms
        )
        self._tables_changed({"proposal"})
        return made

    def _set_aside(self, units: Sequence[str]) -> None:
        with self.store.apply("set-aside") as tx:
            for unit_id in units:
                handover.set_aside(tx, self.store.registry, self.node_id, unit_id, instant_of(self.clock()))

    def _begin_term(self, beginning: handover.Beginning) -> bool:
        """Write the first envelope of a term: it says where the one before it ended. False while keys are missing."""
        with self._sequencing:
            with self.store.read() as tx:
                withheld = handover.withheld(tx, self.store.registry, beginning)
                stream = log.stream(tx, beginning.stream_id)
                if withheld and not handover.may_read_all(tx, self.node_id, withheld):
                    return False  # the grants are on their way; what is not read here would be lost to all
            stream = stream or self._create(Kind.REGISTER, beginning.unit_id, beginning.term)
            with self.store.apply("begin-term") as tx:
                if withheld:
                    rebuild(tx, self.applier, withheld[-1], {})
                self._append(tx, stream, Mark.ADOPTS, {}, 0, adopts=beginning.adopts)
                refresh_keepers(tx)
        self._own.clear()
        self._forget_tree()
        self._tell_written([beginning.stream_id])
        return True

    # --- receipts -----------------------------------------------------------------------------------------------

    def take_receipts(self, signed: Sequence[bytes]) -> bool:
        """Record the custodian's receipts; returns whether any was news. A receipt our log contradicts is a fork."""
        root = self.tree().nodes.get(self.root_id)
        if root is None or not signed:
            return False
        receipts = [receipt.read(data, self.root_id, root.signing_public) for data in signed]
        # While a stream is being taken anew the log here is the other branch's: the receipt comes again.
        receipts = [item for item in receipts if not self.rejoin.is_goal(item.stream_id)]
        # Children hear of them at once: on SQLite a large group being applied may hold the write lock for seconds.
        with self.store.read() as tx:
            news = [item for item in receipts if receipt.is_news(tx, item)]
        self._fresh |= {item.stream_id: item for item in news if item.level == receipt.APPLIED}
        self.signals.emit(RECEIPT, [item.stream_id for item in news])
        with self.store.apply("receipts") as tx:
            receipt.note_backup(tx, receipts)
            for item in receipts:
                try:
                    receipt.store(tx, item)
                except ForkError:
                    open_case(
                        tx, CaseKind.FORK, (item.stream_id, item.seq), opened_at=instant_of(self.clock()),
                        detail={"seq": item.seq}, stream_id=item.stream_id,
                    )  # fmt: skip
        for item in news:
            self._fresh.pop(item.stream_id, None)
        return bool(news)

    def receipt_after(self, tx: Tx, stream_id: str, seq: int) -> list[bytes]:
        """The newest receipt of a stream, if it reaches beyond `seq`; also one that is not in the database yet."""
        fresh = self._fresh.get(stream_id)
        if fresh is not None and fresh.seq > seq:
            return [fresh.signed]
        return receipt.newest(tx, stream_id, seq)

    def note_parent_positions(self, positions: Mapping[str, int]) -> None:
        """Record how far the parent holds our streams; nothing is written when nothing moved."""
        with self.store.read() as tx:
            known: dict[str, int] = dict(tx.all("SELECT stream_id, parent_seq FROM syncd_stream"))
        moved = [(seq, stream_id) for stream_id, seq in positions.items() if known.get(stream_id, seq) < seq]
        if moved:
            with self.store.apply("parent-positions") as tx:
                tx.many(
                    "UPDATE syncd_stream SET parent_seq = ?,"
                    " state = CASE WHEN state = 'refused' THEN 'ok' ELSE state END WHERE stream_id = ?",
                    moved,
                )

    def changed_at(self, tx: Tx, stream_id: str, table: Table, wanted: Mapping[str, int]) -> ChangedAt:
        """When the keeper last changed values, by its own clock: read back from the log, newest first, bounded."""
        return self.applier.changed_at(tx, stream_id, table, wanted)

    def refresh(self) -> None:
        """Derive keepers anew after a local change of node records or units."""
        with self.store.apply("refresh") as tx:
            refresh_keepers(tx)
        self._forget_tree()


def _no_digests(_snapshot: Tx, _stream: Stream) -> None:
    return None
