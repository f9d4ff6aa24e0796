"""Whoever asks to join without a good token costs next to nothing, and keeps nobody else out."""

from __future__ import annotations

import dataclasses
import http.client
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from syncd import limits
from syncd.net import http as routes
from syncd.security import authority, enrol, tls
from syncd.security.identity import NodeKeys
from syncd.security.names import tls_name
from syncd.security.token import Token, decode_token
from tests.nodes import Nodes, TestNode

LOG_BYTES_EACH = 400


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestNode]:
    nodes = Nodes(tmp_path_factory.mktemp("guesses"))
    yield nodes.root()
    nodes.close()


def ask(root: TestNode, bodies: Sequence[bytes]) -> list[tuple[int, str]]:
    """The answers' status and code, over connections of their own: after an error it is closed."""
    host, port = root.address.removeprefix("https://").split(":")
    context = tls.join_context((root.directory / "ca.crt").read_text())
    name = tls_name(root.opened().node.node_id)
    found = []
    for body in bodies:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.connect()
        connection.sock = context.wrap_socket(connection.sock, server_hostname=name)
        connection.request("POST", routes.JOIN, body)
        reply = connection.getresponse()
        data = reply.read()
        found.append((reply.status, "" if reply.status == 200 else msgspec.msgpack.decode(data)[0]))
        connection.close()
    return found


def request(token: Token, secret: bytes | None = None) -> bytes:
    """A station's request, right but perhaps for its secret."""
    keys = TLS_KEYS if secret is not None else enrol.TlsKeys(node=authority.generate_tls_key(), issuer=None)
    shown = token if secret is None else dataclasses.replace(token, secret=secret)
    return enrol.encode_request(enrol.build_request(shown, NodeKeys.generate(os.urandom), keys, "station"))


TLS_KEYS = enrol.TlsKeys(node=authority.generate_tls_key(), issuer=None)


def garbage(token: Token) -> dict[str, bytes]:
    good = msgspec.msgpack.encode((token.secret, "n" * 36, bytes(32), bytes(32), b"c", None, "name", b"p"))
    return {
        "nothing": b"", "no array": b"\xc0", "bad UTF-8": good.replace(b"name", b"\xff\xfe\xff\xfe"),
        "no proof": good, "nested": b"\x91" * 5000, "another array": b"\x97" + good[1:], "cut": good[:30],
        "behind a wrong secret": good.replace(token.secret, bytes(16))[:19] + b"\xff" * 1000,
        "a name of controls": good.replace(b"name", b"\x1b[2J"),
    }  # fmt: skip


def test_garbage_is_refused_without_a_traceback_or_a_long_log(root: TestNode) -> None:
    token = decode_token(root.token("01"))
    before = len(root.log)
    bodies = garbage(token)
    answers = dict(zip(bodies, ask(root, list(bodies.values())), strict=True))
    assert {status for status, _code in answers.values()} <= {400, 403}
    assert answers["behind a wrong secret"] == (403, "TokenMalformed"), (
        "the secret is looked up before the rest is read"
    )
    said = root.log[before:]
    assert "Traceback" not in said
    assert " bug " not in said
    assert len(said) < LOG_BYTES_EACH * len(bodies)


def test_a_flood_of_guesses_is_not_logged_and_keeps_no_station_out(root: TestNode) -> None:
    token = decode_token(root.token("02"))
    guesses = [request(token, os.urandom(16)) for _ in range(4)] * 25
    answers = ask(root, guesses)
    assert {code for _status, code in answers} == {"TokenMalformed", "TooMany"}
    assert answers.count((503, "TooMany")) > len(guesses) / 2
    before = len(root.log)
    assert set(ask(root, guesses[: limits.JOIN_FAILURES_MAX])) <= {(503, "TooMany"), (403, "TokenMalformed")}
    assert len(root.log) - before < 10 * LOG_BYTES_EACH
    assert root.log.count("join-flood") >= 1
    assert ask(root, [request(token)]) == [(200, "")]


def test_one_token_and_twelve_stations_at_once_have_one_winner(root: TestNode) -> None:
    token = decode_token(root.token("04"))
    bodies = [request(token) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = [answer for found in pool.map(lambda body: ask(root, [body]), bodies) for answer in found]
    assert sorted(status for status, _code in answers)[0] == 200
    assert [status for status, _code in answers].count(200) == 1
    assert {code for status, code in answers if status != 200} <= {"TokenUsed", "TooMany"}
    assert root.value("SELECT count(*) FROM syncd_peer WHERE name = 'station' AND role = 'child'") == 2
