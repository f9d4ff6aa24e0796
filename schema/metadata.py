"""SQLAlchemy's view of the schema: one MetaData from a registry and the local tables, for one dialect.

Enters: a `Registry` and this node's identity. Leaves: `sqlalchemy.MetaData`, which migrations are tested against.
Must hold: no UNIQUE but the id (SQLite's REPLACE would remove rows unseen); foreign keys only inside a unit.
Nothing that runs in the daemon imports this module.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from schema import ddl
from schema.ddl import Dialect, Identity
from schema.local import LOCAL_TABLES, LocalColumn, LocalTable
from schema.names import quoted
from schema.spec import Column, Kind, Registry, Table, Type

# Room in the page for HOT updates of registers; the journal is filled and emptied all day, so it is vacuumed by count.
REGISTER_OPTIONS = "fillfactor=90"
JOURNAL_OPTIONS = (
    "autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_analyze_threshold=5000"
)
# Small rows found by their whole key: one B-tree instead of a table and an index.
WITHOUT_ROWID = frozenset({
    "syncd_meta", "syncd_keeper", "syncd_cell_stock", "syncd_cell_flow", "syncd_identity_key", "syncd_identity_part",
    "syncd_identity_due",
})  # fmt: skip


def metadata(dialect: Dialect, registry: Registry, identity: Identity) -> sa.MetaData:
    """Tables, indexes, checks and keys of everything in `registry` and of the node's own tables."""
    model = sa.MetaData()
    for table in registry:
        _replicated(model, dialect, table, identity)
    for local in LOCAL_TABLES:
        _local(model, dialect, local)
    return model


def storage_statements(dialect: Dialect) -> list[str]:
    """What SQLAlchemy has no word for. Envelopes are compressed already: TOAST must not try again."""
    if dialect.is_sqlite:
        return []
    return [
        "ALTER TABLE syncd_log ALTER COLUMN envelope SET STORAGE EXTERNAL",
        f"ALTER TABLE syncd_journal SET ({JOURNAL_OPTIONS})",
    ]


def register_storage(dialect: Dialect, registry: Registry) -> list[str]:
    """Fill factor of the register tables."""
    if dialect.is_sqlite:
        return []
    return [f"ALTER TABLE {table.sql} SET ({REGISTER_OPTIONS})" for table in registry.of_kind(Kind.REGISTER)]


def sql_type(dialect: Dialect, kind: Type) -> sa.types.TypeEngine[Any]:
    """The column type of a canonical type (ARCHITECTURE.md, Canonical types)."""
    types: dict[Type, sa.types.TypeEngine[Any]] = {
        Type.UUID: sa.Text() if dialect.is_sqlite else sa.Uuid(as_uuid=False),
        Type.DATE: sa.Text() if dialect.is_sqlite else sa.Date(),
        Type.INT: sa.Integer() if dialect.is_sqlite else sa.BigInteger(),
        Type.BYTES: sa.LargeBinary(),
    }
    return types.get(kind, sa.Text())


def _replicated(model: sa.MetaData, dialect: Dialect, table: Table, identity: Identity) -> None:
    columns = [_column(dialect, table, column, identity) for column in table.all_columns]
    keys = [_foreign_key(table, column) for column in table.all_columns if column.inside_unit]
    checks = [sa.CheckConstraint(sa.text(_literal(sql)), name=name) for name, sql in ddl.checks(dialect, table)]
    made = sa.Table(
        _named(table.name), model, *columns, sa.PrimaryKeyConstraint("id", name=f"pk_{table.name}"), *keys, *checks
    )
    for index in table.indexes:
        sa.Index(ddl.index_name(table, index), *(made.c[name] for name in index))
    for part in table.partly:
        only = sa.text(_literal(part.only))
        sa.Index(part.name, *(made.c[name] for name in part.columns), sqlite_where=only, postgresql_where=only)


def _column(dialect: Dialect, table: Table, column: Column, identity: Identity) -> sa.Column[Any]:
    default = ddl.default(dialect, table, column, identity)
    return sa.Column(
        _named(column.name),
        sql_type(dialect, column.type),
        nullable=column.nullable,
        server_default=sa.text(_literal(default)) if default else None,
    )


def _named(name: str) -> str:
    """A name that SQLAlchemy quotes just where `schema/names.py` does: its own list of words is another for each
    database, and shorter."""
    return sa.sql.quoted_name(name, True) if quoted(name) != name else name


def _foreign_key(table: Table, column: Column) -> sa.ForeignKeyConstraint:
    """A key inside a unit. `restrict` is NO ACTION, which alone can be deferred.

    INITIALLY DEFERRED: apply writes table by table, and a household leaves before or after its persons as it comes;
    a clerk's mistake is refused at COMMIT instead of at the statement, which costs nothing but the moment.
    """
    action = column.on_delete.upper()
    return sa.ForeignKeyConstraint(
        [column.name],
        [f"{column.references}.id"],
        name=f"fk_{table.name}_{column.name}",
        ondelete=None if action == "RESTRICT" else action,
        deferrable=True,
        initially="DEFERRED",
    )


def _local(model: sa.MetaData, dialect: Dialect, local: LocalTable) -> None:
    columns = [_local_column(dialect, local, column) for column in local.columns]
    options: dict[str, Any] = {}
    if local.name in WITHOUT_ROWID:
        options["sqlite_with_rowid"] = False
    # PostgreSQL's journal is only ever read whole: an index on n would cost every writer 5 % for nothing.
    indexed = dialect.is_sqlite or not local.serial
    key = [sa.PrimaryKeyConstraint(*local.key, name=f"pk_{local.name}")] if indexed else []
    made = sa.Table(local.name, model, *columns, *key, **options)
    for index in local.indexes:
        sa.Index(f"ix_{local.name}_{'_'.join(index)}", *(made.c[name] for name in index))


def _local_column(dialect: Dialect, local: LocalTable, column: LocalColumn) -> sa.Column[Any]:
    numbered = local.serial and column.name in local.key
    identity = [sa.Identity(always=False)] if numbered and not dialect.is_sqlite else []
    return sa.Column(
        column.name,
        sql_type(dialect, column.type),
        *identity,
        nullable=column.nullable,
        server_default=sa.text(column.default) if column.default else None,
        autoincrement=numbered,
    )


def _literal(sql: str) -> str:
    """SQL for `sa.text`, which would read `:name` as a parameter (the colons of patterns and casts)."""
    return sql.replace(":", "\\:")
