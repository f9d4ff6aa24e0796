"""Whether SQLite takes the rules of a table, tried in memory; PostgreSQL's own words are tried when it is made.

Enters: a table whose names and types were found right. Leaves: what the database says of a rule, in words.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from schema.ddl import Dialect, checks
from schema.names import listed, quoted
from syncd.language import say


def rule_faults(table: Any) -> Iterator[str]:
    """Faults of the checks of one table."""
    for column in table.columns:
        texts = (column.check, column.check_sqlite, column.check_postgres)
        if any(text is not None and not isinstance(text, str) for text in texts):
            yield say(
                "bảng {table}, cột {column}: quy tắc phải là chữ", "table {table}, column {column}: a rule is a text",
                table=table.name, column=column.name,
            )  # fmt: skip
            return
        if (column.check_sqlite is None) != (column.check_postgres is None):
            yield say(
                "bảng {table}, cột {column}: check_sqlite và check_postgres phải có cả hai",
                "table {table}, column {column}: check_sqlite and check_postgres need each other",
                table=table.name, column=column.name,
            )  # fmt: skip
    columns = listed(column.name for column in table.all_columns)
    connection = sqlite3.connect(":memory:")
    try:
        for name, sql in checks(Dialect.SQLITE, table):
            try:
                connection.execute(f"CREATE TABLE tried ({columns}, CONSTRAINT {quoted(name)} CHECK ({sql}))")
                connection.execute("DROP TABLE tried")
            except sqlite3.Error as error:
                yield say(
                    "bảng {table}: quy tắc {name} không dùng được: {error}",
                    "table {table}: rule {name} cannot be used: {error}",
                    table=table.name, name=name, error=error,
                )  # fmt: skip
    finally:
        connection.close()
