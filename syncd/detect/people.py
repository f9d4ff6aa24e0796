"""One number borne by two rows, and rows that are referred to and are not there.

Enters: changed ids, records. Leaves: findings. Must hold: a pair that is linked as one person, or that a person has
called two, is settled; a person who has left one unit and lives in another is a move, not a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conflict.case import CaseKind
from syncd import limits
from syncd.detect.changed import Changed
from syncd.detect.finding import Finding, Side
from syncd.detect.place import Places
from syncd.detect.records import Records, chosen
from syncd.store.base import Tx

NUMBERS = {
    "citizen_id": CaseKind.DUPLICATE_CITIZEN_ID,
    "insurance_no": CaseKind.DUPLICATE_INSURANCE_NO,
}
_SAME_NUMBER = """
    SELECT a.id, a.unit_id, b.id, b.unit_id FROM person AS a
    JOIN person AS b ON b.{column} = a.{column} AND b.id <> a.id
    WHERE a.residence <> 'departed' AND b.residence <> 'departed' AND NOT EXISTS (
        SELECT 1 FROM person_link AS x JOIN person_link AS y ON y.link_id = x.link_id
        WHERE x.person_id = a.id AND y.person_id = b.id
        AND (x.state = 'linked' OR (x.state = 'unlinked' AND x.method = 'person')))
    AND"""
_SAME_HOUSEHOLD_NO = """
    SELECT a.id, a.unit_id, b.id, b.unit_id FROM household AS a
    JOIN household AS b ON b.unit_id = a.unit_id AND b.number = a.number AND b.id <> a.id
    WHERE a.closed_on IS NULL AND b.closed_on IS NULL AND"""


def same_numbers(tx: Tx, changed: Changed, persons: Iterable[str]) -> Iterator[Finding]:
    """Pairs of rows with one citizen id, insurance number or (in a unit) household number."""
    ids = set(persons)
    for column, kind in NUMBERS.items():
        yield from _pairs(tx, _SAME_NUMBER.format(column=column), "person", kind, ids)
    yield from _pairs(
        tx, _SAME_HOUSEHOLD_NO, "household", CaseKind.DUPLICATE_HOUSEHOLD_NO, changed.rows.get("household", ())
    )


def missing(records: Records, places: Places) -> Iterator[Finding]:
    """References of the core and of all events here to persons who are not."""
    for person_id in sorted(records.core):
        person = records.persons.get(person_id)
        if person is not None:
            for column, target in (("mother_id", person.mother_id), ("father_id", person.father_id)):
                yield from _missing(records, places, Side(table="person", row_id=person.id, unit_id=person.unit_id),
                                    column, target)  # fmt: skip
    for birth in records.births.values():
        at = Side(table="birth", row_id=birth.id, unit_id=birth.unit_id)
        yield from _missing(records, places, at, "child_id", birth.child_id)
        yield from _missing(records, places, at, "mother_id", birth.mother_id)
    for death in records.deaths.values():
        at = Side(table="death", row_id=death.id, unit_id=death.unit_id)
        yield from _missing(records, places, at, "person_id", death.person_id)
    for move in records.moves.values():
        at = Side(table="migration", row_id=move.id, unit_id=move.unit_id)
        yield from _missing(records, places, at, "person_id", move.person_id)


def _pairs(tx: Tx, query: str, table: str, kind: CaseKind, ids: Iterable[str]) -> Iterator[Finding]:
    rest = f"ORDER BY a.id, b.id LIMIT {limits.DETECT_FOUND_MAX}"
    for one, one_unit, other, other_unit in chosen(tx, query, "a.id", ids, rest):
        sides = sorted(((one, one_unit), (other, other_unit)))
        yield Finding(kind=kind, sides=tuple(Side(table=table, row_id=row, unit_id=unit) for row, unit in sides))


def _missing(records: Records, places: Places, at: Side, column: str, target: str | None) -> Iterator[Finding]:
    """The node that minted the id has to lie below too; where it is not known, only the root can say it is nowhere."""
    if target is None or target in records.persons:
        return
    minter = places.minter(target)
    yield Finding(
        kind=CaseKind.UNRESOLVED_REFERENCE,
        sides=(at, Side(table="person", row_id=target, unit_id=None)),
        detail={"table": at.table, "column": column},
        grace_days=limits.MISSING_GRACE_DAYS,
        nodes=() if minter is None else (minter,),
        only_root=minter is None,
    )
