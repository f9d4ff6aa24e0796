"""Clocks far off: a station a year ahead is a case for whoever looks after it, at the station and at its parent.

Enters: the offset each hello measures. Leaves: one case per node, closed when its clock is right again. Must hold:
while nothing changes nothing is written; what such a clock writes under `latest` waits for a person
(`conflict/settle.py`), so it neither wins nor loses for ever.
"""

from __future__ import annotations

from conflict.case import CaseKind, case_id
from conflict.limits import CLOCK_OFFSET_MS_MAX
from syncd.cases import close_case, open_case
from syncd.clock import Clock, instant_of
from syncd.store.base import Store


class ClockWatch:
    """What is known of the clocks met so far in this process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._far: dict[str, bool] = {}

    def note(self, node_id: str, unit_id: str | None, offset_ms: int) -> None:
        """A node's clock minus the reference, in milliseconds. `unit_id`: the unit it works for."""
        is_far = abs(offset_ms) > CLOCK_OFFSET_MS_MAX
        was_far = self._far[node_id] if node_id in self._far else self._was_far(node_id)
        if was_far is not is_far:
            now = instant_of(self._clock())
            with self._store.apply("clock") as tx:
                if is_far:
                    open_case(
                        tx, CaseKind.CLOCK_FAR_OFF, (node_id,), opened_at=now, unit_id=unit_id,
                        detail={"node": node_id, "offset_s": offset_ms // 1000},
                    )  # fmt: skip
                else:
                    close_case(tx, case_id(CaseKind.CLOCK_FAR_OFF, node_id), now)
        self._far[node_id] = is_far

    def _was_far(self, node_id: str) -> bool:
        """What an earlier process left."""
        with self._store.read() as tx:
            query = "SELECT 1 FROM syncd_case WHERE case_id = ? AND closed_at IS NULL"
            return tx.one(query, (case_id(CaseKind.CLOCK_FAR_OFF, node_id),)) is not None
