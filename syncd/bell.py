"""What wakes the daemon's main thread: something moved, a signal came, or the end.

Enters: rings, from any thread or a signal handler. Leaves: the end of a wait. Must hold: no ring is lost, whenever it
comes and whichever thread the system interrupts for a signal.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

WORD = b"\0"
READ_SIZE = 4096


class Bell:
    """Wakes one waiting thread.

    A wait on a lock would not do: Python runs signal handlers on the main thread alone, and a signal that comes just
    before that thread begins to wait, or interrupts another thread, ends no wait for a lock. The system writes it into
    a socket instead (`signal.set_wakeup_fd`), at whatever moment.
    """

    def __init__(self) -> None:
        self._waiting, self._ringing = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waiting, selectors.EVENT_READ)
        for each in (self._waiting, self._ringing):
            each.setblocking(False)

    def ring(self) -> None:
        """Wake it, now or at its next wait; many times are one."""
        with contextlib.suppress(OSError):  # full: it will wake; closed: nobody waits any more
            self._ringing.send(WORD)

    def wait(self, seconds: float) -> None:
        """Until somebody rings, at most so long; what had rung before is forgotten at the return."""
        self._selector.select(seconds)
        with contextlib.suppress(BlockingIOError):
            while len(self._waiting.recv(READ_SIZE)) == READ_SIZE:
                pass

    @contextlib.contextmanager
    def rung_by(self, signals: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
        """Meanwhile these signals call `handler` and ring the bell. On the main thread only."""
        before = {number: signal.signal(number, handler) for number in signals}
        descriptor = signal.set_wakeup_fd(self._ringing.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, previous in before.items():
                signal.signal(number, previous)

    def close(self) -> None:
        """Nobody waits any more; threads that are left behind at the end may still ring."""
        self._selector.close()
        self._waiting.close()
        self._ringing.close()
