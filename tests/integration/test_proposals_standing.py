"""Proposals that come to be decided late, twice, not at all, or about rows that have moved: each is settled once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from schema.install import Identity, statements
from schema.tables import registry
from syncd.clock import instant_of
from syncd.errors import UsageError
from syncd.expiry import DAY_MS, expires_at
from syncd.following import follow_rows
from syncd.proposals import Listed, every, pending, withdraw
from syncd.proposing import Proposed, Wish, preview, propose
from syncd.store import sqlite
from syncd.store.base import Row
from syncd.undecided import Waiting, newer_wishes, referrals
from tests.integration.shapes import ThreeTiers, add_household, add_person, tiers_on
from tests.postgres import PostgresMix
from tests.trees import TreeNode

MIXTURES: dict[str, tuple[str, ...]] = {"sqlite": (), "postgres": ("commune", "district")}
OTHER_UNIT = "01900000-0000-7000-8fff-0000"
NODE_ID = "01900000-0000-7000-8000-0000aaaa0001"
PERSON = {
    "full_name": "Trẻ sơ sinh", "sex": 2, "birth_date": "2026-01-05", "birth_precision": "d", "ethnic": "01",
    "residence": "usual",
}  # fmt: skip


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_mix, tmp_path, MIXTURES[request.param]) as made:
        yield made


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")


def a_wish(row_id: str | None, wished: dict[str, Any], operation: str = "update", **more: Any) -> Wish:
    return Wish(
        operation=operation, table="person", row_id=row_id, unit_code="42501" if row_id is None else None,
        wished=wished, author=more.pop("author", "A"), reason="B", **more,
    )  # fmt: skip


def wish(by: TreeNode, row_id: str | None, wished: dict[str, Any], operation: str = "update", **more: Any) -> Proposed:
    return propose(by.store, a_wish(row_id, wished, operation, **more), by.node.clock())


def verdict(at: TreeNode, proposal_id: str) -> tuple[str, str]:
    """The one verdict about a proposal: outcome and why."""
    found = at.rows("SELECT outcome, detail FROM verdict WHERE proposal_id = ?", (proposal_id,))
    assert len(found) == 1
    return found[0][0], json.loads(found[0][1])["why"]


def states(at: TreeNode) -> dict[str, str]:
    with at.store.read() as tx:
        return {each.id: each.state for each in every(tx, at.node.clock())}


def waiting(at: TreeNode) -> list[Listed]:
    with at.store.read() as tx:
        return pending(tx, at.node.clock())


def phone(at: TreeNode, row_id: str) -> str:
    return str(at.value("SELECT phone FROM person WHERE id = ?", (row_id,)))


# --- repeated ---------------------------------------------------------------------------------------------------------


def test_the_same_wish_is_one_proposal_while_it_is_pending(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    first = wish(tree.district, row_id, {"phone": "0777"})
    again = wish(tree.district, row_id, {"phone": "0777"}, author="B")
    assert (again.proposal_id, again.is_repeated, first.is_repeated) == (first.proposal_id, True, False)
    assert not wish(tree.district, row_id, {"phone": "0778"}).is_repeated
    assert tree.district.value("SELECT count(*) FROM proposal") == 2
    tree.settle()
    assert phone(tree.province, row_id) == "0778"
    assert not wish(tree.district, row_id, {"phone": "0777"}).is_repeated, "what is decided can be proposed again"


def test_a_repeated_insert_is_one_proposal(tree: ThreeTiers) -> None:
    first = wish(tree.district, None, PERSON, "insert")
    assert wish(tree.district, None, PERSON, "insert").proposal_id == first.proposal_id
    assert wish(tree.province, None, PERSON, "insert").proposal_id != first.proposal_id, (
        "another node is another author"
    )


def test_a_look_at_a_wish_writes_nothing(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    found = preview(tree.district.store, a_wish(row_id, {"phone": "1"}), tree.builder.clock())
    assert (found.proposal_id, found.seen["phone"], found.is_repeated) == ("", "0901", False)
    assert tree.district.value("SELECT count(*) FROM proposal") == 0


# --- withdrawn --------------------------------------------------------------------------------------------------------


def test_a_wish_withdrawn_before_it_was_decided_never_takes_effect(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    made = wish(tree.district, row_id, {"phone": "0777"})
    tree.district.node.write()
    assert withdraw(tree.district.store, made.proposal_id[14:23].upper(), tree.builder.clock()).state == "withdrawn"
    assert withdraw(tree.district.store, made.proposal_id, tree.builder.clock()).was == "withdrawn", "twice is once"
    tree.prove()
    for node in tree.nodes:
        assert phone(node, row_id) == "0901"
        assert verdict(node, made.proposal_id) == ("rejected", "withdrawn")
        assert states(node) == {made.proposal_id: "withdrawn"}


def test_a_decided_wish_stays_decided_and_says_so(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    made = wish(tree.district, row_id, {"phone": "0777"})
    tree.settle()
    assert withdraw(tree.district.store, made.proposal_id, tree.builder.clock()).state == "accepted"
    tree.settle()
    assert tree.commune.value("SELECT withdrawn_at FROM proposal") is None
    assert phone(tree.province, row_id) == "0777"


def test_a_wish_decided_while_its_withdrawal_is_on_the_way_stays_decided(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    made = wish(tree.province, row_id, {"phone": "0777"})
    for node in (
        tree.province,
        tree.district,
        tree.commune,
    ):  # it arrives and is decided; the verdict has not come back
        _down(node)
    assert withdraw(tree.province.store, made.proposal_id, tree.builder.clock()).state == "withdrawn"
    tree.prove()
    assert verdict(tree.province, made.proposal_id)[0] == "accepted"
    assert states(tree.province) == {made.proposal_id: "accepted"}
    assert phone(tree.province, row_id) == "0777"


def _down(at: TreeNode) -> None:
    from tests.trees import exchange

    at.node.write()
    at.node.settle()
    at.node.write()
    for child in at.children:
        assert child.link is not None
        exchange(child.link, at.desk, child)
        child.node.apply_all()
    at.node.settle()


def test_only_its_author_withdraws_a_wish(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    made = wish(tree.province, row_id, {"full_name": "Của tỉnh"})
    tree.commune.sql("UPDATE person SET full_name = 'Của xã'")
    tree.settle()
    for part, words in ((made.proposal_id, "province"), ("ffff-ffff", "ffff"), ("", "^0 "), ("%", "%")):
        with pytest.raises(UsageError, match=words):
            withdraw(tree.district.store, part, tree.builder.clock())
    assert withdraw(tree.province.store, made.proposal_id, tree.builder.clock()).was == "review"
    tree.settle()
    assert [waiting(node) for node in tree.nodes] == [[], [], []]


# --- expired ----------------------------------------------------------------------------------------------------------


def test_a_wish_that_arrives_after_its_time_is_rejected_as_expired(tree: ThreeTiers) -> None:
    row_id, other = add_person(tree.commune), add_person(tree.commune)
    tree.settle()
    tree.commune.node.clock_offset_ms = 0
    end = instant_of(tree.builder.clock() + 60_000)
    late = wish(tree.district, row_id, {"phone": "0777"}, expires_at=end)
    in_time = wish(tree.district, other, {"phone": "0777"}, expires_at=instant_of(tree.builder.clock() + 600_000))
    tree.builder.clock.now_ms += 60_000
    assert states(tree.district)[late.proposal_id] == "expired"
    assert [each.id for each in waiting(tree.district)] == [in_time.proposal_id]
    tree.prove()
    assert verdict(tree.province, late.proposal_id) == ("rejected", "expired")
    assert verdict(tree.province, in_time.proposal_id)[0] == "accepted"
    assert (phone(tree.province, row_id), phone(tree.province, other)) == ("0901", "0777")


def test_a_wish_that_would_expire_at_once_is_not_written(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    with pytest.raises(UsageError, match="expired"):
        wish(tree.district, row_id, {"phone": "1"}, expires_at="2020-01-01T00:00:00.000Z")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("30d", "2026-10-21T14:13:20.000Z"),
        ("2026-12-31", "2026-12-31T17:00:00.000Z"),
        (" 31/12/2026 ", "2026-12-31T17:00:00.000Z"),
        ("1/2/2027", "2027-02-01T17:00:00.000Z"),
    ],
)
def test_an_end_is_a_day_or_a_number_of_days(text: str, end: str) -> None:
    assert expires_at(text, 1_790_000_000_000) == end


@pytest.mark.parametrize("text", ["", "soon", "0d", "99999d", "2026-02-30", "30/02/2027", "9999-12-31", "2020-01-01"])
def test_an_end_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        expires_at(text, 1_790_000_000_000)


def test_a_day_has_its_length() -> None:
    assert DAY_MS == 86_400_000


# --- several on one row -----------------------------------------------------------------------------------------------


def test_several_wishes_on_one_row_are_decided_in_their_order_each_seeing_the_one_before(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    first = wish(tree.district, row_id, {"full_name": "Một"})
    second = wish(tree.province, row_id, {"full_name": "Hai"})
    third = wish(tree.province, row_id, {"relation": "03"})
    tree.prove()
    assert [verdict(tree.province, each.proposal_id)[0] for each in (first, second, third)] == [
        "accepted", "review", "accepted",
    ]  # fmt: skip
    assert tree.province.rows("SELECT full_name, relation FROM person") == [("Một", "03")]


def test_a_newer_wish_takes_over_the_columns_it_names_and_leaves_the_others(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    older = wish(tree.district, row_id, {"phone": "1", "relation": "03"})
    newer = wish(tree.district, row_id, {"phone": "2"})
    tree.prove()
    assert tree.province.rows("SELECT phone, relation FROM person") == [("2", "03")]
    assert [verdict(tree.province, each.proposal_id)[0] for each in (older, newer)] == ["partly", "accepted"]
    detail = json.loads(tree.province.value("SELECT detail FROM verdict WHERE proposal_id = ?", (older.proposal_id,)))
    assert detail["newer"] == [newer.proposal_id]
    assert {column["column"]: column["why"] for column in detail["columns"]} == {
        "phone": "superseded", "relation": "unchanged",
    }  # fmt: skip


def test_a_wish_to_delete_takes_the_place_of_an_older_wish(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    older = wish(tree.district, row_id, {"phone": "1"})
    newer = wish(tree.district, row_id, {}, "delete")
    tree.prove()
    assert verdict(tree.province, older.proposal_id) == ("rejected", "superseded")
    assert verdict(tree.province, newer.proposal_id) == ("review", "policy_review")


# --- inserts and deletes ----------------------------------------------------------------------------------------------


def test_two_wishes_for_one_new_person_make_one_person_and_a_case(tree: ThreeTiers) -> None:
    """Both arrive together: the second must see what the first has written."""
    first = wish(tree.district, None, PERSON, "insert")
    second = wish(tree.province, None, {**PERSON, "full_name": "TRẺ SƠ SINH"}, "insert")
    tree.prove()
    assert tree.province.value("SELECT count(*) FROM person") == 1
    assert sorted(verdict(tree.province, each.proposal_id) for each in (first, second)) == [
        ("accepted", "new"), ("review", "resembles"),
    ]  # fmt: skip


def test_a_wished_person_finds_the_household_wished_together_with_it(tree: ThreeTiers) -> None:
    """Rows written late are wished under ids that name each other (design §1)."""
    tag = tree.commune.keys.tag
    household, person = f"019a0000-0000-7000-8000-0000{tag}", f"019a0000-0000-7000-8000-0001{tag}"
    rows = (
        ("person", person, {**PERSON, "household_id": household}, "00"),
        ("household", household, {"number": "7", "kind": "family"}, "ff"),
    )
    for table, row_id, wished, first in rows:
        tree.district.sql(
            "INSERT INTO proposal (id, unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
            " author_depth) VALUES (?, ?, ?, ?, 'insert', '{}', ?, 'A', 'B', '2026-09-21T00:00:00Z', 1)",
            (f"{first}9a0000-0000-7000-8000-0000{tree.district.keys.tag}", tree.commune.unit_id, table, row_id,
             json.dumps(wished)),
        )  # fmt: skip
    tree.prove()
    assert tree.province.rows("SELECT id, household_id FROM person") == [(person, household)]


def test_a_delete_shows_what_refers_to_the_row(tree: ThreeTiers) -> None:
    household = add_household(tree.commune)
    for _ in range(3):
        add_person(tree.commune, household)
    tree.settle()
    made = propose(
        tree.district.store,
        Wish(
            operation="delete", table="household", row_id=household, unit_code=None, wished={}, author="A", reason="B"
        ),
        tree.builder.clock(),
    )  # fmt: skip
    tree.prove()
    assert verdict(tree.province, made.proposal_id) == ("review", "referenced")
    assert json.loads(tree.province.value("SELECT detail FROM verdict"))["references"] == 3


def test_wishes_the_database_refuses_are_found_among_many_and_refused_alone(tree: ThreeTiers) -> None:
    people = [add_person(tree.commune) for _ in range(9)]
    tree.settle()
    nobody = f"019a0000-0000-7000-8000-0000{tree.commune.keys.tag}"
    made = [
        wish(tree.district, row_id, {"household_id": nobody} if place in (2, 7) else {"phone": f"7{place}"})
        for place, row_id in enumerate(people)
    ]
    tree.prove()
    outcomes = [verdict(tree.province, each.proposal_id) for each in made]
    assert [place for place, found in enumerate(outcomes) if found == ("rejected", "malformed")] == [2, 7]
    assert tree.province.value("SELECT count(*) FROM person WHERE phone LIKE '7%'") == 7


# --- rows that moved --------------------------------------------------------------------------------------------------


def _second_unit(tree: ThreeTiers) -> str:
    """A second unit that the commune keeps too."""
    unit_id = f"{OTHER_UNIT}{tree.province.keys.tag}"
    tree.province.sql(
        "INSERT INTO unit (id, parent_id, level, code, name) VALUES (?, ?, 'commune', '42502', 'Xã hai')",
        (unit_id, tree.district.unit_id),
    )
    tree.settle()
    with tree.commune.store.apply("keeper") as tx:
        tx.run(
            "INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, 1, 1)",
            (unit_id, tree.commune.keys.node_id),
        )
    tree.commune.node.reread_tree()
    return unit_id


def test_a_wish_follows_its_row_into_another_unit_of_the_keeper(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    made = wish(tree.district, row_id, {"phone": "0777"})
    tree.district.node.write()
    unit_id = _second_unit(tree)
    with tree.commune.store.apply("moved") as tx:
        tx.run("UPDATE person SET unit_id = ? WHERE id = ?", (unit_id, row_id))
        tx.run("DELETE FROM verdict")
    tree.commune.broken = True  # its cells do not know of the move that this test makes behind the daemon's back
    tree.commune.node._proposals_due = True
    tree.commune.node.settle()
    found = tree.commune.rows(
        "SELECT unit_id, outcome FROM verdict WHERE proposal_id = ? ORDER BY resolves IS NOT NULL", (made.proposal_id,)
    )
    assert found == [(tree.commune.unit_id, "referred"), (unit_id, "accepted")]
    assert phone(tree.commune, row_id) == "0777"


def test_an_author_addresses_its_wish_anew_when_the_row_has_passed_to_another_unit(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    made = wish(tree.district, row_id, {"phone": "0777"})
    unit_id = f"{OTHER_UNIT}{tree.province.keys.tag}"
    with tree.district.store.apply("moved") as tx:
        tx.run("UPDATE person SET unit_id = ? WHERE id = ?", (unit_id, row_id))
        tx.run(
            "INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, 1, 0)",
            (unit_id, tree.province.node.node_id),
        )
    tree.district.broken = True
    me = tree.district.node.node_id
    assert follow_rows(tree.district.store, me, tree.builder.clock()) == 1
    assert follow_rows(tree.district.store, me, tree.builder.clock()) == 0
    query = "SELECT id = ?, unit_id, withdrawn_at IS NULL, made_at FROM proposal ORDER BY made_at, id"
    rows = tree.district.rows(query, (made.proposal_id,))
    assert {(bool(row[0]), row[1], bool(row[2])) for row in rows} == {
        (True, tree.commune.unit_id, False), (False, unit_id, True),
    }  # fmt: skip
    assert rows[0][3] == rows[1][3], "it is as old as it was"


# --- seen everywhere --------------------------------------------------------------------------------------------------


def test_pending_wishes_are_listed_at_every_tier_that_may_read_them(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    made = wish(tree.district, row_id, {"full_name": "Của huyện"})
    tree.commune.sql("UPDATE person SET full_name = 'Của xã'")
    assert [(each.id, each.state, each.is_own) for each in waiting(tree.district)] == [
        (made.proposal_id, "waiting", True)
    ]
    tree.settle()
    for node in tree.nodes:
        (found,) = waiting(node)
        assert (found.id, found.state, found.is_own) == (made.proposal_id, "review", node is tree.district)
        assert (found.node, found.table, found.columns) == ("district", "person", ("full_name",))


# --- what a decision reads --------------------------------------------------------------------------------------------


def test_a_later_wish_reads_nothing_of_those_that_were_decided_about_its_row(
    tree: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id, rows = add_person(tree.commune), list[Row]()
    tree.settle()
    for number in ("0777", "0778", "0779"):
        wish(tree.district, row_id, {"phone": number})
        tree.settle()
    text = json.dumps({"phone": "0780"})
    late = Waiting(
        id=OTHER_UNIT + "11112222", unit_id=tree.commune.unit_id, table="person", row_id=row_id, operation="update",
        seen=text, wished=text, author="A", reason="B", made_at="9000-01-01T00:00:00Z", clock_offset_ms=0,
        author_depth=1, withdrawn_at=None, expires_at=None, named_id=row_id,
    )  # fmt: skip
    with tree.commune.store.read() as tx:
        ask = tx.all

        def noted(sql: str, values: Sequence[Any] = ()) -> list[Row]:
            found = ask(sql, values)
            rows.extend(found)
            return found

        monkeypatch.setattr(tx, "all", noted)
        assert (newer_wishes(tx, [late]), referrals(tx, [late])) == ({}, {})
    assert rows == []


@pytest.mark.parametrize(
    ("index", "query"),
    [
        ("ix_proposal_inserted", "SELECT 1 FROM proposal WHERE operation = 'insert' AND row_id IN (?, ?)"),
        ("ix_verdict_resolves", "SELECT 1 FROM verdict AS w WHERE w.resolves = ?"),
        ("ix_verdict_referred", "SELECT 1 FROM verdict WHERE outcome = 'referred' LIMIT 1"),
    ],
)
def test_the_few_rows_asked_for_are_found_by_an_index_of_them_alone(tmp_path: Path, index: str, query: str) -> None:
    with closing(sqlite.connect(tmp_path / "a.db", None)) as database:
        for statement in statements("sqlite", registry(), Identity(node_id=NODE_ID, tag=NODE_ID[-8:], unit_id=NODE_ID)):
            database.execute(statement)
        plan = database.execute(f"EXPLAIN QUERY PLAN {query}", (None,) * query.count("?")).fetchall()
    assert all(index in row[3] for row in plan)
