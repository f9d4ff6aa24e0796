"""The SQL both `metadata.py` and the triggers are made of: dialects, the node's identity, ids, canonical checks.

Enters: a table description (`schema/spec.py`) and this node's identity. Leaves: SQL text for one dialect.
Must hold: no SQLAlchemy here (the daemon reads triggers at run time); what one database refuses the other refuses too,
or a signed group could never be applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schema.names import quoted
from schema.spec import INDEX_BYTES_MAX, ROW_BYTES_MAX, Column, Kind, Table, Type

TAG_PATTERN = re.compile(r"[0-9a-f]{8}")
UUID_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
UUID_CHARS = 36
SHORT_BYTES = 4096  # a column that never holds more is not measured row by row
UUID_GLOB = "-".join("[0-9a-f]" * digits for digits in (8, 4, 4, 4, 12))
INSTANT_REGEX = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{3})?Z$"


class SchemaError(Exception):
    """The schema cannot be installed or trusted. The text says what, where, and what to do."""


class Dialect(StrEnum):
    """SQLITE_PORTABLE: tables as in SQLITE; its triggers can be read by programs with SQLite before 3.47."""

    SQLITE = "sqlite"
    SQLITE_PORTABLE = "sqlite-portable"
    POSTGRES = "postgres"

    @property
    def is_sqlite(self) -> bool:
        return self is not Dialect.POSTGRES


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this node is: `tag` is the last 8 hex digits of `node_id`; `unit_id` the unit whose register it keeps."""

    node_id: str
    tag: str
    unit_id: str

    def __post_init__(self) -> None:
        # These values become literals in SQL, so nothing but hex digits and hyphens may pass.
        uuids = UUID_PATTERN.fullmatch(self.node_id) and UUID_PATTERN.fullmatch(self.unit_id)
        if not (uuids and TAG_PATTERN.fullmatch(self.tag)):
            raise SchemaError("identity: node_id and unit_id must be lower-case UUIDs, tag 8 lower-case hex digits")
        if self.node_id[-8:] != self.tag:
            raise SchemaError(f"identity: tag {self.tag} is not the end of node_id {self.node_id}")


def mint_sqlite(tag: str) -> str:
    """A UUIDv7 as a SQLite expression: 48 bits of milliseconds, 42 random bits, the node's tag.

    julianday rather than unixepoch('subsec'), which needs SQLite 3.42; random() is a new number at every call.
    """
    ms = "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"
    return (
        f"printf('%08x-%04x-7%03x-%x%03x-%04x{tag}', {ms} >> 16, {ms} & 65535, random() & 4095, "
        "8 | (random() & 3), random() & 4095, random() & 65535)"
    )


def postgres_functions(identity: Identity) -> Iterator[str]:
    """The functions that column defaults call. Literals inside, so that minting an id reads no table."""
    yield (
        "CREATE OR REPLACE FUNCTION syncd_mint() RETURNS uuid LANGUAGE sql VOLATILE AS $$ SELECT (lpad(to_hex("
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '-7' || "
        f"substr(gen_random_uuid()::text, 16, 13) || '{identity.tag}')::uuid $$"
    )
    yield (
        "CREATE OR REPLACE FUNCTION syncd_own_unit() RETURNS uuid LANGUAGE sql STABLE AS "
        f"$$ SELECT '{identity.unit_id}'::uuid $$"
    )


def default(dialect: Dialect, table: Table, column: Column, identity: Identity) -> str | None:
    """The SQL of a column's default: `id` everywhere, `unit_id` in register tables."""
    if column.name == "id":
        return f"({mint_sqlite(identity.tag)})" if dialect.is_sqlite else "syncd_mint()"
    if column.name == "unit_id" and table.kind is Kind.REGISTER:
        return f"'{identity.unit_id}'" if dialect.is_sqlite else "syncd_own_unit()"
    return None


def checks(dialect: Dialect, table: Table) -> Iterator[tuple[str, str]]:
    """(constraint name, SQL) for every rule of a table: canonical types first, then the rules of the records."""
    for column in table.all_columns:
        sql = _sqlite_type(column) if dialect.is_sqlite else _postgres_type(column)
        if sql:
            yield f"ck_{table.name}_{column.name}_type", f"{column.sql} IS NULL OR {sql}" if column.nullable else sql
    for column in table.all_columns:
        rule = column.check or (column.check_sqlite if dialect.is_sqlite else column.check_postgres)
        if rule:
            yield f"ck_{table.name}_{column.name}_rule", rule
    for name, rule in table.checks:
        yield f"ck_{table.name}_{name}", rule
    if table.row_bytes_max > ROW_BYTES_MAX:
        yield f"ck_{table.name}_row_size", _row_size(dialect, table)
    if table.wide_indexes:
        rules = (_index_size(dialect, [table.by_name[name] for name in index]) for index in table.wide_indexes)
        yield f"ck_{table.name}_index_size", " AND ".join(rules)


def index_name(table: Table, names: Sequence[str]) -> str:
    """What an index of these columns is called."""
    return f"ix_{table.name}_{'_'.join(names)}"


SQL_TYPES = {
    # of a column: SQLite's, PostgreSQL's; all others are text
    Type.UUID: ("TEXT", "UUID"),
    Type.DATE: ("TEXT", "DATE"),
    Type.INT: ("INTEGER", "BIGINT"),
    Type.BYTES: ("BLOB", "BYTEA"),
}


def add_column(dialect: Dialect, table: Table, column: Column) -> str:
    """The statement that adds a column to a table that is there, as `metadata.py` would have made it."""
    prefix = f"ck_{table.name}_{column.name}_"
    rules = [(name, sql) for name, sql in checks(dialect, table) if name in (f"{prefix}type", f"{prefix}rule")]
    words = [quoted(column.name), SQL_TYPES.get(column.type, ("TEXT", "TEXT"))[0 if dialect.is_sqlite else 1]]
    words += [f"CONSTRAINT {quoted(name)} CHECK ({sql})" for name, sql in rules]
    if column.inside_unit:
        action = "" if column.on_delete == "restrict" else f" ON DELETE {column.on_delete.upper()}"
        words.append(
            f"CONSTRAINT {quoted(f'fk_{table.name}_{column.name}')} REFERENCES {quoted(column.references or '')} (id)"
            f"{action} DEFERRABLE INITIALLY DEFERRED"
        )
    return f"ALTER TABLE {table.sql} ADD COLUMN {' '.join(words)}"


def _index_size(dialect: Dialect, columns: list[Column]) -> str:
    """A keeper on SQLite must not take what an index of a tier on PostgreSQL refuses."""
    long = [column for column in columns if column.type in (Type.TEXT, Type.BYTES)]
    fixed = sum(column.bytes_most for column in columns if column not in long)
    return f"{_lengths(dialect, long)} <= {INDEX_BYTES_MAX - fixed}"


def _lengths(dialect: Dialect, columns: list[Column]) -> str:
    """How many bytes the values of these columns have together."""
    length = "length(CAST({} AS BLOB))" if dialect.is_sqlite else "octet_length({})"
    return " + ".join(f"coalesce({length.format(column.sql)}, 0)" for column in columns)


def _row_size(dialect: Dialect, table: Table) -> str:
    """No envelope holds a longer row. Columns that are short whatever they hold count with their most."""
    long = [column for column in table.all_columns if column.bytes_most > SHORT_BYTES]
    most = ROW_BYTES_MAX - table.row_bytes_max + sum(column.bytes_most for column in long)
    return f"{_lengths(dialect, long)} <= {most}"


def _sqlite_type(column: Column) -> str:
    """SQLite stores any value in any column unless a CHECK refuses it. length() and GLOB stop at NUL, hence instr().

    '+0 days' makes every version count the day: SQLite before 3.46 returns date('2024-02-31') as it is.
    """
    name = column.sql
    if column.type is Type.INT:
        return f"typeof({name}) = 'integer'"
    if column.type is Type.BYTES:
        return f"(typeof({name}) = 'blob' AND length({name}) <= {column.bytes_max})"
    if column.type is Type.UUID:
        return (
            f"(typeof({name}) = 'text' AND length(CAST({name} AS BLOB)) = {UUID_CHARS} AND {name} GLOB '{UUID_GLOB}')"
        )
    if column.type is Type.DATE:
        return f"(typeof({name}) = 'text' AND date({name}, '+0 days') IS {name} AND {name} >= '0001-01-01')"
    if column.type is Type.INSTANT:
        seconds, millis = (f"strftime('%Y-%m-%dT%H:%M:{s}Z', {name}, '+0 days')" for s in ("%S", "%f"))
        return f"(typeof({name}) = 'text' AND ({seconds} IS {name} OR {millis} IS {name}) AND {name} >= '0001-01-01')"
    return f"(typeof({name}) = 'text' AND length({name}) <= {column.chars_max} AND instr({name}, char(0)) = 0)"


def _postgres_type(column: Column) -> str:
    """What PostgreSQL's own types still let pass: infinity, years before 1 and after 9999, any length."""
    name = column.sql
    if column.type is Type.DATE:
        return f"({name} >= DATE '0001-01-01' AND {name} <= DATE '9999-12-31')"
    if column.type is Type.INSTANT:
        # make_date refuses a day that does not exist; no time zone setting can change what it reads.
        day = f"make_date(substr({name}, 1, 4)::int, substr({name}, 6, 2)::int, substr({name}, 9, 2)::int)"
        return f"CASE WHEN {name} ~ '{INSTANT_REGEX}' THEN {day} IS NOT NULL ELSE false END"
    if column.type is Type.TEXT:
        return f"char_length({name}) <= {column.chars_max}"
    if column.type is Type.BYTES:
        return f"octet_length({name}) <= {column.bytes_max}"
    return ""
