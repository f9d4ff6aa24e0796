"""Nodes' databases for tests of the inputs: real SQLite and PostgreSQL with this release's schema, guard included.

In: a path or a DSN. Out: an open store of a root (depth 0) or of a commune that keeps one unit.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TypeVar

import psycopg

from schema.ddl import Identity
from schema.install import statements
from schema.tables import registry
from syncd.store.base import Store, Tx
from syncd.store.postgres import PostgresStore
from syncd.store.sqlite import SqliteStore, connect

S = TypeVar("S", bound=Store)
TAG = "5d2c0a11"
NODE = f"0b6f3c5e-7a01-4c2d-8e9f-0000{TAG}"
UNIT = f"018f0000-0000-7000-8000-0001{TAG}"
OTHER_UNIT = f"018f0000-0000-7000-8000-0002{TAG}"
IDENTITY = Identity(node_id=NODE, tag=TAG, unit_id=UNIT)
NOW_MS = 1_795_000_000_000  # 2026-11-18
REPOSITORY = Path(__file__).parents[3]
OFFICIAL = REPOSITORY.parent / "shared" / "data" / "unit_changes_2025.csv"


def clock() -> int:
    """A clock that stands still."""
    return NOW_MS


def random() -> Random:
    """Randomness that can be replayed."""
    return Random(7)


def sqlite_store(path: Path, depth: int = 0) -> SqliteStore:
    """An encrypted database in a file."""
    key = bytes(range(32))
    connection = connect(path, key)
    connection.execute("BEGIN")
    for text in statements("sqlite", registry(), IDENTITY):
        connection.execute(text)
    connection.execute("COMMIT")
    connection.close()
    return _placed(SqliteStore(path, registry(), key), depth)


def postgres_store(dsn: str, depth: int = 0) -> PostgresStore:
    """A database of the test's own server."""
    with psycopg.connect(dsn) as connection:
        for text in statements("postgres", registry(), IDENTITY):
            connection.execute(text.encode())
    return _placed(PostgresStore(dsn, registry()), depth)


def _placed(store: S, depth: int) -> S:
    with store.apply("setup") as tx:
        tx.run("INSERT INTO syncd_meta (key, value) VALUES ('depth', ?)", (str(depth),))
        tx.run("INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, 1, 1)", (UNIT, NODE))
    return store


def own_unit(tx: Tx, level: str, code: str, name: str) -> None:
    """The unit of this node, as `init` writes it."""
    tx.run("INSERT INTO unit (id, level, code, name) VALUES (?, ?, ?, ?)", (UNIT, level, code, name))


def count(store: Store, table: str, where: str = "1 = 1") -> int:
    with store.read() as tx:
        return int(tx.value(f"SELECT count(*) FROM {table} WHERE {where}"))
