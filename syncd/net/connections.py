"""Who is connected, since when and for whom; and who is let go so that others are served.

Enters: connections as they come, prove a child, begin and end questions. Leaves: whether there is room for one more,
made by ending connections that only hold a place. Must hold: their number stays below what the process may open; a
silent stranger never keeps anybody out, a question that is being answered is never cut off for another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from syncd import limits


class Stage(Enum):
    """What a connection does."""

    HANDSHAKE = auto()
    SILENT = auto()  # nothing was asked yet
    BUSY = auto()  # a question arrives or is being answered
    IDLE = auto()  # kept for the next question


@dataclass(slots=True, kw_only=True, eq=False)  # told apart by identity
class Connection:
    """One connection. `since`: when its stage began; `let_go` ends it."""

    address: str
    since: float
    let_go: Callable[[], None]
    stage: Stage = Stage.HANDSHAKE
    child: str | None = None
    has_certificate: bool = False


class Connections:
    """All connections of this process. For the event loop alone."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.strangers_most = max(1, min(limits.STRANGERS_MAX, most // 2))
        self._clock = clock
        # In the order in which they came.
        self._all: dict[Connection, None] = {}
        self._strangers: dict[Connection, None] = {}
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._by_child: dict[str, dict[Connection, None]] = {}
        self._waiting: dict[str, int] = {}  # address → accepted ones for whom there is no room yet
        self.waiting_most = max(2, most // 8)
        self.dropped = 0  # let go for others

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, address: str, let_go: Callable[[], None]) -> Connection:
        """A connection has come; of whom is not known yet."""
        new = Connection(address=address, since=self._clock(), let_go=let_go)
        self._all[new] = self._strangers[new] = None
        self._by_address.setdefault(address, {})[new] = None
        return new

    def leave(self, connection: Connection) -> None:
        """It has ended; a second call does nothing."""
        self._all.pop(connection, None)
        self._forget_stranger(connection)
        if connection.child is not None:
            _remove(self._by_child, connection.child, connection)

    def becomes(self, connection: Connection, stage: Stage) -> None:
        """It does something else from now on."""
        connection.stage, connection.since = stage, self._clock()

    def prove(self, connection: Connection, child: str) -> None:
        """The connection is an enrolled child's: it counts as the child's, not as its address's. A child with more
        than it needs loses the oldest: it has forgotten them (a bad line), or holds them to do harm."""
        if connection.child == child or connection not in self._all:
            return
        self._forget_stranger(connection)
        self.becomes(connection, Stage.BUSY)
        connection.child = child
        own = self._by_child.setdefault(child, {})
        own[connection] = None
        while len(own) > limits.CHILD_CONNECTIONS_MAX:
            others = [each for each in own if each is not connection]
            self._drop(next((each for each in others if each.stage is Stage.IDLE), others[0]))

    def make_room(self, address: str) -> bool:
        """Whether one more may come from `address` now."""
        return (
            self._make_room(self._by_address.get(address, {}), self.strangers_most // 2 or 1)
            and self._make_room(self._strangers, self.strangers_most)
            and (len(self._all) < self.most or self._drop_first(self._strangers) or self._drop_first(self._all))
        )

    def may_wait(self, address: str) -> bool:
        """Whether one more from `address` may wait for room: no address takes all the places."""
        here = self._waiting.get(address, 0)
        return here < self.waiting_most // 2 and sum(self._waiting.values()) < self.waiting_most

    @contextmanager
    def waiting(self, address: str) -> Iterator[None]:
        """While one from `address` waits for room."""
        self._waiting[address] = self._waiting.get(address, 0) + 1
        try:
            yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

    def drop_one(self) -> bool:
        """End whichever holds a place without using it; whether there was one."""
        return self._drop_first(self._strangers) or self._drop_first(self._all)

    def _make_room(self, strangers: dict[Connection, None], most: int) -> bool:
        return len(strangers) < most or self._drop_first(strangers)

    def _drop_first(self, candidates: Iterable[Connection]) -> bool:
        now = self._clock()
        found = next((each for each in candidates if now - each.since >= _grace_s(each)), None)
        if found is not None:
            self._drop(found)
        return found is not None

    def _drop(self, connection: Connection) -> None:
        self.leave(connection)
        self.dropped += 1
        connection.let_go()

    def _forget_stranger(self, connection: Connection) -> None:
        if self._strangers.pop(connection, connection) is None:
            _remove(self._by_address, connection.address, connection)


def _grace_s(connection: Connection) -> float:
    """How long a connection keeps its place although others want it. Whoever has shown a certificate, or still shakes
    hands, may be a child on a slow line."""
    if connection.stage is Stage.BUSY:
        return float("inf")
    if connection.stage is Stage.HANDSHAKE or (connection.has_certificate and connection.stage is Stage.SILENT):
        return limits.HANDSHAKE_GRACE_S
    return limits.SILENT_GRACE_S


def _remove(groups: dict[str, dict[Connection, None]], key: str, connection: Connection) -> None:
    group = groups.get(key)
    if group is not None:
        group.pop(connection, None)
        if not group:
            del groups[key]
