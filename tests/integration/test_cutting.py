"""Forced ends before the place where a log begins, and while rows pass both ways between two units that go back."""

from __future__ import annotations

import pytest

from syncd import cutting, log
from tests.integration.baselines import forget, made, stream_of
from tests.integration.handovers import (
    add,
    add_household,
    among,
    at,
    force,
    move,
    names,
    new_unit,
    order,
    proven,
)
from tests.integration.shapes import own_stream
from tests.trees import TreeBuilder, TreeNode, exchange


def begin_logs_behind_a_baseline(tree: TreeBuilder, *forgetful: str) -> str:
    """`one` goes on where the province does not hear of it; the logs of some begin behind a baseline of that."""
    one = at(tree, "one")
    for name in ("Hai", "Ba"):
        add(one, one.unit_id, name)
        one.node.write()
    stream_id = own_stream(one)
    made(one, stream_id)
    among(tree, "one", "north")
    floor_seq = stream_of(one, stream_id).held_seq
    add(one, one.unit_id, "Bốn")
    among(tree, "one", "north")
    for name in forgetful:
        forget(at(tree, name), stream_id, floor_seq)
        assert stream_of(at(tree, name), stream_id).floor_seq == floor_seq
    return stream_id


def standing(of: TreeNode, stream_id: str) -> tuple[int, int, int]:
    found = stream_of(of, stream_id)
    return found.held_seq, found.applied_seq, found.floor_seq


FORGETFUL = (("north",), ("north", "one"))


@pytest.mark.parametrize("forgetful", FORGETFUL)
def test_log_behind_a_baseline_goes_back_to_nothing(tree: TreeBuilder, forgetful: tuple[str, ...]) -> None:
    """The custodian had heard nothing of the term."""
    one, north = at(tree, "one"), at(tree, "north")
    stream_id = begin_logs_behind_a_baseline(tree, *forgetful)
    assert names(north, one.unit_id) == ["Ba", "Bốn", "Hai"]
    force(tree, one.unit_id, "two")
    tree.settle()
    for node in (one, north):
        assert standing(node, stream_id) == (0, 0, 0)
        assert names(node, one.unit_id) == []
        assert node.value("SELECT count(*) FROM syncd_baseline") == 0
    add(at(tree, "two"), one.unit_id, "Năm")
    proven(tree, one.unit_id, "two", "north", "province")
    assert names(at(tree, "province"), one.unit_id) == ["Năm"]


@pytest.mark.parametrize("forgetful", FORGETFUL)
def test_log_behind_a_baseline_comes_anew_up_to_an_end_before_it(tree: TreeBuilder, forgetful: tuple[str, ...]) -> None:
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add(one, one.unit_id, "Một")
    tree.settle()
    end_seq = stream_of(province, own_stream(one)).held_seq
    stream_id = begin_logs_behind_a_baseline(tree, *forgetful)
    force(tree, one.unit_id, "two")
    tree.settle()
    for node in (one, north, province):
        assert standing(node, stream_id) == (end_seq, end_seq, 0), node.name
        assert names(node, one.unit_id) == ["Một"]
    add(at(tree, "two"), one.unit_id, "Năm")
    proven(tree, one.unit_id, "two", "north", "province")
    assert names(north, one.unit_id) == ["Một", "Năm"]
    order(tree, "province", one.unit_id, "one")
    tree.settle()
    add(one, one.unit_id, "Sáu")
    proven(tree, one.unit_id, "one", "north", "province")


def test_late_writes_come_with_the_log_that_is_taken_anew(tree: TreeBuilder) -> None:
    """They are admitted in order: whoever has the first of them hands out all, and nobody is asked again and again."""
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add(one, one.unit_id, "Một")
    tree.settle()
    stream_id = begin_logs_behind_a_baseline(tree, "north")
    force(tree, one.unit_id, "two")
    among(tree, "province", "north", "two", "south")  # who has all of them is away
    late = "SELECT seq, hash FROM syncd_quarantine ORDER BY seq"
    assert north.rows(late) == province.rows(late)  # they came with the log, from the first on
    assert not exchange(north.link, province.desk, north) if north.link else False
    tree.settle()
    assert north.value("SELECT count(*) FROM syncd_quarantine") == province.value(
        "SELECT count(*) FROM syncd_quarantine")  # fmt: skip
    assert north.node.adopt_late(stream_id, "Bình").proposals == 3
    proven(tree, one.unit_id, "two", "north", "province")
    assert names(province, one.unit_id) == ["Ba", "Bốn", "Hai", "Một"]


@pytest.mark.parametrize("is_turned", [False, True])
def test_units_with_moves_both_ways_go_back_one_after_the_other(tree: TreeBuilder, is_turned: bool) -> None:
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    split = new_unit(tree, "north", "13")
    order(tree, "north", split, "one")
    tree.settle()
    add_household(one, one.unit_id, "1", "Một")
    add_household(one, split, "2", "Hai")
    tree.settle()
    for frm, to, number in ((one.unit_id, split, "1"), (split, one.unit_id, "2")):
        move(tree, "north", frm, to, number)
    among(tree, "north", "one")
    assert (names(north, one.unit_id), names(north, split)) == (["Hai"], ["Một"])
    force(tree, one.unit_id, "two")
    among(tree, "province", "two")
    assert north.link is not None
    exchange(north.link, province.desk, north)
    now_ms = north.node.clock()
    for unit_id in sorted((one.unit_id, split), reverse=is_turned):
        with north.store.read() as tx:
            beyond = cutting.overruns(tx, north.node.tree())
        assert unit_id in beyond
        cutting.cut(north.store, north.node.applier, north.node.tree(), unit_id, now_ms)
    assert (names(north, one.unit_id), names(north, split)) == (["Một"], ["Hai"])
    for unit_id in (one.unit_id, split):
        proven(tree, unit_id, "two", "north", "province")
    assert (names(one, one.unit_id), names(one, split)) == (["Một"], ["Hai"])
    # Who keeps both units now carries out the orders, of which nothing was left.
    assert (names(province, one.unit_id), names(province, split)) == (["Hai"], ["Một"])
    for node in tree.nodes:
        with node.store.read() as tx:
            assert log.streams(tx, "applied_seq <> held_seq") == [], node.name
