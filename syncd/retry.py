"""When to try again: the only file that knows tenacity.

Enters: an error and how often it came in a row. Leaves: a decision; whoever asked does the waiting, so that a stop ends
it. Must hold: delays are random below a growing bound, so that a thousand stations do not come back to a restarted
parent at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, wait_random_exponential

from syncd import limits
from syncd.errors import Busy, DatabaseReplaced, SyncdError
from syncd.system import SCARCE

FIRST_DELAY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`again`: whether waiting can help at all; then after `delay_s`."""

    again: bool
    delay_s: float = 0.0


class Retries:
    """Counts failures in a row of one thing that is done for ever."""

    def __init__(self, delay_s_max: float = limits.RETRY_DELAY_S_MAX) -> None:
        self._wait = wait_random_exponential(multiplier=FIRST_DELAY_S, max=delay_s_max, min=FIRST_DELAY_S / 2)
        self._attempt = 0

    def succeeded(self) -> None:
        """Begin anew."""
        self._attempt = 0

    def decide(self, error: Exception) -> Decision:
        """An error of ours may go away: a parent comes back, a disk is freed, a person mends something. So may the
        system's word that it has no descriptor or memory left. A bug does not, and a database that lies no longer
        where it was opened does not come back to this process.
        """
        is_scarce = isinstance(error, OSError) and error.errno in SCARCE
        if isinstance(error, DatabaseReplaced) or (not isinstance(error, SyncdError) and not is_scarce):
            return Decision(again=False)
        self._attempt = min(self._attempt + 1, limits.RETRY_ATTEMPTS_MAX)
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = self._attempt
        delay_s = self._wait(state)
        if isinstance(error, Busy):  # the parent has said how long its answer takes
            delay_s = max(delay_s, limits.BUSY_WAIT_S)
        return Decision(again=True, delay_s=delay_s)
