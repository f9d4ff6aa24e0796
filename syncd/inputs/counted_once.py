"""Counting once: rows of several units that are one person, as links say, are one in every sum over these units.

Enters: a read transaction, the units summed. Leaves: what to take from their cells.
Must hold: a unit's own figures stay as its keeper's records say; of one person the row counts where it arrived last
(`conflict/identity_moves.counting_unit`), so that taking a link apart restores both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from schema.views import COUNTED_ROWS, LINKED_ROWS
from syncd.store.base import Tx

Cell = tuple[int, str, str, str]  # sex, month of birth, ethnic group, residence


@dataclass(frozen=True, slots=True, order=True)
class _Row:
    """A usual resident of whom there is another row; by what decides which one counts: the last arrival, the id."""

    since: str
    id: str
    unit_id: str
    cell: Cell


def counted_twice(tx: Tx, units: Collection[str]) -> Counter[Cell]:
    """Cell → persons of these units who are counted in another of them already."""
    rows = {
        row[0]: _Row(since=row[6], id=row[0], unit_id=row[1], cell=(int(row[2]), row[3], row[4], row[5]))
        for row in tx.all(COUNTED_ROWS)
        if row[1] in units
    }
    surplus: Counter[Cell] = Counter()
    for ids in _groups(tx.all(LINKED_ROWS)):
        of_one = sorted(rows[row_id] for row_id in ids if row_id in rows)
        surplus.update(row.cell for row in of_one[:-1])
    return surplus


def _groups(pairs: Iterable[tuple[str, str]]) -> Iterable[list[str]]:
    """Rows that links make one person, be it by way of a third."""
    neighbours: defaultdict[str, set[str]] = defaultdict(set)  # two links may name the same rows
    for one, other in pairs:
        neighbours[one].add(other)
    seen: set[str] = set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        seen.add(start)
        group = [start]
        for row_id in group:  # grows while it is read
            group += [other for other in neighbours[row_id] if other not in seen]
            seen.update(group)
        yield group
