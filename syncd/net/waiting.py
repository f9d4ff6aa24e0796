"""Children that wait for news on a long poll, without a thread each.

Enters: signals of the stages, on any thread. Leaves: a wake-up of exactly those children that the news concerns.
Must hold: a wake-up is only a hint (the answer is read from the database); a child whose question is being read cannot
miss what is committed meanwhile, because it waits from before the reading. News for all (control streams) reach many
children one after another, those of a second together: each node that joins would have all others ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from schema.spec import Kind
from syncd import limits, log
from syncd.log import Stream
from syncd.pipeline import Node
from syncd.signals import LOG, RECEIPT
from syncd.tree import Tree


@dataclass(slots=True, kw_only=True, eq=False)  # told apart by identity
class Waiter:
    """One child on one long poll. `news`: streams whose receipts came since it asked; `asked_at`: when its question was
    read last, by the loop's clock."""

    child: str
    event: asyncio.Event = field(default_factory=asyncio.Event)
    news: set[str] = field(default_factory=set)
    asked_at: float = 0.0


class Waiting:
    """All children on a long poll at this process."""

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop
        self._waiters: dict[str, set[Waiter]] = {}
        self._count = 0
        self._streams: dict[str, Stream] = {}  # identities only: kind, unit, keeper
        self._closed = False
        self._gathered: dict[str, Stream] = {}  # control streams that everybody is to hear of soon
        self._gathered_at = 0.0  # when the last of them grew,
        self._tree = Tree(node.node_id, {}, {})  # and the tree as it was then
        self._unsubscribe: Callable[[], None] = node.signals.subscribe(self._on_signal)

    def enter(self, child: str) -> Waiter:
        """Begin to wait for a child (call on the loop)."""
        waiter = Waiter(child=child)
        if self._closed:
            waiter.event.set()
        self._waiters.setdefault(child, set()).add(waiter)
        self._count += 1
        return waiter

    def leave(self, waiter: Waiter) -> None:
        own = self._waiters.get(waiter.child, set())
        if waiter in own:
            own.discard(waiter)
            self._count -= 1
            if not own:
                del self._waiters[waiter.child]

    def asks(self, waiter: Waiter) -> set[str]:
        """Its question is about to be read (again): returns the streams whose receipts came since, and forgets them."""
        waiter.event.clear()
        waiter.asked_at = self._loop.time()
        news, waiter.news = waiter.news, set()
        return news

    @property
    def wait_s_max(self) -> float:
        """How long a child is kept waiting: among many longer, for each that asks in vain costs the same."""
        return limits.HINT_WAIT_S_MAX if self._count > limits.CROWD_MIN else limits.HINT_WAIT_S

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Let everybody go (call on the loop); a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._unsubscribe()
        for waiter in self._all():
            waiter.event.set()

    def _all(self) -> list[Waiter]:
        return [waiter for own in self._waiters.values() for waiter in own]

    def _on_signal(self, topic: str, stream_ids: frozenset[str]) -> None:
        """On the thread that emitted: look the streams up there, so that the loop never waits for the database."""
        if topic not in (LOG, RECEIPT) or not self._waiters:
            return
        streams = [stream for stream in self._known(stream_ids) if topic == RECEIPT or stream.kind != Kind.REGISTER]
        if streams and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, topic, streams, self._node.tree())

    def _wake(self, topic: str, streams: list[Stream], tree: Tree) -> None:
        if topic == RECEIPT:
            for stream in streams:
                for waiter in self._of(tree.line(stream.keeper)):
                    waiter.news.add(stream.stream_id)
                    waiter.event.set()
            return
        if self._count > limits.GATHER_WAITERS_MIN:
            self._gather([stream for stream in streams if stream.kind == Kind.CONTROL], tree)
            streams = [stream for stream in streams if stream.kind != Kind.CONTROL]
        for waiter in self._concerned(streams, tree):
            waiter.event.set()

    def _concerned(self, streams: Iterable[Stream], tree: Tree) -> list[Waiter]:
        """Those to whom any of the streams flows down."""
        found: dict[Waiter, None] = {}
        for stream in streams:
            heard_by = tree.hearers(stream)
            waiters = self._all() if heard_by is None else self._of(heard_by)
            goes = {child: tree.goes_down(stream, child) for child in {waiter.child for waiter in waiters}}
            found |= dict.fromkeys(waiter for waiter in waiters if goes[waiter.child])
        return list(found)

    def _of(self, nodes: Iterable[str]) -> list[Waiter]:
        return [waiter for node_id in nodes for waiter in self._waiters.get(node_id, ())]

    def _gather(self, streams: list[Stream], tree: Tree) -> None:
        """Everybody hears of these a second later, with what comes meanwhile, and one after another."""
        if streams and not self._gathered:
            self._loop.call_later(limits.GATHER_S, self._spread)
        if streams:
            self._gathered |= {stream.stream_id: stream for stream in streams}
            self._gathered_at, self._tree = self._loop.time(), tree

    def _spread(self) -> None:
        streams, self._gathered = list(self._gathered.values()), {}
        unaware = [waiter for waiter in self._concerned(streams, self._tree) if waiter.asked_at <= self._gathered_at]
        for place, waiter in enumerate(unaware):
            self._loop.call_later(
                limits.SPREAD_S * place / len(unaware), partial(self._remind, waiter, waiter.asked_at)
            )

    @staticmethod
    def _remind(waiter: Waiter, asked_at: float) -> None:
        if waiter.asked_at == asked_at:  # else its question has been read since
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
