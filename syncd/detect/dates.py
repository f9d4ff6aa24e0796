"""Days that cannot be: to come, or so long ago that a digit is wrong. Imports refuse them; any other program may write
them.

Enters: the rows to look at, today. Leaves: findings, one for each row and column. Must hold: nothing is refused or
changed; a day to come is none once it has come, and is looked at again then.
"""

from __future__ import annotations

from collections.abc import Iterator

from conflict.case import CaseKind
from syncd import limits
from syncd.detect.changed import Changed
from syncd.detect.finding import Finding, Side
from syncd.detect.records import Records, chosen
from syncd.store.base import Tx

AHEAD, LONG_AGO = "date_ahead", "date_long_ago"
GONE = ("deceased", "departed")
HOUSEHOLD_DAYS = ("opened_on", "closed_on")


def impossible_days(tx: Tx, changed: Changed, records: Records, today: str) -> Iterator[Finding]:
    """What is wrong with the days of the rows of a look."""
    alive_since = f"{int(today[:4]) - limits.AGE_YEARS_MAX:04d}"
    for person_id in sorted(records.core & records.persons.keys()):
        person = records.persons[person_id]
        first = limits.DAY_MIN if person.residence in GONE else alive_since
        yield from _day("person", person_id, person.unit_id, "birth_date", person.birth_date, first, today)
    for birth in records.births.values():
        yield from _day("birth", birth.id, birth.unit_id, "born_on", birth.born_on, limits.DAY_MIN, today)
    for death in records.deaths.values():
        yield from _day("death", death.id, death.unit_id, "died_on", death.died_on, limits.DAY_MIN, today)
    for move in records.moves.values():
        yield from _day("migration", move.id, move.unit_id, "moved_on", move.moved_on, limits.DAY_MIN, today)
    ids = changed.rows.get("household", ())
    for row in chosen(tx, f"SELECT id, unit_id, {', '.join(HOUSEHOLD_DAYS)} FROM household WHERE", "id", ids):
        for column, day in zip(HOUSEHOLD_DAYS, row[2:], strict=True):
            if day is not None:
                yield from _day("household", row[0], row[1], column, day, limits.DAY_MIN, today)


def _day(
    table: str, row_id: str, unit_id: str, column: str, day: str, first: str, today: str
) -> Iterator[Finding]:  # fmt: skip
    rule = AHEAD if day > today else LONG_AGO if day < first else None
    if rule is not None:
        yield Finding(
            kind=CaseKind.RULE_VIOLATED, sides=(Side(table=table, row_id=row_id, unit_id=unit_id),),
            detail={"rule": f"{rule}:{column}", "column": column},
        )  # fmt: skip
