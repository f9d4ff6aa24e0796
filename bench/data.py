"""What the benchmarks write: a generated register and the mix of changes. Nobody in it exists.

Enters: a unit, the tag of the node that keeps it, sizes and seeds. Leaves: rows, and statements with `?` placeholders.
Must hold: the same arguments give the same data; every change is on a row of its own and changes at least one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from random import Random

from syncd.inputs.generate import HOUSEHOLD_NAMES, PERSON_NAMES, Values, batches

SEED = 20260101
TODAY = date(2026, 1, 1)
UPDATES, INSERTS = 0.7, 0.2  # the rest are deletes
INSERT_HOUSEHOLD = (
    f"INSERT INTO household ({', '.join(HOUSEHOLD_NAMES)}) VALUES ({', '.join('?' * len(HOUSEHOLD_NAMES))})"
)
INSERT_PERSON = f"INSERT INTO person ({', '.join(PERSON_NAMES)}) VALUES ({', '.join('?' * len(PERSON_NAMES))})"
DELETE_PERSON = "DELETE FROM person WHERE id = ?"
EDUCATION = ("02", "03", "04", "05", "06", "07", "08", "09", "10")
MARITAL = ("1", "2", "3", "4")
RELATION = ("02", "03", "05", "07", "09", "10")
RESIDENCE = ("usual", "absent", "temporary")
PLACE = {name: place for place, name in enumerate(PERSON_NAMES)}
ID_PLACES = frozenset(PLACE[name] for name in ("id", "household_id", "mother_id", "father_id"))
FIRST_MS = 1_767_225_600_000  # 2026-01-01

Statement = tuple[str, Sequence[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """The households and persons of one unit."""

    tag: str
    households: list[Values]
    persons: list[Values]


def register(unit_id: str, tag: str, persons: int, seed: int = SEED) -> Register:
    """A register of `persons` persons in households of 3.6, with ids as a database mints them for single rows.

    Ids minted in bulk lie closer together and would pack better than those of a grown register.
    """
    households: list[Values] = []
    people: list[Values] = []
    for batch in batches(tag=tag, unit_id=unit_id, persons=persons, seed=seed, today=TODAY):
        households.extend(batch["household"])
        people.extend(batch["person"])
    random = Random(seed)
    known = (row[0] for rows in (households, people) for row in rows)
    new = {old: _row_id(random, number, tag) for number, old in enumerate(known)}
    return Register(
        tag=tag,
        households=[(new[row[0]], *row[1:]) for row in households],
        persons=[
            tuple(new.get(value, value) if place in ID_PLACES else value for place, value in enumerate(row))
            for row in people
        ],
    )


def mix(of: Register, count: int, seed: int = SEED) -> list[Statement]:
    """`count` changes in random order: 70 % updates of one or two columns, 20 % inserts, 10 % deletes."""
    random = Random(f"mix:{seed}")
    updates, inserts = int(count * UPDATES), int(count * INSERTS)
    chosen = random.sample(of.persons, count - inserts)
    changes = [_update(random, row) for row in chosen[:updates]]
    changes += [(DELETE_PERSON, (row[0],)) for row in chosen[updates:]]
    first = len(of.persons) + len(of.households)
    changes += [
        (INSERT_PERSON, (_row_id(random, first + number, of.tag), *row[1:]))
        for number, row in enumerate(random.choices(of.persons, k=inserts))
    ]
    random.shuffle(changes)
    return changes


def phone_update(random: Random, row: Values) -> Statement:
    """A single change of one column: what a clerk does most often."""
    return _set(row, phone=f"09{random.randrange(10**8):08d}")


def _row_id(random: Random, number: int, tag: str) -> str:
    """What the column's default would have minted `number` milliseconds later."""
    time_ms = FIRST_MS + number
    return (
        f"{time_ms >> 16:08x}-{time_ms & 0xFFFF:04x}-7{random.getrandbits(12):03x}-"
        f"{0x8000 | random.getrandbits(12):04x}-{random.getrandbits(16):04x}{tag}"
    )


def _update(random: Random, row: Values) -> Statement:
    kind = random.random()
    if kind < 0.4:
        return phone_update(random, row)
    if kind < 0.6:
        return _set(row, education=_other(random, EDUCATION, row[PLACE["education"]]))
    if kind < 0.8:
        marital = _other(random, MARITAL, row[PLACE["marital"]])
        return _set(row, marital=marital, phone=f"09{random.randrange(10**8):08d}")
    residence = _other(random, RESIDENCE, row[PLACE["residence"]])
    return _set(row, residence=residence, relation=_other(random, RELATION, row[PLACE["relation"]]))


def _set(row: Values, **values: str) -> Statement:
    sets = ", ".join(f"{name} = ?" for name in values)
    return f"UPDATE person SET {sets} WHERE id = ?", (*values.values(), row[0])


def _other(random: Random, values: tuple[str, ...], known: object) -> str:
    return random.choice([value for value in values if value != known])
