"""Two machines of one unit: `status` tells them apart, says who waits for what, and who need not be waited for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from syncd import keeping
from syncd.cli.handover import _alive, _stolen, words
from syncd.cli.status_text import screen, verdict
from syncd.clock import instant_of
from syncd.errors import UsageError
from syncd.limits import STATION_ALIVE_S
from syncd.security.identity import NodeKeys
from syncd.status import Status, status
from tests.grown import grow
from tests.integration.handovers import add, among, at, force
from tests.trees import TreeBuilder, TreeNode


class Country(TreeBuilder):
    """A second machine for a unit is a child with the unit's code."""

    def _unit(self, parent: TreeNode | None, code: str, name: str, keys: NodeKeys) -> str:
        known = next((node.unit_id for node in self.nodes if node.unit_code == code), None)
        return known or super()._unit(parent, code, name, keys)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TreeBuilder]:
    """province → north → (one, new), both for unit 11; settled."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    builder = Country(tmp_path)
    grow(builder, _build_country, {})
    yield builder
    for node in builder.nodes:
        node.store.close()


def _build_country(builder: TreeBuilder, _dsns: Mapping[str, str]) -> None:
    north = builder.child(builder.root(), "north", "1")
    one = builder.child(north, "one", "11")
    builder.settle()
    add(one, one.unit_id, "Một")
    builder.settle()
    builder.child(north, "new", "11")
    builder.settle()


def of(node: TreeNode) -> Status:
    with node.store.read() as tx:
        return status(tx)


def text_of(node: TreeNode) -> str:
    return " ".join(line.strip() for line in screen(of(node), {}, node.node.clock()).splitlines())


def tag(node: TreeNode) -> str:
    return node.node.node_id[28:]


def test_machines_of_one_unit_are_told_apart_by_their_tags(tree: TreeBuilder) -> None:
    text = text_of(at(tree, "north"))
    assert f"11 one · {tag(at(tree, 'one'))}" in text
    assert f"11 one · {tag(at(tree, 'new'))}" in text


@pytest.mark.parametrize("part", [slice(28, 36), slice(0, 8), slice(0, 36)])
def test_a_node_is_named_by_the_head_or_the_tail_of_its_id(tree: TreeBuilder, part: slice) -> None:
    new, province = at(tree, "new"), at(tree, "province")
    assert keeping.node_named(province.node, new.node.node_id[part]) == new.node.node_id
    with pytest.raises(UsageError) as error:
        keeping.node_named(province.node, "11")
    assert all(f"{tag(at(tree, name))} {name}" in str(error.value) for name in ("one", "new"))


def test_a_successor_says_what_it_waits_for_and_then_no_more(tree: TreeBuilder) -> None:
    new, one = at(tree, "new"), at(tree, "one")
    text = text_of(new)
    assert f"`syncd replace 11 --to {tag(new)}`" in text
    assert f"`syncd handover 11 --to {tag(new)}`" in text
    assert f"kept by one · {tag(one)}" in text
    assert of(one).succession is None
    force(tree, one.unit_id, "new")
    tree.settle()
    assert of(new).succession is None
    assert of(at(tree, "north")).succession is None


@pytest.mark.parametrize("revoke", [False, True], ids=["replaced", "revoked"])
def test_the_old_machine_is_marked_and_not_waited_for(tree: TreeBuilder, revoke: bool) -> None:
    one, new, north = (at(tree, name) for name in ("one", "new", "north"))
    force(tree, one.unit_id, "new", revoke=revoke)
    among(tree, *(("province", "north", "new") if revoke else ("province", "north", "new", "one")))
    word = "revoked" if revoke else "replaced"
    children = {child.node_id: child.retired for child in of(north).children}
    assert children == {one.node.node_id: word, new.node.node_id: None}
    assert f"11 one · {tag(one)}" in text_of(north)
    assert word in text_of(north)
    late = [line for line in verdict(of(north), {}, north.node.clock())[1] if "never" in line]
    assert [line.partition(":")[0] for line in late] == ["new", "province"] or [
        line.partition(":")[0] for line in late] == ["province", "new"]  # fmt: skip
    if not revoke:
        text = text_of(one)
        assert f"This machine was replaced: 11 one is kept by new · {tag(new)}" in text


def test_a_hand_over_names_namesakes_with_their_tags(tree: TreeBuilder) -> None:
    one, new, province = (at(tree, name) for name in ("one", "new", "province"))
    planned = keeping.plan(province.node, one.unit_id, new.node.node_id)
    assert (planned.from_name, planned.to_name) == ("one", "new")
    north = at(tree, "north")
    north.sql("UPDATE node SET name = 'Trạm' WHERE parent_id = ?", (north.node.node_id,))
    tree.settle()
    planned = keeping.plan(province.node, one.unit_id, new.node.node_id)
    assert (planned.from_name, planned.to_name) == (f"Trạm · {tag(one)}", f"Trạm · {tag(new)}")


def test_the_preview_says_what_stolen_changes_and_warns_of_a_machine_that_is_alive(tree: TreeBuilder) -> None:
    one, new, province = (at(tree, name) for name in ("one", "new", "province"))
    planned = keeping.plan(province.node, one.unit_id, new.node.node_id, forced=True)
    assert planned.heard_at is not None
    assert "put aside" in words(planned, forced=True, dry_run=True)
    assert "Add --stolen" in _stolen(False)[0]
    assert "revoked" in _stolen(True)[0]
    now_ms = province.node.clock()
    [warning] = _alive(planned, "11", instant_of(now_ms - 120_000), now_ms)
    assert "heard 2 min ago: it is alive" in warning
    assert f"syncd handover 11 --to {tag(new)}" in warning
    assert _alive(planned, "11", instant_of(now_ms - int(STATION_ALIVE_S * 1000) - 1_000), now_ms) == []
    assert _alive(planned, "11", None, now_ms) == []
    assert _alive(replace(planned, from_node=None), "11", instant_of(now_ms), now_ms) == []
