"""How far a long command is: one line on a terminal, nothing anywhere else.

Enters: what is being done and how many rows. Leaves: stderr, and only where a person looks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from syncd.cli.output import pad, shorten
from syncd.language import number, say
from syncd.limits import PATIENCE_S
from syncd.text import escaped

CELLS = 70
EVERY_S = 0.2


@contextmanager
def progress() -> Iterator[Callable[[str, int], None]]:
    """A function to tell; the line is wiped at the end."""
    if not sys.stderr.isatty():
        yield lambda _what, _rows: None
        return
    shown_at = 0.0

    def tell(what: str, rows: int) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at >= EVERY_S:
            shown_at = time.monotonic()
            text = f"{what} {number(rows)}" if rows else what
            sys.stderr.write("\r" + pad(shorten(escaped.line(text), CELLS), CELLS))
            sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write("\r" + " " * CELLS + "\r")


def tell_waiting(seconds: int) -> None:
    """A line of its own, also where nobody looks: a job that stands still leaves word why."""
    text = say(
        "đang chờ cơ sở dữ liệu: chương trình khác đang ghi, hoặc máy chủ đang khởi động lại ({seconds} giây, tối đa"
        " {most})",
        "waiting for the database: another program is writing, or the server restarts ({seconds} s, at most {most})",
        seconds=number(seconds),
        most=number(int(PATIENCE_S)),
    )
    lead = "\r" if sys.stderr.isatty() else ""
    print(f"{lead}{text:<{CELLS}}", file=sys.stderr, flush=True)
