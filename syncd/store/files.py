"""The files of an SQLite database: which they are, and whether they are still those that were opened.

Enters: the database's path. Leaves: what lies there; the names of files that are not the opened ones any more; room
for a new database. Must hold: nothing here opens a file. POSIX drops every lock a process has on a file when it closes
any descriptor of that file: one look into it beside SQLite, and the next program that closes the database removes its
log under the daemon.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from syncd import limits
from syncd.errors import StoreError, SyncdError
from syncd.language import say
from syncd.store.sqlite_causes import LOG_PUT_IN_PLACE, LOG_TAKEN_AWAY, PUT_IN_PLACE, TAKEN_AWAY
from syncd.system import fsync_directory, note_library_file, translate_os_error

COMPANIONS = ("-wal", "-shm", "-journal")  # beside the database, and worth as much
HELD = ("-wal", "-shm")  # there as long as anybody has the database open in WAL mode

Identity = tuple[int, int]  # device and number of a file: of one that is open, no other file has them


def database_files(path: Path) -> list[Path]:
    """The files of the database `path` that are there; SQLite keeps the others beside what a link points to."""
    real = Path(os.path.realpath(path))
    beside = [real.with_name(real.name + suffix) for suffix in COMPANIONS]
    return [each for each in (path, *beside) if os.path.lexists(each)]


def is_taken(path: Path) -> bool:
    """Whether a database lies there. An empty file is none: SQLite itself throws a log away that lies beside one."""
    return os.path.lexists(path) and not (path.is_file() and path.stat().st_size == 0)


def make_room(path: Path, moment: str) -> Path | None:
    """Where no database is but something of one is left (a log, a journal): move it into a folder of its own beside,
    which is returned. A new database would take it for its own, and be unreadable.
    """
    if is_taken(path) or database_files(path) in ([], [path]):
        return None
    return move_aside(path, moment)


def move_aside(path: Path, moment: str) -> Path:
    """Move every file of the database `path` into a folder beside it that is made for them; nothing is removed."""
    folder = _new_folder(path.parent, "".join(letter for letter in moment[:19] if letter.isalnum()))
    try:
        for each in database_files(path):
            each.rename(folder / each.name)
        fsync_directory(folder)
        fsync_directory(path.parent)
    except OSError as error:
        raise translate_os_error(
            error, say("không dời được {path} vào {folder}", "cannot move {path} to {folder}", path=path, folder=folder)
        ) from error
    return folder


def _new_folder(parent: Path, stamp: str) -> Path:
    for number in range(1, limits.FOLDERS_MAX):
        folder = parent / (f"replaced-{stamp}" if number == 1 else f"replaced-{stamp}-{number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise translate_os_error(
                error, say("không tạo được thư mục {path}", "cannot create the directory {path}", path=folder)
            ) from error
        return folder
    raise StoreError(
        say("{path} đã có quá nhiều thư mục replaced-", "{path} has too many folders replaced-", path=parent),
        say("dời bớt chúng đi nơi khác", "move some of them elsewhere"),
    )


def linked(paths: Iterable[str]) -> str | None:
    """Of the files of an open database, one that has a second name (a hard link). A program that opens it by that one
    keeps a log beside that one, and both write into one file without knowing of each other."""
    for path in paths:
        with contextlib.suppress(OSError):  # not there, or not to be examined: said by whoever opens it
            if os.stat(path).st_nlink > 1:
                return path
    return None


def linked_words(path: str) -> str:
    """What to say of such a file."""
    return say(
        "{path} còn có tên khác (liên kết cứng): chương trình nào mở nó bằng tên kia sẽ làm hỏng cơ sở dữ liệu — tìm"
        " bằng `find / -xdev -samefile {path}` rồi xóa tên kia; muốn có bản sao, dùng `[[syncd backup THƯ_MỤC]]`",
        "{path} has another name (a hard link): a program that opens it by that one ruins the database — find it with"
        " `find / -xdev -samefile {path}` and remove it; for a copy use `[[syncd backup DIRECTORY]]`",
        path=path,
    )


class HeldFiles:
    """The files of a database of which this process has a connection open, as they were then."""

    def __init__(self, path: str) -> None:
        real = os.path.realpath(path)
        names = [path, *(real + suffix for suffix in HELD)]
        self._held = [(name, found) for name in names if (found := _identity(name)) is not None]
        for name, _found in self._held:
            note_library_file(name)

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
