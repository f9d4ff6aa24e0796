"""What a log says, put together again: the content of one stream as its envelopes tell it, beside the tables.

Enters: a snapshot, a stream whose envelopes this node can open. Leaves: a scratch database that holds that content.
Must hold: nothing is written to the node's own database; the scratch database reaches the disk only where it outgrows
its cache, in a file encrypted with a key that is nowhere else and gone when it is closed; memory is bounded by that
cache and one piece of the log, not by the register.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from schema.names import listed, quoted
from schema.spec import Audience, Kind, Table
from syncd import limits
from syncd.applying import Applier
from syncd.errors import StoreError
from syncd.log import Stream
from syncd.rebuild import told, told_since
from syncd.store.base import Row, Tx
from syncd.wire import DELETE, INSERT, Block

KEY_BYTES = 32


class Replay:
    """The content of a stream as its log says up to `seq`; to be closed. Raises StoreError where the log does not reach
    back far enough, or a key is missing."""

    def __init__(self, tx: Tx, applier: Applier, at: Stream) -> None:
        self.at = at
        self.tables = applier.registry.of_kind(Kind(at.kind))
        self.seq = at.applied_seq
        self._applier = applier
        self._folder = tempfile.TemporaryDirectory(prefix="syncd-")
        self._connection = _scratch(Path(self._folder.name) / "log.db")
        with self.closed_on_error():
            self._run("BEGIN")  # and never committed: only then is what the cache holds not written down
            for table in self.tables:
                columns = listed(column.name for column in _values(table))
                self._run(f"CREATE TABLE {quoted(table.name)} (id TEXT PRIMARY KEY, {columns}) WITHOUT ROWID")
            self._take(tx, told(tx, at))

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        self._folder.cleanup()

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """For whoever hands it on when all went well."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def follow(self, tx: Tx, at: Stream) -> None:
        """Take what the stream says since."""
        self._take(tx, told_since(tx, at, self.seq, at.applied_seq))
        self.seq = at.applied_seq

    def rows(self, table: Table) -> Iterator[Row]:
        """id, then the values by column number; in the order of ids."""
        cursor = self._run(f"SELECT * FROM {quoted(table.name)} ORDER BY id")
        while found := cursor.fetchmany(limits.DIGEST_ROWS):
            yield from found

    def some(self, table: Table, ids: Sequence[str]) -> dict[str, Row]:
        """The rows with these ids, by id."""
        found: dict[str, Row] = {}
        for start in range(0, len(ids), limits.DIGEST_ROWS):
            chunk = ids[start : start + limits.DIGEST_ROWS]
            marks = ", ".join("?" * len(chunk))
            for row in self._run(f"SELECT * FROM {quoted(table.name)} WHERE id IN ({marks})", chunk):
                found[row[0]] = row
        return found

    def count(self, table: Table) -> int:
        return int(self._run(f"SELECT count(*) FROM {quoted(table.name)}").fetchone()[0])

    def _take(self, tx: Tx, envelopes: Iterable[tuple[Stream, Any]]) -> None:
        for stream, envelope in envelopes:
            for _audience, blocks in sorted(self._applier.blocks(tx, stream, envelope).items()):
                for block in blocks:
                    self._put(block)

    def _put(self, block: Block) -> None:
        """Without the checks of applying: what cannot be applied elsewhere shows as a difference, or is the receivers'
        to say."""
        table = self._applier.registry.by_number.get(block.table)
        if table is None or table not in self.tables:
            return
        names = [table.all_columns[number].name for number in block.columns]
        if block.op == DELETE:
            self._many(f"DELETE FROM {quoted(table.name)} WHERE id = ?", zip(block.ids))
        elif block.op == INSERT:
            columns = "".join(f", {quoted(name)}" for name in names)
            marks = ", ".join("?" * (1 + len(names)))
            self._many(
                f"INSERT OR REPLACE INTO {quoted(table.name)} (id{columns}) VALUES ({marks})",
                zip(block.ids, *block.values, strict=True),
            )
        elif names:
            sets = ", ".join(f"{quoted(name)} = ?" for name in names)
            self._many(
                f"UPDATE {quoted(table.name)} SET {sets} WHERE id = ?", zip(*block.values, block.ids, strict=True)
            )

    def _run(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._guarded(lambda: self._connection.execute(sql, values))

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._guarded(lambda: self._connection.executemany(sql, rows))

    @staticmethod
    def _guarded(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except sqlcipher.Error as error:
            raise StoreError(
                f"the log could not be put together beside the tables: {error}",
                hint="free space for temporary files; nothing was changed",
            ) from error


def _values(table: Table) -> Sequence[Any]:
    """The columns but id and unit, which is the stream's own."""
    return table.all_columns[2:]


def compared(table: Table, audiences: frozenset[Audience]) -> list[int]:
    """Places in a row of the columns that are compared: those of `audiences`."""
    return [place for place, column in enumerate(_values(table), start=1) if column.audience in audiences]


def _scratch(path: Path) -> Any:
    """A database that nobody can read later, whatever becomes of the file."""
    connection = sqlcipher.connect(str(path), isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA key = \"x'{os.urandom(KEY_BYTES).hex()}'\"")
    cache = f"cache_size = -{limits.COMPARE_CACHE_KIB}"
    for setting in ("journal_mode = OFF", "synchronous = OFF", "temp_store = MEMORY", cache):
        connection.execute(f"PRAGMA {setting}").fetchall()
    return connection
