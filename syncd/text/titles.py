"""Columns and values as people name them: titles instead of names, nam and nữ instead of 1 and 2, dd/mm/yyyy.

Enters: names of tables and columns, values as they are kept. Leaves: texts in the operator's language.
Must hold: a column or value without a title is shown by its name; nothing here is read by a program.
"""

from __future__ import annotations

import re
from typing import Any

from schema.spec import Column, Table, Type
from schema.titles import VALUES, column_title, value_title
from syncd.inputs.text import plain
from syncd.language import Both, language
from syncd.store.base import known

_WRITTEN = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


def column(table: str | None, name: str) -> str:
    """A column by its title."""
    described = _described(table, name)
    if described is not None and (described.title_vi or described.title_en):
        return Both(described.title_vi or name, described.title_en or name).here
    found = column_title(table, name)
    return Both(*found).here if found else name


def code_list(of: str, name: str) -> str:
    """The list that a column's codes come from, by its title."""
    described = known().by_name.get(of)
    found = described.by_name.get(name) if described else None
    return column(of, found.code_list if found and found.code_list else name)


def table(name: str | None) -> str:
    """A table by its title."""
    described = known().by_name.get(name or "")
    return (Both(described.title_vi, described.title_en).here if described else "") or name or ""


def value(of: Column, kept: Any) -> str | None:
    """A value as people write it; None where it is shown as it is kept."""
    found = value_title(of.name, kept)
    if found is not None:
        return Both(*found).here
    return day(kept) if of.type is Type.DATE and isinstance(kept, str) else None


def day(kept: str) -> str:
    """A date: dd/mm/yyyy in Vietnamese."""
    parts = _DAY.fullmatch(kept)
    return f"{parts[3]}/{parts[2]}/{parts[1]}" if parts and language() == "vi" else kept


def meant(of: Table, text: str) -> Column | None:
    """The column that a person names, by its name or by its title in either language."""
    wanted = plain(text)
    for each in of.columns:
        found = (each.title_vi, each.title_en) if each.title_vi else column_title(of.name, each.name) or ()
        if each.name == text.strip() or wanted in {plain(title) for title in found}:
            return each
    return None


def kept(of: Column, text: str) -> str | int | None:
    """What is kept of a value that a person writes in words, or of a day as it is written; None for any other."""
    for each, words in VALUES.get(of.name, {}).items():
        if plain(text) in {plain(word) for word in words}:
            found: str | int = each
            return found
    written = _WRITTEN.fullmatch(text) if of.type is Type.DATE else None
    return f"{written[3]}-{int(written[2]):02}-{int(written[1]):02}" if written else None


def operation(name: str) -> str:
    """What a proposal does to a row."""
    found = value_title("operation", name)
    return Both(*found).here if found else name


def has_words(name: str) -> bool:
    """Whether the values of a column are words of the program, so that their title says all."""
    return name in VALUES


def _described(of: str | None, name: str) -> Column | None:
    found = known().by_name.get(of or "")
    return found.by_name.get(name) if found else None
