"""An earlier keeper's own words: what became of them reaches it, what cannot be passed on is said, and nothing it shows
of the unit passes for what is kept (I5, I11, I12)."""

from __future__ import annotations

import json

import pytest

from conflict.case import CaseKind
from syncd.cases import open_case
from syncd.errors import UsageError
from syncd.proposals import every, pending
from syncd.proposing import Wish, propose
from syncd.prove import exit_code, prove
from syncd.review.standing import waiting
from syncd.status import status
from tests.integration import handovers
from tests.integration.copies import Copy, copy_of
from tests.integration.handovers import at
from tests.trees import TreeBuilder, TreeNode


def restored_to_before(tree: TreeBuilder, to: str) -> TreeNode:
    """A commune put back to before its unit passed on, which types: a change, a person, a death with its cause."""
    one = at(tree, "one")
    handovers.add(one, one.unit_id, "Một")
    tree.settle()
    yesterday: Copy = copy_of(one)
    handovers.order(tree, "province", one.unit_id, to)
    tree.settle()
    yesterday.put_back()
    one.sql("UPDATE person SET phone = '0777'")
    handovers.add(one, one.unit_id, "Hai")
    one.sql(
        "INSERT INTO death (person_id, died_on, sex, cause) SELECT id, '2026-03-05', 1, 'tuổi già' FROM person"
        " WHERE full_name = 'Hai'"
    )
    tree.settle()
    return one


def shown(node: TreeNode) -> tuple[int, int]:
    """Undecided proposals, and those this node lists as waiting."""
    with node.store.read() as tx:
        return status(tx).undecided, len(pending(tx, node.node.clock()))


@pytest.mark.parametrize("to", ["north", "two", "three"], ids=["its parent", "a sibling", "another branch"])
def test_verdicts_about_its_own_words_reach_an_earlier_keeper(tree: TreeBuilder, to: str) -> None:
    one = restored_to_before(tree, to)
    assert handovers.names(at(tree, "province"), one.unit_id) == ["Hai", "Một"], "its wishes were accepted"
    assert shown(one) == (0, 0)
    with one.store.read() as tx:
        found = every(tx, one.node.clock())
    assert {each.state for each in found} == {"accepted"}
    assert len(found) == 3
    assert all(each.decided_at for each in found)
    told_by = "north" if to in ("north", "two") else "province"
    assert one.rows("SELECT DISTINCT substr(id, 29) FROM notice") == [(at(tree, told_by).keys.tag,)]
    assert at(tree, "province").value("SELECT count(*) FROM notice") == 3, "each is told once"


def test_verdicts_reach_a_tier_that_had_proposed_before_the_unit_left_it(tree: TreeBuilder) -> None:
    """The district's wish is on its way when the unit passes to another branch, or to the province."""
    for name, to in (("one", "three"), ("two", "province")):
        commune = at(tree, name)
        handovers.add(commune, commune.unit_id, "Một")
        tree.settle()
        row_id = str(commune.value("SELECT id FROM person"))
        handovers.order(tree, "province", commune.unit_id, to)
        handovers.propose(at(tree, "north"), commune.unit_id, row_id, {"phone": None}, {"phone": "1"})
    tree.settle()
    assert at(tree, "province").rows("SELECT DISTINCT phone FROM person") == [("1",)]
    assert shown(at(tree, "north")) == (0, 0)


def test_notice_tells_no_value_and_nothing_else_of_the_unit(tree: TreeBuilder) -> None:
    one = restored_to_before(tree, "two")
    handovers.add(at(tree, "two"), one.unit_id, "Ba")
    tree.settle()
    columns = [column.name for column in one.store.registry.by_name["notice"].columns]
    assert columns == ["proposal_id", "verdict_id", "outcome", "decided_at"]
    assert one.rows("SELECT full_name FROM person WHERE full_name = 'Ba'") == []
    assert one.value("SELECT count(*) FROM verdict WHERE unit_id = ?", (one.unit_id,)) == 0


def test_what_is_for_the_keepers_eyes_and_cannot_be_passed_on_is_said(tree: TreeBuilder) -> None:
    one = restored_to_before(tree, "north")
    held = one.rows("SELECT op, wished FROM syncd_wish")
    assert [(op, json.loads(wished)) for op, wished in held] == [("kept", {"cause": "tuổi già"})]
    cases = one.rows("SELECT kind, detail FROM syncd_case WHERE closed_at IS NULL AND row_id IS NOT NULL")
    assert [(kind, json.loads(detail)["table"], json.loads(detail)["is_elsewhere"]) for kind, detail in cases] == [
        ("fork", "death", 1)
    ]
    assert at(tree, "north").rows("SELECT cause FROM death") == [(None,)]


def test_review_that_is_settled_later_is_told_again(tree: TreeBuilder) -> None:
    one = at(tree, "one")
    handovers.add(one, one.unit_id, "Một")
    tree.settle()
    yesterday = copy_of(one)
    handovers.order(tree, "province", one.unit_id, "two")
    tree.settle()
    at(tree, "two").sql("UPDATE person SET full_name = 'Mot'")
    tree.settle()
    yesterday.put_back()
    one.sql("UPDATE person SET full_name = 'Môt'")
    tree.settle()
    with one.store.read() as tx:
        assert [each.state for each in pending(tx, one.node.clock())] == ["review"]
    two = at(tree, "two")
    review = two.value("SELECT id FROM verdict WHERE outcome = 'review'")
    proposal = two.value("SELECT proposal_id FROM verdict WHERE outcome = 'review'")
    two.sql(
        "INSERT INTO verdict (unit_id, proposal_id, outcome, detail, decided_at, decided_by, resolves)"
        " VALUES (?, ?, 'rejected', '{}', '2031-01-01T00:00:00.000Z', 'An', ?)",
        (one.unit_id, proposal, review),
    )
    tree.settle()
    with one.store.read() as tx:
        assert [each.state for each in every(tx, one.node.clock())] == ["rejected"]


def test_earlier_keeper_shows_its_old_rows_as_past_and_says_who_changes_them(tree: TreeBuilder) -> None:
    one = restored_to_before(tree, "north")
    past = "SELECT DISTINCT is_past FROM person_with_pending UNION ALL SELECT DISTINCT is_past FROM v_population"
    assert one.rows(past) == [(1,), (1,)]
    assert at(tree, "north").rows(past) == [(0,), (0,)]
    assert at(tree, "province").rows(past) == [(0,), (0,)]
    row_id = one.value("SELECT id FROM person")
    wish = Wish(operation="update", table="person", row_id=row_id, unit_code=None, wished={"phone": "1"}, author="A",
                reason="")  # fmt: skip
    with pytest.raises(UsageError, match="north") as refused:
        propose(one.store, wish, one.node.clock())
    assert "wait" not in str(refused.value)
    for node in tree.nodes:
        node.node.checkpoint()
    tree.settle()
    for node in tree.nodes:
        with node.store.read() as tx:
            assert exit_code(prove(tx, node.store.registry, node.node.ring)) == 0, node.name


def test_case_about_a_unit_that_passed_on_is_not_this_nodes_to_decide(tree: TreeBuilder) -> None:
    one = at(tree, "one")
    handovers.add(one, one.unit_id, "Một")
    tree.settle()
    for node in (one, at(tree, "north")):
        with node.store.apply("case") as tx:
            open_case(tx, CaseKind.RULE_VIOLATED, ("1",), opened_at="2026-01-01T00:00:00.000Z", detail={},
                      unit_id=one.unit_id)  # fmt: skip

    def decides(node: TreeNode) -> list[int]:
        with node.store.read() as tx:
            return [each.here for each in waiting(tx) if each.kind == CaseKind.RULE_VIOLATED]

    assert decides(one) == [1]
    handovers.order(tree, "province", one.unit_id, "north")
    tree.settle()
    assert decides(one) == [0]
    assert decides(at(tree, "north")) == [1]
