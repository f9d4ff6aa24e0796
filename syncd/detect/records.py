"""The rows to look at with all that speaks of the same persons, read as sets (one question per table, not per row).

Enters: changed ids. Leaves: `Records`: persons, their events, who is linked with whom. Must hold: of every person in
`core` all events are here, and those of the persons linked with it; the number of questions does not depend on the
number of rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncd import limits
from syncd.detect.changed import Changed
from syncd.store.base import Row, Tx, in_lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What is compared of a person."""

    id: str
    unit_id: str
    sex: int
    birth_date: str
    birth_precision: str
    residence: str
    mother_id: str | None
    father_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    id: str
    unit_id: str
    child_id: str | None
    mother_id: str | None
    born_on: str
    sex: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    id: str
    unit_id: str
    person_id: str
    died_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    id: str
    unit_id: str
    person_id: str
    direction: str
    moved_on: str
    match_id: str | None


@dataclass(slots=True, kw_only=True)
class Records:
    """`core`: ids of persons of whom everything is here. `linked`: person → all rows of the same person, itself too."""

    core: set[str] = field(default_factory=set)
    persons: dict[str, Person] = field(default_factory=dict)
    births: dict[str, Birth] = field(default_factory=dict)
    deaths: dict[str, Death] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    linked: dict[str, frozenset[str]] = field(default_factory=dict)

    def same_as(self, person_id: str) -> frozenset[str]:
        """A person's row and the rows linked with it."""
        return self.linked.get(person_id) or frozenset((person_id,))

    def complete(self) -> set[str]:
        """Rows of which every disagreement shows here: the core, and events that speak of nobody else."""
        events: dict[str, tuple[str | None, ...]] = {
            **{birth.id: (birth.child_id, birth.mother_id) for birth in self.births.values()},
            **{death.id: (death.person_id,) for death in self.deaths.values()},
            **{move.id: (move.person_id,) for move in self.moves.values()},
        }
        of_core = {event for event, persons in events.items() if all(p is None or p in self.core for p in persons)}
        return self.core | of_core

    def whole(self, person_id: str) -> str:
        """One id for all rows of a person."""
        return min(self.same_as(person_id))


_PERSON = "SELECT id, unit_id, sex, birth_date, birth_precision, residence, mother_id, father_id FROM person"
_BIRTH = "SELECT id, unit_id, child_id, mother_id, born_on, sex FROM birth"
_DEATH = "SELECT id, unit_id, person_id, died_on FROM death"
_MOVE = "SELECT id, unit_id, person_id, direction, moved_on, match_id FROM migration"
_LINKED = """SELECT x.person_id, y.person_id FROM person_link AS x JOIN person_link AS y ON y.link_id = x.link_id
    AND y.person_id <> x.person_id WHERE x.state = 'linked' AND y.state = 'linked' AND"""
# Whom a deleted event may have been about: nobody says it any more.
_MARKED = """
    SELECT id FROM person WHERE unit_id = ? AND residence IN ('deceased', 'departed')
    UNION SELECT r.row_id FROM syncd_case_row AS r JOIN syncd_case AS c ON c.case_id = r.case_id
    WHERE r.unit_id = ? AND c.kind = 'rule_violated' AND c.closed_at IS NULL LIMIT ?"""


def gather(tx: Tx, changed: Changed) -> Records:
    """Read what the changed rows are part of."""
    found = Records()
    events = _changed_events(tx, changed)
    found.core = set(changed.rows.get("person", ())) | _persons_of(events)
    found.core |= {row[0] for row in chosen(tx, "SELECT person_id FROM person_link WHERE", "id",
                                            changed.rows.get("person_link", ()))}  # fmt: skip
    found.core |= marked(tx, changed.units)
    found.linked = _linked(tx, found.core)
    everybody = found.core.union(*found.linked.values())
    for row in (*events["birth"], *_either(tx, _BIRTH, ("child_id", "mother_id"), everybody)):
        found.births[row[0]] = Birth(**_named(Birth, row))
    for row in (*events["death"], *_either(tx, _DEATH, ("person_id",), everybody)):
        found.deaths[row[0]] = Death(**_named(Death, row))
    for row in (*events["migration"], *_either(tx, _MOVE, ("person_id",), everybody)):
        found.moves[row[0]] = Move(**_named(Move, row))
    _read_persons(tx, found, everybody)
    return found


def marked(tx: Tx, units: Iterable[str]) -> set[str]:
    """Persons whom an event that was deleted in one of these units may have been about."""
    rows = (row for unit in sorted(units) for row in tx.all(_MARKED, (unit, unit, limits.DETECT_FOUND_MAX)))
    return {row[0] for row in rows}


def chosen(tx: Tx, query: str, column: str, values: Iterable[Any], rest: str = "") -> list[Row]:
    """Rows of a query whose `column` is one of these values; IN lists are bounded, both databases read them alike."""
    rows: list[Row] = []
    for marks, some in in_lists(sorted(set(values))):
        rows += tx.all(f"{query} {column} IN ({marks}) {rest}", some)
    return rows


def _changed_events(tx: Tx, changed: Changed) -> Mapping[str, list[Row]]:
    """The changed events that are still there. A match written or taken back changes the moves it speaks of."""
    matches = changed.rows.get("move_match", ())
    changed.rows["migration"] |= {
        row[0] for row in chosen(tx, "SELECT migration_id FROM move_match WHERE", "id", matches)
    }
    return {
        "birth": chosen(tx, f"{_BIRTH} WHERE", "id", changed.rows.get("birth", ())),
        "death": chosen(tx, f"{_DEATH} WHERE", "id", changed.rows.get("death", ())),
        "migration": chosen(tx, f"{_MOVE} WHERE", "id", changed.rows.get("migration", ())),
    }


def _persons_of(events: Mapping[str, list[Row]]) -> set[str]:
    found = {person for row in events["birth"] for person in (row[2], row[3]) if person is not None}
    return found | {row[2] for name in ("death", "migration") for row in events[name]}


def _linked(tx: Tx, persons: Iterable[str]) -> dict[str, frozenset[str]]:
    """Links reach one step: three rows of one person are three links."""
    sides: dict[str, set[str]] = defaultdict(set)
    for one, other in chosen(tx, _LINKED, "x.person_id", persons):
        sides[one] |= {one, other}
        sides[other] |= {one, other}
    return {person: frozenset(rows) for person, rows in sides.items()}


def _either(tx: Tx, query: str, columns: Sequence[str], persons: Iterable[str]) -> Iterable[Row]:
    ids = list(persons)
    for column in columns:
        yield from chosen(tx, f"{query} WHERE", column, ids)


def _read_persons(tx: Tx, found: Records, everybody: Iterable[str]) -> None:
    """Everybody, whom their events name, and the parents of the core."""
    wanted = set(everybody)
    for birth in found.births.values():
        wanted |= {each for each in (birth.child_id, birth.mother_id) if each is not None}
    _add_persons(tx, found, wanted)
    parents = {
        parent
        for person_id in found.core
        if (person := found.persons.get(person_id)) is not None
        for parent in (person.mother_id, person.father_id)
        if parent is not None
    }
    _add_persons(tx, found, parents - found.persons.keys())


def _add_persons(tx: Tx, found: Records, ids: Iterable[str]) -> None:
    for row in chosen(tx, f"{_PERSON} WHERE", "id", ids):
        found.persons[row[0]] = Person(**_named(Person, row))


def _named(kind: type[Any], row: Row) -> dict[str, Any]:
    return dict(zip(kind.__slots__, row, strict=True))
