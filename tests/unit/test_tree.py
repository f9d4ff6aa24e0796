"""The tree: who stands where, which way a stream goes, and whose word counts (I4, I7)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.spec import Kind
from syncd.limits import TREE_DEPTH_MAX
from syncd.log import Stream
from syncd.setup import insert_node
from syncd.terms import refresh_keepers
from syncd.tree import NodeRecord, Term, Tree, load_tree
from tests.grown import grow
from tests.trees import TreeBuilder, TreeNode, step

# root ── north ── n1, n2
#      └─ south ── s1
PARENTS = {"root": None, "north": "root", "south": "root", "n1": "north", "n2": "north", "s1": "south"}


def node_id(name: str) -> str:
    return str(uuid.UUID(bytes=sha256(name.encode()).digest()[:16]))


def unit_id(name: str) -> str:
    return node_id(f"unit {name}")


def seen_from(me: str, parents: dict[str, str | None] | None = None, known: set[str] | None = None) -> Tree:
    """A tree as `me` knows it; `known`: whose units' keepers it knows."""
    chosen = parents or PARENTS
    records = {
        node_id(name): NodeRecord(
            node_id=node_id(name),
            parent_id=None if parent is None else node_id(parent),
            name=name,
            signing_public=name.encode(),
            sealing_public=b"",
            unit_id=unit_id(name),
            term=1,
            status="enrolled",
        )
        for name, parent in chosen.items()
    }
    keepers = {unit_id(name): (node_id(name), 1) for name in (chosen if known is None else known)}
    return Tree(node_id(me), records, keepers)


def stream(kind: Kind, keeper: str, unit: str | None = None, term: int = 1) -> Stream:
    return Stream(
        stream_id="",
        kind=kind,
        unit_id=None if unit is None else unit_id(unit),
        keeper=node_id(keeper),
        term=term,
        own=False,
    )


REGISTER_N1 = stream(Kind.REGISTER, "n1", "n1")
ALL = stream(Kind.OVERSIGHT, "root")
NORTH_ABOUT_N1 = stream(Kind.OVERSIGHT, "north", "n1")
ROOT_ABOUT_N1 = stream(Kind.OVERSIGHT, "root", "n1")
CONTROL_ROOT, CONTROL_NORTH, CONTROL_N1 = (stream(Kind.CONTROL, name) for name in ("root", "north", "n1"))


def test_line_goes_up_to_the_root() -> None:
    tree = seen_from("n1")
    assert list(tree.line(node_id("n1"))) == [node_id(name) for name in ("n1", "north", "root")]
    assert tree.root_id == node_id("root")
    assert [tree.depth(node_id(name)) for name in ("root", "north", "n1")] == [0, 1, 2]
    assert {child.name for child in seen_from("north").children()} == {"n1", "n2"}


def test_records_that_form_a_loop_end_nothing_but_themselves() -> None:
    tree = seen_from("a", {"a": "b", "b": "c", "c": "a"})
    assert len(list(tree.line(node_id("a")))) == TREE_DEPTH_MAX
    assert tree.root_id is None
    assert tree.keeps(stream(Kind.OVERSIGHT, "a")) is None
    assert not tree.is_within(node_id("a"), node_id("elsewhere"))


@pytest.mark.parametrize("down", [REGISTER_N1, NORTH_ABOUT_N1, CONTROL_N1, CONTROL_NORTH])
def test_everything_written_at_or_below_me_goes_up(down: Stream) -> None:
    assert seen_from("north").goes_up(down)
    assert seen_from("root").goes_up(down)
    assert not seen_from("south").goes_up(down)


@pytest.mark.parametrize(
    ("of", "me", "children"),
    [
        (ALL, "root", {"north", "south"}),
        (ALL, "north", {"n1", "n2"}),
        (ROOT_ABOUT_N1, "root", {"north"}),
        (ROOT_ABOUT_N1, "north", {"n1"}),
        (NORTH_ABOUT_N1, "north", {"n1"}),
        (NORTH_ABOUT_N1, "root", set()),  # it came from there
        (CONTROL_ROOT, "root", {"north", "south"}),
        (CONTROL_ROOT, "north", {"n1", "n2"}),
        (CONTROL_NORTH, "north", {"n1", "n2"}),
        (CONTROL_NORTH, "root", set()),
        (CONTROL_N1, "north", set()),
        (REGISTER_N1, "root", set()),
        (REGISTER_N1, "north", set()),
    ],
)
def test_down_goes_what_ancestors_say_to_all_and_what_is_said_about_units_below(
    of: Stream, me: str, children: set[str]
) -> None:
    tree = seen_from(me)
    assert {child.name for child in tree.children() if tree.goes_down(of, child.node_id)} == children


@pytest.mark.parametrize(
    "of", [ALL, ROOT_ABOUT_N1, NORTH_ABOUT_N1, CONTROL_ROOT, CONTROL_NORTH, CONTROL_N1, REGISTER_N1]
)
def test_what_one_side_sends_the_other_side_takes(of: Stream) -> None:
    """Both directions, at every edge; and nothing that is not sent is taken."""
    for child, parent in PARENTS.items():
        if parent is not None:
            below, above = seen_from(child), seen_from(parent)
            assert below.goes_up(of) == above.comes_from(of, node_id(child)), f"{child} up"
            assert above.goes_down(of, node_id(child)) == below.comes_from(of, node_id(parent)), (
                f"{parent} down to {child}"
            )


def test_custodians_baseline_goes_to_every_keeper_the_unit_still_passes_through() -> None:
    """n1 ──► n2, which has not begun ──► s1: n2 needs the content to begin and to end, n1 has no use for it."""
    chain = [Term(unit_id=unit_id("n1"), term=1, node_id=node_id("n1"), began="record", ended_seq=7)]
    chain += [Term(unit_id=unit_id("n1"), term=term, node_id=node_id(name), began="handover")
              for term, name in ((2, "n2"), (3, "s1"))]  # fmt: skip
    tree = replace(seen_from("root"), keepers={unit_id("n1"): (node_id("s1"), 3)}, terms={unit_id("n1"): chain})
    of = stream(Kind.BASELINE, "root", "n1", term=1)
    north = replace(tree, me=node_id("north"))
    assert tree.goes_down(of, node_id("north"))
    assert tree.goes_down(of, node_id("south"))
    assert north.goes_down(of, node_id("n2"))
    assert not north.goes_down(of, node_id("n1"))


def test_nothing_comes_from_a_stranger() -> None:
    assert not seen_from("north").comes_from(REGISTER_N1, node_id("n2"))
    assert not seen_from("root").comes_from(REGISTER_N1, node_id("n1"))


def test_register_is_kept_by_one_node_in_one_term() -> None:
    tree = seen_from("root")
    assert tree.keeps(REGISTER_N1) is True
    assert tree.keeps(stream(Kind.REGISTER, "n2", "n1")) is False
    assert tree.keeps(stream(Kind.REGISTER, "n1", "n1", term=2)) is False
    assert tree.keeps(stream(Kind.REGISTER, "north", "n1")) is False


def test_about_all_units_speaks_the_root_alone() -> None:
    tree = seen_from("root")
    assert tree.keeps(ALL) is True
    assert tree.keeps(stream(Kind.OVERSIGHT, "north")) is False


def test_about_a_unit_speaks_only_who_keeps_it_or_stands_above() -> None:
    tree = seen_from("root")
    assert [tree.keeps(stream(Kind.OVERSIGHT, name, "n1")) for name in ("root", "north", "n1")] == [True] * 3
    assert [tree.keeps(stream(Kind.OVERSIGHT, name, "n1")) for name in ("south", "n2", "s1")] == [False] * 3


def test_stream_nobody_has_vouched_for_waits() -> None:
    tree = seen_from("root", known=set())
    assert tree.keeps(REGISTER_N1) is None
    assert tree.keeps(NORTH_ABOUT_N1) is None
    assert tree.keeps(stream(Kind.REGISTER, "stranger", "n1")) is None
    assert tree.keeps(stream(Kind.CONTROL, "n1", "n1")) is False, "control streams are about no unit"


# --- records in the database ------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[dict[str, TreeNode]]:
    """Real keys and records: a root, a district, a commune, seen from the root after all has arrived."""
    builder = TreeBuilder(tmp_path)
    grow(builder, _build_tree, {})
    yield {node.name: node for node in builder.nodes}
    for node in builder.nodes:
        node.store.close()


def _build_tree(builder: TreeBuilder, _dsns: Mapping[str, str]) -> None:
    district = builder.child(builder.root("root", "4"), "district", "42")
    builder.child(district, "commune", "425")
    builder.settle()


def claim(
    tree: dict[str, TreeNode],
    by: str,
    of: str,
    *,
    parent: str | None,
    unit: str,
    term: int = 9,
    key_of: str | None = None,
) -> Tree:
    """What the root believes after `by` wrote a node record about `of`, whatever it says."""
    at, about = tree[by], tree[of]
    record = NodeRecord(
        node_id=about.node.node_id,
        parent_id=None if parent is None else tree[parent].node.node_id,
        name="X",
        signing_public=tree[key_of or of].keys.ed25519_public,
        sealing_public=about.keys.x25519_public,
        unit_id=tree[unit].unit_id,
        term=term,
        status="enrolled",
    )
    with at.store.write("claim") as tx:
        insert_node(tx, record, 1_790_000_000_000)
    for _ in range(3):
        for node in reversed(list(tree.values())):
            step(node)
    with tree["root"].store.apply("refresh") as tx:
        refresh_keepers(tx)
        return load_tree(tx)


def keeper_of(found: Tree, tree: dict[str, TreeNode], unit: str) -> str:
    names = {node.node.node_id: name for name, node in tree.items()}
    return names[found.keepers[tree[unit].unit_id][0]]


def test_enrolled_nodes_keep_their_units(tree: dict[str, TreeNode]) -> None:
    with tree["root"].store.read() as tx:
        found = load_tree(tx)
    assert {unit: keeper_of(found, tree, unit) for unit in tree} == {name: name for name in tree}


def test_parent_passes_a_unit_below_it_on_by_a_higher_term(tree: dict[str, TreeNode]) -> None:
    found = claim(tree, "district", "district", parent="district", unit="commune")
    assert found.keepers[tree["commune"].unit_id] == (tree["district"].node.node_id, 9)


def test_node_cannot_make_itself_a_root_and_take_any_unit(tree: dict[str, TreeNode]) -> None:
    found = claim(tree, "commune", "commune", parent=None, unit="root")
    assert keeper_of(found, tree, "root") == "root"
    assert found.nodes[tree["commune"].node.node_id].parent_id == tree["district"].node.node_id


def test_node_cannot_hand_out_a_unit_that_is_not_below_its_own(tree: dict[str, TreeNode]) -> None:
    found = claim(tree, "commune", "commune", parent="commune", unit="district")
    assert keeper_of(found, tree, "district") == "district"


def test_record_by_another_than_the_named_parent_counts_for_nothing(tree: dict[str, TreeNode]) -> None:
    found = claim(tree, "commune", "commune", parent="root", unit="district")
    assert keeper_of(found, tree, "district") == "district"
    assert found.nodes[tree["commune"].node.node_id].parent_id == tree["district"].node.node_id


def test_record_with_a_key_that_is_not_the_nodes_own_counts_for_nothing(tree: dict[str, TreeNode]) -> None:
    found = claim(tree, "commune", "district", parent="commune", unit="commune", key_of="commune")
    assert found.nodes[tree["district"].node.node_id].signing_public == tree["district"].keys.ed25519_public


@st.composite
def trees(draw: st.DrawFn) -> tuple[Tree, list[str]]:
    """A tree of up to five nodes as its root sees it, units kept anywhere and passed about at random."""
    names = [f"k{place}" for place in range(draw(st.integers(2, 5)))]
    parents: dict[str, str | None] = {
        name: draw(st.sampled_from(names[:place])) for place, name in enumerate(names) if place
    }
    tree = seen_from(names[0], {names[0]: None, **parents})
    chains: dict[str, list[Term]] = {}
    for name in draw(st.sets(st.sampled_from(names))):
        passed = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
        chains[unit_id(name)] = [
            Term(unit_id=unit_id(name), term=place + 1, node_id=node_id(keeper), began="handover")
            for place, keeper in enumerate(passed)
        ]
    keepers = {**tree.keepers, **{unit: (chain[-1].node_id, chain[-1].term) for unit, chain in chains.items()}}
    return replace(tree, keepers=keepers, terms=chains), names


@settings(max_examples=40)
@given(trees())
def test_scope_of_a_child_leaves_out_nothing_that_flows_down(found: tuple[Tree, list[str]]) -> None:
    tree, names = found
    for child in names:
        scope = tree.scope_of(node_id(child))
        assert tree.below(node_id(child)) == {
            node_id(name) for name in names if tree.is_within(node_id(name), node_id(child))
        }
        for keeper in names:
            for kind, unit, term in product(Kind, (None, *names), (1, 2, 3)):
                at = stream(kind, keeper, unit, term)
                if tree.goes_down(at, node_id(child)):
                    assert at.unit_id in scope.units or (at.unit_id is None and at.keeper in scope.keepers)
                    heard_by = tree.hearers(at)
                    assert heard_by is None or node_id(child) in heard_by
