"""Disagreements as an operator reads them: proposals under review, what lost and why, open cases (design §5, I12).

Enters: a read transaction. Leaves: `Conflict`, newest first; the values that disagree stand side by side.
Must hold: nothing here decides anything; a verdict this release cannot read is shown as such, never left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conflict import CaseKind, ConflictError, Why, from_json
from syncd import limits
from syncd.errors import UsageError
from syncd.language import Both, say
from syncd.status import table_names, unit_words
from syncd.store.base import Row, Tx

REVIEW, LOST, ACCEPTED, WAITING, CASE = "review", "lost", "accepted", "waiting", "case"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One disagreement. `id`: of the proposal, or of the case. `state`: one of the constants above. Of a case: `kind`,
    `keeper` (who writes the stream it is about), and its stored detail as `why`.
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


def conflicts(tx: Tx, accepted_too: bool = False) -> list[Conflict]:
    """What waits for a person or lost, newest first; with `accepted_too` every proposal."""
    found = [*_cases(tx), *_undecided(tx), *_verdicts(tx)]
    wanted = [each for each in found if accepted_too or each.state != ACCEPTED]
    wanted.sort(key=lambda each: (each.decided_at or each.made_at or "", each.id), reverse=True)
    return wanted[: limits.CONFLICTS_SHOWN_MAX]


def conflict(tx: Tx, part: str) -> Conflict:
    """The one whose id contains `part`. Raises UsageError when none or several do."""
    found = {each.id: each for each in conflicts(tx, True) if part.lower() in each.id}
    if not found:
        raise UsageError(
            say("không có xung đột nào mang mã {part}", "no conflict has the id {part}", part=part),
            say("xem: syncd conflicts list --all", "see: syncd conflicts list --all"),
        )
    if len(found) > 1:
        raise UsageError(
            say("{n} xung đột có mã chứa {part}", "{n} conflicts have {part} in their id", n=len(found), part=part),
            say("nêu một mã đầy đủ: {ids}", "name one in full: {ids}", ids=", ".join(found)),
        )
    return next(iter(found.values()))


def short_id(conflict_id: str) -> str:
    """The random part of a UUID: its beginning is the time, its end the node, both alike in a list."""
    return conflict_id[14:23] or conflict_id


def code_names(tx: Tx, found: Conflict) -> dict[str, dict[Any, str]]:
    """Column → code → name, of the columns whose values are codes: nobody knows `02` by heart."""
    from schema.tables import registry

    table = registry().by_name.get(found.table or "")
    columns = {side.column for side in found.columns} & set(table.by_name if table else ())
    lists = {name: table.by_name[name].code_list for name in columns} if table else {}
    return {
        name: dict(tx.all("SELECT code, name FROM code WHERE list_name = ? ORDER BY version", (code_list,)))
        for name, code_list in lists.items()
        if code_list
    }


def why_words(why: str) -> str:
    """A stored reason as a sentence."""
    words = WHY.get(why)
    return words.here if words else why


_VERDICTS = """
    SELECT v.proposal_id, v.outcome, v.detail, v.case_kind, v.decided_at, v.decided_by, v.row_id, v.unit_id, u.code,
           u.name, p.table_name, p.operation, p.author, p.reason, p.made_at, p.seen, p.wished
    FROM verdict AS v LEFT JOIN proposal AS p ON p.id = v.proposal_id LEFT JOIN unit AS u ON u.id = v.unit_id
    ORDER BY v.decided_at DESC, v.id LIMIT ?
"""
_UNDECIDED = """
    SELECT p.id, NULL, NULL, NULL, NULL, NULL, p.row_id, p.unit_id, u.code, u.name, p.table_name, p.operation, p.author,
           p.reason, p.made_at, p.seen, p.wished
    FROM proposal AS p LEFT JOIN unit AS u ON u.id = p.unit_id
    WHERE p.withdrawn_at IS NULL AND NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id)
    ORDER BY p.made_at DESC, p.id LIMIT ?
"""
_CASES = """
    SELECT c.case_id, c.kind, c.tab, c.row_id, c.unit_id, u.code, u.name, c.detail, c.opened_at, n.name
    FROM syncd_case AS c LEFT JOIN unit AS u ON u.id = c.unit_id
    LEFT JOIN syncd_stream AS s ON s.stream_id = c.stream_id
    LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = s.keeper
    WHERE c.closed_at IS NULL ORDER BY c.opened_at DESC, c.case_id LIMIT ?
"""


def _verdicts(tx: Tx) -> Iterator[Conflict]:
    for row in tx.all(_VERDICTS, (limits.CONFLICTS_SHOWN_MAX,)):
        columns, why = _sides(row[2], row[15], row[16])
        yield _conflict(row, _state(row[1], columns), columns, why, _title(row[3], row[1]))


def _undecided(tx: Tx) -> Iterator[Conflict]:
    for row in tx.all(_UNDECIDED, (limits.CONFLICTS_SHOWN_MAX,)):
        columns = tuple(_plain_sides(row[15], row[16], "waiting", "not_decided"))
        title = say("Đề nghị chờ đơn vị giữ sổ quyết định", "Proposal waiting for the keeper's decision")
        yield _conflict(row, WAITING, columns, "not_decided", title)


def _cases(tx: Tx) -> Iterator[Conflict]:
    names = table_names()
    for case_id, kind, tab, row_id, unit_id, code, unit, detail, opened_at, keeper in tx.all(
        _CASES, (limits.CONFLICTS_SHOWN_MAX,)
    ):
        yield Conflict(
            id=case_id,
            state=CASE,
            title=case_title(kind),
            table=_case_table(detail) or names.get(tab),
            row_id=row_id,
            unit_id=unit_id,
            unit=unit_words(code, unit),
            operation=None,
            author=None,
            reason=None,
            made_at=opened_at,
            outcome=None,
            decided_at=opened_at,
            decided_by=None,
            why=detail,
            columns=(),
            kind=kind,
            keeper=keeper,
        )


def case_title(kind: str) -> str:
    """A kind of case by its title."""
    try:
        known = CaseKind(kind)
    except ValueError:
        return kind
    return Both(known.title_vi, known.title_en).here


def _case_table(detail: str) -> str | None:
    try:
        found = json.loads(detail).get("table")
    except (ValueError, AttributeError):
        return None
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
    try:
        why = str(json.loads(detail).get("why", ""))
    except (ValueError, AttributeError):
        why = "unreadable"
    try:
        columns = tuple(
            Side(
                column=c.column,
                seen=c.seen,
                kept=c.kept,
                wished=c.wished,
                result=c.result,
                policy=c.policy.value,
                why=c.why,
            )
            for c in from_json(detail)
        )
    except ConflictError:  # refused before it was compared: the detail has no columns to compare
        columns = ()
    return columns or tuple(_plain_sides(seen, wished, "kept", why)), why


def _plain_sides(seen: str | None, wished: str | None, result: str, why: str) -> Iterator[Side]:
    """What the proposal itself says, where nobody has compared it with what is kept."""
    seen_values, wished_values = _object(seen), _object(wished)
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


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# The wish was written over a kept value that had changed meanwhile: the kept value is the loser.
KEPT_LOST = frozenset({Why.AUTHOR_UPPER, Why.LATER, Why.GREATER, Why.SMALLER, Why.UNION})

OUTCOME = {
    "accepted": Both("Đề nghị được chấp nhận", "Proposal accepted"),
    "partly": Both("Đề nghị được chấp nhận một phần", "Proposal accepted in part"),
    "rejected": Both("Đề nghị bị từ chối, giữ bản của đơn vị giữ sổ", "Proposal rejected, the kept value stands"),
    "review": Both("Đề nghị chờ người quyết định", "Proposal waits for a person"),
}
RESULT = {
    "accepted": Both("nhận", "accepted"),
    "already": Both("đã đúng", "already so"),
    "kept": Both("giữ bản cũ", "kept"),
    "review": Both("chờ xem xét", "review"),
    "waiting": Both("chờ", "waiting"),
}
STATE = {
    REVIEW: Both("chờ xem xét", "review"),
    LOST: Both("có bên thua", "one side lost"),
    ACCEPTED: Both("đã nhận", "accepted"),
    WAITING: Both("chưa quyết", "undecided"),
    CASE: Both("vụ việc mở", "open case"),
}
WHY = {
    "unchanged": Both("giá trị chưa đổi từ khi người đề nghị xem", "unchanged since the proposer saw it"),
    "equal": Both("giá trị đang giữ đã đúng như đề nghị", "the kept value is already the one wished"),
    "nothing_wished": Both(
        "đề nghị không đổi gì; bản đang giữ đứng", "the wish changes nothing; the kept value stands"
    ),
    "keeper_stands": Both("chính sách: giữ bản của đơn vị giữ sổ", "policy: the keeper's value stands"),
    "author_upper": Both(
        "chính sách: bản tuyến trên được nhận; bản đang giữ thua", "policy: the upper tier wins; the kept value lost"
    ),
    "author_not_upper": Both("người đề nghị không thuộc tuyến trên", "the proposer is not an upper tier"),
    "later": Both("đề nghị muộn hơn; bản đang giữ thua", "the wish is later; the kept value lost"),
    "not_later": Both("bản đang giữ muộn hơn; đề nghị thua", "the kept value is later; the wish lost"),
    "clock_far_off": Both("đồng hồ lệch quá xa, cần người xem", "a clock is far off: a person must look"),
    "clock_unknown": Both("chưa đo được đồng hồ, cần người xem", "a clock was never measured: a person must look"),
    "time_unknown": Both("không rõ bản đang giữ đổi lúc nào", "nobody knows when the kept value changed"),
    "greater": Both("đề nghị lớn hơn được nhận", "the greater value wins"),
    "not_greater": Both("bản đang giữ lớn hơn", "the kept value is greater"),
    "smaller": Both("đề nghị nhỏ hơn được nhận", "the smaller value wins"),
    "not_smaller": Both("bản đang giữ nhỏ hơn", "the kept value is smaller"),
    "not_comparable": Both("hai giá trị không so sánh được", "the values cannot be compared"),
    "union": Both("gộp hai danh sách", "both lists are joined"),
    "union_removal": Both("một bên đã bỏ bớt, cần người xem", "one side removed a value: a person must look"),
    "union_too_long": Both("danh sách gộp quá dài", "the joined list is too long"),
    "policy_review": Both(
        "chính sách: người phải quyết định; bản đang giữ đứng", "policy: a person decides; the kept value stands"
    ),
    "group": Both("theo cột khác trong cùng nhóm", "decided with another column of its group"),
    "group_incomplete": Both("nhận sẽ trộn hai nửa của một nhóm", "accepting would mix two halves of one group"),
    "unknown_column": Both("đơn vị giữ sổ chưa có cột này", "the keeper has no such column"),
    "row_deleted": Both("bản ghi đã bị xóa", "the row was deleted"),
    "row_exists": Both("bản ghi đã có", "the row exists already"),
    "row_changed": Both("bản ghi đã đổi từ khi xem", "the row changed since it was seen"),
    "referenced": Both("còn bản ghi khác tham chiếu", "other rows refer to it"),
    "resembles": Both("giống bản ghi đã có", "it resembles a kept row"),
    "new": Both("bản ghi mới", "a new row"),
    "columns": Both("xem từng cột", "see the columns"),
    "superseded": Both("đã có đề nghị mới hơn của cùng người", "a newer proposal of the same author replaced it"),
    "malformed": Both("đề nghị không thực hiện được như đã viết", "it cannot be carried out as written"),
    "rule_violated": Both("giá trị đề nghị trái quy tắc", "the wished value breaks a rule"),
    "not_decided": Both("đơn vị giữ sổ chưa trả lời", "the keeper has not answered yet"),
    "unreadable": Both("bản này không đọc được nội dung", "this release cannot read the detail"),
}
