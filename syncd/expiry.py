"""Until when a proposal stands, as people say it.

Enters: `30d`, `2026-12-31` or `31/12/2026`, and the time now. Leaves: a canonical instant by the reference clock.
Must hold: a day ends where the people concerned live (`clock.civil_zone`); nothing is guessed.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from syncd import limits
from syncd.clock import beginning_of_day, instant_of
from syncd.errors import UsageError
from syncd.language import say

DAY_MS = 24 * 3600 * 1000
_DAYS = re.compile(r"([0-9]{1,5})d")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_WRITTEN = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")


def expires_at(text: str, now_ms: int) -> str:
    """The instant from which on a proposal has no effect: so many days from now, or the end of a day. Raises
    UsageError.
    """
    days = _DAYS.fullmatch(text.strip())
    end_ms = now_ms + int(days[1]) * DAY_MS if days else _end_ms(text.strip())
    if not now_ms < end_ms <= now_ms + limits.PROPOSAL_VALID_DAYS_MAX * DAY_MS:
        raise _unreadable()
    return instant_of(end_ms)


def _end_ms(text: str) -> int:
    iso, written = _ISO.fullmatch(text), _WRITTEN.fullmatch(text)
    try:
        if iso:
            day = date(int(iso[1]), int(iso[2]), int(iso[3]))
        elif written:
            day = date(int(written[3]), int(written[2]), int(written[1]))
        else:
            raise _unreadable()
        return beginning_of_day(day + timedelta(days=1))
    except (ValueError, OverflowError) as error:
        raise _unreadable() from error


def _unreadable() -> UsageError:
    return UsageError(
        say("thời hạn không hợp lệ", "no such end"),
        say(
            "nêu một ngày sắp tới (2026-12-31 hoặc 31/12/2026) hoặc số ngày (30d), không quá {n} ngày",
            "name a day to come (2026-12-31 or 31/12/2026) or a number of days (30d), at most {n} days",
            n=limits.PROPOSAL_VALID_DAYS_MAX,
        ),
    )
