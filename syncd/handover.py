"""Hand-over: a unit's register passes from a keeper to the next (design §1).

Enters: the terms of units, the logs. Leaves: which terms this node has to end or may begin; what a receiver checks.
Must hold: the old stream ends where its keeper, or the custodian by force, says; the new one begins only where that end
is applied; nothing is sent again to who holds it. What the keeper wrote beyond a forced end is kept, not applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schema.spec import Audience, Kind, Registry
from syncd import log
from syncd.envelope import Adopted, Header, stream_id_of
from syncd.errors import Foreign, StreamBehind
from syncd.log import Stream
from syncd.store.base import Row, Tx
from syncd.tree import Term

_TERM = "unit_id, term, node_id, began, ended_seq, ended_hash, next_node_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A term of this node that can begin. `adopts`: the end of the last term before it that kept anything."""

    unit_id: str
    term: int
    stream_id: str
    adopts: Adopted


def ending(tx: Tx, me: str) -> list[Term]:
    """The terms of this node that have begun, that an order ends and whose last envelope it has not written. A forced
    end is the custodian's: nothing is added to it."""
    terms = _terms(tx, "node_id = ? AND next_node_id IS NOT NULL AND ended_seq IS NULL", (me,))
    return [term for term in terms if not _follows(term) or _has_begun(tx, term)]


def beginning(tx: Tx, me: str) -> list[Beginning]:
    """The terms of this node that follow one whose end is applied here, and that have not begun. One that another order
    ends already begins nevertheless: what follows it names its end."""
    found = []
    for term in _terms(tx, "node_id = ? AND ended_seq IS NULL", (me,)):
        if not _follows(term) or _has_begun(tx, term):
            continue
        left = _left(tx, term.unit_id, term.term)
        if left is not None and _is_applied(tx, term.unit_id, term.term, left):
            found.append(Beginning(unit_id=term.unit_id, term=term.term, stream_id=stream_of(term), adopts=left))
    return found


def withheld(tx: Tx, registry: Registry, unit_id: str, number: int) -> list[Stream]:
    """The streams of keepers before a term whose rows this node, as one of the tiers above, has had without the columns
    that only a keeper and the custodian read: it has to read them anew before it states what it keeps."""
    closed = [
        table
        for table in registry.of_kind(Kind.REGISTER)
        if any(column.audience is Audience.CUSTODIAN for column in table.columns)
    ]
    if not any(tx.one(f"SELECT 1 FROM {t.sql} WHERE unit_id = ? LIMIT 1", (unit_id,)) for t in closed):
        return []
    where = "kind = ? AND unit_id = ? AND term < ? AND applied_seq > 0"  # a term put aside has nothing to read
    found = log.streams(tx, where, (int(Kind.REGISTER), unit_id, number))
    return sorted(found, key=lambda stream: stream.term)


def may_read_all(tx: Tx, me: str, streams: Iterable[Stream]) -> bool:
    """Whether every key of these streams has been granted to this node, for the columns of keepers too."""
    for at in streams:
        rows = tx.all("SELECT audience, epoch FROM key_grant WHERE stream_id = ? AND reader_id = ?", (at.stream_id, me))
        scope, custodian = (
            {epoch for audience, epoch in rows if audience == of}
            for of in (int(Audience.SCOPE), int(Audience.CUSTODIAN))
        )
        if not at.own and not (scope and scope <= custodian):
            return False
    return True


def check_adopts(tx: Tx, at: Stream, header: Header) -> None:
    """Raise unless a stream that takes a unit over names the end of the term before its own, and that is applied here.

    Raises Foreign, StreamBehind.
    """
    adopts = None if header.genesis is None else header.genesis.adopts
    left = _left(tx, at.unit_id or "", at.term)
    if left is None:
        raise StreamBehind(
            f"stream {at.stream_id} takes a unit over, but the order for it or the end of the term before is not here",
            hint="the stream goes on by itself when they have arrived",
        )
    if adopts != left:
        raise Foreign(
            f"stream {at.stream_id} takes over from another end than the one of the term before it",
            hint="nothing was applied; ask the operator of the node that keeps it",
        )
    if not _is_applied(tx, at.unit_id or "", at.term, left):
        raise StreamBehind(
            f"stream {at.stream_id} follows stream {left.stream_id}, which is not applied up to {left.seq} here",
            hint="the stream goes on by itself when the one before it has arrived",
        )


def ends_here(tx: Tx, at: Stream) -> bool:
    """Whether a term ends at just the position that is applied here."""
    if at.kind != Kind.REGISTER:
        return False
    found = tx.one(
        "SELECT 1 FROM syncd_term WHERE unit_id = ? AND term = ? AND node_id = ? AND ended_seq = ?",
        (at.unit_id, at.term, at.keeper, at.applied_seq),
    )
    return found is not None or (at.ended and at.applied_seq == at.held_seq)


def strays(tx: Tx, registry: Registry, me: str, waiting: Iterable[tuple[int, str | None]]) -> list[str]:
    """Units among those with changes `waiting` here that passed on, and whose stream can take no more: a transaction
    that began before the order came did not see the new keeper."""
    registers = {table.number for table in registry.of_kind(Kind.REGISTER)}
    units = sorted({unit for tab, unit in waiting if unit is not None and tab in registers})
    return [unit for unit in units if _is_kept_elsewhere(tx, me, unit)]


def has_unsealed(tx: Tx, registry: Registry, unit_id: str) -> bool:
    """Whether changes of a unit's register are not in the log yet."""
    registers = ", ".join(str(table.number) for table in registry.of_kind(Kind.REGISTER))
    query = f"SELECT 1 FROM syncd_journal WHERE unit_id = ? AND tab IN ({registers}) LIMIT 1"
    return tx.one(query, (unit_id,)) is not None


def _is_kept_elsewhere(tx: Tx, me: str, unit_id: str) -> bool:
    keeper = tx.value("SELECT node_id FROM syncd_keeper WHERE unit_id = ?", (unit_id,))
    if keeper in (None, me):
        return False
    if log.streams(tx, "own = 1 AND kind = ? AND unit_id = ? AND ended = 0", (int(Kind.REGISTER), unit_id)):
        return False
    mine = [log.stream(tx, stream_of(term)) for term in _terms(tx, "unit_id = ? AND node_id = ?", (unit_id, me))]
    return not mine or mine[-1] is not None  # else the stream of that term is only to be created


def stream_of(term: Term) -> str:
    """The id of the stream a term is written in."""
    return stream_id_of(Kind.REGISTER, term.unit_id, term.node_id, term.term)


def writers(tx: Tx) -> frozenset[str]:
    """The transactions that may still write records without having seen a newer keeper: of SQLite none, a writer there
    is alone; of PostgreSQL those that hold a writer's lock on a register now."""
    if tx.dialect == "sqlite":
        return frozenset()
    rows = tx.all(
        "SELECT DISTINCT l.virtualtransaction FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation"
        " WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND c.relname = 'syncd_journal'"
    )
    return frozenset(row[0] for row in rows)


def _left(tx: Tx, unit_id: str, number: int) -> Adopted | None:
    """What a term takes over: the end of the last one before it that kept anything; None while that is not known.

    A term that the custodian ended before anything of it had arrived leaves what the one before it left, be it nothing.
    """
    chain = _terms(tx, "unit_id = ? AND term <= ?", (unit_id, number))
    if len(chain) < 2 or chain[-1].term != number:
        return None
    for term, later in zip(chain[-2::-1], chain[:0:-1], strict=True):
        if term.next_node_id != later.node_id or term.ended_seq is None or term.ended_hash is None:
            return None  # an order between the two is not here, or the end of the term
        if term.ended_seq:
            return Adopted(stream_id=stream_of(term), seq=term.ended_seq, hash=term.ended_hash)
        if not _follows(term):
            if term is chain[0] and term.term > 1:
                return None  # the orders by which it was kept before are on their way
            break  # the first of them
    return Adopted(stream_id=stream_of(chain[-2]), seq=0, hash=log.NO_HASH)


def _follows(term: Term) -> bool:
    """Whether a term takes over from another; the first one of a unit does not, whoever began it."""
    return term.began != "record" and term.term > 1


def _has_begun(tx: Tx, term: Term) -> bool:
    own = log.stream(tx, stream_of(term))
    return own is not None and own.held_seq > 0


def _is_applied(tx: Tx, unit_id: str, number: int, adopts: Adopted) -> bool:
    """Whether the unit shows what a term takes over, and nothing of the terms between, which are still to be cut."""
    at = log.stream(tx, adopts.stream_id) if adopts.seq else None
    between = "kind = ? AND unit_id = ? AND term > ? AND term < ? AND applied_seq > 0"
    if log.streams(tx, between, (int(Kind.REGISTER), unit_id, 0 if at is None else at.term, number)):
        return False
    if not adopts.seq:
        return True  # nothing was kept
    if at is None or at.rejoin_seq:  # what comes back of an own stream may go beyond its end, and is cut there first
        return False
    return (at.applied_seq, at.applied_hash) == (adopts.seq, adopts.hash)


def _terms(tx: Tx, where: str, values: tuple[object, ...]) -> list[Term]:
    return [_term(row) for row in tx.all(f"SELECT {_TERM} FROM syncd_term WHERE {where} ORDER BY 1, 2", values)]


def _term(row: Row) -> Term:
    return Term(
        unit_id=row[0], term=row[1], node_id=row[2], began=row[3], ended_seq=row[4],
        ended_hash=None if row[5] is None else bytes(row[5]), next_node_id=row[6],
    )  # fmt: skip
