"""The smoke simulation of `make test`: as many seeds of small trees as `--sim-seconds` allow, shared by the workers; a
fifth of the time each with units that pass on; with copies put back, clones and longer scripts; with units that pass on
and copies put back; with clones beside both; and with nodes of two releases.

`make sim` runs seeds by number; `make sim SEED=17` replays one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.sim.conftest import PREFIX
from tests.sim.preset import CLONED, LOST, SKEWED, SMALL, STEADY
from tests.sim.script import Failure, run, told

CHUNKS = 10  # so that workers share the seeds
WORLDS = ((SMALL, ""), (STEADY, "--steady"), (LOST, "--lost"), (CLONED, "--cloned"), (SKEWED, "--skewed"))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_tree_under_faults_loses_doubles_and_tears_nothing(
    chunk: int, sim_seconds: float, record_property: Callable[[str, object], None]
) -> None:
    total: Counter[str] = Counter()
    preset, how = WORLDS[chunk % len(WORLDS)]
    until, seed = time.monotonic() + sim_seconds / CHUNKS, chunk
    while time.monotonic() < until:
        outcome = run(seed, preset)
        if isinstance(outcome, Failure):
            raise AssertionError(f"{told(seed, outcome)} {how}") from outcome.error
        total += outcome
        seed += CHUNKS
    for what, count in total.items():
        record_property(PREFIX + what, count)
