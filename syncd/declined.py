"""Declined: streams whose next envelope this node would not take from its parent, so that it is not sent at once again.

Enters: what became of the envelopes of a pull. Leaves: the streams to leave out of the next answer, how long to wait
for it. Must hold: nothing is declined for ever: it is asked for again after ever longer, and whenever the tree changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from syncd import limits
from syncd.receive import FORKED, Received
from syncd.tree import Tree

DECLINED_MAX = 1_000  # streams told apart; a parent that makes up more is asked again at once
SHORT_TIMES = 10  # refusals in a row that only shorten the wait; each one after them doubles the pulls to leave out


class Declined:
    """Of one session with a parent, in memory."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}  # stream → refusals in a row
        self._skips: dict[str, int] = {}  # stream → pulls it is still to be left out of
        self._tree: Tree | None = None

    def streams(self, tree: Tree) -> list[str]:
        """What the next pull leaves out; nothing when the tree says something else than at the last one."""
        if tree != self._tree:
            self._tree = tree
            self._skips.clear()
        return sorted(self._skips)

    @property
    def wait_s_max(self) -> float:
        """How long the next pull may wait: what is declined may be welcome soon, and the tree changes without it."""
        if not self._skips:
            return limits.HINT_WAIT_S_MAX
        fewest = min(self._times[stream_id] for stream_id in self._skips)
        return float(min(limits.DECLINED_WAIT_S * 2**fewest, limits.HINT_WAIT_S_MAX))

    def learn(self, asked: Mapping[str, int], received: Received | None) -> None:
        """A pull is over. `asked`: stream → the position it named; only what follows that was sent as asked."""
        self._skips = {stream_id: left - 1 for stream_id, left in self._skips.items() if left > 1}
        if received is None:
            return
        for stream_id in received.streams:
            self._times.pop(stream_id, None)
        for stream_id, (code, seq, _text) in received.refused.items():
            is_as_asked = seq == asked.get(stream_id, 0) + 1
            if code != FORKED and is_as_asked and (stream_id in self._times or len(self._times) < DECLINED_MAX):
                times = self._times[stream_id] = self._times.get(stream_id, 0) + 1
                self._skips[stream_id] = 2 ** min(max(times - SHORT_TIMES, 0), SHORT_TIMES)
