"""A node's keys and the database key: what is saved is what is loaded, and nothing else is taken for it."""

import subprocess
import sys
import uuid
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from syncd.errors import KeyFileError, TrustError
from syncd.security import identity
from syncd.security.identity import DatabaseKey, NodeKeys
from syncd.security.recovery import create_recovery, load_recovery_key, load_recovery_public


def test_saved_keys_are_the_loaded_keys(tmp_path: Path) -> None:
    keys = NodeKeys.generate()
    keys.save(tmp_path / "node")
    loaded = NodeKeys.load(tmp_path / "node")
    assert loaded.node_id == keys.node_id
    assert loaded.ed25519_public == keys.ed25519_public
    assert loaded.x25519_public == keys.x25519_public


def test_node_id_and_tag_follow_from_the_signing_key() -> None:
    keys = NodeKeys.generate()
    assert keys.node_id == str(uuid.UUID(bytes=sha256(keys.ed25519_public).digest()[:16]))
    assert keys.tag == keys.node_id.replace("-", "")[-8:]


def test_same_randomness_gives_the_same_node() -> None:
    assert NodeKeys.generate(lambda n: bytes(range(n))).node_id == NodeKeys.generate(lambda n: bytes(range(n))).node_id


def test_key_files_are_the_ones_other_tools_read(tmp_path: Path) -> None:
    keys = NodeKeys.generate()
    keys.save(tmp_path)
    for name, private in ((identity.SIGNING_KEY_FILE, keys.signing), (identity.EXCHANGE_KEY_FILE, keys.exchange)):
        read = serialization.load_pem_private_key((tmp_path / name).read_bytes(), password=None)
        raw = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        assert read.private_bytes(*raw) == private.private_bytes_raw()


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    keys = NodeKeys.generate()
    keys.save(tmp_path)
    with pytest.raises(KeyFileError, match="exists already"):
        NodeKeys.generate().save(tmp_path)
    assert NodeKeys.load(tmp_path).node_id == keys.node_id


def test_swapped_key_files_are_refused_by_kind(tmp_path: Path) -> None:
    NodeKeys.generate().save(tmp_path)
    signing, exchange = tmp_path / identity.SIGNING_KEY_FILE, tmp_path / identity.EXCHANGE_KEY_FILE
    content = signing.read_bytes(), exchange.read_bytes()
    signing.write_bytes(content[1])
    exchange.write_bytes(content[0])
    with pytest.raises(KeyFileError, match=r"signing\.key holds X25519 key, not Ed25519"):
        NodeKeys.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\x00" * 4096,
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nA===A\n-----END PRIVATE KEY-----\n",
        b"x" * 5000,
    ],
)
def test_damaged_key_file_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    NodeKeys.generate().save(tmp_path)
    (tmp_path / identity.SIGNING_KEY_FILE).write_bytes(content)
    with pytest.raises(KeyFileError, match=r"signing\.key") as caught:
        NodeKeys.load(tmp_path)
    assert caught.value.hint
    assert caught.value.exit_code == 78


def test_keys_of_another_node_are_refused(tmp_path: Path) -> None:
    keys, other = NodeKeys.generate(), NodeKeys.generate()
    keys.require_node_id(keys.node_id, tmp_path)
    with pytest.raises(KeyFileError, match=other.node_id):
        keys.require_node_id(other.node_id, tmp_path)


def test_signature_of_another_key_or_text_does_not_verify() -> None:
    keys, other = NodeKeys.generate(), NodeKeys.generate()
    signature = keys.sign(b"text")
    assert identity.verify_signature(keys.ed25519_public, signature, b"text")
    assert not identity.verify_signature(other.ed25519_public, signature, b"text")
    assert not identity.verify_signature(keys.ed25519_public, signature, b"texT")
    assert not identity.verify_signature(keys.ed25519_public, signature[:-1], b"text")
    assert not identity.verify_signature(b"", signature, b"text")


def test_node_id_has_one_spelling() -> None:
    node_id = NodeKeys.generate().node_id
    assert identity.require_node_id_text(node_id) == node_id
    for text in (node_id.replace("-", ""), "", f"{node_id}\n", f"g{node_id[1:]}", "A" + node_id[1:]):
        with pytest.raises(TrustError, match="is not a node id"):
            identity.require_node_id_text(text)


def test_database_key_round_trip(tmp_path: Path) -> None:
    key = DatabaseKey.generate()
    key.save(tmp_path)
    assert DatabaseKey.load(tmp_path) == key
    assert key.pragma_literal == f"x'{key.raw.hex()}'"
    with pytest.raises(KeyFileError, match="exists already"):
        DatabaseKey.generate().save(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x07" * 31, b"\x07" * 32, b"a" * 31 + b"b", b"\x99" * 33, b"ab" * 32])
def test_database_key_of_wrong_size_or_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    DatabaseKey.generate().save(tmp_path)
    (tmp_path / identity.DATABASE_KEY_FILE).write_bytes(content)
    with pytest.raises(KeyFileError, match=r"database\.key") as caught:
        DatabaseKey.load(tmp_path)
    assert "backup" in caught.value.hint


def test_missing_database_key_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"database\.key is missing"):
        DatabaseKey.load(tmp_path)


def test_no_private_byte_in_a_repr() -> None:
    keys, database = NodeKeys.generate(lambda n: b"\xab" * n), DatabaseKey(raw=b"\xab" * 32)
    for text in (repr(keys), repr(database)):
        assert "abab" not in text
        assert "\\xab" not in text


def test_recovery_key_may_leave_and_its_public_half_stays(tmp_path: Path) -> None:
    public = create_recovery(tmp_path)
    private = tmp_path / "recovery.key"
    carried = tmp_path / "safe.key"
    private.rename(carried)
    assert load_recovery_public(tmp_path) == public
    assert load_recovery_key(carried).public_key().public_bytes_raw() == public
    with pytest.raises(KeyFileError, match="missing"):
        load_recovery_key(private)
    (tmp_path / "recovery.pub").write_text("not hex", encoding="ascii")
    with pytest.raises(KeyFileError, match="hexadecimal"):
        load_recovery_public(tmp_path)


def test_a_leaf_daemon_starts_without_x509() -> None:
    names = "syncd.security.identity, syncd.security.tls, syncd.security.hpke, syncd.security.names"
    heavy = "[m for m in sys.modules if m.startswith(('cryptography.x509', 'httpx', 'sqlalchemy', 'starlette'))]"
    code = f"import sys, {names}; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
