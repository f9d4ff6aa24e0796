"""Names that both databases can hold, and that mean nothing else there already.

Enters: names of tables, columns, rules. Leaves: what is wrong with one, in words.
Must hold: every name that is made of them (keys, indexes, triggers, views) stays within what PostgreSQL keeps, and is
nobody else's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from schema.ddl import Dialect, checks
from schema.local import LOCAL_TABLES
from schema.spec import Table
from schema.tables import registry
from syncd.language import say

NAME_BYTES_MAX = 63  # PostgreSQL cuts longer names off silently
_NAME = re.compile(r"[^\W\d]\w*")
OURS = ("syncd_", "sqlite_", "pg_", "v_", "alembic_")
# Columns that a database or one of our views has of its own.
TAKEN_COLUMNS = frozenset(
    {
        "id",
        "unit_id",
        "pending",
        "is_past",
        "rowid",
        "oid",
        "_rowid_",
        "ctid",
        "xmin",
        "xmax",
        "cmin",
        "cmax",
        "tableoid",
    }
)
# What is called so already, beside what `_made_names` tells of the tables of the release.
_FUNCTIONS = (
    "syncd_mint", "syncd_own_unit", "syncd_refuse", "syncd_truncate", "syncd_propose", "syncd_wished", "syncd_keeps",
    "syncd_keeper_changed", "syncd_keeper_insert", "syncd_keeper_change",
)  # fmt: skip


def name_fault(name: object) -> str:
    """What is wrong with a name; nothing when it will do."""
    if not isinstance(name, str):
        return say("tên phải là chữ", "a name is a text")
    if not _NAME.fullmatch(name):
        return say(
            "tên gồm chữ cái, chữ số và dấu gạch dưới, bắt đầu bằng chữ cái",
            "a name is letters, digits and underscores, and begins with a letter",
        )
    if unicodedata.normalize("NFC", name) != name:
        return say("tên phải viết theo Unicode NFC (dựng sẵn)", "a name is written in Unicode NFC (composed)")
    if len(name.encode()) > NAME_BYTES_MAX:
        return say("tên dài quá {most} byte", "a name has at most {most} bytes", most=NAME_BYTES_MAX)
    return ""


def table_name_fault(name: object) -> str:
    """The same of a table."""
    fault = name_fault(name)
    if fault or not isinstance(name, str):
        return fault
    low = name.lower()
    if f"{low}_".startswith(OURS) or low.endswith("_with_pending"):  # of "sqlite" the view would be sqlite_with_pending
        return say(
            "tên bắt đầu bằng {ours} hoặc kết thúc bằng _with_pending được dành riêng",
            "names that begin with {ours} or end in _with_pending are taken",
            ours=", ".join(OURS),
        )
    if low in {table.name for table in registry()}:
        return say("syncd đã có bảng tên này", "syncd has a table of this name already")
    return ""


def column_name_fault(name: object) -> str:
    """The same of a column."""
    fault = name_fault(name)
    if fault or not isinstance(name, str):
        return fault
    if name.lower() in TAKEN_COLUMNS or name.lower().startswith("syncd_"):
        return say(
            "tên cột này được dành riêng ({taken}, syncd_…)",
            "this column name is taken ({taken}, syncd_…)",
            taken=", ".join(sorted(TAKEN_COLUMNS)),
        )
    return ""


def clashes(tables: Sequence[Table]) -> Iterator[str]:
    """Names made of these that are too long, or somebody else's."""
    owners: dict[str, str] = dict.fromkeys((*_FUNCTIONS, *(local.name for local in LOCAL_TABLES)), "syncd")
    for table in registry():
        owners |= dict.fromkeys(map(str.lower, _made_names(table)), "syncd")
    for table in tables:
        for made in sorted((*_made_names(table), *_names_inside(table)), key=_bytes_of)[-1:]:
            if _bytes_of(made) > NAME_BYTES_MAX:
                yield say(
                    "bảng {table}: tên {made} tạo từ nó dài {n} byte, tối đa {most}; rút ngắn tên bảng hoặc cột",
                    "table {table}: the name {made} made of it has {n} bytes, at most {most}; shorten the table's or"
                    " the column's name",
                    table=table.name,
                    made=made,
                    n=_bytes_of(made),
                    most=NAME_BYTES_MAX,
                )
        for made in _made_names(table):
            other = owners.setdefault(made.lower(), table.name)
            if other != table.name:
                yield say(
                    "bảng {table}: tên {made} tạo từ nó đã là của {other}; đổi tên bảng hoặc cột",
                    "table {table}: the name {made} made of it is {other}'s; give the table or the column another name",
                    table=table.name,
                    made=made,
                    other=other,
                )
        inside = _names_inside(table)
        if len({each.lower() for each in inside}) < len(inside):
            yield say(
                "bảng {table}: hai quy tắc hoặc khóa cùng tên",
                "table {table}: two rules or keys have one name",
                table=table.name,
            )


def _bytes_of(name: str) -> int:
    return len(name.encode())


def _made_names(table: Table) -> list[str]:
    """Names that are made of a table's and are anybody's in the schema: indexes, triggers with functions, views."""
    operations = ("insert", "update", "delete")
    return [
        table.name,
        f"pk_{table.name}",
        *(f"ix_{table.name}_{'_'.join(index)}" for index in table.indexes),
        *(part.name for part in table.partly),
        *(f"syncd_{table.name}_{op}" for op in (*operations, "truncate", "replace", "before_insert")),
        *(f"syncd_{table.name}_propose_{op}" for op in operations),
        f"syncd_stage_{table.name}",
        f"{table.name}_with_pending",
    ]


def _names_inside(table: Table) -> list[str]:
    """Names of the rules and keys of one table."""
    keys = [f"fk_{table.name}_{column.name}" for column in table.columns if column.inside_unit]
    rules = [name for name, _sql in checks(Dialect.SQLITE, table)]
    return [*keys, *rules, *(f"was_{column.name}" for column in table.columns)]
