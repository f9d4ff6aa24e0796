"""An open case in words: what differs, which copy is right, what to do.

Enters: a kind of case and its stored detail (JSON, the same at every node). Leaves: labelled lines.
Must hold: a detail that this release cannot read is shown as it is stored, never left out; nothing is advised that
this release cannot do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conflict.case import CaseKind
from syncd.cli.output import table_title
from syncd.cli.reasons import told_text
from syncd.language import number, say
from syncd.protocol.decoding import json_object
from syncd.review.verbs import ADOPTABLE
from syncd.topology.subtree import DUTY as BOUND_DUTY

Lines = list[tuple[str, str]]


def case_words(kind: str | None, detail: str, about: str, keeper: str) -> Lines:
    """(label, text) of a case. `about`: its unit, or the node whose stream it is; `keeper`: the node that writes it."""
    if detail == "{}":  # another node's case: only what was said about it has come here
        return []
    facts = json_object(detail)
    words = WORDS.get(_word(kind, facts))
    if words is None:
        return [(say("chi tiết", "detail"), f"{name}: {value}") for name, value in sorted(facts.items())] or [
            (say("chi tiết", "detail"), detail)
        ]
    try:
        return words(facts, about, keeper or say("nơi giữ sổ", "the keeper"))
    except (LookupError, ValueError, TypeError, AttributeError):  # written by another release, or by whom it is about
        return [(say("chi tiết", "detail"), detail)]


def _word(kind: str | None, facts: Mapping[str, Any]) -> str:
    """Cases of one kind that are told differently have a word of their own in the detail."""
    return str(facts.get("what", kind))


def _mismatch(facts: Mapping[str, Any], about: str, keeper: str) -> Lines:
    stated, found = int(facts["rows_stated"]), int(facts["rows_found"])
    here = (
        say("{n} bản ghi", "{n} rows", n=number(found))
        if stated != found
        else say("cũng {n} bản ghi, nhưng giá trị khác", "{n} rows too, but values differ", n=number(found))
    )
    return [
        (
            say("lệch ở", "differs"),
            say("bảng {table} của {about}", "table {table} of {about}", table=table_title(facts["table"]), about=about),
        ),
        (
            say("nơi giữ sổ", "the keeper"),
            say("{keeper}: {n} bản ghi", "{keeper}: {n} rows", keeper=keeper, n=number(stated)),
        ),
        (say("ở máy này", "here"), here),
        (
            say("bản đúng", "right is"),
            say("{keeper}: sổ của nơi giữ sổ là bản gốc", "{keeper}: the keeper's copy is the register", keeper=keeper),
        ),
        (say("việc cần làm", "to do"), _verify_then_ask()),
    ]


def _fork(facts: Mapping[str, Any], about: str, keeper: str) -> Lines:
    if "wished" in facts:
        return _not_said_again(facts)
    if "branch" in facts or "at_child" in facts:
        return _root_branch(facts, about, keeper)
    return [
        (
            say("xảy ra ở", "where"),
            say(
                "nhật ký {about} của {keeper}, vị trí {seq}",
                "the stream about {about} of {keeper}, position {seq}",
                about=about,
                keeper=keeper,
                seq=number(int(facts["seq"])),
            ),
        ),
        (
            say("nghĩa là", "it means"),
            say(
                "hai máy mang cùng chìa khóa của {keeper} đã cùng ghi: đĩa bị nhân bản, hoặc máy cũ được bật lại",
                "two machines with the key of {keeper} have both written: a cloned disk, or an old machine that was"
                " switched on again",
                keeper=keeper,
            ),
        ),
        (
            say("việc cần làm 1", "to do 1"),
            say(
                "giữ lại máy mà cán bộ đang nhập hằng ngày; tắt máy kia (máy nhân bản, máy cũ) và gỡ syncd khỏi nó",
                "keep the machine that clerks type at every day; switch the other one off (the clone, the old machine)"
                " and remove syncd from it",
            ),
        ),
        (
            say("việc cần làm 2", "to do 2"),
            say(
                "tại máy giữ lại: `syncd status` không còn báo bản sao cũ; không thì chờ lần trao đổi sau",
                "at the machine that stays: `syncd status` speaks of no older copy any more; else await an exchange",
            ),
        ),
        (
            say("đã gõ ở máy kia", "typed at the other"),
            say(
                "không mất: những gì đã trao đổi trở lại thành đề nghị, xem tại {keeper}: `syncd propose list --all`",
                "is not lost: what was exchanged comes back as proposals; see at {keeper}: `syncd propose list --all`",
                keeper=keeper,
            ),
        ),
        (
            say("chưa trao đổi", "never exchanged"),
            say(
                "thì còn ở máy kia: trước khi gỡ, cho nó chạy một mình một lần (tắt máy giữ lại): `syncd sync --once`",
                "is at the other machine still: before removing it let it run alone once (the one that stays switched"
                " off): `syncd sync --once`",
            ),
        ),
    ]


def _root_branch(facts: Mapping[str, Any], about: str, keeper: str) -> Lines:
    """Two branches of the root's own stream: only an officer at the root may choose."""
    return [
        (
            say("xảy ra ở", "where"),
            say("nhật ký {about} của {keeper}, vị trí {seq}", "the stream about {about} of {keeper}, position {seq}",
                about=about, keeper=keeper, seq=number(int(facts["seq"]))),
        ),
        (
            say("nghĩa là", "it means"),
            say(
                "máy gốc {keeper} đã chạy từ một bản sao cũ và ghi tiếp: máy dưới giữ một nhánh, máy gốc giữ nhánh"
                " khác",
                "the root {keeper} ran from an older copy and went on writing: a node below holds one branch, the root"
                " another",
                keeper=keeper,
            ),
        ),
        (
            say("việc cần làm", "to do"),
            say(
                "tại máy gốc: quyết định take-theirs (nhận lại nhánh mà máy dưới giữ; những gì gốc ghi sau đó được ghi"
                " lại, không mất)",
                "at the root: decide take-theirs (the branch held below is taken back; what the root wrote since is"
                " written again, nothing is lost)",
            ),
        ),
    ]  # fmt: skip


def _not_said_again(facts: Mapping[str, Any]) -> Lines:
    """A change typed on the other branch that could not be written down by itself."""
    if facts.get("is_elsewhere"):
        return [
            (
                say("nghĩa là", "it means"),
                say(
                    "giá trị kín (bảng {table}) gõ ở đây không gửi đi được: đơn vị đã chuyển cho máy khác giữ sổ",
                    "values for the keeper's eyes alone (table {table}) cannot be passed on: another keeps the unit",
                    table=table_title(facts["table"]),
                ),
            ),
            (
                say("việc cần làm", "to do"),
                say(
                    'xem giá trị: [[syncd sql "SELECT op, seen, wished FROM syncd_wish"]]; báo cho nơi giữ sổ nhập lại',
                    'see the values: [[syncd sql "SELECT op, seen, wished FROM syncd_wish"]]; have the keeper'
                    " type them",
                ),
            ),
        ]
    return [
        (
            say("nghĩa là", "it means"),
            say(
                "một thay đổi ({op}, bảng {table}) gõ trên máy thứ hai không tự ghi lại được",
                "a change ({op}, table {table}) typed at a second machine could not be written down by itself",
                op=facts["wished"],
                table=table_title(facts["table"]),
            ),
        ),
        (
            say("việc cần làm", "to do"),
            say(
                'xem giá trị: [[syncd sql "SELECT op, seen, wished FROM syncd_wish"]], rồi gõ lại điều còn đúng',
                'see the values: [[syncd sql "SELECT op, seen, wished FROM syncd_wish"]], then type again what'
                " still holds",
            ),
        ),
    ]


def _late(facts: Mapping[str, Any], about: str, _keeper: str) -> Lines:
    """What an old keeper has signed too late; or what was typed here and never sealed."""
    if ADOPTABLE in facts:
        means = say(
            "nơi giữ cũ của {about} còn ghi sau khi sổ đã chuyển; những gì nó ghi đang cất riêng, chưa vào sổ",
            "the old keeper of {about} wrote after the register had passed on; that is put aside, not in the register",
            about=about,
        )
        stream = str(facts[ADOPTABLE])[:8]
        then = say(
            "[[syncd adopt {id}]]: thành đề nghị gửi nơi giữ mới; vụ việc tự đóng",
            "[[syncd adopt {id}]]: makes proposals to the new keeper of it; the case closes by itself",
            id=stream,
        )
        return [(say("nghĩa là", "it means"), means), (say("việc cần làm", "to do"), then)]
    return [
        (
            say("nghĩa là", "it means"),
            say(
                "{n} bản ghi của {about} được gõ ở máy này sau khi sổ đã chuyển; chúng chưa được gửi đi",
                "{n} records of {about} were typed here after the register had passed on; they were not sent",
                n=number(int(facts["count"])),
                about=about,
            ),
        ),
        (say("bản ghi", "records"), str(facts["rows"])),
        (
            say("việc cần làm", "to do"),
            say(
                "báo nơi giữ mới nhập lại, hoặc tại tuyến trên: syncd propose BẢNG MÃ --set …",
                "have the new keeper type them, or at a tier above: syncd propose TABLE ID --set …",
            ),
        ),
    ]


def _triggers(facts: Mapping[str, Any], _about: str, _keeper: str) -> Lines:
    return [
        (
            say("xảy ra", "happened"),
            say(
                "{n} trigger của syncd bị thiếu hoặc bị sửa, đã được đặt lại ({first})",
                "{n} triggers of syncd were missing or altered and have been put back ({first})",
                n=number(int(facts["problems"])),
                first=facts["first"],
            ),
        ),
        (
            say("nghĩa là", "it means"),
            say(
                "thay đổi ghi trong lúc đó có thể chưa được gửi đi",
                "what was written meanwhile may not have been sent",
            ),
        ),
        (say("việc cần làm", "to do"), _verify_then_ask()),
    ]


def _cells(facts: Mapping[str, Any], about: str, _keeper: str) -> Lines:
    return [
        (
            say("xảy ra", "happened"),
            say(
                "số liệu {measure} của {about}: {cells} ô lệch; các ô ghi {counted}, đếm bản ghi được {records}",
                "figures of {about}, {measure}: {cells} cells differed; they said {counted}, the records {records}",
                measure=facts["measure"],
                about=about,
                counted=number(int(facts["counted"])),
                records=number(int(facts["records"])),
                cells=number(int(facts["cells"])),
            ),
        ),
        (say("nghĩa là", "it means"), say("báo cáo lập trước lúc này có thể sai", "earlier figures may be wrong")),
        (
            say("việc cần làm", "to do"),
            say(
                "các ô đã được đếm lại; tìm xem chương trình nào đã sửa các bảng syncd_cell_…, rồi đóng vụ việc",
                "the cells were counted anew; find the program that wrote to the tables syncd_cell_…, then close this",
            ),
        ),
    ]


def _strange_index(facts: Mapping[str, Any], _about: str, _keeper: str) -> Lines:
    return [
        (
            say("xảy ra", "happened"),
            say(
                "bảng {table} có chỉ mục hoặc ràng buộc duy nhất {name}, không phải của syncd",
                "table {table} has a unique index or constraint {name} that is not syncd's",
                table=table_title(facts["table"]),
                name=facts["name"],
            ),
        ),
        (
            say("nghĩa là", "it means"),
            say(
                "bản ghi nơi khác gửi tới mà trùng giá trị sẽ làm việc đồng bộ đơn vị đó dừng ở đây",
                "a row from elsewhere with a value that is here already stops that unit's stream here",
            ),
        ),
        (
            say("việc cần làm", "to do"),
            say(
                "bỏ nó: DROP INDEX (hoặc ALTER TABLE … DROP CONSTRAINT) {name}; việc đồng bộ tự đi tiếp. Cần "
                "tra nhanh thì tạo"
                " chỉ mục không UNIQUE",
                "remove it: DROP INDEX (or ALTER TABLE … DROP CONSTRAINT) {name}; the stream goes on by itself. For"
                " speed an index without UNIQUE serves",
                name=facts["name"],
            ),
        ),
    ]


def _strange_trigger(facts: Mapping[str, Any], _about: str, _keeper: str) -> Lines:
    return [
        (
            say("xảy ra", "happened"),
            say(
                "bảng {table} có trigger {name}, không phải của syncd, chạy cả khi syncd ghi bản ghi nơi khác gửi tới",
                "table {table} has a trigger {name}, not syncd's, that fires while syncd writes rows from elsewhere",
                table=table_title(facts["table"]),
                name=facts["name"],
            ),
        ),
        (
            say("nghĩa là", "it means"),
            say(
                "nó có thể sửa các bản ghi đó (điểm đối soát sẽ lệch) hoặc làm việc đồng bộ dừng",
                "it may change those rows (checkpoints will differ) or stop their streams",
            ),
        ),
        (
            say("việc cần làm", "to do"),
            say(
                "bỏ nó (DROP TRIGGER {name}), hoặc thêm điều kiện: SQLite WHEN NOT EXISTS (SELECT 1 FROM"
                " syncd_applying), PostgreSQL bỏ ENABLE ALWAYS",
                "remove it (DROP TRIGGER {name}), or give it a condition: SQLite WHEN NOT EXISTS (SELECT 1 FROM"
                " syncd_applying), PostgreSQL without ENABLE ALWAYS",
                name=facts["name"],
            ),
        ),
    ]


def _past_triggers(facts: Mapping[str, Any], about: str, _keeper: str) -> Lines:
    """Rows of a register kept here that were changed while nothing captured it."""
    happened, means, to_do = {
        "found": (
            say("bản ghi của {about} đã bị sửa mà trigger không thấy", "rows of {about} were changed past the triggers",
                about=about),
            say("chúng đã được đưa vào nhật ký và sẽ tới các tuyến trên",
                "they were put into the log, and go to the tiers above"),
            say("xem lại các bản ghi đó, tìm chương trình đã tắt trigger, rồi đóng vụ việc",
                "look at these rows, find the program that went past the triggers, then close this"),
        ),
        "unsent": (
            say("bản ghi của {about} không nơi nào nhận", "rows of {about} that nobody would take", about=about),
            say("giá trị sai quy tắc, hoặc id của máy khác; chúng chỉ có ở máy này",
                "a value against the rules, or an id that another node minted; they are on this node alone"),
            say("sửa giá trị (hoặc nhập lại không kèm id), rồi chạy `[[syncd repair]]`",
                "correct the value (or type them anew without an id), then run `[[syncd repair]]`"),
        ),
        "lost": (
            say("hơn nửa một bảng của {about} đã mất mà trigger không thấy",
                "more than half of a table of {about} went past the triggers", about=about),
            say("chưa ghi vào nhật ký: các tuyến trên vẫn giữ đủ",
                "it was not put into the log: the tiers above have all of it still"),
            say("cố ý xóa: `[[syncd repair --loss-is-meant]]`; nhầm: phục hồi bảng từ bản sao lưu",
                "on purpose: `[[syncd repair --loss-is-meant]]`; by mistake: put the table back from a backup"),
        ),
    }[str(facts["what"])]  # fmt: skip
    return [
        (say("xảy ra", "happened"), happened),
        (say("bảng", "tables"), str(facts["tables"])),
        (say("nghĩa là", "it means"), means),
        (say("việc cần làm", "to do"), to_do),
    ]


def _duty(facts: Mapping[str, Any], _about: str, _keeper: str) -> Lines:
    if facts["duty"] == BOUND_DUTY:
        return _bound(facts)
    return [
        (say("việc đã dừng", "what stopped"), " ".join(part for part in (facts["duty"], facts["about"]) if part)),
        (say("vì sao", "why"), told_text(facts["error"])),
        (
            say("nghĩa là", "it means"),
            say("các việc khác vẫn chạy; việc này tự thử lại", "the rest goes on; this is tried again by itself"),
        ),
        (
            say("việc cần làm", "to do"),
            say(
                "báo bộ phận CNTT kèm nhật ký; vụ việc tự đóng khi hết lỗi",
                "tell IT, with the log; the case closes by itself once the duty succeeds",
            ),
        ),
    ]


def _bound(facts: Mapping[str, Any]) -> Lines:
    """The reason bears its own remedy."""
    return [
        (say("việc đã dừng", "what stopped"), say("nhận thêm từ máy {node}", "taking more of node {node}",
                                                  node=facts["about"])),
        (say("vì sao", "why"), told_text(facts["error"])),
        (
            say("nghĩa là", "it means"),
            say("chỉ nhật ký đó dừng, các việc khác vẫn chạy; vụ việc tự đóng khi nó đi tiếp",
                "that stream alone stands still, all others go on; the case closes by itself when it goes on"),
        ),
    ]  # fmt: skip


def _verify_then_ask() -> str:
    return say(
        "chạy `[[syncd verify --full]]` tại máy này, rồi báo bộ phận CNTT",
        "run `[[syncd verify --full]]` here, then ask IT",
    )


WORDS: Mapping[str, Callable[[Mapping[str, Any], str, str], Lines]] = {
    CaseKind.CHECKPOINT_MISMATCH: _mismatch,
    CaseKind.FORK: _fork,
    CaseKind.DUTY_STOPPED: _duty,
    CaseKind.WRITES_BEYOND_TERM: _late,
    "triggers": _triggers,
    "cells": _cells,
    "strange-index": _strange_index,
    "strange-trigger": _strange_trigger,
    "found": _past_triggers,
    "unsent": _past_triggers,
    "lost": _past_triggers,
}
