"""Aggregates: cells per unit, folded in the transaction that changes the rows (design §6).

Enters: the counted columns of rows that appear (+1) or disappear (-1). Leaves: `syncd_cell_stock`, `syncd_cell_flow`.
Must hold: every cell equals a recount of the records at any committed moment; a cell belongs to one unit, so no two
streams write it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from schema.spec import Registry, Table
from syncd.store.base import Tx

_MONTH = itemgetter(slice(7))  # 'YYYY-MM' of a canonical date

_STOCK_ADD = """
    INSERT INTO syncd_cell_stock (unit_id, sex, month, ethnic, residence, n) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (unit_id, sex, month, ethnic, residence) DO UPDATE SET n = syncd_cell_stock.n + excluded.n
"""
_FLOW_ADD = """
    INSERT INTO syncd_cell_flow (unit_id, month, kind, sex, n) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (unit_id, month, kind, sex) DO UPDATE SET n = syncd_cell_flow.n + excluded.n
"""
_STOCK_ADD_SET = """
    INSERT INTO syncd_cell_stock (unit_id, sex, month, ethnic, residence, n)
    SELECT * FROM unnest(?::uuid[], ?::bigint[], ?::text[], ?::text[], ?::text[], ?::bigint[])
    ON CONFLICT (unit_id, sex, month, ethnic, residence) DO UPDATE SET n = syncd_cell_stock.n + excluded.n
"""
_FLOW_ADD_SET = """
    INSERT INTO syncd_cell_flow (unit_id, month, kind, sex, n)
    SELECT * FROM unnest(?::uuid[], ?::text[], ?::text[], ?::bigint[], ?::bigint[])
    ON CONFLICT (unit_id, month, kind, sex) DO UPDATE SET n = syncd_cell_flow.n + excluded.n
"""


class Cells:
    """What a transaction changes in the aggregates, gathered in memory (bounded by cells, not rows) and stored once."""

    def __init__(self) -> None:
        self._stock: Counter[tuple[Any, ...]] = Counter()
        self._flow: Counter[tuple[Any, ...]] = Counter()

    def add(self, table: Table, unit_id: str | None, sign: int, values: Sequence[Sequence[Any]]) -> None:
        """Count rows given as columns in the order of `table.fold.all_columns`; `sign` is +1 or -1."""
        fold = table.fold
        if fold is None or unit_id is None or not values or not len(values[0]):
            return
        if fold.measure == "population":
            sex, birth, ethnic, residence = values
            keys = Counter(zip(repeat(unit_id), sex, map(_MONTH, birth), ethnic, residence, strict=False))
            _merge(self._stock, keys, sign)
        else:
            *kinds, sex, date = values
            kind = kinds[0] if kinds else repeat(fold.measure)
            sexes = [value or 0 for value in sex]
            _merge(self._flow, Counter(zip(repeat(unit_id), map(_MONTH, date), kind, sexes, strict=False)), sign)

    def store(self, tx: Tx) -> None:
        """Add everything gathered to the cells and drop cells that became zero."""
        for counter, table, statement, statement_set in (
            (self._stock, "syncd_cell_stock", _STOCK_ADD, _STOCK_ADD_SET),
            (self._flow, "syncd_cell_flow", _FLOW_ADD, _FLOW_ADD_SET),
        ):
            rows = sorted((*key, n) for key, n in counter.items() if n)
            if rows and tx.dialect == "sqlite":
                tx.many(statement, rows)
            elif rows:
                tx.run(statement_set, [list(column) for column in zip(*rows, strict=True)])
            if rows and rows_fall(counter):
                for unit_id in {row[0] for row in rows}:
                    tx.run(f"DELETE FROM {table} WHERE unit_id = ? AND n = 0", (unit_id,))
            counter.clear()


def _merge(into: Counter[tuple[Any, ...]], keys: Counter[tuple[Any, ...]], sign: int) -> None:
    if sign > 0:
        into.update(keys)
    else:
        into.subtract(keys)


def rows_fall(counter: Counter[tuple[Any, ...]]) -> bool:
    """Whether any cell was lowered, so that one may now be zero."""
    return any(n < 0 for n in counter.values())


def recount(tx: Tx, registry: Registry) -> list[str]:
    """Compare every cell with the records, by SQL alone; returns a line for each difference."""
    return [
        f"{name}: {row}"
        for name, counted, cells in _recount_queries(registry)
        for row in tx.all(
            f"SELECT 'missing', x.* FROM ({counted} EXCEPT {cells}) AS x"
            f" UNION ALL SELECT 'surplus', y.* FROM ({cells} EXCEPT {counted}) AS y"
        )
    ]


def _recount_queries(registry: Registry) -> list[tuple[str, str, str]]:
    stock, flows = [], []
    for table in registry:
        if table.fold is None:
            continue
        if table.fold.measure == "population":
            month = "substr(CAST(birth_date AS text), 1, 7)"
            stock.append(
                f"SELECT unit_id, sex, {month}, ethnic, residence, count(*) FROM {table.name}"
                f" GROUP BY unit_id, sex, {month}, ethnic, residence"
            )
        else:
            month = f"substr(CAST({table.fold.date_column} AS text), 1, 7)"
            kind = table.fold.columns[0] if len(table.fold.columns) > 1 else f"'{table.fold.measure}'"
            by = f"unit_id, {month}, {kind}, coalesce(sex, 0)"
            group = ", ".join(
                part for part in (f"unit_id, {month}, coalesce(sex, 0)", kind) if not part.startswith("'")
            )
            flows.append(f"SELECT {by}, count(*) FROM {table.name} GROUP BY {group}")
    queries = []
    if stock:
        queries.append(("syncd_cell_stock", _together(stock), "SELECT * FROM syncd_cell_stock"))
    if flows:
        queries.append(("syncd_cell_flow", _together(flows), "SELECT * FROM syncd_cell_flow"))
    return queries


def _together(selects: list[str]) -> str:
    """One SELECT: UNION ALL and EXCEPT bind from left to right, so that cells EXCEPT a UNION ALL b would add b."""
    return f"SELECT * FROM ({' UNION ALL '.join(selects)}) AS counted"
