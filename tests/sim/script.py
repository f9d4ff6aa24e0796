"""Runs seeds, replays them, and shortens what fails to the fewest actions that still fail.

Enters: a seed, a preset. Leaves: counts, or a `Failure` with a short script.
Must hold: the shortened script fails in the same way (the same kind of error) as the whole seed did.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.contained import no_bugs
from tests.sim.bugs import Bug
from tests.sim.preset import SMALL, Preset
from tests.sim.template import SHAPES, scratch_folder, template
from tests.sim.world import World

SHRINKING_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What one run of a script came to. `lines`: number → action, as far as it came."""

    error: Exception
    lines: dict[int, str]


def run(seed: int, preset: Preset = SMALL, script: Sequence[int] | None = None) -> Counter[str] | Failure:
    """One seed, or some of its actions."""
    with scratch_folder() as folder:
        world = World(seed, Path(folder), preset)
        try:
            with no_bugs():
                return world.run(script)
        except Exception as error:  # of whatever kind: a simulated node must not raise
            return Failure(error=error, lines=world.trace)


def shortest(
    seed: int, failure: Failure, preset: Preset = SMALL, clock: Callable[[], float] = time.monotonic
) -> Failure:
    """Delta debugging over the actions, for a minute at most; the error is the last run's."""
    until, best, parts = clock() + SHRINKING_S, failure, 2
    while clock() < until and len(best.lines) >= 2:
        numbers = sorted(best.lines)
        size = max(len(numbers) // parts, 1)
        smaller = None
        for start in range(0, len(numbers), size):
            if clock() >= until:
                break
            outcome = run(seed, preset, numbers[:start] + numbers[start + size :])
            if isinstance(outcome, Failure) and _kind(outcome.error) == _kind(failure.error):
                smaller = outcome
                break
        if smaller is not None and len(smaller.lines) < len(numbers):
            best, parts = smaller, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(parts * 2, len(numbers))
    return best


def _kind(error: Exception) -> tuple[type[Exception], str]:
    """What went wrong, without the node, ids and numbers."""
    words = re.split(r"[\[{'(]", str(error), maxsplit=1)[0].split()
    named = words[1:] if words and words[0].endswith(":") else words
    return type(error), " ".join(word for word in named if word.isalpha())[:60]


def seeds_until_found(bug: Bug) -> int | None:
    """How many seeds it takes until one fails with a planted bug; None when none of its `seeds_max` does."""
    for shape in SHAPES:
        template(shape)  # built by the right code
    for seed in range(bug.seeds_max):
        with bug.planted():
            outcome = run(seed)
        if isinstance(outcome, Failure) and not isinstance(run(seed), Failure):  # the right code passes
            return seed + 1
    return None


def told(seed: int, failure: Failure, how: str = "") -> str:
    """A failing script in words, with the command that replays it; `how`: options that chose the kind of world."""
    lines = [f"  {number:3} {what}" for number, what in sorted(failure.lines.items())]
    only = ",".join(str(number) for number in sorted(failure.lines))
    return "\n".join(
        [f"seed {seed} fails: {type(failure.error).__name__}: {failure.error}", *lines,
         f"replay: make sim SEED={seed} ARGS='{how}--only {only}'"]
    )  # fmt: skip
