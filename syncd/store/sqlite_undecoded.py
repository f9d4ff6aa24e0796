"""Which rows hold a text that is none: another program put bytes of an old code into a column.

Enters: a connection on which reading failed, the column that the driver named. Leaves: table and id of such rows.
Must hold: no value leaves here; looking stops at `ROWS_NAMED_MAX` found and `UNDECODED_ROWS_MAX` of a table read, the
newest first: it is done in a transaction that fails, each time it is tried; what cannot be looked at is no further
error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from sqlcipher3 import dbapi2 as sqlite

from schema.spec import Table
from syncd import limits
from syncd.store.base import known


def undecodable(connection: Any, column: str) -> list[tuple[str, str]]:
    """(table, id) of rows whose `column` is no UTF-8, of whichever replicated table has one of that name."""
    found: list[tuple[str, str]] = []
    for table in known():
        for each in table.all_columns:
            if each.name == column:
                with suppress(sqlite.DatabaseError):
                    found += islice(_in_table(connection, table, each.sql), limits.ROWS_NAMED_MAX - len(found))
    return found


def _in_table(connection: Any, table: Table, column: str) -> Iterator[tuple[str, str]]:
    rows = connection.execute(
        f"SELECT id, CAST({column} AS BLOB) FROM (SELECT id, {column} FROM {table.sql} ORDER BY rowid DESC LIMIT ?)"
        f" WHERE typeof({column}) = 'text'",
        (limits.UNDECODED_ROWS_MAX,),
    )
    yield from ((table.name, row_id) for row_id, data in rows if not _is_text(data))


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
