"""Read-only views for analysts and BI tools, over the aggregate cells and the unit tree; they read no record.

Enters: a dialect. Leaves: statements that create the views; run again they change nothing.
Must hold: the column names are a promise to other programs; columns are only ever added at the end.
Cells are fine-grained: whoever publishes from them sums them up and suppresses small counts first.

v_population  unit_id, unit_code, unit_name, sex (1 male, 2 female), birth_month (YYYY-MM), ethnic, residence, n
v_flow        unit_id, unit_code, unit_name, month, kind (birth, death, arrival, departure), sex (0 unknown), n
v_unit        unit_id, parent_id, level, code, name, valid_from, valid_to, parent_code, parent_name
v_completeness  unit_id, unit_code, unit_name, keeper (node id), term, state, applied_seq, held_seq, changed_at:
              one line per register; state 'missing' and applied_seq 0 while a kept register has not come here
"""

from __future__ import annotations

from typing import Any

from schema.ddl import Dialect

VIEWS = {
    "v_population": """
SELECT c.unit_id, u.code AS unit_code, u.name AS unit_name, c.sex, c.month AS birth_month, c.ethnic, c.residence, c.n
FROM syncd_cell_stock AS c LEFT JOIN unit AS u ON u.id = c.unit_id""",
    "v_flow": """
SELECT c.unit_id, u.code AS unit_code, u.name AS unit_name, c.month, c.kind, c.sex, c.n
FROM syncd_cell_flow AS c LEFT JOIN unit AS u ON u.id = c.unit_id""",
    "v_unit": """
SELECT u.id AS unit_id, u.parent_id, u.level, u.code, u.name, u.valid_from, u.valid_to,
  p.code AS parent_code, p.name AS parent_name
FROM unit AS u LEFT JOIN unit AS p ON p.id = u.parent_id""",
    "v_completeness": """
SELECT s.unit_id, u.code AS unit_code, u.name AS unit_name, s.keeper, s.term, s.state, s.applied_seq, s.held_seq,
  s.changed_at
FROM syncd_stream AS s LEFT JOIN unit AS u ON u.id = s.unit_id WHERE s.kind = 1
UNION ALL
SELECT k.unit_id, u.code, u.name, k.node_id, k.term, 'missing', 0, 0, NULL
FROM syncd_keeper AS k LEFT JOIN unit AS u ON u.id = k.unit_id
WHERE NOT EXISTS (SELECT 1 FROM syncd_stream AS s WHERE s.kind = 1 AND s.unit_id = k.unit_id)""",
}


def view_statements(dialect: str) -> list[str]:
    """Statements that create every view in a database without them."""
    return [_create(dialect, name) for name in VIEWS]


def install_views(connection: Any, dialect: str) -> None:
    """Create the views that are missing or differ. PostgreSQL replaces a view in place, so that grants on it stay."""
    there: dict[str, str] = {}
    if Dialect(dialect).is_sqlite:
        there = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall())
    for name in VIEWS:
        if there.get(name) == _create(dialect, name):
            continue
        if name in there:
            connection.execute(f"DROP VIEW {name}")
        connection.execute(_create(dialect, name))


def _create(dialect: str, name: str) -> str:
    replace = "" if Dialect(dialect).is_sqlite else " OR REPLACE"
    return f"CREATE{replace} VIEW {name} AS{VIEWS[name]}"
