"""Receipts: the custodian's signed word about a stream up to a position: applied there, or in its last verified backup
(design §4, I9).

Enters: positions the custodian has applied, or has in a backup. Leaves: signed bytes that travel down unchanged.
Must hold: only the custodian's signature moves a `custodian_seq` or `backed_up_seq`, and only for a position this
node's own log agrees with.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from syncd.errors import Altered, ForkError
from syncd.limits import OWED_MAX, RECEIPTS_APART_MAX, TIME_MS_MAX
from syncd.log import Stream, hash_at
from syncd.protocol.decoding import decoding
from syncd.store.base import Tx

if TYPE_CHECKING:
    from syncd.security.identity import NodeKeys

CONTEXT = b"syncd receipt v1"
SIGNATURE_BYTES = 64
APPLIED, BACKED_UP = 1, 2  # what the custodian vouches for; the second lets logs be pruned
RECEIPTS_MAX = 20_000  # of one backup in one answer
HEARD_KEY = "backed_up_ms"
COLUMNS = {APPLIED: "custodian_seq", BACKED_UP: "backed_up_seq"}


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    stream: Annotated[bytes, Meta(min_length=16, max_length=16)]
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what both databases can hold
    hash: Annotated[bytes, Meta(min_length=32, max_length=32)]
    custodian: Annotated[bytes, Meta(min_length=16, max_length=16)]
    time_ms: Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
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
    time_ms: int
    level: int
    signed: bytes


def sign(keys: NodeKeys, stream: Stream, time_ms: int, level: int = APPLIED) -> Receipt:
    """A receipt for the applied position of `stream`."""
    stated = _Body(
        uuid.UUID(stream.stream_id).bytes,
        stream.applied_seq,
        stream.applied_hash,
        uuid.UUID(keys.node_id).bytes,
        time_ms,
        level,
    )
    body = _ENCODER.encode(stated)
    return Receipt(
        stream_id=stream.stream_id, seq=stream.applied_seq, hash=stream.applied_hash, custodian=keys.node_id,
        time_ms=time_ms, level=level, signed=keys.sign(CONTEXT + body) + body,
    )  # fmt: skip


def read(signed: bytes, custodian: str, signing_public: bytes) -> Receipt:
    """Check and decode a receipt. Raises Altered unless the custodian signed it."""
    from syncd.security.identity import verify_signature

    body = signed[SIGNATURE_BYTES:]
    if not verify_signature(signing_public, signed[:SIGNATURE_BYTES], CONTEXT + body):
        raise Altered(
            "a receipt does not carry the custodian's signature",
            hint="it was not recorded; the next exchange brings another",
        )
    with decoding("a receipt does not have the form of the protocol", "upgrade the older of the two nodes"):
        fields = _DECODER.decode(body)
        stream_id, by = str(uuid.UUID(bytes=fields.stream)), str(uuid.UUID(bytes=fields.custodian))
    if by != custodian:
        raise Altered("a receipt names another custodian", hint="it was not recorded")
    if fields.level not in COLUMNS:
        raise Altered(f"a receipt of level {fields.level}", hint="it was not recorded; upgrade syncd on this node")
    return Receipt(
        stream_id=stream_id, seq=fields.seq, hash=fields.hash, custodian=by, time_ms=fields.time_ms,
        level=fields.level, signed=signed,
    )  # fmt: skip


def is_news(tx: Tx, receipt: Receipt) -> bool:
    """Whether a receipt says more than is known here, about a past that our log shares."""
    return _reaches_further(tx, receipt) and hash_at(tx, receipt.stream_id, receipt.seq) == receipt.hash


def store(tx: Tx, receipt: Receipt) -> bool:
    """Record a receipt newer than what is known; returns whether it was. Raises ForkError when our log disagrees."""
    if not _reaches_further(tx, receipt):
        return False  # ahead of us it is kept nowhere: the next exchange brings it again
    if hash_at(tx, receipt.stream_id, receipt.seq) != receipt.hash:
        raise ForkError(
            f"the custodian holds another envelope at position {receipt.seq} of stream {receipt.stream_id}",
            hint="two machines extended one stream (a cloned disk or a restored copy): see `syncd conflicts list`",
        )
    column = COLUMNS[receipt.level]
    tx.run(f"UPDATE syncd_stream SET {column} = ? WHERE stream_id = ?", (receipt.seq, receipt.stream_id))
    tx.run("DELETE FROM syncd_receipt WHERE stream_id = ? AND level = ?", (receipt.stream_id, receipt.level))
    tx.run(
        "INSERT INTO syncd_receipt (stream_id, level, seq, hash, time_ms, receipt) VALUES (?, ?, ?, ?, ?, ?)",
        (receipt.stream_id, receipt.level, receipt.seq, receipt.hash, receipt.time_ms, receipt.signed),
    )
    return True


def newest(tx: Tx, fresh: Mapping[str, Receipt], stream_id: str, seq: int) -> list[bytes]:
    """The receipt of the custodian's applied position, if it reaches beyond `seq`. `fresh`: what is on its way into the
    database."""
    found = fresh.get(stream_id)
    if found is not None and found.seq > seq:
        return [found.signed]
    rows = tx.all(
        "SELECT receipt FROM syncd_receipt WHERE stream_id = ? AND level = ? AND seq > ?", (stream_id, APPLIED, seq)
    )
    return [bytes(row[0]) for row in rows]


def newest_of(tx: Tx, fresh: Mapping[str, Receipt], wanted: Mapping[str, int]) -> list[bytes]:
    """The receipts beyond the positions `wanted`, of streams that have any; at most as many as an answer holds."""
    if len(wanted) > RECEIPTS_APART_MAX:  # a long list is compared with what there is, whatever it names
        known: dict[str, int] = dict(tx.all("SELECT stream_id, seq FROM syncd_receipt WHERE level = ?", (APPLIED,)))
        known |= {stream_id: item.seq for stream_id, item in fresh.items()}
        wanted = {stream_id: seq for stream_id, seq in wanted.items() if known.get(stream_id, 0) > seq}
    found = (data for stream_id, seq in wanted.items() for data in newest(tx, fresh, stream_id, seq))
    return list(islice(found, OWED_MAX))


def of_backup_after(tx: Tx, time_ms: int) -> dict[str, bytes]:
    """Stream → receipt of what the custodian has backed up after `time_ms` of its clock. A backup's receipts are
    recorded together and bear one time, so a neighbour names with one number what it has heard of.
    """
    rows = tx.all(
        "SELECT stream_id, receipt FROM syncd_receipt WHERE level = ? AND time_ms > ? ORDER BY stream_id LIMIT ?",
        (BACKED_UP, time_ms, RECEIPTS_MAX),
    )
    return {row[0]: bytes(row[1]) for row in rows}


def heard_of_backup(tx: Tx) -> int:
    """The time of the newest backup that this node has heard of, by the custodian's clock; 0 for none."""
    return int(tx.value("SELECT value FROM syncd_meta WHERE key = ?", (HEARD_KEY,)) or 0)


def note_backup(tx: Tx, receipts: Iterable[Receipt]) -> None:
    """Remember the time of the newest backup among `receipts`, whether or not each of them could be recorded."""
    time_ms = max((item.time_ms for item in receipts if item.level == BACKED_UP), default=0)
    if time_ms > heard_of_backup(tx):
        tx.run(
            "INSERT INTO syncd_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (HEARD_KEY, str(time_ms)),
        )


def _reaches_further(tx: Tx, receipt: Receipt) -> bool:
    """Whether a receipt is about a position that is held here and lies beyond what is known; what lies below the floor
    is known to be beyond dispute."""
    column = COLUMNS[receipt.level]
    known = tx.one(f"SELECT held_seq, {column}, floor_seq FROM syncd_stream WHERE stream_id = ?", (receipt.stream_id,))
    return known is not None and max(known[1], known[2] - 1) < receipt.seq <= known[0]
