"""Children that wait for news on a long poll, without a thread each.

Enters: signals of the stages, on any thread. Leaves: a wake-up of exactly those children that the news concerns.
Must hold: a wake-up is only a hint (the answer is read from the database); a child whose question is being read cannot
miss what is committed meanwhile, because it waits from before the reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from schema.spec import Kind
from syncd import log
from syncd.log import Stream
from syncd.pipeline import Node
from syncd.signals import LOG, RECEIPT


@dataclass(slots=True, kw_only=True, eq=False)  # told apart by identity
class Waiter:
    """One child on one long poll. `news`: streams whose receipts came since it asked."""

    child: str
    event: asyncio.Event = field(default_factory=asyncio.Event)
    news: set[str] = field(default_factory=set)


class Waiting:
    """All children on a long poll at this process."""

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop
        self._waiters: set[Waiter] = set()
        self._streams: dict[str, Stream] = {}  # identities only: kind, unit, keeper
        self._closed = False
        self._unsubscribe: Callable[[], None] = node.signals.subscribe(self._on_signal)

    def enter(self, child: str) -> Waiter:
        """Begin to wait for a child (call on the loop)."""
        waiter = Waiter(child=child)
        if self._closed:
            waiter.event.set()
        self._waiters.add(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        self._waiters.discard(waiter)

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Let everybody go (call on the loop); a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._unsubscribe()
        for waiter in self._waiters:
            waiter.event.set()

    def _on_signal(self, topic: str, stream_ids: frozenset[str]) -> None:
        """On the thread that emitted: look the streams up there, so that the loop never waits for the database."""
        if topic not in (LOG, RECEIPT) or not self._waiters:
            return
        streams = [stream for stream in self._known(stream_ids) if topic == RECEIPT or stream.kind != Kind.REGISTER]
        if streams and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, topic, streams)

    def _wake(self, topic: str, streams: list[Stream]) -> None:
        tree = self._node.tree()
        for waiter in self._waiters:
            if topic == RECEIPT:
                news = {stream.stream_id for stream in streams if tree.is_within(stream.keeper, waiter.child)}
                waiter.news |= news
            else:
                news = {stream.stream_id for stream in streams if tree.goes_down(stream, waiter.child)}
            if news:
                waiter.event.set()

    def _known(self, stream_ids: Iterable[str]) -> list[Stream]:
        missing = [stream_id for stream_id in stream_ids if stream_id not in self._streams]
        if missing:
            with self._node.store.read() as tx:
                for stream_id in missing:
                    found = log.stream(tx, stream_id)
                    if found is not None:
                        self._streams[stream_id] = found
        return [self._streams[stream_id] for stream_id in stream_ids if stream_id in self._streams]
