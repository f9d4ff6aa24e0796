"""Decoding what came from outside: whatever a library raises over such bytes becomes one of our errors.

Enters: a block of code that reads bytes or text of a neighbour, of the log, or of a file. Leaves: its result, or the
error named.
Must hold: nothing but our errors leaves the block, whichever exception MessagePack, zstd, cryptography, UTF-8, UUIDs or
numbers have for it; the cause stays attached. Too little memory is no fault of the bytes and passes as it is.
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Final

from syncd.errors import Altered, SyncdError

# What Rust code of cryptography raises where it panics; no Exception, and its class can be imported from nowhere.
_PANIC: Final = "PanicException"


class decoding:  # noqa: N801 - reads as a statement: `with decoding(…):`
    """`with decoding(what happened, what to do, kind)`: failures inside become `kind`, those of ours pass."""

    __slots__ = ("_hint", "_kind", "_message")

    def __init__(self, message: str, hint: str, kind: type[SyncdError] = Altered) -> None:
        self._message = message
        self._hint = hint
        self._kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, SyncdError | MemoryError):
            return
        if isinstance(error, Exception) or type(error).__name__ == _PANIC:
            raise self._kind(self._message, self._hint) from error


def json_object(text: str | None) -> dict[str, Any]:
    """The JSON object that a replicated text should be; empty where it is none: its writer may be hostile."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
