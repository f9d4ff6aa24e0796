"""The daemon's threads: writer, sender, puller, applier. Each does one thing for ever and waits for its bell.

Enters: an open node, the link to the parent. Leaves: streams written, sent, received, applied.
Must hold: every turn ends at a commit, so a stop between two turns loses nothing; an error is shown and the turn tried
again after a delay, a bug too, which is logged as such: a row or an answer of a neighbour may have brought it about.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from syncd import limits
from syncd.applying import More
from syncd.errors import DatabaseReplaced, DiskFull, SyncdError, written
from syncd.events import event
from syncd.exchange import Link
from syncd.messages import Hello, HelloReply
from syncd.net.client import ParentClient
from syncd.node.barriers import tell, unforeseen
from syncd.node_files import OpenNode
from syncd.recovery.capture import Capture
from syncd.reserve import Reserve
from syncd.retry import Retries
from syncd.signals import APPLIED, LOG
from syncd.store import pulse
from syncd.system import watch_directory
from syncd.vitals import Vitals

SUPERVISOR = "supervisor"


class Life:
    """Whether the process goes on; rings every bell when it does not."""

    def __init__(self, reserve: Reserve | None = None) -> None:
        self.reserve = reserve
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._bells: list[threading.Event] = []
        self._calls: list[Callable[[], None]] = []
        self.fatal: BaseException | None = None

    def at_end(self, call: Callable[[], None]) -> None:
        """Have `call` called at the end, to end a wait that is not on a bell."""
        with self._guard:
            self._calls.append(call)

    def bell(self) -> threading.Event:
        """An event that is also set by the end."""
        bell = threading.Event()
        with self._guard:
            self._bells.append(bell)
        return bell

    @property
    def ending(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait; returns whether the end came meanwhile."""
        with pulse.waiting():
            return self._stop.wait(seconds)

    def end(self) -> None:
        """Everybody finishes what is in hand."""
        self._stop.set()
        with self._guard:
            calls = [*(bell.set for bell in self._bells), *self._calls]
        for call in calls:
            call()

    def give_up(self, worker: str, error: Exception) -> None:
        """What no waiting mends: a bug, or a database that was taken away. Say which, and end."""
        if isinstance(error, DatabaseReplaced):
            event("database-replaced", logging.CRITICAL, worker=worker, reason=written(error))
        else:
            event("bug", logging.ERROR, error=error, worker=worker)
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Something nobody foresaw: end, and say so with the exit code."""
        self.fatal = self.fatal or error
        self.end()


class Worker(ABC, threading.Thread):
    """A thread that takes turns until the end. `in_network`: it waits for the parent and may be left behind at the
    end.
    """

    def __init__(self, name: str, life: Life, vitals: Vitals) -> None:
        super().__init__(name=name, daemon=True)
        self.life = life
        self.vitals = vitals
        self.in_network = False

    @abstractmethod
    def turn(self) -> None:
        """One turn: work if there is any, else wait."""

    def failed(self, error: Exception) -> None:
        """Forget what an error has made doubtful."""

    @contextmanager
    def network(self) -> Iterator[None]:
        """Inside, this thread waits for the parent."""
        self.in_network = True
        try:
            with pulse.waiting():
                yield
        finally:
            self.in_network = False

    def run(self) -> None:
        try:
            with pulse.watched():
                self._take_turns()
        except BaseException as error:  # without it the others would go on as if nothing were missing
            self.life.fail(error)
            raise

    def _take_turns(self) -> None:
        retries = Retries()
        before: Exception | None = None
        while not self.life.ending:
            pulse.step()
            try:
                self.turn()
                retries.succeeded()
                if before is not None:
                    self.vitals.recovers(self.name, before)
                    before = None
                self._take_reserve_back()
            except Exception as error:  # a bug too: what some row or answer brought about ends no process
                self.failed(error)
                if isinstance(error, DiskFull) and self.life.reserve is not None and self.life.reserve.was_given():
                    continue  # at once: whoever waits leaves the space to others
                ours = error if isinstance(error, SyncdError | OSError) else unforeseen(error)
                if ours is not error:
                    tell(error, worker=self.name)
                decision = retries.decide(ours)
                self.vitals.fails(self.name, ours)
                before = ours
                if not decision.again:
                    self.life.give_up(self.name, error)
                    return
                event("retry", logging.WARNING, worker=self.name, reason=written(ours), after_s=decision.delay_s)
                self.life.pause(decision.delay_s)

    def _take_reserve_back(self) -> None:
        """On a full disk: what this turn has not used up is kept from everybody else."""
        if self.life.reserve is not None and self.life.reserve.full_since:
            self.life.reserve.regain()


class Writer(Worker):
    """Sequences and seals what any program has committed; writes checkpoints when it is quiet."""

    def __init__(
        self, life: Life, vitals: Vitals, opened: OpenNode, settings: Callable[[], tuple[float, float]]
    ) -> None:
        super().__init__("writer", life, vitals)
        self._node = opened.node
        self._store = opened.store
        self._settings = settings  # poll_s, checkpoint_after_s: as last configured
        self._watch = watch_directory(opened.directory) if opened.store.dialect == "sqlite" else None
        if self._watch is not None:
            life.at_end(self._watch.wake)
        self._capture = Capture(opened)
        self._mark: int | None = None
        self._active_until = 0.0
        self._written_at = self._checked_at = time.monotonic()
        self._stirred_by: int | None = None  # the mark as last seen
        self._relax_at, self._relax_again_s = math.inf, limits.RELAX_AFTER_S

    def turn(self) -> None:
        poll_s, checkpoint_after_s = self._settings()
        mark: int | None = self._store.change_mark()
        if self._is_blind(mark):
            self._mark = mark
            self._wait(poll_s, checkpoint_after_s)
            return
        if mark != self._mark or self._store.dialect != "sqlite":
            if self._node.has_backlog():
                if self._node.rejoin.holds_back():
                    mark = None  # look again, although nothing more is committed
                else:
                    self._write()
            elif self._store.dialect == "sqlite":
                self._node.notice()
            self._mark = mark
        if self._node.owes_checkpoint:
            self._check(checkpoint_after_s)
        self._relax(mark)
        self._wait(poll_s, checkpoint_after_s)

    def _is_blind(self, mark: int | None) -> bool:
        """Whether tables were changed so that writes are not captured any more: then nothing is sealed."""
        if mark == self._mark and self._store.dialect == "sqlite" and not self._capture.has_more:
            return False
        before, trouble = self._capture.trouble, self._capture.look()
        if trouble is not None:
            if written(trouble) != (before and written(before)):
                event("capture-lost", logging.ERROR, reason=written(trouble))
            self.vitals.fails(self.name, trouble)
        elif before is not None:
            event("capture-back")
            self.vitals.waits(self.name)
        return trouble is not None

    def failed(self, error: Exception) -> None:
        self._mark = None  # look again, although nothing more was committed

    def _wait(self, poll_s: float, checkpoint_after_s: float) -> None:
        """Until there may be something to write.

        A watched file is written before its commit is visible (the disk comes between): from then on it is looked at
        every `poll_s` for a while. A commit that the watch missed is found by looking once a second.
        """
        now = time.monotonic()
        if self._watch is None:
            self.life.pause(poll_s if self._store.dialect == "sqlite" else max(poll_s, limits.POLL_POSTGRES_S))
        elif now < self._active_until:
            self._wait_active(min(poll_s, now - self._active_until + limits.ACTIVE_S))
        elif self._written(
            min(limits.POLL_FALLBACK_S, checkpoint_after_s) if self._node.owes_checkpoint else limits.POLL_FALLBACK_S
        ):
            self._active_until = time.monotonic() + limits.ACTIVE_S

    def _wait_active(self, pause_s: float) -> None:
        """At least `POLL_FIRST_S`, or a bulk load would have this thread look without end; then until more is
        written.
        """
        self.life.pause(limits.POLL_FIRST_S)
        if self._written(max(pause_s - limits.POLL_FIRST_S, 0.0)):
            self._active_until = time.monotonic() + limits.ACTIVE_S

    def _written(self, seconds: float) -> bool:
        """Whether the file was written within that time."""
        with pulse.waiting():
            return self._watch is not None and self._watch.wait(seconds)

    def _write(self) -> None:
        self.vitals.works(self.name, "sequencing")
        began = time.monotonic()
        overdue = began - self._checked_at > limits.CHECKPOINT_S_MAX
        rows = self._node.write(checkpoints=overdue)
        self._written_at = time.monotonic()
        if overdue:
            self._checked_at = self._written_at
        event("sequenced", rows=rows, duration_s=self._written_at - began)
        self.vitals.waits(self.name)

    def _check(self, checkpoint_after_s: float) -> None:
        """After a burst: digests of what the streams now say, for every replica to compare. Owed until it is written:
        also behind what came back, or was written by another stage."""
        if time.monotonic() - self._written_at < checkpoint_after_s or self._node.rejoin.holds_back():
            return
        self.vitals.works(self.name, "checkpoint")
        written = self._node.checkpoint()
        self._checked_at = time.monotonic()
        if written:
            event("checkpoint", streams=written)
        self._stirred_by = None  # digests need memory too
        self.vitals.waits(self.name)

    def _relax(self, mark: int | None) -> None:
        """Once nobody has committed for a while: detecting and receipts go on long after a checkpoint. Whoever looks
        for disagreements only reads, and keeps the log from being shortened meanwhile."""
        now = time.monotonic()
        if mark != self._stirred_by:
            self._stirred_by, self._relax_at = mark, now + limits.RELAX_AFTER_S
            self._relax_again_s = limits.RELAX_AFTER_S
        elif now >= self._relax_at and not self._store.is_busy():
            self._relax_again_s = min(2 * self._relax_again_s, limits.RELAX_AGAIN_S_MAX)
            self._relax_at = math.inf if self._store.relax() else now + self._relax_again_s


class Sender(Worker):
    """Hello, then whatever the parent lacks, as soon as there is any."""

    def __init__(self, life: Life, vitals: Vitals, opened: OpenNode, link: Link, client: ParentClient) -> None:
        super().__init__("sender", life, vitals)
        self._node = opened.node
        self._failpoint = opened.store.failpoint
        self._link = link
        self._client = client
        self._bell = life.bell()
        self._greeted = False
        self._blocked_wait_s = 1.0
        opened.node.signals.subscribe(self._on_signal)

    def turn(self) -> None:
        if not self._greeted or self._link.was_cut:
            self._greet()
        self._bell.clear()
        if self.life.ending:
            return
        self.vitals.works(self.name, "sending")
        sending = self._link.next_push()
        if sending is None:
            self.vitals.waits(self.name)
            self._wait()
            return
        began = time.monotonic()
        self._failpoint("push:before-send")
        with self.network():
            reply = self._client.push(sending)
        self._failpoint("push:after-reply")
        self._link.take_push(reply)
        self._failpoint("push:done")
        self.vitals.peer_seen(self._link.parent, carried=True)
        event(
            "push", peer=self._link.parent, envelopes=len(sending.batch.entries), bytes=len(sending.body),
            refused=len(reply.refused) or None, duration_s=time.monotonic() - began,
        )  # fmt: skip

    def failed(self, error: Exception) -> None:
        self._greeted = False
        self.vitals.peer_failed(self._link.parent, error)

    def _greet(self) -> None:
        """Learn where the parent stands: after a start, an error, a refusal."""
        self.vitals.works(self.name, "hello")
        self._link.greet(self._ask)
        self._greeted = True
        self.vitals.peer_seen(self._link.parent, offset_ms=self._node.clock_offset_ms)

    def _ask(self, hello: Hello) -> HelloReply:
        with self.network():
            return self._client.hello(hello)

    def _wait(self) -> None:
        """Until something was written; for refused streams until it is time to offer them again."""
        if not self._link.has_blocked:
            self._blocked_wait_s = 1.0
            self._rung(limits.NOTE_WAIT_S if self._link.has_unnoted else None)
        elif not self._rung(self._blocked_wait_s):
            self._greeted = False
            self._blocked_wait_s = min(2 * self._blocked_wait_s, limits.BLOCKED_WAIT_S_MAX)

    def _rung(self, seconds: float | None) -> bool:
        with pulse.waiting():
            return self._bell.wait(seconds)

    def _on_signal(self, topic: str, _stream_ids: frozenset[str]) -> None:
        if topic == LOG:
            self._bell.set()


class Puller(Worker):
    """Asks for what flows down; the parent answers as soon as there is any."""

    def __init__(self, life: Life, vitals: Vitals, opened: OpenNode, link: Link, client: ParentClient) -> None:
        super().__init__("puller", life, vitals)
        self._failpoint = opened.store.failpoint
        self._signals = opened.node.signals
        self._link = link
        self._client = client
        self._wait_s = 0.0  # the first question after a start or an error is answered at once

    def turn(self) -> None:
        self.vitals.asks(self.name)
        pull = self._link.pull(self._wait_s)
        self._failpoint("pull:before-send")
        with self.network():
            pulled = self._client.pull(pull, self._link)
        if self.life.ending:
            return  # not taken, so asked for again
        self._failpoint("pull:after-reply")
        self.vitals.works(self.name, "receiving")
        self._link.take_pull(pulled.reply, pulled.envelopes, pulled.unfinished)
        if self._link.was_cut:
            self._signals.emit(LOG, [self._link.parent])  # the parent is back: whoever sends greets it anew
        if pulled.error is not None:
            raise pulled.error
        self.vitals.waits(self.name)
        self.life.pause(self._link.pause_s)
        # What must be asked for otherwise is known after a hello: no long wait before it, or while such a thing lasts.
        is_settled = self._link.has_greeted and not self._link.has_blocked
        self._wait_s = limits.HINT_WAIT_S_MAX if is_settled else limits.UNSETTLED_WAIT_S
        receipts = len(pulled.reply.receipts)
        self.vitals.peer_seen(self._link.parent, carried=bool(pulled.envelopes or receipts))
        if pulled.envelopes or receipts:
            event(
                "pull", peer=self._link.parent, envelopes=len(pulled.envelopes), receipts=receipts,
                bytes=pulled.size_bytes,
            )  # fmt: skip

    def failed(self, error: Exception) -> None:
        self._link.was_cut = True
        self._wait_s = 0.0
        self.vitals.peer_failed(self._link.parent, error)


class Applier(Worker):
    """Applies what has been received, decides what waits for a decision, grants keys to children."""

    def __init__(self, life: Life, vitals: Vitals, opened: OpenNode) -> None:
        super().__init__("applier", life, vitals)
        self._node = opened.node
        self._bell = life.bell()
        self._news = threading.Condition()
        self._arrived: set[str] = set()
        self._retries: dict[str, tuple[float, float]] = {}  # stopped stream → when to try again, then after how long
        self._stirred_at = -math.inf  # when anything was last written, received or applied
        self._owed_since: float | None = None  # when there was first something new to look at
        self._slow: set[str] = set()  # streams whose open group was waited for in vain: until it moves, only whole ones
        opened.node.signals.subscribe(self._on_signal)

    def turn(self) -> None:
        self._bell.clear()
        with self._news:
            self._arrived.clear()
        if self.life.ending:
            return
        self.vitals.works(self.name, "applying")
        began = time.monotonic()
        outcome = self._node.apply_all(self._more_of, self._may_retry)
        concluded = self._node.conclude()
        if outcome.applied:
            event("applied", duration_s=time.monotonic() - began)
        calm_in_s = self._look()
        self.vitals.waits(self.name)
        look_in_s = self._node.look_again_s() if calm_in_s is None else calm_in_s
        due_in_s = (self._until_retry_s(), look_in_s, self._node.barriers.next_due_s)
        wait_s = min([each for each in due_in_s if each is not None], default=None)
        with pulse.waiting():
            self._bell.wait(limits.LEAVING_WAIT_S if concluded.waiting else wait_s)

    def _look(self) -> float | None:
        """Look for disagreements once it is calm, now and then anyway; seconds until then, None: all was looked at.
        No officer waits for them by the second, and on an old PC they would slow down what is under way."""
        now = time.monotonic()
        self._owed_since = now if self._owed_since is None else self._owed_since
        calm_at = min(self._stirred_at + limits.DETECT_CALM_S, self._owed_since + limits.DETECT_WAIT_S_MAX)
        if calm_at > now:
            return calm_at - now
        self.vitals.works(self.name, "looking for disagreements")
        self._owed_since = now if self._node.look().waiting else None
        if self._owed_since is not None:
            return limits.DETECT_CALM_S
        self.vitals.works(self.name, "matching persons")
        return limits.IDENTITY_PAUSE_S if self._node.match(self._is_calm_until(now)).waiting else None

    def _is_calm_until(self, began: float) -> Callable[[], bool]:
        """Whether matching may go on: nothing has come, and it has not worked for long."""
        return lambda: not self._bell.is_set() and time.monotonic() < began + limits.IDENTITY_STEP_S

    def _may_retry(self, stream_id: str) -> bool:
        """A stopped stream is tried again, ever more rarely: a large group costs as much as if it succeeded."""
        now = time.monotonic()
        due_at, delay_s = self._retries.get(stream_id, (now, limits.STOPPED_RETRY_S))
        if now < due_at:
            return False
        self._retries[stream_id] = (now + delay_s, min(2 * delay_s, limits.STOPPED_RETRY_S_MAX))
        return True

    def _until_retry_s(self) -> float | None:
        """Until the next stopped stream is due; one that was due and not asked for has gone on meanwhile."""
        now = time.monotonic()
        self._retries = {key: when for key, when in list(self._retries.items()) if when[0] > now}
        return min((due_at - now for due_at, _delay_s in self._retries.values()), default=None)

    def _more_of(self, stream_id: str) -> More | None:
        """One wait per group: a child on a bad line must not make every turn wait, nor its pieces be applied again with
        each that trickles in."""
        return None if stream_id in self._slow else partial(self._more, stream_id)

    def _more(self, stream_id: str) -> bool:
        """Wait, inside a transaction, for the rest of an open group of this stream."""
        with self._news, pulse.waiting():
            self._news.wait_for(lambda: stream_id in self._arrived or self.life.ending, limits.OPEN_GROUP_WAIT_S_MAX)
            came = stream_id in self._arrived
            self._arrived.discard(stream_id)
            if not came:
                self._slow.add(stream_id)
        return came and not self.life.ending

    def _on_signal(self, topic: str, stream_ids: frozenset[str]) -> None:
        if self._node.node_id not in stream_ids:  # else only its own turn comes again
            self._stirred_at = time.monotonic()
        if topic == LOG:
            with self._news:
                self._arrived |= stream_ids
                self._news.notify_all()
        elif topic == APPLIED:
            self._slow -= stream_ids
            self._retries = {key: when for key, when in list(self._retries.items()) if key not in stream_ids}
        if topic in (LOG, APPLIED):  # applied: what another stream has waited for may have come with it
            self._bell.set()
