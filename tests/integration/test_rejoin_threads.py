"""What a node knows of a rejoin is asked and told by workers and the server's threads at once: no answer is lost, none
fails (I13)."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from syncd.messages import Position, Sample, Want
from tests.integration.shapes import ThreeTiers, add_person, own_stream
from tests.trees import TreeNode

THREADS, ROUNDS, STREAMS = 6, 40, 300


@pytest.fixture
def hasty() -> Iterator[None]:
    """The interpreter changes threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(calls: list[Callable[[], object]]) -> list[BaseException]:
    """Call each from a thread of its own, all beginning together; what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def asked(at: TreeNode, child: str) -> None:
    """A child's question, as the server's threads pass it on."""
    with at.store.read() as tx:
        at.node.rejoin.child_asked(tx, child, {}, [], [], 1 << 62)


@pytest.mark.usefixtures("hasty")
def test_two_questions_of_one_child_at_once_both_count_as_its_answer(plain: ThreeTiers) -> None:
    district, child = plain.district, plain.commune.node.node_id
    for _ in range(ROUNDS):
        district.node.rejoin._taking = {str(uuid.uuid4()): (child, 0) for _ in range(STREAMS)}
        assert at_once([lambda: asked(district, child)] * THREADS) == []
        assert not district.node.rejoin.holds_back()


@pytest.mark.usefixtures("hasty")
def test_what_a_pull_tells_is_not_forgotten_by_a_hello_at_the_same_time(plain: ThreeTiers) -> None:
    """One thread hears the parent's hello, another its answer to a pull, others ask whether anything may be sealed."""
    add_person(plain.commune)
    plain.settle()
    node = plain.commune.node
    of_district = plain.district.value(
        "SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = 3 AND held_seq > 0"
    )  # fmt: skip
    told = Want(uuid.UUID(of_district).bytes, [Sample(1 << 40, b"x" * 32)])
    parent = plain.district.node.node_id
    ahead = Position(uuid.UUID(own_stream(plain.commune)).bytes, 1 << 40, b"y" * 32)
    for _ in range(ROUNDS):
        calls: list[Callable[[], object]] = [
            lambda: node.rejoin.heard([]), lambda: node.rejoin.told(parent, [told]), node.rejoin.holds_back,
            lambda: node.rejoin.differs(ahead), node.rejoin.note_positions,
        ]  # fmt: skip
        assert at_once(calls) == []
        assert node.rejoin.is_goal(of_district)


def at_return_of(name: str, call: Callable[[], object]) -> Callable[[FrameType, str, object], object]:
    """A trace of one thread that makes another thread's call fall in just where a function of that name returns."""

    def trace(frame: FrameType, event: str, _: object) -> object:
        if event == "return" and frame.f_code.co_name == name:
            at_once([call])
        return trace

    return trace


def test_what_the_custodian_signed_is_not_forgotten_by_a_hello_at_the_same_time(plain: ThreeTiers) -> None:
    """A receipt tells of another machine just when the parent's positions have been compared."""
    add_person(plain.commune)
    plain.settle()
    rejoin, stream = plain.commune.node.rejoin, uuid.UUID(own_stream(plain.commune)).bytes
    rejoin.differs(Position(uuid.uuid4().bytes, 1 << 40, b"y" * 32))  # something is to be taken anyway
    before, receipts = sys.gettrace(), [[Position(stream, 1 << 40, b"z" * 32)], []]  # none at the first look
    sys.settrace(at_return_of("_compared", lambda: rejoin.signed_elsewhere(receipts.pop())))  # type: ignore[arg-type]  # typeshed's own recursive type
    try:
        rejoin.heard([])
    finally:
        sys.settrace(before)
    assert receipts == []
    assert rejoin.is_goal(str(uuid.UUID(bytes=stream)))
