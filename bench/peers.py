"""The peers beside us in the same run: COPY into the same indexed table, PostgreSQL's own logical replication.

Enters: servers with identical settings, the same rows and the same changes as ours. Leaves: seconds.
Must hold: same columns, checks, indexes and fill factor, without our triggers; the content is compared before a figure
counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bench.capture import HOUSEHOLD, IDENTITY, PERSON, copy_rows, drop_triggers
from bench.data import Register, Statement
from bench.tree import TRANSACTION_ROWS, WAIT_S_MAX, digest
from schema.install import install
from schema.tables import registry
from syncd.demo.waiting import first
from syncd.inputs.generate import HOUSEHOLD_NAMES, PERSON_NAMES
from syncd.store import postgres
from syncd.store.postgres import placed
from syncd.wire import copy_text
from tests.postgres import PostgresServer

LOOK_S = 0.002
COPY_CHUNK_BYTES = 256 * 1024
# References to households are left out: receivers do not check them again, neither ours nor PostgreSQL's own.
COPY_TABLE = """
    DROP TABLE IF EXISTS person_copy;
    CREATE TABLE person_copy (LIKE person INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)
        WITH (fillfactor = 90)
"""

SUBSCRIBE = "CREATE SUBSCRIPTION bench CONNECTION {} PUBLICATION bench WITH (copy_data = false, enabled = false)"


class CopyPeer:
    """COPY of the register's persons as text into an empty, indexed table."""

    def __init__(self, server: PostgresServer, register: Register) -> None:
        self._connection = psycopg.connect(_create(server, "peer_copy"), autocommit=True)
        types = [str(PERSON.by_name[name].type) for name in PERSON_NAMES]
        self._text = copy_text([list(column) for column in zip(*register.persons, strict=True)], types)
        self._rows = len(register.persons)

    def seconds(self) -> float:
        """One COPY, its commit included."""
        self._connection.execute(COPY_TABLE)
        self._connection.execute("CHECKPOINT")
        statement = f"COPY person_copy ({', '.join(PERSON_NAMES)}) FROM STDIN"
        began = time.perf_counter()
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for at in range(0, len(self._text), COPY_CHUNK_BYTES):
                copy.write(self._text[at : at + COPY_CHUNK_BYTES])
        took_s = time.perf_counter() - began
        _require(_value(self._connection, "SELECT count(*) FROM person_copy") == self._rows, "COPY lost rows")
        return took_s

    def close(self) -> None:
        self._connection.close()


class NativePeer:
    """A publication and a subscription of `person` between two servers; REPLICA IDENTITY DEFAULT."""

    def __init__(self, publisher: PostgresServer, subscriber: PostgresServer, register: Register) -> None:
        self._servers = (publisher, subscriber)
        self._dsns = [_create(server, "peer_native_origin") for server in self._servers]
        for dsn in self._dsns:
            with psycopg.connect(dsn, autocommit=True) as connection:
                copy_rows(connection, "household", HOUSEHOLD, HOUSEHOLD_NAMES, register.households)
                copy_rows(connection, "person", PERSON, PERSON_NAMES, register.persons)
                connection.execute("VACUUM (ANALYZE) person")
        self._marker = str(register.persons[0][0])

    def seconds(self, changes: Sequence[Statement]) -> float:
        """From enabling the subscription on a committed backlog until its last change is applied."""
        origin, replica = (self._fresh(server, dsn) for server, dsn in zip(self._servers, self._dsns, strict=True))
        with psycopg.connect(origin, autocommit=True) as from_, psycopg.connect(replica, autocommit=True) as to:
            from_.execute("CREATE PUBLICATION bench FOR TABLE person")
            to.execute(sql.SQL(SUBSCRIBE).format(sql.Literal(origin)))
            try:
                self._write(from_, changes)
                return self._drain(from_, to)
            finally:
                to.execute("DROP SUBSCRIPTION bench")

    def _drain(self, from_: psycopg.Connection[Any], to: psycopg.Connection[Any]) -> float:
        for connection in (from_, to):
            connection.execute("CHECKPOINT")
        last = f"SELECT 1 FROM person WHERE id = '{self._marker}' AND phone = 'last'"
        began = time.perf_counter()
        to.execute("ALTER SUBSCRIPTION bench ENABLE")
        _require(first(lambda: _value(to, last), WAIT_S_MAX, LOOK_S) is not None, "the subscription does not end")
        took_s = time.perf_counter() - began
        query = f"SELECT {', '.join(PERSON_NAMES)} FROM person ORDER BY id"
        _require(digest(from_, query) == digest(to, query), "publisher and subscriber differ")
        to.execute("ALTER SUBSCRIPTION bench DISABLE")
        return took_s

    def _write(self, connection: psycopg.Connection[Any], changes: Sequence[Statement]) -> None:
        for at in range(0, len(changes), TRANSACTION_ROWS):
            with connection.transaction(), connection.pipeline():
                for text, values in changes[at : at + TRANSACTION_ROWS]:
                    connection.execute(placed(text), values)
        connection.execute("UPDATE person SET phone = 'last' WHERE id = %s", (self._marker,))

    def _fresh(self, server: PostgresServer, dsn: str) -> str:
        """A copy of the prepared database."""
        source = str(conninfo_to_dict(dsn)["dbname"])
        target = source.replace("origin", "round")
        with psycopg.connect(server.admin_dsn, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(target)))
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(target), sql.Identifier(source))
            )
        return server.dsn(target)


def _create(server: PostgresServer, name: str) -> str:
    """A database with our schema and none of our triggers on the tables in question."""
    dsn = server.create_database(name)
    install(lambda: postgres.connect(dsn), "postgres", registry(), IDENTITY)
    with psycopg.connect(dsn, autocommit=True) as connection:
        drop_triggers(connection)
    return dsn


def _value(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"no figure is given: {what}")
