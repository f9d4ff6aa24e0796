"""Are two rows one person? Weighs what agrees and what contradicts, as Fellegi and Sunter did.

Enters: the evidence of one pair: how each column agrees, how rare the name is, among how many persons it was found.
Leaves: link, propose, clash or nothing, with a score in permille and the reasons.
Must hold: pure and symmetric (the evidence of a pair has no order). Nothing is linked by score alone that could be
twins, brothers or strangers of one name: then a person looks. An equal number links unless the rest contradicts it.

Every weight is log2(m / u): m the chance that two rows of one person look so, u that two rows of two persons do. They
are assumptions, written down from how registers are typed, not fitted to anybody's records.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from conflict.identity_births import BirthLikeness
from conflict.identity_names import NameLikeness
from conflict.limits import NAME_BITS_MAX


class Outcome(StrEnum):
    """What follows for a pair."""

    LINK = "linked"  # one person, without asking
    PROPOSE = "proposed"  # perhaps one person: somebody looks
    CLASH = "clash"  # one number borne by two persons: somebody looks
    NOTHING = "nothing"


class Method(StrEnum):
    """What a judgement rests on."""

    CITIZEN_ID = "citizen_id"
    INSURANCE_NO = "insurance_no"
    SCORE = "score"


class Likeness(IntEnum):
    """How two values agree where equality says most of it."""

    UNKNOWN = 0  # one side does not say
    EQUAL = 1
    NEAR = 2  # one slip apart
    DIFFERENT = 3


class Household(IntEnum):
    """What the households say."""

    UNKNOWN = 0
    ONE = 1  # both rows lie in one household
    SHARED = 2  # another member of one lives in the other too, by name and year of birth
    APART = 3  # both are families, and nobody else is in both


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What two rows say of each other. `…_bits`: how rare the value they share is (`rarity_bits`)."""

    population: int  # persons among whom the pair was found
    name: NameLikeness
    name_bits: float
    birth: BirthLikeness
    sex_equal: bool
    one_unit: bool
    citizen_id: Likeness = Likeness.UNKNOWN
    insurance_no: Likeness = Likeness.UNKNOWN
    phone: Likeness = Likeness.UNKNOWN
    ethnic: Likeness = Likeness.UNKNOWN
    ethnic_bits: float = 0.0
    mother: Likeness = Likeness.UNKNOWN
    mother_bits: float = 0.0
    father: Likeness = Likeness.UNKNOWN
    father_bits: float = 0.0
    household: Household = Household.UNKNOWN
    hamlet: Likeness = Likeness.UNKNOWN
    move_fits: bool = False  # one left when the other came


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`score`: the chance of one person in permille; 1000 for an equal number. `why`: what spoke, strongest first."""

    outcome: Outcome
    method: Method
    score: int
    why: tuple[str, ...]


# Two rows in a hundred persons, as duplicates and moves of a few years leave them.
_ROWS_OF_ONE_PERSON = 0.02
_LINK_PERMILLE = 997
_PROPOSE_PERMILLE = 100
_SCORE_MAX = 1000

_NAME: Mapping[NameLikeness, float] = {
    # Added to the rarity of the shared name.
    NameLikeness.SAME: -0.4,
    NameLikeness.BARE: -0.6,
    NameLikeness.REORDERED: -1.0,
    NameLikeness.FAMILY_TYPO: -5.0,
    NameLikeness.TONES_DIFFER: -2.5,
    NameLikeness.MIDDLE_MISSING: -2.0,
    NameLikeness.TYPO: -6.5,
    NameLikeness.MIDDLE_DIFFERS: -6.0,
}
_NAME_DIFFERENT = -9.0
_BIRTH: Mapping[BirthLikeness, float] = {
    BirthLikeness.SAME: 14.4,  # 1 in 25 000 days
    BirthLikeness.SAME_MONTH: 9.6,
    BirthLikeness.SAME_YEAR: 6.1,
    BirthLikeness.SWAPPED: 8.0,
    BirthLikeness.YEAR_SLIP: 6.0,
    BirthLikeness.DAY_SLIP: 4.7,
    BirthLikeness.ROUNDED: 4.0,
    BirthLikeness.PART: 2.5,
    BirthLikeness.DIFFERENT: -8.0,
}
_SEX_DIFFERENT = 6.6  # against; that the sex is equal tells nothing
_CITIZEN_ID = {Likeness.NEAR: 8.0, Likeness.DIFFERENT: -9.0}
_INSURANCE_NO = {Likeness.NEAR: 6.0, Likeness.DIFFERENT: -4.0}
_PHONE = {Likeness.EQUAL: 9.0, Likeness.DIFFERENT: -0.5}  # families share one
_ETHNIC = {Likeness.DIFFERENT: -4.0}
_PARENT = {Likeness.NEAR: 3.0, Likeness.DIFFERENT: -5.0}
_PARENT_BITS_MAX = 9.0
_HOUSEHOLD = {Household.ONE: 5.0, Household.SHARED: 6.5, Household.APART: -1.0}
_HAMLET = {Likeness.EQUAL: 2.5, Likeness.DIFFERENT: -1.5}
_MOVE_FITS = 8.0

# A number is contradicted when so much speaks against it: another name, another birth, or the sex and something else.
_STRIKES_LINK_MAX = 1
_STRIKES_PROPOSE_MAX = 2
_BIRTH_STRIKES = {BirthLikeness.DIFFERENT: 2}
_NAME_STRIKES = {NameLikeness.DIFFERENT: 2, NameLikeness.MIDDLE_DIFFERS: 1, NameLikeness.TYPO: 1}
# By score alone only names that brothers cannot both bear.
_NAMES_OF_ONE = frozenset({NameLikeness.SAME, NameLikeness.BARE, NameLikeness.REORDERED, NameLikeness.FAMILY_TYPO})
# Twins' names are told apart by a tone at least; where one side left the tones out nobody can say.
_NAMES_NOT_OF_TWINS = frozenset({NameLikeness.SAME, NameLikeness.REORDERED})
_NAMES_PERHAPS_OF_TWINS = frozenset({
    NameLikeness.BARE, NameLikeness.FAMILY_TYPO, NameLikeness.TONES_DIFFER, NameLikeness.MIDDLE_MISSING,
})  # fmt: skip
_NAMES_OF_TWO = frozenset({NameLikeness.TONES_DIFFER, NameLikeness.TYPO, NameLikeness.MIDDLE_DIFFERS})
# In one household only what a hand leaves out: what it wrote otherwise, it meant otherwise.
_NAMES_PERHAPS_OF_ONE_HOUSEHOLD = _NAMES_PERHAPS_OF_TWINS - {NameLikeness.TONES_DIFFER}


def judge(evidence: Evidence) -> Judgement:
    """Weigh one pair."""
    weights = _weights(evidence)
    against = _prior_bits(evidence.population) + (0.0 if evidence.sex_equal else _SEX_DIFFERENT)
    score = _permille(sum(weights.values()) - against)
    why = tuple(sorted((name for name, bits in weights.items() if bits > 0), key=lambda name: (-weights[name], name)))
    if evidence.citizen_id is Likeness.EQUAL:
        return _by_number(evidence, Method.CITIZEN_ID, score, why)
    if evidence.insurance_no is Likeness.EQUAL:
        return _by_number(evidence, Method.INSURANCE_NO, score, why)
    return Judgement(outcome=_by_score(evidence, score), method=Method.SCORE, score=score, why=why)


def looks_like_twins(evidence: Evidence) -> bool:
    """One birthday but for a slip, one mother or one household, and a name or sex that is not surely the same."""
    differ = evidence.name not in _NAMES_NOT_OF_TWINS or not evidence.sex_equal
    return _share_home(evidence) and differ and evidence.birth is not BirthLikeness.DIFFERENT


def rarity_bits(bearers: int, population: int) -> float:
    """How much it tells that two persons share a value which `bearers` of `population` have; never below nothing."""
    return min(NAME_BITS_MAX, max(0.0, math.log2((population + 1) / max(1, bearers))))


def _by_number(evidence: Evidence, method: Method, score: int, why: tuple[str, ...]) -> Judgement:
    strikes = (
        _BIRTH_STRIKES.get(evidence.birth, 0)
        + _NAME_STRIKES.get(evidence.name, 0)
        + (not evidence.sex_equal)
        + (method is Method.INSURANCE_NO and evidence.citizen_id is Likeness.DIFFERENT)
    )
    reasons = (method.value, *why)
    if strikes > _STRIKES_PROPOSE_MAX or _are_twins(evidence):
        return Judgement(outcome=Outcome.CLASH, method=method, score=score, why=reasons)
    if strikes > _STRIKES_LINK_MAX or looks_like_twins(evidence) or _may_be_a_twins_number(evidence):
        return Judgement(outcome=Outcome.PROPOSE, method=method, score=score, why=reasons)
    return Judgement(outcome=Outcome.LINK, method=method, score=_SCORE_MAX, why=reasons)


def _by_score(evidence: Evidence, score: int) -> Outcome:
    if score < _PROPOSE_PERMILLE or _are_twins(evidence):
        return Outcome.NOTHING
    if score >= _LINK_PERMILLE and evidence.name in _NAMES_OF_ONE and _is_safe(evidence):
        return Outcome.LINK
    return Outcome.PROPOSE


def _are_twins(evidence: Evidence) -> bool:
    """Twins, as far as rows can say: who is written in one household or unit beside the other is somebody else."""
    if not looks_like_twins(evidence) or evidence.name in _NAMES_NOT_OF_TWINS:
        return False
    if evidence.household is Household.ONE:
        return evidence.name not in _NAMES_PERHAPS_OF_ONE_HOUSEHOLD
    return evidence.name not in _NAMES_PERHAPS_OF_TWINS and (
        evidence.one_unit or evidence.name is not NameLikeness.TYPO
    )


def _is_safe(evidence: Evidence) -> bool:
    """Nothing contradicts, and something speaks that strangers of one name and birthday do not share by chance."""
    supported = (
        evidence.citizen_id is Likeness.NEAR
        or evidence.phone is Likeness.EQUAL
        or evidence.mother is Likeness.EQUAL
        or evidence.father is Likeness.EQUAL
        or evidence.household is Household.SHARED
        or evidence.move_fits
    )
    contradicted = (
        not evidence.sex_equal
        or evidence.birth is BirthLikeness.DIFFERENT
        or Likeness.DIFFERENT in (evidence.citizen_id, evidence.mother, evidence.father)
        or (_share_home(evidence) and evidence.insurance_no is Likeness.DIFFERENT)
        or evidence.household
        is Household.ONE  # who wrote two lines of one household meant two: only a number says more
        or looks_like_twins(evidence)
    )
    return supported and not contradicted


def _may_be_a_twins_number(evidence: Evidence) -> bool:
    """One number and one birthday, names of two, the mothers not known: a brother's paper, unless two numbers agree."""
    return (
        evidence.name in _NAMES_OF_TWO
        and evidence.birth is not BirthLikeness.DIFFERENT
        and evidence.mother is Likeness.UNKNOWN
        and (evidence.citizen_id, evidence.insurance_no) != (Likeness.EQUAL, Likeness.EQUAL)
    )


def _share_home(evidence: Evidence) -> bool:
    return evidence.mother in (Likeness.EQUAL, Likeness.NEAR) or evidence.household is Household.ONE


def _weights(evidence: Evidence) -> dict[str, float]:
    """Bits by what may speak for one person or against."""
    return {
        "name": _name_bits(evidence),
        "birth_date": _BIRTH[evidence.birth],
        "citizen_id": _CITIZEN_ID.get(evidence.citizen_id, 0.0),
        "insurance_no": _INSURANCE_NO.get(evidence.insurance_no, 0.0),
        "phone": _PHONE.get(evidence.phone, 0.0),
        "ethnic": _shared(_ETHNIC, evidence.ethnic, evidence.ethnic_bits),
        "mother": _shared(_PARENT, evidence.mother, evidence.mother_bits),
        "father": _shared(_PARENT, evidence.father, evidence.father_bits),
        "household": _HOUSEHOLD.get(evidence.household, 0.0),
        "hamlet": _HAMLET.get(evidence.hamlet, 0.0),
        "migration": _MOVE_FITS if evidence.move_fits else 0.0,
    }


def _name_bits(evidence: Evidence) -> float:
    if evidence.name is NameLikeness.DIFFERENT:
        return _NAME_DIFFERENT
    return evidence.name_bits + _NAME[evidence.name]


def _shared(weights: Mapping[Likeness, float], likeness: Likeness, rarity: float) -> float:
    """An equal value tells as much as it is rare."""
    if likeness is Likeness.EQUAL:
        return min(rarity, _PARENT_BITS_MAX)
    return weights.get(likeness, 0.0)


def _prior_bits(population: int) -> float:
    """How unlikely it is that two rows picked at random are one person."""
    return math.log2(max(2, population) / (2 * _ROWS_OF_ONE_PERSON))


def _permille(bits: float) -> int:
    """log2 of the odds as a chance; all weights and the prior together stay far below what a float's exponent holds."""
    return round(_SCORE_MAX / (1 + math.exp2(-bits)))
