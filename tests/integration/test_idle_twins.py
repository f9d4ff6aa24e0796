"""A twin that has nothing to say: the custodian's receipt for what the other machine wrote tells it (I13)."""

from __future__ import annotations

import pytest

from syncd import limits, log, receipt
from syncd.exchange import Link
from syncd.messages import PullReply
from tests.integration.copies import assert_equal, names
from tests.integration.shapes import ThreeTiers, add_person, own_stream
from tests.integration.test_rejoin_clones import Clone
from tests.trees import asks_only, step

PULLS_MAX = 6


@pytest.fixture
def twins(plain: ThreeTiers) -> ThreeTiers:
    """A commune that is two machines: the other one has written, its row is at the province, and it is off."""
    add_person(plain.commune, full_name="Chung")
    plain.prove()
    clone = Clone(plain.commune, plain.builder.folder)
    clone.swap()
    add_person(plain.commune, full_name="Máy hai", birth_date="1962-01-01")
    plain.settle()
    clone.swap()
    clone.close()
    assert names(plain.commune) == {"Chung"}
    return plain


def test_idle_twin_learns_of_its_clone_by_the_receipt_of_what_it_wrote(twins: ThreeTiers) -> None:
    commune = twins.commune
    stream_id = own_stream(commune)
    assert commune.value("SELECT held_seq - custodian_seq FROM syncd_stream WHERE stream_id = ?", (stream_id,)) == 0
    asks_only(commune, (stream_id,))
    assert commune.node.rejoin.holds_back(), "whatever is typed from now on is no second branch"
    for _ in range(PULLS_MAX):
        asks_only(commune)
    assert names(commune) == {"Chung", "Máy hai"}
    assert_equal(twins)


def test_what_an_idle_twin_types_once_it_knows_makes_no_branch(twins: ThreeTiers) -> None:
    commune = twins.commune
    asks_only(commune, (own_stream(commune),))
    add_person(commune, full_name="Máy một", birth_date="1951-01-01")
    assert commune.node.write() == 0
    for _ in range(PULLS_MAX):
        asks_only(commune)
    twins.settle()
    assert names(twins.province) == {"Chung", "Máy hai", "Máy một"}
    assert commune.value("SELECT count(*) FROM syncd_case WHERE kind = 'fork'") == 0
    assert_equal(twins)


def test_twin_that_awaits_a_receipt_is_not_answered_the_same_without_end(plain: ThreeTiers) -> None:
    commune = plain.commune
    add_person(commune, full_name="Chung")
    plain.prove()
    add_person(commune, full_name="Chờ biên nhận", birth_date="1971-01-01")
    step(commune)  # at the district; the receipt has not come down
    clone = Clone(commune, plain.builder.folder)
    clone.swap()
    add_person(commune, full_name="Máy hai", birth_date="1962-01-01")
    plain.settle()
    clone.swap()
    clone.close()
    seq = commune.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (own_stream(commune),))
    assert commune.value("SELECT custodian_seq FROM syncd_stream WHERE stream_id = ?", (own_stream(commune),)) < seq
    for _ in range(PULLS_MAX):
        asks_only(commune)
    assert asks_only(commune).receipts == []
    assert names(commune) == {"Chung", "Chờ biên nhận", "Máy hai"}
    assert_equal(plain)


def test_parent_that_stands_behind_what_was_signed_gives_it_once_it_has_it(twins: ThreeTiers) -> None:
    """The district may be a copy itself: until it holds what the province signed, the twin waits and asks again."""
    commune, district = twins.commune, twins.district
    stream_id = own_stream(commune)
    with district.store.read() as tx:
        receipts = receipt.newest(tx, {}, stream_id, 0)
    commune.node.receipts.take(receipts)
    assert commune.link is not None
    commune.node.rejoin.heard([])  # nothing of it is stated
    assert commune.node.rejoin.holds_back()
    twins.settle()
    assert names(commune) == {"Chung", "Máy hai"}
    assert_equal(twins)


def test_answer_that_changes_nothing_is_asked_for_ever_more_rarely(plain: ThreeTiers) -> None:
    """A receipt about a stream that is not here, over and over: a parent may err, or mean harm."""
    plain.prove()
    commune, province = plain.commune, plain.province
    with province.store.read() as tx:
        other = log.streams(tx, "own = 1")[0]
        found = receipt.sign(province.keys, other, province.node.clock())
    link = commune.link
    assert isinstance(link, Link)
    waited, asked = 0.0, 0
    while waited < 70:
        reply = PullReply(1, [found.signed], 0, 0, [])
        link.take_pull(reply, [])
        waited += link.pause_s
        asked += 1
        assert asked < 70
    assert link.pause_s == limits.REPEAT_WAIT_S_MAX
    link.take_pull(PullReply(1, [], 0, 0, []), [])
    assert link.pause_s == 0, "an answer without anything has been waited for"
