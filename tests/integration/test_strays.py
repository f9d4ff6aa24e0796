"""Changes of a unit that passed on while they were typed: the rows go back to what the log says, the values become a
wish that whoever keeps the unit now decides (I1, I4, I12)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import handovers
from tests.integration.handovers import at
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode, finish


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[TreeBuilder]:
    """A country; one commune on either database."""
    if request.param == "sqlite":
        yield handovers.country(TreeBuilder(tmp_path))
        return
    dsn = postgres_server.create_database()
    yield handovers.country(TreeBuilder(tmp_path), {"one": dsn})
    finish()
    postgres_server.drop_database(dsn)


def passed_on(tree: TreeBuilder, by: str = "north", to: str = "north") -> tuple[TreeNode, str]:
    """A commune whose unit another node keeps now, and a person of it."""
    one = at(tree, "one")
    handovers.add(one, one.unit_id, "Một")
    tree.settle()
    handovers.order(tree, by, one.unit_id, to)
    tree.settle()
    return one, str(one.value("SELECT id FROM person"))


def phones(tree: TreeBuilder, *names: str) -> list[object]:
    return [at(tree, name).value("SELECT phone FROM person WHERE full_name = 'Một'") for name in names]


def test_stray_change_goes_back_and_is_decided_by_the_new_keeper(either: TreeBuilder) -> None:
    tree = either
    one, row_id = passed_on(tree)
    handovers.typed_past_the_guard(one, row_id, "0777")
    one.node.write()
    assert one.rows("SELECT phone FROM person") == [(None,)], "the table shows what the log says"
    assert one.value("SELECT count(*) FROM syncd_wish") == 1, "the value is kept"
    assert one.value("SELECT count(*) FROM syncd_journal") == 0

    tree.settle()

    assert phones(tree, "north", "province") == ["0777", "0777"]
    handovers.proven(tree, one.unit_id, "north", "province")
    assert one.rows("SELECT kind FROM syncd_case WHERE closed_at IS NULL") == []
    assert one.value("SELECT count(*) FROM syncd_wish") == 0


def test_stray_row_of_a_unit_never_heard_of_is_not_left_in_the_tables(tree: TreeBuilder) -> None:
    south, one = at(tree, "south"), at(tree, "one")
    number = south.store.registry.by_name["household"].number
    row_id = f"01900000-0000-7000-8fff-000a{south.keys.tag}"
    with south.store.apply("sabotage") as tx:
        tx.run("INSERT INTO household (id, unit_id, number, kind) VALUES (?, ?, '7', 'family')", (row_id, one.unit_id))
        tx.run("INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, 1, 0)",
               (one.unit_id, one.node.node_id))  # fmt: skip
        tx.run("INSERT INTO syncd_journal (tab, op, row_id, unit_id, mask) VALUES (?, 1, ?, ?, 1)",
               (number, row_id, one.unit_id))  # fmt: skip
    south.node.write()
    assert south.rows("SELECT id FROM household") == []
    wishes = south.rows("SELECT row_id, op FROM syncd_wish UNION ALL SELECT row_id, operation FROM proposal")
    assert wishes == [(row_id, "insert")]


def test_stray_whose_log_does_not_reach_back_stops_nothing_else(tree: TreeBuilder) -> None:
    one, row_id = passed_on(tree)
    handovers.typed_past_the_guard(one, row_id, "0777")
    with one.store.apply("sabotage") as tx:
        tx.run("UPDATE syncd_stream SET floor_seq = 1 WHERE kind = 1 AND own = 1")
    two = handovers.new_unit(tree, "north", "13")
    handovers.order(tree, "north", two, "one")
    tree.settle()
    handovers.add(one, two, "Hai")
    tree.settle()
    assert phones(tree, "north") == [None]
    assert at(tree, "province").value("SELECT count(*) FROM person WHERE full_name = 'Hai'") == 1
    assert one.value("SELECT count(*) FROM syncd_journal") == 1, "kept until its log reaches back"
    one.broken = True
