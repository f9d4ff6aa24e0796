"""What others wrote, made fit to be shown: no character of it moves a cursor, changes a colour or turns text round.

Enters: text of a neighbour, of a row, of another program. Leaves: the same, with such characters written out.
Must hold: letters stay as they are; what is escaped can be told from what was typed by its form (`\\x1b`, `\\u202e`).
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

from syncd.language import Said

T = TypeVar("T")
# Controls (C0, DEL, C1), what turns or hides text (bidirectional marks, zero-width and line separators, tags), and half
# of a surrogate pair.
_HIDDEN = (
    "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_IN_LINES = re.compile(f"[{_HIDDEN}]")
_IN_LINE = re.compile(f"[\n{_HIDDEN}]")
_IN_JSON = re.compile(f"[{_HIDDEN}]")  # the encoder has escaped C0 inside texts already
# What a spreadsheet takes for a formula, unless it is a number.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def lines(text: str) -> str:
    """A text of several lines."""
    return _IN_LINES.sub(_written_out, text)


def line(text: str) -> str:
    """A text within one line: a line break is shown, not made."""
    return _IN_LINE.sub(_written_out, text)


def tree(value: T) -> T:
    """A document whose texts all are single lines: dataclasses, lists, mappings."""
    return _tree(value)  # type: ignore[no-any-return]  # of the same kind, by construction


def in_json(text: str) -> str:
    """A JSON document that says the same in characters that a terminal only shows."""
    return _IN_JSON.sub(lambda found: _json_escape(found[0]), text)


def for_spreadsheet(text: str) -> str:
    """A cell that no spreadsheet calculates. A number stays one."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _tree(value: Any) -> Any:
    if isinstance(value, Said):
        return Said(line(value), line(value.english))
    if isinstance(value, str):
        # An enumeration's member is one of ours.
        return line(value) if type(value) is str else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(value, **{name: _tree(getattr(value, name)) for name in fields})
    if isinstance(value, dict):
        return {_tree(key): _tree(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_tree(item) for item in value))
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_tree(item) for item in value)
    return value


def _written_out(found: re.Match[str]) -> str:
    if found[0] == "\n":
        return "⏎"
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(letter: str) -> str:
    """As JSON writes it: beyond 16 bits as a surrogate pair."""
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
