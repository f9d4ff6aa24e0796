"""The line between a district and the province: a TCP forwarder on loopback that can be cut and mended.

Enters: connections. Leaves: the same bytes at the other end. Must hold: it cannot read what it carries (TLS ends at the
nodes); while it is cut nobody gets through and nobody waits on a dead connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
CONNECT_S_MAX = 5.0


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


class Line:
    """Forwards `port` to `target_port` until cut."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._guard = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.mend()

    def mend(self) -> None:
        """Let connections through."""
        listener = socket.create_server((HOST, self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="line", daemon=True).start()

    def cut(self) -> None:
        """Refuse new connections and break those that stand."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _close(listener)
        with self._guard:
            standing, self._open = self._open, set()
        for connection in standing:
            _close(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return  # cut
            try:
                far = socket.create_connection((HOST, self._target_port), CONNECT_S_MAX)
            except OSError:
                _close(near)
                continue
            far.settimeout(None)
            with self._guard:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), name="line", daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        """Bytes one way, until either end closes; the other is closed then, which is all there is to do."""
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                sink.sendall(data)
        with self._guard:
            self._open -= {source, sink}
        _close(source)
        _close(sink)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
