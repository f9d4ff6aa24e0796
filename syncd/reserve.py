"""Space kept back for the worst day: a file that is given up when the disk is full, so that the daemon can still write.

Enters: the node's directory; the store's word that a commit found no space. Leaves: `reserve`, `RESERVE_BYTES` long,
or none while the disk is full. Must hold: what clerks have committed still reaches the parent on a full disk; the file
comes back by itself once there is room; while it is here and nothing happens, nothing is written.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from syncd import limits
from syncd.clock import Clock, instant_of
from syncd.errors import DiskFull
from syncd.events import event
from syncd.system import write_secret_file

RESERVE_FILE = "reserve"


class Reserve:
    """The file of one node. `given_back_at`: since when the disk has been found full. Thread-safe."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._path = directory / RESERVE_FILE
        self._clock = clock
        self._guard = threading.Lock()
        self.given_back_at: str | None = None
        self.changed: Callable[[], None] = lambda: None  # rings for whoever makes the file again

    def begin(self) -> None:
        """At a start, before the database is opened (which needs some space itself): make the file, or give it back."""
        if self._free_bytes() < limits.START_BYTES:
            self.give_back()
        else:
            self.make()

    def give_back(self) -> None:
        """The disk is full: leave this space to the database. Called again it only confirms that."""
        with self._guard:
            if self.given_back_at is not None:
                return
            self.given_back_at = instant_of(self._clock())
            self._path.unlink(missing_ok=True)
        event("disk-full", logging.ERROR, hint="free disk space; nothing acknowledged is lost")
        self.changed()

    def make(self) -> None:
        """Have the file at its full length if there is room for it and as much again; otherwise look later."""
        with self._guard:
            if self.given_back_at is None and self._is_whole():
                return
            if self._free_bytes() < 2 * limits.RESERVE_BYTES:
                self.given_back_at = self.given_back_at or instant_of(self._clock())
                return
            try:
                write_secret_file(self._path, bytes(limits.RESERVE_BYTES))
            except DiskFull:
                return  # somebody was quicker; it stays given back and is tried again
            was_full, self.given_back_at = self.given_back_at, None
        if was_full:
            event("disk-has-space", full_since=was_full)

    def _is_whole(self) -> bool:
        return self._path.exists() and self._path.stat().st_size >= limits.RESERVE_BYTES

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._path.parent).free
