"""Checks rows before they are written: the very rules of the tables, with words for the person who typed them.

Enters: a table description and values by column (Python types of ARCHITECTURE.md). Leaves: what is wrong, per column.
Must hold: a row without problems is accepted by both databases (foreign keys and the guard aside); problems name
columns and rules, never values. The rules are evaluated by SQLite itself, so there is one wording of them.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from schema.ddl import Dialect, checks
from schema.names import quoted
from schema.spec import INDEX_BYTES_MAX, ROW_BYTES_MAX, Column, Kind, Registry, Table, Type

if TYPE_CHECKING:
    import sqlite3

Value = str | int | float | bytes | None
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
ROWS_AT_ONCE, VALUES_AT_ONCE = 200, 30_000  # asked of SQLite in one query

REQUIRED = ("bắt buộc phải có", "is required")
UNKNOWN = ("không có cột này", "no such column")
TYPE_RULES = {
    Type.UUID: ("là UUID 36 ký tự, chữ thường", "is a UUID of 36 characters, lower case"),
    Type.TEXT: ("là chữ, không quá {max} ký tự, không có ký tự NUL", "is text of at most {max} characters without NUL"),
    Type.INT: ("là số nguyên", "is a whole number"),
    Type.DATE: ("là ngày có thật, dạng YYYY-MM-DD", "is a real date, written YYYY-MM-DD"),
    Type.INSTANT: ("là thời điểm UTC, dạng YYYY-MM-DDTHH:MM:SSZ", "is a moment in UTC, written YYYY-MM-DDTHH:MM:SSZ"),
    Type.BYTES: ("là dữ liệu nhị phân, không quá {max} byte", "is binary data of at most {max} bytes"),
}

# Rules across columns, by the name of their check.
ACROSS = {
    "closed_after_opened": (
        "ngày kết thúc (closed_on) không được trước ngày lập (opened_on)",
        "closed_on is not before opened_on",
    ),
    "valid_for_a_time": (
        "ngày hết hiệu lực (valid_to) phải sau ngày có hiệu lực (valid_from)",
        "valid_to lies after valid_from",
    ),
    "forced_whole": (
        "forced_seq và forced_hash cùng có hoặc cùng trống",
        "forced_seq and forced_hash stand together, or neither",
    ),
    "row_size": (
        f"cả bản ghi không được dài quá {ROW_BYTES_MAX} byte",
        f"a whole row has at most {ROW_BYTES_MAX} bytes",
    ),
    "index_size": (
        f"các cột của một chỉ mục không được dài quá {INDEX_BYTES_MAX} byte",
        f"the columns of an index have at most {INDEX_BYTES_MAX} bytes together",
    ),
}
# How the databases say which rule a row breaks.
_CHECK = re.compile(r'CHECK constraint failed: (?P<name>\w+)|violates check constraint "(?P<named>\w+)"')
_EMPTY = re.compile(
    r"NOT NULL constraint failed: (?P<table>\w+)\.(?P<column>\w+)"
    r'|null value in column "(?P<column_named>\w+)" of relation "(?P<table_named>\w+)"'
)

# Half of a surrogate pair: no text that UTF-8 could hold.
_SURROGATE = re.compile("[\ud800-\udfff]")

_local = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What one column (or a rule across columns, by its name) breaks. Holds no value."""

    column: str
    rule_vi: str
    rule_en: str


ALWAYS = Problem(column="", rule_vi="", rule_en="")  # of the constant that every query of checks begins with


def check_row(table: Table, values: Mapping[str, Value]) -> list[Problem]:
    """Problems of a whole row to be inserted; `id` and a register's `unit_id` may be absent (they have defaults)."""
    return [*_missing(table, values), *check_values(table, values)]


def check_values(table: Table, values: Mapping[str, Value]) -> list[Problem]:
    """Problems of the columns given, as in an update; a rule that reads a column not given is not decided here."""
    problems = list(_shape_problems(table, values))
    if problems:
        return problems
    row = normalise(values)
    query, rules = _query(table, tuple(row))
    verdicts = _connection().execute(query, tuple(row.values())).fetchone()
    if 0 not in verdicts:
        return []
    return [rule for rule, verdict in zip(rules, verdicts, strict=True) if verdict == 0 and _decided(table, rule, row)]


def rows_hold(table: Table, rows: Sequence[Mapping[str, Value]]) -> bool:
    """Whether `check_row` finds nothing in any of these rows, which give the same columns: asked of all at once."""
    return not rows or (not _missing(table, rows[0]) and values_hold(table, rows))


def values_hold(table: Table, rows: Sequence[Mapping[str, Value]]) -> bool:
    """Whether `check_values` finds nothing in any of these rows, which give the same columns: asked of many at once.
    False also where it would have to look closer."""
    if any(next(_shape_problems(table, row), None) is not None for row in rows):
        return False
    names = tuple(rows[0]) if rows else ()
    at_once = max(min(ROWS_AT_ONCE, VALUES_AT_ONCE // max(len(names), 1)), 1)
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        query = _query_of_many(table, names, len(some))
        normal = map(normalise, some)
        if 0 in _connection().execute(query, [row[name] for row in normal for name in names]).fetchone():
            return False
    return True


def broken_rule(registry: Registry, text: str) -> tuple[Table, Problem] | None:
    """The table and the rule that a database's refusal of a row means; None for any other error."""
    empty = _EMPTY.search(text)
    if empty:
        table = registry.by_name.get(empty["table"] or empty["table_named"])
        column = empty["column"] or empty["column_named"]
        return (table, Problem(column=column, rule_vi=REQUIRED[0], rule_en=REQUIRED[1])) if table else None
    check = _CHECK.search(text)
    name = (check["name"] or check["named"]) if check else ""
    for table in registry:
        for rule, sql in checks(Dialect.SQLITE, table) if name.startswith(f"ck_{table.name}_") else ():
            if rule == name:
                return table, _problem(table, name, sql)
    return None


def normalise(values: Mapping[str, Value]) -> dict[str, Value]:
    """Text in Unicode NFC, so that equal names are equal bytes; everything else as it is."""
    return {name: unicodedata.normalize("NFC", v) if isinstance(v, str) else v for name, v in values.items()}


def _missing(table: Table, given: Container[str]) -> list[Problem]:
    """Columns that a new row must give and does not."""
    defaults = {"id", "unit_id"} if table.kind is Kind.REGISTER else {"id"}
    return [
        Problem(column=column.name, rule_vi=REQUIRED[0], rule_en=REQUIRED[1])
        for column in table.all_columns
        if not column.nullable and column.name not in given and column.name not in defaults
    ]


def _shape_problems(table: Table, values: Mapping[str, Value]) -> Iterator[Problem]:
    """What need not or cannot be asked of SQLite: unknown columns, NULL, values it cannot take."""
    for name, value in values.items():
        column = table.by_name.get(name)
        if column is None:
            yield Problem(column=name, rule_vi=UNKNOWN[0], rule_en=UNKNOWN[1])
        elif value is None and not column.nullable:
            yield Problem(column=name, rule_vi=REQUIRED[0], rule_en=REQUIRED[1])
        elif not _bindable(value):
            yield _type_problem(column)


def _bindable(value: Value) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return INT_MIN <= value <= INT_MAX
    if isinstance(value, str):
        return _SURROGATE.search(value) is None
    # No canonical type holds fractions, NaN or infinity.
    return value is None or isinstance(value, bytes)


def _decided(table: Table, problem: Problem, row: Mapping[str, Value]) -> bool:
    return problem.column not in table.by_name or row.get(problem.column) is not None


@lru_cache(maxsize=256)
def _query(table: Table, given: tuple[str, ...]) -> tuple[str, tuple[Problem, ...]]:
    """One SELECT of the checks of the columns given, and of those across columns, over one row of parameters; and the
    problem each stands for."""
    rules = _rules(table, given)
    rest = [f"NULL AS {column.sql}" for column in table.all_columns if column.name not in given]
    row = ", ".join([*(f"? AS {quoted(name)}" for name in given), *rest])
    return f"SELECT 1{''.join(f', ({sql})' for _, sql in rules)} FROM (SELECT {row})", (ALWAYS, *(p for p, _ in rules))


@lru_cache(maxsize=16)
def _query_of_many(table: Table, given: tuple[str, ...], count: int) -> str:
    """One SELECT of the worst answer to each of these checks over `count` rows of parameters."""
    rest = [f"NULL AS {column.sql}" for column in table.all_columns if column.name not in given]
    rows = ", ".join([f"(1{', ?' * len(given)})"] * count)  # a row without any column is one too
    worst = "".join(f", min({sql})" for _, sql in _rules(table, given))
    names = ", ".join(["syncd_one", *map(quoted, given)])
    row = ", ".join(["syncd_one", *map(quoted, given), *rest])
    return f"WITH given ({names}) AS (VALUES {rows}) SELECT 1{worst} FROM (SELECT {row} FROM given)"


def _rules(table: Table, given: tuple[str, ...]) -> list[tuple[Problem, str]]:
    """The checks of the columns given, and of those across columns, with the problem each stands for."""
    found = [(_problem(table, name, sql), sql) for name, sql in checks(Dialect.SQLITE, table)]
    return [(problem, sql) for problem, sql in found if problem.column in given or problem.column not in table.by_name]


def _problem(table: Table, name: str, sql: str) -> Problem:
    short = name.removeprefix(f"ck_{table.name}_")
    column = table.by_name.get(short.removesuffix("_type"))
    if short.endswith("_type") and column:
        return _type_problem(column)
    column = table.by_name.get(short.removesuffix("_rule"))
    if column:
        return Problem(column=column.name, rule_vi=column.rule_vi or sql, rule_en=column.rule_en or sql)
    rule_vi, rule_en = ACROSS.get(short, (f"quy tắc: {sql}", f"rule: {sql}"))
    return Problem(column=short, rule_vi=rule_vi, rule_en=rule_en)


def _type_problem(column: Column) -> Problem:
    most = column.bytes_max if column.type is Type.BYTES else column.chars_max
    vi, en = (text.format(max=most) for text in TYPE_RULES[column.type])
    return Problem(column=column.name, rule_vi=vi, rule_en=en)


def _connection() -> sqlite3.Connection:
    """One empty database in memory per thread, for its expressions alone."""
    import sqlite3  # a megabyte that a station at rest does without

    if not hasattr(_local, "connection"):
        _local.connection = sqlite3.connect(":memory:")
    connection: sqlite3.Connection = _local.connection
    return connection
