"""Who lives in a generated household. Enters: randomness. Leaves: members with sex, age, relation and parents.

Must hold: the head comes first (relation 01); mothers are women 15 to 49 years older than their children; 3.6 members
on average; over many households the ages make an ordinary pyramid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from syncd.inputs import names

T = TypeVar("T")
POOL = 4_096  # drawn at once: random.choices is several times faster than single draws
YEAR_DAYS = 365.2425
SIZES, SIZE_WEIGHTS = (1, 2, 3, 4, 5, 6, 7), (10, 17, 19, 26, 15, 8, 5)
ETHNIC = ("01", "02", "03", "06", "23", "37", "44", "24")
ETHNIC_WEIGHTS = (940, 12, 12, 12, 6, 6, 6, 6)
ADULT_EDUCATION = ("02", "03", "04", "05", "06", "07", "08", "09", "10")
ADULT_EDUCATION_WEIGHTS = (3, 12, 30, 30, 4, 5, 6, 9, 1)
RESIDENCE, RESIDENCE_WEIGHTS = ("usual", "absent", "temporary"), (980, 12, 8)
MALE, FEMALE = 1, 2
MALE_SHARE = 0.526  # at birth: 111 boys for 100 girls
HEAD, SPOUSE, CHILD, PARENT = "01", "02", "03", "05"
UNMARRIED, MARRIED, WIDOWED, DIVORCED = "1", "2", "3", "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """`mother` and `father` are places in the household's list."""

    name: str
    sex: int
    age_days: int
    ethnic: str
    relation: str
    education: str
    marital: str
    mother: int | None = None
    father: int | None = None
    parity: int | None = None


class Street:
    """Endless draws from weighted lists."""

    def __init__(self, random: Random) -> None:
        self._family = _draws(random, names.FAMILY, names.FAMILY_WEIGHTS)
        self._middle = {MALE: _draws(random, names.MIDDLE_MALE), FEMALE: _draws(random, names.MIDDLE_FEMALE)}
        self._given = {MALE: _draws(random, names.GIVEN_MALE), FEMALE: _draws(random, names.GIVEN_FEMALE)}
        self._size = _draws(random, SIZES, SIZE_WEIGHTS)
        self._ethnic = _draws(random, ETHNIC, ETHNIC_WEIGHTS)
        self._education = _draws(random, ADULT_EDUCATION, ADULT_EDUCATION_WEIGHTS)
        self._residence = _draws(random, RESIDENCE, RESIDENCE_WEIGHTS)
        self._collaborators: dict[int, str] = {}

    def family(self) -> str:
        return next(self._family)

    def name(self, family: str, sex: int) -> str:
        return f"{family} {next(self._middle[sex])} {next(self._given[sex])}"

    def size(self) -> int:
        return next(self._size)

    def ethnic(self) -> str:
        return next(self._ethnic)

    def residence(self) -> str:
        return next(self._residence)

    def education(self, years: float) -> str:
        """What somebody of this age has usually reached."""
        if years >= 18:
            return next(self._education)
        return "00" if years < 3 else "01" if years < 6 else "02" if years < 11 else "03" if years < 15 else "04"

    def collaborator(self, hamlet: int) -> str:
        """The collaborator of a hamlet, the same for all its households."""
        if hamlet not in self._collaborators:
            self._collaborators[hamlet] = self.name(self.family(), FEMALE)
        return self._collaborators[hamlet]


def members_of(random: Random, street: Street) -> list[Member]:
    """One household, head first."""
    return _Household(random, street).members


class _Household:
    def __init__(self, random: Random, street: Street) -> None:
        self.members: list[Member] = []
        self._random = random
        self._street = street
        self._ethnic = street.ethnic()
        self._family = street.family()
        size = street.size()
        head_years = random.triangular(21, 82, 33)
        if size == 1:
            alone = WIDOWED if head_years > 60 else UNMARRIED
            self._add(HEAD, FEMALE if random.random() < 0.55 else MALE, head_years, self._family, alone)
            return
        couple = random.random() < 0.82
        head_sex = MALE if couple or random.random() < 0.45 else FEMALE
        alone = WIDOWED if head_years > 55 else DIVORCED
        self._add(HEAD, head_sex, head_years, self._family, MARRIED if couple else alone)
        if couple:
            self._add(SPOUSE, FEMALE, max(19.0, head_years - random.triangular(-2, 8, 3)), street.family(), MARRIED)
        if size > 3 and head_years < 58 and random.random() < 0.45:
            years = min(98.0, head_years + random.triangular(19, 34, 24))
            self._add(PARENT, FEMALE if random.random() < 0.7 else MALE, years, street.family(), WIDOWED)
        if head_years > 46 and size - len(self.members) >= 2 and random.random() < 0.8:
            self._second_generation(size - len(self.members), head_years)
        else:
            self._children(size - len(self.members))

    def _children(self, count: int) -> None:
        """Children of the couple, the eldest first, or of the head alone."""
        mother = next((i for i, m in enumerate(self.members[:2]) if m.sex == FEMALE and m.relation != PARENT), None)
        father = 0 if self.members[0].sex == MALE else None
        parent_years = self.members[mother if mother is not None else 0].age_days / YEAR_DAYS
        bearing = self._random.triangular(19, 31, 23.5)
        for parity in range(1, count + 1):
            bearing += self._random.triangular(0.9, 6, 2.5) if parity > 1 else 0
            years = parent_years - min(bearing, 45.0)
            if years < 0:
                # Not born yet: somebody else lives here instead.
                self._add("10", self._sex(), self._random.uniform(18, 70), self._street.family(), UNMARRIED)
                continue
            marital = MARRIED if years > 27 and self._random.random() < 0.7 else UNMARRIED
            place = self._add(CHILD, self._sex(), years, self._family, marital)
            self.members[place] = replace(self.members[place], mother=mother, father=father, parity=parity)

    def _second_generation(self, count: int, head_years: float) -> None:
        """A grown son or daughter with a family of their own."""
        years = head_years - self._random.triangular(20, 32, 24)
        sex = self._sex() if count > 2 else FEMALE
        mother_or_father = self._add(CHILD, sex, years, self._family, MARRIED if years > 21 else UNMARRIED)
        mother, father = (mother_or_father, None) if sex == FEMALE else (None, mother_or_father)
        if father is not None:
            wife_years = max(19.0, years - self._random.triangular(-2, 8, 3))
            mother, years = self._add("09", FEMALE, wife_years, self._street.family(), MARRIED), wife_years
        bearing = self._random.triangular(19, 29, 22)
        grandchildren = count - 1 if father is None else count - 2
        for parity in range(1, grandchildren + 1):
            bearing += self._random.triangular(0.9, 6, 2.5) if parity > 1 else 0
            if years - bearing < 0 or bearing > 45:
                return
            place = self._add("07", self._sex(), years - bearing, self._family, UNMARRIED)
            self.members[place] = replace(self.members[place], mother=mother, father=father, parity=parity)

    def _sex(self) -> int:
        return MALE if self._random.random() < MALE_SHARE else FEMALE

    def _add(self, relation: str, sex: int, years: float, family: str, marital: str) -> int:
        self.members.append(
            Member(
                name=self._street.name(family, sex), sex=sex, age_days=int(years * YEAR_DAYS), ethnic=self._ethnic,
                relation=relation, education=self._street.education(years), marital=marital,
            )
        )  # fmt: skip
        return len(self.members) - 1


def _draws(random: Random, values: Sequence[T], weights: Sequence[int] | None = None) -> Iterator[T]:
    while True:
        yield from random.choices(values, weights, k=POOL)
