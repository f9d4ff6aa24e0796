"""Matching as a node does it by itself: everybody once, in steps, then whoever changes.

Enters: a store, a clock, randomness; persons who changed; turns when nothing else is to do. Leaves: links and cases.
Must hold: where nobody is registered, and once everybody was looked at while nobody changes, nothing is read or written
and what matching needs is not even loaded; a change during the first look is matched with the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from syncd.clock import Clock, instant_of
from syncd.identity.looked import is_indexed, looked_at
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
        """Match persons who changed, where there is an index; returns how many links were written or taken back."""
        with self._store.read() as tx:
            if not persons or tx.one("SELECT 1 FROM syncd_identity_person LIMIT 1") is None:
                return 0
            is_whole = is_indexed(tx)
        from syncd.identity.index import update_in_parts
        from syncd.identity.match import match_persons

        if not is_whole or self._first_look is not None:  # the first look matches them with the rest
            update_in_parts(self._store, sorted(persons))
            return 0
        return match_persons(self._store, persons, instant_of(self._clock()), self._random)

    def step(self, tree: Tree, may_go_on: Callable[[], bool]) -> Step | None:
        """Go on with the first look at everybody while that may be; None: there is none to take."""
        if self._is_over:
            return None
        with self._store.read() as tx:
            self._is_over = "person" not in self._store.registry.by_name or looked_at(tx) is not None
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
