"""Cases found here: recorded once under a stable id, shown until closed (design §5).

Enters: a kind and the identifiers of what disagrees. Leaves: a row of `syncd_case`, and one per row it is about.
Must hold: no personal value in a case; the same disagreement met twice is one case; one that comes back after its cause
was gone is the same case opened again, which asks anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from conflict.case import CaseKind, case_id
from syncd.language import Both
from syncd.store.base import Tx

CaseRow = tuple[str, int, str | None]  # row id, table number, unit; no unit: the row is not there


def open_case(
    tx: Tx,
    kind: CaseKind,
    parts: tuple[str | int, ...],
    *,
    opened_at: str,
    detail: Mapping[str, str | int],
    stream_id: str | None = None,
    unit_id: str | None = None,
    tab: int | None = None,
    row_id: str | None = None,
    rows: Iterable[CaseRow] = (),
) -> str:
    """Record a case unless it is known; returns its id."""
    found = case_id(kind, *parts)
    tx.run(
        "INSERT INTO syncd_case (case_id, kind, stream_id, unit_id, tab, row_id, detail, opened_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (case_id) DO UPDATE SET closed_at = NULL, opened_at = excluded.opened_at,"
        " detail = excluded.detail, openings = syncd_case.openings + 1 WHERE syncd_case.closed_at IS NOT NULL",
        (found, kind.value, stream_id, unit_id, tab, row_id, json.dumps(dict(detail), sort_keys=True), opened_at),
    )
    tx.many(
        "INSERT INTO syncd_case_row (case_id, row_id, tab, unit_id) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (case_id, row_id) DO UPDATE SET unit_id = excluded.unit_id",
        [(found, row, table, unit) for row, table, unit in rows],
    )
    return found


def close_case(tx: Tx, case: str, closed_at: str) -> None:
    """Close a case: its cause is gone."""
    tx.run("UPDATE syncd_case SET closed_at = ? WHERE case_id = ? AND closed_at IS NULL", (closed_at, case))


def close_cases(tx: Tx, kind: CaseKind, stream_id: str, closed_at: str) -> None:
    """Close the open cases of one kind about a stream: their cause is gone."""
    tx.run(
        "UPDATE syncd_case SET closed_at = ? WHERE kind = ? AND stream_id = ? AND closed_at IS NULL",
        (closed_at, kind.value, stream_id),
    )


def case_title(kind: str) -> str:
    """A kind of case by its title."""
    try:
        known = CaseKind(kind)
    except ValueError:
        return kind
    return Both(known.title_vi, known.title_en).here
