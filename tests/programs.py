"""A program's own connection to a node's database: plain SQL with `?`, the same on SQLite and PostgreSQL.

In: an open connection in autocommit mode to a database that `tests.schema_builders` has made. Out: what the program was
told, and what the triggers kept of it. Must hold: nothing here imports the daemon.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
import sqlcipher3.dbapi2 as sqlcipher

from tests.schema_builders import OTHER_UNIT, PERSON, REGISTRY, insert

# A guard's refusal, as the two drivers of SQLite and that of PostgreSQL name it.
Refused = (sqlcipher.IntegrityError, sqlite3.IntegrityError, psycopg.errors.InsufficientPrivilege)
# Whatever keeps a value out: a CHECK, a type, the driver itself.
Invalid = (sqlcipher.Error, sqlite3.Error, psycopg.Error)
FOREIGN_ROW = "01a1ffae-ab57-7daa-86ba-204dccccdddd"
MARK = {"sqlite": "?", "postgres": "%s"}

Captured = tuple[str, int, str, int, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One connection. `run` returns the driver's cursor."""

    connection: Any
    dialect: Literal["sqlite", "postgres"]

    def run(self, statement: str, *values: Any) -> Any:
        return self.connection.execute(statement.replace("?", MARK[self.dialect]), values)

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self.connection.cursor().executemany(statement.replace("?", MARK[self.dialect]), rows)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.run(query, *values).fetchall()
        return found

    def value(self, query: str, *values: Any) -> Any:
        return self.run(query, *values).fetchone()[0]

    def insert(self, table: str, **values: Any) -> str:
        """Inserts a row and returns its id."""
        return insert(self.connection, table, values, MARK[self.dialect])

    def captured(self) -> list[Captured]:
        """(table, op, row id, mask, was) in the order captured; the journal is emptied."""
        rows = self.rows("SELECT tab, op, row_id, mask, was FROM syncd_journal ORDER BY n")
        self.run("DELETE FROM syncd_journal")
        return [
            (REGISTRY.by_number[tab].name, op, str(row_id), mask, None if was is None else json.loads(was))
            for tab, op, row_id, mask, was in rows
        ]

    def operations(self) -> list[int]:
        """Of what was captured only the operations; the journal is emptied."""
        return [op for _, op, *_ in self.captured()]

    @contextlib.contextmanager
    def applying(self) -> Iterator[None]:
        """A transaction as the daemon's own: neither captured nor guarded."""
        with self.transaction():
            if self.dialect == "sqlite":
                self.run("INSERT INTO syncd_applying (one) VALUES (1)")
                yield
                self.run("DELETE FROM syncd_applying")
            else:
                self.run("SET LOCAL syncd.applying = 'on'")
                yield

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def foreign_person(self) -> str:
        """A row of OTHER_UNIT, as apply would have written it; its id."""
        with self.applying():
            return self.insert("person", **{**PERSON, "id": FOREIGN_ROW, "unit_id": OTHER_UNIT})

    def proposals(self) -> list[tuple[Any, ...]]:
        """(operation, table, row id, unit id, seen, wished, depth of the author); the proposals are taken away."""
        rows = self.rows(
            "SELECT operation, table_name, CAST(row_id AS text), CAST(unit_id AS text), seen, wished, author_depth"
            " FROM proposal ORDER BY id"
        )
        self.run("DELETE FROM proposal")
        return [(*row[:4], json.loads(row[4]), json.loads(row[5]), row[6]) for row in rows]
