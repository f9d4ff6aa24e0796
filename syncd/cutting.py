"""Cutting: a stream that is held beyond the end of its term goes back to that end (design §1, forced terms).

Enters: terms that the custodian ended by force. Leaves: content at that end; what came after it kept apart.
Must hold: content, log and what is kept apart change in one transaction; the node whose own stream it is cuts nothing:
what it wrote late reaches its parent as late writes.
"""

from __future__ import annotations

from dataclasses import replace

from syncd import log, quarantine
from syncd.applying import Applier
from syncd.log import Stream
from syncd.rebuild import rebuild
from syncd.store.base import Store, Tx
from syncd.tree import Tree


def cut_ended(store: Store, applier: Applier, tree: Tree, now_ms: int) -> int:
    """Take every stream that is held beyond the end of its term back to there; returns how many were."""
    ends = {
        (term.unit_id, term.node_id, term.term): term.ended_seq
        for chain in tree.terms.values()
        for term in chain
        if term.ended_seq is not None
    }
    with store.read() as tx:
        streams = [
            (stream, end)
            for stream in log.streams(tx, "kind = 1 AND own = 0")
            if (end := ends.get((stream.unit_id or "", stream.keeper, stream.term))) is not None
            and (stream.held_seq > end or (stream.held_seq == end and not stream.ended))
        ]
    for stream, end in streams:
        with store.apply("cut-term") as tx:
            _cut(tx, applier, stream, end, now_ms)
    return len(streams)


def _cut(tx: Tx, applier: Applier, stream: Stream, end: int, now_ms: int) -> None:
    tx.lock(f"receive {stream.stream_id}")
    if stream.applied_seq > end:
        rebuild(tx, applier, stream, {stream.stream_id: end})
    position_hash = log.hash_at(tx, stream.stream_id, end) or log.NO_HASH
    late = tx.all(
        "SELECT seq, hash, envelope FROM syncd_log WHERE stream_id = ? AND seq > ? ORDER BY seq",
        (stream.stream_id, end),
    )
    tx.run("DELETE FROM syncd_log WHERE stream_id = ? AND seq > ?", (stream.stream_id, end))
    tx.run(
        "UPDATE syncd_stream SET held_seq = ?, held_hash = ?, open_from = 0, ended = 1 WHERE stream_id = ?",
        (end, position_hash, stream.stream_id),
    )
    cut = replace(stream, held_seq=end, held_hash=position_hash, ended=True)
    for seq, late_hash, envelope in late:
        quarantine.store(tx, cut, seq, bytes(late_hash), bytes(envelope), now_ms)
