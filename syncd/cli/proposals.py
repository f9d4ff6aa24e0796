"""What `syncd propose list`, `withdraw` and `--file` print.

Enters: a store, what was asked. Leaves: text or one JSON document, and the exit code.
Must hold: no value of a record stands in a list or a report; JSON does not depend on the language.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from syncd.cli.output import emit, emit_json, plain, table
from syncd.cli.times import moment
from syncd.language import Both, number, say
from syncd.text import escaped, titles

if TYPE_CHECKING:
    from syncd.inputs.proposals_csv import Bulk
    from syncd.proposals import Listed
    from syncd.store.base import Store

STATES = {
    "waiting": Both("chờ quyết định", "waiting"),
    "review": Both("chờ người xem xét", "under review"),
    "withdrawn": Both("đã rút lại", "withdrawn"),
    "expired": Both("hết hạn", "expired"),
    "accepted": Both("được chấp nhận", "accepted"),
    "partly": Both("được một phần", "accepted in part"),
    "rejected": Both("bị từ chối", "rejected"),
    "referred": Both("chuyển theo bản ghi", "went with its row"),
}


def show(store: Store, now_ms: int, everything: bool, as_json: bool) -> int:
    """Proposals this node can see: those that wait, or all."""
    from syncd.proposals import every, pending

    with store.read() as tx:
        found = (every if everything else pending)(tx, now_ms)
    if as_json:
        emit_json(found)
    elif found:
        emit(table(_headers(), [_row(each) for each in escaped.tree(found)]))
    else:
        emit(say("Không có đề nghị nào.", "No proposals.") if everything else say("Không có đề nghị nào đang chờ.",
             "No proposals wait."))  # fmt: skip
    return 0


def take_back(store: Store, part: str, now_ms: int, as_json: bool) -> int:
    """Withdraw one; exit 1 when it was decided before."""
    from syncd.proposals import WITHDRAWN, withdraw

    done = withdraw(store, part, now_ms)
    if as_json:
        emit_json(done)
    elif done.was == WITHDRAWN:
        emit(say("Đề nghị {id} đã được rút lại trước đó.", "Proposal {id} was withdrawn before.", id=done.proposal_id))
    elif done.state == WITHDRAWN:
        emit(say("Đã rút lại đề nghị {id}.", "Proposal {id} is withdrawn.", id=done.proposal_id))
    else:
        emit(
            say(
                "Đề nghị {id} không còn chờ ({state}), nên không rút lại được; muốn đổi lại thì gửi đề nghị mới.",
                "Proposal {id} no longer waits ({state}): it cannot be withdrawn; propose the opposite instead.",
                id=done.proposal_id,
                state=STATES[done.state].here,
            )
        )
    return 0 if done.state == WITHDRAWN else 1


def from_file(store: Store, path: Path, author: str | None, now_ms: int, dry_run: bool, as_json: bool) -> int:
    """Proposals of a CSV: all of them or none."""
    from syncd.cli.units import tell_problems
    from syncd.inputs.proposals_csv import preview_file, propose_file

    bulk = (preview_file if dry_run else propose_file)(store, path, author, now_ms)
    if as_json:
        emit_json(_document(bulk))
    else:
        tell_problems(bulk.problems)
        _tell(bulk, dry_run)
    return 1 if bulk.problems.errors else 0


def _tell(bulk: Bulk, dry_run: bool) -> None:
    emit(
        say(
            "{lines} dòng: {new} đề nghị mới, {repeated} đang chờ sẵn, {same} không thay đổi gì.",
            "{lines} lines: {new} new proposals, {repeated} pending already, {same} change nothing.",
            lines=number(bulk.lines),
            new=number(len(bulk.proposed) - bulk.repeated - bulk.without_change),
            repeated=number(bulk.repeated),
            same=number(bulk.without_change),
        )
    )
    if bulk.problems.errors:
        emit(say("Có dòng sai: chưa ghi gì.", "Some lines are wrong: nothing was written."))
    elif dry_run:
        emit(say("Chỉ kiểm tra: chưa ghi gì.", "Checked only: nothing was written."))


def _document(bulk: Bulk) -> dict[str, object]:
    return {
        "lines": bulk.lines,
        "proposed": [
            {
                "line": line,
                "proposal_id": each.proposal_id,
                "unit_id": each.unit_id,
                "is_repeated": each.is_repeated,
                "changes_nothing": each.changes_nothing,
            }
            for line, each in sorted(bulk.proposed.items())
        ],
        "problems": plain(bulk.problems),
    }


def _headers() -> list[str]:
    return [
        say("mã", "id"), say("trạng thái", "state"), say("lúc", "made"), say("người đề nghị", "author"),
        say("đơn vị", "unit"), say("bảng", "table"), say("thao tác", "operation"), say("cột", "columns"),
    ]  # fmt: skip


def _row(of: Listed) -> list[str]:
    author = f"{of.author} ({say('máy này', 'this node') if of.is_own else of.node})"
    return [
        of.id, STATES[of.state].here, moment(of.made_at), author, of.unit, titles.table(of.table),
        titles.operation(of.operation), ", ".join(titles.column(of.table, name) for name in of.columns),
    ]  # fmt: skip
