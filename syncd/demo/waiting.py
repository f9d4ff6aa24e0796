"""Waiting for what another process does: it sends this one no event, so its database or its answer is looked at.

Enters: a condition and a bound. Leaves: the first true value it gave, or None. Must hold: a wait ends one look after
its bound at the latest; what the condition raises ends it at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_S = 0.01


def first(condition: Callable[[], T | None], within_s: float, look_s: float = LOOK_S) -> T | None:
    """What the condition gave when it first held; None when it did not come to hold."""
    deadline_s = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > deadline_s:
            return None
        time.sleep(look_s)  # whatever ends the process meanwhile raises here, with no lock held
    return found
