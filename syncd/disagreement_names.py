"""The values of a disagreement as people say them: codes with their names, days as they are written, rows by what they
are called.

Enters: a read transaction, a disagreement. Leaves: column → value → text. Must hold: a value without a name stays as it
is; nothing is read but what the disagreement shows already, and the names of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from schema.names import quoted
from schema.spec import Column, Table
from syncd import limits
from syncd.disagreements import Conflict
from syncd.language import say
from syncd.store.base import Row, Tx, known
from syncd.text import titles

_NAMED_BY = {"household": "number", "person": "full_name"}  # what people call a row by


def code_names(tx: Tx, found: Conflict) -> dict[str, dict[Any, str]]:
    """Column → value → its text, of the values that are not shown as they are kept: nobody knows `02` or a UUID by
    heart. A code is shown with its name, instead of an id stands what people call that row by."""
    shown: dict[str, tuple[Column, set[Any]]] = {}
    for table_name, values in _shown_values(found):
        table = known().by_name.get(table_name)
        for name in values.keys() & (table.by_name if table else {}).keys():
            if table is not None:
                shown.setdefault(name, (table.by_name[name], set()))[1].update(values[name])
    return {
        name: names for name, (column, values) in shown.items() if (names := _names_of(tx, column, values - {None}))
    }


def concerned(tx: Tx, found: Sequence[Conflict]) -> dict[str, str]:
    """Disagreement → whom it is about: persons with their birth dates, households by their number. Nothing for one that
    is about nobody."""
    places = {each.id: _places(each) for each in found}
    wanted: dict[str, set[str]] = {}
    for rows in places.values():
        for name, row_id in rows:
            wanted.setdefault(name, set()).add(row_id)
    called = {
        (name, row[0]): row[1:] for name, query in _CALLED.items() for row in _chosen(tx, query, wanted.get(name))
    }
    said = {case: [_called(*called[row]) for row in rows if row in called] for case, rows in places.items()}
    for each in found:
        said[each.id] = said[each.id] or [_wished(each)]
    return {case: " / ".join(dict.fromkeys(filter(None, names))) for case, names in said.items()}


def _places(found: Conflict) -> list[tuple[str, str]]:
    if found.rows:
        return [(row.table, row.row_id) for row in found.rows]
    return [(found.table, found.row_id)] if found.table and found.row_id else []


def _wished(found: Conflict) -> str:
    """Of a row that is not there yet what the wish says."""
    values = {side.column: side.wished for side in found.columns}
    return _called(values.get("full_name"), values.get("birth_date"), values.get("number"))


def _called(name: Any, born: Any = None, number: Any = None) -> str:
    if name is not None:
        return f"{name} ({titles.day(str(born))})" if born else str(name)
    return say("hộ {number}", "household {number}", number=number) if number is not None else ""


def _chosen(tx: Tx, query: str, ids: Iterable[str] | None) -> list[Row]:
    ordered = sorted(ids or ())
    found: list[Row] = []
    for start in range(0, len(ordered), limits.DETECT_IDS_MAX):
        some = ordered[start : start + limits.DETECT_IDS_MAX]
        found += tx.all(f"{query} ({', '.join('?' * len(some))})", some)
    return found


_OF_PERSON = "SELECT e.id, p.full_name, p.birth_date, NULL FROM {} AS e JOIN person AS p ON p.id = e.{} WHERE e.id IN"
_CALLED = {
    "person": "SELECT id, full_name, birth_date, NULL FROM person WHERE id IN",
    "household": "SELECT id, NULL, NULL, number FROM household WHERE id IN",
    "birth": _OF_PERSON.format("birth", "child_id"),
    "death": _OF_PERSON.format("death", "person_id"),
    "migration": _OF_PERSON.format("migration", "person_id"),
}


def _shown_values(found: Conflict) -> Iterator[tuple[str, dict[str, set[Any]]]]:
    yield found.table or "", {side.column: {side.seen, side.kept, side.wished} for side in found.columns}
    for row in found.rows:
        yield row.table, {name: {value} for name, value in row.values.items()}


def names_in(tx: Tx, table: Table, values: Mapping[str, set[Any]]) -> dict[str, dict[Any, str]]:
    """The same for values of one table by column."""
    wanted = {name: (table.by_name[name], each - {None}) for name, each in values.items() if name in table.by_name}
    return {name: found for name, (column, each) in wanted.items() if (found := _names_of(tx, column, each))}


def _names_of(tx: Tx, column: Column, values: set[Any]) -> dict[Any, str]:
    titled = {each: text for each in values if (text := titles.value(column, each)) is not None}
    if column.code_list and not titles.has_words(column.name):
        rows = tx.all("SELECT code, name FROM code WHERE list_name = ? ORDER BY version", (column.code_list,))
        return {code: f"{code} {name}" for code, name in rows}
    if column.references not in _NAMED_BY:
        return titled
    query = f"SELECT {_NAMED_BY[column.references]} FROM {quoted(column.references)} WHERE id = ?"
    found = ((value, tx.value(query, (value,))) for value in sorted(map(str, values)))
    return {value: str(name) for value, name in found if name is not None}
