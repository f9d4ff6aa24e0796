"""Whether each part of a description has the kind of value that it is declared with.

Enters: a table, or a column, of whatever a module holds. Leaves: sentences, one for each part that is something else.
Must hold: every field of `schema.spec` is looked at here or where its values are listed (`faults.py`), so that no stage
meets a list where it hashes, or None where it counts; what only tables of the release use is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from schema.spec import Column, DataClass, Fold
from syncd.language import say

Test = Callable[[Any], bool]


def table_shape_faults(table: Any) -> Iterator[str]:
    """Parts of a table that are no such thing."""
    yield from _odd(table, _TABLE)
    for name in RELEASE_ONLY:
        if not _is_default(getattr(table, name)):
            yield say(
                "{name} chỉ dành cho các bảng của chính syncd; hãy bỏ đi",
                "{name} is for syncd's own tables alone; leave it out",
                name=name,
            )


def column_shape_faults(column: Any) -> Iterator[str]:
    """Parts of a column that are no such thing."""
    yield from _odd(column, _COLUMN)


def is_column(value: object) -> bool:
    """Whether a part of `columns` is one."""
    return isinstance(value, Column)


def _odd(described: Any, shapes: Mapping[str, tuple[Test, str, str]]) -> Iterator[str]:
    for name, (is_fit, vi, en) in shapes.items():
        value = getattr(described, name)
        if not is_fit(value):
            kind, word = type(value).__name__, say(vi, en)
            yield say(
                "{name} là {kind}, phải là {word}",
                "{name} is a {kind}, it must be {word}",
                name=name,
                kind=kind,
                word=word,
            )


def _is_default(value: object) -> bool:
    return isinstance(value, (tuple, list, str)) and len(value) == 0


def _is_text(value: object) -> bool:
    """Text that a terminal and a database can hold."""
    return isinstance(value, str) and not any("\ud800" <= each <= "\udfff" for each in value)


def _is_text_or_none(value: object) -> bool:
    return value is None or _is_text(value)


def _is_row(value: object) -> bool:
    return isinstance(value, (tuple, list))


def _is_texts(value: Any) -> bool:
    return _is_row(value) and all(_is_text(each) for each in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_fold(value: Any) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, Fold) and _is_texts(value.columns) and _is_text(value.measure)
        and _is_text_or_none(value.date_column)
    )  # fmt: skip


_TEXT = (_is_text, "chữ (UTF-8)", "a text (UTF-8)")
_TEXT_OR_NONE = (_is_text_or_none, "chữ (UTF-8) hoặc None", "a text (UTF-8) or None")
_NUMBER = (_is_number, "số nguyên", "a whole number")
_FLAG = (lambda value: isinstance(value, bool), "True hoặc False", "True or False")
# Parts whose values `faults.py` lists by name are not repeated here.
_TABLE: Mapping[str, tuple[Test, str, str]] = {
    "columns": (_is_row, "bộ (tuple) schema.spec.Column", "a tuple of schema.spec.Column"),
    "indexes": (
        lambda value: _is_row(value) and all(_is_texts(each) for each in value),
        "bộ các bộ tên cột", "tuples of column names",
    ),
    "checks": (
        lambda value: _is_row(value) and all(_is_texts(each) and len(each) == 2 for each in value),
        "bộ các bộ (tên, SQL)", "tuples of (name, SQL)",
    ),
    "fold": (_is_fold, "schema.spec.Fold gồm tên cột", "a schema.spec.Fold of column names"),
    "title_vi": _TEXT,
    "title_en": _TEXT,
}  # fmt: skip
RELEASE_ONLY = ("partly", "apart", "above")
_COLUMN: Mapping[str, tuple[Test, str, str]] = {
    "number": _NUMBER,
    "nullable": _FLAG,
    "inside_unit": _FLAG,
    "data_class": (lambda value: isinstance(value, str) and value in tuple(DataClass), "DataClass", "a DataClass"),
    "group": _TEXT_OR_NONE,
    "code_list": _TEXT_OR_NONE,
    "references": _TEXT_OR_NONE,
    "check": _TEXT_OR_NONE,
    "check_sqlite": _TEXT_OR_NONE,
    "check_postgres": _TEXT_OR_NONE,
    "rule_vi": _TEXT,
    "rule_en": _TEXT,
    "title_vi": _TEXT,
    "title_en": _TEXT,
}
