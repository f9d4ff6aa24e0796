"""`syncd replace` while hand-overs from the dead machine, and to it, are under way: every unit finds its keeper."""

from __future__ import annotations

import pytest

from syncd import keeping, log
from syncd.cli.handover import words
from syncd.language import prefer
from tests.integration.handovers import (
    add,
    add_household,
    among,
    at,
    chain,
    force,
    keeper,
    late,
    move,
    names,
    new_unit,
    order,
    proven,
    raw_order,
)
from tests.trees import TreeBuilder, TreeNode, exchange, step

ALIVE = ("province", "north", "two", "south", "three")


@pytest.fixture
def second(tree: TreeBuilder) -> str:
    """Another unit that the machine keeps which will die."""
    one = at(tree, "one")
    unit_id = new_unit(tree, "north", "13")
    order(tree, "north", unit_id, "one")
    tree.settle()
    for unit in (one.unit_id, unit_id):
        add(one, unit, "Một")
    tree.settle()
    return unit_id


def plan(tree: TreeBuilder, unit_id: str, to: str) -> keeping.Preview:
    return keeping.plan(at(tree, "province").node, unit_id, at(tree, to).node.node_id, forced=True)


def test_unit_on_its_way_from_the_dead_machine_goes_on_as_ordered(tree: TreeBuilder, second: str) -> None:
    one, two, three, province = (at(tree, name) for name in ("one", "two", "three", "province"))
    add(one, second, "Chưa gửi")
    one.node.write()
    order(tree, "province", second, "two")
    among(tree, *ALIVE)  # the old keeper hears of nothing any more
    planned = plan(tree, one.unit_id, "three")
    assert planned.also_kept == {}
    assert {unit: (heir.to_node, heir.to_name) for unit, heir in planned.going_on.items()} == {
        second: (two.node.node_id, "two")}  # fmt: skip
    force(tree, one.unit_id, "three")
    among(tree, *ALIVE)
    add(two, second, "Hai")
    add(three, one.unit_id, "Ba")
    among(tree, *ALIVE)
    assert (keeper(province, second), keeper(province, one.unit_id)) == (two.node.node_id, three.node.node_id)
    assert (names(province, second), names(province, one.unit_id)) == (["Hai", "Một"], ["Ba", "Một"])
    proven(tree, second, "two", "north", "province")  # the machine was not dead after all
    proven(tree, one.unit_id, "three", "south", "province")
    assert one.value("SELECT count(*) FROM syncd_keeper WHERE mine = 1") == 0
    [stream_id] = late(at(tree, "north"))
    assert at(tree, "north").node.adopt_late(stream_id, "Bình").proposals == 1
    proven(tree, second, "two", "north", "province")
    assert names(two, second) == ["Chưa gửi", "Hai", "Một"]


def test_two_dead_machines_of_which_one_was_to_follow_the_other(tree: TreeBuilder, second: str) -> None:
    one, two, south, three, province = (at(tree, name) for name in ("one", "two", "south", "three", "province"))
    order(tree, "province", second, "two")
    among(tree, *ALIVE)
    force(tree, two.unit_id, "three", revoke=True)
    alive = [name for name in ALIVE if name != "two"]
    among(tree, *alive)
    assert plan(tree, one.unit_id, "south").going_on[second].to_node == three.node.node_id
    force(tree, one.unit_id, "south")
    among(tree, *alive)
    assert keeper(province, one.unit_id) == south.node.node_id
    for unit_id in (second, two.unit_id):
        assert keeper(province, unit_id) == three.node.node_id
    assert names(three, second) == names(south, one.unit_id) == ["Một"]


def test_unit_on_its_way_to_a_revoked_node_goes_to_the_replacement(tree: TreeBuilder, second: str) -> None:
    one, two, three, province = (at(tree, name) for name in ("one", "two", "three", "province"))
    order(tree, "province", second, "two")
    among(tree, *ALIVE)
    province.sql(  # its own unit alone, as by hand
        "INSERT INTO handover (kept_unit_id, from_node_id, from_term, to_node_id, forced_seq, forced_hash, is_revoked,"
        " reason, author, ordered_at) VALUES (?, ?, 1, ?, 0, ?, 1, '', 'x', '2026-01-01T00:00:00.000Z')",
        (two.unit_id, two.node.node_id, three.node.node_id, log.NO_HASH),
    )
    alive = [name for name in ALIVE if name != "two"]
    among(tree, *alive)
    planned = plan(tree, one.unit_id, "three")
    assert (set(planned.also_kept), planned.going_on) == ({second}, {})
    force(tree, one.unit_id, "three")
    among(tree, *alive)
    for unit_id in (second, one.unit_id):
        assert keeper(province, unit_id) == three.node.node_id
        assert names(three, unit_id) == ["Một"]


@pytest.mark.parametrize("has_ended", [False, True])
def test_unit_on_its_way_to_the_dead_machine_goes_to_the_replacement(tree: TreeBuilder, has_ended: bool) -> None:
    """Its keeper lives and ends it itself: nothing of what that wrote is put aside."""
    one, two, three, province = (at(tree, name) for name in ("one", "two", "three", "province"))
    add(two, two.unit_id, "Một")
    tree.settle()
    order(tree, "province", two.unit_id, "one")
    among(tree, "province", *(("north", "two") if has_ended else ()))  # the dead machine hears of nothing
    if not has_ended:
        add(two, two.unit_id, "Hai")
        two.node.write()
    planned = plan(tree, one.unit_id, "three")
    assert planned.going_on == {}
    assert set(planned.also_kept) == {two.unit_id}
    force(tree, one.unit_id, "three")
    among(tree, *ALIVE)
    wanted = ["Một"] if has_ended else ["Hai", "Một"]
    assert keeper(province, two.unit_id) == three.node.node_id
    assert names(three, two.unit_id) == names(province, two.unit_id) == wanted
    add(three, two.unit_id, "Ba")
    proven(tree, two.unit_id, "three", "south", "province")
    proven(tree, one.unit_id, "three", "south", "province")
    assert province.value("SELECT count(*) FROM syncd_quarantine") == 0


def test_dead_machine_between_two_others_is_passed_over(tree: TreeBuilder) -> None:
    """It was to take a unit over, and to hand it on."""
    one, two, three, province = (at(tree, name) for name in ("one", "two", "three", "province"))
    add(two, two.unit_id, "Một")
    tree.settle()
    order(tree, "province", two.unit_id, "one")
    among(tree, *ALIVE)
    order(tree, "province", two.unit_id, "three")
    among(tree, *ALIVE)
    assert set(plan(tree, one.unit_id, "two").going_on) == {two.unit_id}
    force(tree, one.unit_id, "two")
    among(tree, *ALIVE)
    assert keeper(province, two.unit_id) == three.node.node_id
    proven(tree, two.unit_id, "three", "south", "province")
    proven(tree, one.unit_id, "two", "north", "province")
    assert names(three, two.unit_id) == ["Một"]


def test_unit_that_the_dead_machine_handed_over_before_stays_where_it_is(tree: TreeBuilder, second: str) -> None:
    one, two, province = at(tree, "one"), at(tree, "two"), at(tree, "province")
    order(tree, "province", second, "two")
    tree.settle()
    before = chain(province, second)
    planned = plan(tree, one.unit_id, "three")
    assert (planned.also_kept, planned.going_on) == ({}, {})
    force(tree, one.unit_id, "three")
    tree.settle()
    assert chain(province, second) == before
    add(two, second, "Hai")
    proven(tree, second, "two", "north", "province")


@pytest.mark.parametrize("is_heard", [False, True])
def test_rows_that_went_between_units_with_two_heirs_are_in_one_of_them(
    tree: TreeBuilder, second: str, is_heard: bool
) -> None:
    """Whether or not the custodian had heard that they went."""
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add_household(one, one.unit_id, "7", "Bảy")
    tree.settle()
    move(tree, "north", one.unit_id, second, "7")
    among(tree, "north", "one", *(("province",) if is_heard else ()))
    assert (names(north, one.unit_id), names(north, second)) == (["Một"], ["Bảy", "Một"])
    order(tree, "province", second, "two")
    force(tree, one.unit_id, "three")
    among(tree, *ALIVE)
    left, taken = (["Một"], ["Bảy", "Một"]) if is_heard else (["Bảy", "Một"], ["Một"])
    for holders, unit_id, wanted in ((("three", "south"), one.unit_id, left), (("two", "north"), second, taken)):
        proven(tree, unit_id, *holders, "province")
        assert names(province, unit_id) == wanted


def test_unit_that_the_order_names_goes_where_the_order_says(tree: TreeBuilder, second: str) -> None:
    order(tree, "province", second, "two")
    among(tree, *ALIVE)
    planned = plan(tree, second, "three")
    assert planned.put_aside == "two"
    assert plan(tree, second, "two").put_aside is None
    assert set(planned.also_kept) == {at(tree, "one").unit_id}
    force(tree, second, "three")
    among(tree, *ALIVE)
    assert keeper(at(tree, "two"), second) == at(tree, "three").node.node_id
    proven(tree, second, "three", "south", "province")


def test_preview_says_where_every_unit_goes(tree: TreeBuilder, second: str) -> None:
    one, two = at(tree, "one"), at(tree, "two")
    order(tree, "province", second, "three")
    order(tree, "province", two.unit_id, "one")
    try:
        prefer("en")
        said = words(plan(tree, one.unit_id, "two"), True, True)
        assert "as the old keeper keeps them too, or was to: two." in said
        assert "Ordered to pass to another node before, and passing there now: 13 → three." in said
        assert "does not stand any more" not in said
        assert "The earlier order to hand it to three does not stand any more." in words(
            plan(tree, second, "two"), True, True)  # fmt: skip
        prefer("vi")
        said = words(plan(tree, one.unit_id, "two"), True, True)
        assert "Chuyển cùng, vì máy cũ đang giữ hoặc sắp nhận: two." in said
        assert "Đã có lệnh bàn giao, vẫn chuyển cho máy nhận trong lệnh: 13 → three." in said
    finally:
        prefer("auto")


def test_what_a_stolen_machine_had_said_stands_and_nothing_more_is_taken_from_it(tree: TreeBuilder) -> None:
    """Its keys are in a control stream that the tiers between hold, and a custodian may lack: without them it would
    never read what the unit's register says."""
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add(one, one.unit_id, "Một")
    raw_order(one, one.unit_id, one, 7, at(tree, "three"))  # whatever it says of nodes, keys and units
    step(one)
    assert said_by(province, one) < said_by(north, one)
    force(tree, one.unit_id, "two", revoke=True)
    among(tree, *ALIVE)
    before = said_by(north, one)
    assert said_by(province, one) == before
    [stream_id] = late(north)
    assert north.node.adopt_late(stream_id, "Bình").proposals == 1

    raw_order(one, one.unit_id, one, 8, at(tree, "three"))  # whoever has the disk may say anything
    one.node.write()
    assert one.link is not None
    exchange(one.link, north.desk, one)
    assert said_by(one, one) > before
    assert said_by(north, one) == before


def said_by(of: TreeNode, machine: TreeNode) -> int:
    """How much of a node's own records and grants is held."""
    query = "SELECT coalesce(max(held_seq), 0) FROM syncd_stream WHERE kind = 3 AND keeper = ?"
    return int(of.value(query, (machine.node.node_id,)))
