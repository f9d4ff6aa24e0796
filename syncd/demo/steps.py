"""The first half of the demo: the initial load, edits by plain SQL, a district cut off and draining.

Enters: a running tree. Leaves: the same tree with more in it. Must hold: every step ends with a condition that was
seen to hold at the province, not with a pause.
"""

from __future__ import annotations

import time
from datetime import date

from syncd.clock import day_of, system_clock
from syncd.demo.story import Story, counts_of
from syncd.demo.tree import COMMUNE, CUT_CODE, SHAPE, DemoNode, DemoTree
from syncd.language import decimal, number, say

SEED = 2026
EDITS_PER_COMMUNE = 12
EDITS_WHILE_CUT = 25


def introduce(tree: DemoTree, story: Story) -> None:
    story.step(
        say(
            "Lập cây: 1 tỉnh, 2 huyện, 6 xã, mỗi máy một chương trình đồng bộ và một cơ sở dữ liệu mã hóa",
            "The tree: 1 province, 2 districts, 6 communes; a daemon and an encrypted database each",
        )
    )
    began = time.monotonic()
    tree.build()
    for district in tree.province.children:
        names = ", ".join(child.name for child in district.children)
        story.tell(f"  {tree.province.name} ← {district.name} ← {names}")
    story.good(
        say(
            "9 chương trình đồng bộ chạy trên loopback, gia nhập bằng mã một lần, TLS hai chiều ({s} giây)",
            "9 daemons on loopback, enrolled with one-time tokens, mutual TLS ({s} s)",
            s=decimal(time.monotonic() - began),
        )
    )


def load(tree: DemoTree, story: Story) -> None:
    story.step(
        say(
            "Nạp ban đầu: sổ dân số giả lập ở sáu xã chảy lên tỉnh",
            "Initial load: generated registers flow up from six communes",
        )
    )
    from syncd.inputs.generate import generate

    began = time.monotonic()
    persons = {code: count for communes in SHAPE.values() for code, count in communes.items()}
    for code, count in persons.items():
        node = tree.node(code)
        generate(node.store, unit_id=node.unit_id, persons=count, seed=SEED, today=_today())
        story.live(_arrived(tree, sum(persons.values())))
    arrive(
        tree,
        story,
        say("sổ của sáu xã ở tỉnh", "six registers at the province"),
        lambda: story.live(_arrived(tree, sum(persons.values()))),
    )
    rows = sum(counts_of(tree.province).rows.values())
    took_s = time.monotonic() - began
    story.good(
        say(
            "{rows} bản ghi qua hai tuyến trong {s} giây, kể cả thời gian sinh dữ liệu; xã đã thấy xác nhận của tỉnh",
            "{rows} rows over two hops in {s} s, generating included; the communes hold the province's receipts",
            rows=number(rows),
            s=decimal(took_s),
        )
    )
    story.tiers(tree)


def edit(tree: DemoTree, story: Story) -> None:
    story.step(
        say(
            "Cán bộ xã sửa sổ bằng SQL thường, từ một chương trình khác",
            "Clerks edit by plain SQL, from another program",
        )
    )
    took_s = one_change(tree, story)
    for node in tree.tier(COMMUNE):
        type_edits(node, EDITS_PER_COMMUNE, 2)
    story.tell(
        say(
            "  … và {n} sửa đổi nữa ở mỗi xã: sinh, chết, chuyển đi, chuyển đến, điện thoại, học vấn, hôn nhân, bảo "
            "hiểm",
            "  … and {n} more at each commune: births, deaths, departures, arrivals, phone, education, marital, "
            "insurance",
            n=EDITS_PER_COMMUNE,
        )
    )
    arrive(tree, story, say("các sửa đổi ở tỉnh", "the edits at the province"))
    story.good(
        say(
            "một thay đổi từ xã tới tỉnh, qua huyện: {ms} mili giây",
            "one change from commune to province, over the district: {ms} ms",
            ms=number(round(took_s * 1000)),
        )
    )
    story.tiers(tree)


def cut_off(tree: DemoTree, story: Story) -> None:
    district = tree.node(CUT_CODE)
    story.step(
        say(
            "Đứt đường truyền giữa {name} và tỉnh",
            "The line between {name} and the province is cut",
            name=district.name,
        )
    )
    before = district.value("SELECT count(*) FROM person")
    if tree.line is not None:
        tree.line.cut()
    for node in district.children:
        type_edits(node, EDITS_WHILE_CUT, 3)
    tree.wait(
        say("sửa đổi tới huyện", "the edits reach the district"),
        lambda: all(
            counts_of(node).own.waiting == 0 and counts_of(node).own.at_parent > 0 for node in district.children
        ),
    )
    story.tell(
        say(
            "  Xã vẫn làm việc và gửi tới huyện; huyện giữ lại những gì tỉnh chưa có:",
            "  The communes work on and deliver to the district, which keeps what the province lacks:",
        )
    )
    story.nodes([tree.province, district, *district.children])
    if tree.line is not None:
        tree.line.mend()
    took_s = arrive(tree, story, say("tồn đọng tới tỉnh", "the backlog at the province"))
    added = district.value("SELECT count(*) FROM person") - before
    story.good(
        say(
            "nối lại: tồn đọng chảy hết trong {s} giây (huyện có thêm {n} nhân khẩu), không bản ghi nào mất hay lặp",
            "mended: the backlog drained in {s} s ({n} more persons at the district), nothing lost, nothing twice",
            s=decimal(took_s),
            n=number(added),
        )
    )
    story.nodes([tree.province, district, *district.children])


def type_edits(node: DemoNode, count: int, round_number: int) -> None:
    """`count` plausible edits, each a transaction of another program."""
    from syncd.inputs.edits import edits

    with node.store.read() as tx:
        made = edits(
            tx,
            unit_id=node.unit_id,
            count=count,
            seed=SEED + round_number,
            today=_today(),
        )
    with node.program() as program:
        for each in made:
            program.execute("BEGIN IMMEDIATE")
            for sql, values in each.statements:
                program.execute(sql, values)
            program.execute("COMMIT")


def one_change(tree: DemoTree, story: Story) -> float:
    """Seconds from a commit at a commune until the province shows it."""
    commune = tree.tier(COMMUNE)[0]
    person = commune.value("SELECT min(CAST(id AS text)) FROM person WHERE unit_id = ?", (commune.unit_id,))
    story.code([f"{commune.name}: UPDATE person SET phone = '0239000001' WHERE id = '{person}'"])
    with commune.program() as program:
        program.execute("UPDATE person SET phone = '0239000001' WHERE id = ?", (person,))
    return tree.wait(
        say("một thay đổi ở tỉnh", "one change at the province"),
        lambda: tree.province.value("SELECT phone FROM person WHERE id = ?", (person,)) == "0239000001",
    )


def arrive(tree: DemoTree, story: Story, what: str, watch: object = None) -> float:
    """Wait until every commune sees all its changes at the province, and the province shows as many persons."""

    def arrived() -> bool:
        if callable(watch):
            watch()
        communes = [counts_of(node) for node in tree.tier(COMMUNE)]
        if any(each.own.waiting or each.own.at_parent for each in communes):
            return False
        return sum(each.rows["person"] for each in communes) == int(tree.province.value("SELECT count(*) FROM person"))

    took_s = tree.wait(what, arrived)
    story.live_end()
    return took_s


def _arrived(tree: DemoTree, total: int) -> str:
    return say(
        "tại tỉnh: {n} / {total} nhân khẩu",
        "at the province: {n} / {total} persons",
        n=number(tree.province.value("SELECT count(*) FROM person")),
        total=number(total),
    )


def _today() -> date:
    return date.fromisoformat(day_of(system_clock()))
