"""Judging a pair: numbers unless contradicted, scores with support, never twins."""

from dataclasses import replace
from math import log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict.identity import (
    Evidence,
    Household,
    Likeness,
    Method,
    Outcome,
    judge,
    looks_like_twins,
    rarity_bits,
)
from conflict.identity_births import BirthLikeness
from conflict.identity_names import NameLikeness

EVIDENCE = Evidence(
    population=200_000, name=NameLikeness.SAME, name_bits=11.0, birth=BirthLikeness.SAME, sex_equal=True, one_unit=False
)
bits = st.floats(min_value=0, max_value=20)
likeness = st.sampled_from(Likeness)
evidences = st.builds(
    Evidence,
    population=st.integers(min_value=0, max_value=20_000_000),
    name=st.sampled_from(NameLikeness), name_bits=bits, birth=st.sampled_from(BirthLikeness), sex_equal=st.booleans(),
    one_unit=st.booleans(), citizen_id=likeness, insurance_no=likeness, phone=likeness, ethnic=likeness,
    ethnic_bits=bits, mother=likeness, mother_bits=bits, father=likeness, father_bits=bits,
    household=st.sampled_from(Household), hamlet=likeness, move_fits=st.booleans(),
)  # fmt: skip


def outcome(**changed: Any) -> Outcome:
    return judge(replace(EVIDENCE, **changed)).outcome


def test_one_citizen_id_links_without_asking() -> None:
    found = judge(replace(EVIDENCE, citizen_id=Likeness.EQUAL, insurance_no=Likeness.EQUAL))
    assert (found.outcome, found.method, found.score) == (Outcome.LINK, Method.CITIZEN_ID, 1000)
    assert found.why[0] == "citizen_id"


@pytest.mark.parametrize(
    ("number", "method"), [("citizen_id", Method.CITIZEN_ID), ("insurance_no", Method.INSURANCE_NO)]
)
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"sex_equal": False}, Outcome.LINK),
        ({"name": NameLikeness.TYPO}, Outcome.PROPOSE),  # a twin's number: the mothers are not known
        ({"name": NameLikeness.TYPO, "mother": Likeness.DIFFERENT}, Outcome.LINK),
        ({"name": NameLikeness.TONES_DIFFER}, Outcome.PROPOSE),
        ({"name": NameLikeness.BARE}, Outcome.LINK),
        ({"birth": BirthLikeness.DAY_SLIP}, Outcome.LINK),
        ({"birth": BirthLikeness.DIFFERENT}, Outcome.PROPOSE),
        ({"name": NameLikeness.DIFFERENT}, Outcome.PROPOSE),
        ({"name": NameLikeness.TYPO, "sex_equal": False}, Outcome.PROPOSE),
        ({"name": NameLikeness.DIFFERENT, "sex_equal": False}, Outcome.CLASH),
        ({"name": NameLikeness.DIFFERENT, "birth": BirthLikeness.DIFFERENT}, Outcome.CLASH),
        ({"name": NameLikeness.MIDDLE_DIFFERS, "mother": Likeness.EQUAL}, Outcome.CLASH),
        ({"name": NameLikeness.TONES_DIFFER, "mother": Likeness.EQUAL}, Outcome.PROPOSE),
    ],
)
def test_a_number_is_contradicted_by_name_birth_and_sex(
    number: str, method: Method, changed: dict[str, Any], expected: Outcome
) -> None:
    equal: dict[str, Any] = {number: Likeness.EQUAL}
    found = judge(replace(EVIDENCE, **equal, **changed))
    assert (found.outcome, found.method) == (expected, method)
    assert found.why[0] == number


def test_another_citizen_id_speaks_against_one_insurance_number() -> None:
    other = {"citizen_id": Likeness.DIFFERENT, "insurance_no": Likeness.EQUAL}
    assert outcome(**other) is Outcome.LINK
    assert outcome(**other, sex_equal=False) is Outcome.PROPOSE


def test_strangers_of_one_name_and_birthday_are_only_proposed() -> None:
    assert outcome() is Outcome.PROPOSE
    assert outcome(population=1_000, name_bits=20.0) is Outcome.PROPOSE


@pytest.mark.parametrize(
    "support",
    [
        {"citizen_id": Likeness.NEAR},
        {"phone": Likeness.EQUAL},
        {"mother": Likeness.EQUAL, "mother_bits": 9.0},
        {"father": Likeness.EQUAL, "father_bits": 9.0},
        {"household": Household.SHARED, "ethnic": Likeness.EQUAL, "ethnic_bits": 3.0},
        {"move_fits": True},
    ],
)
def test_name_and_birthday_with_support_link(support: dict[str, Any]) -> None:
    assert outcome(**support) is Outcome.LINK


@pytest.mark.parametrize(
    "against",
    [
        {"household": Household.ONE},
        {"sex_equal": False},
        {"mother": Likeness.DIFFERENT},
        {"father": Likeness.DIFFERENT},
        {"citizen_id": Likeness.DIFFERENT},
        {"mother": Likeness.EQUAL, "mother_bits": 9.0, "insurance_no": Likeness.DIFFERENT},
        {"birth": BirthLikeness.DIFFERENT, "mother": Likeness.EQUAL, "mother_bits": 9.0},
    ],
)
def test_what_contradicts_leaves_it_to_a_person(against: dict[str, Any]) -> None:
    sure = {"move_fits": True, "phone": Likeness.EQUAL, "household": Household.SHARED, "name_bits": 20.0}
    assert outcome(**sure) is Outcome.LINK
    assert outcome(**{**sure, **against}) is Outcome.PROPOSE


def test_two_numbers_link_what_one_would_leave_to_a_person() -> None:
    both = {"citizen_id": Likeness.EQUAL, "insurance_no": Likeness.EQUAL}
    assert outcome(name=NameLikeness.TYPO, **both) is Outcome.LINK


def test_two_citizen_ids_are_two_persons() -> None:
    assert outcome(citizen_id=Likeness.DIFFERENT) is Outcome.NOTHING
    assert outcome(citizen_id=Likeness.DIFFERENT, move_fits=True, phone=Likeness.EQUAL) is Outcome.PROPOSE


def test_nothing_in_common_is_nothing() -> None:
    apart: dict[str, Any] = {"name": NameLikeness.DIFFERENT, "birth": BirthLikeness.DIFFERENT, "sex_equal": False}
    found = judge(replace(EVIDENCE, **apart, phone=Likeness.DIFFERENT))
    assert (found.outcome, found.score, found.why) == (Outcome.NOTHING, 0, ())
    worst: dict[str, Any] = dict.fromkeys(("citizen_id", "mother", "father"), Likeness.DIFFERENT)
    assert judge(replace(EVIDENCE, **apart, **worst, population=20_000_000, ethnic=Likeness.DIFFERENT)).score == 0


def test_what_speaks_for_one_person_is_named_strongest_first() -> None:
    assert judge(replace(EVIDENCE, name_bits=1.0)).why == ("birth_date", "name")
    near: dict[str, Any] = dict.fromkeys(("citizen_id", "insurance_no"), Likeness.NEAR)
    equal: dict[str, Any] = dict.fromkeys(("phone", "ethnic", "mother", "father", "hamlet"), Likeness.EQUAL)
    rare: dict[str, Any] = {"name_bits": 11.0, "ethnic_bits": 3.0, "mother_bits": 12.0, "father_bits": 7.0}
    found = judge(replace(EVIDENCE, **near, **equal, **rare, household=Household.ONE, move_fits=True))
    assert found.why == (
        "birth_date", "name", "mother", "phone", "citizen_id", "migration", "father", "insurance_no", "household",
        "ethnic", "hamlet",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "weight"),
    [
        ({"name": NameLikeness.TYPO}, -6.5 + 0.4),
        ({"birth": BirthLikeness.SWAPPED}, 8.0 - 14.4),
        ({"sex_equal": False}, -6.6),
        ({"citizen_id": Likeness.NEAR}, 8.0),
        ({"citizen_id": Likeness.DIFFERENT}, -9.0),
        ({"insurance_no": Likeness.NEAR}, 6.0),
        ({"insurance_no": Likeness.DIFFERENT}, -4.0),
        ({"phone": Likeness.EQUAL}, 9.0),
        ({"phone": Likeness.DIFFERENT}, -0.5),
        ({"ethnic": Likeness.EQUAL, "ethnic_bits": 3.0}, 3.0),
        ({"ethnic": Likeness.DIFFERENT, "ethnic_bits": 3.0}, -4.0),
        ({"mother": Likeness.EQUAL, "mother_bits": 4.0}, 4.0),
        ({"mother": Likeness.EQUAL, "mother_bits": 15.0}, 9.0),  # however rare her name
        ({"mother": Likeness.NEAR}, 3.0),
        ({"father": Likeness.EQUAL, "father_bits": 4.0}, 4.0),
        ({"father": Likeness.DIFFERENT, "father_bits": 4.0}, -5.0),
        ({"household": Household.SHARED}, 6.5),
        ({"household": Household.APART}, -1.0),
        ({"hamlet": Likeness.EQUAL}, 2.5),
        ({"hamlet": Likeness.DIFFERENT}, -1.5),
        ({"move_fits": True}, 8.0),
    ],
)
def test_each_agreement_moves_the_odds_by_its_weight(changed: dict[str, Any], weight: float) -> None:
    # As many bits below even odds as above: there rounding to permille takes least away.
    middle = replace(EVIDENCE, name_bits=8.25 - weight / 2)
    before, after = (log2(score / (1000 - score)) for score in _scores(middle, replace(middle, **changed)))
    assert after - before == pytest.approx(weight, abs=0.1)


def _scores(*found: Evidence) -> list[int]:
    return [judge(each).score for each in found]


def test_the_score_weighs_against_the_number_of_persons() -> None:
    # 25 bits for, log2(200 000 / 0.04) = 22.25 against: odds of 6.7 to 1.
    assert judge(EVIDENCE).score == 870
    few = replace(EVIDENCE, birth=BirthLikeness.DIFFERENT)
    none, one, two, three = _scores(*(replace(few, population=population) for population in range(4)))
    assert none == one == two == 108  # a pair is two persons at least, whatever was counted
    assert three == 75


@pytest.mark.parametrize(
    ("changed", "score", "expected"),
    [
        ({"name_bits": 16.97, "birth": BirthLikeness.PART}, 99, Outcome.NOTHING),
        ({"name_bits": 16.985, "birth": BirthLikeness.PART}, 100, Outcome.PROPOSE),
        ({"name_bits": 7.3, "phone": Likeness.EQUAL}, 996, Outcome.PROPOSE),
        ({"name_bits": 7.6, "phone": Likeness.EQUAL}, 997, Outcome.LINK),
    ],
)
def test_a_score_at_the_bar_passes(changed: dict[str, Any], score: int, expected: Outcome) -> None:
    found = judge(replace(EVIDENCE, **changed))
    assert (found.score, found.outcome, found.method) == (score, expected, Method.SCORE)


TWINS = {"mother": Likeness.EQUAL, "mother_bits": 9.0, "phone": Likeness.EQUAL}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"name": NameLikeness.DIFFERENT}, Outcome.NOTHING),
        ({"name": NameLikeness.MIDDLE_DIFFERS}, Outcome.NOTHING),  # Hải Anh and Hà Anh
        ({"name": NameLikeness.TYPO}, Outcome.PROPOSE),  # Lan and Loan, or a slip
        ({"name": NameLikeness.TYPO, "one_unit": True}, Outcome.NOTHING),
        ({"name": NameLikeness.TONES_DIFFER}, Outcome.PROPOSE),  # Anh and Ánh
        ({"name": NameLikeness.TONES_DIFFER, "household": Household.ONE}, Outcome.NOTHING),
        ({"name": NameLikeness.BARE}, Outcome.PROPOSE),
        ({"name": NameLikeness.BARE, "household": Household.ONE}, Outcome.PROPOSE),
        ({"name": NameLikeness.MIDDLE_MISSING, "household": Household.ONE}, Outcome.PROPOSE),
        ({"name": NameLikeness.DIFFERENT, "sex_equal": False}, Outcome.NOTHING),
        ({"sex_equal": False}, Outcome.PROPOSE),
    ],
)
def test_twins_are_never_linked_by_score(changed: dict[str, Any], expected: Outcome) -> None:
    assert outcome(**TWINS, **changed) is expected


@given(evidences)
def test_what_looks_like_twins_is_never_linked(evidence: Evidence) -> None:
    if looks_like_twins(evidence):
        assert judge(evidence).outcome is not Outcome.LINK


@given(evidences)
def test_a_score_is_a_chance_and_links_only_names_of_one_person(evidence: Evidence) -> None:
    found = judge(evidence)
    assert 0 <= found.score <= 1000
    assert judge(evidence) == found
    if found.outcome is Outcome.LINK and found.method is Method.SCORE:
        assert evidence.sex_equal
        assert evidence.name <= NameLikeness.FAMILY_TYPO


@given(st.integers(min_value=0, max_value=10_000_000), st.integers(min_value=0, max_value=10_000_000))
def test_a_rarer_value_tells_more(bearers: int, population: int) -> None:
    assert 0 <= rarity_bits(bearers + 1, population) <= rarity_bits(bearers, population) <= 20


@pytest.mark.parametrize(
    ("bearers", "population", "bits"),
    [(1, 1023, 10.0), (4, 1023, 8.0), (0, 1023, 10.0), (1, 0, 0.0), (7, 6, 0.0), (16, 7, 0.0), (1, 2**30, 20.0)],
)
def test_a_value_tells_the_logarithm_of_its_rarity(bearers: int, population: int, bits: float) -> None:
    assert rarity_bits(bearers, population) == bits
