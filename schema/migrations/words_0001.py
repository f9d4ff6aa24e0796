"""The words revision 0001 is written in: columns with the canonical types' checks as they were then.

Enters: column descriptions. Leaves: tables, through Alembic's `op`.
Must hold: frozen with its revision; `schema/ddl.py` may move on, this file may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from schema.ddl import Dialect, Identity, mint_sqlite, postgres_functions

UUID_GLOB = "-".join("[0-9a-f]" * digits for digits in (8, 4, 4, 4, 12))
BYTES_MAX = 3 * 1024 * 1024
INSTANT_REGEX = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{3})?Z$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Col:
    """A column as of this revision; `chars` bounds text of replicated tables, and bytes (0: BYTES_MAX)."""

    name: str
    kind: str
    chars: int = 0
    nullable: bool = False
    default: str | None = None


def need(name: str, kind: str, chars: int = 0, default: str | None = None) -> Col:
    return Col(name=name, kind=kind, chars=chars, default=default)


def may(name: str, kind: str, chars: int = 0) -> Col:
    return Col(name=name, kind=kind, chars=chars, nullable=True)


def replicated(
    table: str,
    columns: tuple[Col, ...],
    *,
    register: bool = False,
    rules: dict[str, str | tuple[str, str]] | None = None,
    refers: tuple[tuple[str, str], ...] = (),
    indexes: tuple[tuple[str, ...], ...] = (),
) -> None:
    """A replicated table. A rule is one text for both databases, or (SQLite's, PostgreSQL's)."""
    unit = need("unit_id", "uuid", default=_own_unit()) if register else may("unit_id", "uuid")
    every = (need("id", "uuid", default=_mint()), unit, *columns)
    keys = [
        sa.ForeignKeyConstraint(
            [name], [f"{target}.id"], name=f"fk_{table}_{name}", deferrable=True, initially="DEFERRED"
        )
        for name, target in refers
    ]
    checks = [*_type_checks(table, every), *_rule_checks(table, rules or {})]
    made = [_column(column) for column in every]
    op.create_table(table, *made, sa.PrimaryKeyConstraint("id", name=f"pk_{table}"), *keys, *checks)
    for index in indexes:
        op.create_index(f"ix_{table}_{'_'.join(index)}", table, list(index))


def local(table: str, key: tuple[str, ...], columns: tuple[Col, ...], **options: bool) -> None:
    """A table of the node's own. A numbered one is only ever read whole, so PostgreSQL keeps no index on it."""
    made = [_column(column) for column in columns]
    indexed = _dialect().is_sqlite or all(column.kind != "serial" for column in columns)
    keys = [sa.PrimaryKeyConstraint(*key, name=f"pk_{table}")] if indexed else []
    op.create_table(table, *made, *keys, **options)


def _column(column: Col) -> sa.Column[Any]:
    sqlite = _dialect().is_sqlite
    types: dict[str, sa.types.TypeEngine[Any]] = {
        "uuid": sa.Text() if sqlite else sa.Uuid(as_uuid=False),
        "date": sa.Text() if sqlite else sa.Date(),
        "int": sa.Integer() if sqlite else sa.BigInteger(),
        "serial": sa.Integer() if sqlite else sa.BigInteger(),
        "bytes": sa.LargeBinary(),
    }
    serial = column.kind == "serial"
    return sa.Column(
        column.name,
        types.get(column.kind, sa.Text()),
        *([sa.Identity(always=False)] if serial and not sqlite else []),
        nullable=column.nullable,
        server_default=sa.text(_literal(column.default)) if column.default else None,
        autoincrement=serial,
    )


def _type_checks(table: str, columns: tuple[Col, ...]) -> Iterator[sa.CheckConstraint]:
    for column in columns:
        sql = _sqlite_type(column) if _dialect().is_sqlite else _postgres_type(column)
        if sql:
            shown = f"{column.name} IS NULL OR {sql}" if column.nullable else sql
            yield sa.CheckConstraint(sa.text(_literal(shown)), name=f"ck_{table}_{column.name}_type")


def _rule_checks(table: str, rules: dict[str, str | tuple[str, str]]) -> Iterator[sa.CheckConstraint]:
    for name, rule in rules.items():
        sql = rule if isinstance(rule, str) else rule[0 if _dialect().is_sqlite else 1]
        yield sa.CheckConstraint(sa.text(_literal(sql)), name=f"ck_{table}_{name}")


def _sqlite_type(column: Col) -> str:
    name = column.name
    if column.kind == "int":
        return f"typeof({name}) = 'integer'"
    if column.kind == "bytes":
        return f"(typeof({name}) = 'blob' AND length({name}) <= {column.chars or BYTES_MAX})"
    if column.kind == "uuid":
        return f"(typeof({name}) = 'text' AND length(CAST({name} AS BLOB)) = 36 AND {name} GLOB '{UUID_GLOB}')"
    if column.kind == "date":
        return f"(typeof({name}) = 'text' AND date({name}, '+0 days') IS {name} AND {name} >= '0001-01-01')"
    if column.kind == "instant":
        seconds, millis = (f"strftime('%Y-%m-%dT%H:%M:{s}Z', {name}, '+0 days')" for s in ("%S", "%f"))
        return f"(typeof({name}) = 'text' AND ({seconds} IS {name} OR {millis} IS {name}) AND {name} >= '0001-01-01')"
    return f"(typeof({name}) = 'text' AND length({name}) <= {column.chars} AND instr({name}, char(0)) = 0)"


def _postgres_type(column: Col) -> str:
    name = column.name
    if column.kind == "date":
        return f"({name} >= DATE '0001-01-01' AND {name} <= DATE '9999-12-31')"
    if column.kind == "instant":
        day = f"make_date(substr({name}, 1, 4)::int, substr({name}, 6, 2)::int, substr({name}, 9, 2)::int)"
        return f"CASE WHEN {name} ~ '{INSTANT_REGEX}' THEN {day} IS NOT NULL ELSE false END"
    if column.kind == "bytes":
        return f"octet_length({name}) <= {column.chars or BYTES_MAX}"
    return f"char_length({name}) <= {column.chars}" if column.kind == "text" else ""


def set_storage(registers: tuple[str, ...]) -> None:
    """Envelopes are compressed already; registers leave room for HOT updates; the journal is vacuumed by count."""
    if _dialect().is_sqlite:
        return
    for table in registers:
        op.execute(f"ALTER TABLE {table} SET (fillfactor=90)")
    op.execute("ALTER TABLE syncd_log ALTER COLUMN envelope SET STORAGE EXTERNAL")
    op.execute(
        "ALTER TABLE syncd_journal SET (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, "
        "autovacuum_analyze_threshold=5000)"
    )


def install_functions() -> None:
    """What column defaults call (PostgreSQL)."""
    if not _dialect().is_sqlite:
        for text in postgres_functions(_identity()):
            op.execute(sa.text(_literal(text)))


def drop_functions() -> None:
    """Trigger functions come from `schema/triggers.py`, so they are dropped by their prefix (PostgreSQL)."""
    if not _dialect().is_sqlite:
        op.execute(sa.text(_literal(DROP_FUNCTIONS)))


def _mint() -> str:
    return f"({mint_sqlite(_identity().tag)})" if _dialect().is_sqlite else "syncd_mint()"


def _own_unit() -> str:
    return f"'{_identity().unit_id}'" if _dialect().is_sqlite else "syncd_own_unit()"


def _dialect() -> Dialect:
    found: Dialect = context.config.attributes["dialect"]
    return found


def _identity() -> Identity:
    found: Identity = context.config.attributes["identity"]
    return found


def _literal(sql: str) -> str:
    """SQL for `sa.text`, which would read `:name` as a parameter."""
    return sql.replace(":", "\\:")


DROP_FUNCTIONS = """
DO $$ DECLARE made text; BEGIN
  FOR made IN SELECT p.oid::regprocedure::text FROM pg_proc AS p
    WHERE p.proname LIKE 'syncd\\_%' AND p.pronamespace = quote_ident(current_schema())::regnamespace
  LOOP EXECUTE 'DROP FUNCTION ' || made; END LOOP;
END $$
"""
