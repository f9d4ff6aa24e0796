"""Waiting for what another process does: a condition, looked at again and again until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
WAIT_S_MAX = 30.0
LOOK_S = 0.01


def until(condition: Callable[[], T], what: str, seconds: float = WAIT_S_MAX) -> T:
    """The condition's first true value; fails with `what` when it stays false."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(LOOK_S)
