"""Orders and envelopes that nobody may write: no honest node is moved by them, and no two end with different chains."""

from __future__ import annotations

from contextlib import suppress

import pytest

from schema.spec import Kind
from syncd import keeping, limits, log, reassign
from syncd.envelope import Adopted, Mark, stream_id_of
from syncd.errors import SyncdError, UsageError
from syncd.framing import FrameReader
from syncd.log import Stream
from syncd.tree import load_tree
from tests.integration.handovers import (
    add,
    add_household,
    among,
    at,
    chain,
    force,
    keeper,
    late,
    names,
    new_unit,
    order,
    proven,
    raw_order,
)
from tests.integration.shapes import envelopes
from tests.trees import TreeBuilder, TreeNode, step


def register(of: TreeNode, unit_id: str, term: int) -> Stream:
    node_id = of.node.node_id
    return Stream(
        stream_id=stream_id_of(Kind.REGISTER, unit_id, node_id, term), kind=int(Kind.REGISTER), unit_id=unit_id,
        keeper=node_id, term=term, own=True,
    )  # fmt: skip


def write_at(of: TreeNode, unit_id: str, term: int, adopts: Adopted | None) -> str:
    """The first envelope of a term, whoever may write it."""
    stream = of.node.own.create(int(Kind.REGISTER), unit_id, term)
    with of.store.apply("hostile") as tx:
        of.node.own.append(tx, stream, Mark.ADOPTS, {}, 0, adopts=adopts)
    return stream.stream_id


def end_of(node: TreeNode, stream_id: str) -> Adopted:
    with node.store.read() as tx:
        found = log.stream(tx, stream_id)
    assert found is not None
    return Adopted(stream_id=stream_id, seq=found.held_seq, hash=found.held_hash)


def everybody_says(tree: TreeBuilder, unit_id: str, name: str) -> None:
    tree.settle()
    for node in tree.nodes:
        found = node.rows("SELECT node_id FROM syncd_keeper WHERE unit_id = ?", (unit_id,))
        assert found in ([], [(at(tree, name).node.node_id,)]), node.name


def test_order_of_who_does_not_stand_above_both_is_nobody_s_word(tree: TreeBuilder) -> None:
    one, two, north, south, three = (at(tree, name) for name in ("one", "two", "north", "south", "three"))
    add(one, one.unit_id, "Một")
    tree.settle()
    raw_order(two, one.unit_id, one, 1, two)  # a sibling, to itself
    raw_order(one, two.unit_id, two, 1, one)
    raw_order(south, one.unit_id, one, 1, three)  # another branch
    raw_order(north, one.unit_id, one, 1, north, forced=(0, log.NO_HASH))  # by force, and not the custodian
    everybody_says(tree, one.unit_id, "one")
    add(one, one.unit_id, "Hai")
    proven(tree, one.unit_id, "one", "north", "province")


def test_district_cannot_give_a_unit_to_another_branch(tree: TreeBuilder) -> None:
    """It does not know that node; below it somebody may believe it, until the custodian says otherwise."""
    one, north, three, province = (at(tree, name) for name in ("one", "north", "three", "province"))
    add(one, one.unit_id, "Một")
    tree.settle()
    raw_order(north, one.unit_id, one, 1, three)
    tree.settle()
    assert {keeper(node, one.unit_id) for node in (north, province)} == {one.node.node_id}
    force(tree, one.unit_id, "two")
    everybody_says(tree, one.unit_id, "two")
    proven(tree, one.unit_id, "two", "north", "province")


def test_second_order_about_a_term_changes_nothing(tree: TreeBuilder) -> None:
    one, two, north = at(tree, "one"), at(tree, "two"), at(tree, "north")
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "north", one.unit_id, "two")
    with pytest.raises(UsageError, match="under way"):
        order(tree, "north", one.unit_id, "north")
    raw_order(north, one.unit_id, one, 1, north, ordered_at="2099-01-01T00:00:00.000Z")
    everybody_says(tree, one.unit_id, "two")
    add(two, one.unit_id, "Hai")
    proven(tree, one.unit_id, "two", "north", "province")
    assert names(north, one.unit_id) == ["Hai", "Một"]


@pytest.mark.parametrize("hears_first", ["north", "province"])
def test_of_orders_from_two_tiers_the_upper_one_stands_everywhere(tree: TreeBuilder, hears_first: str) -> None:
    """Also where the other was carried out already: what was written under it comes back as wishes."""
    one, two, north, province = (at(tree, name) for name in ("one", "two", "north", "province"))
    add(one, one.unit_id, "Một")
    tree.settle()
    order(tree, "north", one.unit_id, "two")
    order(tree, "province", one.unit_id, "three")
    if hears_first == "north":
        among(tree, "north", "one", "two")
        add_household(two, one.unit_id, "7", "Hai")
        among(tree, "north", "one", "two")
    else:
        among(tree, "province", "south", "three")
    everybody_says(tree, one.unit_id, "three")
    chains = [chain(node, one.unit_id) for node in tree.nodes]
    assert all(found in ([], chains[0]) for found in chains)
    proven(tree, one.unit_id, "three", "south", "province")
    assert names(at(tree, "three"), one.unit_id) == ["Một"]
    if hears_first == "north":
        assert names(two, one.unit_id) == names(north, one.unit_id) == ["Một"]
        [stream_id] = late(province)
        assert province.node.adopt_late(stream_id, "Bình").proposals == 2
        proven(tree, one.unit_id, "three", "south", "province")
        assert names(at(tree, "three"), one.unit_id) == ["Hai", "Một"]
    order(tree, "province", one.unit_id, "two")  # which keeps it once more
    tree.settle()
    add(two, one.unit_id, "Ba")
    proven(tree, one.unit_id, "two", "north", "province")


def test_who_takes_over_from_another_end_is_not_followed(tree: TreeBuilder) -> None:
    one, two, province = at(tree, "one"), at(tree, "two"), at(tree, "province")
    add(one, one.unit_id, "Một")
    tree.settle()
    add(one, one.unit_id, "Hai")
    tree.settle()
    order(tree, "north", one.unit_id, "two")
    among(tree, "north", "one", "province")
    with one.store.read() as tx:
        first = log.hash_at(tx, register(one, one.unit_id, 1).stream_id, 1)
    assert first is not None
    write_at(two, one.unit_id, 2, Adopted(stream_id=register(one, one.unit_id, 1).stream_id, seq=1, hash=first))
    among(tree, "north", "one", "province", "two")
    assert province.rows(
        "SELECT state FROM syncd_stream WHERE kind = 1 AND unit_id = ? AND term = 2", (one.unit_id,)
    ) == [("stopped",)]
    assert names(province, one.unit_id) == ["Hai", "Một"]


def test_who_was_not_ordered_to_take_over_is_refused(tree: TreeBuilder) -> None:
    one, two, north = at(tree, "one"), at(tree, "two"), at(tree, "north")
    add(one, one.unit_id, "Một")
    tree.settle()
    write_at(two, one.unit_id, 2, end_of(one, register(one, one.unit_id, 1).stream_id))
    step(two)
    assert north.rows("SELECT 1 FROM syncd_stream WHERE unit_id = ? AND term = 2", (one.unit_id,)) == []
    assert late(north) == []
    add(one, one.unit_id, "Hai")
    among(tree, "one", "north", "province", "south", "three")
    assert keeper(north, one.unit_id) == keeper(at(tree, "province"), one.unit_id) == one.node.node_id
    assert names(at(tree, "province"), one.unit_id) == ["Hai", "Một"]


def test_envelopes_after_the_end_are_kept_apart_up_to_a_bound(
    tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beyond the bound stays with its sender, until somebody has admitted what waits."""
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add(one, one.unit_id, "Một")
    tree.settle()
    force(tree, one.unit_id, "two")
    among(tree, "province", "north", "two")
    for number in range(12):
        add(one, one.unit_id, f"Muộn {number:02}")
        one.node.write()
    size = one.value("SELECT max(size) FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id"
                     " WHERE s.kind = 1 AND s.own = 1")  # fmt: skip
    monkeypatch.setattr(limits, "QUARANTINE_BYTES_MAX", 4 * size)
    for _ in range(10):
        for node in (one, north, province):
            step(node)
    kept = "SELECT count(*), sum(length(envelope)) FROM syncd_quarantine WHERE adopted_at IS NULL"
    for node in (north, province):
        count, size_bytes = node.rows(kept)[0]
        assert 3 <= count < 12
        assert size_bytes <= 4 * size
    [stream_id] = late(north)
    for _ in range(8):
        if late(north):
            north.node.adopt_late(stream_id, "Bình")
        for _ in range(3):
            for node in (one, north, province, at(tree, "two")):
                step(node)
    assert late(north) == []
    assert len(names(at(tree, "two"), one.unit_id)) == 13


def test_envelopes_of_a_forger_after_the_end_are_not_kept(tree: TreeBuilder) -> None:
    one, two, north = at(tree, "one"), at(tree, "two"), at(tree, "north")
    add(one, one.unit_id, "Một")
    tree.settle()
    force(tree, one.unit_id, "two")
    among(tree, "province", "north", "two")
    add(one, one.unit_id, "Hai")
    one.node.write()
    stream_id = register(one, one.unit_id, 1).stream_id
    good = envelopes(one, stream_id)[-1]
    bad = bytearray(good)
    bad[-1] ^= 1
    north.node.accept(two.node.node_id, [good])  # by a neighbour that has no part in it
    assert late(north) == []
    with suppress(SyncdError):  # whatever it is called, nothing was kept
        north.node.accept(one.node.node_id, FrameReader(b"").feed(b"") or [bytes(bad)])
    assert late(north) == []
    north.node.accept(one.node.node_id, [good, good])
    assert north.value("SELECT count(*) FROM syncd_quarantine") == 1


def test_rows_of_others_enter_a_stream_only_by_an_order_from_above(tree: TreeBuilder) -> None:
    one, two, north, province = (at(tree, name) for name in ("one", "two", "north", "province"))
    add(two, two.unit_id, "Hai")
    tree.settle()
    with one.store.apply("hostile") as tx:  # a row whose id another node has minted
        tx.run(
            "INSERT INTO person (id, unit_id, full_name, sex, birth_date, birth_precision, ethnic, residence)"
            " VALUES (?, ?, 'X', 1, '1990-05-17', 'd', '01', 'usual')",
            (f"01900000-0000-7000-8aaa-0000{two.keys.tag}", one.unit_id),
        )
        number = one.store.registry.by_name["person"].number
        columns = "tx, tab, op, row_id, unit_id"
        tx.run(f"INSERT INTO syncd_journal ({columns}) SELECT 0, {number}, 1, id, unit_id FROM person")
    tree.settle()
    for node in (north, province):
        assert names(node, one.unit_id) == []
        assert node.value("SELECT state FROM syncd_stream WHERE kind = 1 AND unit_id = ?", (one.unit_id,)) == "stopped"


def test_order_to_move_rows_counts_only_from_above(tree: TreeBuilder) -> None:
    one, two, south, north = (at(tree, name) for name in ("one", "two", "south", "north"))
    add_household(one, one.unit_id, "1", "Một")
    split = new_unit(tree, "north", "13")
    order(tree, "north", split, "one")
    tree.settle()
    for hostile in (two, south):
        hostile.sql(
            "INSERT INTO reassignment (from_unit_id, to_unit_id, reason, author, ordered_at)"
            " VALUES (?, ?, '', 'x', '2026-01-01T00:00:00.000Z')", (one.unit_id, split))  # fmt: skip
    tree.settle()
    with one.store.read() as tx:
        assert reassign.due(tx, load_tree(tx)) == []
    assert names(one, one.unit_id) == names(north, one.unit_id) == ["Một"]
    move = keeping.Move(from_unit=one.unit_id, to_unit=two.unit_id, row_ids=None)
    with pytest.raises(UsageError, match="different keepers"):
        keeping.reassign(north.node, move, author="x", reason="")
    with pytest.raises(UsageError, match="above"):
        keeping.reassign(two.node, move, author="x", reason="")


def test_stolen_station_is_believed_no_more(tree: TreeBuilder) -> None:
    """What its parent still delivers is kept apart and can be admitted; what it says now is not heard."""
    one, north, province, two = (at(tree, name) for name in ("one", "north", "province", "two"))
    add(one, one.unit_id, "Một")
    tree.settle()
    add_household(one, one.unit_id, "7", "Hai", "Ba")
    step(one)  # at the district, not at the province
    force(tree, one.unit_id, "two", revoke=True)
    among(tree, "province", "two", "north")
    for node in (province, north):
        assert node.node.tree().nodes[one.node.node_id].status == "revoked"
        assert one.node.node_id not in {child.node_id for child in node.node.tree().children()}
    [stream_id] = late(province)
    assert late(north) == [stream_id]
    assert north.node.adopt_late(stream_id, "Bình").proposals == 3
    among(tree, "province", "two", "north", "south")
    assert names(two, one.unit_id) == names(province, one.unit_id) == ["Ba", "Hai", "Một"]
    assert two.value("SELECT count(*) FROM person JOIN household AS h ON h.id = household_id") == 2
    one.sql("INSERT INTO handover (kept_unit_id, from_node_id, from_term, to_node_id, is_revoked, reason, author,"
            " ordered_at) VALUES (?, ?, 2, ?, 0, '', 'x', '2026-01-01T00:00:00.000Z')",
            (one.unit_id, two.node.node_id, one.node.node_id))  # fmt: skip
    one.node.write()
    control = envelopes(one, stream_id_of(Kind.CONTROL, None, one.node.node_id, 1))
    held = north.value("SELECT held_seq FROM syncd_stream WHERE kind = 3 AND keeper = ?", (one.node.node_id,))
    north.node.accept(one.node.node_id, control)
    assert north.value("SELECT held_seq FROM syncd_stream WHERE kind = 3 AND keeper = ?", (one.node.node_id,)) == held
    for node in (province, north, two):
        assert keeper(node, one.unit_id) == two.node.node_id
    with pytest.raises(UsageError, match="revoked"):
        order(tree, "province", one.unit_id, "one")


def test_order_about_the_last_of_all_terms_stops_nobody(tree: TreeBuilder) -> None:
    north, one, two = (at(tree, name) for name in ("north", "one", "two"))
    raw_order(north, two.unit_id, two, 2**63 - 1, one)
    add(one, one.unit_id, "Mới")
    tree.settle()
    for node in (north, at(tree, "province")):
        assert names(node, one.unit_id) == ["Mới"]
        assert keeper(node, two.unit_id) == two.node.node_id
