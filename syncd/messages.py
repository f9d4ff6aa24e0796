"""The messages of an exchange, as MessagePack arrays (PROTOCOL.md). Envelopes travel beside them as frames.

Must hold: every list has a bound, checked before it is used; ids are 16 raw bytes on the wire.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, structs

from syncd import limits
from syncd.errors import Altered
from syncd.protocol.decoding import decoding

PROTOCOL = 1

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
Hash = Annotated[bytes, Meta(min_length=16, max_length=32)]  # a pull names positions by the first 16 bytes
Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what both databases can hold
TimeMs = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX)]
Receipt = Annotated[bytes, Meta(max_length=512)]


FIRST_ID, LAST_ID = bytes(16), b"\xff" * 16  # no stream has the first


class Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The end of a stream's log at the sender of the message."""

    stream: Id
    seq: Natural
    hash: Hash

    @property
    def stream_id(self) -> str:
        return str(uuid.UUID(bytes=self.stream))


class Refusal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Why a stream's envelopes were not taken. code 'later': try again by itself; any other: a person must look."""

    stream: Id
    seq: Natural
    code: Annotated[str, Meta(max_length=20)]
    text: Annotated[str, Meta(max_length=500)]


Positions = Annotated[list[Position], Meta(max_length=limits.STREAMS_MAX)]


class Partial(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How many bytes of one unfinished envelope the receiver still has."""

    stream: Id
    seq: Natural
    bytes_held: Natural


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Opens a session: what the child holds of what goes up, and how it is doing. Of many streams in several parts,
    each about the streams whose ids lie behind `after`, up to `upto`.
    """

    protocol_min: int
    protocol_max: int
    schema_revision: Natural
    time_ms: TimeMs
    up: Positions
    waiting_rows: Natural
    open_cases: Natural
    after: Id = FIRST_ID
    upto: Id = LAST_ID

    @property
    def is_first(self) -> bool:
        return self.after == FIRST_ID

    def is_about(self, stream_id: str) -> bool:
        """Whether this part tells of a stream, were it only by leaving it out."""
        return self.after < raw_id(stream_id) <= self.upto


class HelloReply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the parent holds of the child's streams (seq 0: nothing), also of those the child has lost; the time there,
    and how much it takes at once.
    """

    protocol: int
    time_ms: TimeMs
    up: Positions
    partial: Partial | None
    credit_bytes: Natural


class Push(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Precedes the frames of a push."""

    skipped_bytes: Natural  # of the first frame: the parent already has them


class PushReply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The parent's positions after a push, durable when this is sent, and the custodian's receipts that it has."""

    positions: Positions
    refused: Annotated[list[Refusal], Meta(max_length=limits.STREAMS_MAX)]
    receipts: Annotated[list[Receipt], Meta(max_length=limits.STREAMS_MAX)]


class Owed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A stream whose newest receipt the child does not have: `seq` is how far its receipts reach."""

    stream: Id
    seq: Natural


class Sample(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A position of a log, by the first 16 bytes of its hash."""

    seq: Natural
    hash: Hash


class Want(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A stream of which two neighbours hold different pasts, or whose keeper has lost its end: samples of the sender's
    log, the newest first. The newest one the receiver agrees with is the common past.
    """

    stream: Id
    samples: Annotated[list[Sample], Meta(min_length=1, max_length=limits.SAMPLES_MAX)]

    @property
    def stream_id(self) -> str:
        return str(uuid.UUID(bytes=self.stream))


Wants = Annotated[list[Want], Meta(max_length=limits.WANTS_MAX)]


class Silent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node below the sender that whoever stands above it has not heard for so many seconds; 0: never."""

    node: Id
    for_s: Natural

    @property
    def node_id(self) -> str:
        return str(uuid.UUID(bytes=self.node))


class Pull(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the child holds of what flows down, and how far receipts have reached it. Waits up to `wait_ms` for news.

    `backed_up_ms`: the time of the custodian's newest backup that the child has heard of, by the custodian's clock.
    `want`: streams to be sent from the common past on, whoever wrote them. `heard_ms`: the time in the last answer from
    this parent; by it an answer to this very process is told from one that was long under way. `declined`: streams to
    leave out, of which the child has refused the next envelope a moment ago. `silent`: nodes below the child that have
    not been heard for long, for the parent's screen.
    """

    down: Positions
    owed: Annotated[list[Owed], Meta(max_length=limits.STREAMS_MAX)]
    partial: Partial | None
    wait_ms: Natural
    waiting_rows: Natural
    open_cases: Natural
    backed_up_ms: TimeMs = 0
    want: Wants = []
    heard_ms: TimeMs = 0
    declined: Annotated[list[Id], Meta(max_length=limits.STREAMS_MAX)] = []
    silent: Annotated[list[Silent], Meta(max_length=limits.SILENT_MAX)] = []


class PullReply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Precedes the frames of a pull's answer."""

    time_ms: TimeMs
    receipts: Annotated[list[Receipt], Meta(max_length=limits.STREAMS_MAX)]
    frames: Natural
    skipped_bytes: Natural  # of the first frame: the child already has them
    want: Wants = []  # streams from above of which the child holds another past, or more


Message = TypeVar("Message", bound=msgspec.Struct)
_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[msgspec.Struct]] = {}


def encode(message: msgspec.Struct) -> bytes:
    """The bytes of a message."""
    return _ENCODER.encode(message)


def decode(data: bytes, kind: type[Message]) -> Message:
    """The message in `data`. Raises Altered when it is not one of this kind, or larger than it may be."""
    if len(data) > limits.HANDSHAKE_BYTES_MAX:
        raise Altered(f"a message of {len(data)} bytes", hint=f"at most {limits.HANDSHAKE_BYTES_MAX} bytes are read")
    decoder = _DECODERS.setdefault(kind, msgspec.msgpack.Decoder(kind))
    with decoding(f"a message is not a {kind.__name__}", "upgrade the older of the two nodes"):
        return decoder.decode(data)  # type: ignore[return-value]  # the decoder was made for `kind`


def in_parts(hello: Hello) -> list[Hello]:
    """A hello of any number of streams, as messages that each hold some of them."""
    up = sorted(hello.up, key=lambda item: item.stream)
    starts = range(limits.HELLO_STREAMS, len(up), limits.HELLO_STREAMS)
    ends = [up[start - 1].stream for start in starts]
    return [
        structs.replace(hello, up=up[place * limits.HELLO_STREAMS :][: limits.HELLO_STREAMS], after=after, upto=upto)
        for place, (after, upto) in enumerate(pairwise([FIRST_ID, *ends, LAST_ID]))
    ]


def merged(replies: Sequence[HelloReply]) -> HelloReply:
    """The answers to all parts of a hello as one."""
    return structs.replace(replies[-1], up=[item for reply in replies for item in reply.up])


def raw_id(stream_id: str) -> bytes:
    """A stream's id as on the wire."""
    return uuid.UUID(stream_id).bytes


def position(stream_id: str, seq: int, position_hash: bytes) -> Position:
    """A position with the stream's id as raw bytes."""
    return Position(uuid.UUID(stream_id).bytes, seq, position_hash)


def by_stream(positions: Iterable[Position]) -> dict[str, Position]:
    """Positions by stream id text."""
    return {item.stream_id: item for item in positions}
