"""Builders of proposals and kept rows for the tests of conflict/: a district (depth 1) asks a commune (depth 2)."""

from collections.abc import Mapping
from typing import Any

from conflict.decide import decide
from conflict.policy import Policy, Rules
from conflict.proposal import Kept, Proposal, Value
from conflict.verdict import ColumnVerdict, Verdict

NOON_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def proposal(**changed: Any) -> Proposal:
    given: dict[str, Any] = {
        "id": "proposal-1",
        "op": "update",
        "table": "person",
        "row_id": "row-1",
        "seen": {},
        "wished": {},
        "author_node": "district",
        "author_tier_depth": 1,
        "made_at_ms": NOON_MS,
        "clock_offset_ms": 0,
        "reason": "",
    }
    return Proposal(**{**given, **changed})


def kept(values: Mapping[str, Value] | None, **changed: Any) -> Kept:
    given: dict[str, Any] = {
        "changed_at_ms": {},
        "clock_offset_ms": 0,
        "keeper_node": "commune",
        "keeper_tier_depth": 2,
    }
    return Kept(values=values, **{**given, **changed})


def rules(**policies: str) -> Rules:
    return Rules(policies={column: Policy(policy) for column, policy in policies.items()})


def decide_one(policy: str, seen: Value, kept_value: Value, wished: Value, **sides: Any) -> Verdict:
    """One column `c`; `sides` may replace the author's fields (`offset_ms` its clock offset) and the kept side's."""
    names = {"author_tier_depth": "author_tier_depth", "made_at_ms": "made_at_ms", "offset_ms": "clock_offset_ms"}
    author = {field: sides.pop(name) for name, field in names.items() if name in sides}
    wish = proposal(seen={"c": seen}, wished={"c": wished}, **author)
    return decide(wish, kept({"c": kept_value}, **sides), rules(c=policy))


def only(verdict: Verdict) -> ColumnVerdict:
    (column,) = verdict.columns
    return column


def by_name(verdict: Verdict) -> dict[str, ColumnVerdict]:
    return {column.column: column for column in verdict.columns}
