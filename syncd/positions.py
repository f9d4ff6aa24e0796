"""The high-water mark: how far the own streams stood, kept in a file beside the database (I13).

Enters: a node's directory, the database as it is. Leaves: which own streams the database has lost the end of.
Must hold: the file is replaced atomically, only ever by what the database holds; a database that is behind it is an
older copy, and then the file stays as it is until what is missing is back.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from syncd import log
from syncd.errors import ConfigError, StoreError
from syncd.language import say
from syncd.store.base import Tx

POSITIONS_FILE = "positions"
RESTORED = "restored"  # in place of a stream: whoever put the copy here says that it is one


class HighWater:
    """The file `positions` of one node. Not thread-safe; whoever calls takes turns."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / POSITIONS_FILE
        self._marks = _read(self._path)

    def behind(self, tx: Tx) -> list[str]:
        """The own streams of which the database lacks what the file knows of; `RESTORED` when it says so itself."""
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
    _write(path, {**_read(path), RESTORED: (0, "")})


def _is_behind(tx: Tx, stream_id: str, seq: int, hash_: str) -> bool:
    if stream_id == RESTORED:
        return True
    at = log.stream(tx, stream_id)
    if at is None or seq < at.floor_seq:
        return at is None  # what was pruned had been here
    found = log.hash_at(tx, stream_id, seq)
    return found is None or found.hex() != hash_


def _read(path: Path) -> dict[str, tuple[int, str]]:
    try:
        found = json.loads(path.read_bytes())
        return {str(key): (int(seq), str(hash_)) for key, (seq, hash_) in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            say("không đọc được tệp {path}: {error}", "cannot read {path}: {error}", path=path, error=error),
            say(
                "khôi phục tệp, hoặc xóa tệp nếu chắc chắn cơ sở dữ liệu không phải bản sao cũ",
                "restore the file, or delete it if the database is certainly not an older copy",
            ),
        ) from error


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
