"""What a keeper says of wishes that were not addressed to it counts for nothing (I4, I11)."""

from __future__ import annotations

import json

import pytest

from tests.integration.handovers import add_household, among, at, move, new_unit, order, propose
from tests.integration.test_moved_wishes import person, split, wish
from tests.trees import TreeBuilder, TreeNode

VERDICT = (
    "INSERT INTO verdict (unit_id, proposal_id, outcome, row_id, detail, decided_at, decided_by)"
    " VALUES (?, ?, ?, ?, '{}', '2026-09-02T00:00:00.000Z', 'x')"
)
STANDING = "SELECT unit_id, outcome FROM verdict WHERE proposal_id = ? AND id <> ? ORDER BY resolves IS NOT NULL"


@pytest.fixture
def tree(tree: TreeBuilder) -> TreeBuilder:
    """The district keeps two units, of which one has two persons."""
    one = at(tree, "one")
    order(tree, "north", new_unit(tree, "north", "13"), "north")
    tree.settle()
    add_household(one, one.unit_id, "1", "Người đi")
    add_household(one, one.unit_id, "2", "Ở lại")
    tree.settle()
    order(tree, "north", one.unit_id, "north")
    tree.settle()
    return tree


def says(node: TreeNode, proposal_id: str, outcome: str, row_id: str | None = None) -> str:
    """A verdict in the unit that a node keeps, about whatever."""
    node.sql(VERDICT, (node.unit_id, proposal_id, outcome, row_id))
    return str(node.value("SELECT id FROM verdict WHERE proposal_id = ?", (proposal_id,)))


def test_wish_that_another_keeper_says_it_referred_is_decided(tree: TreeBuilder) -> None:
    proposal_id = wish(tree, "province")
    strange = says(at(tree, "two"), proposal_id, "referred")
    among(tree, "two", "north")
    tree.settle()
    assert at(tree, "province").rows(STANDING, (proposal_id, strange)) == [(at(tree, "one").unit_id, "accepted")]


def test_new_row_that_another_keeper_says_it_referred_is_decided(tree: TreeBuilder) -> None:
    province, unit_id = at(tree, "province"), at(tree, "one").unit_id
    values = {"full_name": "Mới", "sex": 1, "birth_date": "1990-05-17", "birth_precision": "d", "ethnic": "01",
              "residence": "usual"}  # fmt: skip
    province.sql(
        "INSERT INTO proposal (unit_id, table_name, operation, seen, wished, author, reason, made_at, author_depth)"
        " VALUES (?, 'person', 'insert', '{}', ?, 'An', 'x', '2026-09-01T00:00:00.000Z', 0)",
        (unit_id, json.dumps(values)),
    )
    proposal_id = str(province.value("SELECT id FROM proposal"))
    strange = says(at(tree, "two"), proposal_id, "referred")
    among(tree, "two", "north")
    tree.settle()
    assert province.rows(STANDING, (proposal_id, strange)) == [(unit_id, "accepted")]


def test_wish_is_referred_by_its_keeper_whoever_else_says_so(tree: TreeBuilder) -> None:
    proposal_id = wish(tree, "province")
    strange = says(at(tree, "two"), proposal_id, "referred")
    move(tree, "north", at(tree, "one").unit_id, split(tree), "1")
    among(tree, "two", "north")
    tree.settle()
    found = at(tree, "province").rows(STANDING, (proposal_id, strange))
    assert found == [(at(tree, "one").unit_id, "referred"), (split(tree), "accepted")]
    resolved = at(tree, "province").value("SELECT resolves FROM verdict WHERE outcome = 'accepted'")
    assert resolved != strange


def test_no_other_keeper_says_which_row_a_wish_is_about(tree: TreeBuilder) -> None:
    two, province = at(tree, "two"), at(tree, "province")
    named = person(province)
    other = str(province.value("SELECT id FROM person WHERE full_name = 'Ở lại'"))
    two.sql(
        "INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
        " author_depth) VALUES (?, 'person', ?, 'insert', '{}', ?, 'An', 'x', '2026-09-01T00:00:00.000Z', 2)",
        (two.unit_id, named, json.dumps({"full_name": "x"})),
    )
    says(two, str(two.value("SELECT id FROM proposal")), "accepted", other)
    tree.settle()
    propose(province, at(tree, "one").unit_id, named, {"phone": None}, {"phone": "0777"})
    tree.settle()
    assert province.rows("SELECT full_name, phone FROM person ORDER BY full_name") == [
        ("Người đi", "0777"), ("Ở lại", None)]  # fmt: skip
