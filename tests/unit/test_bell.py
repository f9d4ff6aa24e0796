"""The bell that signals ring: no ring is lost, whichever thread the system interrupts."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
from types import FrameType
from typing import Any

from syncd.bell import Bell

ANOTHER_THREAD_IS_INTERRUPTED = """
import signal, sys, threading
from syncd.bell import Bell

bell, heard, main = Bell(), [], threading.get_ident()

def interrupted():
    waits = False
    while not waits:
        frame = sys._current_frames()[main]
        while frame is not None and not waits:
            waits, frame = frame.f_code is Bell.wait.__code__, frame.f_back
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

with bell.rung_by([signal.SIGTERM], lambda number, _frame: heard.append(number)):
    threading.Thread(target=interrupted).start()
    bell.wait(3600)
sys.exit(0 if heard == [signal.SIGTERM] else 1)
"""


def _ends_when_rung_at_line(at: int) -> bool:
    """Whether the thread came to its `at`-th line, where the bell was rung as a signal handler would."""
    bell = Bell()
    reached: list[FrameType] = []

    def at_line(frame: FrameType, what: str, _arg: Any) -> Any:
        if what == "line":
            reached.append(frame)
            if len(reached) == at:
                bell.ring()
        return at_line

    def main_loop() -> None:
        sys.settrace(at_line)
        bell.ring()
        bell.wait(0.0)
        sys.settrace(None)

    thread = threading.Thread(target=main_loop, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), f"the handler at line {at} waits for its own thread"
    bell.close()
    return len(reached) >= at


def test_a_signal_at_any_line_of_the_waiting_thread_returns() -> None:
    lines = next(at for at in itertools.count(1) if not _ends_when_rung_at_line(at))
    assert lines > 5


def test_a_signal_that_interrupts_another_thread_wakes_the_main_one() -> None:
    """The same as one that comes between the main thread's last look at signals and its wait: a wait for a lock goes
    on, as the daemon's did, until something else ends it."""
    command = [sys.executable, "-c", ANOTHER_THREAD_IS_INTERRUPTED]
    assert subprocess.run(command, timeout=300, check=False).returncode == 0


def test_signals_are_handled_as_before_when_nobody_waits_any_more() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.closing(Bell()) as bell, bell.rung_by([signal.SIGTERM], lambda _number, _frame: None):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_what_rings_many_times_wakes_once_and_is_not_lost() -> None:
    bell = Bell()
    for _ in range(100_000):
        bell.ring()
    bell.wait(60)
    waiting = threading.Thread(target=bell.wait, args=(60,), daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive(), "what had rung before is forgotten"
    bell.ring()
    waiting.join(30)
    assert not waiting.is_alive()
    bell.close()
    bell.ring()  # as a thread that is left behind
