"""What a neighbour may not hand over: nothing changes, and the refusal says what it was (I4, I5, I7, I8)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from schema.spec import Audience
from syncd.envelope import Genesis, Header, Mark, parse_envelope, stream_id_of
from syncd.errors import Altered, EnvelopeError, Truncated
from syncd.messages import PushReply
from syncd.seal import PlainPart, seal_envelope
from syncd.wire import INSERT, Block, encode_body
from tests.integration.shapes import add_person, content, envelopes, own_stream, positions, state, two_communes
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Siblings:
    """A root with two communes. The first one's log is written, the root has none of it yet."""

    builder: TreeBuilder
    root: TreeNode
    one: TreeNode
    two: TreeNode
    log: list[bytes]  # register stream of `one`: three envelopes

    def push(self, peer: TreeNode, data: list[bytes]) -> PushReply:
        return self.root.desk.push(peer.node.node_id, data)


@pytest.fixture(params=["sqlite", "postgres"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Siblings]:
    dsn = postgres_server.create_database() if request.param == "postgres" else None
    builder, root, one, two = two_communes(tmp_path, dsn)
    add_person(one)
    one.node.write()
    _keys_first(one, root)
    for number in range(2):
        add_person(one, phone=str(number))
        one.node.write()
    yield Siblings(builder=builder, root=root, one=one, two=two, log=envelopes(one, own_stream(one)))
    for node in builder.nodes:
        node.store.close()
    if dsn is not None:
        postgres_server.drop_database(dsn)


def _keys_first(one: TreeNode, root: TreeNode) -> None:
    """The control stream alone: the root could open whatever came."""
    root.desk.push(one.node.node_id, envelopes(one, own_stream(one, 3)))


def assert_unchanged(tree: Siblings, act: Callable[[], PushReply]) -> PushReply:
    before = positions(tree.root)
    reply = act()
    tree.root.node.apply_all()
    assert positions(tree.root) == before
    return reply


def test_replayed_envelopes_change_nothing_and_the_reply_says_where_the_stream_stands(tree: Siblings) -> None:
    tree.push(tree.one, tree.log)
    tree.root.node.apply_all()
    reply = assert_unchanged(tree, lambda: tree.push(tree.one, tree.log[:2]))
    assert reply.refused == []
    assert [position.seq for position in reply.positions] == [3]


def test_duplicated_envelopes_count_once(tree: Siblings) -> None:
    reply = tree.push(tree.one, [data for data in tree.log for _ in range(2)])
    tree.root.node.apply_all()
    assert [position.seq for position in reply.positions] == [3]
    assert content(tree.root, "person") == content(tree.one, "person")


@pytest.mark.parametrize("order", [[1], [2], [1, 2], [2, 1]])
def test_gap_is_told_as_later(tree: Siblings, order: list[int]) -> None:
    reply = assert_unchanged(tree, lambda: tree.push(tree.one, [tree.log[place] for place in order]))
    assert [(refusal.code, refusal.seq) for refusal in reply.refused] == [("later", order[0] + 1)]


def test_reordered_envelopes_arrive_by_the_next_exchange(tree: Siblings) -> None:
    tree.push(tree.one, [tree.log[2], tree.log[0], tree.log[1]])
    tree.builder.settle()
    assert content(tree.root, "person") == content(tree.one, "person")
    assert tree.root.rows("SELECT * FROM syncd_case") == []


def test_stream_of_another_neighbour_is_refused(tree: Siblings) -> None:
    reply = assert_unchanged(tree, lambda: tree.push(tree.two, tree.log))
    assert [refusal.code for refusal in reply.refused] == ["refused"]
    assert "has no part in stream" in reply.refused[0].text


def _sealed(
    by: TreeNode,
    kind: int,
    unit: str | None,
    *,
    row_id: str,
    table: int = 25,
    seq: int = 1,
    previous: bytes = bytes(32),
    names: tuple[int, ...] = (),
) -> bytes:
    """An envelope that `by` signs, whatever it claims; its key is one the receiver has not."""
    stream_id = stream_id_of(kind, unit, by.node.node_id, 1)
    body = encode_body(
        [Block(table=table, op=INSERT, columns=names, ids=[row_id], values=[["x"] for _ in names])],
        {table: dict.fromkeys(names, "text")},
    )
    genesis = Genesis(kind=kind, unit=unit, keeper=by.node.node_id, term=1) if seq == 1 else None
    header = Header(
        stream_id=stream_id,
        seq=seq,
        previous=previous,
        mark=Mark.CLOSED,
        schema_revision=1,
        tree_seq=0,
        time_ms=1,
        clock_offset_ms=None,
        rows=1,
        genesis=genesis,
    )
    part = PlainPart(audience=Audience.PUBLIC, epoch=0, epoch_key=None, body=body)
    return seal_envelope(header, [part], by.keys.sign, random.Random(1).randbytes).to_bytes()


def test_register_of_a_unit_that_its_signer_does_not_keep_is_refused(tree: Siblings) -> None:
    data = _sealed(tree.two, 1, tree.one.unit_id, row_id=f"019a0000-0000-7000-8000-0000{tree.two.keys.tag}")
    reply = assert_unchanged(tree, lambda: tree.push(tree.two, [data]))
    assert [refusal.code for refusal in reply.refused] == ["refused"]
    assert "does not keep register stream" in reply.refused[0].text


def test_oversight_of_a_unit_by_a_node_that_is_not_above_it_is_refused(tree: Siblings) -> None:
    data = _sealed(tree.two, 2, tree.one.unit_id, row_id=f"019a0000-0000-7000-8000-0000{tree.two.keys.tag}", table=29)
    reply = assert_unchanged(tree, lambda: tree.push(tree.two, [data]))
    assert [refusal.code for refusal in reply.refused] == ["refused"]


def test_words_about_all_units_by_another_than_the_root_are_refused(tree: Siblings) -> None:
    data = _sealed(tree.two, 2, None, row_id=f"019a0000-0000-7000-8000-0000{tree.two.keys.tag}", table=20)
    reply = assert_unchanged(tree, lambda: tree.push(tree.two, [data]))
    assert [refusal.code for refusal in reply.refused] == ["refused"]


def test_stream_of_a_node_that_nobody_enrolled_waits(tree: Siblings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = TreeBuilder(tmp_path / "other", seed=9).root("stranger", "77")
    data = _sealed(stranger, 1, stranger.unit_id, row_id=f"019a0000-0000-7000-8000-0000{stranger.keys.tag}")
    reply = assert_unchanged(tree, lambda: tree.push(tree.two, [data]))
    assert [refusal.code for refusal in reply.refused] == ["later"]


@pytest.mark.parametrize("place", [-1, -200])
def test_altered_part_is_refused(tree: Siblings, place: int) -> None:
    data = bytearray(tree.log[0])
    data[place] ^= 1
    reply = assert_unchanged(tree, lambda: tree.push(tree.one, [bytes(data), *tree.log[1:]]))
    assert [(refusal.code, refusal.seq) for refusal in reply.refused] == [("refused", 1)]


def test_no_single_bit_of_an_envelope_can_change_unnoticed(tree: Siblings) -> None:
    source, data = random.Random(5), tree.log[0]
    for place in source.sample(range(len(data)), 40):
        altered = bytearray(data)
        altered[place] ^= 1 << source.randrange(8)
        before = positions(tree.root)
        try:
            reply = tree.push(tree.one, [bytes(altered)])
        except EnvelopeError:
            pass
        else:
            assert reply.refused
        assert positions(tree.root) == before, f"byte {place} of {len(data)}"


def test_another_signature_is_refused(tree: Siblings) -> None:
    envelope = parse_envelope(tree.log[0])
    forged = replace(envelope, signature=tree.two.keys.sign(b"syncd envelope v1" + envelope.hash))
    reply = assert_unchanged(tree, lambda: tree.push(tree.one, [forged.to_bytes()]))
    assert "signature" in reply.refused[0].text


@pytest.mark.parametrize(("size", "error"), [(2, Truncated), (40, Truncated), (-1, Truncated), (None, Altered)])
def test_truncated_or_lengthened_bytes_are_no_envelope(
    tree: Siblings, size: int | None, error: type[EnvelopeError]
) -> None:
    data = tree.log[0][:size] if size else tree.log[0] + b"\0"
    before = positions(tree.root)
    with pytest.raises(error):
        tree.push(tree.one, [data])
    assert positions(tree.root) == before


def test_other_past_of_a_stream_is_a_fork_and_a_case(tree: Siblings) -> None:
    tree.push(tree.one, tree.log[:1])
    other = _sealed(
        tree.one,
        1,
        tree.one.unit_id,
        row_id=f"019a0000-0000-7000-8000-0000{tree.one.keys.tag}",
        seq=2,
        previous=b"\1" * 32,
    )
    before = positions(tree.root)
    reply = tree.push(tree.one, [other])
    assert positions(tree.root) == before
    assert [refusal.code for refusal in reply.refused] == ["forked"]
    assert tree.root.rows("SELECT kind, stream_id FROM syncd_case") == [("fork", own_stream(tree.one))]


def test_refused_stream_stops_no_other(tree: Siblings) -> None:
    altered = bytearray(tree.log[0])
    altered[-1] ^= 1
    add_person(tree.two)
    tree.two.node.write()
    with_two = [*envelopes(tree.two, own_stream(tree.two, 3)), *envelopes(tree.two, own_stream(tree.two))]
    assert [r.code for r in tree.push(tree.one, [bytes(altered)]).refused] == ["refused"]
    assert tree.push(tree.two, with_two).refused == []
    tree.root.node.apply_all()
    assert content(tree.root, "person") == content(tree.two, "person")


@pytest.mark.parametrize(
    ("row_tag", "table", "names", "says"),
    [
        ("two", 25, (), "minted by another node"),
        ("one", 20, (5,), "carries rows of table unit"),
        ("one", 25, (4,), "part for public"),
    ],
)
def test_rows_that_a_stream_may_not_carry_stop_it_and_nothing_is_applied(
    tree: Siblings, row_tag: str, table: int, names: tuple[int, ...], says: str
) -> None:
    """Signed by the right keeper, in its right place, yet no keeper may say this."""
    tag = getattr(tree, row_tag).keys.tag
    data = _sealed(tree.one, 1, tree.one.unit_id, row_id=f"019a0000-0000-7000-8000-0000{tag}", table=table, names=names)
    assert tree.push(tree.one, [data]).refused == []
    tree.root.node.apply_all()
    stopped, reason = state(tree.root, own_stream(tree.one))
    assert stopped == "stopped"
    assert says in str(reason)
    assert tree.root.value("SELECT count(*) FROM person") == 0


def test_refusal_is_shown_at_the_sender_until_the_parent_takes_the_stream(tree: Siblings) -> None:
    assert tree.one.link is not None
    altered = bytearray(tree.log[0])
    altered[-1] ^= 1
    now = tree.one.node.clock()
    tree.one.link.take_hello(tree.root.desk.hello(tree.one.node.node_id, tree.one.link.hello()), now, now)
    tree.one.link.take_push(tree.push(tree.one, [bytes(altered)]))
    assert state(tree.one, own_stream(tree.one))[0] == "refused"
    tree.builder.settle()
    assert state(tree.one, own_stream(tree.one))[0] == "ok"
