"""Codes that their list does not have: what any program may write, and what came from a node with other lists.

Enters: changed ids, the lists that are here. Leaves: a finding for each row and column, and, once the lists change, the
rows they now speak against. Must hold: every column with a list is treated alike; nothing is refused or changed, since
a code may be on its way here; while a list is not here nothing is said of it.

Why a case and no trigger: a trigger at the origin would judge by the lists of that node and moment, and a row that it
let pass would have to be taken by nodes whose lists differ; and every change of a clerk would read the list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from conflict.case import CaseKind
from schema.spec import Kind, Registry, Table
from syncd import limits
from syncd.detect.changed import Changed
from syncd.detect.finding import Finding, Side
from syncd.detect.records import chosen
from syncd.store.base import Tx, in_lists

RULE = "unknown_code"
Lists = Mapping[str, Collection[str]]
Place = tuple[str, str]  # table, column


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The lists as they were read last; None: not yet. `left`: column → the id up to which its rows have been held
    against a list that has changed, for what is still to be read."""

    lists: Lists | None = None
    left: Mapping[Place, str | None] = field(default_factory=dict)


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


def have_moved(tx: Tx, news: Collection[str] | None) -> bool:
    """Whether one of these streams may have brought codes."""
    if news is None or len(news) > limits.DETECT_IDS_MAX:
        return True
    query = f"SELECT 1 FROM syncd_stream WHERE kind = {Kind.OVERSIGHT:d} AND stream_id IN ({{marks}}) LIMIT 1"
    return any(tx.one(query.format(marks=marks), some) is not None for marks, some in in_lists(sorted(news)))


def unknown_codes(tx: Tx, registry: Registry, changed: Changed, lists: Lists) -> Iterator[Finding]:
    """Rows that bear a code which is in no version of its list here."""
    tables = {name: ids for name, ids in changed.rows.items() if ids and name in coded_columns(registry)}
    for name, ids in sorted(tables.items()):
        table, columns = registry.by_name[name], coded_columns(registry)[name]
        wanted = ", ".join(table.by_name[column].sql for column in columns)
        for row_id, unit_id, *codes in chosen(tx, f"SELECT id, unit_id, {wanted} FROM {table.sql} WHERE", "id", ids):
            for column, code in zip(columns, codes, strict=True):
                known = lists.get(str(table.by_name[column].code_list))
                if known and code is not None and code not in known:
                    yield _finding(table, column, row_id, unit_id)


def seen_anew(tx: Tx, registry: Registry, before: Seen) -> Seen:
    """The lists as they are now; the rows of a column whose list has changed are to be held against it. The first time
    lists are only noted: what was there before this process was looked at when it came."""
    lists, left = lists_of(tx, registry), dict(before.left)
    for name, columns in coded_columns(registry).items():
        for column in columns:
            of_column = _list(registry, (name, column))
            if before.lists is not None and lists.get(of_column) != before.lists.get(of_column):
                left[name, column] = None
    return Seen(lists=lists, left={place: after for place, after in left.items() if lists.get(_list(registry, place))})


def spoken_against(tx: Tx, registry: Registry, seen: Seen) -> tuple[list[tuple[str, str]], Seen]:
    """(table, id) of the next rows with a code that their list does not have, of the whole register, and what is left
    to read: at most `DETECT_FOUND_MAX` in one turn."""
    found: list[tuple[str, str]] = []
    left = dict(seen.left)
    for place, after in seen.left.items():
        room = limits.DETECT_FOUND_MAX - len(found)
        ids = _beyond(tx, registry, place, after, room)
        found += [(place[0], row_id) for row_id in ids]
        if len(ids) == room:
            left[place] = ids[-1]
            break
        del left[place]
    return found, Seen(lists=seen.lists, left=left)


def _beyond(tx: Tx, registry: Registry, place: Place, after: str | None, most: int) -> list[str]:
    """The list is read where it is: as values it would be one mark per code, and databases bound those."""
    table = registry.by_name[place[0]]
    sql = table.by_name[place[1]].sql
    beyond, values = ("", ()) if after is None else (" AND r.id > ?", (after,))
    rows = tx.all(
        f"SELECT r.id FROM {table.sql} AS r WHERE r.{sql} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM code AS c"
        f" WHERE c.list_name = ? AND c.code = r.{sql}){beyond} ORDER BY r.id LIMIT ?",
        (_list(registry, place), *values, most),
    )
    return [row[0] for row in rows]


def _list(registry: Registry, place: Place) -> str:
    return str(registry.by_name[place[0]].by_name[place[1]].code_list)


def _coded(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.code_list)


def _finding(table: Table, column: str, row_id: str, unit_id: str) -> Finding:
    return Finding(
        kind=CaseKind.RULE_VIOLATED,
        sides=(Side(table=table.name, row_id=row_id, unit_id=unit_id),),
        detail={"rule": f"{RULE}:{column}", "column": column},
    )
