"""Granting: children get the keys of streams that flow down to them.

Enters: the streams about units and the grants already made, as committed. Leaves: key grants, as local writes.
Must hold: only keys this node was itself granted are passed on, each to a child that lacks it, once; one
transaction per stream and child, so a crash leaves nothing but grants that the next call makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from schema.spec import Audience, Kind
from syncd import handover, keys, log
from syncd.log import Stream
from syncd.node.barriers import Barriers
from syncd.store.base import Store
from syncd.tree import NodeRecord, Tree

Epochs = dict[str, set[int]]  # of streams
FOR_KEEPER = (int(Audience.SCOPE), int(Audience.CUSTODIAN))  # who keeps a unit reads all of it
GRANT = "grant keys"  # the duty's name, per stream and reader
FOR_TIERS = (int(Audience.SCOPE),)


def grant_down(store: Store, tree: Tree, ring: keys.KeyRing, barriers: Barriers) -> int:
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
    return sum(
        barriers.run(
            GRANT, partial(_grant, store, ring, stream, child, epochs), 0, about=f"{stream.stream_id} {child.node_id}",
            stream_id=stream.stream_id, unit_id=stream.unit_id,
        )
        for stream, child, epochs in lacking
    )  # fmt: skip


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


def grant_followers(store: Store, tree: Tree, ring: keys.KeyRing, barriers: Barriers) -> int:
    """Grant who takes a unit over, and the tiers above it, the keys of what earlier keepers wrote; returns how many.

    The earlier keeper does so, and the custodian, who reads everything and whom every node hears.
    """
    owed = [(stream_id, reader, audiences) for stream_id, reader, audiences in _followers(tree)]
    return sum(
        barriers.run(
            GRANT, partial(_grant_follower, store, tree.me, ring, stream_id, reader, audiences), 0,
            about=f"{stream_id} {reader.node_id}", stream_id=stream_id,
        )
        for stream_id, reader, audiences in owed
    )  # fmt: skip


def _grant_follower(
    store: Store, me: str, ring: keys.KeyRing, stream_id: str, reader: keys.Reader, audiences: tuple[int, ...]
) -> int:
    with store.read() as tx:
        rows = tx.all("SELECT id, reader_id, audience, epoch FROM key_grant WHERE stream_id = ?", (stream_id,))
    mine = {(row[2], row[3]) for row in rows if row[1] == me}
    given = {(row[2], row[3]) for row in rows if row[1] == reader.node_id and row[0][28:] == me[28:]}
    lacking = sorted((audience, epoch) for audience, epoch in mine - given if audience in audiences)
    return _grant_each(store, ring, stream_id, reader, lacking) if lacking else 0


def _followers(tree: Tree) -> Iterator[tuple[str, keys.Reader, tuple[int, ...]]]:
    """What this node has to grant: streams of earlier terms, readers, audiences."""
    for chain in tree.terms.values():
        for place, term in enumerate(chain):
            if tree.me not in (term.node_id, tree.root_id):
                continue
            for later in chain[place + 1 :]:
                for node_id in tree.line(later.node_id):
                    if node_id in (tree.me, *tree.line(term.node_id)) and node_id != later.node_id:
                        continue  # has read it from the first day
                    if node_id in (tree.me, term.node_id):
                        continue
                    reader = keys.Reader(node_id=node_id, sealing_public=tree.nodes[node_id].sealing_public)
                    own = node_id == later.node_id
                    yield handover.stream_of(term), reader, FOR_KEEPER if own else FOR_TIERS


def _grant_each(
    store: Store, ring: keys.KeyRing, stream_id: str, reader: keys.Reader, lacking: list[tuple[int, int]]
) -> int:
    granted = 0
    with store.write("grant-follower") as tx:
        for audience, epoch in lacking:
            key = ring.key(tx, stream_id, audience, epoch)
            if key is not None:
                keys.grant(tx, stream_id, audience, epoch, key, reader)
                granted += 1
    return granted
