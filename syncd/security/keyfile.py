"""Private keys of 32 bytes as PEM files (PKCS #8, RFC 8410), and the public key that is kept beside an offline one.

What enters: a path and a key's 32 bytes. What leaves: the same bytes, or `KeyFileError` that says which file and why.
What must hold: the file is one any other tool (`openssl pkey -in signing.key`) can read, and a key of another kind is
told apart.
The format is decoded here, because the general reader costs a daemon that only signs 28 ms and 4 MB at each start.
"""

import binascii
import re
from base64 import b64decode, b64encode
from pathlib import Path

from syncd.errors import KeyFileError
from syncd.language import Both, say
from syncd.security.limits import KEY_BYTES, KEY_FILE_BYTES_MAX
from syncd.system import read_secret_file, write_secret_file

ED25519 = "Ed25519"
X25519 = "X25519"

# SEQUENCE(46) { version 0, SEQUENCE { OID }, OCTET STRING { OCTET STRING(32) } }: RFC 8410, section 7.
_DER_HEADS = {
    ED25519: bytes.fromhex("302e020100300506032b657004220420"),
    X25519: bytes.fromhex("302e020100300506032b656e04220420"),
}
_PEM = re.compile(rb"\s*-----BEGIN PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")
_HINT = Both(
    "đặt lại đúng tệp của máy này từ bản sao lưu; không thể tạo lại khóa",
    "put this node's own file back from its backup; a key cannot be made again",
)


def write_private_key(path: Path, kind: str, raw: bytes) -> None:
    """Write `raw` as a key of `kind` (ED25519 or X25519), for this account alone. Refuses to overwrite a key."""
    refuse_overwrite(path)
    body = b64encode(_DER_HEADS[kind] + raw)
    write_secret_file(path, b"-----BEGIN PRIVATE KEY-----\n" + body + b"\n-----END PRIVATE KEY-----\n")


def read_private_key(path: Path, kind: str) -> bytes:
    """The 32 bytes of the key of `kind` in `path`."""
    found = _PEM.fullmatch(read_secret_file(path, KEY_FILE_BYTES_MAX))
    if found is None:
        raise KeyFileError(
            say("{path} không phải khóa riêng dạng PEM", "{path} is not a private key in PEM form", path=path),
            _HINT.here,
        )
    try:
        der = b64decode(b"".join(found[1].split()), validate=True)
    except binascii.Error as error:
        raise KeyFileError(
            say(
                "{path} bị hỏng: không giải mã được phần PEM",
                "{path} is damaged: its PEM body does not decode",
                path=path,
            ),
            _HINT.here,
        ) from error
    head, raw = der[:-KEY_BYTES], der[-KEY_BYTES:]
    if head != _DER_HEADS[kind]:
        names = [name for name, known in _DER_HEADS.items() if known == head]
        found_kind = f"{names[0]} key" if names else say("khóa loại khác", "another kind of key")
        raise KeyFileError(
            say(
                "{path} chứa {found}, không phải {kind}",
                "{path} holds {found}, not {kind}",
                path=path,
                found=found_kind,
                kind=kind,
            ),
            _HINT.here,
        )
    return raw


def refuse_overwrite(path: Path) -> None:
    """A key that is overwritten is lost for good, and with it what only it can open or sign."""
    if path.exists():
        raise KeyFileError(
            say("đã có {path}", "{path} exists already", path=path),
            say(
                "thư mục này đã là một máy; dùng máy đó, hoặc nêu thư mục trống",
                "this directory has an identity; use it, or name an empty directory",
            ),
        )
