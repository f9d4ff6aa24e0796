"""Cases: what a person decides at the node that sees all sides, and what a unit answers that was asked (design §5).

Enters: an open case, what a person says. Leaves: a link, a match, a correction or a question; one row of `resolution`
per row concerned, about that row's unit. Must hold: each unit reads of its own side only; everything that was done is
named there, so that it can be taken back; nothing is deleted of another keeper's register, it is proposed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schema.spec import Table
from syncd.cases import close_case
from syncd.detect.detector import write_match
from syncd.errors import UsageError
from syncd.identity import links
from syncd.language import say
from syncd.proposing import parse_settings
from syncd.protocol.decoding import json_object
from syncd.recovery import root_branches
from syncd.review import standing
from syncd.review.desk import Asked, Desk, canonical
from syncd.review.standing import ASKED_HERE
from syncd.review.verbs import ANSWER, MOVES, OF_THE_ASKED, PERSONS, STORED_AS, Verb, allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A row of a case. `unit_id`: None for one that is not there."""

    table: Table
    row_id: str
    unit_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case as it stands here. `is_asked`: found elsewhere; a unit kept here is asked about its own row."""

    id: str
    kind: str
    sides: tuple[Side, ...]
    detail: dict[str, Any]
    openings: int
    unit_id: str | None
    is_asked: bool = False


@dataclass(slots=True, kw_only=True)
class _Done:
    """What a verdict did, by row: for the record, and for taking it back."""

    effects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, row_id: str, effect: dict[str, Any]) -> None:
        self.effects.setdefault(row_id, []).append(effect)


def case_of(desk: Desk, case_id: str) -> Case | None:
    """A case of this node, or one about which a unit kept here was asked; None where there is neither."""
    row = desk.tx.one(
        "SELECT kind, detail, openings, unit_id, tab, row_id FROM syncd_case WHERE case_id = ?", (case_id,)
    )
    if row is None:
        return _asked_case(desk, case_id)
    rows = desk.tx.all("SELECT tab, row_id, unit_id FROM syncd_case_row WHERE case_id = ? ORDER BY row_id", (case_id,))
    detail = json_object(row[1])
    if not rows and row[4] is not None:  # found by matching persons: the other side is named in the detail
        rows = [(row[4], each, None) for each in (row[5], detail.get("other_row_id")) if each]
    return Case(
        id=case_id, kind=row[0], detail=detail, openings=row[2], unit_id=row[3],
        sides=tuple(each for tab, row_id, unit in rows if (each := _side(desk, tab, row_id, unit)) is not None),
    )  # fmt: skip


def resolve_case(desk: Desk, case: Case, asked: Asked) -> None:
    """Carry a verdict out. Raises UsageError or PermissionDenied where it cannot be given here, with what can."""
    if case.is_asked:
        _answer(desk, case, asked)
        return
    if _is_repeated(desk, case, asked):
        return
    _require_unsettled(desk, case)
    verbs = allowed(case.kind, case.detail)
    if asked.verb not in verbs:
        raise UsageError(
            say("vụ việc này không nhận quyết định {verb}", "this case does not take {verb}", verb=asked.verb.value),
            say("dùng một trong: {verbs}", "use one of: {verbs}", verbs=", ".join(verbs)),
        )
    done = _Done()
    if asked.verb is Verb.DONE:
        close_case(desk.tx, case.id, desk.now)  # should its cause show up again, it opens again
        if root_branches.BRANCH in case.detail:
            root_branches.give_up(desk.tx)
    if asked.verb is Verb.TAKE_THEIRS:
        root_branches.take(desk.tx)
    if asked.verb in (Verb.SAME_PERSON, Verb.NOT_THE_SAME):
        _same_or_not(desk, case, asked, done)
    elif asked.verb is Verb.VALUE:
        side = _one_side(desk, case, asked)
        done.add(side.row_id, _correct(desk, side, asked))
    elif asked.verb is Verb.ASK_COMMUNE:
        _ask(desk, case, asked)
        return
    _record(desk, case, asked, _stored_as(asked.verb), case.sides, done)


def _is_repeated(desk: Desk, case: Case, asked: Asked) -> bool:
    """Whether the very word that stands is said once more, by somebody who was not told that it had been written."""
    standing_word = standing.standing_word(standing.words(desk.tx, case.id), case.openings)
    if standing_word is None or asked.settings or asked.row or asked.other:
        return False
    said = (standing_word.verb, standing_word.author, standing_word.reason)
    return standing.is_settled(standing_word) and said == (_stored_as(asked.verb), asked.author, asked.reason)


def _stored_as(verb: Verb) -> str:
    return STORED_AS.get(verb, verb).value


def _require_unsettled(desk: Desk, case: Case) -> None:
    """One decision stands at a time: a second one would hide what the first did, and undoing it would not take that
    back."""
    said = standing.words(desk.tx, case.id)
    if case.is_asked:
        is_settled = (
            desk.tx.one(f"SELECT 1 FROM resolution AS r WHERE r.case_id = ? AND {ASKED_HERE}", (case.id,)) is None
        )
    else:
        is_settled = standing.is_settled(standing.standing_word(said, case.openings))
    if is_settled:
        raise UsageError(
            say("vụ việc này đã được quyết định", "this case is decided already"),
            say("rút lại quyết định trước: [[syncd conflicts undo {id}]]", "take the decision back first:"
                " [[syncd conflicts undo {id}]]", id=case.id),
        )  # fmt: skip


def _same_or_not(desk: Desk, case: Case, asked: Asked, done: _Done) -> None:
    if case.kind in PERSONS:
        _link(desk, case, asked, done)
    elif case.kind in MOVES:
        _match(desk, case, asked, done)
    elif asked.verb is Verb.SAME_PERSON:
        _leave_one(desk, case, asked, done)


def _link(desk: Desk, case: Case, asked: Asked, done: _Done) -> None:
    """Two rows of one person, or of two: a link that only a person undoes."""
    if len(case.sides) != 2 or any(side.unit_id is None for side in case.sides):
        raise UsageError(
            say("một trong hai bản ghi không còn", "one of the two rows is gone"),
            say("vụ việc sẽ tự đóng", "the case closes by itself"),
        )
    first, second = (links.Side(person_id=side.row_id, unit_id=side.unit_id or "") for side in case.sides)
    ids = frozenset((first.person_id, second.person_id))
    before = next((each for each in links.known_links(desk.tx, ids) if each.ids == ids), None)
    decide = links.link if asked.verb is Verb.SAME_PERSON else links.part
    link_id = decide(desk.tx, (first, second), asked.author, desk.now, desk.random_bytes)
    if before is not None and before.link_id != link_id:  # another node's: this one stands beside it
        before = None
    for side in case.sides:
        done.add(side.row_id, {
            "do": "link", "link_id": link_id,
            "before": None if before is None else {"state": before.state, "method": before.method},
        })  # fmt: skip


def _match(desk: Desk, case: Case, asked: Asked, done: _Done) -> None:
    """The other end of a move, as a person names it."""
    mine = case.sides[0]
    query = "SELECT id, unit_id, direction FROM migration WHERE id = ?"
    own = desk.tx.one(query, (mine.row_id,))
    other = desk.tx.one(query, (asked.other or "",)) if len(asked.other or "") == 36 else None
    if own is None or other is None or own[2] == other[2]:
        raise UsageError(
            say("cần nêu đầu kia của lần chuyển này", "the other end of this move is needed"),
            say(
                "viết thêm --with MÃ (bản ghi chuyển đi hoặc đến; xem: [[syncd conflicts show {id}]])",
                "add --with ID (a departure or an arrival; see: [[syncd conflicts show {id}]])",
                id=case.id,
            ),
        )
    match_id = str(uuid.UUID(bytes=desk.random_bytes(16), version=4))
    write_match(desk.tx, match_id, {own[0]: own[1], other[0]: other[1]}, "matched", "person", asked.author, desk.now)
    done.add(mine.row_id, {"do": "match", "match_id": match_id})


def _leave_one(desk: Desk, case: Case, asked: Asked, done: _Done) -> None:
    """Of two records of one event one is left: the older one, unless a person names the other."""
    ordered = sorted(case.sides, key=lambda side: side.row_id)
    left = _named(case, asked.row) if asked.row else ordered[0]
    for side in ordered:
        if side.row_id == left.row_id:
            continue
        if not desk.keeps(side.unit_id):
            done.add(side.row_id, {"do": "proposal", "id": desk.propose(side.table, side.row_id, None, asked)})
            continue
        before = desk.require_row(side.table, side.row_id)
        desk.delete(side.table, side.row_id)
        done.add(side.row_id, {"do": "delete", "table": side.table.name, "before": before})


def _correct(desk: Desk, side: Side, asked: Asked) -> dict[str, Any]:
    """Another value: written where the row is kept here, proposed where it is not."""
    values = parse_settings(side.table, asked.settings)
    if not values:
        raise UsageError(
            say("cần giá trị mới", "a new value is needed"), say("viết thêm CỘT=GIÁ_TRỊ", "add COLUMN=VALUE")
        )
    before = desk.require_row(side.table, side.row_id)
    if not desk.keeps(side.unit_id):
        return {"do": "proposal", "id": desk.propose(side.table, side.row_id, values, asked)}
    desk.update(side.table, side.row_id, values)
    was = {name: before.get(name) for name in values}
    return {"do": "write", "table": side.table.name, "before": was, "after": dict(values)}


def _ask(desk: Desk, case: Case, asked: Asked) -> None:
    """A question to every unit concerned that another node keeps; with `row`, to that row's unit alone."""
    sides = [_named(case, asked.row)] if asked.row else list(case.sides)
    others = [side for side in sides if side.unit_id is not None and not desk.keeps(side.unit_id)]
    if not others:
        raise UsageError(
            say("chính máy này giữ sổ: không có xã nào để hỏi", "this node keeps the register itself: nobody to ask"),
            say(
                "quyết định tại đây: {verbs}",
                "decide here: {verbs}",
                verbs=", ".join(verb for verb in allowed(case.kind) if verb is not Verb.ASK_COMMUNE),
            ),
        )
    _record(desk, case, asked, Verb.ASK_COMMUNE.value, others, _Done())


def _answer(desk: Desk, case: Case, asked: Asked) -> None:
    """Of the unit that was asked: its row is right, or it is corrected now."""
    if asked.verb is Verb.LATER:
        return
    _require_unsettled(desk, case)
    if asked.verb not in OF_THE_ASKED:
        raise UsageError(
            say(
                "vụ việc này do tuyến trên quyết định; xã chỉ trả lời về bản ghi của mình",
                "an upper tier decides this case; a unit answers about its own row",
            ),
            say("dùng một trong: {verbs}", "use one of: {verbs}", verbs=", ".join(OF_THE_ASKED)),
        )
    done = _Done()
    if asked.verb is Verb.VALUE:
        side = _one_side(desk, case, asked)
        done.add(side.row_id, _correct(desk, side, asked))
    _record(desk, case, asked, ANSWER, case.sides, done)


def _record(desk: Desk, case: Case, asked: Asked, verb: str, sides: Sequence[Side], done: _Done) -> None:
    """One row per side, about its own unit; what is about no row is said of this node's own unit."""
    decision_id = str(uuid.UUID(bytes=desk.random_bytes(16), version=4))
    home = case.unit_id or desk.tx.value("SELECT value FROM syncd_meta WHERE key = 'unit_id'")
    known = [side for side in sides if side.unit_id is not None]
    rows: list[tuple[Any, str | None, str | None]] = [(side.unit_id, side.table.name, side.row_id) for side in known]
    for unit_id, table, row_id in rows or [(home, None, None)]:
        detail = {"word": asked.verb.value, "effects": done.effects.get(row_id or "", [])}
        desk.tx.run(
            "INSERT INTO resolution (unit_id, case_id, decision_id, case_kind, verdict, table_name, row_id, detail,"
            " reason, author, made_at, openings) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (unit_id, case.id, decision_id, case.kind, verb, table, row_id, canonical(detail), asked.reason,
             asked.author, desk.now, case.openings),
        )  # fmt: skip


def _one_side(desk: Desk, case: Case, asked: Asked) -> Side:
    """The row whose value is to be another: the one named, or the only one there is, or the one with such columns."""
    there = [side for side in case.sides if side.unit_id is not None]
    if asked.row:
        return _named(case, asked.row)
    columns = {setting.partition("=")[0].strip() for setting in asked.settings}
    fitting = [side for side in there if columns <= side.table.by_name.keys()]
    if len({side.table.name for side in there}) > 1 and len(fitting) == 1:
        return fitting[0]
    if len(there) == 1:
        return there[0]
    raise UsageError(
        say("cần nêu sửa bản ghi nào", "which row is to be corrected?"),
        say(
            "viết thêm --row MÃ, một trong: {ids}",
            "add --row ID, one of: {ids}",
            ids=", ".join(side.row_id for side in there),
        ),
    )


def _named(case: Case, part: str | None) -> Side:
    found = [side for side in case.sides if part and part.lower() in side.row_id and side.unit_id is not None]
    if len(found) != 1:
        raise UsageError(
            say("--row {part}: không rõ bản ghi nào", "--row {part}: which row is not clear", part=part),
            say("nêu một trong: {ids}", "name one of: {ids}", ids=", ".join(side.row_id for side in case.sides)),
        )
    return found[0]


def _asked_case(desk: Desk, case_id: str) -> Case | None:
    """A case found at an upper tier, as far as a unit kept here was told of it."""
    said = [word for word in standing.words(desk.tx, case_id) if desk.keeps(word.unit_id)]
    asked = [word for word in said if word.verb == Verb.ASK_COMMUNE]
    if not asked:
        return None
    last = [word for word in asked if word.decision_id == asked[-1].decision_id]
    sides = tuple(
        Side(table=table, row_id=word.row_id, unit_id=word.unit_id)
        for word in last
        if word.row_id is not None and (table := desk.registry.by_name.get(word.table or "")) is not None
    )
    return Case(
        id=case_id, kind=asked[-1].kind, sides=sides, detail={}, openings=asked[-1].openings,
        unit_id=asked[-1].unit_id, is_asked=True,
    )  # fmt: skip


def _side(desk: Desk, tab: int, row_id: str, unit_id: str | None) -> Side | None:
    """A row with the unit it is in now."""
    table = desk.registry.by_number.get(tab)
    if table is None:
        return None
    now = desk.tx.value(f"SELECT unit_id FROM {table.sql} WHERE id = ?", (row_id,))
    return Side(table=table, row_id=row_id, unit_id=now if now is not None else None)
