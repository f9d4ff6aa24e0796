"""Content that no trigger saw changing: `verify --full` names it at its keeper, `syncd repair` takes it in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.prove import DIFFERS, EQUAL, prove
from syncd.recovery import found, put_back
from syncd.recovery.proven import against_logs
from tests.integration.baselines import assert_equal, forget, made, stream_of, write_history
from tests.integration.shapes import ThreeTiers, add_household, add_person, content, own_stream, state, tiers_on
from tests.postgres import PostgresServer
from tests.trees import TreeNode

NEW = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES ('Hồ Văn Mới', 1, '2001-01-01', 'd', '01', 'usual')"
)


@pytest.fixture(params=[(), ("province", "district", "commune")], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_server, tmp_path, request.param) as tree:
        write_history(tree.commune)
        tree.prove()
        yield tree


def unseen(at: TreeNode, *statements: str) -> None:
    """What a program does while the triggers are off."""
    with at.store.apply("unseen") as tx:
        for statement in statements:
            tx.run(statement)


def told(at: TreeNode) -> tuple[str, set[str]]:
    """What `verify --full` says of the node's own register: the state, and the tables of the rows it names."""
    with at.store.read() as tx:
        proofs = against_logs(tx, at.node, prove(tx, at.store.registry, at.node.ring))
    (proof,) = [each for each in proofs if each.own and each.kind == "register"]
    return proof.state, {row.split()[0] for row in proof.rows}


CHANGES: dict[str, tuple[str, ...]] = {
    "a value that is counted": ("UPDATE person SET sex = 3 - sex, ethnic = '05'",),
    "a row gone": ("DELETE FROM death", "DELETE FROM person WHERE sex = 2"),
    "all of it": ("UPDATE household SET hamlet = 'X'", "DELETE FROM death", NEW, "UPDATE person SET phone = NULL"),
}


@pytest.mark.parametrize("statements", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_was_changed_is_named_then_journaled_and_every_tier_ends_equal(
    tiers: ThreeTiers, statements: tuple[str, ...]
) -> None:
    commune = tiers.commune
    assert told(commune) == (EQUAL, set())
    unseen(commune, *statements)
    tiers.prove()  # a checkpoint now digests what no log tells
    state_told, tables = told(commune)
    assert state_told == DIFFERS
    assert tables == {table for table in ("person", "household", "death") if any(table in each for each in statements)}
    looked = found.look(commune.node)
    assert {table for each in looked for table in each.journaled} == tables
    found.journal(commune.node)
    tiers.prove()
    assert told(commune) == (EQUAL, set())
    assert_equal(tiers)
    assert found.journal(commune.node) == []
    (case,) = commune.rows("SELECT detail FROM syncd_case WHERE closed_at IS NULL")
    assert json.loads(case[0])["what"] == "found"


def test_what_a_clerk_wrote_meanwhile_is_neither_lost_nor_told_as_found(tiers: ThreeTiers) -> None:
    commune = tiers.commune
    commune.sql("UPDATE person SET phone = '1'")
    person = add_person(commune)
    assert found.journal(commune.node) == [], "captured as it should be"
    unseen(commune, "UPDATE person SET ethnic = '07'", NEW)
    commune.sql("UPDATE person SET phone = '2'")  # of the new row too, of which the log knows nothing
    commune.sql("DELETE FROM person WHERE id = ?", (person,))
    assert found.journal(commune.node) != []
    tiers.prove()
    assert_equal(tiers)
    assert told(commune) == (EQUAL, set())


@pytest.fixture(params=[(), ("commune",)], ids=["sqlite", "postgres"])
def bare(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    """Three tiers whose commune has written nothing yet."""
    with tiers_on(postgres_server, tmp_path, request.param) as tree:
        yield tree


def test_a_register_that_began_past_the_triggers_is_sent_whole(bare: ThreeTiers) -> None:
    """As after loading a dump with the triggers off into a new station."""
    unseen(bare.commune, "INSERT INTO household (number, kind) VALUES ('1', 'family')", NEW, NEW)
    assert [each.journaled for each in found.journal(bare.commune.node)] == [{"household": 1, "person": 2}]
    bare.prove()
    assert_equal(bare)


REFUSED: dict[str, tuple[str, ...]] = {
    "an id of another node": ("UPDATE person SET id = '01900000-0000-7000-8000-0000deadbeef' WHERE phone = '9'",),
    "a value against the rules": (
        "PRAGMA ignore_check_constraints = ON", "UPDATE person SET sex = 7 WHERE phone = '9'",
        "PRAGMA ignore_check_constraints = OFF",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bare", [()], indirect=True)
@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED.keys())
def test_what_no_receiver_would_take_is_a_case_and_stops_nobody(bare: ThreeTiers, statements: tuple[str, ...]) -> None:
    write_history(bare.commune)
    bare.settle()
    unseen(bare.commune, NEW.replace("residence)", "residence, phone)").replace("'usual')", "'usual', '9')"))
    for statement in statements:
        if statement.startswith("PRAGMA"):  # it has no effect in a transaction
            bare.commune.store._open_writer().execute(statement)  # type: ignore[attr-defined]
        else:
            unseen(bare.commune, statement)
    (each,) = found.journal(bare.commune.node)
    assert (each.journaled, list(each.unsent)) == ({}, ["person"])
    bare.prove()
    assert state(bare.district, own_stream(bare.commune))[0] == "ok"
    details = [json.loads(row[0]) for row in bare.commune.rows("SELECT detail FROM syncd_case")]
    assert [detail["what"] for detail in details] == ["unsent"]
    bare.commune.broken = True  # the row is in no log, hence in no cell


def test_a_table_that_is_suddenly_empty_waits_for_a_word(tiers: ThreeTiers) -> None:
    household = add_household(tiers.commune, "2")
    for place in range(60):
        add_person(tiers.commune, household, phone=str(place))
    tiers.prove()
    unseen(tiers.commune, "DELETE FROM death", "DELETE FROM person")
    (each,) = found.journal(tiers.commune.node)
    assert (list(each.lost), list(each.journaled)) == (["person"], ["death"])
    tiers.settle()
    assert len(content(tiers.district, "person")) > 60
    found.journal(tiers.commune.node, is_loss_meant=True)
    tiers.prove()
    assert content(tiers.province, "person") == []
    assert_equal(tiers)


def lost_row(tiers: ThreeTiers) -> None:
    """A row comes past the triggers, and a clerk edits it: the log changes a row that it never told of."""
    unseen(tiers.commune, NEW)
    tiers.commune.sql("UPDATE person SET phone = '7' WHERE full_name = 'Hồ Văn Mới'")
    tiers.settle()


def twice(tiers: ThreeTiers) -> None:
    """A row goes past the triggers, and is typed again under its id."""
    row_id = tiers.commune.value("SELECT id FROM household ORDER BY id DESC LIMIT 1")
    unseen(tiers.commune, "UPDATE person SET household_id = NULL", "DELETE FROM household")
    tiers.commune.sql("INSERT INTO household (id, number, kind) VALUES (?, '8', 'family')", (row_id,))
    tiers.settle()


@pytest.mark.parametrize("wedge", [lost_row, twice])
@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "restarted"])
def test_a_stopped_stream_goes_on_after_repair_at_its_keeper(
    tiers: ThreeTiers, wedge: Callable[[ThreeTiers], None], is_restarted: bool
) -> None:
    wedge(tiers)
    stream_id = own_stream(tiers.commune)
    for node in (tiers.district, tiers.province):
        stopped, reason = state(node, stream_id)
        assert stopped == "stopped"
        assert "syncd repair" in str(reason)
        assert tiers.commune.keys.tag in str(reason)
    (copy,) = put_back.doubtful(tiers.district.node)
    assert (copy.tables, copy.is_stopped) == ({}, True), "the copy is what the log says: the fault is the keeper's"
    if is_restarted:
        for node in tiers.nodes:
            node.reopen()
    found.journal(tiers.commune.node)
    tiers.commune.node.write()
    made(tiers.commune, stream_id)
    add_person(tiers.commune)
    tiers.prove()
    assert_equal(tiers)
    tiers.commune.sql("UPDATE person SET phone = '8'")
    tiers.prove()
    assert_equal(tiers)
    assert put_back.put_back(tiers.district.node, stream_id), "what is put back later begins with the baseline"
    assert_equal(tiers)


def test_a_copy_that_was_altered_is_put_back_with_what_stopped_on_it(tiers: ThreeTiers) -> None:
    stream_id = own_stream(tiers.commune)
    unseen(tiers.district, "DELETE FROM death", "DELETE FROM person WHERE sex = 2", "UPDATE household SET hamlet = 'X'")
    tiers.commune.sql("UPDATE person SET phone = '3'")
    tiers.settle()
    assert state(tiers.district, stream_id)[0] == "stopped"
    (copy,) = put_back.doubtful(tiers.district.node)
    assert copy.tables.keys() == {"death", "person", "household"}
    assert put_back.put_back(tiers.district.node, stream_id)
    tiers.prove()
    assert_equal(tiers)


def test_a_pruned_log_is_compared_from_its_baseline(tiers: ThreeTiers) -> None:
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    forget(tiers.commune, stream_id, stream_of(tiers.commune, stream_id).held_seq)
    tiers.commune.sql("UPDATE person SET phone = '4'")
    tiers.prove()
    assert told(tiers.commune) == (EQUAL, set())
    unseen(tiers.commune, "UPDATE person SET phone = '5'", NEW)
    assert found.journal(tiers.commune.node) != []
    tiers.prove()
    assert_equal(tiers)
