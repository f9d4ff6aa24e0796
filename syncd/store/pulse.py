"""Whether the threads of a daemon get on: what its supervisor's watchdog is fed by.

Enters: steps (each transaction, each statement, each turn) and declared waits, noted by the thread itself. Leaves:
which threads have made no step for too long. Must hold: who waits for the network, for a server or for work is alive
however long it waits; everything else counts as work, so that a place nobody thought of is noticed too; a thread that
waits for another thread of this process gets on as that one does.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from syncd import limits

_Made = TypeVar("_Made")
_WAITS = math.inf
_steps: dict[int, float] = {}  # watched thread → the steady second of its last step


@contextmanager
def watched() -> Iterator[None]:
    """This thread is looked at until it leaves here."""
    me = threading.get_ident()
    _steps[me] = time.monotonic()
    try:
        yield
    finally:
        _steps.pop(me, None)


def watching(call: Callable[..., _Made], *values: object) -> _Made:
    """`call`, watched: for a thread that is lent for one piece of work."""
    with watched():
        return call(*values)


def step() -> None:
    """This thread has got on; where it waits it goes on waiting."""
    me = threading.get_ident()
    if _steps.get(me, _WAITS) != _WAITS:
        _steps[me] = time.monotonic()


@contextmanager
def waiting() -> Iterator[None]:
    """Inside, this thread waits for others: the network, a server, something to do."""
    me = threading.get_ident()
    if me not in _steps:
        yield
        return
    before, _steps[me] = _steps[me], _WAITS
    try:
        yield
    finally:
        _steps[me] = before if before == _WAITS else time.monotonic()


@contextmanager
def working() -> Iterator[None]:
    """Inside, this thread works, also where it is called in the middle of a wait."""
    me = threading.get_ident()
    if me not in _steps:
        yield
        return
    before, _steps[me] = _steps[me], time.monotonic()
    try:
        yield
    finally:
        _steps[me] = before if before == _WAITS else time.monotonic()


class Asked:
    """An event loop: it works only while something is asked of it, and has got on when it answers."""

    def __init__(self, post: Callable[[Callable[[], None]], object]) -> None:
        self._post = post  # has the loop call something soon; callable from any thread
        self._thread: int | None = None

    def begin(self) -> None:
        """Called on the loop's thread, which is looked at from here on."""
        self._thread = threading.get_ident()
        _steps[self._thread] = _WAITS

    def ask(self) -> None:
        """Called by who looks: one question at a time."""
        thread = self._thread
        if thread is not None and _steps.get(thread) == _WAITS:
            _steps[thread] = time.monotonic()
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._post(self._answer)

    def end(self) -> None:
        if self._thread is not None:
            _steps.pop(self._thread, None)
            self._thread = None

    def _answer(self) -> None:
        if self._thread is not None:
            _steps[self._thread] = _WAITS


class Baton:
    """A lock of threads that may be held for minutes: who waits for it gets on as its holder does. Two that wait for
    each other do not get on."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holder = 0

    def acquire(self, *, seconds: float = math.inf) -> bool:
        """Whether it is held, after at most so long."""
        me, until_s = threading.get_ident(), time.monotonic() + seconds
        taken = self._lock.acquire(blocking=False)
        while not taken and time.monotonic() < until_s:
            taken = self._lock.acquire(timeout=limits.TURN_LOOK_S)
            if not taken and _steps.get(me, _WAITS) != _WAITS:
                _steps[me] = max(_steps[me], _step_or_now_s(self._holder))
        if taken:
            self._holder = me
        return taken

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _step_or_now_s(thread: int) -> float:
    """Of a thread that nobody looks at, or that waits: now."""
    found = _steps.get(thread, _WAITS)
    return time.monotonic() if found == _WAITS else found


def last_step_s(name: str) -> float:
    """Of the thread of that name, in steady seconds; 0: none is looked at."""
    return next((_steps.get(each.ident or 0, 0.0) for each in threading.enumerate() if each.name == name), 0.0)


def place(thread_name: str) -> str:
    """Where that thread is, without any value: the innermost lines of our own code."""
    idents = [thread.ident for thread in threading.enumerate() if thread.name == thread_name]
    frame = sys._current_frames().get(idents[0] or 0) if idents else None
    lines: list[str] = []
    while frame is not None and len(lines) < limits.PLACES_SHOWN_MAX:
        path, mark, inner = frame.f_code.co_filename.replace("\\", "/").rpartition("/syncd/")
        if path and mark:
            lines.append(f"{inner}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(lines)


def stuck() -> dict[str, float]:
    """Threads that have made no step for too long, by name, with the seconds since."""
    now = time.monotonic()
    named = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        named.get(thread, str(thread)): now - at for thread, at in list(_steps.items()) if now - at > limits.BUSY_S_MAX
    }
