"""Times as operators read them: dd/mm/yyyy hh:mm in their own zone, ages in words.

Enters: canonical instants (UTC). Leaves: short texts. Must hold: JSON never passes through here.
"""

from __future__ import annotations

from datetime import datetime

from syncd.language import say
from syncd.text.moments import moment

__all__ = ["age", "age_s", "duration", "moment"]

AT_ONCE_S = 2.0  # two readings of one moment


def age(instant: str | None, now_ms: int) -> str:
    """How long ago, in the largest whole unit."""
    seconds = age_s(instant, now_ms)
    if seconds is None:
        return say("chưa từng", "never")
    if seconds < 0:
        return say("sau giờ máy này {span}", "{span} ahead of this clock", span=duration(-seconds))
    return duration(seconds)


def age_s(instant: str | None, now_ms: int) -> float | None:
    """Seconds since an instant; None for none. Less than nothing where this clock is behind whoever wrote it."""
    if not instant:
        return None
    seconds = now_ms / 1000 - datetime.fromisoformat(instant).timestamp()
    return seconds if seconds > 0 or seconds < -AT_ONCE_S else 0.0


def duration(seconds: float) -> str:
    """A span in its largest whole unit."""
    for size, vi, en in ((86_400, "ngày", "d"), (3_600, "giờ", "h"), (60, "phút", "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {say(vi, en)}"
    return f"{int(seconds)} {say('giây', 's')}"
