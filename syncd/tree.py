"""The tree of nodes as this node knows it: who is whose parent, who keeps which unit, who may hold a stream (I4, I7).

Enters: node records (control streams) and the line of ancestors learned at joining. Leaves: answers, no side effects.
Must hold: any depth; no tier has a name here. A stream nobody vouches for is never accepted, it waits.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

from schema.replicated import KEY_BYTES, TERM_MAX
from schema.spec import Kind
from syncd.limits import TERMS_BY_AGREEMENT, TERMS_BY_FORCE, TREE_DEPTH_MAX
from syncd.log import Stream
from syncd.store.base import Tx

OF_ONE_TERM = (Kind.OVERSIGHT, Kind.CONTROL)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One node's keeping of a unit. `began`: 'record' (an enrolment), 'handover' or 'forced'; `ended_…`: where its
    stream ended, as far as it is known; `next_node_id`: who follows."""

    unit_id: str
    term: int
    node_id: str
    began: str
    ended_seq: int | None = None
    ended_hash: bytes | None = None
    next_node_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a child may be sent: streams about these units, and what these nodes say to all. A little more than that
    flows down (`Tree.goes_down` judges each), nothing else does."""

    units: frozenset[str]
    keepers: frozenset[str]


@dataclass(slots=True)
class _Found:
    """What was concluded from one tree: it does not change, and is asked the same for every question of a child."""

    children_of: dict[str, list[str]] | None = None
    units_of: dict[str, list[str]] | None = None
    below: dict[str, frozenset[str]] = field(default_factory=dict)
    scopes: dict[str, Scope] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tree:
    """All known nodes, seen from `me`."""

    me: str
    nodes: Mapping[str, NodeRecord]
    keepers: Mapping[str, tuple[str, int]]  # unit → (node, term), the newest
    terms: Mapping[str, Sequence[Term]] = field(default_factory=dict)  # of units that orders speak of, oldest first
    _found: _Found = field(default_factory=_Found, init=False, repr=False, compare=False)

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

    def below(self, top: str) -> frozenset[str]:
        """`top` and every node below it."""
        found = self._found.below.get(top)
        if found is None:
            children_of = self._children_of()
            level, found = {top}, frozenset((top,))
            for _ in range(TREE_DEPTH_MAX):
                level = {child for each in level for child in children_of.get(each, ())} - found
                found |= level
            self._found.below[top] = found
        return found

    def scope_of(self, child: str) -> Scope:
        """What flows down to a child at most: selected by it, its streams need not be looked for among all there are
        (`goes_down` then judges each)."""
        found = self._found.scopes.get(child)
        if found is None:
            below, units_of = self.below(child), self._units_of()
            units = {unit for node_id in below for unit in units_of.get(node_id, ())}
            keepers = set(self.line(child))
            for unit, chain in self.terms.items():
                last = max((place for place, term in enumerate(chain) if term.node_id in below), default=None)
                if last is not None:
                    units.add(unit)
                    keepers |= {node_id for term in chain[:last] for node_id in self.line(term.node_id)}
            found = self._found.scopes[child] = Scope(units=frozenset(units), keepers=frozenset(keepers))
        return found

    def is_child(self, node_id: str) -> bool:
        """Whether a node is enrolled right below me."""
        record = self.nodes.get(node_id)
        return record is not None and record.parent_id == self.me and record.status == "enrolled"

    def _children_of(self) -> dict[str, list[str]]:
        found = self._found.children_of
        if found is None:
            found = {}
            for record in self.nodes.values():
                if record.parent_id is not None:
                    found.setdefault(record.parent_id, []).append(record.node_id)
            self._found.children_of = found
        return found

    def _units_of(self) -> dict[str, list[str]]:
        """Node → the units it keeps."""
        found = self._found.units_of
        if found is None:
            found = {}
            for unit, (node_id, _term) in self.keepers.items():
                found.setdefault(node_id, []).append(unit)
            self._found.units_of = found
        return found

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
        return [self.nodes[node_id] for node_id in self._children_of().get(self.me, ()) if self.is_child(node_id)]

    def depth(self, node_id: str) -> int:
        """Edges to the root."""
        return len(list(self.line(node_id))) - 1

    def keeps(self, stream: Stream) -> bool | None:
        """Whether the stream's keeper may write it: True, False, or None while nobody has said.

        What a revoked node said of nodes, keys and units stands, as it was heard before: without its keys nobody reads
        what it kept. From the machine itself nobody takes it any more (`receive`).
        """
        keeper = self.nodes.get(stream.keeper)
        if keeper is None:
            return None
        if stream.kind == Kind.BASELINE:
            return self._keeps_baseline(stream)
        term = self.term_of(stream)
        if term is not None and term.ended_seq is not None:
            return True  # whatever became of its keeper: the stream has an end, and up to there it stands
        if stream.kind in OF_ONE_TERM and stream.term != 1:
            return False  # terms pass with units; any other stream of a node is one, however many it would begin
        if stream.kind == Kind.REGISTER:
            if keeper.status != "enrolled":
                return False
            kept = self.keepers.get(stream.unit_id or "")
            return None if kept is None else term is not None or kept == (stream.keeper, stream.term)
        if stream.kind == Kind.CONTROL:
            return stream.unit_id is None
        if stream.unit_id is None:
            root = self.root_id
            return None if root is None else stream.keeper == root
        kept = self.keepers.get(stream.unit_id)  # only who stands above a unit, or keeps it, has a say about it
        if kept is None:
            return None
        earlier = [term.node_id for term in self.terms.get(stream.unit_id, ())]  # what was said then follows the unit
        return any(self.is_within(node_id, stream.keeper) for node_id in (kept[0], *earlier))

    def _keeps_baseline(self, stream: Stream) -> bool | None:
        """A baseline is made by who keeps the stream it stands for, and of any by the custodian."""
        if stream.keeper == self.root_id:
            return None if stream.unit_id not in self.keepers else True
        return self.keeps(replace(stream, kind=int(Kind.REGISTER)))

    def term_of(self, stream: Stream) -> Term | None:
        """The term a register's stream is of, if its unit has passed on."""
        if stream.kind != Kind.REGISTER:
            return None
        place = (stream.keeper, stream.term)
        return next((t for t in self.terms.get(stream.unit_id or "", ()) if (t.node_id, t.term) == place), None)

    def term_to_write(self, unit_id: str) -> int:
        """The term this node's changes of a unit belong to: its own that has not ended, whoever shall follow it; else
        its last, as late writes."""
        mine = [term for term in self.terms.get(unit_id, ()) if term.node_id == self.me]
        going_on = [term for term in mine if term.ended_seq is None]
        return (going_on or mine)[-1].term if mine else self.keepers.get(unit_id, ("", 1))[1]

    def is_displaced(self, stream: Stream) -> bool:
        """Whether a register's unit went another way than through the stream's term: of two orders the other stands."""
        chain = self.terms.get(stream.unit_id or "", ())
        if stream.kind != Kind.REGISTER or not chain or self.term_of(stream) is not None:
            return False
        if stream.term > chain[-1].term:  # by another forced order behind the same term
            block = TERMS_BY_AGREEMENT * TERMS_BY_FORCE
            forced = [
                term.term for term in chain if term.began == "forced" and term.term // block == stream.term // block
            ]
            return any(term // TERMS_BY_AGREEMENT != stream.term // TERMS_BY_AGREEMENT for term in forced)
        return chain[0].term <= stream.term

    def followers(self, stream: Stream) -> Iterator[str]:
        """Who kept a register's unit after the term the stream is of; their tiers need what it brings."""
        chain = self.terms.get(stream.unit_id or "", ())
        if any((term.node_id, term.term) == (stream.keeper, stream.term) for term in chain):
            yield from (term.node_id for term in chain if term.term > stream.term)

    def _heirs(self, node_id: str) -> Iterator[str]:
        """Who took over units that this node ever kept."""
        for chain in self.terms.values():
            kept = [term.term for term in chain if term.node_id == node_id]
            yield from (term.node_id for term in chain if kept and term.term > min(kept))

    def goes_up(self, stream: Stream) -> bool:
        """Whether my parent keeps this stream too: everything written at or below me."""
        return self.is_within(stream.keeper, self.me)

    def goes_down(self, stream: Stream, child: str) -> bool:
        """Whether a child keeps this stream: what its ancestors say to all, what anyone says about a unit below it. Not
        what nobody may write any more: the child would refuse it."""
        if self.is_within(stream.keeper, child) or self.keeps(stream) is False:
            return False
        return self._concerns(stream, child)

    def hearers(self, stream: Stream) -> set[str] | None:
        """The nodes among which all children are that a stream about one unit can flow down to; None: any of them."""
        if stream.unit_id is None:
            return None
        kept = self.keepers.get(stream.unit_id)
        keepers = [*([] if kept is None else [kept[0]]), *(term.node_id for term in self.terms.get(stream.unit_id, ()))]
        return {node_id for keeper in keepers for node_id in self.line(keeper)}

    def is_for_me(self, stream: Stream) -> bool:
        """Whether this node keeps a stream, wherever it comes from."""
        return self.goes_up(stream) or self._concerns(stream, self.me)

    def _concerns(self, stream: Stream, node_id: str) -> bool:
        """Whether a stream from elsewhere is for this node or one below it: what its line says, what anyone says about
        a unit kept there, and what the earlier keepers of such a unit wrote, with the records that vouch for them."""
        if stream.kind == Kind.OVERSIGHT and stream.unit_id is not None:
            kept = self.keepers.get(stream.unit_id)
            return kept is not None and self.is_within(kept[0], node_id)
        if stream.kind == Kind.BASELINE and stream.keeper == self.root_id:  # the custodian's, for who keeps it now,
            kept = self.keepers.get(stream.unit_id or "")  # and for whom it passes through on the way there
            later = [term.node_id for term in self.terms.get(stream.unit_id or "", ()) if term.term > stream.term]
            return kept is not None and any(self.is_within(keeper, node_id) for keeper in (kept[0], *later))
        if stream.kind in (Kind.REGISTER, Kind.BASELINE):
            return any(self.is_within(later, node_id) for later in self.followers(stream))
        if stream.keeper in self.line(node_id):
            return True
        return stream.kind == Kind.CONTROL and any(
            stream.keeper in self.line(earlier) and self.is_within(later, node_id)
            for earlier in {term.node_id for chain in self.terms.values() for term in chain}
            for later in self._heirs(earlier)
        )

    def comes_from(self, stream: Stream, peer: str) -> bool:
        """Whether `peer` is a neighbour that rightly hands me this stream."""
        if self.nodes.get(peer) and self.nodes[peer].parent_id == self.me:
            return self.is_within(stream.keeper, peer)
        if self.is_within(stream.keeper, self.me):
            return False
        return self._concerns(stream, self.me) or (stream.kind == Kind.CONTROL and self._lacks_record())

    def _lacks_record(self) -> bool:
        """Whether nobody has vouched here yet for an earlier keeper of a unit that is, or was, kept at or below this
        node: whose records do is known only once they are here. They are public, and signed by who made them."""
        return any(
            term.node_id not in self.nodes and any(self.is_within(later.node_id, self.me) for later in chain[place:])
            for chain in self.terms.values()
            for place, term in enumerate(chain)
        )


def load_tree(tx: Tx) -> Tree:
    """The tree as the tables of this transaction show it."""
    found = load_nodes(tx)
    keepers = {row[0]: (row[1], row[2]) for row in tx.all("SELECT unit_id, node_id, term FROM syncd_keeper")}
    terms: dict[str, list[Term]] = {}
    for row in tx.all(
        "SELECT unit_id, term, node_id, began, ended_seq, ended_hash, next_node_id FROM syncd_term ORDER BY 1, 2"
    ):
        hash_ = None if row[5] is None else bytes(row[5])
        terms.setdefault(row[0], []).append(Term(
            unit_id=row[0], term=row[1], node_id=row[2], began=row[3], ended_seq=row[4], ended_hash=hash_,
            next_node_id=row[6],
        ))  # fmt: skip
    return replace(found, keepers=keepers, terms=terms)


def load_nodes(tx: Tx, records: Sequence[NodeRecord] | None = None) -> Tree:
    """The nodes alone, whoever keeps what. `records`: as `load_records` has just read them.

    Where a node stands and which keys it has is said once: by what joining taught of the line above, else by the first
    record. A later one about the same place renews name, unit and term; one that moves a node or changes its keys, so
    that others would seal to them, is nobody's word. Whom the custodian's hand-over revoked is revoked.
    """
    me = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'node_id'"))
    nodes = {record.node_id: record for record in ancestors_at_joining(tx)}
    for record in load_records(tx) if records is None else records:
        if record.parent_id == record.node_id:
            continue  # it says who keeps a unit, not where the node stands: nobody would find it below anybody
        if nodes.setdefault(record.node_id, record).place == record.place:
            nodes[record.node_id] = record
    tree = Tree(me, nodes, {})
    root = tree.root_id
    revoking = "SELECT id, from_node_id FROM handover WHERE is_revoked = 1 AND from_node_id <> to_node_id"
    for row_id, node_id in tx.all(revoking):
        if root is not None and row_id[28:] == root[28:] and node_id in nodes and node_id != root:
            nodes[node_id] = replace(nodes[node_id], status="revoked")
    return tree


def records_about(tx: Tx, unit_id: str) -> list[NodeRecord]:
    """Node records that hand out this unit and count, whatever their status."""
    records = load_records(tx)
    about = [record for record in records if record.unit_id == unit_id]
    return records_that_count(about, load_nodes(tx, records), units_above(tx)) if about else []


def records_that_count(records: Sequence[NodeRecord], tree: Tree, above: Mapping[str, str | None]) -> list[NodeRecord]:
    """Node records whose minter answers for the unit they name; the status is what is known of the node now."""
    found = []
    for record in records:
        if _answers_for(tree, record, above):
            known = tree.nodes.get(record.node_id, record)
            found.append(record if known.status == record.status else replace(record, status=known.status))
    return found


# Every unit that some node keeps or shall keep, and the units above it. The unit tree is the root's word alone.
_UNITS_ABOVE = """
    WITH RECURSIVE above (id, parent_id) AS (
        SELECT u.id, u.parent_id FROM unit AS u WHERE u.unit_id IS NULL
            AND u.id IN (SELECT home_unit_id FROM node UNION SELECT kept_unit_id FROM handover)
        UNION
        SELECT u.id, u.parent_id FROM unit AS u JOIN above AS a ON u.id = a.parent_id WHERE u.unit_id IS NULL
    )
    SELECT id, parent_id FROM above
"""


def units_above(tx: Tx) -> dict[str, str | None]:
    """Unit → parent, for every unit that a node keeps or shall keep and those above."""
    return {row[0]: row[1] for row in tx.all(_UNITS_ABOVE)}


def covers(above: Mapping[str, str | None], upper: str | None, unit_id: str | None) -> bool:
    """Whether a unit is `upper` or lies below it."""
    if unit_id not in above:
        return False
    current: str | None = unit_id
    for _ in range(TREE_DEPTH_MAX):
        if current is None or current == upper:
            break
        current = above.get(current)
    return current is not None and current == upper


def _answers_for(tree: Tree, record: NodeRecord, above: Mapping[str, str | None]) -> bool:
    parent = tree.nodes.get(record.parent_id) if record.parent_id else record
    return parent is not None and covers(above, parent.unit_id, record.unit_id)


def load_records(tx: Tx) -> list[NodeRecord]:
    """Node records minted by the recorded parent (the root alone vouches for itself); any other is nobody's word.

    A record outside the bounds of its table is left out, should a database ever show one, and the tree stands.
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
        and len(row[4]) == len(row[5]) == KEY_BYTES
        and 0 <= row[7] <= TERM_MAX
    ]  # fmt: skip
    found.sort(key=lambda record: record.parent_id is not None and record.parent_id not in line)
    bearers = {record.tag: record.node_id for record in line.values()}
    return [record for record in found if bearers.setdefault(record.tag, record.node_id) == record.node_id]


@lru_cache(maxsize=16_384)
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
