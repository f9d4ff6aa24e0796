"""Baselines: the content of a stream at a position, and whoever takes one ends equal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.spec import Kind
from syncd import baseline, floor, limits, log
from syncd.aggregate import recount
from syncd.envelope import Adopted, Genesis, parse_envelope
from syncd.errors import Foreign
from syncd.exchange import Desk, Link
from syncd.log import Stream
from syncd.pipeline import Node
from syncd.setup import record_place
from tests.integration.shapes import ThreeTiers, add_household, add_person, content, own_stream, three_tiers
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode, exchange

TABLES = ("household", "person", "death", "birth", "migration", "verdict")


@pytest.fixture(params=[(), ("province", "district", "commune")], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    dsns = {name: postgres_server.create_database() for name in request.param}
    tree = three_tiers(TreeBuilder(tmp_path), dsns)
    yield tree
    for node in tree.nodes:
        node.store.close()
    for dsn in dsns.values():
        postgres_server.drop_database(dsn)


def write_history(at: TreeNode, people: int = 6) -> None:
    household = add_household(at)
    ids = [add_person(at, household, sex=1 + place % 2, phone=str(place)) for place in range(people)]
    at.node.write()
    at.sql("UPDATE person SET ethnic = '02', phone = NULL WHERE sex = 2")
    at.sql("INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-05', 1, 'tuổi già')", (ids[0],))
    at.node.write()
    at.sql("DELETE FROM person WHERE id = ?", (ids[1],))
    at.node.write()


def stream_of(at: TreeNode, stream_id: str) -> Stream:
    with at.store.read() as tx:
        found = log.stream(tx, stream_id)
    assert found is not None
    return found


def made(at: TreeNode, stream_id: str) -> Stream:
    found = baseline.make(at.node, stream_id)
    assert found is not None
    return found


def forget(at: TreeNode, stream_id: str, seq: int) -> None:
    """Prune without asking anybody."""
    with at.store.apply("prune") as tx:
        floor.forget(tx, stream_of(at, stream_id), seq)


def emptied(tiers: ThreeTiers, at: TreeNode, dsn: str | None = None) -> TreeNode:
    """The node's keys with an empty database, as after a lost disk."""
    at.store.close()
    opener = tiers.builder._database(f"{at.name}-new", at.keys, at.place, dsn)
    store = opener()
    record_place(store, at.keys, at.place, at.node.clock())
    at.node = Node(store, at.keys, at.node.clock, at.node._random)
    at.opener = opener
    at.desk = Desk(at.node)
    if at.parent is not None:
        at.link = Link(at.node, at.parent.node.node_id)
    for child in at.children:
        child.link = Link(child.node, at.node.node_id)
    return at


def assert_equal(tiers: ThreeTiers) -> None:
    tiers.prove()
    wanted = {table: content(tiers.commune, table, without=("cause",)) for table in TABLES}
    for node in tiers.nodes:
        assert {table: content(node, table, without=("cause",)) for table in TABLES} == wanted, node.name
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        assert node.rows("SELECT state, reason FROM syncd_stream WHERE state <> 'ok' OR applied_seq <> held_seq") == []
        with node.store.read() as tx:
            assert recount(tx, node.store.registry) == []
    assert content(tiers.province, "death") == content(tiers.commune, "death")


def test_a_baseline_holds_exactly_the_content_of_the_position_it_names(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    new = made(tiers.commune, stream_id)
    at = stream_of(tiers.commune, stream_id)
    with tiers.commune.store.read() as tx:
        found = floor.newest(tx)[stream_id]
        envelopes = [parse_envelope(entry.envelope) for entry in log.entries(tx, new.stream_id, 0, limits.MIB)]
    assert (found.at_seq, found.at_hash, found.is_whole) == (at.held_seq, at.held_hash, True)
    assert new.ended
    assert {envelope.header.rows for envelope in envelopes} == {0}
    tiers.settle()
    for node in (tiers.district, tiers.province):
        held = stream_of(node, new.stream_id)
        assert (held.held_seq, held.held_hash, held.applied_seq) == (new.held_seq, new.held_hash, new.held_seq)
    assert stream_of(tiers.commune, new.stream_id).custodian_seq == new.held_seq
    assert_equal(tiers)


def test_a_baseline_made_twice_is_the_same_bytes(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    bytes_of = "SELECT envelope FROM syncd_log WHERE stream_id = ? ORDER BY seq"
    first = made(tiers.commune, stream_id)
    before = tiers.commune.rows(bytes_of, (first.stream_id,))
    assert baseline.make(tiers.commune.node, stream_id) is None
    with tiers.commune.store.apply("lost") as tx:
        floor.drop(tx, first.stream_id)
    again = made(tiers.commune, stream_id)
    assert again.stream_id == first.stream_id
    assert tiers.commune.rows(bytes_of, (first.stream_id,)) == before


def test_no_baseline_while_rows_wait_for_the_log(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    add_person(tiers.commune)
    assert baseline.make(tiers.commune.node, stream_id) is None
    tiers.commune.node.write()
    assert baseline.make(tiers.commune.node, stream_id) is not None


def test_only_keeper_and_custodian_make_one(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    assert baseline.make(tiers.district.node, stream_id) is None
    assert baseline.make(tiers.province.node, stream_id) is not None
    tiers.settle()  # the custodian's flows down to who keeps the unit; nobody who stands there is moved
    assert tiers.commune.value("SELECT count(*) FROM syncd_baseline WHERE is_whole = 1") == 1
    assert_equal(tiers)


def test_a_baseline_of_another_units_stream_is_refused(tiers: ThreeTiers) -> None:
    tree = tiers.province.node.tree()
    unit, keeper = tiers.commune.unit_id, tiers.commune.node.node_id
    other = Adopted(stream_id=own_stream(tiers.district, Kind.CONTROL), seq=1, hash=bytes(32))
    with pytest.raises(Foreign):
        floor.check_genesis(tree, Genesis(kind=4, unit=unit, keeper=keeper, term=1, adopts=other))


def test_a_node_with_an_empty_database_is_filled_although_its_child_has_pruned(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    tiers.settle()
    made(tiers.commune, stream_id)
    seq = stream_of(tiers.commune, stream_id).held_seq
    add_person(tiers.commune, full_name="Sau mốc")
    tiers.settle()
    forget(tiers.commune, stream_id, seq)
    forget(tiers.province, stream_id, seq)
    dsn = None if tiers.district.store.dialect == "sqlite" else _other_dsn(tiers)
    emptied(tiers, tiers.district, dsn)
    tiers.settle()
    assert stream_of(tiers.district, stream_id).floor_seq == seq
    assert_equal(tiers)


def _other_dsn(tiers: ThreeTiers) -> str:
    """The district's own server database, emptied."""
    import psycopg

    dsn = tiers.district.store._dsn  # type: ignore[attr-defined]  # a PostgresStore
    tiers.district.store.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return str(dsn)


def test_a_node_away_while_others_pruned_takes_the_baseline_and_goes_on(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    behind = stream_of(tiers.province, stream_id).held_seq
    # The district exchanges with the commune alone.
    for place in range(4):
        add_person(tiers.commune, phone=f"x{place}")
        tiers.commune.node.write()
    seq = stream_of(tiers.commune, stream_id).held_seq
    made(tiers.commune, stream_id)
    assert tiers.commune.link is not None
    exchange(tiers.commune.link, tiers.district.desk, tiers.commune)
    tiers.district.node.apply_all()
    add_person(tiers.commune, phone="y")
    for node in (tiers.commune, tiers.district):
        forget(node, stream_id, seq)
    assert stream_of(tiers.province, stream_id).held_seq == behind
    tiers.settle()
    assert stream_of(tiers.province, stream_id).floor_seq == seq
    assert_equal(tiers)


def test_a_group_that_can_never_be_applied_is_passed_by_a_baseline(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    tiers.prove()
    stream_id = own_stream(tiers.commune)
    with tiers.district.store.apply("sabotage") as tx:
        tx.run("DELETE FROM person WHERE unit_id = ?", (tiers.commune.unit_id,))
        for cells in ("syncd_cell_stock", "syncd_cell_flow"):
            tx.run(f"DELETE FROM {cells} WHERE unit_id = ?", (tiers.commune.unit_id,))
    tiers.commune.sql("UPDATE person SET phone = '7'")
    tiers.settle()
    stopped = stream_of(tiers.district, stream_id)
    assert stopped.state == "stopped"
    made(tiers.commune, stream_id)
    add_person(tiers.commune)
    tiers.settle()
    assert stream_of(tiers.district, stream_id).state == "ok"
    assert stream_of(tiers.district, stream_id).floor_seq == 0  # its log was whole, only the tables were not
    assert_equal(tiers)


def test_a_baseline_in_many_pieces_resumes_where_it_broke_off(
    tiers: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_ROWS_MAX", 5)
    write_history(tiers.commune, people=40)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    for place in range(3):
        add_person(tiers.commune, phone=f"x{place}")
        tiers.commune.node.write()
    new = made(tiers.commune, stream_id)
    assert new.held_seq > 8
    seq = stream_of(tiers.commune, stream_id).held_seq
    forget(tiers.commune, stream_id, seq)
    monkeypatch.setattr(limits, "PUSH_BYTES_MAX", 1_500)  # each push holds a few pieces, then the line breaks
    rounds = 0
    while stream_of(tiers.district, stream_id).held_seq < seq:
        rounds += 1
        assert rounds < 50, tiers.district.rows("SELECT kind, held_seq, floor_seq, ended, open_from FROM syncd_stream")
        link = tiers.commune.link = Link(tiers.commune.node, tiers.district.node.node_id)
        now = tiers.commune.node.clock()
        link.take_hello(tiers.district.desk.hello(tiers.commune.node.node_id, link.hello()), now, now)
        sending = link.next_push()
        assert sending is not None
        cut = sending.body[: random.Random(rounds).randrange(len(sending.body) // 2, len(sending.body) + 1)]
        from syncd.framing import FrameReader

        reader = FrameReader(
            tiers.district.desk.unfinished(tiers.commune.node.node_id) if sending.skipped_bytes else b""
        )
        tiers.district.desk.push(tiers.commune.node.node_id, reader.feed(cut))
        tiers.district.desk.keep_unfinished(tiers.commune.node.node_id, reader.unfinished)
    assert rounds > 2
    tiers.settle()
    assert_equal(tiers)


def test_a_baseline_whose_content_was_altered_on_the_way_does_not_open(tiers: ThreeTiers) -> None:
    """A relay that changes one byte: the chain breaks before anything is taken."""
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    new = made(tiers.commune, stream_id)
    with tiers.commune.store.read() as tx:
        data = log.entries(tx, new.stream_id, 0, 1)[0].envelope
    bad = data[:-1] + bytes([data[-1] ^ 1])
    received = tiers.district.node.accept(tiers.commune.node.node_id, [bad])
    assert new.stream_id in received.refused
    assert tiers.district.value("SELECT count(*) FROM syncd_baseline") == 0
    tiers.settle()
    assert_equal(tiers)


def test_an_older_baseline_is_not_sent_beside_a_newer_one(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    first = made(tiers.commune, stream_id)
    add_person(tiers.commune)
    tiers.commune.node.write()
    second = made(tiers.commune, stream_id)
    tiers.settle()
    assert tiers.district.rows("SELECT stream_id FROM syncd_baseline") == [(second.stream_id,)]
    assert first.stream_id != second.stream_id
