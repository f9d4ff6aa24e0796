"""Writes beyond a term: what a keeper signed after its unit had passed on is kept apart (design §5).

Enters: envelopes that continue a stream beyond its end. Leaves: the same bytes, for the tiers above; a case where a
person admits them (`syncd/adopting.py` makes proposals of them).
Must hold: nothing of it is applied, nothing of it is lost; bounded, and what is beyond the bound stays with its sender.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from conflict.case import CaseKind
from syncd import limits, log
from syncd.cases import close_cases, open_case
from syncd.clock import instant_of
from syncd.envelope import Envelope, Mark, parse_envelope, verify_envelope
from syncd.errors import EnvelopeError
from syncd.log import Entry, Stream
from syncd.messages import Position
from syncd.store.base import Row, Store, Tx
from syncd.tree import Tree

Kept = tuple[str, bytes]  # an envelope kept apart: stream, hash


def put(tx: Tx, tree: Tree, at: Stream, envelope: Envelope, data: bytes, now_ms: int) -> None:
    """Keep one envelope apart, if its keeper signed it and it continues what is held or kept apart; open the case."""
    header = envelope.header
    is_first = (header.seq, header.previous) == (at.held_seq + 1, at.held_hash)
    if not is_first and header.previous not in hashes(tx, at.stream_id, header.seq - 1):
        return  # nothing that can be read in its place
    if envelope.hash in hashes(tx, at.stream_id, header.seq):
        return  # known already
    if _branches_off(tx, at, envelope):
        return  # whatever writes that many pasts wants somebody to read them all
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
        "INSERT INTO syncd_quarantine (stream_id, seq, hash, previous, received_at, envelope)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (at.stream_id, seq, position_hash, parse_envelope(data).header.previous, instant_of(now_ms), data),
    )
    if _is_asked_here(tx, tree, at):
        _open(tx, at, now_ms)


def _branches_off(tx: Tx, at: Stream, envelope: Envelope) -> bool:
    """Whether an envelope would begin a branch too many."""
    sibling = "SELECT 1 FROM syncd_quarantine WHERE stream_id = ? AND seq = ? AND previous = ? LIMIT 1"
    if tx.one(sibling, (at.stream_id, envelope.header.seq, envelope.header.previous)) is None:
        return False
    ends = "SELECT count(*) - count(DISTINCT previous) + 1 FROM syncd_quarantine WHERE stream_id = ?"
    return int(tx.value(ends, (at.stream_id,))) >= limits.LATE_BRANCHES_MAX


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


def _is_asked_here(tx: Tx, tree: Tree, at: Stream) -> bool:
    node_id = admits(tree, at)
    if node_id is None or node_id == tree.me:
        return node_id is not None
    lost = "SELECT 1 FROM syncd_quarantine WHERE stream_id = ? AND is_lost_below = 1"
    return tree.is_within(node_id, tree.me) and tx.one(lost, (at.stream_id,)) is not None


def heard(
    tx: Tx,
    tree: Tree,
    child: str,
    theirs: Mapping[str, Position],
    is_about: Callable[[str], bool] = lambda _stream_id: True,
) -> list[tuple[int, str]]:
    """A child's word where it stands, on the streams that it `is_about`: what is kept apart here and should be admitted
    at or below it, it may have lost, or hold another branch of, since an older copy of its database was put back. Then
    a person is asked here. Returns what `note_heard` is to write, as a rule nothing."""
    ends: dict[str, list[Row]] = {}
    for row in tx.all(_ENDS):
        if is_about(row[0]):
            ends.setdefault(row[0], []).append(row)
    return [
        (int(is_lost), stream_id)
        for stream_id, rows in ends.items()
        if _is_asked_below(tx, tree, stream_id, child)
        and (is_lost := not _holds(theirs.get(stream_id), rows)) is not bool(rows[0][3])
    ]


def note_heard(store_: Store, changed: list[tuple[int, str]]) -> None:
    """Write what a child was `heard` to have lost, or to have again."""
    if changed:
        with store_.apply("late-writes") as tx:
            tx.many("UPDATE syncd_quarantine SET is_lost_below = ? WHERE stream_id = ?", changed)


def _is_asked_below(tx: Tx, tree: Tree, stream_id: str, child: str) -> bool:
    at = log.stream(tx, stream_id)
    node_id = None if at is None else admits(tree, at)
    return node_id is not None and tree.is_within(node_id, child)


def _holds(position: Position | None, ends: Sequence[Row]) -> bool:
    """Whether a neighbour has what is kept apart here, by the ends of its branches; where it has more of the only one,
    it has this much of it, or a push will show the other."""
    if position is None or len(ends) > 1:
        return False
    _stream, seq, hash_, _was_lost = ends[0]
    return position.seq > seq or (position.seq == seq and bytes(hash_).startswith(position.hash))


def tell(store_: Store, tree: Tree, now_ms: int) -> None:
    """The unit has passed on again: late writes wait for a person at another node now, or at this one."""
    with store_.read() as tx:
        kept = [at for row in tx.all(_UNADMITTED) if (at := log.stream(tx, row[0])) is not None]
    if not kept:
        return
    with store_.apply("late-writes") as tx:
        for at in kept:
            if _is_asked_here(tx, tree, at):
                _open(tx, at, now_ms)
            else:
                close_cases(tx, CaseKind.WRITES_BEYOND_TERM, at.stream_id, instant_of(now_ms))


# Of every stream of which something waits, the ends of its branches.
_ENDS = """SELECT stream_id, seq, hash, is_lost_below FROM syncd_quarantine AS q
    WHERE stream_id IN (SELECT stream_id FROM syncd_quarantine WHERE adopted_at IS NULL)
        AND NOT EXISTS (SELECT 1 FROM syncd_quarantine AS l
            WHERE l.stream_id = q.stream_id AND l.seq = q.seq + 1 AND l.previous = q.hash)
    ORDER BY stream_id, seq, hash"""
_UNADMITTED = "SELECT DISTINCT stream_id FROM syncd_quarantine WHERE adopted_at IS NULL ORDER BY 1"


def _open(tx: Tx, at: Stream, now_ms: int) -> None:
    open_case(
        tx, CaseKind.WRITES_BEYOND_TERM, (at.stream_id,), opened_at=instant_of(now_ms),
        detail={"stream_id": at.stream_id, "first_seq": at.held_seq + 1}, stream_id=at.stream_id, unit_id=at.unit_id,
    )  # fmt: skip


def standing(tx: Tx, at: Stream, stated_seq: int, stated_hash: bytes = b"") -> Stream:
    """A stream as a neighbour shall see it who holds it up to `stated_seq`: what is kept apart need not be sent, and
    whoever has lost the end of it (a keeper that a copy has put back) hears how far it had come. Of several branches
    its own, where both end alike."""
    if not at.ended or stated_seq <= at.held_seq:
        return at
    found = tx.one(
        "SELECT seq, hash FROM syncd_quarantine WHERE stream_id = ?"
        " ORDER BY seq DESC, CASE WHEN hash = ? THEN 0 ELSE 1 END, hash LIMIT 1",
        (at.stream_id, stated_hash),
    )
    return at if found is None else replace(at, held_seq=found[0], held_hash=bytes(found[1]))


def hashes(tx: Tx, stream_id: str, seq: int) -> list[bytes]:
    """The positions of the envelopes kept apart at one place: of a keeper that was restored there may be several."""
    rows = tx.all("SELECT hash FROM syncd_quarantine WHERE stream_id = ? AND seq = ? ORDER BY hash", (stream_id, seq))
    return [bytes(row[0]) for row in rows]


def late_ends(tx: Tx) -> dict[str, int]:
    """Stream → the last envelope of it that is kept apart here."""
    rows = tx.all("SELECT stream_id, max(seq) FROM syncd_quarantine GROUP BY stream_id")
    return {row[0]: int(row[1]) for row in rows}


def lacking(
    tx: Tx, streams: Iterable[Stream], theirs: Mapping[str, Position], bytes_max: int, sent: Container[Kept]
) -> list[tuple[str, Entry]]:
    """What of the late envelopes kept here a neighbour lacks, who has the stream's end; some of one stream. Where it
    stands on another branch, or there are several here, all but what was `sent`: it knows what it has."""
    for at in streams:
        position = theirs.get(at.stream_id)
        seq = 0 if position is None else position.seq
        if seq < at.held_seq:
            continue  # the end itself is on its way
        if position is None or _goes_on(tx, at, position):
            found = list(_behind(tx, at.stream_id, seq, bytes_max, ()))
        else:
            found = list(_behind(tx, at.stream_id, at.held_seq, bytes_max, sent))
        if found:
            return found
    return []


def _goes_on(tx: Tx, at: Stream, position: Position) -> bool:
    """Whether all that is kept apart here follows a neighbour's position, or comes before it."""
    query = "SELECT count(*) FROM syncd_quarantine WHERE stream_id = ? AND seq <= ?"
    is_one_branch = int(tx.value(query, (at.stream_id, position.seq))) == position.seq - at.held_seq
    known = hashes(tx, at.stream_id, position.seq) if position.seq > at.held_seq else [at.held_hash]
    return is_one_branch and any(hash_.startswith(position.hash) for hash_ in known)


def _behind(tx: Tx, stream_id: str, seq: int, bytes_max: int, sent: Container[Kept]) -> Iterator[tuple[str, Entry]]:
    query = (
        "SELECT seq, hash, length(envelope) FROM syncd_quarantine WHERE stream_id = ? AND seq > ? ORDER BY seq, hash"
    )
    envelope = "SELECT envelope FROM syncd_quarantine WHERE stream_id = ? AND seq = ? AND hash = ?"
    total = 0
    for late_seq, hash_, size in tx.all(query, (stream_id, seq)):
        if (stream_id, bytes(hash_)) in sent:
            continue
        if total and total + size > bytes_max:
            return
        total += size
        data = bytes(tx.value(envelope, (stream_id, late_seq, hash_)))
        yield stream_id, Entry(seq=late_seq, mark=Mark.CLOSED, hash=bytes(hash_), rows=0, envelope=data)


def waiting(tx: Tx, tree: Tree) -> list[tuple[str, int, str, str]]:
    """Streams with late envelopes that a person has to admit at this node: id, how many, name of the unit, keeper."""
    rows = tx.all(
        "SELECT q.stream_id, count(*), max(u.name), max(CAST(s.keeper AS text)) FROM syncd_quarantine AS q"
        " JOIN syncd_stream AS s ON s.stream_id = q.stream_id LEFT JOIN unit AS u ON u.id = s.unit_id"
        " WHERE q.adopted_at IS NULL GROUP BY q.stream_id ORDER BY 1"
    )
    mine = [row for row in rows if (at := log.stream(tx, row[0])) is not None and _is_asked_here(tx, tree, at)]
    return [(row[0], row[1], row[2] or "", row[3]) for row in mine]
