"""One event recorded twice, and rules that several rows break together (domain §3).

Enters: `Records`. Leaves: findings. Must hold: pure; dates known to the month or year only are compared so far; rows of
one person linked across units are one person; twins are two births.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Any, TypeVar

from conflict.case import CaseKind
from syncd import limits
from syncd.detect.finding import Finding, Side
from syncd.detect.records import Birth, Death, Move, Person, Records

_Event = TypeVar("_Event", Birth, Death, Move)
_CHARS = {"y": 4, "m": 7, "d": 10}  # of YYYY-MM-DD that a precision vouches for
FEMALE = 2


def twin_events(records: Records) -> Iterator[Finding]:
    """Two records of one birth, death or move. Neighbours in time are compared: three copies are two findings."""
    births = list(records.births.values())
    by_child = _grouped([b for b in births if b.child_id], lambda b: records.whole(b.child_id or ""), "born_on")
    by_mother = _grouped([b for b in births if b.mother_id], lambda b: records.whole(b.mother_id or ""), "born_on")
    by_person = _grouped(list(records.deaths.values()), lambda d: records.whole(d.person_id), "died_on")
    moves = _grouped(list(records.moves.values()), lambda m: (m.person_id, m.direction), "moved_on")
    for group in by_child:
        yield from (_twin("birth", one, other) for one, other in pairwise(group))
    for group in by_mother:
        yield from (_twin("birth", one, other) for one, other in pairwise(group) if _is_one_birth(one, other))
    for deaths in by_person:
        yield from (_twin("death", one, other) for one, other in pairwise(deaths))
    for pair in moves:
        near = (two for two in pairwise(pair) if _days(two[0].moved_on, two[1].moved_on) <= limits.EVENT_DAYS)
        yield from (_twin("migration", one, other) for one, other in near)


def broken_rules(records: Records) -> Iterator[Finding]:
    """Rules across rows. Each has a code, which the case bears."""
    for birth in records.births.values():
        yield from _birth(records, birth)
    with_mother = [b for b in records.births.values() if b.mother_id]
    for group in _grouped(with_mother, lambda b: records.whole(b.mother_id or ""), "born_on"):
        for one, other in pairwise(group):
            if limits.EVENT_DAYS < _days(one.born_on, other.born_on) < limits.BIRTH_SPACING_DAYS:
                yield _rule("births_too_close", _side("birth", one), _side("birth", other))
    for death in records.deaths.values():
        person = records.persons.get(death.person_id)
        if person is not None and _is_before(death.died_on, person):
            yield _rule("death_before_birth", _side("death", death), _side("person", person))
    for person_id in sorted(records.core):
        person = records.persons.get(person_id)
        if person is not None:
            yield from _residence(records, person)


def _birth(records: Records, birth: Birth) -> Iterator[Finding]:
    mother = records.persons.get(birth.mother_id or "")
    child = records.persons.get(birth.child_id or "")
    at = _side("birth", birth)
    if mother is not None:
        if mother.sex != FEMALE:
            yield _rule("mother_not_female", at, _side("person", mother))
        elif not _may_be_mother(mother, birth.born_on):
            yield _rule("mother_age", at, _side("person", mother))
    if child is not None:
        if child.sex != birth.sex:
            yield _rule("child_sex", at, _side("person", child))
        chars = _CHARS[child.birth_precision]
        if child.birth_date[:chars] != birth.born_on[:chars]:
            yield _rule("child_birth_date", at, _side("person", child))


def _residence(records: Records, person: Person) -> Iterator[Finding]:
    """What a person's row says against the events typed for it; one of the two may be typed some days later."""
    same = records.same_as(person.id)
    has_died = any(death.person_id in same for death in records.deaths.values())
    at = _side("person", person)
    if person.residence == "deceased" and not has_died:
        yield _rule("deceased_without_death", at, grace_days=limits.EVENT_GRACE_DAYS)
    if person.residence not in ("deceased", "departed") and has_died:
        yield _rule("death_not_marked", at, grace_days=limits.EVENT_GRACE_DAYS)
    has_left = any(m.person_id == person.id and m.direction == "departure" for m in records.moves.values())
    if person.residence == "departed" and not has_left:
        yield _rule("departed_without_departure", at, grace_days=limits.EVENT_GRACE_DAYS)


def _is_one_birth(one: Birth, other: Birth) -> bool:
    """Of one mother within a week: one birth, unless both name a child (then they are twins, or the child's own rows
    say it) or the children differ in sex."""
    return (
        (one.child_id is None or other.child_id is None)
        and one.sex == other.sex
        and _days(one.born_on, other.born_on) <= limits.EVENT_DAYS
    )


def _may_be_mother(mother: Person, on: str) -> bool:
    """Whether some day that her date of birth allows makes her 10 to 55."""
    years = _years(mother.birth_date, on)
    slack = 0 if mother.birth_precision == "d" else 1
    return limits.MOTHER_AGE_MIN - slack <= years <= limits.MOTHER_AGE_MAX + slack


def _is_before(on: str, person: Person) -> bool:
    chars = _CHARS[person.birth_precision]
    return on[:chars] < person.birth_date[:chars]


def _grouped(
    events: Iterable[_Event], key: Callable[[_Event], Hashable], day: str
) -> Iterator[Sequence[_Event]]:  # fmt: skip
    groups: dict[Hashable, list[_Event]] = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    for group in groups.values():
        if len(group) > 1:
            yield sorted(group, key=lambda event: (getattr(event, day), event.id))


def _twin(table: str, one: Any, other: Any) -> Finding:
    sides = sorted((_side(table, one), _side(table, other)), key=lambda side: side.row_id)
    return Finding(kind=CaseKind.TWIN_EVENT, sides=tuple(sides), detail={"table": table})


def _rule(code: str, *sides: Side, grace_days: int = 0) -> Finding:
    return Finding(kind=CaseKind.RULE_VIOLATED, sides=sides, detail={"rule": code}, grace_days=grace_days)


def _side(table: str, row: Any) -> Side:
    return Side(table=table, row_id=row.id, unit_id=row.unit_id)


def _days(one: str, other: str) -> int:
    return abs(date.fromisoformat(one).toordinal() - date.fromisoformat(other).toordinal())


def _years(birth: str, on: str) -> int:
    """Full years between two dates."""
    return int(on[:4]) - int(birth[:4]) - (on[5:] < birth[5:])
