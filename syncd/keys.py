"""Epoch keys of streams and the grants that carry them to readers (design §3, I5).

Enters: `key_grant` rows, each sealed to one reader's X25519 key. Leaves: epoch keys, in memory only.
Must hold: no epoch key is stored open; no own log depends on a grant; the origin and the recovery key are
readers of everything the origin writes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.spec import Audience
from syncd.errors import GrantUnreadable
from syncd.store.base import Tx
from syncd.tree import ancestors_at_joining

if TYPE_CHECKING:
    from syncd.security.identity import NodeKeys

EPOCH_KEY_BYTES = 32
RECOVERY_READER = "00000000-0000-7000-8000-000000000000"  # the province's offline key, no node


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A node, or the recovery key, to which keys are sealed."""

    node_id: str
    sealing_public: bytes


class KeyRing:
    """The epoch keys this node can read, opened on first use."""

    def __init__(self, keys: NodeKeys) -> None:
        self._keys = keys
        self._open: dict[tuple[str, int, int], bytes] = {}
        self._granted: set[tuple[str, int, int]] = set()  # a grant of which was found good

    def key(self, tx: Tx, stream_id: str, audience: int, epoch: int) -> bytes | None:
        """The epoch key, or None while no grant to this node has arrived."""
        place = (stream_id, audience, epoch)
        if place not in self._open:
            found = self._look_up(tx, *place)
            if found is None:
                return None
            self._open[place] = found
        return self._open[place]

    def forget(self) -> None:
        """Read the grants anew: some were taken back with the branch that held them."""
        self._open.clear()
        self._granted.clear()

    def newest_epoch(self, tx: Tx, stream_id: str, audience: int) -> int | None:
        """The newest epoch of a stream's audience that this node can read: of those granted, one whose key opens."""
        granters = self._granters(tx, stream_id)
        rows = tx.all(
            "SELECT id, epoch FROM key_grant WHERE stream_id = ? AND audience = ? AND reader_id = ?",
            (stream_id, audience, self._keys.node_id),
        )
        granted = sorted({int(epoch) for row_id, epoch in rows if row_id[28:] in granters}, reverse=True)
        return next((epoch for epoch in granted if self._is_granted(tx, (stream_id, audience, epoch))), None)

    def _is_granted(self, tx: Tx, place: tuple[str, int, int]) -> bool:
        if place not in self._granted and self._from_grants(tx, *place) is not None:
            self._granted.add(place)
        return place in self._granted

    def _look_up(self, tx: Tx, stream_id: str, audience: int, epoch: int) -> bytes | None:
        found = self._from_grants(tx, stream_id, audience, epoch)
        # Its own log a node reads whatever became of its grants: they may have gone with a branch of its control
        # stream, and neither branch could be left for want of the other.
        if found is None and self._is_own(tx, stream_id):
            return self._keys.epoch_key(stream_id, audience, epoch)
        return found

    def _from_grants(self, tx: Tx, stream_id: str, audience: int, epoch: int) -> bytes | None:
        from syncd.security.hpke import open_key

        rows = tx.all(
            "SELECT id, sealed_key FROM key_grant WHERE stream_id = ? AND audience = ? AND epoch = ? AND reader_id = ?",
            (stream_id, audience, epoch, self._keys.node_id),
        )
        granters = self._granters(tx, stream_id)
        rows = [row for row in rows if row[0][28:] in granters]
        for _id, sealed in sorted(rows, key=lambda row: granters.index(row[0][28:])):
            try:
                key = open_key(
                    bytes(sealed), self._keys.exchange, grant_info(stream_id, audience, epoch, self._keys.node_id)
                )
            except GrantUnreadable:
                continue  # a faulty granter must not hide another's good grant
            if not self._is_own(tx, stream_id) or key == self._keys.epoch_key(stream_id, audience, epoch):
                return key  # of an own stream only what readers were granted: any program here can seal to this node
        return None

    def _is_own(self, tx: Tx, stream_id: str) -> bool:
        keeper = tx.value("SELECT keeper FROM syncd_stream WHERE stream_id = ?", (stream_id,))
        return bool(keeper == self._keys.node_id)

    def _granters(self, tx: Tx, stream_id: str) -> list[str]:
        """Tags of the nodes whose grants count, the keeper's first: of an own stream it is this node alone, or a
        neighbour could choose the key this node seals with; of others the keeper and the nodes above this one, or any
        child could have a stream opened with a wrong key."""
        keeper = tx.value("SELECT keeper FROM syncd_stream WHERE stream_id = ?", (stream_id,))
        if keeper is None or keeper == self._keys.node_id:
            return [self._keys.node_id[28:]]
        return [keeper[28:], *(record.tag for record in ancestors_at_joining(tx))]


def new_epoch(
    tx: Tx,
    stream_id: str,
    audiences: Iterable[Audience],
    readers_of: Callable[[Audience], list[Reader]],
    key_of: Callable[[str, int, int], bytes],
) -> None:
    """Grant the first epoch's key per audience to its readers, as rows of this node's control stream. `key_of`: makes
    the key of a stream, an audience and an epoch (`NodeKeys.epoch_key`).
    """
    for audience in audiences:
        key = key_of(stream_id, int(audience), 1)
        for reader in readers_of(audience):
            grant(tx, stream_id, int(audience), 1, key, reader)


def grant(tx: Tx, stream_id: str, audience: int, epoch: int, key: bytes, reader: Reader) -> None:
    """Write one grant; the row's id is minted by the database."""
    from syncd.security.hpke import seal_key

    sealed = seal_key(key, reader.sealing_public, grant_info(stream_id, audience, epoch, reader.node_id))
    tx.run(
        "INSERT INTO key_grant (stream_id, audience, epoch, reader_id, sealed_key) VALUES (?, ?, ?, ?, ?)",
        (stream_id, audience, epoch, reader.node_id, sealed),
    )


def grant_info(stream_id: str, audience: int, epoch: int, reader_id: str) -> bytes:
    """What a sealed key is bound to, so that a grant cannot be passed off as another's (PROTOCOL.md)."""
    return (
        b"syncd grant v1" + uuid.UUID(stream_id).bytes + audience.to_bytes(1, "big") + epoch.to_bytes(4, "big")
        + uuid.UUID(reader_id).bytes
    )  # fmt: skip
