"""`syncd conflicts list|show`: what waits for a person, what lost and why.

Enters: the node's tables. Leaves: a list, or one disagreement with its values side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.output import BOLD, RED, YELLOW, cell, emit, emit_json, paint, shorten, table
from syncd.cli.times import moment
from syncd.cli.verb import Group, directory_option, json_option, option, verb
from syncd.language import Both, say

if TYPE_CHECKING:
    from syncd.disagreements import Conflict

Names = Mapping[str, Mapping[Any, str]]

VALUE_CELLS_MAX = 28
TITLE_CELLS_MAX = 46

command = Group(
    name="conflicts",
    words=Both(
        "Xung đột: đề nghị chờ xem xét, bên thua và lý do, vụ việc mở.",
        "Disagreements: reviews, losers with the reason, open cases.",
    ),
    examples=("syncd conflicts list", "syncd conflicts show 7c1e-9a42"),
)


@verb(
    Both("Liệt kê xung đột, mới nhất trước.", "List disagreements, newest first."),
    "syncd conflicts list",
    name="list",
)
@option("--all", "accepted_too", is_flag=True, vi="Cả đề nghị đã được nhận.", en="Accepted proposals too.")
@directory_option
@json_option
def list_command(accepted_too: bool, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import opened_store
    from syncd.disagreements import STATE, conflicts, short_id

    with opened_store(directory) as store, store.read() as tx:
        found = conflicts(tx, accepted_too)
    if as_json:
        emit_json(found)
        return
    if not found:
        emit(say("Không có xung đột nào.", "No disagreements."))
        return
    headers = [
        say("mã", "id"),
        say("trạng thái", "state"),
        say("nội dung", "what"),
        say("đơn vị", "unit"),
        say("lúc", "when"),
    ]
    emit(
        table(
            headers,
            [
                [
                    short_id(each.id),
                    paint(STATE[each.state].here, *([YELLOW] if each.state != "accepted" else [])),
                    shorten(each.title, TITLE_CELLS_MAX),
                    each.unit or "",
                    moment(each.decided_at or each.made_at),
                ]
                for each in found
            ],
        )
    )
    emit(say("Xem từng vụ: syncd conflicts show MÃ", "See one: syncd conflicts show ID"))


@verb(
    Both(
        "Hiện một xung đột: đã thấy, đã giữ lúc đó, mong muốn, kết quả, lý do; vụ việc thì hiện điều lệch và việc cần "
        "làm.",
        "Show one: seen, kept then, wished, result, and why; of a case what differs and what to do.",
    ),
    "syncd conflicts show 7c1e-9a42",
    name="show",
)
@click.argument("conflict_id", metavar="ID")
@directory_option
@json_option
def show_command(conflict_id: str, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import opened_store
    from syncd.disagreements import code_names, conflict

    with opened_store(directory) as store, store.read() as tx:
        found = conflict(tx, conflict_id)
        names = code_names(tx, found)
    if as_json:
        emit_json(found)
    else:
        emit(conflict_text(found, names))


def conflict_text(found: Conflict, names: Names) -> str:
    """One disagreement as text."""
    from syncd.disagreements import STATE, why_words

    lines = [paint(f"{found.title}", BOLD) + f"  [{STATE[found.state].here}]"]
    facts = [
        (say("mã", "id"), found.id),
        (say("bản ghi", "row"), f"{found.table or ''} {found.row_id or ''}".strip()),
        (say("đơn vị", "unit"), found.unit or ""),
        (say("đề nghị bởi", "proposed by"), f"{found.author} · {moment(found.made_at)}" if found.author else ""),
        (say("lý do đề nghị", "reason given"), found.reason or ""),
        (
            say("quyết định bởi", "decided by"),
            f"{found.decided_by} · {moment(found.decided_at)}" if found.decided_by else "",
        ),
        *(_case_lines(found) or [(say("vì sao", "why"), why_words(found.why) if found.why != "columns" else "")]),
    ]
    label = max(len(name) for name, _ in facts)
    lines += [f"  {name:<{label}}  {value}" for name, value in facts if value]
    if found.columns:
        lines.append(sides_table(found, names))
    return "\n".join(lines)


def _case_lines(found: Conflict) -> list[tuple[str, str]]:
    """A case has no columns side by side: what differs is told in words."""
    from syncd.cli.case_words import case_words

    about = found.unit or found.keeper or ""
    return case_words(found.kind, found.why, about, found.keeper or "") if found.kind else []


def sides_table(found: Conflict, names: Names) -> str:
    """The columns side by side, codes with their names, the reason in words."""
    from syncd.disagreements import RESULT, why_words

    headers = [
        say("cột", "column"),
        say("đã thấy", "seen"),
        say("đã giữ lúc đó", "kept then"),
        say("mong muốn", "wished"),
        say("kết quả", "result"),
        say("vì sao", "why"),
    ]
    rows = []
    for side in found.columns:
        result = RESULT[side.result].here if side.result in RESULT else side.result
        known = names.get(side.column, {})
        values = [shorten(_value(value, known), VALUE_CELLS_MAX) for value in (side.seen, side.kept, side.wished)]
        rows.append(
            [side.column, *values, paint(result, *([RED] if side.result == "kept" else [])), why_words(side.why)]
        )
    return table(headers, rows, indent="  ")


def _value(value: Any, names: Mapping[Any, str]) -> str:
    return f"{value} {names[value]}" if value in names else cell(value)


command.add_command(list_command)
command.add_command(show_command)
