"""What an error of PostgreSQL means to us: judged by its code, told without what any row held.

Enters: psycopg's error. Leaves: ours, with the remedy. Must hold: no text that a server, or an application's trigger,
wrote about a value goes on to a log, a screen or another node; the server's language changes nothing.
"""

from __future__ import annotations

import re

import psycopg
from psycopg import errors as pg

from schema.refusals import is_ours
from syncd.errors import StoreError, SyncdError
from syncd.language import say
from syncd.store.base import id_taken, known, not_unique, rule_broken
from syncd.store.causes import UNFIT, Cause, first
from syncd.store.named import named
from syncd.store.postgres_causes import BROKEN_OFF, BY_CLASS, BY_CODE, REFUSED
from syncd.store.postgres_unreached import unreached_cause

INTEGRITY = "23"
UNIQUE, EXCLUSION, NOT_NULL, CHECK = "23505", "23P01", "23502", "23514"
_FUNCTION = re.compile(r'function (?:[\w$."]+\.)?([\w$"]+)\(')


def translate(error: psycopg.Error) -> Exception:
    """Our error for a database error, with the remedy."""
    state = error.sqlstate or ""
    text = (error.diag.message_primary or "").strip()
    if is_ours(text):  # our own guard
        return StoreError(text, say("không có gì được ghi", "nothing was written"))
    name = error.diag.constraint_name or ""
    if state == UNIQUE and name.startswith("pk_"):
        return id_taken(error.diag.table_name or "")
    if state in (UNIQUE, EXCLUSION) and not name.startswith(("pk_", "syncd_")):
        return not_unique(f"{error.diag.table_name}, {name}")
    if state[:2] == INTEGRITY and (broken := rule_broken(_rule(state, error))):
        return broken
    return cause_of(error).error(why=_why(error, text), place="PostgreSQL")


def cause_of(error: psycopg.Error) -> Cause:
    """What sort of trouble it is, by the server's code; a connection that broke has none."""
    state = error.sqlstate or ""
    if not state:
        return BROKEN_OFF if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else REFUSED
    found = first((state, state[:2]), {**BY_CLASS, **BY_CODE}, REFUSED)
    # An application's trigger may miss a table of its own.
    return REFUSED if found is UNFIT and not named(known(), error.diag.message_primary or "") else found


def _rule(state: str, error: psycopg.Error) -> str:
    """The broken rule as a server that speaks English names it."""
    found = error.diag
    if state == NOT_NULL:
        return f'null value in column "{found.column_name}" of relation "{found.table_name}" violates a constraint'
    return f'violates check constraint "{found.constraint_name}"' if state == CHECK else ""


def _why(error: psycopg.Error, text: str) -> str:
    """The code with the server's name for it, and names: the message quotes what somebody typed, or is an
    application's own."""
    found = error.diag
    function = _FUNCTION.search(found.context or "")
    names = [found.table_name, found.column_name, found.constraint_name, function and function[1]]
    known_names = named(known(), text)
    listed = list(dict.fromkeys(name for name in (*names, *known_names.split(", ")) if name))
    code = f"{error.sqlstate} {_word(error.sqlstate)}" if error.sqlstate else type(error).__name__
    return "; ".join([code, *([", ".join(listed)] if listed else [])])


def _word(state: str) -> str:
    try:
        return pg.lookup(state).__name__
    except KeyError:
        return "?"


def unreached(error: psycopg.OperationalError) -> SyncdError:
    """There is no connection yet, so that no row can be quoted: the library's words tell host, port and account."""
    words = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return unreached_cause(words).error(error=words)
