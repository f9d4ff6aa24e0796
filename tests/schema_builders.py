"""Builders for tests of the schema: one node's identity, a registry with a deployment's own tables, rows to write.

In: nothing. Out: databases with schema and triggers, on either database. Must hold: no personal data of real people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import sqlcipher3.dbapi2 as sqlcipher

from schema import install
from schema.ddl import Identity
from schema.spec import Column, Fold, Kind, Registry, Table, Type
from schema.tables import registry
from schema.triggers import ForeignWrites

UNIT = "99999999-0000-7000-8000-000000000001"
OTHER_UNIT = "99999999-0000-7000-8000-000000000002"
OTHER_NODE = "22222222-3333-4444-5555-6666ccccdddd"
IDENTITY = Identity(node_id="11111111-2222-3333-4444-5555aaaabbbb", tag="aaaabbbb", unit_id=UNIT)

# Two tables of a deployment, with a key that cascades.
BOOK = Table(
    number=1000,
    name="book",
    kind=Kind.REGISTER,
    columns=(Column(number=2, name="title", type=Type.TEXT, nullable=False, chars_max=50),),
)
PAGE = Table(
    number=1001,
    name="page",
    kind=Kind.REGISTER,
    columns=(
        Column(number=2, name="book_id", type=Type.UUID, references="book", inside_unit=True, on_delete="cascade"),
        Column(number=3, name="words", type=Type.INT),
        Column(number=4, name="printed_on", type=Type.DATE),
        Column(number=5, name="seal", type=Type.BYTES),
    ),
    fold=Fold(measure="birth", columns=("words",), date_column="printed_on"),
)
REGISTRY: Registry = registry((BOOK, PAGE))

PERSON: dict[str, str | int] = {
    "full_name": "Nguyễn Văn Mẫu",
    "sex": 1,
    "birth_date": "2000-01-31",
    "birth_precision": "d",
    "ethnic": "01",
    "residence": "usual",
}


def sqlite_node(
    path: str = ":memory:",
    *,
    module: Any = sqlcipher,
    dialect: str = "sqlite",
    key: str | None = None,
    foreign_writes: ForeignWrites = "refuse",
) -> Any:
    """A SQLite database of IDENTITY that keeps UNIT; OTHER_NODE keeps OTHER_UNIT. Autocommit."""
    connection = module.connect(path, isolation_level=None)
    if key:
        connection.execute(f"PRAGMA key = \"x'{key}'\"")
    connection.execute("BEGIN")
    for text in install.statements(dialect, REGISTRY, IDENTITY, foreign_writes=foreign_writes):
        connection.execute(text)
    settle(connection, "?")
    connection.execute("COMMIT")
    return connection


def postgres_node(dsn: str, *, foreign_writes: ForeignWrites = "refuse") -> psycopg.Connection[Any]:
    """The same on PostgreSQL."""
    connection = psycopg.connect(dsn, autocommit=True)
    with connection.transaction():
        for text in install.statements("postgres", REGISTRY, IDENTITY, foreign_writes=foreign_writes):
            connection.execute(text)
        settle(connection, "%s")
    return connection


def wipe_postgres(connection: psycopg.Connection[Any]) -> None:
    """Takes the database back to what `postgres_node` made: for tests that share one."""
    names = [table.name for table in REGISTRY] + ["syncd_journal", "syncd_keeper"]
    with connection.transaction():
        connection.execute("SET LOCAL syncd.applying = 'on'")
        for name in names:
            connection.execute(f"DELETE FROM {name}")
        connection.execute("DELETE FROM syncd_meta WHERE key = 'depth'")
    with connection.transaction():
        settle(connection, "%s")


def settle(connection: Any, mark: str) -> None:
    """This node keeps UNIT and stands two tiers below the root; OTHER_NODE, named 'Xã Bên', keeps OTHER_UNIT."""
    keepers = f"INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES ({mark}, {mark}, 1, {mark})"
    connection.execute(keepers, (UNIT, IDENTITY.node_id, 1))
    connection.execute(keepers, (OTHER_UNIT, OTHER_NODE, 0))
    connection.execute("INSERT INTO syncd_meta (key, value) VALUES ('depth', '2')")
    connection.execute(
        "INSERT INTO node (node_id, name, signing_public, sealing_public, home_unit_id, term, status, enrolled_at) "
        f"VALUES ({mark}, 'Xã Bên', {mark}, {mark}, {mark}, 1, 'enrolled', '2026-11-01T00:00:00Z')",
        (OTHER_NODE, b"s" * 32, b"k" * 32, OTHER_UNIT),
    )
    connection.execute("DELETE FROM syncd_journal")


def insert(connection: Any, table: str, values: Mapping[str, Any], mark: str = "?") -> str:
    """Inserts a row by plain SQL and returns its id."""
    names, marks = ", ".join(values), ", ".join([mark] * len(values))
    found = connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", tuple(values.values())
    ).fetchone()
    return str(found[0])


def mask(table: str, *columns: str) -> int:
    """The change mask of the columns named."""
    return sum(1 << REGISTRY.by_name[table].by_name[name].number for name in columns)
