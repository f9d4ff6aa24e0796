"""Writes beyond a term: what a keeper signed after its unit had passed on is kept apart (design §5).

Enters: envelopes that continue a stream beyond its end. Leaves: the same bytes, for the tiers above; a case where a
person admits them (`syncd/adopting.py` makes proposals of them).
Must hold: nothing of it is applied, nothing of it is lost; bounded, and what is beyond the bound stays with its sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from conflict.case import CaseKind
from syncd import limits, log
from syncd.cases import close_cases, open_case
from syncd.clock import instant_of
from syncd.envelope import Envelope, Mark, verify_envelope
from syncd.errors import EnvelopeError
from syncd.log import Entry, Stream
from syncd.messages import Position
from syncd.store.base import Store, Tx
from syncd.tree import Tree


def put(tx: Tx, tree: Tree, at: Stream, envelope: Envelope, data: bytes, now_ms: int) -> None:
    """Keep one envelope apart, if its keeper signed it and it continues what is held or kept apart; open the case."""
    header = envelope.header
    last = tx.one(
        "SELECT seq, hash FROM syncd_quarantine WHERE stream_id = ? ORDER BY seq DESC LIMIT 1", (at.stream_id,)
    )
    before = (at.held_seq, at.held_hash) if last is None else (last[0], bytes(last[1]))
    if (header.seq, header.previous) != (before[0] + 1, before[1]):
        return  # known already, or nothing that can be read in its place
    if _kept_bytes(tx, at) + len(data) > limits.QUARANTINE_BYTES_MAX:
        return  # the sender keeps it until somebody has admitted what waits
    keeper = tree.nodes.get(at.keeper)
    try:
        verify_envelope(envelope, b"" if keeper is None else keeper.signing_public)
    except EnvelopeError:
        return  # nobody's word; the refusal says so to whoever sent it
    if log.stream(tx, at.stream_id) is None:  # all of it is late
        log.create(tx, at)
        log.end(tx, at)
    store(tx, tree, at, header.seq, envelope.hash, data, now_ms)


def store(tx: Tx, tree: Tree, at: Stream, seq: int, position_hash: bytes, data: bytes, now_ms: int) -> None:
    """Keep an envelope apart that is known to be the keeper's."""
    tx.run(
        "INSERT INTO syncd_quarantine (stream_id, seq, hash, received_at, envelope) VALUES (?, ?, ?, ?, ?)",
        (at.stream_id, seq, position_hash, instant_of(now_ms), data),
    )
    if admits(tree, at) == tree.me:
        _open(tx, at, now_ms)


def _kept_bytes(tx: Tx, at: Stream) -> int:
    """What waits of a stream for a person's word."""
    query = "SELECT sum(length(envelope)) FROM syncd_quarantine WHERE stream_id = ? AND adopted_at IS NULL"
    return int(tx.value(query, (at.stream_id,)) or 0)


def admits(tree: Tree, at: Stream) -> str | None:
    """The node where a person admits late writes: the lowest above both keepers, or one of them; None while that is not
    known. Everybody else passes them on."""
    kept = tree.keepers.get(at.unit_id or "")
    earlier = set(tree.line(at.keeper))
    return next((node_id for node_id in tree.line(kept[0]) if node_id in earlier), None) if kept else None


def tell(store_: Store, tree: Tree, now_ms: int) -> None:
    """The unit has passed on again: late writes wait for a person at another node now, or at this one."""
    with store_.read() as tx:
        kept = [at for row in tx.all(_UNADMITTED) if (at := log.stream(tx, row[0])) is not None]
    if not kept:
        return
    with store_.apply("late-writes") as tx:
        for at in kept:
            if admits(tree, at) == tree.me:
                _open(tx, at, now_ms)
            else:
                close_cases(tx, CaseKind.WRITES_BEYOND_TERM, at.stream_id, instant_of(now_ms))


_UNADMITTED = "SELECT DISTINCT stream_id FROM syncd_quarantine WHERE adopted_at IS NULL ORDER BY 1"


def _open(tx: Tx, at: Stream, now_ms: int) -> None:
    open_case(
        tx, CaseKind.WRITES_BEYOND_TERM, (at.stream_id,), opened_at=instant_of(now_ms),
        detail={"stream_id": at.stream_id, "first_seq": at.held_seq + 1}, stream_id=at.stream_id, unit_id=at.unit_id,
    )  # fmt: skip


def standing(tx: Tx, at: Stream, stated_seq: int) -> Stream:
    """A stream as a neighbour shall see it who holds it up to `stated_seq`: what is kept apart need not be sent."""
    if not at.ended or stated_seq <= at.held_seq:
        return at
    found = tx.one(
        "SELECT seq, hash FROM syncd_quarantine WHERE stream_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
        (at.stream_id, stated_seq),
    )
    return at if found is None else replace(at, held_seq=found[0], held_hash=bytes(found[1]))


def late_ends(tx: Tx) -> dict[str, int]:
    """Stream → the last envelope of it that is kept apart here."""
    rows = tx.all("SELECT stream_id, max(seq) FROM syncd_quarantine GROUP BY stream_id")
    return {row[0]: int(row[1]) for row in rows}


def lacking(
    tx: Tx, streams: Iterable[Stream], theirs: Mapping[str, Position], bytes_max: int
) -> list[tuple[str, Entry]]:
    """What of the late envelopes kept here the parent lacks, who has the stream's end; some of one stream."""
    for at in streams:
        position = theirs.get(at.stream_id)
        seq = 0 if position is None else position.seq
        if seq < at.held_seq:
            continue  # the end itself is on its way
        last, total = seq, 0
        where = "WHERE stream_id = ? AND seq > ? ORDER BY seq LIMIT 1000"
        query = f"SELECT seq, length(envelope) FROM syncd_quarantine {where}"
        for late_seq, size in tx.all(query, (at.stream_id, seq)):
            total += size
            if last > seq and total > bytes_max:
                break
            last = late_seq
        if last > seq:
            return _late(tx, at.stream_id, seq, last)
    return []


def _late(tx: Tx, stream_id: str, after_seq: int, until_seq: int) -> list[tuple[str, Entry]]:
    rows = tx.all(
        "SELECT seq, hash, envelope FROM syncd_quarantine WHERE stream_id = ? AND seq > ? AND seq <= ? ORDER BY seq",
        (stream_id, after_seq, until_seq),
    )
    return [
        (stream_id, Entry(seq=row[0], mark=Mark.CLOSED, hash=bytes(row[1]), rows=0, envelope=bytes(row[2])))
        for row in rows
    ]


def waiting(tx: Tx, tree: Tree) -> list[tuple[str, int, str, str]]:
    """Streams with late envelopes that a person has to admit at this node: id, how many, name of the unit, keeper."""
    rows = tx.all(
        "SELECT q.stream_id, count(*), max(u.name), max(CAST(s.keeper AS text)) FROM syncd_quarantine AS q"
        " JOIN syncd_stream AS s ON s.stream_id = q.stream_id LEFT JOIN unit AS u ON u.id = s.unit_id"
        " WHERE q.adopted_at IS NULL GROUP BY q.stream_id ORDER BY 1"
    )
    mine = [row for row in rows if (at := log.stream(tx, row[0])) is not None and admits(tree, at) == tree.me]
    return [(row[0], row[1], row[2] or "", row[3]) for row in mine]
