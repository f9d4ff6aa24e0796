"""What a running daemon knows of itself: times of exchanges, what each thread does, the last error of each.

Enters: notes from all threads. Leaves: a picture for `status`; rows of `syncd_peer` now and then.
Must hold: idle, nothing is written; what the disk lacks is at most `FLUSH_S` old while something moves, and nothing
after an orderly end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.clock import Clock, instant_of
from syncd.errors import TemporaryError, written
from syncd.store import pulse
from syncd.store.base import Store


@dataclass(slots=True, kw_only=True)
class PeerVitals:
    """The last exchanges with one neighbour."""

    last_success_at: str | None = None
    last_attempt_at: str | None = None
    last_error: str | None = None
    clock_offset_ms: int | None = None
    waiting_rows: int | None = None
    open_cases: int | None = None
    # By the steady clock, in seconds: of the last success, of the first failure since, and what it said of nodes below
    # it that are silent, with when it said so.
    succeeded_s: float | None = None
    failing_since_s: float | None = None
    silent: tuple[tuple[str, int], ...] = ()
    silent_said_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class WorkerVitals:
    """What a thread does. `busy_since`, `failing_since_s`: steady seconds, None while it waits, or does not fail.
    `is_temporary`: its error may go by itself."""

    doing: str = "starting"
    busy_since: float | None = None
    error: str | None = None
    failing_since_s: float | None = None
    is_temporary: bool = False


class Vitals:
    """The picture, behind one lock. `moved` is called when something is worth writing."""

    def __init__(self, clock: Clock, moved: Callable[[], None]) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._peers: dict[str, PeerVitals] = {}
        self._workers: dict[str, WorkerVitals] = {}
        self._moved = moved
        self._dirty = False
        self.started_at = instant_of(clock())

    def peer_seen(
        self, node_id: str, *, carried: bool = False, waiting_rows: int | None = None, open_cases: int | None = None,
        offset_ms: int | None = None, silent: Sequence[tuple[str, int]] | None = None,
    ) -> None:  # fmt: skip
        """A successful exchange. `carried`: it moved something, so its time is worth writing."""
        now = instant_of(self._clock())
        with self._guard:
            peer = self._peers.setdefault(node_id, PeerVitals())
            first = peer.last_success_at is None or peer.last_error is not None
            changed = (waiting_rows, open_cases) != (None, None) and (waiting_rows, open_cases) != (
                peer.waiting_rows,
                peer.open_cases,
            )
            peer.last_success_at = peer.last_attempt_at = now
            peer.last_error = peer.failing_since_s = None
            peer.succeeded_s = time.monotonic()
            if silent is not None:
                peer.silent, peer.silent_said_s = tuple(silent), peer.succeeded_s
            if changed:
                peer.waiting_rows, peer.open_cases = waiting_rows, open_cases
            if offset_ms is not None:
                peer.clock_offset_ms = offset_ms
        if carried or changed or first:
            self._mark()

    def peer_failed(self, node_id: str, error: Exception) -> None:
        """An exchange that failed."""
        with self._guard:
            peer = self._peers.setdefault(node_id, PeerVitals())
            news = peer.last_error is None
            if peer.failing_since_s is None:
                peer.failing_since_s = time.monotonic()
            peer.last_attempt_at = instant_of(self._clock())
            peer.last_error = written(error)
        if news:
            self._mark()

    def works(self, worker: str, doing: str) -> None:
        """A thread begins something."""
        with self._guard:
            vitals = self._workers.setdefault(worker, WorkerVitals())
            vitals.doing, vitals.busy_since = doing, time.monotonic()

    def waits(self, worker: str) -> None:
        """A thread has done what there was."""
        with self._guard:
            vitals = self._workers.setdefault(worker, WorkerVitals())
            vitals.doing, vitals.busy_since, vitals.error = "waiting", None, None
            vitals.failing_since_s = None

    def asks(self, worker: str) -> None:
        """A thread waits for an answer: whether its last error has gone is known when that has come."""
        with self._guard:
            vitals = self._workers.setdefault(worker, WorkerVitals())
            vitals.doing, vitals.busy_since = "waiting", None

    def fails(self, worker: str, error: Exception) -> None:
        """A thread waits after an error."""
        with self._guard:
            vitals = self._workers.setdefault(worker, WorkerVitals())
            vitals.doing, vitals.busy_since, vitals.error = "waiting after an error", None, written(error)
            vitals.is_temporary = isinstance(error, TemporaryError)
            if vitals.failing_since_s is None:
                vitals.failing_since_s = time.monotonic()

    def recovers(self, worker: str, error: Exception) -> None:
        """A turn after an error has succeeded; another trouble that it found stands."""
        with self._guard:
            vitals = self._workers.setdefault(worker, WorkerVitals())
            if vitals.error == written(error):
                vitals.error = vitals.failing_since_s = None

    def heard_ago_s(self) -> dict[str, float]:
        """Neighbour → seconds since its last success, of those heard by this process."""
        now = time.monotonic()
        with self._guard:
            return {key: now - peer.succeeded_s for key, peer in self._peers.items() if peer.succeeded_s is not None}

    def silent_below(self) -> dict[str, tuple[str, float]]:
        """Node further below → the child that says so, and seconds for which it has been silent."""
        now = time.monotonic()
        with self._guard:
            return {
                node_id: (child, _still(for_s, now - peer.silent_said_s))
                for child, peer in self._peers.items()
                for node_id, for_s in peer.silent
            }

    def picture(self) -> dict[str, Any]:
        """For `status`, as JSON values."""
        now = time.monotonic()
        stuck = pulse.stuck()
        with self._guard:
            workers = {**dict.fromkeys(stuck, WorkerVitals(doing="working")), **self._workers}
            return {
                "running_since": self.started_at,
                "peers": {node_id: _peer_picture(peer, now) for node_id, peer in self._peers.items()},
                "workers": {name: _worker_picture(worker, now, stuck.get(name)) for name, worker in workers.items()},
            }

    @property
    def is_dirty(self) -> bool:
        return self._dirty

    def flush(self, store: Store) -> None:
        """Write what moved since the last time."""
        with self._guard:
            if not self._dirty:
                return
            self._dirty = False
            rows = [
                (
                    p.last_success_at,
                    p.last_attempt_at,
                    p.last_error,
                    p.clock_offset_ms,
                    p.waiting_rows,
                    p.open_cases,
                    node_id,
                )
                for node_id, p in self._peers.items()
            ]
        with store.apply("peers") as tx:
            tx.many(_WRITE_PEER, rows)

    def flush_last(self, store: Store) -> None:
        """At the end: also the times of exchanges that carried nothing."""
        with self._guard:
            self._dirty = bool(self._peers)
        self.flush(store)

    def _mark(self) -> None:
        self._dirty = True
        self._moved()


# A success without a time here (none since this start) leaves the recorded one.
_WRITE_PEER = """
    UPDATE syncd_peer SET last_success_at = coalesce(?, last_success_at), last_attempt_at = ?, last_error = ?,
        clock_offset_ms = coalesce(?, clock_offset_ms), waiting = coalesce(?, waiting), cases = coalesce(?, cases)
    WHERE node_id = ?
"""


PEER_FACTS = (
    "last_success_at", "last_attempt_at", "last_error", "clock_offset_ms", "waiting_rows", "open_cases",
)  # fmt: skip


def _peer_picture(peer: PeerVitals, now_s: float) -> dict[str, Any]:
    """Ages instead of steady moments, which mean nothing to another process."""
    return {
        **{name: getattr(peer, name) for name in PEER_FACTS},
        "success_age_s": _ago(peer.succeeded_s, now_s), "failing_s": _ago(peer.failing_since_s, now_s),
        "silent": [[node_id, _still(for_s, now_s - peer.silent_said_s)] for node_id, for_s in peer.silent],
    }  # fmt: skip


def _worker_picture(worker: WorkerVitals, now_s: float, stuck_s: float | None) -> dict[str, Any]:
    busy_s = _ago(worker.busy_since, now_s)
    return {
        "doing": worker.doing, "error": worker.error, "busy_s": busy_s if busy_s is not None else stuck_s,
        "failing_s": _ago(worker.failing_since_s, now_s), "is_temporary": worker.is_temporary,
        "is_stuck": stuck_s is not None,
    }  # fmt: skip


def _still(for_s: float, since_s: float) -> float:
    """How long a node has been silent by now; 0 says never heard, and stays."""
    return for_s + since_s if for_s else 0.0


def _ago(since_s: float | None, now_s: float) -> float | None:
    return None if since_s is None else round(now_s - since_s, 1)
