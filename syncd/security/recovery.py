"""The province's recovery key: reads every stream, and lies offline. What enters: the directory of `init`. What
leaves: the public half.

What must hold: the private file is written once, at init, to be carried to a safe; the daemon only ever needs
`recovery.pub`.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from syncd.errors import KeyFileError
from syncd.language import say
from syncd.security.identity import RandomBytes
from syncd.security.keyfile import X25519, read_private_key, write_private_key
from syncd.security.limits import KEY_BYTES
from syncd.system import make_secret_directory, translate_os_error, write_public_file

RECOVERY_KEY_FILE = "recovery.key"
RECOVERY_PUBLIC_FILE = "recovery.pub"


def create_recovery(directory: Path, random_bytes: RandomBytes = os.urandom) -> bytes:
    """Write recovery.key (to be moved offline) and recovery.pub (64 hex digits, stays); returns the 32 public bytes."""
    make_secret_directory(directory)
    private = X25519PrivateKey.from_private_bytes(random_bytes(KEY_BYTES))
    write_private_key(directory / RECOVERY_KEY_FILE, X25519, private.private_bytes_raw())
    public = private.public_key().public_bytes_raw()
    write_public_file(directory / RECOVERY_PUBLIC_FILE, f"{public.hex()}\n".encode("ascii"))
    return public


def load_recovery_public(directory: Path) -> bytes:
    """The 32 public bytes kept beside the node's keys."""
    path = directory / RECOVERY_PUBLIC_FILE
    try:
        public = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error
    except ValueError as error:
        raise KeyFileError(
            say("{path} không phải 64 chữ số thập lục phân", "{path} is not 64 hexadecimal digits", path=path),
            say("đặt lại tệp của máy này từ bản sao lưu", "put the file of this node back from its backup"),
        ) from error
    if len(public) != KEY_BYTES:
        raise KeyFileError(
            say(
                "{path} có {size} byte, không phải {wanted}",
                "{path} holds {size} bytes, not {wanted}",
                path=path,
                size=len(public),
                wanted=KEY_BYTES,
            ),
            say("đặt lại tệp từ bản sao lưu của nó", "put the file back from its backup"),
        )
    return public


def load_recovery_key(path: Path) -> X25519PrivateKey:
    """The private half, from wherever it was brought back to."""
    return X25519PrivateKey.from_private_bytes(read_private_key(path, X25519))
