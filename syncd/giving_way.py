"""Giving way: logs made ready for envelopes that contradict them, or that hand the end of an own stream back (I13).

Enters: envelopes of a neighbour that this node asked for. Leaves: logs that these envelopes follow.
Must hold: a log is cut only for an envelope that the stream's keeper signed and that follows what stays; whatever this
node had written beyond is kept as wishes in the same transaction; an own stream is cut by nobody who seals meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from conflict.case import CaseKind
from syncd import log
from syncd.applying import Applier
from syncd.cases import close_cases, open_case
from syncd.clock import Clock, instant_of
from syncd.envelope import Envelope, parse_envelope, verify_envelope
from syncd.errors import EnvelopeError
from syncd.events import event
from syncd.keys import KeyRing
from syncd.lift import has_unsealed, lift
from syncd.log import Stream
from syncd.recovery import root_branches
from syncd.store.base import Store, Tx
from syncd.store.pulse import Baton
from syncd.tree import Tree


class Way:
    """Prepares the logs of one store."""

    def __init__(
        self,
        store: Store,
        applier: Applier,
        ring: KeyRing,
        clock: Clock,
        node_id: str,
        sequencing: Baton,
        changed: Callable[[set[str]], None],
    ) -> None:
        self._store = store
        self._applier = applier
        self._ring = ring
        self._clock = clock
        self._me = node_id
        self._sequencing = sequencing
        self._changed = changed

    def give(self, tree: Tree, parsed: Sequence[Envelope], goal_seq: int) -> None:
        """Leave the branch that the parent's envelopes contradict."""
        with self._store.read() as tx:
            at = log.stream(tx, parsed[0].header.stream_id)
            new = None if at is None else _first_other(tx, at, parsed)
        if at is None:
            self._create(tree, parsed[0], goal_seq)
        elif new is not None and _is_signed(tree, at, new):
            if at.own:
                with self._sequencing:
                    self._leave(at.stream_id, new, goal_seq)
            else:
                self._leave(at.stream_id, new, 0)

    def take_back(self, tree: Tree, parsed: Sequence[Envelope]) -> bool:
        """A child hands the end of an own stream back: only where it goes on from this log's own end, or an officer has
        said that the other branch is taken in."""
        first = parsed[0]
        with self._store.read() as tx:
            at = log.stream(tx, first.header.stream_id)
            is_taken = root_branches.is_taken(tx, first)
        if at is None:
            return self._create(tree, first, parsed[-1].header.seq)
        if not at.own:
            return False
        follows = (first.header.seq - 1, first.header.previous) == (at.held_seq, at.held_hash)
        if not (follows or is_taken) or not _is_signed(tree, at, first):
            return False
        with self._sequencing:
            self._leave(at.stream_id, first, parsed[-1].header.seq)
        return True

    def _create(self, tree: Tree, first: Envelope, goal_seq: int) -> bool:
        """An own stream that this copy has never known."""
        genesis = first.header.genesis
        if genesis is None or genesis.keeper != self._me:
            return False
        new = Stream(
            stream_id=first.header.stream_id, kind=genesis.kind, unit_id=genesis.unit, keeper=self._me,
            term=genesis.term, own=True, rejoin_seq=goal_seq,
        )  # fmt: skip
        if not _is_signed(tree, new, first):
            return False
        with self._sequencing, self._store.apply("rejoin-create") as tx:
            if log.stream(tx, new.stream_id) is None:
                log.create(tx, new)
        return True

    def _leave(self, stream_id: str, new: Envelope, goal_seq: int) -> None:
        """One transaction: the branch is left, or it is noted that the stream goes on elsewhere."""
        seq = new.header.seq - 1
        with self._store.apply("rejoin") as tx:
            tx.lock(f"receive {stream_id}")
            tx.lock(stream_id)
            at = log.stream(tx, stream_id)
            if at is None or log.hash_at(tx, stream_id, seq) != new.header.previous:
                return  # somebody else was here
            goal_seq = max(goal_seq, seq + 1) if at.own else 0
            if at.own:
                tx.run("UPDATE syncd_stream SET rejoin_seq = ? WHERE stream_id = ?", (goal_seq, stream_id))
                at = replace(at, rejoin_seq=goal_seq)
            if seq == at.held_seq and not (at.own and has_unsealed(tx, self._applier, at)):
                return
            if seq < at.held_seq:
                self._note_fork(tx, at, seq, new)
            if at.own:
                root_branches.leave(tx, at, seq)
            lifted = lift(tx, self._applier, at, seq, self._clock())
        self._ring.forget()
        self._changed(lifted.touched)
        event(
            "branch-left", logging.WARNING, stream=stream_id, seq=seq, envelopes=lifted.envelopes,
            wishes=lifted.wishes,
        )  # fmt: skip

    def _note_fork(self, tx: Tx, at: Stream, seq: int, new: Envelope) -> None:
        rows = tx.value(
            "SELECT coalesce(sum(rows), 0) FROM syncd_log WHERE stream_id = ? AND seq > ?", (at.stream_id, seq)
        )
        mine = log.hash_at(tx, at.stream_id, seq + 1) or b""
        open_case(
            tx, CaseKind.FORK, (at.stream_id, seq + 1, new.hash.hex(), mine.hex()), opened_at=instant_of(self._clock()),
            detail={"seq": seq + 1, "envelopes": at.held_seq - seq, "rows": int(rows)},
            stream_id=at.stream_id, unit_id=at.unit_id,
        )  # fmt: skip
        if not at.own:  # a replica has nothing to settle: it takes the stream anew
            close_cases(tx, CaseKind.FORK, at.stream_id, instant_of(self._clock()))


def by_stream(envelopes: Iterable[bytes]) -> dict[str, list[Envelope]]:
    found: dict[str, list[Envelope]] = {}
    for data in envelopes:
        parsed = parse_envelope(data)
        found.setdefault(parsed.header.stream_id, []).append(parsed)
    return found


def _first_other(tx: Tx, at: Stream, parsed: Sequence[Envelope]) -> Envelope | None:
    """The first envelope that this log does not have, if it follows what is held; the log may hold another there."""
    for envelope in parsed:
        seq = envelope.header.seq
        if seq <= at.held_seq and log.hash_at(tx, at.stream_id, seq) == envelope.hash:
            continue
        before = log.hash_at(tx, at.stream_id, seq - 1) if seq - 1 <= at.held_seq else None
        return envelope if before == envelope.header.previous else None
    return None


def _is_signed(tree: Tree, at: Stream, envelope: Envelope) -> bool:
    keeper = tree.nodes.get(at.keeper)
    if keeper is None:
        return False
    try:
        verify_envelope(envelope, keeper.signing_public)
    except EnvelopeError:
        return False  # `receive` says so
    return True
