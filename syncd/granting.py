"""Granting: children get the keys of streams that flow down to them.

Enters: the streams about units and the grants already made, as committed. Leaves: key grants, as local writes.
Must hold: only keys this node was itself granted are passed on, each to a child that lacks it, once; one
transaction per stream and child, so a crash leaves nothing but grants that the next call makes.
"""

from __future__ import annotations

from schema.spec import Audience, Kind
from syncd import keys, log
from syncd.log import Stream
from syncd.store.base import Store
from syncd.tree import NodeRecord, Tree

Epochs = dict[str, set[int]]  # of streams


def grant_down(store: Store, tree: Tree, ring: keys.KeyRing) -> int:
    """Grant children the keys of streams that flow down to them and that this node can read; returns how many."""
    children = tree.children()
    if not children:
        return 0
    with store.read() as tx:
        streams = log.streams(tx, "kind = ?", (int(Kind.OVERSIGHT),))
        grants = "SELECT id, stream_id, epoch, reader_id FROM key_grant WHERE audience = ?"
        rows = tx.all(grants, (int(Audience.SCOPE),))
    granted: dict[str, Epochs] = {tree.me: {}, **{child.node_id: {} for child in children}}
    for row_id, stream_id, epoch, reader in rows:
        # A child's grants count when they are this node's own: another's word must not keep the key from it.
        if reader in granted and (reader == tree.me or row_id[28:] == tree.me[28:]):
            granted[reader].setdefault(stream_id, set()).add(epoch)
    lacking = [
        (stream, child, sorted(epochs))
        for child in children
        for stream in streams
        if (epochs := _lacking(granted, stream.stream_id, tree.me, child.node_id))
        and tree.goes_down(stream, child.node_id)
    ]
    return sum(_grant(store, ring, stream, child, epochs) for stream, child, epochs in lacking)


def _lacking(granted: dict[str, Epochs], stream_id: str, me: str, child_id: str) -> set[int]:
    """The epochs of a stream that this node was granted and the child was not."""
    return granted[me].get(stream_id, set()) - granted[child_id].get(stream_id, set())


def _grant(store: Store, ring: keys.KeyRing, stream: Stream, child: NodeRecord, epochs: list[int]) -> int:
    reader = keys.Reader(node_id=child.node_id, sealing_public=child.sealing_public)
    granted = 0
    with store.write("grant") as tx:
        for epoch in epochs:
            key = ring.key(tx, stream.stream_id, int(Audience.SCOPE), epoch)
            if key is not None:
                keys.grant(tx, stream.stream_id, int(Audience.SCOPE), epoch, key, reader)
                granted += 1
    return granted
