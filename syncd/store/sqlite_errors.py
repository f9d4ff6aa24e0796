"""What an error of SQLite means to us: judged by its number and by the directory, told without what any row held.

Enters: SQLite's error, the database's path. Leaves: an error of ours. Must hold: the driver's words are repeated only
where they come from the library and name no value; what is wrong with a file is asked of the directory (`stat`), never
by opening it (see `files.py`).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from syncd.errors import SyncdError
from syncd.language import say
from syncd.store.base import known
from syncd.store.causes import UNFIT, first
from syncd.store.named import named
from syncd.store.sqlite_causes import (
    BY_CODE,
    CANTOPEN,
    CHMOD,
    CLOSED_TO_US,
    DISK_FAILS,
    EMPTY,
    GENERAL,
    GONE,
    IS_DIRECTORY,
    NOT_OPENED,
    NOT_TEXT,
    OF_DISK,
    OF_STATEMENT,
    OTHER,
    PERM,
    PUT_IN_PLACE,
    READ_ONLY,
    READONLY,
    READONLY_DBMOVED,
    UNSAID,
)  # fmt: skip
from syncd.system import as_owner, is_read_only_disk, when_denied

UNDECODED = re.compile(r"Could not decode to UTF-8 column '(\w+)'")  # the driver's own words; the value follows


def translate(error: Exception, place: str) -> Exception:
    """Our error for an error of SQLite or its driver that is no broken rule."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        undecoded = UNDECODED.match(str(error))
        return NOT_TEXT.error(place=place, column=undecoded[1]) if undecoded else UNSAID.error(place=place)
    name = str(getattr(error, "sqlite_errorname", code))
    facts = {"place": place, "name": name, "why": _why(name, code, str(error))}
    if code == READONLY_DBMOVED:
        return PUT_IN_PLACE.error(**facts)
    primary = code & 0xFF
    if primary in (READONLY, CANTOPEN, PERM):
        return _denied(Path(place), is_read_only=primary == READONLY, why=name)
    if code == GENERAL and _is_of_ours_gone(str(error)):
        return UNFIT.error(**facts)
    return first((code, primary), BY_CODE, OTHER).error(**facts)


# What the library itself says of a statement's names; whatever else it says may quote a value.
_OF_NAMES = re.compile(
    r"(error in (trigger|view|index) \w+( after [a-z ]+)?: )?"
    r"(no such (table|column|function|index|view|trigger|module): [A-Za-z_][A-Za-z0-9_.]*"
    r"|table [A-Za-z_]\w* has no column named [A-Za-z_]\w*|malformed JSON)"
)


_MISSED = re.compile(r"no such (table|column): [A-Za-z_][A-Za-z0-9_.]*")


def _why(name: str, code: int, text: str) -> str:
    """Of a refusal: the library's own name for it, and the names of ours that it spoke of."""
    if code == GENERAL and _OF_NAMES.fullmatch(text):
        return text
    spoken = named(known(), text)
    return f"{name}: {spoken}" if spoken else name


def _is_of_ours_gone(text: str) -> bool:
    """Whether the library misses a table or a column of ours."""
    missed = _MISSED.fullmatch(text)
    return missed is not None and bool(named(known(), text))


def is_of_statement(error: Exception) -> bool:
    """Whether the statement is to blame, not the database."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in OF_STATEMENT


def require_there(path: Path, *, has_keys: bool) -> None:
    """Raises what is wrong with the file of a node's database, as far as the directory tells; nothing when `path` is
    not there and the directory holds no keys of a node: then there is no node.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        if has_keys:
            raise GONE.error(place=path) from None
        return
    except PermissionError:
        raise _denied(path, is_read_only=False, why="SQLITE_CANTOPEN") from None
    except OSError as error:
        raise DISK_FAILS.error(place=path, name=error.strerror) from error
    if path.is_dir():
        raise IS_DIRECTORY.error(place=path)
    if not found.st_size:
        raise EMPTY.error(place=path)


def _denied(path: Path, *, is_read_only: bool, why: str) -> SyncdError:
    """Which of directory and files this account cannot use, and how it can."""
    real = Path(os.path.realpath(path))
    for each in (real.parent, real, *(Path(f"{real}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
        try:
            mode = each.stat().st_mode
        except PermissionError:
            return CLOSED_TO_US.error(place=each, remedy=when_denied(each))
        except OSError:
            continue
        if each == real and stat.S_ISDIR(mode):
            return IS_DIRECTORY.error(place=path)
        wanted, rights = (os.W_OK | os.X_OK, "rwx") if each == real.parent else (os.R_OK | os.W_OK, "rw")
        if not _may(each, wanted):
            cause = READ_ONLY if _may(each, os.R_OK) else CLOSED_TO_US
            if is_read_only_disk(each):
                return cause.error(place=each, remedy=say(*OF_DISK))
            return cause.error(place=each, remedy=as_owner(each) or _chmod(rights, each))
    if is_read_only:
        return READ_ONLY.error(place=path, remedy=say(*OF_DISK))
    return NOT_OPENED.error(place=path, why=why) if real.exists() else GONE.error(place=path)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _chmod(rights: str, path: Path) -> str:
    return say(*CHMOD, rights=rights, file=path)
