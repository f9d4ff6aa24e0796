"""Every kind, every verdict and every rule is told in words, and no word speaks of what is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conflict.case import CaseKind
from syncd.cli import review_words
from syncd.cli.conflicts import VERDICTS
from syncd.cli.review_words import kind_names, kind_of
from syncd.detect import codes, dates, events
from syncd.review.verbs import OF_THE_ASKED, REVIEWS, Verb, allowed


def test_every_kind_is_explained_and_can_be_put_off() -> None:
    assert set(review_words.EXPLAINED) == set(CaseKind)
    assert all(Verb.LATER in allowed(kind) for kind in CaseKind)
    assert allowed("of a newer release") == (Verb.LATER,)


def test_every_verdict_of_a_kind_has_its_meaning() -> None:
    for kind in CaseKind:
        table = review_words.OF_REVIEW if kind in REVIEWS else review_words.OF_CASE
        assert set(allowed(kind)) <= set(table), kind
    assert set(OF_THE_ASKED) == set(review_words.OF_QUESTION)
    assert set(VERDICTS) == {verb.value for verb in Verb}


def test_every_rule_that_is_found_is_told() -> None:
    found = set(re.findall(r'_rule\("(\w+)"', Path(events.__file__).read_text(encoding="utf-8")))
    assert found | {codes.RULE, dates.AHEAD, dates.LONG_AGO} == set(review_words.RULES)


@pytest.mark.parametrize("text", [
    "duplicate_household_no", "trung-so-ho", "Trùng số hộ", "trung so ho", "Same household number twice", "trung-so-h",
])  # fmt: skip
def test_a_kind_is_named_in_either_language(text: str) -> None:
    assert kind_of(text) == CaseKind.DUPLICATE_HOUSEHOLD_NO


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_kind_is_listed_and_found_again(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    assert [kind_of(name) for name in kind_names()] == [kind.value for kind in CaseKind]


@pytest.mark.parametrize("text", ["", "trung", "không có loại này"])
def test_what_names_no_single_kind_is_none(text: str) -> None:
    assert kind_of(text) is None
