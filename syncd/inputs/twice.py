"""Generated people who are written down twice, or look as if they were, with the truth beside. Nobody in it exists.

Enters: a seed, this unit's place among several, shares of the population. Leaves: rows of this unit, and for every
person of such a story a line of truth: rows with one `entity` are one person.
Must hold: each unit is generated on its own, and all tell the same stories when seed, persons and shares are the same;
the noise is `syncd/inputs/noise.py`'s and knows nothing of matching.

Stories (shares in permille of the unit's persons):
  duplicates  kept by two units at once (work here, family there); one in five twice by one unit
  moves       left one unit, came to another; one in seven departures and one in ten arrivals was never reported
  twins       born on one day to one mother, with names as parents give twins; one pair in three moves, written twice
  strangers   of one name, sex and birthday, in two units, nothing else in common
Assumed of papers: a citizen id is known at the first unit for 92 % of those who have one, at the second for 60 %; an
insurance number for 95 and 50 % (one in ten has a new one); a phone number for 90 %, and 35 % the same at the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from random import Random

from syncd.errors import UsageError
from syncd.inputs import names, noise
from syncd.inputs.family import FEMALE, HEAD, MALE, MARRIED, SPOUSE, UNMARRIED, YEAR_DAYS, Member, Street, members_of
from syncd.inputs.generate import citizen_id as number_of
from syncd.language import say

DUPLICATE, MOVE, TWIN, STRANGER = "duplicate", "move", "twin", "stranger"
WITHIN_UNIT = 0.2  # of duplicates
WHOLE_HOUSEHOLD = 0.4  # of those who move or are written twice
TWINS_WRITTEN_TWICE = 1 / 3
SECOND_SLIP = 0.2
SLIPS_OF_NAME, SLIPS_OF_BIRTH = 0.62, 0.34  # the rest are of sex
CITIZEN_ID_KNOWN, INSURANCE_KNOWN, PHONE_KNOWN = (0.92, 0.60), (0.95, 0.50), (0.90, 0.35)
INSURANCE_RENEWED, OTHER_PHONE = 0.1, 0.4
WRONG_DIGIT, ANOTHERS_NUMBER = 0.015, 0.005
DEPARTURE_REPORTED, ARRIVAL_REPORTED = 0.86, 0.90
MOVED_DAYS = 700
UNITS_MAX = 10_000
# Given names that parents pair; the second may differ by a tone alone, by the middle name, or not at all alike.
TWIN_NAMES = (("Anh", "Ánh"), ("Lan", "Loan"), ("Long", "Lâm"), ("Hà", "Hạ"), ("Nam", "Năm"), ("Hải", "Hoài"),
              ("Minh", "Mai"), ("Thư", "Thi"), ("Phúc", "Lộc"), ("Ngọc", "Ngà"))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Permille of a unit's persons; `typing_errors`: of the persons written twice, who bear a slip on either side."""

    duplicates: int = 0
    moves: int = 0
    twins: int = 0
    strangers: int = 0
    typing_errors: int = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """A person as they are, and the numbers they have; empty where none."""

    member: Member
    born: str
    precision: str
    citizen_id: str
    insurance_no: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A person as one unit wrote them. `entity`: who it is; '' for people who are in no story."""

    papers: Papers
    entity: str
    kind: str
    errors: tuple[str, ...]
    residence: str
    moved_on: str | None = None
    direction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenHousehold:
    """One household as one unit wrote it; mothers and fathers are places in it."""

    unit: int
    people: tuple[Written, ...]

    @property
    def travellers(self) -> list[Written]:
        """Those who are in a story."""
        return [each for each in self.people if each.entity]


def place_of(share: str) -> tuple[int, int]:
    """Place and number of units from a text such as 2/6. Raises UsageError."""
    unit, slash, units = share.partition("/")
    if not (slash and unit.isdecimal() and units.isdecimal() and 1 <= int(unit) <= int(units) <= UNITS_MAX):
        raise UsageError(
            say("--share {share} không hợp lệ", "--share {share} is not a place among units", share=share),
            say("nêu thứ tự/số đơn vị, ví dụ 2/6", "give place/number, such as 2/6"),
        )
    return int(unit), int(units)


def written(
    *, seed: int, unit: int, units: int, persons: int, shares: Shares, today: date
) -> Iterator[WrittenHousehold]:
    """The households of unit `unit` (1 … `units`) in every story of all of them."""
    for household in stories(seed=seed, units=units, persons=persons, shares=shares, today=today):
        if household.unit == unit:
            yield household


def stories(*, seed: int, units: int, persons: int, shares: Shares, today: date) -> Iterator[WrittenHousehold]:
    """The households of all stories of all units."""
    for origin in range(1, units + 1):
        teller = _Teller(seed, origin, units, shares, today)
        for kind, permille in ((DUPLICATE, shares.duplicates), (MOVE, shares.moves), (TWIN, shares.twins),
                               (STRANGER, shares.strangers)):  # fmt: skip
            if kind == MOVE and units == 1:
                continue  # nowhere to go
            yield from teller.tell(kind, round(persons * permille / 1000))


class _Teller:
    """The stories that begin in one unit."""

    def __init__(self, seed: int, origin: int, units: int, shares: Shares, today: date) -> None:
        self._random = Random(f"twice:{seed}:{origin}/{units}")
        self._street = Street(self._random)
        self._origin = origin
        self._units = units
        self._shares = shares
        self._today = today.toordinal()
        self._number = 0

    def tell(self, kind: str, persons: int) -> Iterator[WrittenHousehold]:
        """Stories of one kind until that many persons are in them."""
        told = 0
        while told < persons:
            self._number += 1
            households = list(self._story(kind))
            told += 2 if kind in (TWIN, STRANGER) else len(households[-1].travellers)
            yield from households

    def _story(self, kind: str) -> Iterator[WrittenHousehold]:
        if kind == TWIN:
            return self._twins()
        if kind == STRANGER:
            return self._strangers()
        return self._written_twice(kind, self._household(members_of(self._random, self._street)))

    def _written_twice(self, kind: str, home: list[Papers]) -> Iterator[WrittenHousehold]:
        destination = self._destination(kind)
        chosen = self._travellers(home)
        left, came = self._move_dates([home[place] for place in chosen]) if kind == MOVE else (None, None)
        first = [
            self._write(papers, place, kind, 0, home, left if place in chosen else None, "departure")
            for place, papers in enumerate(home)
        ]
        yield WrittenHousehold(unit=self._origin, people=tuple(first))
        second = [self._write(home[place], place, kind, 1, home, came, "arrival") for place in chosen]
        yield WrittenHousehold(unit=destination, people=tuple(self._at_new_home(home, chosen, second)))

    def _twins(self) -> Iterator[WrittenHousehold]:
        home = self._twin_home()
        if self._units > 1 and self._random.random() < TWINS_WRITTEN_TWICE:
            yield from self._written_twice(TWIN, home)
            return
        people = [self._write(papers, place, TWIN, 0, home, None, "") for place, papers in enumerate(home)]
        yield WrittenHousehold(unit=self._origin, people=tuple(people))

    def _strangers(self) -> Iterator[WrittenHousehold]:
        """Two who know nothing of each other."""
        one = self._papers(members_of(self._random, self._street)[0])
        for unit in (self._origin, self._destination(STRANGER)):
            self._number += 1  # each is somebody of their own
            papers = replace(self._papers(one.member), born=one.born, precision=one.precision)
            person = self._write(papers, 0, STRANGER, 0, [papers], None, "")
            yield WrittenHousehold(unit=unit, people=(person,))

    def _twin_home(self) -> list[Papers]:
        """Parents with twins, as old as they come."""
        random, street = self._random, self._street
        family, ethnic = street.family(), street.ethnic()
        years = random.uniform(0.2, 28)
        parent = Member(
            name=street.name(family, MALE), sex=MALE, age_days=int((years + 28) * YEAR_DAYS), ethnic=ethnic,
            relation=HEAD, education="04", marital=MARRIED,
        )  # fmt: skip
        mother = replace(parent, name=street.name(street.family(), FEMALE), sex=FEMALE, relation=SPOUSE,
                         age_days=int((years + 26) * YEAR_DAYS))  # fmt: skip
        sexes = (random.choice((MALE, FEMALE)), random.choice((MALE, FEMALE)))
        children = [
            Member(name=name, sex=sex, age_days=int(years * YEAR_DAYS), ethnic=ethnic, relation="03",
                   education=street.education(years), marital=UNMARRIED, mother=1, father=0, parity=1)
            for name, sex in zip(self._twin_names(family, sexes), sexes, strict=True)
        ]  # fmt: skip
        return self._household([parent, mother, *children])

    def _twin_names(self, family: str, sexes: tuple[int, int]) -> tuple[str, str]:
        random = self._random
        one = self._street.name(family, sexes[0])
        way = random.random()
        if sexes[0] != sexes[1] or way < 0.4:
            other = self._street.name(family, sexes[1])
        elif way < 0.7:  # one middle name, given names that rhyme or differ by a tone
            first, second = random.choice(TWIN_NAMES)
            middle = one.split()[1]
            one, other = f"{family} {middle} {first}", f"{family} {middle} {second}"
        else:  # one given name, two middle names
            pool = names.MIDDLE_MALE if sexes[0] == MALE else names.MIDDLE_FEMALE
            used, given = one.split()[1:]
            other = f"{family} {random.choice([each for each in pool if each != used])} {given}"
        return one, other if other != one else f"{other} Hai"

    def _household(self, members: Sequence[Member]) -> list[Papers]:
        home = [self._papers(member) for member in members]
        born: dict[int, str] = {}
        for place, papers in enumerate(home):  # twins keep one birthday, whatever their papers say
            born.setdefault(papers.member.age_days, papers.born)
            home[place] = replace(papers, born=born[papers.member.age_days])
        return home

    def _papers(self, member: Member) -> Papers:
        chance, years = self._random.random, member.age_days // 365
        born = date.fromordinal(self._today - member.age_days).isoformat()
        precision = "d" if years < 60 or chance() < 0.9 else "y"
        return Papers(
            member=member,
            born=born if precision == "d" else f"{born[:4]}-01-01",
            precision=precision,
            citizen_id=number_of(chance(), member.sex, int(born[:4]))
            if chance() < (0.98 if years >= 14 else 0.75)
            else "",
            insurance_no=f"{int(chance() * 1e10):010d}" if chance() < 0.93 else "",
            phone=f"09{int(chance() * 1e8):08d}" if years >= 16 and chance() < 0.8 else "",
        )

    def _destination(self, kind: str) -> int:
        if self._units == 1 or (kind == DUPLICATE and self._random.random() < WITHIN_UNIT):
            return self._origin
        other = self._random.randrange(1, self._units)
        return other + (other >= self._origin)

    def _travellers(self, home: Sequence[Papers]) -> list[int]:
        """The whole household, or one grown member."""
        grown = [place for place, papers in enumerate(home) if papers.member.age_days > 15 * YEAR_DAYS]
        if len(home) == 1 or self._random.random() < WHOLE_HOUSEHOLD:
            return list(range(len(home)))
        return [self._random.choice(grown)]

    def _move_dates(self, travellers: Sequence[Papers]) -> tuple[str, str]:
        """When they left and came, as each side wrote it."""
        random = self._random
        youngest = min(papers.member.age_days for papers in travellers)
        left = self._today - int(random.random() * min(MOVED_DAYS, youngest + 1))
        lag = random.triangular(-10, 80, 5) if random.random() < 0.95 else random.uniform(80, 300)
        came = min(self._today, max(left + int(lag), self._today - youngest))
        return date.fromordinal(left).isoformat(), date.fromordinal(came).isoformat()

    def _write(
        self, papers: Papers, place: int, kind: str, side: int, home: Sequence[Papers], moved_on: str | None, way: str
    ) -> Written:
        random, typed, errors = self._random, self._known(papers, side, home), []
        if random.random() < self._shares.typing_errors / 2000:
            typed, slip = self._slip(typed)
            errors.append(slip)
            if random.random() < SECOND_SLIP:
                typed, slip = self._slip(typed)
                errors.append(slip)
        reported = moved_on is not None and random.random() < (ARRIVAL_REPORTED if side else DEPARTURE_REPORTED)
        return Written(
            papers=typed, entity=f"{self._origin}-{self._number}-{place}", kind=kind, errors=tuple(errors),
            residence="departed" if reported and not side else "usual",
            moved_on=moved_on if reported else None, direction=way if reported else None,
        )  # fmt: skip

    def _known(self, papers: Papers, side: int, home: Sequence[Papers]) -> Papers:
        """The numbers this side learned of."""
        chance = self._random.random
        citizen_id = papers.citizen_id if chance() < CITIZEN_ID_KNOWN[side] else ""
        if citizen_id and chance() < WRONG_DIGIT:
            citizen_id = noise.typed_digits(self._random, citizen_id)
        elif citizen_id and chance() < ANOTHERS_NUMBER:
            citizen_id = self._random.choice(home).citizen_id
        insurance_no = papers.insurance_no if chance() < INSURANCE_KNOWN[side] else ""
        if insurance_no and side and chance() < INSURANCE_RENEWED:
            insurance_no = f"{int(chance() * 1e10):010d}"
        elif insurance_no and chance() < WRONG_DIGIT:
            insurance_no = noise.typed_digits(self._random, insurance_no)
        phone = papers.phone if chance() < PHONE_KNOWN[side] else ""
        if papers.phone and not phone and chance() < OTHER_PHONE:
            phone = f"09{int(chance() * 1e8):08d}"
        return replace(papers, citizen_id=citizen_id, insurance_no=insurance_no, phone=phone)

    def _slip(self, papers: Papers) -> tuple[Papers, str]:
        way = self._random.random()
        if way < SLIPS_OF_NAME:
            name, kind = noise.typed_name(self._random, papers.member.name)
            return replace(papers, member=replace(papers.member, name=name)), kind
        if way < SLIPS_OF_NAME + SLIPS_OF_BIRTH:
            if papers.precision != "d":
                return papers, "none"
            born, precision, kind = noise.typed_birth(self._random, papers.born)
            if born > date.fromordinal(self._today).isoformat():
                return papers, "none"
            return replace(papers, born=born, precision=precision), kind
        return replace(papers, member=replace(papers.member, sex=MALE + FEMALE - papers.member.sex)), "sex"

    def _at_new_home(self, home: Sequence[Papers], chosen: Sequence[int], second: list[Written]) -> list[Written]:
        """Who came alone joins a household that was there; parents are told of where they came along."""
        if len(chosen) == len(home):
            return second
        hosts = [
            Written(papers=papers, entity="", kind="", errors=(), residence="usual")
            for papers in self._household(members_of(self._random, self._street))
        ]
        alone = [replace(each, papers=replace(each.papers, member=replace(
            each.papers.member, relation="10", mother=None, father=None, parity=None))) for each in second]  # fmt: skip
        return [*hosts, *alone]
