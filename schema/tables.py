"""The registry of an installation: the system's tables and the population records, plus what a deployment adds."""

from __future__ import annotations

from schema.population import POPULATION_TABLES
from schema.replicated import SYSTEM_TABLES
from schema.spec import Registry, Table


def registry(extra: tuple[Table, ...] = ()) -> Registry:
    """The registry of this release with `extra` tables (numbers from 1000) that a deployment replicates too."""
    return Registry((*SYSTEM_TABLES, *POPULATION_TABLES, *extra))


SCHEMA_REVISION = 1  # the lowest revision able to express what this release writes; travels in every header
