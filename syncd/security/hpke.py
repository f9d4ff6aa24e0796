"""Seal one epoch key for one reader (HPKE, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM, base mode).

What enters: a key, the reader's 32 public bytes, `info` (what the key is for: stream, epoch, audience). What leaves:
the 32 bytes of the encapsulated key, then ciphertext and tag: 48 bytes more than what went in.
What must hold: it opens only with the reader's key and the same `info`. HPKE does not say who sealed: the entry
around it is signed.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from syncd.errors import GrantUnreadable, TrustError
from syncd.security.limits import KEY_BYTES

SEALED_EXTRA_BYTES = 48

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal_key(key: bytes, reader_public: bytes, info: bytes) -> bytes:
    """`len(key) + SEALED_EXTRA_BYTES` bytes only the reader opens; `TrustError` when the public key is none."""
    try:
        return _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(reader_public), info)
    except ValueError as error:
        # Wrong size, or one of the few points that give every sender the same secret.
        raise TrustError(
            f"the reader's public key ({len(reader_public)} bytes) cannot be sealed to",
            "the reader has to enrol again with a key of its own",
        ) from error


def open_key(sealed: bytes, reader: X25519PrivateKey, info: bytes) -> bytes:
    """The key that was sealed; `GrantUnreadable` when it was for another reader, for another purpose, or changed on
    the way.
    """
    try:
        return _SUITE.decrypt(sealed, reader, info)
    except InvalidTag as error:
        raise GrantUnreadable(
            f"a sealed key of {len(sealed)} bytes does not open",
            "it was sealed for another node's key or altered; ask the granting node for a new grant",
        ) from error


def check_exchange_public(reader_public: bytes) -> None:
    """Refuse a public key nobody could safely seal to, before it is enrolled."""
    if len(reader_public) != KEY_BYTES:
        raise TrustError(
            f"a public key of {len(reader_public)} bytes", f"an X25519 key has {KEY_BYTES} bytes: enrol again"
        )
    seal_key(bytes(KEY_BYTES), reader_public, b"")
