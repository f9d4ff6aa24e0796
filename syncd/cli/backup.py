"""`syncd backup DIR`: everything this node is, in one encrypted file, read back before it counts.

Enters: a folder, best on another disk. Leaves: a file there; at the root, the province's word to all tiers that their
logs up to here are in its backup. Exit: 0 verified; 1 and a reason otherwise, then no file is left.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.output import emit, emit_json
from syncd.cli.progress import progress
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, decimal, number, say

if TYPE_CHECKING:
    from syncd.backup import Backup

MIB = 1024 * 1024


@verb(
    Both(
        "Sao lưu máy vào một tệp mã hóa, rồi đọc lại để kiểm chứng.\n\nChạy được khi chương trình đồng bộ đang "
        "làm việc. Tệp mở bằng "
        "exchange.key của máy (hãy cất riêng một bản) hoặc recovery.key của tỉnh. Tại máy gốc, bản sao lưu đã kiểm "
        "chứng cho phép mọi cấp cắt bớt nhật ký cũ.",
        "Back the node up into one encrypted file, then read it back to prove it.\n\nWorks while the daemon runs. The "
        "file opens with the node's exchange.key (keep a copy of it apart) or the province's recovery.key. At the "
        "root a verified backup is what lets every tier prune its old log.",
    ),
    "syncd backup /mnt/usb",
    "syncd backup /mnt/usb --keep 14 --json",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@option(
    "--keep",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    vi="Chỉ giữ N bản mới nhất của máy này trong DIR.",
    en="Keep only the N newest backups of this node in DIR.",
)
@directory_option
@json_option
def command(folder: Path, keep: int | None, directory: Path | None, as_json: bool) -> None:
    from syncd.backup import back_up, remove_older
    from syncd.cli.place import config_of, node_directory
    from syncd.node_files import open_node

    where = node_directory(directory)
    opened = open_node(where, config_of(where))
    try:
        with progress() as tell:
            made = back_up(opened.node, where, folder, tell)
    finally:
        opened.close()
    removed = remove_older(made, keep) if keep else []
    if as_json:
        emit_json({**_plain(made), "removed": [str(path) for path in removed]})
        return
    emit(_words(made, opened.node.is_root))
    if made.left_out:
        emit(
            say(
                "Không nằm trong bản sao lưu (bảng của chương trình khác): {names}",
                "Not in the backup (tables of other programs): {names}",
                names=", ".join(made.left_out),
            )
        )
    for path in removed:
        emit(say("Đã xóa bản cũ {path}", "Removed the older {path}", path=path))


def _words(made: Backup, is_root: bool) -> str:
    text = say(
        "Đã sao lưu và kiểm chứng: {path}\n{rows} bản ghi, {streams} nhật ký, {size} MB",
        "Backed up and verified: {path}\n{rows} rows, {streams} streams, {size} MB",
        path=made.path,
        rows=number(made.rows),
        streams=number(made.streams),
        size=decimal(made.size_bytes / MIB),
    )
    if is_root:
        text += say(
            "\nTỉnh xác nhận đã sao lưu {n} nhật ký; các cấp được biết ở lần trao đổi tới.",
            "\nThe province vouches for {n} streams; the tiers hear of it with their next exchange.",
            n=number(made.vouched),
        )
    return text


def _plain(made: Backup) -> dict[str, Any]:
    return {
        name: value if not isinstance(value := getattr(made, name), Path) else str(value) for name in made.__slots__
    }
