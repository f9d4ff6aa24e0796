"""Capture and guard, generated from the registry: what must be in the database, putting it there, and what is wrong.

Enters: an open DBAPI connection (sqlcipher3, sqlite3 or psycopg), the registry, this node's identity.
Leaves: triggers, or a list of what is missing, altered or disabled.
Must hold: no SQLAlchemy (the daemon asks for `problems` at every start). Nothing here commits: the caller does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from schema import triggers_postgres, triggers_sqlite
from schema.ddl import Dialect, Identity
from schema.keeps import NAME as KEEPS
from schema.keeps import keeps_source
from schema.spec import Kind, Registry

ForeignWrites = Literal["refuse", "propose"]
SYSTEM_NUMBERS_END = 20  # tables below it are the system's own; a foreign write to them is never a wish


def statements(
    dialect: str,
    registry: Registry,
    identity: Identity,
    *,
    foreign_writes: ForeignWrites = "refuse",
    schema: str = "public",
) -> list[str]:
    """Every statement that creates the triggers of an installation, functions first. `schema`: PostgreSQL's."""
    propose = _propose_tables(registry, foreign_writes)
    if Dialect(dialect).is_sqlite:
        return list(triggers_sqlite.expected(Dialect(dialect), registry, identity, propose=propose).values())
    return [
        *(f.statement() for f in triggers_postgres.functions(registry, identity, schema, propose=propose)),
        *(text for trigger in triggers_postgres.triggers(registry, propose=propose) for text in trigger.statements()),
        triggers_postgres.WRITE_KEEPS,
    ]


def install(
    connection: Any,
    dialect: str,
    registry: Registry,
    identity: Identity,
    *,
    foreign_writes: ForeignWrites = "refuse",
) -> None:
    """Makes the triggers what they must be: drops every `syncd_…` trigger, creates the expected ones. Idempotent."""
    cursor = connection.cursor()
    schema = "public" if Dialect(dialect).is_sqlite else _current_schema(connection)
    for drop in _drops(connection, Dialect(dialect)):
        cursor.execute(drop)
    for text in statements(dialect, registry, identity, foreign_writes=foreign_writes, schema=schema):
        cursor.execute(text)


def remove(connection: Any, dialect: str) -> None:
    """Drops every trigger of ours: where tables have changed their form, triggers that name what is gone let nobody
    write, nor change the table back."""
    cursor = connection.cursor()
    for drop in _drops(connection, Dialect(dialect)):
        cursor.execute(drop)


def expected_sqlite(
    dialect: str, registry: Registry, identity: Identity, *, foreign_writes: ForeignWrites = "refuse"
) -> dict[str, str]:
    """The text of every trigger of an installation on SQLite, by its name."""
    propose = _propose_tables(registry, foreign_writes)
    return triggers_sqlite.expected(Dialect(dialect), registry, identity, propose=propose)


def problems(
    connection: Any,
    dialect: str,
    registry: Registry,
    identity: Identity,
    *,
    foreign_writes: ForeignWrites = "refuse",
) -> list[str]:
    """What differs from `install`: one sentence per trigger or function; empty when all is well."""
    if Dialect(dialect).is_sqlite:
        return _problems_sqlite(connection, Dialect(dialect), registry, identity, foreign_writes)
    return _problems_postgres(connection, registry, identity, foreign_writes)


def _propose_tables(registry: Registry, foreign_writes: ForeignWrites) -> frozenset[str]:
    if foreign_writes == "refuse":
        return frozenset()
    return frozenset(table.name for table in registry.of_kind(Kind.REGISTER) if table.number >= SYSTEM_NUMBERS_END)


def _drops(connection: Any, dialect: Dialect) -> list[str]:
    if dialect.is_sqlite:
        found = _rows(connection, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'syncd_*'")
        return [f'DROP TRIGGER "{name}"' for (name,) in found]
    return [f'DROP TRIGGER "{name}" ON "{table}"' for name, table, *_ in _rows(connection, POSTGRES_TRIGGERS)]


def _current_schema(connection: Any) -> str:
    schema = str(_rows(connection, "SELECT quote_ident(current_schema())")[0][0])
    return schema


def _rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(query)
    return list(cursor.fetchall())


def _problems_sqlite(
    connection: Any, dialect: Dialect, registry: Registry, identity: Identity, foreign_writes: ForeignWrites
) -> list[str]:
    propose = _propose_tables(registry, foreign_writes)
    wanted = triggers_sqlite.expected(dialect, registry, identity, propose=propose)
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'syncd_*'"
    return list(_differences("trigger", wanted, dict(_rows(connection, query))))


# Triggers of ours in the current schema: name, table, function, type bits, enabled, condition, transition tables.
POSTGRES_TRIGGERS = """
SELECT t.tgname::text, c.relname::text, p.proname::text, t.tgtype::int, t.tgenabled::text, t.tgqual IS NOT NULL,
  t.tgoldtable::text, t.tgnewtable::text
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgname LIKE 'syncd\\_%' AND c.relnamespace = quote_ident(current_schema())::regnamespace
"""

POSTGRES_FUNCTIONS = """
SELECT p.proname::text, p.prosrc, p.prosecdef, p.proconfig FROM pg_proc AS p
WHERE p.proname LIKE 'syncd\\_%' AND p.pronamespace = quote_ident(current_schema())::regnamespace
  AND p.proname NOT IN ('syncd_mint', 'syncd_own_unit')
"""

POSTGRES_KEEPS = f"""{POSTGRES_FUNCTIONS} AND p.proname = '{KEEPS}'"""


def _problems_postgres(
    connection: Any, registry: Registry, identity: Identity, foreign_writes: ForeignWrites
) -> list[str]:
    propose = _propose_tables(registry, foreign_writes)
    schema = _current_schema(connection)
    functions = {
        function.name: (function.source, True, function.config)
        for function in triggers_postgres.functions(registry, identity, schema, propose=propose)
    }
    found_functions = {
        name: (source, definer, sorted(config or []))
        for name, source, definer, config in _rows(connection, POSTGRES_FUNCTIONS)
        if name in functions
    }
    triggers = {
        trigger.name: (
            trigger.table,
            trigger.function,
            trigger.type_bits,
            "A",
            False,
            trigger.old_rows,
            trigger.new_rows,
        )
        for trigger in triggers_postgres.triggers(registry, propose=propose)
    }
    found = {row[0]: tuple(row[1:]) for row in _rows(connection, POSTGRES_TRIGGERS)}
    disabled = sorted(name for name, row in found.items() if name in triggers and row[3] != "A")
    enabled = {name: (*row[:3], "A", *row[4:]) for name, row in found.items()}
    return [
        *(f"trigger {name} is disabled or does not fire always" for name in disabled),
        *_differences("trigger", triggers, enabled),
        *_differences("function", functions, found_functions),
        *_problems_keeps(connection),
    ]


def _problems_keeps(connection: Any) -> list[str]:
    """The function that names the units kept here must say what the table says."""
    kept = _rows(connection, "SELECT unit_id::text FROM syncd_keeper WHERE mine = 1")
    wanted = keeps_source(unit_id for (unit_id,) in kept)
    found = [(source, definer, config) for _, source, definer, config in _rows(connection, POSTGRES_KEEPS)]
    if not found:
        return [f"function {KEEPS} is missing"]
    return [] if found == [(wanted, False, None)] else [f"function {KEEPS} was altered"]


def _differences(what: str, wanted: dict[str, Any], found: dict[str, Any]) -> Iterable[str]:
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            yield f"{what} {name} is missing"
        elif name not in wanted:
            yield f"{what} {name} is not one of this installation's"
        elif wanted[name] != found[name]:
            yield f"{what} {name} was altered"
