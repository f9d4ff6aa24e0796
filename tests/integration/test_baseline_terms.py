"""Baselines and pruning where units pass from keeper to keeper: chains of terms, forced ends, revoked nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from schema.spec import Kind
from syncd import baseline, floor, keeping, log
from syncd.aggregate import recount
from syncd.backup import back_up
from syncd.envelope import Adopted, Genesis
from syncd.errors import Foreign
from syncd.exchange import Desk, Link
from syncd.pipeline import Node
from syncd.prune import Policy, prune
from syncd.setup import record_place
from tests.grown import grow
from tests.integration.baselines import forget, made, saved, stream_of
from tests.integration.handovers import country, order, proven
from tests.trees import TreeBuilder, TreeNode

PERSON = (
    "INSERT INTO person (unit_id, full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES (?, ?, 1, '1990-05-17', 'd', '01', 'usual')"
)
NOW = Policy(keep_ms=0, retention_ms=0)


@pytest.fixture
def tree(tmp_path: Path) -> TreeBuilder:
    """province → north → (one, two)."""
    (tmp_path / "tree").mkdir()
    builder = TreeBuilder(tmp_path / "tree")
    grow(builder, _build_north, {})
    return builder


def _build_north(builder: TreeBuilder, _dsns: Mapping[str, str]) -> None:
    north = builder.child(builder.root(), "north", "1")
    builder.child(north, "one", "11")
    builder.child(north, "two", "12")
    builder.settle()


def at(tree: TreeBuilder, name: str) -> TreeNode:
    return next(node for node in tree.nodes if node.name == name)


def names(node: TreeNode, unit_id: str) -> list[str]:
    return [row[0] for row in node.rows("SELECT full_name FROM person WHERE unit_id = ? ORDER BY 1", (unit_id,))]


def register_of(node: TreeNode, unit_id: str, keeper: TreeNode) -> str:
    query = "SELECT stream_id FROM syncd_stream WHERE kind = 1 AND unit_id = ? AND keeper = ?"
    return str(node.value(query, (unit_id, keeper.node.node_id)))


def pass_on(tree: TreeBuilder, unit_id: str, to: str, **how: bool) -> None:
    node = at(tree, "province").node
    keeping.order(node, unit_id, at(tree, to).node.node_id, author="An", reason="thử", **how)
    tree.settle()


def prune_all(tree: TreeBuilder, folder: Path) -> int:
    province = at(tree, "province")
    back_up(province.node, saved(province, folder), folder / "stick")
    tree.settle()
    return sum(cut.envelopes for node in tree.nodes for cut in prune(node.store, NOW, node.node.clock()))


def emptied(tree: TreeBuilder, node: TreeNode) -> None:
    node.store.close()
    node.opener = tree.new_database(f"{node.name}-new", node.keys, node.place, None)
    store = node.opener()
    record_place(store, node.keys, node.place, node.node.clock())
    node.node = Node(store, node.keys, node.node.clock, node.node._random)
    node.desk = Desk(node.node)
    assert node.parent is not None
    node.link = Link(node.node, node.parent.node.node_id)
    for child in node.children:
        child.link = Link(child.node, node.node.node_id)


def assert_equal(tree: TreeBuilder, unit_id: str, keeper: TreeNode, *also: TreeNode) -> None:
    tree.settle()
    for node in tree.nodes:
        node.node.checkpoint()
    tree.settle()
    for node in (at(tree, "north"), at(tree, "province"), *also):
        assert names(node, unit_id) == names(keeper, unit_id), node.name
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        assert node.rows("SELECT kind, state, reason FROM syncd_stream WHERE state <> 'ok'") == [], node.name
        with node.store.read() as tx:
            assert recount(tx, node.store.registry) == []


def test_a_chain_of_terms_is_pruned_and_a_newcomer_still_ends_equal(tree: TreeBuilder, tmp_path: Path) -> None:
    one, north, two = at(tree, "one"), at(tree, "north"), at(tree, "two")
    one.sql(PERSON, (one.unit_id, "Một"))
    tree.settle()
    pass_on(tree, one.unit_id, "two")
    two.sql(PERSON, (one.unit_id, "Hai"))
    two.node.write()
    second = register_of(two, one.unit_id, two)
    assert baseline.make(two.node, second) is not None
    tree.settle()
    assert prune_all(tree, tmp_path) > 0
    first = register_of(north, one.unit_id, one)
    left = north.rows("SELECT mark FROM syncd_log WHERE stream_id = ?", (first,))
    assert left == [(4,)]  # of the ended term its end alone is left
    two.sql(PERSON, (one.unit_id, "Ba"))
    emptied(tree, north)
    assert_equal(tree, one.unit_id, two)
    assert names(north, one.unit_id) == ["Ba", "Hai", "Một"]


def test_a_baseline_of_an_ended_term_stands_before_its_end(tree: TreeBuilder) -> None:
    """So that whoever takes it still receives the end itself, which says that the term is over."""
    one, two = at(tree, "one"), at(tree, "two")
    one.sql(PERSON, (one.unit_id, "Một"))
    tree.settle()
    first = register_of(one, one.unit_id, one)
    assert baseline.make(one.node, first) is not None
    tree.settle()
    pass_on(tree, one.unit_id, "two")
    for node in tree.nodes:
        with node.store.read() as tx:
            stream = log.stream(tx, first)
            best = floor.newest(tx).get(first)
        assert stream is None or best is None or best.at_seq < stream.held_seq
    assert_equal(tree, one.unit_id, two)


def test_who_follows_a_revoked_keeper_takes_the_custodians_baseline(tree: TreeBuilder, tmp_path: Path) -> None:
    one, two, province = at(tree, "one"), at(tree, "two"), at(tree, "province")
    one.sql(PERSON, (one.unit_id, "Một"))
    one.node.write()
    first = register_of(one, one.unit_id, one)
    assert baseline.make(one.node, first) is not None
    tree.settle()
    assert prune_all(tree, tmp_path) > 0
    tree.nodes.remove(one)  # stolen: it is not on the line any more
    pass_on(tree, one.unit_id, "two", forced=True, revoke=True)
    made = "SELECT count(*) FROM syncd_stream WHERE kind = ? AND keeper = ?"
    assert province.value(made, (int(Kind.BASELINE), province.node.node_id)) == 1
    assert names(two, one.unit_id) == ["Một"]
    two.sql(PERSON, (one.unit_id, "Hai"))
    assert_equal(tree, one.unit_id, two)


def test_a_baseline_beyond_the_end_of_a_term_is_refused(tree: TreeBuilder) -> None:
    one = at(tree, "one")
    one.sql(PERSON, (one.unit_id, "Một"))
    tree.settle()
    first = register_of(one, one.unit_id, one)
    pass_on(tree, one.unit_id, "two", forced=True)
    ended = at(tree, "north").node.tree().terms[one.unit_id][0].ended_seq
    assert ended is not None
    genesis = Genesis(
        kind=4, unit=one.unit_id, keeper=one.node.node_id, term=1,
        adopts=Adopted(stream_id=first, seq=ended + 1, hash=bytes(32)),
    )  # fmt: skip
    with pytest.raises(Foreign):
        floor.check_genesis(at(tree, "north").node.tree(), genesis)


def test_a_revoked_keepers_baseline_is_refused(tree: TreeBuilder) -> None:
    one = at(tree, "one")
    one.sql(PERSON, (one.unit_id, "Một"))
    tree.settle()
    first = register_of(one, one.unit_id, one)
    tree.nodes.remove(one)  # stolen: it is not on the line any more
    pass_on(tree, one.unit_id, "two", forced=True, revoke=True)
    genesis = Genesis(
        kind=4, unit=one.unit_id, keeper=one.node.node_id, term=1,
        adopts=Adopted(stream_id=first, seq=1, hash=bytes(32)),
    )  # fmt: skip
    with pytest.raises(Foreign):
        floor.check_genesis(at(tree, "north").node.tree(), genesis)


def test_a_term_of_which_the_one_before_was_pruned_above_begins_with_its_baseline(tmp_path: Path) -> None:
    """Its log is whole here, and so is its baseline; what it follows never comes."""
    tree = country(TreeBuilder(tmp_path))
    province, north, south, three = (at(tree, name) for name in ("province", "north", "south", "three"))
    three.sql(PERSON, (three.unit_id, "Một"))
    tree.settle()
    order(tree, "south", three.unit_id, "south")
    tree.settle()
    south.sql(PERSON, (three.unit_id, "Hai"))
    first, second = (register_of(south, three.unit_id, node) for node in (three, south))
    south.node.write()
    assert made(south, second).ended
    tree.settle()
    forget(province, first, stream_of(province, first).held_seq - 1)  # as `prune` does: the second term shows it all

    pass_on(tree, three.unit_id, "one", forced=True)

    begun = stream_of(north, second)
    assert begun.floor_seq
    assert begun.applied_seq == begun.held_seq
    one = at(tree, "one")
    assert one.value("SELECT mine FROM syncd_keeper WHERE unit_id = ?", (three.unit_id,)) == 1
    one.sql(PERSON, (three.unit_id, "Ba"))
    proven(tree, three.unit_id, "one", "north", "province")
    assert names(north, three.unit_id) == ["Ba", "Hai", "Một"]


def test_a_term_that_goes_up_begins_with_its_baseline_once_it_is_backed_up(tmp_path: Path) -> None:
    """Until then this log may be the only other one (I9)."""
    (tmp_path / "tree").mkdir()
    tree = country(TreeBuilder(tmp_path / "tree"))
    province, north, one, three = (at(tree, name) for name in ("province", "north", "one", "three"))
    three.sql(PERSON, (three.unit_id, "Một"))
    tree.settle()
    pass_on(tree, three.unit_id, "one")
    one.sql(PERSON, (three.unit_id, "Hai"))
    first, second = (register_of(province, three.unit_id, node) for node in (three, one))
    one.node.write()
    assert made(one, second).ended
    tree.settle()
    forget(province, first, stream_of(province, first).held_seq - 1)
    emptied(tree, north)
    tree.settle()
    assert (stream_of(north, second).floor_seq, stream_of(north, second).applied_seq) == (0, 0)

    back_up(province.node, saved(province, tmp_path), tmp_path / "stick")
    tree.settle()

    assert stream_of(north, second).floor_seq
    one.sql(PERSON, (three.unit_id, "Ba"))
    proven(tree, three.unit_id, "one", "north", "province")
    assert names(north, three.unit_id) == ["Ba", "Hai", "Một"]
