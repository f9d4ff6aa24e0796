"""Whether a proposal still stands when it comes to be decided: withdrawn, superseded, expired, out of scope."""

from typing import Any

import pytest

from conflict.decide import decide
from conflict.limits import CLOCK_OFFSET_MS_MAX
from conflict.policy import Policy, Rules
from conflict.proposal import Newer, Op
from conflict.verdict import Verdict
from tests.unit.conflict.builders import HOUR_MS, NOON_MS, by_name, kept, only, proposal, rules


def newer(proposal_id: str, *columns: str, op: Op = "update") -> Newer:
    return Newer(id=proposal_id, op=op, columns=frozenset(columns))


def decide_wish(*later: Newer, groups: tuple[tuple[str, ...], ...] = (), **wished: int) -> Verdict:
    wish = proposal(seen=dict.fromkeys(wished, 0), wished=wished)
    return decide(wish, kept(dict.fromkeys(wished, 0)), Rules(policies={}, groups=groups), later)


def decide_expiring(expires_at_ms: int, **sides: Any) -> Verdict:
    wish = proposal(seen={"c": 0}, wished={"c": 1}, expires_at_ms=expires_at_ms)
    return decide(wish, kept({"c": 0}, **{"now_ms": NOON_MS, **sides}), rules())


# ── withdrawn ──


@pytest.mark.parametrize(
    "fields",
    [
        {"seen": {"c": 0}, "wished": {"c": 1}},
        {"op": "delete", "seen": {"c": 0}},
        {"op": "insert", "row_id": None, "wished": {"c": 1}},
    ],
)
def test_withdrawn_wish_changes_nothing_and_opens_no_case(fields: dict[str, Any]) -> None:
    verdict = decide(proposal(**fields, is_withdrawn=True), kept({"c": 0}), rules())
    assert (verdict.outcome, verdict.why, verdict.case, verdict.newer) == ("rejected", "withdrawn", None, ())
    assert (verdict.writes, verdict.insert, verdict.delete) == ({}, False, False)
    assert (only(verdict).result, only(verdict).why) == ("kept", "withdrawn")


def test_withdrawal_counts_before_what_took_its_place_and_before_time() -> None:
    wish = proposal(seen={"c": 0}, wished={"c": 1}, is_withdrawn=True, expires_at_ms=0)
    assert decide(wish, kept({"c": 0}, now_ms=NOON_MS), rules(), [newer("n", "c")]).why == "withdrawn"


# ── superseded ──


def test_newer_wish_for_the_same_columns_takes_the_place_of_the_older() -> None:
    verdict = decide_wish(newer("n", "a", "b", "other"), a=1, b=1)
    assert (verdict.outcome, verdict.why, verdict.writes) == ("rejected", "superseded", {})
    assert (verdict.case, verdict.newer) == (None, ("n",))
    assert {column.why for column in verdict.columns} == {"superseded"}


def test_two_newer_wishes_together_take_the_place_of_an_older() -> None:
    verdict = decide_wish(newer("n2", "b"), newer("n1", "a"), a=1, b=1)
    assert (verdict.why, verdict.newer) == ("superseded", ("n1", "n2"))


def test_column_that_no_newer_wish_names_is_decided_as_if_there_were_none() -> None:
    verdict = decide_wish(newer("n", "b"), a=1, b=1)
    assert (verdict.outcome, verdict.why, verdict.writes, verdict.newer) == ("partly", "columns", {"a": 1}, ("n",))
    assert {name: (column.result, column.why) for name, column in by_name(verdict).items()} == {
        "a": ("accepted", "unchanged"),
        "b": ("kept", "superseded"),
    }


def test_newer_wish_about_other_columns_changes_nothing() -> None:
    verdict = decide_wish(newer("n", "z"), a=1)
    assert (verdict.outcome, verdict.newer) == ("accepted", ())


def test_the_last_of_several_newer_wishes_is_named() -> None:
    assert decide_wish(newer("n1", "a"), newer("n2", "a"), a=1).newer == ("n2",)


def test_group_gives_way_as_a_whole() -> None:
    verdict = decide_wish(newer("n", "a"), groups=(("a", "b"),), a=1, b=1, c=1)
    assert verdict.writes == {"c": 1}
    assert {column.column for column in verdict.columns if column.why == "superseded"} == {"a", "b"}


@pytest.mark.parametrize(
    ("op", "later"),
    [("delete", newer("n", op="delete")), ("delete", newer("n", "a")), ("update", newer("n", op="delete"))],
)
def test_newer_delete_takes_the_place_of_anything_and_anything_that_of_a_delete(op: Op, later: Newer) -> None:
    wished = {"a": 1} if op == "update" else {}
    wish = proposal(op=op, seen={"a": 0}, wished=wished)
    verdict = decide(wish, kept({"a": 0}), Rules(policies={}, delete_policy=Policy.LATEST), [later])
    assert (verdict.outcome, verdict.why, verdict.delete, verdict.newer) == ("rejected", "superseded", False, ("n",))


def test_insert_is_never_superseded() -> None:
    wish = proposal(op="insert", row_id=None, wished={"a": 1})
    assert decide(wish, kept(None), rules(), [newer("n", "a"), newer("m", op="delete")]).insert


def test_update_that_wishes_nothing_stands_beside_a_newer_one() -> None:
    assert decide_wish(newer("n", "a")).outcome == "accepted"


def test_superseded_wish_that_has_expired_too_is_called_superseded() -> None:
    wish = proposal(seen={"c": 0}, wished={"c": 1}, expires_at_ms=0)
    assert decide(wish, kept({"c": 0}, now_ms=NOON_MS), rules(), [newer("n", "c")]).why == "superseded"


# ── expired ──


@pytest.mark.parametrize(("left_ms", "why"), [(-1, "expired"), (0, "expired"), (1, "columns")])
def test_wish_expires_at_the_very_moment_its_author_set(left_ms: int, why: str) -> None:
    verdict = decide_expiring(NOON_MS + left_ms)
    assert (verdict.why, verdict.outcome) == (why, "accepted" if why == "columns" else "rejected")
    assert verdict.case is None
    assert verdict.writes == ({"c": 1} if why == "columns" else {})


def test_wish_without_an_end_never_expires_whatever_the_clock() -> None:
    wish = proposal(seen={"c": 0}, wished={"c": 1})
    assert decide(wish, kept({"c": 0}, clock_offset_ms=None, now_ms=None), rules()).outcome == "accepted"


def test_expiry_is_judged_by_the_keepers_corrected_clock() -> None:
    assert decide_expiring(NOON_MS, now_ms=NOON_MS + HOUR_MS, clock_offset_ms=2 * HOUR_MS).outcome == "accepted"
    assert decide_expiring(NOON_MS, now_ms=NOON_MS - HOUR_MS, clock_offset_ms=-2 * HOUR_MS).why == "expired"


@pytest.mark.parametrize(
    ("sides", "why"),
    [
        ({"now_ms": None}, "clock_unknown"),
        ({"clock_offset_ms": None}, "clock_unknown"),
        ({"clock_offset_ms": CLOCK_OFFSET_MS_MAX + 1}, "clock_far_off"),
        ({"clock_offset_ms": -CLOCK_OFFSET_MS_MAX - 1}, "clock_far_off"),
    ],
)
def test_wish_that_cannot_be_shown_to_have_expired_waits_for_a_person(sides: dict[str, Any], why: str) -> None:
    verdict = decide_expiring(NOON_MS - 1, **sides)
    assert (verdict.outcome, verdict.why, verdict.case, verdict.writes) == ("review", why, "stale_proposal", {})
    assert (only(verdict).result, only(verdict).why) == ("review", why)


@pytest.mark.parametrize("offset_ms", [CLOCK_OFFSET_MS_MAX, -CLOCK_OFFSET_MS_MAX])
def test_clock_exactly_a_day_off_is_trusted(offset_ms: int) -> None:
    assert decide_expiring(NOON_MS, now_ms=NOON_MS + offset_ms, clock_offset_ms=offset_ms).why == "expired"


# ── out of scope ──


def test_wish_of_a_node_that_does_not_stand_above_the_rows_present_unit_is_reviewed() -> None:
    wish = proposal(seen={"c": 0}, wished={"c": 1}, is_from_line=False)
    verdict = decide(wish, kept({"c": 0}), rules())
    assert (verdict.outcome, verdict.why, verdict.case) == ("review", "author_outside", "stale_proposal")
    expired = proposal(seen={"c": 0}, wished={"c": 1}, is_from_line=False, expires_at_ms=0)
    assert decide(expired, kept({"c": 0}, now_ms=NOON_MS), rules()).why == "expired"
