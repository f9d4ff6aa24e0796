"""Passing units on: the turn in which a node ends the terms that orders end, and begins those that are its own now.

Enters: a node whose control streams have brought orders. Leaves: streams ended, cut, begun; rows under other units.
Must hold: every step is one transaction, and each is found again by what the tables say, so a crash between two of them
costs nothing; what cannot be done yet stays due.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from schema.spec import Kind
from syncd import baseline, cutting, handover, log, quarantine, reassign
from syncd.clock import instant_of
from syncd.envelope import Mark
from syncd.errors import StoreError, StreamBehind
from syncd.signals import LOG
from syncd.terms import refresh_keepers
from syncd.tree import Term, Tree
from syncd.withheld import read_withheld

if TYPE_CHECKING:
    from syncd.pipeline import Node


class Passing:
    """What one node hands over and takes over."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.is_due = True  # whatever a process before this one had not come to
        self._leaving: dict[tuple[str, int], frozenset[str]] = {}  # terms to end → transactions that may still write

    @property
    def is_waiting(self) -> bool:
        """Whether a term waits for transactions to end, which nothing tells of."""
        return bool(self._leaving)

    def turn(self) -> bool:
        """End the terms that an order ends, begin those whose predecessor has ended here; returns whether any did."""
        if not self.is_due:
            return False
        self.is_due = False  # news that come meanwhile make it due again
        run = self._node.barriers.run
        nothing: tuple[list[Term], list[handover.Beginning], list[reassign.Reassignment]] = ([], [], [])
        cut = run("cut", self._cut_terms, [False])
        run("baselines for followers", lambda: bool(baseline.make_for_followers(self._node)), False)
        ends, begins, moves = run("units that pass", self._find, nothing)
        moved = [run("move rows", partial(self._move, each), False, unit_id=each.from_unit) for each in moves]
        ended = [run("end a term", partial(self._end_term, each), False, unit_id=each.unit_id) for each in ends]
        begun = [run("begin a term", partial(self._begin_term, each), False, unit_id=each.unit_id) for each in begins]
        done = [*cut, *moved, *ended, *begun]
        if not all(done):
            self.is_due = True
        return any(done)

    def _find(self) -> tuple[list[Term], list[handover.Beginning], list[reassign.Reassignment]]:
        """Terms to end, terms to begin, orders to move rows."""
        with self._node.store.read() as tx:
            ends, begins = handover.ending(tx, self._node.node_id), handover.beginning(tx, self._node.node_id)
            return ends, begins, reassign.due(tx, self._node.tree())

    def cut_meanwhile(self) -> bool:
        """Take units back to their ends while nothing may be sealed: what follows them, or what they follow, may be
        coming back. What else was written here beyond an end comes, if it does, as another branch of late writes."""
        if not self.is_due:
            return False
        tree = self._node.tree()
        with self._node.store.read() as tx:
            found = cutting.overruns(tx, tree)
        done = [self._cut_unit(tree, unit_id, streams) for unit_id, streams in found.items()]
        return any(done)

    def _move(self, move: reassign.Reassignment) -> bool:
        """Carry out an order to move rows. Two moves never share a cut: each stream would wait for the other's rows to
        be gone. Nor do clerks' changes, if it can be helped: of a row that came and was deleted a cut says nothing."""
        self._node.write()
        units = (move.from_unit, move.to_unit)
        with self._node.store.read() as tx:
            if any(handover.has_unsealed(tx, self._node.store.registry, unit_id) for unit_id in units):
                return False
        reassign.carry_out(self._node.store, move, self._node.node_id, instant_of(self._node.clock()))
        self._node.write()
        return True

    def _cut_terms(self) -> list[bool]:
        """Take streams back to where they end, by force or as another order stands; per unit whether it is done."""
        tree = self._node.tree()
        with self._node.store.read() as tx:
            units = cutting.overruns(tx, tree)
        quarantine.tell(self._node.store, tree, self._node.clock())
        cutting.leave(self._node.store, tree)
        return [
            self._node.barriers.run(
                "cut a unit", partial(self._cut_unit, tree, unit_id, streams), False, unit_id=unit_id
            )
            for unit_id, streams in units.items()
        ]

    def _cut_unit(self, tree: Tree, unit_id: str, streams: Sequence[cutting.Overrun]) -> bool:
        own = [each.stream for each in streams if each.stream.own]
        if own and not self._is_sealed(unit_id, own[0].term):
            return False
        try:
            with self._node.sequencing:
                cutting.cut(self._node.store, self._node.applier, tree, unit_id, self._node.clock())
        except StreamBehind:  # what rows left is being taken back itself: this unit goes back behind that one
            return False
        except StoreError as error:  # its log does not reach back here: this unit waits, no other does
            self._node.applier.stop(streams[0].stream.stream_id, error)
            return False
        self._leaving.pop((unit_id, own[0].term if own else 0), None)
        self._node.own.clear()
        self._node.signals.emit(LOG, [each.stream.stream_id for each in streams])
        return True

    def _is_sealed(self, unit_id: str, term: int) -> bool:
        """Whether all that was written of a unit's register before its order came is in the log. The guard refuses new
        writes already (`refresh_keepers`); a transaction begun before may still write."""
        with self._node.store.read() as tx:
            writers = handover.writers(tx)
        waits_for = self._leaving.setdefault((unit_id, term), writers)
        if waits_for & writers:
            return False
        self._node.write()
        with self._node.store.read() as tx:
            return not handover.has_unsealed(tx, self._node.store.registry, unit_id)

    def _end_term(self, term: Term) -> bool:
        """Write the last envelope of a term; False while a transaction begun before the order can still write."""
        if not self._is_sealed(term.unit_id, term.term):
            return False
        with self._node.sequencing, self._node.store.read() as snapshot:
            unsealed = handover.has_unsealed(snapshot, self._node.store.registry, term.unit_id)
            if unsealed or self._node.rejoin.holds_back():
                return False
            stream = log.stream(snapshot, handover.stream_of(term))
            stream = stream or self._node.own.create(Kind.REGISTER, term.unit_id, term.term)
            parts = self._node.own.digests(snapshot, stream)
            with self._node.store.apply("end-term") as tx:
                self._node.own.append(tx, stream, Mark.ENDS, parts, 0)
                refresh_keepers(tx)
        del self._leaving[term.unit_id, term.term]
        self._node.own.clear()
        self._node.forget_tree()
        self._node.tell_written([stream.stream_id])
        return True

    def _begin_term(self, beginning: handover.Beginning) -> bool:
        """Write the first envelope of a term: it says where the one before it ended. False while keys are missing."""
        with self._node.sequencing:
            with self._node.store.read() as tx:
                withheld = handover.withheld(tx, self._node.store.registry, beginning.unit_id, beginning.term)
                stream = log.stream(tx, beginning.stream_id)
                if withheld and not handover.may_read_all(tx, self._node.node_id, withheld):
                    return False  # the grants are on their way; what is not read here would be lost to all
            stream = stream or self._node.own.create(Kind.REGISTER, beginning.unit_id, beginning.term)
            with self._node.store.apply("begin-term") as tx:
                if withheld:
                    read_withheld(tx, self._node.applier, withheld)
                self._node.own.append(tx, stream, Mark.ADOPTS, {}, 0, adopts=beginning.adopts)
                refresh_keepers(tx)
        self._node.own.clear()
        self._node.forget_tree()
        self._node.tell_written([beginning.stream_id])
        return True
