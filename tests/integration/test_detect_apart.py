"""A row or a stream that makes looking for disagreements fail keeps nobody else's from being found."""

from __future__ import annotations

from pathlib import Path

import pytest

from conflict.case import CaseKind
from tests.contained import Contained
from tests.integration.registers import Registers, birth, cases, mother, person, registers
from tests.integration.shapes import own_stream
from tests.trees import TreeBuilder, TreeNode

CITIZEN_ID = "042199000124"


@pytest.fixture
def tree(tmp_path: Path) -> Registers:
    return registers(TreeBuilder(tmp_path))


def spoil(at: TreeNode, row_id: str, born_on: str) -> None:
    """As in a table that another program made anew without its rules."""
    with at.store.apply("spoil") as tx:
        tx.run("PRAGMA ignore_check_constraints = ON")
        tx.run("UPDATE birth SET born_on = ? WHERE id = ?", (born_on, row_id))
        tx.run("PRAGMA ignore_check_constraints = OFF")


def twins(at: TreeNode) -> list[str]:
    who = mother(at)
    return [birth(at, mother_id=who, born_on=day) for day in ("2026-03-01", "2026-03-03")]


def stopped(at: TreeNode) -> list[dict[str, object]]:
    return [detail for _id, _kind, detail in cases(at, CaseKind.DUTY_STOPPED)]


def test_a_row_no_rule_can_read_is_named_and_all_others_are_judged(tree: Registers, contained: Contained) -> None:
    first, second = twins(tree.a)
    tree.settle()
    assert tree.found_at(CaseKind.TWIN_EVENT) == {"a": 1}
    known = cases(tree.a, CaseKind.TWIN_EVENT)
    spoil(tree.a, first, "không rõ")
    tree.a.sql("UPDATE birth SET born_on = '2026-03-04' WHERE id = ?", (second,))
    others = twins(tree.a)
    same = [person(at, citizen_id=CITIZEN_ID) for at in (tree.a, tree.b)]
    tree.settle()
    found = {row[0] for row in tree.a.rows("SELECT row_id FROM syncd_case WHERE kind = 'twin_event'"
                                           " AND closed_at IS NULL")}  # fmt: skip
    assert set(others) & found, "of the very same rule"
    assert known[0] in cases(tree.a, CaseKind.TWIN_EVENT), "nobody says that it is gone"
    assert tree.found_at(CaseKind.DUPLICATE_CITIZEN_ID) == {"district": 1}
    assert same
    said = stopped(tree.a)
    assert said
    assert all("events.py:" in str(each["error"]) for each in said), "the place"
    assert {str(each["about"]).split()[-1] for each in said} <= {first, second}
    assert contained.bugs
    contained.bugs.clear()

    spoil(tree.a, first, "2026-03-01")
    tree.a.sql("UPDATE birth SET born_on = '2026-03-03' WHERE id = ?", (second,))
    tree.settle()
    assert stopped(tree.a) == []
    assert len(cases(tree.a, CaseKind.TWIN_EVENT)) == 2


def test_a_log_that_cannot_be_read_keeps_no_other_from_being_looked_at(tree: Registers, contained: Contained) -> None:
    person(tree.a)
    tree.settle()
    register = own_stream(tree.a)
    sound = tree.district.rows("SELECT seq, envelope FROM syncd_log WHERE stream_id = ? ORDER BY seq", (register,))
    with tree.district.store.apply("spoil") as tx:
        tx.run("UPDATE syncd_log SET envelope = ? WHERE stream_id = ?", (b"x" * 40, register))
        tx.run("DELETE FROM syncd_looked WHERE stream_id = ?", (register,))
    tree.district.reopen()
    for _ in range(2):
        person(tree.b, citizen_id=CITIZEN_ID)
        tree.b.node.write()
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_CITIZEN_ID) == {"b": 1}
    said = tree.district.rows("SELECT stream_id FROM syncd_case WHERE kind = 'duty_stopped' AND closed_at IS NULL")
    assert said == [(register,)]
    assert tree.district.node.look().waiting is False
    contained.stopped.clear()
    contained.bugs.clear()

    with tree.district.store.apply("mend") as tx:
        tx.many("UPDATE syncd_log SET envelope = ? WHERE stream_id = ? AND seq = ?",
                [(envelope, register, seq) for seq, envelope in sound])  # fmt: skip
    tree.district.reopen()
    tree.settle()
    assert stopped(tree.district) == []
