"""Receipts: the custodian's signed word that it holds and shows a stream up to a position (design §4, I9).

Enters: positions the custodian has applied. Leaves: signed bytes that travel down unchanged.
Must hold: only the custodian's signature moves a `custodian_seq`, and only for a position this node's own log agrees
with.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from syncd.errors import Altered, ForkError
from syncd.log import Stream, hash_at
from syncd.store.base import Tx

if TYPE_CHECKING:
    from syncd.security.identity import NodeKeys

CONTEXT = b"syncd receipt v1"
SIGNATURE_BYTES = 64
APPLIED, BACKED_UP = 1, 2  # what the custodian vouches for; 2 comes with verified backups


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    stream: bytes
    seq: int
    hash: bytes
    custodian: bytes
    time_ms: int
    level: int


_DECODER = msgspec.msgpack.Decoder(_Body)
_ENCODER = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One receipt as received."""

    stream_id: str
    seq: int
    hash: bytes
    custodian: str
    signed: bytes


def sign(keys: NodeKeys, stream: Stream, time_ms: int) -> bytes:
    """A receipt for the applied position of `stream`."""
    stated = _Body(
        uuid.UUID(stream.stream_id).bytes,
        stream.applied_seq,
        stream.applied_hash,
        uuid.UUID(keys.node_id).bytes,
        time_ms,
        APPLIED,
    )
    body = _ENCODER.encode(stated)
    return keys.sign(CONTEXT + body) + body


def read(signed: bytes, custodian: str, signing_public: bytes) -> Receipt:
    """Check and decode a receipt. Raises Altered unless the custodian signed it."""
    from syncd.security.identity import verify_signature

    body = signed[SIGNATURE_BYTES:]
    if not verify_signature(signing_public, signed[:SIGNATURE_BYTES], CONTEXT + body):
        raise Altered(
            "a receipt does not carry the custodian's signature",
            hint="it was not recorded; the next exchange brings another",
        )
    try:
        fields = _DECODER.decode(body)
        stream_id, by = str(uuid.UUID(bytes=fields.stream)), str(uuid.UUID(bytes=fields.custodian))
    except (msgspec.MsgspecError, ValueError) as error:
        raise Altered(
            "a receipt does not have the form of the protocol", hint="upgrade the older of the two nodes"
        ) from error
    if by != custodian:
        raise Altered("a receipt names another custodian", hint="it was not recorded")
    return Receipt(stream_id=stream_id, seq=fields.seq, hash=fields.hash, custodian=by, signed=signed)


def is_news(tx: Tx, receipt: Receipt) -> bool:
    """Whether a receipt says more than is known here, about a past that our log shares."""
    known = tx.one("SELECT held_seq, custodian_seq FROM syncd_stream WHERE stream_id = ?", (receipt.stream_id,))
    if known is None or receipt.seq > known[0] or receipt.seq <= known[1]:
        return False
    return hash_at(tx, receipt.stream_id, receipt.seq) == receipt.hash


def store(tx: Tx, receipt: Receipt) -> bool:
    """Record a receipt newer than what is known; returns whether it was. Raises ForkError when our log disagrees."""
    known = tx.one("SELECT held_seq, custodian_seq FROM syncd_stream WHERE stream_id = ?", (receipt.stream_id,))
    if known is None or receipt.seq > known[0] or receipt.seq <= known[1]:
        return False  # ahead of us it is kept nowhere: the next exchange brings it again
    if hash_at(tx, receipt.stream_id, receipt.seq) != receipt.hash:
        raise ForkError(
            f"the custodian holds another envelope at position {receipt.seq} of stream {receipt.stream_id}",
            hint="two machines extended one stream (a cloned disk or a restored copy): see `syncd conflicts list`",
        )
    tx.run("UPDATE syncd_stream SET custodian_seq = ? WHERE stream_id = ?", (receipt.seq, receipt.stream_id))
    tx.run("DELETE FROM syncd_receipt WHERE stream_id = ?", (receipt.stream_id,))
    tx.run(
        "INSERT INTO syncd_receipt (stream_id, seq, hash, receipt) VALUES (?, ?, ?, ?)",
        (receipt.stream_id, receipt.seq, receipt.hash, receipt.signed),
    )
    return True
