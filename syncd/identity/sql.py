"""Reading and writing many values at once, the same on both databases.

Enters: a transaction, SQL of the caller's own (never a value), values. Leaves: rows.
Must hold: one statement for many rows; the number of values bound at once is bounded on SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncd.limits import IDENTITY_IDS_MAX
from syncd.store.base import Row, Tx, in_lists

UUIDS, NUMBERS = "uuid[]", "bigint[]"


def select_in(tx: Tx, select: str, column: str, values: Sequence[Any], kind: str = UUIDS, rest: str = "") -> list[Row]:
    """`select` for the rows whose `column` is one of `values`; `rest` follows the condition."""
    rows: list[Row] = []
    if tx.dialect == "sqlite":
        for marks, some in in_lists(values):
            rows += tx.all(f"{select} WHERE {column} IN ({marks}) {rest}", some)
        return rows
    for start in range(0, len(values), IDENTITY_IDS_MAX):
        rows += tx.all(f"{select} WHERE {column} = ANY(?::{kind}) {rest}", (list(values[start:][:IDENTITY_IDS_MAX]),))
    return rows


def insert(tx: Tx, table: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows that are not there yet. `columns`: name and PostgreSQL array type."""
    if not rows:
        return
    names = ", ".join(name for name, _kind in columns)
    if tx.dialect == "sqlite":
        marks = ", ".join("?" * len(columns))
        tx.many(f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING", rows)
        return
    arrays = ", ".join(f"?::{kind}" for _name, kind in columns)
    tx.run(
        f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING",
        [list(column) for column in zip(*rows, strict=True)],
    )
