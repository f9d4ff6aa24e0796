"""How a command waits for a database that others are writing: at its own commit boundaries, and it says that it waits.

Enters: what tries to begin a transaction, or one whole transaction that a server may take back (a deadlock, a restart),
and who is told of the wait. Leaves: what it gave, or DatabaseLocked, DatabaseUnreachable after `PATIENCE_S`. Must hold:
only commands are patient (a daemon's stages come again by themselves); what was done before a boundary is neither lost
nor done twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from syncd import limits
from syncd.errors import DatabaseLocked, DatabaseUnreachable, TemporaryError
from syncd.language import number, say

_Begun = TypeVar("_Begun")
_Given = ParamSpec("_Given")
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
        self._gave_up: TemporaryError | None = None  # the wait that ended in vain: nobody further out begins another
        self.has_begun = False  # the database was there
        self.has_effect = False  # something was committed or shown: the command as a whole is not begun again

    def until_free(self, attempt: Callable[[], _Begun], place: str) -> _Begun:
        """Try until the database is free. Whoever writes in a loop leaves it free for milliseconds: tried often."""
        began, told_at = self._clock(), limits.PATIENCE_TOLD_AFTER_S
        while True:
            try:
                return attempt()
            except DatabaseLocked as error:
                waited_s = self._clock() - began
                if error is self._gave_up:
                    raise
                if waited_s >= limits.PATIENCE_S:
                    self._gave_up = given_up(place)
                    raise self._gave_up from error
            if waited_s >= told_at:
                self._tell(round(waited_s))
                told_at += limits.PATIENCE_TOLD_EVERY_S
            self._sleep(limits.PATIENCE_LOOK_S)

    def from_the_beginning(self, command: Callable[[], _Begun]) -> _Begun:
        """A whole command, which asks here and there: anew where the database goes before it has had an effect."""
        return self.again(command, lambda: self.has_begun and not self.has_effect)

    def again(self, work: Callable[[], _Begun], may: Callable[[], bool] = lambda: True) -> _Begun:
        """`work`, and anew from its beginning for as long as the database takes it back: others stood in its way, or
        the server went away. `work` must leave nothing where it raises."""
        failed_at: float | None = None
        pause_s, told_at = limits.PATIENCE_AGAIN_S, limits.PATIENCE_TOLD_AFTER_S
        while True:
            try:
                return work()
            except (DatabaseLocked, DatabaseUnreachable) as error:
                if error is self._gave_up or not may():
                    raise
                now = self._clock()
                failed_at = now if failed_at is None else failed_at
                if now - failed_at >= limits.PATIENCE_S:
                    self._gave_up = error
                    raise
            if now - failed_at >= told_at:
                self._tell(round(now - failed_at))
                told_at += limits.PATIENCE_TOLD_EVERY_S
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, limits.PATIENCE_AGAIN_S_MAX)

    def waited(self, place: str) -> DatabaseLocked:
        """A server has done the waiting itself, in vain."""
        self._gave_up = given_up(place)
        return self._gave_up

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
def patient(tell: Tell) -> Iterator[Patience]:
    """What is opened inside waits as a command does."""
    patience = Patience(tell)
    before = _of_command.set(patience)
    try:
        yield patience
    finally:
        _of_command.reset(before)


def of_this_command() -> Patience | None:
    """None in a daemon: its threads, and what its process opens, are nobody's command."""
    return _of_command.get()


def note_begun() -> None:
    """The database of this command is open."""
    patience = of_this_command()
    if patience is not None:
        patience.has_begun = True


def note_effect() -> None:
    """This command has committed or shown something."""
    patience = of_this_command()
    if patience is not None:
        patience.has_effect = True


def again(work: Callable[[], _Begun]) -> _Begun:
    """`work`, one transaction or a reading; in a command anew where the database takes it back."""
    patience = of_this_command()
    return work() if patience is None else patience.again(work)


def patiently(work: Callable[_Given, _Begun]) -> Callable[_Given, _Begun]:
    """The same of a function that leaves nothing, in memory either, where it raises."""

    @wraps(work)
    def call(*values: _Given.args, **named: _Given.kwargs) -> _Begun:
        return again(lambda: work(*values, **named))

    return call


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
