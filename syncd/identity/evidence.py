"""What two rows say of each other: the columns compared, names with rapidfuzz.

Enters: people in memory, counts of name parts. Leaves: `conflict.identity.Evidence` of a pair.
Must hold: symmetric; a value that is not there says nothing; no comparison of names is made twice while it is
remembered.
"""

from __future__ import annotations

from collections.abc import Mapping

# The only import of rapidfuzz: whoever does not match does not load it.
from rapidfuzz.distance import OSA

from conflict.identity import Evidence, Household, Likeness, rarity_bits
from conflict.identity_births import BirthLikeness, compare_births
from conflict.identity_names import Name, NameLikeness, compare_names
from conflict.limits import NAME_BITS_MAX
from syncd.identity.index import EVERYBODY, parts_of_name
from syncd.identity.people import NOBODY, People
from syncd.limits import IDENTITY_MATES_MAX, IDENTITY_MOVE_DAYS_MAX, IDENTITY_NAME_PAIRS_MAX

_AS_ONE = frozenset({NameLikeness.SAME, NameLikeness.BARE, NameLikeness.REORDERED})
_FAMILY_AND_GIVEN = frozenset({NameLikeness.MIDDLE_MISSING, NameLikeness.MIDDLE_DIFFERS})
_APART = frozenset({NameLikeness.MIDDLE_DIFFERS, NameLikeness.DIFFERENT})


class Comparing:
    """Compares pairs of one `People`."""

    def __init__(self, people: People, counts: Mapping[str, int]) -> None:
        self._people = people
        self._counts = counts
        self.population = counts.get(EVERYBODY, 0)
        self._names: dict[tuple[int, int], NameLikeness] = {}
        self._births: dict[tuple[int, int], BirthLikeness] = {}

    def passes(self, one: int, other: int) -> bool:
        """Whether names and dates are near enough to look further; what fails here is no case, whatever else agrees."""
        birth = self.birth(one, other)
        if birth is BirthLikeness.DIFFERENT:
            return False
        return self.name(self._people.name[one], self._people.name[other]) is not NameLikeness.DIFFERENT

    def name(self, one: int, other: int) -> NameLikeness:
        """How two names agree, by their numbers."""
        pair = (one, other) if one < other else (other, one)
        found = self._names.get(pair)
        if found is None:
            if len(self._names) >= IDENTITY_NAME_PAIRS_MAX:
                self._names.clear()
            names = self._people.names
            found = self._names[pair] = compare_names(names[one], names[other], OSA.distance)
        return found

    def birth(self, one: int, other: int) -> BirthLikeness:
        """How two dates of birth agree."""
        first, second = self._people.birth[one], self._people.birth[other]
        pair = (first, second) if first < second else (second, first)
        found = self._births.get(pair)
        if found is None:
            if len(self._births) >= IDENTITY_NAME_PAIRS_MAX:
                self._births.clear()
            dates = self._people.births.values
            found = self._births[pair] = compare_births(*dates[first], *dates[second])
        return found

    def evidence(self, one: int, other: int) -> Evidence:
        """Everything the two rows say of each other."""
        people = self._people
        name = self.name(people.name[one], people.name[other])
        mother, mother_bits = self._parent(people.mother[one], people.mother[other])
        father, father_bits = self._parent(people.father[one], people.father[other])
        one_unit = people.unit[one] == people.unit[other]
        same_ethnic = people.ethnic[one] == people.ethnic[other]
        return Evidence(
            population=self.population,
            name=name,
            name_bits=self._rarity(people.name_of(one), people.name_of(other), name),
            birth=self.birth(one, other),
            sex_equal=people.sex[one] == people.sex[other],
            one_unit=one_unit,
            citizen_id=_likeness(people.citizen_ids[one], people.citizen_ids[other]),
            insurance_no=_likeness(people.insurance_nos[one], people.insurance_nos[other]),
            phone=_likeness(people.phones[one], people.phones[other]),
            ethnic=Likeness.EQUAL if same_ethnic else Likeness.DIFFERENT,
            ethnic_bits=self._bits(f"e {people.ethnics.values[people.ethnic[one]]}"),
            mother=mother,
            mother_bits=mother_bits,
            father=father,
            father_bits=father_bits,
            household=self._household(one, other),
            hamlet=self._hamlet(one, other) if one_unit else Likeness.UNKNOWN,
            move_fits=not one_unit and self._move_fits(one, other),
        )

    def _parent(self, one: int, other: int) -> tuple[Likeness, float]:
        if NOBODY in (one, other):
            return Likeness.UNKNOWN, 0.0
        people = self._people
        name = self.name(people.name[one], people.name[other])
        if one == other:
            return Likeness.EQUAL, self._rarity(people.name_of(one), people.name_of(other), NameLikeness.SAME)
        if name in _APART or self.birth(one, other) is BirthLikeness.DIFFERENT:
            return Likeness.DIFFERENT, 0.0
        if name in _AS_ONE:
            return Likeness.EQUAL, self._rarity(people.name_of(one), people.name_of(other), name)
        return Likeness.NEAR, 0.0

    def _household(self, one: int, other: int) -> Household:
        people = self._people
        first, second = people.household[one], people.household[other]
        if NOBODY in (first, second):
            return Household.UNKNOWN
        if first == second:
            return Household.ONE
        ours, theirs = self._mates(first, one), self._mates(second, other)
        if ours & theirs:
            return Household.SHARED
        return Household.APART if len(ours) > 1 and len(theirs) > 1 else Household.UNKNOWN

    def _mates(self, household: int, but: int) -> set[tuple[tuple[str, ...], str]]:
        """The other members, by name and year of birth; of a dormitory none."""
        members = self._people.members[household]
        if len(members) > IDENTITY_MATES_MAX:
            return set()
        people = self._people
        return {(people.name_of(each).syllables, people.birth_of(each)[0][:4]) for each in members if each != but}

    def _hamlet(self, one: int, other: int) -> Likeness:
        hamlets, households = self._people.hamlets, self._people.household
        first, second = hamlets.get(households[one]), hamlets.get(households[other])
        if first is None or second is None:
            return Likeness.UNKNOWN
        return Likeness.EQUAL if first == second else Likeness.DIFFERENT

    def _move_fits(self, one: int, other: int) -> bool:
        moves = self._people.moves
        return any(
            direction != came and abs(day - on) <= IDENTITY_MOVE_DAYS_MAX
            for direction, day in moves.get(one, ())
            for came, on in moves.get(other, ())
        )

    def _rarity(self, one: Name, other: Name, likeness: NameLikeness) -> float:
        """Of the name they share; of the commoner one where a slip makes the other unique."""
        if likeness is NameLikeness.DIFFERENT:
            return 0.0
        return min(self._name_bits(one, likeness), self._name_bits(other, likeness))

    def _name_bits(self, name: Name, likeness: NameLikeness) -> float:
        family, middle, given = parts_of_name(name)
        parts = (family, given) if likeness in _FAMILY_AND_GIVEN else (family, middle, given)
        return min(NAME_BITS_MAX, sum(map(self._bits, parts)))

    def _bits(self, part: str) -> float:
        return rarity_bits(self._counts.get(part, 0), self.population)


def _likeness(one: str, other: str) -> Likeness:
    if not one or not other:
        return Likeness.UNKNOWN
    if one == other:
        return Likeness.EQUAL
    return Likeness.NEAR if OSA.distance(one, other, score_cutoff=1) == 1 else Likeness.DIFFERENT
