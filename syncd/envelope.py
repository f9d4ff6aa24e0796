"""The envelope: header, hash chain, signature (PROTOCOL.md §2–§3).

Enters: header fields and the bytes of parts, or bytes from outside. Leaves: an envelope's bytes, or an `Envelope`.
Must hold: no bit of an envelope can change unnoticed: the signature covers the header, the header the parts (through
their hashes) and the whole past of the stream (through the previous hash); one header has one encoding. Bytes from
outside raise `EnvelopeError` and nothing else; every size is compared with its bound before memory is taken for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Annotated, Final, Literal

from msgspec import Meta
from msgspec.msgpack import Decoder, Encoder

from syncd.errors import Altered, Foreign, Gap, NotCanonical, Replayed, SchemaNewer, TooLarge, Truncated
from syncd.limits import (
    ENVELOPE_BYTES_MAX,
    ENVELOPE_ROWS_MAX,
    HEADER_BYTES_MAX,
    PARTS_MAX,
    PLAIN_BYTES_MAX,
    TIME_MS_MAX,
)
from syncd.protocol.decoding import decoding

VERSION: Final = 1
SIGNATURE_BYTES: Final = 64
NO_HASH: Final = bytes(32)
BASELINE_KIND: Final = 4  # schema.spec.Kind.BASELINE; reading envelopes imports no schema

Sign = Callable[[bytes], bytes]


class Mark(IntEnum):
    """What an envelope does to the group it belongs to, or to its stream."""

    CLOSED = 0
    OPEN = 1
    DISCARD = 2
    CHECKPOINT = 3
    ENDS = 4  # the last of its stream: digests as in a checkpoint, of the content that is handed over
    ADOPTS = 5  # the first of a stream that takes over a unit: its genesis says from where, there are no parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """The end of a stream that another one follows, or that a baseline stands for."""

    stream_id: str
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """What a stream is, in the header of seq 1 only: its id is the hash of the first four, of a baseline of all five.

    `adopts`: a register's stream that took the unit over says from which; a baseline says what it is the content of.
    """

    kind: int
    unit: str | None
    keeper: str
    term: int
    adopts: Adopted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the header says of one part: for whom, under which key, how long, and the hash of its bytes."""

    audience: int
    epoch: int
    size: int
    plain_size: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    stream_id: str
    seq: int
    previous: bytes
    mark: int
    schema_revision: int
    tree_seq: int
    time_ms: int
    clock_offset_ms: int | None
    rows: int
    genesis: Genesis | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a stream is: `seq` envelopes, the last of which has `hash`. Before the first: 0 and zeros."""

    seq: int = 0
    hash: bytes = NO_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """`parts` holds each part's bytes in the header's order, None where absent; `hash` is the position's."""

    header: Header
    header_bytes: bytes
    hash: bytes
    signature: bytes
    parts: tuple[bytes | None, ...]

    @property
    def position(self) -> Position:
        return Position(seq=self.header.seq, hash=self.hash)

    def to_bytes(self) -> bytes:
        absent = sum(1 << index for index, data in enumerate(self.parts) if data is None)
        head = (absent << 24 | len(self.header_bytes)).to_bytes(4, "big")
        return b"".join((head, self.header_bytes, self.signature, *(data for data in self.parts if data is not None)))


def stream_id_of(kind: int, unit: str | None, keeper: str, term: int, adopts: Adopted | None = None) -> str:
    """The id of the stream that `keeper` writes about `unit` (None: about all) in `term`; `adopts` counts for baselines
    alone, so that who takes a unit over writes one stream, whatever it names as the end of the one before."""
    fields = _genesis_fields(Genesis(kind=kind, unit=unit, keeper=keeper, term=term, adopts=adopts))
    named = _PACKER.encode(fields if kind == BASELINE_KIND else fields[:4])
    return uuid_text(sha256(b"syncd stream v1" + named).digest()[:16])


def build_envelope(header: Header, parts: Sequence[bytes], sign: Sign) -> Envelope:
    """Sign a header whose `parts` describe exactly `parts`. `sign` is the keeper's Ed25519 signature of a message."""
    header_bytes = encode_header(header)
    digest = sha256(header_bytes).digest()
    envelope = Envelope(
        header=header,
        header_bytes=header_bytes,
        hash=digest,
        signature=sign(_SIGNED + digest),
        parts=tuple(parts),
    )
    total = 4 + len(header_bytes) + SIGNATURE_BYTES + sum(map(len, parts))
    if total > ENVELOPE_BYTES_MAX:
        raise TooLarge(f"{_place(header)} would take {total} bytes", "write the group in smaller pieces")
    _check_parts(envelope)
    return envelope


def parse_envelope(data: bytes) -> Envelope:
    """The envelope in `data`, well formed; call `verify_envelope` and `check_follows` before believing it."""
    if len(data) > ENVELOPE_BYTES_MAX:
        raise TooLarge(f"an envelope of {len(data)} bytes, the limit is {ENVELOPE_BYTES_MAX}", _HINT)
    head = int.from_bytes(data[:4], "big")
    absent, header_size = head >> 24, head & 0xFFFFFF
    if header_size > HEADER_BYTES_MAX:
        raise TooLarge(f"an envelope's header states {header_size} bytes, the limit is {HEADER_BYTES_MAX}", _HINT)
    end = 4 + header_size + SIGNATURE_BYTES
    if len(data) < max(end, 5):
        raise Truncated(f"an envelope ends after {len(data)} bytes, inside its header or signature", _HINT_CUT)
    header_bytes = bytes(data[4 : 4 + header_size])
    header = decode_header(header_bytes)
    return Envelope(
        header=header,
        header_bytes=header_bytes,
        hash=sha256(header_bytes).digest(),
        signature=bytes(data[4 + header_size : end]),
        parts=_cut_parts(data, end, header, absent),
    )


def verify_envelope(envelope: Envelope, public_key: bytes) -> None:
    """Raise `Altered` unless the key's owner signed this header and every part present is the one it names."""
    # Here, not above: the command line reads envelopes' positions without ever needing 25 ms of cryptography.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    with decoding(f"{_place(envelope.header)} does not carry its keeper's signature", _HINT):
        Ed25519PublicKey.from_public_bytes(public_key).verify(envelope.signature, _SIGNED + envelope.hash)
    _check_parts(envelope)


def check_follows(header: Header, head: Position) -> None:
    """Raise `Replayed`, `Gap` or `Altered` unless the envelope is the very next one after `head`."""
    if header.seq <= head.seq:
        raise Replayed(f"{_place(header)} is here already, the stream stands at {head.seq}", "nothing to do")
    if header.seq > head.seq + 1:
        raise Gap(f"{_place(header)} came, {head.seq + 1} is next", "the next exchange fetches what lies between")
    if header.previous != head.hash:
        raise Altered(f"{_place(header)} continues another past than the one kept here", _HINT_FORK)


def without_part(envelope: Envelope, audience: int) -> Envelope:
    """The same envelope, its chain and signature valid, without the bytes for one audience (erasure, compaction)."""
    kept = (None if part.audience == audience else data for part, data in _pairs(envelope))
    return Envelope(
        header=envelope.header,
        header_bytes=envelope.header_bytes,
        hash=envelope.hash,
        signature=envelope.signature,
        parts=tuple(kept),
    )


def uuid_bytes(text: str) -> bytes:
    """The 16 bytes of a canonical UUID text. Raises `NotCanonical`."""
    try:
        value = bytes.fromhex(text.replace("-", ""))
    except ValueError as error:
        raise NotCanonical("an id is not a UUID", "ids have 36 characters, lower case") from error
    if len(value) != 16 or uuid_text(value) != text:
        raise NotCanonical("an id is not a UUID in canonical form", "ids have 36 characters, lower case")
    return value


def uuid_text(value: bytes) -> str:
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


# --- header ----------------------------------------------------------------------------------------------------------

_SIGNED: Final = b"syncd envelope v1"
_HINT: Final = "nothing was taken over; the next exchange fetches it again, `syncd status` names a stream that stays so"
_HINT_CUT: Final = "nothing was taken over; the next exchange sends the rest"
_HINT_FORK: Final = "nothing was taken over; two machines may write one stream, `syncd status` names them"

_Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
_Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
_WireAdopted = tuple[_Id, _Natural, _Hash]  # 0: of the stream before it nothing was kept
_WireGenesis = tuple[Annotated[int, Meta(ge=1, le=4)], _Id | None, _Id, _Positive, _WireAdopted | None]
_WirePart = tuple[
    Annotated[int, Meta(ge=0, le=255)],
    Annotated[int, Meta(ge=0, le=2**32 - 1)],
    Annotated[int, Meta(ge=1, le=ENVELOPE_BYTES_MAX)],
    Annotated[int, Meta(ge=1, le=PLAIN_BYTES_MAX)],
    _Hash,
]
_WireHeader = tuple[
    Literal[1],
    _Id,
    _Positive,
    _Hash,
    Annotated[int, Meta(ge=0, le=5)],
    _Natural,
    _Natural,
    Annotated[int, Meta(ge=0, le=TIME_MS_MAX)],
    Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None,
    Annotated[int, Meta(ge=0, le=ENVELOPE_ROWS_MAX)],
    _WireGenesis | None,
    Annotated[list[_WirePart], Meta(max_length=PARTS_MAX)],
]
_PACKER: Final = Encoder()
_HEADER: Final = Decoder(_WireHeader)


def encode_header(header: Header) -> bytes:
    """The header's only encoding. Raises what `decode_header` would raise for it: nothing unreadable is ever signed."""
    fields = (
        VERSION,
        uuid_bytes(header.stream_id),
        header.seq,
        header.previous,
        header.mark,
        header.schema_revision,
        header.tree_seq,
        header.time_ms,
        header.clock_offset_ms,
        header.rows,
        header.genesis and _genesis_fields(header.genesis),
        [(part.audience, part.epoch, part.size, part.plain_size, part.sha256) for part in header.parts],
    )
    encoded = _PACKER.encode(fields)
    decode_header(encoded)
    return encoded


def written_ms(data: bytes) -> int:
    """When an envelope of this node's own log was written, by its first bytes alone."""
    return decode_header(data[4 : 4 + (int.from_bytes(data[:4], "big") & 0xFFFFFF)]).time_ms


def decode_header(data: bytes) -> Header:
    """Strict: exact types and bounds, no other encoding of the same fields, nothing after them."""
    # The version comes first, as one byte, in every version of the protocol.
    if len(data) > 1 and data[0] >> 4 == 0x9 and VERSION < data[1] < 0x80:
        raise SchemaNewer(f"an envelope of protocol version {data[1]}, this node speaks {VERSION}", _HINT_NEWER)
    with decoding("an envelope's header does not have the form of the protocol", _HINT):
        fields = _HEADER.decode(data)
    if _PACKER.encode(fields) != data:
        raise Altered("an envelope's header is not in its only encoding", _HINT)
    _, stream_id, seq, previous, mark, revision, tree_seq, time_ms, offset_ms, rows, genesis, parts = fields
    header = Header(
        stream_id=uuid_text(stream_id),
        seq=seq,
        previous=previous,
        mark=mark,
        schema_revision=revision,
        tree_seq=tree_seq,
        time_ms=time_ms,
        clock_offset_ms=offset_ms,
        rows=rows,
        genesis=genesis and _genesis(*genesis),
        parts=tuple(Part(audience=a, epoch=e, size=s, plain_size=p, sha256=h) for a, e, s, p, h in parts),
    )
    _check_header(header)
    return header


_HINT_NEWER: Final = "upgrade this node; the stream waits and then goes on by itself"


_Adopted = tuple[bytes, int, bytes]


def _genesis_fields(genesis: Genesis) -> tuple[int, bytes | None, bytes, int, _Adopted | None]:
    unit = None if genesis.unit is None else uuid_bytes(genesis.unit)
    return genesis.kind, unit, uuid_bytes(genesis.keeper), genesis.term, _adopted_fields(genesis.adopts)


def _adopted_fields(adopts: Adopted | None) -> _Adopted | None:
    return None if adopts is None else (uuid_bytes(adopts.stream_id), adopts.seq, adopts.hash)


def _genesis(kind: int, unit: bytes | None, keeper: bytes, term: int, adopts: _Adopted | None) -> Genesis:
    return Genesis(
        kind=kind, unit=None if unit is None else uuid_text(unit), keeper=uuid_text(keeper), term=term,
        adopts=adopts and Adopted(stream_id=uuid_text(adopts[0]), seq=adopts[1], hash=adopts[2]),
    )  # fmt: skip


def _check_header(header: Header) -> None:
    first, genesis = header.seq == 1, header.genesis
    if first != (header.previous == NO_HASH) or first != (genesis is not None):
        raise Altered(f"{_place(header)}: a stream begins at 1 with its genesis and zeros, and only there", _HINT)
    if genesis and _stream_of(genesis) != header.stream_id:
        raise Foreign(f"{_place(header)} begins a stream that its genesis does not name", _HINT)
    adopts = genesis is not None and genesis.adopts is not None
    if adopts != (header.mark == Mark.ADOPTS or (genesis is not None and genesis.kind == BASELINE_KIND)):
        raise Altered(f"{_place(header)}: who takes over, or is a baseline, names what of; nobody else does", _HINT)
    end = None if genesis is None else genesis.adopts
    if end is not None and ((end.seq == 0) != (end.hash == NO_HASH) or (end.seq == 0 and header.mark != Mark.ADOPTS)):
        raise Altered(f"{_place(header)}: position 0 has the hash of zeros, and no baseline stands for it", _HINT)
    audiences = [part.audience for part in header.parts]
    if audiences != sorted(set(audiences)):
        raise Altered(f"{_place(header)}: parts are not in the order of their audiences", _HINT)
    plain_bytes = sum(part.plain_size for part in header.parts)
    if plain_bytes > PLAIN_BYTES_MAX:
        raise TooLarge(f"{_place(header)}: bodies of {plain_bytes} bytes, the limit is {PLAIN_BYTES_MAX}", _HINT)
    if any((part.audience == 0) != (part.epoch == 0) for part in header.parts):
        raise Altered(f"{_place(header)}: the public part, and no other, has epoch 0", _HINT)


def _stream_of(genesis: Genesis) -> str:
    return stream_id_of(genesis.kind, genesis.unit, genesis.keeper, genesis.term, genesis.adopts)


def _place(header: Header) -> str:
    return f"envelope {header.seq} of stream {header.stream_id}"


# --- parts' bytes ----------------------------------------------------------------------------------------------------


def _cut_parts(data: bytes, start: int, header: Header, absent: int) -> tuple[bytes | None, ...]:
    if absent >> len(header.parts):
        raise Altered(f"{_place(header)} misses parts that its header does not name", _HINT)
    sizes = [0 if absent >> index & 1 else part.size for index, part in enumerate(header.parts)]
    total = start + sum(sizes)
    if len(data) < total:
        raise Truncated(f"{_place(header)} ends after {len(data)} of {total} bytes", _HINT_CUT)
    if len(data) > total:
        raise Altered(f"{_place(header)} has {len(data) - total} bytes too many", _HINT)
    found: list[bytes | None] = []
    for size in sizes:
        found.append(bytes(data[start : start + size]) if size else None)
        start += size
    return tuple(found)


def _check_parts(envelope: Envelope) -> None:
    for part, data in _pairs(envelope):
        if data is not None and (len(data) != part.size or sha256(data).digest() != part.sha256):
            raise Altered(f"{_place(envelope.header)}: the part for audience {part.audience} was altered", _HINT)


def _pairs(envelope: Envelope) -> list[tuple[Part, bytes | None]]:
    if len(envelope.parts) != len(envelope.header.parts):
        raise Altered(f"{_place(envelope.header)} carries other parts than its header names", _HINT)
    return list(zip(envelope.header.parts, envelope.parts, strict=True))
