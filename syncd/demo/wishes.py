"""The second half of the demo: wishes of a district, disagreements on one person, a check by the province.

Enters: a running tree. Leaves: proposals with verdicts, at the commune and at the district alike.
Must hold: a disagreement shown here is a real one: both sides wrote before either could see the other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from syncd.cli.conflict_text import sides_table
from syncd.demo.story import Story
from syncd.demo.tree import COMMUNE, DemoNode, DemoTree
from syncd.disagreement_names import code_names
from syncd.disagreements import Conflict, conflict
from syncd.language import say
from syncd.proposing import Wish, propose

# Persons fit to disagree about: every column named has a value, and they are not the head of their household.
PERSONS = """
    SELECT CAST(id AS text) FROM person WHERE unit_id = ? AND residence = 'usual' AND education IS NOT NULL
        AND marital IS NOT NULL AND relation NOT IN ('01', '1') ORDER BY id LIMIT ?
"""
OTHER_CODE = "SELECT code FROM code WHERE list_name = ? AND code NOT IN (?, ?) ORDER BY code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What the clerk types and what the district wishes, about one person."""

    person_id: str
    typed: dict[str, Any]
    wished: dict[str, Any]


def accepted(tree: DemoTree, story: Story) -> list[Conflict]:
    commune, district = _pair(tree)
    story.step(say("Huyện đề nghị xã sửa một bản ghi", "The district wishes a correction at a commune"))
    person = _persons(commune, 1)[0]
    try_directly(district, person, story)
    wished = {"education": _other(district, "education", person)}
    began = time.monotonic()
    proposal = _propose(district, person, wished, say("theo hồ sơ trường học", "as the school's file says"))
    found = _await_verdicts(tree, district, [proposal])
    took_s = time.monotonic() - began
    story.tell(
        say(
            "  Huyện đề nghị; chưa ai đổi gì từ khi huyện xem, nên sổ của xã tự nhận:",
            "  So it proposes; nothing changed since the district looked, so the commune's register accepts:",
        )
    )
    _show(story, district, found[0])
    story.good(
        say(
            "quyết định ở xã, kết quả về lại huyện sau {ms} mili giây",
            "decided at the commune, the verdict back at the district after {ms} ms",
            ms=round(took_s * 1000),
        )
    )
    return found


def disagree(tree: DemoTree, story: Story) -> list[Conflict]:
    commune, district = _pair(tree)
    story.step(
        say(
            "Xã và huyện cùng sửa một người khi mất liên lạc", "Commune and district write about one person while apart"
        )
    )
    tree.stop(commune)
    sides = _sides(commune, district)
    with commune.program() as program:
        for side in sides:
            sets = ", ".join(f"{name} = ?" for name in side.typed)
            program.execute(f"UPDATE person SET {sets} WHERE id = ?", (*side.typed.values(), side.person_id))
    reason = say("theo giấy tờ ở huyện", "as the district's papers say")
    proposals = [_propose(district, side.person_id, side.wished, reason) for side in sides]
    story.tell(
        say(
            "  Chương trình đồng bộ của {name} tắt; cán bộ xã gõ bốn sửa đổi, huyện đề nghị bốn sửa đổi, rồi "
            "chương trình đồng bộ chạy lại.",
            "  The daemon of {name} is down; its clerk types four edits, the district wishes four, then it runs again.",
            name=commune.name,
        )
    )
    tree.start(commune)
    found = _await_verdicts(tree, district, proposals)
    for title, side, each in zip(_titles(), sides, found, strict=True):
        story.tell(f"\n  {title}")
        story.code(
            [
                say(
                    "xã gõ: {typed}",
                    "the clerk types: {typed}",
                    typed=", ".join(f"{name} = {value}" for name, value in side.typed.items()),
                )
            ]
        )
        _show(story, district, each)
    _check_both_kept(tree, sides[0], story)
    return found


def verified(tree: DemoTree, story: Story) -> None:
    commune, _ = _pair(tree)
    story.step(
        say(
            "Tỉnh xác minh số định danh; kết quả về tới xã",
            "The province verifies a citizen id; the check reaches the commune",
        )
    )
    person = _persons(commune, 6)[5]
    citizen_id = "042199000123"
    with tree.province.program() as program:
        program.execute(
            "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by)"
            " VALUES (?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 'CSDL dân cư')",
            (commune.unit_id, person, citizen_id),
        )
    story.code(["INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by) VALUES (…)"])
    took_s = tree.wait(
        say("kết quả xác minh ở xã", "the check at the commune"),
        lambda: commune.value("SELECT 1 FROM person_check WHERE person_id = ?", (person,)),
    )
    story.good(
        say(
            "ghi ở tỉnh bằng SQL thường, tới {name} sau {ms} mili giây",
            "written at the province by plain SQL, at {name} after {ms} ms",
            name=commune.name,
            ms=round(took_s * 1000),
        )
    )
    story.tiers(tree)


def try_directly(district: DemoNode, person: str, story: Story) -> None:
    """The district writes to the commune's row first: the guard refuses and says how to propose."""
    from sqlcipher3 import dbapi2 as sqlcipher

    from syncd.cli.sql_refused import refusal

    with district.program() as program:
        try:
            program.execute("UPDATE person SET education = '08' WHERE id = ?", (person,))
        except sqlcipher.DatabaseError as error:
            story.tell(
                say(
                    "  Ghi thẳng vào sổ của xã thì bị từ chối:",
                    "  Writing straight into the commune's register is refused:",
                )
            )
            story.code(str(refusal(str(error)) or error).split(" — "))


def _pair(tree: DemoTree) -> tuple[DemoNode, DemoNode]:
    commune = tree.tier(COMMUNE)[0]
    if commune.parent is None:
        raise ValueError("a commune without a parent")
    return commune, commune.parent


def _persons(commune: DemoNode, count: int) -> list[str]:
    return [str(row[0]) for row in commune.rows(PERSONS, (commune.unit_id, count))]


def _sides(commune: DemoNode, district: DemoNode) -> list[Side]:
    """One pair in different columns, then one column under each of three policies: keeper, upper, review."""
    both, keeper, upper, review = _persons(commune, 5)[1:]
    typed_relation = _other(commune, "relation", keeper)
    typed_ethnic = _other(commune, "ethnic", upper)
    name = str(commune.value("SELECT full_name FROM person WHERE id = ?", (review,)))
    return [
        Side(
            person_id=both,
            typed={"marital": _other(commune, "marital", both)},
            wished={"education": _other(district, "education", both)},
        ),
        Side(
            person_id=keeper,
            typed={"relation": typed_relation},
            wished={"relation": _other(district, "relation", keeper, (typed_relation,))},
        ),
        Side(
            person_id=upper,
            typed={"ethnic": typed_ethnic},
            wished={"ethnic": _other(district, "ethnic", upper, (typed_ethnic,))},
        ),
        Side(person_id=review, typed={"full_name": f"{name} A"}, wished={"full_name": f"{name} B"}),
    ]


def _titles() -> list[str]:
    return [
        say(
            "Khác cột: xã sửa hôn nhân, huyện đề nghị học vấn. Cả hai được giữ.",
            "Different columns: the commune marital, the district education. Both are kept.",
        ),
        say(
            "Cùng cột, chính sách “keeper”: bản xã đứng, đề nghị được lưu lại.",
            "Same column, policy “keeper”: the commune's value stands, the wish is kept on file.",
        ),
        say(
            "Cùng cột, chính sách “upper”: bản tuyến trên được nhận, bản xã được lưu lại.",
            "Same column, policy “upper”: the upper tier wins, the commune's value is kept on file.",
        ),
        say(
            "Cùng cột, chính sách “review”: bản xã đứng cho tới khi có người quyết định.",
            "Same column, policy “review”: the commune's value stands until a person decides.",
        ),
    ]


def _other(node: DemoNode, column: str, person: str, beside: tuple[str, ...] = ()) -> str:
    """Another code of the column's list: the next one after the person's, none of `beside`."""
    held = str(node.value(f"SELECT {column} FROM person WHERE id = ?", (person,)))
    codes = [str(row[0]) for row in node.rows(OTHER_CODE, (column, held, beside[0] if beside else held))]
    return next((code for code in codes if code > held), codes[0])


def _propose(district: DemoNode, person: str, wished: dict[str, Any], reason: str) -> str:
    wish = Wish(
        operation="update", table="person", row_id=person, unit_code=None, wished=wished, author=None, reason=reason
    )
    return propose(district.store, wish, time.time_ns() // 1_000_000).proposal_id


def _await_verdicts(tree: DemoTree, district: DemoNode, proposals: list[str]) -> list[Conflict]:
    marks = ", ".join("?" * len(proposals))
    tree.wait(
        say("kết quả các đề nghị ở huyện", "the verdicts at the district"),
        lambda: (
            district.value(f"SELECT count(*) FROM verdict WHERE proposal_id IN ({marks})", proposals) == len(proposals)
        ),
    )
    with district.store.read() as tx:
        return [conflict(tx, proposal) for proposal in proposals]


def _show(story: Story, district: DemoNode, found: Conflict) -> None:
    with district.store.read() as tx:
        story.tell(sides_table(found, code_names(tx, found)))


def _check_both_kept(tree: DemoTree, side: Side, story: Story) -> None:
    """The province shows the clerk's column and the wished one."""
    wanted = {**side.typed, **side.wished}
    names = ", ".join(wanted)
    tree.wait(
        say("cả hai cột ở tỉnh", "both columns at the province"),
        lambda: (
            tree.province.rows(f"SELECT {names} FROM person WHERE id = ?", (side.person_id,))
            == [tuple(wanted.values())]
        ),
    )
    story.good(
        say(
            "ở tỉnh có cả hai sửa đổi của người thứ nhất; không bên thua nào bị bỏ mất",
            "the province shows both edits of the first person; no loser is thrown away",
        )
    )
