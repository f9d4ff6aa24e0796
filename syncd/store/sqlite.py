"""SQLite (SQLCipher by default): one connection that writes, while it is needed, a few readers, WAL, synchronous=FULL.

Enters: a path and the raw database key (None for a plain file that another program shares).
Leaves: `Store` over real transactions. Must hold: `synchronous` is FULL and read back at opening.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlite

from schema.names import listed, quoted
from schema.refusals import is_ours
from schema.spec import Registry, Table
from syncd import limits
from syncd.errors import ConfigError, DiskFull, StoreError
from syncd.language import say
from syncd.store import pulse, sqlite_errors
from syncd.store.base import (
    Columns,
    Failpoint,
    Row,
    Store,
    Tx,
    dangling,
    id_taken,
    in_lists,
    know,
    known,
    no_failpoint,
    not_unique,
    rule_broken,
)
from syncd.store.files import HeldFiles, Identity
from syncd.store.named import named
from syncd.store.patience import again, note_effect, of_this_command
from syncd.store.sqlite_causes import (
    NO_SQLITE,
    NOT_A_DATABASE,
    NOT_ENCRYPTED,
    NOT_OURS,
    NOT_TEXT_AT,
    REFUSED_BY_TRIGGER,
)
from syncd.store.sqlite_undecoded import undecodable
from syncd.system import fsync_directory, note_library_file, return_all_memory, return_memory
from syncd.wire import copy_text

CONSTRAINT = 19  # SQLITE_CONSTRAINT of sqlite3.h
WAL_SAFE_VERSION = (3, 51, 3)  # earlier releases can corrupt a WAL when two connections checkpoint together


def connect(path: Path | str, key: bytes | None, *, busy_timeout_ms: int = limits.BUSY_TIMEOUT_MS) -> Any:
    """Open one connection in autocommit mode with the settings every connection of ours has.

    Raises KeyFileError when the key does not open the file, ConfigError when durability cannot be had.
    """
    connection = _opened(path, statements=256)
    note_library_file(str(path))
    try:
        _unlock(connection, key)
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        _refuse_foreign(connection, str(path))  # before the next statement makes its journal ours
        journal = "WAL" if sqlite.sqlite_version_info >= WAL_SAFE_VERSION else "DELETE"
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA recursive_triggers = ON")
        connection.set_progress_handler(pulse.step, limits.PULSE_OPERATIONS)
    except sqlite.DatabaseError as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", None) == NOT_A_DATABASE:
            raise _not_opened(str(path), key, error) from error
        raise translate(error, str(path)) from error
    if connection.execute("PRAGMA synchronous").fetchone()[0] < 2:
        connection.close()
        raise ConfigError(
            say("SQLite từ chối synchronous=FULL", "SQLite refused synchronous=FULL"),
            hint=say("dùng bản SQLite cho phép ghi bền vững", "use a SQLite build that allows durable commits"),
        )
    return connection


def _refuse_foreign(connection: Any, place: str) -> None:
    """Raises ConfigError, with the connection closed, where another program's tables are and none of ours."""
    tables, ours = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE name = 'syncd_meta') FROM sqlite_master WHERE type = 'table'"
    ).fetchone()
    if tables and not ours:
        connection.close()
        raise NOT_OURS.error(place=place)


def _opened(path: Path | str, statements: int) -> Any:
    """A bare connection. Raises an error of ours where the file cannot be opened (no descriptor, no permission)."""
    try:
        return sqlite.connect(str(path), isolation_level=None, check_same_thread=False, cached_statements=statements)
    except sqlite.DatabaseError as error:
        raise translate(error, str(path)) from error


def is_plain(path: Path | str) -> bool:
    """Whether a database that is there opens without a key. SQLite itself looks: nobody else may open the file."""
    connection = sqlite.connect(f"{Path(path).absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except sqlite.DatabaseError:
        return False
    finally:
        connection.close()
    return True


def require_encrypted(path: Path) -> None:
    """To be asked where there is no usable key: raises ConfigError when the file needs none."""
    if path.exists() and path.stat().st_size and is_plain(path):
        raise NOT_ENCRYPTED.error(place=path)


def _not_opened(path: str, key: bytes | None, error: Exception) -> Exception:
    """Why SQLite takes the file for no database: the wrong form, the wrong key, or damage."""
    if key is None:
        return NO_SQLITE.error(place=path)
    return NOT_ENCRYPTED.error(place=path) if is_plain(path) else translate(error, path)


# Of a column other than the id of a replicated table; the node's own tables say nothing to an operator.
_UNIQUE = re.compile(r"UNIQUE constraint failed: (?!syncd_)(\w+\.(?!id\b)\w+(, \w+\.\w+)*|index '\w+')")
_ID_TAKEN = re.compile(r"UNIQUE constraint failed: (?!syncd_)(\w+)\.id")
# What the library says of its own constraints; any other text with that code is a trigger's.
_OF_LIBRARY = re.compile(r"(CHECK|NOT NULL|UNIQUE|PRIMARY KEY) constraint failed|cannot store \w+ value in \w+ column")


def watcher(path: Path | str, key: bytes | None) -> Any:
    """A connection for `PRAGMA data_version` alone: it never reads the schema, which would cost it 1.5 MB."""
    connection = _opened(path, statements=2)
    _unlock(connection, key)
    connection.execute(f"PRAGMA busy_timeout = {limits.BUSY_TIMEOUT_MS}")
    return connection


def _rest(connection: Any) -> None:
    """Have a connection forget the schema and its pages until it is asked again."""
    connection.execute("PRAGMA writable_schema = RESET")
    connection.execute("PRAGMA shrink_memory")


def _unlock(connection: Any, key: bytes | None) -> None:
    """Give SQLCipher the key. It would write lines of its own to stderr when the key is wrong; we say it once."""
    if key is not None:
        connection.execute("PRAGMA cipher_log_level = NONE")
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")


def translate(error: Exception, place: str) -> Exception:
    """Our error for a database error, with the remedy. Judged by its code, told without what any row held."""
    if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF != CONSTRAINT:
        return sqlite_errors.translate(error, place)
    # This driver tells no more than that some constraint failed: which one, the library's own sentence says. A trigger
    # may say anything, so that nothing of a sentence goes on but names of the schema.
    text = str(error)
    if is_ours(text):
        return StoreError(text, say("không có gì được ghi", "nothing was written"))
    if text == "FOREIGN KEY constraint failed":
        return dangling()
    if taken := _ID_TAKEN.fullmatch(text):
        return id_taken(taken[1])
    if unique := _UNIQUE.fullmatch(text):
        return not_unique(named(known(), text) or unique[0].partition(":")[0])
    if not _OF_LIBRARY.match(text):
        return REFUSED_BY_TRIGGER.error(place=place)
    return rule_broken(text) or sqlite_errors.translate(error, place)


class SqliteTx(Tx):
    dialect = "sqlite"

    def __init__(self, connection: Any, place: str) -> None:
        self._connection = connection
        self._place = place

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        return int(self._execute(sql, values).rowcount)

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self._execute(sql, values)
        try:
            return list(cursor.fetchall())
        except sqlite.DatabaseError as error:
            raise self._translated(error) from error

    def stream(self, sql: str, values: Sequence[Any] = (), rows_max: int = 5000) -> Iterator[list[Row]]:
        cursor = self._execute(sql, values)
        while rows := self._fetch(cursor, rows_max):
            yield rows

    def _fetch(self, cursor: Any, rows_max: int) -> list[Row]:
        try:
            pulse.step()
            return list(cursor.fetchmany(rows_max))
        except sqlite.DatabaseError as error:
            raise self._translated(error) from error

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        try:
            return int(self._connection.executemany(sql, rows).rowcount)
        except sqlite.DatabaseError as error:
            raise self._translated(error) from error

    def insert_columns(self, table: Table, names: Sequence[str], types: Sequence[str], columns: Columns) -> int:
        marks = ", ".join("?" * len(names))
        return self.many(
            f"INSERT INTO {quoted(table.name)} ({listed(names)}) VALUES ({marks})", zip(*columns, strict=True)
        )

    def update_columns(
        self,
        table: Table,
        unit_id: str | None,
        ids: Sequence[str],
        masks: Sequence[int],
        values: dict[str, Sequence[Any]],
    ) -> int:
        by_mask: dict[int, list[int]] = {}
        for place, mask in enumerate(masks):
            by_mask.setdefault(mask, []).append(place)
        touched = 0
        for mask, places in by_mask.items():
            names = [column.name for column in table.columns_of(mask)]
            sets = ", ".join(f"{quoted(name)} = ?" for name in names)
            chosen = [[values[name][place] for place in places] for name in names]
            chosen.append([ids[place] for place in places])
            rows = zip(*chosen, repeat(unit_id, len(places)), strict=True)
            touched += self.many(f"UPDATE {table.sql} SET {sets} WHERE id = ? AND unit_id IS ?", rows)
        return touched

    def delete_ids(self, table: Table, unit_id: str | None, ids: Sequence[str], returning: Sequence[str]) -> list[Row]:
        found = self.select_ids(table, unit_id, ids, returning)
        self.many(
            f"DELETE FROM {table.sql} WHERE id = ? AND unit_id IS ?", zip(ids, repeat(unit_id, len(ids)), strict=True)
        )
        return found

    def select_ids(self, table: Table, unit_id: str | None, ids: Sequence[str], names: Sequence[str]) -> list[Row]:
        rows: list[Row] = []
        for marks, some in in_lists(ids):
            rows += self.all(
                f"SELECT {listed(names)} FROM {table.sql} WHERE id IN ({marks}) AND unit_id IS ?", (*some, unit_id)
            )
        return rows

    def digest(self, sql: str, values: Sequence[Any], types: Sequence[str]) -> tuple[int, bytes]:
        digest, count = sha256(), 0
        for rows in self.stream(sql, values, limits.DIGEST_ROWS):
            count += len(rows)
            digest.update(copy_text([list(column) for column in zip(*rows, strict=True)], types))
        return count, digest.digest()

    def lock(self, name: str) -> None:
        """SQLite has one writer; the write transaction is the lock."""

    def _translated(self, error: Exception) -> Exception:
        """Our error; for bytes that are no text, with the rows that hold them."""
        undecoded = sqlite_errors.UNDECODED.match(str(error))
        rows = undecodable(self._connection, undecoded[1]) if undecoded else []
        if not undecoded or not rows:
            return translate(error, self._place)
        listed = "; ".join(f"{table} {row_id}" for table, row_id in rows)
        (table, row), column = rows[0], undecoded[1]
        return NOT_TEXT_AT.error(place=self._place, column=column, rows=listed, table=table, row=row)

    def _execute(self, sql: str, values: Sequence[Any]) -> Any:
        pulse.step()
        try:
            return self._connection.execute(sql, tuple(values))
        except sqlite.DatabaseError as error:
            raise self._translated(error) from error


def begin(connection: Any, place: str, *, is_writing: bool = True) -> None:
    """Begin a transaction; a writing one waits for others, in a command for as long as its patience lasts."""
    tx, patience = SqliteTx(connection, place), of_this_command()
    if not is_writing:
        tx.run("BEGIN")
    elif patience is None:
        tx.run("BEGIN IMMEDIATE")
    else:
        connection.execute("PRAGMA busy_timeout = 0")  # SQLite's own waiting looks ten times a second at most
        try:
            patience.until_free(partial(tx.run, "BEGIN IMMEDIATE"), place)
        finally:
            connection.execute(f"PRAGMA busy_timeout = {limits.BUSY_TIMEOUT_MS}")


_TRIGGERS = "SELECT count(*), total(length(sql)) FROM sqlite_master WHERE type = 'trigger'"


class SqliteStore(Store):
    """One SQLite file. Writers of this process take turns; other processes wait for `busy_timeout_ms`."""

    dialect = "sqlite"

    def __init__(
        self, path: Path | str, registry: Registry, key: bytes | None = None, failpoint: Failpoint = no_failpoint
    ) -> None:
        self.path = str(path)
        self.registry = registry
        know(registry)
        self.failpoint = failpoint
        self._key = key
        self._held: HeldFiles | None = None  # of the first connection; this store never works on others
        self._writer: Any | None = None
        self._open_writer()
        self._writing = pulse.Baton()
        self._readers: list[Any] = []
        self._readers_guard = threading.Condition()  # told of every reader given back
        self._lent = 0
        self._is_relaxed = False  # nothing was written since memory was given back: readers forget the schema after use
        self._watcher = watcher(path, key)
        self.change_mark()  # has the watcher hold the log: it stays where it is when every other connection is closed
        self._held = HeldFiles(self.path)

    @contextmanager
    def write(self, stage: str) -> Iterator[Tx]:
        with pulse.working(), self._writing:
            yield from self._transaction(stage, applying=False)

    @contextmanager
    def apply(self, stage: str) -> Iterator[Tx]:
        with pulse.working(), self._writing:
            # Foreign keys were checked at the origin; a pragma has no effect inside a transaction.
            writer = self._open_writer()
            writer.execute("PRAGMA foreign_keys = OFF")
            try:
                yield from self._transaction(stage, applying=True)
            finally:
                writer.execute("PRAGMA foreign_keys = ON")

    def _open_writer(self) -> Any:
        """The one connection that writes; `relax` closes it until it is needed again."""
        if self._writer is not None:
            return self._writer
        try:
            writer = again(self._connect)
        except DiskFull:
            self.when_full()
            raise
        self._is_relaxed = False
        # Applying jumps about in the tables and their indexes; each page not in this cache is read and decrypted again.
        writer.execute(f"PRAGMA cache_size = -{limits.WRITER_CACHE_KIB}")
        writer.execute(f"PRAGMA journal_size_limit = {limits.LOG_FILE_BYTES_MAX}")
        self._writer = writer
        return writer

    def _transaction(self, stage: str, *, applying: bool) -> Iterator[Tx]:
        writer = self._open_writer()
        tx = SqliteTx(writer, self.path)
        begin(writer, self.path)
        began = time.monotonic()
        try:
            self.require_same_files()
            if applying:
                tx.run("INSERT INTO syncd_applying (one) VALUES (1)")
            self.failpoint(f"{stage}:begin")
            yield tx
            if applying:
                tx.run("DELETE FROM syncd_applying")
            self.failpoint(f"{stage}:before-commit")
            self.require_same_files()  # what is in the cache until now has not reached the disk
            again(partial(tx.run, "COMMIT"))  # refused while another program reads, it is a transaction still
        except BaseException as error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            if isinstance(error, DiskFull):
                self.when_full()
            raise
        note_effect()
        self.failpoint(f"{stage}:after-commit")
        if time.monotonic() - began >= limits.GIVE_WAY_AFTER_S:
            time.sleep(limits.GIVE_WAY_S)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with pulse.working():
            yield from self._snapshot()

    def _snapshot(self) -> Iterator[Tx]:
        connection = again(self._take_reader)
        tx = SqliteTx(connection, self.path)
        try:
            tx.run("BEGIN")
            # The snapshot is taken by the first read, not by BEGIN.
            again(partial(tx.all, "SELECT count(*) FROM syncd_meta"))
            yield tx
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._give_back(connection)

    def _give_back(self, connection: Any) -> None:
        with self._readers_guard:
            self._lent -= 1
            if not self._is_relaxed or (self.is_asked_at_rest and len(self._readers) < limits.READERS_AT_REST):
                self._readers.append(connection)
                self._readers_guard.notify()
                return
        if self.is_asked_at_rest:  # of many children that asked at once
            connection.close()
            return
        _rest(connection)
        return_memory()
        with self._readers_guard:
            self._readers.append(connection)

    def _take_reader(self) -> Any:
        with self._readers_guard:
            if not self._readers and self._is_relaxed and self.is_asked_at_rest and self._lent:
                # Of many children that ask at once: reading the schema anew costs more than waiting for the others.
                self._readers_guard.wait_for(lambda: self._readers, limits.READER_WAIT_S)
            self._lent += 1
            if self._readers:
                return self._readers.pop()
        try:
            return self._open_reader()
        except BaseException:
            with self._readers_guard:
                self._lent -= 1
            raise

    def _open_reader(self) -> Any:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _connect(self) -> Any:
        """One more connection to the files that are open already, and to no others."""
        if self._held is None:
            return connect(self.path, self._key)
        self._held.require_same()
        connection = connect(self.path, self._key)
        try:
            self._held.require_same()
        except BaseException:
            connection.close()
            raise
        return connection

    def is_busy(self) -> bool:
        if not self._writing.acquire(seconds=0):
            return True
        self._writing.release()
        return False

    def held_files(self) -> Mapping[str, Identity]:
        return {} if self._held is None else self._held.identities

    def require_same_files(self) -> None:
        """Raises DatabaseReplaced when another program took the files away: what is written then is lost, or ruins
        what lies there now.
        """
        if self._held is not None:
            self._held.require_same()

    def rescue(self, folder: Path) -> Path | None:
        """Write down what this store still sees of a database that was taken away, as a database of the same key in
        `folder`, which is made for it: for as long as a connection is open nobody else may have it. None where it is
        not sound: somebody has written into it meanwhile.
        """
        copy = folder / Path(self.path).name
        folder.mkdir(mode=0o700)
        try:
            self._watcher.execute("VACUUM INTO ?", (str(copy),))
            with closing(connect(copy, self._key)) as connection:
                sound = connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        except sqlite.DatabaseError as error:
            raise translate(error, str(copy)) from error
        fsync_directory(folder)
        return copy if sound else None

    def change_mark(self) -> int:
        self.require_same_files()
        try:
            return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])
        except sqlite.DatabaseError as error:
            raise translate(error, self.path) from error

    def schema_mark(self) -> str:
        try:
            version = self._watcher.execute("PRAGMA schema_version").fetchone()[0]
        except sqlite.DatabaseError as error:
            raise translate(error, self.path) from error
        with self.read() as tx:  # who edits the catalogue as a table (PRAGMA writable_schema) leaves that number alone
            count, size = tx.all(_TRIGGERS)[0]
        return f"{version} {count} {size:.0f}"

    def backlog(self) -> bool:
        with self.read() as tx:
            return tx.one("SELECT 1 FROM syncd_journal LIMIT 1") is not None

    def relax(self) -> bool:
        with self._writing:
            is_short = self._shorten_log()
            # For the questions of a daemon at rest. Opened now, not for the next question: started by root, SQLite sets
            # the owner of its log whenever it opens it, and that is a write. And opened first: where it cannot be (no
            # descriptor is left), everything stays as it was.
            reader = self._open_reader()
            if not self.is_asked_at_rest:
                _rest(reader)
            with self._readers_guard:
                # Each holds the whole schema, 1.5 MB, and its statements; writing again opens one.
                given_up = [*self._readers, *([] if self._writer is None else [self._writer])]
                self._readers, self._writer, self._is_relaxed = [reader], None, True
            for connection in given_up:
                connection.close()
            self._watcher.execute("PRAGMA shrink_memory")
        return_all_memory()
        return is_short

    def _shorten_log(self) -> bool:
        """Have the file of the log give its space back: SQLite would use it again, and never make it smaller while
        anybody has it open. Returns False where a reader still needs it; a short one is waited for."""
        try:
            size_bytes = Path(f"{self.path}-wal").stat().st_size
        except FileNotFoundError:
            return True
        if size_bytes <= limits.LOG_FILE_BYTES_AT_REST:
            return True
        writer = self._open_writer()
        writer.execute(f"PRAGMA busy_timeout = {limits.LOG_FILE_WAIT_MS}")
        try:
            (is_busy, _frames, _moved), *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            writer.execute(f"PRAGMA busy_timeout = {limits.BUSY_TIMEOUT_MS}")
        return not is_busy

    def close(self) -> None:
        with self._writing, self._readers_guard:
            for connection in (self._writer, self._watcher, *self._readers):
                if connection is not None:
                    connection.close()
            self._readers.clear()
            self._writer = self._writer or self._watcher  # closed, so that nobody opens another
