"""Wishes about rows that pass to another unit of their keeper: decided once, wherever the units go afterwards (I11)."""

from __future__ import annotations

import json

import pytest

from syncd import log
from syncd.proposals import every
from syncd.rebuild import rebuild
from tests.integration.handovers import (
    MEMBER,
    add_household,
    among,
    at,
    force,
    late,
    move,
    new_unit,
    order,
    propose,
    proven,
)
from tests.integration.shapes import Died
from tests.trees import TreeBuilder, TreeNode, exchange, step

REGISTER = "SELECT stream_id FROM syncd_stream WHERE kind = 1 AND unit_id = ?"
VERDICTS = "SELECT unit_id, outcome FROM verdict WHERE proposal_id = ? ORDER BY decided_at, resolves IS NOT NULL"
PHONE = "SELECT phone FROM person WHERE full_name = 'Người đi'"


@pytest.fixture
def tree(tree: TreeBuilder) -> TreeBuilder:
    """One keeps two units; each of two households of the first has a person."""
    one = at(tree, "one")
    order(tree, "north", new_unit(tree, "north", "13"), "one")
    tree.settle()
    add_household(one, one.unit_id, "1", "Người đi")
    add_household(one, one.unit_id, "2", "Ở lại")
    tree.settle()
    return tree


def split(tree: TreeBuilder) -> str:
    return str(at(tree, "province").value("SELECT id FROM unit WHERE code = '13'"))


def person(of: TreeNode) -> str:
    return str(of.value("SELECT id FROM person WHERE full_name = 'Người đi'"))


def wish(tree: TreeBuilder, by: str = "north") -> str:
    """About the person who goes, addressed to the unit she leaves; returns its id."""
    node, one = at(tree, by), at(tree, "one")
    propose(node, one.unit_id, person(node), {"phone": None}, {"phone": "0777"})
    return str(node.value("SELECT id FROM proposal"))


def referred(tree: TreeBuilder) -> str:
    """The row has gone when the wish about it arrives: it is decided in the unit where it is now. Returns its id."""
    proposal_id = wish(tree, "province")
    move(tree, "north", at(tree, "one").unit_id, split(tree), "1")
    among(tree, "north", "one")
    tree.settle()
    return proposal_id


def test_wish_is_decided_where_its_row_is_and_the_unit_it_names_says_so(tree: TreeBuilder) -> None:
    one = at(tree, "one")
    proposal_id = referred(tree)
    for name in ("one", "north", "province"):
        assert at(tree, name).rows(VERDICTS, (proposal_id,)) == [(one.unit_id, "referred"), (split(tree), "accepted")]
        assert at(tree, name).value(PHONE) == "0777"
    with at(tree, "province").store.read() as tx:
        assert [each.state for each in every(tx, 0)] == ["accepted"]
    proven(tree, split(tree), "one", "north", "province")


def test_who_keeps_the_unit_next_and_hears_nothing_of_the_other_leaves_the_wish_alone(tree: TreeBuilder) -> None:
    one, three = at(tree, "one"), at(tree, "three")
    proposal_id = referred(tree)
    order(tree, "province", one.unit_id, "three")
    tree.settle()
    assert three.rows(VERDICTS, (proposal_id,)) == [(one.unit_id, "referred")]
    assert three.value("SELECT count(*) FROM proposal") == 1
    with three.store.read() as tx:
        assert [each.state for each in every(tx, 0)] == ["referred"]
    assert at(tree, "province").value("SELECT count(*) FROM verdict WHERE outcome <> 'referred' AND proposal_id = ?",
                                      (proposal_id,)) == 1  # fmt: skip
    proven(tree, one.unit_id, "three", "south", "province")


def test_verdict_is_shown_behind_the_word_of_the_unit_that_the_wish_names(tree: TreeBuilder) -> None:
    one, province = at(tree, "one"), at(tree, "province")
    proposal_id = referred(tree)
    named, where = (province.value(REGISTER, (unit_id,)) for unit_id in (one.unit_id, split(tree)))
    shown = {stream_id: log_position(province, stream_id) for stream_id in (named, where)}
    for stream_id in (where, named):  # the verdict and the referral are the last of each
        with province.store.apply("rebuild") as tx:
            found = log.stream(tx, stream_id)
            assert found is not None
            rebuild(tx, province.node.applier, found, {stream_id: shown[stream_id] - 1})
    assert province.rows(VERDICTS, (proposal_id,)) == []
    province.node.applier.apply(where)
    assert province.rows(VERDICTS, (proposal_id,)) == []
    assert "not referred to it" in province.value("SELECT reason FROM syncd_stream WHERE stream_id = ?", (where,))
    province.node.applier.apply(named)
    province.node.applier.apply(where)
    assert [row[1] for row in province.rows(VERDICTS, (proposal_id,))] == ["referred", "accepted"]
    proven(tree, split(tree), "one", "north", "province")


def log_position(of: TreeNode, stream_id: str) -> int:
    return int(of.value("SELECT applied_seq FROM syncd_stream WHERE stream_id = ?", (stream_id,)))


class Dies:
    """Fails at the second commit of a stage."""

    def __init__(self, stage: str) -> None:
        self._point, self._left = f"{stage}:before-commit", 2

    def __call__(self, name: str) -> None:
        self._left -= name == self._point
        if self._left == 0:
            raise Died(name)


def test_heir_decides_what_the_keeper_referred_and_did_not_decide_any_more(tree: TreeBuilder) -> None:
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    proposal_id = wish(tree, "province")
    move(tree, "north", at(tree, "one").unit_id, split(tree), "1")
    among(tree, "north", "one")
    one.store.failpoint = Dies("decide")
    with pytest.raises(Died):
        tree.settle()
    one.reopen()
    assert one.link is not None
    exchange(one.link, north.desk, one)
    among(tree, "north", "province")
    assert province.rows(VERDICTS, (proposal_id,)) == [(one.unit_id, "referred")]
    force(tree, one.unit_id, "two", revoke=True)
    among(tree, "north", "province", "two")
    assert province.rows(VERDICTS, (proposal_id,)) == [(one.unit_id, "referred"), (split(tree), "accepted")]
    assert [north.value(PHONE), province.value(PHONE), at(tree, "two").value(PHONE)] == ["0777"] * 3


def test_late_move_is_not_wished_as_deletions_and_insertions(tree: TreeBuilder) -> None:
    """What the order says, whoever keeps both units now carries out; what was written about the rows is wished."""
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    move(tree, "north", at(tree, "one").unit_id, split(tree), "1")
    among(tree, "north", "one")  # the province hears nothing of it
    one.sql("UPDATE person SET phone = '0555' WHERE full_name = 'Người đi'")
    one.sql("DELETE FROM person WHERE full_name = 'Ở lại'")
    among(tree, "north", "one")
    force(tree, one.unit_id, "two")
    tree.settle()
    for stream_id in late(north):
        north.node.adopt_late(stream_id, "Bình")
    wishes = north.rows("SELECT unit_id, table_name, operation, wished FROM proposal ORDER BY operation")
    assert [(row[1], row[2]) for row in wishes] == [("person", "delete"), ("person", "update")]
    assert '"0555"' in wishes[1][3]
    tree.settle()
    assert province.rows("SELECT unit_id, full_name, phone FROM person ORDER BY full_name") == [
        (split(tree), "Người đi", "0555"), (one.unit_id, "Ở lại", None)]  # fmt: skip
    assert province.rows("SELECT case_kind FROM verdict WHERE outcome = 'review'") == [("delete_proposed",)]
    proven(tree, split(tree), "two", "north", "province")
    proven(tree, one.unit_id, "two", "north", "province")


def test_rows_deleted_beside_a_late_move_are_wished_deleted(tree: TreeBuilder) -> None:
    """Before the household went, and after it had come: neither is the order's word."""
    one, north = at(tree, "one"), at(tree, "north")
    for name in ("Mất trước", "Mất sau"):
        one.sql(MEMBER, (name, "1", one.unit_id))
    tree.settle()
    one.node.write()
    one.sql("DELETE FROM person WHERE full_name = 'Mất trước'")
    step(one)
    move(tree, "north", one.unit_id, split(tree), "1")
    for _ in range(4):
        step(one)
        north.node.write()
    one.sql("DELETE FROM person WHERE full_name = 'Mất sau'")
    step(one)
    force(tree, one.unit_id, "two")
    tree.settle()
    for stream_id in late(north):
        north.node.adopt_late(stream_id, "Bình")
    query = "SELECT r.full_name, p.operation FROM proposal AS p LEFT JOIN person AS r ON r.id = p.row_id ORDER BY 1"
    assert north.rows(query) == [("Mất sau", "delete"), ("Mất trước", "delete")]


def test_wish_about_a_row_by_the_id_it_was_wished_under_reaches_it(tree: TreeBuilder) -> None:
    """Late writes are admitted in two parts, and the unit passes on between: the new row bears another node's id."""
    north, one = at(tree, "north"), at(tree, "one")
    wished = {"full_name": "Mới", "sex": 1, "birth_date": "1990-05-17", "birth_precision": "d", "ethnic": "01",
              "residence": "usual"}  # fmt: skip
    row_id = f"019b0000-0001-7000-8000-0000{at(tree, 'two').keys.tag}"
    query = (
        "INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
        " author_depth) VALUES (?, 'person', ?, ?, ?, ?, 'An', 'x', ?, 1)"
    )
    for operation, seen, values, made_at in (
        ("insert", {}, wished, "2026-09-01"), ("update", {"phone": None}, {"phone": "0777"}, "2026-09-02"),
    ):  # fmt: skip
        said = (json.dumps(seen), json.dumps(values), f"{made_at}T00:00:00.000Z")
        north.sql(query, (one.unit_id, row_id, operation, *said))
        tree.settle()
    [(kept_id, phone)] = one.rows("SELECT id, phone FROM person WHERE full_name = 'Mới'")
    assert kept_id[28:] == one.keys.tag
    assert phone == "0777"
    assert north.value("SELECT count(*) FROM verdict WHERE row_id = ?", (kept_id,)) == 2


def test_newer_wish_supersedes_whichever_id_names_the_row(tree: TreeBuilder) -> None:
    """Both name the row by the id it was wished under."""
    north, one = at(tree, "north"), at(tree, "one")
    wished = {"full_name": "Mới", "sex": 1, "birth_date": "1990-05-17", "birth_precision": "d", "ethnic": "01",
              "residence": "usual"}  # fmt: skip
    row_id = f"019b0000-0001-7000-8000-0000{at(tree, 'two').keys.tag}"
    query = (
        "INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
        " author_depth) VALUES (?, 'person', ?, ?, ?, ?, 'An', 'x', ?, 1)"
    )
    north.sql(query, (one.unit_id, row_id, "insert", "{}", json.dumps(wished), "2026-09-01T00:00:00.000Z"))
    tree.settle()
    for name, day in (("Mới A", 2), ("Mới B", 3)):
        said = (json.dumps({"full_name": "Mới"}), json.dumps({"full_name": name}), f"2026-09-0{day}T00:00:00.000Z")
        north.sql(query, (one.unit_id, row_id, "update", *said))
    tree.settle()
    found = "SELECT v.outcome FROM proposal AS p JOIN verdict AS v ON v.proposal_id = p.id ORDER BY p.made_at"
    assert [row[0] for row in north.rows(found)] == ["accepted", "rejected", "accepted"]


def test_referred_wish_is_shown_as_pending_until_it_is_decided(tree: TreeBuilder) -> None:
    one, north, province = at(tree, "one"), at(tree, "north"), at(tree, "province")
    proposal_id = wish(tree, "province")
    move(tree, "north", one.unit_id, split(tree), "1")
    among(tree, "north", "one")
    one.store.failpoint = Dies("decide")
    with pytest.raises(Died):
        tree.settle()
    one.reopen()
    assert one.link is not None
    exchange(one.link, north.desk, one)
    among(tree, "north", "province")
    assert province.rows(VERDICTS, (proposal_id,)) == [(one.unit_id, "referred")]
    query = "SELECT phone, pending FROM person_with_pending WHERE full_name = 'Người đi'"
    assert province.rows(query) == [("0777", "update")]
    tree.settle()
    assert province.rows(query) == [("0777", None)]
