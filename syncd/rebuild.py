"""Rebuilding: the content of a stream put back to a position that its log here still tells.

Enters: the apply transaction, a stream, the position to go back to. Leaves: its rows and cells as that position shows
them, the stream's applied position there. Restored copies, forks, forced terms and repair all go through here.
Must hold: what a unit's register shows is the work of a chain of streams, one per term, so it is put back as a whole,
oldest first; no row is counted twice or left counted, whatever the tables held before. Takes time with the length of
the history (or since its baseline): it is the rare path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from schema.spec import Kind
from syncd import limits, log
from syncd.aggregate import Cells
from syncd.applying import Applier
from syncd.envelope import Envelope, Mark, parse_envelope
from syncd.errors import EnvelopeError, StoreError
from syncd.log import Entry, Stream
from syncd.store.base import Tx
from syncd.topology import subtree
from syncd.verify import rows_of

CHANGES = (Mark.CLOSED, Mark.OPEN)
COMPARED = (Mark.CHECKPOINT, Mark.ENDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """One stream of a chain and the end of the last whole group to show of it; where it begins with a baseline."""

    at: Stream
    seq: int
    baseline: Stream | None = None
    from_seq: int = 0


def rebuild(tx: Tx, applier: Applier, at: Stream, until: Mapping[str, int]) -> set[str]:
    """Put back the content that `at` is about, and move the applied positions there; returns the tables touched.

    `until`: stream id → position, for the streams of the chain that shall not stand at their applied position; an open
    group at it is left out. To be called inside `store.apply`. Raises StoreError where the log does not reach back far
    enough, or where this node has written rows that are not in its log yet.
    """
    for stream in chain(tx, at):
        tx.lock(stream.stream_id)
    streams = chain(tx, at)
    _require_sequenced(tx, applier, at)
    goals = [(stream, until.get(stream.stream_id, stream.applied_seq)) for stream in streams]
    _show(tx, applier, at, goals)
    for stream in streams:
        seq = whole(tx, stream, until.get(stream.stream_id, stream.applied_seq))
        log.applied_to(tx, stream, seq, _hash(tx, stream, seq))
    touched = {table.name for table in applier.registry.of_kind(Kind(at.kind))}
    applier.follow(tx, touched)
    return touched


def _show(tx: Tx, applier: Applier, at: Stream, goals: list[tuple[Stream, int]]) -> None:
    """The content at these positions. A log may hold a group that can never be applied, sealed by a keeper whose tables
    had been changed past its triggers: then a baseline that lies behind it shows what the log cannot."""
    from_log, from_baseline = _links(tx, goals), _links(tx, goals, is_log_enough=False)
    tx.run("SAVEPOINT rebuild")
    try:
        _show_links(tx, applier, at, from_log)
    except (EnvelopeError, StoreError):
        if from_baseline == from_log:
            raise
        tx.run("ROLLBACK TO SAVEPOINT rebuild")
        _show_links(tx, applier, at, from_baseline)
    tx.run("RELEASE SAVEPOINT rebuild")


def _show_links(tx: Tx, applier: Applier, at: Stream, links: list[_Link]) -> None:
    clear(tx, applier, at)
    cells = Cells()
    for link in links:
        _put_back(tx, applier, link, cells)
    cells.store(tx)


def chain(tx: Tx, at: Stream) -> list[Stream]:
    """The streams that made the content `at` is about, in the order of their effect."""
    if at.kind != Kind.REGISTER:
        found = log.stream(tx, at.stream_id)
        return [] if found is None else [found]
    streams = log.streams(tx, "kind = ? AND unit_id = ?", (int(Kind.REGISTER), at.unit_id))
    return sorted(streams, key=lambda stream: (stream.term, stream.stream_id))


def told(tx: Tx, at: Stream) -> Iterator[tuple[Stream, Envelope]]:
    """Every envelope whose changes made the content that `at` is about, as applied, in the order of their effect; and
    the stream it speaks of. Raises StoreError where the log does not reach back far enough."""
    for link in _links(tx, [(stream, stream.applied_seq) for stream in chain(tx, at)]):
        if link.baseline is not None:
            for entry in entries(tx, link.baseline.stream_id, 0, link.baseline.held_seq):
                if entry.mark in CHANGES:
                    yield link.at, parse_envelope(entry.envelope)
        yield from told_since(tx, link.at, link.from_seq, link.seq)


def told_since(tx: Tx, at: Stream, after_seq: int, until_seq: int) -> Iterator[tuple[Stream, Envelope]]:
    """The same of one log, between two whole positions of it."""
    void = void_groups(tx, at.stream_id)
    for entry in entries(tx, at.stream_id, after_seq, until_seq):
        if entry.mark in CHANGES and not any(first <= entry.seq < end for first, end in void):
            yield at, parse_envelope(entry.envelope)


def clear(tx: Tx, applier: Applier, at: Stream) -> None:
    """Remove every row and cell of the content `at` is about."""
    for table in reversed(applier.registry.of_kind(Kind(at.kind))):
        where, values = rows_of(tx, at, table)
        tx.run(f"DELETE FROM {table.sql} WHERE {where}", values)
    if at.kind == Kind.REGISTER:  # a cell belongs to one unit, and only registers are counted
        for cells in ("syncd_cell_stock", "syncd_cell_flow"):
            tx.run(f"DELETE FROM {cells} WHERE unit_id = ?", (at.unit_id,))


def whole(tx: Tx, at: Stream, seq: int) -> int:
    """The end of the last whole group up to `seq`; 0 where the log begins behind it."""
    found = tx.value(
        "SELECT max(seq) FROM syncd_log WHERE stream_id = ? AND seq <= ? AND mark <> ?",
        (at.stream_id, seq, int(Mark.OPEN)),
    )
    return int(found or (at.floor_seq if seq >= at.floor_seq else 0))


def baseline_of(tx: Tx, at: Stream, from_seq: int, until_seq: int) -> tuple[Stream, int] | None:
    """The newest whole baseline of a stream, of a position between the two, and that position."""
    found = tx.one(
        "SELECT stream_id, at_seq FROM syncd_baseline WHERE of_id = ? AND is_whole = 1 AND at_seq BETWEEN ? AND ?"
        " ORDER BY at_seq DESC LIMIT 1",
        (at.stream_id, from_seq, until_seq),
    )
    baseline = None if found is None else log.stream(tx, found[0])
    return None if found is None or baseline is None else (baseline, int(found[1]))


def _require_sequenced(tx: Tx, applier: Applier, at: Stream) -> None:
    """What this node wrote and has not sealed would be lost: whoever goes back keeps it first (`syncd/rejoin.py`)."""
    if not at.own and at.kind != Kind.REGISTER:
        return
    query, values = unsealed(applier, at, "1")
    if tx.one(f"{query} LIMIT 1", values) is not None:
        raise StoreError(
            f"rows of stream {at.stream_id} were written here and are not in its log yet",
            hint="syncd tries again by itself once they are",
        )


def unsealed(applier: Applier, at: Stream, columns: str) -> tuple[str, tuple[object, ...]]:
    """The query for journal rows of a stream that this node writes."""
    numbers = ", ".join(str(table.number) for table in applier.registry.of_kind(Kind(at.kind)))
    unit = ("unit_id IS NULL", ()) if at.unit_id is None else ("unit_id = ?", (at.unit_id,))
    return f"SELECT {columns} FROM syncd_journal WHERE tab IN ({numbers}) AND {unit[0]}", unit[1]


def _links(tx: Tx, goals: list[tuple[Stream, int]], *, is_log_enough: bool = True) -> list[_Link]:
    """From the newest baseline that is needed, or from the first envelope of all; if the log is not enough, from the
    newest baseline there is."""
    links: list[_Link] = []
    forgotten: Stream | None = None
    for at, goal in goals:
        seq = whole(tx, at, min(goal, at.held_seq))
        if not at.floor_seq and (is_log_enough or not seq or baseline_of(tx, at, 1, seq) is None):
            links.append(_Link(at=at, seq=seq))
            continue
        found = baseline_of(tx, at, at.floor_seq, seq) if seq else None
        if seq and found is None:
            forgotten = at  # unless a later term's baseline holds it too
        if found is not None:
            forgotten = None
            links = [_Link(at=at, seq=seq, baseline=found[0], from_seq=found[1])]  # all before lies in it
    if forgotten is not None:
        raise StoreError(
            f"the log of stream {forgotten.stream_id} begins behind {forgotten.floor_seq}; no baseline reaches there",
            hint="its parent is asked for one with the next exchange",
        )
    return links


def _put_back(tx: Tx, applier: Applier, link: _Link, cells: Cells) -> None:
    if link.baseline is not None:
        for entry in entries(tx, link.baseline.stream_id, 0, link.baseline.held_seq):
            if entry.mark in CHANGES:
                applier.put_baseline(tx, link.at, parse_envelope(entry.envelope), cells)
    void = void_groups(tx, link.at.stream_id)
    room: subtree.Room = {}
    compared = _last_compared(tx, link)
    for entry in entries(tx, link.at.stream_id, link.from_seq, link.seq):
        if entry.mark in CHANGES and not any(first <= entry.seq < end for first, end in void):
            applier.put(tx, link.at, parse_envelope(entry.envelope), cells, room)
        elif entry.seq == compared:
            cells.store(tx)
            applier.compare(tx, link.at, parse_envelope(entry.envelope))


def entries(tx: Tx, stream_id: str, after_seq: int, until_seq: int) -> Iterator[Entry]:
    """The envelopes of a log, a bounded number of bytes at a time."""
    seq = after_seq
    while seq < until_seq:
        found = [entry for entry in log.entries(tx, stream_id, seq, limits.APPLY_BYTES_MAX) if entry.seq <= until_seq]
        if not found or found[0].seq != seq + 1:
            raise StoreError(
                f"log of stream {stream_id} lacks seq {seq + 1}", hint="restore the last backup of this database"
            )
        yield from found
        seq = found[-1].seq


def void_groups(tx: Tx, stream_id: str) -> list[tuple[int, int]]:
    """The groups that a crash left open and a later envelope discarded: (first piece, the envelope that says so).

    Nothing of them has any effect, and nobody may be able to open them: where two machines were one node, the keys of
    one may have gone with its branch.
    """
    found = []
    for (end,) in tx.all(
        "SELECT seq FROM syncd_log WHERE stream_id = ? AND mark = ? ORDER BY seq", (stream_id, int(Mark.DISCARD))
    ):
        before = tx.value(
            "SELECT max(seq) FROM syncd_log WHERE stream_id = ? AND seq < ? AND mark <> ?",
            (stream_id, end, int(Mark.OPEN)),
        )
        found.append((int(before or 0) + 1, int(end)))
    return found


def _last_compared(tx: Tx, link: _Link) -> int | None:
    """The newest digests on the way: what they state is what the tables show when it is their turn."""
    marks = ", ".join(str(int(mark)) for mark in COMPARED)
    found = tx.value(
        f"SELECT max(seq) FROM syncd_log WHERE stream_id = ? AND seq > ? AND seq <= ? AND mark IN ({marks})",
        (link.at.stream_id, link.from_seq, link.seq),
    )
    return None if found is None or link.at.own else int(found)


def _hash(tx: Tx, at: Stream, seq: int) -> bytes:
    found = log.hash_at(tx, at.stream_id, seq)
    if found is None:
        raise StoreError(
            f"log of stream {at.stream_id} lacks seq {seq}", hint="restore the last backup of this database"
        )
    return found
