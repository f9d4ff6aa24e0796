"""Header, chain, signature and frames: nothing changes unnoticed, nothing from outside raises but `EnvelopeError`."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.envelope import (
    NO_HASH,
    Adopted,
    Envelope,
    Genesis,
    Header,
    Mark,
    Part,
    Position,
    build_envelope,
    check_follows,
    decode_header,
    encode_header,
    parse_envelope,
    stream_id_of,
    verify_envelope,
    without_part,
)
from syncd.errors import (
    Altered,
    EnvelopeError,
    Foreign,
    Gap,
    NotCanonical,
    Replayed,
    SchemaNewer,
    TooLarge,
    Truncated,
)
from syncd.framing import FrameReader, frame
from syncd.limits import ENVELOPE_BYTES_MAX, HEADER_BYTES_MAX, TIME_MS_MAX

VECTORS = Path(__file__).parents[1] / "vectors" / "envelope.json"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw()
UNIT = "0198f5a0-0000-7000-8000-0000aabbccdd"
KEEPER = "11111111-2222-8333-8444-5555aabbccdd"
STREAM = stream_id_of(1, UNIT, KEEPER, 1)
GENESIS = Genesis(kind=1, unit=UNIT, keeper=KEEPER, term=1)


def header(**changed: Any) -> Header:
    """The 120th envelope of a commune's stream."""
    made = Header(
        stream_id=STREAM,
        seq=120,
        previous=b"\x01" * 32,
        mark=Mark.CLOSED,
        schema_revision=1,
        tree_seq=12,
        time_ms=1_790_000_000_000,
        clock_offset_ms=-35,
        rows=3,
    )
    return replace(made, **changed)


def envelope(*datas: bytes, **changed: Any) -> Envelope:
    """One with a part per given bytes, the first of them public."""
    parts = tuple(
        Part(audience=index, epoch=min(index, 1), size=len(data), plain_size=10, sha256=sha256(data).digest())
        for index, data in enumerate(datas)
    )
    return build_envelope(header(parts=parts, **changed), datas, KEY.sign)


def fields(**changed: Any) -> list[Any]:
    """A header as MessagePack sees it, for writing wrong ones by hand."""
    names = ("version", "stream", "seq", "previous", "mark", "revision", "tree", "time", "offset", "rows", "genesis")
    values = dict(zip((*names, "parts"), msgspec.msgpack.decode(encode_header(header())), strict=True))
    return list((values | changed).values())


def accept(data: bytes) -> Envelope:
    """What a receiver does that stands just before the envelope."""
    found = parse_envelope(data)
    verify_envelope(found, PUBLIC_KEY)
    check_follows(found.header, Position(seq=119, hash=b"\x01" * 32))
    return found


def test_an_envelope_comes_back_as_it_was_sent() -> None:
    sent = envelope(b"public", b"sealed for scope", b"sealed for custodian")
    assert accept(sent.to_bytes()) == sent
    assert accept(sent.to_bytes()).to_bytes() == sent.to_bytes()
    assert sent.position == Position(seq=120, hash=sha256(sent.header_bytes).digest())


def test_an_envelope_without_parts_comes_back_as_it_was_sent() -> None:
    sent = envelope(mark=Mark.DISCARD, rows=0)
    assert accept(sent.to_bytes()) == sent


@pytest.mark.parametrize("mark", [mark for mark in Mark if mark is not Mark.ADOPTS])
def test_every_mark_is_parsed(mark: Mark) -> None:
    assert parse_envelope(envelope(b"x", mark=mark).to_bytes()).header.mark == mark


ADOPTED = Adopted(stream_id=STREAM, seq=7, hash=b"\x02" * 32)


def test_who_takes_a_unit_over_says_from_where() -> None:
    genesis = replace(GENESIS, term=2, adopts=ADOPTED)
    begins = {"seq": 1, "previous": NO_HASH, "stream_id": stream_id_of(1, UNIT, KEEPER, 2)}
    sent = envelope(mark=Mark.ADOPTS, rows=0, genesis=genesis, **begins)
    assert parse_envelope(sent.to_bytes()).header.genesis == genesis
    for wrong in ({"mark": Mark.ADOPTS, "genesis": replace(genesis, adopts=None)}, {"genesis": genesis}):
        with pytest.raises(Altered, match="names what of"):
            envelope(**{"mark": Mark.CLOSED, **begins, **wrong})
    with pytest.raises(Altered):
        envelope(mark=Mark.ADOPTS)


def test_a_baseline_s_id_says_what_it_is_the_content_of() -> None:
    ids = {stream_id_of(4, UNIT, KEEPER, 1, replace(ADOPTED, seq=seq)) for seq in (7, 8)}
    assert len(ids) == 2
    assert stream_id_of(1, UNIT, KEEPER, 2, ADOPTED) == stream_id_of(1, UNIT, KEEPER, 2)


def test_every_flipped_bit_is_noticed() -> None:
    data = envelope(b"public", b"sealed for scope").to_bytes()
    for bit in range(len(data) * 8):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EnvelopeError):
            accept(bytes(altered))


def test_every_truncation_is_noticed() -> None:
    data = envelope(b"public", b"sealed for scope").to_bytes()
    for size in range(len(data)):
        with pytest.raises(Truncated) as cut:
            accept(data[:size])
        assert cut.value.hint


def test_bytes_behind_an_envelope_are_noticed() -> None:
    with pytest.raises(Altered):
        accept(envelope(b"public").to_bytes() + b"\0")


def test_a_part_dropped_for_erasure_leaves_chain_and_signature_valid() -> None:
    sent = envelope(b"public", b"sealed for scope", b"sealed for custodian")
    kept = accept(without_part(sent, 1).to_bytes())
    assert kept.parts == (b"public", None, b"sealed for custodian")
    assert kept.position == sent.position
    assert len(kept.to_bytes()) == len(sent.to_bytes()) - len(b"sealed for scope")


def test_another_keeper_s_signature_is_refused() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = build_envelope(header(), (), stranger.sign)
    with pytest.raises(Altered, match="signature"):
        accept(forged.to_bytes())
    with pytest.raises(Altered):
        verify_envelope(forged, b"not a key")


def test_a_replayed_envelope_is_told_from_a_gap_and_from_a_fork() -> None:
    sent = envelope(b"public")
    with pytest.raises(Replayed):
        check_follows(sent.header, sent.position)
    with pytest.raises(Gap):
        check_follows(sent.header, Position(seq=118, hash=bytes(32)))
    with pytest.raises(Altered, match="another past"):
        check_follows(sent.header, Position(seq=119, hash=bytes(32)))


def test_a_stream_begins_with_its_genesis_and_only_there() -> None:
    first = envelope(seq=1, previous=NO_HASH, genesis=GENESIS)
    found = parse_envelope(first.to_bytes())
    check_follows(found.header, Position())
    assert found.header.genesis == GENESIS
    for wrong in ({"seq": 1, "genesis": GENESIS}, {"seq": 1, "previous": NO_HASH}, {"genesis": GENESIS}):
        with pytest.raises(Altered):
            envelope(**wrong)
    with pytest.raises(Altered):
        envelope(previous=NO_HASH)


def test_a_genesis_of_another_stream_is_foreign() -> None:
    with pytest.raises(Foreign):
        envelope(seq=1, previous=NO_HASH, genesis=replace(GENESIS, term=2))


def test_streams_of_other_kind_unit_keeper_or_term_have_other_ids() -> None:
    made = {
        stream_id_of(kind, unit, keeper, term)
        for kind in (1, 2)
        for unit in (UNIT, None)
        for keeper in (KEEPER, UNIT)
        for term in (1, 2)
    }
    assert len(made) == 16


def test_an_id_that_is_not_canonical_is_never_sealed() -> None:
    for wrong in ("", "x" * 36, UNIT.upper(), UNIT.replace("-", ""), UNIT + "00"):
        with pytest.raises(NotCanonical):
            envelope(stream_id=wrong)


def test_a_newer_protocol_waits_for_the_upgrade() -> None:
    with pytest.raises(SchemaNewer) as newer:
        decode_header(msgspec.msgpack.encode([*fields(version=2), "more"]))
    assert "upgrade" in newer.value.hint


PART = [1, 1, 40, 100, bytes(32)]


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 0},
        {"version": True},
        {"version": -1},
        {"stream": bytes(15)},
        {"stream": "s" * 16},
        {"seq": 0},
        {"seq": 2**63},
        {"seq": 120.0},
        {"previous": bytes(31)},
        {"mark": 6},
        {"revision": -1},
        {"tree": None},
        {"time": "now"},
        {"time": TIME_MS_MAX + 1},
        {"offset": 2**63},
        {"rows": -1},
        {"rows": 70_000},
        {"genesis": [1, None, bytes(16)]},
        {"genesis": []},
        {"parts": None},
        {"parts": [PART] * 9},
        {"parts": [PART, PART]},
        {"parts": [[2, *PART[1:]], PART]},
        {"parts": [[0, *PART[1:]]]},
        {"parts": [[1, 0, *PART[2:]]]},
        {"parts": [[1, 1, 0, 100, bytes(32)]]},
        {"parts": [[1, 1, 40, 2**31, bytes(32)]]},
        {"parts": [[1, 1, ENVELOPE_BYTES_MAX + 1, 100, bytes(32)]]},
        {"parts": [[1, 2**32, 40, 100, bytes(32)]]},
        {"parts": [[1, 1, 40, 100, bytes(33)]]},
        {"extra": 1},
    ],
)
def test_a_header_in_any_other_form_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Altered):
        decode_header(msgspec.msgpack.encode(fields(**changed)))


def test_a_header_has_one_encoding() -> None:
    canonical = encode_header(header())
    assert decode_header(canonical) == header()
    # seq 120 in two bytes, and the array's length in three: the same fields, other bytes.
    for other in (canonical.replace(b"\x78\xc4\x20", b"\xcc\x78\xc4\x20"), b"\xdc\0\x0c" + canonical[1:]):
        assert msgspec.msgpack.decode(other) == msgspec.msgpack.decode(canonical)
        with pytest.raises(Altered, match="only encoding"):
            decode_header(other)


def test_sizes_beyond_the_limits_are_refused_before_anything_is_read() -> None:
    for data in (
        (HEADER_BYTES_MAX + 1).to_bytes(4, "big"),
        bytes(ENVELOPE_BYTES_MAX + 1),
    ):
        with pytest.raises(TooLarge):
            parse_envelope(data)
    with pytest.raises(TooLarge):
        FrameReader().feed((ENVELOPE_BYTES_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(TooLarge):
        envelope(bytes(ENVELOPE_BYTES_MAX))


def test_parts_that_are_not_the_ones_named_are_never_signed() -> None:
    part = Part(audience=1, epoch=1, size=3, plain_size=3, sha256=sha256(b"abc").digest())
    for wrong in ((), (b"abd",), (b"abcd",), (b"abc", b"abc")):
        with pytest.raises(Altered):
            build_envelope(header(parts=(part,)), wrong, KEY.sign)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_mutated_envelopes_are_refused_with_an_envelope_error(data: st.DataObject) -> None:
    sent = envelope(b"public", b"sealed for scope").to_bytes()
    altered = bytearray(sent)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(altered)))
        altered[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    if bytes(altered) != sent:
        with pytest.raises(EnvelopeError):
            accept(bytes(altered))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_with_an_envelope_error(data: bytes) -> None:
    refuse: tuple[Callable[[bytes], object], ...] = (parse_envelope, decode_header)
    for read in refuse:
        with pytest.raises(EnvelopeError):
            read(data)


# --- frames ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.binary(min_size=69, max_size=200), max_size=5), st.data())
def test_frames_come_out_whole_whatever_the_chunks_and_interruptions(sent: list[bytes], data: st.DataObject) -> None:
    body = b"".join(map(frame, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reader, found, start = FrameReader(), [], 0
    for cut in [*cuts, len(body)]:
        found += reader.feed(body[start:cut])
        start = cut
        if data.draw(st.booleans()):
            reader = FrameReader(reader.unfinished)
    assert found == sent
    assert reader.unfinished == b""


def test_an_unfinished_frame_is_kept_from_its_length_on() -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"a" * 80) + frame(b"b" * 90)[:50]) == [b"a" * 80]
    assert reader.unfinished == frame(b"b" * 90)[:50]


def test_a_frame_too_short_for_an_envelope_is_refused() -> None:
    with pytest.raises(Altered):
        FrameReader().feed(frame(b""))


# --- vectors ---------------------------------------------------------------------------------------------------------


def test_committed_stream_ids_are_recomputed() -> None:
    for vector in json.loads(VECTORS.read_text("utf-8"))["stream_ids"]:
        adopts = _adopted(vector.get("adopts"))
        made = stream_id_of(vector["kind"], vector["unit"], vector["keeper"], vector["term"], adopts)
        assert made == vector["stream_id"]


def test_committed_headers_are_recomputed() -> None:
    for vector in json.loads(VECTORS.read_text("utf-8"))["headers"]:
        given_fields = vector["header"]
        made = Header(
            **{
                **given_fields,
                "previous": bytes.fromhex(given_fields["previous"]),
                "genesis": given_fields["genesis"] and _genesis(given_fields["genesis"]),
                "parts": tuple(Part(**{**p, "sha256": bytes.fromhex(p["sha256"])}) for p in given_fields["parts"]),
            }
        )
        encoded = encode_header(made)
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["signing_key"]))
        assert encoded.hex() == vector["header_bytes"], vector["name"]
        assert sha256(encoded).hexdigest() == vector["hash"]
        assert key.sign(b"syncd envelope v1" + sha256(encoded).digest()).hex() == vector["signature"]
        assert decode_header(encoded) == made


def _genesis(stated: dict[str, Any]) -> Genesis:
    return Genesis(**{**stated, "adopts": _adopted(stated["adopts"])})


def _adopted(stated: dict[str, Any] | None) -> Adopted | None:
    return None if stated is None else Adopted(**{**stated, "hash": bytes.fromhex(stated["hash"])})
