"""Comparing pasts: samples of a log, the newest position two logs share, what a neighbour has lost.

Enters: positions and samples of a neighbour, the logs here. Leaves: positions. Pure questions to one transaction.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from conflict.case import CaseKind
from schema.spec import Kind
from syncd import floor, limits, log, messages, quarantine
from syncd.log import Stream
from syncd.messages import Position, Sample, Want
from syncd.store.base import Tx
from syncd.tree import Tree

SHORT_HASH_BYTES = 16


def want(tx: Tx, stream_id: str, at: Stream | None) -> Want:
    """A question for a stream: where this log stands, and where it stood."""
    return Want(messages.raw_id(stream_id), _samples(tx, at))


def _samples(tx: Tx, at: Stream | None) -> list[Sample]:
    """Positions of a log, its end first, at growing distances; and where the newest baseline stands, as the neighbour's
    log may begin there."""
    if at is None:
        return [Sample(0, log.NO_HASH[:SHORT_HASH_BYTES])]
    steps = [at.held_seq, *(at.held_seq - (1 << step) for step in range(limits.SAMPLES_MAX - 4))]
    best = floor.newest_of(tx, [at.stream_id]).get(at.stream_id)
    if best is not None and best.at_seq < at.held_seq:
        steps.append(best.at_seq)
    places = sorted({*(seq for seq in steps if seq > at.floor_seq), at.floor_seq, 0}, reverse=True)
    found = [(seq, log.hash_at(tx, at.stream_id, seq)) for seq in places]
    return [Sample(seq, hash_[:SHORT_HASH_BYTES]) for seq, hash_ in found if hash_ is not None]


def is_past(tx: Tx, at: Stream | None, position: Position) -> bool:
    """Whether the neighbour stands where this log stands or once stood."""
    if at is None:
        return False
    if position.seq > at.held_seq:
        return at.ended and _has_late(tx, position)
    if position.seq < at.floor_seq:
        return True  # what was pruned here is in the custodian's backup: there is no other past
    found = log.hash_at(tx, at.stream_id, position.seq)
    return found is not None and found.startswith(position.hash)


def of_another_machine(tx: Tx, signed: Mapping[str, Position]) -> list[Position]:
    """What the custodian has signed of this node's own streams that their logs here have not come to, or have another
    envelope for: a second machine of this node wrote it, or this is an older copy."""
    own = log.streams(tx, "own = 1 AND ended = 0") if signed else []
    return [signed[at.stream_id] for at in own if at.stream_id in signed and not is_past(tx, at, signed[at.stream_id])]


def _has_late(tx: Tx, position: Position) -> bool:
    """Whether as much is kept apart here: it was written after the stream had ended. It may be another branch, of a
    keeper that was restored: nobody gives way to that, it goes up beside the other (`quarantine.lacking`)."""
    return bool(quarantine.hashes(tx, position.stream_id, position.seq))


def common_pasts(tx: Tx, tree: Tree, peer: str, wants: Sequence[Want]) -> list[tuple[Stream, Position]]:
    """The streams a child asks for, each with the newest of its positions that this log agrees with. It may ask for
    what flows down to it and for what was written at or below it."""
    found = []
    for each in wants:
        at = log.stream(tx, each.stream_id)
        if at is not None and (tree.goes_down(at, peer) or tree.is_within(at.keeper, peer)):
            found.append((at, common_past(tx, at, each)))
    return [*found, *_baselines_for(tx, found)]


def _baselines_for(tx: Tx, asked: Sequence[tuple[Stream, Position]]) -> list[tuple[Stream, Position]]:
    """Where the common past was forgotten here: the baselines that stand for it, unless they are asked for as well."""
    best = floor.newest_of(tx, {at.stream_id for at, _position in asked})
    wanted = {
        best[at.stream_id].stream_id for at, position in asked if position.seq < at.floor_seq and at.stream_id in best
    }
    missing = sorted(wanted - {at.stream_id for at, _position in asked})
    streams = [stream for key in missing if (stream := log.stream(tx, key)) is not None]
    return [(stream, Position(messages.raw_id(stream.stream_id), 0, log.NO_HASH)) for stream in streams]


def common_past(tx: Tx, at: Stream, asked: Want) -> Position:
    """The newest of the asker's samples that this log agrees with. One reading of the log for all samples: there may be
    many, of many streams."""
    seqs = [sample.seq for sample in asked.samples]
    here = f"stream_id = ? AND seq IN ({', '.join('?' * len(seqs))})"
    held: dict[int, list[bytes]] = {}
    # What is kept apart, then what the log begins behind, then what it holds: the last one counts.
    for query in (f"SELECT seq, hash FROM syncd_quarantine WHERE {here} ORDER BY hash",
                  "SELECT floor_seq, floor_hash FROM syncd_stream WHERE stream_id = ?",
                  f"SELECT seq, hash FROM syncd_log WHERE {here}"):  # fmt: skip
        found: dict[int, list[bytes]] = {}
        for seq, hash_ in tx.all(query, (at.stream_id, *seqs)[: query.count("?")]):
            found.setdefault(seq, []).append(bytes(hash_))
        held |= found
    held[0] = [log.NO_HASH]
    for sample in asked.samples:
        for hash_ in held.get(sample.seq, []):
            if hash_.startswith(sample.hash):
                return Position(asked.stream, sample.seq, hash_)
    return Position(asked.stream, 0, log.NO_HASH)


def lost_by(tree: Tree, child: str, named: Container[str], held: Iterable[Stream]) -> list[Stream]:
    """What was written at or below a child and is held here, and the child did not name: it has lost it."""
    return [
        stream
        for stream in held
        if stream.held_seq
        and stream.stream_id not in named
        and stream.kind != Kind.BASELINE  # older ones are pruned whole
        and tree.is_within(stream.keeper, child)
    ]


def settled_forks(tx: Tx, positions: Mapping[str, Position]) -> list[str]:
    """Streams with an open case of a fork, of which the neighbour now stands on this log's own past."""
    rows = tx.all(
        "SELECT DISTINCT stream_id FROM syncd_case WHERE kind = ? AND closed_at IS NULL AND stream_id IS NOT NULL",
        (CaseKind.FORK.value,),
    )
    return [key for (key,) in rows if key in positions and is_past(tx, log.stream(tx, key), positions[key])]
