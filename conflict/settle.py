"""One column that changed meanwhile, under its policy.

Enters: a `Dispute` (value seen, value kept, value wished, who, when). Leaves: a `Settlement`.
Must hold: called only when the kept value differs from the wished one and is not shown to be the one seen; pure.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from conflict.limits import CLOCK_OFFSET_MS_MAX
from conflict.policy import Policy, Rules
from conflict.proposal import Kept, Proposal, Value
from conflict.record import record
from conflict.verdict import Result, Why

UNION_SEPARATOR = ";"

_WHOLE_SECOND_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@record
class Dispute:
    """One column on which author and keeper differ, with the two sides it belongs to."""

    column: str
    seen: Value
    kept_value: Value
    wished: Value
    proposal: Proposal
    kept: Kept
    rules: Rules


@record
class Settlement:
    """What becomes of the wish; `value` is what to write when it is accepted."""

    result: Result
    why: Why
    value: Value = None


_KEEPER_STANDS = Settlement(result="kept", why=Why.KEEPER_STANDS)
_AUTHOR_NOT_UPPER = Settlement(result="kept", why=Why.AUTHOR_NOT_UPPER)
_FOR_A_PERSON = Settlement(result="review", why=Why.POLICY_REVIEW)
_NOT_LATER = Settlement(result="kept", why=Why.NOT_LATER)


def settle(dispute: Dispute) -> Settlement:
    """The policy's answer (design.md §5)."""
    return _SETTLERS[dispute.rules.policy_of(dispute.column)](dispute)


def _keeper(dispute: Dispute) -> Settlement:
    return _KEEPER_STANDS


def _review(dispute: Dispute) -> Settlement:
    return _FOR_A_PERSON


def _upper(dispute: Dispute) -> Settlement:
    if dispute.proposal.author_tier_depth < dispute.kept.keeper_tier_depth:
        return Settlement(result="accepted", why=Why.AUTHOR_UPPER, value=dispute.wished)
    return _AUTHOR_NOT_UPPER


def _latest(dispute: Dispute) -> Settlement:
    changed_at_ms = dispute.kept.changed_at_ms_of(dispute.column)
    wished_offset_ms, kept_offset_ms = dispute.proposal.clock_offset_ms, dispute.kept.clock_offset_ms
    if wished_offset_ms is None or kept_offset_ms is None:
        return Settlement(result="review", why=Why.CLOCK_UNKNOWN)
    if max(abs(wished_offset_ms), abs(kept_offset_ms)) > CLOCK_OFFSET_MS_MAX:
        return Settlement(result="review", why=Why.CLOCK_FAR_OFF)
    if changed_at_ms is None:
        return Settlement(result="review", why=Why.TIME_UNKNOWN)
    if dispute.proposal.made_at_ms - wished_offset_ms > changed_at_ms - kept_offset_ms:
        return Settlement(result="accepted", why=Why.LATER, value=dispute.wished)
    return _NOT_LATER


def _max(dispute: Dispute) -> Settlement:
    return _by_order(dispute, _exceeds, Why.GREATER, Why.NOT_GREATER)


def _min(dispute: Dispute) -> Settlement:
    return _by_order(dispute, _is_below, Why.SMALLER, Why.NOT_SMALLER)


def _by_order(dispute: Dispute, wins: Callable[[Value, Value], bool | None], won: Why, lost: Why) -> Settlement:
    if dispute.wished is None:
        return Settlement(result="kept", why=lost)
    if dispute.kept_value is None:
        return Settlement(result="accepted", why=won, value=dispute.wished)
    answer = wins(dispute.wished, dispute.kept_value)
    if answer is None:
        return Settlement(result="review", why=Why.NOT_COMPARABLE)
    if answer:
        return Settlement(result="accepted", why=won, value=dispute.wished)
    return Settlement(result="kept", why=lost)


def _exceeds(left: Value, right: Value) -> bool | None:
    """Whether left > right; None when the two have no common order."""
    one, other = _order(left), _order(right)
    return bool(one > other) if type(one) is type(other) else None


def _is_below(left: Value, right: Value) -> bool | None:
    return _exceeds(right, left)


def _order(value: Value) -> Any:
    # "…:00Z" would sort after "…:00.500Z" although it is earlier: canonical instants may leave the fraction out.
    if isinstance(value, str) and _WHOLE_SECOND_INSTANT.fullmatch(value):
        return f"{value[:-1]}.000Z"
    return value


def _union(dispute: Dispute) -> Settlement:
    seen, kept, wished = (_members(value) for value in (dispute.seen, dispute.kept_value, dispute.wished))
    if seen is None or kept is None or wished is None:
        return Settlement(result="review", why=Why.NOT_COMPARABLE)
    if not seen <= kept & wished:
        return Settlement(result="review", why=Why.UNION_REMOVAL)
    if wished <= kept:
        return Settlement(result="already", why=Why.UNION)
    merged = UNION_SEPARATOR.join(sorted(kept | wished))
    if len(merged) > dispute.rules.chars_max_of(dispute.column):
        return Settlement(result="review", why=Why.UNION_TOO_LONG)
    return Settlement(result="accepted", why=Why.UNION, value=merged)


def _members(value: Value) -> frozenset[str] | None:
    """The set a text lists; None when it is no text."""
    if value is None:
        return frozenset()
    if not isinstance(value, str):
        return None
    return frozenset(item.strip() for item in value.split(UNION_SEPARATOR)) - {""}


_SETTLERS: Mapping[Policy, Callable[[Dispute], Settlement]] = {
    Policy.KEEPER: _keeper,
    Policy.UPPER: _upper,
    Policy.LATEST: _latest,
    Policy.MAX: _max,
    Policy.MIN: _min,
    Policy.UNION: _union,
    Policy.REVIEW: _review,
}
