"""The bell a signal handler rings: at whatever line its own thread stands the handler returns, and nothing is lost."""

from __future__ import annotations

import itertools
import sys
import threading
from types import FrameType
from typing import Any

from syncd.workers import Bell


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
    return len(reached) >= at


def test_a_signal_at_any_line_of_the_waiting_thread_returns() -> None:
    lines = next(at for at in itertools.count(1) if not _ends_when_rung_at_line(at))
    assert lines > 5


def test_what_rings_many_times_wakes_once_and_is_not_lost() -> None:
    bell = Bell()
    for _ in range(1000):
        bell.ring()
    bell.wait(60)
    waiting = threading.Thread(target=bell.wait, args=(60,), daemon=True)
    waiting.start()
    bell.ring()
    waiting.join(30)
    assert not waiting.is_alive()
