"""Hand-overs in bad order: back and forth, half done, somebody away, proposals under way; every tier ends equal."""

from __future__ import annotations

import pytest

from syncd import keeping
from syncd.adopting import Admitted
from syncd.errors import UsageError
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
    propose,
    proven,
)
from tests.trees import TreeBuilder


def test_a_unit_goes_back_and_forth_through_both_branches(tree: TreeBuilder) -> None:
    one = at(tree, "one")
    add(one, one.unit_id, "0")
    tree.settle()
    for number, place in enumerate(("two", "one", "three", "one", "north", "three", "south", "one", "two", "one"), 1):
        order(tree, "province", one.unit_id, place)
        tree.settle()
        add(at(tree, place), one.unit_id, str(number))
        tree.settle()
    proven(tree, one.unit_id, "one", "north", "province")
    assert names(one, one.unit_id) == sorted(str(number) for number in range(11))
    assert one.value("SELECT max(term) FROM syncd_term") == 11


def test_who_no_longer_keeps_a_unit_is_not_sent_what_comes_after(tree: TreeBuilder) -> None:
    one, two = at(tree, "one"), at(tree, "two")
    add(one, one.unit_id, "Một")
    for place in ("two", "one"):
        order(tree, "north", one.unit_id, place)
        tree.settle()
    add(one, one.unit_id, "Hai")
    tree.settle()
    assert names(two, one.unit_id) == ["Một"]
    assert [row[0] for row in two.rows("SELECT term FROM syncd_stream WHERE kind = 1 AND unit_id = ? ORDER BY 1",
                                       (one.unit_id,))] == [1, 2]  # fmt: skip


def test_station_that_never_sent_anything_is_replaced(tree: TreeBuilder) -> None:
    """Its stream ends at nothing; what follows takes nothing over. What it had typed comes back as wishes."""
    one, three, province = at(tree, "one"), at(tree, "three"), at(tree, "province")
    add_household(one, one.unit_id, "7", "Hai", "Ba")
    one.node.write()  # never sent
    force(tree, one.unit_id, "three")
    among(tree, "province", "south", "three")
    add(three, one.unit_id, "Một")
    tree.settle()
    assert late(at(tree, "north")) == late(province)
    with pytest.raises(UsageError, match="above"):
        at(tree, "north").node.adopt_late(late(province)[0], "Bình")
    assert province.node.adopt_late(late(province)[0], "Bình") == Admitted(proposals=3, withheld=0)
    proven(tree, one.unit_id, "three", "south", "province")
    assert names(three, one.unit_id) == ["Ba", "Hai", "Một"]
    assert three.value("SELECT count(*) FROM person JOIN household AS h ON h.id = household_id") == 2


def test_replaced_while_a_hand_over_was_under_way(tree: TreeBuilder) -> None:
    """The old keeper is dead and will never end its term; the one that should have followed never begins."""
    one, two, three = at(tree, "one"), at(tree, "two"), at(tree, "three")
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "north", one.unit_id, "two")
    among(tree, "province", "north", "two")
    force(tree, one.unit_id, "three")
    among(tree, "province", "north", "two", "south", "three")
    assert keeper(three, one.unit_id) == keeper(two, one.unit_id) == three.node.node_id
    add(three, one.unit_id, "Hai")
    proven(tree, one.unit_id, "three", "south", "province")
    assert names(at(tree, "province"), one.unit_id) == ["Hai", "Một"]


def test_new_keeper_that_never_began_is_passed_over(tree: TreeBuilder) -> None:
    """A second hand-over waits for the first; by force it need not, and what the first keeper left is taken over."""
    one, three = at(tree, "one"), at(tree, "three")
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "north", one.unit_id, "two")
    among(tree, "province", "north", "one", "south", "three")  # two is away
    assert one.value("SELECT ended FROM syncd_stream WHERE own = 1 AND kind = 1") == 1
    force(tree, one.unit_id, "three")
    among(tree, "province", "north", "one", "south", "three")
    add(three, one.unit_id, "Hai")
    proven(tree, one.unit_id, "three", "south", "province")
    assert names(at(tree, "province"), one.unit_id) == ["Hai", "Một"]


def test_second_hand_over_begins_and_ends_the_first(tree: TreeBuilder) -> None:
    """Ordered while the first new keeper was away: it begins its term and ends it, and nothing is lost between."""
    one, two = at(tree, "one"), at(tree, "two")
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "north", one.unit_id, "two")
    among(tree, "north", "one", "province")
    order(tree, "province", one.unit_id, "three")
    among(tree, "north", "one", "province", "south", "three")
    assert names(at(tree, "three"), one.unit_id) == ["Một"]
    proven(tree, one.unit_id, "three", "south", "province")
    assert [mark for (mark,) in two.rows(
        "SELECT mark FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id WHERE s.own = 1"
        " AND s.kind = 1 AND s.term = 2 ORDER BY seq")] == [5, 4]  # fmt: skip
    add(at(tree, "three"), one.unit_id, "Hai")
    proven(tree, one.unit_id, "three", "south", "province")


@pytest.mark.parametrize("away", ["one", "two", "north"])
def test_somebody_is_away_while_a_unit_passes_on(tree: TreeBuilder, away: str) -> None:
    one, two = at(tree, "one"), at(tree, "two")
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "province", one.unit_id, "two")
    others = [name for name in ("province", "north", "one", "two", "south", "three") if name != away]
    if away == "north":
        others = ["province", "south", "three"]
    among(tree, *others)
    if away != "two":
        add(one, one.unit_id, "Hai")  # has not heard of it
    among(tree, *others)
    proven(tree, one.unit_id, "two", "north", "province")
    add(two, one.unit_id, "Ba")
    proven(tree, one.unit_id, "two", "north", "province")
    assert names(two, one.unit_id) == (["Ba", "Một"] if away == "two" else ["Ba", "Hai", "Một"])


@pytest.mark.parametrize("to", ["two", "three"])
def test_pending_proposals_follow_the_unit(tree: TreeBuilder, to: str) -> None:
    """Several, of two tiers, one of a tier not above the new keeper; decided once, by the new keeper."""
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add(one, one.unit_id, "Một")
    tree.settle()
    row_id = one.value("SELECT id FROM person")
    propose(north, one.unit_id, row_id, {"education": None}, {"education": "3"})
    propose(north, one.unit_id, row_id, {"phone": None}, {"phone": "0900000001"})
    propose(province, one.unit_id, row_id, {"ethnic": "01"}, {"ethnic": "02"})
    order(tree, "province", one.unit_id, to)
    among(tree, "province", "north", "south", "three", "two")  # the old keeper hears of nothing
    tree.settle()
    new = at(tree, to)
    holders = (to, "north" if to == "two" else "south", "province")
    proven(tree, one.unit_id, *holders)
    query = "SELECT education, phone, ethnic FROM person WHERE id = ?"
    assert new.rows(query, (row_id,)) == [("3", "0900000001", "02")]
    assert province.value("SELECT count(*) FROM verdict") == 3
    assert province.value("SELECT count(DISTINCT proposal_id) FROM verdict") == 3


def test_proposal_follows_a_row_to_another_unit_and_keeper(tree: TreeBuilder) -> None:
    one, two, province = (at(tree, name) for name in ("one", "two", "province"))
    add_household(one, one.unit_id, "1", "Một")
    split = new_unit(tree, "north", "13")
    row_id = one.value("SELECT id FROM person")
    move(tree, "north", one.unit_id, split, "1")
    propose(province, one.unit_id, row_id, {"education": None}, {"education": "3"})
    among(tree, "north", "one", "two")  # the province is away
    order(tree, "north", split, "two")
    tree.settle()
    proven(tree, split, "two", "north", "province")
    assert two.rows("SELECT unit_id, education FROM person") == [(split, "3")]
    # The wish went after its row; the one about the unit that the row has left is closed as withdrawn.
    outcomes = province.rows("SELECT outcome FROM verdict WHERE row_id = ? ORDER BY 1", (row_id,))
    assert outcomes == [("accepted",), ("rejected",)]


def test_who_takes_units_over_does_not_move_the_rows_again(tree: TreeBuilder) -> None:
    """An order to move rows is carried out once, whoever keeps the units afterwards."""
    one, two, north = at(tree, "one"), at(tree, "two"), at(tree, "north")
    add_household(one, one.unit_id, "1", "Một")
    split = new_unit(tree, "north", "13")
    whole = keeping.Move(from_unit=one.unit_id, to_unit=split, row_ids=None)
    keeping.reassign(north.node, whole, author="An", reason="")
    tree.settle()
    add_household(one, one.unit_id, "2", "Hai")
    for unit in (one.unit_id, split):
        order(tree, "north", unit, "two")
        tree.settle()
    proven(tree, split, "two", "north", "province")
    proven(tree, one.unit_id, "two", "north", "province")
    assert (names(two, split), names(two, one.unit_id)) == (["Một"], ["Hai"])


def test_two_moves_against_each_other_do_not_wait_for_one_another(tree: TreeBuilder) -> None:
    one, north = at(tree, "one"), at(tree, "north")
    split = new_unit(tree, "north", "13")
    order(tree, "north", split, "one")
    tree.settle()
    add_household(one, one.unit_id, "1", "Một")
    add_household(one, split, "2", "Hai")
    tree.settle()
    for frm, to, number in ((one.unit_id, split, "1"), (split, one.unit_id, "2")):
        move(tree, "north", frm, to, number)
    proven(tree, split, "one", "north", "province")
    assert (names(at(tree, "province"), split), names(north, one.unit_id)) == (["Một"], ["Hai"])


def test_late_writes_come_in_parts_and_are_admitted_in_parts(tree: TreeBuilder) -> None:
    """What a later part says of rows of an earlier one is said of the rows they became."""
    one, north, province, two = (at(tree, name) for name in ("one", "north", "province", "two"))
    add(one, one.unit_id, "Một")
    tree.settle()
    force(tree, one.unit_id, "two")
    among(tree, "province", "north", "two")
    add_household(one, one.unit_id, "7", "Hai")
    one.node.write()
    add(one, one.unit_id, "Ba")
    one.node.write()
    among(tree, "one", "north")
    [stream_id] = late(north)
    north.sql("DELETE FROM syncd_quarantine WHERE seq = (SELECT max(seq) FROM syncd_quarantine)")  # not here yet
    assert north.node.adopt_late(stream_id, "Bình").proposals == 2
    tree.settle()
    assert north.node.adopt_late(stream_id, "Bình").proposals == 1
    proven(tree, one.unit_id, "two", "north", "province")
    assert province.node.adopt_late(stream_id, "Chi").proposals == 0  # seen to be wished already
    tree.settle()
    assert late(province) == late(north) == []
    assert names(two, one.unit_id) == ["Ba", "Hai", "Một"]


def test_late_writes_admitted_at_two_nodes_at_once_are_made_once(tree: TreeBuilder) -> None:
    one, north, province, two = (at(tree, name) for name in ("one", "north", "province", "two"))
    add_household(one, one.unit_id, "1", "Một")
    tree.settle()
    force(tree, one.unit_id, "two")
    among(tree, "province", "north", "two")
    add_household(one, one.unit_id, "7", "Hai", "Ba")
    one.sql("UPDATE person SET phone = '0900000001' WHERE full_name = 'Một'")
    tree.settle()
    [stream_id] = late(north)
    assert north.node.adopt_late(stream_id, "Bình").proposals == 4
    assert province.node.adopt_late(stream_id, "Chi").proposals == 4  # neither has heard of the other's
    among(tree, "north", "two")
    two.sql("UPDATE person SET phone = '0900000002' WHERE full_name = 'Một'")
    two.sql("UPDATE person SET education = '3' WHERE full_name = 'Hai'")
    two.sql("DELETE FROM person WHERE full_name = 'Ba'")
    proven(tree, one.unit_id, "two", "north", "province")
    assert names(two, one.unit_id) == ["Hai", "Một"]
    assert two.rows("SELECT phone, education FROM person ORDER BY full_name") == [(None, "3"), ("0900000002", None)]
    assert two.value("SELECT count(*) FROM verdict WHERE outcome = 'review'") == 0


def test_late_writes_are_wished_of_the_keeper_of_the_day(tree: TreeBuilder) -> None:
    """Handed over once more between admitting and deciding: household and members stay together."""
    one, north, three = at(tree, "one"), at(tree, "north"), at(tree, "three")
    add(one, one.unit_id, "Một")
    tree.settle()
    force(tree, one.unit_id, "two")
    among(tree, "province", "north", "two")
    add_household(one, one.unit_id, "7", "Hai", "Ba")
    tree.settle()
    [stream_id] = late(north)
    north.node.adopt_late(stream_id, "Bình")
    order(tree, "province", one.unit_id, "three")
    among(tree, "province", "north")
    two = at(tree, "two")
    two.node._proposals_due = False
    tree.settle()
    proven(tree, one.unit_id, "three", "south", "province")
    assert names(three, one.unit_id) == ["Ba", "Hai", "Một"]
    assert three.value("SELECT count(*) FROM person JOIN household AS h ON h.id = household_id") == 2


def test_district_that_kept_a_unit_proposes_about_it_afterwards(tree: TreeBuilder) -> None:
    """Its journal then holds a row about a unit that passed on: no late write."""
    one, north = at(tree, "one"), at(tree, "north")
    add(one, one.unit_id, "Một")
    tree.settle()
    for place in ("north", "one"):
        order(tree, "north", one.unit_id, place)
        tree.settle()
    row_id = one.value("SELECT id FROM person")
    propose(north, one.unit_id, row_id, {"education": None}, {"education": "3"})
    proven(tree, one.unit_id, "one", "north", "province")
    assert one.value("SELECT education FROM person") == "3"
    assert chain(one, one.unit_id) == chain(north, one.unit_id)


def test_forced_order_about_a_unit_that_nobody_kept_is_a_first_order(tree: TreeBuilder) -> None:
    unit_id = new_unit(tree, "north", "4998")
    force(tree, unit_id, "one")
    tree.settle()
    one = at(tree, "one")
    assert chain(one, unit_id) == [(1, one.node.node_id, None)]
    add(one, unit_id, "Một")
    proven(tree, unit_id, "one", "north", "province")
