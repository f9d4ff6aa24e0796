"""Carrying out: what a decision writes: the change of the tables and the verdict, all of a wave by sets (I11).

Enters: decisions, in the transaction that made them. Leaves: rows of the tables, rows of `verdict`, captured like any.
Must hold: a new row bears an id of this node, or the verdict says what it was wished under; a verdict behind a referral
names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from conflict.verdict import Verdict
from schema.names import listed, quoted
from schema.spec import Registry, Table, Type
from syncd.clock import instant_of
from syncd.derived import derived_id
from syncd.moved_rows import referral_id
from syncd.store.base import Tx
from syncd.tree import Tree
from syncd.undecided import REFERRED, Referral, Waiting

VERDICT_COLUMNS = (
    "unit_id", "proposal_id", "outcome", "row_id", "detail", "case_kind", "decided_at", "decided_by", "resolves",
)  # fmt: skip


class Decision(msgspec.Struct, frozen=True, kw_only=True):  # thousands are made at once
    """What is written: the verdict's row, and the change of the table it carries."""

    waiting: Waiting
    unit_id: str
    outcome: str
    detail: str
    case: str | None = None
    table: Table | None = None
    verdict: Verdict | None = None


class Writer:
    """Writes decisions in one transaction. `referrals`: of the proposals of the wave at hand."""

    def __init__(self, tx: Tx, registry: Registry, tree: Tree, now_ms: int) -> None:
        self._tx = tx
        self._registry = registry
        self._tree = tree
        self._now_ms = now_ms
        self.referrals: Mapping[str, Referral] = {}

    def carry_out(self, decisions: Sequence[Decision]) -> None:
        """Write what the verdicts say, and the verdicts."""
        updates: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = {}
        deletes: dict[tuple[str, str], list[str]] = {}
        inserted: dict[str, tuple[str, str]] = {}
        for each in decisions:
            if each.table is None or each.verdict is None:
                continue
            place, row_id = (each.table.name, each.unit_id), each.waiting.row_id or ""
            if each.verdict.insert:
                inserted[each.waiting.id] = self._insert(each.table, each, each.verdict)
            elif each.verdict.delete:
                deletes.setdefault(place, []).append(row_id)
            elif each.verdict.writes:
                updates.setdefault(place, []).append((row_id, each.verdict.writes))
        for (table_name, unit_id), rows in updates.items():
            self._update(self._registry.by_name[table_name], unit_id, rows)
        for (table_name, unit_id), gone in deletes.items():
            self._tx.delete_ids(self._registry.by_name[table_name], unit_id, gone, ["id"])
        self.record([(each, *inserted.get(each.waiting.id, (each.waiting.row_id, each.detail))) for each in decisions])

    def _insert(self, table: Table, of: Decision, verdict: Verdict) -> tuple[str, str]:
        """A new row: its id, and the verdict's detail. One that this node had written on a branch that was not the
        stream's keeps its id; one that was wished when another node kept the unit gets one made from it, and so does
        what it names: the detail says so."""
        row_id, writes, detail = of.waiting.row_id, verdict.writes, of.detail
        if row_id is not None:
            renamed = self._renamed(table, writes)
            writes = {"id": self._own_id(row_id), **writes, **renamed}
            if renamed:
                facts = json.loads(detail) | {"renamed": renamed}
                detail = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        names = ("unit_id", *writes)
        marks = ", ".join("?" * len(names))
        query = f"INSERT INTO {table.sql} ({listed(names)}) VALUES ({marks}) RETURNING id"
        return str(self._tx.value(query, (of.unit_id, *writes.values()))), detail

    def _own_id(self, row_id: str) -> str:
        tag = self._tree.me[28:]
        return row_id if row_id[28:] == tag else derived_id("wished", row_id, tag)

    def _renamed(self, table: Table, writes: Mapping[str, Any]) -> dict[str, Any]:
        """References to rows that were wished under an id of another node, and are kept under one made from it."""
        renamed = {}
        for column in table.columns:
            named = writes.get(column.name)
            if column.references is None or named is None or named[28:] == self._tree.me[28:]:
                continue
            other, query = self._own_id(named), f"SELECT id FROM {quoted(column.references)} WHERE id IN (?, ?)"
            if [row[0] for row in self._tx.all(query, (named, other))] == [other]:
                renamed[column.name] = other
        return renamed

    def _update(self, table: Table, unit_id: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        names = sorted({name for _, writes in rows for name in writes})
        masks = [sum(1 << table.by_name[name].number for name in writes) for _, writes in rows]
        values: dict[str, Sequence[Any]] = {name: [writes.get(name) for _, writes in rows] for name in names}
        touched = self._tx.update_columns(table, unit_id, [row_id for row_id, _ in rows], masks, values)
        if touched != len(rows):
            raise ValueError(f"{len(rows) - touched} rows of {table.name} were gone when they were to be written")

    def record(self, decided: Sequence[tuple[Decision, str | None, str]]) -> None:
        """Write verdicts: each with the row it is about and its detail."""
        if not decided:
            return
        me = self._tree.nodes.get(self._tree.me)
        at, by = instant_of(self._now_ms), me.name if me else self._tree.me
        table = self._registry.by_name["verdict"]
        types = [table.by_name[name].type for name in VERDICT_COLUMNS]
        rows, referred = [], []
        for each, row_id, detail in decided:
            resolves = self.referrals.get(each.waiting.id)
            row = (each.unit_id, each.waiting.id, each.outcome, row_id, detail, each.case, at, by,
                   resolves.id if resolves else None)  # fmt: skip
            if each.outcome == REFERRED:
                referred.append((referral_id(each.unit_id, each.waiting.id, self._tree.me[28:]), *row))
            else:
                rows.append(row)
        if rows:
            self._tx.insert_columns(table, VERDICT_COLUMNS, types, list(zip(*rows, strict=True)))
        if referred:
            names, types = ("id", *VERDICT_COLUMNS), [Type.UUID, *types]
            self._tx.insert_columns(table, names, types, list(zip(*referred, strict=True)))
