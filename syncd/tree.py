"""The tree of nodes as this node knows it: who is whose parent, who keeps which unit, who may hold a stream (I4, I7).

Enters: node records (control streams) and the line of ancestors learned at joining. Leaves: answers, no side effects.
Must hold: any depth; no tier has a name here. A stream nobody vouches for is never accepted, it waits.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from schema.spec import Kind
from syncd.limits import TREE_DEPTH_MAX
from syncd.log import Stream
from syncd.store.base import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One enrolled node. `unit_id`: the unit whose register it keeps, at `term`."""

    node_id: str
    parent_id: str | None
    name: str
    signing_public: bytes
    sealing_public: bytes
    unit_id: str | None
    term: int
    status: str

    @property
    def tag(self) -> str:
        """The last 8 hex digits of every row id this node mints."""
        return self.node_id[28:]

    @property
    def place(self) -> tuple[str | None, bytes, bytes]:
        """What no later record may change: the parent and both keys."""
        return self.parent_id, self.signing_public, self.sealing_public


@dataclass(frozen=True, slots=True)
class Tree:
    """All known nodes, seen from `me`."""

    me: str
    nodes: Mapping[str, NodeRecord]
    keepers: Mapping[str, tuple[str, int]]  # unit → (node, term)

    def line(self, node_id: str) -> Iterator[str]:
        """The node and its ancestors, upward. Bounded, whatever the records say."""
        current: str | None = node_id
        for _ in range(TREE_DEPTH_MAX):
            record = self.nodes.get(current) if current else None
            if record is None:
                return
            yield record.node_id
            current = record.parent_id

    def is_within(self, node_id: str, top: str) -> bool:
        """Whether `node_id` is `top` or below it."""
        return top in self.line(node_id)

    def ancestors(self, node_id: str) -> list[str]:
        """Parent first, root last."""
        return list(self.line(node_id))[1:]

    @property
    def root_id(self) -> str | None:
        """The custodian: the node without a parent at the end of my line."""
        line = list(self.line(self.me))
        return line[-1] if line and self.nodes[line[-1]].parent_id is None else None

    def children(self) -> list[NodeRecord]:
        """The nodes enrolled right below me."""
        return [record for record in self.nodes.values() if record.parent_id == self.me and record.status == "enrolled"]

    def depth(self, node_id: str) -> int:
        """Edges to the root."""
        return len(list(self.line(node_id))) - 1

    def keeps(self, stream: Stream) -> bool | None:
        """Whether the stream's keeper may write it: True, False, or None while nobody has said."""
        keeper = self.nodes.get(stream.keeper)
        if keeper is None:
            return None
        if keeper.status != "enrolled" or (stream.kind != Kind.REGISTER and stream.term != 1):
            return False  # terms pass with units; any other stream of a node is one, however many it would begin
        if stream.kind == Kind.REGISTER:
            kept = self.keepers.get(stream.unit_id or "")
            return None if kept is None else kept == (stream.keeper, stream.term)
        if stream.kind == Kind.CONTROL:
            return stream.unit_id is None
        if stream.unit_id is None:
            root = self.root_id
            return None if root is None else stream.keeper == root
        kept = self.keepers.get(stream.unit_id)  # only who stands above a unit, or keeps it, has a say about it
        return None if kept is None else self.is_within(kept[0], stream.keeper)

    def goes_up(self, stream: Stream) -> bool:
        """Whether my parent keeps this stream too: everything written at or below me."""
        return self.is_within(stream.keeper, self.me)

    def goes_down(self, stream: Stream, child: str) -> bool:
        """Whether a child keeps this stream: what its ancestors say to all, what anyone says about a unit below it."""
        if self.is_within(stream.keeper, child):
            return False
        if stream.kind == Kind.OVERSIGHT and stream.unit_id is not None:
            kept = self.keepers.get(stream.unit_id)
            return kept is not None and self.is_within(kept[0], child)
        return stream.kind != Kind.REGISTER and stream.keeper in self.line(child)

    def comes_from(self, stream: Stream, peer: str) -> bool:
        """Whether `peer` is a neighbour that rightly hands me this stream."""
        if self.nodes.get(peer) and self.nodes[peer].parent_id == self.me:
            return self.is_within(stream.keeper, peer)
        if self.is_within(stream.keeper, self.me):
            return False
        if stream.kind == Kind.OVERSIGHT and stream.unit_id is not None:
            kept = self.keepers.get(stream.unit_id)
            return kept is not None and self.is_within(kept[0], self.me)
        return stream.kind != Kind.REGISTER and stream.keeper in self.line(self.me)


def load_tree(tx: Tx) -> Tree:
    """The tree as the tables of this transaction show it.

    Where a node stands and which keys it has is said once: by what joining taught of the line above, else by the first
    record. A later one about the same place renews name, unit and term; one that moves a node or changes its keys, so
    that others would seal to them, is nobody's word.
    """
    me = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'node_id'"))
    nodes = {record.node_id: record for record in ancestors_at_joining(tx)}
    for record in _records(tx):
        if nodes.setdefault(record.node_id, record).place == record.place:
            nodes[record.node_id] = record
    keepers = {row[0]: (row[1], row[2]) for row in tx.all("SELECT unit_id, node_id, term FROM syncd_keeper")}
    return Tree(me, nodes, keepers)


def refresh_keepers(tx: Tx) -> None:
    """Derive from the node records who keeps which register: per unit the record with the highest term.

    A record counts only when the unit lies in the unit tree at or below the enrolling parent's own unit, so no node can
    hand out what it does not answer for (I7); a unit not yet known here has no keeper yet.
    """
    tx.lock("syncd keepers")  # or two transactions would each leave out what the other has just learned
    me = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'node_id'"))
    keepers: dict[str, NodeRecord] = {}
    for record in _answered_for(tx):
        if record.unit_id is None or record.status != "enrolled":
            continue
        best = keepers.get(record.unit_id)
        if best is None or record.term > best.term:
            keepers[record.unit_id] = record
    wanted = {(unit, record.node_id, record.term, int(record.node_id == me)) for unit, record in keepers.items()}
    present = set(tx.all("SELECT unit_id, node_id, term, mine FROM syncd_keeper"))
    if wanted != present:
        tx.run("DELETE FROM syncd_keeper")
        tx.many("INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, ?, ?)", sorted(wanted))


def records_about(tx: Tx, unit_id: str) -> list[NodeRecord]:
    """Node records that hand out this unit and count, whatever their status."""
    return [record for record in _answered_for(tx) if record.unit_id == unit_id]


def _answered_for(tx: Tx) -> list[NodeRecord]:
    tree = load_tree(tx)
    above = {row[0]: row[1] for row in tx.all(_UNITS_ABOVE)}
    return [record for record in _records(tx) if _answers_for(tree, record, above)]


# Every unit that some node keeps, and the units above it.
_UNITS_ABOVE = """
    WITH RECURSIVE above (id, parent_id) AS (
        SELECT u.id, u.parent_id FROM unit AS u WHERE u.id IN (SELECT home_unit_id FROM node)
        UNION
        SELECT u.id, u.parent_id FROM unit AS u JOIN above AS a ON u.id = a.parent_id
    )
    SELECT id, parent_id FROM above
"""


def _answers_for(tree: Tree, record: NodeRecord, above: Mapping[str, str | None]) -> bool:
    parent = tree.nodes.get(record.parent_id) if record.parent_id else record
    if parent is None or record.unit_id not in above:
        return False
    current: str | None = record.unit_id
    for _ in range(TREE_DEPTH_MAX):
        if current is None or current == parent.unit_id:
            break
        current = above.get(current)
    return current is not None and current == parent.unit_id


def _records(tx: Tx) -> list[NodeRecord]:
    """Node records minted by the recorded parent (the root alone vouches for itself); any other is nobody's word.

    A record whose signing key is not the node's own (ids are hashes of keys) is passed over too, and so is a node whose
    tag another node bears already: a tag is 32 bits, so keys with a wanted one can be searched for, and who bears the
    root's could mint records as the root. What this node and those above it minted comes first, then order of terms.
    """
    root_id = tx.value("SELECT value FROM syncd_meta WHERE key = 'root_id'")
    line = {record.node_id: record for record in ancestors_at_joining(tx)}
    found = [
        NodeRecord(
            node_id=row[1], parent_id=row[2], name=row[3], signing_public=bytes(row[4]), sealing_public=bytes(row[5]),
            unit_id=row[6], term=row[7], status=row[8],
        )
        for row in tx.all(
            "SELECT id, node_id, parent_id, name, signing_public, sealing_public, home_unit_id, term, status"
            " FROM node ORDER BY term, id"
        )
        if row[0][28:] == (row[2] or row[1])[28:]
        and (row[2] is not None or row[1] == root_id)
        and row[1] == _id_of_key(bytes(row[4]))
    ]  # fmt: skip
    found.sort(key=lambda record: record.parent_id is not None and record.parent_id not in line)
    bearers = {record.tag: record.node_id for record in line.values()}
    return [record for record in found if bearers.setdefault(record.tag, record.node_id) == record.node_id]


def _id_of_key(signing_public: bytes) -> str:
    return str(uuid.UUID(bytes=sha256(signing_public).digest()[:16]))


def ancestors_at_joining(tx: Tx) -> list[NodeRecord]:
    """The line above this node as its parent told it at joining, and this node itself."""
    facts: dict[str, Any] = dict(tx.all("SELECT key, value FROM syncd_meta"))
    if "signing_public" not in facts:
        return []
    records = [_record(item) for item in json.loads(facts.get("ancestors", "[]"))]
    return [*records, _record({**facts, "parent_id": facts.get("parent_id") or None})]


def _record(facts: Mapping[str, Any]) -> NodeRecord:
    return NodeRecord(
        node_id=facts["node_id"], parent_id=facts["parent_id"], name=facts["name"],
        signing_public=bytes.fromhex(facts["signing_public"]), sealing_public=bytes.fromhex(facts["sealing_public"]),
        unit_id=facts["unit_id"], term=1, status="enrolled",
    )  # fmt: skip
