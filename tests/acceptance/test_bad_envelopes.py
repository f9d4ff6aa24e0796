"""Bad envelopes over HTTP, sent with a real certificate of an enrolled commune to the province's daemon: truncated,
altered, replayed, foreign, with a gap, of a newer schema. Each answer names what is wrong, nothing of it is taken, and
the next exchange delivers every row once.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from schema.tables import SCHEMA_REVISION
from syncd import applying, enrolment, own_streams
from syncd.config import Config
from syncd.framing import frame
from syncd.messages import Push, PushReply, decode, encode
from syncd.net import http as routes
from syncd.node_files import open_node
from syncd.security import tls
from syncd.security.names import tls_name
from syncd.security.tls import TlsFiles
from tests.acceptance.pairs import SPARE, Pair
from tests.waiting import until


@pytest.fixture
def typed(pair: Pair) -> Pair:
    """A running province, and two groups at the commune that are sealed but not sent."""
    pair.province.start()
    pair.sync()
    for _ in range(2):
        pair.type(2)
        seal(pair)
    return pair


def test_truncated_envelope_is_refused_whole(typed: Pair) -> None:
    status, error = push(typed, [envelopes(typed)[0][:-30]])
    assert (status, error[0]) == (400, "Truncated"), error
    nothing_came(typed)
    typed.finish()


def test_altered_envelope_is_refused_by_name(typed: Pair) -> None:
    good = envelopes(typed)[0]
    altered = good[:-5] + bytes([good[-5] ^ 1]) + good[-4:]
    reply = pushed(typed, [altered])
    assert [refusal.code for refusal in reply.refused] == ["refused"]
    nothing_came(typed)
    typed.finish()


def test_envelope_behind_a_gap_waits_for_the_one_before(typed: Pair) -> None:
    reply = pushed(typed, envelopes(typed)[1:])
    assert [refusal.code for refusal in reply.refused] == ["later"]
    nothing_came(typed)
    typed.finish()


def test_replayed_envelopes_change_nothing(typed: Pair) -> None:
    typed.finish()
    before = typed.province.rows("SELECT stream_id, held_seq FROM syncd_stream ORDER BY stream_id")
    for _ in range(3):
        assert pushed(typed, envelopes(typed)).refused == []
    assert typed.province.rows("SELECT stream_id, held_seq FROM syncd_stream ORDER BY stream_id") == before
    typed.finish()


def test_stream_of_another_commune_is_refused(typed: Pair) -> None:
    """The neighbour's register, rightly signed by its keeper, in the wrong hands."""
    directory = typed.tree.folder / SPARE
    enrolment.join(directory, typed.spare_token, Config())
    spare = typed.tree.adopt(directory)
    spare.start()
    typed.tree.keeps(spare)
    spare.stop()
    assert spare.command("sql", "INSERT INTO household (number, kind) VALUES ('7', 'family')").returncode == 0
    opened = open_node(directory)
    opened.node.write()
    with opened.store.read() as tx:
        foreign = [bytes(row[0]) for row in tx.all(REGISTER_LOG)]
    opened.close()
    reply = pushed(typed, foreign)
    assert [refusal.code for refusal in reply.refused] == ["refused"]
    assert "has no part in stream" in reply.refused[0].text
    assert typed.province.one("SELECT count(*) FROM household WHERE number = '7'") == 0
    assert spare.command("sync", "--once").returncode == 0
    until(
        lambda: typed.province.one("SELECT count(*) FROM household WHERE number = '7'") == 1, "it comes the right way"
    )
    typed.finish()


def test_garbage_between_the_frames_is_refused(typed: Pair) -> None:
    status, _error = push(typed, [b"\x00" * 64])
    assert status == 400
    nothing_came(typed)
    typed.finish()


def test_newer_schema_waits_visibly_and_is_applied_after_the_upgrade(
    typed: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed.finish()
    newer = SCHEMA_REVISION + 1
    with monkeypatch.context() as patch:
        patch.setattr(own_streams, "SCHEMA_REVISION", newer)  # the commune was upgraded before its parent
        typed.type(1)
        seal(typed)
    typed.sync()
    until(lambda: "waiting" in states(typed), "the province says that the stream waits")
    shown = typed.province.command("status").stdout
    assert "upgrade syncd on this node" in shown, shown
    assert typed.province.command("status", "--check").returncode == 1
    typed.province.stop()
    with monkeypatch.context() as patch:
        patch.setattr(applying, "SCHEMA_REVISION", newer)  # the province is upgraded
        opened = open_node(typed.province.directory)
        assert opened.node.apply_all().applied
        opened.close()
    typed.finish()


REGISTER_LOG = (
    "SELECT l.envelope FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id"
    " WHERE s.own = 1 AND s.kind = 1 AND l.seq > s.parent_seq ORDER BY l.seq"
)


def seal(pair: Pair) -> None:
    opened = open_node(pair.commune.directory)
    opened.node.write()
    opened.close()


def envelopes(pair: Pair) -> list[bytes]:
    """The commune's register log: what the parent lacks, or all of it when it lacks nothing."""
    found = pair.commune.rows(REGISTER_LOG) or pair.commune.rows(REGISTER_LOG.replace(" AND l.seq > s.parent_seq", ""))
    return [bytes(row[0]) for row in found]


def nothing_came(pair: Pair) -> None:
    assert pair.province.one("SELECT count(*) FROM household") == 0


def states(pair: Pair) -> set[str]:
    return {row[0] for row in pair.province.rows("SELECT state FROM syncd_stream")}


def pushed(pair: Pair, found: Sequence[bytes]) -> PushReply:
    status, reply = push(pair, found)
    assert status == 200, reply
    assert isinstance(reply, PushReply)
    return reply


def push(pair: Pair, found: Sequence[bytes]) -> tuple[int, Any]:
    """One push with the commune's certificate; status and reply, or the error's code, text and remedy."""
    host, _, port = pair.province.address.removeprefix("https://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.connect()
    context = tls.client_context(TlsFiles.in_directory(pair.commune.directory))
    connection.sock = context.wrap_socket(connection.sock, server_hostname=tls_name(pair.province.node_id))
    try:
        connection.request("POST", routes.PUSH, routes.prefixed(encode(Push(0)), b"".join(map(frame, found))))
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return answer.status, decode(body, PushReply) if answer.status == 200 else msgspec.msgpack.decode(body)
