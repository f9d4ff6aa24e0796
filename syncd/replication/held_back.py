"""Units whose rows cannot be sealed as they are: they wait in the journal, everything else goes on (I10).

Enters: what the journal holds; which units failed. Leaves: what there is to do without them.
Must hold: a unit is tried again as soon as its journal changed (whoever mends a row writes one), and not before: each
attempt may write pieces that have to be discarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schema.spec import Kind, Registry
from syncd.errors import SyncdError
from syncd.store.base import Tx

Unit = tuple[int, str | None]  # kind of the stream, and the unit whose rows it holds
Waiting = tuple[int, str | None]  # number of a table, and the unit of its journal rows
Mark = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a unit's rows cannot be sealed, and what the journal held of them."""

    error: SyncdError
    mark: Mark


def others(dialect: str, registry: Registry, units: Iterable[Unit]) -> tuple[str, list[Any]]:
    """A condition that holds for journal rows of all other units, and its values."""
    same = "unit_id IS ?" if dialect == "sqlite" else "unit_id IS NOT DISTINCT FROM ?::uuid"
    texts, values = [], []
    for kind, unit_id in units:
        numbers = ", ".join(str(table.number) for table in registry.of_kind(Kind(kind)))
        texts.append(f"NOT (tab IN ({numbers}) AND {same})")
        values.append(unit_id)
    return " AND ".join(texts) or "1 = 1", values


def mark(tx: Tx, registry: Registry, unit: Unit) -> Mark:
    """How many journal rows a unit has in this snapshot, and the number of the newest."""
    kind, unit_id = unit
    numbers = ", ".join(str(table.number) for table in registry.of_kind(Kind(kind)))
    same = "unit_id IS ?" if tx.dialect == "sqlite" else "unit_id IS NOT DISTINCT FROM ?::uuid"
    row = tx.one(
        f"SELECT count(*), coalesce(max(n), 0) FROM syncd_journal WHERE tab IN ({numbers}) AND {same}", (unit_id,)
    )
    return (row[0], row[1]) if row else (0, 0)


class HeldBack:
    """The units that failed, and what the journal held of them then."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._marks: dict[Unit, Mark] = {}

    def __bool__(self) -> bool:
        return bool(self._marks)

    def take(self, failed: Mapping[Unit, Failure], skipped: frozenset[Unit]) -> None:
        """After a cut without those `skipped`: these failed, the others went on."""
        kept = {unit: found for unit, found in self._marks.items() if unit in skipped}
        self._marks = kept | {unit: failure.mark for unit, failure in failed.items()}

    def skipped(self, tx: Tx) -> frozenset[Unit]:
        """The units of which nothing is new since they failed."""
        marks = dict(self._marks)  # another thread may take more
        return frozenset(unit for unit, found in marks.items() if mark(tx, self._registry, unit) == found)

    def without(self, waiting: Sequence[Waiting], skipped: frozenset[Unit]) -> list[Waiting]:
        """What is left to sequence."""
        return [each for each in waiting if (int(self._registry.by_number[each[0]].kind), each[1]) not in skipped]

    def has_more(self, tx: Tx) -> bool:
        """Whether the journal holds anything that is not to wait."""
        condition, values = others(tx.dialect, self._registry, self.skipped(tx))
        return tx.one(f"SELECT 1 FROM syncd_journal WHERE {condition} LIMIT 1", values) is not None
