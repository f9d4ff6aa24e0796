"""The files a node is born with, made step by step so that a power cut at any point leaves something to go on from.

Enters: a directory, a source of randomness. Leaves: keys, authority and certificate files.
Must hold: what has been used is never replaced. A file of a pair whose partner was never written has been used by
nobody and is made again; a key that is missing although its database exists is an error, not a reason for a new key.
"""

from __future__ import annotations

from pathlib import Path

from syncd.config import CONFIG_FILE, Config
from syncd.errors import KeyFileError
from syncd.language import say
from syncd.node_files import DATABASE_FILE
from syncd.security import authority, recovery
from syncd.security.authority import Authority
from syncd.security.enrol import TlsKeys
from syncd.security.identity import (
    DATABASE_KEY_FILE,
    EXCHANGE_KEY_FILE,
    SIGNING_KEY_FILE,
    DatabaseKey,
    NodeKeys,
    RandomBytes,
)
from syncd.security.names import ROOT_CERTIFICATE_FILE, TLS_CHAIN_FILE, TLS_KEY_FILE
from syncd.system import make_secret_directory, write_public_file

HUB_KEY_FILE = authority.ISSUER_KEY_FILE
# What a node is beside its database. The recovery key is not among them: it opens backups and lies elsewhere.
NODE_FILES = (
    SIGNING_KEY_FILE, EXCHANGE_KEY_FILE, DATABASE_KEY_FILE, TLS_KEY_FILE, TLS_CHAIN_FILE, ROOT_CERTIFICATE_FILE,
    authority.ROOT_KEY_FILE, authority.ISSUER_KEY_FILE, authority.ISSUER_CHAIN_FILE, recovery.RECOVERY_PUBLIC_FILE,
    CONFIG_FILE,
)  # fmt: skip
PUBLIC_FILES = frozenset({
    TLS_CHAIN_FILE, ROOT_CERTIFICATE_FILE, authority.ISSUER_CHAIN_FILE, recovery.RECOVERY_PUBLIC_FILE, CONFIG_FILE,
})  # fmt: skip


def ensure_keys(directory: Path, config: Config, random_bytes: RandomBytes) -> NodeKeys:
    """The node's keys and the database key, made where nothing has used them yet."""
    make_secret_directory(directory)
    if _drop_lone(directory, SIGNING_KEY_FILE, EXCHANGE_KEY_FILE):
        NodeKeys.generate(random_bytes).save(directory)
    if config.is_sqlite and config.encrypted and not (directory / DATABASE_KEY_FILE).exists():
        if (directory / DATABASE_FILE).exists():
            raise KeyFileError(
                say(
                    "thiếu {path}, nhưng đã có {database}",
                    "{path} is missing, but {database} exists",
                    path=directory / DATABASE_KEY_FILE,
                    database=DATABASE_FILE,
                ),
                say(
                    "đặt lại tệp khóa của chính cơ sở dữ liệu này từ bản sao lưu của máy",
                    "put this database's own key file back from the node's backup",
                ),
            )
        DatabaseKey.generate(random_bytes).save(directory)
    return NodeKeys.load(directory)


def ensure_root(directory: Path, node_id: str, now_s: int) -> None:
    """The root authority, the root node's own issuer and its TLS certificate."""
    if not (directory / authority.ISSUER_CHAIN_FILE).exists():
        if _drop_lone(directory, authority.ROOT_KEY_FILE, ROOT_CERTIFICATE_FILE):
            authority.save_root(authority.create_root(node_id, now_s), directory)
        root = authority.load_root(directory)
        (directory / HUB_KEY_FILE).unlink(missing_ok=True)  # without its chain it never issued anything
        key = authority.generate_tls_key()
        chain = authority.issue_hub(root, authority.make_request(key, node_id), node_id, now_s)
        authority.save_issuer(Authority.from_chain(key, chain), directory)
    if not (directory / TLS_CHAIN_FILE).exists():
        key = authority.generate_tls_key()
        chain = authority.issue(authority.load_issuer(directory), authority.make_request(key, node_id), node_id, now_s)
        authority.save_tls_key(key, directory / TLS_KEY_FILE)
        write_public_file(directory / TLS_CHAIN_FILE, chain.encode("ascii"))


def ensure_recovery(directory: Path, random_bytes: RandomBytes) -> bytes:
    """The public half of the recovery key; both halves are written at the first call."""
    if (directory / recovery.RECOVERY_PUBLIC_FILE).exists():
        return recovery.load_recovery_public(directory)
    (directory / recovery.RECOVERY_KEY_FILE).unlink(missing_ok=True)  # nothing was sealed for it yet
    return recovery.create_recovery(directory, random_bytes)


def new_tls_keys(config: Config) -> TlsKeys:
    """Keys for one join; they reach the disk together with the certificates made for them."""
    return TlsKeys(node=authority.generate_tls_key(), issuer=authority.generate_tls_key() if config.listen else None)


def save_joined(directory: Path, tls_keys: TlsKeys, chain_pem: str, issuer_pem: str | None, ca_pem: str) -> None:
    """Certificates of a join. Joining again replaces them: the parent knows the newest."""
    write_public_file(directory / ROOT_CERTIFICATE_FILE, ca_pem.encode("ascii"))
    if issuer_pem is not None and tls_keys.issuer is not None:
        (directory / HUB_KEY_FILE).unlink(missing_ok=True)
        authority.save_issuer(Authority.from_chain(tls_keys.issuer, issuer_pem), directory)
    authority.save_tls_key(tls_keys.node, directory / TLS_KEY_FILE)
    write_public_file(directory / TLS_CHAIN_FILE, chain_pem.encode("ascii"))


def _drop_lone(directory: Path, first: str, second: str) -> bool:
    """Whether a pair has to be made. A lone first file is the trace of a power cut while the pair was being written."""
    have_first, have_second = (directory / first).exists(), (directory / second).exists()
    if have_first and have_second:
        return False
    used = (directory / DATABASE_FILE).exists() or (directory / TLS_CHAIN_FILE).exists()
    if have_second or used:
        missing = first if have_second else second
        raise KeyFileError(
            say("thiếu tệp {path}", "{path} is missing", path=directory / missing),
            say("đặt lại đúng tệp của máy này từ bản sao lưu", "put this node's own file back from its backup"),
        )
    (directory / first).unlink(missing_ok=True)
    return True
