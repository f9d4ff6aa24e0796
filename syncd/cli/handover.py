"""`syncd handover`: a unit's register passes to another keeper, by agreement of both.

Enters: the unit, the node that shall keep it. Leaves: an order that travels to both, or a preview in words.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.output import YELLOW, emit, emit_json, paint, table_title
from syncd.cli.times import age_s, duration
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say
from syncd.limits import SHOWN_UNITS_MAX, STATION_ALIVE_S

if TYPE_CHECKING:
    from syncd.keeping import Preview


@verb(
    Both(
        "Bàn giao sổ của một đơn vị cho máy khác giữ.\n\nNơi giữ cũ ngừng nhận ghi, ký điểm cuối; máy mới giữ tiếp từ "
        "đó. Tuyến nào đã có dữ liệu thì không gửi lại. Máy cũ hỏng hoặc mất: dùng `syncd replace` tại máy gốc.",
        "Pass a unit's register to another keeper.\n\nThe old keeper stops writing and signs where it ended; the new "
        "one goes on from there. Nothing is sent again to tiers that hold it. Is the old machine dead or stolen? Use "
        "`syncd replace` at the root.",
    ),
    "syncd handover 18133 --to self --dry-run --dir huyen",
    "syncd handover 18133 --to 'Trạm Y tế xã Thạch Hà' --reason 'trạm đã có máy' --dir huyen",
)
@click.argument("unit_code", metavar="UNIT")
@option(
    "--to",
    "target",
    required=True,
    metavar="NODE",
    vi="Máy nhận: tên, mã đơn vị, id (đủ, phần đầu hoặc 8 chữ số cuối), hoặc self (chính máy này).",
    en="Who shall keep it: a name, a unit's code, an id (whole, its head or its last 8 digits), or self.",
)
@option("--reason", default="", metavar="TEXT", vi="Lý do, ghi vào lệnh.", en="Why; it stands in the order.")
@option("--dry-run", is_flag=True, vi="Chỉ nói trước sẽ có gì xảy ra.", en="Only say what would happen.")
@directory_option
@json_option
def command(
    unit_code: str, target: str, reason: str, dry_run: bool, directory: Path | None, as_json: bool
) -> None:  # fmt: skip
    run(unit_code, target, reason, dry_run, directory, as_json, forced=False, revoke=False)


def run(
    unit_code: str, target: str, reason: str, dry_run: bool, directory: Path | None, as_json: bool, *, forced: bool,
    revoke: bool,
) -> None:  # fmt: skip
    """Order it, or say what ordering would do; `syncd replace` is the same by force."""
    from syncd import keeping
    from syncd.cli.place import node_directory
    from syncd.cli.who import author
    from syncd.node_files import open_node

    heard_at: str | None = None
    opened = open_node(node_directory(directory))
    try:
        node = opened.node
        with opened.store.read() as tx:
            unit_id = keeping.unit_named(node, tx, unit_code)
        to_node = keeping.node_named(node, target)
        if dry_run:
            planned = keeping.plan(node, unit_id, to_node, forced=forced, revoke=revoke)
            heard_at = _heard_at(planned, node_directory(directory))
        else:
            planned = keeping.order(
                node, unit_id, to_node, author=author(asks=not as_json), reason=reason, forced=forced, revoke=revoke
            )
    finally:
        opened.close()
    if as_json:
        emit_json(_facts(planned, forced, dry_run))
        return
    emit(words(planned, forced, dry_run))
    if forced and dry_run:
        emit("\n".join([*_stolen(revoke), *_alive(planned, unit_code, heard_at, time.time_ns() // 1_000_000)]))


def _stolen(revoke: bool) -> list[str]:
    """What `--stolen` changes, whether or not it was given."""
    if revoke:
        return [say(
            "--stolen: máy cũ bị thu hồi. Không máy nào trao đổi với nó nữa; những gì nó ghi mà chưa tới tỉnh không"
            " được nhận, và nó không vào lại được.",
            "--stolen: the old machine is revoked. No node exchanges with it any more; what it wrote and the province"
            " has not got is not taken, and it cannot come back.",
        )]  # fmt: skip
    return [say(
        "Không có --stolen: máy cũ nếu bật lại vẫn trao đổi được, những gì nó ghi thêm thành đề nghị. Máy bị mất cắp"
        " hoặc rơi vào tay người khác: thêm --stolen để thu hồi nó.",
        "Without --stolen the old machine may come back, and what it has written becomes proposals. Is it stolen, or in"
        " other hands? Add --stolen: it is revoked.",
    )]  # fmt: skip


def _alive(planned: Preview, unit_code: str, heard_at: str | None, now_ms: int) -> list[str]:
    """A warning where the old machine is not dead."""
    seconds = age_s(heard_at, now_ms)
    if planned.from_node is None or seconds is None or seconds > STATION_ALIVE_S:
        return []
    return [paint(say(
        "CẢNH BÁO: nghe từ {name} cách đây {age}: máy còn chạy. Hãy bàn giao thay vì thay máy: [[syncd handover {unit}"
        " --to {to}]]",
        "WARNING: {name} was heard {age} ago: it is alive. Use a hand-over instead: [[syncd handover {unit}"
        " --to {to}]]",
        name=planned.from_name or "?", age=duration(seconds), unit=unit_code, to=planned.to_node[28:],
    ), YELLOW)]  # fmt: skip


def _heard_at(planned: Preview, directory: Path) -> str | None:
    """When the old keeper was last heard: an idle daemon exchanges without writing, so it is asked too."""
    from syncd.control import ask

    live = (ask(directory) or {}).get("peers", {}).get(planned.from_node, {})
    return max(filter(None, (planned.heard_at, live.get("last_success_at"))), default=None)


def words(planned: Preview, forced: bool, dry_run: bool) -> str:
    """What happens, for a person."""
    rows = ", ".join(f"{number(count)} {table_title(table)}" for table, count in planned.rows.items() if count)
    lines = [
        say("Sổ của {unit}: {rows}", "The register of {unit}: {rows}", unit=planned.unit_name,
            rows=rows or say("chưa có bản ghi", "no records yet")),
        say("  từ   {name}", "  from {name}", name=planned.from_name or say("(chưa ai giữ)", "(nobody yet)")),
        say("  cho  {name}", "  to   {name}", name=planned.to_name),
    ]  # fmt: skip
    if planned.from_node is None:
        lines.append(say("Máy mới ghi được ngay.", "The new keeper can write at once."))
    elif forced:
        lines.append(say(
            "Máy cũ không được hỏi: sổ kết thúc ở vị trí {seq} đang có tại đây. Những gì máy cũ ghi thêm được giữ riêng"
            " và trở lại thành đề nghị (`[[syncd adopt]]`).",
            "The old keeper is not asked: its register ends at position {seq}, as held here. What it has written since"
            " is put aside and comes back as proposals (`[[syncd adopt]]`).", seq=number(planned.applied_seq),
        ))  # fmt: skip
        if planned.also_kept:
            lines.append(say(
                "Chuyển cùng, vì máy cũ đang giữ hoặc sắp nhận: {units}.",
                "Passed on with it, as the old keeper keeps them too, or was to: {units}.",
                units=", ".join([*planned.also_kept.values()][:SHOWN_UNITS_MAX]),
            ))  # fmt: skip
        if planned.going_on:
            lines.append(say(
                "Đã có lệnh bàn giao, vẫn chuyển cho máy nhận trong lệnh: {units}.",
                "Ordered to pass to another node before, and passing there now: {units}.",
                units=", ".join([f"{heir.unit_name} → {heir.to_name}" for heir in planned.going_on.values()]
                                [:SHOWN_UNITS_MAX]),
            ))  # fmt: skip
        if planned.put_aside:
            lines.append(say(
                "Lệnh bàn giao trước đó cho {name} không còn hiệu lực.",
                "The earlier order to hand it to {name} does not stand any more.", name=planned.put_aside,
            ))  # fmt: skip
    else:
        lines.append(say(
            "Máy cũ ngừng nhận ghi khi nhận được lệnh và ký điểm cuối; máy mới ghi được sau đó. Không gửi lại gì cho"
            " tuyến đã có dữ liệu.",
            "The old keeper stops writing when the order reaches it and signs the end; then the new one can write."
            " Nothing is sent again to tiers that hold the records.",
        ))  # fmt: skip
    lines.append(
        say("Xem trước, chưa làm gì. Bỏ --dry-run để thực hiện.", "A preview: nothing was done. Leave out --dry-run to"
            " do it.") if dry_run
        else say("Đã ra lệnh. Theo dõi: `[[syncd status]]`.", "Ordered. To follow it: `[[syncd status]]`.")
    )  # fmt: skip
    return "\n".join(lines)


def _facts(planned: Preview, forced: bool, dry_run: bool) -> dict[str, Any]:
    return {
        "unit_id": planned.unit_id, "unit": planned.unit_name, "from": planned.from_node,
        "from_term": planned.from_term, "to": planned.to_node, "rows": planned.rows,
        "also_kept": planned.also_kept,
        "going_on": {unit: heir.to_node for unit, heir in planned.going_on.items()},
        "end_seq": planned.applied_seq if forced else None, "forced": forced, "ordered": not dry_run,
        "heard_at": planned.heard_at,
    }  # fmt: skip
