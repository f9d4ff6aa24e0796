"""Disagreements as an operator reads them: proposals under review, what lost and why, open cases (design §5, I12).

Enters: a read transaction. Leaves: `Conflict`, newest first; the values that disagree stand side by side.
Must hold: nothing here decides anything; a verdict this release cannot read is shown as such, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from conflict.errors import ConflictError
from conflict.verdict import from_json
from schema.names import listed
from schema.spec import Audience
from syncd import limits
from syncd.cases import case_title
from syncd.disagreement_words import KEPT_LOST, OUTCOME, RESULT, STATE, WHY
from syncd.errors import UsageError
from syncd.language import say
from syncd.protocol.decoding import json_object
from syncd.review.history import Step, may_be_undone, of_case, of_proposal
from syncd.review.standing import ASKED_HERE, MOVE_KINDS, UNDECIDED, UNSETTLED_CASE, Word, standing_word, words
from syncd.review.verbs import ANSWER, MOVES, OF_THE_ASKED, SETTLING, UNDO, Verb, allowed
from syncd.status import table_names, unit_words
from syncd.store.base import Row, Tx, known

__all__ = [
    "OUTCOME", "RESULT", "STATE", "Conflict", "Copy", "Filter", "Side", "conflict", "conflicts", "settled_count",
    "short_id", "why_words",
]  # fmt: skip

REVIEW, LOST, ACCEPTED, WAITING, CASE = "review", "lost", "accepted", "waiting", "case"
ASKED, QUESTION, ANSWERED, POSTPONED, SETTLED = "asked", "question", "answered", "later", "settled"
BY_PERSON = "person"
OTHER = "other"  # result of a column: a person wrote a value that was neither kept nor wished
UNDONE = "undone"  # decided at another node, and taken back there
DONE = frozenset({ACCEPTED, SETTLED})  # shown only when everything is
OPEN = frozenset({REVIEW, CASE, QUESTION, ANSWERED, POSTPONED})  # waits for a person's decision
DECIDABLE = OPEN | {ASKED}  # who asked may decide without the answer
WAITS = DECIDABLE | {WAITING}  # for whomever; the rest is done, or has lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One column of a disagreement."""

    column: str
    seen: Any
    kept: Any
    wished: Any
    result: str
    policy: str
    why: str
    written: Any = None  # by a person, where `result` is OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One row of a case as it stands. `values` is empty where the row is not here."""

    table: str
    row_id: str
    unit: str | None
    keeper: str | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One disagreement. `id`: of the proposal, or of the case. `state`: one of the constants above. `kind`: of the
    case, or of the review. Of a case: `keeper` (who writes the stream it is about), its stored detail as `why`, the
    `rows` it is about and what was `said`. `is_here`: this node decides; then `verdicts` are those it may give.
    """

    id: str
    state: str
    title: str
    table: str | None
    row_id: str | None
    unit_id: str | None
    unit: str | None
    operation: str | None
    author: str | None
    reason: str | None
    made_at: str | None
    outcome: str | None
    decided_at: str | None
    decided_by: str | None
    why: str
    columns: tuple[Side, ...]
    kind: str | None = None
    keeper: str | None = None
    is_here: bool = False
    verdicts: tuple[str, ...] = ()
    rows: tuple[Copy, ...] = ()
    said: tuple[Word, ...] = ()
    asked: tuple[str, ...] = ()  # who was asked last and has not answered, by name
    # Of one that is looked at by itself:
    history: tuple[Step, ...] = ()
    stands: dict[str, Any] | None = None  # the row of a proposal as it is now; None where it is not here
    may_be_undone: bool = False  # by this node

    @property
    def decides_here(self) -> bool:
        """Whether this node may decide it now."""
        return self.is_here and self.state in DECIDABLE

    @property
    def waits(self) -> bool:
        """Whether anybody is waited for. What another node has put off is its own affair: nobody here hears its end."""
        return self.state in WAITS and (self.state != POSTPONED or self.is_here)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which disagreements. `unit`: a unit's code. `before`: an instant; older ones only."""

    kind: str | None = None
    unit: str | None = None
    before: str | None = None
    all_states: bool = False

    def of_cases(self) -> tuple[str, tuple[Any, ...]]:
        """A condition on cases, and its values."""
        conditions = {"c.kind = ?": self.kind, "c.opened_at < ?": self.before}
        parts = [condition for condition, value in conditions.items() if value is not None]
        values = [value for value in conditions.values() if value is not None]
        if self.unit is not None:
            parts.append(_OF_UNIT)
            values += [self.unit, self.unit]
        if not self.all_states:
            parts.append(UNSETTLED_CASE)
        return " AND ".join(parts) or "1 = 1", tuple(values)

    def of_verdicts(self) -> tuple[str, tuple[Any, ...]]:
        """A condition on verdicts, and its values."""
        conditions = {"v.case_kind = ?": self.kind, "p.made_at < ?": self.before, "u.code = ?": self.unit}
        parts = [condition for condition, value in conditions.items() if value is not None]
        return " AND ".join(parts) or "1 = 1", tuple(value for value in conditions.values() if value is not None)

    def takes(self, found: Conflict) -> bool:
        """Whether to list it. Unless all are wanted: what waits, and unmatched moves only where they are asked for,
        being an exception list of thousands (domain §3)."""
        codes = {(name or "").partition(" ")[0] for name in (found.unit, *(row.unit for row in found.rows))}
        return (
            (self.all_states or (found.waits and (self.kind is not None or found.kind not in MOVES)))
            and self.kind in (None, found.kind)
            and (self.unit is None or self.unit in codes)
            and (self.before is None or (found.made_at or found.decided_at or "") < self.before)
        )


def conflicts(tx: Tx, accepted_too: bool = False, wanted: Filter | None = None) -> list[Conflict]:
    """What waits for a person: first what waits for this node, then newest first; with `accepted_too` everything."""
    takes = (wanted or Filter(all_states=accepted_too)).takes
    found = [each for each in _every(tx, "", wanted or Filter(all_states=accepted_too)) if takes(each)]
    found.sort(key=lambda each: (each.decided_at or each.made_at or "", each.id), reverse=True)
    found.sort(key=lambda each: (not each.decides_here, each.kind in MOVES, each.state == ASKED))
    return found[: limits.CONFLICTS_SHOWN_MAX]


def settled_count(tx: Tx) -> int:
    """How many are settled or have lost: those that the list leaves out."""
    return sum(int(tx.value(query)) for query in _SETTLED)


def conflict(tx: Tx, part: str) -> Conflict:
    """The one whose id contains `part`. Raises UsageError when none or several do."""
    wanted = "".join(letter for letter in part.lower() if letter in "0123456789abcdef-")
    found = {each.id: each for each in _every(tx, wanted, Filter(all_states=True))} if wanted == part.lower() else {}
    if not found:
        raise UsageError(
            say("không có xung đột nào mang mã {part}", "no conflict has the id {part}", part=part),
            say("xem: [[syncd conflicts list --all]]", "see: [[syncd conflicts list --all]]"),
        )
    if len(found) > 1:
        raise UsageError(
            say("{n} xung đột có mã chứa {part}", "{n} conflicts have {part} in their id", n=len(found), part=part),
            say("nêu một mã đầy đủ: {ids}", "name one in full: {ids}", ids=", ".join(found)),
        )
    return _looked_at(tx, next(iter(found.values())))


def _looked_at(tx: Tx, found: Conflict) -> Conflict:
    """With what became of it, and which values stand now."""
    if (found.operation is None and found.outcome is None) or found.said or found.rows:
        return replace(found, history=of_case(found.said), may_be_undone=may_be_undone(tx, found.said))
    return replace(
        found, history=of_proposal(tx, found.id), may_be_undone=found.is_here and found.why == BY_PERSON,
        stands=_copy(tx, found.table, found.row_id).values or None if found.table in known().by_name and found.row_id
        else None,
    )  # fmt: skip


def short_id(conflict_id: str) -> str:
    """The random part of a UUID: its beginning is the time, its end the node, both alike in a list."""
    return conflict_id[14:23] or conflict_id


def why_words(why: str) -> str:
    """A stored reason as a sentence."""
    words = WHY.get(why)
    return words.here if words else why


_VERDICTS = """
    SELECT v.proposal_id, v.outcome, v.detail, v.case_kind, v.decided_at, v.decided_by, v.row_id, v.unit_id, u.code,
           u.name, p.table_name, p.operation, p.author, p.reason, p.made_at, p.seen, p.wished, k.mine, n.name
    FROM verdict AS v LEFT JOIN proposal AS p ON p.id = v.proposal_id LEFT JOIN unit AS u ON u.id = v.unit_id
    LEFT JOIN syncd_keeper AS k ON k.unit_id = v.unit_id
    LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = k.node_id
    WHERE CAST(v.proposal_id AS text) LIKE ? AND NOT EXISTS (SELECT 1 FROM verdict AS w WHERE w.resolves = v.id)
    AND {wanted}
    ORDER BY CASE WHEN v.outcome = 'review' THEN 0 ELSE 1 END, v.decided_at DESC, v.id LIMIT ?
"""
_UNDECIDED = f"""
    SELECT p.id, NULL, NULL, NULL, NULL, NULL, p.row_id, p.unit_id, u.code, u.name, p.table_name, p.operation, p.author,
           p.reason, p.made_at, p.seen, p.wished, 0, n.name
    FROM proposal AS p LEFT JOIN unit AS u ON u.id = p.unit_id
    LEFT JOIN syncd_keeper AS k ON k.unit_id = p.unit_id
    LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = k.node_id
    WHERE CAST(p.id AS text) LIKE ? AND p.withdrawn_at IS NULL AND {UNDECIDED}
    ORDER BY p.made_at DESC, p.id LIMIT ?
"""
_KEEPER_NAME = """
    SELECT max(n.name) FROM syncd_keeper AS k JOIN node AS n ON n.node_id = k.node_id WHERE k.unit_id = ?
"""
_CASES = """
    SELECT c.case_id, c.kind, c.tab, c.row_id, c.unit_id, u.code, u.name, c.detail, c.opened_at, n.name, c.openings
    FROM syncd_case AS c LEFT JOIN unit AS u ON u.id = c.unit_id
    LEFT JOIN syncd_stream AS s ON s.stream_id = c.stream_id
    LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = s.keeper
    WHERE CAST(c.case_id AS text) LIKE ? AND c.closed_at IS NULL AND {wanted}
    ORDER BY CASE WHEN c.kind IN ({moves}) THEN 1 ELSE 0 END, c.opened_at DESC, c.case_id LIMIT ?
"""
# In the question itself, so that what is wanted is not beyond the bound of what is shown.
_OF_UNIT = """(u.code = ? OR EXISTS (SELECT 1 FROM syncd_case_row AS r JOIN unit AS x ON x.id = r.unit_id
    WHERE r.case_id = c.case_id AND x.code = ?))"""
# Cases found elsewhere that something was said about here; and such as have closed since.
_TOLD = f"""
    SELECT r.case_id, max(CASE WHEN {ASKED_HERE} THEN 1 ELSE 0 END) FROM resolution AS r
    WHERE CAST(r.case_id AS text) LIKE ?
    AND NOT EXISTS (SELECT 1 FROM syncd_case AS c WHERE c.case_id = r.case_id AND c.closed_at IS NULL)
    GROUP BY r.case_id ORDER BY max(r.made_at) DESC LIMIT ?
"""
_SETTLED = (
    "SELECT count(*) FROM verdict AS v WHERE v.outcome <> 'review'"
    " AND NOT EXISTS (SELECT 1 FROM verdict AS w WHERE w.resolves = v.id)",
    f"SELECT count(*) FROM syncd_case AS c WHERE c.closed_at IS NULL AND NOT ({UNSETTLED_CASE})",
    "SELECT count(DISTINCT r.case_id) FROM resolution AS r WHERE NOT EXISTS"
    " (SELECT 1 FROM syncd_case AS c WHERE c.case_id = r.case_id AND c.closed_at IS NULL)"
    f" AND r.case_id NOT IN (SELECT r.case_id FROM resolution AS r WHERE {ASKED_HERE})",
)
_ROWS = "SELECT tab, row_id FROM syncd_case_row WHERE case_id = ? ORDER BY row_id"


def _every(tx: Tx, part: str, wanted: Filter) -> Iterator[Conflict]:
    """Everything whose id contains `part`, each sort up to its bound."""
    values = (f"%{part}%", limits.CONFLICTS_SHOWN_MAX)
    yield from _cases(tx, part, wanted)
    yield from _told(tx, values)
    for row in tx.all(_UNDECIDED, values):
        columns = tuple(_plain_sides(row[15], row[16], "waiting", "not_decided"))
        title = say("Đề nghị chờ đơn vị giữ sổ quyết định", "Proposal waiting for the keeper's decision")
        yield _conflict(row, WAITING, columns, "not_decided", title)
    where, bound = wanted.of_verdicts()
    for row in tx.all(_VERDICTS.format(wanted=where), (values[0], *bound, values[1])):
        columns, why = _sides(row[2], row[15], row[16])
        yield _conflict(row, _state(row[1], columns), columns, why, _title(row[3], row[1]))


def _cases(tx: Tx, part: str, wanted: Filter) -> Iterator[Conflict]:
    names = table_names()
    where, bound = wanted.of_cases()
    rows = tx.all(_CASES.format(wanted=where, moves=MOVE_KINDS), (f"%{part}%", *bound, limits.CONFLICTS_SHOWN_MAX))
    for case_id, kind, tab, row_id, unit_id, code, unit, detail, opened_at, keeper, openings in rows:
        said = words(tx, case_id)
        word = standing_word(said, openings)
        places = tx.all(_ROWS, (case_id,)) or _named_rows(tab, row_id, detail)
        yield _case(
            tx, case_id, kind, said, [(names[number], row) for number, row in places if number in names],
            state=_case_state(word), unit_id=unit_id, unit=unit_words(code, unit), detail=detail, opened_at=opened_at,
            keeper=keeper, table=_case_table(detail) or names.get(tab), row_id=row_id,
            verdicts=allowed(kind, json_object(detail)),
        )  # fmt: skip


def _told(tx: Tx, values: tuple[Any, ...]) -> Iterator[Conflict]:
    """What another node decides or has decided, as far as this node was told: its own rows' side."""
    for case_id, is_asked in tx.all(_TOLD, values):
        said = words(tx, case_id)
        last = said[-1]
        places = sorted({(word.table, word.row_id) for word in said if word.table and word.row_id})
        own = tx.one("SELECT detail FROM syncd_case WHERE case_id = ?", (case_id,))  # found here, its cause is gone
        unit = tx.one("SELECT code, name FROM unit WHERE id = ?", (last.unit_id,)) or (None, None)
        yield _case(
            tx, case_id, last.kind, said, [(table or "", row or "") for table, row in places],
            state=QUESTION if is_asked else SETTLED if own else _told_state(said),
            unit_id=last.unit_id, unit=unit_words(*unit), detail=own[0] if own else "{}", opened_at=said[0].made_at,
            keeper=None,
            table=last.table, row_id=last.row_id, verdicts=OF_THE_ASKED if is_asked else (),
        )  # fmt: skip


def _case(
    tx: Tx, case_id: str, kind: str, said: list[Word], places: list[tuple[str, str]], *, state: str,
    unit_id: str | None, unit: str | None, detail: str, opened_at: str, keeper: str | None, table: str | None,
    row_id: str | None, verdicts: Sequence[Verb],
) -> Conflict:  # fmt: skip
    settled = next((word for word in reversed(said) if state == SETTLED and word.verb in SETTLING), None)
    return Conflict(
        id=case_id, state=state, title=case_title(kind), table=table, row_id=row_id, unit_id=unit_id, unit=unit,
        operation=None, author=None, reason=None, made_at=opened_at, outcome=settled.verb if settled else None,
        decided_at=settled.made_at if settled else opened_at, decided_by=settled.author if settled else None,
        why=detail, columns=(), kind=kind, keeper=keeper, is_here=bool(verdicts), asked=_asked(tx, said, state),
        verdicts=tuple(verb.value for verb in verdicts), said=tuple(said),
        rows=tuple(_copy(tx, name, row) for name, row in places),
    )  # fmt: skip


def _asked(tx: Tx, said: Sequence[Word], state: str) -> tuple[str, ...]:
    """The keepers of the units of the question that stands, but those who have answered it."""
    if state not in (ASKED, ANSWERED):
        return ()
    place = max(place for place, word in enumerate(said) if word.verb == Verb.ASK_COMMUNE)
    answered = {word.unit_id for word in said[place:] if word.verb == ANSWER}
    units = [word.unit_id for word in said if word.decision_id == said[place].decision_id]
    names = (tx.value(_KEEPER_NAME, (unit,)) for unit in units if unit not in answered)
    return tuple(sorted({name for name in names if name}))


def _told_state(said: Sequence[Word]) -> str:
    """Of a case that another node found. An answer ends what is asked of this node's units; what was decided there and
    taken back is settled no more, and whether it waits that node alone knows."""
    word = standing_word(said, 0)
    if word is None:
        was_decided = any(each.verb in SETTLING for each in said)
        return UNDONE if was_decided and said[-1].verb == UNDO else SETTLED
    if word.verb in SETTLING or word.verb == ANSWER:
        return SETTLED
    return ASKED if word.verb == Verb.ASK_COMMUNE else POSTPONED


def _case_state(word: Word | None) -> str:
    if word is None:
        return CASE
    if word.verb in SETTLING:
        return SETTLED
    return {Verb.ASK_COMMUNE.value: ASKED, ANSWER: ANSWERED}.get(word.verb, POSTPONED)


def _copy(tx: Tx, table_name: str, row_id: str) -> Copy:
    """A row of a case as it stands now, with who keeps it."""
    table = known().by_name[table_name]
    names = [column.name for column in table.all_columns if column.audience is Audience.SCOPE]
    row = tx.one(f"SELECT {listed(names)} FROM {table.sql} WHERE id = ?", (row_id,))
    values = {} if row is None else dict(zip(names, row, strict=True))
    place = tx.one(
        "SELECT u.code, u.name, n.name FROM unit AS u LEFT JOIN syncd_keeper AS k ON k.unit_id = u.id"
        " LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = k.node_id"
        " WHERE u.id = ?",
        (values.get("unit_id"),),
    ) or (None, None, None)
    shown = {name: value for name, value in values.items() if name not in ("id", "unit_id")}
    return Copy(table=table_name, row_id=row_id, unit=unit_words(place[0], place[1]), keeper=place[2], values=shown)


def _named_rows(tab: int | None, row_id: str | None, detail: str) -> list[tuple[int, str]]:
    """The rows of a case found by matching persons: the other one is named in its detail."""
    if tab is None or row_id is None:
        return []
    other = json_object(detail).get("other_row_id")
    return [(tab, row_id), *([(tab, str(other))] if other else [])]


def _case_table(detail: str) -> str | None:
    found = json_object(detail).get("table")
    return str(found) if found else None


def _conflict(row: Row, state: str, columns: tuple[Side, ...], why: str, title: str) -> Conflict:
    return Conflict(
        id=row[0],
        state=state,
        title=title,
        table=row[10],
        row_id=row[6],
        unit_id=row[7],
        unit=unit_words(row[8], row[9]),
        operation=row[11],
        author=row[12],
        reason=row[13],
        made_at=row[14],
        outcome=row[1],
        decided_at=row[4],
        decided_by=row[5],
        why=why,
        columns=columns,
        kind=row[3],
        keeper=row[18],
        is_here=bool(row[17]),
        verdicts=tuple(verb.value for verb in allowed(row[3] or "")) if row[17] and state == REVIEW else (),
    )


def _title(case_kind: str | None, outcome: str) -> str:
    return case_title(case_kind) if case_kind else OUTCOME[outcome].here if outcome in OUTCOME else outcome


def _state(outcome: str, columns: tuple[Side, ...]) -> str:
    if outcome == "review":
        return REVIEW
    if outcome != "accepted" or any(side.why in KEPT_LOST for side in columns):
        return LOST
    return ACCEPTED


def _sides(detail: str, seen: str | None, wished: str | None) -> tuple[tuple[Side, ...], str]:
    """The columns of a verdict and the reason for the whole."""
    facts = json_object(detail)
    why, written = str(facts.get("why", "unreadable")), facts.get("written")
    by_person = written if why == BY_PERSON and isinstance(written, dict) else {}
    try:
        columns = tuple(
            Side(
                column=c.column,
                seen=c.seen,
                kept=c.kept,
                wished=c.wished,
                result=OTHER if by_person.get(c.column, c.wished) not in (c.wished, c.kept) else c.result,
                policy=c.policy.value,
                why=c.why,
                written=by_person.get(c.column),
            )
            for c in from_json(detail)
        )
    except ConflictError:  # refused before it was compared: the detail has no columns to compare
        columns = ()
    return columns or tuple(_plain_sides(seen, wished, "kept", why)), why


def _plain_sides(seen: str | None, wished: str | None, result: str, why: str) -> Iterator[Side]:
    """What the proposal itself says, where nobody has compared it with what is kept."""
    seen_values, wished_values = json_object(seen), json_object(wished)
    for column in sorted(wished_values or seen_values):
        yield Side(
            column=column,
            seen=seen_values.get(column),
            kept=None,
            wished=wished_values.get(column),
            result=result,
            policy="",
            why=why,
        )
