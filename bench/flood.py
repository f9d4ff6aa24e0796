"""`python -m bench.flood`: what a neighbour, and whoever writes, waits while one child and a crowd do their worst.

Enters: --silent (connections that say nothing), --large (questions of one child at a time), --seconds. Leaves: a table
on stdout. Must hold: the hub is `syncd run` as installed, on SQLite; its neighbour asks over TLS as a daemon does; the
write lock is asked for by a program of its own, as a clerk's would. It is a measurement, not a test: the flood shares
the machine with the hub, so a figure says what this hub did on this machine. Every process started here is ended.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from syncd import limits
from syncd.errors import SyncdError
from syncd.exchange import Link
from syncd.messages import Hello, Position
from syncd.net.client import ParentClient
from syncd.node_files import connector
from syncd.security import tls
from syncd.security.tls import TlsFiles
from tests.memory import in_memory
from tests.nodes import Nodes, TestNode

HELLO_BAR_S, LOCK_BAR_MS = 2.0, 250.0
BETWEEN_HELLOS_S, BETWEEN_LOCKS_S = 0.2, 0.005
SPARE_DESCRIPTORS = 200
HALF_HANDSHAKE = b"\x16\x03\x01"


@dataclass(slots=True)
class Measured:
    """What was waited for, in seconds, and what became of the questions of the child that floods."""

    hellos: list[float] = field(default_factory=list)
    locks: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


class Asking:
    """A child's line to the hub."""

    def __init__(self, child: TestNode, hub: TestNode) -> None:
        opened = child.opened()
        self.link = Link(opened.node, hub.opened().node.node_id)
        context = tls.client_context(TlsFiles.in_directory(child.directory))
        self.client = ParentClient([hub.address], context, hub.opened().node.node_id)

    def hello(self) -> None:
        self.client.hello(self.link.hello())

    def large(self) -> Hello:
        """A hello of as many streams as one part may name, none of which the hub knows."""
        up = [Position(os.urandom(16), 1, os.urandom(32)) for _ in range(limits.HELLO_STREAMS)]
        return structs.replace(self.link.hello(), up=up)


def main() -> int:
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="syncd-flood-", dir=in_memory()))
    nodes = Nodes(folder)
    try:
        hub = nodes.root()
        neighbour, hostile = (nodes.joined(hub, code) for code in ("01", "02"))
        quiet = measure(hub, neighbour, arguments.seconds / 4, [])
        with silent(hub, arguments.silent) as kept:
            askers = [Asking(hostile, hub) for _ in range(arguments.large)]
            flooded = measure(hub, neighbour, arguments.seconds, askers)
            print(f"{kept()} of {arguments.silent} silent connections still open at the end")
        print(f"large questions of one child: {dict(flooded.answers)}")
        print(table(quiet, flooded))
    finally:
        nodes.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def measure(hub: TestNode, neighbour: TestNode, seconds: float, askers: list[Asking]) -> Measured:
    """Hellos of the neighbour and waits for the write lock, beside `askers`."""
    found, until = Measured(), time.monotonic() + seconds
    line = Asking(neighbour, hub)
    work: list[Callable[[], None]] = [
        lambda: _hellos(line, found.hellos, until), lambda: _locks(hub, found.locks, until),
        *((lambda asker=asker: _flood(asker, found.answers, until)) for asker in askers),
    ]  # fmt: skip
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _hellos(line: Asking, spent: list[float], until: float) -> None:
    while time.monotonic() < until:
        began = time.monotonic()
        line.hello()
        spent.append(time.monotonic() - began)
        time.sleep(BETWEEN_HELLOS_S)


def _locks(hub: TestNode, spent: list[float], until: float) -> None:
    """How long a clerk's transaction waits before it may write."""
    with closing(connector(hub.directory, hub.config)()) as connection:
        connection.execute("PRAGMA busy_timeout = 60000")
        while time.monotonic() < until:
            began = time.monotonic()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            spent.append(time.monotonic() - began)
            time.sleep(BETWEEN_LOCKS_S)


def _flood(asker: Asking, answers: Counter[str], until: float) -> None:
    question = asker.large()
    while time.monotonic() < until:
        try:
            asker.client.hello(question)
            answers["answered"] += 1
        except SyncdError as error:
            answers[type(error).__name__] += 1


@contextmanager
def silent(hub: TestNode, number: int) -> Iterator[Callable[[], int]]:
    """So many connections of strangers, half of which begin a handshake; how many the hub has not ended."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, number + SPARE_DESCRIPTORS + 1024), most))
    host, port = hub.address.removeprefix("https://").split(":")
    with ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(number)]
        for each in crowd[::2]:
            each.sendall(HALF_HANDSHAKE)
        for each in crowd:
            each.setblocking(False)
        yield lambda: sum(map(_is_open, crowd))


def _is_open(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def table(quiet: Measured, flooded: Measured) -> str:
    lines = [f"{'figure':44} {'bar':>10} {'at rest':>10} {'flooded':>10}"]
    lines += [
        f"{what:44} {bar:>10} {before:>10.3f} {after:>10.3f}"
        for what, bar, before, after in (
            ("a neighbour's hello, the slowest, s", f"≤ {HELLO_BAR_S:g}", max(quiet.hellos), max(flooded.hellos)),
            ("…, median, s", "", _median(quiet.hellos), _median(flooded.hellos)),
            ("write lock waited for, the longest, ms", f"≤ {LOCK_BAR_MS:g}", *_longest_ms(quiet, flooded)),
            ("…, median, ms", "", _median(quiet.locks) * 1000, _median(flooded.locks) * 1000),
        )
    ]
    return "\n".join(lines)


def _longest_ms(*measured: Measured) -> list[float]:
    return [max(each.locks) * 1000 for each in measured]


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description="One hub under a flood.")
    parser.add_argument("--silent", type=int, default=1_000, help="connections that say nothing")
    parser.add_argument("--large", type=int, default=8, help="questions of one child at a time")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
