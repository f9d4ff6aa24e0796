"""Aggregates proven and put right: every cell recounted from the records (design §6).

Enters: a snapshot, or an open node. Leaves: what differs, by unit and measure; cells that equal a recount.
Must hold: set-based; what still waits for the log is in no cell yet, so its unit is not judged before it is sequenced;
nothing that is sequenced or applied meanwhile is lost or counted twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conflict.case import CaseKind, case_id
from schema.spec import Registry
from syncd import limits
from syncd.aggregate import Recount, recounts
from syncd.cases import close_case, open_case
from syncd.clock import instant_of
from syncd.errors import DatabaseLocked
from syncd.events import event
from syncd.language import say
from syncd.store.base import Tx
from syncd.store.patience import patiently

if TYPE_CHECKING:
    from syncd.pipeline import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class CellDifference:
    """One measure of one unit. `cells`: how many differ; `counted`: what these add up to; `records`: what they
    should add up to."""

    unit_id: str
    unit: str
    measure: str
    cells: int
    records: int
    counted: int


def differences(tx: Tx, registry: Registry) -> list[CellDifference]:
    """What a recount of this snapshot finds, without units of which something waits for the log."""
    return [
        CellDifference(
            unit_id=row[0], unit=f"{row[1]} {row[2]}" if row[2] else str(row[0]), measure=row[3], cells=int(row[4]),
            records=int(row[5]), counted=int(row[6]),
        )
        for each in recounts(registry)
        for row in tx.all(_query(each, registry))
    ]  # fmt: skip


@patiently
def mend(node: Node) -> list[CellDifference]:
    """Count the cells of differing units anew, in one transaction; returns what had differed. Raises DatabaseLocked
    while programs do not stop writing there."""
    for _ in range(limits.CHECKPOINT_ATTEMPTS_MAX):
        node.write()
        with node.store.read() as snapshot:
            if not differences(snapshot, node.store.registry):
                return []
        with node.store.apply("cells") as tx:
            _hold(tx)
            found = differences(tx, node.store.registry)
            for unit_id in {each.unit_id for each in found}:
                _rebuild(tx, recounts(node.store.registry), unit_id)
        if found:
            return found
    raise DatabaseLocked(
        say("các ô số liệu đang được ghi liên tục", "the cells are being written all the time"),
        say("chạy lại sau ít phút", "run it again in a few minutes"),
    )


def check(node: Node) -> list[CellDifference]:
    """The nightly look: what differs is put right, and stays a case until somebody has read it."""
    found = mend(node)
    for each in found:
        event("cells-mended", logging.WARNING, unit=each.unit_id, measure=each.measure, cells=each.cells,
              records=each.records, counted=each.counted)  # fmt: skip
    if found:
        with node.store.apply("cells-case") as tx:
            note(tx, found, instant_of(node.clock()))
    return found


def note(tx: Tx, found: list[CellDifference], now: str) -> None:
    """A case for each measure of a unit: figures drawn since the last look may have been wrong."""
    for each in found:
        parts = ("cells", each.unit_id, each.measure)
        close_case(tx, case_id(CaseKind.RULE_VIOLATED, *parts), now)  # it is told anew, with new figures
        open_case(
            tx, CaseKind.RULE_VIOLATED, parts, opened_at=now, unit_id=each.unit_id,
            detail={"what": "cells", "measure": each.measure, "cells": each.cells, "records": each.records,
                    "counted": each.counted},
        )  # fmt: skip


def _query(each: Recount, registry: Registry) -> str:
    """Records and cells side by side, by their keys; only keys that differ, added up by unit and measure."""
    key, is_stock = ", ".join(each.key), "kind" not in each.key
    counted = ", ".join(str(table.number) for table in registry if table.fold)
    measure = "'population'" if is_stock else "d.kind"
    return f"""
        SELECT d.unit_id, u.code, u.name, {measure}, count(*), sum(d.records), sum(d.counted)
        FROM (
            SELECT {key}, sum(records) AS records, sum(counted) AS counted FROM (
                SELECT {key}, n AS records, 0 AS counted FROM ({each.counted}) AS r
                UNION ALL SELECT {key}, 0, n FROM {each.cells}
            ) AS sides GROUP BY {key} HAVING sum(records) <> sum(counted)
        ) AS d LEFT JOIN unit AS u ON u.id = d.unit_id
        WHERE NOT EXISTS (SELECT 1 FROM syncd_journal AS j WHERE j.unit_id = d.unit_id AND j.tab IN ({counted}))
        GROUP BY d.unit_id, u.code, u.name{"" if is_stock else ", d.kind"} ORDER BY 2, 1, 4
    """


def _hold(tx: Tx) -> None:
    """Wait for whoever is counting or journaling now, and let nobody begin: each statement here has a snapshot of its
    own on PostgreSQL, and a change must be in both records and journal of one of them, or in neither. SQLite has one
    writer anyway."""
    if tx.dialect != "sqlite":
        tx.run(f"SET LOCAL lock_timeout = {limits.MEND_LOCK_MS_MAX}")
        # In the order in which a cut writes to them.
        tx.run("LOCK TABLE syncd_cell_stock, syncd_cell_flow, syncd_journal IN SHARE ROW EXCLUSIVE MODE")


def _rebuild(tx: Tx, how: list[Recount], unit_id: str) -> None:
    for each in how:
        tx.run(f"DELETE FROM {each.cells} WHERE unit_id = ?", (unit_id,))
        tx.run(
            f"INSERT INTO {each.cells} ({', '.join(each.key)}, n)"
            f" SELECT {', '.join(each.key)}, n FROM ({each.counted}) AS r WHERE r.unit_id = ?",
            (unit_id,),
        )
