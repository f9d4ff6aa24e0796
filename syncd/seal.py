"""The stage that closes a group: compress, encrypt, sign (PROTOCOL.md §3–§4).

Enters: a header without parts, plain bodies with their epoch keys, a signer, randomness. Leaves: an `Envelope`.
Must hold: nothing for an audience other than the public leaves unencrypted; the same inputs give the same bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from syncd.compress import compress
from syncd.envelope import SIGNATURE_BYTES, Envelope, Header, Part, Sign, build_envelope
from syncd.errors import KeyFileError, TooLarge
from syncd.limits import ENVELOPE_BYTES_MAX, HEADER_BYTES_MAX, PLAIN_BYTES_MAX
from syncd.partkey import EPOCH_KEY_BYTES, NONCE_BYTES, PUBLIC, TAG_BYTES, PartPlace, part_key

RandomBytes = Callable[[int], bytes]
# Of all parts together: with the longest header they make the longest envelope.
PARTS_BYTES_MAX = ENVELOPE_BYTES_MAX - HEADER_BYTES_MAX - SIGNATURE_BYTES - 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPart:
    """A body for one audience: `epoch_key` has 32 bytes, or is None for the public (epoch 0)."""

    audience: int
    epoch: int
    epoch_key: bytes | None = field(repr=False)
    body: bytes = field(repr=False)


def seal_envelope(header: Header, plains: Sequence[PlainPart], sign: Sign, random_bytes: RandomBytes) -> Envelope:
    """The envelope of `header` (given without parts) with one part per plain body, in the order of their audiences.

    Raises TooLarge, before anything is encrypted or signed, where receivers would refuse the envelope.
    """
    parts: list[Part] = []
    sealed: list[bytes] = []
    for plain, packed in _packed(sorted(plains, key=lambda plain: plain.audience)):
        data = seal_part(header, plain, packed, random_bytes)
        sealed.append(data)
        parts.append(
            Part(
                audience=plain.audience,
                epoch=plain.epoch,
                size=len(data),
                plain_size=len(plain.body),
                sha256=sha256(data).digest(),
            )
        )
    return build_envelope(replace(header, parts=tuple(parts)), sealed, sign)


def _packed(plains: Sequence[PlainPart]) -> list[tuple[PlainPart, bytes]]:
    """Each body with its frame; sizes are summed before the header states any."""
    for plain in plains:
        if len(plain.body) > PLAIN_BYTES_MAX:
            raise TooLarge(f"a body of {len(plain.body)} bytes, the limit is {PLAIN_BYTES_MAX}", "seal smaller pieces")
    packed = [(plain, compress(plain.body)) for plain in plains]
    total = sum(len(data) + NONCE_BYTES + TAG_BYTES for _, data in packed)
    if total > PARTS_BYTES_MAX:
        raise TooLarge(f"parts of {total} bytes, the limit is {PARTS_BYTES_MAX}", "seal smaller pieces")
    return packed


def seal_part(header: Header, plain: PlainPart, packed: bytes, random_bytes: RandomBytes) -> bytes:
    """The bytes of one part: `packed` (the compressed body) for the public, else nonce and ciphertext."""
    if plain.audience == PUBLIC:
        return packed
    if plain.epoch_key is None or len(plain.epoch_key) != EPOCH_KEY_BYTES:
        raise KeyFileError(
            f"no key of epoch {plain.epoch} for audience {plain.audience} of stream {header.stream_id}",
            "nothing was sealed; put this node's own key files back from its backup",
        )
    # Here, not above: importing cryptography costs 25 ms that the command line need not pay.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    place = PartPlace(
        previous=header.previous,
        stream_id=header.stream_id,
        seq=header.seq,
        audience=plain.audience,
        epoch=plain.epoch,
    )
    # Random although the key is the part's own: after a restore one place may be sealed twice with other contents.
    nonce = random_bytes(NONCE_BYTES)
    return nonce + AESGCM(part_key(plain.epoch_key, place)).encrypt(nonce, packed, place.info())
