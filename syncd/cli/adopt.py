"""`[[syncd adopt]]`: what a keeper wrote after its term had ended comes back as proposals to the new keeper.

Enters: a stream of late writes, or nothing to list them. Leaves: proposals.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.output import emit, emit_json
from syncd.cli.verb import directory_option, json_option, verb
from syncd.language import Both, number, say

if TYPE_CHECKING:
    from syncd.adopting import Admitted
    from syncd.node_files import OpenNode


@verb(
    Both(
        "Nhận những gì nơi giữ cũ ghi sau khi hết nhiệm kỳ, thành đề nghị gửi nơi giữ mới.\n\nKhông nêu gì: liệt kê.",
        "Take what an old keeper wrote after its term had ended, as proposals to the new keeper.\n\nWithout an "
        "argument: list what waits.",
    ),
    "syncd adopt --dir huyen",
    "syncd adopt 3f2a --dir huyen",
)
@click.argument("stream", metavar="[STREAM]", required=False)
@directory_option
@json_option
def command(stream: str | None, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import node_directory
    from syncd.node_files import open_node

    opened = open_node(node_directory(directory))
    try:
        found = _waiting(opened)
        if stream is None:
            _list(found, as_json)
            return
        made = _adopt(opened, found, stream, asks=not as_json)
    finally:
        opened.close()
    emit_json({"proposals": made.proposals, "withheld": made.withheld}) if as_json else emit(_words(made))


def _words(made: Admitted) -> str:
    lines = [
        say("Đã tạo {count} đề nghị; nơi giữ đơn vị sẽ quyết định.",
            "{count} proposals made; the unit's keeper decides.", count=number(made.proposals))
    ]  # fmt: skip
    if made.withheld:
        lines.append(say(
            "{count} bản ghi có giá trị mà đề nghị không được mang (chỉ nơi giữ và tỉnh đọc); các giá trị đó vẫn được"
            " cất riêng.",
            "{count} records have values that no proposal may carry (for the keeper and the province alone); those stay"
            " put aside.", count=number(made.withheld),
        ))  # fmt: skip
    return "\n".join(lines)


def _waiting(opened: OpenNode) -> list[dict[str, Any]]:
    from syncd import quarantine

    tree = opened.node.tree()
    with opened.store.read() as tx:
        return [
            {
                "stream": stream_id, "envelopes": count, "unit": unit_name,
                "keeper": tree.nodes[keeper].name if keeper in tree.nodes else keeper,
            }
            for stream_id, count, unit_name, keeper in quarantine.waiting(tx, tree)
        ]  # fmt: skip


def _list(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit_json({"waiting": found})
    elif not found:
        emit(say("Không có gì đang chờ nhận.", "Nothing waits to be adopted."))
    else:
        for each in found:
            emit(say(
                "{stream}  {unit}: {count} gói do {keeper} ghi sau khi hết nhiệm kỳ — `[[syncd adopt {short}]]`",
                "{stream}  {unit}: {count} batches written by {keeper} after its term — `[[syncd adopt {short}]]`",
                stream=each["stream"], unit=each["unit"], count=number(each["envelopes"]), keeper=each["keeper"],
                short=each["stream"][:8],
            ))  # fmt: skip


def _adopt(opened: OpenNode, found: list[dict[str, Any]], named: str, *, asks: bool) -> Admitted:
    from syncd.cli.who import author
    from syncd.errors import UsageError

    matching = [each["stream"] for each in found if each["stream"].startswith(named)]
    if len(matching) != 1:
        raise UsageError(
            say(
                "không tìm thấy đúng một nhật ký bắt đầu bằng {named}",
                "no single stream begins with {named}",
                named=named,
            ),
            say("`[[syncd adopt]]` liệt kê những gì đang chờ", "`[[syncd adopt]]` lists what waits"),
        )
    return opened.node.adopt_late(matching[0], author(asks=asks))
