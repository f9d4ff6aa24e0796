"""Nothing passes to itself: refused in words to whoever orders it, passed over where an older log holds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schema import refusals
from schema.tables import registry
from syncd import keeping, reassign
from syncd.clock import instant_of
from syncd.errors import StoreError, UsageError
from syncd.reassign import Reassignment
from syncd.tree import load_tree
from tests.integration.handovers import (
    add_household,
    among,
    at,
    chain,
    force,
    keeper,
    move,
    names,
    new_unit,
    order,
    proven,
)
from tests.integration.shapes import lone_root
from tests.trees import TreeBuilder, TreeNode, close, finish, unguarded

WHEN = "2026-01-01T00:00:00.000Z"
ORDER = {"reason": "", "author": "x", "ordered_at": WHEN}


def wedge(tree: TreeBuilder, row_ids: bytes | None) -> str:
    """The district has ordered rows into the unit they are in, and the keeper, of an older release, has obeyed."""
    one, north = at(tree, "one"), at(tree, "north")
    order_id = unguarded(
        north, "reassignment", from_unit_id=one.unit_id, to_unit_id=one.unit_id, row_ids=row_ids, **ORDER
    )
    tree.settle()
    assert not one.value("SELECT count(*) FROM verdict")
    ids = reassign._unpacked(row_ids)
    old = Reassignment(id=order_id, from_unit=one.unit_id, to_unit=one.unit_id, row_ids=ids)
    assert reassign.carry_out(one.store, old, one.node.node_id, instant_of(one.node.clock()))
    one.node.write()
    return order_id


@pytest.fixture
def typed(tree: TreeBuilder) -> TreeBuilder:
    one = at(tree, "one")
    add_household(one, one.unit_id, "1", "Một", "Hai")
    add_household(one, one.unit_id, "2", "Ba")
    one.sql("INSERT INTO death (unit_id, person_id, died_on, sex) SELECT unit_id, id, '2026-03-05', sex FROM person"
            " WHERE full_name = 'Một'")  # fmt: skip
    tree.settle()
    return tree


@pytest.fixture(params=["sqlite", "postgres"])
def any_root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TreeNode]:
    if request.param == "sqlite":
        yield lone_root(tmp_path)
        return
    server = request.getfixturevalue("postgres_server")
    dsn = server.create_database()
    try:
        yield lone_root(tmp_path, dsn)
        finish()
    finally:
        close()
        server.drop_database(dsn)


# --- moves -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [("1",), ()])
def test_move_to_the_unit_the_rows_are_in_is_refused_in_words(typed: TreeBuilder, numbers: tuple[str, ...]) -> None:
    north, one = at(typed, "north"), at(typed, "one")
    with north.store.read() as tx:
        row_ids = keeping.households_named(tx, one.unit_id, numbers) if numbers else None
        planned = keeping.Move(from_unit=one.unit_id, to_unit=one.unit_id, row_ids=row_ids)
        with pytest.raises(UsageError, match="is their own"):
            keeping.plan_move(north.node, tx, planned)
    with pytest.raises(UsageError, match="is their own"):
        keeping.reassign(north.node, planned, author="An", reason="")
    assert not north.value("SELECT count(*) FROM reassignment")


@pytest.mark.parametrize("up", [True, False])
def test_move_to_a_unit_above_or_below_is_refused_in_words(typed: TreeBuilder, up: bool) -> None:
    north, one = at(typed, "north"), at(typed, "one")
    units = (one.unit_id, north.unit_id) if up else (north.unit_id, one.unit_id)
    planned = keeping.Move(from_unit=units[0], to_unit=units[1], row_ids=None)
    with pytest.raises(UsageError, match="lies in the other"):
        keeping.reassign(at(typed, "province").node, planned, author="An", reason="")


def test_order_to_move_rows_onto_themselves_is_carried_out_by_nobody(typed: TreeBuilder) -> None:
    one, north = at(typed, "one"), at(typed, "north")
    unguarded(north, "reassignment", from_unit_id=one.unit_id, to_unit_id=one.unit_id, **ORDER)
    typed.settle()
    assert one.value("SELECT count(*) FROM reassignment") == 1
    with one.store.read() as tx:
        assert reassign.due(tx, load_tree(tx)) == []
    add_household(one, one.unit_id, "3", "Bốn")
    proven(typed, one.unit_id, "one", "north", "province")


@pytest.mark.parametrize("some", [True, False])
def test_register_goes_on_behind_a_move_onto_itself_that_an_older_release_made(typed: TreeBuilder, some: bool) -> None:
    one = at(typed, "one")
    chosen = one.rows("SELECT id FROM household WHERE number = '1'")
    wedge(typed, reassign.packed(row[0] for row in chosen) if some else None)
    add_household(one, one.unit_id, "3", "Bốn")
    proven(typed, one.unit_id, "one", "north", "province")
    assert names(at(typed, "province"), one.unit_id) == ["Ba", "Bốn", "Hai", "Một"]


def test_register_that_waited_behind_a_move_onto_itself_goes_on_by_itself(typed: TreeBuilder) -> None:
    """As the tables are where the older release has stopped: the group is in the log, the stream waits."""
    one, north = at(typed, "one"), at(typed, "north")
    wedge(typed, None)
    stream_id = one.value("SELECT stream_id FROM syncd_stream WHERE kind = 1 AND own = 1")
    for node in (north, at(typed, "province")):
        with node.store.apply("older") as tx:
            tx.run("UPDATE syncd_stream SET state = 'waiting', reason = 'takes rows that …' WHERE stream_id = ?",
                   (stream_id,))  # fmt: skip
        node.reopen()
    proven(typed, one.unit_id, "one", "north", "province")


def test_rows_pass_on_after_a_move_onto_themselves(typed: TreeBuilder) -> None:
    one = at(typed, "one")
    split = new_unit(typed, "north", "13")
    order(typed, "north", split, "one")
    typed.settle()
    wedge(typed, None)
    move(typed, "north", one.unit_id, split, "1")
    typed.settle()
    move(typed, "north", split, one.unit_id, "1")
    typed.settle()
    order(typed, "north", one.unit_id, "two")
    for unit_id in (one.unit_id, split):
        proven(typed, unit_id, "north", "province")
    assert names(at(typed, "two"), one.unit_id) == ["Ba", "Hai", "Một"]


def test_new_keeper_by_force_takes_over_behind_a_move_onto_itself(typed: TreeBuilder) -> None:
    one = at(typed, "one")
    wedge(typed, None)
    typed.settle()
    force(typed, one.unit_id, "two")
    among(typed, "province", "north", "two")
    assert keeper(at(typed, "province"), one.unit_id) == at(typed, "two").node.node_id
    assert names(at(typed, "two"), one.unit_id) == ["Ba", "Hai", "Một"]


# --- keepers, nodes, units -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forced", [True, False])
def test_unit_passes_to_nobody_who_keeps_it(tree: TreeBuilder, forced: bool) -> None:
    one, province = at(tree, "one"), at(tree, "province")
    for revoke in {False, forced}:
        with pytest.raises(UsageError, match="keeps one already"):
            keeping.order(
                province.node, one.unit_id, one.node.node_id, author="An", reason="", forced=forced, revoke=revoke
            )
    with pytest.raises(UsageError, match=r"keeps province (itself|already)"):
        keeping.order(
            province.node, province.unit_id, province.node.node_id, author="An", reason="", forced=forced, revoke=forced
        )


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize("revoke", [True, False])
def test_order_from_a_keeper_to_itself_ends_no_term(tree: TreeBuilder, forced: bool, revoke: bool) -> None:
    one, province = at(tree, "one"), at(tree, "province")
    add_household(one, one.unit_id, "1", "Một")
    tree.settle()
    unguarded(
        province, "handover", kept_unit_id=one.unit_id, from_node_id=one.node.node_id, from_term=1,
        to_node_id=one.node.node_id, forced_seq=0 if forced else None, forced_hash=bytes(32) if forced else None,
        is_revoked=int(revoke), **ORDER,
    )  # fmt: skip
    tree.settle()
    add_household(one, one.unit_id, "2", "Hai")
    proven(tree, one.unit_id, "one", "north", "province")
    for node in (one, at(tree, "north"), province):
        assert chain(node, one.unit_id) == []
        assert node.node.tree().nodes[one.node.node_id].status == "enrolled"
    order(tree, "province", one.unit_id, "two")
    tree.settle()
    assert names(at(tree, "two"), one.unit_id) == ["Hai", "Một"]


def test_node_that_names_itself_its_parent_moves_nobody(tree: TreeBuilder) -> None:
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    record = province.rows(
        "SELECT name, signing_public, sealing_public, home_unit_id, term, status, enrolled_at FROM node"
        " WHERE node_id = ?", (one.node.node_id,))[0]  # fmt: skip
    columns = ("name", "signing_public", "sealing_public", "home_unit_id", "term", "status", "enrolled_at")
    for writer in (one, north, province):
        unguarded(
            writer, "node", node_id=one.node.node_id, parent_id=one.node.node_id,
            **dict(zip(columns, record, strict=True)),
        )  # fmt: skip
    add_household(one, one.unit_id, "1", "Một")
    proven(tree, one.unit_id, "one", "north", "province")
    for node in tree.nodes:
        found = node.node.tree().nodes.get(one.node.node_id)
        assert found is None or found.parent_id == north.node.node_id


def test_units_in_a_circle_are_put_right_by_the_root(tree: TreeBuilder) -> None:
    """An older release let it through: no other register is touched, and the root's next word mends it."""
    one, three, province, north = (at(tree, name) for name in ("one", "three", "province", "north"))
    with province.store.apply("older") as tx:
        tx.run("UPDATE unit SET parent_id = ? WHERE id = ?", (one.unit_id, north.unit_id))
        tx.run("INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id, mask) VALUES (0, ?, 2, ?, NULL, ?)",
               (registry().by_name["unit"].number, north.unit_id, 1 << 2))  # fmt: skip
    add_household(three, three.unit_id, "9", "Chín")
    tree.settle()
    assert names(province, three.unit_id) == ["Chín"]
    province.sql("UPDATE unit SET parent_id = ? WHERE id = ?", (province.unit_id, north.unit_id))
    tree.settle()
    add_household(one, one.unit_id, "1", "Một")
    for unit_id, name in ((one.unit_id, "one"), (three.unit_id, "three")):
        proven(tree, unit_id, name, "province")


# --- by plain SQL ----------------------------------------------------------------------------------------------------


def onto_itself(node: TreeNode) -> dict[str, dict[str, object]]:
    """For every table with such a rule a row that breaks it."""
    me, unit_id = node.node.node_id, node.unit_id
    return {
        "reassignment": {"from_unit_id": unit_id, "to_unit_id": unit_id, **ORDER},
        "handover": {"kept_unit_id": unit_id, "from_node_id": me, "from_term": 1, "to_node_id": me, "is_revoked": 0,
                     **ORDER},
        "unit": {"id": f"01900000-0000-7000-8fff-0001{node.keys.tag}", "level": "unit", "code": "77", "name": "x",
                 "parent_id": f"01900000-0000-7000-8fff-0001{node.keys.tag}"},
        "verdict": {"id": f"01900000-0000-7000-8fff-0002{node.keys.tag}", "unit_id": unit_id, "proposal_id": me,
                    "outcome": "rejected", "detail": "{}", "decided_at": WHEN, "decided_by": "x",
                    "resolves": f"01900000-0000-7000-8fff-0002{node.keys.tag}"},
        "resolution": {"unit_id": unit_id, "case_id": me, "decision_id": me, "case_kind": "fork", "verdict": "later",
                       "detail": "{}", "reason": "", "author": "x", "made_at": WHEN, "openings": 1, "undoes": me},
    }  # fmt: skip


def insert(node: TreeNode, table: str, *rows: dict[str, object]) -> None:
    columns = list(rows[0])
    values = ", ".join(f"({', '.join('?' * len(columns))})" for _ in rows)
    node.sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}",
             tuple(value for row in rows for value in row.values()))  # fmt: skip


def test_every_table_with_such_a_rule_is_tried(tmp_path: Path) -> None:
    guarded = {table.name for table in registry() if list(refusals.guards(table))}
    assert set(onto_itself(lone_root(tmp_path))) == guarded


@pytest.mark.parametrize("table", ["reassignment", "handover", "unit", "verdict", "resolution"])
def test_guard_refuses_what_passes_to_itself(any_root: TreeNode, table: str) -> None:
    row = onto_itself(any_root)[table]
    rows_before = any_root.value(f"SELECT count(*) FROM {table}")
    with pytest.raises(StoreError, match=r"must differ|one below it"):
        insert(any_root, table, row)
    if "id" not in row:  # of many rows one
        with pytest.raises(StoreError, match="must differ"):
            insert(any_root, table, row, row)
    assert any_root.value(f"SELECT count(*) FROM {table}") == rows_before


def test_guard_refuses_a_circle_of_units_made_by_updates(any_root: TreeNode) -> None:
    tag, top = any_root.keys.tag, any_root.unit_id
    ids = [f"01900000-0000-7000-8fff-{place:04x}{tag}" for place in range(3)]
    for unit_id, parent in zip(ids, (top, *ids), strict=False):
        insert(any_root, "unit", {"id": unit_id, "parent_id": parent, "level": "unit", "code": "7", "name": "x"})
    for place in range(3):
        with pytest.raises(StoreError, match="one below it"):
            any_root.sql("UPDATE unit SET parent_id = ? WHERE id = ?", (ids[2], ids[place]))
    with pytest.raises(StoreError, match="one below it"):
        any_root.sql("UPDATE unit SET parent_id = ? WHERE code = '7'", (ids[2],))
    any_root.sql("UPDATE unit SET name = 'y', parent_id = ? WHERE id = ?", (ids[0], ids[2]))
    insert(any_root, "reassignment", {"from_unit_id": ids[0], "to_unit_id": ids[1], **ORDER})
    with pytest.raises(StoreError, match="must differ"):
        any_root.sql("UPDATE reassignment SET to_unit_id = from_unit_id")
    insert(any_root, "handover", {"kept_unit_id": ids[0], "from_node_id": any_root.node.node_id, "from_term": 0,
                                  "to_node_id": any_root.node.node_id, "is_revoked": 0, **ORDER})  # fmt: skip
