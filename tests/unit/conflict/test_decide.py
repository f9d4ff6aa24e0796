"""Updates of several columns, groups, inserts, deletes, and what a verdict keeps of the side that lost."""

from collections.abc import Mapping
from typing import Any

import pytest

from conflict.decide import decide
from conflict.errors import ProposalError
from conflict.limits import PROPOSAL_COLUMNS_MAX, REASON_CHARS_MAX
from conflict.policy import Policy, Rules
from conflict.proposal import Value
from conflict.verdict import Verdict
from tests.unit.conflict.builders import NOON_MS, by_name, kept, only, proposal, rules

BIRTH = ("birth_date", "birth_precision")


def test_columns_decide_independently() -> None:
    wish = proposal(seen={"a": 1, "b": 1, "c": 1}, wished={"a": 3, "b": 3, "c": 3})
    verdict = decide(wish, kept({"a": 1, "b": 2, "c": 2}), rules(a="keeper", b="keeper", c="upper"))
    assert (verdict.outcome, verdict.writes) == ("partly", {"a": 3, "c": 3})
    assert verdict.why == "columns"
    assert [(column.column, column.result) for column in verdict.columns] == [
        ("a", "accepted"),
        ("b", "kept"),
        ("c", "accepted"),
    ]


def test_accepted_columns_are_written_while_another_waits_for_a_person() -> None:
    wish = proposal(seen={"a": 1, "b": 1}, wished={"a": 3, "b": 3})
    verdict = decide(wish, kept({"a": 1, "b": 2}), rules(a="review", b="review"))
    assert (verdict.outcome, verdict.case, verdict.writes) == ("review", "stale_proposal", {"a": 3})


def test_value_that_was_not_seen_counts_as_changed() -> None:
    verdict = decide(proposal(wished={"c": "b"}), kept({"c": None}), rules(c="keeper"))
    assert verdict.outcome == "rejected"


def test_wish_to_empty_a_value_that_was_not_seen_is_a_wish() -> None:
    verdict = decide(proposal(wished={"c": None}), kept({"c": "b"}), rules(c="keeper"))
    assert (verdict.outcome, only(verdict).why) == ("rejected", "keeper_stands")


def test_column_the_keeper_does_not_have_is_reviewed_and_its_wish_kept() -> None:
    verdict = decide(proposal(seen={"new": None}, wished={"new": "x"}), kept({"old": 1}), rules())
    assert (verdict.outcome, verdict.writes) == ("review", {})
    assert (only(verdict).why, only(verdict).wished, only(verdict).kept) == ("unknown_column", "x", None)


def test_update_of_a_deleted_row_is_a_case() -> None:
    verdict = decide(proposal(seen={"c": 1}, wished={"c": 2}), kept(None), rules(c="upper"))
    assert (verdict.outcome, verdict.case, verdict.writes) == ("review", "wish_on_deleted_row", {})
    assert verdict.why == "row_deleted"
    assert (only(verdict).result, only(verdict).wished) == ("review", 2)


def test_verdict_names_both_sides_with_who_when_and_why() -> None:
    wish = proposal(seen={"c": 1}, wished={"c": 3}, clock_offset_ms=7)
    verdict = decide(wish, kept({"c": 2}, changed_at_ms={"c": 99}, clock_offset_ms=8), rules(c="upper"))
    column = only(verdict)
    assert (column.seen, column.kept, column.wished, column.kept_changed_at_ms) == (1, 2, 3, 99)
    assert (column.result, column.policy, column.why) == ("accepted", Policy.UPPER, "author_upper")
    assert (verdict.author_node, verdict.made_at_ms, verdict.author_clock_offset_ms) == ("district", NOON_MS, 7)
    assert (verdict.keeper_node, verdict.keeper_clock_offset_ms, verdict.proposal_id) == ("commune", 8, "proposal-1")


# ── groups ──


def decide_birth(
    seen: Mapping[str, Value], kept_values: Mapping[str, Value], wished: Mapping[str, Value], **policies: str
) -> Verdict:
    grouped = Rules(policies={name: Policy(policy) for name, policy in policies.items()}, groups=(BIRTH,))
    return decide(proposal(seen=seen, wished=wished), kept(kept_values), grouped)


def birth(date: str, precision: str) -> dict[str, Value]:
    return {"birth_date": date, "birth_precision": precision}


OLD, NEW, OTHER = birth("1990-01-01", "y"), birth("1990-05-17", "d"), birth("1990-05-01", "m")


def test_unchanged_group_is_accepted_whole() -> None:
    assert decide_birth(OLD, OLD, NEW).writes == NEW


def test_one_changed_member_holds_the_whole_group_back() -> None:
    changed = {**OLD, "birth_precision": "m"}
    verdict = decide_birth(OLD, changed, NEW)
    assert (verdict.outcome, verdict.writes) == ("review", {})
    assert {name: column.why for name, column in by_name(verdict).items()} == {
        "birth_date": "group",
        "birth_precision": "policy_review",
    }


def test_group_takes_the_strictest_result() -> None:
    for policies, outcome in (
        ({"birth_date": "upper", "birth_precision": "upper"}, "accepted"),
        ({"birth_date": "upper", "birth_precision": "keeper"}, "rejected"),
        ({"birth_date": "keeper", "birth_precision": "review"}, "review"),
    ):
        verdict = decide_birth(OLD, OTHER, NEW, **policies)
        assert (verdict.outcome, verdict.writes) == (outcome, NEW if outcome == "accepted" else {})


def test_group_restores_the_members_its_author_wished_as_seen() -> None:
    wished = {**OLD, "birth_date": "1990-01-02"}
    verdict = decide_birth(OLD, {**OLD, "birth_precision": "m"}, wished, birth_precision="upper")
    assert verdict.writes == wished


def test_member_on_which_both_agree_stays_already_so_in_a_group_that_waits() -> None:
    changed = {**NEW, "birth_precision": "m"}
    columns = by_name(decide_birth(OLD, changed, NEW))
    assert (columns["birth_date"].result, columns["birth_precision"].result) == ("already", "review")


def test_half_a_group_is_accepted_when_the_other_half_was_seen_and_is_unchanged() -> None:
    assert decide_birth(OLD, OLD, {"birth_date": "1990-02-02"}).writes == {"birth_date": "1990-02-02"}


@pytest.mark.parametrize("seen", [{"birth_date": "1990-01-01"}, OLD])
def test_half_a_group_never_joins_a_half_its_author_did_not_see(seen: dict[str, Value]) -> None:
    changed = {**OLD, "birth_precision": "m"}
    verdict = decide_birth(seen, changed, {"birth_date": "1990-02-02"}, birth_date="upper", birth_precision="upper")
    assert (verdict.outcome, verdict.writes, only(verdict).why) == ("review", {}, "group_incomplete")


def test_half_a_group_loses_to_a_keeper_who_changed_the_other_half() -> None:
    changed = {**OLD, "birth_precision": "m"}
    verdict = decide_birth(OLD, changed, {"birth_date": "1990-02-02"}, birth_precision="keeper")
    assert (verdict.outcome, only(verdict).why) == ("rejected", "group")


def test_half_a_group_is_reviewed_where_the_value_seen_would_win_over_the_keepers() -> None:
    """The keeper lowered what the author saw; by `max` the seen value would stand, but nobody wishes it."""
    grouped = Rules(policies={"a": Policy.UPPER, "b": Policy.MAX}, groups=(("a", "b"),))
    verdict = decide(proposal(seen={"a": 1, "b": 5}, wished={"a": 2}), kept({"a": 1, "b": 3}), grouped)
    assert (verdict.outcome, only(verdict).why) == ("review", "group_incomplete")


def test_group_member_the_keeper_does_not_have_is_no_obstacle_unless_wished() -> None:
    only_date = {"birth_date": "1990-01-01"}
    assert decide_birth(only_date, only_date, {"birth_date": "1990-02-02"}).outcome == "accepted"
    assert decide_birth(OLD, only_date, NEW).outcome == "review"


# ── inserts ──


def decide_insert(values: dict[str, Value] | None, **sides: Any) -> Verdict:
    return decide(proposal(op="insert", row_id=None, wished={"a": 1, "b": "x"}), kept(values, **sides), rules())


def test_insert_that_resembles_nothing_is_accepted() -> None:
    verdict = decide_insert(None)
    assert (verdict.outcome, verdict.insert, verdict.writes) == ("accepted", True, {"a": 1, "b": "x"})
    assert [column.result for column in verdict.columns] == ["accepted", "accepted"]


def test_insert_that_resembles_a_kept_row_is_reviewed_and_shows_it() -> None:
    verdict = decide_insert(None, resembles=("row-7",))
    assert (verdict.outcome, verdict.case, verdict.insert) == ("review", "insert_resembles", False)
    assert (verdict.resembles, verdict.writes) == (("row-7",), {})


def test_replayed_insert_changes_nothing() -> None:
    verdict = decide_insert({"a": 1, "b": "x", "filled_in": 0}, resembles=("row-1",))
    assert (verdict.outcome, verdict.insert, verdict.writes) == ("accepted", False, {})


@pytest.mark.parametrize("values", [{"a": 1, "b": "y"}, {"a": 1}])
def test_insert_of_a_row_that_exists_otherwise_is_reviewed(values: dict[str, Value]) -> None:
    verdict = decide_insert(values)
    assert (verdict.outcome, verdict.why, verdict.insert) == ("review", "row_exists", False)


# ── deletes ──


def decide_delete(policy: str, values: dict[str, Value] | None, seen: dict[str, Value], **sides: Any) -> Verdict:
    depth = sides.pop("author_tier_depth", 1)
    wish = proposal(op="delete", seen=seen, author_tier_depth=depth)
    return decide(wish, kept(values, **sides), Rules(policies={}, delete_policy=Policy(policy)))


@pytest.mark.parametrize(
    ("policy", "depth", "outcome", "why"),
    [
        ("review", 1, "review", "policy_review"),
        ("keeper", 1, "rejected", "keeper_stands"),
        ("latest", 1, "accepted", "unchanged"),
        ("upper", 1, "accepted", "author_upper"),
        ("upper", 2, "review", "author_not_upper"),
    ],
)
def test_delete_of_an_unchanged_row_follows_the_delete_policy(policy: str, depth: int, outcome: str, why: str) -> None:
    verdict = decide_delete(policy, {"a": 1}, {"a": 1}, author_tier_depth=depth)
    assert (verdict.outcome, verdict.why, verdict.delete) == (outcome, why, outcome == "accepted")
    assert verdict.case == ("delete_proposed" if outcome == "review" else None)
    assert only(verdict).result == {"rejected": "kept"}.get(outcome, outcome)
    assert only(verdict).policy == policy


@pytest.mark.parametrize("seen", [{}, {"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2, "new": None}])
def test_delete_of_a_row_not_shown_to_be_unchanged_is_reviewed(seen: dict[str, Value]) -> None:
    verdict = decide_delete("latest", {"a": 1, "b": 2}, seen)
    assert (verdict.outcome, verdict.delete, verdict.why) == ("review", False, "row_changed")


def test_delete_of_a_row_that_others_refer_to_is_reviewed_and_says_how_many() -> None:
    verdict = decide_delete("latest", {"a": 1}, {"a": 1}, references=3)
    assert (verdict.outcome, verdict.why, verdict.references) == ("review", "referenced", 3)
    assert (verdict.case, only(verdict).result) == ("delete_proposed", "review")


def test_deleted_row_is_kept_in_the_verdict() -> None:
    verdict = decide_delete("latest", {"a": 1, "b": "x"}, {"a": 1, "b": "x"})
    assert {column.column: column.kept for column in verdict.columns} == {"a": 1, "b": "x"}
    assert {column.result for column in verdict.columns} == {"accepted"}


def test_replayed_delete_changes_nothing() -> None:
    verdict = decide_delete("latest", None, {"a": 1})
    assert (verdict.outcome, verdict.delete, only(verdict).result) == ("accepted", False, "already")


# ── malformed proposals ──


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"op": "merge"}, "unknown operation; use one of insert, update, delete"),
        ({"row_id": None}, "update names no row; state the row's id"),
        (
            {"op": "delete", "wished": {"a": "secret"}},
            "a delete wishes values; send a delete without wished values",
        ),
        (
            {"seen": {f"c{number}": 1 for number in range(PROPOSAL_COLUMNS_MAX + 1)}},
            "too many columns; send at most 256",
        ),
        (
            {"wished": {f"c{number}": 1 for number in range(PROPOSAL_COLUMNS_MAX + 1)}},
            "too many columns; send at most 256",
        ),
        ({"reason": "x" * (REASON_CHARS_MAX + 1)}, "reason too long; use at most 2000 characters"),
    ],
)
def test_malformed_proposal_is_refused_without_repeating_values(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ProposalError) as caught:
        proposal(**fields)
    assert str(caught.value) == f"proposal proposal-1: {message}"


def test_widest_proposal_and_longest_reason_are_taken() -> None:
    widest: dict[str, Value] = {f"c{number}": 1 for number in range(PROPOSAL_COLUMNS_MAX)}
    assert proposal(seen=widest, wished=widest, reason="x" * REASON_CHARS_MAX).wished == widest
