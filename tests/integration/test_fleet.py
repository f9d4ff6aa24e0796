"""Many children at one parent: what a question costs does not grow with the children that did not ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from schema.spec import Kind
from syncd import applying, limits, log
from syncd.envelope import parse_envelope, stream_id_of
from syncd.errors import TreeOlder
from syncd.exchange import Desk
from syncd.log import Stream
from syncd.net.waiting import Waiter, Waiting
from syncd.pipeline import Node
from syncd.signals import LOG
from syncd.store.base import Row, Tx
from syncd.topology import subtree
from tests.grown import grow
from tests.integration.shapes import add_person
from tests.trees import TreeBuilder, TreeNode, asks_only, exchange, step

FEW, MANY = 2, 6
TURN = 3  # groups


@pytest.fixture
def builder(tmp_path: Path) -> TreeBuilder:
    return TreeBuilder(tmp_path)


@contextmanager
def loaded_streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The ids of the streams that are read from the database meanwhile."""
    read: list[str] = []
    made = log._stream

    def counted(row: Row) -> Stream:
        read.append(row[0])
        return made(row)

    with monkeypatch.context() as patch:
        patch.setattr(log, "_stream", counted)
        yield read


def with_children(builder: TreeBuilder, number: int) -> tuple[TreeNode, list[TreeNode]]:
    """A settled root, about each of whose communes it has said something."""
    root = builder.root("province", "42")
    children = [builder.child(root, f"c{place}", f"4250{place}") for place in range(number)]
    builder.settle()
    return root, children


def cost_of_an_exchange(root: TreeNode, child: TreeNode, monkeypatch: pytest.MonkeyPatch) -> int:
    assert child.link is not None
    hello, pull = child.link.hello(), child.link.pull(0)
    root.node.tree()
    with loaded_streams(monkeypatch) as read:
        root.desk.hello(child.node.node_id, hello)
        root.desk.pull(child.node.node_id, pull)
    return len(read)


def test_exchange_reads_the_streams_of_its_child_alone(builder: TreeBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    root, children = with_children(builder, FEW)
    few = cost_of_an_exchange(root, children[0], monkeypatch)
    for place in range(FEW, MANY):
        builder.child(root, f"c{place}", f"4250{place}")
    builder.settle()
    assert cost_of_an_exchange(root, children[0], monkeypatch) == few


def hand_in(child: TreeNode, district: TreeNode) -> None:
    """A change of a child's on its way up, as far as its parent."""
    add_person(child)
    child.node.write()
    assert child.link is not None
    sending = child.link.next_push()
    assert sending is not None
    district.desk.push(child.node.node_id, [entry.envelope for _stream, entry in sending.batch.entries])


def cost_of_asking(district: TreeNode, child: TreeNode, monkeypatch: pytest.MonkeyPatch) -> int:
    """Streams that a tier with children reads for a change of one of them on its way up, and for a question."""
    assert district.link is not None
    assert district.parent is not None
    exchange(district.link, district.parent.desk, district)
    while district.link.next_push() is not None:
        pass
    hand_in(child, district)
    district.node.tree()
    with loaded_streams(monkeypatch) as read:
        sending = district.link.next_push()
        assert sending is not None
        assert {stream_id for stream_id, _entry in sending.batch.entries} == {register_of(child)}
        assert district.link.pull(0).owed
    return len(read)


def test_tier_between_reads_what_its_parent_lacks_alone(builder: TreeBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = builder.root("province", "42")
    district = builder.child(root, "district", "425")
    children = [builder.child(district, f"c{place}", f"4250{place}") for place in range(FEW)]
    builder.settle()
    add_person(children[0])
    builder.settle()  # its register, with the keys of it
    few = cost_of_asking(district, children[0], monkeypatch)
    for place in range(FEW, MANY):
        builder.child(district, f"c{place}", f"4250{place}")
    builder.settle()
    assert cost_of_asking(district, children[0], monkeypatch) == few


def test_what_another_process_received_goes_up_after_a_while(builder: TreeBuilder) -> None:
    """Several processes may serve one hub: of what the others take in this one is told nothing."""
    root = builder.root("province", "42")
    district = builder.child(root, "district", "425")
    child = builder.child(district, "c", "42501")
    builder.settle()
    add_person(child)
    child.node.write()
    assert child.link is not None
    assert district.link is not None
    sending = child.link.next_push()
    assert sending is not None
    assert district.link.next_push() is None
    with closing(district.opener()) as store:
        other = Desk(Node(store, district.keys, builder.clock, builder.random.randbytes))
        other.push(child.node.node_id, [entry.envelope for _stream, entry in sending.batch.entries])
    builder.clock.now_ms += limits.LOOK_AT_ALL_MS
    assert district.link.next_push() is not None


def test_tree_stays_over_key_grants_and_goes_with_a_node_record(builder: TreeBuilder) -> None:
    root, _children = with_children(builder, FEW)
    kept = root.node.tree()
    columns = "stream_id, audience, reader_id, sealed_key"
    to_child = f"SELECT {columns}, 7 FROM key_grant WHERE reader_id <> ? LIMIT 1"
    root.sql(f"INSERT INTO key_grant ({columns}, epoch) {to_child}", (root.node.node_id,))
    root.node.write()
    root.node.notice()
    assert root.node.tree() is kept
    builder.child(root, "c9", "42509")
    assert len(root.node.tree().nodes) == len(kept.nodes) + 1


def test_what_another_process_let_in_is_seen(builder: TreeBuilder) -> None:
    """`notice` finds that the control stream grew by none of this process's cuts."""
    root, _children = with_children(builder, FEW)
    root.node.notice()
    kept = root.node.tree()
    root.node.notice()
    assert root.node.tree() is kept
    with closing(root.opener()) as store:
        other = Node(store, root.keys, builder.clock, builder.random.randbytes)
        with store.write("rename") as tx:
            tx.run("UPDATE node SET name = 'xã khác' WHERE name = 'c0'")
        other.write()
    root.node.notice()
    assert "xã khác" in {record.name for record in root.node.tree().nodes.values()}


@contextmanager
def calls(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, records_ms: int = 600_000
) -> Iterator[list[None]]:
    """One entry for each call of a module's function meanwhile, with turns as short as on a very slow machine; those of
    records end after their number of groups, or after `records_ms`."""
    made: list[None] = []
    function = getattr(module, name)

    def counted(*values: object) -> object:
        made.append(None)
        return function(*values)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, counted)
        patch.setattr(limits, "WRITE_LOCK_MS_MAX", 0)
        patch.setattr(limits, "APPLY_TURN_MS_MAX", 0)
        patch.setattr(limits, "RECORDS_LOCK_MS_MAX", records_ms)
        yield made


def let_in(builder: TreeBuilder, above: TreeNode, number: int) -> list[TreeNode]:
    """Children whose records come one by one, as stations do."""
    found = []
    for place in range(number):
        found.append(builder.child(above, f"{above.name}-{place}", f"{above.unit_code}{place:02}"))
        above.node.write()
    above.node.settle()
    return found


def _joined_by_few(builder: TreeBuilder, _dsns: Mapping[str, str]) -> None:
    let_in(builder, builder.root("province", "42"), 1 + FEW)


def _joined_by_many(builder: TreeBuilder, _dsns: Mapping[str, str]) -> None:
    let_in(builder, builder.root("province", "42"), 1 + MANY)


def derivations_of_a_joining_child(
    folder: Path, others: int, monkeypatch: pytest.MonkeyPatch, records_ms: int = 600_000
) -> int:
    folder.mkdir()
    builder = TreeBuilder(folder)
    grow(builder, _joined_by_few if others == FEW else _joined_by_many, {})
    root, child, *_others = builder.nodes
    with calls(monkeypatch, applying, "refresh_keepers", records_ms) as derived:
        for _ in range(3):  # records, then grants, then units
            step(child)
            root.node.settle()
            root.node.write()
    assert child.value("SELECT count(*) FROM syncd_keeper") == 2 + others, "all of them are known, and who keeps what"
    return len(derived)


def test_who_joins_many_derives_keepers_as_often_as_who_joins_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = derivations_of_a_joining_child(tmp_path / "few", FEW, monkeypatch)
    assert derivations_of_a_joining_child(tmp_path / "many", MANY, monkeypatch) == few


def test_turn_of_many_records_ends_after_so_many_groups_or_so_much_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = derivations_of_a_joining_child(tmp_path / "once", MANY, monkeypatch)
    too_slow = derivations_of_a_joining_child(tmp_path / "slow", MANY, monkeypatch, records_ms=0)
    monkeypatch.setattr(limits, "RECORDS_GROUPS_MIN", 1)
    one_by_one = derivations_of_a_joining_child(tmp_path / "one", MANY, monkeypatch)
    assert too_slow == one_by_one, "the writer's lock is given up, whatever is to come"
    monkeypatch.setattr(limits, "RECORDS_GROUPS_MIN", TURN)
    in_turns = derivations_of_a_joining_child(tmp_path / "turns", MANY, monkeypatch)
    assert at_once < in_turns < one_by_one
    assert in_turns <= at_once + one_by_one // TURN


def readings_of_a_district_that_brings(
    folder: Path, children: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, TreeNode]:
    folder.mkdir()
    builder = TreeBuilder(folder)
    root = builder.root("province", "42")
    district = builder.child(root, "district", "425")
    builder.settle()
    let_in(builder, district, children)
    assert district.link is not None
    with calls(monkeypatch, subtree, "load_nodes") as read:
        exchange(district.link, root.desk, district)
    assert len(root.node.tree().nodes) == 2 + children
    return len(read), root


def test_tier_above_counts_what_a_hub_brings_once_for_few_and_for_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, _root = readings_of_a_district_that_brings(tmp_path / "few", FEW, monkeypatch)
    many, _root = readings_of_a_district_that_brings(tmp_path / "many", MANY, monkeypatch)
    assert many == few


def test_name_of_a_unit_derives_no_keepers_and_its_place_does(
    builder: TreeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, (child, other) = with_children(builder, FEW)
    for statement, derived_there in (("name = 'tên mới'", 0), (f"parent_id = '{other.unit_id}', name = 'x'", 1)):
        kept = [each.node.tree() for each in (root, child)]
        with calls(monkeypatch, applying, "refresh_keepers") as derived:
            root.sql(f"UPDATE unit SET {statement} WHERE id = ?", (child.unit_id,))
            root.node.write()
            here = len(derived)
            asks_only(child)
        assert (here, len(derived) - here) == (derived_there, derived_there)
        assert [each.node.tree() is tree for each, tree in zip((root, child), kept, strict=True)] == [
            not derived_there
        ] * 2
    assert child.value("SELECT parent_id FROM unit WHERE id = ?", (child.unit_id,)) == other.unit_id


FIRST = ("name = 'tên mới' WHERE id = '{commune}'", "parent_id = '{commune}' WHERE id = '{spare}'")


@pytest.mark.parametrize("first", FIRST)
def test_unit_moved_while_another_change_is_cut_derives_keepers(
    builder: TreeBuilder, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """A clerk's script that commits each of its statements: the cut takes what came after it was looked what waits."""
    root = builder.root("province", "42")
    district, other = builder.child(root, "d1", "425"), builder.child(root, "d2", "426")
    commune, spare = builder.child(district, "c1", "42501"), builder.child(district, "c2", "42502")
    builder.settle()
    keeper = f"SELECT node_id FROM syncd_keeper WHERE unit_id = '{commune.unit_id}'"
    assert root.value(keeper) == commune.node.node_id == root.node.tree().keepers[commune.unit_id][0]
    root.sql(f"UPDATE unit SET {first.format(commune=commune.unit_id, spare=spare.unit_id)}")
    prepare = root.node.own.prepare

    def prepared(waiting: Sequence[tuple[int, str | None]]) -> bool:
        root.sql("UPDATE unit SET parent_id = ? WHERE id = ?", (other.unit_id, commune.unit_id))
        return prepare(waiting)

    monkeypatch.setattr(root.node.own, "prepare", prepared)
    root.node.write()
    assert not root.store.backlog(), "one cut took both"
    assert root.value(keeper) is None, "the unit of the district that enrolled it does not lie above it any more"
    assert commune.unit_id not in root.node.tree().keepers


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        """Let so much time pass; what is due then runs."""
        self.now += seconds
        for _ in range(3):
            self.call_soon(self.stop)
            self.run_forever()


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def waiting_for(root: TreeNode, child: TreeNode, loop: Loop, number: int) -> tuple[Waiting, list[Waiter]]:
    waiting = Waiting(root.node, loop)
    waiters = [waiting.enter(child.node.node_id) for _ in range(number)]
    for waiter in waiters:
        waiting.asks(waiter)
    return waiting, waiters


def told(waiters: list[Waiter]) -> int:
    return sum(waiter.event.is_set() for waiter in waiters)


def control_of(at: TreeNode) -> str:
    return stream_id_of(Kind.CONTROL, None, at.node.node_id, 1)


def register_of(at: TreeNode) -> str:
    return stream_id_of(Kind.REGISTER, at.unit_id, at.node.node_id, 1)


def test_news_for_all_reach_many_children_once_and_one_after_another(builder: TreeBuilder, loop: Loop) -> None:
    root, children = with_children(builder, 1)
    waiting, waiters = waiting_for(root, children[0], loop, limits.GATHER_WAITERS_MIN + 1)
    loop.passes(0.1)
    for _ in range(3):
        root.node.signals.emit(LOG, [control_of(root)])
        loop.passes(0.0)
        loop.passes(limits.GATHER_S / 4)
    assert told(waiters) == 0, "they are gathered"
    waiting.asks(waiters[-1])  # for another reason; it has all of it now
    loop.passes(limits.GATHER_S / 2)
    loop.passes(limits.SPREAD_S / 2)
    assert 0 < told(waiters) < len(waiters) - 1, "one after another"
    loop.passes(limits.SPREAD_S / 2)
    assert told(waiters) == len(waiters) - 1
    assert not waiters[-1].event.is_set()
    waiting.close()


def test_news_for_all_reach_few_children_at_once(builder: TreeBuilder, loop: Loop) -> None:
    root, children = with_children(builder, 1)
    waiting, waiters = waiting_for(root, children[0], loop, limits.GATHER_WAITERS_MIN)
    root.node.signals.emit(LOG, [control_of(root)])
    loop.passes(0.0)
    assert told(waiters) == len(waiters)
    waiting.close()


def test_version_of_the_unit_tree_is_asked_once_for_many_envelopes(
    builder: TreeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, (child,) = with_children(builder, 1)
    for _ in range(MANY):
        add_person(child)
        child.node.write()
    assert child.link is not None
    asked: list[None] = []
    tree_seq = root.node.applier.tree_seq

    def counted(tx: Tx, root_id: str | None) -> int:
        asked.append(None)
        return tree_seq(tx, root_id)

    monkeypatch.setattr(root.node.applier, "tree_seq", counted)
    monkeypatch.setattr(limits, "WRITE_LOCK_MS_MAX", 60_000)  # all in one turn, on a busy machine too
    exchange(child.link, root.desk, child)
    root.node.apply_all()
    assert len(asked) == 2, "of its register and of its grants"
    assert root.value("SELECT count(*) FROM person") == MANY


def test_version_of_the_unit_tree_is_asked_again_before_an_envelope_waits(builder: TreeBuilder) -> None:
    """Another process of this hub may have applied the units since."""
    root, (child,) = with_children(builder, 1)
    add_person(child)
    child.node.write()
    with child.store.read() as tx:
        (entry, *_more) = log.entries(tx, register_of(child), 0, limits.APPLY_BYTES_MAX)
        at = log.stream(tx, register_of(child))
    envelope = parse_envelope(entry.envelope)
    assert at is not None
    assert envelope.header.tree_seq > 0
    with root.store.read() as tx:
        run = applying._Run(at=at, tree_seq=0)
        root.node.applier._check_reader(tx, run, envelope)
        later = replace(envelope, header=replace(envelope.header, tree_seq=envelope.header.tree_seq + 100))
        with pytest.raises(TreeOlder):
            root.node.applier._check_reader(tx, run, later)


def test_many_children_are_kept_waiting_for_longer_than_few(builder: TreeBuilder, loop: Loop) -> None:
    """Each that asks in vain costs the same, and of many there are more."""
    root, children = with_children(builder, 1)
    waiting, _waiters = waiting_for(root, children[0], loop, limits.CROWD_MIN)
    assert waiting.wait_s_max == limits.HINT_WAIT_S
    waiter = waiting.enter(children[0].node.node_id)
    assert limits.HINT_WAIT_S < waiting.wait_s_max == limits.HINT_WAIT_S_MAX < 60
    waiting.leave(waiter)
    assert waiting.wait_s_max == limits.HINT_WAIT_S
    waiting.close()


def test_receipt_is_waited_for_while_the_custodian_has_not_come_to_it(builder: TreeBuilder) -> None:
    root, (child,) = with_children(builder, 1)
    add_person(child)
    child.node.write()
    assert child.link is not None
    sending = child.link.next_push()
    assert sending is not None
    envelopes = [entry.envelope for _stream, entry in sending.batch.entries]
    child.link.take_push(root.desk.push(child.node.node_id, envelopes))
    asked = child.link.pull(1.5)
    assert asked.owed
    assert root.desk.is_behind(asked), "what it was sent is not applied yet"
    root.node.apply_all()
    assert not root.desk.is_behind(asked)


def test_tier_between_waits_while_receipts_come_from_above(builder: TreeBuilder) -> None:
    root = builder.root("province", "42")
    district = builder.child(root, "district", "425")
    first, second = (builder.child(district, name, code) for name, code in (("a", "42501"), ("b", "42502")))
    builder.settle()
    builder.elapsed_s += limits.PARENT_LIVES_S + 1
    assert district.link is not None
    for child in (first, second):
        add_person(child)
        child.node.write()
        assert child.link is not None
        sending = child.link.next_push()
        assert sending is not None
        envelopes = [entry.envelope for _stream, entry in sending.batch.entries]
        child.link.take_push(district.desk.push(child.node.node_id, envelopes))
        asked = child.link.pull(1.5)
        if child is first:
            assert not district.desk.is_behind(asked), "who knows whether the province answers at all"
            exchange(district.link, root.desk, district)
            root.node.apply_all()
            exchange(district.link, root.desk, district)
            assert not district.desk.is_behind(asked), "it is here"
        else:
            assert district.desk.is_behind(asked), "those of others came a moment ago"
            builder.elapsed_s += limits.RECEIPTS_FLOW_S + 1
            assert not district.desk.is_behind(asked)


def test_tier_between_waits_for_receipts_of_what_it_has_not_come_to_send(builder: TreeBuilder) -> None:
    """Many came in at once; the parent lives, so all of theirs will come."""
    root = builder.root("province", "42")
    district = builder.child(root, "district", "425")
    child = builder.child(district, "a", "42501")
    builder.settle()
    builder.elapsed_s += limits.RECEIPTS_FLOW_S + 1
    hand_in(child, district)
    assert child.link is not None
    asked = child.link.pull(1.5)
    assert district.desk.is_behind(asked)
    builder.clock.now_ms -= 3_600_000  # nothing of this goes by the time of day
    builder.elapsed_s += limits.RECEIPTS_FLOW_S + 1
    assert not district.desk.is_behind(asked), "something else keeps them"


def test_keepers_that_stay_are_not_written_again(builder: TreeBuilder) -> None:
    root, _children = with_children(builder, FEW)
    rows: list[tuple[str, object]] = []
    connection = root.store._open_writer()  # type: ignore[attr-defined]  # SQLite
    connection.set_trace_callback(lambda text: rows.append((text, None)) if "syncd_keeper " in text else None)
    builder.child(root, "c9", "42509")
    connection.set_trace_callback(None)
    assert len([text for text, _ in rows if text.startswith("INSERT")]) == 1
    assert not [text for text, _ in rows if text.startswith("DELETE")]
