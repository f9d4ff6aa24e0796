"""Sockets of the client that give up in time, however little a neighbour sends and however often.

Enters: the timeouts of single operations, as the HTTP library states them. Leaves: the library's own streams, whose
reads together end by a deadline that begins with the last byte sent, and whose writes end by one that follows from
their size.
Must hold: whoever sends or takes one byte a minute is left as soon as whoever sends none.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from syncd import limits


class Deadline:
    """How long an answer may take, of one kept connection. `begin` before each request."""

    def __init__(self) -> None:
        self._answer_s = limits.EXCHANGE_S_MAX
        self._until = 0.0

    def begin(self, answer_s: float) -> None:
        """A request follows, whose answer may take so long from its last byte on."""
        self._answer_s = answer_s
        self.sent()

    def sent(self) -> None:
        """Bytes have left: the answer is awaited from now on."""
        self._until = time.monotonic() + self._answer_s

    def left_s(self, timeout_s: float | None) -> float:
        """Of a read, at most `timeout_s`. Raises ReadTimeout when none is left."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer takes too long")
        return left if timeout_s is None else min(left, timeout_s)


class Backend(httpcore.SyncBackend):
    """Connects as the library does; what it gives keeps `deadline`."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A stream of the library behind a deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """In pieces, so that no single wait is longer than `timeout`, and all together no longer than the slowest line
        that is worth waiting for would take."""
        until = time.monotonic() + limits.EXCHANGE_S_MAX + len(buffer) / limits.LINE_BYTES_S_MIN
        for start in range(0, len(buffer), limits.WRITE_BYTES):
            if time.monotonic() > until:
                raise httpcore.WriteTimeout("the request is taken too slowly")
            self._stream.write(buffer[start : start + limits.WRITE_BYTES], timeout)
        self._deadline.sent()

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
