"""The files of an SQLite database: which they are, and whether they are still those that were opened.

Enters: the database's path. Leaves: what lies there; the names of files that are not the opened ones any more. Must
hold: nothing here opens a file. POSIX drops every lock a process has on a file when it closes any descriptor of that
file: one look into it beside SQLite, and the next program that closes the database removes its log under the daemon.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from syncd.errors import SyncdError
from syncd.language import say
from syncd.store.causes import LOG_PUT_IN_PLACE, LOG_TAKEN_AWAY, PUT_IN_PLACE, TAKEN_AWAY
from syncd.system import translate_os_error

COMPANIONS = ("-wal", "-shm", "-journal")  # beside the database, and worth as much
HELD = ("-wal", "-shm")  # there as long as anybody has the database open in WAL mode

Identity = tuple[int, int]  # device and number of a file: of one that is open, no other file has them


def database_files(path: Path) -> list[Path]:
    """The files of the database `path` that are there; SQLite keeps the others beside what a link points to."""
    real = Path(os.path.realpath(path))
    beside = [real.with_name(real.name + suffix) for suffix in COMPANIONS]
    return [each for each in (path, *beside) if os.path.lexists(each)]


class HeldFiles:
    """The files of a database of which this process has a connection open, as they were then."""

    def __init__(self, path: str) -> None:
        real = os.path.realpath(path)
        names = [path, *(real + suffix for suffix in HELD)]
        self._held = [(name, found) for name in names if (found := _identity(name)) is not None]

    @property
    def identities(self) -> dict[str, Identity]:
        """For other processes to compare: path → what lies there."""
        return {os.path.abspath(name): found for name, found in self._held}

    def require_same(self) -> None:
        """Raises DatabaseReplaced when a file is gone from its place, or another one lies there."""
        for name, held in self._held:
            found = _identity(name)
            if found != held:
                raise replaced(name, is_gone=found is None)


def first_stranger(held: Mapping[str, Sequence[int]]) -> SyncdError | None:
    """Of the files that another process says it holds, what to say of one that is not what lies there now."""
    for name, each in held.items():
        found = _identity(name)
        if found != tuple(each):
            return replaced(name, is_gone=found is None)
    return None


def replaced(name: str, *, is_gone: bool) -> SyncdError:
    """What to say when a file of an open database is not there any more, or is another one."""
    if name.endswith(HELD):
        return (LOG_TAKEN_AWAY if is_gone else LOG_PUT_IN_PLACE).error(place=name)
    return (TAKEN_AWAY if is_gone else PUT_IN_PLACE).error(place=name)


def _identity(name: str) -> Identity | None:
    try:
        found = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise translate_os_error(error, say("không xem được {path}", "cannot examine {path}", path=name)) from error
    return found.st_dev, found.st_ino
