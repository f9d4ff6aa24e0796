"""What a simulated world is given: its size, its clocks, its bounds.

Enters: numbers. Leaves: presets, clocks that may be off, limits for the time of one seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from syncd import applying, baseline, limits, own_streams
from tests.sim.template import LARGE
from tests.trees import TestClock


@dataclass(slots=True)
class NodeClock:
    """A node's clock: the world's, and how far it is off."""

    world: TestClock
    offset_ms: int = 0

    def __call__(self) -> int:
        return self.world() + self.offset_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How large a world is. `shape`: None for the small ones in turn. `passes_on`: units pass to other keepers, terms
    end by force, households move, logs are pruned, clocks jump. `loses_disks`: beside all that, yesterday's copies are
    put back (and no world is set apart for them). `skews`: nodes are upgraded to the next schema revision one by one.
    """

    shape: str | None
    actions: int
    passes_on: bool = True
    loses_disks: bool = False
    clones: bool = False
    skews: bool = False


SMALL = Preset(shape=None, actions=40)
# Longer scripts, and copies that are put back or run twice in every fourth world.
STEADY = Preset(shape=None, actions=120, passes_on=False)
# Copies put back while units pass on.
LOST = Preset(shape=None, actions=70, loses_disks=True)
# And disk images that are started twice.
CLONED = Preset(shape=None, actions=70, loses_disks=True, clones=True)
SKEWED = Preset(shape=None, actions=60, skews=True)
TWENTY = Preset(shape=LARGE, actions=500)


@contextmanager
def release(revision: int) -> Iterator[None]:
    """The code of another release: its envelopes need this schema revision, and it reads none above."""
    modules: tuple[Any, ...] = (applying, baseline, own_streams)
    before = [module.SCHEMA_REVISION for module in modules]
    for module in modules:
        module.SCHEMA_REVISION = revision
    try:
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.SCHEMA_REVISION = value


@contextmanager
def other_limits(**values: int) -> Iterator[None]:
    """Other bounds for one seed: constants in production, which modules read when they need them."""
    before = {name: getattr(limits, name) for name in values}
    for name, value in values.items():
        setattr(limits, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(limits, name, value)
