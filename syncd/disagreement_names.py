"""The values of a disagreement as people say them: codes with their names, rows by what they are called.

Enters: a read transaction, a disagreement. Leaves: column → value → text. Must hold: a value without a name stays as it
is; nothing is read but what the disagreement shows already, and the names of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schema.names import quoted
from schema.spec import Column
from syncd.disagreements import Conflict
from syncd.store.base import Tx, known

_NAMED_BY = {"household": "number", "person": "full_name"}  # what people call a row by


def code_names(tx: Tx, found: Conflict) -> dict[str, dict[Any, str]]:
    """Column → value → its text, of the columns whose values are codes or ids: nobody knows `02` or a UUID by heart. A
    code is shown with its name, instead of an id stands what people call that row by."""
    shown: dict[str, tuple[Column, set[Any]]] = {}
    for table_name, values in _shown_values(found):
        table = known().by_name.get(table_name)
        for name in values.keys() & (table.by_name if table else {}).keys():
            if table is not None:
                shown.setdefault(name, (table.by_name[name], set()))[1].update(values[name])
    return {
        name: names for name, (column, values) in shown.items() if (names := _names_of(tx, column, values - {None}))
    }


def _shown_values(found: Conflict) -> Iterator[tuple[str, dict[str, set[Any]]]]:
    yield found.table or "", {side.column: {side.seen, side.kept, side.wished} for side in found.columns}
    for row in found.rows:
        yield row.table, {name: {value} for name, value in row.values.items()}


def _names_of(tx: Tx, column: Column, values: set[Any]) -> dict[Any, str]:
    if column.code_list:
        rows = tx.all("SELECT code, name FROM code WHERE list_name = ? ORDER BY version", (column.code_list,))
        return {code: f"{code} {name}" for code, name in rows}
    if column.references not in _NAMED_BY:
        return {}
    query = f"SELECT {_NAMED_BY[column.references]} FROM {quoted(column.references)} WHERE id = ?"
    found = ((value, tx.value(query, (value,))) for value in sorted(map(str, values)))
    return {value: str(name) for value, name in found if name is not None}
