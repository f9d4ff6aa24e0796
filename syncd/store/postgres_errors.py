"""What an error of PostgreSQL means to us: judged by its code, told without what any row held.

Enters: psycopg's error. Leaves: ours, with the remedy. Must hold: no text that a server, or an application's trigger,
wrote about a value goes on to a log, a screen or another node; the server's language changes nothing.
"""

from __future__ import annotations

import re

import psycopg
from psycopg import errors as pg

from syncd.errors import DatabaseLocked, DatabaseUnreachable, DiskFull, StoreError
from syncd.language import say
from syncd.store.base import not_unique, rule_broken

# Classes of SQLSTATE whose messages quote the value at fault.
DATA, INTEGRITY, RAISED = "22", "23", "P0"
_FUNCTION = re.compile(r'function (?:[\w$."]+\.)?([\w$"]+)\(')
OURS = "syncd"


def translate(error: psycopg.Error) -> Exception:
    """Our error for a database error, with the remedy."""
    state = error.sqlstate or ""
    text = (error.diag.message_primary or str(error)).strip()  # never the DETAIL, which quotes the row
    if isinstance(error, pg.DiskFull | pg.OutOfMemory):
        return DiskFull(
            say("PostgreSQL hết chỗ trên đĩa: {text}", "PostgreSQL has no space left: {text}", text=text),
            hint=say("giải phóng đĩa; không mất gì đã ghi nhận", "free disk space; nothing acknowledged is lost"),
        )
    if isinstance(error, pg.LockNotAvailable | pg.DeadlockDetected | pg.SerializationFailure | pg.QueryCanceled):
        return DatabaseLocked(
            f"PostgreSQL: {text}",
            hint=say(
                "giao dịch khác đang giữ bản ghi; syncd tự thử lại",
                "another transaction holds the rows; syncd tries again by itself",
            ),
        )
    if isinstance(error, psycopg.OperationalError):
        return DatabaseUnreachable(
            say("PostgreSQL bị ngắt: {text}", "PostgreSQL broke off: {text}", text=text),
            hint=say("syncd tự kết nối lại; xem nhật ký máy chủ", "syncd reconnects by itself; see the server's log"),
        )
    name = error.diag.constraint_name or ""
    if isinstance(error, pg.UniqueViolation | pg.ExclusionViolation) and not name.startswith(("pk_", "syncd_")):
        return not_unique(f"{error.diag.table_name}, {name}")
    if state[:2] == INTEGRITY:
        return rule_broken(_rule(error)) or _quiet(error)
    if state[:2] in (DATA, RAISED) and not text.startswith(OURS):
        return _quiet(error)
    return StoreError(
        f"PostgreSQL: {text}",
        hint=say(
            "chạy `syncd verify`; nhật ký máy chủ có câu lệnh đó",
            "run `syncd verify`; the server's log has the statement",
        ),
    )


def _rule(error: psycopg.Error) -> str:
    """The broken rule as a server that speaks English names it."""
    found = error.diag
    if isinstance(error, pg.NotNullViolation):
        return f'null value in column "{found.column_name}" of relation "{found.table_name}" violates a constraint'
    return f'violates check constraint "{found.constraint_name}"' if isinstance(error, pg.CheckViolation) else ""


def _quiet(error: psycopg.Error) -> StoreError:
    """Names and the code alone: the message quotes what somebody typed, or is an application's own."""
    found = error.diag
    function = _FUNCTION.search(found.context or "")
    names = [
        name for name in (found.table_name, found.column_name, found.constraint_name, function and function[1]) if name
    ]
    where = ", ".join(names) or "–"
    return StoreError(
        say(
            "PostgreSQL từ chối một giá trị (mã {state}; {where})",
            "PostgreSQL refuses a value (code {state}; {where})",
            state=error.sqlstate,
            where=where,
        ),
        hint=say(
            "xem ràng buộc, trigger hoặc hàm nêu trên; nhật ký máy chủ có câu lệnh đó",
            "see the constraint, trigger or function named; the server's log has the statement",
        ),
    )
