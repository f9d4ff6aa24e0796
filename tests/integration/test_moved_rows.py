"""Rows that pass to another unit, at receivers: groups in pieces, rebuilding, keepers that claim what is not theirs."""

from __future__ import annotations

import pytest

from schema.spec import Kind
from syncd import baseline, floor, log
from syncd.reassign import packed
from syncd.rebuild import rebuild
from syncd.wire import INSERT
from tests.integration.handovers import (
    add_household,
    at,
    move,
    names,
    new_unit,
    order,
    proven,
)
from tests.trees import TreeBuilder, TreeNode

REGISTERS = "SELECT stream_id FROM syncd_stream WHERE kind = 1 AND unit_id = ? ORDER BY term DESC"
MOVED = 7  # persons of one household


def put_back(of: TreeNode, unit_id: str) -> None:
    """Rebuild a unit where it stands."""
    with of.store.apply("rebuild") as tx:
        found = log.stream(tx, of.value(REGISTERS, (unit_id,)))
        assert found is not None
        rebuild(tx, of.node.applier, found, {})


# --- groups in pieces ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows_max", [1, 3, 5])
@pytest.mark.parametrize("name", ["north", "province"])
def test_group_in_pieces_that_gives_rows_up_is_rebuilt_while_they_are_shown_elsewhere(
    tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch, rows_max: int, name: str
) -> None:
    monkeypatch.setattr("syncd.limits.GROUP_ROWS_MAX", rows_max)
    one = at(tree, "one")
    split = new_unit(tree, "north", "13")
    order(tree, "north", split, "one")
    tree.settle()
    add_household(one, one.unit_id, "1", *(f"Người {place}" for place in range(MOVED)))
    add_household(one, one.unit_id, "2", "Ở lại")
    one.sql("INSERT INTO death (unit_id, person_id, died_on, sex) SELECT unit_id, id, '2026-03-05', sex FROM person"
            " WHERE full_name = 'Người 0'")  # fmt: skip
    tree.settle()
    move(tree, "north", one.unit_id, split, "1")
    tree.settle()
    pieces = "SELECT count(*) FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id"
    assert at(tree, name).value(f"{pieces} WHERE s.unit_id = ? AND l.mark = 1", (one.unit_id,)) >= 2
    for unit_id in (one.unit_id, split, one.unit_id):
        put_back(at(tree, name), unit_id)
        assert names(at(tree, name), one.unit_id) == ["Ở lại"]
        assert len(names(at(tree, name), split)) == MOVED
    for unit_id in (one.unit_id, split):
        proven(tree, unit_id, "one", "north", "province")


def test_baseline_from_before_a_move_is_put_back_while_its_rows_are_shown_elsewhere(tree: TreeBuilder) -> None:
    one, province = at(tree, "one"), at(tree, "province")
    split = new_unit(tree, "north", "13")
    order(tree, "north", split, "one")
    tree.settle()
    add_household(one, one.unit_id, "1", "Người đi")
    add_household(one, one.unit_id, "2", "Ở lại")
    tree.settle()
    stream_id = province.value(REGISTERS, (one.unit_id,))
    assert baseline.make(province.node, stream_id) is not None
    with province.store.apply("forget") as tx:
        held = log.stream(tx, stream_id)
        assert held is not None
        assert floor.forget(tx, held, held.applied_seq) > 0
    move(tree, "north", one.unit_id, split, "1")
    tree.settle()
    for unit_id in (one.unit_id, split, one.unit_id):
        put_back(province, unit_id)
        assert names(province, one.unit_id) == ["Ở lại"]
        assert names(province, split) == ["Người đi"]
    for unit_id in (one.unit_id, split):
        proven(tree, unit_id, "one", "north", "province")


# --- rows left behind ------------------------------------------------------------------------------------------------


def passes(tree: TreeBuilder, unit_id: str, *keepers: str) -> None:
    """The province lets a unit pass from one to the next."""
    for name in keepers:
        order(tree, "province", unit_id, name)
        tree.settle()


def ordered(by: TreeNode, from_unit: str, to_unit: str) -> None:
    """An order to move rows that nobody has checked."""
    by.sql(
        "INSERT INTO reassignment (from_unit_id, to_unit_id, row_ids, reason, author, ordered_at)"
        " VALUES (?, ?, ?, '', 'x', '2026-01-01T00:00:00.000Z')", (from_unit, to_unit, packed(())))  # fmt: skip


def claims(of: TreeNode, unit_id: str, row_id: str) -> None:
    """A hostile keeper says that a row of another unit came into its own, and leaves no mark of a move."""
    of.broken = True
    with of.store.apply("hostile") as tx:
        tx.run("DELETE FROM person WHERE id = ?", (row_id,))
        tx.run(
            "INSERT INTO person (id, unit_id, full_name, sex, birth_date, birth_precision, ethnic, residence)"
            " VALUES (?, ?, 'Giả', 1, '1990-05-17', 'd', '01', 'usual')", (row_id, unit_id))  # fmt: skip
        tx.run(
            "INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id) VALUES (0, ?, ?, ?, ?)",
            (of.store.registry.by_name["person"].number, INSERT, row_id, unit_id),
        )
    of.node.write()


def typed(of: TreeNode, unit_id: str, name: str) -> str:
    add_household(of, unit_id, "1", name)
    return str(of.value("SELECT id FROM person WHERE full_name = ?", (name,)))


def kept_back(of: TreeNode, left: str, claimed: str, name: str) -> None:
    """The claim is not believed: the row is where it was, and what claims it stands still."""
    assert names(of, left) == [name]
    assert names(of, claimed) == []
    [(state, reason)] = of.rows(
        "SELECT state, reason FROM syncd_stream WHERE kind = ? AND unit_id = ? AND applied_seq < held_seq"
        " ORDER BY term LIMIT 1", (int(Kind.REGISTER), claimed))  # fmt: skip
    assert state == "waiting", reason
    assert "not given up here" in reason


def test_rows_left_behind_are_given_up_when_they_come_back_in_another_unit(tree: TreeBuilder) -> None:
    three, south = at(tree, "three"), at(tree, "south")
    left, taken = new_unit(tree, "province", "31"), new_unit(tree, "province", "32")
    passes(tree, left, "three")
    typed(three, left, "Một")
    passes(tree, left, "one")
    passes(tree, taken, "one")
    move(tree, "province", left, taken, "1")
    tree.settle()
    assert names(south, left) == ["Một"]  # nobody tells it any more
    passes(tree, taken, "three")
    assert (names(south, left), names(south, taken)) == ([], ["Một"])
    proven(tree, taken, "three", "south", "province")


def test_keeper_that_never_had_a_unit_takes_no_rows_of_it(tree: TreeBuilder) -> None:
    one, three, south = at(tree, "one"), at(tree, "three"), at(tree, "south")
    left, taken = new_unit(tree, "province", "31"), new_unit(tree, "province", "32")
    passes(tree, left, "three")
    row_id = typed(three, left, "Một")
    passes(tree, left, "two")
    passes(tree, taken, "one")
    ordered(at(tree, "province"), left, taken)
    tree.settle()
    claims(one, taken, row_id)
    passes(tree, taken, "three")
    kept_back(south, left, taken, "Một")


@pytest.mark.parametrize(
    ("signer", "parent"),
    [(name, "province") for name in ("nobody", "two", "south", "north", "one")] + [("south", "south")],
)
def test_rows_of_another_unit_come_only_by_order_of_who_answers_for_it(
    tree: TreeBuilder, signer: str, parent: str
) -> None:
    """Who kept it meanwhile claims them later: by no order, by that of who does not stand above it, of who does, but
    not above the unit, and by its own."""
    one, three, south = at(tree, "one"), at(tree, "three"), at(tree, "south")
    left, taken = new_unit(tree, parent, "31"), new_unit(tree, "province", "32")
    other = new_unit(tree, "province", "33")
    passes(tree, left, "three")
    row_id = typed(three, left, "Một")
    passes(tree, left, "one", "two")
    passes(tree, taken, "one")
    ordered(at(tree, "province"), other, taken)  # so that rows which others minted may come
    if signer != "nobody":
        ordered(at(tree, signer), left, taken)
    tree.settle()
    claims(one, taken, row_id)
    passes(tree, taken, "three")
    kept_back(south, left, taken, "Một")


@pytest.mark.parametrize("later", ["two", "three"])
def test_rows_of_a_unit_that_is_heard_of_wait_for_its_own_word(tree: TreeBuilder, later: str) -> None:
    """Whoever keeps it now, below this node or elsewhere: what the same keeper wrote about it comes here too."""
    one, north = at(tree, "one"), at(tree, "north")
    left, taken = new_unit(tree, "province", "31"), new_unit(tree, "province", "32")
    passes(tree, left, "one")
    row_id = typed(one, left, "Một")
    passes(tree, left, later)
    passes(tree, taken, "one")
    ordered(at(tree, "province"), left, taken)
    tree.settle()
    claims(one, taken, row_id)
    tree.settle()
    kept_back(north, left, taken, "Một")
    kept_back(at(tree, "province"), left, taken, "Một")


def test_rows_of_a_unit_that_came_here_once_wait_for_its_own_word(tree: TreeBuilder) -> None:
    """Who followed the keeper hears what that wrote, wherever the unit went afterwards."""
    one, south = at(tree, "one"), at(tree, "south")
    left, taken = new_unit(tree, "province", "31"), new_unit(tree, "province", "32")
    passes(tree, left, "one")
    row_id = typed(one, left, "Một")
    passes(tree, left, "three", "two")
    passes(tree, taken, "one")
    ordered(at(tree, "province"), left, taken)
    tree.settle()
    claims(one, taken, row_id)
    passes(tree, taken, "three")
    kept_back(south, left, taken, "Một")
