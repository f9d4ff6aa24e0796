"""Seal one epoch key for one reader (HPKE, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM, base mode).

What enters: a key, the reader's 32 public bytes, `info` (what the key is for: stream, epoch, audience). What leaves:
the 32 bytes of the encapsulated key, then ciphertext and tag: 48 bytes more than what went in.
What must hold: it opens only with the reader's key and the same `info`. HPKE does not say who sealed: the entry
around it is signed.
"""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from syncd.errors import GrantUnreadable, TrustError
from syncd.language import say
from syncd.protocol.decoding import decoding
from syncd.security.limits import KEY_BYTES

SEALED_EXTRA_BYTES = 48

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal_key(key: bytes, reader_public: bytes, info: bytes) -> bytes:
    """`len(key) + SEALED_EXTRA_BYTES` bytes only the reader opens; `TrustError` when the public key is none."""
    # Wrong size, or one of the few points that give every sender the same secret.
    with decoding(
        say(
            "không niêm phong được cho khóa công khai của bên đọc ({size} byte)",
            "the reader's public key ({size} bytes) cannot be sealed to",
            size=len(reader_public),
        ),
        say("bên đọc phải gia nhập lại với khóa của chính nó", "the reader has to enrol again with a key of its own"),
        TrustError,
    ):
        return _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(reader_public), info)


def open_key(sealed: bytes, reader: X25519PrivateKey, info: bytes) -> bytes:
    """The key that was sealed; `GrantUnreadable` when it was for another reader, for another purpose, or changed on
    the way.
    """
    with decoding(
        say(
            "không mở được khóa niêm phong dài {size} byte",
            "a sealed key of {size} bytes does not open",
            size=len(sealed),
        ),
        say(
            "nó được niêm phong cho khóa của máy khác hoặc đã bị sửa; xin máy cấp khóa cấp lại",
            "it was sealed for another node's key or altered; ask the granting node for a new grant",
        ),
        GrantUnreadable,
    ):
        return _SUITE.decrypt(sealed, reader, info)


def check_exchange_public(reader_public: bytes) -> None:
    """Refuse a public key nobody could safely seal to, before it is enrolled."""
    if len(reader_public) != KEY_BYTES:
        raise TrustError(
            say("khóa công khai dài {size} byte", "a public key of {size} bytes", size=len(reader_public)),
            say(
                "khóa X25519 dài {wanted} byte: gia nhập lại",
                "an X25519 key has {wanted} bytes: enrol again",
                wanted=KEY_BYTES,
            ),
        )
    seal_key(bytes(KEY_BYTES), reader_public, b"")
