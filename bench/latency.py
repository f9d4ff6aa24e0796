"""One change, from the commit at a commune until the root shows it, two hops away.

Enters: running daemons. Leaves: milliseconds, one per sample. Must hold: one process looks at both ends with one clock;
the clock starts when COMMIT has returned; changes come at odd moments, so that no poll of ours keeps step with one of
the daemons'.
"""

from __future__ import annotations

import time
from random import Random
from typing import Any

from bench.tree import WAIT_S_MAX, BenchTree
from syncd.demo.waiting import first

PAUSE_S_MIN, PAUSE_S_MAX = 0.005, 0.06
LOOK_S = 0.0005


def samples_ms(tree: BenchTree, count: int, random: Random) -> list[float]:
    """Milliseconds of `count` changes, one after another."""
    with tree.commune.open() as clerk, tree.province.open() as root:
        chosen = random.sample(tree.register.persons, count)
        samples = []
        for number, row in enumerate(chosen):
            tree.commune.run_for(random.uniform(PAUSE_S_MIN, PAUSE_S_MAX))
            samples.append(_sample_ms(clerk, root, str(row[0]), f"08{number:08d}"))
        return samples


def _sample_ms(clerk: Any, root: Any, row_id: str, phone: str) -> float:
    clerk.execute("BEGIN IMMEDIATE")
    clerk.execute("UPDATE person SET phone = ? WHERE id = ?", (phone, row_id))
    clerk.execute("COMMIT")
    began = time.perf_counter()

    def arrived() -> bool:
        return bool(root.execute("SELECT phone FROM person WHERE id = %s", (row_id,)).fetchone()[0] == phone)

    if first(arrived, WAIT_S_MAX, LOOK_S) is None:
        raise RuntimeError(f"a change has not reached the root after {WAIT_S_MAX:.0f} s")
    return (time.perf_counter() - began) * 1000


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
