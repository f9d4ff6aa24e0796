"""What a database was made for: the deployment's own tables, written down as plain data in `syncd_meta`.

Enters: a registry. Leaves: its further tables as JSON, in the same words whoever wrote them. Must hold: everything that
decides what the database holds, or what is on the wire, is in it; words and policies, which may change, are not.
"""

from __future__ import annotations

import json
from typing import Any

from schema.spec import Column, Registry, Table

FACT = "further_tables"
NUMBER_MIN = 1000  # tables below it are the release's own
FIXED = (
    "name", "type", "nullable", "audience", "chars_max", "bytes_max", "check", "check_sqlite", "check_postgres",
    "references", "inside_unit", "on_delete",
)  # fmt: skip

Described = dict[str, Any]


def further(registry: Registry) -> dict[str, Described]:
    """The tables of a deployment, by number (as text: JSON has no other names)."""
    return {str(table.number): _table(table) for table in registry if table.number >= NUMBER_MIN}


def as_text(registry: Registry) -> str:
    """The same as one text, equal for equal tables."""
    return json.dumps(further(registry), sort_keys=True, ensure_ascii=False)


def _table(table: Table) -> Described:
    return {
        "name": table.name,
        "kind": int(table.kind),
        "checks": [list(check) for check in table.checks],
        "indexes": [list(index) for index in table.indexes],
        "fold": None if table.fold is None else [table.fold.measure, *table.fold.all_columns],
        "columns": {str(column.number): _column(column) for column in table.columns},
    }


def _column(column: Column) -> Described:
    return {name: _plain(getattr(column, name)) for name in FIXED}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else int(value) if isinstance(value, int) else str(value)
