"""How a command waits for a database that others are writing: at its own commit boundaries, and it says that it waits.

Enters: what tries to begin a transaction, and who is told of the wait. Leaves: the transaction begun, or DatabaseLocked
after `PATIENCE_S`. Must hold: only commands are patient (a daemon's stages come again by themselves); what was done
before a boundary is neither lost nor done twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from syncd import limits
from syncd.errors import DatabaseLocked
from syncd.language import number, say

_Begun = TypeVar("_Begun")
Tell = Callable[[int], None]
"""Takes the seconds waited so far."""


class Patience:
    """One command's. `tell` is called when a wait lasts, and now and then while it does."""

    def __init__(
        self, tell: Tell, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._sleep = sleep

    def until_free(self, attempt: Callable[[], _Begun], place: str) -> _Begun:
        """Try until the database is free. Whoever writes in a loop leaves it free for milliseconds: tried often."""
        began, told_at = self._clock(), limits.PATIENCE_TOLD_AFTER_S
        while True:
            try:
                return attempt()
            except DatabaseLocked as error:
                waited_s = self._clock() - began
                if waited_s >= limits.PATIENCE_S:
                    raise given_up(place) from error
            if waited_s >= told_at:
                self._tell(round(waited_s))
                told_at += limits.PATIENCE_TOLD_EVERY_S
            self._sleep(limits.PATIENCE_LOOK_S)

    @contextmanager
    def watching(self, is_blocked: Callable[[], bool]) -> Iterator[None]:
        """For a server that does the waiting itself: `is_blocked` is asked beside it, and the wait is told."""
        done = threading.Event()
        asking = threading.Thread(target=self._watch, args=(is_blocked, done), name="patience", daemon=True)
        asking.start()
        try:
            yield
        finally:
            done.set()
            asking.join()

    def _watch(self, is_blocked: Callable[[], bool], done: threading.Event) -> None:
        wait_s, waited_s = limits.PATIENCE_TOLD_AFTER_S, 0.0
        while not done.wait(wait_s):
            waited_s = waited_s + wait_s if is_blocked() else 0.0
            if waited_s:
                self._tell(round(waited_s))
            wait_s = limits.PATIENCE_TOLD_EVERY_S if waited_s else limits.PATIENCE_TOLD_AFTER_S


@contextmanager
def patient(tell: Tell) -> Iterator[None]:
    """What is opened inside waits as a command does."""
    before = _of_command.set(Patience(tell))
    try:
        yield
    finally:
        _of_command.reset(before)


def of_this_command() -> Patience | None:
    """None in a daemon: its threads, and what its process opens, are nobody's command."""
    return _of_command.get()


_of_command: ContextVar[Patience | None] = ContextVar("patience", default=None)


def given_up(place: str) -> DatabaseLocked:
    """What to say when others held the database all the time."""
    return DatabaseLocked(
        say(
            "chương trình khác giữ cơ sở dữ liệu {place} suốt {seconds} giây",
            "another program has held the database {place} for {seconds} seconds",
            place=place,
            seconds=number(int(limits.PATIENCE_S)),
        ),
        say(
            "đóng giao dịch đang mở của chương trình kia rồi chạy lại lệnh này; những gì lệnh này đã ghi vẫn còn",
            "close the other program's open transaction, then run this command again; what it has written stays",
        ),
    )
