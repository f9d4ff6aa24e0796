"""Every case of design §5, settled: who decides, what the verdict writes, what each unit sees, and the way back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conflict.case import CaseKind
from syncd.cases import open_case
from syncd.disagreements import Conflict, conflict, conflicts
from syncd.errors import PermissionDenied, UsageError
from syncd.proposing import Wish, propose
from syncd.review.desk import Asked
from syncd.review.resolve import resolve, undo
from syncd.review.standing import open_reviews, unmatched_moves, unsettled_cases, waiting
from syncd.review.verbs import Verb
from tests.integration.registers import Registers, birth, cases, death, insert, mother, move, person, registers
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder, TreeNode

MIXTURES = {"sqlite": (), "postgres": ("province", "district", "a")}
CITIZEN_ID = "042199000123"
BY = "Lê Thị Cán Bộ"


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[Registers]:
    with postgres_mix.databases(MIXTURES[request.param]) as dsns:
        made = registers(TreeBuilder(tmp_path), dsns)
        yield made
        for node in made.nodes:
            node.store.close()


def say(tree: Registers, at: TreeNode, conflict_id: str, verb: Verb, *settings: str, **more: Any) -> None:
    """A person decides at a node, and every tier hears of it."""
    asked = Asked(verb=verb, author=BY, settings=settings, **more)
    resolve(at.store, conflict_id, asked, at.node.clock(), random.Random(7).randbytes)
    tree.settle()


def take_back(tree: Registers, at: TreeNode, conflict_id: str) -> None:
    undo(at.store, conflict_id, Asked(verb=Verb.LATER, author=BY), at.node.clock(), random.Random(8).randbytes)
    tree.settle()


def seen(at: TreeNode, conflict_id: str) -> Conflict:
    with at.store.read() as tx:
        return conflict(tx, conflict_id)


def counts(at: TreeNode) -> tuple[int, int]:
    """(reviews, cases) that wait."""
    with at.store.read() as tx:
        return open_reviews(tx), unsettled_cases(tx) + unmatched_moves(tx)


def state_everywhere(tree: Registers, conflict_id: str) -> dict[str, str]:
    """Node → how it stands there; nodes that know nothing of it are left out."""
    found = {}
    for node in tree.nodes:
        with node.store.read() as tx:
            for each in conflicts(tx, True):
                if each.id == conflict_id:
                    found[node.name] = each.state
    return found


def wish(by: TreeNode, row_id: str | None, wished: dict[str, Any], operation: str = "update") -> str:
    code = "42501" if row_id is None else None
    made = Wish(
        operation=operation, table="person", row_id=row_id, unit_code=code, wished=wished, author="huyện", reason="thẻ"
    )
    return propose(by.store, made, by.node.clock()).proposal_id


# --- reviews: the keeper decides ----------------------------------------------------------------------------------


def stale(tree: Registers) -> tuple[str, str]:
    """(proposal, row) of a wish whose value has changed meanwhile."""
    row_id = person(tree.a, full_name="Nguyễn Thị Bưởi")
    tree.settle()
    proposal_id = wish(tree.district, row_id, {"full_name": "Nguyễn Thị Bưởi B"})
    tree.a.sql("UPDATE person SET full_name = 'Nguyễn Thị Bưởi A' WHERE id = ?", (row_id,))
    tree.settle()
    assert counts(tree.a) == counts(tree.province) == (1, 0)
    return proposal_id, row_id


NAME = "SELECT full_name FROM person WHERE id = ?"


@pytest.mark.parametrize(
    ("verb", "settings", "name", "outcome"),
    [
        (Verb.KEEP_OURS, (), "Nguyễn Thị Bưởi A", "rejected"),
        (Verb.TAKE_THEIRS, (), "Nguyễn Thị Bưởi B", "accepted"),
        (Verb.VALUE, ("full_name=Nguyễn Thị Bưởi C",), "Nguyễn Thị Bưởi C", "rejected"),
    ],
)
def test_stale_wish_is_settled_by_the_keeper_and_taken_back(
    tree: Registers, verb: Verb, settings: tuple[str, ...], name: str, outcome: str
) -> None:
    proposal_id, row_id = stale(tree)
    with pytest.raises(PermissionDenied, match=r"\ba\b"):
        say(tree, tree.district, proposal_id, verb, *settings)
    say(tree, tree.a, proposal_id, verb, *settings)
    for node in (tree.province, tree.district, tree.a):
        assert node.value(NAME, (row_id,)) == name
        assert counts(node) == (0, 0)
        found = seen(node, proposal_id)
        assert (found.outcome, found.decided_by) == (outcome, BY)
        assert (found.columns[0].kept, found.columns[0].wished) == ("Nguyễn Thị Bưởi A", "Nguyễn Thị Bưởi B")
    take_back(tree, tree.a, proposal_id)
    for node in (tree.province, tree.a):
        assert node.value(NAME, (row_id,)) == "Nguyễn Thị Bưởi A"
        assert counts(node) == (1, 0)
        assert node.value("SELECT count(*) FROM verdict WHERE proposal_id = ?", (proposal_id,)) == 3
    say(tree, tree.a, proposal_id, Verb.LATER)
    assert counts(tree.a) == (1, 0)
    say(tree, tree.a, proposal_id, verb, *settings)
    assert counts(tree.province) == (0, 0)


def test_a_decision_is_not_taken_back_over_a_later_change(tree: Registers) -> None:
    proposal_id, row_id = stale(tree)
    say(tree, tree.a, proposal_id, Verb.TAKE_THEIRS)
    tree.a.sql("UPDATE person SET full_name = 'Khác' WHERE id = ?", (row_id,))
    with pytest.raises(UsageError, match="full_name"):
        take_back(tree, tree.a, proposal_id)
    assert tree.a.value(NAME, (row_id,)) == "Khác"


def test_wish_on_a_deleted_row(tree: Registers) -> None:
    row_id = person(tree.a)
    tree.settle()
    proposal_id = wish(tree.district, row_id, {"full_name": "Mới"})
    tree.a.sql("DELETE FROM person WHERE id = ?", (row_id,))
    tree.settle()
    assert seen(tree.a, proposal_id).kind == CaseKind.WISH_ON_DELETED_ROW
    with pytest.raises(UsageError, match="keep-ours"):
        say(tree, tree.a, proposal_id, Verb.TAKE_THEIRS)
    say(tree, tree.a, proposal_id, Verb.KEEP_OURS)
    assert counts(tree.province) == (0, 0)
    assert tree.province.value("SELECT count(*) FROM person") == 0


def test_a_proposed_deletion_is_carried_out_and_the_row_comes_back(tree: Registers) -> None:
    row_id = person(tree.a, full_name="Ghi Hai Lần")
    tree.settle()
    proposal_id = wish(tree.district, row_id, {}, "delete")
    tree.settle()
    assert seen(tree.province, proposal_id).kind == CaseKind.DELETE_PROPOSED
    say(tree, tree.a, proposal_id, Verb.TAKE_THEIRS)
    assert tree.province.value("SELECT count(*) FROM person") == 0
    take_back(tree, tree.a, proposal_id)
    assert tree.province.value(NAME, (row_id,)) == "Ghi Hai Lần"
    assert counts(tree.a) == (1, 0)


def test_a_proposed_row_that_resembles_one_is_somebody_else(tree: Registers) -> None:
    person(tree.a, full_name="Trần Văn Đức", birth_date="1980-02-29")
    tree.settle()
    proposal_id = wish(
        tree.district, None,
        {"full_name": "Tran Van Duc", "sex": 1, "birth_date": "1980-02-29", "birth_precision": "d", "ethnic": "01",
         "residence": "usual"}, "insert",
    )  # fmt: skip
    tree.settle()
    assert seen(tree.a, proposal_id).kind == CaseKind.INSERT_RESEMBLES
    say(tree, tree.a, proposal_id, Verb.NOT_THE_SAME)
    assert tree.province.value("SELECT count(*) FROM person") == 2
    take_back(tree, tree.a, proposal_id)
    assert tree.province.value("SELECT count(*) FROM person") == 1
    say(tree, tree.a, proposal_id, Verb.SAME_PERSON)
    assert tree.province.value("SELECT count(*) FROM person") == 1
    assert counts(tree.province) == (0, 0)


# --- persons: the common tier decides --------------------------------------------------------------------------------


def twice(tree: Registers) -> tuple[str, str, str]:
    """(case, row at A, row at B) of one citizen id borne by two."""
    one = person(tree.a, citizen_id=CITIZEN_ID, full_name="Phạm Ồn")
    other = person(tree.b, citizen_id=CITIZEN_ID, full_name="Lê Ánh", birth_date="1970-01-01", sex=2)
    tree.settle()
    return cases(tree.district, CaseKind.DUPLICATE_CITIZEN_ID)[0][0], one, other


def test_same_citizen_id_is_one_person_for_the_common_tier_and_each_unit_sees_its_own_side(tree: Registers) -> None:
    case, one, other = twice(tree)
    assert counts(tree.district) == (0, 1)
    found = seen(tree.district, case)
    assert {row.row_id for row in found.rows} == {one, other}
    assert {row.keeper for row in found.rows} == {"a", "b"}
    say(tree, tree.district, case, Verb.SAME_PERSON)
    assert counts(tree.district) == (0, 0)
    assert state_everywhere(tree, case) == dict.fromkeys(("province", "district", "a", "b"), "settled")
    link = "SELECT person_id, state, method, decided_by FROM person_link"
    assert tree.a.rows(link) == [(one, "linked", "person", BY)]
    assert tree.b.rows(link) == [(other, "linked", "person", BY)]
    assert tree.a.rows("SELECT row_id FROM resolution") == [(one,)]
    assert other not in json.dumps(tree.a.rows("SELECT detail FROM resolution"))
    take_back(tree, tree.district, case)
    assert tree.a.rows(link) == []  # nobody had linked them before
    assert counts(tree.district) == (0, 1)


def test_two_persons_stay_two_and_the_wrong_number_is_corrected_by_its_keeper(tree: Registers) -> None:
    case, _one, other = twice(tree)
    with pytest.raises(UsageError, match="--row"):
        say(tree, tree.district, case, Verb.VALUE, "citizen_id=042199000124")
    say(tree, tree.district, case, Verb.VALUE, "citizen_id=042199000124", row=other)
    assert tree.province.value("SELECT citizen_id FROM person WHERE id = ?", (other,)) == "042199000124"
    assert tree.found_at(CaseKind.DUPLICATE_CITIZEN_ID) == {}
    assert counts(tree.district) == counts(tree.b) == (0, 0)


def test_not_the_same_settles_it_until_it_is_taken_back(tree: Registers) -> None:
    case, one, _ = twice(tree)
    say(tree, tree.district, case, Verb.NOT_THE_SAME)
    tree.a.sql("UPDATE person SET phone = '0912' WHERE id = ?", (one,))
    tree.later(1)
    assert counts(tree.district) == (0, 0)
    take_back(tree, tree.district, case)
    assert counts(tree.district) == (0, 1)


def test_a_commune_is_asked_answers_about_its_own_row_and_corrects_it(tree: Registers) -> None:
    case, _one, other = twice(tree)
    say(tree, tree.district, case, Verb.ASK_COMMUNE)
    assert counts(tree.district)[1] == counts(tree.a)[1] == counts(tree.b)[1] == 1
    assert seen(tree.b, case).state == "question"
    assert [row.row_id for row in seen(tree.b, case).rows] == [other]
    assert seen(tree.district, case).state == "asked"
    with pytest.raises(UsageError, match="keep-ours"):
        say(tree, tree.a, case, Verb.SAME_PERSON)
    say(tree, tree.a, case, Verb.KEEP_OURS)
    assert counts(tree.a) == (0, 0)
    assert seen(tree.district, case).state == "answered"
    say(tree, tree.b, case, Verb.VALUE, "citizen_id=042199000999")
    assert counts(tree.b) == counts(tree.district) == (0, 0)


def test_a_question_ends_with_its_cause(tree: Registers) -> None:
    case, _, other = twice(tree)
    say(tree, tree.district, case, Verb.ASK_COMMUNE)
    tree.b.sql("UPDATE person SET citizen_id = NULL WHERE id = ?", (other,))
    tree.settle()
    assert counts(tree.a) == counts(tree.b) == counts(tree.district) == (0, 0)


def test_a_case_that_comes_back_asks_anew(tree: Registers) -> None:
    first = insert(tree.a, "household", number="12", kind="family")
    insert(tree.a, "household", number="12", kind="family")
    tree.settle()
    case = cases(tree.a)[0][0]
    say(tree, tree.a, case, Verb.KEEP_OURS)
    assert counts(tree.a) == (0, 0)
    for number in ("13", "12"):
        tree.a.sql("UPDATE household SET number = ? WHERE id = ?", (number, first))
        tree.settle()
    assert counts(tree.a) == (0, 1)


# --- households, events, moves, references, rules --------------------------------------------------------------------


def test_household_number_is_corrected_by_its_keeper_and_put_back(tree: Registers) -> None:
    insert(tree.a, "household", number="12", kind="family")
    second = insert(tree.a, "household", number="12", kind="family")
    tree.settle()
    case = cases(tree.a)[0][0]
    with pytest.raises(UsageError, match="keep-ours"):
        say(tree, tree.a, case, Verb.ASK_COMMUNE)
    say(tree, tree.a, case, Verb.VALUE, "number=12.1", row=second)
    assert tree.province.value("SELECT number FROM household WHERE id = ?", (second,)) == "12.1"
    assert state_everywhere(tree, case) == {"province": "settled", "district": "settled", "a": "settled"}
    take_back(tree, tree.a, case)
    assert tree.province.value("SELECT number FROM household WHERE id = ?", (second,)) == "12"
    assert counts(tree.a) == (0, 1)


def test_one_event_recorded_twice_leaves_the_first_and_can_come_back(tree: Registers) -> None:
    gone = person(tree.a, residence="deceased")
    first, second = death(tree.a, gone), death(tree.a, gone, "2026-05-02")
    tree.settle()
    case = cases(tree.a, CaseKind.TWIN_EVENT)[0][0]
    say(tree, tree.a, case, Verb.SAME_PERSON)
    # Ids of one millisecond have no order of time: the first is the one with the lower id.
    assert tree.province.rows("SELECT id FROM death") == [(min(first, second),)]
    take_back(tree, tree.a, case)
    assert {row[0] for row in tree.province.rows("SELECT id FROM death")} == {first, second}
    assert counts(tree.a) == (0, 1)


def test_a_copy_of_an_event_in_another_commune_is_proposed_to_go(tree: Registers) -> None:
    of = mother(tree.a)
    first = birth(tree.a, mother_id=of, born_on="2026-03-01")
    second = birth(tree.b, mother_id=of, born_on="2026-03-02")
    tree.settle()
    case = cases(tree.district, CaseKind.TWIN_EVENT)[0][0]
    say(tree, tree.district, case, Verb.SAME_PERSON, row=first)
    assert counts(tree.district) == (0, 0) or counts(tree.b) == (1, 0)
    proposals = tree.b.rows("SELECT operation, row_id, author FROM proposal")
    assert proposals == [("delete", second, BY)]


def test_both_ends_of_a_move_are_put_together_by_the_province(tree: Registers) -> None:
    left = person(tree.a, residence="departed", full_name="Trần Đi", birth_date="1988-08-08")
    gone = move(tree.a, left, "departure", "2026-09-01")
    came = move(tree.c, person(tree.c, full_name="Tran Di", birth_date="1988-08-08"), "arrival", "2026-09-10")
    tree.settle()
    tree.later(100)
    case = cases(tree.province, CaseKind.DEPARTURE_WITHOUT_ARRIVAL)[0][0]
    from syncd.review.candidates import candidates

    with tree.province.store.read() as tx:
        assert [each.partition(" ")[0] for each in candidates(tx, seen(tree.province, case))] == [came]
    with pytest.raises(UsageError, match="--with"):
        say(tree, tree.province, case, Verb.SAME_PERSON)
    say(tree, tree.province, case, Verb.SAME_PERSON, other=came)
    assert counts(tree.province) == (0, 0)
    assert tree.found_at(CaseKind.ARRIVAL_WITHOUT_DEPARTURE) == {}
    assert tree.a.rows("SELECT migration_id, method FROM move_match") == [(gone, "person")]
    assert tree.c.rows("SELECT migration_id, method FROM move_match") == [(came, "person")]
    take_back(tree, tree.province, case)
    tree.later(1)
    assert counts(tree.province) == (0, 2)


def test_a_departure_out_of_the_country_is_right_as_it_stands(tree: Registers) -> None:
    move(tree.a, person(tree.a, residence="departed"), "departure", "2026-09-01", other_place="nước ngoài")
    tree.settle()
    tree.later(100)
    case = cases(tree.province)[0][0]
    say(tree, tree.province, case, Verb.KEEP_OURS)
    assert counts(tree.province) == (0, 0)
    assert seen(tree.a, case).decided_by == BY


def test_an_unresolved_reference_is_corrected_by_the_keeper_of_the_row(tree: Registers) -> None:
    child = person(tree.a, mother_id=f"01900000-0000-7000-8000-0000{tree.b.keys.tag}")
    right = mother(tree.b)
    tree.settle()
    tree.later(15)
    case = cases(tree.district, CaseKind.UNRESOLVED_REFERENCE)[0][0]
    say(tree, tree.district, case, Verb.VALUE, f"mother_id={right}")
    assert tree.province.value("SELECT mother_id FROM person WHERE id = ?", (child,)) == right
    assert counts(tree.district) == counts(tree.a) == (0, 0)


def test_a_broken_rule_stands_where_a_person_says_so(tree: Registers) -> None:
    birth(tree.a, mother_id=mother(tree.a, birth_date="1960-01-01"))
    tree.settle()
    case = cases(tree.a, CaseKind.RULE_VIOLATED)[0][0]
    say(tree, tree.a, case, Verb.KEEP_OURS)
    assert counts(tree.a) == (0, 0)
    with pytest.raises(PermissionDenied, match=r"\ba\b"):
        say(tree, tree.province, case, Verb.KEEP_OURS)


@pytest.mark.parametrize("what", ["triggers", "found"])
def test_a_note_about_triggers_asks_for_no_value_and_is_closed(tree: Registers, what: str) -> None:
    tree.settle()
    with tree.a.store.apply("note") as tx:
        detail: dict[str, str | int] = {"what": what, "problems": 1, "first": "x", "tables": "person 2"}
        open_case(tx, CaseKind.RULE_VIOLATED, (what, "x"), opened_at="2026-01-01T00:00:00.000Z", detail=detail)
    case = cases(tree.a, CaseKind.RULE_VIOLATED)[0][0]
    for wrong in (Verb.VALUE, Verb.KEEP_OURS, Verb.ASK_COMMUNE):
        with pytest.raises(UsageError, match="done"):
            say(tree, tree.a, case, wrong)
    say(tree, tree.a, case, Verb.DONE)
    assert cases(tree.a, CaseKind.RULE_VIOLATED) == []
    assert counts(tree.a) == (0, 0)


def test_what_waits_is_counted_by_kind_with_the_oldest(tree: Registers) -> None:
    stale(tree)
    insert(tree.a, "household", number="12", kind="family")
    insert(tree.a, "household", number="12", kind="family")
    tree.settle()
    with tree.a.store.read() as tx:
        found = {each.kind: (each.count, each.here) for each in waiting(tx)}
    assert found == {CaseKind.STALE_PROPOSAL: (1, 1), CaseKind.DUPLICATE_HOUSEHOLD_NO: (1, 1)}
    with tree.district.store.read() as tx:
        assert {each.kind: (each.count, each.here) for each in waiting(tx)} == {CaseKind.STALE_PROPOSAL: (1, 0)}
