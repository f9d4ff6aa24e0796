"""Persons in memory, one list per column: a province of 1.3 million in some 500 MB.

Enters: a transaction, all persons or some ids. Leaves: `People`, read by place (0 … n-1).
Must hold: values that repeat (names, dates, units) are kept once; parents and households that were not read are
unknown, never an error; nothing here is written or logged.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from conflict.identity_names import Name, read_name
from syncd.identity.sql import select_in
from syncd.store.base import Row, Tx

NOBODY = -1

PERSONS = (
    "SELECT id, unit_id, household_id, full_name, sex, birth_date, birth_precision, ethnic, mother_id, father_id,"
    " citizen_id, insurance_no, phone FROM person"
)
HAMLETS = "SELECT id, hamlet FROM household"
MOVES = "SELECT person_id, direction, moved_on FROM migration"


class Words:
    """Values kept once, by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found


class People:
    """`names`, `births`, `units`, `ethnics` hold the values; the arrays hold their numbers."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.units, self.full_names, self.births, self.ethnics = Words(), Words(), Words(), Words()
        self.names: list[Name] = []  # beside full_names
        self.unit, self.name, self.birth, self.ethnic = array("i"), array("i"), array("i"), array("i")
        self.sex = array("b")
        self.household, self.mother, self.father = array("i"), array("i"), array("i")
        self.citizen_ids: list[str] = []
        self.insurance_nos: list[str] = []
        self.phones: list[str] = []
        self.places: dict[str, int] = {}
        self.members: dict[int, list[int]] = {}
        self.hamlets: dict[int, str] = {}
        self.moves: dict[int, list[tuple[str, int]]] = {}  # direction and day, as an ordinal
        self._households = Words()
        self._parents: list[tuple[int, str | None, str | None]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def unit_of(self, place: int) -> str:
        return str(self.units.values[self.unit[place]])

    def name_of(self, place: int) -> Name:
        return self.names[self.name[place]]

    def birth_of(self, place: int) -> tuple[str, str]:
        """Date and precision."""
        found: tuple[str, str] = self.births.values[self.birth[place]]
        return found

    def add(self, rows: Iterable[Row]) -> None:
        """Rows of PERSONS."""
        for row in rows:
            place = len(self.ids)
            self.ids.append(row[0])
            self.places[row[0]] = place
            self.unit.append(self.units.number(row[1]))
            household = NOBODY if row[2] is None else self._households.number(row[2])
            self.household.append(household)
            if household != NOBODY:
                self.members.setdefault(household, []).append(place)
            self.name.append(self._name(row[3]))
            self.sex.append(row[4])
            self.birth.append(self.births.number((row[5], row[6])))
            self.ethnic.append(self.ethnics.number(row[7]))
            if row[8] is not None or row[9] is not None:
                self._parents.append((place, row[8], row[9]))
            self.citizen_ids.append(row[10] or "")
            self.insurance_nos.append(row[11] or "")
            self.phones.append(row[12] or "")

    def add_hamlets(self, rows: Iterable[Row]) -> None:
        for household_id, hamlet in rows:
            if hamlet:
                self.hamlets[self._households.number(household_id)] = hamlet.strip().lower()

    def add_moves(self, rows: Iterable[Row]) -> None:
        for person_id, direction, moved_on in rows:
            place = self.places.get(person_id)
            if place is not None:
                self.moves.setdefault(place, []).append((direction, date.fromisoformat(moved_on).toordinal()))

    def resolve(self) -> None:
        """Find the parents among those read."""
        self.mother = array("i", [NOBODY]) * len(self.ids)
        self.father = array("i", [NOBODY]) * len(self.ids)
        for place, mother, father in self._parents:
            self.mother[place] = self.places.get(mother or "", NOBODY)
            self.father[place] = self.places.get(father or "", NOBODY)
        self._parents = []

    def _name(self, full_name: str) -> int:
        number = self.full_names.number(full_name)
        if number == len(self.names):
            self.names.append(read_name(full_name))
        return number


def everybody(tx: Tx) -> People:
    """All persons of this database."""
    people = People()
    for rows in tx.stream(PERSONS):
        people.add(rows)
    for rows in tx.stream(HAMLETS):
        people.add_hamlets(rows)
    for rows in tx.stream(MOVES):
        people.add_moves(rows)
    people.resolve()
    return people


def alone(tx: Tx, ids: Sequence[str]) -> People:
    """These persons, and nobody of their households and families."""
    people = People()
    people.add(select_in(tx, PERSONS, "id", ids))
    return people


def some(tx: Tx, ids: Sequence[str]) -> People:
    """These persons with their parents and household members, as far as they are here. Those asked for come first."""
    people = People()
    people.add(select_in(tx, PERSONS, "id", ids))
    asked = len(people)
    households = sorted(set(people._households.values))
    people.add(row for row in select_in(tx, PERSONS, "household_id", households) if row[0] not in people.places)
    parents = {parent for _place, *both in people._parents[:asked] for parent in both if parent is not None}
    people.add(select_in(tx, PERSONS, "id", sorted(parents - people.places.keys())))
    people.add_hamlets(select_in(tx, HAMLETS, "id", households))
    people.add_moves(select_in(tx, MOVES, "person_id", people.ids[:asked]))
    people.resolve()
    return people
