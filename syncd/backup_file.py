"""The file of a backup: records, packed, encrypted, in a chain that no bit can leave or change unnoticed.

Enters: records and the public keys of who may open them; or a path and a private key. Leaves: a file, or its records.
Must hold: nothing of a record lies open on the disk; a file cut short, altered, or opened with another key is refused
before any record of it is believed; memory is bounded by one frame.

    "SYNCDBK1" | u32 length of the head | head, MessagePack | frames of u32 length | AES-256-GCM(zstd(record))

The file's key is random and stands in the head, sealed (HPKE) for the node's own exchange key and for the province's
recovery key. A frame's nonce is its number and whether it is the last; its associated data is the hash of the head.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from syncd import limits
from syncd.compress import compress, decompress
from syncd.errors import EnvelopeError, FileRefused, GrantUnreadable, KeyFileError
from syncd.language import say
from syncd.protocol.decoding import decoding
from syncd.security.hpke import open_key, seal_key
from syncd.system import refuse_library_file, translate_os_error

MAGIC = b"SYNCDBK1"
KEY_BYTES = 32
LENGTH_BYTES = 4
TAG_BYTES = 16
LAST_BACKUP_AT, LAST_BACKUP_PATH = "last_backup_at", "last_backup_path"  # what a database knows of its last one

Record = Sequence[Any]  # its first item says what it is


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands in clear: whose backup it is, and of when. `sealed`: the file's key, once per reader."""

    format: int
    node_id: str
    name: str
    unit_code: str
    unit_name: str
    made_ms: int
    dialect: str
    schema_revision: int
    database_revision: str
    sealed: list[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A backup whose key was found."""

    path: Path
    head: Head
    cipher: AESGCM
    bound: bytes  # to the head, of every frame
    start: int


def write(
    path: Path, head: Head, readers: Iterable[bytes], encoded: Iterable[bytes], random_bytes: Callable[[int], bytes]
) -> int:
    """Write a new file of records (see `encode`) and have it reach the disk; returns its size in bytes.

    Raises DiskFull and the like.
    """
    key = random_bytes(KEY_BYTES)
    sealed = msgspec.structs.replace(head, sealed=[seal_key(key, public, _info(head)) for public in readers])
    packed = msgspec.msgpack.encode(sealed)
    cipher, bound = AESGCM(key), sha256(packed).digest()
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(MAGIC + len(packed).to_bytes(LENGTH_BYTES, "big") + packed)
            for number, (plain, is_last) in enumerate(_with_last(encoded)):
                frame = len(plain).to_bytes(LENGTH_BYTES, "big") + compress(plain)
                closed = cipher.encrypt(_nonce(number, is_last), frame, bound)
                file.write(len(closed).to_bytes(LENGTH_BYTES, "big") + closed)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        raise translate_os_error(error, say("không ghi được {path}", "cannot write {path}", path=path)) from error


def encode(record: Record) -> bytes:
    """A record as it is written; at most `limits.PLAIN_BYTES_MAX` bytes."""
    return msgspec.msgpack.encode(record)


def read_head(path: Path) -> Head:
    """Whose backup this is. Raises FileRefused when it is none."""
    return _read_head(path)[0]


def open_file(path: Path, keys: Iterable[X25519PrivateKey]) -> Opened:
    """Find the file's key with one of `keys`. Raises KeyFileError when none of them is a reader's."""
    head, packed = _read_head(path)
    for private in keys:
        for sealed in head.sealed:
            try:
                key = open_key(sealed, private, _info(head))
            except GrantUnreadable:
                continue  # sealed for another reader
            return Opened(
                path=path, head=head, cipher=AESGCM(key), bound=sha256(packed).digest(),
                start=len(MAGIC) + LENGTH_BYTES + len(packed),
            )  # fmt: skip
    raise KeyFileError(
        say("khóa này không mở được bản sao lưu {path}", "this key does not open the backup {path}", path=path),
        say(
            "dùng exchange.key của chính máy đó, hoặc khóa phục hồi recovery.key của tỉnh: --key TỆP",
            "use that node's own exchange.key, or the province's recovery.key: --key FILE",
        ),
    )


def records(opened: Opened) -> Iterator[Record]:
    """The records in order; the last one is given only when the file ends behind it. Raises FileRefused."""
    path = opened.path
    try:
        refuse_library_file(path)
        with path.open("rb") as file:
            file.seek(opened.start)
            number, is_last = 0, False
            while not is_last:
                closed = _next_frame(file, path)
                frame, is_last = _unlock(opened, number, closed)
                if is_last and file.read(1):
                    raise _altered(path)
                yield _record(frame, path)
                number += 1
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error


def _read_head(path: Path) -> tuple[Head, bytes]:
    try:
        refuse_library_file(path)
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
            size = int.from_bytes(file.read(LENGTH_BYTES), "big")
            packed = file.read(size) if size <= limits.BACKUP_HEAD_BYTES_MAX else b""
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error
    try:
        if magic != MAGIC or len(packed) != size:
            raise ValueError
        with decoding("a backup's head", ""):
            return msgspec.msgpack.decode(packed, type=Head), packed
    except (EnvelopeError, ValueError) as error:
        raise FileRefused(
            say("{path} không phải bản sao lưu của syncd", "{path} is not a backup of syncd", path=path),
            say("nêu tệp do `syncd backup` ghi", "name a file that `syncd backup` has written"),
        ) from error


def _next_frame(file: BinaryIO, path: Path) -> bytes:
    size = int.from_bytes(file.read(LENGTH_BYTES), "big")
    if not TAG_BYTES < size <= limits.BACKUP_FRAME_BYTES_MAX:
        raise _altered(path)
    closed = file.read(size)
    if len(closed) != size:
        raise _altered(path)
    return closed


def _unlock(opened: Opened, number: int, closed: bytes) -> tuple[bytes, bool]:
    """A frame and whether it is the last; the file does not say which, the cipher does."""
    for is_last in (False, True):
        try:
            return opened.cipher.decrypt(_nonce(number, is_last), closed, opened.bound), is_last
        except InvalidTag:
            continue  # not that kind of frame
    raise _altered(opened.path)


def _altered(path: Path) -> FileRefused:
    return FileRefused(
        say("bản sao lưu {path} bị cắt ngắn hoặc bị sửa", "the backup {path} was cut short or altered", path=path),
        say(
            "chép lại tệp từ nơi lưu gốc, hoặc dùng bản sao lưu khác",
            "copy the file again from where it was written, or use another backup",
        ),
    )


def _record(frame: bytes, path: Path) -> Record:
    try:
        with decoding("a backup's record", ""):
            plain = decompress(frame[LENGTH_BYTES:], int.from_bytes(frame[:LENGTH_BYTES], "big"))
            return list(msgspec.msgpack.decode(plain))
    except EnvelopeError as error:
        raise _altered(path) from error


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(8, "big") + int(is_last).to_bytes(4, "big")


def _with_last(encoded: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each record and whether it is the last."""
    waiting: bytes | None = None
    for plain in encoded:
        if waiting is not None:
            yield waiting, False
        waiting = plain
    if waiting is not None:
        yield waiting, True


def _info(head: Head) -> bytes:
    return b"syncd backup v1" + uuid.UUID(head.node_id).bytes + head.made_ms.to_bytes(8, "big")


def described(head: Head) -> Mapping[str, Any]:
    """The head for JSON, without the sealed keys."""
    return {name: getattr(head, name) for name in head.__struct_fields__ if name not in ("sealed", "format")}
