"""`syncd repair`: what is not as the logs say it must be, put right; and a way on for tiers above that stand still.

Enters: a node's directory. Leaves: of the registers kept here, what was changed past the triggers in the log, and
baselines for whoever cannot follow it; the copies of others as their logs say; cells counted anew. In words or JSON.
Exit: 0 all is well now, 1 something needs a person.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.cli.output import RED, YELLOW, emit, emit_json, paint, plain
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say

if TYPE_CHECKING:
    from syncd.recovery.found import Found
    from syncd.recovery.put_back import Copy


@verb(
    Both(
        "Sửa những gì ở máy này không khớp với nhật ký.\n\nSổ máy này giữ: điều gì bị sửa mà trigger không thấy thì "
        "đưa vào nhật ký, rồi lập bản nền để tuyến trên đang dừng đi tiếp. Bản sao sổ của máy khác: đưa về đúng nhật "
        "ký. Ô số liệu: đếm lại. Chạy được khi chương trình đồng bộ đang chạy. Mã thoát 1: còn điều cần người "
        "quyết định.",
        "Put right what is not as the logs say here.\n\nRegisters kept here: what was changed past the triggers goes "
        "into the log, and a baseline lets tiers above that stand still go on. Copies of other nodes' registers are "
        "put back to what their logs say, figures are counted anew. The daemon may run meanwhile. Exit 1: something "
        "needs a person.",
    ),
    "syncd repair --dry-run",
    "syncd repair --json",
)
@option("--dry-run", is_flag=True, vi="Chỉ cho biết sẽ sửa gì.", en="Only say what would be done.")
@option(
    "--loss-is-meant",
    is_flag=True,
    vi="Những gì mất hàng loạt là cố ý xóa: ghi vào nhật ký.",
    en="What is gone in bulk was deleted on purpose: into the log with it.",
)
@directory_option
@json_option
def command(dry_run: bool, loss_is_meant: bool, directory: Path | None, as_json: bool) -> int:
    from syncd.cli.place import config_of, node_directory
    from syncd.node_files import open_node

    where = node_directory(directory)
    opened = open_node(where, config_of(where))
    try:
        found = _look(opened) if dry_run else _mend(opened, loss_is_meant)
    finally:
        opened.close()
    if as_json:
        emit_json({"dry_run": dry_run, **{name: plain(each) for name, each in found.items()}})
    else:
        _show(found, dry_run)
    return int(any(each.unsent or each.lost for each in found["found"]) or any(map(_needs_keeper, found["copies"])))


def _look(opened: Any) -> dict[str, list[Any]]:
    from syncd.recovery import cells, found, put_back

    node = opened.node
    with node.store.read() as tx:
        miscounted = cells.differences(tx, node.store.registry)
    return {"found": found.look(node), "copies": put_back.doubtful(node), "baselines": [], "cells": miscounted}


def _mend(opened: Any, loss_is_meant: bool) -> dict[str, list[Any]]:
    from syncd.cli.verify import ask_checkpoint
    from syncd.recovery import cells, found, put_back

    node = opened.node
    ask_checkpoint(node)
    journaled = found.journal(node, is_loss_meant=loss_is_meant)
    copies = put_back.doubtful(node)
    for copy in copies:
        if copy.tables:
            put_back.put_back(node, copy.stream_id)
    return {"found": journaled, "copies": copies, "baselines": _baselines(node), "cells": cells.mend(node)}


def _baselines(node: Any) -> list[str]:
    """One of each register kept here that has none at its end. A running daemon may be quicker with the log."""
    from schema.spec import Kind
    from syncd import log
    from syncd.baseline import make
    from syncd.cli.verify import ask_checkpoint
    from syncd.limits import CHECKPOINT_ATTEMPTS_MAX

    made: dict[str, str] = {}
    for _ in range(CHECKPOINT_ATTEMPTS_MAX):
        ask_checkpoint(node)
        with node.store.read() as tx:
            own = log.streams(tx, "kind = ? AND own = 1 AND ended = 0", (int(Kind.REGISTER),))
        for at in own:
            new = None if at.stream_id in made else make(node, at.stream_id)
            if new is not None:
                made[at.stream_id] = new.stream_id
        if len(made) == len(own):
            break
    return list(made.values())


def _needs_keeper(copy: Copy) -> bool:
    return copy.is_stopped and not copy.tables


def _show(found: dict[str, list[Any]], dry_run: bool) -> None:
    from syncd.cli.verify import cells_words

    for each in found["found"]:
        _show_found(each)
    for each in found["copies"]:
        emit(_copy_words(each))
    for each in found["cells"]:
        emit(cells_words(each))
    if found["baselines"]:
        emit(
            say(
                "Đã lập {n} bản nền cho sổ giữ ở đây: tuyến trên đang dừng sẽ đi tiếp từ đó.",
                "Made {n} baselines of registers kept here: tiers above that stand still go on from there.",
                n=number(len(found["baselines"])),
            )
        )
    if not any(found.values()):
        emit(say("Không có gì phải sửa.", "Nothing to put right."))
    elif dry_run:
        emit(say("Chưa sửa gì.", "Nothing was done."))


def _show_found(each: Found) -> None:
    for table, rows in each.journaled.items():
        emit(
            say(
                "Bảng {table}: {n} bản ghi khác với nhật ký, trigger không thấy → đưa vào nhật ký",
                "Table {table}: {n} rows differ from the log, changed past the triggers → into the log",
                table=table,
                n=number(rows),
            )
        )
    for table, ids in each.unsent.items():
        text = say(
            "Bảng {table}: {n} bản ghi không nơi nào nhận (giá trị sai quy tắc, hoặc id của máy khác): {ids}",
            "Table {table}: {n} rows that nobody would take (a value against the rules, or an id of another node): "
            "{ids}",
            table=table,
            n=number(len(ids)),
            ids=", ".join(ids[:5]),
        )
        emit(paint(text, RED))
    for table, rows in each.lost.items():
        text = say(
            "Bảng {table}: mất {n} bản ghi hoặc giá trị, hơn nửa bảng; chưa ghi vào nhật ký. Cố ý xóa: `[[syncd "
            "repair --loss-is-meant]]`; nhầm: phục hồi bảng từ bản sao lưu",
            "Table {table}: {n} rows or values are gone, more than half; not put into the log. On purpose? `[[syncd"
            " repair --loss-is-meant]]`. By mistake? Put the table back from a backup",
            table=table,
            n=number(rows),
        )
        emit(paint(text, RED))


def _copy_words(each: Copy) -> str:
    if each.tables:
        return say(
            "{about}: khác nhật ký ở {tables} → đưa về đúng nhật ký",
            "{about}: differs from the log in {tables} → put back to what the log says",
            about=each.about,
            tables=", ".join(f"{name} {rows}" for name, rows in sorted(each.tables.items())),
        )
    text = say(
        "{about}: bản sao ở đây đúng như nhật ký; chạy `syncd repair` tại nơi giữ sổ, {keeper}",
        "{about}: the copy here is what the log says; run `syncd repair` at the node that keeps it, {keeper}",
        about=each.about,
        keeper=each.keeper,
    )
    return paint(text, YELLOW)
