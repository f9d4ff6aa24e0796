"""PostgreSQL 15+: a few connections, COPY into the table or into temporary staging, one statement per operation.

Enters: a DSN of the daemon's own role. Leaves: `Store` over real transactions.
Must hold: fsync, full_page_writes and synchronous_commit are on, read back at opening; the bypass of the triggers is
local to a transaction.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextLoader

from schema.fit import POSTGRES_MARK
from schema.names import listed, quoted
from schema.spec import Registry, Table, Type
from syncd import limits
from syncd.errors import DatabaseLocked, DatabaseUnreachable, SyncdError
from syncd.store import pulse
from syncd.store.base import Columns, Failpoint, Row, Store, Tx, know, no_failpoint
from syncd.store.patience import again, note_begun, note_effect, of_this_command
from syncd.store.postgres_causes import BROKEN_OFF
from syncd.store.postgres_errors import translate, unreached
from syncd.store.postgres_session import prepare
from syncd.system import return_all_memory
from syncd.wire import copy_chunks

PG_TYPE = {
    Type.UUID: "uuid",
    Type.TEXT: "text",
    Type.INT: "bigint",
    Type.DATE: "date",
    Type.INSTANT: "text",
    Type.BYTES: "bytea",
}
# Staging is small beside the table and never analysed, and the planner thinks almost no row has the unit asked for:
# left alone it hashes the whole table per envelope, or joins it without its index (seconds for 4 000 changes instead of
# 0.1).
PLANNER = (
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off;"
    " SET LOCAL enable_material = off; SET LOCAL jit = off"
)


# A server that is gone without a word (its machine lost power, a firewall forgot the connection) is noticed within a
# minute; by itself the system waits for two hours. What the DSN says goes before.
LIVELY = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}  # fmt: skip


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Open one connection that loads uuid and date as text, as SQLite gives them.

    Raises ConfigError for a server that cannot serve us as it is set up, DatabaseUnreachable when it does not answer.
    """
    try:
        lively = {name: value for name, value in LIVELY.items() if name not in conninfo_to_dict(dsn)}
        connection = psycopg.connect(
            make_conninfo(dsn, **lively), autocommit=True, client_encoding="UTF8", application_name="syncd"
        )
    except psycopg.OperationalError as error:
        raise unreached(error) from error
    try:
        prepare(connection)
    except psycopg.Error as error:
        connection.close()
        raise translate(error) from error
    except BaseException:
        connection.close()
        raise
    for name in ("uuid", "date"):
        connection.adapters.register_loader(name, TextLoader)
    return connection


@lru_cache(maxsize=1024)
def placed(sql: str) -> str:
    """`?` placeholders as psycopg writes them."""
    return re.sub(r"\?", "%s", sql.replace("%", "%%"))


class PostgresTx(Tx):
    dialect = "postgresql"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        return int(self._execute(sql, values).rowcount)

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return list(self._execute(sql, values).fetchall())

    def stream(self, sql: str, values: Sequence[Any] = (), rows_max: int = 5000) -> Iterator[list[Row]]:
        try:
            with self._connection.cursor(name="syncd_stream") as cursor:
                cursor.itersize = rows_max
                with pulse.waiting():
                    cursor.execute(placed(sql), tuple(values))
                while rows := self._fetch(cursor, rows_max):
                    yield rows
        except psycopg.Error as error:
            raise translate(error) from error

    @staticmethod
    def _fetch(cursor: Any, rows_max: int) -> list[Row]:
        with pulse.waiting():
            return list(cursor.fetchmany(rows_max))

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        try:
            with pulse.waiting(), self._connection.cursor() as cursor:
                cursor.executemany(placed(sql), list(rows))
                return int(cursor.rowcount)
        except psycopg.Error as error:
            raise translate(error) from error

    def insert_columns(self, table: Table, names: Sequence[str], types: Sequence[str], columns: Columns) -> int:
        self._copy(quoted(table.name), names, types, columns)
        return len(columns[0])

    def update_columns(
        self,
        table: Table,
        unit_id: str | None,
        ids: Sequence[str],
        masks: Sequence[int],
        values: dict[str, Sequence[Any]],
    ) -> int:
        stage = self._stage(table)
        types = [Type.UUID, Type.INT, *(table.by_name[name].type for name in values)]
        self._copy(stage, ["id", "syncd_mask", *values], types, [ids, masks, *values.values()])
        one_mask = len(set(masks)) == 1
        sets = ", ".join(
            f"{name} = s.{name}" if one_mask else
            f"{name} = CASE WHEN s.syncd_mask & {1 << column.number} <> 0 THEN s.{name} ELSE t.{name} END"
            for column in map(table.by_name.__getitem__, values)
            if (name := column.sql)
        )  # fmt: skip
        touched = self.run(
            f"UPDATE {table.sql} AS t SET {sets} FROM {stage} AS s"
            " WHERE t.id = s.id AND t.unit_id IS NOT DISTINCT FROM ?::uuid",
            (unit_id,),
        )
        self.run(f"TRUNCATE {stage}")
        return touched

    def delete_ids(self, table: Table, unit_id: str | None, ids: Sequence[str], returning: Sequence[str]) -> list[Row]:
        return self.all(
            f"DELETE FROM {table.sql} WHERE id = ANY(?::uuid[]) AND unit_id IS NOT DISTINCT FROM ?::uuid"
            f" RETURNING {listed(returning)}",
            (list(ids), unit_id),
        )

    def select_ids(self, table: Table, unit_id: str | None, ids: Sequence[str], names: Sequence[str]) -> list[Row]:
        return self.all(
            f"SELECT {listed(names)} FROM {table.sql}"
            " WHERE id = ANY(?::uuid[]) AND unit_id IS NOT DISTINCT FROM ?::uuid",
            (list(ids), unit_id),
        )

    def digest(self, sql: str, values: Sequence[Any], types: Sequence[str]) -> tuple[int, bytes]:
        digest, count = sha256(), 0
        try:
            with (
                pulse.waiting(),
                self._connection.cursor() as cursor,
                cursor.copy(f"COPY ({placed(sql)}) TO STDOUT", tuple(values)) as copy,
            ):
                for chunk in copy:
                    count += bytes(chunk).count(b"\n")  # a newline inside a value is escaped
                    digest.update(chunk)
        except psycopg.Error as error:
            raise translate(error) from error
        return count, digest.digest()

    def lock(self, name: str) -> None:
        self.run("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(?, 0::bigint))", (name,))

    def _stage(self, table: Table) -> str:
        stage = f"pg_temp.{quoted(f'syncd_stage_{table.name}')}"
        columns = ", ".join(
            f"{column.sql} {PG_TYPE[column.type]}" for column in table.all_columns if column.name != "unit_id"
        )
        self.run(f"CREATE TEMPORARY TABLE IF NOT EXISTS {stage} (syncd_mask bigint, {columns}) ON COMMIT DELETE ROWS")
        return stage

    def _copy(self, target: str, names: Sequence[str], types: Sequence[str], columns: Columns) -> None:
        chunks = copy_chunks(columns, [str(kind) for kind in types])
        try:
            with (
                pulse.waiting(),
                self._connection.cursor() as cursor,
                cursor.copy(f"COPY {target} ({listed(names)}) FROM STDIN") as copy,
            ):
                for chunk in chunks:
                    copy.write(chunk)
        except psycopg.Error as error:
            raise translate(error) from error

    def _execute(self, sql: str, values: Sequence[Any]) -> psycopg.Cursor[Any]:
        try:
            with pulse.waiting():
                return self._connection.execute(placed(sql) if values else sql, tuple(values) if values else None)
        except psycopg.Error as error:
            raise translate(error) from error


@contextmanager
def begin_patiently(connection: psycopg.Connection[Any], dsn: str) -> Iterator[None]:
    """In a command: the server's waits for others inside are bounded, and told. Elsewhere nothing changes."""
    patience = of_this_command()
    if patience is None:
        yield
        return
    connection.execute(f"SET lock_timeout = '{limits.PATIENCE_S * 1000:.0f}ms'")
    pid = connection.info.backend_pid
    began = time.monotonic()
    with patience.watching(lambda: _is_blocked(dsn, pid)):
        try:
            yield
        except DatabaseLocked as error:
            has_waited = time.monotonic() - began >= limits.PATIENCE_S  # else who asked for less, or for no waiting
            if has_waited and isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise patience.waited(f"PostgreSQL {connection.info.dbname}") from error
            raise


def _is_blocked(dsn: str, pid: int) -> bool:
    try:
        with contextlib.closing(connect(dsn)) as beside:
            row = beside.execute("SELECT pg_catalog.cardinality(pg_catalog.pg_blocking_pids(%s))", (pid,)).fetchone()
    except (SyncdError, psycopg.Error):  # whoever waits will hear of it itself
        return False
    return row is not None and row[0] > 0


# One way to the server and back; the snapshot is taken by the first statement, not by BEGIN.
READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1 FROM syncd_meta"


class PostgresStore(Store):
    """One PostgreSQL database. Several daemons may serve it; stages take locks inside their transactions."""

    dialect = "postgresql"

    def __init__(self, dsn: str, registry: Registry, failpoint: Failpoint = no_failpoint) -> None:
        self.registry = registry
        know(registry)
        self.failpoint = failpoint
        self._dsn = dsn
        self._idle: list[psycopg.Connection[Any]] = []
        self._guard = threading.Lock()
        self._give(connect(dsn))
        note_begun()

    @contextmanager
    def write(self, stage: str) -> Iterator[Tx]:
        yield from self._transaction(stage, "BEGIN")

    @contextmanager
    def apply(self, stage: str) -> Iterator[Tx]:
        # Foreign keys were checked at the origin: as `replica` their triggers rest, ours (ENABLE ALWAYS) do not.
        begin = f"BEGIN; SET LOCAL syncd.applying = 'on'; {PLANNER}; SET LOCAL session_replication_role = replica"
        yield from self._transaction(stage, begin)

    def _transaction(self, stage: str, begin: str) -> Iterator[Tx]:
        connection, number = again(partial(self._begun, begin, is_writing=True))
        try:
            with begin_patiently(connection, self._dsn):
                self.failpoint(f"{stage}:begin")
                yield PostgresTx(connection)
                self.failpoint(f"{stage}:before-commit")
                self._commit(connection, number)
        except BaseException:
            self._drop_or_give(connection)
            raise
        note_effect()
        self._give(connection)
        self.failpoint(f"{stage}:after-commit")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        connection, _number = again(partial(self._begun, READ))
        try:
            yield PostgresTx(connection)
        finally:
            self._drop_or_give(connection)

    def _begun(self, begin: str, *, is_writing: bool = False) -> tuple[psycopg.Connection[Any], int | None]:
        """A connection inside a transaction; of a command that writes also the transaction's number."""
        with pulse.waiting():
            connection = self._take()
            try:
                connection.execute(begin)
                if not is_writing or of_this_command() is None:
                    return connection, None
                row = connection.execute("SELECT pg_catalog.pg_current_xact_id()::text::bigint").fetchone()
                return connection, None if row is None else int(row[0])
            except psycopg.Error as error:
                self._drop_or_give(connection)
                raise translate(error) from error

    def _commit(self, connection: psycopg.Connection[Any], number: int | None) -> None:
        try:
            with pulse.waiting():
                connection.execute("COMMIT")
        except psycopg.Error as error:
            ours = translate(error)
            # The server may have gone between the commit and its answer: what was done is not done again.
            if number is None or not isinstance(ours, DatabaseUnreachable) or not again(partial(self._has, number)):
                raise ours from error

    def _has(self, number: int) -> bool:
        """Whether this transaction was committed."""
        with contextlib.closing(connect(self._dsn)) as connection:
            try:
                row = connection.execute("SELECT pg_catalog.pg_xact_status(%s::text::xid8)", (number,)).fetchone()
            except psycopg.Error as error:
                raise translate(error) from error
        state = row[0] if row else None
        if state == "in progress":
            raise BROKEN_OFF.error(why=f"transaction {number}")  # the server has not noticed yet that we are gone
        return state == "committed"

    def _drop_or_give(self, connection: psycopg.Connection[Any]) -> None:
        """A connection that can roll back is used again; a broken one is closed, and the idle ones with it: the server
        was restarted, and each of them would cost a failed attempt of its own.
        """
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:  # broken: nothing of the transaction is left on the server
            connection.close()
            self._close_idle()
        else:
            self._give(connection)

    def _take(self) -> psycopg.Connection[Any]:
        with self._guard:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        return connect(self._dsn)

    def _give(self, connection: psycopg.Connection[Any]) -> None:
        with self._guard:
            if len(self._idle) < limits.CONNECTIONS_IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()

    def change_mark(self) -> int:
        """PostgreSQL has no cheap change counter per database: the backlog itself is the mark."""
        return int(self.backlog())

    def schema_mark(self) -> str:
        with self.read() as tx:
            return str(tx.value(POSTGRES_MARK))

    def backlog(self) -> bool:
        with self.read() as tx:
            return tx.one("SELECT 1 FROM syncd_journal LIMIT 1") is not None

    def relax(self) -> bool:
        return_all_memory()
        return True

    def close(self) -> None:
        self._close_idle()

    def _close_idle(self) -> None:
        with self._guard:
            for connection in self._idle:
                connection.close()
            self._idle.clear()
