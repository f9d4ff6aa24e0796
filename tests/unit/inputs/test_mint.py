"""Ids minted by a program look like the database's own and never meet."""

from __future__ import annotations

import re
from random import Random

import pytest

from syncd.errors import UsageError
from syncd.inputs.limits import MINT_COUNT_MAX
from syncd.inputs.mint import mint

TAG = "5d2c0a11"
UUID7 = re.compile(rf"[0-9a-f]{{8}}-[0-9a-f]{{4}}-7[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{4}}{TAG}")


def test_minted_ids_are_uuid7_with_the_tag_and_the_time() -> None:
    ids = mint(1_000, TAG, 1_795_000_000_000, Random(1))
    assert all(UUID7.fullmatch(one) for one in ids)
    assert {int(one[:13].replace("-", ""), 16) for one in ids} == {1_795_000_000_000}


def test_minted_ids_rise_and_are_distinct() -> None:
    ids = mint(200_000, TAG, 1, Random(2))
    assert sorted(set(ids)) == ids
    assert len(ids) == 200_000


def test_same_randomness_mints_the_same_ids() -> None:
    assert mint(10, TAG, 5, Random(3)) == mint(10, TAG, 5, Random(3))


def test_no_ids_are_minted_for_nothing_and_too_many_are_refused() -> None:
    assert mint(0, TAG, 1, Random(1)) == []
    with pytest.raises(UsageError):
        mint(MINT_COUNT_MAX + 1, TAG, 1, Random(1))
