"""One disagreement as text: what it is, who said what when, the values side by side, and what can be done next.

Enters: a `Conflict`, names of codes, candidates. Leaves: lines. Must hold: the commands are complete and can be copied;
who cannot decide here reads who can.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from conflict.case import CaseKind
from syncd import limits
from syncd.cli.output import BOLD, RED, cell, paint, shorten, table
from syncd.cli.review_words import (
    ADOPT,
    EXPLAINED,
    OF_CASE,
    OF_EVENT,
    OF_EVENTS,
    OF_MOVE,
    OF_QUESTION,
    OF_REVIEW,
    RULES,
    SAID,
    SAID_OF_REVIEW,
)
from syncd.cli.times import moment
from syncd.disagreements import (
    ASKED,
    CASE,
    DONE,
    LOST,
    OUTCOME,
    POSTPONED,
    QUESTION,
    RESULT,
    REVIEW,
    STATE,
    WAITING,
    Conflict,
    Copy,
    Side,
    short_id,
    why_words,
)
from syncd.language import Both, say
from syncd.protocol.decoding import json_object
from syncd.review.history import BY_RULE, Step
from syncd.review.verbs import ADOPTABLE
from syncd.text import titles
from syncd.text.command import at_hand

Names = Mapping[str, Mapping[Any, str]]
VALUE_CELLS_MAX = 28
DOUBTED: Mapping[str, str] = {  # the column that is likely wrong
    CaseKind.DUPLICATE_CITIZEN_ID: "citizen_id",
    CaseKind.DUPLICATE_INSURANCE_NO: "insurance_no",
    CaseKind.DUPLICATE_HOUSEHOLD_NO: "number",
}
ROW_CHARS = slice(14, 23)
DIFFERS = "≠"  # a terminal may have no colours, and a pipe has none


def conflict_text(found: Conflict, names: Names, candidates: Sequence[str] = ()) -> str:
    """One disagreement. `candidates`: moves that may be the other end."""
    lines = [paint(heading(found), BOLD) + f"  [{STATE[found.state].here}]"]
    facts = [*_facts(found, names), *_why(found)]
    label = max(len(name) for name, _ in facts)
    lines += [f"  {name:<{label}}  {value}" for name, value in facts if value]
    if found.columns:
        lines.append(sides_table(found, names))
    if found.rows:
        lines += ["", *_copies(found, names)]
    if candidates:
        lines += ["", say("Có thể là đầu kia của lần chuyển:", "May be the other end of the move:")]
        lines += [f"  {each}" for each in candidates]
    return "\n".join([*lines, *_next(found, candidates)])


def heading(found: Conflict) -> str:
    """What it is; of a number that several bear, the number."""
    doubted = DOUBTED.get(found.kind or "", "")
    borne = next((row.values[doubted] for row in found.rows if row.values.get(doubted)), None)
    return f"{found.title}: {borne}" if borne else found.title


def sides_table(found: Conflict, names: Names) -> str:
    """The columns side by side, codes with their names, the reason in words."""
    headers = [
        say("cột", "column"),
        say("đã thấy", "seen"),
        say("đã giữ lúc đó", "kept then"),
        say("mong muốn", "wished"),
        *([] if found.stands is None else [say("hiện nay", "now")]),
        say("kết quả", "result"),
        say("vì sao", "why"),
    ]
    rows = []
    for side in found.columns:
        result = RESULT[side.result].here if side.result in RESULT else side.result
        known, title = names.get(side.column, {}), titles.column(found.table, side.column)
        values = [shorten(value_text(value, known), VALUE_CELLS_MAX) for value in _values(found, side)]
        rows.append(
            [
                title,
                *values,
                paint(result, *([RED] if side.result == "kept" else [])),
                why_words(side.why),
            ]
        )
    return table(headers, rows, indent="  ")


def _values(found: Conflict, side: Side) -> list[Any]:
    now = [] if found.stands is None else [found.stands.get(side.column)]
    return [side.seen, side.kept, side.wished, *now]


def _facts(found: Conflict, names: Names) -> list[tuple[str, str]]:
    return [
        (say("mã", "id"), found.id),
        (say("bản ghi", "row"), f"{titles.table(found.table)} {found.row_id or ''}".strip()),
        (say("đơn vị", "unit"), found.unit or ""),
        (say("đề nghị bởi", "proposed by"), f"{found.author} · {moment(found.made_at)}" if found.author else ""),
        (say("lý do đề nghị", "reason given"), found.reason or ""),
        (
            say("quyết định bởi", "decided by"),
            f"{found.decided_by} · {moment(found.decided_at)}" if found.decided_by and not found.waits else "",
        ),
        (say("đang hỏi", "asked of"), ", ".join(found.asked)),
        *((say("đã nói", "said"), each) for each in _said(found, names)),
    ]


def _said(found: Conflict, names: Names) -> list[str]:
    """Every word about it, oldest first; nothing where only the program has spoken."""
    if all(step.verb == BY_RULE for step in found.history):
        return []
    words = SAID if found.operation is None else {**SAID, **SAID_OF_REVIEW}
    return [_step(found, step, words, names) for step in found.history]


def _step(found: Conflict, step: Step, words: Mapping[str, Both], names: Names) -> str:
    what = (
        words[step.verb].here if step.verb in words else OUTCOME[step.outcome].here if step.outcome in OUTCOME else ""
    )
    if step.of:
        what = f"{what}: {words[step.of].here if step.of in words else step.of}"
    table = step.table or found.table
    wrote = "; ".join(
        f"{titles.column(table, name)}: {_value(name, old, names)} → {_value(name, new, names)}"
        for name, (old, new) in step.written.items()
    )
    return " · ".join(
        part for part in (what or step.verb, wrote, step.author, moment(step.made_at), step.reason) if part
    )


def _value(column: str, value: Any, names: Names) -> str:
    return shorten(value_text(value, names.get(column, {})) or "–", VALUE_CELLS_MAX)


def _why(found: Conflict) -> list[tuple[str, str]]:
    """Why it waits, in words; alarms of the program itself tell more (`case_words`)."""
    from syncd.cli.case_words import WORDS, case_words

    label, kind = say("vì sao", "why"), found.kind or ""
    if found.state in (REVIEW, WAITING) or not _is_case(found):
        explained = EXPLAINED[kind].here if found.state == REVIEW and kind in EXPLAINED else ""
        reason = why_words(found.why) if found.why not in ("columns", "review") else ""
        return [(label, explained), (label if not explained else "", reason)]
    facts = json_object(found.why)
    if str(facts.get("what", kind)) in WORDS or kind not in EXPLAINED:
        return case_words(found.kind, found.why, found.unit or found.keeper or "", found.keeper or "")
    rule = RULES.get(str(facts.get("rule")).partition(":")[0])
    lines = [(label, EXPLAINED[kind].here), (say("quy tắc", "rule"), rule.here if rule else "")]
    if "column" in facts:
        lines += _column(found, facts)
    if "offset_s" in facts:
        days = abs(int(facts["offset_s"])) // 86_400
        lines.append((say("lệch", "off by"), say("{n} ngày", "{n} days", n=days)))
        lines.append((say("việc cần làm", "to do"), say("chỉnh đồng hồ máy đó", "set that machine's clock")))
    return lines


def _column(found: Conflict, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The column that a rule speaks of; of a code that no list has, the code as the row has it now, and the list."""
    name = str(facts["column"])
    of = str(facts.get("table") or next((row.table for row in found.rows), ""))
    lines = [(say("cột", "column"), titles.column(of, name))]
    if str(facts.get("rule")).startswith("unknown_code"):
        code = next((row.values[name] for row in found.rows if row.values.get(name) is not None), "")
        lines += [(say("mã", "code"), str(code)), (say("danh mục", "list"), titles.code_list(of, name))]
    return lines


def _is_case(found: Conflict) -> bool:
    return found.state in (CASE, QUESTION) or bool(found.rows or found.said) or found.operation is None


def _copies(found: Conflict, names: Names) -> list[str]:
    """The rows of a case: side by side where they are of one table, else one after the other."""
    lines: list[str] = []
    if len({row.table for row in found.rows}) == 1:
        for start in range(0, len(found.rows), limits.ROWS_BESIDE_MAX):
            some = found.rows[start : start + limits.ROWS_BESIDE_MAX]
            head = [titles.table(some[0].table), *(_place(row) for row in some)]
            lines += table(head, list(_lines(some, names)), indent="  ").split("\n")
        return lines
    for row in found.rows:
        lines += table([titles.table(row.table), _place(row)], list(_lines([row], names)), indent="  ").split("\n")
    return lines


def _place(row: Copy) -> str:
    """Whose row it is, since when, and the part of its id that commands take."""
    unit = row.unit or say("không có ở đây", "not here")
    keeper = None if row.keeper is None or row.keeper in unit else row.keeper
    parts = [unit, keeper, _minted(row.row_id), row.row_id[ROW_CHARS]]
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _minted(row_id: str) -> str:
    """When a row was first written: its id says so (UUIDv7)."""
    from syncd.clock import instant_of

    number = uuid.UUID(row_id)
    return moment(instant_of(number.int >> 80))[:10] if number.version == 7 else ""


def _lines(rows: Sequence[Copy], names: Names) -> list[list[str]]:
    """Column, then its value per row; what differs is marked, what nobody has is left out."""
    lines = []
    for name in dict.fromkeys(name for row in rows for name in row.values):
        values = [row.values.get(name) for row in rows]
        if all(value is None for value in values):
            continue
        differs = len(rows) > 1 and len(set(values)) > 1
        title = titles.column(rows[0].table, name)
        shown = [shorten(value_text(value, names.get(name, {})), VALUE_CELLS_MAX) for value in values]
        lines.append(
            [f"{title} {DIFFERS}" if differs else title, *(paint(text, *([RED] if differs else [])) for text in shown)]
        )
    return lines


def commands(found: Conflict, candidates: Sequence[str] = (), passed_over: frozenset[str] = frozenset()) -> list[str]:
    """A line per thing that can be done here: the command, ready to be pasted, and what it does. `passed_over`:
    verdicts to leave out."""
    words = [word for word in found.verdicts if word not in passed_over]
    lines = [(_command(found, word, candidates), _meaning(found, word)) for word in words]
    stream = json_object(found.why).get(ADOPTABLE)
    if found.kind == CaseKind.WRITES_BEYOND_TERM and stream:
        lines.insert(0, (at_hand(f"syncd adopt {stream[:8]}"), ADOPT.here))
    room = max((len(text) for text, _ in lines), default=0)
    return [f"  {text:<{room}}   {meaning}" for text, meaning in lines]


def _next(found: Conflict, candidates: Sequence[str]) -> list[str]:
    """What can be done, each with its command; elsewhere who can do it."""
    if found.decides_here:
        head = say("Chờ trả lời; cũng có thể quyết định ngay:", "An answer is awaited; it can be decided now too:")
        plain = say("Có thể quyết định:", "What can be decided:")
        return ["", head if found.state == ASKED else plain, *commands(found, candidates)]
    if found.state in DONE or found.state == LOST:
        if not found.may_be_undone:
            return []  # nobody here has decided anything that could be taken back
        id_ = short_id(found.id)
        return [
            "",
            say("Rút lại: [[syncd conflicts undo {id}]]", "Take it back: [[syncd conflicts undo {id}]]", id=id_),
        ]
    who = next((row.keeper for row in found.rows if row.keeper), None) or found.keeper
    if not who or found.state == POSTPONED:
        return []
    return [
        "",
        say(
            "Máy {who} quyết định; máy này chỉ xem. Muốn giá trị khác: {propose}",
            "{who} decides; this node only looks on. To wish another value: {propose}",
            who=who,
            propose=at_hand(_propose(found)),
        ),
    ]


def _command(found: Conflict, word: str, candidates: Sequence[str]) -> str:
    return at_hand(f"syncd conflicts resolve {short_id(found.id)} --verdict {_verdict(found, word, candidates)}")


def _verdict(found: Conflict, word: str, candidates: Sequence[str]) -> str:
    if word == "value":
        there = [row for row in found.rows if row.values]
        row = f" --row {there[0].row_id[ROW_CHARS]}" if len(there) > 1 else ""
        waits = next((side.column for side in found.columns if side.result == "review"), None)
        doubted = json_object(found.why).get("column") or DOUBTED.get(found.kind or "")
        column = waits or str(doubted or say("CỘT", "COLUMN"))
        return f"{word}{row} {column}={say('GIÁ_TRỊ', 'VALUE')}"
    if word == "same-person" and (found.kind or "").endswith(("_without_arrival", "_without_departure")):
        return f"{word} --with {candidates[0].partition(' ')[0] if candidates else say('MÃ', 'ID')}"
    return word


def _propose(found: Conflict) -> str:
    """How another value of the row is wished, as far as it is known here which row."""
    row = f"{found.table} {found.row_id}" if found.table and found.row_id else say("BẢNG MÃ", "TABLE ID")
    return f"syncd propose {row} --set {say('CỘT=GIÁ_TRỊ', 'COLUMN=VALUE')}"


def _meaning(found: Conflict, word: str) -> str:
    if found.state == QUESTION and word in OF_QUESTION:
        return OF_QUESTION[word].here
    if found.state == REVIEW and word in OF_REVIEW:  # its kind is the keeper's word, which may be any
        return OF_REVIEW[word].here
    if found.kind == "twin_event" and word in ("same-person", "not-the-same"):
        return (OF_EVENT if word == "same-person" else OF_EVENTS).here
    if word == "same-person" and (found.kind or "").endswith(("_without_arrival", "_without_departure")):
        return OF_MOVE.here
    return OF_CASE[word].here if word in OF_CASE else ""


def value_text(value: Any, names: Mapping[Any, str]) -> str:
    """A value by its name, where it has one."""
    return names[value] if value in names else cell(value)
