"""Time as the stages see it: passed in, so that simulations run on their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]  # milliseconds since 1970-01-01 UTC


def system_clock() -> int:
    """The operating system's clock."""
    return time.time_ns() // 1_000_000


def instant_of(time_ms: int) -> str:
    """RFC 3339 UTC with milliseconds, the canonical form of type `instant`."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def time_ms_of(instant: str) -> int:
    """Milliseconds since 1970 of a canonical instant."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000)
