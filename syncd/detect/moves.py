"""Departures and arrivals: which belong together, and which have stayed alone for too long.

Enters: `Records`, matches so far. Leaves: matches to write or to take back, findings. Must hold: a person who moved is
matched at the lowest node that sees both ends, by the number both ends bear or by linked persons; what a person took
apart is not matched again; only the root can say that the other end is nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from conflict.case import CaseKind
from conflict.identity_moves import Move as EndOfMove
from conflict.identity_moves import pair_moves
from syncd import limits
from syncd.detect.finding import Finding, Side
from syncd.detect.place import Places
from syncd.detect.records import Move, Records, chosen
from syncd.store.base import Tx, in_lists

DEPARTURE, ARRIVAL = "departure", "arrival"
ALONE = {DEPARTURE: CaseKind.DEPARTURE_WITHOUT_ARRIVAL, ARRIVAL: CaseKind.ARRIVAL_WITHOUT_DEPARTURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A departure and an arrival that are one move. `method`: match_id, link or person."""

    ids: frozenset[str]
    units: frozenset[str]
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A match as written. `sides`: migration → unit."""

    match_id: str
    sides: dict[str, str]
    method: str
    is_mine: bool


@dataclass(slots=True, kw_only=True)
class Moved:
    """What to write, and what stays alone."""

    matches: list[Match] = field(default_factory=list)
    taken_back: list[Standing] = field(default_factory=list)
    alone: list[Finding] = field(default_factory=list)


_MATCHES = """
    SELECT m.match_id, m.migration_id, m.unit_id, m.method, m.id, m.state FROM move_match AS m
    WHERE m.match_id IN (SELECT match_id FROM move_match WHERE migration_id IN ({marks}))"""
_SAME_NUMBER = "SELECT id, unit_id, person_id, direction, moved_on, match_id FROM migration WHERE"


def look(tx: Tx, places: Places, records: Records, gone: set[str], today: str) -> Moved:
    """`gone`: migrations that were deleted. `today`: YYYY-MM-DD."""
    found = Moved()
    moves = dict(records.moves)
    numbers = {move.match_id for move in moves.values() if move.match_id}
    for row in chosen(tx, _SAME_NUMBER, "match_id", numbers):
        moves.setdefault(row[0], Move(**dict(zip(Move.__slots__, row, strict=True))))
    standing, apart = _known(tx, {*moves, *gone})
    pairs = _pairs(records, moves)
    # Of a match is known whether it still holds where everything about one of its persons is here.
    sure = {move.id for move in moves.values() if move.person_id in records.core} | gone
    for each in standing:
        if each.is_mine and each.method != "person" and sure & each.sides.keys() and frozenset(each.sides) not in pairs:
            found.taken_back.append(each)
    lapsed = {each.match_id for each in found.taken_back}
    matched = {row for each in standing if each.match_id not in lapsed for row in each.sides}
    for ids, (method, units) in sorted(pairs.items(), key=lambda item: (item[1][0] != "match_id", sorted(item[0]))):
        if matched.isdisjoint(ids) and ids not in apart and places.meet_here(units):
            found.matches.append(Match(ids=ids, units=units, method=method))
            matched |= ids
    if places.is_root:
        left = [move for move in records.moves.values() if move.id not in matched]
        found.alone = [alone for move in left for alone in _alone(move, today)]
    return found


def matched_among(tx: Tx, ids: Iterable[str]) -> set[str]:
    """Those of these migrations whose other end is known, by whatever node."""
    return {row for each in _known(tx, set(ids))[0] for row in each.sides}


def _pairs(records: Records, moves: dict[str, Move]) -> dict[frozenset[str], tuple[str, frozenset[str]]]:
    """Both ends of each move: (method, units)."""
    pairs: dict[frozenset[str], tuple[str, frozenset[str]]] = {}
    ends = [
        EndOfMove(id=m.id, person_id=m.person_id, unit_id=m.unit_id, direction=m.direction, moved_on=m.moved_on)
        for m in moves.values()
    ]
    links = {(one, other) for one, rows in records.linked.items() for other in rows if one < other}
    for pair in pair_moves(ends, links).paired:
        units = frozenset((pair.departure.unit_id, pair.arrival.unit_id))
        pairs[frozenset((pair.departure.id, pair.arrival.id))] = ("link", units)
    by_number: dict[str, list[Move]] = defaultdict(list)
    for move in moves.values():
        if move.match_id:
            by_number[move.match_id].append(move)
    for group in by_number.values():
        departures, arrivals = ([m for m in group if m.direction == way] for way in (DEPARTURE, ARRIVAL))
        if len(departures) == len(arrivals) == 1:  # a number used more often tells nothing
            ids = frozenset((departures[0].id, arrivals[0].id))
            pairs[ids] = ("match_id", frozenset((departures[0].unit_id, arrivals[0].unit_id)))
    return pairs


def _known(tx: Tx, ids: set[str]) -> tuple[list[Standing], set[frozenset[str]]]:
    """Matches that stand, and pairs that a person took apart."""
    mine = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'tag'"))
    rows: dict[str, list[tuple[str, str, str, str, str]]] = defaultdict(list)
    for marks, some in in_lists(sorted(ids)):
        for match_id, *rest in tx.all(_MATCHES.format(marks=marks), some):
            rows[match_id].append(tuple(rest))
    standing, apart = [], set()
    for match_id, of_match in rows.items():
        sides = {row[0]: row[1] for row in of_match}
        ended = [row for row in of_match if row[4] == "apart"]
        if not ended:
            by = of_match[0]
            standing.append(
                Standing(match_id=match_id, sides=sides, method=by[2], is_mine=by[3].endswith(mine))
            )  # fmt: skip
        elif any(row[2] == "person" for row in ended):
            apart.add(frozenset(sides))
    return standing, apart


def _alone(move: Move, today: str) -> Iterator[Finding]:
    """On the list from the day its term has run out; what is older than both ends' system is nobody's exception."""
    moved_on = date.fromisoformat(move.moved_on)
    oldest = date.fromisoformat(today) - timedelta(days=limits.MOVE_LOOK_BACK_DAYS)
    if not oldest <= moved_on < date.max - timedelta(days=limits.MOVE_OVERDUE_DAYS):
        return
    yield Finding(
        kind=ALONE[move.direction],
        sides=(Side(table="migration", row_id=move.id, unit_id=move.unit_id),),
        stands_from=(moved_on + timedelta(days=limits.MOVE_OVERDUE_DAYS)).isoformat(),
        only_root=True,
    )
