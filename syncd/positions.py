"""The high-water mark: how far the own streams stood, kept in a file beside the database (I13).

Enters: a node's directory, the database as it is. Leaves: which own streams the database has lost the end of.
Must hold: the file is replaced atomically, only ever by what the database holds; a database that is behind it is an
older copy, and then the file stays as it is until what is missing is back; a file that says nothing any more counts as
one that says so.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from syncd import limits, log
from syncd.errors import StoreError
from syncd.events import event
from syncd.language import say
from syncd.store.base import Tx
from syncd.system import read_beginning

POSITIONS_FILE = "positions"
# In place of a stream:
RESTORED = "restored"  # whoever put the copy here says that it is one
UNREADABLE = "unreadable"  # the file was emptied or overwritten: nobody here knows whether this is one


class HighWater:
    """The file `positions` of one node. Not thread-safe; whoever calls takes turns."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / POSITIONS_FILE
        self._marks = _read(self._path)

    def tell(self) -> None:
        """In the daemon's log, where what the file said cannot be read."""
        if self._marks.keys() == {UNREADABLE}:
            event("mark-unreadable", logging.WARNING, file=str(self._path))

    def behind(self, tx: Tx) -> list[str]:
        """The own streams of which the database lacks what the file knows of; `RESTORED` when it says so itself, and
        `UNREADABLE` when what it said cannot be read: neighbours know, so they are asked first.
        """
        return [key for key, (seq, hash_) in sorted(self._marks.items()) if _is_behind(tx, key, seq, hash_)]

    def note(self, tx: Tx) -> None:
        """Move the mark to the positions of the own streams; writes only what has changed."""
        marks = {s.stream_id: (s.held_seq, s.held_hash.hex()) for s in log.streams(tx, "own = 1 AND held_seq > 0")}
        if marks != self._marks:
            _write(self._path, marks)
            self._marks = marks


def mark_restored(directory: Path) -> None:
    """Note that the database in `directory` is a copy: it seals nothing until a neighbour has answered."""
    path = directory / POSITIONS_FILE
    marks = {key: mark for key, mark in _read(path).items() if key != UNREADABLE}
    _write(path, {**marks, RESTORED: (0, "")})


def _is_behind(tx: Tx, stream_id: str, seq: int, hash_: str) -> bool:
    if stream_id in (RESTORED, UNREADABLE):
        return True
    at = log.stream(tx, stream_id)
    if at is None or seq < at.floor_seq:
        return at is None  # what was pruned had been here
    found = log.hash_at(tx, stream_id, seq)
    return found is None or found.hex() != hash_


def _read(path: Path) -> dict[str, tuple[int, str]]:
    if not path.exists():
        return {}
    data = read_beginning(path, limits.MARK_BYTES_MAX)
    try:
        found = json.loads(data)
        return {str(key): (int(seq), bytes.fromhex(hash_).hex()) for key, (seq, hash_) in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {UNREADABLE: (0, "")}


def _write(path: Path, marks: dict[str, tuple[int, str]]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("w", encoding="ascii") as file:
            json.dump(marks, file, indent=0, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise StoreError(
            say("không ghi được tệp {path}: {error}", "cannot write {path}: {error}", path=path, error=error.strerror),
            say("giải phóng đĩa; sẽ tự thử lại", "free disk space; tried again by itself"),
        ) from error
