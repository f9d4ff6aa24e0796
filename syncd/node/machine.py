"""What a node's machine and files say, beside its database: space on the disk, rights, keys that are
not as they were made, how long certificates hold.

Enters: a node's directory. Leaves: figures for a screen. Must hold: nothing is written or opened that a database
library has open; what cannot be read is said to be unreadable, never left out.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from syncd.clock import instant_of
from syncd.errors import ConfigError, KeyFileError, SyncdError
from syncd.language import say
from syncd.security.keyfile import ED25519, X25519, read_private_key
from syncd.security.limits import KEY_FILE_BYTES_MAX
from syncd.security.names import (
    EXCHANGE_KEY_FILE,
    ISSUER_CHAIN_FILE,
    ISSUER_KEY_FILE,
    ROOT_CERTIFICATE_FILE,
    ROOT_KEY_FILE,
    SIGNING_KEY_FILE,
    TLS_CHAIN_FILE,
    TLS_KEY_FILE,
)
from syncd.security.validity import validities
from syncd.system import is_read_only_disk, read_secret_file

DATABASE_FILES = ("syncd.db", "syncd.db-wal", "syncd.db-shm")
CHAIN_BYTES_MAX = 64 * 1024
# Keys of TLS are read by a library that a screen does not load: their frame and their letters are looked at.
_PEM_KEY = re.compile(rb"\s*-----BEGIN ([A-Z ]*PRIVATE KEY)-----(.+?)-----END \1-----\s*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A file of certificates: when the first to begin has begun and the first to end ends; None: unreadable."""

    file: str
    begins_s: float | None
    ends_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`free_bytes`: on the node's disk, None where it cannot be asked. `unwritable`: what this account cannot write.
    `unusable`: what is wrong with a file without which the node cannot start or exchange, and what to do.
    """

    free_bytes: int | None = None
    unwritable: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    unusable: tuple[str, ...] = ()


def machine(directory: Path, *, is_sqlite: bool) -> Machine:
    """As it is now."""
    try:
        free_bytes = shutil.disk_usage(directory).free
    except OSError:
        free_bytes = None
    names = DATABASE_FILES if is_sqlite else ()
    paths = [directory, *(path for name in names if os.path.lexists(path := directory / name))]
    return Machine(
        free_bytes=free_bytes,
        unwritable=tuple(str(path) for path in paths if not _is_writable(path)),
        certificates=certificates(directory),
        unusable=unusable(directory),
    )


def certificates(directory: Path) -> tuple[Certificate, ...]:
    """Those of a node, whatever they are worth."""
    names = (TLS_CHAIN_FILE, ISSUER_CHAIN_FILE, ROOT_CERTIFICATE_FILE)
    return tuple(_certificate(directory / name) for name in names if os.path.lexists(directory / name))


def require_begun(directory: Path, now_s: float) -> None:
    """Raises ConfigError where this node's own certificates are not valid yet: nobody could join it."""
    for each in certificates(directory):
        if each.begins_s is not None and each.begins_s > now_s:
            raise ConfigError(
                say(
                    "chứng thư {file} của chính máy này đến {when} mới có hiệu lực, nên không máy nào gia nhập được",
                    "this machine's own certificate {file} is not valid before {when}, so that nobody can join",
                    file=each.file,
                    when=instant_of(int(each.begins_s * 1000)),
                ),
                say(
                    "đồng hồ máy này chậm thì chỉnh lại; nếu đúng, máy đã được tạo khi đồng hồ chạy nhanh: dời thư mục"
                    " này đi và tạo lại bằng syncd init",
                    "is this clock behind? Set it. Right? Then the machine was made while it was ahead: move this"
                    " directory away and make it anew with syncd init",
                ),
            )


def unusable(directory: Path) -> tuple[str, ...]:
    """What is wrong with keys, and which certificates are missing; those that cannot be read are in `certificates`. The
    authority's own key may lie elsewhere, and only a node with children has the pair that issues.
    """
    names = [SIGNING_KEY_FILE, EXCHANGE_KEY_FILE, TLS_KEY_FILE, TLS_CHAIN_FILE, ROOT_CERTIFICATE_FILE]
    pair = (ISSUER_KEY_FILE, ISSUER_CHAIN_FILE)
    names += pair if any(os.path.lexists(directory / name) for name in pair) else ()
    names += [ROOT_KEY_FILE] if os.path.lexists(directory / ROOT_KEY_FILE) else ()
    found = []
    for name in names:
        try:
            _require_usable(directory / name)
        except SyncdError as error:
            found.append(say("{what} — {then}", "{what} — {then}", what=error.message, then=error.hint))
    return tuple(found)


def _require_usable(path: Path) -> None:
    """Raises what the daemon would raise at its start, as far as this is seen without its libraries."""
    hint = say("đặt lại đúng tệp của máy này từ bản sao lưu", "put this node's own file back from its backup")
    if path.name in (TLS_CHAIN_FILE, ROOT_CERTIFICATE_FILE, ISSUER_CHAIN_FILE):
        if not os.path.lexists(path):
            raise KeyFileError(say("thiếu tệp {path}", "{path} is missing", path=path), hint)
    elif path.name in (SIGNING_KEY_FILE, EXCHANGE_KEY_FILE):
        read_private_key(path, ED25519 if path.name == SIGNING_KEY_FILE else X25519)
    elif not _is_pem_key(read_secret_file(path, KEY_FILE_BYTES_MAX)):
        raise KeyFileError(
            say("{path} không phải khóa riêng dạng PEM", "{path} is not a private key in PEM form", path=path), hint
        )


def _is_pem_key(data: bytes) -> bool:
    found = _PEM_KEY.fullmatch(data)
    try:
        return found is not None and bool(base64.b64decode(b"".join(found[2].split()), validate=True))
    except ValueError:
        return False


def _is_writable(path: Path) -> bool:
    try:
        effective = os.access in os.supports_effective_ids
        return os.access(path, os.W_OK, effective_ids=effective) and not is_read_only_disk(path)
    except OSError:
        return False


def _certificate(path: Path) -> Certificate:
    try:
        with path.open("rb") as file:
            found = validities(file.read(CHAIN_BYTES_MAX).decode("ascii"))
    except (OSError, ValueError):
        return Certificate(file=path.name, begins_s=None, ends_s=None)
    return Certificate(
        file=path.name, begins_s=max(begin for begin, _ in found), ends_s=min(end for _, end in found)
    )  # fmt: skip
