"""What a barrier contained: in tests a failure all the same, or nobody would ever see it.

Enters: the daemon's own log events. Leaves: those called `bug`, met while a test or a seed ran.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from syncd.events import LOGGER


class Contained(logging.Handler):
    """Collects them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.bugs: list[str] = []
        self.stopped: list[str] = []  # duties that one of our own errors stopped

    def emit(self, record: logging.LogRecord) -> None:
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        found = {"bug": self.bugs, "duty-stopped": self.stopped}.get(record.getMessage(), [])
        found.append(f"{getattr(record, 'fields', {})}\n{trace}")


@contextmanager
def no_bugs() -> Iterator[Contained]:
    """Fails at its end when any was contained meanwhile; whoever expects some clears the lists."""
    handler = Contained()
    LOGGER.addHandler(handler)
    try:
        yield handler
    finally:
        LOGGER.removeHandler(handler)
    found = [*handler.bugs, *handler.stopped]
    if found:
        raise AssertionError(f"{len(found)} failures were contained, the first:\n{found[0]}")
