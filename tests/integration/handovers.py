"""Trees in which units pass on, for the tests of this folder: orders, typing, crashes, and what must hold at the end.

Enters: a builder. Leaves: nodes by name, rows by plain SQL.
Must hold: nothing here knows how a hand-over is carried out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from syncd import keeping
from tests.grown import grow
from tests.integration.shapes import Died
from tests.trees import ROUNDS_MAX, TreeBuilder, TreeNode, step

PERSON = (
    "INSERT INTO person (unit_id, full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES (?, ?, 1, '1990-05-17', 'd', '01', 'usual')"
)
HOUSEHOLD = "INSERT INTO household (unit_id, number, kind) VALUES (?, ?, 'family')"
MEMBER = (
    "INSERT INTO person (unit_id, household_id, full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " SELECT unit_id, id, ?, 2, '1990-05-17', 'd', '01', 'usual' FROM household WHERE number = ? AND unit_id = ?"
)


def country(builder: TreeBuilder, dsns: Mapping[str, str] | None = None) -> TreeBuilder:
    """province → north → (one, two), south → three; settled. `dsns`: node → DSN of an empty database; the others are
    SQLite files.
    """
    grow(builder, _build_country, dsns or {})
    return builder


def _build_country(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    province = builder.root(dsn=dsns.get("province"))
    north = builder.child(province, "north", "1", dsns.get("north"))
    builder.child(north, "one", "11", dsns.get("one"))
    builder.child(north, "two", "12")
    south = builder.child(province, "south", "2")
    builder.child(south, "three", "21")
    builder.settle()


def at(tree: TreeBuilder, name: str) -> TreeNode:
    return next(node for node in tree.nodes if node.name == name)


def add(node: TreeNode, unit_id: str, name: str) -> None:
    node.sql(PERSON, (unit_id, name))


def add_household(node: TreeNode, unit_id: str, number: str, *members: str) -> None:
    node.sql(HOUSEHOLD, (unit_id, number))
    for name in members:
        node.sql(MEMBER, (name, number, unit_id))


def names(node: TreeNode, unit_id: str) -> list[str]:
    return [row[0] for row in node.rows("SELECT full_name FROM person WHERE unit_id = ? ORDER BY 1", (unit_id,))]


def order(tree: TreeBuilder, by: str, unit_id: str, to: str) -> None:
    keeping.order(at(tree, by).node, unit_id, at(tree, to).node.node_id, author="An", reason="test")


def force(tree: TreeBuilder, unit_id: str, to: str, *, revoke: bool = False) -> None:
    province = at(tree, "province")
    keeping.order(
        province.node, unit_id, at(tree, to).node.node_id, author="An", reason="stolen", forced=True, revoke=revoke
    )


def move(tree: TreeBuilder, by: str, from_unit: str, to_unit: str, *numbers: str) -> None:
    """Order households to pass from one unit to another."""
    node = at(tree, by).node
    with node.store.read() as tx:
        chosen = keeping.households_named(tx, from_unit, numbers)
    passing = keeping.Move(from_unit=from_unit, to_unit=to_unit, row_ids=chosen)
    keeping.reassign(node, passing, author="An", reason="test")


def raw_order(
    by: TreeNode, unit_id: str, frm: TreeNode, term: int, to: TreeNode, *, forced: tuple[int, bytes] | None = None,
    ordered_at: str = "2026-01-01T00:00:00.000Z",
) -> None:  # fmt: skip
    """An order that nobody has checked, as a hostile or another program at `by` would write it."""
    by.sql(
        "INSERT INTO handover (kept_unit_id, from_node_id, from_term, to_node_id, forced_seq, forced_hash, is_revoked,"
        " reason, author, ordered_at) VALUES (?, ?, ?, ?, ?, ?, 0, '', 'x', ?)",
        (unit_id, frm.node.node_id, term, to.node.node_id, *(forced or (None, None)), ordered_at),
    )


def new_unit(tree: TreeBuilder, parent: str, code: str) -> str:
    """A unit without a node of its own."""
    province = at(tree, "province")
    unit_id = f"01900000-0000-7000-8fff-{int(code):04x}{province.keys.tag}"
    province.sql(
        "INSERT INTO unit (id, parent_id, level, code, name) VALUES (?, ?, 'unit', ?, ?)",
        (unit_id, at(tree, parent).unit_id, code, code),
    )
    tree.settle()
    return unit_id


def chain(node: TreeNode, unit_id: str) -> list[tuple[Any, ...]]:
    """Who kept a unit when, as a node knows it."""
    return node.rows("SELECT term, node_id, next_node_id FROM syncd_term WHERE unit_id = ? ORDER BY term", (unit_id,))


def keeper(node: TreeNode, unit_id: str) -> str:
    return str(node.value("SELECT node_id FROM syncd_keeper WHERE unit_id = ?", (unit_id,)))


def late(node: TreeNode) -> list[str]:
    """Streams of which late writes wait for somebody's word."""
    return [row[0] for row in node.rows(
        "SELECT DISTINCT stream_id FROM syncd_quarantine WHERE adopted_at IS NULL ORDER BY 1")]  # fmt: skip


def propose(node: TreeNode, unit_id: str, row_id: str, seen: dict[str, Any], wished: dict[str, Any]) -> None:
    """A proposal by plain SQL."""
    node.sql(
        "INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
        " author_depth) VALUES (?, 'person', ?, 'update', ?, ?, 'An', 'x', '2026-09-01T00:00:00.000Z', 1)",
        (unit_id, row_id, json.dumps(seen), json.dumps(wished)),
    )


def among(tree: TreeBuilder, *names_: str) -> None:
    """Let only these nodes go on until nothing moves among them: the others are off."""
    nodes = [at(tree, name) for name in names_]
    for _ in range(ROUNDS_MAX):
        if not any([step(node) for node in nodes]):  # noqa: C419 - each takes its turn
            return
    raise AssertionError("they still move")


def proven(tree: TreeBuilder, unit_id: str, *holders: str) -> None:
    """Every keeper states its content, everybody compares; the holders show the unit's rows equally."""
    tree.settle()
    for node in tree.nodes:
        node.node.checkpoint()
    tree.settle()
    for node in tree.nodes:
        assert node.rows("SELECT tab, rows_stated, rows_found FROM syncd_checkpoint WHERE ok = 0") == [], node.name
        waits = node.rows("SELECT state, reason FROM syncd_stream WHERE state <> 'ok'")
        assert waits == [], (node.name, waits)
    for table in ("household", "person", "death", "verdict"):
        query = f"SELECT * FROM {table} WHERE unit_id = ? ORDER BY id"
        if table == "death":  # a column that only the keeper and the custodian read
            query = "SELECT id, person_id, died_on FROM death WHERE unit_id = ? ORDER BY id"
        shown = {name: at(tree, name).rows(query, (unit_id,)) for name in holders}
        first = shown[holders[0]]
        assert all(rows == first for rows in shown.values()), (table, {name: len(rows) for name, rows in shown.items()})


class Crashes:
    """Every commit of some stages dies once before and once after, at whichever node comes there first."""

    def __init__(self, tree: TreeBuilder, stages: tuple[str, ...]) -> None:
        self._tree = tree
        self._left = {f"{stage}:{moment}" for stage in stages for moment in ("before-commit", "after-commit")}
        self.died: list[str] = []
        self._dead: TreeNode | None = None
        for node in tree.nodes:
            self._arm(node)

    def survive(self, act: Callable[[], object]) -> None:
        """Do it; a node that dies is started anew and whoever acted does so again only if nothing came of it."""
        while True:
            try:
                act()
                return
            except Died:
                self.revive()
                return

    def revive(self) -> None:
        assert self._dead is not None
        self._dead.reopen()
        self._arm(self._dead)
        self._dead = None

    def settle(self) -> None:
        quiet = 0
        for _ in range(4 * ROUNDS_MAX):
            moved = False
            for node in self._tree.nodes:
                try:
                    moved = step(node) or moved
                except Died:
                    self.revive()
                    moved = True
            quiet = 0 if moved else quiet + 1
            if quiet:
                return
        raise AssertionError("the tree still moves")

    @property
    def left(self) -> set[str]:
        return self._left

    def _arm(self, node: TreeNode) -> None:
        def failpoint(name: str) -> None:
            if name in self._left:
                self._left.discard(name)
                self.died.append(f"{node.name} {name}")
                self._dead = node
                raise Died(name)

        node.store.failpoint = failpoint


def typed_past_the_guard(at_: TreeNode, row_id: str, phone: str) -> None:
    """What a transaction writes that has not seen that the unit is another's: captured, and nobody's to seal here."""
    number = at_.store.registry.by_name["person"].number
    with at_.store.apply("sabotage") as tx:
        unit_id = tx.value("SELECT unit_id FROM person WHERE id = ?", (row_id,))
        tx.run("UPDATE person SET phone = ? WHERE id = ?", (phone, row_id))
        tx.run(
            "INSERT INTO syncd_journal (tab, op, row_id, unit_id, mask) VALUES (?, 2, ?, ?, 1)",
            (number, row_id, unit_id),
        )
