"""Adding tables and columns to a database that is in use: all of it in one transaction, triggers and views included.

Enters: an open node whose daemon is about to start. Leaves: a database made for the tables as they are described.
"""

from __future__ import annotations

import logging
from typing import Any

from schema import ddl, described, triggers
from schema.ddl import Dialect
from schema.install import table_statements, taken_names
from schema.names import listed, quoted
from schema.views import install_views
from syncd.errors import ConfigError
from syncd.events import event
from syncd.language import say
from syncd.node.evolve import Changes
from syncd.node_files import DATABASE_FILE, OpenNode, connector, identity_of, raw_transaction
from syncd.setup import name_taken, not_of_definition
from syncd.store.named import definition_refused


def add(opened: OpenNode, found: Changes) -> None:
    """Make the new tables, columns and indexes, then triggers and views anew. Raises ConfigError where a name is
    taken."""
    connection = connector(opened.directory, opened.config)()
    try:
        raw_transaction(connection, lambda: _add(opened, connection, found))
    except Exception as error:
        if not type(error).__module__.startswith(("psycopg", "sqlcipher3", "sqlite3")):
            raise
        if (trouble := not_of_definition(error, str(opened.directory / DATABASE_FILE))) is not None:
            raise trouble from error
        raise ConfigError(
            say(
                "cơ sở dữ liệu không nhận các bảng hoặc cột mới: {error}",
                "the database does not take the new tables or columns: {error}",
                error=definition_refused(error),
            ),
            say(
                "nếu là quy tắc (check) trong extra_tables thì sửa quy tắc đó",
                "if it is a rule (check) in extra_tables, correct it",
            ),
        ) from error
    finally:
        connection.close()
    event(
        "tables-added", logging.INFO, tables=len(found.tables), columns=len(found.columns), indexes=len(found.indexes)
    )


def _add(opened: OpenNode, connection: Any, found: Changes) -> None:
    tables, indexes = found.tables, [(ddl.index_name(table, names), table, names) for table, names in found.indexes]
    kind, registry, identity = Dialect(opened.config.schema_dialect), opened.store.registry, identity_of(opened.facts)
    taken = taken_names(connection, kind, [*(table.name for table in tables), *(name for name, _, _ in indexes)])
    if taken:
        raise name_taken(taken)
    made = table_statements(kind, registry, identity, frozenset(t.name for t in tables)) if tables else []
    for text in made:
        connection.execute(text)
    for table, column in found.columns:
        connection.execute(ddl.add_column(kind, table, column))
    for name, table, names in indexes:
        connection.execute(f"CREATE INDEX {quoted(name)} ON {table.sql} ({listed(names)})")
    triggers.install(connection, kind, registry, identity, foreign_writes=opened.config.foreign_writes)
    install_views(connection, kind, registry)
    mark = "?" if kind.is_sqlite else "%s"
    connection.execute(
        f"INSERT INTO syncd_meta (key, value) VALUES ({mark}, {mark})"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (described.FACT, described.as_text(registry)),
    )
