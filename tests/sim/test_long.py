"""The long simulation of `make test-long`: a thousand seeds of small trees with units that pass on, as many with
copies put back beside that, two hundred each with clones too, with clones alone, and with two releases, 20 nodes with
500 events each for up to an hour, and the cheapest of the planted bugs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.sim.bugs import BUGS, CHEAPEST, Bug
from tests.sim.conftest import PREFIX
from tests.sim.preset import CLONED, LOST, SKEWED, SMALL, STEADY, TWENTY, Preset
from tests.sim.script import Failure, run, seeds_until_found, shortest, told

pytestmark = [pytest.mark.long]
CHUNKS = 20
LARGE_S, LARGE_SEEDS_MIN = 3_000.0, 1


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize(
    ("preset", "seeds"), [(SMALL, 1_000), (LOST, 1_000), (CLONED, 200), (STEADY, 200), (SKEWED, 200)],
    ids=["passing-on", "lost", "cloned", "steady", "skewed"],
)  # fmt: skip
def test_small_trees_end_equal(
    preset: Preset, seeds: int, chunk: int, record_property: Callable[[str, object], None]
) -> None:
    total: Counter[str] = Counter()
    for seed in range(chunk, seeds, CHUNKS):
        total += _passed(seed, preset)
    for what, count in total.items():
        record_property(PREFIX + what, count)


def test_twenty_nodes_and_five_hundred_events_end_equal(record_property: Callable[[str, object], None]) -> None:
    total: Counter[str] = Counter()
    until, seed = time.monotonic() + LARGE_S, 0
    while seed < LARGE_SEEDS_MIN or time.monotonic() < until:
        total += _passed(seed, TWENTY)
        seed += 1
    for what, count in total.items():
        record_property(PREFIX + what, count)


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.part in CHEAPEST], ids=lambda bug: bug.part)
def test_planted_bug_is_found(bug: Bug) -> None:
    assert seeds_until_found(bug) is not None, bug.breaks


def _passed(seed: int, preset: Preset) -> Counter[str]:
    outcome = run(seed, preset)
    if isinstance(outcome, Failure):
        raise AssertionError(told(seed, shortest(seed, outcome, preset))) from outcome.error
    return outcome
