"""Puts the schema into a database: tables by Alembic (or directly), the node's identity, functions and triggers.

Enters: a factory of DBAPI connections (sqlcipher3, sqlite3 or psycopg), the registry, this node's identity.
Leaves: a database at the newest revision with triggers, in one transaction: all of it or nothing.
Must hold: doing it twice changes nothing; a database of another node is refused. SQLAlchemy is imported inside
functions, so that importing this module costs the daemon nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from schema import ddl, described, triggers
from schema.ddl import Dialect, Identity, SchemaError
from schema.names import literal
from schema.spec import Registry, Table
from schema.tables import registry as base_registry
from schema.triggers import ForeignWrites
from schema.views import install_views, view_statements

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["Dialect", "Identity", "NameTakenError", "SchemaError", "install", "reinstall_triggers", "statements"]


class NameTakenError(SchemaError):
    """The database has tables of these `names` that are not of our making."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"the database has a table {', '.join(names)} already that syncd did not make")
        self.names = tuple(names)


MIGRATIONS = "schema:migrations"
SQLITE_URL = "sqlite://"
POSTGRES_URL = "postgresql+psycopg://"
# Stands for the node in cached DDL; replaced by the real one.
PLACEHOLDER = Identity(
    node_id="00000000-0000-0000-0000-0000deadbee0", tag="deadbee0", unit_id="00000000-0000-0000-0000-00000deadbe1"
)


def install(
    connect: Callable[[], Any],
    dialect: str,
    registry: Registry,
    identity: Identity,
    *,
    foreign_writes: ForeignWrites = "refuse",
    applying_role: str | None = None,
) -> None:
    """Upgrades to the newest revision, then makes tables of the deployment, identity and triggers what they must be.

    `connect` gives a new connection, which is closed here. `applying_role` (PostgreSQL): the daemon's role; by default
    the role of this connection. Raises `SchemaError` when the database belongs to another node.
    """
    kind = Dialect(dialect)
    engine = _engine(connect, kind)
    try:
        with engine.begin() as connection:
            raw = connection.connection.driver_connection
            _upgrade(connection, kind, identity)
            _create_deployment_tables(connection, raw, kind, registry, identity)
            _seed(raw, kind, identity, applying_role)
            reinstall_triggers(raw, dialect, registry, identity, foreign_writes=foreign_writes)
            install_views(raw, dialect, registry)
    finally:
        engine.dispose()


def reinstall_triggers(
    connection: Any, dialect: str, registry: Registry, identity: Identity, *, foreign_writes: ForeignWrites = "refuse"
) -> None:
    """Creates the triggers anew where `triggers.problems` finds any; touches nothing otherwise. The caller commits."""
    if triggers.problems(connection, dialect, registry, identity, foreign_writes=foreign_writes):
        triggers.install(connection, dialect, registry, identity, foreign_writes=foreign_writes)


def statements(
    dialect: str, registry: Registry, identity: Identity, *, foreign_writes: ForeignWrites = "refuse"
) -> list[str]:
    """Every statement that makes the same schema in an empty database without Alembic, identity included."""
    kind = Dialect(dialect)
    role = "'sqlite'" if kind.is_sqlite else "session_user"
    facts = [*_facts(identity), *_described(registry)]
    seeds = [f"({literal(key)}, {literal(value)})" for key, value in facts]
    return [
        *([] if kind.is_sqlite else ddl.postgres_functions(identity)),
        *table_statements(kind, registry, identity),
        f"INSERT INTO syncd_meta (key, value) VALUES {', '.join(seeds)}, ('applying_role', {role})",
        *triggers.statements(dialect, registry, identity, foreign_writes=foreign_writes),
        *view_statements(dialect, registry),
    ]


def table_statements(
    kind: Dialect, registry: Registry, identity: Identity, names: frozenset[str] = frozenset()
) -> list[str]:
    """CREATE TABLE and CREATE INDEX of all tables, or of those further ones alone that are named."""
    created = "\0".join(_table_statements(kind, registry.tables, names))
    created = created.replace(PLACEHOLDER.unit_id, identity.unit_id).replace(PLACEHOLDER.tag, identity.tag)
    return created.split("\0")


def taken_names(connection: Any, kind: Dialect, names: Sequence[str]) -> list[str]:
    """Those of the names that a table or a view of this database has, whoever made it."""
    if kind.is_sqlite:
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view', 'index')"
    else:
        here = "quote_ident(current_schema())::regnamespace"
        query = f"SELECT relname::text FROM pg_catalog.pg_class WHERE relnamespace = {here}"
    cursor = connection.cursor()
    cursor.execute(query)
    there = {str(name).lower() if kind.is_sqlite else str(name) for (name,) in cursor.fetchall()}
    return [name for name in names if (name.lower() if kind.is_sqlite else name) in there]


@lru_cache(maxsize=8)
def _table_statements(kind: Dialect, tables: tuple[Table, ...], names: frozenset[str]) -> tuple[str, ...]:
    """The same with the placeholder's identity: a simulation makes hundreds of nodes."""
    import sqlalchemy as sa
    from sqlalchemy.schema import CreateIndex, CreateTable

    from schema import metadata

    dialect = sa.make_url(SQLITE_URL if kind.is_sqlite else POSTGRES_URL).get_dialect()()
    texts: list[str] = []
    registry = Registry(tables)
    for table in metadata.metadata(kind, registry, PLACEHOLDER).sorted_tables:
        if names and table.name not in names:
            continue
        texts.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        texts.extend(str(CreateIndex(index).compile(dialect=dialect)) for index in indexes)
    if names:
        return (*texts, *metadata.register_storage(kind, Registry(tuple(t for t in tables if t.name in names))))
    return (*texts, *metadata.register_storage(kind, registry), *metadata.storage_statements(kind))


def _engine(connect: Callable[[], Any], kind: Dialect) -> sa.Engine:
    """An engine over the caller's connections, in which DDL is part of one explicit transaction."""
    import sqlalchemy as sa
    from sqlalchemy.pool import StaticPool

    connection = connect()
    if not kind.is_sqlite:
        connection.autocommit = False
        return sa.create_engine(POSTGRES_URL, creator=lambda: connection, poolclass=StaticPool)
    # The driver would begin a transaction only before the first INSERT, leaving CREATE TABLE outside.
    connection.isolation_level = None
    module = sys.modules[type(connection).__module__]
    engine = sa.create_engine(SQLITE_URL, creator=lambda: connection, poolclass=StaticPool, module=module)
    sa.event.listens_for(engine, "begin")(_begin_immediate)
    return engine


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: sa.Connection, kind: Dialect, identity: Identity) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection, kind, identity), "head")


def alembic_config(connection: sa.Connection, kind: Dialect, identity: Identity) -> Any:
    """Alembic's configuration for an open connection; migrations find dialect and identity in its attributes."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes.update(connection=connection, dialect=kind, identity=identity)
    return config


def _create_deployment_tables(
    connection: sa.Connection, raw: Any, kind: Dialect, registry: Registry, identity: Identity
) -> None:
    """Tables that only this deployment replicates have no migrations here: missing ones are created as described, and
    that is written down. Raises NameTakenError."""
    from schema import metadata

    base = base_registry().by_name
    extra = [table for table in registry if table.name not in base]
    if not extra:
        return
    cursor = raw.cursor()
    cursor.execute(f"SELECT value FROM syncd_meta WHERE key = '{described.FACT}'")
    if cursor.fetchone():
        return  # made; what has changed since is added when the daemon starts
    taken = taken_names(raw, kind, [table.name for table in extra])
    if taken:
        raise NameTakenError(taken)
    model = metadata.metadata(kind, registry, identity)
    model.create_all(connection, tables=[model.tables[table.name] for table in extra], checkfirst=False)
    for text in metadata.register_storage(kind, Registry(tuple(extra))):
        connection.exec_driver_sql(text)
    for key, value in _described(registry):
        cursor.execute(f"INSERT INTO syncd_meta (key, value) VALUES ({literal(key)}, {literal(value)})")


def _described(registry: Registry) -> list[tuple[str, str]]:
    return [(described.FACT, described.as_text(registry))] if described.further(registry) else []


def _facts(identity: Identity) -> tuple[tuple[str, str], ...]:
    return (("node_id", identity.node_id), ("tag", identity.tag), ("unit_id", identity.unit_id))


def _seed(raw: Any, kind: Dialect, identity: Identity, applying_role: str | None) -> None:
    """Writes who this node is; a database that already says another node_id is somebody else's."""
    cursor = raw.cursor()
    cursor.execute("SELECT value FROM syncd_meta WHERE key = 'node_id'")
    found = cursor.fetchone()
    if found and found[0] != identity.node_id:
        raise SchemaError(
            f"database belongs to node {found[0]}, not to {identity.node_id}; "
            "use an empty database, or the keys of that node"
        )
    mark = "?" if kind.is_sqlite else "%s"
    role = applying_role or _session_role(cursor, kind)
    for key, value in (*_facts(identity), ("applying_role", role)):
        cursor.execute(
            f"INSERT INTO syncd_meta (key, value) VALUES ({mark}, {mark}) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE syncd_meta.value <> excluded.value",
            (key, value),
        )


def _session_role(cursor: Any, kind: Dialect) -> str:
    if kind.is_sqlite:
        return "sqlite"
    cursor.execute("SELECT session_user::text")
    return str(cursor.fetchone()[0])
