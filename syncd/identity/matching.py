"""Matching as a node does it by itself: everybody once, in steps, then whoever changes.

Enters: a store, a clock, randomness; persons who changed; turns when nothing else is to do. Leaves: links and cases.
Must hold: where nobody is registered, and once everybody was looked at while nobody changes, nothing is read or written
and what matching needs is not even loaded; a change while others wait (a first look, an index that a command has begun
anew, whether it goes on or has died) is noted and matched with them, in steps: nobody's change has all of them matched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from syncd.clock import Clock, instant_of
from syncd.identity.looked import has_begun, is_settled
from syncd.store.base import Store
from syncd.tree import Tree

if TYPE_CHECKING:
    from syncd.identity.first_look import FirstLook, Step

RandomBytes = Callable[[int], bytes]


class Matching:
    """One node's. Asked by one thread at a time."""

    def __init__(self, store: Store, clock: Clock, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._random = random_bytes
        self._first_look: FirstLook | None = None
        self._is_over = False

    def changed(self, persons: set[str]) -> int:
        """Match who changed, or note them where others wait; returns how many links were written or taken back."""
        with self._store.read() as tx:
            if not persons or not has_begun(tx):
                return 0
            nobody_waits = is_settled(tx)
        from syncd.identity.index import update_in_parts
        from syncd.identity.match import match_persons

        if not nobody_waits:
            self._is_over = False
            update_in_parts(self._store, sorted(persons))
            return 0
        return match_persons(self._store, persons, instant_of(self._clock()), self._random)

    def step(self, tree: Tree, may_go_on: Callable[[], bool]) -> Step | None:
        """Go on with the look at everybody, or at whoever waits, while that may be; None: there is none to take."""
        if self._is_over:
            return None
        with self._store.read() as tx:
            self._is_over = "person" not in self._store.registry.by_name or is_settled(tx)
            if self._is_over or tx.one("SELECT 1 FROM person LIMIT 1") is None:
                self._first_look = None
                return None
        from syncd.identity.first_look import FirstLook

        if self._first_look is None:
            self._first_look = FirstLook(self._store, self._clock, self._random)
        done = self._first_look.step(tree, may_go_on)
        if not done.more:
            self._is_over, self._first_look = True, None
        return done
