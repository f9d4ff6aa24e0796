"""Every kind, every verdict and every rule is told in words, and no word speaks of what is not there."""

from __future__ import annotations

import re
from pathlib import Path

from conflict.case import CaseKind
from syncd.cli import review_words
from syncd.cli.conflicts import VERDICTS
from syncd.detect import events
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
    assert found == set(review_words.RULES)
