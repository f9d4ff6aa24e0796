"""Sealing and opening: a part opens for its reader, at its place, unaltered, or not at all."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.compress import compress, decompress
from syncd.envelope import Envelope, Header, build_envelope, parse_envelope, stream_id_of, verify_envelope, without_part
from syncd.errors import Altered, EnvelopeError, KeyFileError, TooLarge
from syncd.limits import PLAIN_BYTES_MAX
from syncd.open import open_parts
from syncd.partkey import PartPlace, part_key
from syncd.seal import PlainPart, seal_envelope, seal_part
from syncd.wire import UPDATE, Block, encode_body

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VECTORS = Path(__file__).parents[1] / "vectors" / "sealed.json"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
UNIT = "0198f5a0-0000-7000-8000-0000aabbccdd"
STREAM = stream_id_of(1, UNIT, "11111111-2222-8333-8444-5555aabbccdd", 1)
SCOPE_KEY, CUSTODIAN_KEY = b"\x0a" * 32, b"\x0b" * 32
BODIES = {0: b"for everyone", 1: b"for the scope" * 100, 2: b"for the custodian"}
KEYS = {(1, 1): SCOPE_KEY, (2, 3): CUSTODIAN_KEY}


def nonces(count: int) -> bytes:
    """Randomness that repeats."""
    return bytes(range(count))


def header(**changed: Any) -> Header:
    made = Header(
        stream_id=STREAM,
        seq=120,
        previous=b"\x01" * 32,
        mark=0,
        schema_revision=1,
        tree_seq=12,
        time_ms=1_790_000_000_000,
        clock_offset_ms=-35,
        rows=1,
    )
    return replace(made, **changed)


def sealed(**changed: Any) -> Envelope:
    """An envelope for all three audiences, given in no order."""
    plains = [
        PlainPart(audience=2, epoch=3, epoch_key=CUSTODIAN_KEY, body=BODIES[2]),
        PlainPart(audience=0, epoch=0, epoch_key=None, body=BODIES[0]),
        PlainPart(audience=1, epoch=1, epoch_key=SCOPE_KEY, body=BODIES[1]),
    ]
    return seal_envelope(header(**changed), plains, KEY.sign, nonces)


def arrived(envelope: Envelope) -> Envelope:
    found = parse_envelope(envelope.to_bytes())
    verify_envelope(found, KEY.public_key().public_bytes_raw())
    return found


def test_a_reader_of_every_audience_opens_every_part() -> None:
    opened = open_parts(arrived(sealed()), KEYS)
    assert opened.bodies == BODIES
    assert opened.locked == ()
    assert opened.absent == ()


def test_a_relay_opens_the_public_part_alone_and_is_told_what_stays_closed() -> None:
    opened = open_parts(arrived(sealed()), {})
    assert opened.bodies == {0: BODIES[0]}
    assert opened.locked == ((1, 1), (2, 3))


def test_nothing_of_a_sealed_body_is_readable_without_its_key() -> None:
    data = sealed().to_bytes()
    assert BODIES[0] in data
    assert b"scope" not in data
    assert b"custodian" not in data


def test_a_part_dropped_for_erasure_is_absent_and_the_others_open() -> None:
    opened = open_parts(arrived(without_part(sealed(), 1)), KEYS)
    assert opened.bodies == {0: BODIES[0], 2: BODIES[2]}
    assert opened.absent == (1,)


def test_an_absent_part_without_a_key_is_absent() -> None:
    opened = open_parts(without_part(sealed(), 1), {})
    assert (opened.absent, opened.locked) == ((1,), ((2, 3),))


def test_a_wrong_epoch_key_is_noticed() -> None:
    with pytest.raises(Altered):
        open_parts(sealed(), {**KEYS, (1, 1): bytes(32)})


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert sealed().to_bytes() == sealed().to_bytes()


@pytest.mark.parametrize(
    "moved",
    [{"seq": 121}, {"previous": b"\x02" * 32}, {"stream_id": stream_id_of(1, UNIT, UNIT, 1)}],
)
def test_a_part_moved_to_another_place_does_not_open(moved: dict[str, Any]) -> None:
    taken = sealed()
    elsewhere = build_envelope(replace(taken.header, **moved), [part or b"" for part in taken.parts], KEY.sign)
    with pytest.raises(Altered):
        open_parts(elsewhere, KEYS)


def test_a_part_moved_to_another_audience_or_epoch_does_not_open() -> None:
    taken = sealed()
    part = taken.header.parts[1]
    for other in (replace(part, audience=3), replace(part, epoch=2)):
        elsewhere = build_envelope(replace(taken.header, parts=(other,)), [taken.parts[1] or b""], KEY.sign)
        with pytest.raises(Altered):
            open_parts(elsewhere, {(other.audience, other.epoch): SCOPE_KEY})


def test_every_flipped_bit_of_a_part_is_noticed_again_when_it_is_opened() -> None:
    whole = sealed()
    for index, data in enumerate(whole.parts):
        for at in range(len(data or b"")):
            altered = bytearray(data or b"")
            altered[at] ^= 1
            parts = (*whole.parts[:index], bytes(altered), *whole.parts[index + 1 :])
            with pytest.raises(Altered):
                open_parts(replace(whole, parts=parts), KEYS)


def test_a_sealed_part_too_short_for_nonce_and_tag_is_refused() -> None:
    part = replace(sealed().header.parts[1], size=27, sha256=sha256(bytes(27)).digest())
    with pytest.raises(Altered):
        open_parts(build_envelope(header(parts=(part,)), [bytes(27)], KEY.sign), KEYS)


def test_without_an_epoch_key_nothing_is_sealed() -> None:
    for key in (None, b"short"):
        with pytest.raises(KeyFileError):
            seal_envelope(header(), [PlainPart(audience=1, epoch=1, epoch_key=key, body=b"x")], KEY.sign, nonces)


def test_keys_and_bodies_do_not_appear_in_a_repr() -> None:
    shown = repr(PlainPart(audience=1, epoch=1, epoch_key=b"secret", body=b"personal")) + repr(
        open_parts(sealed(), KEYS)
    )
    assert "secret" not in shown
    assert "personal" not in shown
    assert "everyone" not in shown


# --- decompression ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=5000))
def test_what_was_compressed_comes_back(plain: bytes) -> None:
    assert decompress(compress(plain), len(plain)) == plain


def test_a_frame_of_another_size_than_stated_is_refused() -> None:
    packed = compress(b"a" * 1000)
    with pytest.raises(TooLarge):
        decompress(packed, 999)
    for wrong, size in ((packed, 1001), (packed[:-1], 1000), (packed + b"\0", 1000), (packed * 2, 1000), (b"", 0)):
        with pytest.raises(Altered):
            decompress(wrong, size)


def test_a_bomb_is_not_unfolded() -> None:
    bomb = zstd.compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < 10_000
    with pytest.raises(TooLarge):
        decompress(bomb, 1000)
    with pytest.raises(TooLarge):
        decompress(bomb, PLAIN_BYTES_MAX + 1)


def test_a_frame_that_asks_for_too_large_a_window_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(bytes(1000)) + packer.flush()
    with pytest.raises(Altered):
        decompress(packed, 1000)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_arbitrary_bytes_unfold_with_envelope_errors_alone(data: bytes, size: int) -> None:
    try:
        plain = decompress(data, size)
    except EnvelopeError:
        return
    assert len(plain) == size


# --- size and vectors ------------------------------------------------------------------------------------------------


def test_one_change_takes_at_most_330_bytes() -> None:
    block = Block(table=3, op=UPDATE, columns=(3,), ids=[UNIT], values=[["Nguyễn Thị Hồng Minh"]])
    body = encode_body([block], {3: {3: "text"}})
    part = PlainPart(audience=1, epoch=1, epoch_key=SCOPE_KEY, body=body)
    assert len(seal_envelope(header(), [part], KEY.sign, nonces).to_bytes()) <= 330


def test_committed_envelopes_are_recomputed() -> None:
    """From the packed bodies: another release of zstd may pack them otherwise, which the protocol allows."""
    vector = json.loads(VECTORS.read_text("utf-8"))
    previous = bytes.fromhex(vector["previous"])
    place = PartPlace(previous=previous, stream_id=vector["stream_id"], seq=vector["seq"], audience=1, epoch=1)
    assert place.info().hex() == vector["scope_part_info"]
    assert part_key(bytes.fromhex(vector["parts"][1]["epoch_key"]), place).hex() == vector["scope_part_key"]

    whole = parse_envelope(bytes.fromhex(vector["envelope"]))
    assert whole.hash.hex() == vector["hash"]
    verify_envelope(whole, bytes.fromhex(vector["public_key"]))
    keys = {}
    for part, data, stated in zip(vector["parts"], whole.parts, whole.header.parts, strict=True):
        packed, body = bytes.fromhex(part["packed"]), bytes.fromhex(part["body"])
        key = part["epoch_key"] and bytes.fromhex(part["epoch_key"])
        nonce = bytes.fromhex(part["nonce"])
        plain = PlainPart(audience=part["audience"], epoch=part["epoch"], epoch_key=key, body=body)
        assert decompress(packed, len(body)) == body
        assert seal_part(whole.header, plain, packed, nonce_of(nonce)) == data
        assert stated.plain_size == len(body)
        keys[part["audience"], part["epoch"]] = key
    bodies = {part["audience"]: bytes.fromhex(part["body"]) for part in vector["parts"]}
    assert open_parts(whole, keys).bodies == bodies
    signer = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["signing_key"]))
    assert build_envelope(whole.header, [part or b"" for part in whole.parts], signer.sign) == whole
    dropped = parse_envelope(bytes.fromhex(vector["envelope_without_scope_part"]))
    assert dropped == without_part(whole, 1)


def nonce_of(nonce: bytes) -> Callable[[int], bytes]:
    """Randomness that gives what the vector was sealed with."""
    return lambda count: nonce[:count]
