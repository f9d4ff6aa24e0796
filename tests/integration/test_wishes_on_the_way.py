"""Wishes about rows that pass from one unit to another of the same keeper: they wait on the way, and are decided once.

Real trees; a node that hears of both units applies the stream the rows leave before the one in which they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.spec import Kind
from syncd import log
from syncd.decide import Decided, decide_waiting
from syncd.log import Stream
from syncd.moved_rows import units_left
from tests.integration.handovers import add_household, among, at, country, move, names, new_unit, order, propose, proven
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode, exchange, step

MIXTURES = {"sqlite": (), "postgres": ("north",)}  # who decides is the node in the middle: its database matters


@pytest.fixture(params=MIXTURES, ids=str)
def either_tree(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer
) -> Iterator[TreeBuilder]:
    """The country, its district over either database."""
    with postgres_server.databases(MIXTURES[request.param]) as dsns:
        yield country(TreeBuilder(tmp_path), dsns)


def household_in_the_first_of_two_units(tree: TreeBuilder) -> tuple[str, str]:
    """`one` keeps two units; a household with one member is in its own. Returns the other unit and the member."""
    one = at(tree, "one")
    split = new_unit(tree, "north", "13")
    order(tree, "north", split, "one")
    tree.settle()
    add_household(one, one.unit_id, "1", "Một")
    tree.settle()
    return split, str(one.value("SELECT id FROM person"))


def goes_on_alone(of: TreeNode) -> None:
    """It does all it has to do, and passes it up; its parent receives, and applies nothing."""
    for _ in range(6):
        step(of)


def behind(of: TreeNode) -> list[Stream]:
    """What it has received and not applied."""
    with of.store.read() as tx:
        return log.streams(tx, "own = 0 AND applied_seq < held_seq")


def applies_all_but(of: TreeNode, unit_id: str) -> None:
    """Everything the node has received, but the register of one unit."""
    for _ in range(4):
        for stream in behind(of):
            if (stream.kind, stream.unit_id) != (int(Kind.REGISTER), unit_id):
                of.node.applier.apply(stream.stream_id)
        of.node.settle()
        of.node.write()


def hears(of: TreeNode) -> None:
    assert of.link is not None
    assert of.parent is not None
    for _ in range(4):
        exchange(of.link, of.parent.desk, of)


def left_at(of: TreeNode) -> frozenset[str]:
    with of.store.read() as tx:
        return units_left(tx, of.node.tree())


def decided(of: TreeNode) -> Decided:
    return decide_waiting(of.store, of.node.tree(), of.node.clock, None, of.node.changed_at)


def keeps(of: TreeNode, unit_id: str) -> bool:
    return bool(of.value("SELECT mine FROM syncd_keeper WHERE unit_id = ?", (unit_id,)))


def verdicts(of: TreeNode, row_id: str) -> list[tuple[str, str]]:
    """Unit and outcome of whatever was decided about a row."""
    return [(row[0], row[1]) for row in of.rows(
        "SELECT unit_id, outcome FROM verdict WHERE row_id = ? AND outcome <> 'referred' ORDER BY decided_at, id",
        (row_id,))]  # fmt: skip


def test_wish_about_a_row_on_its_way_waits_at_who_keeps_the_unit_it_left(either_tree: TreeBuilder) -> None:
    """The district takes both units over; it has seen the row leave the one, and not yet come in the other."""
    tree = either_tree
    one, north, province = (at(tree, name) for name in ("one", "north", "province"))
    split, row_id = household_in_the_first_of_two_units(tree)
    move(tree, "north", one.unit_id, split, "1")
    north.node.write()
    goes_on_alone(one)  # moves the row, before it has to hand anything over
    for unit_id in (one.unit_id, split):
        order(tree, "north", unit_id, "north")
    north.node.write()
    goes_on_alone(one)
    propose(province, one.unit_id, row_id, {"education": None}, {"education": "3"})
    goes_on_alone(province)
    hears(north)
    assert left_at(north) == frozenset()

    applies_all_but(north, split)

    assert keeps(north, one.unit_id)
    assert north.value("SELECT count(*) FROM person") == 0
    assert left_at(north) == {one.unit_id}
    assert north.value("SELECT count(*) FROM proposal") == 1
    assert verdicts(north, row_id) == []

    proven(tree, split, "north", "province")

    assert left_at(north) == frozenset()
    assert verdicts(north, row_id) == [(split, "accepted")]
    assert north.rows("SELECT unit_id, education FROM person") == [(split, "3")]
    assert north.value("SELECT count(*) FROM syncd_case") == 0


def test_wish_goes_after_its_row_once_that_has_come(either_tree: TreeBuilder) -> None:
    """The other unit stays where it is, so nothing but the arrival tells the district to look at the wish again."""
    tree = either_tree
    one, north = at(tree, "one"), at(tree, "north")
    split, row_id = household_in_the_first_of_two_units(tree)
    move(tree, "north", one.unit_id, split, "1")
    north.node.write()
    goes_on_alone(one)
    order(tree, "north", one.unit_id, "north")
    north.node.write()
    goes_on_alone(one)
    propose(north, one.unit_id, row_id, {"education": None}, {"education": "3"})

    applies_all_but(north, split)

    assert keeps(north, one.unit_id)
    assert left_at(north) == {one.unit_id}
    assert decided(north) == Decided(count=0, is_waiting=True)
    assert verdicts(north, row_id) == []

    [arrival] = behind(north)
    assert north.node.applier.apply(arrival.stream_id, None)
    north.node.settle()

    assert left_at(north) == frozenset()
    assert north.rows("SELECT unit_id FROM proposal WHERE withdrawn_at IS NULL") == [(split,)]
    proven(tree, split, "one", "north", "province")
    assert decided(north) == Decided(count=0, is_waiting=False)
    assert verdicts(north, row_id) == [(one.unit_id, "rejected"), (split, "accepted")]  # withdrawn, and wished anew
    assert one.rows("SELECT unit_id, education FROM person") == [(split, "3")]


def test_wish_waits_at_a_node_to_which_both_units_pass_from_another(tree: TreeBuilder) -> None:
    """It stands above neither keeper: that the rows shall come it knows by the terms of the unit they go to."""
    one, two, province = (at(tree, name) for name in ("one", "two", "province"))
    split, row_id = household_in_the_first_of_two_units(tree)
    move(tree, "north", one.unit_id, split, "1")
    among(tree, "north", "one")
    for unit_id in (one.unit_id, split):
        order(tree, "north", unit_id, "two")
    among(tree, "north", "one")
    propose(province, one.unit_id, row_id, {"education": None}, {"education": "3"})
    among(tree, "province", "north")
    hears(two)

    applies_all_but(two, split)

    assert keeps(two, one.unit_id)
    assert left_at(two) == {one.unit_id}
    assert two.value("SELECT count(*) FROM proposal") == 1
    assert verdicts(two, row_id) == []

    proven(tree, split, "two", "north", "province")

    assert verdicts(two, row_id) == [(split, "accepted")]
    assert two.rows("SELECT unit_id, education FROM person") == [(split, "3")]


def test_wish_does_not_wait_for_a_row_that_shall_never_come(tree: TreeBuilder) -> None:
    """The unit the row went to stays where it is: who takes the other one over hears no more of the row."""
    one, two = at(tree, "one"), at(tree, "two")
    split, row_id = household_in_the_first_of_two_units(tree)
    move(tree, "north", one.unit_id, split, "1")
    among(tree, "north", "one")
    order(tree, "north", one.unit_id, "two")
    tree.settle()
    assert keeps(two, one.unit_id)
    assert two.value("SELECT count(*) FROM person") == 0
    assert left_at(two) == frozenset()
    assert names(one, split) == ["Một"]
    propose(two, one.unit_id, row_id, {"education": None}, {"education": "3"})
    tree.settle()
    assert verdicts(two, row_id) == [(one.unit_id, "review")]


# --- where a verdict counts ------------------------------------------------------------------------------------------


def test_verdict_where_the_row_was_stands_for_the_unit_that_was_addressed(either_tree: TreeBuilder) -> None:
    """Decided where the row was by then; it is deleted when the unit that was addressed passes on alone."""
    tree = either_tree
    one, north, province = (at(tree, name) for name in ("one", "north", "province"))
    split, row_id = household_in_the_first_of_two_units(tree)
    move(tree, "north", one.unit_id, split, "1")
    among(tree, "north", "one")
    propose(province, one.unit_id, row_id, {"education": None}, {"education": "3"})
    tree.settle()
    assert verdicts(one, row_id) == [(split, "accepted")]
    one.sql("DELETE FROM person WHERE id = ?", (row_id,))
    tree.settle()

    order(tree, "north", one.unit_id, "north")
    tree.settle()

    assert keeps(north, one.unit_id)
    assert decided(north) == Decided(count=0, is_waiting=False)
    for node in (one, north, province):
        assert verdicts(node, row_id) == [(split, "accepted")], node.name
        assert node.value("SELECT count(*) FROM syncd_case") == 0, node.name
