"""The first look at everybody, in steps: a daemon takes one when nothing else is to do, until everybody was matched.

Enters: a store, the scope of its node, a time, randomness, whether to go on. Leaves: the index of everybody,
links and cases; at the end the time of the look. Must hold: memory is bounded by a step, never by the persons there
are; a step interrupted anywhere is taken again; whoever changes meanwhile is indexed by whoever notices the change
(`pipeline.Node`) and matched with the rest; once everybody was looked at nothing is read or written any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from syncd.clock import instant_of
from syncd.identity.indexing import Indexing
from syncd.identity.looked import is_indexed, is_settled, note_look, waiting
from syncd.identity.match import match_new
from syncd.identity.scope import scope_of
from syncd.store.base import Store
from syncd.tree import Tree

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step did. `more`: the look has not ended."""

    more: bool
    wrote: int = 0


class FirstLook:
    """One look. It goes on from what an earlier process left: what is indexed stays so, who is due stays due."""

    def __init__(self, store: Store, clock: Callable[[], int], random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._random = random_bytes
        self._indexing = Indexing(store)

    def step(self, tree: Tree, may_go_on: Callable[[], bool]) -> Step:
        """A part, and more of them while that may be."""
        wrote = 0
        while True:
            with self._store.read() as tx:
                has_index, is_over = is_indexed(tx), is_settled(tx)
            if is_over:
                return Step(more=False, wrote=wrote)
            if has_index:
                wrote += self._match(tree)
            else:
                self._indexing.step()
            if not may_go_on():
                return Step(more=True, wrote=wrote)

    def _match(self, tree: Tree) -> int:
        """Some of those who are due; when nobody is, everybody was looked at."""
        now = instant_of(self._clock())
        with self._store.write("identity-match") as tx:
            done = match_new(tx, scope_of(tree), now, self._random)
            if not done.persons and not waiting(tx):
                note_look(tx, now)
        return done.counts.linked + done.counts.proposed + done.counts.withdrawn
