"""Space kept back for the worst day: a file that is given up when the disk is full, so that the daemon can still write.

Enters: the node's directory; the store's word that a transaction found no space. Leaves: `reserve`, `RESERVE_BYTES`
long, or what a full disk lets us have. Must hold: what clerks have committed still reaches the parent on a full disk;
they cannot use the space up, because it is taken back as soon as the daemon's own transaction is through; the file is
whole again by itself once there is room; while it is whole, nothing is written.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from syncd import limits
from syncd.clock import Clock, instant_of
from syncd.events import event

RESERVE_FILE = "reserve"


class Reserve:
    """The file of one node. `full_since`: since when the disk has been found full. Thread-safe."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._path = directory / RESERVE_FILE
        self._clock = clock
        self._guard = threading.Lock()
        self._given = False
        self.full_since: str | None = None
        self.changed: Callable[[], None] = lambda: None  # rings for whoever looks for space later

    def begin(self) -> None:
        """At a start, before the database is opened (which needs some space itself): make the file, or give it back."""
        if self._free_bytes() < limits.START_BYTES:
            self.give_back()
        else:
            self.regain()

    def give_back(self) -> None:
        """The disk is full: leave this space to the database."""
        with self._guard:
            self._given = self._given or self._path.exists()
            self._path.unlink(missing_ok=True)
            news, self.full_since = self.full_since is None, self.full_since or instant_of(self._clock())
        if news:
            event("disk-full", logging.ERROR, hint="free disk space; nothing acknowledged is lost")
            self.changed()

    def was_given(self) -> bool:
        """Whether space was given since this was last asked: then what failed is tried again at once."""
        with self._guard:
            given, self._given = self._given, False
            return given

    def regain(self) -> None:
        """Have the file again, as long as the disk allows; with room for as much again the disk is full no longer."""
        with self._guard:
            if self.full_since is None and self._is_whole():
                return
            free = self._free_bytes() + self._length()
            self._write(min(limits.RESERVE_BYTES, free))
            was_full = self.full_since
            if free >= 2 * limits.RESERVE_BYTES:
                self.full_since = None
            elif was_full is None:
                self.full_since = instant_of(self._clock())
        if was_full and self.full_since is None:
            event("disk-has-space", full_since=was_full)

    def _write(self, size_bytes: int) -> None:
        """Zeros take space as well as anything; where compression makes nothing of them, a full disk frees none."""
        with contextlib.suppress(OSError), self._path.open("ab") as file:  # somebody was quicker: it is what it is
            while (missing := size_bytes - file.tell()) > 0:
                file.write(bytes(min(missing, limits.CHUNK_BYTES)))
                file.flush()

    def _is_whole(self) -> bool:
        return self._length() >= limits.RESERVE_BYTES

    def _length(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._path.parent).free
