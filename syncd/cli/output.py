"""How results are printed: text tables, JSON, colours on a terminal that wants them.

Enters: rows and documents. Leaves: stdout. Must hold: no colour unless stdout is a terminal and NO_COLOR is unset; JSON
never changes with the language; columns line up also for Vietnamese (text is composed, one cell a letter).
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from syncd.language import Both, english_of
from syncd.store.patience import note_effect
from syncd.text import escaped

_COLOUR = re.compile(r"(\x1b\[[0-9;]{1,8}m)")
BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


def emit(text: str, *, raw: bool = False) -> None:
    """One piece of a result. Characters that a terminal would obey are written out, but for our own colours; `raw`: as
    they are."""
    shown = text if raw else escaped.lines(text) if not colours_wanted() else _painted(text)
    sys.stdout.write(shown if shown.endswith("\n") else shown + "\n")
    note_effect()


def _painted(text: str) -> str:
    """Escaped, but for colours."""
    pieces = _COLOUR.split(text)
    return "".join(piece if place % 2 else escaped.lines(piece) for place, piece in enumerate(pieces))


def emit_json(document: Any, *, indent: int | None = 2) -> None:
    """One JSON document, keys in the order of their fields, characters as they are."""
    emit(escaped.in_json(json.dumps(plain(document), ensure_ascii=False, indent=indent)))


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses as objects, bytes as hexadecimal."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return english_of(value) if isinstance(value, str | int | float | bool | None) else str(value)


def colours_wanted(stream: Any = None) -> bool:
    """Whether to paint (https://no-color.org)."""
    where = stream or sys.stdout
    return bool(where.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, *codes: str) -> str:
    """`text` in colours, where they are wanted."""
    if not codes or not colours_wanted():
        return text
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m"


def width(text: str) -> int:
    """Cells a text takes on a terminal, colour codes left out."""
    cells, in_code = 0, False
    for letter in text:
        if letter == "\x1b":
            in_code = True
        elif in_code:
            in_code = letter != "m"
        elif not unicodedata.combining(letter):
            cells += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return cells


def pad(text: str, cells: int, right: bool = False) -> str:
    """`text` in exactly `cells` cells, or longer if it is."""
    space = " " * max(0, cells - width(text))
    return space + text if right else text + space


def shorten(text: str, cells: int) -> str:
    """At most `cells` cells; an ellipsis says that there was more."""
    return text if width(text) <= cells else text[: max(0, cells - 1)] + "…"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = "") -> str:
    """Columns side by side; `right` names those that hold numbers."""
    lines = [list(headers), *[list(row) for row in rows]]
    widths = [max(width(line[place]) for line in lines) for place in range(len(headers))]
    drawn = [
        indent + "  ".join(pad(cell, widths[place], place in right) for place, cell in enumerate(line)).rstrip()
        for line in lines
    ]
    return "\n".join([paint(drawn[0], DIM), *drawn[1:]])


def table_title(name: str) -> str:
    """A table within a sentence: its title, where this release has one."""
    from syncd.store.base import known

    found = known().by_name.get(name)
    title = "" if found is None else Both(found.title_vi, found.title_en).here
    return title[:1].lower() + title[1:] or name


def cell(value: Any, *, raw: bool = False) -> str:
    """A database value in a table; nothing is said for NULL. `raw`: its text as it is."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if raw else escaped.line(str(value))
