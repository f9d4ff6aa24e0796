"""Plausible edits of a register as a clerk's program would make them: plain SQL, for the demo and for tests.

Enters: an open transaction to read the residents from, a count, a seed, today.
Leaves: edits, each one transaction's worth.
Must hold: the same register and seed give the same edits (and ids: run a seed once); nobody dies or leaves twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random

from syncd.errors import UsageError
from syncd.inputs.family import FEMALE, MALE, MALE_SHARE, Street
from syncd.inputs.generate import DAY_MS, EPOCH_DAY
from syncd.inputs.limits import EDIT_PERSONS_MAX, EDITS_MAX
from syncd.inputs.mint import mint, tag_of_node
from syncd.language import say
from syncd.store.base import Tx

Statement = tuple[str, tuple[str | int | None, ...]]
FERTILE_YEARS = (15, 49)

RESIDENTS = """
    SELECT id, household_id, sex, CAST(birth_date AS text), ethnic FROM person
    WHERE unit_id = ? AND residence IN ('usual', 'absent') AND household_id IS NOT NULL ORDER BY id LIMIT ?
"""
NEW_PERSON = """
    INSERT INTO person (id, unit_id, household_id, line_no, full_name, sex, birth_date, birth_precision, ethnic,
      relation, marital, residence, mother_id)
    VALUES (?, ?, ?, (SELECT coalesce(max(line_no), 0) + 1 FROM person WHERE household_id = ?), ?, ?, ?, 'd', ?, ?, '1',
      'usual', ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """`kind`: phone, education, marital, insurance, birth, death, arrival or departure."""

    kind: str
    unit_id: str
    statements: tuple[Statement, ...]


def edits(tx: Tx, *, unit_id: str, count: int, seed: int, today: date) -> list[Edit]:
    """`count` edits of one unit's register. Raises UsageError when nobody lives there or nobody means such a count."""
    if not 0 <= count <= EDITS_MAX:
        raise UsageError(
            say("không tạo được {count} lần sửa", "{count} edits cannot be made", count=count),
            say("nêu từ 0 đến {most}", "give 0 to {most}", most=EDITS_MAX),
        )
    people = [_Person(*row) for row in tx.all(RESIDENTS, (unit_id, EDIT_PERSONS_MAX))]
    if not people:
        raise UsageError(
            say(
                "sổ của đơn vị {unit_id} chưa có nhân khẩu",
                "the register of unit {unit_id} has no residents",
                unit_id=unit_id,
            ),
            say("sinh hoặc nhập nhân khẩu trước", "generate or import persons first"),
        )
    clerk = _Clerk(tag_of_node(tx), unit_id, people, seed, today, 2 * count)
    kinds = clerk.random.choices(list(clerk.makers), [weight for weight, _ in clerk.makers.values()], k=count)
    return [clerk.edit(kind) for kind in kinds]


def run(tx: Tx, edit: Edit) -> None:
    """Carry out one edit."""
    for sql, values in edit.statements:
        tx.run(sql, values)


def sql_text(edit: Edit) -> str:
    """The edit as statements a person can type, values written in."""
    return ";\n".join(_written(sql, values) for sql, values in edit.statements) + ";"


@dataclass(frozen=True, slots=True)
class _Person:
    person_id: str
    household_id: str
    sex: int
    birth_date: str
    ethnic: str


class _Clerk:
    def __init__(self, tag: str, unit_id: str, people: list[_Person], seed: int, today: date, ids_count: int) -> None:
        self.random = Random(f"edits:{seed}:{unit_id}")
        self._unit_id = unit_id
        self._people = people
        self._today = today
        # Half a day later than `generate`, so that ids of one seed differ.
        time_ms = (today.toordinal() - EPOCH_DAY) * DAY_MS + DAY_MS // 2
        self._ids = iter(mint(ids_count, tag, time_ms, self.random))
        self._street = Street(self.random)
        self.makers: dict[str, tuple[int, Callable[[_Person], Sequence[Statement]]]] = {
            "phone": (30, self._phone),
            "education": (15, self._education),
            "marital": (13, self._marital),
            "insurance": (12, self._insurance),
            "birth": (10, self._birth),
            "death": (5, self._death),
            "arrival": (8, self._arrival),
            "departure": (7, self._departure),
        }

    def edit(self, kind: str) -> Edit:
        """An edit of this kind, or a phone number where nobody is left for it."""
        person = self._pick(kind)
        if person is None:
            kind, person = "phone", self._people[0]
        return Edit(kind=kind, unit_id=self._unit_id, statements=tuple(self.makers[kind][1](person)))

    def _pick(self, kind: str) -> _Person | None:
        """Somebody the edit suits. Who dies or leaves is taken off the list; the last resident stays."""
        if kind == "birth":
            first, last = (f"{self._today.year - years:04d}" for years in reversed(FERTILE_YEARS))
            mothers = [p for p in self._people if p.sex == FEMALE and first < p.birth_date[:4] < last]
            return self.random.choice(mothers) if mothers else None
        place = int(self.random.random() * len(self._people))
        if kind not in ("death", "departure"):
            return self._people[place]
        if len(self._people) == 1:
            return None
        self._people[place], self._people[-1] = self._people[-1], self._people[place]
        return self._people.pop()

    def _phone(self, person: _Person) -> Sequence[Statement]:
        return [_set("phone", f"03{int(self.random.random() * 1e8):08d}", person)]

    def _education(self, person: _Person) -> Sequence[Statement]:
        # Differs from what is kept, whatever that is.
        return [("UPDATE person SET education = CASE WHEN education = ? THEN ? ELSE ? END WHERE id = ?",
                 ("05", "07", "05", person.person_id))]  # fmt: skip

    def _marital(self, person: _Person) -> Sequence[Statement]:
        return [("UPDATE person SET marital = CASE WHEN marital = ? THEN ? ELSE ? END WHERE id = ?",
                 ("2", "3", "2", person.person_id))]  # fmt: skip

    def _insurance(self, person: _Person) -> Sequence[Statement]:
        number = f"{int(self.random.random() * 1e10):010d}"
        return [("UPDATE person SET insurance_no = ?, insurance_until = ? WHERE id = ?",
                 (number, f"{self._today.year + 1}-12-31", person.person_id))]  # fmt: skip

    def _birth(self, mother: _Person) -> Sequence[Statement]:
        child, sex = next(self._ids), MALE if self.random.random() < MALE_SHARE else FEMALE
        born, weight = self._today.isoformat(), 2400 + int(self.random.random() * 1600)
        parity = 1 + int(self.random.random() * 3)
        return [
            self._new_person(child, mother.household_id, sex, born, mother.ethnic, "03", mother.person_id),
            ("INSERT INTO birth (id, unit_id, child_id, mother_id, born_on, sex, parity, place, weight_g)"
             " VALUES (?, ?, ?, ?, ?, ?, ?, 'hospital', ?)",
             (next(self._ids), self._unit_id, child, mother.person_id, born, sex, parity, weight)),
        ]  # fmt: skip

    def _death(self, person: _Person) -> Sequence[Statement]:
        return [
            _set("residence", "deceased", person),
            ("INSERT INTO death (id, unit_id, person_id, died_on, sex, cause) VALUES (?, ?, ?, ?, ?, 'bệnh')",
             (next(self._ids), self._unit_id, person.person_id, self._today.isoformat(), person.sex)),
        ]  # fmt: skip

    def _arrival(self, host: _Person) -> Sequence[Statement]:
        arrived, sex = next(self._ids), MALE if self.random.random() < 0.5 else FEMALE
        born = date.fromordinal(self._today.toordinal() - int(365 * self.random.uniform(18, 40))).isoformat()
        return [
            self._new_person(arrived, host.household_id, sex, born, host.ethnic, "11", None),
            self._moved(arrived, sex, "arrival"),
        ]

    def _departure(self, person: _Person) -> Sequence[Statement]:
        return [_set("residence", "departed", person), self._moved(person.person_id, person.sex, "departure")]

    def _moved(self, person_id: str, sex: int, direction: str) -> Statement:
        place = f"Xã số {1 + int(self.random.random() * 60)}"
        return (
            "INSERT INTO migration (id, unit_id, person_id, direction, moved_on, sex, other_place)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (next(self._ids), self._unit_id, person_id, direction, self._today.isoformat(), sex, place),
        )

    def _new_person(
        self, person_id: str, household_id: str, sex: int, born: str, ethnic: str, relation: str, mother: str | None
    ) -> Statement:
        name = self._street.name(self._street.family(), sex)
        values = (
            person_id, self._unit_id, household_id, household_id, name, sex, born, ethnic, relation, mother,
        )  # fmt: skip
        return NEW_PERSON, values


def _set(column: str, value: str, person: _Person) -> Statement:
    return f"UPDATE person SET {column} = ? WHERE id = ?", (value, person.person_id)


def _written(sql: str, values: Sequence[str | int | None]) -> str:
    """`?` replaced by literals; no text of ours holds a question mark."""
    parts = " ".join(sql.split()).split("?")
    literals = [
        "NULL" if v is None else str(v) if isinstance(v, int) else "'" + v.replace("'", "''") + "'" for v in values
    ]
    return "".join(part + literal for part, literal in zip(parts, [*literals, ""], strict=True))
