"""Owed: the streams of which the parent may stand elsewhere, so that a push looks at these instead of all there are.

Enters: signals of this process, what the parent was found to lack. Leaves: the ids to look at, or None for all.
Must hold: what is left out stood as the parent does when it was last looked at, and nobody in this process has told of
it since. All are looked at after a hello, when the tree changed, and after a while: another process of this node may
have written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from syncd import limits
from syncd.signals import LOG
from syncd.tree import Tree


class OwedStreams:
    """Of one session with a parent, in memory."""

    def __init__(self, node_id: str) -> None:
        self._me = node_id
        self._guard = threading.Lock()  # of what was told: stages tell on threads of their own
        self._told: set[str] = set()
        self._left: set[str] = set()  # those that the parent stood elsewhere on at the last look
        self._all_due = True
        self._tree: Tree | None = None
        self._looked_ms = 0  # at all of them

    def on_signal(self, topic: str, stream_ids: frozenset[str]) -> None:
        """A stage has committed something."""
        if topic != LOG:
            return
        with self._guard:
            self._told |= stream_ids

    def look_at_all(self) -> None:
        """What is known of the parent's positions has changed."""
        self._all_due = True

    def due(self, tree: Tree, now_ms: int) -> set[str] | None:
        """What is to be looked at now (call before the log is read); None: everything."""
        with self._guard:
            told, self._told = self._told, set()
        self._left |= told
        is_stale = not 0 <= now_ms - self._looked_ms < limits.LOOK_AT_ALL_MS
        if self._all_due or is_stale or tree is not self._tree or self._me in told:
            self._all_due = True
            return None
        return set(self._left)

    def looked(self, at: set[str] | None, tree: Tree, now_ms: int, lacking: Iterable[str]) -> None:
        """It was looked `at` these; of them the parent stands elsewhere on `lacking`."""
        found = set(lacking)
        if at is None:
            self._left, self._tree, self._looked_ms, self._all_due = found, tree, now_ms, False
        else:
            self._left = self._left - at | found
