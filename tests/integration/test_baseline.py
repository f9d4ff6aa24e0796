"""Baselines: the content of a stream at a position, and whoever takes one ends equal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.spec import Kind
from syncd import baseline, floor, limits, log
from syncd.envelope import Adopted, Genesis, parse_envelope
from syncd.errors import Foreign
from syncd.exchange import Link
from tests.integration.baselines import assert_equal, emptied, emptied_dsn, forget, made, stream_of, write_history
from tests.integration.shapes import ThreeTiers, add_person, content, own_stream, tiers_on
from tests.postgres import PostgresMix
from tests.trees import exchange, step


@pytest.fixture(params=[(), ("province", "district", "commune")], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_mix, tmp_path, request.param) as tree:
        yield tree


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
    dsn = None if tiers.district.store.dialect == "sqlite" else emptied_dsn(tiers.district)
    emptied(tiers, tiers.district, dsn)
    tiers.settle()
    assert stream_of(tiers.district, stream_id).floor_seq == seq
    assert_equal(tiers)


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


def test_a_keeper_with_an_empty_database_gets_its_register_back_from_a_parent_that_has_pruned(
    tiers: ThreeTiers,
) -> None:
    write_history(tiers.commune)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    seq = stream_of(tiers.commune, stream_id).held_seq
    add_person(tiers.commune, full_name="Sau mốc")
    tiers.prove()
    wanted = content(tiers.commune, "person")
    forget(tiers.district, stream_id, seq)
    forget(tiers.province, stream_id, seq)
    emptied(tiers, tiers.commune, None if tiers.commune.store.dialect == "sqlite" else emptied_dsn(tiers.commune))
    tiers.settle()
    assert content(tiers.commune, "person") == wanted
    assert stream_of(tiers.commune, stream_id).rejoin_seq == 0
    add_person(tiers.commune, full_name="Sau khi dựng lại")
    tiers.settle()
    assert tiers.province.value("SELECT count(*) FROM person WHERE full_name = 'Sau khi dựng lại'") == 1
    assert_equal(tiers)


def test_what_a_rebuilt_keeper_typed_before_its_register_came_back_is_kept(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    seq = stream_of(tiers.commune, stream_id).held_seq
    add_person(tiers.commune)
    tiers.prove()
    for node in (tiers.district, tiers.province):
        forget(node, stream_id, seq)
    emptied(tiers, tiers.commune, None if tiers.commune.store.dialect == "sqlite" else emptied_dsn(tiers.commune))
    for _ in range(20):  # until it knows again that it keeps the unit, so that its guard lets a clerk write
        if tiers.commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"):
            break
        step(tiers.commune)
    add_person(tiers.commune, full_name="Gõ khi sổ chưa về")
    tiers.settle()
    assert tiers.province.value("SELECT count(*) FROM person WHERE full_name = 'Gõ khi sổ chưa về'") == 1
    assert_equal(tiers)
