"""The smoke simulation: small trees under a bad network and dying processes, seed by seed.

`make sim` runs it alone, `make sim SEED=17` replays one seed, `make sim SEEDS=1000` runs as many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.conftest import PREFIX
from tests.sim.template import scratch_folder
from tests.sim.world import World

CHUNKS = 8  # so that workers share the seeds


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_tree_under_faults_loses_doubles_and_tears_nothing(
    chunk: int, sim_seeds: range, record_property: Callable[[str, object], None]
) -> None:
    total: Counter[str] = Counter()
    for seed in sim_seeds[chunk::CHUNKS]:
        total += _run(seed)
    for what, count in total.items():
        record_property(PREFIX + what, count)


def _run(seed: int) -> Counter[str]:
    with scratch_folder() as folder:
        try:
            return World(seed, Path(folder)).run()
        except Exception as error:
            error.add_note(f"seed {seed} fails; replay it with: make sim SEED={seed}")
            raise
