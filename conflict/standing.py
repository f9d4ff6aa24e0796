"""Whether a proposal still stands when it comes to be decided: withdrawn, superseded, expired.

Enters: the proposal, what is kept (for the keeper's clock), newer proposals of the same author about the same row.
Leaves: a `Lapse`, or None while it stands; and the columns that a newer proposal wishes.
Must hold: pure; a proposal that cannot be shown to have expired, because the keeper's clock is not to be trusted, is
reviewed: neither carried out too late nor dropped too early.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conflict.case import CaseKind
from conflict.limits import CLOCK_OFFSET_MS_MAX
from conflict.policy import Rules
from conflict.proposal import Kept, Newer, Proposal
from conflict.verdict import Result, Why

WHOLE = "*"  # stands for the row where it gives way as one; no column has this name


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """Why nothing of the proposal is carried out now. `case` when a person must decide."""

    result: Result
    why: Why
    case: CaseKind | None = None


def lapse(proposal: Proposal, kept: Kept, replaced: Mapping[str, str]) -> Lapse | None:
    """Withdrawn before superseded before expired: what the author said counts before what time did.

    `replaced` is what `superseded_columns` found.
    """
    if proposal.is_withdrawn:
        return Lapse(result="kept", why=Why.WITHDRAWN)
    if replaced and replaced.keys() >= proposal.wished.keys():
        return Lapse(result="kept", why=Why.SUPERSEDED)
    expired = _expiry(proposal, kept)
    if expired is not None:
        return expired
    if not proposal.is_from_line:
        return _review(Why.AUTHOR_OUTSIDE)
    return None


def superseded_columns(proposal: Proposal, newer: Sequence[Newer], rules: Rules) -> dict[str, str]:
    """Column → id of the last of `newer` (oldest first) that takes its place (I11).

    An update gives way to a later update column by column, a group as a whole: half of an older wish would be joined to
    half of a newer one. Where either is a delete the whole gives way, under the name `WHOLE`. Inserts name no row.
    """
    if proposal.op == "insert":
        return {}
    replaced: dict[str, str] = {}
    for later in newer:
        if proposal.op == "delete" or later.op == "delete":
            replaced = dict.fromkeys((*proposal.wished, WHOLE), later.id)
        else:
            replaced |= {
                column: later.id for column in proposal.wished if later.columns.intersection(rules.group_of(column))
            }
    return replaced


def _expiry(proposal: Proposal, kept: Kept) -> Lapse | None:
    if proposal.expires_at_ms is None:
        return None
    if kept.now_ms is None or kept.clock_offset_ms is None:
        return _review(Why.CLOCK_UNKNOWN)
    if abs(kept.clock_offset_ms) > CLOCK_OFFSET_MS_MAX:
        return _review(Why.CLOCK_FAR_OFF)
    if kept.now_ms - kept.clock_offset_ms >= proposal.expires_at_ms:
        return Lapse(result="kept", why=Why.EXPIRED)
    return None


def _review(why: Why) -> Lapse:
    return Lapse(result="review", why=why, case=CaseKind.STALE_PROPOSAL)
