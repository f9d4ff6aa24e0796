"""Only the custodian's word moves what counts as safe at the province (I9), and only about a past that is shared (I13).

Each refused receipt stands beside the one that is taken: they differ in nothing but what is wrong with them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from syncd import log, once, receipt
from syncd.errors import Altered
from syncd.exchange import Link
from syncd.framing import FrameReader
from syncd.log import Stream
from syncd.messages import Pull
from syncd.net.client import ParentClient, Pulled
from tests.integration.shapes import ThreeTiers, add_household, own_stream, three_tiers
from tests.trees import TreeBuilder


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[ThreeTiers]:
    """The commune has written something that the province has not acknowledged yet."""
    tree = three_tiers(TreeBuilder(tmp_path))
    add_household(tree.commune)
    tree.settle()
    add_household(tree.commune, "2")
    tree.commune.node.write()
    yield tree
    for node in tree.nodes:
        node.store.close()


def held(tiers: ThreeTiers) -> Stream:
    """The commune's register, as the custodian would show it once it had applied all of it."""
    with tiers.commune.store.read() as tx:
        stream = log.stream(tx, own_stream(tiers.commune))
    assert stream is not None
    return replace(stream, applied_seq=stream.held_seq, applied_hash=stream.held_hash)


def signed(tiers: ThreeTiers, stream: Stream) -> bytes:
    """The province's receipt for the applied position of `stream`."""
    return receipt.sign(tiers.province.keys, stream, 1_790_000_000_000).signed


def acknowledged(tiers: ThreeTiers) -> int:
    return int(
        tiers.commune.value("SELECT custodian_seq FROM syncd_stream WHERE stream_id = ?", (held(tiers).stream_id,))
    )


def test_custodians_receipt_acknowledges_what_is_held(tiers: ThreeTiers) -> None:
    assert acknowledged(tiers) < held(tiers).held_seq
    assert tiers.commune.node.receipts.take([signed(tiers, held(tiers))])
    assert acknowledged(tiers) == held(tiers).held_seq


def test_receipt_taken_twice_is_no_news(tiers: ThreeTiers) -> None:
    tiers.commune.node.receipts.take([signed(tiers, held(tiers))])
    assert not tiers.commune.node.receipts.take([signed(tiers, held(tiers))])


def test_relay_cannot_sign_in_the_custodians_name(tiers: ThreeTiers) -> None:
    body = signed(tiers, held(tiers))[receipt.SIGNATURE_BYTES :]
    forged = tiers.district.keys.sign(receipt.CONTEXT + body) + body
    before = acknowledged(tiers)
    assert not tiers.commune.node.receipts.take([forged])
    assert acknowledged(tiers) == before


def test_relay_cannot_vouch_in_its_own_name(tiers: ThreeTiers) -> None:
    forged = receipt.sign(tiers.district.keys, held(tiers), 1_790_000_000_000).signed
    before = acknowledged(tiers)
    assert not tiers.commune.node.receipts.take([forged])
    assert acknowledged(tiers) == before


def test_custodians_receipt_names_the_custodian(tiers: ThreeTiers) -> None:
    """Another custodian's word, with a signature that would be in order."""
    found = receipt.sign(tiers.district.keys, held(tiers), 1_790_000_000_000).signed
    with pytest.raises(Altered, match="another custodian"):
        receipt.read(found, tiers.province.node.node_id, tiers.district.keys.ed25519_public)


@pytest.mark.parametrize("place", [0, receipt.SIGNATURE_BYTES, -1])
def test_altered_receipt_is_refused(tiers: ThreeTiers, place: int) -> None:
    altered = bytearray(signed(tiers, held(tiers)))
    altered[place] ^= 1
    before = acknowledged(tiers)
    assert not tiers.commune.node.receipts.take([bytes(altered)])
    assert acknowledged(tiers) == before


def test_an_altered_receipt_keeps_no_good_one_back(tiers: ThreeTiers) -> None:
    altered = bytearray(signed(tiers, held(tiers)))
    altered[-1] ^= 1
    assert tiers.commune.node.receipts.take([bytes(altered), b"", signed(tiers, held(tiers))])
    assert acknowledged(tiers) == held(tiers).held_seq


def test_receipt_committed_while_a_child_s_question_is_read_reaches_it(tiers: ThreeTiers) -> None:
    """The child was woken when the receipt had come and before it was in the database; its question is read from a
    snapshot of then, and nobody wakes it again."""
    district, commune = tiers.district, tiers.commune
    assert commune.link is not None
    while (sending := commune.link.next_push()) is not None:
        commune.link.take_push(district.desk.push(commune.node.node_id, FrameReader(b"").feed(sending.body)))
    arrived, goes_on = threading.Event(), threading.Event()

    def failpoint(point: str) -> None:
        if point == "receipts:before-commit":
            arrived.set()
            assert goes_on.wait(300)

    district.store.failpoint = failpoint
    taking = threading.Thread(target=district.node.receipts.take, args=([signed(tiers, held(tiers))],))
    taking.start()
    assert arrived.wait(300)

    def news() -> Iterator[str]:  # read once the snapshot is open
        goes_on.set()
        taking.join(30)
        yield held(tiers).stream_id

    reply, _ = district.desk.pull(commune.node.node_id, commune.link.pull(0), news())
    assert commune.node.receipts.take(reply.receipts)
    assert acknowledged(tiers) == held(tiers).held_seq


def test_receipt_beyond_what_is_held_here_waits_for_the_next_exchange(tiers: ThreeTiers) -> None:
    ahead = replace(held(tiers), applied_seq=held(tiers).held_seq + 1)
    before = acknowledged(tiers)
    assert not tiers.commune.node.receipts.take([signed(tiers, ahead)])
    assert acknowledged(tiers) == before


def test_receipt_about_another_past_acknowledges_nothing_and_opens_a_case(tiers: ThreeTiers) -> None:
    other = replace(held(tiers), applied_hash=b"\1" * 32)
    before = acknowledged(tiers)
    assert not tiers.commune.node.receipts.take([signed(tiers, other)])
    assert acknowledged(tiers) == before
    assert tiers.commune.rows("SELECT kind, stream_id FROM syncd_case") == [("fork", other.stream_id)]


class OneByOne(ParentClient):
    """A parent without a network, to which a receipt comes for each question that waits."""

    def __init__(self, tiers: ThreeTiers, receipts: list[bytes]) -> None:
        self.tiers, self.receipts, self.asked = tiers, receipts, 0

    def pull(self, pull: Pull, link: Link) -> Pulled:
        self.asked += 1
        reply, _sending = self.tiers.district.desk.pull(self.tiers.commune.node.node_id, pull)
        reply = msgspec.structs.replace(reply, receipts=[self.receipts.pop(0)] if self.receipts else [])
        return Pulled(reply=reply, envelopes=[], unfinished=b"", error=None, size_bytes=0)


@pytest.mark.parametrize(("comes", "asked"), [(3, 3), (1, 2), (0, 1)])
def test_who_syncs_once_asks_for_receipts_as_long_as_any_brings_more(tiers: ThreeTiers, comes: int, asked: int) -> None:
    commune = tiers.commune
    assert commune.link is not None
    for number in ("3", "4"):
        add_household(commune, number)
        commune.node.write()
    last = held(tiers)
    with commune.store.read() as tx:
        ends = [row[0] for row in tx.all("SELECT seq FROM syncd_log WHERE stream_id = ? AND seq > ? ORDER BY seq",
                                         (last.stream_id, last.custodian_seq))]  # fmt: skip
        places = [(seq, log.hash_at(tx, last.stream_id, seq) or b"") for seq in ends]
    at_each = [replace(last, applied_seq=seq, applied_hash=found) for seq, found in places]
    receipts = [signed(tiers, at) for at in (at_each[0], at_each[len(ends) // 2], at_each[-1])]
    client = OneByOne(tiers, receipts[:comes])
    waiting = once.await_receipts(commune.link, client, once.Summary())
    assert (client.asked, waiting == 0) == (asked, comes == 3)
