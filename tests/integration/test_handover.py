"""Hand-over: a unit's register passes on, nothing is sent again, every tier ends equal."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from syncd import keeping, log
from syncd.log import Stream
from tests.integration.handovers import (
    add,
    add_household,
    among,
    at,
    force,
    keeper,
    move,
    names,
    new_unit,
    order,
    proven,
)
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode, finish, step


def streams_of(node: TreeNode, unit_id: str, of: TreeNode) -> list[Stream]:
    """A unit's registers as written by one keeper."""
    with node.store.read() as tx:
        return log.streams(tx, "kind = 1 AND unit_id = ? AND keeper = ?", (unit_id, of.node.node_id))


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


def test_columns_of_keepers_alone_pass_on_too(tree: TreeBuilder) -> None:
    """A tier above has the rows without them: as keeper it reads them, and hands them back whole."""
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    add(one, one.unit_id, "Một")
    one.sql("INSERT INTO death (person_id, died_on, sex, cause) SELECT id, '2026-01-02', sex, 'I64' FROM person")
    tree.settle()
    assert [node.value("SELECT cause FROM death") for node in (one, north, province)] == ["I64", None, "I64"]
    for name in ("north", "one", "two", "three"):
        order(tree, "province", one.unit_id, name)
        tree.settle()
        assert at(tree, name).value("SELECT cause FROM death") == "I64"
        at(tree, name).node.checkpoint()
        tree.settle()
        for node in tree.nodes:
            assert node.rows("SELECT * FROM syncd_checkpoint WHERE ok = 0") == [], node.name


def test_term_that_was_put_aside_has_nothing_to_read_for_who_takes_the_unit_over(tree: TreeBuilder) -> None:
    """The custodian's order passes over a keeper of whom it has heard nothing: that one's stream goes back to nothing,
    and nobody grants keys of it any more."""
    one, north, province, two = (at(tree, name) for name in ("one", "north", "province", "two"))
    add(one, one.unit_id, "Một")
    one.sql("INSERT INTO death (person_id, died_on, sex, cause) SELECT id, '2026-01-02', sex, 'I64' FROM person")
    tree.settle()
    order(tree, "north", one.unit_id, "two")
    among(tree, "north", "one", "two")
    add(two, one.unit_id, "Hai")
    among(tree, "north", "two")
    assert names(north, one.unit_id) == ["Hai", "Một"]
    force(tree, one.unit_id, "north")
    among(tree, "province", "north", "one")  # who was put aside is away
    [aside] = streams_of(north, one.unit_id, two)
    assert (aside.held_seq, aside.applied_seq) == (0, 0)
    assert keeper(north, one.unit_id) == north.node.node_id
    assert north.rows("SELECT p.full_name, d.cause FROM death AS d JOIN person AS p ON p.id = d.person_id") == [
        ("Một", "I64")]  # fmt: skip
    add(north, one.unit_id, "Ba")
    proven(tree, one.unit_id, "north", "province")
    assert names(province, one.unit_id) == ["Ba", "Một"]


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


def counts(node: TreeNode, unit_id: str) -> tuple[int, int]:
    query = "SELECT (SELECT count(*) FROM household WHERE unit_id = ?), (SELECT count(*) FROM person WHERE unit_id = ?)"
    return node.rows(query, (unit_id, unit_id))[0]


def test_households_pass_to_a_new_unit_and_come_back(tree: TreeBuilder) -> None:
    one, two, north, province = (at(tree, name) for name in ("one", "two", "north", "province"))
    for place in range(6):
        add_household(one, one.unit_id, str(place), f"Người {place}")
    tree.settle()
    split = new_unit(tree, "north", "13")
    move(tree, "north", one.unit_id, split, "1", "3", "4")
    tree.settle()
    for node in (one, north, province):
        assert (counts(node, one.unit_id), counts(node, split)) == ((3, 3), (3, 3))
    keeping.order(north.node, split, two.node.node_id, author="An", reason="")
    tree.settle()
    two.sql("UPDATE person SET education = '5' WHERE unit_id = ?", (split,))
    tree.settle()
    assert province.value("SELECT count(*) FROM person WHERE education = '5'") == counts(two, split)[1] == 3
    keeping.order(north.node, split, one.node.node_id, author="An", reason="")
    tree.settle()
    keeping.reassign(
        north.node, keeping.Move(from_unit=split, to_unit=one.unit_id, row_ids=None), author="An", reason=""
    )
    tree.settle()
    for node in (one, north, province):
        assert (counts(node, one.unit_id), counts(node, split)) == ((6, 6), (0, 0))
        assert node.value("SELECT count(*) FROM person WHERE education = '5'") == 3


def test_a_district_keeps_a_commune_without_a_station_until_one_joins(tree: TreeBuilder) -> None:
    north, province = at(tree, "north"), at(tree, "province")
    commune = new_unit(tree, "north", "14")
    keeping.order(north.node, commune, north.node.node_id, author="An", reason="")
    tree.settle()
    add(north, commune, "Một")
    tree.settle()
    assert names(province, commune) == ["Một"]


def test_on_postgresql_a_transaction_begun_before_the_order_is_waited_for(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    dsns = {name: postgres_server.create_database() for name in ("province", "north")}
    tree = TreeBuilder(tmp_path)
    province = tree.root(dsn=dsns["province"])
    north = tree.child(province, "north", "1", dsn=dsns["north"])
    one = tree.child(north, "one", "11")
    tree.settle()
    commune = new_unit(tree, "north", "14")
    keeping.order(north.node, commune, north.node.node_id, author="An", reason="")
    tree.settle()
    add(north, commune, "Một")
    with psycopg.connect(dsns["north"]) as clerk:
        clerk.execute("UPDATE person SET education = '7' WHERE full_name = 'Một'")
        keeping.order(north.node, commune, one.node.node_id, author="An", reason="")
        north.node.write()
        assert north.node.settle().waiting
        assert names(one, commune) == []
        with pytest.raises(Exception, match="one"):
            add(north, commune, "Hai")
        clerk.commit()
    tree.settle()
    assert one.rows("SELECT full_name, education FROM person") == [("Một", "7")]
    add(one, commune, "Hai")
    tree.settle()
    for node in (one, north, province):
        assert names(node, commune) == ["Hai", "Một"]
        assert node.rows("SELECT ok FROM syncd_checkpoint WHERE ok = 0") == []
    finish()
    for dsn in dsns.values():
        postgres_server.drop_database(dsn)


def test_whatever_a_dead_machine_kept_passes_on_with_it(tree: TreeBuilder) -> None:
    """Rows may have gone from one of its units to another: were one of them left, the two would never agree."""
    province, one, three = (at(tree, name) for name in ("province", "one", "three"))
    other = new_unit(tree, "north", "13")
    keeping.order(province.node, other, one.node.node_id, author="An", reason="")
    tree.settle()
    planned = keeping.plan(province.node, one.unit_id, three.node.node_id, forced=True)
    assert set(planned.also_kept) == {other}
    keeping.order(province.node, one.unit_id, three.node.node_id, author="An", reason="", forced=True)
    tree.settle()
    kept = "SELECT count(*) FROM syncd_keeper WHERE node_id = ? AND unit_id IN (?, ?)"
    assert province.value(kept, (three.node.node_id, one.unit_id, other)) == 2
    assert one.value("SELECT count(*) FROM syncd_keeper WHERE mine = 1") == 0
