"""A TCP proxy that breaks connections as it is told to: after so many bytes, before they begin, or never answering.

Enters: where to lead, a fault. Leaves: an address to use instead. Must hold: what it lets through is unchanged; it
knows nothing of TLS or HTTP.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass

CHUNK_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Counted per connection. `up`: from the one who calls. None: no limit."""

    cut_after_up: int | None = None
    cut_after_down: int | None = None
    refuse: bool = False  # close at once
    delay_s: float = 0.0  # before every chunk


NONE = Fault()


class FaultProxy:
    """Leads to `target`; `fault` may be changed at any time and holds for chunks that come after."""

    def __init__(self, target: tuple[str, int], fault: Fault = NONE) -> None:
        self.target = target
        self.fault = fault
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every open connection."""
        with self._guard:
            opened, self._open = self._open, set()
        for each in opened:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            if self.fault.refuse:
                caller.close()
                continue
            try:
                callee = socket.create_connection(self.target)
            except OSError:
                caller.close()
                continue
            for each in (caller, callee):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._guard:
                self._open |= {caller, callee}
            for source, sink, attribute in ((caller, callee, "cut_after_up"), (callee, caller, "cut_after_down")):
                threading.Thread(target=self._carry, args=(source, sink, attribute), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, attribute: str) -> None:
        carried = 0
        pause = threading.Event()
        with contextlib.suppress(OSError):  # either side has gone: the other is told below
            while data := source.recv(CHUNK_BYTES):
                fault = self.fault
                limit = getattr(fault, attribute)
                pause.wait(fault.delay_s)
                if limit is not None and carried + len(data) > limit:
                    sink.sendall(data[: max(limit - carried, 0)])
                    self.cuts += 1
                    break
                sink.sendall(data)
                carried += len(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            with self._guard:
                self._open.discard(each)
