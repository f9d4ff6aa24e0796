"""`syncd repair`: what is not as the logs say it must be, put right.

Enters: a node's directory. Leaves: cells counted anew, and what was mended in words or JSON.
Exit: 0 all is well now.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.cli.output import emit, emit_json, plain
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, say

if TYPE_CHECKING:
    from syncd.recovery.cells import CellDifference


@verb(
    Both(
        "Sửa những gì ở nút này không khớp với nhật ký.\n\nĐếm lại các ô số liệu lệch với bản ghi. --dry-run chỉ cho "
        "biết sẽ sửa gì. Chạy được khi daemon đang chạy.",
        "Put right what is not as the logs say here.\n\nCounts anew the figures that differ from the records. "
        "--dry-run only says what would be done. The daemon may run meanwhile.",
    ),
    "syncd repair",
    "syncd repair --dry-run --json",
)
@option("--dry-run", is_flag=True, vi="Chỉ cho biết sẽ sửa gì.", en="Only say what would be done.")
@directory_option
@json_option
def command(dry_run: bool, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import node_directory
    from syncd.node_files import open_node

    opened = open_node(node_directory(directory))
    try:
        found = _cells(opened, dry_run)
    finally:
        opened.close()
    if as_json:
        emit_json({"dry_run": dry_run, "cells": plain(found)})
    else:
        _show(found, dry_run)


def _cells(opened: Any, dry_run: bool) -> list[CellDifference]:
    from syncd.recovery import cells

    if not dry_run:
        return cells.mend(opened.node)
    with opened.store.read() as tx:
        return cells.differences(tx, opened.store.registry)


def _show(found: list[CellDifference], dry_run: bool) -> None:
    from syncd.cli.verify import cells_words

    for each in found:
        emit(cells_words(each))
    if not found:
        emit(say("Không có gì phải sửa.", "Nothing to put right."))
    elif dry_run:
        emit(say("Chưa sửa gì.", "Nothing was done."))
    else:
        emit(say("Đã đếm lại các ô đó.", "These cells were counted anew."))
