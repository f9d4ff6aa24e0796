"""A person who moves has two rows, and is one person at every date.

Enters: departures and arrivals, and which persons are linked; or the times at which a person's rows are counted.
Leaves: departures with the arrivals that belong to them; what to add at the common ancestor so that one person is one.
Must hold: each departure and arrival is used once; the same result in whatever order they come; nothing is written:
unit figures stay as their keepers' records say, and the correction lies at the tier that made the link.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from conflict.limits import MOVE_DAYS_MAX

DEPARTURE, ARRIVAL = "departure", "arrival"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One row of the table migration. `moved_on`: YYYY-MM-DD."""

    id: str
    person_id: str
    unit_id: str
    direction: str
    moved_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedMove:
    """One move seen from both ends; the two dates may differ by as much as people take to report."""

    departure: Move
    arrival: Move


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """`departures` and `arrivals`: those without the other end."""

    paired: tuple[PairedMove, ...]
    departures: tuple[Move, ...]
    arrivals: tuple[Move, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """While one row counts: from `since` up to the day before `until`; None is open."""

    unit_id: str
    since: str | None = None
    until: str | None = None

    def covers(self, on: str) -> bool:
        return (self.since is None or self.since <= on) and (self.until is None or on < self.until)


def pair_moves(moves: Iterable[Move], linked: Iterable[tuple[str, str]]) -> Moves:
    """The arrival of each departure: of a linked person's row, in another unit, the nearest in time, once each."""
    every = {move.id: move for move in moves}
    by_person: dict[str, list[Move]] = {}
    for move in every.values():
        by_person.setdefault(move.person_id, []).append(move)
    candidates = sorted(
        (_days_apart(departure, arrival), departure.id, arrival.id)
        for one, other in linked
        for departure, arrival in _ends(by_person.get(one, ()), by_person.get(other, ()))
    )
    used: set[str] = set()
    paired = []
    for _days, departure_id, arrival_id in candidates:
        if departure_id not in used and arrival_id not in used:
            used |= {departure_id, arrival_id}
            paired.append(PairedMove(departure=every[departure_id], arrival=every[arrival_id]))
    alone = sorted((move for move in every.values() if move.id not in used), key=lambda move: (move.moved_on, move.id))
    return Moves(
        paired=tuple(paired),
        departures=tuple(move for move in alone if move.direction == DEPARTURE),
        arrivals=tuple(move for move in alone if move.direction == ARRIVAL),
    )


def correction_at(stays: Sequence[Stay], on: str) -> int:
    """What to add on a day to the sum of the units, given every stay of one person; 1 only between two stays.

    One person is counted once from the first day on which a row counts to the last, however the ends were reported.
    """
    counted = sum(stay.covers(on) for stay in stays)
    if counted:
        return 1 - counted
    before = any(stay.until is not None and stay.until <= on for stay in stays)
    after = any(stay.since is not None and stay.since > on for stay in stays)
    return 1 if before and after else 0


def counting_unit(stays: Sequence[Stay], on: str) -> str | None:
    """The unit that counts one person on a day: where the row came last; between two stays the one left last."""
    here = [stay for stay in stays if stay.covers(on)]
    if here:
        return max(here, key=lambda stay: (stay.since or "", stay.unit_id)).unit_id
    if correction_at(stays, on) == 0:
        return None
    _until, unit_id = max((stay.until, stay.unit_id) for stay in stays if stay.until is not None and stay.until <= on)
    return unit_id


def _ends(one: Sequence[Move], other: Sequence[Move]) -> Iterable[tuple[Move, Move]]:
    for first in one:
        for second in other:
            if first.direction == second.direction or first.unit_id == second.unit_id:
                continue
            departure, arrival = (first, second) if first.direction == DEPARTURE else (second, first)
            if _days_apart(departure, arrival) <= MOVE_DAYS_MAX:
                yield departure, arrival


def _days_apart(departure: Move, arrival: Move) -> int:
    return abs(date.fromisoformat(departure.moved_on).toordinal() - date.fromisoformat(arrival.moved_on).toordinal())
