"""Moves with both ends, from the migrations and links that are here (the pairing itself is `conflict.identity_moves`).

Enters: a read transaction. Leaves: departures with their arrivals, those alone, the stays of one person's rows.
Must hold: nothing is written; every linked pair counts, whichever tier linked it.
"""

from __future__ import annotations

from collections.abc import Sequence

from conflict.identity_moves import ARRIVAL, DEPARTURE, Move, Moves, Stay, pair_moves
from syncd.identity import sql
from syncd.identity.links import linked_pairs
from syncd.store.base import Tx

MOVES = "SELECT id, person_id, unit_id, direction, moved_on FROM migration"


def moves(tx: Tx) -> Moves:
    """All moves known here, paired."""
    rows = [row for batch in tx.stream(MOVES) for row in batch]
    return pair_moves(
        (Move(id=row[0], person_id=row[1], unit_id=row[2], direction=row[3], moved_on=row[4]) for row in rows),
        linked_pairs(tx),
    )


def stays(tx: Tx, person_ids: Sequence[str]) -> list[Stay]:
    """While each of these rows counts: from its arrival, up to its departure or death, open where none is known."""
    persons = sql.select_in(tx, "SELECT id, unit_id, birth_date FROM person", "id", list(person_ids))
    changes: dict[str, dict[str, list[str]]] = {}
    for _id, person_id, _unit, direction, moved_on in sql.select_in(tx, MOVES, "person_id", list(person_ids)):
        changes.setdefault(person_id, {}).setdefault(direction, []).append(moved_on)
    for person_id, died_on in sql.select_in(tx, "SELECT person_id, died_on FROM death", "person_id", list(person_ids)):
        changes.setdefault(person_id, {}).setdefault(DEPARTURE, []).append(died_on)
    found = []
    for person_id, unit_id, born in sorted(persons):
        own = changes.get(person_id, {})
        since = max(own.get(ARRIVAL, [born]))
        until = min((day for day in own.get(DEPARTURE, ()) if day >= since), default=None)
        found.append(Stay(unit_id=unit_id, since=since, until=until))
    return found
