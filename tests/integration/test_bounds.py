"""What one child may bring and ask is bounded, whatever it names; what honest children bring is never cut off."""

from __future__ import annotations

import os
import random
import re
import uuid
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec import structs

from syncd import limits, log, messages, receipt
from syncd.cli.case_words import case_words
from syncd.envelope import Adopted, Genesis, Header, Mark, stream_id_of
from syncd.messages import Hello, Owed, Position, Pull, Sample, Want
from syncd.seal import seal_envelope
from syncd.topology.subtree import BOUND, most_below
from tests.integration.shapes import ThreeTiers, add_person, content, envelopes, own_stream, state, tiers_on
from tests.postgres import PostgresServer
from tests.trees import TreeNode, exchange, step


@pytest.fixture(params=[(), ("district",)], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_server, tmp_path, request.param) as found:
        add_person(found.commune)
        found.settle()
        yield found


def invent_nodes(at: TreeNode, count: int) -> None:
    """Records of nodes below `at` that nobody has ever seen."""
    rows = []
    for _ in range(count):
        public = os.urandom(32)
        node_id = str(uuid.UUID(bytes=sha256(public).digest()[:16]))
        rows.append((node_id, at.node.node_id, "x", public, public, at.unit_id, 0, "enrolled", "2026-01-01T00:00:00Z"))
    with at.store.write("hostile") as tx:
        tx.many(
            "INSERT INTO node (node_id, parent_id, name, signing_public, sealing_public, home_unit_id, term, status,"
            " enrolled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows,
        )  # fmt: skip
    at.node.write()


def invent_grants(at: TreeNode, count: int) -> None:
    """Keys for readers and streams that nobody has ever seen."""
    rows = [(str(uuid.uuid4()), 2, 1, str(uuid.uuid4()), os.urandom(80)) for _ in range(count)]
    with at.store.write("hostile") as tx:
        tx.many(
            "INSERT INTO key_grant (stream_id, audience, epoch, reader_id, sealed_key) VALUES (?, ?, ?, ?, ?)", rows
        )
    at.node.write()


def told_of(at: TreeNode, stream_id: str) -> str | None:
    """The bound that an open case about a stream names, as `syncd conflicts show` says it."""
    query = "SELECT kind, detail FROM syncd_case WHERE closed_at IS NULL AND stream_id = ?"
    said = [text for kind, detail in at.rows(query, (stream_id,)) for _what, text in case_words(kind, detail, "", "")]
    return next((found[1] for text in said if (found := re.search(r"(?:more than|quá|hơn) (\d+)", text))), None)


def talk(tiers: ThreeTiers) -> None:
    """Some rounds; a refused stream is offered in each of them, so that they never come to rest."""
    for _ in range(5):
        for node in tiers.nodes:
            step(node)


def test_a_commune_that_invents_nodes_stops_its_own_records_and_nothing_else(tiers: ThreeTiers) -> None:
    commune, district, most = tiers.commune, tiers.district, most_below(2)
    invent_nodes(commune, most)
    exchange(commune.link, district.desk, commune)  # type: ignore[arg-type]  # a commune has a link
    known = district.value("SELECT count(*) FROM node")
    assert known >= most
    invent_nodes(commune, 1)
    talk(tiers)
    control = own_stream(commune, 3)
    assert district.value("SELECT count(*) FROM node") == known
    for at in (district, commune):  # said at both ends
        found, reason = state(at, control)
        assert found == "stopped"
        assert str(most) in (reason or "")
    assert told_of(district, control) == str(most)
    assert told_of(commune, control) is None, "a case where it was stopped"
    held = district.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (control,))
    invent_nodes(commune, 1)
    talk(tiers)
    assert district.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (control,)) == held
    assert state(commune, control)[0] == "stopped"
    add_person(commune)
    talk(tiers)
    assert tiers.province.value("SELECT count(*) FROM person") == 2  # its register goes on


def test_a_commune_that_invents_grants_stops_until_its_bound_is_raised(
    tiers: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What honest nodes bring lies far below the bound; here it is lowered, and raised as a later release may."""
    commune, district = tiers.commune, tiers.district
    control = own_stream(commune, 3)
    brought = int(district.value("SELECT sum(rows) FROM syncd_log WHERE stream_id = ?", (control,)))
    monkeypatch.setattr(limits, "CONTROL_ROWS_MAX", brought + 20)
    for _ in range(3):
        invent_grants(commune, 10)
    talk(tiers)
    assert district.value("SELECT count(*) FROM key_grant WHERE audience = 2 AND epoch = 1 AND reader_id NOT IN"
                          " (SELECT node_id FROM node)") == 20  # fmt: skip
    assert state(district, control)[0] == "stopped"
    assert told_of(district, control) == str(brought + 20)
    add_person(commune)
    talk(tiers)
    assert tiers.province.value("SELECT count(*) FROM person") == 2, "its register goes on"
    monkeypatch.undo()
    tiers.settle()
    assert state(district, control)[0] == "ok"
    assert told_of(district, control) is None


def test_the_deeper_a_node_stands_the_less_it_brings() -> None:
    found = [most_below(depth) for depth in (1, 2, 3, 9)]
    assert found == sorted(found, reverse=True)
    assert found[0] >= 6 * found[1] >= 36 * found[2]


@pytest.fixture
def few_envelopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction takes fewer of them: as many steps as in a long push, and a short test."""
    monkeypatch.setattr(limits, "RECEIVE_ENVELOPES", 25)


@pytest.mark.usefixtures("few_envelopes")
def test_a_long_push_lets_the_write_lock_go_between_envelopes(tiers: ThreeTiers) -> None:
    commune, district = tiers.commune, tiers.district
    for number in range(2 * limits.RECEIVE_ENVELOPES + 1):
        commune.sql("UPDATE person SET phone = ?", (f"{number:04d}",))
        commune.node.write()
    register = own_stream(commune)
    held = district.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (register,))
    begun: list[str] = []
    district.store.failpoint = begun.append
    reply = district.desk.push(commune.node.node_id, envelopes(commune, register)[held:])
    assert begun.count("receive:begin") >= 3
    assert not reply.refused
    tiers.settle()
    assert content(district, "person") == content(commune, "person")


@pytest.mark.usefixtures("few_envelopes")
def test_a_refusal_in_one_transaction_holds_for_the_rest_of_the_push(tiers: ThreeTiers) -> None:
    """A gap in the first transaction: nothing behind it is taken in the next ones."""
    commune, district = tiers.commune, tiers.district
    for number in range(limits.RECEIVE_ENVELOPES + 20):
        commune.sql("UPDATE person SET phone = ?", (f"{number:04d}",))
        commune.node.write()
    register = own_stream(commune)
    held = district.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (register,))
    sent = envelopes(commune, register)[held:]
    del sent[10]
    reply = district.desk.push(commune.node.node_id, sent)
    assert [item.code for item in reply.refused] == ["later"]
    assert district.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (register,)) == held + 10
    tiers.settle()
    assert content(district, "person") == content(commune, "person")


def noise(count: int) -> list[Position]:
    made = random.Random(1)
    return [Position(made.randbytes(16), 2**63 - 1, made.randbytes(32)) for _ in range(count)]


def test_a_question_about_what_nobody_knows_has_a_short_answer(tiers: ThreeTiers) -> None:
    peer = tiers.commune.node.node_id
    made = noise(limits.STREAMS_MAX)
    reply = tiers.district.desk.hello(peer, Hello(1, 1, 1, tiers.district.node.clock(), made, 0, 0))
    assert len(messages.encode(reply)) < 64 * 1024
    wants = [
        Want(item.stream, [Sample(2**63 - 1 - k, item.hash[:16]) for k in range(limits.SAMPLES_MAX)]) for item in made
    ]
    down = [Position(item.stream, item.seq, item.hash[:16]) for item in made[:20_000]]
    owed = [Owed(item.stream, 0) for item in made]
    pull = Pull(down, owed, None, 0, 0, 0, 0, wants[: limits.WANTS_MAX], 0, [item.stream for item in made[:20_000]])
    answer, sending = tiers.district.desk.pull(peer, pull)
    assert len(messages.encode(answer)) < 64 * 1024
    assert len(sending.body) <= limits.PULL_BYTES_MAX + limits.ENVELOPE_BYTES_MAX


def test_receipts_of_many_streams_are_those_of_each(tiers: ThreeTiers) -> None:
    with tiers.district.store.read() as tx:
        known = [stream.stream_id for stream in log.streams(tx)]
        wanted = {item.stream_id: 0 for item in noise(3 * limits.RECEIPTS_APART_MAX)} | dict.fromkeys(known, 0)
        one_by_one = [data for key, seq in wanted.items() for data in receipt.newest(tx, {}, key, seq)]
        assert receipt.newest_of(tx, {}, wanted) == one_by_one
        assert one_by_one


@pytest.mark.parametrize("size", [1, 2])
def test_a_hello_in_parts_says_and_hears_what_a_whole_one_does(
    tiers: ThreeTiers, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HELLO_STREAMS", size)
    link, desk, peer = tiers.district.link, tiers.province.desk, tiers.district.node.node_id
    assert link is not None
    whole = link.hello()
    assert len(whole.up) > size
    for left_out in range(len(whole.up)):  # each of them lost once
        asked = structs.replace(whole, up=whole.up[:left_out] + whole.up[left_out + 1 :])
        parts = messages.in_parts(asked)
        assert all(len(part.up) <= size for part in parts)
        heard = messages.merged([desk.hello(peer, messages.decode(messages.encode(part), Hello)) for part in parts])
        at_once = desk.hello(peer, asked)
        assert sorted(heard.up, key=lambda item: item.stream) == sorted(at_once.up, key=lambda item: item.stream)
    add_person(tiers.commune)
    tiers.settle()
    assert content(tiers.province, "person") == content(tiers.commune, "person")


def baseline(commune: TreeNode, seq: int, hash_: bytes) -> bytes:
    """The first envelope of a baseline of the commune's register at a position."""
    with commune.store.read() as tx:
        at = log.stream(tx, own_stream(commune))
    assert at is not None
    of = Adopted(stream_id=at.stream_id, seq=seq, hash=hash_)
    genesis = Genesis(kind=4, unit=at.unit_id, keeper=at.keeper, term=at.term, adopts=of)
    header = Header(
        stream_id=stream_id_of(4, at.unit_id, at.keeper, at.term, of), seq=1, previous=bytes(32), mark=int(Mark.OPEN),
        schema_revision=1, tree_seq=0, time_ms=1_790_000_000_000, clock_offset_ms=0, rows=0, genesis=genesis,
    )  # fmt: skip
    return seal_envelope(header, [], commune.keys.sign, os.urandom).to_bytes()


def test_a_baseline_of_a_position_that_never_was_is_refused(tiers: ThreeTiers) -> None:
    reply = tiers.district.desk.push(tiers.commune.node.node_id, [baseline(tiers.commune, 1, os.urandom(32))])
    assert [item.code for item in reply.refused] == ["refused"]
    assert tiers.district.value("SELECT count(*) FROM syncd_baseline") == 0


def test_more_baselines_of_one_stream_than_anybody_needs_wait(tiers: ThreeTiers) -> None:
    """Of positions that lie ahead nobody here can tell whether they are."""
    sent = [baseline(tiers.commune, 1_000 + number, os.urandom(32)) for number in range(limits.BASELINES_MAX + 3)]
    reply = tiers.district.desk.push(tiers.commune.node.node_id, sent)
    assert [item.code for item in reply.refused] == ["later"] * 3
    assert tiers.district.value("SELECT count(*) FROM syncd_baseline") == limits.BASELINES_MAX


def test_the_code_of_a_bound_fits_the_message() -> None:
    refusal = messages.Refusal(bytes(16), 1, BOUND, "why")
    reply = messages.PushReply([], [refusal], [])
    assert messages.decode(messages.encode(reply), messages.PushReply) == reply
