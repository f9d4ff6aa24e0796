"""The log of streams: which envelopes this node holds, and how far each stream is applied.

Enters: sealed envelopes with their headers. Leaves: the same bytes, for relaying and applying.
Must hold: a stream's log is gapless and hash-chained; appending is compare-and-set on (held_seq, held_hash),
so two writers of one stream can never both succeed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from syncd import limits
from syncd.clock import instant_of
from syncd.envelope import Header, Mark
from syncd.errors import ForkError, StoreError
from syncd.store.base import Row, Tx, in_lists

NO_HASH = bytes(32)
_COLUMNS = (
    "stream_id, kind, unit_id, keeper, term, own, held_seq, held_hash, open_from, applied_seq, applied_hash, "
    "state, reason, changed_at, parent_seq, custodian_seq, checkpoint_seq, floor_seq, floor_hash, ended, "
    "backed_up_seq, floor_rows, rejoin_seq"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream as this node holds it. `held` is the end of the log here, `applied` the end of what the tables show.

    `floor`: the log begins behind it; what came before was pruned, or replaced by a baseline (0: nothing was).
    `ended`: its last envelope is held; nothing can follow. `backed_up`: the custodian's last verified backup reaches so
    far. `floor_rows`: changed rows up to the floor, which a screen still counts. `rejoin`: of an own stream, up to
    where at least it is being taken back from a neighbour (0: it is not).
    """

    stream_id: str
    kind: int
    unit_id: str | None
    keeper: str
    term: int
    own: bool
    held_seq: int = 0
    held_hash: bytes = NO_HASH
    open_from: int = 0
    applied_seq: int = 0
    applied_hash: bytes = NO_HASH
    state: str = "ok"
    reason: str | None = None
    changed_at: str | None = None
    parent_seq: int = 0
    custodian_seq: int = 0
    checkpoint_seq: int = 0
    floor_seq: int = 0
    floor_hash: bytes = NO_HASH
    ended: bool = False
    backed_up_seq: int = 0
    floor_rows: int = 0
    rejoin_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One envelope of a log."""

    seq: int
    mark: Mark
    hash: bytes
    rows: int
    envelope: bytes


def streams(tx: Tx, where: str = "1 = 1", values: Iterable[object] = ()) -> list[Stream]:
    """The streams that match `where`, in a stable order: control first, so that keys and nodes are known early."""
    order = "CASE kind WHEN 3 THEN 0 ELSE kind END, stream_id"
    return [
        _stream(row)
        for row in tx.all(f"SELECT {_COLUMNS} FROM syncd_stream WHERE {where} ORDER BY {order}", tuple(values))
    ]


def stream(tx: Tx, stream_id: str) -> Stream | None:
    """One stream, or None when this node does not hold it."""
    found = streams(tx, "stream_id = ?", (stream_id,))
    return found[0] if found else None


def among(tx: Tx, wanted: Mapping[str, Collection[str]]) -> list[Stream]:
    """At least the streams for which a column (or `… AND column`) of `wanted` has one of the values named with it, in
    the order of `streams`; all of them where that many are named that a statement cannot hold them."""
    chosen = {name: sorted(values) for name, values in wanted.items() if values}
    if not chosen:
        return []
    if sum(map(len, chosen.values())) > limits.SQL_VALUES_MAX:
        return streams(tx)
    lists = [(name, *each) for name, values in chosen.items() for each in in_lists(values)]
    matches = " OR ".join(f"{name} IN ({marks})" for name, marks, _some in lists)
    return streams(tx, matches, [value for _name, _marks, some in lists for value in some])


def unvouched(tx: Tx, keepers: Collection[str]) -> list[Stream]:
    """Streams of which the custodian has not signed for all that is held here, but those that `keepers` write, in the
    order of `streams`."""
    lists = list(in_lists(sorted(keepers)[: limits.SQL_VALUES_MAX]))
    others = "".join(f" AND keeper NOT IN ({marks})" for marks, _some in lists)
    return streams(tx, f"custodian_seq < held_seq{others}", [value for _marks, some in lists for value in some])


def create(tx: Tx, new: Stream) -> None:
    """Record a stream at position 0, unless it is known."""
    tx.run(
        "INSERT INTO syncd_stream (stream_id, kind, unit_id, keeper, term, own, held_seq, held_hash, applied_seq,"
        " applied_hash, state, floor_hash, rejoin_seq) VALUES (?, ?, ?, ?, ?, ?, 0, ?, 0, ?, 'ok', ?, ?)"
        " ON CONFLICT (stream_id) DO NOTHING",
        (
            new.stream_id,
            new.kind,
            new.unit_id,
            new.keeper,
            new.term,
            int(new.own),
            NO_HASH,
            NO_HASH,
            NO_HASH,
            new.rejoin_seq,
        ),
    )


def append(tx: Tx, head: Stream, header: Header, position_hash: bytes, envelope: bytes) -> Stream:
    """Append one envelope behind `head`; returns the stream as it now stands. Own streams stand applied as written,
    unless they are being taken back: then they are applied like any other.

    Raises ForkError when another writer has extended the stream meanwhile.
    """
    mark = Mark(header.mark)
    open_from = _open_from(head, mark, header.seq)
    touched = tx.run(
        "UPDATE syncd_stream SET held_seq = ?, held_hash = ?, open_from = ?, changed_at = ?, ended = ?"
        " WHERE stream_id = ? AND held_seq = ? AND held_hash = ? AND ended = 0",
        (
            header.seq,
            position_hash,
            open_from,
            instant_of(header.time_ms),
            int(mark is Mark.ENDS),
            head.stream_id,
            head.held_seq,
            head.held_hash,
        ),
    )
    if touched != 1 or header.previous != head.held_hash or header.seq != head.held_seq + 1:
        raise ForkError(
            f"stream {head.stream_id} moved on while position {header.seq} was being written",
            hint="another daemon serves this database; syncd tries again by itself",
        )
    tx.run(
        "INSERT INTO syncd_log (stream_id, seq, mark, hash, rows, size, envelope) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (head.stream_id, header.seq, int(mark), position_hash, header.rows, len(envelope), envelope),
    )
    moved = _moved(head, header, position_hash, open_from)
    return mark_applied(tx, moved) if head.own and not head.rejoin_seq and not open_from else moved


def mark_applied(tx: Tx, at: Stream) -> Stream:
    """The tables show everything up to the end of the log of `at`."""
    return applied_to(tx, at, at.held_seq, at.held_hash)


def applied_to(tx: Tx, at: Stream, seq: int, position_hash: bytes) -> Stream:
    """The tables show everything up to `seq`."""
    tx.run(
        "UPDATE syncd_stream SET applied_seq = ?, applied_hash = ?, state = 'ok', reason = NULL WHERE stream_id = ?",
        (seq, position_hash, at.stream_id),
    )
    return replace(at, applied_seq=seq, applied_hash=position_hash, state="ok", reason=None)


def stop(tx: Tx, stream_id: str, state: str, reason: str) -> None:
    """Record why a stream does not move: `waiting` (its cause may go by itself) or `stopped` (a person must look)."""
    tx.run(
        "UPDATE syncd_stream SET state = ?, reason = ?"
        " WHERE stream_id = ? AND (state <> ? OR reason IS NULL OR reason <> ?)",
        (state, reason, stream_id, state, reason),
    )


def entries(tx: Tx, stream_id: str, after_seq: int, bytes_max: int) -> list[Entry]:
    """The envelopes after `after_seq`, at least one and then as many as fit in `bytes_max`."""
    sizes = tx.all(
        "SELECT seq, size FROM syncd_log WHERE stream_id = ? AND seq > ? ORDER BY seq LIMIT 1000",
        (stream_id, after_seq),
    )
    last, total = after_seq, 0
    for seq, size in sizes:
        if total and total + size > bytes_max:
            break
        last, total = seq, total + size
    rows = tx.all(
        "SELECT seq, mark, hash, rows, envelope FROM syncd_log"
        " WHERE stream_id = ? AND seq > ? AND seq <= ? ORDER BY seq",
        (stream_id, after_seq, last),
    )
    return [Entry(seq=r[0], mark=Mark(r[1]), hash=bytes(r[2]), rows=r[3], envelope=bytes(r[4])) for r in rows]


def unapplied(tx: Tx, at: Stream) -> Iterator[Entry]:
    """The envelopes between the applied and the held position, one by one."""
    seq = at.applied_seq
    while seq < at.held_seq:
        found = entries(tx, at.stream_id, seq, 1)
        if not found:
            raise StoreError(
                f"log of stream {at.stream_id} lacks seq {seq + 1}", hint="restore the last backup of this database"
            )
        yield from found
        seq = found[-1].seq


def cut(tx: Tx, at: Stream, seq: int) -> Stream:
    """Forget the envelopes behind `seq`, which another branch replaces; the tables must have left them already, or do
    so in this transaction."""
    found = hash_at(tx, at.stream_id, seq)
    if found is None or seq > at.held_seq:
        raise StoreError(f"log of stream {at.stream_id} lacks seq {seq}", hint="the next exchange tries another place")
    tx.run("DELETE FROM syncd_log WHERE stream_id = ? AND seq > ?", (at.stream_id, seq))
    closed = tx.value(
        "SELECT max(seq) FROM syncd_log WHERE stream_id = ? AND mark <> ?", (at.stream_id, int(Mark.OPEN))
    )
    floor_seq, floor_hash = (at.floor_seq, at.floor_hash) if seq >= at.floor_seq else (0, NO_HASH)
    open_from = max(int(closed or 0), floor_seq) + 1
    kept = replace(
        at, held_seq=seq, held_hash=found, open_from=open_from if open_from <= seq else 0, ended=False,
        parent_seq=min(at.parent_seq, seq), custodian_seq=min(at.custodian_seq, seq),
        checkpoint_seq=min(at.checkpoint_seq, seq), backed_up_seq=min(at.backed_up_seq, seq),
        floor_seq=floor_seq, floor_hash=floor_hash,
    )  # fmt: skip
    tx.run(
        "UPDATE syncd_stream SET held_seq = ?, held_hash = ?, open_from = ?, ended = 0, parent_seq = ?,"
        " custodian_seq = ?, checkpoint_seq = ?, backed_up_seq = ?, floor_seq = ?, floor_hash = ?, state = 'ok',"
        " reason = NULL WHERE stream_id = ?",
        (
            kept.held_seq, kept.held_hash, kept.open_from, kept.parent_seq, kept.custodian_seq, kept.checkpoint_seq,
            kept.backed_up_seq, kept.floor_seq, kept.floor_hash, kept.stream_id,
        ),
    )  # fmt: skip
    tx.run("UPDATE syncd_looked SET seq = ? WHERE stream_id = ? AND seq > ?", (seq, at.stream_id, seq))
    for table in ("syncd_receipt", "syncd_checkpoint"):
        tx.run(f"DELETE FROM {table} WHERE stream_id = ? AND seq > ?", (at.stream_id, seq))
    return kept


def end(tx: Tx, at: Stream) -> Stream:
    """Nothing follows what is held of `at`, whoever says more; nor is more of it taken back."""
    rejoin_seq = min(at.rejoin_seq, at.held_seq)
    tx.run(
        "UPDATE syncd_stream SET ended = 1, state = 'ok', reason = NULL, rejoin_seq = ?"
        " WHERE stream_id = ? AND held_seq = ?",
        (rejoin_seq, at.stream_id, at.held_seq),
    )
    return replace(at, ended=True, state="ok", reason=None, rejoin_seq=rejoin_seq)


def hash_at(tx: Tx, stream_id: str, seq: int) -> bytes | None:
    """The position hash of an envelope held here, or of the one the log begins behind; zeros for seq 0, None when it is
    neither."""
    if seq == 0:
        return NO_HASH
    found = tx.value("SELECT hash FROM syncd_log WHERE stream_id = ? AND seq = ?", (stream_id, seq))
    if found is None:
        found = tx.value("SELECT floor_hash FROM syncd_stream WHERE stream_id = ? AND floor_seq = ?", (stream_id, seq))
    return None if found is None else bytes(found)


def _open_from(head: Stream, mark: Mark, seq: int) -> int:
    if mark is Mark.OPEN:
        return head.open_from or seq
    return 0


def _moved(head: Stream, header: Header, position_hash: bytes, open_from: int) -> Stream:
    return replace(
        head, held_seq=header.seq, held_hash=position_hash, open_from=open_from, ended=header.mark == Mark.ENDS
    )


def _stream(row: Row) -> Stream:
    return Stream(
        stream_id=row[0], kind=row[1], unit_id=row[2], keeper=row[3], term=row[4], own=bool(row[5]), held_seq=row[6],
        held_hash=bytes(row[7]), open_from=row[8], applied_seq=row[9], applied_hash=bytes(row[10]), state=row[11],
        reason=row[12], changed_at=row[13], parent_seq=row[14], custodian_seq=row[15], checkpoint_seq=row[16],
        floor_seq=row[17], floor_hash=bytes(row[18]), ended=bool(row[19]),
        backed_up_seq=row[20], floor_rows=row[21], rejoin_seq=row[22],
    )  # fmt: skip
