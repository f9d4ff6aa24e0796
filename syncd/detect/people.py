"""One number borne by two rows, and rows that are referred to and are not there.

Enters: changed ids, records. Leaves: findings. Must hold: a pair that is linked as one person, or that a person has
called two, is settled; a person who has left one unit and lives in another is a move, not a duplicate.
"""

from __future__ import annotations

from collections import defaultdict
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
# All open households of the numbers that these bear, where a number is borne by several.
_SAME_HOUSEHOLD_NO = """
    SELECT h.unit_id, h.number, h.id FROM household AS h
    JOIN (SELECT DISTINCT unit_id, number FROM household WHERE closed_on IS NULL AND"""
_REST = """) AS a ON a.unit_id = h.unit_id AND a.number = h.number WHERE h.closed_on IS NULL AND EXISTS (
        SELECT 1 FROM household AS o WHERE o.unit_id = h.unit_id AND o.number = h.number AND o.id <> h.id
        AND o.closed_on IS NULL)
    ORDER BY h.unit_id, h.number, h.id"""
# The others of an open case: what is left of it when one row goes is a case of its own.
_BESIDE = f"""
    SELECT y.row_id FROM syncd_case_row AS x JOIN syncd_case AS c ON c.case_id = x.case_id AND c.closed_at IS NULL
    AND c.kind = '{CaseKind.DUPLICATE_HOUSEHOLD_NO}' JOIN syncd_case_row AS y ON y.case_id = x.case_id WHERE"""


def same_numbers(tx: Tx, changed: Changed, persons: Iterable[str]) -> Iterator[Finding]:
    """Pairs of rows with one citizen id or insurance number; in a unit all households of one number."""
    ids = set(persons)
    for column, kind in NUMBERS.items():
        yield from _pairs(tx, _SAME_NUMBER.format(column=column), "person", kind, ids)
    yield from _households(tx, changed.rows.get("household", ()))


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


def households_beside(tx: Tx, changed: Iterable[str]) -> set[str]:
    """The households that bear the number of one of these, or did when a case was opened."""
    beside = {row[0] for row in chosen(tx, _BESIDE, "x.row_id", changed)}
    return beside | {row[2] for row in chosen(tx, _SAME_HOUSEHOLD_NO, "id", {*changed, *beside}, _REST)}


def _households(tx: Tx, changed: Iterable[str]) -> Iterator[Finding]:
    """One finding a number, however many bear it: at most CASE_SIDES_MAX of them are named."""
    alike: dict[tuple[str, str], set[str]] = defaultdict(set)
    for unit_id, number, row_id in chosen(tx, _SAME_HOUSEHOLD_NO, "id", changed, _REST):
        alike[unit_id, number].add(row_id)
    for (unit_id, _), ids in alike.items():
        named = sorted(ids)[: limits.CASE_SIDES_MAX]
        sides = tuple(Side(table="household", row_id=row, unit_id=unit_id) for row in named)
        yield Finding(kind=CaseKind.DUPLICATE_HOUSEHOLD_NO, sides=sides)


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
