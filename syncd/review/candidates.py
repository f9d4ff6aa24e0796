"""Moves that may be the other end of one that stands alone: shown to whoever decides, never taken by itself.

Enters: a disagreement. Leaves: "id · unit · date" texts, the nearest in time first. Must hold: bounded; only rows that
are alike in name, sex and date of birth.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from conflict.match import resembles
from syncd import limits
from syncd.review.verbs import MOVES
from syncd.store.base import Tx
from syncd.text import titles

if TYPE_CHECKING:
    from syncd.disagreements import Conflict

_PERSON = ("full_name", "sex", "birth_date", "birth_precision")
_OTHERS = f"""
    SELECT m.id, m.moved_on, u.code, u.name, {", ".join(f"p.{name}" for name in _PERSON)}
    FROM person AS p JOIN migration AS m ON m.person_id = p.id LEFT JOIN unit AS u ON u.id = m.unit_id
    WHERE m.direction <> ? AND m.moved_on BETWEEN ? AND ? AND p.sex = ? AND p.unit_id <> ?
    ORDER BY m.moved_on LIMIT ?
"""


def candidates(tx: Tx, found: Conflict) -> list[str]:
    """Nothing for a disagreement of another kind."""
    if found.kind not in {kind.value for kind in MOVES} or not found.is_here:
        return []
    row = tx.one(
        f"SELECT m.direction, m.moved_on, p.unit_id, {', '.join(f'p.{name}' for name in _PERSON)}"
        " FROM migration AS m JOIN person AS p ON p.id = m.person_id WHERE m.id = ?",
        (found.row_id,),
    )
    if row is None:
        return []
    mine = dict(zip(_PERSON, row[3:], strict=True))
    on = date.fromisoformat(row[1])
    span = timedelta(days=limits.MOVE_OVERDUE_DAYS)
    values = (row[0], (on - span).isoformat(), (on + span).isoformat(), mine["sex"], row[2], limits.DETECT_FOUND_MAX)
    alike = [
        (abs((date.fromisoformat(moved_on) - on).days), f"{move_id} · {code} {name} · {titles.day(moved_on)}")
        for move_id, moved_on, code, name, *person in tx.all(_OTHERS, values)
        if resembles(mine, dict(zip(_PERSON, person, strict=True)))
    ]
    return [text for _, text in sorted(alike)[: limits.DETECT_SIDES_SHOWN]]
