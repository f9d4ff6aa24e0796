"""Aggregates: cells per unit, folded in the transaction that changes the rows (design §6).

Enters: the counted columns of rows that appear (+1) or disappear (-1). Leaves: `syncd_cell_stock`, `syncd_cell_flow`.
Must hold: every cell equals a recount of the records at any committed moment; a cell belongs to one unit, so no two
streams write it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter
from typing import Any

from schema.names import literal, quoted
from schema.spec import Registry, Table
from syncd.store.base import Tx

STOCK_KEY = ("unit_id", "sex", "month", "ethnic", "residence")
FLOW_KEY = ("unit_id", "month", "kind", "sex")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """A table of cells, the columns that name one, and the query that counts the records anew: those columns and n."""

    cells: str
    key: tuple[str, ...]
    counted: str


def recount(tx: Tx, registry: Registry) -> list[str]:
    """Compare every cell with the records, by SQL alone; returns a line for each difference."""
    return [
        f"{each.cells}: {row}"
        for each in recounts(registry)
        for row in tx.all(
            f"SELECT 'missing', x.* FROM ({each.counted} EXCEPT SELECT * FROM {each.cells}) AS x"
            f" UNION ALL SELECT 'surplus', y.* FROM (SELECT * FROM {each.cells} EXCEPT {each.counted}) AS y"
        )
    ]


def recounts(registry: Registry) -> list[Recount]:
    """How the records of a registry are counted anew."""
    stock = [_counted_stock(table) for table in registry if table.fold and table.fold.measure == "population"]
    flows = [_counted_flow(table) for table in registry if table.fold and table.fold.measure != "population"]
    return [
        Recount(cells=cells, key=key, counted=_together(key, selects))
        for cells, key, selects in (("syncd_cell_stock", STOCK_KEY, stock), ("syncd_cell_flow", FLOW_KEY, flows))
        if selects
    ]


def _counted_stock(table: Table) -> str:
    if table.fold is None:
        return ""
    sex, birth, ethnic, residence = map(quoted, table.fold.columns)
    month = f"substr(CAST({birth} AS text), 1, 7)"
    return (
        f"SELECT unit_id, {sex} AS sex, {month} AS month, {ethnic} AS ethnic, {residence} AS residence FROM {table.sql}"
    )


def _counted_flow(table: Table) -> str:
    fold = table.fold
    if fold is None:
        return ""
    *kinds, sex = map(quoted, fold.columns)
    kind = kinds[0] if kinds else literal(fold.measure)
    month = f"substr(CAST({quoted(fold.date_column or '')} AS text), 1, 7)"
    return f"SELECT unit_id, {month} AS month, {kind} AS kind, coalesce({sex}, 0) AS sex FROM {table.sql}"


def _together(key: Sequence[str], selects: Sequence[str]) -> str:
    """One SELECT: UNION ALL and EXCEPT bind from left to right, so that cells EXCEPT a UNION ALL b would add b."""
    names = ", ".join(key)
    return f"SELECT {names}, count(*) AS n FROM ({' UNION ALL '.join(selects)}) AS records GROUP BY {names}"
