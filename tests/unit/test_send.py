"""What a neighbour lacks is sent only behind a past that both share (I13); anything else is named, and not sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import log
from syncd.log import Stream
from syncd.messages import Position, position
from syncd.send import Batch, lacking
from tests.integration.shapes import lone_root
from tests.trees import TreeNode

OTHER_HASH = b"\1" * 32
ENVELOPES = 3


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TreeNode]:
    """A root whose register has three envelopes."""
    root = lone_root(tmp_path)
    for number in range(ENVELOPES):
        root.sql("INSERT INTO household (number, kind) VALUES (?, 'family')", (str(number),))
        root.node.write()
    yield root
    root.store.close()


def register(node: TreeNode) -> Stream:
    with node.store.read() as tx:
        (stream,) = log.streams(tx, "own = 1 AND kind = 1")
    assert stream.held_seq == ENVELOPES
    return stream


def lacked(node: TreeNode, seq: int, hash_: bytes | None = None, *, bytes_max: int = 1_000_000) -> Batch:
    """What a neighbour at `seq` lacks; it stands on our own past unless another hash is given."""
    stream = register(node)
    with node.store.read() as tx:
        ours = log.hash_at(tx, stream.stream_id, seq) or OTHER_HASH
        theirs: dict[str, Position] = {}
        if seq:
            theirs[stream.stream_id] = position(stream.stream_id, seq, hash_ or ours)
        return lacking(tx, [stream], theirs, bytes_max)


@pytest.mark.parametrize("seq", range(ENVELOPES + 1))
def test_everything_after_the_neighbours_position_is_sent_in_order(node: TreeNode, seq: int) -> None:
    found = lacked(node, seq)
    assert [entry.seq for _, entry in found.entries] == list(range(seq + 1, ENVELOPES + 1))
    assert found.forked == []


@pytest.mark.parametrize("seq", [1, 2])
def test_neighbour_on_another_past_below_our_head_is_a_fork(node: TreeNode, seq: int) -> None:
    found = lacked(node, seq, OTHER_HASH)
    assert (found.entries, found.forked) == ([], [register(node).stream_id])


def test_neighbour_level_with_us_on_another_past_is_a_fork(node: TreeNode) -> None:
    found = lacked(node, ENVELOPES, OTHER_HASH)
    assert (found.entries, found.forked) == ([], [register(node).stream_id])


def test_neighbour_that_holds_more_of_our_stream_than_we_do_is_a_fork(node: TreeNode) -> None:
    found = lacked(node, ENVELOPES + 1, OTHER_HASH)
    assert (found.entries, found.forked) == ([], [register(node).stream_id])


def test_a_shortened_hash_of_the_same_past_is_no_fork(node: TreeNode) -> None:
    """A pull states only the beginning of each hash."""
    assert lacked(node, ENVELOPES, register(node).held_hash[:16]).forked == []


def test_one_envelope_is_sent_however_small_the_credit(node: TreeNode) -> None:
    found = lacked(node, 0, bytes_max=1)
    assert len(found.entries) == 1
    assert found.more
