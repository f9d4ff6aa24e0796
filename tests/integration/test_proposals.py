"""Wishes of upper tiers: decided once by the keeper, with the loser in the verdict (I11, I12)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import UsageError
from syncd.proposing import Wish, propose
from tests.integration.shapes import ThreeTiers, add_household, add_person, content, tiers_on
from tests.postgres import PostgresServer
from tests.trees import TreeNode

MIXTURES = {"sqlite": (), "postgres": ("commune",)}  # the keeper decides: its database matters


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_server, tmp_path, MIXTURES[request.param]) as made:
        yield made


def wish(
    by: TreeNode, row_id: str | None, wished: dict[str, Any], *, operation: str = "update", table: str = "person"
) -> str:
    """A proposal as `syncd propose` writes one."""
    code = "42501" if row_id is None else None
    made = propose(
        by.store,
        Wish(
            operation=operation,
            table=table,
            row_id=row_id,
            unit_code=code,
            wished=wished,
            author="cán bộ",
            reason="đối chiếu",
        ),
        by.node.clock(),
    )
    return made.proposal_id


def verdict(at: TreeNode, proposal_id: str) -> tuple[str, dict[str, Any], str | None]:
    """The one verdict about a proposal: outcome, columns by name, kind of case."""
    found = at.rows("SELECT outcome, detail, case_kind FROM verdict WHERE proposal_id = ?", (proposal_id,))
    assert len(found) == 1
    columns = {column["column"]: column for column in json.loads(found[0][1])["columns"]}
    return found[0][0], columns, found[0][2]


def person(at: TreeNode, row_id: str, *names: str) -> tuple[Any, ...]:
    return at.rows(f"SELECT {', '.join(names)} FROM person WHERE id = ?", (row_id,))[0]


def test_wish_about_an_unchanged_value_is_accepted_by_itself(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    proposal_id = wish(
        tree.district, row_id, {"full_name": "Nguyễn Thị Bưởi Hồng", "birth_date": "1980-02-28", "birth_precision": "d"}
    )
    tree.prove()
    for node in tree.nodes:
        assert person(node, row_id, "full_name", "birth_date") == ("Nguyễn Thị Bưởi Hồng", "1980-02-28")
        assert verdict(node, proposal_id)[0] == "accepted"
    assert content(tree.province, "person") == content(tree.commune, "person")


def test_wish_and_edit_in_different_columns_are_both_kept(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    proposal_id = wish(tree.district, row_id, {"full_name": "Tên mới"})
    tree.commune.sql("UPDATE person SET phone = '0999' WHERE id = ?", (row_id,))
    tree.prove()
    assert person(tree.province, row_id, "full_name", "phone") == ("Tên mới", "0999")
    assert verdict(tree.province, proposal_id)[0] == "accepted"


POLICIES = (
    # column, seen, wished, edited, outcome, what stands, case
    ("relation", None, "03", "05", "rejected", "05", None),  # keeper: the kept value stands
    ("ethnic", "01", "02", "03", "accepted", "02", None),  # upper: the upper tier's wish wins
    ("full_name", "Nguyễn Thị Bưởi", "Của huyện", "Của xã", "review", "Của xã", "stale_proposal"),
)


def test_same_column_is_settled_by_its_policy_and_the_loser_stands_in_the_verdict(tree: ThreeTiers) -> None:
    people = [add_person(tree.commune) for _ in POLICIES]
    tree.settle()
    proposals = []
    for row_id, (column, _seen, wished, edited, *_rest) in zip(people, POLICIES, strict=True):
        proposals.append(wish(tree.district, row_id, {column: wished}))
        tree.commune.sql(f"UPDATE person SET {column} = ? WHERE id = ?", (edited, row_id))
    tree.prove()
    for row_id, proposal_id, (column, seen, wished, edited, outcome, ends, case) in zip(
        people, proposals, POLICIES, strict=True
    ):
        for node in tree.nodes:
            assert person(node, row_id, column) == (ends,)
            found, columns, kind = verdict(node, proposal_id)
            assert (found, kind) == (outcome, case)
            assert {key: columns[column][key] for key in ("seen", "kept", "wished")} == {
                "seen": seen,
                "kept": edited,
                "wished": wished,
            }


def test_latest_is_settled_by_corrected_time(tree: ThreeTiers) -> None:
    edited_first, wished_first = add_person(tree.commune), add_person(tree.commune)
    tree.settle()
    _peer_offsets(tree)
    older = wish(tree.district, wished_first, {"phone": "0222"})
    tree.builder.clock.now_ms += 60_000
    tree.commune.sql("UPDATE person SET phone = '0333'")
    tree.commune.node.write()
    tree.builder.clock.now_ms += 60_000
    newer = wish(tree.district, edited_first, {"phone": "0222"})
    tree.settle()
    assert person(tree.province, edited_first, "phone") == ("0222",)
    assert person(tree.province, wished_first, "phone") == ("0333",)
    assert [verdict(tree.province, proposal_id)[0] for proposal_id in (newer, older)] == ["accepted", "rejected"]


def test_time_is_corrected_by_clocks_known_offset_to_the_root(tree: ThreeTiers) -> None:
    """The district's clock is an hour ahead; what its children measure against it must not inherit the hour."""
    tree.district.node.clock_offset_ms = 3_600_000
    assert tree.commune.link is not None
    now = tree.commune.node.clock()
    reply = tree.district.desk.hello(tree.commune.node.node_id, tree.commune.link.hello())
    tree.commune.link.take_hello(reply, now, now)
    offset = tree.commune.node.clock_offset_ms
    assert offset is not None
    assert abs(offset - 3_600_000) < 1_000
    assert tree.province.node.clock_offset_ms == 0


def _peer_offsets(tree: ThreeTiers) -> None:
    """What the daemon notes after exchanges: the offset that a proposal states."""
    for node in (tree.district, tree.commune):
        with node.store.apply("peers") as tx:
            tx.run("UPDATE syncd_peer SET clock_offset_ms = 0 WHERE role = 'parent'")


def test_edit_waiting_in_the_journal_is_newer_than_an_older_wish(tree: ThreeTiers) -> None:
    """The decision falls between the clerk's commit and the next cut."""
    row_id = add_person(tree.commune)
    tree.settle()
    _peer_offsets(tree)
    proposal_id = wish(tree.district, row_id, {"phone": "0222"})
    tree.builder.clock.now_ms += 60_000
    tree.district.node.write()
    reply, down = _pull(tree)
    tree.commune.sql("UPDATE person SET phone = '0333' WHERE id = ?", (row_id,))
    assert tree.commune.link is not None
    tree.commune.link.take_pull(reply, down)
    tree.commune.node.apply_all()
    tree.commune.node.settle()
    tree.settle()
    assert person(tree.province, row_id, "phone") == ("0333",)
    assert verdict(tree.province, proposal_id)[0] == "rejected"


def _pull(tree: ThreeTiers) -> tuple[Any, list[bytes]]:
    from syncd.framing import FrameReader

    assert tree.commune.link is not None
    now = tree.commune.node.clock()
    me = tree.commune.node.node_id
    tree.commune.link.take_hello(tree.district.desk.hello(me, tree.commune.link.hello()), now, now)
    reply, sending = tree.district.desk.pull(me, tree.commune.link.pull(0))
    return reply, FrameReader().feed(sending.body)


def test_wished_insert_is_written_by_the_keeper_under_an_id_of_its_own(tree: ThreeTiers) -> None:
    new = {
        "full_name": "Trẻ sơ sinh",
        "sex": 2,
        "birth_date": "2026-01-05",
        "birth_precision": "d",
        "ethnic": "01",
        "residence": "usual",
    }
    proposal_id = wish(tree.province, None, new, operation="insert")
    tree.prove()
    row_id = tree.province.value("SELECT row_id FROM verdict WHERE proposal_id = ?", (proposal_id,))
    assert row_id[28:] == tree.commune.keys.tag
    assert person(tree.province, row_id, "full_name", "unit_id") == ("Trẻ sơ sinh", tree.commune.unit_id)
    twin = wish(tree.district, None, new, operation="insert")
    tree.prove()
    assert verdict(tree.province, twin)[::2] == ("review", "insert_resembles")
    assert tree.commune.value("SELECT count(*) FROM person") == 1


def test_wished_delete_waits_for_a_person(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune, add_household(tree.commune))
    tree.settle()
    proposal_id = wish(tree.district, row_id, {}, operation="delete")
    tree.prove()
    assert verdict(tree.province, proposal_id)[::2] == ("review", "delete_proposed")
    assert tree.commune.value("SELECT count(*) FROM person") == 1


def test_wish_about_a_row_deleted_meanwhile_is_a_case(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    proposal_id = wish(tree.district, row_id, {"phone": "1"})
    tree.commune.sql("DELETE FROM person WHERE id = ?", (row_id,))
    tree.prove()
    assert verdict(tree.province, proposal_id)[::2] == ("review", "wish_on_deleted_row")


def test_wish_that_breaks_a_key_is_refused_alone(tree: ThreeTiers) -> None:
    """A household that does not exist at the keeper: deferred keys would fail the commit of every other decision."""
    first, second = add_person(tree.commune), add_person(tree.commune)
    tree.settle()
    dangling = wish(tree.district, first, {"household_id": f"019a0000-0000-7000-8000-0000{tree.commune.keys.tag}"})
    good = wish(tree.district, second, {"phone": "0777"})
    tree.prove()
    assert verdict(tree.province, dangling)[0] == "rejected"
    assert verdict(tree.province, good)[0] == "accepted"
    assert person(tree.province, second, "phone") == ("0777",)


MALFORMED = (
    "[",
    "[]",
    "1",
    '{"phone": [1]}',
    '{"phone": 99999999999999999999}',
    '{"nothing": 1}',
    '{"sex": null}',
    "[" * 9000,
    '{"phone": NaN}',
    '{"full_name": "\\ud800"}',
)


def test_malformed_wishes_are_rejected_and_block_no_other(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    for wished in MALFORMED:
        tree.district.sql(
            "INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
            " author_depth) VALUES (?, 'person', ?, 'update', '{}', ?, ?, 'B', '2026-11-01T00:00:00Z', 1)",
            (tree.commune.unit_id, row_id, wished, wished[:9]),
        )
    good = wish(tree.district, row_id, {"phone": "0777"})
    tree.prove()
    assert verdict(tree.province, good)[0] == "accepted"
    assert tree.province.rows("SELECT outcome FROM verdict WHERE proposal_id <> ?", (good,)) == [("rejected",)] * len(
        MALFORMED
    )


def test_newer_wish_of_the_same_author_supersedes_the_older_and_no_other_authors(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    older = wish(tree.district, row_id, {"ethnic": "02"})
    others = wish(tree.province, row_id, {"ethnic": "03"})  # the same name, another node
    newer = wish(tree.district, row_id, {"ethnic": "04"})
    tree.prove()
    details = dict(tree.province.rows("SELECT proposal_id, detail FROM verdict"))
    assert json.loads(details[older])["why"] == "superseded"
    assert verdict(tree.province, others)[0] == "accepted"
    assert verdict(tree.province, newer)[0] == "accepted"


def test_row_kept_by_this_node_is_not_proposed_about(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    with pytest.raises(UsageError):
        wish(tree.commune, row_id, {"phone": "1"})


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
def test_setting_turns_foreign_writes_into_proposals(tree: ThreeTiers, operation: str) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    _let_propose(tree.district)
    if operation == "insert":
        tree.district.sql(
            "INSERT INTO person (unit_id, full_name, sex, birth_date, birth_precision, ethnic, residence)"
            " VALUES (?, 'Mới', 1, '2000-01-01', 'y', '01', 'usual')",
            (tree.commune.unit_id,),
        )
    elif operation == "update":
        tree.district.sql("UPDATE person SET phone = '0777' WHERE id = ?", (row_id,))
    else:
        tree.district.sql("DELETE FROM person WHERE id = ?", (row_id,))
    assert content(tree.district, "person") == content(tree.commune, "person"), "nothing is written but the wish"
    tree.prove()
    assert tree.commune.rows("SELECT operation FROM proposal") == [(operation,)]
    assert tree.province.rows("SELECT outcome FROM verdict") == [("review" if operation == "delete" else "accepted",)]
    assert content(tree.district, "person") == content(tree.commune, "person") == content(tree.province, "person")


def _let_propose(at: TreeNode) -> None:
    from schema.ddl import Identity
    from schema.triggers import install

    identity = Identity(node_id=at.keys.node_id, tag=at.keys.tag, unit_id=at.unit_id)
    dialect = "sqlite" if at.store.dialect == "sqlite" else "postgres"
    with at.store.write("triggers") as tx:
        install(tx._connection, dialect, at.store.registry, identity, foreign_writes="propose")  # type: ignore[attr-defined]  # the open one
