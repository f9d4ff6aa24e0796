"""What a child refuses is not sent to it again at once, and not for ever withheld either."""

from __future__ import annotations

from dataclasses import replace

from syncd import limits
from syncd.declined import Declined
from syncd.receive import FORKED, LATER, REFUSED, Received
from syncd.tree import Tree

STREAM = "01900000-0000-7000-8000-000000000001"
TREE = Tree(STREAM, {}, {})


def asking() -> Declined:
    """A session that has pulled once."""
    found = Declined()
    assert found.streams(TREE) == []
    return found


def refused(code: str = REFUSED, seq: int = 1) -> Received:
    return Received(refused={STREAM: (code, seq, "why")})


def test_a_refused_stream_is_left_out_of_the_next_pull_and_then_asked_for_again() -> None:
    declined = asking()
    declined.learn({}, refused())
    assert declined.streams(TREE) == [STREAM]
    assert declined.streams(Tree(STREAM, {}, {})) == [STREAM], "a tree read anew says nothing new"
    assert declined.wait_s_max < limits.UNSETTLED_WAIT_S
    declined.learn({}, None)
    assert declined.streams(TREE) == []
    assert declined.wait_s_max == limits.HINT_WAIT_S_MAX


def test_what_is_refused_over_and_over_is_asked_for_ever_more_rarely() -> None:
    declined, asked, pulls = asking(), 0, 3_000
    for _ in range(pulls):
        if declined.streams(TREE):
            declined.learn({}, None)
        else:
            asked += 1
            declined.learn({}, refused(LATER))
    assert declined.wait_s_max == limits.HINT_WAIT_S_MAX
    assert 10 < asked < 60


def test_a_changed_tree_and_a_stream_that_was_taken_make_all_welcome() -> None:
    declined = asking()
    for _ in range(20):
        declined.learn({}, refused())
    assert declined.streams(TREE) == [STREAM]
    assert declined.streams(replace(TREE, keepers={STREAM: (STREAM, 1)})) == []
    declined.learn({}, Received(streams={STREAM: None}, taken=1))  # type: ignore[dict-item]  # whatever it is now
    declined.learn({}, refused())
    assert declined.wait_s_max < limits.UNSETTLED_WAIT_S


def test_a_gap_and_a_fork_are_settled_by_the_next_pull() -> None:
    declined = asking()
    declined.learn({STREAM: 4}, refused(LATER, seq=9))  # the parent sends what follows 4 now
    declined.learn({STREAM: 4}, refused(FORKED, seq=5))
    assert declined.streams(TREE) == []
