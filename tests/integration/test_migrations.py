"""Migrations and installation on both databases: what Alembic makes is what the models say, and back to nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import sqlcipher3.dbapi2 as sqlcipher
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from schema import install as installer
from schema import metadata, triggers
from schema.ddl import Dialect, Identity, SchemaError
from schema.tables import registry
from tests.postgres import PostgresServer
from tests.schema_builders import IDENTITY, REGISTRY

BASE = registry()
STRANGER = Identity(
    node_id="22222222-3333-4444-5555-6666ccccdddd", tag="ccccdddd", unit_id="99999999-0000-7000-8000-000000000002"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    dialect: Dialect
    connect: Callable[[], Any]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(self.connect()) as connection:
            return [tuple(row) for row in connection.execute(query).fetchall()]


@pytest.fixture(params=["encrypted", "plain", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Database]:
    if request.param == "postgres":
        dsn = request.getfixturevalue("postgres_dsn")
        yield Database(dialect=Dialect.POSTGRES, connect=lambda: psycopg.connect(dsn))
        return

    def connect() -> Any:
        connection = sqlcipher.connect(str(tmp_path / "node.db"))
        if request.param == "encrypted":
            connection.execute(f"PRAGMA key = \"x'{'5a' * 32}'\"")
        return connection

    yield Database(dialect=Dialect.SQLITE, connect=connect)


SQLITE_CATALOGUE = """
SELECT type, name, tbl_name, trim(replace(replace(replace(sql, char(10), ' '), char(9), ' '), '  ', ' '))
FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND tbl_name <> 'alembic_version' ORDER BY type, name
"""

# Columns, constraints, indexes, storage, triggers and functions, each as PostgreSQL itself writes it.
POSTGRES_CATALOGUE = """
SELECT 'column', c.relname::text, a.attnum::text, concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
  a.attnotnull, a.attidentity, a.attstorage, pg_get_expr(d.adbin, d.adrelid))
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
UNION ALL SELECT 'table', relname::text, relkind::text, reloptions::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname !~ 'alembic_version'
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n'  -- NOT NULL stands with the column
  AND conrelid::regclass::text IS DISTINCT FROM 'alembic_version'
UNION ALL SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version'
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid) || tgenabled::text
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', proname::text, '', pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
"""


def catalogue(database: Database) -> list[tuple[Any, ...]]:
    """Everything in the database but Alembic's own table, as text."""
    return database.rows(SQLITE_CATALOGUE if database.dialect.is_sqlite else POSTGRES_CATALOGUE)


def install(database: Database, **options: Any) -> None:
    installer.install(database.connect, database.dialect, **{"registry": BASE, "identity": IDENTITY, **options})


@contextlib.contextmanager
def migrating(database: Database) -> Iterator[sa.Connection]:
    engine = installer._engine(database.connect, database.dialect)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_the_migrated_schema_equals_the_models(database: Database) -> None:
    install(database)
    with migrating(database) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        model = metadata.metadata(database.dialect, BASE, IDENTITY)
        assert compare_metadata(context, model) == []


def test_the_migrated_schema_equals_the_direct_statements(database: Database, tmp_path: Path) -> None:
    install(database)
    migrated = catalogue(database)
    with contextlib.closing(database.connect()) as connection:
        if database.dialect.is_sqlite:
            connection = sqlcipher.connect(":memory:")
        else:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        for text in installer.statements(database.dialect, BASE, IDENTITY):
            connection.execute(text)
        connection.commit()
        if not database.dialect.is_sqlite:
            assert catalogue(database) == migrated
            return
        assert [tuple(row) for row in connection.execute(SQLITE_CATALOGUE)] == migrated
        connection.close()


def test_downgrade_leaves_nothing(database: Database) -> None:
    install(database, foreign_writes="propose")
    assert len(catalogue(database)) > 100
    with migrating(database) as connection:
        command.downgrade(installer.alembic_config(connection, database.dialect, IDENTITY), "base")
    assert catalogue(database) == []


def test_installing_again_changes_nothing(database: Database) -> None:
    install(database, registry=REGISTRY)
    before = catalogue(database), database.rows("SELECT * FROM syncd_meta ORDER BY 1"), written(database)
    install(database, registry=REGISTRY)
    assert (catalogue(database), database.rows("SELECT * FROM syncd_meta ORDER BY 1"), written(database)) == before


def written(database: Database) -> list[tuple[Any, ...]]:
    """What any change of schema or identity would move."""
    if database.dialect.is_sqlite:
        return database.rows("PRAGMA schema_version")
    return database.rows(
        "SELECT xmin::text, key FROM syncd_meta UNION ALL SELECT xmin::text, tgname FROM pg_trigger "
        "UNION ALL SELECT xmin::text, proname FROM pg_proc WHERE proname LIKE 'syncd%' ORDER BY 1, 2"
    )


def test_identity_is_recorded(database: Database) -> None:
    install(database, applying_role="daemon")
    facts = dict(database.rows("SELECT key, value FROM syncd_meta"))
    assert facts == {
        "node_id": IDENTITY.node_id,
        "tag": IDENTITY.tag,
        "unit_id": IDENTITY.unit_id,
        "applying_role": "daemon",
    }


def test_another_nodes_database_is_refused_and_left_as_it_was(database: Database) -> None:
    install(database)
    before = catalogue(database)
    with pytest.raises(SchemaError, match="belongs to node"):
        install(database, identity=STRANGER)
    assert catalogue(database) == before


def test_an_installation_that_fails_midway_leaves_nothing(database: Database) -> None:
    """Another program's table stands where one of the last of ours would go."""
    with contextlib.closing(database.connect()) as connection:
        connection.execute("CREATE TABLE syncd_cell_flow (id INTEGER)")
        connection.commit()
    before = catalogue(database)
    with pytest.raises(sa.exc.DBAPIError):
        install(database)
    assert catalogue(database) == before


def test_tables_of_the_deployment_are_added_later_with_their_triggers(database: Database) -> None:
    install(database)
    install(database, registry=REGISTRY)
    with contextlib.closing(database.connect()) as connection:
        assert triggers.problems(connection, database.dialect, REGISTRY, IDENTITY) == []
        connection.execute("INSERT INTO syncd_keeper (unit_id, node_id, term, mine) "
                           f"VALUES ('{IDENTITY.unit_id}', '{IDENTITY.node_id}', 1, 1)")  # fmt: skip
        connection.execute("INSERT INTO page (words) VALUES (1)")
        assert connection.execute("SELECT tab, op FROM syncd_journal").fetchall() == [(1001, 1)]


def test_the_mode_of_foreign_writes_can_be_changed_both_ways(database: Database) -> None:
    install(database)
    refusing = catalogue(database)
    install(database, foreign_writes="propose")
    assert len(catalogue(database)) > len(refusing)
    install(database, foreign_writes="refuse")
    left = [row for row in catalogue(database) if row not in refusing]
    assert [row[:2] for row in left if row[0] != "function"] == []
