"""Many disagreements as text: a table, then what this node decides with its values and the commands that settle it.

Enters: `Conflict`s, names of codes. Leaves: lines. Must hold: a simple disagreement can be settled from here, without
another look: what differs stands beside the commands; what is left out is counted, with the command that shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncd import limits
from syncd.cli.conflict_text import Names, commands, heading, value_text
from syncd.cli.output import BOLD, YELLOW, paint, shorten, table
from syncd.cli.times import moment
from syncd.disagreements import DONE, LOST, STATE, WAITING, Conflict, short_id
from syncd.language import number, say
from syncd.review.verbs import MOVES, Verb
from syncd.text import escaped, titles
from syncd.text.command import at_hand

if TYPE_CHECKING:
    from syncd.store.base import Tx

TITLE_CELLS_MAX = 46
WHO_CELLS_MAX = 24
VALUE_CELLS_MAX = 40
INDENT = "    "
PASSED_OVER = frozenset({Verb.LATER.value})  # whoever puts it off need not say so


def listed(tx: Tx, found: Sequence[Conflict]) -> str:
    """The table, and what this node decides in detail."""
    from syncd.disagreement_names import code_names, concerned

    mine = [each for each in found if each.decides_here]
    blocks = [block(each, code_names(tx, each)) for each in mine[: limits.DISAGREEMENTS_DETAILED_MAX]]
    lines = [conflict_table(found, escaped.tree(concerned(tx, found))), *(f"\n{each}" for each in blocks)]
    together = all_alike(mine) if len(mine) <= limits.DISAGREEMENTS_DETAILED_MAX else ""
    if together:
        lines.append(together)
    if len(mine) > limits.DISAGREEMENTS_DETAILED_MAX:
        lines.append("\n" + say("… và {n} vụ nữa mà máy này quyết định: quyết vài vụ rồi xem lại danh sách",
                                "… and {n} more that this node decides: settle some and list again",
                                n=number(len(mine) - limits.DISAGREEMENTS_DETAILED_MAX)))  # fmt: skip
    return "\n".join(lines)


def conflict_table(found: Sequence[Conflict], who: Mapping[str, str]) -> str:
    """One line each. `who`: whom it is about, by id."""
    headers = [
        say("mã", "id"),
        say("trạng thái", "state"),
        say("nội dung", "what"),
        say("về ai", "about whom"),
        say("đơn vị", "unit"),
        say("ai quyết", "who decides"),
        say("lúc", "when"),
    ]
    rows = [
        [
            short_id(each.id),
            paint(STATE[each.state].here, *([YELLOW] if each.state != "accepted" else [])),
            shorten(heading(each), TITLE_CELLS_MAX),
            shorten(who.get(each.id, ""), TITLE_CELLS_MAX),
            shorten(_units(each), TITLE_CELLS_MAX),
            shorten(_decides(each), WHO_CELLS_MAX),
            moment(each.decided_at or each.made_at),
        ]
        for each in found
    ]
    return table(headers, rows)


def block(found: Conflict, names: Names) -> str:
    """One that this node decides: what disagrees, and the commands."""
    head = paint(f"{short_id(found.id)}  {heading(found)}", BOLD)
    return "\n".join([f"{head} · {_units(found)}", *_differences(found, names), *commands(found, (), PASSED_OVER)])


def all_alike(found: Sequence[Conflict]) -> str:
    """Several that this node decides: the commands that decide them together."""
    if len(found) < 2 or not all(each.decides_here for each in found):
        return ""
    common = [word for word in found[0].verdicts if all(word in each.verdicts for each in found) and word != "value"]
    ids = " ".join(short_id(each.id) for each in found)
    lines = [f"  {at_hand(f'syncd conflicts resolve {ids} --verdict {word}')}" for word in common]
    return "\n".join(["", say("Cùng một quyết định cho cả {n} vụ:", "The same for all {n}:", n=len(found)), *lines])


def left_out(tx: Tx) -> list[str]:
    """What the list does not show: what is settled, and the exception list of moves."""
    from syncd.disagreements import settled_count
    from syncd.review.standing import unmatched_moves, waiting

    lines = []
    moves = unmatched_moves(tx)
    if moves:
        kinds = [each.kind for each in waiting(tx) if each.kind in MOVES]
        lines.append(
            say(
                "{n} lần chuyển đi, chuyển đến quá 90 ngày chưa có đầu kia:{commands}",
                "{n} moves without their other end after 90 days:{commands}",
                n=number(moves),
                commands="".join(f"\n  {at_hand(f'syncd conflicts list --kind {kind}')}" for kind in kinds),
            )
        )
    settled = settled_count(tx)
    if settled:
        lines.append(
            say(
                "{n} vụ đã xong hoặc có bên thua: [[syncd conflicts list --all]]",
                "{n} are settled, or one side lost: [[syncd conflicts list --all]]",
                n=number(settled),
            )
        )
    return lines


def next_of_list(found: Sequence[Conflict]) -> str:
    """The next command, with the ids of what this node decides."""
    mine = [each for each in found if each.decides_here] or list(found)
    ids = " ".join(short_id(each.id) for each in mine[: limits.DISAGREEMENTS_NAMED_MAX])
    show = at_hand(f"syncd conflicts show {ids}")
    if len(mine) <= limits.DISAGREEMENTS_NAMED_MAX:
        return say("Xem rõ và cách quyết định: {show}", "See them and how to decide: {show}", show=show)
    return say("Xem rõ và cách quyết định {some} trong {n} vụ: {show}", "See {some} of {n} and how to decide: {show}",
               some=limits.DISAGREEMENTS_NAMED_MAX, n=number(len(mine)), show=show)  # fmt: skip


def next_one(tx: Tx) -> str:
    """The next that waits for this node, with its commands; that there is none."""
    from syncd.disagreement_names import code_names
    from syncd.disagreements import conflicts

    waiting = [each for each in conflicts(tx) if each.decides_here]
    if not waiting:
        return say("Không còn vụ nào chờ máy này.", "Nothing more waits for this node.")
    head = say("Còn {n} vụ chờ máy này; tiếp theo:", "{n} more wait for this node; the next one:",
               n=number(len(waiting)))  # fmt: skip
    return f"{head}\n{block(waiting[0], code_names(tx, waiting[0]))}"


def _units(found: Conflict) -> str:
    units = list(dict.fromkeys(row.unit for row in found.rows if row.unit)) or [found.unit or ""]
    return " / ".join(units)


def _decides(found: Conflict) -> str:
    if found.state in DONE or found.state == LOST:
        return ""
    asked = ", ".join(found.asked)
    if found.decides_here:
        here = say("máy này", "this node")
        return say("{here}; đã hỏi {who}", "{here}; asked {who}", here=here, who=asked) if asked else here
    return asked or found.keeper or ("" if found.state == WAITING else say("máy khác", "another node"))


def _differences(found: Conflict, names: Names) -> list[str]:
    """Column by column: kept | wished, or one row | the other."""
    pairs = list(_of_columns(found, names) if found.columns else _of_rows(found, names))
    lines = [f"{INDENT}{column}: {' | '.join(values)}" for column, values in pairs[: limits.DISAGREEMENT_COLUMNS_MAX]]
    if not pairs:
        same = say("không cột nào khác nhau", "no column differs")
        return [f"{INDENT}({same})"] if len(found.rows) > 1 else []
    if found.columns:
        sides = say("đang giữ | mong muốn", "kept | wished")
    elif len(found.rows) > 1:
        sides = " | ".join(dict.fromkeys(row.unit or row.row_id for row in found.rows))
    else:
        sides = say("bản ghi", "the row")
    return [f"{INDENT}({sides})", *lines, *([f"{INDENT}…"] if len(pairs) > limits.DISAGREEMENT_COLUMNS_MAX else [])]


def _of_columns(found: Conflict, names: Names) -> Iterator[tuple[str, list[str]]]:
    """The columns that wait; of a wish that did not wait by column (a deletion, a new row) those with a value."""
    waits = [side for side in found.columns if side.result == "review" and side.kept != side.wished]
    for side in waits or [side for side in found.columns if side.kept is not None or side.wished is not None]:
        yield titles.column(found.table, side.column), _texts((side.kept, side.wished), names.get(side.column, {}))


def _of_rows(found: Conflict, names: Names) -> Iterator[tuple[str, list[str]]]:
    """What differs between rows; of a single one what it says."""
    rows = [row for row in found.rows if row.values]
    for name in dict.fromkeys(name for row in rows for name in row.values):
        values = [row.values.get(name) for row in rows]
        if len(set(values)) > 1 or (len(rows) == 1 and values[0] is not None):
            yield titles.column(rows[0].table, name), _texts(values, names.get(name, {}))


def _texts(values: Sequence[Any], names: Mapping[Any, str]) -> list[str]:
    return [shorten(value_text(value, names) or "–", VALUE_CELLS_MAX) for value in values]
