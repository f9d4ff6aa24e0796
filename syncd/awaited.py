"""What children may still hold that a restored copy has lost: told by `status`, until it is here.

Enters: at the start the children of a restored node, then their hellos and what was refused of their pushes. Leaves:
the children that are waited for. Must hold: nothing is kept once all have handed in what they announced; nothing is
decided by it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from syncd import log, quarantine
from syncd.messages import Position
from syncd.store.base import Store, Tx


class Awaited:
    """Child → what it announced and has not handed in yet; None before its first hello."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._of: dict[str, dict[str, Position] | None] = {}

    def expect(self, children: Iterable[str]) -> None:
        """This node is a copy: each child may hold more than it."""
        with self._guard:
            self._of = dict.fromkeys(children)

    def announced(self, child: str, stated: Sequence[Position], is_first: bool = True) -> None:
        """A child has said where it stands on what comes up from it, or some of it: it begins with `is_first`."""
        with self._guard:
            if child in self._of:
                before = {} if is_first else self._of[child] or {}
                self._of[child] = before | {item.stream_id: item for item in stated}

    def refused(self, child: str, streams: Iterable[str]) -> None:
        """Of these streams nothing more comes: why is told elsewhere."""
        with self._guard:
            left = self._of.get(child)
            if left:
                for stream_id in streams:
                    left.pop(stream_id, None)

    def children(self) -> list[str]:
        """Those that have not been heard yet, or whose word is not here yet."""
        with self._guard:
            if not self._of:  # as a rule
                return []
            with self._store.read() as tx:
                for child, stated in list(self._of.items()):
                    if stated is not None:
                        left = {key: item for key, item in stated.items() if not _is_here(tx, item)}
                        self._of[child] = left
                        if not left:
                            del self._of[child]
            return list(self._of)


def _is_here(tx: Tx, stated: Position) -> bool:
    at = log.stream(tx, stated.stream_id)
    return at is not None and quarantine.standing(tx, at, stated.seq, stated.hash).held_seq >= stated.seq
