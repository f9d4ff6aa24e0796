"""Sending: which envelopes a neighbour lacks, in an order that lets it use them at once.

Enters: the neighbour's positions. Leaves: the same bytes that lie in the log, up to a byte credit.
Must hold: a neighbour's position counts only if our log has the same hash there; streams of keys and nodes go first;
who lacks what was forgotten here is sent the baseline that stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schema.spec import Kind
from syncd import floor, log
from syncd.log import Entry, Stream
from syncd.messages import Position
from syncd.store.base import Tx


@dataclass(slots=True, kw_only=True)
class Batch:
    """Envelopes for one request, and the position each stream reaches with them.

    `forked`: streams the neighbour holds differently.
    """

    entries: list[tuple[str, Entry]] = field(default_factory=list)
    reached: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    forked: list[str] = field(default_factory=list)
    more: bool = False

    @property
    def size_bytes(self) -> int:
        return sum(len(entry.envelope) for _stream_id, entry in self.entries)


def lacking(tx: Tx, streams: Iterable[Stream], theirs: Mapping[str, Position], bytes_max: int) -> Batch:
    """What of `streams` the neighbour lacks, at least one envelope and then up to `bytes_max`."""
    batch = Batch()
    room = bytes_max
    streams = list(streams)
    outdated = floor.superseded(tx, (stream.stream_id for stream in streams if stream.kind == Kind.BASELINE))
    for stream in streams:
        if stream.stream_id in outdated:
            continue  # a newer baseline says more
        position = theirs.get(stream.stream_id)
        seq = position.seq if position else 0
        if seq >= stream.held_seq and not _differs(stream, position):
            continue
        if stream.ended and seq > stream.held_seq:
            continue  # it keeps apart what was written after the end
        if seq < stream.floor_seq:
            continue  # its baseline, a stream among these, brings the neighbour to where this log begins
        if _differs(stream, position) or (position and not _is_past(tx, stream, position)):
            batch.forked.append(stream.stream_id)
            continue
        if room <= 0:
            batch.more = True
            break
        room -= _add(tx, batch, stream, seq, room)
    return batch


def _differs(stream: Stream, position: Position | None) -> bool:
    """The neighbour stands where we stand, or beyond, and it is not the same past."""
    if position is None or position.seq < stream.held_seq:
        return False
    return position.seq > stream.held_seq or not stream.held_hash.startswith(position.hash)


def _is_past(tx: Tx, stream: Stream, position: Position) -> bool:
    """Whether the neighbour stands where this log once stood."""
    found = log.hash_at(tx, stream.stream_id, position.seq)
    return found is not None and found.startswith(position.hash)


def _add(tx: Tx, batch: Batch, stream: Stream, seq: int, room: int) -> int:
    found = log.entries(tx, stream.stream_id, seq, room)
    batch.entries += [(stream.stream_id, entry) for entry in found]
    batch.reached[stream.stream_id] = (found[-1].seq, found[-1].hash)
    batch.more = batch.more or found[-1].seq < stream.held_seq
    return sum(len(entry.envelope) for entry in found)
