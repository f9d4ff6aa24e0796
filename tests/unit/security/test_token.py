"""A token is read back whole, and every way to get it wrong is told apart."""

import os
from base64 import urlsafe_b64encode
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import TokenError, TokenExpired, TokenMalformed, TrustError, WrongPeer
from syncd.security import authority, token
from syncd.security.identity import NodeKeys
from syncd.security.token import Token, decode_token, encode_token

SAMPLE = Token(
    parent_urls=("https://10.1.2.3:8443", "https://tinh.example:8443"),
    parent_id="0123abcd-0123-4567-89ab-0123456789ab",
    ca_fingerprint=bytes(range(32)),
    secret=bytes(range(100, 116)),
    expires_s=1_800_000_000,
    unit_code="00004",
    unit_name="Phường Ba Đình",
)


def test_token_round_trip() -> None:
    assert decode_token(encode_token(SAMPLE)) == SAMPLE


def test_blanks_and_line_breaks_of_copying_are_ignored() -> None:
    text = encode_token(SAMPLE)
    assert decode_token(f"  {text[:40]}\r\n {text[40:]}\n") == SAMPLE


@given(st.data())
def test_any_single_typing_error_is_found(data: st.DataObject) -> None:
    text = encode_token(SAMPLE)
    at = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.characters(exclude_categories=("Z", "C")).filter(lambda letter: letter != text[at]))
    with pytest.raises(TokenMalformed):
        decode_token(text[:at] + wrong + text[at + 1 :])


@given(st.text(max_size=300))
def test_any_other_text_is_malformed_and_nothing_worse(text: str) -> None:
    for candidate in (text, token.TOKEN_PREFIX + text):
        with pytest.raises(TokenMalformed):
            decode_token(candidate)


def test_missing_and_swapped_letters_are_found() -> None:
    text = encode_token(SAMPLE)
    for wrong in (text[:-1], text[:60] + text[61:], text[:60] + text[61] + text[60] + text[62:], text + "A"):
        with pytest.raises(TokenMalformed, match=r"mistyped|wrong character"):
            decode_token(wrong)


def test_other_version_and_no_token_are_told_apart() -> None:
    with pytest.raises(TokenMalformed, match="SYNCD2"):
        decode_token(encode_token(SAMPLE).replace("SYNCD1", "SYNCD2"))
    with pytest.raises(TokenMalformed, match="not a token"):
        decode_token("hello")
    with pytest.raises(TokenMalformed, match="characters"):
        decode_token("A" * 100_000)


def test_intact_token_of_another_shape_is_refused() -> None:
    for body in (msgspec.msgpack.encode([1, 2]), msgspec.msgpack.encode({"a": 1}), b""):
        text = urlsafe_b64encode(body + sha256(body).digest()[:4]).decode("ascii").rstrip("=")
        with pytest.raises(TokenMalformed, match="intact"):
            decode_token(token.TOKEN_PREFIX + text)


@pytest.mark.parametrize(
    "changes",
    [
        {"parent_urls": ()},
        {"parent_urls": ("http://10.1.2.3",)},
        {"parent_urls": ("https://a",) * 9},
        {"parent_urls": ("https://" + "a" * 300,)},
        {"ca_fingerprint": b"short"},
        {"secret": b"short"},
        {"expires_s": 0},
        {"unit_code": "x" * 33},
        {"unit_name": "x" * 201},
        {"unit_name": "\x1b[2J"},
        {"parent_id": "nobody"},
    ],
)
def test_field_beyond_its_bound_is_refused(changes: dict[str, object]) -> None:
    fields = {name: getattr(SAMPLE, name) for name in Token.__dataclass_fields__} | changes
    with pytest.raises(TrustError):
        encode_token(Token(**fields))


def test_token_expires_at_its_second() -> None:
    token.require_not_expired(SAMPLE, SAMPLE.expires_s - 1)
    with pytest.raises(TokenExpired, match="clock"):
        token.require_not_expired(SAMPLE, SAMPLE.expires_s)
    assert issubclass(TokenExpired, TokenError)


def test_secret_is_in_no_repr_and_stored_as_hash() -> None:
    assert repr(SAMPLE.secret)[2:-1] not in repr(SAMPLE)
    assert token.secret_hash(SAMPLE.secret) != token.secret_hash(bytes(16))
    assert SAMPLE.secret not in token.secret_hash(SAMPLE.secret)
    assert len(token.new_secret(os.urandom)) == 16


def test_root_certificate_other_than_the_pinned_one_is_refused() -> None:
    node_id = NodeKeys.generate().node_id
    root, other = authority.create_root(node_id, 1_700_000_000), authority.create_root(node_id, 1_700_000_000)
    print_of_root = authority.fingerprint(authority.der_of(root.certificate))
    token.require_ca(root.certificate_pem, print_of_root)
    for pem in (other.certificate_pem, root.certificate_pem + other.certificate_pem, "", "-----BEGIN x", "a" * 70_000):
        with pytest.raises(WrongPeer):
            token.require_ca(pem, print_of_root)
