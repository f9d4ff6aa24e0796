"""A root that may be a copy which does not know it: the mark beside its database is as old as the database (I13)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.cli.status_text import verdict
from syncd.positions import HighWater
from syncd.review.desk import Asked
from syncd.review.resolve import resolve, undo
from syncd.review.verbs import Verb
from syncd.status import status
from tests.integration.copies import assert_equal, copy_of, mark
from tests.integration.handovers import add, among, at, country, force, names, proven
from tests.integration.shapes import ThreeTiers, lone_root
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
    root = lone_root(tmp_path)
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


# --- two branches all the same ---------------------------------------------------------------------------------------


def branched(tree: TreeBuilder, act: Callable[[], object] = lambda: None) -> None:
    """The province is put back to before what only north has heard, and goes on with south, which had heard less."""
    province, south = at(tree, "province"), at(tree, "south")
    yesterday = copy_of(province)
    province.sql(RENAME, ("Chỉ Bắc biết", at(tree, "one").unit_id))
    act()
    among(tree, "province", "north", "one", "two")
    province.node.checkpoint()
    among(tree, "province", "north", "one", "two")
    yesterday.put_back()
    start(province)
    province.sql(RENAME, ("Chỉ Nam biết", south.unit_id))
    for _ in range(3):
        step(south)
        step(province)
    among(tree, "province", "south", "three")
    assert unit_name(south, south.unit_id) == "Chỉ Nam biết"


def cases(node: TreeNode) -> list[str]:
    return [row[0] for row in node.rows("SELECT case_id FROM syncd_case WHERE kind = 'fork' AND closed_at IS NULL")]


def is_critical(node: TreeNode) -> bool:
    with node.store.read() as tx:
        code, reasons = verdict(status(tx), {}, node.node.clock())
    return code == 2 and any("hai nhánh" in why or "two branches" in why for why in reasons)


def decide(root: TreeNode, verb: Verb = Verb.TAKE_THEIRS) -> None:
    resolve(root.store, cases(root)[0], Asked(verb=verb, author="An", reason="thử"), root.node.clock(),
            root.node._random)  # fmt: skip


def test_second_branch_of_the_root_is_critical_at_both_ends_until_an_officer_takes_it_in(tmp_path: Path) -> None:
    tree = country(TreeBuilder(tmp_path))
    province, north, south = (at(tree, name) for name in ("province", "north", "south"))
    branched(tree)
    rest(tree)
    for node in (province, north):
        assert cases(node), node.name
        assert is_critical(node), node.name
    assert not cases(south)
    one = at(tree, "one").unit_id
    assert unit_name(province, one) != unit_name(north, one) == "Chỉ Bắc biết", "nobody gives way by itself"
    add(at(tree, "three"), at(tree, "three").unit_id, "Ba")
    rest(tree)
    assert names(province, at(tree, "three").unit_id) == ["Ba"], "registers go on meanwhile"
    decide(province)
    for _ in range(3):
        rest(tree)
    for node in tree.nodes:
        assert unit_name(node, one) == "Chỉ Bắc biết", node.name
        assert unit_name(node, south.unit_id) == "Chỉ Nam biết", node.name
        assert not cases(node), node.name
        assert not is_critical(node), node.name
        assert node.rows("SELECT state, reason FROM syncd_stream WHERE state <> 'ok' OR applied_seq < held_seq") == []
    for unit in ("one", "three"):
        proven(tree, at(tree, unit).unit_id, unit, "province")


def test_register_of_a_replaced_machine_goes_on_once_the_lost_order_is_back(tmp_path: Path) -> None:
    tree = country(TreeBuilder(tmp_path))
    one, two, province = (at(tree, name) for name in ("one", "two", "province"))
    add(one, one.unit_id, "Một")
    tree.settle()
    branched(tree, lambda: force(tree, one.unit_id, "two"))
    add(two, one.unit_id, "Hai")
    rest(tree)
    assert cases(province)
    decide(province)
    for _ in range(3):
        rest(tree)
    assert names(province, one.unit_id) == names(two, one.unit_id) == ["Hai", "Một"]
    proven(tree, one.unit_id, "two", "north", "province")


def test_same_row_changed_on_both_branches_stands_as_the_branch_taken_in_says_and_is_asked_about(
    tmp_path: Path,
) -> None:
    tree = country(TreeBuilder(tmp_path))
    province, one = at(tree, "province"), at(tree, "one")
    branched(tree)
    province.sql(RENAME, ("Khác", one.unit_id))
    rest(tree)
    decide(province)
    for _ in range(3):
        rest(tree)
    for node in tree.nodes:
        assert unit_name(node, one.unit_id) == "Chỉ Bắc biết", node.name
    [(wished,)] = province.rows("SELECT wished FROM syncd_wish")
    assert "Khác" in wished


def test_branch_that_never_comes_is_given_up_by_a_word_too(tmp_path: Path) -> None:
    tree = country(TreeBuilder(tmp_path))
    province, three = at(tree, "province"), at(tree, "three")
    branched(tree)
    rest(tree)
    decide(province)
    assert province.node.rejoin.holds_back()
    undo(province.store, cases(province)[0], Asked(verb=Verb.LATER, author="An", reason="thử"), province.node.clock(),
         province.node._random)  # fmt: skip
    decide(province, Verb.DONE)
    province.sql(RENAME, ("Sau", three.unit_id))
    among(tree, "province", "south", "three")
    assert unit_name(three, three.unit_id) == "Sau"


def test_another_process_of_the_root_that_runs_on_has_heard_for_this_one(plain: ThreeTiers) -> None:
    root = plain.province
    root.node.rejoin.watch(HighWater(plain.builder.folder), lambda: True)
    assert not root.node.rejoin.holds_back()
