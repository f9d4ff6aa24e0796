"""Taking a decision back: the state before it, by further rows; nothing is deleted from what was said.

Enters: a case with what was said about it. Leaves: links, matches and values as they were, a row that undoes. Must
hold: what somebody has changed since is not overwritten; what another keeper has carried out already is proposed back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conflict.case import CaseKind
from schema.spec import Table
from syncd.detect.detector import write_match
from syncd.errors import UsageError
from syncd.language import say
from syncd.protocol.decoding import json_object
from syncd.review import standing
from syncd.review.cases import Case
from syncd.review.desk import Asked, Desk
from syncd.review.standing import Word
from syncd.review.verbs import Verb


def undo_case(desk: Desk, case: Case, asked: Asked) -> None:
    """Take back the word that stands, if it was said at this node."""
    said = standing.words(desk.tx, case.id)
    mine = [word for word in said if word.id[28:] == desk.tree.me[28:]]
    last = standing.standing_word(mine, 0)
    if last is None:
        raise UsageError(
            say("ở máy này chưa có quyết định nào để rút lại", "nothing was decided here that could be taken back"),
            say("xem: [[syncd conflicts show {id}]]", "see: [[syncd conflicts show {id}]]", id=case.id),
        )
    decision = [word for word in mine if word.decision_id == last.decision_id]
    for effect in _effects(decision):
        _take_back(desk, effect, asked)
    standing.undo_decision(desk.tx, decision, asked.author, asked.reason, desk.now)
    if not case.is_asked and _was_closed_by(decision):
        desk.tx.run("UPDATE syncd_case SET closed_at = NULL WHERE case_id = ?", (case.id,))


def _effects(decision: list[Word]) -> list[dict[str, Any]]:
    """Each once: both sides of a link name the same one."""
    found: dict[str, dict[str, Any]] = {}
    for word in decision:
        listed = json_object(word.detail).get("effects")
        for effect in [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []:
            key = (
                effect.get("link_id")
                or effect.get("match_id")
                or effect.get("id")
                or f"{word.row_id} {effect.get('do')}"
            )
            found[str(key)] = {**effect, "row_id": word.row_id, "unit_id": word.unit_id}
    return list(found.values())


def _was_closed_by(decision: list[Word]) -> bool:
    """A link closes its case at once, and so does what is done; the cause is back when the link is not."""
    kinds = {CaseKind.DUPLICATE_CITIZEN_ID, CaseKind.DUPLICATE_INSURANCE_NO, CaseKind.DUPLICATE_PERSON}
    return bool(kinds & {word.kind for word in decision}) or standing.word_of(decision[0]) == Verb.DONE


def _take_back(desk: Desk, effect: Mapping[str, Any], asked: Asked) -> None:
    if effect["do"] == "link":
        before = effect.get("before")
        if before is None:  # nobody had judged this pair: without a link matching finds it anew
            desk.tx.run("DELETE FROM person_link WHERE link_id = ?", (effect["link_id"],))
            return
        desk.tx.run(
            "UPDATE person_link SET state = ?, method = ?, decided_by = ?, decided_at = ? WHERE link_id = ?",
            (before["state"], before["method"], asked.author, desk.now, effect["link_id"]),
        )
    elif effect["do"] == "match":
        query = "SELECT migration_id, unit_id FROM move_match WHERE match_id = ? AND state = 'matched'"
        rows = desk.tx.all(query, (effect["match_id"],))
        write_match(desk.tx, effect["match_id"], dict(rows), "apart", "person", asked.author, desk.now)
    elif effect["do"] == "proposal":
        _withdraw(desk, effect["id"], asked)
    elif effect["do"] == "delete":
        table = desk.registry.by_name[effect["table"]]
        before = effect["before"]
        own = before["id"][28:] == desk.tree.me[28:]
        desk.insert(table, effect["unit_id"], before if own else {k: v for k, v in before.items() if k != "id"})
    elif effect["do"] == "write":
        _write_back(desk, desk.registry.by_name[effect["table"]], effect)


def _write_back(desk: Desk, table: Table, effect: Mapping[str, Any]) -> None:
    now = desk.require_row(table, effect["row_id"])
    changed = [name for name, value in effect["after"].items() if now.get(name) != value]
    if changed:
        raise UsageError(
            say(
                "giá trị đã đổi từ khi quyết định: {names}",
                "values have changed since the decision: {names}",
                names=", ".join(changed),
            ),
            say("sửa trực tiếp bản ghi thay vì rút lại", "correct the row instead of taking the decision back"),
        )
    desk.update(table, effect["row_id"], effect["before"])


def _withdraw(desk: Desk, proposal_id: str, asked: Asked) -> None:
    """Not decided yet: taken back. Carried out: the values that were seen are proposed again."""
    row = desk.tx.one("SELECT table_name, row_id, operation, seen FROM proposal WHERE id = ?", (proposal_id,))
    outcome = desk.tx.value(
        "SELECT outcome FROM verdict AS v WHERE proposal_id = ? AND NOT EXISTS"
        " (SELECT 1 FROM verdict AS w WHERE w.resolves = v.id)", (proposal_id,)
    )  # fmt: skip
    if row is None or outcome == "rejected":
        return
    if outcome is None:
        desk.tx.run("UPDATE proposal SET withdrawn_at = ? WHERE id = ?", (desk.now, proposal_id))
    elif outcome in ("review", "referred") or row[2] == "delete":
        raise UsageError(
            say("đơn vị giữ sổ đã nhận đề nghị kèm theo", "the keeper has taken up the proposal that came with it"),
            say(
                "trao đổi với đơn vị giữ sổ, hoặc gửi đề nghị mới: [[syncd propose BẢNG MÃ --set CỘT=GIÁ_TRỊ]]",
                "talk to the keeper, or propose anew: [[syncd propose TABLE ID --set COLUMN=VALUE]]",
            ),
        )
    else:
        desk.propose(desk.registry.by_name[row[0]], row[1], json_object(row[3]), asked)
