"""The sign of life that a service manager wants: given only while every thread gets on.

Enters: WATCHDOG_USEC; what `store/pulse.py` knows of the threads. Leaves: WATCHDOG=1, or a line in the log that names
the thread and its place. Must hold: without a watchdog nothing is done.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from syncd.events import event
from syncd.store import pulse
from syncd.system import notify_supervisor, watchdog_s


class Asked(Protocol):
    """What shows by an answer that it gets on."""

    def ask(self) -> None: ...


class Watchdog:
    """Fed by the main thread, as often as it wants."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        every_s = watchdog_s(environment)
        self.waits = [] if every_s is None else [every_s]
        self._told: frozenset[str] = frozenset()

    def feed(self, server: Asked | None) -> None:
        """Give the sign, unless a thread is stuck."""
        if not self.waits:
            return
        stuck = pulse.stuck()
        if not stuck:
            notify_supervisor("WATCHDOG=1")
        for name in stuck.keys() - self._told:
            event("stuck", logging.ERROR, worker=name, since_s=round(stuck[name]), place=pulse.place(name))
        self._told = frozenset(stuck)
        if server is not None:
            server.ask()
