"""Hand-over: a unit's register passes from a keeper to the next (design §1).

Enters: the terms of units, the logs. Leaves: which terms this node has to end or may begin; what a receiver checks.
Must hold: the old stream ends where its keeper, or the custodian by force, says; the new one begins only where that end
is applied; nothing is sent again to who holds it. What the keeper wrote beyond a forced end is kept, not applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from conflict.case import CaseKind
from schema.spec import Audience, Kind, Registry
from syncd import log
from syncd.cases import open_case
from syncd.envelope import Adopted, Header, stream_id_of
from syncd.errors import Foreign, StreamBehind
from syncd.limits import CASE_ROWS_MAX
from syncd.log import Stream
from syncd.store.base import Row, Tx
from syncd.tree import Term

_TERM = "t.unit_id, t.term, t.node_id, t.began, t.ended_seq, t.ended_hash, t.next_node_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A term of this node that can begin. `adopts`: the end of the term before it; None when nothing of it was kept."""

    unit_id: str
    term: int
    stream_id: str
    adopts: Adopted | None


def ending(tx: Tx, me: str) -> list[Term]:
    """The terms of this node that an order ends and whose last envelope it has not written. A forced end is the
    custodian's: nothing is added to it."""
    return [
        _term(row)
        for row in tx.all(
            f"SELECT {_TERM} FROM syncd_term AS t"
            " WHERE t.node_id = ? AND t.next_node_id IS NOT NULL AND t.ended_seq IS NULL ORDER BY 1, 2",
            (me,),
        )
    ]


def beginning(tx: Tx, me: str) -> list[Beginning]:
    """The terms of this node that follow one whose end is applied here, and that have not begun."""
    found = []
    for row in tx.all(
        f"SELECT {_TERM}, p.node_id, p.ended_seq, p.ended_hash FROM syncd_term AS t"
        " JOIN syncd_term AS p ON p.unit_id = t.unit_id AND p.next_node_id = t.node_id AND p.term = t.term - 1"
        " WHERE t.node_id = ? AND t.next_node_id IS NULL AND p.ended_seq IS NOT NULL ORDER BY 1, 2",
        (me,),
    ):
        term = _term(row[:7])
        own = log.stream(tx, stream_of(term))
        if own is not None and own.held_seq:
            continue
        before, seq = stream_id_of(Kind.REGISTER, term.unit_id, row[7], term.term - 1), int(row[8])
        adopts = Adopted(stream_id=before, seq=seq, hash=bytes(row[9])) if seq else None
        if adopts is None or _is_applied(tx, adopts):
            found.append(Beginning(unit_id=term.unit_id, term=term.term, stream_id=stream_of(term), adopts=adopts))
    return found


def withheld(tx: Tx, registry: Registry, of: Beginning) -> list[Stream]:
    """The streams of earlier keepers whose rows this node, as one of the tiers above, has had without the columns that
    only a keeper and the custodian read: it has to read them anew before it states what it keeps."""
    closed = [
        table
        for table in registry.of_kind(Kind.REGISTER)
        if any(column.audience is Audience.CUSTODIAN for column in table.columns)
    ]
    if not any(tx.one(f"SELECT 1 FROM {t.name} WHERE unit_id = ? LIMIT 1", (of.unit_id,)) for t in closed):
        return []
    where = "kind = ? AND unit_id = ? AND term < ?"
    return log.streams(tx, where, (int(Kind.REGISTER), of.unit_id, of.term))


def may_read_all(tx: Tx, me: str, streams: Iterable[Stream]) -> bool:
    """Whether every key of these streams has been granted to this node, for the columns of keepers too."""
    for at in streams:
        rows = tx.all(
            "SELECT audience, epoch FROM key_grant WHERE stream_id = ? AND reader_id = ?", (at.stream_id, me)
        )
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
    before = tx.one(
        "SELECT node_id, ended_seq, ended_hash FROM syncd_term WHERE unit_id = ? AND term = ?",
        (at.unit_id, at.term - 1),
    )
    if adopts is None or before is None:
        raise StreamBehind(
            f"stream {at.stream_id} takes a unit over, but the order for it is not here",
            hint="the stream goes on by itself when the order has arrived",
        )
    stated = before[1] is None or (before[1], bytes(before[2])) == (adopts.seq, adopts.hash)
    if adopts.stream_id != stream_id_of(Kind.REGISTER, at.unit_id, before[0], at.term - 1) or not stated:
        raise Foreign(
            f"stream {at.stream_id} takes over from another end than the one of the term before it",
            hint="nothing was applied; ask the operator of the node that keeps it",
        )
    if not _is_applied(tx, adopts):
        raise StreamBehind(
            f"stream {at.stream_id} follows stream {adopts.stream_id}, which is not applied up to {adopts.seq} here",
            hint="the stream goes on by itself when the one before it has arrived",
        )


def strays(tx: Tx, me: str) -> list[str]:
    """Units that passed on and have changes here that no stream can take any more: a transaction that began before the
    order came did not see the new keeper."""
    return [
        row[0]
        for row in tx.all(
            "SELECT DISTINCT j.unit_id FROM syncd_journal AS j JOIN syncd_keeper AS k ON k.unit_id = j.unit_id"
            " JOIN syncd_term AS t ON t.unit_id = j.unit_id AND t.node_id = ? AND t.ended_seq IS NOT NULL"
            " WHERE k.node_id <> ?",
            (me, me),
        )
    ]


def set_aside(tx: Tx, registry: Registry, me: str, unit_id: str, now: str) -> None:
    """Take a unit's changes out of the journal; the case says which rows they are, for a person to propose anew."""
    registers = [table.number for table in registry.of_kind(Kind.REGISTER)]
    rows = tx.all("SELECT tab, row_id FROM syncd_journal WHERE unit_id = ? ORDER BY n", (unit_id,))
    changed = [(registry.by_number[tab].name, row_id) for tab, row_id in rows if tab in registers]
    open_case(
        tx, CaseKind.WRITES_BEYOND_TERM, (unit_id, me, *(row_id for _table, row_id in changed)), opened_at=now,
        detail={
            "rows": " ".join(f"{table}:{row_id}" for table, row_id in changed[:CASE_ROWS_MAX]), "count": len(changed),
        },
        unit_id=unit_id,
    )  # fmt: skip
    marks = ", ".join("?" * len(registers))
    tx.run(f"DELETE FROM syncd_journal WHERE unit_id = ? AND tab IN ({marks})", (unit_id, *registers))


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


def _is_applied(tx: Tx, adopts: Adopted) -> bool:
    at = log.stream(tx, adopts.stream_id)
    return at is not None and (at.applied_seq, at.applied_hash) == (adopts.seq, adopts.hash)


def _term(row: Row) -> Term:
    return Term(
        unit_id=row[0], term=row[1], node_id=row[2], began=row[3], ended_seq=row[4],
        ended_hash=None if row[5] is None else bytes(row[5]), next_node_id=row[6],
    )  # fmt: skip
