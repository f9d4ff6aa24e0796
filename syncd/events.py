"""The daemon's log: standard logging to stderr, one line per event, as text or JSON.

Enters: a stable event name and fields. Leaves: a line. Must hold: fields are ids, counts, sizes and reasons of ours,
never a citizen's value.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import IO, Any, Literal

LOGGER = logging.getLogger("syncd")
Value = str | int | float | None


def set_up(level: str, form: Literal["text", "json"], stream: IO[str] | None = None) -> None:
    """Send log lines to `stream` (stderr); called again it changes level and form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else _TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.setLevel(level.upper())


def event(name: str, level: int = logging.INFO, error: BaseException | None = None, **fields: Value) -> None:
    """Log one event. `error`: with its traceback, for what nobody foresaw."""
    LOGGER.log(level, name, exc_info=error, extra={"fields": fields})


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        parts = [_instant(record.created), record.levelname.lower(), record.getMessage()]
        parts += [f"{key}={_quoted(value)}" for key, value in fields.items() if value is not None]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info and record.exc_info[0] else line


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _instant(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0]:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _instant(moment_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_s))


def _quoted(value: Value) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text or "\n" in text else text
