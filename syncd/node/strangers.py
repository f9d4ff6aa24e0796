"""What an application has added to replicated tables: UNIQUE indexes, which can stop a stream, and triggers, which can
change rows while they are applied.

Enters: an open node. Leaves: a line in the log and an open case for each, with the remedy; closed when it is gone.
Must hold: nothing of theirs is removed; it is said at start and when the catalogue has changed, before it
does harm.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from conflict.case import CaseKind, case_id
from schema.names import literal
from syncd.cases import close_case, open_case
from syncd.clock import instant_of
from syncd.events import event
from syncd.node_files import OpenNode
from syncd.store.base import Tx

UNIQUE, TRIGGER = "strange-index", "strange-trigger"

_SQLITE = """
SELECT 'strange-index', m.name, i.name FROM sqlite_master AS m, pragma_index_list(m.name) AS i
WHERE m.type = 'table' AND m.name IN ({names}) AND i."unique" = 1 AND i.origin <> 'pk'
UNION ALL
SELECT 'strange-trigger', tbl_name, name FROM sqlite_master
WHERE type = 'trigger' AND tbl_name IN ({names}) AND name NOT GLOB 'syncd_*'
"""
# Ordinary triggers rest while rows are applied (session_replication_role); those that fire always, or then, do not.
_POSTGRES = """
SELECT 'strange-index', c.relname::text, x.relname::text FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname IN ({names})
  AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary
UNION ALL
SELECT 'strange-trigger', c.relname::text, t.tgname::text FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname IN ({names})
  AND NOT t.tgisinternal AND t.tgenabled IN ('A', 'R') AND t.tgname NOT LIKE 'syncd\\_%'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """One of them: `what` is UNIQUE or TRIGGER."""

    what: str
    table: str
    name: str


def strangers(tx: Tx, names: list[str]) -> list[Stranger]:
    """What an application has added to tables of these names."""
    query = (_SQLITE if tx.dialect == "sqlite" else _POSTGRES).format(names=", ".join(map(literal, names)))
    return [Stranger(what=row[0], table=row[1], name=row[2]) for row in sorted(tx.all(query))]


def tell(opened: OpenNode) -> None:
    """Say of each that it is there, and close what was said of those that are gone."""
    me, now = opened.node.node_id, instant_of(opened.node.clock())
    with opened.store.read() as tx:
        found = strangers(tx, [table.name for table in opened.store.registry])
        known = _known(tx)
    here = {case_id(CaseKind.RULE_VIOLATED, *_parts(each, me)): each for each in found}
    for each in found:
        event(each.what, logging.WARNING, table=each.table, found=each.name)
    if here.keys() != known:
        with opened.store.apply("strangers") as tx:
            for case in known - here.keys():
                close_case(tx, case, now)
            for each in found:
                detail: dict[str, Any] = {"what": each.what, "table": each.table, "name": each.name}
                open_case(tx, CaseKind.RULE_VIOLATED, _parts(each, me), opened_at=now, detail=detail)


def _parts(each: Stranger, me: str) -> tuple[str, str, str, str]:
    return each.what, me, each.table, each.name


def _known(tx: Tx) -> set[str]:
    query = (
        'SELECT case_id FROM syncd_case WHERE kind = ? AND closed_at IS NULL AND detail LIKE \'%"what": "strange-%\''
    )
    return {row[0] for row in tx.all(query, (CaseKind.RULE_VIOLATED.value,))}
