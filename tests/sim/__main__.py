"""`python -m tests.sim`: run seeds, replay one, or look for planted bugs. Ends with one line of counts.

In: options. Out: exit code 1 when a seed failed (or a planted bug was not found).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections import Counter

from tests.sim import template
from tests.sim.bugs import BUGS
from tests.sim.preset import CLONED, LOST, SKEWED, SMALL, STEADY, TWENTY, Preset
from tests.sim.script import Failure, run, seeds_until_found, shortest, told


def main() -> int:
    """Parse, run, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seeds", type=int, default=200, help="run so many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay this seed alone")
    parser.add_argument("--only", help="these actions of the seed alone: 3,7,12")
    parser.add_argument("--steady", action="store_true", help="as in `make test`: 120 events, no unit passes on")
    parser.add_argument("--cloned", action="store_true", help="and disk images are started twice")
    parser.add_argument("--lost", action="store_true", help="yesterday's copies are put back while units pass on")
    parser.add_argument("--skewed", action="store_true", help="nodes of two releases, which are upgraded in any order")
    parser.add_argument("--twenty", action="store_true", help="20 nodes and 500 events instead of a small tree")
    parser.add_argument(
        "--bugs", nargs="*", metavar="PART", help="plant these bugs (none named: all) and look for each"
    )
    parser.add_argument("--no-shrink", action="store_true", help="show a failure as it is")
    asked = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # events of simulated nodes are not news
    kinds = {"cloned": CLONED, "lost": LOST, "skewed": SKEWED, "steady": STEADY, "twenty": TWENTY}
    named = [name for name in kinds if getattr(asked, name)]
    how, preset = (f"--{named[0]} ", kinds[named[0]]) if named else ("", SMALL)
    try:
        if asked.bugs is not None:
            return _bugs(asked.bugs)
        if asked.seed is not None:
            script = [int(part) for part in asked.only.split(",")] if asked.only else None
            return _replay(asked.seed, preset, script, asked.no_shrink, how)
        return _run(range(asked.first, asked.first + asked.seeds), preset, asked.no_shrink, how)
    finally:
        template.forget()


def _run(seeds: range, preset: Preset, as_it_is: bool, how: str) -> int:
    began, total, failed, done = time.monotonic(), Counter[str](), 0, 0
    for seed in seeds:
        try:
            outcome = run(seed, preset)
        except KeyboardInterrupt:  # Ctrl-C: how far it came is worth knowing
            break
        done += 1
        if isinstance(outcome, Failure):
            failed += 1
            total["events"] += len(outcome.lines)
            print(told(seed, outcome if as_it_is else shortest(seed, outcome, preset), how), flush=True)
        else:
            total += outcome
    seconds = time.monotonic() - began
    print(f"{done} seeds, {total['events']} events, {failed} violations, {done / seconds:.2f} seeds/s")
    return 1 if failed else 0


def _bugs(parts: list[str]) -> int:
    found = {}
    for bug in [bug for bug in BUGS if not parts or bug.part in parts]:
        found[bug.part] = seeds_until_found(bug)
        took = "not found" if found[bug.part] is None else f"{found[bug.part]:4} seeds"
        print(f"{bug.part:11} {took:10} {bug.breaks}", flush=True)
    print(f"{sum(took is not None for took in found.values())} of {len(found)} planted bugs found")
    return 1 if None in found.values() else 0


def _replay(seed: int, preset: Preset, script: list[int] | None, as_it_is: bool, how: str) -> int:
    outcome = run(seed, preset, script)
    if not isinstance(outcome, Failure):
        print("sim: " + ", ".join(f"{count} {what}" for what, count in sorted(outcome.items())))
        return 0
    short = outcome if as_it_is or script else shortest(seed, outcome, preset)
    traceback.print_exception(short.error)
    print(told(seed, short, how))
    return 1


if __name__ == "__main__":
    sys.exit(main())
