"""Builders for the security tests: a root, a district below it, a commune below that, and a TLS handshake in memory.

What enters: a directory and a time. What leaves: real keys, certificates and files; nothing is faked but the wire.
"""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from syncd.security import authority
from syncd.security.authority import Authority
from syncd.security.identity import NodeKeys
from syncd.security.tls import TlsFiles
from syncd.system import write_public_file

NOW_S = int(time.time())
DAY_S = 24 * 3600
HANDSHAKE_ROUNDS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Root authority, the root node's own issuer, and a district's issuer below that."""

    root_keys: NodeKeys
    district_keys: NodeKeys
    root: Authority
    root_issuer: Authority
    district_issuer: Authority

    @property
    def ca_pem(self) -> str:
        return self.root.certificate_pem


def make_tree(now_s: int = NOW_S) -> Tree:
    root_keys, district_keys = NodeKeys.generate(), NodeKeys.generate()
    root = authority.create_root(root_keys.node_id, now_s)
    root_issuer = make_issuer(root, root_keys.node_id, now_s)
    return Tree(
        root_keys=root_keys,
        district_keys=district_keys,
        root=root,
        root_issuer=root_issuer,
        district_issuer=make_issuer(root_issuer, district_keys.node_id, now_s),
    )


def make_issuer(above: Authority, node_id: str, now_s: int = NOW_S) -> Authority:
    key = authority.generate_tls_key()
    return Authority.from_chain(key, authority.issue_hub(above, authority.make_request(key, node_id), node_id, now_s))


def make_files(
    directory: Path, issuer: Authority, ca_pem: str, node_id: str, now_s: int = NOW_S, valid_days: int = 365
) -> TlsFiles:
    """The TLS files of a node whose certificate `issuer` made."""
    files = TlsFiles.in_directory(directory)
    key = authority.generate_tls_key()
    authority.save_tls_key(key, files.key)
    chain = authority.issue(issuer, authority.make_request(key, node_id), node_id, now_s, valid_days)
    write_public_file(files.chain, chain.encode("ascii"))
    write_public_file(files.ca, ca_pem.encode("ascii"))
    return files


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaken:
    """Both ends after the handshake: the error of each, or None, and the certificate the server saw (DER)."""

    client_error: ssl.SSLError | None
    server_error: ssl.SSLError | None
    client_certificate: bytes | None
    server_certificate: bytes | None
    session: ssl.SSLSession | None
    resumed: bool


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None
) -> Shaken:
    """A real TLS handshake over memory, then a read by the client: in TLS 1.3 it learns of a refusal only then."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    client_done, server_done = False, False
    client_error: ssl.SSLError | None = None
    server_error: ssl.SSLError | None = None
    for _ in range(HANDSHAKE_ROUNDS_MAX):
        if not client_done:
            client_done, client_error = _step(client_end)
        if not server_done:
            server_done, server_error = _step(server_end)
    if client_error is None:
        client_error = _read_refusal(client_end)
    return Shaken(
        client_error=client_error,
        server_error=server_error,
        client_certificate=None if server_error or client_error else server_end.getpeercert(binary_form=True),
        server_certificate=None if server_error or client_error else client_end.getpeercert(binary_form=True),
        session=client_end.session,
        resumed=bool(client_end.session_reused),
    )


def _step(end: ssl.SSLObject) -> tuple[bool, ssl.SSLError | None]:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False, None
    except ssl.SSLError as error:
        return True, error
    return True, None


def _read_refusal(end: ssl.SSLObject) -> ssl.SSLError | None:
    try:
        end.read(1)
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLError as error:
        return error
    return None
