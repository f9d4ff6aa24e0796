"""The keys of many persons, into the index in its own order: each of its pages is written once, not once per key.

Enters: a store; persons whose keys were noted beside them (`index.lay`). Leaves: their keys in the index. Must hold:
memory is bounded: the smallest keys that are not written yet are found by reading everybody's, as often as it takes; a
person that changed since it was read (`index.update` notes it as due) gets no key that is no longer its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncd.identity import sql
from syncd.identity.index import KEY_COLUMNS, LOCK
from syncd.identity.keys import KEY_BYTES, unpack
from syncd.limits import IDENTITY_INDEX_ROWS, IDENTITY_SWEEP_KEYS, IDENTITY_SWEEP_ROWS
from syncd.store.base import Store, Tx

BEYOND_ALL = b"\xff"


class Sweep:
    """Of the persons whose ids follow `first`, up to `last`. An entry: a key and its person, sorting as the index."""

    def __init__(self, store: Store, first: str, last: str) -> None:
        self._store = store
        self._first, self._last = first, last
        self._written = b""  # the last entry that is in the index
        self._begin()

    def _begin(self) -> None:
        self._read = self._first
        self._found: list[bytes] = []  # the smallest entries that follow those written, of the persons read
        self._below = BEYOND_ALL  # larger ones are for another reading
        self._is_read = False

    def step(self) -> bool:
        """A part; False: there is none left."""
        if not self._is_read:
            self._collect()
        elif self._found:
            self._write()
        elif self._below != BEYOND_ALL:
            self._begin()
        else:
            return False
        return True

    def _collect(self) -> None:
        with self._store.read() as tx:
            rows = tx.all(_KEYS, (self._read, self._last, IDENTITY_SWEEP_ROWS))
        written, below, found = self._written, self._below, self._found
        for person_id, keys in rows:
            packed, name = bytes(keys), person_id.encode()
            for at in range(0, len(packed), KEY_BYTES):
                entry = packed[at : at + KEY_BYTES] + name
                if written < entry < below:
                    found.append(entry)
        self._is_read = len(rows) < IDENTITY_SWEEP_ROWS
        if len(found) > IDENTITY_SWEEP_KEYS * (1 if self._is_read else 2):
            found.sort()
            self._below = found[IDENTITY_SWEEP_KEYS]
            del found[IDENTITY_SWEEP_KEYS:]
        if self._is_read:
            found.sort()
        else:
            self._read = rows[-1][0]

    def _write(self) -> None:
        some = self._found[:IDENTITY_INDEX_ROWS]
        rows = [(int.from_bytes(entry[:KEY_BYTES], "big"), entry[KEY_BYTES:].decode()) for entry in some]
        with self._store.write("identity-index") as tx:
            tx.lock(LOCK)
            sql.insert(tx, "syncd_identity_key", KEY_COLUMNS, _still_true(tx, rows))
        self._written = some[-1]
        del self._found[: len(some)]


def _still_true(tx: Tx, rows: Sequence[tuple[int, str]]) -> Sequence[tuple[int, str]]:
    """Without keys that their persons have lost since these were read."""
    if tx.one("SELECT 1 FROM syncd_identity_due LIMIT 1") is None:
        return rows
    changed = {
        person_id: frozenset(unpack(bytes(keys or b"")))
        for person_id, keys in sql.select_in(tx, _CHANGED, "d.person_id", sorted({row[1] for row in rows}))
    }
    return [(key, person_id) for key, person_id in rows if person_id not in changed or key in changed[person_id]]


_KEYS = """
    SELECT person_id, keys FROM syncd_identity_person
    WHERE person_id > ? AND person_id <= ? ORDER BY person_id LIMIT ?
"""
_CHANGED = """
    SELECT d.person_id, p.keys
    FROM syncd_identity_due AS d LEFT JOIN syncd_identity_person AS p ON p.person_id = d.person_id
"""
