"""A root that may be a copy which does not know it: the mark beside its database is as old as the database (I13)."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.positions import HighWater
from tests.integration.copies import assert_equal, copy_of, mark
from tests.integration.handovers import add, among, at, country, names
from tests.integration.shapes import ThreeTiers
from tests.trees import TreeBuilder, TreeNode, step

OWN = "SELECT stream_id, held_seq FROM syncd_stream WHERE own = 1 ORDER BY 1"
RENAME = "UPDATE unit SET name = ? WHERE id = ?"


def start(root: TreeNode) -> None:
    """What a new process does that finds a mark which knows of nothing more."""
    root.node.rejoin.watch(mark(root))


def rest(tree: TreeBuilder) -> None:
    """A question alone moves nothing, its answer does."""
    for _ in range(3):
        for node in tree.nodes:
            step(node)
    tree.settle()


def unit_name(node: TreeNode, unit_id: str) -> str:
    return str(node.value("SELECT name FROM unit WHERE id = ?", (unit_id,)))


# --- nothing is sealed before a child is heard ---------------------------------------------------------------------


def test_root_seals_nothing_before_a_child_is_heard(plain: ThreeTiers) -> None:
    root = plain.province
    root.sql(RENAME, ("Trước", plain.commune.unit_id))
    root.node.write()
    rest(plain.builder)
    root.reopen()
    start(root)
    held = root.rows(OWN)
    root.sql(RENAME, ("Sau", plain.commune.unit_id))
    assert root.node.write() == root.node.checkpoint() == 0
    root.node.settle()
    assert root.rows(OWN) == held
    assert root.node.rejoin.holds_back()
    assert unit_name(root, plain.commune.unit_id) == "Sau", "whoever works at the root goes on"
    rest(plain.builder)
    assert not root.node.rejoin.holds_back()
    assert unit_name(plain.commune, plain.commune.unit_id) == "Sau"
    assert_equal(plain)


def test_root_without_children_waits_for_nobody(tmp_path: Path) -> None:
    root = TreeBuilder(tmp_path).root()
    root.node.write()
    start(root)
    assert not root.node.rejoin.holds_back()


@pytest.mark.parametrize("checkpoint_first", [True, False])
def test_copy_from_before_a_checkpoint_makes_no_second_branch(plain: ThreeTiers, checkpoint_first: bool) -> None:
    """The copy lies between a write and its checkpoint, as one is taken of a running machine at night."""
    root, commune = plain.province, plain.commune
    rest(plain.builder)
    root.sql(RENAME, ("Hôm qua", commune.unit_id))
    root.node.write()
    rest(plain.builder)
    yesterday = copy_of(root)
    root.node.checkpoint()
    root.sql(RENAME, ("Hôm nay", commune.unit_id))
    root.node.write()
    rest(plain.builder)
    assert unit_name(commune, commune.unit_id) == "Hôm nay"
    yesterday.put_back()
    start(root)
    for _ in range(2):  # nobody calls
        if checkpoint_first:
            root.node.checkpoint()
        root.node.write()
        root.node.settle()
    root.sql(RENAME, ("Gõ thêm", plain.district.unit_id))
    rest(plain.builder)
    for node in plain.nodes:
        assert unit_name(node, commune.unit_id) == "Hôm nay", node.name
        assert unit_name(node, plain.district.unit_id) == "Gõ thêm", node.name
    assert_equal(plain)


def test_one_child_that_was_given_less_does_not_speak_for_another_that_is_heard_later(tmp_path: Path) -> None:
    """What the first one has not seen is not known to be missing; while the second hands it back nothing is sealed."""
    tree = country(TreeBuilder(tmp_path))
    province, south = at(tree, "province"), at(tree, "south")
    yesterday = copy_of(province)
    province.sql(RENAME, ("Hôm nay", south.unit_id))
    among(tree, "province", "south")
    yesterday.put_back()
    start(province)
    step(south)
    step(south)
    among(tree, "province", "north", "south")
    assert unit_name(province, south.unit_id) == "Hôm nay"
    add(at(tree, "one"), at(tree, "one").unit_id, "Một")
    rest(tree)
    assert names(province, at(tree, "one").unit_id) == ["Một"]
    assert not province.rows("SELECT kind FROM syncd_case WHERE closed_at IS NULL")


def test_another_process_of_the_root_that_runs_on_has_heard_for_this_one(plain: ThreeTiers) -> None:
    root = plain.province
    root.node.rejoin.watch(HighWater(plain.builder.folder), lambda: True)
    assert not root.node.rejoin.holds_back()
