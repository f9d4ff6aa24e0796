"""What a change costs on the line, without TLS records: a forwarder on loopback that reads the records' lengths.

Enters: a commune and its parent, real daemons, TLS 1.3 between them. Leaves: bytes per change.
Must hold: all connections of the commune run through the forwarder; of each record of application data, header (5
bytes), tag (16) and content type (1) are not counted. So what is counted is exactly what HTTP wrote, both ways.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from random import Random

from bench import data
from bench.data import Statement
from bench.tree import BenchNode
from syncd.demo.line import CHUNK_BYTES, CONNECT_S_MAX, HOST

RECORD_HEAD_BYTES = 5
RECORD_EXTRA_BYTES = 17  # tag and content type
APPLICATION_DATA = 23
CALM_S = 0.4  # without a byte: what belongs to the change has come and gone


class Records:
    """Adds up the application data of one direction of one TLS 1.3 connection."""

    def __init__(self) -> None:
        self.plain_bytes = 0
        self._head = b""
        self._left = 0

    def feed(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            if self._left:
                step = min(self._left, len(chunk) - at)
                self._left -= step
                at += step
                continue
            need = RECORD_HEAD_BYTES - len(self._head)
            self._head += chunk[at : at + need]
            at += need
            if len(self._head) == RECORD_HEAD_BYTES:
                kind, self._left = self._head[0], int.from_bytes(self._head[3:], "big")
                self.plain_bytes += self._left - RECORD_EXTRA_BYTES if kind == APPLICATION_DATA else 0
                self._head = b""


class Meter:
    """Forwards connections to `target_port` and counts."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._directions: list[Records] = []
        self._moved = threading.Event()
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, name="meter", daemon=True).start()

    @property
    def plain_bytes(self) -> int:
        return sum(direction.plain_bytes for direction in self._directions)

    def calm(self) -> int:
        """The count once nothing has moved for a while."""
        self._moved.clear()
        while self._moved.wait(CALM_S):
            self._moved.clear()
        return self.plain_bytes

    def close(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):  # closed by the other end already
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            far = socket.create_connection((HOST, self._target_port), CONNECT_S_MAX)
            far.settimeout(None)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                records = Records()
                self._directions.append(records)
                threading.Thread(target=self._carry, args=(source, sink, records), name="meter", daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, records: Records) -> None:
        """Bytes one way, until either end closes; the other is closed then, which is all there is to do."""
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                records.feed(chunk)
                self._moved.set()
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


def bytes_per_change(commune: BenchNode, meter: Meter, changes: list[Statement]) -> float:
    """Bytes both ways for one commit of `changes`, receipt and the next question included, per change."""
    before = meter.calm()
    commune.write(changes, len(changes))
    commune.wait_at_province()
    return (meter.calm() - before) / len(changes)


def single_changes(of: data.Register, count: int, random: Random) -> list[list[Statement]]:
    """Commits of one update each, on rows of their own."""
    return [[data.phone_update(random, row)] for row in random.sample(of.persons, count)]
