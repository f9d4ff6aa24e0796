"""Links as rows: one per side under one opaque id, cases for what a person must look at, and what that person decided.

Enters: an open write transaction (captured as any write), judged pairs, a time, randomness for ids.
Leaves: rows of `person_link`, which flow to the keepers concerned, each its own side; cases at this node.
Must hold: no row of a person is touched; a pair taken apart, by whatever node, is never linked again by itself; a pair
that a person decided is left as it is; writing the same judgement twice changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from conflict.case import CaseKind, case_id
from conflict.identity import Judgement, Method, Outcome
from schema.population import PERSON
from syncd.cases import close_case, open_case
from syncd.errors import UsageError
from syncd.identity import sql
from syncd.language import say
from syncd.store.base import Row, Tx

RandomBytes = Callable[[int], bytes]

ITSELF = "syncd"  # who decided a link that no person has looked at
PERSON_METHOD = "person"
CASE_KINDS = {
    Method.CITIZEN_ID: CaseKind.DUPLICATE_CITIZEN_ID,
    Method.INSURANCE_NO: CaseKind.DUPLICATE_INSURANCE_NO,
    Method.SCORE: CaseKind.DUPLICATE_PERSON,
}


class State(StrEnum):
    """Of a link."""

    LINKED = "linked"
    PROPOSED = "proposed"
    UNLINKED = "unlinked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One row of a pair and the unit it belongs to."""

    person_id: str
    unit_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A judged pair."""

    sides: tuple[Side, Side]
    judgement: Judgement

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(side.person_id for side in self.sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A link that is there, of either state. `is_mine`: made here; before a unit passed on, another node may have."""

    link_id: str
    ids: frozenset[str]
    state: str
    method: str
    is_mine: bool


@dataclass(slots=True, kw_only=True)
class Counts:
    """What matching did."""

    linked: int = 0
    proposed: int = 0
    clashes: int = 0  # one number borne by two: cases without a link
    withdrawn: int = 0  # links whose ground is gone: proposed again, or apart since a row is gone

    def add(self, other: Counts) -> None:
        self.linked += other.linked
        self.proposed += other.proposed
        self.clashes += other.clashes
        self.withdrawn += other.withdrawn


def known_links(tx: Tx, person_ids: Iterable[str]) -> list[Known]:
    """Every link with both sides here that one of these persons is a side of."""
    link_ids = sorted({row[0] for row in sql.select_in(
        tx, "SELECT link_id FROM person_link", "person_id", sorted(set(person_ids)))})  # fmt: skip
    return _pairs(tx, sql.select_in(tx, _SIDES, "link_id", link_ids))


def every_link(tx: Tx) -> list[Known]:
    """Every link with both sides here."""
    return _pairs(tx, tx.all(_SIDES))


def write_found(tx: Tx, found: Sequence[Found], now: str, random_bytes: RandomBytes) -> Counts:
    """Bring links and cases in line with judged pairs; pairs that a person decided stand."""
    known = {link.ids: link for link in known_links(tx, (person for each in found for person in each.ids))}
    counts = Counts()
    for each in found:
        before = known.get(each.ids)
        if before is None:
            _begin(tx, each, now, random_bytes, counts)
        elif before.is_mine and before.method != PERSON_METHOD and before.state != State.UNLINKED:
            _renew(tx, each, before, now, counts)
    return counts


def withdraw(tx: Tx, link: Known, now: str) -> None:
    """A side is gone: the other stands on its own."""
    _set(tx, link.link_id, State.UNLINKED, link.method, ITSELF, now)
    _close(tx, link.ids, now)


def confirm(tx: Tx, link_id: str, by: str, now: str) -> None:
    """A person says: the same person."""
    link = _own(tx, link_id)
    _set(tx, link_id, State.LINKED, PERSON_METHOD, by, now)
    _close(tx, link.ids, now)


def unlink(tx: Tx, link_id: str, by: str, now: str) -> None:
    """A person says: not the same. Both rows stand as they were before; the pair is never linked again by itself."""
    link = _own(tx, link_id)
    _set(tx, link_id, State.UNLINKED, PERSON_METHOD, by, now)
    _close(tx, link.ids, now)


def link(tx: Tx, sides: tuple[Side, Side], by: str, now: str, random_bytes: RandomBytes) -> str:
    """A person says of any two rows: the same person. Returns the link's id."""
    return _decided(tx, sides, State.LINKED, by, now, random_bytes)


def part(tx: Tx, sides: tuple[Side, Side], by: str, now: str, random_bytes: RandomBytes) -> str:
    """A person says of any two rows, linked or only in a case: not the same. Returns the link's id."""
    return _decided(tx, sides, State.UNLINKED, by, now, random_bytes)


def linked_pairs(tx: Tx) -> list[tuple[str, str]]:
    """Pairs of persons that are linked, by whatever node, as far as both sides are here."""
    rows = tx.all(
        "SELECT a.person_id, b.person_id FROM person_link AS a JOIN person_link AS b"
        " ON b.link_id = a.link_id AND b.person_id > a.person_id"
        " WHERE a.state = 'linked' AND b.state = 'linked' ORDER BY 1, 2"
    )
    return [(row[0], row[1]) for row in rows]


_SIDES = "SELECT link_id, person_id, state, method, id FROM person_link"


def _pairs(tx: Tx, rows: Iterable[Row]) -> list[Known]:
    mine = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'tag'"))
    sides: dict[str, list[Row]] = {}
    for row in rows:
        sides.setdefault(row[0], []).append(row)
    found = [
        Known(
            link_id=link_id, ids=frozenset(row[1] for row in pair), state=pair[0][2], method=pair[0][3],
            is_mine=pair[0][4].endswith(mine),
        )
        for link_id, pair in sorted(sides.items())
        if len(pair) == 2
    ]  # fmt: skip
    return sorted(found, key=lambda link: link.is_mine)  # who keeps the last of a pair keeps this node's own


def _begin(tx: Tx, each: Found, now: str, random_bytes: RandomBytes, counts: Counts) -> None:
    judgement = each.judgement
    if judgement.outcome is Outcome.NOTHING:
        return
    link_id = ""
    if judgement.outcome is not Outcome.CLASH:
        state = State.LINKED if judgement.outcome is Outcome.LINK else State.PROPOSED
        link_id = _insert(tx, each.sides, state, judgement.method.value, judgement.score, ITSELF, now, random_bytes)
    if judgement.outcome is Outcome.LINK:
        counts.linked += 1
        return
    _open(tx, each, link_id, now)
    if judgement.outcome is Outcome.CLASH:
        counts.clashes += 1
    else:
        counts.proposed += 1


def _renew(tx: Tx, each: Found, before: Known, now: str, counts: Counts) -> None:
    judgement = each.judgement
    if before.state == State.PROPOSED and judgement.outcome is Outcome.LINK:
        _set(tx, before.link_id, State.LINKED, judgement.method.value, ITSELF, now, judgement.score)
        _close(tx, before.ids, now)
        counts.linked += 1
    elif before.state == State.LINKED and judgement.outcome is not Outcome.LINK:
        _set(tx, before.link_id, State.PROPOSED, judgement.method.value, ITSELF, now, judgement.score)
        _open(tx, each, before.link_id, now)
        counts.withdrawn += 1


def _decided(
    tx: Tx, sides: tuple[Side, Side], state: State, by: str, now: str, random_bytes: RandomBytes
) -> str:  # fmt: skip
    ids = frozenset(side.person_id for side in sides)
    if len(ids) != 2:
        raise UsageError(
            say("một bản ghi không thể liên kết với chính nó", "a row cannot be linked with itself"),
            say("nêu hai bản ghi nhân khẩu khác nhau", "name two different rows"),
        )
    before = next((each for each in known_links(tx, ids) if each.ids == ids and each.is_mine), None)
    _close(tx, ids, now)
    if before is None:
        return _insert(tx, sides, state, PERSON_METHOD, 0, by, now, random_bytes)
    _set(tx, before.link_id, state, PERSON_METHOD, by, now)
    return before.link_id


def _insert(
    tx: Tx, sides: tuple[Side, Side], state: State, method: str, score: int, by: str, now: str,
    random_bytes: RandomBytes,
) -> str:  # fmt: skip
    link_id = str(uuid.UUID(bytes=random_bytes(16), version=4))
    tx.many(
        "INSERT INTO person_link (unit_id, link_id, person_id, state, method, score, decided_by, decided_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(side.unit_id, link_id, side.person_id, state.value, method, score, by, now) for side in sides],
    )
    return link_id


def _set(tx: Tx, link_id: str, state: State, method: str, by: str, now: str, score: int | None = None) -> None:
    tx.run(
        "UPDATE person_link SET state = ?, method = ?, decided_by = ?, decided_at = ?, score = coalesce(?, score)"
        " WHERE link_id = ?",
        (state.value, method, by, now, score, link_id),
    )


def _open(tx: Tx, each: Found, link_id: str, now: str) -> None:
    one, other = sorted(each.sides, key=lambda side: side.person_id)
    judgement = each.judgement
    open_case(
        tx, CASE_KINDS[judgement.method], (one.person_id, other.person_id), opened_at=now,
        detail={"link_id": link_id, "score": judgement.score, "why": " ".join(judgement.why)},
        tab=PERSON.number, row_id=one.person_id,
        rows=[(side.person_id, PERSON.number, side.unit_id) for side in (one, other)],
    )  # fmt: skip


def _close(tx: Tx, ids: frozenset[str], now: str) -> None:
    for kind in CASE_KINDS.values():
        close_case(tx, case_id(kind, *ids), now)


def _own(tx: Tx, link_id: str) -> Known:
    rows = tx.all("SELECT person_id FROM person_link WHERE link_id = ?", (link_id,))
    found = next((link for link in known_links(tx, (row[0] for row in rows)) if link.link_id == link_id), None)
    if found is None or not found.is_mine:
        raise UsageError(
            say("ở máy này không có liên kết {link}", "no link {link} was made at this node", link=link_id),
            say(
                "xem `[[syncd identity list]]`; liên kết do tuyến khác lập thì gỡ ở tuyến đó",
                "see `[[syncd identity list]]`; a link of another tier is undone there",
            ),
        )
    return found
