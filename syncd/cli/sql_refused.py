"""What `syncd sql` does not run: changes of the tables' structure, and writes to syncd's own tables; and what the guard
of the tables said to a statement.

Enters: a script; what SQLite asks before it compiles a statement; the guard's text. Leaves: nothing, or
PermissionDenied.
Must hold: reads stay free; what the triggers themselves write to syncd's tables is allowed; nothing here stands in for
the database's own rights: it keeps a slip of the hand from breaking a node.
"""

from __future__ import annotations

import re
from typing import Final

from schema import refusals
from syncd.errors import PermissionDenied
from syncd.language import language, say
from syncd.text.command import at_hand

OWN_PREFIX: Final = "syncd_"
STRUCTURE_WORDS: Final = frozenset(
    [
        "alter",
        "attach",
        "call",
        "cluster",
        "comment",
        "create",
        "detach",
        "do",
        "drop",
        "grant",
        "reassign",
        "refresh",
        "reindex",
        "revoke",
        "security",
        "truncate",
        "vacuum",
    ]
)
# Texts and comments say nothing of what a statement does; names in double quotes do.
PASSED_OVER: Final = re.compile(r"""("[^"]*")|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\2\$""", re.DOTALL)
OWN_WRITE: Final = re.compile(
    r"""\b(?:insert\s+into|replace\s+into|update(?:\s+or\s+\w+)?|delete\s+from|merge\s+into|copy)\s+(?:only\s+)?"""
    r"""(?:"?\w+"?\s*\.\s*)?"?(syncd_\w+)""",
    re.IGNORECASE,
)

# The numbers of sqlite3.h; the driver names not all of them.
ALLOWED, DENIED = 0, 1
DELETE, INSERT, PRAGMA, UPDATE = 9, 18, 19, 23
STRUCTURE_ACTIONS: Final = frozenset({*range(1, 9), *range(10, 18), 24, 25, 26, 27, 29, 30})
PRAGMAS_WITH_ARGUMENT: Final = frozenset(
    [
        "table_info",
        "table_xinfo",
        "table_list",
        "index_info",
        "index_xinfo",
        "index_list",
        "foreign_key_list",
        "foreign_key_check",
        "integrity_check",
        "quick_check",
    ]
)
PRAGMAS_THAT_WRITE: Final = frozenset(["incremental_vacuum", "optimize", "wal_checkpoint"])


# The guard names a unit by its id where it cannot do better, and the command to type without its values.
UNIT_ID: Final = re.compile(r"(?:đơn vị|unit) (?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
UNIT_NAMED: Final = re.compile(r"đơn vị (?P<code>\S+) .+ do máy ")
TYPED: Final = re.compile(r"syncd propose (?P<op>insert|update|delete) (?P<table>\w+)(?: (?P<id>[0-9a-f-]{36}))?.*$")
COLUMN_SET: Final = re.compile(r"\bset\s+\"?(\w+)\"?\s*=|\binto\s+\"?\w+\"?\s*\(([^)]*)\)", re.IGNORECASE)


def refused_unit(text: str) -> str | None:
    """The id of the unit the guard spoke of, where it had no better name."""
    found = UNIT_ID.search(text) if text.startswith("syncd: ") else None
    return found["id"] if found else None


def refusal(text: str, statement: str = "", unit: tuple[str, str] | None = None) -> PermissionDenied | None:
    """What the guard said, in the reader's language; None when it was not the guard. `unit`: code and name of the unit
    it spoke of.
    """
    head, found, said = text.partition("syncd: ")
    if not found or head.strip():
        return None
    vietnamese, slash, english = said.partition(" / table ")
    place = 0 if language() == "vi" or not slash else 1
    what, _, hint = (f"table {english}" if place else vietnamese).partition("; ")
    code = unit[0] if unit else next((named["code"] for named in UNIT_NAMED.finditer(vietnamese)), "")
    if unit:
        what = UNIT_ID.sub(lambda given: f"{given[0].rpartition(' ')[0]} {unit[0]} {unit[1]}", what)
    return PermissionDenied(what, TYPED.sub(lambda given: _typed(given, place, statement, code), hint))


def _typed(given: re.Match[str], place: int, statement: str, code: str) -> str:
    """The whole command, with a column of the statement; its value is not repeated."""
    written = COLUMN_SET.search(statement)
    names = [name.strip(' "') for name in (written[1] or written[2]).split(",")] if written else []
    column = next((name for name in names if name not in ("id", "unit_id")), "")
    whole = refusals.command(given["op"], place, column, code)
    return at_hand(whole.format(table=given["table"], id=given["id"] or "ID"))


def refuse_script(script: str) -> None:
    """Raise PermissionDenied for the first statement of `script` that is not run here."""
    for statement in PASSED_OVER.sub(lambda found: found[1] or " ", script).split(";"):
        word = (statement.split() or [""])[0].lower()
        if word in STRUCTURE_WORDS:
            raise structure_refused(word.upper())
        written = OWN_WRITE.search(statement)
        if written:
            raise own_table_refused(written[1])


class Authorizer:
    """Answers SQLite's questions; `refused` says why it answered no."""

    def __init__(self) -> None:
        self.refused: PermissionDenied | None = None

    def __call__(
        self, action: int, name: str | None, argument: str | None, _database: str | None, trigger: str | None
    ) -> int:
        target = (name or "").lower()
        if action in (INSERT, UPDATE, DELETE) and target.startswith(OWN_PREFIX) and trigger is None:
            self.refused = own_table_refused(target)
        elif action in STRUCTURE_ACTIONS:
            self.refused = self.refused or structure_refused(name or "")
        elif action == PRAGMA and _writes(target, argument):
            self.refused = structure_refused(f"PRAGMA {target}")
        else:
            return ALLOWED
        return DENIED


def _writes(pragma: str, argument: str | None) -> bool:
    return pragma in PRAGMAS_THAT_WRITE or (argument is not None and pragma not in PRAGMAS_WITH_ARGUMENT)


def structure_refused(what: str) -> PermissionDenied:
    """For a statement that would change the structure or the database's settings."""
    return PermissionDenied(
        say(
            "syncd sql không đổi cấu trúc hay thiết lập của cơ sở dữ liệu: {what}",
            "syncd sql does not change the structure or the settings of the database: {what}",
            what=what,
        ),
        say(
            "không có gì được ghi; ở đây chỉ dùng SELECT, INSERT, UPDATE, DELETE",
            "nothing was written; use SELECT, INSERT, UPDATE, DELETE here",
        ),
    )


def own_table_refused(table: str) -> PermissionDenied:
    """For a write to a table of syncd's own."""
    return PermissionDenied(
        say("bảng {table} do syncd tự ghi", "table {table} is written by syncd alone", table=table),
        say(
            "không có gì được ghi; hãy sửa bảng nghiệp vụ, syncd tự ghi nhận",
            "nothing was written; change the registers' tables, syncd records it by itself",
        ),
    )
