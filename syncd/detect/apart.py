"""One row that makes looking fail: found by halves, so that every other disagreement is still found (I10).

Enters: the rows of a turn, a rule that failed on them together. Leaves: what the rule finds in the others, and for each
row (or rest) it fails on a finding that names rule, row and the place in our code.
Must hold: what concerns the whole node passes; attempts are bounded; a failure is told, also one that no row has or
that no part shows again; no value of a row leaves here, and nothing that
such a row's cases say is taken back, for nobody has looked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from conflict.case import CaseKind
from syncd import limits
from syncd.detect.changed import Changed
from syncd.detect.finding import Finding, Side
from syncd.errors import UnfitTables
from syncd.node.barriers import PASSING, reason_of, tell

T = TypeVar("T")
DUTY = "look for disagreements"
Place = tuple[str, str]  # table, row


@dataclass(slots=True)
class Attempts:
    """What is left of a turn's."""

    left: int


def by_halves(
    rule: str, changed: Changed, judge: Callable[[Changed], T], units: Callable[[Sequence[Place]], dict[str, str]]
) -> tuple[list[T], list[Finding]]:
    """What `judge` returns for the parts of `changed` it does not fail on, and what to say of the others. `units`: rows
    that are there → their unit."""
    done: list[T] = []
    failed: list[tuple[Sequence[Place], Exception]] = []
    met: list[Exception] = []
    attempts = Attempts(limits.DETECT_TRIES_MAX)

    def look(rows: Sequence[Place]) -> None:
        attempts.left -= 1
        try:
            done.append(judge(_only(changed, rows)))
        except Exception as error:  # whatever a row made of our code
            if isinstance(error, PASSING):
                raise
            met.append(error)
            if len(rows) <= 1 or attempts.left <= 0 or isinstance(error, UnfitTables):  # no row made a table go
                failed.append((rows, error))
                return
            half = len(rows) // 2
            look(rows[:half])
            look(rows[half:])

    look([(table, row_id) for table, ids in sorted(changed.rows.items()) for row_id in sorted(ids)])
    if met and not any(rows for rows, _error in failed):
        tell(met[0], duty=DUTY, about=rule, rows=changed.count)
    if len(failed) > limits.DETECT_STOPPED_MAX:  # it is not about this row or that
        failed = [([place for rows, _error in failed for place in rows], failed[0][1])]
    return done, [_stopped(rule, rows, error, units(rows)) for rows, error in failed if rows]


def _only(changed: Changed, rows: Sequence[Place]) -> Changed:
    chosen: dict[str, set[str]] = defaultdict(set)
    for table, row_id in rows:
        chosen[table].add(row_id)
    return replace(changed, rows=chosen)


def _stopped(rule: str, rows: Sequence[Place], error: Exception, unit_of: dict[str, str]) -> Finding:
    tell(error, duty=DUTY, about=rule, rows=len(rows), table=rows[0][0], row=rows[0][1])
    sides = tuple(Side(table=table, row_id=row_id, unit_id=unit_of.get(row_id)) for table, row_id in rows)
    return Finding(
        kind=CaseKind.DUTY_STOPPED, sides=sides[: limits.CASE_ROWS_MAX],
        detail={"duty": DUTY, "about": f"{rule}, {rows[0][0]} {rows[0][1]}", "error": reason_of(error), "rule": rule},
    )  # fmt: skip
