"""Whether the tables still have the form that capture and applying rely on, whatever another program did to them.

Enters: an open DBAPI connection, the registry. Leaves: what does not fit, with the statement that takes it back; a mark
of the catalogue that changes when anything of it does.
Must hold: no SQLAlchemy; only reads; a table with further columns, without its CHECKs or made anew fits as long as
every column of ours is there under its name: capture is put back over it. What lets rows past the triggers (a child
table, a rule) does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from schema.ddl import Dialect
from schema.names import quoted
from schema.spec import Column, Registry, Table, Type

# What PostgreSQL calls the type of a column; others change what is stored, or refuse what other tiers take.
POSTGRES_TYPES = {
    Type.UUID: ("uuid",),
    Type.TEXT: ("text", "character varying"),
    Type.INT: ("bigint",),
    Type.DATE: ("date",),
    Type.INSTANT: ("text", "character varying"),
    Type.BYTES: ("bytea",),
}
GENERATED = (2, 3)  # `hidden` of pragma table_xinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One thing about a table. `way_back`: the SQL that mends it, or empty where there is none by SQL alone."""

    table: str
    what_vi: str
    what_en: str
    way_back: str = ""


def misfits(connection: Any, dialect: str, registry: Registry) -> list[Misfit]:
    """What does not fit, by table; empty when all is well."""
    if Dialect(dialect).is_sqlite:
        return [each for table in registry for each in _sqlite_table(connection, registry, table)]
    return list(_postgres(connection, registry))


def _missing(
    table: Table, missing: Sequence[Column], others: Sequence[str], types: dict[Type, str]
) -> Iterator[Misfit]:
    """Columns that are not there: renamed where the table has as many of another name, else gone."""
    for place, column in enumerate(missing):
        if place < len(others):
            back = f"ALTER TABLE {quoted(table.name)} RENAME COLUMN {quoted(others[place])} TO {quoted(column.name)}"
        else:
            back = f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(column.name)} {types[column.type]}"
        yield Misfit(
            table=table.name, way_back=back, what_vi=f"bảng {table.name} không còn cột {column.name}",
            what_en=f"table {table.name} has no column {column.name} any more",
        )  # fmt: skip


def _gone(table: Table, like: Sequence[str]) -> Misfit:
    back = f"ALTER TABLE {quoted(like[0])} RENAME TO {quoted(table.name)}" if like else ""
    return Misfit(
        table=table.name, way_back=back, what_vi=f"không còn bảng {table.name}",
        what_en=f"table {table.name} is not there any more",
    )  # fmt: skip


def _rows(connection: Any, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(query, tuple(values))
    return list(cursor.fetchall())


# --- SQLite -----------------------------------------------------------------------------------------------------------

SQLITE_TYPES = {
    Type.UUID: "TEXT", Type.TEXT: "TEXT", Type.INT: "INTEGER", Type.DATE: "TEXT", Type.INSTANT: "TEXT",
    Type.BYTES: "BLOB",
}  # fmt: skip


def _sqlite_table(connection: Any, registry: Registry, table: Table) -> Iterator[Misfit]:
    found = _sqlite_columns(connection, table.name)
    kind = _rows(connection, "SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE", (table.name,))
    if kind != [("table",)]:
        yield _gone(table, list(_sqlite_like(connection, registry, table)))
        return
    missing = [column for column in table.all_columns if found.get(column.name, GENERATED[0]) in GENERATED]
    others = [name for name in found if name not in table.by_name]
    yield from _missing(table, missing, others, SQLITE_TYPES)
    if missing:
        return
    if not _has_rowid(connection, table.name):
        yield Misfit(
            table=table.name, what_vi=f"bảng {table.name} được tạo WITHOUT ROWID",
            what_en=f"table {table.name} was made WITHOUT ROWID",
        )  # fmt: skip
    elif not _is_unique(connection, table.name):
        yield Misfit(
            table=table.name, way_back=f"CREATE UNIQUE INDEX {quoted(f'pk_{table.name}')} ON {quoted(table.name)} (id)",
            what_vi=f"bảng {table.name} không còn khóa trên cột id",
            what_en=f"table {table.name} has no key on its column id any more",
        )  # fmt: skip


def _sqlite_columns(connection: Any, name: str) -> dict[str, int]:
    return {
        row[0]: int(row[1])
        for row in _rows(connection, "SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid", (name,))
    }


def _sqlite_like(connection: Any, registry: Registry, table: Table) -> Iterator[str]:
    """Tables of another name that have every column of ours."""
    for (name,) in _rows(connection, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid DESC"):
        if name not in registry.by_name and table.by_name.keys() <= _sqlite_columns(connection, name).keys():
            yield name


def _has_rowid(connection: Any, name: str) -> bool:
    return not any(row[0] for row in _rows(connection, "SELECT wr FROM pragma_table_list(?)", (name,)))


def _is_unique(connection: Any, name: str) -> bool:
    """Whether the id alone is a key: the primary one, or a unique index."""
    keys = [row[0] for row in _rows(connection, "SELECT name FROM pragma_table_info(?) WHERE pk > 0", (name,))]
    indexes = _rows(connection, 'SELECT name FROM pragma_index_list(?) WHERE "unique" = 1 AND partial = 0', (name,))
    columns = [_rows(connection, "SELECT name FROM pragma_index_info(?)", index) for index in indexes]
    return keys == ["id"] or [("id",)] in columns


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

_TABLES = """
SELECT c.relname::text, c.relkind::text, c.relpersistence::text, c.relrowsecurity,
  (SELECT min(i.inhrelid::regclass::text) FROM pg_inherits AS i WHERE i.inhparent = c.oid),
  (SELECT min(i.inhparent::regclass::text) FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
  (SELECT min(r.rulename::text) FROM pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
  EXISTS (SELECT FROM pg_index AS x WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indpred IS NULL
    AND x.indnkeyatts = 1 AND (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = c.oid
      AND a.attnum = x.indkey[0]) = 'id')
FROM pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_COLUMNS = """
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attgenerated::text
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.oid, a.attnum
"""
# Everything of the catalogue that decides whether our triggers see what is written, as one value. A trigger that was
# off for a moment is another row than before; so is a table that was emptied or written anew as a whole.
POSTGRES_MARK = """
WITH ours AS (
  SELECT c.* FROM pg_class AS c
  WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p')
    AND EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname LIKE 'syncd\\_%')
), facts (fact) AS (
  SELECT concat_ws(' ', c.relname, c.oid, c.relkind, c.relpersistence, c.relrowsecurity, c.relfilenode)
    FROM pg_class AS c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND c.relname NOT LIKE 'syncd\\_%'
  UNION ALL SELECT concat_ws(' ', 'unlogged', c.relname) FROM pg_class AS c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'r' AND c.relpersistence <> 'p'
  UNION ALL SELECT concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attisdropped)
    FROM ours AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
  UNION ALL SELECT concat_ws(' ', t.oid, t.xmin, t.tgname, t.tgenabled)
    FROM ours AS c JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
  UNION ALL SELECT concat_ws(' ', 'unique', i.indexrelid)
    FROM ours AS c JOIN pg_index AS i ON i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
  UNION ALL SELECT concat_ws(' ', 'child', i.inhrelid, i.inhparent)
    FROM ours AS c JOIN pg_inherits AS i ON i.inhparent = c.oid OR i.inhrelid = c.oid
  UNION ALL SELECT concat_ws(' ', 'rule', r.oid, r.xmin) FROM ours AS c JOIN pg_rewrite AS r ON r.ev_class = c.oid
  UNION ALL SELECT concat_ws(' ', p.proname, p.oid, p.xmin) FROM pg_proc AS p
    WHERE p.pronamespace = quote_ident(current_schema())::regnamespace AND p.proname LIKE 'syncd\\_%'
      AND p.proname <> 'syncd_keeps'
)
SELECT md5(coalesce(string_agg(fact, '|' ORDER BY fact), '')) FROM facts
"""


def _postgres(connection: Any, registry: Registry) -> Iterator[Misfit]:
    tables = {row[0]: row[1:] for row in _rows(connection, _TABLES)}
    columns: dict[str, dict[str, tuple[str, str]]] = {}
    for name, column, kind, generated in _rows(connection, _COLUMNS):
        columns.setdefault(name, {})[column] = (kind, generated)
    for table in registry:
        if table.name not in tables or tables[table.name][0] != "r":
            like = [
                name for name, found in columns.items()
                if name not in registry.by_name and table.by_name.keys() <= found.keys()
            ]  # fmt: skip
            yield _gone(table, [] if table.name in tables else like)
            continue
        yield from _postgres_columns(table, columns[table.name])
        yield from _postgres_ways_past(table.name, *tables[table.name][1:])
    for name in sorted(tables):  # a power cut that empties the journal loses what was captured
        if name.startswith("syncd_") and tables[name][0] == "r":
            yield from _unlogged(name, tables[name][1])


def _postgres_columns(table: Table, found: dict[str, tuple[str, str]]) -> Iterator[Misfit]:
    missing = [column for column in table.all_columns if found.get(column.name, ("", "s"))[1]]
    others = [name for name in found if name not in table.by_name]
    yield from _missing(table, missing, others, {kind: names[0] for kind, names in POSTGRES_TYPES.items()})
    for column in table.all_columns:
        kind, wanted = found.get(column.name, ("", ""))[0], POSTGRES_TYPES[column.type]
        if kind and column not in missing and kind not in wanted:
            back = f"ALTER TABLE {quoted(table.name)} ALTER COLUMN {quoted(column.name)} TYPE {wanted[0]}"
            yield Misfit(
                table=table.name, way_back=f"{back} USING {quoted(column.name)}::{wanted[0]}",
                what_vi=f"cột {table.name}.{column.name} nay có kiểu {kind}",
                what_en=f"column {table.name}.{column.name} is of type {kind} now",
            )  # fmt: skip


def _unlogged(name: str, persistence: str) -> Iterator[Misfit]:
    if persistence != "p":
        yield Misfit(
            table=name, way_back=f"ALTER TABLE {quoted(name)} SET LOGGED",
            what_vi=f"bảng {name} là UNLOGGED: mất điện là mất hết",
            what_en=f"table {name} is UNLOGGED: a power cut empties it",
        )  # fmt: skip


def _postgres_ways_past(
    name: str, persistence: str, has_row_security: bool, child: str | None, parent: str | None, rule: str | None,
    is_unique: bool,
) -> Iterator[Misfit]:  # fmt: skip
    if child:
        yield Misfit(
            table=name, way_back=f"ALTER TABLE {child} NO INHERIT {quoted(name)}",
            what_vi=f"bảng {child} kế thừa {name}: bản ghi ghi vào đó không qua trigger",
            what_en=f"table {child} inherits {name}: rows written there pass the triggers by",
        )  # fmt: skip
    if parent:
        yield Misfit(
            table=name, way_back=f"ALTER TABLE {quoted(name)} NO INHERIT {parent}",
            what_vi=f"bảng {name} kế thừa {parent}: bản ghi sửa ở đó không qua trigger",
            what_en=f"table {name} inherits {parent}: rows changed there pass the triggers by",
        )  # fmt: skip
    if rule:
        yield Misfit(
            table=name, way_back=f"DROP RULE {quoted(rule)} ON {quoted(name)}",
            what_vi=f"quy tắc {rule} đổi câu lệnh ghi vào bảng {name}",
            what_en=f"the rule {rule} rewrites what is written to table {name}",
        )  # fmt: skip
    if has_row_security:
        yield Misfit(
            table=name, way_back=f"ALTER TABLE {quoted(name)} DISABLE ROW LEVEL SECURITY",
            what_vi=f"bảng {name} bật bảo mật theo dòng: chương trình đồng bộ có thể không thấy hết bản ghi",
            what_en=f"table {name} has row level security on: the daemon may not see every row",
        )  # fmt: skip
    yield from _unlogged(name, persistence)
    if not is_unique:
        yield Misfit(
            table=name, way_back=f"ALTER TABLE {quoted(name)} ADD PRIMARY KEY (id)",
            what_vi=f"bảng {name} không còn khóa trên cột id",
            what_en=f"table {name} has no key on its column id any more",
        )  # fmt: skip
