"""For tests of crashes: die at a named point, and tell from outside which point was reached last.

Enters: SYNCD_FAILPOINT=<stage>:begin[:n] (or :before-commit, :after-commit), SYNCD_STAGE_FILE=<path>. Leaves: SIGKILL
at the n-th time; a small shared file with one slot per thread. Must hold: without these variables nothing is done at
all.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from syncd.store.base import Failpoint, no_failpoint

FAILPOINT, STAGE_FILE = "SYNCD_FAILPOINT", "SYNCD_STAGE_FILE"
SLOT_BYTES, SLOTS_MAX = 64, 32
SIGKILL = 9  # no name for it on Windows, where the number ends a process as well


def from_environment(environment: Mapping[str, str]) -> Failpoint:
    """What a store calls at its points: nothing in production."""
    wanted, path = environment.get(FAILPOINT), environment.get(STAGE_FILE)
    if not wanted and not path:
        return no_failpoint
    return Points(wanted or "", Path(path) if path else None)


class Points:
    """Called with every point's name, on any thread."""

    def __init__(self, wanted: str, path: Path | None) -> None:
        name, _, count = wanted.rpartition(":")
        self._name, self._left = (name, int(count)) if count.isdigit() else (wanted, 1)
        self._guard = threading.Lock()
        self._slots: dict[int, int] = {}
        self._map = _shared(path) if path else None

    def __call__(self, point: str) -> None:
        if self._map is not None:
            self._note(self._map, point)
        if point == self._name:
            with self._guard:
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), SIGKILL)

    def _note(self, shared: mmap.mmap, point: str) -> None:
        with self._guard:
            slot = self._slots.setdefault(threading.get_ident(), len(self._slots) % SLOTS_MAX)
        text = f"{threading.current_thread().name} {point}".encode()[:SLOT_BYTES]
        shared[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES] = text.ljust(SLOT_BYTES, b"\0")


def read_stages(path: Path) -> dict[str, str]:
    """Per thread the point it reached last, as the file of a (killed) process shows it."""
    data = path.read_bytes()
    slots = [
        data[at : at + SLOT_BYTES].rstrip(b"\0").decode(errors="replace") for at in range(0, len(data), SLOT_BYTES)
    ]
    return dict(slot.rsplit(" ", 1) for slot in slots if " " in slot)


def _shared(path: Path) -> mmap.mmap:
    with path.open("w+b") as file:
        file.truncate(SLOT_BYTES * SLOTS_MAX)
        return mmap.mmap(file.fileno(), SLOT_BYTES * SLOTS_MAX)
