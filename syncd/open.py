"""The stage that opens what is for this node: decrypt, decompress (PROTOCOL.md §3–§4).

Enters: a verified `Envelope` and the epoch keys held. Leaves: the bodies opened, and what stayed closed.
Must hold: a body is exactly what its origin sealed at this place of this stream, or an error; what is not for this node
stays closed and stops nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from syncd.compress import decompress
from syncd.envelope import Envelope, Header, Part
from syncd.errors import Altered
from syncd.partkey import NONCE_BYTES, PUBLIC, TAG_BYTES, PartPlace, part_key
from syncd.protocol.decoding import decoding

# (audience, epoch) → epoch key, of one stream.
EpochKeys = Mapping[tuple[int, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`bodies`: audience → plain body. `locked`: (audience, epoch) without a key here. `absent`: bytes not carried."""

    bodies: dict[int, bytes] = field(repr=False)
    locked: tuple[tuple[int, int], ...]
    absent: tuple[int, ...]


def open_parts(envelope: Envelope, keys: EpochKeys) -> Opened:
    """Open every part that is present and has a key. Raises `Altered` or `TooLarge`."""
    bodies: dict[int, bytes] = {}
    locked: list[tuple[int, int]] = []
    absent: list[int] = []
    for part, data in zip(envelope.header.parts, envelope.parts, strict=True):
        key = keys.get((part.audience, part.epoch))
        if data is None:
            absent.append(part.audience)
        elif part.audience == PUBLIC:
            bodies[part.audience] = _open_public(envelope.header, part, data)
        elif key is None:
            locked.append((part.audience, part.epoch))
        else:
            bodies[part.audience] = _open_sealed(envelope.header, part, data, key)
    return Opened(bodies=bodies, locked=tuple(locked), absent=tuple(absent))


def _open_public(header: Header, part: Part, data: bytes) -> bytes:
    # What no cipher vouches for is hashed again: it may have lain on a bad disk since the signature was checked.
    if sha256(data).digest() != part.sha256:
        raise Altered(f"envelope {header.seq} of stream {header.stream_id}: the public part was altered", _HINT)
    return decompress(data, part.plain_size)


def _open_sealed(header: Header, part: Part, data: bytes, epoch_key: bytes) -> bytes:
    # Here, not above: importing cryptography costs 25 ms that the command line need not pay.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    place = PartPlace(
        previous=header.previous,
        stream_id=header.stream_id,
        seq=header.seq,
        audience=part.audience,
        epoch=part.epoch,
    )
    closed = (
        f"envelope {header.seq} of stream {header.stream_id}: the part for audience {part.audience} does not open "
        f"with the key of epoch {part.epoch}"
    )
    if len(data) < NONCE_BYTES + TAG_BYTES:
        raise Altered(closed, _HINT)
    with decoding(closed, _HINT):
        cipher = AESGCM(part_key(epoch_key, place))
        packed = cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.info())
    return decompress(packed, part.plain_size)


_HINT = "nothing was applied; the stream stops here: ask IT"
