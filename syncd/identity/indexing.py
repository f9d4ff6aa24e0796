"""The index of everybody in steps, as a daemon makes it: interrupted anywhere, while persons come, change and go.

Enters: a store. Leaves: the index, and everybody due. Must hold: it costs by the size of the index: keys are noted
beside their persons in the order of these, then written into the index in its own (`sweep.py`); memory is bounded by a
step; begun anew in another process it writes only what is missing; it is whole, and noted as such, only when nobody
else (another process of a hub, a command) has laid keys meanwhile that nobody has swept.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncd.identity.index import (
    LOCK,
    NIL,
    compared_after,
    lay,
    note_due_after,
    note_indexed,
    times_laid,
    update_in_parts,
)
from syncd.identity.keys import KINDS
from syncd.identity.sweep import Sweep
from syncd.limits import IDENTITY_INDEX_PERSONS, IDENTITY_INDEX_ROWS, IDENTITY_SWEEP_PERSONS
from syncd.store.base import Store


class Indexing:
    """One process's. What it knows is in memory: what it did is in the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begin()

    def _begin(self) -> None:
        self._laid: int | None = None  # how often keys were laid, as far as this round has seen and done it
        self._swept = self._after = NIL  # whose keys are in the index, and noted: everybody's up to these ids
        self._waiting = 0  # persons between these two
        self._sweep: Sweep | None = None
        self._due: str | None = None  # everybody is in the index, and noted as due up to this id

    def step(self) -> None:
        """A part; the last one notes that the index is whole."""
        if self._due is not None:
            self._note_due(self._due)
        elif self._sweep is None:
            self._compare()
        elif not self._sweep.step():
            self._sweep, self._swept, self._waiting = None, self._after, 0

    def _compare(self) -> None:
        with self._store.read() as tx:
            if self._laid is None:
                self._laid = times_laid(tx)
            found = compared_after(tx, self._after, IDENTITY_INDEX_PERSONS)
        if found is None:
            if self._swept == self._after:
                self._due = NIL
        else:
            update_in_parts(self._store, found.stale)
            self._lay(found.unknown)
            self._after = found.last
            self._waiting += found.count
        if self._waiting and (found is None or self._waiting >= IDENTITY_SWEEP_PERSONS):
            self._sweep = Sweep(self._store, self._swept, self._after)

    def _lay(self, unknown: Sequence[str]) -> None:
        for start in range(0, len(unknown), IDENTITY_INDEX_ROWS // KINDS):
            with self._store.write("identity-index") as tx:
                tx.lock(LOCK)
                lay(tx, unknown[start : start + IDENTITY_INDEX_ROWS // KINDS])
            self._laid = (self._laid or 0) + 1

    def _note_due(self, after: str) -> None:
        """Some persons more. Last of all: who was noted before they came was noted as due by whoever noted them."""
        with self._store.write("identity-index") as tx:
            tx.lock(LOCK)
            last = note_due_after(tx, after, IDENTITY_INDEX_ROWS)
            is_whole = last is None and times_laid(tx) == self._laid
            if is_whole:
                note_indexed(tx)
        if last is not None:
            self._due = last
        elif not is_whole:
            self._begin()
