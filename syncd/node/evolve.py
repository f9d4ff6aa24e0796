"""After the first start: further tables, indexes and columns that may be empty are added; any other change is refused
in words.

Enters: what the database was made for (`schema/described.py`), the tables as they are described now. Leaves: a database
for these, in one transaction; or an error that says what has changed and to put it back.
Must hold: nothing that is in a log or on another node ever means anything else than when it was written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schema import described
from schema.described import Described
from schema.spec import INDEX_BYTES_MAX, Column, Registry, Table
from syncd.errors import ConfigError
from syncd.language import say

if TYPE_CHECKING:
    from syncd.node_files import OpenNode


@dataclass(slots=True, kw_only=True)
class Changes:
    """What is described now and is not in the database yet; `refused`: what can be no change."""

    tables: list[Table] = field(default_factory=list)
    columns: list[tuple[Table, Column]] = field(default_factory=list)
    indexes: list[tuple[Table, tuple[str, ...]]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def changes(facts: Mapping[str, str], registry: Registry) -> Changes:
    """Between what a database was made for and the tables described now."""
    before, found = _recorded(facts), Changes()
    now = described.further(registry)
    for number, gone in before.items():
        if number not in now:
            found.refused.append(say(
                "bảng {name} (số {number}) không còn được mô tả",
                "table {name} (number {number}) is not described any more",
                name=gone["name"], number=number,
            ))  # fmt: skip
    for table in registry:
        number = str(table.number)
        if number in now and number not in before:
            found.tables.append(table)
        elif number in now and before[number] != now[number]:
            _of_table(table, before[number], now[number], found)
    return found


def require_made(facts: Mapping[str, str], registry: Registry) -> None:
    """Raise ConfigError where the tables are described otherwise than the database was made: the daemon adds what may
    be added when it starts."""
    found = changes(facts, registry)
    _refuse(found)
    if found.tables or found.columns or found.indexes:
        names = [table.name for table in found.tables]
        names += [f"{table.name} ({', '.join(index)})" for table, index in found.indexes]
        names += [f"{table.name}.{column.name}" for table, column in found.columns]
        raise ConfigError(
            say(
                "extra_tables mô tả những thứ mà cơ sở dữ liệu chưa có: {names}",
                "extra_tables describes what the database does not have yet: {names}",
                names=", ".join(names),
            ),
            say(
                "khởi động (lại) chương trình đồng bộ của máy này, hoặc chạy [[syncd sync --once]]: chúng được thêm "
                "khi bắt đầu",
                "start this node's daemon (again), or run [[syncd sync --once]]: they are added at the start",
            ),
        )


def bring_up(opened: OpenNode) -> None:
    """Add what may be added. Raises ConfigError."""
    found = changes(opened.facts, opened.store.registry)
    _refuse(found)
    if found.tables or found.columns or found.indexes:
        from syncd.node.adding import add

        add(opened, found)


def _refuse(found: Changes) -> None:
    if found.refused:
        raise ConfigError(
            say(
                "extra_tables không còn như khi cơ sở dữ liệu này được tạo: {changes}",
                "extra_tables is not what this database was made for: {changes}",
                changes="; ".join(found.refused),
            ),
            say(
                "mô tả lại như cũ; chỉ được thêm bảng mới, chỉ mục mới và cột mới được để trống (nullable=True) ở cuối"
                " bảng",
                "describe it as it was; only new tables and indexes may be added, and at the end of a table new columns"
                " that are nullable",
            ),
        )


def _recorded(facts: Mapping[str, str]) -> dict[str, Described]:
    found: dict[str, Described] = json.loads(facts.get(described.FACT, "{}"))
    return found


def _of_table(table: Table, before: Described, now: Described, found: Changes) -> None:
    for part in ("name", "kind", "checks", "fold"):
        if before[part] != now[part]:
            found.refused.append(say(
                "bảng {table}: {part} trước là {before!r}, nay là {now!r}",
                "table {table}: {part} was {before!r} and is {now!r}",
                table=table.name, part=part, before=before[part], now=now[part],
            ))  # fmt: skip
    _of_indexes(table, [tuple(index) for index in before["indexes"]], found)
    for number, column in before["columns"].items():
        found.refused += _of_column(table, column, now["columns"].get(number))
    for column in table.columns:
        if str(column.number) in before["columns"]:
            continue
        if column.nullable:
            found.columns.append((table, column))
        else:
            found.refused.append(say(
                "bảng {table}: cột mới {column} phải được để trống (nullable=True)",
                "table {table}: the new column {column} must be nullable",
                table=table.name, column=column.name,
            ))  # fmt: skip


def _of_indexes(table: Table, before: list[tuple[str, ...]], found: Changes) -> None:
    """What an index may hold is a rule of the table, made with it."""
    for index in before:
        if index not in table.indexes:
            found.refused.append(say(
                "bảng {table}: chỉ mục ({index}) không còn được mô tả",
                "table {table}: the index ({index}) is not described any more",
                table=table.name, index=", ".join(index),
            ))  # fmt: skip
    for index in (each for each in table.indexes if each not in before):
        if index in table.wide_indexes:
            found.refused.append(say(
                "bảng {table}: các cột của chỉ mục mới ({index}) có thể dài quá {most} byte",
                "table {table}: the columns of the new index ({index}) may have more than {most} bytes",
                table=table.name, index=", ".join(index), most=INDEX_BYTES_MAX,
            ))  # fmt: skip
        else:
            found.indexes.append((table, index))


def _of_column(table: Table, before: Described, now: Described | None) -> Iterator[str]:
    if now is None:
        yield say(
            "bảng {table}: cột {column} không còn được mô tả",
            "table {table}: column {column} is not described any more",
            table=table.name, column=before["name"],
        )  # fmt: skip
        return
    for part in described.FIXED:
        if before[part] != now[part]:
            yield say(
                "bảng {table}, cột {column}: {part} trước là {before!r}, nay là {now!r}",
                "table {table}, column {column}: {part} was {before!r} and is {now!r}",
                table=table.name, column=before["name"], part=part, before=before[part], now=now[part],
            )  # fmt: skip
