"""Persons with rows in several units are one in every sum over these units, in figures and in the view alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.inputs.figures import figures
from tests.integration.registers import Registers, move, person, registers
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode

MIXTURES = {"sqlite": (), "postgres": ("province",)}
LINK = (
    "INSERT INTO person_link (unit_id, link_id, person_id, state, method, score, decided_by, decided_at)"
    " VALUES (?, ?, ?, ?, 'person', 1000, 'cán bộ', '2026-09-21T00:00:00Z')"
)


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Registers]:
    with postgres_server.databases(MIXTURES[request.param]) as dsns:
        made = registers(TreeBuilder(tmp_path), dsns)
        yield made
        for node in made.nodes:
            node.store.close()


def link(tree: Registers, number: int, *person_ids: str, state: str = "linked") -> str:
    """As the province says that rows are one person, or may be; returns the link's id."""
    link_id = f"01900000-0000-7000-8000-{number:012x}"
    marks = ", ".join("?" * len(person_ids))
    rows = tree.province.rows(f"SELECT id, unit_id FROM person WHERE id IN ({marks})", person_ids)
    with tree.province.store.write("link") as tx:
        for person_id, unit_id in rows:
            tx.run(LINK, (unit_id, link_id, person_id, state))
    return link_id


def usual(at: TreeNode, *units: str) -> int:
    with at.store.read() as tx:
        return figures(tx, at.store.registry, units, "2026-11").usual.total


def view(at: TreeNode) -> int:
    stock = int(at.value("SELECT sum(n) FROM v_population WHERE residence IN ('usual', 'absent')"))
    return stock - int(at.value("SELECT coalesce(sum(n), 0) FROM v_counted_twice"))


def test_linked_rows_count_once_in_sums_and_each_in_its_own_unit(tree: Registers) -> None:
    one, other = person(tree.a), person(tree.b)
    person(tree.a)
    tree.settle()
    units = (tree.a.unit_id, tree.b.unit_id)
    assert (usual(tree.province, *units), view(tree.province)) == (3, 3)
    link_id = link(tree, 1, one, other)
    assert (usual(tree.province, *units), view(tree.province)) == (2, 2)
    assert [usual(tree.province, unit) for unit in units] == [2, 1]
    tree.province.sql("UPDATE person_link SET state = 'unlinked' WHERE link_id = ?", (link_id,))
    assert (usual(tree.province, *units), view(tree.province)) == (3, 3)


def test_rows_linked_by_way_of_a_third_are_one_person(tree: Registers) -> None:
    rows = [person(tree.a), person(tree.b), person(tree.c), person(tree.c)]
    tree.settle()
    link(tree, 1, rows[0], rows[1])
    link(tree, 2, rows[1], rows[2])
    link(tree, 3, rows[2], rows[3], state="proposed")  # nobody has said so yet
    units = (tree.a.unit_id, tree.b.unit_id, tree.c.unit_id)
    assert (usual(tree.province, *units), view(tree.province)) == (2, 2)
    assert usual(tree.province, tree.a.unit_id, tree.c.unit_id) == 2


def test_who_moved_counts_where_the_arrival_is_and_once_if_the_departure_is_late(tree: Registers) -> None:
    here, there = person(tree.b, ethnic="02"), person(tree.a)
    move(tree.b, here, "arrival", "2026-09-03")
    tree.settle()
    link(tree, 1, there, here)
    rows = tree.province.rows("SELECT unit_id, ethnic, n FROM v_counted_twice")
    assert rows == [(tree.a.unit_id, "01", 1)]  # its row came first
    tree.a.sql("UPDATE person SET residence = 'departed' WHERE id = ?", (there,))
    tree.settle()
    assert tree.province.rows("SELECT unit_id, ethnic, n FROM v_counted_twice") == []
    assert (usual(tree.province, tree.a.unit_id, tree.b.unit_id), view(tree.province)) == (1, 1)


def test_rows_that_two_links_name_are_one_person(tree: Registers) -> None:
    one, other = person(tree.a), person(tree.b)
    tree.settle()
    for number in (1, 2):
        link(tree, number, one, other)
    units = (tree.a.unit_id, tree.b.unit_id)
    assert (usual(tree.province, *units), view(tree.province)) == (1, 1)
