"""An open case in words: what differs, which copy is right, what to do.

Enters: a kind of case and its stored detail (JSON, the same at every node). Leaves: labelled lines.
Must hold: a detail that this release cannot read is shown as it is stored, never left out; nothing is advised that
this release cannot do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from conflict.case import CaseKind
from syncd.language import number, say

Lines = list[tuple[str, str]]


def case_words(kind: str | None, detail: str, about: str, keeper: str) -> Lines:
    """(label, text) of a case. `about`: its unit, or the node whose stream it is; `keeper`: the node that writes it."""
    facts = _facts(detail)
    words = WORDS.get(_word(kind, facts))
    if words is None:
        return [(say("chi tiết", "detail"), f"{name}: {value}") for name, value in sorted(facts.items())] or [
            (say("chi tiết", "detail"), detail)
        ]
    try:
        return words(facts, about, keeper or say("nút giữ sổ", "the keeper"))
    except (KeyError, ValueError):  # written by another release
        return [(say("chi tiết", "detail"), detail)]


def _facts(detail: str) -> Mapping[str, Any]:
    try:
        found = json.loads(detail)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


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
            say("bảng {table} của {about}", "table {table} of {about}", table=facts["table"], about=about),
        ),
        (
            say("nút giữ sổ", "the keeper"),
            say("{keeper}: {n} bản ghi", "{keeper}: {n} rows", keeper=keeper, n=number(stated)),
        ),
        (say("ở nút này", "here"), here),
        (
            say("bản đúng", "right is"),
            say("{keeper}: sổ của nút giữ sổ là bản gốc", "{keeper}: the keeper's copy is the register", keeper=keeper),
        ),
        (say("việc cần làm", "to do"), _verify_then_ask()),
    ]


def _fork(facts: Mapping[str, Any], about: str, keeper: str) -> Lines:
    return [
        (
            say("xảy ra ở", "where"),
            say(
                "luồng {about} của {keeper}, vị trí {seq}",
                "the stream about {about} of {keeper}, position {seq}",
                about=about,
                keeper=keeper,
                seq=number(int(facts["seq"])),
            ),
        ),
        (
            say("nghĩa là", "it means"),
            say(
                "đĩa bị nhân bản hoặc một bản sao cũ đã được khởi động: hai máy cùng ghi",
                "a cloned disk or an older copy was started: two machines write",
            ),
        ),
        (
            say("việc cần làm", "to do"),
            say("tắt máy bản sao, rồi báo bộ phận CNTT", "switch the copy off, then ask IT"),
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


def _verify_then_ask() -> str:
    return say(
        "chạy `syncd verify --full` tại nút này, rồi báo bộ phận CNTT", "run `syncd verify --full` here, then ask IT"
    )


WORDS: Mapping[str, Callable[[Mapping[str, Any], str, str], Lines]] = {
    CaseKind.CHECKPOINT_MISMATCH: _mismatch,
    CaseKind.FORK: _fork,
    "triggers": _triggers,
}
