"""Codes that their list does not have: what any program may write, and what came from a node with other lists.

Enters: changed ids, the lists that are here. Leaves: a finding for each row and column, and, once the lists change, the
rows they now speak against. Must hold: every column with a list is treated alike; nothing is refused or changed, since
a code may be on its way here; while a list is not here nothing is said of it.

Why a case and no trigger: a trigger at the origin would judge by the lists of that node and moment, and a row that it
let pass would have to be taken by nodes whose lists differ; and every change of a clerk would read the list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache

from conflict.case import CaseKind
from schema.spec import Kind, Registry, Table
from syncd import limits
from syncd.detect.changed import Changed
from syncd.detect.finding import Finding, Side
from syncd.detect.records import chosen
from syncd.store.base import Tx

RULE = "unknown_code"
Lists = Mapping[str, Collection[str]]


@cache
def coded_columns(registry: Registry) -> Mapping[str, tuple[str, ...]]:
    """Register table → its columns whose values come from a list."""
    found = {table.name: _coded(table) for table in registry.of_kind(Kind.REGISTER)}
    return {name: columns for name, columns in found.items() if columns}


def lists_of(tx: Tx, registry: Registry) -> Lists:
    """List → all codes it ever had here: a row may be older than the newest version."""
    if "code" not in registry.by_name:
        return {}
    lists: dict[str, set[str]] = {}
    for name, code in tx.all("SELECT list_name, code FROM code"):
        lists.setdefault(name, set()).add(code)
    return lists


def unknown_codes(tx: Tx, registry: Registry, changed: Changed) -> Iterator[Finding]:
    """Rows that bear a code which is in no version of its list here."""
    tables = {name: ids for name, ids in changed.rows.items() if ids and name in coded_columns(registry)}
    lists = lists_of(tx, registry) if tables else {}
    for name, ids in sorted(tables.items()):
        table, columns = registry.by_name[name], coded_columns(registry)[name]
        wanted = ", ".join(table.by_name[column].sql for column in columns)
        for row_id, unit_id, *codes in chosen(tx, f"SELECT id, unit_id, {wanted} FROM {table.sql} WHERE", "id", ids):
            for column, code in zip(columns, codes, strict=True):
                known = lists.get(str(table.by_name[column].code_list))
                if known and code is not None and code not in known:
                    yield _finding(table, column, row_id, unit_id)


def spoken_against(tx: Tx, registry: Registry, lists: Lists) -> Iterator[tuple[str, str]]:
    """(table, id) of rows with such a code, of the whole register: for when the lists have changed."""
    for name, columns in coded_columns(registry).items():
        table = registry.by_name[name]
        for column in columns:
            codes = sorted(lists.get(str(table.by_name[column].code_list), ()))
            if not codes:
                continue
            marks = ", ".join("?" * len(codes))
            sql = table.by_name[column].sql
            yield from ((name, row[0]) for row in tx.all(
                f"SELECT id FROM {table.sql} WHERE {sql} NOT IN ({marks}) ORDER BY id LIMIT ?",
                (*codes, limits.DETECT_FOUND_MAX),
            ))  # fmt: skip


def _coded(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.code_list)


def _finding(table: Table, column: str, row_id: str, unit_id: str) -> Finding:
    return Finding(
        kind=CaseKind.RULE_VIOLATED,
        sides=(Side(table=table.name, row_id=row_id, unit_id=unit_id),),
        detail={"rule": f"{RULE}:{column}", "column": column},
    )
