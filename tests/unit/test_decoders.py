"""Whatever bytes come from outside, a decoder gives what they say or raises an error of ours: nothing else."""

from __future__ import annotations

import ssl
import struct
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.tables import registry
from syncd import messages, receipt
from syncd.backup_file import Head
from syncd.columns import CODECS
from syncd.compress import compress, decompress
from syncd.envelope import (
    Envelope,
    Genesis,
    Header,
    Part,
    build_envelope,
    parse_envelope,
    stream_id_of,
    verify_envelope,
)
from syncd.errors import Altered, SyncdError
from syncd.framing import FrameReader, frame
from syncd.net import http
from syncd.open import open_parts
from syncd.protocol.decoding import decoding, json_object
from syncd.security import authority, enrol, hpke
from syncd.security.identity import NodeKeys, verify_signature
from syncd.security.token import Token, decode_token, encode_token, require_ca
from syncd.wire import (
    Block,
    CheckpointLine,
    decode_body,
    decode_checkpoint,
    decode_touched,
    encode_body,
    encode_checkpoint,
)

SCHEMA = {table.number: {c.number: str(c.type) for c in table.columns} for table in registry()}
KEYS = NodeKeys.generate(lambda size: bytes(range(size)))
STREAM = stream_id_of(1, KEYS.node_id, KEYS.node_id, 1)
NOW_S = 1_790_000_000
EXAMPLES = 60  # of each kind for each decoder: the whole file takes a few seconds


@dataclass(frozen=True)
class Case:
    """A public decoder and valid bytes for it."""

    name: str
    decode: Callable[[bytes], Any]
    valid: bytes


def _envelope() -> Envelope:
    plain = encode_body([Block(table=1, op=1, columns=(4, 8), ids=[KEYS.node_id], values=[["Xã"], [1]])], SCHEMA)
    packed = compress(plain)
    sealed = hpke.seal_key(packed, KEYS.x25519_public, b"")
    parts = tuple(
        Part(audience=place, epoch=place, size=len(data), plain_size=len(plain), sha256=sha256(data).digest())
        for place, data in enumerate((packed, sealed))
    )
    header = Header(
        stream_id=STREAM, seq=1, previous=bytes(32), mark=0, schema_revision=1, tree_seq=0, time_ms=1,
        clock_offset_ms=None, rows=1, parts=parts,
        genesis=Genesis(kind=1, unit=KEYS.node_id, keeper=KEYS.node_id, term=1),
    )  # fmt: skip
    return build_envelope(header, (packed, sealed), KEYS.sign)


def _opened(data: bytes) -> None:
    envelope = parse_envelope(data)
    verify_envelope(envelope, KEYS.ed25519_public)
    open_parts(envelope, {(1, 1): bytes(32)})


def _framed(data: bytes) -> None:
    for whole in FrameReader().feed(data):
        parse_envelope(whole)


def _message_of_body(data: bytes) -> None:
    reader = http.MessageReader()
    reader.feed(data)
    messages.decode(reader.require(), messages.PullReply)


def _checked_request(data: bytes) -> None:
    request = enrol.decode_request(data)
    enrol.check_request(request)
    authority.issue(ISSUER, request.csr, request.node_id, NOW_S)


def _token(data: bytes) -> None:
    decode_token(data.decode("utf-8", "replace"))
    decode_token("SYNCD1." + urlsafe_b64encode(data + sha256(data).digest()[:4]).decode().rstrip("="))


def _receipt(data: bytes) -> None:
    receipt.read(data, KEYS.node_id, KEYS.ed25519_public)
    receipt.read(KEYS.sign(receipt.CONTEXT + data) + data, KEYS.node_id, KEYS.ed25519_public)


def _certificates(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    require_ca(text, bytes(32))
    authority.parse_chain(text)


ISSUER = authority.create_root(KEYS.node_id, NOW_S)
TLS_KEYS = enrol.TlsKeys(node=authority.generate_tls_key(), issuer=authority.generate_tls_key())
TOKEN = Token(
    parent_urls=("https://h.example:8443",), parent_id=KEYS.node_id, ca_fingerprint=bytes(32), secret=bytes(16),
    expires_s=1, unit_code="42501", unit_name="Xã",
)  # fmt: skip
REPLY = messages.HelloReply(1, 2, [messages.position(STREAM, 3, bytes(32))], None, 4)
RECEIPT_BODY = msgspec.msgpack.encode((bytes(16), 1, bytes(32), bytes(16), 5, 1))
DER = ssl.PEM_cert_to_DER_cert(ISSUER.certificate_pem)
LINES = [CheckpointLine(at_seq=1, table=1, audience=1, row_count=2, sha256=bytes(32))]
MESSAGES = {
    messages.Hello: messages.Hello(1, 1, 1, 2, REPLY.up, 0, 0),
    messages.HelloReply: REPLY,
    messages.Push: messages.Push(0),
    messages.PushReply: messages.PushReply(REPLY.up, [messages.Refusal(bytes(16), 1, "later", "x")], [bytes(70)]),
    messages.Pull: messages.Pull(REPLY.up, [messages.Owed(bytes(16), 1)], None, 0, 0, 0),
    messages.PullReply: messages.PullReply(
        1, [], 0, 0, [messages.Want(bytes(16), [messages.Sample(1, bytes(16))])]
    ),
}  # fmt: skip
BODY = encode_body([Block(table=1, op=1, columns=(4, 8), ids=[KEYS.node_id], values=[["Xã"], [1]])], SCHEMA)
CASES = [
    *(
        Case(kind.__name__, lambda data, kind=kind: messages.decode(data, kind), messages.encode(value))  # type: ignore[misc]
        for kind, value in MESSAGES.items()
    ),
    Case("envelope", _opened, _envelope().to_bytes()),
    Case("frames", _framed, frame(_envelope().to_bytes())),
    Case("message and frames", _message_of_body, http.prefixed(messages.encode(MESSAGES[messages.PullReply]))),
    Case("body", lambda data: decode_body(data, SCHEMA), BODY),
    Case("touched", decode_touched, BODY),
    Case("checkpoint", decode_checkpoint, encode_checkpoint(LINES)),
    Case("zstd", lambda data: decompress(data, 1000), compress(bytes(1000))),
    Case("error", lambda data: http.decode_error(403, data, "there"), http.encode_error(Altered("what", "hint"))),
    Case("join request", _checked_request, enrol.encode_request(enrol.build_request(TOKEN, KEYS, TLS_KEYS, "x"))),
    Case("join reply", enrol.decode_reply, msgspec.msgpack.encode((b"",))),
    Case("token", _token, encode_token(TOKEN).encode()),
    Case("receipt", _receipt, RECEIPT_BODY),
    Case("certificates", _certificates, ISSUER.certificate_pem.encode()),
    Case("peer's certificate", authority.node_id_of, DER),
    Case("signing request", lambda data: authority.issue(ISSUER, data, KEYS.node_id, NOW_S), authority.make_request(
        TLS_KEYS.node, KEYS.node_id)),
    Case("sealed key", lambda data: hpke.open_key(data, KEYS.exchange, b""), hpke.seal_key(
        bytes(32), KEYS.x25519_public, b"")),
    Case("public key", lambda data: hpke.seal_key(bytes(32), data, b""), KEYS.x25519_public),
    Case("signature", lambda data: verify_signature(data[:32], data[32:96], b""), bytes(96)),
]  # fmt: skip
BY_NAME = {case.name: case for case in CASES}


class PanicException(BaseException):
    """What cannot be imported."""


def _tried(case: Case, data: bytes) -> None:
    try:
        case.decode(data)
    except SyncdError:
        return


def _mutated(valid: bytes, changes: list[tuple[int, bytes]], cut: int | None) -> bytes:
    data = bytearray(valid)
    for place, new in changes:
        at = place % (len(data) + 1)
        data[at : at + len(new)] = new
    return bytes(data if cut is None else data[: cut % (len(data) + 1)])


# Bytes that mean something to a decoder: MessagePack's types with and without bounds, bad UTF-8, NUL, huge numbers.
TELLING = st.sampled_from([
    b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\xc0", b"\x80", b"\x90", b"\xdd\xff\xff\xff\xff", b"\xdf",
    b"\xcf" + b"\xff" * 8, b"\xd3" + b"\x80" + bytes(7), b"\xcb\x7f\xf0" + bytes(6), b"\xcb\x7f\xf8" + bytes(6),
    b"\x91" * 2000, b"\xd6\xff" + bytes(4), b"\xc6\xff\xff\xff\xff", b"\xa2\xff\xfe", "٣".encode(), b"\xc1",
])  # fmt: skip
CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.one_of(TELLING, st.binary(min_size=1, max_size=4))), max_size=4)


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), st.lists(TELLING, max_size=8).map(b"".join)))
def test_any_bytes_raise_our_errors_alone(name: str, data: bytes) -> None:
    _tried(BY_NAME[name], data)


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=EXAMPLES, deadline=None)
@given(changes=CHANGES, cut=st.none() | st.integers(0, 2**16))
def test_valid_bytes_that_were_altered_raise_our_errors_alone(
    name: str, changes: list[tuple[int, bytes]], cut: int | None
) -> None:
    _tried(BY_NAME[name], _mutated(BY_NAME[name].valid, changes, cut))


@pytest.mark.parametrize("kind", sorted(CODECS))
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    nulls=st.sampled_from([None, True, False, b"", b"\x80", b"\xff"]),
    data=st.none() | st.binary(max_size=40) | st.lists(st.binary(max_size=20), min_size=1, max_size=2),
    count=st.integers(1, 70),
)
def test_a_column_of_any_form_raises_our_errors_alone(kind: str, nulls: Any, data: Any, count: int) -> None:
    """A body whose frame is right and whose columns are not: what a hostile keeper signs."""
    body = msgspec.msgpack.encode([(1, 1, [2], count, bytes(16 * count), [(nulls, data)])])
    try:
        decode_body(body, {1: {2: kind}})
    except SyncdError:
        return


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("x"), TypeError("x"), KeyError("x"), IndexError("x"), OverflowError("x"), ZeroDivisionError("x"),
        RecursionError("x"), StopIteration(), EOFError("x"), struct.error("x"), AssertionError("x"), OSError("x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), msgspec.DecodeError("x"), PanicException(),
    ],
    ids=lambda fault: type(fault).__name__,
)  # fmt: skip
def test_whatever_a_library_raises_becomes_the_error_named(fault: BaseException) -> None:
    with pytest.raises(Altered) as found, decoding("what", "hint"):
        raise fault
    assert found.value.__cause__ is fault


@pytest.mark.parametrize("fault", [MemoryError(), KeyboardInterrupt(), Altered("ours", "")])
def test_what_is_no_fault_of_the_bytes_passes_as_it_is(fault: BaseException) -> None:
    with pytest.raises(type(fault)) as found, decoding("what", "hint", SyncdError):
        raise fault
    assert found.value is fault


@pytest.mark.parametrize("text", [None, "", "[]", "1", "null", "{", "[" * 100_000, '{"a":' * 5_000, "1" * 5_000, "NaN"])
def test_a_text_that_is_no_json_object_is_read_as_an_empty_one(text: str | None) -> None:
    assert json_object(text) == {}


def test_a_head_of_a_backup_is_read_strictly() -> None:
    with pytest.raises(Altered), decoding("head", ""):
        msgspec.msgpack.decode(b"\x81\xa6format\xa2\xff\xfe", type=Head)
