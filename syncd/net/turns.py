"""Large questions of children: one of each child at a time, few of all together.

Enters: a child's question by its stated length, before its body is read. Leaves: its turn, or `Busy`.
Must hold: what one child asks takes the memory of one large question, however many connections it opens; a small
question waits for nobody. For the event loop alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncd import limits
from syncd.errors import Busy


class Turns:
    """Who asks something large now."""

    def __init__(self, wait_s: float = limits.BUSY_WAIT_S) -> None:
        self._wait_s = wait_s
        self._of: dict[str, asyncio.Lock] = {}  # child → held while it asks
        self._waiting: dict[str, int] = {}
        self._all = asyncio.Semaphore(limits.LARGE_QUESTIONS_MAX)

    @asynccontextmanager
    async def turn(self, child: str, size_bytes: int) -> AsyncIterator[bool]:
        """Around reading and answering a question; tells whether it is a large one. Raises Busy where the child's other
        large question goes on for too long."""
        if size_bytes <= limits.SMALL_QUESTION_BYTES:
            yield False
            return
        lock = self._of.setdefault(child, asyncio.Lock())
        self._waiting[child] = self._waiting.get(child, 0) + 1
        try:
            try:
                await asyncio.wait_for(lock.acquire(), self._wait_s)
            except TimeoutError:
                raise _busy(child) from None
            try:
                yield True
            finally:
                lock.release()
        finally:
            self._waiting[child] -= 1
            if not self._waiting[child]:
                del self._waiting[child], self._of[child]

    @asynccontextmanager
    async def work(self, is_large: bool) -> AsyncIterator[None]:
        """Around the work for a question: of large ones a few at once, whoever asks."""
        if not is_large:
            yield
            return
        async with self._all:
            yield

    def __len__(self) -> int:
        """Children with a large question."""
        return len(self._of)


def _busy(child: str) -> Busy:
    return Busy(
        f"another large question of node {child} is still being answered",
        hint="tried again by itself after some seconds",
    )
