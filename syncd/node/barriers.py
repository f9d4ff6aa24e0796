"""Barriers: a duty that fails stops alone, with a case; every other duty goes on (I10).

Enters: duties, each about a stream, a unit, a reader or nothing in particular. Leaves: what they return, or a stated
value for one that failed.
Must hold: no row of a neighbour ends a process, whatever code it makes fail: the failure is logged with its place
(event `bug` where it is none of our errors), is a case until the duty succeeds, and the duty is tried again after ever
longer. What concerns the whole node passes: a full disk, a locked database, too little memory. No value of a row leaves
here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from conflict.case import CaseKind, case_id
from syncd import limits
from syncd.cases import close_case, open_case
from syncd.clock import Clock, instant_of
from syncd.errors import (
    DatabaseReplaced,
    ForkError,
    KeyMissing,
    SchemaNewer,
    StreamBehind,
    SyncdError,
    TemporaryError,
    TreeOlder,
    Unforeseen,
    written,
)
from syncd.events import event
from syncd.language import say
from syncd.store.base import Store

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
OURS = ("syncd", "schema", "conflict")
# What a transaction, a neighbour or a supervisor is asked about again as a whole.
PASSING = (TemporaryError, DatabaseReplaced, ForkError, MemoryError, OSError)
# What comes by itself with a later exchange, and wakes whoever waits for it: no case.
AWAITED = (KeyMissing, SchemaNewer, StreamBehind, TreeOlder)


class Barriers:
    """Of one node, in one process. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._guard = threading.Lock()
        # Duty → when it is due again, then after how long.
        self._failing: dict[tuple[str, str], tuple[float, float]] = {}
        self._open: set[str] | None = None  # cases that an earlier process or this one has opened

    def run(
        self, duty: str, work: Callable[[], T], otherwise: T, *, about: str = "", stream_id: str | None = None,
        unit_id: str | None = None, passing: tuple[type[Exception], ...] = (),
    ) -> T:  # fmt: skip
        """What `work` returns; `otherwise` where it fails, or failed and is not yet due again. `about`: whom else the
        duty concerns, by an id. `passing`: errors that are somebody else's to answer."""
        key = (duty, about or stream_id or unit_id or "")
        if not self._is_due(key):
            return otherwise
        try:
            done = work()
        except Exception as error:  # whatever a row made of our code
            if isinstance(error, (*PASSING, *passing)):
                raise
            if not isinstance(error, AWAITED):
                self._failed(key, error, stream_id, unit_id)
            return otherwise
        self._succeeded(key)
        return done

    @property
    def next_due_s(self) -> float | None:
        """Seconds until a duty that failed is due again; None: none failed."""
        with self._guard:
            due = [due_at for due_at, _delay_s in self._failing.values()]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def is_due_again(self, duty: str) -> bool:
        """Whether a duty, about whatever, failed and is to be tried again now."""
        now = time.monotonic()
        with self._guard:
            return any(key[0] == duty and due_at <= now for key, (due_at, _delay_s) in self._failing.items())

    def _is_due(self, key: tuple[str, str]) -> bool:
        with self._guard:
            return key not in self._failing or time.monotonic() >= self._failing[key][0]

    def _failed(self, key: tuple[str, str], error: Exception, stream_id: str | None, unit_id: str | None) -> None:
        with self._guard:
            _due_at, delay_s = self._failing.get(key, (0.0, limits.DUTY_RETRY_S))
            if key in self._failing or len(self._failing) < limits.DUTIES_FAILING_MAX:
                self._failing[key] = (time.monotonic() + delay_s, min(2 * delay_s, limits.DUTY_RETRY_S_MAX))
        tell(error, duty=key[0], about=key[1] or None)
        case, known = case_id(CaseKind.DUTY_STOPPED, *key), self._known()
        if case in known:
            return
        with self._store.apply("duty-stopped") as tx:
            open_case(
                tx, CaseKind.DUTY_STOPPED, key, opened_at=instant_of(self._clock()), stream_id=stream_id,
                unit_id=unit_id, detail={"duty": key[0], "about": key[1], "error": reason_of(error)},
            )  # fmt: skip
        known.add(case)

    def _succeeded(self, key: tuple[str, str]) -> None:
        with self._guard:
            self._failing.pop(key, None)
        known = self._known()
        if not known:
            return
        case = case_id(CaseKind.DUTY_STOPPED, *key)
        if case in known:
            with self._store.apply("duty-goes-on") as tx:
                close_case(tx, case, instant_of(self._clock()))
            known.discard(case)

    def _known(self) -> set[str]:
        """Open cases of this kind, read once."""
        if self._open is None:
            with self._store.read() as tx:
                rows = tx.all(
                    "SELECT case_id FROM syncd_case WHERE kind = ? AND closed_at IS NULL",
                    (CaseKind.DUTY_STOPPED.value,),
                )
            with self._guard:
                self._open = {row[0] for row in rows}
        return self._open


def tell(error: BaseException, **place: Any) -> None:
    """Log a failure that was contained: a bug with its traceback, without the words of a library, which may quote a
    row; one of our errors by its reason."""
    if isinstance(error, SyncdError):
        event("duty-stopped", logging.WARNING, reason=written(error), **place)
        return
    kind, at = type(error).__name__, place_of(error.__traceback__)
    bare = Unforeseen(kind, "").with_traceback(error.__traceback__)
    event("bug", logging.ERROR, bare, kind=kind, at=at, **place)


def reason_of(error: BaseException) -> str:
    """Why something stopped, as it is stored: our own words, or the kind and place of what nobody foresaw."""
    return written(error if isinstance(error, SyncdError) else unforeseen(error))


def unforeseen(error: BaseException) -> Unforeseen:
    """An error of ours for one that nobody foresaw; it quotes nothing."""
    return Unforeseen(
        say(
            "lỗi không lường trước: {kind} tại {place}",
            "an unexpected error: {kind} at {place}",
            kind=type(error).__name__,
            place=place_of(error.__traceback__),
        ),
        say(
            "chỉ việc này dừng, sẽ tự thử lại; gửi nhật ký cho nơi bảo trì syncd",
            "this alone stops and is tried again by itself; send the log to whoever maintains syncd",
        ),
    )


def place_of(trace: TracebackType | None) -> str:
    """The innermost line of ours: file and number."""
    found = "?"
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS:
            found = f"{path.relative_to(ROOT).as_posix()}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
