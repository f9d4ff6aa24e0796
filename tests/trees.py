"""Whole trees without a network: real stores, real stages, messages handed over by the test.

Enters: a folder, a shape. Leaves: nodes that exchange when told to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schema.install import Identity, statements
from schema.spec import Registry
from schema.tables import registry as base_registry
from syncd.aggregate import recount
from syncd.errors import EnvelopeError
from syncd.exchange import Desk, Link
from syncd.framing import FrameReader
from syncd.messages import PullReply
from syncd.pipeline import Node
from syncd.security.identity import NodeKeys
from syncd.setup import Place, insert_node, record_place, set_peer
from syncd.store import postgres, sqlite
from syncd.store.base import Store
from syncd.terms import refresh_keepers
from syncd.tree import NodeRecord
from syncd.wire import INSERT

ROUNDS_MAX = 40
built: list[TreeNode] = []  # by the test under way


class TestClock:
    """A clock that only the test moves."""

    __test__ = False

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


@dataclass
class TreeNode:
    """A node of a test's tree with its way up."""

    name: str
    unit_id: str
    unit_code: str
    node: Node
    keys: NodeKeys
    desk: Desk
    link: Link | None
    parent: TreeNode | None
    place: Place
    opener: Callable[[], Store]
    dsn: str | None = None  # of its database, when it is on PostgreSQL
    children: list[TreeNode] = field(default_factory=list)
    broken: bool = False  # the test itself wrote behind the daemon's back: records and cells differ on purpose

    @property
    def store(self) -> Store:
        return self.node.store

    def sql(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        """A clerk's statement, in a transaction of its own."""
        with self.store.write("clerk") as tx:
            return tx.run(statement, values)

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self.store.read() as tx:
            return tx.all(query, values)

    def value(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        with self.store.read() as tx:
            return tx.value(query, values)

    def reopen(self) -> None:
        """What a new process does after a crash: everything in memory is gone."""
        self.node.store.close()
        self.node = Node(self.opener(), self.keys, self.node.clock, self.node._random)
        self.desk = Desk(self.node)
        if self.parent is not None:
            self.link = Link(self.node, self.parent.node.node_id)


class TreeBuilder:
    """Builds nodes; databases are SQLite files in `folder` unless a DSN is given."""

    def __init__(self, folder: Path, seed: int = 1, registry: Registry | None = None) -> None:
        self.folder = folder
        self.seed = seed
        self.random = random.Random(seed)
        self.registry = registry or base_registry()
        self.clock = TestClock()
        self.elapsed_s = 0.0
        self.nodes: list[TreeNode] = []

    def root(self, name: str = "province", code: str = "42", dsn: str | None = None) -> TreeNode:
        return self._add(name, code, "province", None, dsn)

    def child(self, parent: TreeNode, name: str, code: str, dsn: str | None = None) -> TreeNode:
        return self._add(name, code, "unit", parent, dsn)

    def _add(self, name: str, code: str, level: str, parent: TreeNode | None, dsn: str | None) -> TreeNode:
        keys = NodeKeys.generate(self.random.randbytes)
        unit_id = self._unit(parent, code, name, keys)
        ancestors = () if parent is None else (_record(parent), *parent.place.ancestors)
        place = Place(
            name=name,
            unit_id=unit_id,
            unit_code=code,
            unit_name=name,
            unit_level=level,
            ancestors=ancestors,
            recovery_public=b"",
        )
        with closing(self.new_database(name, keys, place, dsn)()) as store:
            record_place(store, keys, place, self.clock())
        found = self.open(name, code, unit_id, keys, place, parent, dsn)
        if parent is not None:
            with parent.store.write("enrol") as tx:
                insert_node(tx, _record(found), self.clock())
            with parent.store.apply("enrol-keepers") as tx:
                refresh_keepers(tx)
                set_peer(tx, keys.node_id, "child", name)
            parent.node.forget_tree()
        return found

    def open(
        self, name: str, code: str, unit_id: str, keys: NodeKeys, place: Place, parent: TreeNode | None, dsn: str | None
    ) -> TreeNode:
        """A node over its database that is there."""
        opener = self._opener(name, dsn)
        node = Node(opener(), keys, self.clock, self.random.randbytes, lambda: self.elapsed_s)
        link = None if parent is None else Link(node, parent.node.node_id)
        found = TreeNode(name, unit_id, code, node, keys, Desk(node), link, parent, place, opener, dsn)
        if parent is not None:
            parent.children.append(found)
        self.nodes.append(found)
        built.append(found)
        return found

    def _unit(self, parent: TreeNode | None, code: str, name: str, keys: NodeKeys) -> str:
        root = self.nodes[0] if self.nodes else None
        minter = keys.tag if root is None else root.keys.tag
        unit_id = f"01900000-0000-7000-8{len(self.nodes):03x}-0000{minter}"
        if root is not None and parent is not None:
            root.sql(
                "INSERT INTO unit (id, parent_id, level, code, name) VALUES (?, ?, ?, ?, ?)",
                (unit_id, parent.unit_id, "unit", code, name),
            )
        return unit_id

    def new_database(self, name: str, keys: NodeKeys, place: Place, dsn: str | None) -> Callable[[], Store]:
        """An empty one with this identity, and what opens it."""
        identity = Identity(node_id=keys.node_id, tag=keys.tag, unit_id=place.unit_id)
        if dsn is not None:
            # Not by migrations, which make the same (`test_migrations.py`) and cost twice the time.
            with closing(postgres.connect(dsn)) as made, made.transaction():
                made.execute(";\n".join(statements("postgres", self.registry, identity)))
            return self._opener(name, dsn)
        with closing(sqlite.connect(self.folder / f"{name}.db", None)) as connection:
            connection.execute("BEGIN")
            for statement in statements("sqlite", self.registry, identity):
                connection.execute(statement)
            connection.execute("COMMIT")
        return self._opener(name, dsn)

    def _opener(self, name: str, dsn: str | None) -> Callable[[], Store]:
        if dsn is not None:
            return lambda: postgres.PostgresStore(dsn, self.registry)
        return lambda: sqlite.SqliteStore(self.folder / f"{name}.db", self.registry)

    def settle(self, rounds: int = ROUNDS_MAX) -> None:
        """Exchange until nothing moves any more."""
        for number in range(rounds):
            # Every node takes its turn, whether or not another moved. As a daemon does, it greets once.
            moved = [step(node, greets=number == 0) for node in self.nodes]
            if not any(moved):
                return
        raise AssertionError(f"the tree still moves after {rounds} rounds")


def unguarded(at: TreeNode, table: str, **values: Any) -> str:
    """A row that the guard would refuse, as an older release or a hostile node wrote it: captured all the same."""
    random = at.node._random(6).hex()
    row_id = f"01900000-0000-7{random[:3]}-8{random[3:6]}-{random[6:10]}{at.keys.tag}"
    columns = {"id": row_id, "unit_id": None, **values}
    with at.store.apply("unguarded") as tx:
        tx.run(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            tuple(columns.values()),
        )
        tx.run(
            "INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id) VALUES (0, ?, ?, ?, ?)",
            (at.store.registry.by_name[table].number, INSERT, row_id, columns["unit_id"]),
        )
    return row_id


def recounted(at: TreeNode) -> list[str]:
    """How a node's aggregates differ from its records, once what it wrote is sequenced."""
    if at.broken:
        return []
    at.node.write()
    with at.store.read() as tx:
        return recount(tx, at.store.registry)


def finish() -> None:
    """Compare every node's aggregates with a recount and close its databases; before a fixture drops one of them."""
    try:
        differing = {at.name: lines for at in built if (lines := recounted(at))}
        assert not differing
    finally:
        close()


def close() -> None:
    """Close the databases of every node of the test."""
    for at in built:
        at.store.close()
    built.clear()


def step(at: TreeNode, *, greets: bool = True) -> bool:
    """One round of a node: write, push, pull, apply, settle. Returns whether anything moved."""
    moved = bool(at.node.write())
    if at.link is not None and at.parent is not None:
        moved = exchange(at.link, at.parent.desk, at, greets=greets) or moved
    moved = at.node.apply_all().applied or moved
    return at.node.settle().wrote or moved


def asks_only(at: TreeNode, news: Iterable[str] = ()) -> PullReply:
    """One question of a station that greeted its parent long ago and has nothing to send. `news`: streams whose
    receipts came while it waited."""
    assert at.link is not None
    assert at.parent is not None
    at.node.write()
    reply, sending = at.parent.desk.pull(at.node.node_id, at.link.pull(0), news)
    at.link.take_pull(reply, FrameReader(at.link.unfinished(reply)).feed(sending.body))
    at.node.apply_all()
    at.node.settle()
    return reply


def exchange(link: Link, desk: Desk, at: TreeNode, *, greets: bool = True) -> bool:
    """A whole session over a perfect network, or the rest of one that goes on well."""
    moved = False
    if greets or link.has_blocked or link.was_cut or not link.has_greeted:
        link.greet(lambda hello: desk.hello(at.node.node_id, hello))
    while sending := link.next_push():
        kept = desk.unfinished(at.node.node_id) if sending.skipped_bytes else b""
        try:
            link.take_push(desk.push(at.node.node_id, FrameReader(kept).feed(sending.body)))
        except EnvelopeError:
            if not kept:
                raise
            return True  # what was kept was of another machine's frame: it is forgotten, the next session begins anew
        finally:
            if kept:
                desk.keep_unfinished(at.node.node_id, b"")
        moved = True
    reply, down = desk.pull(at.node.node_id, link.pull(0))
    received = link.take_pull(reply, FrameReader(link.unfinished(reply)).feed(down.body))
    return moved or bool(reply.receipts) or bool(received and received.taken)


def _record(of: TreeNode) -> NodeRecord:
    return NodeRecord(
        node_id=of.keys.node_id,
        parent_id=None if of.parent is None else of.parent.keys.node_id,
        name=of.name,
        signing_public=of.keys.ed25519_public,
        sealing_public=of.keys.x25519_public,
        unit_id=of.unit_id,
        term=1,
        status="enrolled",
    )
