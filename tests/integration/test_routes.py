"""Who gets in: every route, with every kind of certificate, over real TLS against a running daemon."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from syncd import admission, limits, messages
from syncd.admission import TokenKind
from syncd.cli import program
from syncd.errors import Busy, JoinRefused
from syncd.messages import Pull
from syncd.net import http as routes
from syncd.security import authority, tls
from syncd.security.enrol import JoinRequest
from syncd.security.identity import NodeKeys
from syncd.security.names import tls_name
from syncd.security.tls import TlsFiles
from tests.nodes import Nodes, TestNode
from tests.waiting import until

CLOSED = (routes.HELLO, routes.PUSH, routes.PULL)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    made = Nodes(tmp_path_factory.mktemp("routes"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def root(nodes: Nodes) -> TestNode:
    return nodes.root()


@pytest.fixture(scope="module")
def district(nodes: Nodes, root: TestNode) -> TestNode:
    return nodes.joined(root, "03", TokenKind.HUB)


def ask(
    root: TestNode, context: ssl.SSLContext, path: str, body: bytes = b"", server_name: str = ""
) -> tuple[int, list[str]]:
    """POST with a context of the test's; status and the error's code and text."""
    host, port = root.address.removeprefix("https://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.connect()
    name = server_name or tls_name(root.opened().node.node_id)
    connection.sock = context.wrap_socket(connection.sock, server_hostname=name)
    try:
        connection.request("POST", path, body)
        reply = connection.getresponse()
        data = reply.read()
        return reply.status, [] if reply.status == 200 else msgspec.msgpack.decode(data)
    finally:
        connection.close()


def certificate(tmp_path: Path, ca: TestNode, issuer: authority.Authority, node_id: str) -> ssl.SSLContext:
    """A context with a certificate made for the test."""
    key = authority.generate_tls_key()
    chain = authority.issue(issuer, authority.make_request(key, node_id), node_id, ca.opened().node.clock() // 1000)
    authority.save_tls_key(key, tmp_path / "tls.key")
    (tmp_path / "tls.crt").write_text(chain)
    (tmp_path / "ca.crt").write_bytes((ca.directory / "ca.crt").read_bytes())
    return tls.client_context(TlsFiles.in_directory(tmp_path))


@pytest.mark.parametrize("path", CLOSED)
def test_closed_route_refuses_without_a_certificate(root: TestNode, path: str) -> None:
    status, error = ask(root, tls.join_context((root.directory / "ca.crt").read_text()), path)
    assert (status, error[0]) == (403, "WrongPeer")
    assert "no certificate" in error[1]


@pytest.mark.parametrize("path", CLOSED)
def test_closed_route_refuses_a_node_nobody_enrolled(root: TestNode, tmp_path: Path, path: str) -> None:
    stranger = NodeKeys.generate(os.urandom).node_id
    context = certificate(tmp_path, root, authority.load_issuer(root.directory), stranger)
    status, error = ask(root, context, path)
    assert (status, error[0]) == (403, "WrongPeer")
    assert "not enrolled below this node" in error[1]


@pytest.mark.parametrize("path", CLOSED)
def test_closed_route_refuses_what_another_hub_issued(
    root: TestNode, district: TestNode, tmp_path: Path, path: str
) -> None:
    """TLS accepts it, since it leads to the root; yet a district must not make certificates for a commune of another
    parent.
    """
    child = district.opened().node.node_id
    context = certificate(tmp_path, root, authority.load_issuer(district.directory), child)
    status, error = ask(root, context, path)
    assert (status, error[0]) == (403, "WrongPeer")
    assert "another node's authority" in error[1]


@pytest.mark.parametrize("path", CLOSED)
def test_closed_route_refuses_an_older_certificate_of_an_enrolled_node(
    root: TestNode, district: TestNode, tmp_path: Path, path: str
) -> None:
    child = district.opened().node.node_id
    context = certificate(tmp_path, root, authority.load_issuer(root.directory), child)
    status, error = ask(root, context, path)
    assert (status, error[0]) == (403, "WrongPeer")
    assert "another certificate since" in error[1]


@pytest.mark.parametrize("path", [*CLOSED, routes.JOIN, routes.CA])
def test_every_route_refuses_a_foreign_certificate_in_the_handshake(root: TestNode, tmp_path: Path, path: str) -> None:
    mine = NodeKeys.generate(os.urandom).node_id
    foreign = authority.create_root(mine, root.opened().node.clock() // 1000)
    context = certificate(tmp_path, root, foreign, mine)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(root, context, path)


def test_enrolled_certificate_is_let_in(root: TestNode, district: TestNode) -> None:
    context = tls.client_context(TlsFiles.in_directory(district.directory))
    status, error = ask(root, context, routes.HELLO, b"\xc0")
    assert (status, error[0]) == (400, "Altered"), "past the certificate, the message itself is refused"


def test_unknown_route_does_not_exist(root: TestNode, district: TestNode) -> None:
    context = tls.client_context(TlsFiles.in_directory(district.directory))
    host, port = root.address.removeprefix("https://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.connect()
    connection.sock = context.wrap_socket(connection.sock, server_hostname=tls_name(root.opened().node.node_id))
    connection.request("GET", "/v1/other")
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize("path", [*CLOSED, routes.JOIN])
def test_too_large_body_is_refused_before_it_is_read(root: TestNode, district: TestNode, path: str) -> None:
    context = tls.client_context(TlsFiles.in_directory(district.directory))
    host, port = root.address.removeprefix("https://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.connect()
    connection.sock = context.wrap_socket(connection.sock, server_hostname=tls_name(root.opened().node.node_id))
    connection.putrequest("POST", path)
    connection.putheader("content-length", str(1 << 40))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_every_closed_route_refuses_a_revoked_station(nodes: Nodes, root: TestNode) -> None:
    """At once, also the question that was waiting for an answer when the order came; and it cannot join again."""
    station = nodes.joined(root, "01")
    context = tls.client_context(TlsFiles.in_directory(station.directory))
    assert ask(root, context, routes.HELLO, b"\xc0")[0] == 400
    pull = messages.encode(Pull([], [], None, 20_000, 0, 0, 0, []))
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(ask, root, context, routes.PULL, pull)
        code = program.run(["replace", "01", "--to", "self", "--stolen", "--dir", str(root.directory)])
        assert code == 0
        until(lambda: ask(root, context, routes.HELLO)[0] == 403, "the order has come to the daemon")
        status, _error = answer.result()
        assert status in (200, 403)  # what was ready before the order; never anything after it
    for path in CLOSED:
        status, error = ask(root, context, path, pull)
        assert (status, error[0]) == (403, "WrongPeer")
        assert "not enrolled" in error[1]
    node_id = station.opened().node.node_id
    request = JoinRequest(secret=b"", node_id=node_id, ed25519_public=bytes(32), x25519_public=bytes(32), csr=b"",
                          issuer_csr=None, name="station", proof=b"")  # fmt: skip
    at = root.opened().node
    at.reread_tree()
    unit = str(root.value("SELECT home_unit_id FROM node WHERE node_id = ?", node_id))
    with root.opened().store.write("admit") as tx, pytest.raises(JoinRefused, match="revoked"):
        admission._record(tx, at, request, unit, 1)


def test_one_large_question_of_a_child_at_a_time_and_small_ones_beside_it(root: TestNode, district: TestNode) -> None:
    """The first is never finished: a child holds its own place alone."""
    context = tls.client_context(TlsFiles.in_directory(district.directory))
    now = root.opened().node.clock()
    small = messages.encode(messages.Hello(1, 1, 1, now, [], 0, 0))
    positions = [messages.Position(os.urandom(16), 1, os.urandom(32)) for _ in range(limits.SMALL_QUESTION_BYTES // 50)]
    large = messages.encode(messages.Hello(1, 1, 1, now, positions, 0, 0))
    assert len(large) > limits.SMALL_QUESTION_BYTES
    host, port = root.address.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), 60) as plain:
        name = tls_name(root.opened().node.node_id)
        held = context.wrap_socket(plain, server_hostname=name)
        head = f"POST {routes.HELLO} HTTP/1.1\r\nhost: syncd\r\ncontent-length: {len(large)}\r\n"
        held.sendall(f"{head}expect: 100-continue\r\n\r\n".encode())
        assert held.recv(100).startswith(b"HTTP/1.1 100")  # its body is being waited for
        assert ask(root, context, routes.HELLO, small)[0] == 200
        status, error = ask(root, context, routes.HELLO, large)
        assert (status, error[0]) == (503, "Busy")
        assert isinstance(routes.decode_error(status, msgspec.msgpack.encode(error), "parent"), Busy)
        held.sendall(large)
        assert held.recv(100).startswith(b"HTTP/1.1 200")
        held.close()
    assert ask(root, context, routes.HELLO, large)[0] == 200


def test_kept_connection_is_refused_once_its_certificate_is_not_the_newest(root: TestNode, district: TestNode) -> None:
    """A pull on a connection that was a child's before is checked before it is answered."""
    pull = messages.encode(Pull([], [], None, 0, 0, 0, 0, []))
    node_id = district.opened().node.node_id
    host, port = root.address.removeprefix("https://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.connect()
    context = tls.client_context(TlsFiles.in_directory(district.directory))
    connection.sock = context.wrap_socket(connection.sock, server_hostname=tls_name(root.opened().node.node_id))
    newest = root.value("SELECT certificate_sha256 FROM syncd_peer WHERE node_id = ?", node_id)
    answers = []
    try:
        for fingerprint in (newest, bytes(32)):
            with root.opened().store.apply("certificate") as tx:
                tx.run("UPDATE syncd_peer SET certificate_sha256 = ? WHERE node_id = ?", (fingerprint, node_id))
            connection.request("POST", routes.PULL, pull)
            reply = connection.getresponse()
            reply.read()
            answers.append(reply.status)
    finally:
        connection.close()
        with root.opened().store.apply("certificate") as tx:
            tx.run("UPDATE syncd_peer SET certificate_sha256 = ? WHERE node_id = ?", (newest, node_id))
    assert answers == [200, 403]
