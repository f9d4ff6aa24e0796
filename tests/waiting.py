"""Waiting for what another process does: a condition that must come to hold before a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from syncd.demo.waiting import first

T = TypeVar("T")
# A bound for what never comes, not a measure: a busy machine is slow, and no test that passes waits for it.
WAIT_S_MAX = 300.0


def until(condition: Callable[[], T | None], what: str, seconds: float = WAIT_S_MAX) -> T:
    """The condition's first true value; fails with `what` when it stays false."""
    found = first(condition, seconds)
    if found is None:
        raise AssertionError(f"after {seconds:g} s still not: {what}")
    return found
