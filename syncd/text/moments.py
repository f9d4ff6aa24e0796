"""A moment as people read it.

Enters: a canonical instant (UTC). Leaves: dd/mm/yyyy hh:mm:ss in the reader's zone. Must hold: JSON never passes
through here.
"""

from __future__ import annotations

from datetime import UTC, datetime

from syncd.clock import civil_zone
from syncd.language import language


def moment(instant: str | None) -> str:
    """An instant in the reader's zone (Vietnamese: that of the country's days)."""
    if not instant:
        return ""
    when = datetime.fromisoformat(instant)
    if language() == "vi":
        return f"{when.astimezone(civil_zone()):%d/%m/%Y %H:%M:%S}"
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
