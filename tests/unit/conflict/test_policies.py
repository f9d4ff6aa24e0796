"""The rule of each policy, on one column that changed between the proposer's look and the keeper's decision."""

from typing import Any

import pytest

from conflict.decide import decide
from conflict.errors import RulesError
from conflict.limits import CLOCK_OFFSET_MS_MAX
from conflict.policy import Policy, Rules
from conflict.proposal import Kept
from tests.unit.conflict.builders import HOUR_MS, NOON_MS, decide_one, kept, only, proposal


@pytest.mark.parametrize("policy", list(Policy))
def test_wish_on_unchanged_value_is_accepted_under_every_policy(policy: Policy) -> None:
    verdict = decide_one(policy, "a", "a", "b")
    assert (verdict.outcome, verdict.writes, verdict.case) == ("accepted", {"c": "b"}, None)
    assert only(verdict).why == "unchanged"


@pytest.mark.parametrize("policy", list(Policy))
def test_wish_that_is_kept_already_writes_nothing(policy: Policy) -> None:
    verdict = decide_one(policy, "a", "b", "b")
    assert (verdict.outcome, verdict.writes, only(verdict).result) == ("accepted", {}, "already")


@pytest.mark.parametrize("policy", list(Policy))
def test_author_who_wishes_what_it_saw_changes_nothing_and_loses_nothing(policy: Policy) -> None:
    verdict = decide_one(policy, "a", "b", "a")
    assert (verdict.outcome, verdict.writes) == ("accepted", {})
    assert (only(verdict).result, only(verdict).why) == ("kept", "nothing_wished")


def test_value_wished_and_seen_and_kept_alike_is_already_so() -> None:
    column = only(decide_one("review", "a", "a", "a"))
    assert (column.result, column.why) == ("already", "equal")


def test_keeper_lets_the_kept_value_stand() -> None:
    verdict = decide_one("keeper", "a", "b", "c")
    assert (verdict.outcome, verdict.writes, only(verdict).why) == ("rejected", {}, "keeper_stands")


def test_review_opens_a_case_and_the_kept_value_stands() -> None:
    verdict = decide_one("review", "a", "b", "c")
    assert (verdict.outcome, verdict.writes, verdict.case) == ("review", {}, "stale_proposal")


def test_column_without_policy_is_reviewed() -> None:
    verdict = decide(proposal(seen={"c": 1}, wished={"c": 3}), kept({"c": 2}), Rules(policies={}))
    assert (verdict.outcome, only(verdict).policy) == ("review", Policy.REVIEW)


@pytest.mark.parametrize(
    ("depth", "outcome", "why"),
    [
        (0, "accepted", "author_upper"),
        (1, "accepted", "author_upper"),
        (2, "rejected", "author_not_upper"),
        (3, "rejected", "author_not_upper"),
    ],
)
def test_upper_wins_only_above_the_keeper(depth: int, outcome: str, why: str) -> None:
    verdict = decide_one("upper", "a", "b", "c", author_tier_depth=depth)
    assert (verdict.outcome, only(verdict).why) == (outcome, why)


@pytest.mark.parametrize(
    ("made_at_ms", "outcome"),
    [
        (NOON_MS - 1, "rejected"),
        (NOON_MS, "rejected"),
        (NOON_MS + 1, "accepted"),
    ],
)
def test_latest_wins_by_time_and_a_tie_leaves_the_kept_value(made_at_ms: int, outcome: str) -> None:
    verdict = decide_one("latest", "a", "b", "c", made_at_ms=made_at_ms, changed_at_ms={"c": NOON_MS})
    assert verdict.outcome == outcome
    assert verdict.writes == ({"c": "c"} if outcome == "accepted" else {})
    assert only(verdict).why == ("later" if outcome == "accepted" else "not_later")


def test_latest_corrects_both_clocks() -> None:
    fast_author = decide_one(
        "latest", "a", "b", "c", made_at_ms=NOON_MS + HOUR_MS, offset_ms=2 * HOUR_MS, changed_at_ms={"c": NOON_MS}
    )
    fast_keeper = decide_one(
        "latest", "a", "b", "c", changed_at_ms={"c": NOON_MS + HOUR_MS}, clock_offset_ms=2 * HOUR_MS
    )
    assert (fast_author.outcome, fast_keeper.outcome) == ("rejected", "accepted")


@pytest.mark.parametrize(
    ("sides", "why"),
    [
        ({"offset_ms": None}, "clock_unknown"),
        ({"clock_offset_ms": None}, "clock_unknown"),
        ({"offset_ms": CLOCK_OFFSET_MS_MAX + 1}, "clock_far_off"),
        ({"offset_ms": -CLOCK_OFFSET_MS_MAX - 1}, "clock_far_off"),
        ({"clock_offset_ms": CLOCK_OFFSET_MS_MAX + 1}, "clock_far_off"),
        ({"changed_at_ms": {}}, "time_unknown"),
        ({"changed_at_ms": None}, "time_unknown"),
    ],
)
def test_latest_without_trustworthy_times_is_reviewed(sides: dict[str, Any], why: str) -> None:
    given = {"made_at_ms": NOON_MS + 9 * HOUR_MS, "changed_at_ms": {"c": NOON_MS}}
    verdict = decide_one("latest", "a", "b", "c", **{**given, **sides})
    assert (verdict.outcome, verdict.writes, only(verdict).why) == ("review", {}, why)


def test_latest_trusts_a_clock_exactly_a_day_off() -> None:
    verdict = decide_one(
        "latest", "a", "b", "c", offset_ms=-CLOCK_OFFSET_MS_MAX, changed_at_ms={"c": NOON_MS + HOUR_MS}
    )
    assert verdict.outcome == "accepted"


@pytest.mark.parametrize(
    ("kept_value", "wished", "max_wins", "min_wins"),
    [
        (5, 7, True, False),
        (5, 3, False, True),
        (None, 3, True, True),
        (5, None, False, False),
        ("2024-02-01", "2024-02-10", True, False),
        (b"\x01", b"\x02", True, False),
        (10, 9, False, True),
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00.500Z", True, False),
        ("2026-01-01T12:00:00.000Z", "2026-01-01T12:00:00Z", False, False),
    ],
)
def test_max_and_min_follow_the_order_and_empty_loses(
    kept_value: Any, wished: Any, max_wins: bool, min_wins: bool
) -> None:
    for policy, wins, won in (("max", max_wins, "greater"), ("min", min_wins, "smaller")):
        verdict = decide_one(policy, "seen", kept_value, wished)
        assert verdict.writes == ({"c": wished} if wins else {})
        assert verdict.outcome == ("accepted" if wins else "rejected")
        assert only(verdict).why == (won if wins else f"not_{won}")


@pytest.mark.parametrize("policy", ["max", "min", "union"])
def test_values_of_two_types_are_reviewed(policy: str) -> None:
    assert only(decide_one(policy, "", 5, "7")).why == "not_comparable"
    assert only(decide_one(policy, "", b"5", "7")).why == "not_comparable"
    assert only(decide_one(policy, "", "5", 7)).why == "not_comparable"


def test_union_of_something_seen_that_is_no_text_is_reviewed() -> None:
    assert only(decide_one("union", 1, "a", "b")).why == "not_comparable"


def test_union_joins_both_sides_in_a_stable_order() -> None:
    verdict = decide_one("union", "b", "b; z;", "c;b;a")
    assert (verdict.writes, only(verdict).why) == ({"c": "a;b;c;z"}, "union")
    assert decide_one("union", None, "b", "a").writes == {"c": "a;b"}


@pytest.mark.parametrize("wished", ["c;a", "c;b;a"])
def test_union_that_adds_nothing_is_already_so(wished: str) -> None:
    verdict = decide_one("union", "a", "a;b;c", wished)
    assert (verdict.outcome, verdict.writes, only(verdict).result) == ("accepted", {}, "already")


@pytest.mark.parametrize(("kept_value", "wished"), [("a;b;c", "a"), ("a", "a;b;c"), ("a;b;c", None), (None, "a;b;c")])
def test_union_never_undoes_a_removal_in_silence(kept_value: Any, wished: Any) -> None:
    verdict = decide_one("union", "a;b", kept_value, wished)
    assert (verdict.outcome, only(verdict).why) == ("review", "union_removal")


def test_union_that_outgrows_its_column_is_reviewed() -> None:
    wish = proposal(seen={"c": "a"}, wished={"c": "a;bb"})
    for chars_max, outcome in ((7, "accepted"), (6, "review")):
        limited = Rules(policies={"c": Policy.UNION}, chars_max={"c": chars_max})
        verdict = decide(wish, kept({"c": "a;cc"}), limited)
        assert verdict.outcome == outcome
        assert only(verdict).why == ("union" if outcome == "accepted" else "union_too_long")


def test_column_grouped_twice_is_refused() -> None:
    with pytest.raises(RulesError) as caught:
        Rules(policies={}, groups=(("a", "b", "c"), ("b", "c")))
    assert str(caught.value) == "columns grouped more than once: b, c; name each column in one group"


@pytest.mark.parametrize("policy", ["max", "min", "union"])
def test_delete_policy_without_meaning_is_refused(policy: str) -> None:
    with pytest.raises(RulesError) as caught:
        Rules(policies={}, delete_policy=Policy(policy))
    assert str(caught.value) == f"{policy} means nothing for a delete; use one of keeper, latest, review, upper"


def test_wish_for_one_member_needs_the_whole_group_seen() -> None:
    grouped = Rules(policies={}, groups=(("street", "hamlet"),))
    assert grouped.seen_columns(["name", "street"]) == ("hamlet", "name", "street")


def test_time_of_change_is_unknown_where_nobody_recorded_it() -> None:
    silent: Kept = kept({"c": 1}, changed_at_ms=None)
    assert (silent.changed_at_ms_of("c"), kept({}, changed_at_ms={"c": 5}).changed_at_ms_of("c")) == (None, 5)
