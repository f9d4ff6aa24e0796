"""The daemon's log: standard logging to stderr, one line per event, as text or JSON.

Enters: a stable event name and fields. Leaves: a line. Must hold: fields are ids, counts, sizes and reasons of ours,
never a citizen's value; what comes again for one cause is counted, so that no neighbour and no full disk fills the
log.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Literal

from syncd import limits
from syncd.errors import written
from syncd.text import escaped

LOGGER = logging.getLogger("syncd")
Value = str | int | float | None


def set_up(level: str, form: Literal["text", "json"], stream: IO[str] | None = None) -> None:
    """Send log lines to `stream` (stderr); called again it changes level and form."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else _TextLines())
    handler.addFilter(Counted(handler.handle))
    root = logging.getLogger()
    for old in root.handlers:
        for counted in [each for each in old.filters if isinstance(each, Counted)]:
            counted.flush()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.setLevel(level.upper())


def event(name: str, level: int = logging.INFO, error: BaseException | None = None, **fields: Value) -> None:
    """Log one event. `error`: with its traceback, for what nobody foresaw."""
    LOGGER.log(level, name, exc_info=error, extra={"fields": fields})


@dataclass(slots=True, kw_only=True)
class _Cause:
    """One cause since it was last told: the record, when it was, how often it has come again."""

    record: logging.LogRecord
    since_s: float
    times: int = 0


class _Handler(logging.StreamHandler[IO[str]]):
    """Lines that come when the stream is closed already, as at the very end, are left unsaid: there is nowhere else."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        if not self.stream.closed:
            super().handleError(record)


class Counted(logging.Filter):
    """Lets a warning pass when its cause is new, then counts it and says once a minute how often it came again.

    A cause is an event with its texts; its numbers (after how many seconds) are not looked at. Of one event only some
    causes are told apart: whoever makes up ever new ones is counted as one. `tell` writes a record.
    """

    def __init__(self, tell: Callable[[logging.LogRecord], Any], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._tell = tell
        self._clock = clock
        self._guard = threading.Lock()
        self._causes: dict[tuple[Any, ...], _Cause] = {}
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or hasattr(record, "is_count"):
            return True
        now_s = self._clock()
        self._tell_due(now_s)
        with self._guard:
            key = self._key(record)
            cause = self._causes.get(key)
            if cause is None:
                self._causes[key] = _Cause(record=_bare(record), since_s=now_s)
                return True
            cause.times += 1
            if self._timer is None:
                self._timer = threading.Timer(limits.LOG_REPEATED_S, self._timed)
                self._timer.daemon = True
                self._timer.start()
        return False

    def flush(self) -> None:
        """Say what was counted, as at the end."""
        self._tell_due(float("inf"))

    def _key(self, record: logging.LogRecord) -> tuple[Any, ...]:
        event_ = (record.name, record.levelno, str(record.msg))
        fields = getattr(record, "fields", None)
        texts = record.args if fields is None else tuple(v for v in fields.values() if isinstance(v, str))
        kind = record.exc_info[0] if record.exc_info else None
        key = (*event_, str(texts), kind)
        of_event = sum(1 for known in self._causes if known[:3] == event_)
        is_full = of_event >= limits.LOG_CAUSES_MAX or len(self._causes) >= 4 * limits.LOG_CAUSES_MAX
        return key if key in self._causes or not is_full else event_ if of_event else ("", record.levelno, "")

    def _timed(self) -> None:
        with self._guard:
            self._timer = None
        self._tell_due(self._clock())

    def _tell_due(self, now_s: float) -> None:
        """Once a minute: how often each cause came again; one that did not is forgotten."""
        told: list[logging.LogRecord] = []
        with self._guard:
            for key, cause in list(self._causes.items()):
                if now_s - cause.since_s < limits.LOG_REPEATED_S:
                    continue
                if cause.times:
                    told.append(_repeated(cause))
                    cause.since_s, cause.times = now_s, 0
                else:
                    del self._causes[key]
        for record in told:
            self._tell(record)


def _bare(of: logging.LogRecord) -> logging.LogRecord:
    """What is kept of a line: a traceback would keep the values of all its frames in memory."""
    record = logging.LogRecord(of.name, of.levelno, of.pathname, of.lineno, of.getMessage(), None, None)
    record.fields = getattr(of, "fields", {})
    return record


def _repeated(cause: _Cause) -> logging.LogRecord:
    """The cause's line once more, with how often it came since."""
    record = _bare(cause.record)
    record.fields = {**getattr(record, "fields", {}), "repeated": cause.times}
    record.is_count = True
    return record


class _Lines(logging.Formatter):
    """Tracebacks without the words of libraries, which may quote a row: of those the kind alone is told."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - named by the standard library
        return told_trace(ei[1])


def told_trace(error: BaseException | None) -> str:
    """Where an error and its causes were raised, innermost cause first, and what they are."""
    told: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = "".join(traceback.format_tb(error.__traceback__)[-limits.FRAMES_MAX :])
        told.insert(0, f"{frames}{type(error).__module__}.{type(error).__name__}: {written(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(told)


class _TextLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        parts = [_instant(record.created), record.levelname.lower(), record.getMessage()]
        parts += [f"{key}={_quoted(value)}" for key, value in fields.items() if value is not None]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info and record.exc_info[0] else line


class _JsonLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _instant(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0]:
            line["traceback"] = self.formatException(record.exc_info)
        return escaped.in_json(json.dumps(line, ensure_ascii=False))


def _instant(moment_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_s))


def _quoted(value: Value) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else escaped.line(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text or "\n" in text else text
