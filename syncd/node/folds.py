"""Whether a table can be counted as its description says.

Enters: a table whose parts have their shapes. Leaves: what is wrong with its fold, in words.
Must hold: every row that the table takes has a cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schema.spec import Audience, Kind, Type
from syncd.language import say

STOCK, FLOWS = "population", ("birth", "death", "arrival", "departure", "migration")
_STOCK_TYPES = (Type.INT, Type.DATE, Type.TEXT, Type.TEXT)


def fold_faults(table: Any) -> Iterator[str]:
    """Faults of the fold of one table."""
    fold = table.fold
    if fold is None:
        return
    if table.kind is not Kind.REGISTER:
        yield say("chỉ bảng Kind.REGISTER được đếm (fold)", "only tables of Kind.REGISTER are counted (fold)")
    if fold.measure not in (STOCK, *FLOWS):
        yield say(
            "fold.measure {measure!r} không có; dùng {known}",
            "there is no fold.measure {measure!r}; use {known}",
            measure=fold.measure,
            known=", ".join((STOCK, *FLOWS)),
        )
        return
    unknown = [name for name in fold.all_columns if name not in table.by_name]
    if unknown:
        yield say(
            "fold nêu cột không có: {names}",
            "fold names columns that are not there: {names}",
            names=", ".join(map(str, unknown)),
        )
        return
    columns = [table.by_name[name] for name in fold.all_columns]
    if any(column.audience is not Audience.SCOPE for column in columns):
        yield say("cột được đếm phải là Audience.SCOPE", "counted columns are Audience.SCOPE")
    yield from _stock_faults(fold, columns) if fold.measure == STOCK else _flow_faults(fold, columns)


def _stock_faults(fold: Any, columns: list[Any]) -> Iterator[str]:
    fits = tuple(column.type for column in columns) == _STOCK_TYPES and not any(column.nullable for column in columns)
    if fold.date_column is not None or not fits:
        yield say(
            "measure population đếm đúng bốn cột không trống: giới (INT), ngày sinh (DATE), dân tộc (TEXT), cư trú"
            " (TEXT), không có date_column",
            "measure population counts just four columns that are not nullable: sex (INT), birth date (DATE), ethnic"
            " (TEXT), residence (TEXT), without a date_column",
        )


def _flow_faults(fold: Any, columns: list[Any]) -> Iterator[str]:
    kinds = [column.type for column in columns]
    wanted = ([Type.INT, Type.DATE], [Type.TEXT, Type.INT, Type.DATE])
    is_filled = not columns[-1].nullable and (len(columns) < 3 or not columns[0].nullable)
    if fold.date_column is None or kinds not in wanted or not is_filled:
        yield say(
            "measure {measure} cần columns là (giới INT) hoặc (loại TEXT không trống, giới INT), và date_column kiểu"
            " DATE không trống",
            "measure {measure} needs as columns (sex INT) or (kind TEXT not nullable, sex INT), and a date_column of"
            " type DATE that is not nullable",
            measure=fold.measure,
        )
