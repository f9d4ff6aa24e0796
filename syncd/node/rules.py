"""Whether the rules of a table mean the same, and let the same rows pass, at every tier and on both databases.

Enters: a table whose names and types were found right. Leaves: what is wrong with a rule, in words.
Must hold: a row that its keeper could type is refused by no receiver: not by another day's date or another database's
reading of a word, nor because a value is not there that only keepers and the root read. SQLite's own words are tried in
memory; PostgreSQL's when the table is made.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from schema.ddl import Dialect, checks
from schema.names import listed, quoted
from schema.spec import Audience
from syncd.language import say

_LITERAL = re.compile(r"'(?:[^']|'')*'")
_NAME = re.compile(r'"((?:[^"]|"")*)"')
# What gives another answer at another moment, or at another station.
_CHANGING = re.compile(
    r"\b(current_(?:date|time|timestamp|user|role|catalog|schema)|local(?:time|timestamp)|session_user|now|random|"
    r"(?:clock|statement|transaction)_timestamp|timeofday|age|gen_random_uuid|uuidv[47]|randomblob|"
    r"(?:last_insert_rowid|changes|total_changes)(?=\s*\())\b",
    re.IGNORECASE,
)
# The same of SQLite's functions of dates, by what they are given.
_NOW = re.compile(
    r"\b(?:date|time|datetime|julianday|unixepoch|strftime)\s*\((?:\s*\)|[^()]*'(?:now|localtime|utc)')", re.IGNORECASE
)
# What both databases take and read otherwise: capitals in LIKE, letters beyond ASCII in lower() and upper().
_OTHERWISE = re.compile(r"\b(like|lower|upper)\b", re.IGNORECASE)


def rule_faults(table: Any) -> Iterator[str]:
    """Faults of the checks of one table."""
    for column in table.columns:
        if (column.check_sqlite is None) != (column.check_postgres is None):
            yield say(
                "bảng {table}, cột {column}: check_sqlite và check_postgres phải có cả hai",
                "table {table}, column {column}: check_sqlite and check_postgres need each other",
                table=table.name, column=column.name,
            )  # fmt: skip
    own = [*_own_rules(table)]
    for name, sql, is_shared in own:
        for fault in _text_faults(table, sql, is_shared):
            yield _said(table, name, fault)
    with closing(sqlite3.connect(":memory:")) as connection:
        tried = [(name, _refusal(connection, table.all_columns, name, sql)) for name, sql in checks(_SQLITE, table)]
        refused = [(name, error) for name, error in tried if error]
        yield from (_said(table, name, error) for name, error in refused)
        if not refused:
            yield from _of_empty_values(connection, table, [(name, sql) for name, sql, _ in own])


_SQLITE = Dialect.SQLITE


def _own_rules(table: Any) -> Iterator[tuple[str, str, bool]]:
    """(name, SQL, whether both databases run it) of what the deployment wrote."""
    for column in table.columns:
        for text in filter(None, (column.check_sqlite, column.check_postgres, column.check)):
            yield f"ck_{table.name}_{column.name}_rule", text, text is column.check
    for name, text in table.checks:
        yield f"ck_{table.name}_{name}", text, True


def _text_faults(table: Any, sql: str, is_shared: bool) -> Iterator[str]:
    code = _LITERAL.sub("''", sql)
    names = {name.replace('""', '"') for name in _NAME.findall(code)}
    for name in sorted(names - table.by_name.keys()):  # SQLite would read it as a text
        yield say("không có cột {name}", "no such column: {name}", name=name)
    code = _NAME.sub('""', code)
    changing = _CHANGING.search(code)
    if changing or _NOW.search(sql):
        yield say(
            "{word} cho kết quả khác nhau tùy lúc và tùy máy; bản ghi đã nhập sẽ bị cấp trên từ chối",
            "{word} gives another answer at another time or station; tiers above would refuse what was typed",
            word=changing[0] if changing else "'now'",
        )
    otherwise = _OTHERWISE.search(code) if is_shared else None
    if otherwise:
        yield say(
            "{word} có nghĩa khác nhau ở SQLite và PostgreSQL; dùng check_sqlite và check_postgres của một cột",
            "{word} means other things on SQLite and on PostgreSQL; use check_sqlite and check_postgres of a column",
            word=otherwise[0],
        )


def _refusal(connection: sqlite3.Connection, columns: Iterable[Any], name: str, sql: str) -> str:
    """What SQLite says of a rule over these columns; nothing where it takes it."""
    names = listed(column.name for column in columns)
    try:
        connection.execute(f"CREATE TABLE tried ({names}, CONSTRAINT {quoted(name)} CHECK ({sql}))")
        connection.execute("DROP TABLE tried")
    except sqlite3.Error as error:
        return str(error)
    return ""


def _of_empty_values(connection: sqlite3.Connection, table: Any, rules: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Where values may be absent, a rule lets the row pass without them: tiers between have none of those that keepers
    and the root alone read; a keeper that does not describe a new column yet sends none."""
    withheld = [column for column in table.all_columns if column.audience is Audience.CUSTODIAN]
    read = [column for column in table.all_columns if column.audience is not Audience.CUSTODIAN]
    empty = [column for column in table.columns if column.nullable]
    for name, sql in rules:
        if withheld and _refusal(connection, read, name, sql) and _refusal(connection, withheld, name, sql):
            yield _said(table, name, say(
                "so cột mà chỉ nơi giữ và máy gốc đọc được với cột khác: các cấp giữa không có giá trị để so",
                "it compares a column that keepers and the root alone read with another: tiers between have no value "
                "to compare",
            ))  # fmt: skip
            continue
        if not _refusal(connection, empty, name, sql) and _is_refused_empty(connection, empty, sql):
            yield _said(table, name, say(
                "cột được để trống (nullable), nhưng quy tắc từ chối giá trị trống; thêm IS NULL OR … hoặc dùng"
                " nullable=False",
                "the column is nullable, but the rule refuses an empty value; write IS NULL OR … or nullable=False",
            ))  # fmt: skip


def _is_refused_empty(connection: sqlite3.Connection, columns: Iterable[Any], sql: str) -> bool:
    """Whether the rule says no to a row in which all these are empty."""
    row = ", ".join(f"NULL AS {quoted(column.name)}" for column in columns)
    try:
        found = connection.execute(f"SELECT ({sql}) FROM (SELECT {row})").fetchone()
    except sqlite3.Error:
        return False
    return found[0] is not None and not found[0]


def _said(table: Any, name: str, fault: str) -> str:
    return say(
        "bảng {table}: quy tắc {name} không dùng được: {error}",
        "table {table}: rule {name} cannot be used: {error}",
        table=table.name, name=name, error=fault,
    )  # fmt: skip
