"""Reviews: the keeper's further word about a proposal that waited for a person (design §5, I11).

Enters: the verdict under review, what a person says. Leaves: the effect and a verdict that resolves the one before, in
one transaction of the keeper's stream. Must hold: the earlier verdict stays as it is; what loses, and what was there
before, stands in the new one; only the unit's keeper decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conflict.case import CaseKind
from schema.spec import Table
from syncd.errors import UsageError
from syncd.language import say
from syncd.proposing import parse_settings
from syncd.protocol.decoding import json_object
from syncd.review.desk import Asked, Desk, canonical
from syncd.review.verbs import Verb

BY_PERSON = "person"  # why: a person decided
PUT_OFF = "later"
UNDONE = "undone"
_TAKE = {Verb.TAKE_THEIRS, Verb.NOT_THE_SAME}  # of an insert: it is somebody else, so the wished row is written
_REVIEW = """
    SELECT v.id, v.proposal_id, v.unit_id, v.outcome, v.detail, v.row_id, v.case_kind, v.resolves, p.table_name,
           p.operation, p.wished
    FROM verdict AS v JOIN proposal AS p ON p.id = v.proposal_id
    WHERE v.proposal_id = ? AND NOT EXISTS (SELECT 1 FROM verdict AS w WHERE w.resolves = v.id)
    ORDER BY v.decided_at DESC, v.id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A verdict as it stands, with the proposal it is about."""

    id: str
    proposal_id: str
    unit_id: str
    outcome: str
    detail: dict[str, Any]
    row_id: str | None
    kind: str
    resolves: str | None
    table: Table
    operation: str
    wished: dict[str, Any]

    def in_review(self) -> list[dict[str, Any]]:
        """The columns that wait."""
        return [column for column in self.detail.get("columns", []) if column.get("result") == "review"]


def review_of(desk: Desk, proposal_id: str) -> Review | None:
    """The verdict about a proposal that stands; None where there is none."""
    row = desk.tx.one(_REVIEW, (proposal_id,))
    table = desk.registry.by_name.get(row[8]) if row is not None else None
    if row is None or table is None:
        return None
    return Review(
        id=row[0], proposal_id=row[1], unit_id=row[2], outcome=row[3], detail=json_object(row[4]), row_id=row[5],
        kind=row[6] or CaseKind.STALE_PROPOSAL.value, resolves=row[7], table=table, operation=row[9],
        wished=json_object(row[10]),
    )  # fmt: skip


def resolve_review(desk: Desk, review: Review, asked: Asked) -> None:
    """Write what a person decides about a review of a unit kept here."""
    desk.require_keeper(review.unit_id)
    if review.outcome != "review":
        raise UsageError(
            say("đề nghị này đã được quyết định", "this proposal is decided already"),
            say("rút lại quyết định trước: [[syncd conflicts undo {id}]]", "take the decision back first:"
                " [[syncd conflicts undo {id}]]", id=review.proposal_id),
        )  # fmt: skip
    found = {name: value for name, value in review.detail.items() if name != UNDONE}
    if asked.verb is Verb.LATER:
        _record(desk, review, "review", {**found, "why": PUT_OFF, "person": _person(asked)}, asked)
        return
    before, written, row_id = _carry_out(desk, review, asked)
    columns = [_column(column, asked, before, written) for column in review.detail.get("columns", [])]
    detail = {
        **found, "columns": columns, "why": BY_PERSON, "person": _person(asked), "before": before,
        "written": written,
    }  # fmt: skip
    outcome = _outcome(review, columns, asked)
    _record(desk, review, outcome, {**detail, "outcome": outcome}, asked, row_id)


def undo_review(desk: Desk, review: Review, asked: Asked) -> None:
    """What a person decided is taken back: the values of before, and the question asked again."""
    desk.require_keeper(review.unit_id)
    earlier = desk.tx.one(
        "SELECT outcome, detail, row_id, case_kind FROM verdict WHERE id = ?", (review.resolves or review.id,)
    )
    was_said = "person" in review.detail and UNDONE not in review.detail
    if review.resolves is None or not was_said or earlier is None:
        raise UsageError(
            say("chưa có quyết định nào của người để rút lại", "no person's decision to take back"),
            say("xem: [[syncd conflicts show {id}]]", "see: [[syncd conflicts show {id}]]", id=review.proposal_id),
        )
    _put_back(desk, review)
    detail = {**json_object(earlier[1]), UNDONE: _person(asked)}
    row = (review.unit_id, review.proposal_id, earlier[0], earlier[2], canonical(detail), earlier[3], desk.now,
           asked.author, review.id)  # fmt: skip
    _insert(desk, row)


def _carry_out(desk: Desk, review: Review, asked: Asked) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """(values before, values written, row). Values of the columns that wait only, of a delete the whole row."""
    if review.operation == "insert":
        if asked.verb not in _TAKE:
            return {}, {}, review.row_id
        row_id = desk.insert(review.table, review.unit_id, review.wished)
        return {}, dict(review.wished), row_id
    row_id = review.row_id or ""
    if review.operation == "delete":
        if asked.verb not in _TAKE:
            return {}, {}, review.row_id
        before = desk.require_row(review.table, row_id)
        desk.delete(review.table, row_id)
        return before, {}, review.row_id
    waits = {column["column"]: column["wished"] for column in review.in_review()}
    written = _settings(review, asked, waits) if asked.verb is Verb.VALUE else waits if asked.verb in _TAKE else {}
    if asked.verb is Verb.KEEP_OURS and desk.row(review.table, row_id) is None:
        return {}, {}, review.row_id
    now = desk.require_row(review.table, row_id)
    desk.update(review.table, row_id, written)
    return {name: now[name] for name in waits if name in now}, dict(written), review.row_id


def _settings(review: Review, asked: Asked, waits: Mapping[str, Any]) -> dict[str, Any]:
    settings = parse_settings(review.table, asked.settings)
    if not settings or not settings.keys() <= waits.keys():
        raise UsageError(
            say("cần giá trị của cột đang chờ", "a value is needed, of a column that waits"),
            say(
                "viết thêm CỘT=GIÁ_TRỊ; các cột đang chờ: {names}",
                "add COLUMN=VALUE; columns that wait: {names}",
                names=", ".join(waits),
            ),
        )
    return settings


def _column(
    column: dict[str, Any], asked: Asked, before: Mapping[str, Any], written: Mapping[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """A column of the verdict after a person's word; one that did not wait stays as it was."""
    if column.get("result") != "review":
        return column
    name = column["column"]
    result = "accepted" if asked.verb in _TAKE else "kept"
    kept = before.get(name, column.get("kept"))
    return {**column, "kept": kept, "result": result, "why": BY_PERSON}


def _outcome(review: Review, columns: list[dict[str, Any]], asked: Asked) -> str:
    if review.operation != "update":
        return "accepted" if asked.verb in _TAKE else "rejected"
    results = {column.get("result") for column in columns}
    if results <= {"accepted", "already"}:
        return "accepted" if results else "rejected"
    return "partly" if "accepted" in results else "rejected"


def _put_back(desk: Desk, review: Review) -> None:
    """Undo the effect, unless somebody has changed it since."""
    before, written = review.detail.get("before", {}), review.detail.get("written", {})
    if review.operation == "insert":
        if written and review.row_id is not None and desk.row(review.table, review.row_id) is not None:
            desk.delete(review.table, review.row_id)
        return
    if review.operation == "delete":
        if before:
            own = before["id"][28:] == desk.tree.me[28:]
            desk.insert(review.table, review.unit_id, before if own else {k: v for k, v in before.items() if k != "id"})
        return
    if not written:
        return
    now = desk.require_row(review.table, review.row_id or "")
    changed = [name for name, value in written.items() if now.get(name) != value]
    if changed:
        raise UsageError(
            say(
                "giá trị đã đổi từ khi quyết định: {names}",
                "values have changed since the decision: {names}",
                names=", ".join(changed),
            ),
            say("sửa trực tiếp bản ghi thay vì rút lại", "correct the row instead of taking the decision back"),
        )
    desk.update(review.table, review.row_id or "", {name: before.get(name) for name in written})


def _person(asked: Asked) -> dict[str, Any]:
    return {"verb": asked.verb.value, "author": asked.author, "reason": asked.reason}


def _record(
    desk: Desk, review: Review, outcome: str, detail: Mapping[str, Any], asked: Asked, row_id: str | None = None
) -> None:
    row = (review.unit_id, review.proposal_id, outcome, row_id or review.row_id, canonical(detail), review.kind,
           desk.now, asked.author, review.id)  # fmt: skip
    _insert(desk, row)


def _insert(desk: Desk, row: tuple[Any, ...]) -> None:
    desk.tx.run(
        "INSERT INTO verdict (unit_id, proposal_id, outcome, row_id, detail, case_kind, decided_at, decided_by,"
        " resolves) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
