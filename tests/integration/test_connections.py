"""Connections against a running daemon: silent ones, too many of them, and a process without descriptors."""

from __future__ import annotations

import gc
import os
import re
import resource
import socket
import ssl
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from syncd import limits
from syncd.errors import SyncdError
from syncd.net import http as routes
from syncd.security import tls
from syncd.security.names import tls_name
from syncd.security.tls import TlsFiles
from syncd.store.base import Store
from syncd.store.sqlite import SqliteStore
from syncd.vitals import Vitals
from syncd.workers import Life, Writer
from tests.nodes import Nodes, TestNode
from tests.waiting import until

HALF_HEAD = b"GET /v1/ca HTTP/1.1\r\nX-"
HALF_HANDSHAKE = b"\x16\x03\x01"
HALF_BODY = b"POST /v1/join HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\nx"
SHORT = "HEAD_S_MAX=1.5 BODY_STALL_S_MAX=1.5 HANDSHAKE_S_MAX=3 STRANGER_KEEP_ALIVE_S=1"
DESCRIPTORS = 128
CROWD = 200


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    made = Nodes(tmp_path_factory.mktemp("connections"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def root(nodes: Nodes) -> TestNode:
    """A running root with short deadlines and few descriptors."""
    made = nodes.root()
    made.stop()
    made.start(LIMITS=SHORT, DESCRIPTORS=str(DESCRIPTORS))
    return made


@pytest.fixture(scope="module")
def child(nodes: Nodes, root: TestNode) -> TestNode:
    made = nodes.joined(root, "01")
    made.start()
    until(lambda: made.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the child knows what it keeps")
    return made


def place_of(node: TestNode) -> tuple[str, int]:
    host, port = node.address.removeprefix("https://").split(":")
    return host, int(port)


def connect(parent: TestNode, child: TestNode | None = None) -> ssl.SSLSocket:
    """A connection with all of TLS done, as a child or as nobody."""
    context = tls.probe_context() if child is None else tls.client_context(TlsFiles.in_directory(child.directory))
    name = tls_name(parent.opened().node.node_id)
    return context.wrap_socket(socket.create_connection(place_of(parent), 30), server_hostname=name)


def ask(connection: ssl.SSLSocket, path: str = routes.CA) -> bytes:
    """One question on a connection that is kept; the answer's status, and all that came with it."""
    head = f"{'GET' if path == routes.CA else 'POST'} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    connection.sendall(head.encode())
    reply = b""
    while b"\r\n\r\n" not in reply:
        data = connection.recv(65_536)
        if not data:
            return reply
        reply += data
    length = int(re.findall(rb"content-length: (\d+)", reply)[0])
    while len(reply.partition(b"\r\n\r\n")[2]) < length:
        reply += connection.recv(65_536)
    return reply.split(b" ")[1]


def is_ended(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection; waits for it."""
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("said", [b"", HALF_HEAD, HALF_BODY], ids=["nothing", "half a head", "half a body"])
def test_connection_that_asks_nothing_whole_is_ended(root: TestNode, said: bytes) -> None:
    with connect(root) as connection:
        connection.sendall(said)
        while not is_ended(connection):
            pass  # an answer says why before


def test_handshake_that_does_not_go_on_is_ended(root: TestNode) -> None:
    with socket.create_connection(place_of(root), 30) as connection:
        connection.sendall(HALF_HANDSHAKE)
        assert is_ended(connection)


def test_answered_stranger_does_not_keep_its_connection(root: TestNode) -> None:
    with connect(root) as stranger:
        assert ask(stranger) == b"200"
        assert is_ended(stranger)


@contextmanager
def crowd(parent: TestNode, number: int) -> Iterator[list[socket.socket]]:
    """Connections that hold what they can without proving anything: after TLS, within it, before it."""
    with ExitStack() as stack:
        held: list[socket.socket] = []
        for place in range(number):
            try:
                if place % 3 == 2:
                    held.append(stack.enter_context(socket.create_connection(place_of(parent), 30)))
                    held[-1].sendall(HALF_HANDSHAKE)
                else:
                    held.append(stack.enter_context(connect(parent)))
                    held[-1].sendall(HALF_HEAD if place % 3 else b"")
            except OSError:
                continue  # let go for the next one
        yield held


def test_crowd_of_silent_strangers_ends_no_daemon_and_keeps_no_child_out(root: TestNode, child: TestNode) -> None:
    """With fewer descriptors than there are connections, which is what a thousand children met at the usual limit."""
    child.stop()
    with crowd(root, CROWD):
        child.start()
        child.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")
        until(lambda: root.value("SELECT count(*) FROM household"), "the child's row comes through")
    assert root.process is not None
    assert root.process.poll() is None
    assert len(os.listdir(f"/proc/{root.process.pid}/fd")) < DESCRIPTORS
    assert len(root.log) < 64 * limits.KIB
    assert "Traceback" not in root.log


def test_child_with_many_connections_loses_the_oldest(root: TestNode, child: TestNode) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(connect(root, child)) for _ in range(limits.CHILD_CONNECTIONS_MAX + 2)]
        for line in lines:
            ask(line, routes.HELLO)
        assert is_ended(lines[0])
        assert is_ended(lines[1])


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Nothing further can be opened in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    fillers = []
    try:
        with ExitStack() as stack:
            try:
                while True:
                    fillers.append(stack.enter_context(open(os.devnull)))
            except OSError:
                yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_database_that_cannot_relax_goes_on_as_it_was(child: TestNode) -> None:
    store = child.opened().store
    count = child.value("SELECT count(*) FROM household")
    with no_descriptor_left():
        with pytest.raises(SyncdError):
            store.relax()
        assert child.value("SELECT count(*) FROM household") == count
    store.relax()
    child.sql("INSERT INTO household (number, kind) VALUES ('2', 'family')")
    assert child.value("SELECT count(*) FROM household") == count + 1


def test_a_database_at_rest_has_given_back_what_nobody_refers_to(child: TestNode) -> None:
    """What lies in a cycle, or in a list of spare objects, holds memory that nothing else at rest asks for."""
    store = child.opened().store
    circle: list[object] = [{1}]
    circle.append(circle)
    watched = weakref.ref(circle[0])
    gc.disable()
    try:
        del circle
        assert watched() is not None
        store.relax()
        assert watched() is None
    finally:
        gc.enable()


def bytes_read() -> int:
    return int(re.findall(r"rchar: (\d+)", Path("/proc/self/io").read_text())[0])


def cost_of_a_read_at_rest(store: Store) -> int:
    """Bytes that the second of two reads takes from the file."""
    store.relax()
    for _ in range(2):
        before = bytes_read()
        with store.read() as tx:
            tx.all("SELECT stream_id FROM syncd_stream")
        cost = bytes_read() - before
    return cost


def test_who_has_children_keeps_a_reader_that_knows_the_schema(child: TestNode) -> None:
    child.stop()
    store = child.opened().store
    cold = cost_of_a_read_at_rest(store)
    store.is_asked_at_rest = True
    warm = cost_of_a_read_at_rest(store)
    assert warm * 10 < cold


def log_file_bytes(store: SqliteStore) -> int:
    return Path(f"{store.path}-wal").stat().st_size


def grow_log_file(store: SqliteStore) -> None:
    with store.read() as reader:
        reader.all("SELECT 1 FROM syncd_meta")
        with store.write("burst") as tx:
            tx.run("CREATE TABLE burst (data BLOB)")
            tx.run("INSERT INTO burst VALUES (zeroblob(?))", (2 * limits.LOG_FILE_BYTES_MAX,))
    assert log_file_bytes(store) > 2 * limits.LOG_FILE_BYTES_MAX


def test_log_file_that_was_being_read_shrinks_at_a_later_quiet_moment(
    child: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for disagreements reads on for minutes, and nothing is written in the meantime."""
    opened = child.opened()
    store = opened.store
    assert isinstance(store, SqliteStore)
    monkeypatch.setattr(limits, "RELAX_AFTER_S", 0.0)
    monkeypatch.setattr(limits, "RELAX_AGAIN_S_MAX", 0.0)
    writer = Writer(Life(), Vitals(opened.node.clock, lambda: None), opened, lambda: (0.001, 0.0))
    grow_log_file(store)
    writer._relax(1)
    with store.read():
        writer._relax(1)
    assert log_file_bytes(store) > limits.LOG_FILE_BYTES_AT_REST
    writer._relax(1)
    assert log_file_bytes(store) <= limits.LOG_FILE_BYTES_AT_REST
    with store.write("after") as tx:
        tx.run("DROP TABLE burst")


def test_log_file_shrinks_again_while_the_database_is_open(child: TestNode) -> None:
    """A reader kept the log from being used again from its beginning, so it grew beyond all need."""
    store = child.opened().store
    assert isinstance(store, SqliteStore)
    assert store.relax()
    grow_log_file(store)
    for number in range(20):  # first it is moved into the database, then it begins anew
        with store.write("after") as tx:
            tx.run("UPDATE burst SET data = ?", (str(number),))
    assert log_file_bytes(store) <= limits.LOG_FILE_BYTES_MAX
    assert store.relax()
    assert log_file_bytes(store) <= limits.LOG_FILE_BYTES_AT_REST
    with store.write("after") as tx:
        tx.run("DROP TABLE burst")


def test_limit_of_descriptors_is_raised_at_the_start(nodes: Nodes, root: TestNode) -> None:
    root.stop()
    root.start(DESCRIPTORS_SOFT="256")
    assert root.process is not None
    soft, hard = resource.prlimit(root.process.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, limits.DESCRIPTORS_MAX)
    assert root.stop() == 0
