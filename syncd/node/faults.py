"""What is wrong with tables that a deployment describes: each fault in one sentence (`validate` of the settings).

Enters: whatever a module called its tables. Leaves: sentences, in the order of the tables; none when every stage, on
both databases, can work with them.
Must hold: nothing that a description holds makes this raise; what passes here is taken by both databases, and stops no
stream later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from schema.spec import ROW_BYTES_MAX, UTF8_BYTES_MAX, Audience, Kind, Table, Type
from schema.tables import registry
from syncd.language import say
from syncd.node.folds import fold_faults
from syncd.node.identifiers import clashes, column_name_fault, name_fault, table_name_fault
from syncd.node.rules import rule_faults
from syncd.node.shapes import column_shape_faults, is_column, table_shape_faults

NUMBER_MIN, NUMBER_MAX = 1000, 65_535
TABLES_MAX = 500
ON_DELETE = ("restrict", "cascade", "set null")
# Policies that mean something for some types alone.
_ORDERED = (Type.INT, Type.DATE, Type.INSTANT, Type.TEXT)
_POLICY_TYPES = {"max": _ORDERED, "min": _ORDERED, "union": (Type.TEXT,)}


def faults(tables: Sequence[Any]) -> list[str]:
    """Every fault of the tables of a deployment."""
    strange = [place for place, table in enumerate(tables, start=1) if not isinstance(table, Table)]
    if strange:
        return [_strange(place, tables[place - 1]) for place in strange]
    if len(tables) > TABLES_MAX:
        return [say("có {n} bảng, tối đa {most}", "{n} tables, at most {most}", n=len(tables), most=TABLES_MAX)]
    found = [fault for table in tables for fault in _table_faults(table, tables)]
    found += _doubled(tables)
    if not found:  # what follows builds statements of the descriptions
        found += [*_cycles(tables), *clashes(tables), *(fault for table in tables for fault in rule_faults(table))]
    return found


def _strange(place: int, table: object) -> str:
    return say(
        "phần tử thứ {place} là {kind}, không phải schema.spec.Table",
        "element {place} is a {kind}, not a schema.spec.Table",
        place=place,
        kind=type(table).__name__,
    )


def _doubled(tables: Sequence[Any]) -> Iterator[str]:
    numbers: dict[object, Any] = {}
    names: dict[str, Any] = {}
    for table in tables:
        if isinstance(table.number, int) and numbers.setdefault(table.number, table) is not table:
            yield say(
                "bảng {name} và bảng {other} cùng số {number}",
                "tables {name} and {other} have the same number {number}",
                name=table.name,
                other=numbers[table.number].name,
                number=table.number,
            )
        if isinstance(table.name, str) and names.setdefault(table.name.lower(), table) is not table:
            yield say(
                "hai bảng cùng tên {name} (không kể chữ hoa, chữ thường)",
                "two tables are called {name} (capitals make no difference)",
                name=table.name,
            )


def _table_faults(table: Any, tables: Sequence[Any]) -> Iterator[str]:
    fault = table_name_fault(table.name)
    if fault:
        yield say("bảng {name!r}: {fault}", "table {name!r}: {fault}", name=table.name, fault=fault)
        return
    # What is no such thing at all is not looked at further: every test below it would stumble over it.
    for text in _shape_faults(table) or [*_own_faults(table), *_columns_faults(table, tables)]:
        yield say("bảng {name}: {fault}", "table {name}: {fault}", name=table.name, fault=text)


def _shape_faults(table: Any) -> list[str]:
    found = list(table_shape_faults(table))
    for place, column in enumerate(table.columns if isinstance(table.columns, (tuple, list)) else (), start=1):
        if not is_column(column):
            found.append(say(
                "phần tử thứ {place} của columns là {kind}, không phải schema.spec.Column",
                "element {place} of columns is a {kind}, not a schema.spec.Column",
                place=place, kind=type(column).__name__,
            ))  # fmt: skip
            continue
        found += [
            say("cột {name!r}: {fault}", "column {name!r}: {fault}", name=column.name, fault=text)
            for text in column_shape_faults(column)
        ]
    return found


def _own_faults(table: Any) -> Iterator[str]:
    number = table.number
    if not isinstance(number, int) or isinstance(number, bool) or not NUMBER_MIN <= number <= NUMBER_MAX:
        yield say(
            "số {number!r} không nằm trong {least}…{most}",
            "number {number!r} is not in {least}…{most}",
            number=number,
            least=NUMBER_MIN,
            most=NUMBER_MAX,
        )
    if not isinstance(table.kind, Kind) or table.kind not in (Kind.REGISTER, Kind.OVERSIGHT):
        yield say(
            "kind là {kind!r}; chỉ dùng Kind.REGISTER hoặc Kind.OVERSIGHT",
            "kind is {kind!r}; use Kind.REGISTER or Kind.OVERSIGHT",
            kind=table.kind,
        )
    if not table.columns:
        yield say("không có cột nào", "it has no column")
    yield from _index_faults(table)
    yield from _check_name_faults(table)
    yield from fold_faults(table)


def _index_faults(table: Any) -> Iterator[str]:
    seen = []
    for index in table.indexes:
        unknown = [name for name in index if name not in table.by_name]
        if unknown or not index:
            yield say(
                "chỉ mục {index} nêu cột không có", "index {index} names a column that is not there", index=tuple(index)
            )
        if tuple(index) in seen or len(set(index)) < len(index):
            yield say("chỉ mục {index} được nêu hai lần", "index {index} is given twice", index=tuple(index))
        seen.append(tuple(index))


def _check_name_faults(table: Any) -> Iterator[str]:
    for name, _sql in table.checks:
        if fault := name_fault(name):
            yield say("quy tắc {name!r}: {fault}", "check {name!r}: {fault}", name=name, fault=fault)


def _columns_faults(table: Any, tables: Sequence[Any]) -> Iterator[str]:
    names: set[str] = set()
    for column in table.columns:
        fault = column_name_fault(column.name)
        if fault:
            yield say("cột {name!r}: {fault}", "column {name!r}: {fault}", name=column.name, fault=fault)
            continue
        if column.name.lower() in names:
            yield say("hai cột cùng tên {name}", "two columns are called {name}", name=column.name)
        names.add(column.name.lower())
        for text in (*_column_faults(table, column), *_reference_faults(table, column, tables)):
            yield say("cột {name}: {fault}", "column {name}: {fault}", name=column.name, fault=text)


def _column_faults(table: Any, column: Any) -> Iterator[str]:
    if not isinstance(column.type, Type):
        yield say(
            "kiểu {type!r} không có; dùng Type.{known}",
            "there is no type {type!r}; use Type.{known}",
            type=column.type,
            known=", Type.".join(kind.name for kind in Type),
        )
        return
    if not isinstance(column.audience, Audience) or column.audience is Audience.PUBLIC:
        yield say(
            "audience là {audience!r}; dùng Audience.SCOPE hoặc Audience.CUSTODIAN",
            "audience is {audience!r}; use Audience.SCOPE or Audience.CUSTODIAN",
            audience=column.audience,
        )
    elif column.audience is Audience.CUSTODIAN and not column.nullable:
        yield say(
            "chỉ nơi giữ và máy gốc đọc được cột này, nên nó phải được để trống (nullable=True): các cấp giữa không có"
            " giá trị",
            "only keepers and the root read it, so it must be nullable: tiers between have no value for it",
        )
    yield from _bound_faults(column)
    yield from _policy_faults(table, column)


def _bound_faults(column: Any) -> Iterator[str]:
    for name, most in (("bytes_max", ROW_BYTES_MAX), ("chars_max", _CHARS_MOST)):
        bound = getattr(column, name)
        if not isinstance(bound, int) or isinstance(bound, bool) or not 1 <= bound <= most:
            yield say(
                "{name} là {bound!r}, phải từ 1 đến {most}",
                "{name} is {bound!r}, it must be 1 to {most}",
                name=name,
                bound=bound,
                most=most,
            )


_CHARS_MOST = ROW_BYTES_MAX // UTF8_BYTES_MAX


def _policy_faults(table: Any, column: Any) -> Iterator[str]:
    from conflict.policy import Policy

    known = [str(policy) for policy in Policy]
    if column.policy not in known:
        yield say(
            "policy {policy!r} không có; dùng {known}",
            "there is no policy {policy!r}; use {known}",
            policy=column.policy,
            known=", ".join(known),
        )
    elif column.type not in _POLICY_TYPES.get(str(column.policy), tuple(Type)):
        yield say(
            "policy {policy} không có nghĩa với kiểu {type}",
            "policy {policy} means nothing for type {type}",
            policy=column.policy,
            type=str(column.type),
        )


def _reference_faults(table: Any, column: Any, tables: Sequence[Any]) -> Iterator[str]:
    if column.on_delete not in ON_DELETE:
        yield say(
            "on_delete là {value!r}; dùng {known}",
            "on_delete is {value!r}; use {known}",
            value=column.on_delete,
            known=", ".join(ON_DELETE),
        )
    elif column.on_delete == "set null" and not column.nullable:
        yield say(
            "on_delete là set null nhưng cột không được để trống",
            "on_delete is set null, but the column is not nullable",
        )
    if column.references is None:
        if column.inside_unit:
            yield say("inside_unit cần references", "inside_unit needs references")
        return
    if column.type is not Type.UUID:
        yield say("references cần kiểu Type.UUID", "references needs the type Type.UUID")
    named = {each.name: each for each in (*registry(), *tables) if isinstance(each.name, str)}
    other = named.get(column.references)
    if other is None:
        yield say(
            "references nêu bảng {other!r}, bảng đó không có",
            "references names table {other!r}, which is not there",
            other=column.references,
        )
    elif column.inside_unit and (other.kind is not Kind.REGISTER or table.kind is not Kind.REGISTER):
        yield say(
            "inside_unit cần hai bảng kind=Kind.REGISTER; {other} hoặc bảng này không phải",
            "inside_unit needs two tables of Kind.REGISTER; {other} or this one is none",
            other=column.references,
        )


def _cycles(tables: Iterable[Any]) -> Iterator[str]:
    """Tables whose keys lead back to themselves through others: neither could be created, or moved, first."""
    leads = {
        table.name: {column.references for column in table.columns if column.inside_unit} - {table.name}
        for table in tables
    }
    for name in leads:
        reached: set[str | None] = set()
        ahead = set(leads[name])
        while ahead:
            reached |= ahead
            ahead = {after for each in ahead for after in leads.get(each or "", ())} - reached
        if name in reached:
            yield say(
                "bảng {name}: các khóa inside_unit dẫn vòng về chính nó qua bảng khác",
                "table {name}: its inside_unit keys lead back to it through other tables",
                name=name,
            )
