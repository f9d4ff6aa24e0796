"""Who below has not been heard for long: what a node tells its parent, so that a province sees the commune whose
machine is dead behind a district that is well.

Enters: when each child was last heard, and what children say of nodes below them. Leaves: the nodes that are silent,
the longest first. Must hold: read at most once a minute, and nothing is written; ages travel, not moments, so that no
clock makes a silence longer or shorter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from syncd import limits
from syncd.clock import Clock
from syncd.messages import Silent, raw_id
from syncd.store.base import Store
from syncd.succession import retired_nodes
from syncd.tree import Tree

NEVER_S = 0  # as it travels: never heard
_CHILDREN = "SELECT node_id, last_success_at FROM syncd_peer WHERE role = 'child'"


def within(tree: Tree, child: str, told: Sequence[Silent]) -> Sequence[Silent]:
    """What a child may say: of nodes below it, not of itself, of its neighbours or of nobody."""
    below = tree.below(child) - {child} if told else ()
    return [each for each in told if each.node_id in below]


class SilentBelow:
    """Of one daemon. `heard_ago_s`: child → seconds, of those that this process has heard; `told`: node further below →
    (the child that says so, seconds); `bound_s`: from when on a silence is worth telling."""

    def __init__(
        self, store: Store, clock: Clock, heard_ago_s: Callable[[], Mapping[str, float]],
        told: Callable[[], Mapping[str, tuple[str, float]]], bound_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._heard_ago_s = heard_ago_s
        self._told = told
        self._bound_s = bound_s
        self._read_s = -limits.SILENT_LOOK_S
        self._known: list[Silent] = []

    def __call__(self) -> list[Silent]:
        now_s = time.monotonic()
        if now_s - self._read_s >= limits.SILENT_LOOK_S:
            self._read_s = now_s
            self._known = self._look()
        return self._known

    def _look(self) -> list[Silent]:
        with self._store.read() as tx:
            recorded: dict[str, str | None] = dict(tx.all(_CHILDREN))
            retired = retired_nodes(tx) if recorded else {}
        heard, bound_s = self._heard_ago_s(), self._bound_s()
        found = {node_id: for_s for node_id, (_child, for_s) in self._told().items()}
        for node_id in recorded.keys() - retired.keys():
            for_s = heard.get(node_id, self._recorded_s(recorded[node_id]))
            if for_s == NEVER_S or for_s > bound_s:
                found[node_id] = for_s
        order = sorted(found.items(), key=lambda item: (item[1] != NEVER_S, -item[1], item[0]))
        return [Silent(raw_id(node_id), int(for_s)) for node_id, for_s in order[: limits.SILENT_MAX]]

    def _recorded_s(self, at: str | None) -> float:
        """By the wall clock, where no process since has heard it."""
        if not at:
            return NEVER_S
        return max(self._clock() / 1000 - datetime.fromisoformat(at).timestamp(), 1.0)
