"""Rejoining: a restored copy, a clone, a fork; whoever holds another past than its neighbour finds back (I13).

Enters: positions and envelopes of neighbours. Leaves: which streams are asked for, and the way made for their
envelopes: logs cut at the common past, own changes beyond it kept as wishes, which become proposals once this node has
taken its own streams back.
Must hold: while an own stream is being taken back nothing is sealed; a log is cut only for an envelope that the
stream's keeper signed and that follows what stays; the parent, being nearer to the custodian, is believed about every
stream but those it wrote itself and lost the end of; the root gives way to nobody but by a person's word.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from conflict.case import CaseKind
from schema.replicated import KEY_GRANT
from schema.spec import Kind
from syncd import floor, handover, limits, log
from syncd.applying import Applier
from syncd.cases import close_cases
from syncd.clock import Clock, instant_of
from syncd.envelope import Envelope, parse_envelope, stream_id_of
from syncd.errors import EnvelopeError, StoreError, StreamBehind
from syncd.events import event
from syncd.giving_way import Way, by_stream
from syncd.keys import KeyRing
from syncd.lift import has_unsealed, hold_writers, set_aside
from syncd.log import Stream
from syncd.messages import Position, Want
from syncd.moved_rows import sources
from syncd.pasts import common_past, is_past
from syncd.pasts import want as ask
from syncd.positions import HighWater
from syncd.rebuild import rebuild
from syncd.recovery import root_branches
from syncd.store.base import Store, Tx
from syncd.store.pulse import Baton
from syncd.tree import Tree

_DISPUTED = (
    "SELECT DISTINCT c.stream_id FROM syncd_case AS c JOIN syncd_stream AS s ON s.stream_id = c.stream_id"
    " WHERE c.kind = ? AND c.closed_at IS NULL AND s.keeper = ? AND s.own = 0"
)
_COMING = "SELECT 1 FROM syncd_stream WHERE rejoin_seq > 0"
_UNGRANTED = "SELECT 1 FROM syncd_wish WHERE tab = ? AND op NOT IN ('held', 'kept')"
_WISHES = "SELECT 1 FROM syncd_wish WHERE op <> 'kept' LIMIT 1"


class Rejoin:
    """What this process knows of streams that neighbours hold differently. A new one learns it again."""

    def __init__(
        self,
        store: Store,
        applier: Applier,
        ring: KeyRing,
        clock: Clock,
        node_id: str,
        sequencing: Baton,
        tree: Callable[[], Tree],
        changed: Callable[[set[str]], None],
    ) -> None:
        self._store = store
        self._applier = applier
        self._clock = clock
        self._me = node_id
        self._control_id = stream_id_of(Kind.CONTROL, None, node_id, 1)  # whoever has sealed anything has one
        self._sequencing = sequencing  # held wherever own streams change, as by whoever seals
        self._tree = tree
        self._guard = threading.Lock()  # of every field from here on: workers and the server's threads come and go
        self._goals: dict[str, Position] = {}  # streams to take from the parent, and where it stands
        self._unknown_above: frozenset[str] = frozenset()  # baselines that the parent has asked about and lost
        self._offers: dict[str, Position] = {}  # streams of the parent of which it has lost the end, and where it is
        # Own streams → the child that is handing their end back, and since when.
        self._taking: dict[str, tuple[str, int]] = {}
        self._awaits_answer = False
        self._since_ms = 0
        self._answered: set[str] = set()  # children that have nothing of ours that we lack
        self._is_unheard = False  # the root since its start: it may be a copy that knows of nothing newer than itself
        self._owing: dict[str, int] = {}  # children that hold more of the root's streams than it, and since when
        # Own streams → where the custodian signed that they stand, beyond this log: another machine is this node.
        self._signed: dict[str, Position] = {}
        self.twin_signs = 0  # how often that was news
        # Streams of the root that it holds otherwise, and where it stands; None: not asked since the start.
        self._disputed: dict[str, Position] | None = None
        self._refused: dict[str, bytes] = {}  # those whose branch here, by its end, the root knows of and has not taken
        self._noting = threading.Lock()  # of the mark's file
        self._high_water: HighWater | None = None
        self._way = Way(store, applier, ring, clock, node_id, sequencing, changed)
        applier.make_way = self._set_aside

    # --- whether anything may be sealed --------------------------------------------------------------------------

    def watch(self, high_water: HighWater, is_heard: Callable[[], bool] = lambda: False) -> None:
        """Compare the database with the mark outside it: an older copy awaits its neighbours' word.

        A root whose mark is as old as its database (a copy of the whole directory, a snapshot of the machine) cannot
        tell: with children it seals nothing before one of them has been heard since. `is_heard`: whether another
        process of this node, which runs on, has heard one.
        """
        with self._noting:
            self._high_water = high_water
        with self._store.read() as tx:
            behind = high_water.behind(tx)
        has_children = self._is_root and bool(self._tree().children())
        awaits_answer = bool(behind) and (not self._is_root or has_children)
        is_unheard = has_children and not behind and not is_heard()
        with self._guard:
            self._since_ms = self._clock()
            self._awaits_answer = awaits_answer
            self._is_unheard = is_unheard
        if awaits_answer:
            event("restored-copy", logging.WARNING, streams=len(behind))

    def note_positions(self) -> None:
        """Move the mark to where the own streams stand, once nothing is missing."""
        with self._noting:
            if self._high_water is None:
                return
            with self._store.read() as tx:
                if not self.is_held_back(tx):
                    self._high_water.note(tx)

    @property
    def awaits_answer(self) -> bool:
        """Whether this is an older copy that no neighbour has answered yet."""
        with self._guard:
            return self._awaits_answer

    @property
    def unknown_above(self) -> frozenset[str]:
        """Baselines that the parent has asked about and lost: it can make them again."""
        with self._guard:
            return self._unknown_above

    @property
    def is_unheard(self) -> bool:
        """Whether this is a root that no child has told since its start that it lacks nothing."""
        with self._guard:
            return self._is_unheard or bool(self._owing)

    def holds_back(self) -> bool:
        """Whether nothing may be sealed now: an own stream may go on elsewhere than in this log, or the keys that this
        node had granted on a branch are not granted again."""
        with self._store.read() as tx:
            return self.is_held_back(tx)

    def is_held_back(self, tx: Tx) -> bool:
        """`holds_back` in the caller's snapshot."""
        query = f"{_COMING} UNION ALL {_UNGRANTED} LIMIT 1"
        return self._is_missing_own(tx) or tx.one(query, (KEY_GRANT.number,)) is not None

    def _holds_back(self, tx: Tx) -> bool:
        return self._is_missing_own(tx) or tx.one(f"{_COMING} LIMIT 1") is not None

    def _is_missing_own(self, tx: Tx) -> bool:
        """Whether, as this process knows, an own stream goes on elsewhere than in this log."""
        with self._guard:
            if self._awaits_answer or self._is_unheard or self._owing or self._taking:
                return True
            goals = set(self._goals)
        own = "SELECT stream_id FROM syncd_stream WHERE own = 1 AND ended = 0"  # of others late writes alone come
        if self._control_id in goals:  # be it not here: what another machine of this node's has sealed comes first
            return True
        return bool(goals) and not goals.isdisjoint(row[0] for row in tx.all(own))

    def is_unfinished(self) -> bool:
        """Whether an own stream is being taken back, or wishes wait to be written down."""
        with self._store.read() as tx:
            return tx.one(f"{_COMING} LIMIT 1") is not None or tx.one(_WISHES) is not None

    # --- what the parent holds ---------------------------------------------------------------------------------------

    def heard(self, theirs: Iterable[Position]) -> bool:
        """The parent's word where it stands on everything at and below this node; returns whether something is to be
        ended here: an own stream is being taken back, or wishes wait to be written down."""
        stated = [item for item in theirs if item.seq]
        with self._store.read() as tx:
            held, goals, begun = self._compared(tx, stated)
            has_wishes = tx.one(_WISHES) is not None
        if not goals and not begun and not self.has_goals:  # as a rule; a large cut under way need not be waited for
            with self._guard:
                self._awaits_answer = False
            return has_wishes
        with self._sequencing:
            with self._store.read() as tx:
                held, goals, begun = self._compared(tx, stated)
            from_above = self._from_above
            with self._guard:
                told = {key: goal for key, goal in self._goals.items() if key in from_above}
                self._goals = {**self._signed, **goals, **told}
                taking = set(self._taking)
            self._begin([
                *((held[key], goal.seq) for key, goal in goals.items() if key in held and held[key].own),
                *((at, at.held_seq) for at in begun if at.stream_id not in goals and at.stream_id not in taking),
            ])  # fmt: skip
            with self._guard:
                self._awaits_answer = False
        return self.is_unfinished()

    def _compared(
        self, tx: Tx, stated: Sequence[Position]
    ) -> tuple[dict[str, Stream], dict[str, Position], list[Stream]]:
        """The streams held, those of which the parent holds another past or more, those being taken back."""
        held = {stream.stream_id: stream for stream in log.streams(tx)}
        goals = {item.stream_id: item for item in stated if not is_past(tx, held.get(item.stream_id), item)}
        with self._guard:  # the parent may be a copy itself: what the custodian has signed, others hold
            signed = list(self._signed.values())
        missing = [item for item in signed if not is_past(tx, held.get(item.stream_id), item)]
        with self._guard:  # what was signed while these were compared is no news a second time, so it stays
            for item in set(signed) - set(missing):
                if self._signed.get(item.stream_id) == item:
                    del self._signed[item.stream_id]
        goals = {item.stream_id: item for item in missing} | goals
        return held, goals, [stream for stream in held.values() if stream.rejoin_seq]

    @property
    def _from_above(self) -> set[str]:
        """Streams that a pull tells of: a hello says nothing about them."""
        tree = self._tree()
        with self._store.read() as tx:
            return {stream.stream_id for stream in log.streams(tx) if not tree.goes_up(stream)}

    def differs(self, position: Position) -> None:
        """The parent stands elsewhere on a stream that goes up, as a push has shown."""
        with self._guard:
            self._goals[position.stream_id] = position

    def signed_elsewhere(self, positions: Iterable[Position]) -> bool:
        """The custodian has signed for more of own streams than this log holds, or for another past: a second machine
        is this node, or this is a copy. Returns whether that is news; until they are back nothing is sealed."""
        with self._guard:
            fresh = [item for item in positions if self._signed.get(item.stream_id, item).seq <= item.seq
                     and item.stream_id not in self._goals]  # fmt: skip
            for item in fresh:
                self._signed[item.stream_id] = self._goals[item.stream_id] = item
            self.twin_signs += len(fresh)
        if fresh:
            event("second-machine", logging.WARNING, streams=len(fresh))
        return bool(fresh)

    def _begin(self, own: Sequence[tuple[Stream, int]]) -> None:
        """Note that own streams are being taken back, up to where the parent is."""
        moved = [(seq, stream.stream_id) for stream, seq in own if stream.rejoin_seq != seq]
        if moved:
            with self._store.apply("rejoin-begin") as tx:
                tx.many("UPDATE syncd_stream SET rejoin_seq = ? WHERE stream_id = ?", moved)

    def wants(self, tx: Tx) -> list[Want]:
        """What to ask the parent for. Own records of nodes and keys come first, all else leans on them; the
        branch of an own log can be read without them (`KeyRing`)."""
        with self._guard:
            goals = dict(self._goals)
        if not goals:
            return []
        held = {stream.stream_id: stream for stream in log.streams(tx)}
        reached = [key for key, goal in goals.items() if is_past(tx, held.get(key), goal)]
        with self._guard:
            for key in reached:
                goal = goals.pop(key)
                if self._goals.get(key) == goal:  # not one that came while these were compared
                    del self._goals[key]
        begun = [each.stream_id for each in floor.baselines(tx) if not each.is_whole and each.of_id in goals]
        chosen = [*begun, *sorted(goals, key=lambda key: (key != self._control_id, key not in held, key))]
        return [ask(tx, key, held.get(key)) for key in chosen[: limits.WANTS_MAX]]

    def is_goal(self, stream_id: str) -> bool:
        """Whether a stream is to be taken from the parent, so that nothing of it is offered."""
        with self._guard:
            return stream_id in self._goals

    @property
    def has_goals(self) -> bool:
        """Whether anything is to be taken from the parent."""
        with self._guard:
            return bool(self._goals)

    # --- what flows down ------------------------------------------------------------------------------------------

    def told(self, parent: str, wanted: Sequence[Want]) -> bool:
        """The parent holds another past, or less, of streams that came from it; returns whether any is to be offered.

        What it wrote itself and has lost the end of is handed back; in everything else this node gives way, except
        that a child of the root about the root's own streams: its branch is offered, and a person there judges.
        """
        if not wanted:  # as a rule
            self._note_disputed({}, {})
            self._note_told({}, {}, frozenset())
            return False
        tree = self._tree()
        offers: dict[str, Position] = {}
        goals: dict[str, Position] = {}
        disputed: dict[str, Position] = {}
        common: dict[str, Position] = {}
        with self._guard:
            under_way, refused = set(self._goals), dict(self._refused)
        unknown: set[str] = set()
        with self._store.read() as tx:
            for want in wanted:
                at = log.stream(tx, want.stream_id)
                if at is not None and at.kind == Kind.BASELINE and not want.samples[0].seq:
                    unknown.add(at.stream_id)
                if at is None or at.own or at.kind == Kind.BASELINE or tree.goes_up(at):
                    continue
                head = want.samples[0]
                position = Position(want.stream, head.seq, head.hash)
                if is_past(tx, at, position):
                    if at.keeper == parent and head.seq < at.held_seq:
                        offers[at.stream_id] = position
                elif parent != tree.root_id or at.keeper != parent:
                    goals[at.stream_id] = position
                elif at.stream_id not in under_way:
                    disputed[at.stream_id] = position
                    common[at.stream_id] = common_past(tx, at, want)
                    if refused.get(at.stream_id) != at.held_hash:  # once: it tells the root that there is one
                        offers[at.stream_id] = common[at.stream_id]
        self._note_disputed(disputed, common)
        self._note_told(goals, offers, frozenset(unknown))
        return bool(offers)

    def _note_told(self, goals: dict[str, Position], offers: dict[str, Position], unknown: frozenset[str]) -> None:
        with self._guard:
            self._goals |= goals
            self._offers = offers
            # It can make them again: the next question leaves them out, and so counts as an answer.
            self._unknown_above = unknown

    def _note_disputed(self, disputed: dict[str, Position], common: Mapping[str, Position]) -> None:
        """Two branches of the root's are a case here too, until they are one."""
        with self._guard:
            before, self._disputed = self._disputed, disputed
        if before is not None and before.keys() == disputed.keys():
            return
        with self._store.read() as tx:
            open_here = {row[0] for row in tx.all(_DISPUTED, (CaseKind.FORK.value, self._tree().root_id))}
        if not (disputed or open_here):
            return
        with self._store.apply("root-branches") as tx:
            for stream_id in disputed:
                at = log.stream(tx, stream_id)
                if at is not None:
                    root_branches.note_at_child(tx, at, common[stream_id].seq, self._clock())
            for stream_id in open_here - disputed.keys():
                close_cases(tx, CaseKind.FORK, stream_id, instant_of(self._clock()))

    def refused(self, stream_id: str) -> None:
        """The root knows of the branch that is held here, and a person is to judge."""
        with self._store.read() as tx:
            at = log.stream(tx, stream_id)
        with self._guard:
            if at is not None and stream_id in (self._disputed or {}):
                self._refused[stream_id] = at.held_hash

    def settled(self, stream_id: str) -> None:
        """The root has left the branch that is held here, by a person's word: this node gives way."""
        with self._guard:
            position = (self._disputed or {}).get(stream_id)
            if position is not None:
                self._goals[stream_id] = position

    @property
    def offers(self) -> dict[str, Position]:
        """Streams of the parent to hand back to it, and where it stands."""
        with self._guard:
            return dict(self._offers)

    @property
    def owed(self) -> frozenset[Position]:
        """What is to be handed to the parent, or taken from it, at the next exchange."""
        with self._guard:
            return frozenset((*self._offers.values(), *self._goals.values()))

    def child_asked(
        self,
        tx: Tx,
        child: str,
        down: Mapping[str, Position],
        forked: Sequence[str],
        strange: Iterable[str],
        heard_ms: int,
    ) -> list[Want]:
        """A child's positions of what came from here; returns what it holds otherwise, or what was lost here.

        `strange`: streams of `down` that this node does not know. `heard_ms`: what the child has
        heard of this node last; a question from before says nothing of what it holds now.
        """
        held = {key: found for key in forked if (found := log.stream(tx, key)) is not None}
        unknown = [key for key in strange if down[key].seq]
        own = {key for key, found in held.items() if found.own}
        with self._guard:
            self._taking = {
                key: (peer, since_ms) for key, (peer, since_ms) in self._taking.items()
                if peer != child or key in own or heard_ms < since_ms
            }  # fmt: skip
        if (self.awaits_answer or self.is_unheard) and self._is_root:
            self._hear(child, heard_ms, bool(unknown), any(down[key].seq > held[key].held_seq for key in own))
        taken = root_branches.taken(tx) if own and self._is_root else {}
        asked = [*held, *unknown][: limits.WANTS_MAX]
        return [ask(tx, key, root_branches.before(held.get(key), taken.get(key))) for key in asked]

    def _hear(self, child: str, heard_ms: int, has_unknown: bool, has_more: bool) -> None:
        """A child has told the root where it stands on the root's streams. One that holds more hands it back, or holds
        another branch (`told_branch`); what the root does not know at all may be nothing it can be given. A root that
        stands behind its mark hears all of them, any other one."""
        children = {record.node_id for record in self._tree().children()}
        now_ms = self._clock()
        with self._guard:
            if heard_ms < self._since_ms:
                return
            since_ms = self._owing.setdefault(child, now_ms) if has_unknown or has_more else 0
            if has_more or (has_unknown and now_ms - since_ms < limits.HANDED_BACK_MS):
                return
            self._owing.pop(child, None)
            self._answered.add(child)
            self._is_unheard = False
            self._awaits_answer = self._awaits_answer and not children <= self._answered

    def told_branch(self, child: str) -> None:
        """A child that holds more than the root holds it on another branch: nothing of it can be handed back."""
        if self.is_unheard or self.awaits_answer:
            self._hear(child, self._clock(), False, False)

    # --- making way for what comes -----------------------------------------------------------------------------------

    def make_way(self, peer: str, envelopes: Sequence[bytes]) -> tuple[frozenset[str], Sequence[bytes]]:
        """Prepare the logs for envelopes that neighbours were asked for; returns the streams they may extend, although
        they go the other way as a rule, and the envelopes without those of streams that cannot make way yet.
        """
        tree = self._tree()
        record = tree.nodes.get(peer)
        is_child = record is not None and record.parent_id == self._me
        with self._guard:
            goals = {} if is_child else dict(self._goals)
        if not goals and not is_child:
            return frozenset(), envelopes
        wanted: set[str] = set()
        later: set[str] = set()
        for stream_id, parsed in by_stream(envelopes).items():
            try:
                if self._makes_way(tree, peer if is_child else None, stream_id, parsed, goals):
                    wanted.add(stream_id)
            except StreamBehind:  # rows came into it from a unit that is being taken back itself
                later.add(stream_id)
            except (EnvelopeError, StoreError) as error:  # this stream stands still and says why, no other does
                later.add(stream_id)
                self._applier.stop(stream_id, error)
        if later:
            envelopes = [data for data in envelopes if parse_envelope(data).header.stream_id not in later]
        return frozenset(wanted), envelopes

    def _makes_way(
        self, tree: Tree, child: str | None, stream_id: str, parsed: list[Envelope], goals: Mapping[str, Position]
    ) -> bool:
        """Whether these envelopes of a stream may extend it, its log being ready for them."""
        if stream_id in goals:
            self._way.give(tree, parsed, goals[stream_id].seq)
            return True
        if self._stands_for(parsed[0]) in goals:  # whatever else stands here, or a pruned stream never comes back
            return True
        if child is None or not self._way.take_back(tree, parsed):
            return False
        with self._guard:
            self._taking[stream_id] = (child, self._clock())
        return True

    def _stands_for(self, envelope: Envelope) -> str:
        """The stream that a baseline is the content of: it comes where the parent has forgotten what was asked for."""
        genesis = envelope.header.genesis
        if genesis is not None:
            return genesis.adopts.stream_id if genesis.kind == Kind.BASELINE and genesis.adopts is not None else ""
        with self._store.read() as tx:
            known = floor.baseline(tx, envelope.header.stream_id)
        return "" if known is None else known.of_id

    def _set_aside(self, tx: Tx, at: Stream) -> Stream:
        """Before envelopes of an own stream are applied: keep what was typed meanwhile, which they could overwrite."""
        hold_writers(tx, self._applier, at)
        if not has_unsealed(tx, self._applier, at):
            return at
        set_aside(tx, self._applier, at, self._clock())
        return log.stream(tx, at.stream_id) or at

    def close_forks(self, streams: Sequence[str]) -> None:
        """A neighbour has come back to the past that is kept here."""
        if streams:
            with self._store.apply("fork-closed") as tx:
                for stream_id in streams:
                    close_cases(tx, CaseKind.FORK, stream_id, instant_of(self._clock()))

    # --- the end ------------------------------------------------------------------------------------------------------

    def settle(self) -> tuple[bool, bool]:
        """Own streams that are back are this node's again, and wishes are written; returns whether any were, and
        whether nothing may be sealed now (`holds_back`)."""
        with self._store.read() as tx:
            begun = log.streams(tx, "own = 1 AND rejoin_seq > 0")
            taken = root_branches.taken(tx) if begun and self._is_root else {}
            begun = [stream for stream in begun if stream.stream_id not in taken]
            back = [stream for stream in begun if _is_back(stream) and not self._is_awaited(tx, stream)]
            coming = [stream for stream in begun if stream not in back]
            back = [stream for stream in back if not any(_is_behind(tx, stream, other) for other in coming)]
            has_wishes = tx.one(_WISHES) is not None
            is_held_back = self.is_held_back(tx)
        if not back and not has_wishes:  # as a rule
            return False, is_held_back
        wrote = self._take_back(back) if back else False
        if has_wishes:
            wrote = self._carry_out_wishes() or wrote
        return wrote, self.holds_back()

    def _take_back(self, back: Sequence[Stream]) -> bool:
        with self._sequencing, self._store.apply("rejoined") as tx:
            for stream in back:
                self._read_withheld(tx, stream)
                tx.run(
                    # What the parent refused of it was refused of the branch, or of two machines' frames mixed.
                    "UPDATE syncd_stream SET rejoin_seq = 0, state = CASE WHEN state = 'refused' THEN 'ok'"
                    " ELSE state END WHERE stream_id = ? AND held_seq = ?",
                    (stream.stream_id, stream.held_seq),
                )
                close_cases(tx, CaseKind.FORK, stream.stream_id, instant_of(self._clock()))
            self._applier.follow(tx, {"handover"})  # a term whose begin had been lost is this node's to write again
        self._applier.changed({"handover"})
        event("rejoined", streams=len(back))
        return True

    def _carry_out_wishes(self) -> bool:
        with self._store.read() as tx:
            if self._holds_back(tx):
                return False
        from syncd import wishes  # here, not above: what it needs of `conflict` most stations never load

        with self._store.read() as tx:
            has_wishes = wishes.waiting(tx, self._applier.registry)
        if has_wishes:
            wishes.carry_out(self._store, self._applier.registry, self._me, self._clock)
        return has_wishes

    def _read_withheld(self, tx: Tx, at: Stream) -> None:
        """Of a unit taken over since the copy: what this node read then as its keeper, and no log of its own tells."""
        if at.kind != Kind.REGISTER or at.term == 1:
            return
        earlier = handover.withheld(tx, self._applier.registry, at.unit_id or "", at.term)
        if earlier and handover.may_read_all(tx, self._me, earlier):
            rebuild(tx, self._applier, self._set_aside(tx, at), {})

    def _is_awaited(self, tx: Tx, at: Stream) -> bool:
        with self._guard:
            goal = self._goals.get(at.stream_id)
        return goal is not None and not is_past(tx, at, goal)

    @property
    def _is_root(self) -> bool:
        return self._tree().root_id == self._me


def _is_behind(tx: Tx, at: Stream, other: Stream) -> bool:
    """Whether a unit cannot be put back as it is before another own stream is back: of an earlier term of it, or of a
    unit that rows came from."""
    if other.unit_id == at.unit_id:
        return other.term < at.term
    return other.unit_id in {source.unit_id for source in sources(tx, at.unit_id)}


def _is_back(at: Stream) -> bool:
    whole_seq = at.open_from - 1 if at.open_from else at.held_seq
    return at.held_seq >= at.rejoin_seq and at.applied_seq >= whole_seq
