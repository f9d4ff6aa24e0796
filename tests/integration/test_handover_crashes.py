"""Hand-overs whose every commit is died at: each resumes to the same end (I8)."""

from __future__ import annotations

from syncd import keeping
from tests.integration.handovers import (
    Crashes,
    add,
    add_household,
    at,
    force,
    late,
    names,
    new_unit,
    order,
    proven,
)
from tests.trees import TreeBuilder, step


def test_hand_over_dies_at_every_commit_and_comes_to_the_same_end(tree: TreeBuilder) -> None:
    one, province = at(tree, "one"), at(tree, "province")
    add(one, one.unit_id, "Một")
    one.sql("INSERT INTO death (person_id, died_on, sex, cause) SELECT id, '2026-01-02', sex, 'I64' FROM person")
    tree.settle()
    crashes = Crashes(tree, ("order", "refresh", "create-stream", "end-term", "begin-term", "grant-follower"))
    for ordered, keeper in enumerate(("three", "two", "north", "one"), start=1):
        while True:
            crashes.survive(lambda keeper=keeper: order(tree, "province", one.unit_id, keeper))  # type: ignore[misc]
            if province.value("SELECT count(*) FROM handover") >= ordered:
                break
        crashes.settle()
        assert province.value("SELECT count(*) FROM handover") == ordered
        assert at(tree, keeper).value("SELECT cause FROM death") == "I64"
        crashes.survive(lambda keeper=keeper: add(at(tree, keeper), one.unit_id, keeper))  # type: ignore[misc]
        crashes.settle()
    assert crashes.left == set()
    proven(tree, one.unit_id, "one", "north", "province")
    assert names(one, one.unit_id) == ["Một", "north", "one", "three", "two"]


def test_forced_end_and_adoption_die_at_every_commit(tree: TreeBuilder) -> None:
    """Also the old keeper, who was offline, goes back and takes the unit again afterwards."""
    one, north, province, two = (at(tree, name) for name in ("one", "north", "province", "two"))
    add(one, one.unit_id, "Một")
    tree.settle()
    add_household(one, one.unit_id, "7", "Hai", "Ba")
    step(one)
    step(north)
    add(one, one.unit_id, "Bốn")  # nowhere else
    crashes = Crashes(tree, ("cut-term", "late-writes", "adopt"))
    force(tree, one.unit_id, "two")
    crashes.settle()
    assert names(two, one.unit_id) == names(province, one.unit_id) == names(one, one.unit_id) == ["Một"]
    [stream_id] = late(north)
    while late(north):
        crashes.survive(lambda: north.node.adopt_late(stream_id, "Bình"))
    crashes.settle()
    assert crashes.left == set()
    assert names(province, one.unit_id) == ["Ba", "Bốn", "Hai", "Một"]
    order(tree, "north", one.unit_id, "one")
    tree.settle()
    add(one, one.unit_id, "Năm")
    proven(tree, one.unit_id, "one", "north", "province")
    assert names(one, one.unit_id) == ["Ba", "Bốn", "Hai", "Một", "Năm"]
    assert one.value("SELECT count(*) FROM person JOIN household AS h ON h.id = household_id WHERE number = '7'") == 2


def test_moved_households_die_at_every_commit(tree: TreeBuilder) -> None:
    one, north = at(tree, "one"), at(tree, "north")
    for number in range(4):
        add_household(one, one.unit_id, str(number), f"Người {number}")
    split = new_unit(tree, "north", "13")
    crashes = Crashes(tree, ("order-move", "reassign"))
    with north.store.read() as tx:
        chosen = keeping.households_named(tx, one.unit_id, ["1", "3"])
    move = keeping.Move(from_unit=one.unit_id, to_unit=split, row_ids=chosen)
    while not north.value("SELECT count(*) FROM reassignment"):
        crashes.survive(lambda: keeping.reassign(north.node, move, author="An", reason=""))
    crashes.settle()
    assert crashes.left == set()
    proven(tree, split, "one", "north", "province")
    assert names(one, split) == ["Người 1", "Người 3"]
    assert names(north, one.unit_id) == ["Người 0", "Người 2"]
