"""A generated register of one unit: households, persons and the events of the last 24 months. Nobody in it exists.

Enters: the unit, a number of persons, a seed and today's date.
Leaves: committed rows, the same for the same arguments.
Must hold: every row obeys the rules of `schema/population.py`; 3.6 persons a household; 98 % of those who live there
are usual residents; births, deaths and arrivals near the rates of domain §5 (14, 6 and 25 per 1000 persons and year).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from random import Random

from schema.population import BIRTH, DEATH, HOUSEHOLD, MIGRATION, PERSON
from schema.spec import Table
from syncd.errors import UsageError
from syncd.inputs.family import Member, Street, members_of
from syncd.inputs.limits import GENERATE_BATCH_PERSONS, GENERATE_PERSONS_MAX
from syncd.inputs.mint import mint, tag_of_node
from syncd.language import say
from syncd.store.base import Store, Tx
from syncd.store.patience import patiently

DAY_MS = 86_400_000
EPOCH_DAY = date(1970, 1, 1).toordinal()
EVENT_DAYS = 730
HOUSEHOLDS_PER_HAMLET = 90

HOUSEHOLD_NAMES = (
    "id", "unit_id", "number", "kind", "hamlet", "address", "enumeration_area", "collaborator", "opened_on",
)  # fmt: skip
PERSON_NAMES = (
    "id", "unit_id", "household_id", "line_no", "full_name", "sex", "birth_date", "birth_precision", "ethnic",
    "relation", "education", "marital", "residence", "mother_id", "father_id", "citizen_id", "insurance_no",
    "insurance_until", "phone",
)  # fmt: skip
BIRTH_NAMES = ("id", "unit_id", "child_id", "mother_id", "born_on", "sex", "parity", "place", "weight_g")
DEATH_NAMES = ("id", "unit_id", "person_id", "died_on", "sex", "cause")
MIGRATION_NAMES = ("id", "unit_id", "person_id", "direction", "moved_on", "sex", "other_place")
TABLES: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (HOUSEHOLD, HOUSEHOLD_NAMES),
    (PERSON, PERSON_NAMES),
    (BIRTH, BIRTH_NAMES),
    (DEATH, DEATH_NAMES),
    (MIGRATION, MIGRATION_NAMES),
)
"""What is written, in an order in which every row finds the row it refers to."""

Values = tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Rows written, by table."""

    households: int
    persons: int
    births: int
    deaths: int
    migrations: int

    def plus(self, other: Generated) -> Generated:
        """Both together."""
        return Generated(
            households=self.households + other.households,
            persons=self.persons + other.persons,
            births=self.births + other.births,
            deaths=self.deaths + other.deaths,
            migrations=self.migrations + other.migrations,
        )


def generate(store: Store, *, unit_id: str, persons: int, seed: int, today: date) -> Generated:
    """Write `persons` persons into a unit this node keeps, one transaction per GENERATE_BATCH_PERSONS.

    Raises UsageError where people of this seed are there already: they would be the same once more.
    """
    with store.read() as tx:
        tag, first_number = tag_of_node(tx), next_household_number(tx, unit_id)
    written: dict[str, int] = {}
    for rows in batches(tag=tag, unit_id=unit_id, persons=persons, seed=seed, today=today, first_number=first_number):
        if not written:
            require_new(store, rows, seed)
        write_batch(store, rows)
        for table, values in rows.items():
            written[table] = written.get(table, 0) + len(values)
    return Generated(
        households=written.get("household", 0), persons=written.get("person", 0), births=written.get("birth", 0),
        deaths=written.get("death", 0), migrations=written.get("migration", 0),
    )  # fmt: skip


def require_new(store: Store, rows: dict[str, list[Values]], seed: int) -> None:
    """Raise UsageError where the first household of these is there: one seed mints the same ids each time."""
    first = [household[0] for household in rows["household"][:1]]
    with store.read() as tx:
        found = [tx.value("SELECT 1 FROM household WHERE id = ?", (each,)) for each in first]
    if any(found):
        raise UsageError(
            say(
                "dân cư mẫu của số khởi tạo {seed} đã có trong đơn vị này",
                "people of seed {seed} have been generated in this unit already",
                seed=seed,
            ),
            say("thêm người khác bằng --seed SỐ_KHÁC", "add others with another --seed"),
        )


@patiently
def write_batch(store: Store, rows: dict[str, list[Values]]) -> None:
    """Insert one batch of `batches` in a transaction of its own."""
    with store.write("generate") as tx:
        write(tx, rows)


def write(tx: Tx, rows: dict[str, list[Values]]) -> None:
    """Insert one batch of `batches` in an open transaction."""
    for table, names in TABLES:
        if values := rows[table.name]:
            types = [table.by_name[name].type for name in names]
            tx.insert_columns(table, names, types, list(zip(*values, strict=True)))


def next_household_number(tx: Tx, unit_id: str) -> int:
    """One above the highest household number of the unit, without its decimal."""
    whole = "CASE WHEN number LIKE '%.%' THEN substr(number, 1, length(number) - 2) ELSE number END"
    return 1 + (tx.value(f"SELECT max(CAST({whole} AS bigint)) FROM household WHERE unit_id = ?", (unit_id,)) or 0)


def batches(
    *, tag: str, unit_id: str, persons: int, seed: int, today: date, first_number: int = 1
) -> Iterator[dict[str, list[Values]]]:
    """Rows by table, about GENERATE_BATCH_PERSONS persons at a time, whole households.

    Raises UsageError for a number of persons nobody means.
    """
    if not 0 <= persons <= GENERATE_PERSONS_MAX:
        raise UsageError(
            say("không sinh được {persons} nhân khẩu", "{persons} persons cannot be generated", persons=persons),
            say("nêu từ 0 đến {most}", "give 0 to {most}", most=GENERATE_PERSONS_MAX),
        )
    random = Random(f"{seed}:{unit_id}")
    maker = _Maker(random, tag, unit_id, today, first_number)
    while maker.persons < persons:
        target = min(persons, maker.persons + GENERATE_BATCH_PERSONS)
        yield maker.batch(target, persons)


def citizen_id(chance: float, sex: int, year: int) -> str:
    """A number that says sex, century and year of birth as real ones do (`person_checks.says_another`); the rest is
    chance.
    """
    place, serial = divmod(int(chance * 1e8), 1_000_000)
    return f"0{place:02d}{(year - 1900) // 100 * 2 + sex - 1}{year % 100:02d}{serial:06d}"


class _Maker:
    """Turns members of households into rows."""

    def __init__(self, random: Random, tag: str, unit_id: str, today: date, first_number: int) -> None:
        self.persons = 0
        self._random = random
        self._tag = tag
        self._unit_id = unit_id
        self._today = today.toordinal()
        self._insured = (date(today.year, 12, 31).isoformat(), date(today.year + 1, 12, 31).isoformat())
        self._number = first_number
        self._time_ms = (self._today - EPOCH_DAY) * DAY_MS
        self._street = Street(random)
        self._rows: dict[str, list[Values]] = {}
        self._ids: Iterator[str] = iter(())

    def batch(self, target: int, persons_max: int) -> dict[str, list[Values]]:
        """Households until `target` persons exist; the last one of all is cut at `persons_max`."""
        self._rows = {table.name: [] for table, _ in TABLES}
        # At most a household and two events per person; a millisecond per batch keeps batches apart.
        self._ids = iter(mint(4 * (target - self.persons + 20), self._tag, self._time_ms, self._random))
        self._time_ms += 1
        while self.persons < target:
            members = members_of(self._random, self._street)[: persons_max - self.persons]
            self._household(members)
            self.persons += len(members)
        return self._rows

    def _household(self, members: list[Member]) -> None:
        household_id, street = next(self._ids), self._street
        hamlet = 1 + self._number // HOUSEHOLDS_PER_HAMLET
        opened = date.fromordinal(self._today - 400 - int(self._random.random() * 5000)).isoformat()
        self._rows["household"].append((
            household_id, self._unit_id, str(self._number), "collective" if self._number % 211 == 0 else "family",
            f"Thôn {hamlet}", f"Nhà số {self._number}", f"{hamlet:03d}", street.collaborator(hamlet), opened,
        ))  # fmt: skip
        self._number += 1
        ids = [next(self._ids) for _ in members]
        for line_no, (person_id, member) in enumerate(zip(ids, members, strict=True), 1):
            mother = ids[member.mother] if member.mother is not None else None
            father = ids[member.father] if member.father is not None else None
            self._person(household_id, line_no, person_id, member, mother, father)

    def _person(
        self, household_id: str, line_no: int, person_id: str, member: Member, mother: str | None, father: str | None
    ) -> None:
        born, chance = self._today - member.age_days, self._random.random
        residence = self._event(person_id, member, mother, born)
        years = member.age_days // 365
        precision = "d" if years < 60 or chance() < 0.9 else "y"
        birth = date.fromordinal(born).isoformat()
        insured = chance() < 0.93
        self._rows["person"].append((
            person_id, self._unit_id, household_id, line_no, member.name, member.sex,
            birth if precision == "d" else f"{birth[:4]}-01-01", precision, member.ethnic, member.relation,
            member.education, member.marital, residence, mother, father,
            citizen_id(chance(), member.sex, int(birth[:4])) if chance() < (0.98 if years >= 14 else 0.75) else None,
            f"{int(chance() * 1e10):010d}" if insured else None,
            self._insured[chance() < 0.5] if insured else None,
            f"09{int(chance() * 1e8):08d}" if years >= 16 and chance() < 0.8 else None,
        ))  # fmt: skip

    def _event(self, person_id: str, member: Member, mother: str | None, born: int) -> str:
        """The event of the last 24 months, if any, and the residence that follows from it."""
        chance = self._random.random
        age_days, head = member.age_days, member.relation == "01"
        if age_days < EVENT_DAYS and mother is not None:
            self._rows["birth"].append((
                next(self._ids), self._unit_id, person_id, mother, date.fromordinal(born).isoformat(), member.sex,
                member.parity, ("hospital", "hospital", "hospital", "station", "home")[int(chance() * 5)],
                2400 + int(chance() * 1600),
            ))  # fmt: skip
        elif not head and chance() < (0.09 if age_days > 60 * 365 else 0.002):
            day = self._day(age_days)
            cause = ("tuổi già", "bệnh", "tai nạn")[int(chance() * 3)]
            self._rows["death"].append((next(self._ids), self._unit_id, person_id, day, member.sex, cause))
            return "deceased"
        elif not head and chance() < 0.015:
            self._move(person_id, member, "departure")
            return "departed"
        elif chance() < 0.05:
            self._move(person_id, member, "arrival")
        return self._street.residence()

    def _move(self, person_id: str, member: Member, direction: str) -> None:
        day, place = self._day(member.age_days), f"Xã số {1 + int(self._random.random() * 60)}"
        self._rows["migration"].append(
            (next(self._ids), self._unit_id, person_id, direction, day, member.sex, place)
        )  # fmt: skip

    def _day(self, age_days: int) -> str:
        """A day of the last 24 months, never before the birth."""
        return date.fromordinal(self._today - int(self._random.random() * min(EVENT_DAYS, age_days))).isoformat()
