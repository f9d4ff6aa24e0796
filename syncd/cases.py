"""Cases found here: recorded once under a stable id, shown until closed (design §5).

Enters: a kind and the identifiers of what disagrees. Leaves: a row of `syncd_case`.
Must hold: no personal value in a case; the same disagreement met twice is one case.
"""

from __future__ import annotations

import json

from conflict.case import CaseKind, case_id
from syncd.store.base import Tx


def open_case(
    tx: Tx,
    kind: CaseKind,
    parts: tuple[str | int, ...],
    *,
    opened_at: str,
    detail: dict[str, str | int],
    stream_id: str | None = None,
    unit_id: str | None = None,
    tab: int | None = None,
    row_id: str | None = None,
) -> str:
    """Record a case unless it is known; returns its id."""
    found = case_id(kind, *parts)
    tx.run(
        "INSERT INTO syncd_case (case_id, kind, stream_id, unit_id, tab, row_id, detail, opened_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (case_id) DO UPDATE SET closed_at = NULL WHERE syncd_case.closed_at IS NOT NULL",
        (found, kind.value, stream_id, unit_id, tab, row_id, json.dumps(detail, sort_keys=True), opened_at),
    )
    return found


def close_cases(tx: Tx, kind: CaseKind, stream_id: str, closed_at: str) -> None:
    """Close the open cases of one kind about a stream: their cause is gone."""
    tx.run(
        "UPDATE syncd_case SET closed_at = ? WHERE kind = ? AND stream_id = ? AND closed_at IS NULL",
        (closed_at, kind.value, stream_id),
    )
