"""Which key seals a part (PROTOCOL.md §4). Enters: an epoch key and the place of the part. Leaves: the part's own key.

Must hold: two parts never share a key unless they stand at one place of one past; what is sealed for one place opens at
no other, since the place is bound into key and cipher alike.
"""

from dataclasses import dataclass
from typing import Final

from syncd.envelope import uuid_bytes

PUBLIC: Final = 0  # this audience's part is compressed, not encrypted
EPOCH_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlace:
    """Where a part stands: `previous` is the hash of the envelope before its own."""

    previous: bytes
    stream_id: str
    seq: int
    audience: int
    epoch: int

    def info(self) -> bytes:
        """What key derivation and the cipher bind: context, stream, seq, audience, epoch."""
        return b"".join(
            (
                b"syncd part v1",
                uuid_bytes(self.stream_id),
                self.seq.to_bytes(8, "big"),
                self.audience.to_bytes(1, "big"),
                self.epoch.to_bytes(4, "big"),
            )
        )


def part_key(epoch_key: bytes, place: PartPlace) -> bytes:
    """HKDF-SHA256 of the epoch key, salted with the past, for this place."""
    # Here, not above: importing cryptography costs 25 ms that the command line need not pay.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=place.previous, info=place.info()).derive(epoch_key)
