"""What may be repeated of a driver's words about a refusal: its code and names of ours, never what a row held.

Enters: the text of a database's library or server. Leaves: names of tables and columns that this release or the
deployment describes, and of syncd's own. Must hold: every part of the result stands in the schema; a text that quotes a
value, in whatever language and with whatever quotes, gives none of it away.
"""

from __future__ import annotations

import re

from schema.spec import Registry
from syncd.limits import NAME_CHARS_MAX

NAMES_MAX = 5
SQLITE_ERROR = 1  # of the statement itself, by sqlite3.h
SYNTAX = "42"  # the class of SQLSTATE: syntax, names and rights
OWN = ("syncd_", "ck_", "fk_", "pk_")  # tables, triggers, functions and rules that `schema/` makes
# Names as databases write them: quoted, with a dot, behind a colon. Bare words of a sentence may be words only.
_PLACES = re.compile(r'(?<=["«„])\w+(?=["»“])|(?<=: )[\w.]+|\w+(?:\.\w+)+|\b(?:syncd|ck|fk|pk)_\w+')


def named(registry: Registry, text: str) -> str:
    """The names of ours in a text, each once; empty where there are none."""
    tables = {table.name for table in registry}
    columns = {column.name for table in registry for column in table.all_columns}
    found: dict[str, None] = {}
    for place in _PLACES.findall(text):
        parts = place.strip(".").split(".")
        if all(part in tables or part in columns for part in parts):
            found[place.strip(".")] = None
        else:
            found |= dict.fromkeys(part for part in parts if part in columns or part in tables or _is_own(part, tables))
    return ", ".join(list(found)[:NAMES_MAX])


def _is_own(name: str, tables: set[str]) -> bool:
    """A name that syncd has made: in lower case, without letters of Vietnamese, and about a table of ours."""
    if len(name) > NAME_CHARS_MAX or not name.isascii() or not name.startswith(OWN):
        return False
    rest = name.partition("_")[2]
    return name.startswith(OWN[0]) or any(rest == table or rest.startswith(f"{table}_") for table in tables)


def definition_refused(error: BaseException) -> str:
    """What a database said of a statement that makes or changes tables: of its syntax and names in its own words, for
    nobody but the deployment has written them; where rows are at fault, the code alone."""
    code = getattr(error, "sqlite_errorcode", None)
    state = getattr(error, "sqlstate", None)
    if code is not None:
        return str(error) if code == SQLITE_ERROR else str(getattr(error, "sqlite_errorname", code))
    if state is not None:
        text = getattr(getattr(error, "diag", None), "message_primary", None) or ""
        return f"{text} ({state})" if state[:2] == SYNTAX else str(state)
    return type(error).__name__
