"""Terms: which node kept a unit's register when, and who keeps it now (design §1, I4, I7).

Enters: node records and hand-over orders, as the control streams brought them. Leaves: per unit a chain of terms, and
the tables `syncd_term` and `syncd_keeper` that the guard, the tree and the receivers go by.
Must hold: the same records give the same chain in whatever order they came; an order counts only from a node that
answers for the unit, a forced one only from the custodian.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby
from operator import attrgetter, itemgetter

from schema.replicated import TERM_MAX
from schema.spec import Kind
from syncd.envelope import stream_id_of
from syncd.limits import TERMS_BY_AGREEMENT, TERMS_BY_FORCE, TERMS_MAX
from syncd.log import Stream
from syncd.node.barriers import tell
from syncd.store.base import Tx
from syncd.tree import NodeRecord, Term, Tree, covers, load_nodes, load_records, records_that_count, units_above

DERIVED_FROM = frozenset(("node", "unit", "handover"))  # tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A unit's register passes from a keeper to the next. `forced_seq`: where the old stream ends, whoever wrote more.

    `from_term` 0: nobody has kept the unit before.
    """

    id: str
    unit_id: str
    from_node: str
    from_term: int
    to_node: str
    forced_seq: int | None
    forced_hash: bytes | None
    is_revoked: bool
    ordered_at: str
    by: NodeRecord
    depth: int  # of the tier that orders; 0 is the root

    @property
    def is_forced(self) -> bool:
        return self.forced_seq is not None

    @property
    def to_term(self) -> int:
        """The term it begins: the next; by force one that no other order can have used, be it to the same node, whose
        stream of that term began elsewhere. A restored custodian may order again what it had ordered before."""
        if not self.is_forced:
            return self.from_term + 1
        block = TERMS_BY_AGREEMENT * TERMS_BY_FORCE
        place = int.from_bytes(sha256(self.id.encode()).digest()[:4], "big") % TERMS_BY_FORCE
        return (self.from_term // block + 1) * block + place * TERMS_BY_AGREEMENT

    @property
    def rank(self) -> tuple[bool, int, str, str]:
        """Of several orders about one term a forced one stands, else the uppermost tier's, else the first."""
        return not self.is_forced, self.depth, self.ordered_at, self.id


def refresh_keepers(tx: Tx) -> None:
    """Derive the terms of every unit anew, and write what changed.

    A record counts only when the unit lies in the unit tree at or below the enrolling parent's own unit, so no node can
    hand out what it does not answer for (I7); a unit not yet known here has no keeper yet.
    """
    tx.lock("syncd keepers")  # or two transactions would each leave out what the other has just learned
    records, above = load_records(tx), units_above(tx)
    tree = load_nodes(tx, records)
    found = orders(tx, tree, above)
    chains = _chains(records_that_count(records, tree, above), found)
    ordered = {order.unit_id for order in found}
    _store_terms(tx, [_ended(tx, term) for unit, chain in chains.items() if unit in ordered for term in chain])
    _store_keepers(tx, tree.me, [chain[-1] for chain in chains.values()])


def orders(tx: Tx, tree: Tree, above: Mapping[str, str | None]) -> list[Order]:
    """The hand-over orders that count."""
    return [order for order in _stored(tx, tree, "", ()) if _may_order(tree, above, order)]


def _stored(tx: Tx, tree: Tree, where: str, values: tuple[object, ...]) -> list[Order]:
    """Orders of nodes that are known."""
    rows = tx.all(
        "SELECT id, kept_unit_id, from_node_id, from_term, to_node_id, forced_seq, forced_hash, is_revoked, ordered_at"
        f" FROM handover {where}", values,
    )  # fmt: skip
    minters: dict[str, NodeRecord] = {}  # looked for once, not once for each order
    for record in tree.nodes.values():
        minters.setdefault(record.tag, record)
    return [
        Order(
            id=row[0],
            unit_id=row[1],
            from_node=row[2],
            from_term=row[3],
            to_node=row[4],
            forced_seq=row[5],
            forced_hash=None if row[6] is None else bytes(row[6]),
            is_revoked=bool(row[7]),
            ordered_at=row[8],
            by=by,
            depth=tree.depth(by.node_id),
        )
        for row in rows
        if (by := minters.get(row[0][28:])) is not None
    ]


def minter_of(tree: Tree, row_id: str) -> NodeRecord | None:
    """The node whose tag a row's id bears."""
    return next((record for record in tree.nodes.values() if record.tag == row_id[28:]), None)


def was_ordered(tx: Tx, tree: Tree, stream: Stream) -> bool:
    """Whether a node that answers for the unit once ordered the stream's keeper to keep it in this term, though another
    order stands now: what it wrote by then is late, not foreign."""
    above = units_above(tx)
    line = [tree.nodes[node_id] for node_id in tree.line(stream.keeper)]
    tags = {record.tag for record in line if covers(above, record.unit_id, stream.unit_id)}
    found = _stored(tx, tree, "WHERE kept_unit_id = ? AND to_node_id = ?", (stream.unit_id, stream.keeper))
    return any(order.to_term == stream.term and order.id[28:] in tags for order in found)


def _may_order(tree: Tree, above: Mapping[str, str | None], order: Order) -> bool:
    """Who orders answers for the unit and stands above both keepers; only the custodian ends a term by force.

    A node that is not known here lies in another branch: whoever stands above both of us is believed about it. Below
    this node every one is known.
    """
    by = order.by
    if order.from_term and order.from_node == order.to_node:
        return False  # from a keeper to itself nothing passes
    if not 0 <= order.from_term <= TERM_MAX or (order.forced_seq is None) != (order.forced_hash is None):
        return False
    if not covers(above, by.unit_id, order.unit_id):
        return False
    if (order.is_forced or order.is_revoked) and by.node_id != tree.root_id:
        return False
    believed = not tree.is_within(by.node_id, tree.me)
    return all(
        tree.is_within(node_id, by.node_id) if node_id in tree.nodes else believed
        for node_id in (order.from_node, order.to_node)
    )


def _chains(records: Iterable[NodeRecord], found: Iterable[Order]) -> dict[str, list[Term]]:
    """Unit → its terms, oldest first. Each begins with an enrolment or a first order and follows the orders."""
    starts: dict[str, list[Term]] = {}
    # One that was revoked keeps its place in the history, behind whoever still serves in the same term.
    for record in sorted(records, key=lambda record: record.status != "enrolled"):
        if record.unit_id is not None and record.term >= 1:
            starts.setdefault(record.unit_id, []).append(
                Term(unit_id=record.unit_id, term=record.term, node_id=record.node_id, began="record")
            )
    by_unit = {unit: list(of_unit) for unit, of_unit in groupby(
        sorted(found, key=attrgetter("unit_id")), key=attrgetter("unit_id"))}  # fmt: skip
    for unit, of_unit in by_unit.items():
        # Whose record has not come (of another branch) is who the order names: it comes from who answers for the unit.
        ordered = {(order.to_node, order.to_term) for order in of_unit}
        starts.setdefault(unit, []).extend(
            Term(unit_id=unit, term=order.from_term, node_id=order.from_node, began="record")
            if order.from_term
            else Term(unit_id=unit, term=1, node_id=order.to_node, began="handover")
            for order in sorted(of_unit, key=attrgetter("rank"))
            if not order.from_term or (order.from_node, order.from_term) not in ordered
        )
    chains = {unit: _chain_alone(unit, begun, by_unit.get(unit, [])) for unit, begun in starts.items() if begun}
    return {unit: chain for unit, chain in chains.items() if chain}


def _chain_alone(unit: str, starts: list[Term], of_unit: list[Order]) -> list[Term]:
    """A unit whose records make no chain, whatever they say, has no keeper here; every other unit has its own (I10)."""
    if not of_unit and len(starts) == 1:
        return starts  # as it is of nearly all units
    try:
        return _chain(starts, of_unit)
    except Exception as error:  # records of a hostile node
        tell(error, duty="terms", about=unit)
        return []


def _chain(starts: list[Term], of_unit: list[Order]) -> list[Term]:
    by_term: dict[int, Term] = {}
    for term in starts:
        by_term.setdefault(term.term, term)
    next_of = {(order.from_node, order.from_term): order for order in sorted(of_unit, key=attrgetter("rank"))[::-1]}
    number = min(by_term)
    for _ in range(TERMS_MAX):
        at = by_term[number]
        order = next_of.get((at.node_id, at.term)) if at.term else None
        if order is not None:
            by_term[number] = replace(
                at, next_node_id=order.to_node, ended_seq=order.forced_seq, ended_hash=order.forced_hash
            )
            by_term = {term: at for term, at in by_term.items() if not number < term < order.to_term}  # of another way
            by_term[order.to_term] = Term(
                unit_id=at.unit_id, term=order.to_term, node_id=order.to_node,
                began="forced" if order.is_forced else "handover",
            )  # fmt: skip
        later = [term for term in by_term if term > number]
        if not later:
            break
        number = min(later)
    return [by_term[term] for term in sorted(by_term)]


def _ended(tx: Tx, term: Term) -> Term:
    """Where a term ended: by force where the custodian says, else where its stream says so itself."""
    if term.next_node_id is None or term.ended_seq is not None:
        return term
    stream_id = stream_id_of(Kind.REGISTER, term.unit_id, term.node_id, term.term)
    found = tx.one("SELECT held_seq, held_hash FROM syncd_stream WHERE stream_id = ? AND ended = 1", (stream_id,))
    return term if found is None else replace(term, ended_seq=found[0], ended_hash=bytes(found[1]))


def _store_terms(tx: Tx, terms: Iterable[Term]) -> None:
    wanted = {
        (term.unit_id, term.term, term.node_id, term.began, term.ended_seq, term.ended_hash, term.next_node_id)
        for term in terms
    }
    rows = tx.all("SELECT unit_id, term, node_id, began, ended_seq, ended_hash, next_node_id FROM syncd_term")
    if wanted != {(*row[:5], None if row[5] is None else bytes(row[5]), row[6]) for row in rows}:
        tx.run("DELETE FROM syncd_term")
        tx.many(
            "INSERT INTO syncd_term (unit_id, term, node_id, began, ended_seq, ended_hash, next_node_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            sorted(wanted, key=itemgetter(0, 1)),
        )


def _store_keepers(tx: Tx, me: str, newest: Iterable[Term]) -> None:
    wanted = {
        (term.unit_id, term.node_id, term.term, int(term.node_id == me and _may_write(tx, term))) for term in newest
    }
    present = set(tx.all("SELECT unit_id, node_id, term, mine FROM syncd_keeper"))
    if wanted != present:  # what is the same stays: of a thousand units one gets a keeper
        tx.many("DELETE FROM syncd_keeper WHERE unit_id = ?", sorted({(row[0],) for row in present - wanted}))
        tx.many("INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, ?, ?)", sorted(wanted - present))


def _may_write(tx: Tx, term: Term) -> bool:
    """A term that follows another begins when its own stream does, which takes over what the old one left."""
    if term.began == "record" or term.term == 1:
        return True
    stream_id = stream_id_of(Kind.REGISTER, term.unit_id, term.node_id, term.term)
    return tx.one("SELECT 1 FROM syncd_stream WHERE stream_id = ? AND applied_seq > 0", (stream_id,)) is not None
