"""A node's own keys. What enters: randomness or a directory. What leaves: keys, the node id and tag that follow from
them, signatures.

What must hold: the node id is made of the signing key, so nobody can claim the id of another node without that node's
key; a file that is not this node's key is refused with its path; no private byte appears in a repr, a message or a
log.
"""

import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from syncd.errors import Altered, KeyFileError, TrustError
from syncd.language import say
from syncd.protocol.decoding import decoding
from syncd.security import names
from syncd.security.keyfile import ED25519, X25519, read_private_key, refuse_overwrite, write_private_key
from syncd.security.limits import KEY_BYTES, KEY_FILE_BYTES_MAX, SIGNATURE_BYTES
from syncd.system import GROUP_READS_MASK, make_secret_directory, read_secret_file, write_secret_file

SIGNING_KEY_FILE, EXCHANGE_KEY_FILE = names.SIGNING_KEY_FILE, names.EXCHANGE_KEY_FILE
DATABASE_KEY_FILE = "database.key"
TAG_DIGITS = 8

RandomBytes = Callable[[int], bytes]

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKeys:
    """`signing` signs envelopes and requests; `exchange` opens what is sealed for this node (HPKE)."""

    signing: Ed25519PrivateKey = field(repr=False)
    exchange: X25519PrivateKey = field(repr=False)
    node_id: str

    @classmethod
    def generate(cls, random_bytes: RandomBytes = os.urandom) -> Self:
        """New keys; `random_bytes(n)` is replaced only where a run must be repeatable (the simulator)."""
        return cls._from_raw(random_bytes(KEY_BYTES), random_bytes(KEY_BYTES))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The keys in `directory`; raises `KeyFileError` when a file is missing, damaged, of another kind or open to
        others.
        """
        return cls._from_raw(
            read_private_key(directory / SIGNING_KEY_FILE, ED25519),
            read_private_key(directory / EXCHANGE_KEY_FILE, X25519),
        )

    @classmethod
    def _from_raw(cls, signing_raw: bytes, exchange_raw: bytes) -> Self:
        signing = Ed25519PrivateKey.from_private_bytes(signing_raw)
        return cls(
            signing=signing,
            exchange=X25519PrivateKey.from_private_bytes(exchange_raw),
            node_id=node_id_from_public(signing.public_key().public_bytes_raw()),
        )

    def save(self, directory: Path) -> None:
        """Write both keys into `directory` (made if absent, 0700). Never replaces a key that is there."""
        make_secret_directory(directory)
        for name in (SIGNING_KEY_FILE, EXCHANGE_KEY_FILE):
            refuse_overwrite(directory / name)
        write_private_key(directory / SIGNING_KEY_FILE, ED25519, self.signing.private_bytes_raw())
        write_private_key(directory / EXCHANGE_KEY_FILE, X25519, self.exchange.private_bytes_raw())

    @property
    def tag(self) -> str:
        return tag_of(self.node_id)

    @property
    def ed25519_public(self) -> bytes:
        return self.signing.public_key().public_bytes_raw()

    @property
    def x25519_public(self) -> bytes:
        return self.exchange.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """64 bytes of Ed25519 signature. `data` begins with a context of its own, so that no signature serves two
        purposes.
        """
        return self.signing.sign(data)

    def epoch_key(self, stream_id: str, audience: int, epoch: int) -> bytes:
        """The key of an epoch of a stream this node writes. Derived, not drawn: a restored copy and a second machine
        make the same one, so what either has sealed stays readable whoever's grants are kept (I13).
        """
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        place = uuid.UUID(stream_id).bytes + audience.to_bytes(1, "big") + epoch.to_bytes(4, "big")
        info = b"syncd epoch v1" + place
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(
            self.exchange.private_bytes_raw()
        )

    def require_database(self, facts: Mapping[str, str], directory: Path | str) -> None:
        """Refuse keys that are another node's than the one the database belongs to. `facts`: what the database says of
        its node; with another exchange key nothing that is sealed for this node would ever open.
        """
        self.require_node_id(facts.get("node_id", ""), directory)
        if facts.get("sealing_public", self.x25519_public.hex()) != self.x25519_public.hex():
            raise KeyFileError(
                say(
                    "{file} trong {directory} không phải khóa của máy này: cơ sở dữ liệu ghi khóa công khai khác",
                    "{file} in {directory} is not this node's key: the database knows another public key",
                    file=EXCHANGE_KEY_FILE,
                    directory=directory,
                ),
                say(
                    "đặt lại đúng {file} của máy này từ bản sao lưu",
                    "put this node's own {file} back from its backup",
                    file=EXCHANGE_KEY_FILE,
                ),
            )

    def require_node_id(self, node_id: str, directory: Path | str) -> None:
        """Refuse keys that are another node's than `node_id`."""
        if self.node_id != node_id:
            raise KeyFileError(
                say(
                    "các khóa trong {directory} là của máy {found}, nhưng cơ sở dữ liệu thuộc máy {wanted}",
                    "the keys in {directory} are those of node {found}, but the database belongs to node {wanted}",
                    directory=directory,
                    found=self.node_id,
                    wanted=node_id,
                ),
                say(
                    "đặt lại các tệp khóa của máy này, hoặc nêu thư mục của máy kia",
                    "put the key files of this node back, or name the directory of the other node",
                ),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseKey:
    """The embedded database's key: 256 random bits, used raw, so a restart needs nobody to type anything."""

    raw: bytes = field(repr=False)

    @classmethod
    def generate(cls, random_bytes: RandomBytes = os.urandom) -> Self:
        return cls(raw=random_bytes(KEY_BYTES))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The key in `directory`/database.key; raises `KeyFileError` when it cannot be a key that we wrote."""
        path = directory / DATABASE_KEY_FILE
        raw = read_secret_file(path, KEY_FILE_BYTES_MAX, GROUP_READS_MASK)
        _refuse_no_key(raw, path)
        return cls(raw=raw)

    def save(self, directory: Path) -> None:
        make_secret_directory(directory)
        refuse_overwrite(directory / DATABASE_KEY_FILE)
        write_secret_file(directory / DATABASE_KEY_FILE, self.raw)

    @property
    def pragma_literal(self) -> str:
        """As SQLCipher takes a raw key: PRAGMA key = "x'…64 hex digits…'". Never log the statement."""
        return f"x'{self.raw.hex()}'"


def node_id_from_public(ed25519_public: bytes) -> str:
    """UUID text of the first 16 bytes of SHA-256 over the 32 bytes of the public signing key."""
    return str(uuid.UUID(bytes=sha256(ed25519_public).digest()[:16]))


def tag_of(node_id: str) -> str:
    """The last 8 hex digits: what every row id minted at this node ends with."""
    return node_id[-TAG_DIGITS:]


def is_id_text(text: str) -> bool:
    """Whether `text` is a UUID in the one spelling used everywhere: 36 characters, lower case."""
    return _ID.fullmatch(text) is not None


def require_node_id_text(text: str) -> str:
    """`text` when it is a node id in its one spelling (36 characters, lower case); else `TrustError`."""
    if not is_id_text(text):
        raise TrustError(
            say("{text!r} không phải mã máy", "{text!r} is not a node id", text=text[:40]),
            say(
                "mã máy gồm 36 ký tự, chữ thường; chép trọn vẹn",
                "a node id is 36 characters, lower case; copy it as a whole",
            ),
        )
    return text


def verify_signature(ed25519_public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the holder of that key signed `data`. Wrong sizes are a wrong signature, not a crash."""
    if len(ed25519_public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        with decoding("a signature", ""):
            Ed25519PublicKey.from_public_bytes(ed25519_public).verify(signature, data)
    except Altered:
        return False
    return True


def _refuse_no_key(raw: bytes, path: Path) -> None:
    hint = say(
        "đặt lại đúng tệp của cơ sở dữ liệu này từ bản sao lưu của máy; thiếu nó không mở được cơ sở dữ liệu",
        "put this database's own file back from the node's backup; without it the database cannot be opened",
    )
    if len(raw) != KEY_BYTES:
        raise KeyFileError(
            say(
                "{path} có {size} byte; khóa cơ sở dữ liệu là đúng {wanted} byte thô",
                "{path} holds {size} bytes; a database key is exactly {wanted} raw bytes",
                path=path,
                size=len(raw),
                wanted=KEY_BYTES,
            ),
            hint,
        )
    # 32 random bytes are printable text once in 10^14; a text of 32 characters is somebody's edit or another file.
    if len(set(raw)) == 1 or all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in raw):
        raise KeyFileError(
            say(
                "{path} chứa chữ hoặc một byte lặp lại, không phải khóa ngẫu nhiên",
                "{path} holds text or a repeated byte, not a random key",
                path=path,
            ),
            hint,
        )
