"""Time as the stages see it: passed in, so that simulations run on their own; and days as people live them.

Must hold: a day of a register (a birth, a move, the end of a card, the day a unit begins) is one of the country's own
calendar, whatever zone the machine is set to: at 06:30 in Hanoi it is still yesterday in UTC. The country's offset is a
setting (`utc_offset_min`), the same at every node.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

UTC_OFFSET_MIN = 420  # Việt Nam
_zone = [timezone(timedelta(minutes=UTC_OFFSET_MIN))]

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


def live_at(utc_offset_min: int) -> None:
    """Count days by this offset from UTC from now on, as the node's configuration says."""
    _zone[0] = timezone(timedelta(minutes=utc_offset_min))


def civil_zone() -> timezone:
    """The zone that days are counted in."""
    return _zone[0]


def day_of(time_ms: int) -> str:
    """The day it is then, YYYY-MM-DD."""
    return f"{datetime.fromtimestamp(time_ms / 1000, civil_zone()):%Y-%m-%d}"


def day_of_instant(instant: str) -> str:
    """The day of a canonical instant."""
    return day_of(time_ms_of(instant))


def beginning_of(day: str) -> int:
    """Milliseconds since 1970 at which a day begins. Raises ValueError for what is no day."""
    return beginning_of_day(date.fromisoformat(day))


def beginning_of_day(day: date) -> int:
    """The same for a date."""
    return int(datetime(day.year, day.month, day.day, tzinfo=civil_zone()).timestamp() * 1000)
