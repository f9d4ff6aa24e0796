"""A sealed key opens for its reader and its purpose, for nobody and nothing else."""

import hmac
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from syncd.errors import GrantUnreadable, TrustError
from syncd.security import hpke
from syncd.security.identity import NodeKeys


def test_reader_opens_what_was_sealed() -> None:
    reader, key = NodeKeys.generate(), os.urandom(32)
    sealed = hpke.seal_key(key, reader.x25519_public, b"stream 1 epoch 1")
    assert len(sealed) == 32 + hpke.SEALED_EXTRA_BYTES
    assert hpke.open_key(sealed, reader.exchange, b"stream 1 epoch 1") == key
    assert hpke.seal_key(key, reader.x25519_public, b"stream 1 epoch 1") != sealed


def test_other_reader_purpose_or_bytes_open_nothing() -> None:
    reader, key = NodeKeys.generate(), os.urandom(32)
    sealed = hpke.seal_key(key, reader.x25519_public, b"info")
    attempts = [
        (sealed, X25519PrivateKey.generate(), b"info"),
        (sealed, reader.exchange, b"other"),
        (b"", reader.exchange, b"info"),
    ]
    attempts += [(sealed[:end], reader.exchange, b"info") for end in (31, 32, 47, 79)]
    attempts += [
        (sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], reader.exchange, b"info")
        for at in range(len(sealed))
    ]
    for bytes_sealed, private, info in attempts:
        with pytest.raises(GrantUnreadable):
            hpke.open_key(bytes_sealed, private, info)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31)])
def test_public_key_that_hides_nothing_is_refused(public: bytes) -> None:
    with pytest.raises(TrustError):
        hpke.check_exchange_public(public)
    with pytest.raises(TrustError):
        hpke.seal_key(bytes(32), public, b"")


def test_format_is_the_encapsulated_key_then_the_ciphertext() -> None:
    """RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: opened once more, by hand."""
    reader, key = NodeKeys.generate(), os.urandom(32)
    sealed = hpke.seal_key(key, reader.x25519_public, b"purpose")
    assert open_by_hand(sealed, reader.exchange, b"purpose") == key


def open_by_hand(sealed: bytes, private: X25519PrivateKey, info: bytes) -> bytes:
    encapsulated, ciphertext = sealed[:32], sealed[32:]
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    secret = private.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    context = encapsulated + private.public_key().public_bytes_raw()
    shared = expand(extract(b"", b"eae_prk", secret, kem), b"shared_secret", context, 32, kem)
    schedule = b"\x00" + extract(b"", b"psk_id_hash", b"", suite) + extract(b"", b"info_hash", info, suite)
    prk = extract(shared, b"secret", b"", suite)
    key, nonce = expand(prk, b"key", schedule, 32, suite), expand(prk, b"base_nonce", schedule, 12, suite)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def extract(salt: bytes, label: bytes, material: bytes, suite: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def expand(prk: bytes, label: bytes, info: bytes, length: int, suite: bytes) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labelled + b"\x01", "sha256")[:length]
