"""Messages of the right form that say what is not so: a neighbour answers, or raises an error of ours; it goes on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd import limits
from syncd.errors import SyncdError
from syncd.messages import (
    Hello,
    HelloReply,
    Owed,
    Partial,
    Position,
    Pull,
    PullReply,
    PushReply,
    Refusal,
    Sample,
    Want,
)
from tests.integration.shapes import ThreeTiers, add_person, content, three_tiers
from tests.trees import TreeBuilder

EXAMPLES = 40


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[ThreeTiers]:
    """One tree for all messages of a test: what one of them leaves behind the next one meets. A sound neighbour's next
    exchange heals what an unsound one said."""
    tree = three_tiers(TreeBuilder(tmp_path))
    add_person(tree.commune)
    tree.settle()
    yield tree
    for node in tree.nodes:
        node.reopen()
    add_person(tree.commune)
    tree.settle()
    assert content(tree.province, "person") == content(tree.commune, "person")


NATURAL = st.sampled_from([0, 1, 2, 3, 4, 255, 2**31, 2**32, 2**62, 2**63 - 1])
TIMES = st.sampled_from([0, 1, 1_790_000_000_000, limits.TIME_MS_MAX])
HASHES = st.sampled_from([bytes(16), bytes(32), b"\xff" * 16, b"\xff" * 32, b"\x01" * 20])
TEXTS = st.sampled_from(["", "later", "refused", "forked", "\x1b[2J", "x" * 20])


def messages_of(tiers: ThreeTiers) -> dict[str, st.SearchStrategy[object]]:
    """Strategies over the streams that this tree knows, and one it does not."""
    known = [bytes(16), b"\xff" * 16]
    for node in tiers.nodes:
        known += [uuid.UUID(row[0]).bytes for row in node.rows("SELECT stream_id FROM syncd_stream")]
    real = [
        (uuid.UUID(row[0]).bytes, int(row[1]), bytes(row[2]))
        for row in tiers.province.rows("SELECT stream_id, held_seq, held_hash FROM syncd_stream")
    ]
    streams = st.sampled_from(sorted(set(known)))
    position = st.one_of(
        st.builds(Position, streams, NATURAL, HASHES), st.sampled_from([Position(*place) for place in real])
    )
    positions = st.lists(position, max_size=8)
    partial = st.none() | st.builds(Partial, streams, NATURAL, NATURAL)
    wants = st.lists(
        st.builds(Want, streams, st.lists(st.builds(Sample, NATURAL, HASHES), min_size=1, max_size=5)), max_size=4
    )
    receipts = st.lists(st.binary(max_size=200), max_size=3)
    return {
        "hello": st.builds(Hello, NATURAL, NATURAL, NATURAL, TIMES, positions, NATURAL, NATURAL),
        "pull": st.builds(
            Pull, positions, st.lists(st.builds(Owed, streams, NATURAL), max_size=5), partial, NATURAL, NATURAL,
            NATURAL, TIMES, wants, TIMES, st.lists(streams, max_size=5),
        ),
        "hello reply": st.builds(HelloReply, NATURAL, TIMES, positions, partial, NATURAL),
        "push reply": st.builds(
            PushReply, positions, st.lists(st.builds(Refusal, streams, NATURAL, TEXTS, TEXTS), max_size=5), receipts
        ),
        "pull reply": st.builds(PullReply, TIMES, receipts, NATURAL, NATURAL, wants),
    }  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("kind", ["hello", "pull"])
def test_a_parent_answers_whatever_a_child_says(tiers: ThreeTiers, kind: str, data: st.DataObject) -> None:
    said = data.draw(messages_of(tiers)[kind])
    peer = tiers.commune.node.node_id
    with suppress(SyncdError):
        if isinstance(said, Hello):
            tiers.district.desk.hello(peer, Hello(1, 1, said.schema_revision, said.time_ms, said.up, 0, 0))
        elif isinstance(said, Pull):
            tiers.district.desk.pull(peer, said)
    tiers.district.node.apply_all()
    tiers.district.node.conclude()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), unfinished=st.binary(max_size=40))
@pytest.mark.parametrize("kind", ["hello reply", "push reply", "pull reply"])
def test_a_child_outlives_whatever_its_parent_says(
    tiers: ThreeTiers, kind: str, data: st.DataObject, unfinished: bytes
) -> None:
    said = data.draw(messages_of(tiers)[kind])
    link, now = tiers.commune.link, 1_790_000_000_000
    assert link is not None
    with suppress(SyncdError):
        if isinstance(said, HelloReply):
            link.take_hello(said, now, now)
        elif isinstance(said, PushReply):
            link.take_push(said)
        elif isinstance(said, PullReply):
            link.take_pull(said, [], unfinished)
        while link.next_push() is not None:
            break
        link.pull(1)
    tiers.commune.node.write()
    tiers.commune.node.apply_all()
    tiers.commune.node.conclude()
