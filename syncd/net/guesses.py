"""Guesses at tokens: how many failed joins an address may make before they are neither told apart nor logged.

Enters: addresses whose join failed. Leaves: whether one more is answered and logged as such.
Must hold: a station with a good token is let in whatever others behind its address do; the table has a bound; a flood
is one line in the log.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Callable

from syncd import limits
from syncd.events import event


class Guesses:
    """A bucket per address, that failures empty and time fills. On one thread. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address → failures left, as of when

    def allows(self, address: str) -> bool:
        """Whether this failure is within the rate; counts it."""
        now, place = self._clock(), _network(address)
        left, since = self._left.pop(place, (float(limits.JOIN_FAILURES_MAX), now))
        left = min(left + (now - since) * limits.JOIN_FAILURES_S, float(limits.JOIN_FAILURES_MAX))
        self._left[place] = (max(left - 1.0, 0.0), now)
        if len(self._left) > limits.JOIN_ADDRESSES_MAX:
            self._left.popitem(last=False)
        if 1.0 <= left < 2.0:
            event("join-flood", logging.WARNING, address=place)
        return left >= 1.0


def _network(address: str) -> str:
    """An IPv6 host chooses freely among the addresses of its network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
