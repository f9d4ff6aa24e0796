"""Hand-over: a unit's register passes on, nothing is sent again, every tier ends equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd import keeping
from tests.trees import TreeBuilder, TreeNode, step

PERSON = (
    "INSERT INTO person (unit_id, full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES (?, ?, 1, '1990-05-17', 'd', '01', 'usual')"
)


@pytest.fixture
def tree(tmp_path: Path) -> TreeBuilder:
    """province → north → (one, two), south → three."""
    builder = TreeBuilder(tmp_path)
    province = builder.root()
    north = builder.child(province, "north", "1")
    builder.child(north, "one", "11")
    builder.child(north, "two", "12")
    south = builder.child(province, "south", "2")
    builder.child(south, "three", "21")
    builder.settle()
    return builder


def at(tree: TreeBuilder, name: str) -> TreeNode:
    return next(node for node in tree.nodes if node.name == name)


def add(node: TreeNode, unit_id: str, name: str) -> None:
    node.sql(PERSON, (unit_id, name))


def names(node: TreeNode, unit_id: str) -> list[str]:
    return [row[0] for row in node.rows("SELECT full_name FROM person WHERE unit_id = ? ORDER BY 1", (unit_id,))]


def order(tree: TreeBuilder, by: str, unit_id: str, to: str) -> None:
    node = at(tree, by)
    keeping.order(node.node, unit_id, at(tree, to).node.node_id, author="An", reason="test")


def force(tree: TreeBuilder, unit_id: str, to: str, revoke: bool = False) -> None:
    keeping.order(
        at(tree, "province").node, unit_id, at(tree, to).node.node_id, author="An", reason="stolen", forced=True,
        revoke=revoke,
    )  # fmt: skip


def test_a_district_takes_over_and_hands_back(tree: TreeBuilder) -> None:
    one, north = at(tree, "one"), at(tree, "north")
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "north", one.unit_id, "north")
    tree.settle()
    with pytest.raises(Exception, match="north"):
        add(one, one.unit_id, "Hai")
    add(north, one.unit_id, "Hai")
    north.sql("UPDATE person SET education = '2' WHERE full_name = 'Một'")
    tree.settle()
    assert names(at(tree, "province"), one.unit_id) == ["Hai", "Một"]
    order(tree, "north", one.unit_id, "one")
    tree.settle()
    assert names(one, one.unit_id) == ["Hai", "Một"]
    add(one, one.unit_id, "Ba")
    tree.settle()
    for node in (one, north, at(tree, "province")):
        assert names(node, one.unit_id) == ["Ba", "Hai", "Một"]


def test_a_unit_passes_to_another_branch(tree: TreeBuilder) -> None:
    one, three, south = at(tree, "one"), at(tree, "three"), at(tree, "south")
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "province", one.unit_id, "three")
    tree.settle()
    assert names(three, one.unit_id) == names(south, one.unit_id) == ["Một"]
    add(three, one.unit_id, "Hai")
    tree.settle()
    for name in ("three", "south", "province"):
        assert names(at(tree, name), one.unit_id) == ["Hai", "Một"]


def test_nothing_is_sent_again_to_who_holds_it(tree: TreeBuilder) -> None:
    one, province = at(tree, "one"), at(tree, "province")
    for number in range(300):
        add(one, one.unit_id, f"Người {number:03}")
    tree.settle()
    before = province.value("SELECT sum(size) FROM syncd_log")
    order(tree, "north", one.unit_id, "north")
    tree.settle()
    assert province.value("SELECT sum(size) FROM syncd_log") - before < 5_000
    assert len(names(province, one.unit_id)) == 300


def test_a_forced_end_drops_what_came_later_and_keeps_it_as_wishes(tree: TreeBuilder) -> None:
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add(one, one.unit_id, "Một")
    tree.settle()
    one.sql("UPDATE person SET phone = '0900000001' WHERE full_name = 'Một'")
    add(one, one.unit_id, "Hai")
    step(one)  # reaches the district
    step(north)  # not the province
    assert names(north, one.unit_id) == ["Hai", "Một"]
    force(tree, one.unit_id, "two")
    two = at(tree, "two")
    province.node.write()
    for node in (north, two, province, north, two, north, province) * 3:
        step(node)
    assert names(two, one.unit_id) == names(north, one.unit_id) == names(province, one.unit_id) == ["Một"]
    two.sql("UPDATE person SET education = '3' WHERE full_name = 'Một'")
    tree.settle()
    late = list(north.rows("SELECT stream_id FROM syncd_quarantine GROUP BY stream_id"))
    assert len(late) == 1
    north.node.adopt_late(late[0][0], "Bình")
    tree.settle()
    for node in (two, north, province):
        assert names(node, one.unit_id) == ["Hai", "Một"]
        assert node.rows("SELECT phone, education FROM person WHERE full_name = 'Một'") == [("0900000001", "3")]
