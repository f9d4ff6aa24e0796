"""Capture and guard on SQLite: row triggers, one INSERT into the journal each, built-in SQL only.

Enters: a table description. Leaves: {trigger name: CREATE TRIGGER text}.
Must hold: while `syncd_applying` has a row nothing is guarded or captured; RAISE(ABORT) takes back the whole statement,
whatever conflict clause it has; no statement here depends on its own conflict clause (the outer one would replace it).
"""

from __future__ import annotations

from collections.abc import Iterator

from schema import refusals
from schema.ddl import Dialect, Identity, mint_sqlite
from schema.names import quoted
from schema.spec import Column, Kind, Registry, Table, Type

LIVE = "NOT EXISTS (SELECT 1 FROM syncd_applying)"
# Written and deleted again by a transaction that wants each statement refused whose key leads nowhere, not its COMMIT.
KEYS_AT_ONCE = "keys-at-once"
# Of this very connection: nothing else would see to it that keys inside a unit lead somewhere.
UNENFORCED = (
    "((SELECT foreign_keys FROM pragma_foreign_keys) = 0 "
    f"OR EXISTS (SELECT 1 FROM syncd_meta WHERE key = '{KEYS_AT_ONCE}'))"
)
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
# SQLite before 3.47 takes only a literal in RAISE: the message then names neither the row nor the keeper.
PORTABLE_WORDS = {"id": "(id)", "unit": "(unit_id)", "keeper": "khác / another"}


def expected(
    dialect: Dialect, registry: Registry, identity: Identity, *, propose: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Every trigger of an installation. `propose`: tables where a foreign write becomes a proposal."""
    texts: dict[str, str] = {}
    for table in registry:
        guard = _Guard(dialect, registry, table, identity.tag)
        for name, event, body in _table_triggers(guard):
            texts[f"syncd_{table.name}_{name}"] = _create(table, name, event, body)
        if table.name in propose:
            for name, event, body in _propose_triggers(table, identity.tag):
                texts[f"syncd_{table.name}_{name}"] = _create(table, name, event, body)
    return texts


def _create(table: Table, name: str, event: str, body: str) -> str:
    return f"CREATE TRIGGER {quoted(f'syncd_{table.name}_{name}')} {event}\n{body}"


def _table_triggers(guard: _Guard) -> Iterator[tuple[str, str, str]]:
    """(name, event with its WHEN, body) of one table."""
    table = guard.table
    columns = "INSERT INTO syncd_journal (tab, op, row_id, unit_id, mask, was)"
    replaced = f"SELECT 1 FROM syncd_replacing WHERE tab = {table.number} AND row_id = NEW.id"
    yield (
        "before_insert",
        f"BEFORE INSERT ON {table.sql}\nWHEN (EXISTS (SELECT 1 FROM {table.sql} WHERE id = NEW.id) "
        f"OR NEW.rowid <> -1 OR EXISTS (SELECT 1 FROM syncd_replacing WHERE tab = {table.number})) AND {LIVE}",
        _remember_replaced(guard),
    )
    yield (
        "insert",
        f"AFTER INSERT ON {table.sql}\nWHEN NOT EXISTS ({replaced}) AND {LIVE}",
        f"BEGIN\n  INSERT INTO syncd_journal (tab, op, row_id, unit_id)\n  VALUES ({table.number}, "
        f"CASE {guard.insert_cases()} ELSE 1 END, NEW.id, NEW.unit_id);\nEND",
    )
    moved = f"WHEN (SELECT unit_id FROM syncd_replacing WHERE tab = {table.number}) IS NOT NEW.unit_id"
    yield (
        "replace",
        f"AFTER INSERT ON {table.sql}\nWHEN EXISTS ({replaced}) AND {LIVE}",
        f"BEGIN\n  {columns}\n  VALUES ({table.number}, CASE {guard.insert_cases()} {moved} THEN "
        f"{guard.refuse(refusals.MOVED, 'update', 'NEW')} ELSE 2 END, NEW.id, NEW.unit_id, {_full_mask(table)}, "
        f"(SELECT was FROM syncd_replacing WHERE tab = {table.number}));\n"
        f"  UPDATE syncd_replacing SET done = 1, was = NULL WHERE tab = {table.number};\nEND",
    )
    changed = " OR ".join(f"OLD.{column.sql} IS NOT NEW.{column.sql}" for column in table.all_columns)
    yield (
        "update",
        f"AFTER UPDATE ON {table.sql}\nWHEN ({changed} OR OLD.rowid <> NEW.rowid) AND {LIVE}",
        f"BEGIN\n  {columns}\n  VALUES ({table.number}, CASE {guard.update_cases()} ELSE 2 END, NEW.id, NEW.unit_id, "
        f"{_mask(table)}, {_was_update(table)});\nEND",
    )
    yield (
        "delete",
        f"AFTER DELETE ON {table.sql}\nWHEN {LIVE}",
        f"BEGIN\n  {columns}\n  VALUES ({table.number}, CASE {guard.delete_cases()} ELSE 3 END, "
        f"OLD.id, OLD.unit_id, 0, {_was(table, 'OLD.') or 'NULL'});\nEND",
    )


def _remember_replaced(guard: _Guard) -> str:
    """Keeps what REPLACE may remove unseen. The next INSERT of the table clears it, so it is never a stale answer."""
    table = guard.table
    return (
        "BEGIN\n"
        f"  SELECT {guard.refuse(refusals.ROWID, 'insert', 'NEW')} WHERE NEW.rowid <> -1;\n"
        f"  DELETE FROM syncd_replacing WHERE tab = {table.number};\n"
        f"  INSERT INTO syncd_replacing (tab, row_id, unit_id, was)\n"
        f"  SELECT {table.number}, id, unit_id, {_was(table, '') or 'NULL'} FROM {table.sql} WHERE id = NEW.id;\nEND"
    )


class _Guard:
    """The CASE branches that refuse a write, in the order in which they help a person most."""

    def __init__(self, dialect: Dialect, registry: Registry, table: Table, tag: str) -> None:
        self.table = table
        self._portable = dialect is Dialect.SQLITE_PORTABLE
        self._tag = tag
        self._has_units = "unit" in registry.by_name
        self._keys = [column for column in table.all_columns if column.inside_unit]
        self._referring = [
            (other.sql, column.sql)
            for other in registry
            for column in other.all_columns
            if column.inside_unit and column.references == table.name
        ]

    def insert_cases(self) -> str:
        rowid = f"WHEN NEW.rowid < 1 THEN {self.refuse(refusals.ROWID, 'insert', 'NEW')}"
        dangling = " ".join(self._dangling(column, "insert", "") for column in self._keys)
        onto_itself = " ".join(self._onto_itself("insert"))
        parts = (self._keeper("insert", "NEW"), self._minted("insert", "NEW"), rowid, onto_itself, dangling)
        return " ".join(part for part in parts if part)

    def update_cases(self) -> str:
        moved = "OLD.id IS NOT NEW.id OR OLD.unit_id IS NOT NEW.unit_id OR OLD.rowid <> NEW.rowid"
        refused = f"WHEN {moved} THEN {self.refuse(refusals.MOVED, 'update', 'OLD')}"
        minted = "" if self.table.kind is Kind.REGISTER else self._minted("update", "OLD")
        dangling = " ".join(
            self._dangling(column, "update", f"OLD.{column.sql} IS NOT NEW.{column.sql} AND ") for column in self._keys
        )
        onto_itself = " ".join(self._onto_itself("update"))
        parts = (self._keeper("update", "OLD"), minted, refused, onto_itself, dangling)
        return " ".join(part for part in parts if part)

    def delete_cases(self) -> str:
        minted = "" if self.table.kind is Kind.REGISTER else self._minted("delete", "OLD")
        return " ".join(part for part in (self._keeper("delete", "OLD"), minted, self._referred()) if part)

    def refuse(self, message: str, op: str, row: str, column: str = "") -> str:
        """RAISE(ABORT, …) with the message filled in, from the row where this SQLite can."""
        words = {"table": self.table.name, "op": op, "column": column}
        message = _quoted(refusals.complete(message, op))
        if self._portable:
            return f"RAISE(ABORT, '{message.format(**words, **PORTABLE_WORDS)}')"
        text = message.format(**words, id=f"' || {row}.id || '", unit="' || u || '", keeper="' || k || '")
        if "{keeper}" not in message:
            return f"RAISE(ABORT, '{text}')"
        return f"RAISE(ABORT, (SELECT '{text}' FROM (SELECT {self._unit(row)} AS u, {_keeper_name(row)} AS k)))"

    def _unit(self, row: str) -> str:
        """Code and name of the row's unit; its id where this installation knows no units, or not this one."""
        named = f"(SELECT code || ' ' || name FROM unit WHERE id = {row}.unit_id), " if self._has_units else ""
        return f"coalesce({named}{row}.unit_id, '-')"

    def _keeper(self, op: str, row: str) -> str:
        """Register: the row's unit is kept here. Oversight: rows about all units are the root's."""
        if self.table.kind is Kind.REGISTER:
            mine = f"SELECT 1 FROM syncd_keeper WHERE unit_id = {row}.unit_id AND mine = 1"
            return f"WHEN NOT EXISTS ({mine}) THEN {self.refuse(refusals.KEEPER, op, row)}"
        if self.table.kind is Kind.OVERSIGHT:
            root = "(SELECT value FROM syncd_meta WHERE key = 'depth') IS NOT '0'"
            return f"WHEN {row}.unit_id IS NULL AND {root} THEN {self.refuse(refusals.ROOT, op, row)}"
        return ""

    def _minted(self, op: str, row: str) -> str:
        return f"WHEN substr({row}.id, 29) <> '{self._tag}' THEN {self.refuse(refusals.MINTED, op, row)}"

    def _onto_itself(self, op: str) -> Iterator[str]:
        """What passes to itself, or stands above itself."""
        for _reason, message, apart in refusals.guards(self.table):
            name = self.table.above if apart is None else apart.column
            changed = f"OLD.{name} IS NOT NEW.{name} AND " if op == "update" else ""
            if apart is None:
                found = f"EXISTS ({_above(self.table)})"
            else:
                unless = f" AND NEW.{apart.unless[0]} <> {apart.unless[1]}" if apart.unless else ""
                found = f"NEW.{apart.column} = NEW.{apart.other}{unless}"
            yield f"WHEN {changed}{found} THEN {self.refuse(message, op, 'NEW')}"

    def _dangling(self, column: Column, op: str, changed: str) -> str:
        """Programs that leave foreign_keys off must not commit what the receivers' foreign keys would refuse. Those
        that have them on are refused at COMMIT, as on PostgreSQL: a child may come before its parent."""
        exists = f"SELECT 1 FROM {quoted(column.references or '')} WHERE id = NEW.{column.sql}"
        return (
            f"WHEN {changed}NEW.{column.sql} IS NOT NULL AND NOT EXISTS ({exists}) AND {UNENFORCED} "
            f"THEN {self.refuse(refusals.DANGLING, op, 'NEW', column.name)}"
        )

    def _referred(self) -> str:
        """The other end. A row that REPLACE is about to write again keeps its referrers."""
        replaced = f"SELECT 1 FROM syncd_replacing WHERE tab = {self.table.number} AND row_id = OLD.id AND done = 0"
        return " ".join(
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {column} = OLD.id) AND NOT EXISTS ({replaced}) AND {UNENFORCED} "
            f"THEN {self.refuse(refusals.REFERRED, 'delete', 'OLD')}"
            for table, column in self._referring
        )


def _above(table: Table) -> str:
    """A row, when NEW would stand above itself."""
    above = table.above
    return (
        f"WITH RECURSIVE up (id) AS (SELECT NEW.{above} UNION SELECT t.{above} FROM {table.name} AS t JOIN up"
        f" ON t.id = up.id WHERE t.{above} IS NOT NULL) SELECT 1 FROM up WHERE up.id = NEW.id"
    )


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _keeper_name(row: str) -> str:
    return (
        "coalesce((SELECT coalesce(n.name, k.node_id) FROM syncd_keeper AS k LEFT JOIN node AS n "
        f"ON n.node_id = k.node_id WHERE k.unit_id = {row}.unit_id LIMIT 1), '{refusals.UNKNOWN}')"
    )


def _full_mask(table: Table) -> int:
    return sum(1 << column.number for column in table.columns)


def _mask(table: Table) -> str:
    # SQLite gives << and | one precedence: without the outer brackets every bit is shifted again.
    return " | ".join(f"((OLD.{c.sql} IS NOT NEW.{c.sql}) << {c.number})" for c in table.all_columns[2:])


def _fold_columns(table: Table) -> list[str]:
    if table.fold is None:
        return []
    return [*table.fold.columns, *([table.fold.date_column] if table.fold.date_column else [])]


def _was(table: Table, prefix: str) -> str:
    """The folded columns' values as a JSON array, columns first, the date last."""
    names = _fold_columns(table)
    return f"json_array({', '.join(prefix + quoted(name) for name in names)})" if names else ""


def _was_update(table: Table) -> str:
    names = _fold_columns(table)
    if not names:
        return "NULL"
    changed = " OR ".join(f"OLD.{quoted(name)} IS NOT NEW.{quoted(name)}" for name in names)
    return f"CASE WHEN {changed} THEN {_was(table, 'OLD.')} END"


def _propose_triggers(table: Table, tag: str) -> Iterator[tuple[str, str, str]]:
    """Foreign writes become rows of `proposal`; RAISE(IGNORE) skips the write and keeps the proposal."""
    for op, row, changed in (("insert", "NEW", ""), ("update", "OLD", _any_changed(table)), ("delete", "OLD", "")):
        mine = f"SELECT 1 FROM syncd_keeper WHERE unit_id = {row}.unit_id AND mine = 1"
        yield (
            f"propose_{op}",
            f"BEFORE {op.upper()} ON {table.sql}\nWHEN {changed}NOT EXISTS ({mine}) "
            f"AND EXISTS (SELECT 1 FROM syncd_keeper WHERE unit_id = {row}.unit_id) AND {LIVE}",
            _propose_body(table, op, row, tag),
        )


def _any_changed(table: Table) -> str:
    return "(" + " OR ".join(f"OLD.{c.sql} IS NOT NEW.{c.sql}" for c in table.all_columns[2:]) + ") AND "


def _propose_body(table: Table, op: str, row: str, tag: str) -> str:
    seen, wished = _images(table, op)
    row_id = "NULL" if op == "insert" else "OLD.id"
    return (
        "BEGIN\n  INSERT INTO proposal (id, unit_id, table_name, row_id, operation, seen, wished, author, reason, "
        f"made_at, author_depth)\n  VALUES ({mint_sqlite(tag)}, {row}.unit_id, '{table.name}', {row_id}, '{op}', "
        f"{seen}, {wished}, 'sql', 'sql', {NOW}, "
        "(SELECT CAST(value AS INTEGER) FROM syncd_meta WHERE key = 'depth'));\n  SELECT RAISE(IGNORE);\nEND"
    )


def _images(table: Table, op: str) -> tuple[str, str]:
    """(seen, wished) as JSON objects: changed columns of an update, all filled columns of an insert or delete."""
    old = {"insert": "NULL", "update": "OLD.{0}", "delete": "OLD.{0}"}[op]
    new = {"insert": "NEW.{0}", "update": "NEW.{0}", "delete": "NULL"}[op]
    rows = " UNION ALL ".join(
        f"SELECT '{c.name}' AS c, {_value(c, old)} AS o, {_value(c, new)} AS n" for c in table.all_columns[2:]
    )
    seen = f"(SELECT json_group_object(c, o) FROM ({rows}) WHERE o IS NOT n)"
    wished = f"(SELECT json_group_object(c, n) FROM ({rows}) WHERE o IS NOT n)"
    return ("'{}'", wished) if op == "insert" else (seen, "'{}'" if op == "delete" else wished)


def _value(column: Column, template: str) -> str:
    value = template.format(column.sql)
    # JSON has no bytes.
    return f"lower(hex({value}))" if column.type is Type.BYTES and value != "NULL" else value
