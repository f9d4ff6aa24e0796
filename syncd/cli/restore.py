"""`syncd restore FILE|DIR --to DIR`: a node from its backup.

Enters: a backup (of a folder the newest), a key that opens it, an empty directory. Leaves: the node, its daemon not
started. Exit: 0; otherwise a reason, and the target is as it was.
"""

from __future__ import annotations

from pathlib import Path

import click

from syncd.cli.output import emit, emit_json, plain
from syncd.cli.progress import progress
from syncd.cli.times import moment
from syncd.cli.verb import json_option, option, verb
from syncd.language import Both, number, say
from syncd.text.command import at


@verb(
    Both(
        "Khôi phục một máy từ bản sao lưu vào thư mục trống.\n\nCần exchange.key của máy đó hoặc recovery.key của "
        "tỉnh. Trước khi ghi gì, cả tệp được đọc và kiểm chứng. Máy vừa khôi phục tự lấy lại phần thiếu từ cấp trên và "
        "cấp dưới. --keys-only chỉ lấy lại khóa, chứng thư và cấu hình; dữ liệu tải lại từ các máy khác.",
        "Restore a node from its backup into an empty directory.\n\nNeeds that node's exchange.key or the province's "
        "recovery.key. The whole file is read and proven before anything is written. A restored node fetches what it "
        "lacks from its parent and its children. --keys-only brings keys, certificates and settings back alone; the "
        "data is fetched from the other nodes.",
    ),
    "syncd restore /mnt/usb --to /var/lib/syncd --key /mnt/an-toan/exchange.key",
    "syncd restore /mnt/usb/syncd-439.backup --to huyen --key recovery.key --keys-only",
)
@click.argument("backup", metavar="FILE|DIR", type=click.Path(path_type=Path, exists=True))
@option(
    "--to",
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    vi="Thư mục của máy được khôi phục.",
    en="The directory of the restored node.",
)
@option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=None,
    metavar="FILE",
    vi="exchange.key của máy, hoặc recovery.key (mặc định: exchange.key trong --to).",
    en="The node's exchange.key, or recovery.key (default: the exchange.key in --to).",
)
@option(
    "--database",
    default=None,
    metavar="DSN",
    vi="sqlite hoặc postgresql://… thay cho nơi ghi trong bản sao lưu.",
    en="sqlite or postgresql://… instead of what the backup's settings say.",
)
@option("--keys-only", is_flag=True, vi="Chỉ khóa và cấu hình, dữ liệu để trống.", en="Keys and settings, no data.")
@json_option
def command(
    backup: Path, directory: Path, key_file: Path | None, database: str | None, keys_only: bool, as_json: bool
) -> None:
    from syncd.restore import restore, restore_keys

    with progress() as tell:
        put_back = restore_keys if keys_only else restore
        done = put_back(backup, directory, key_file, database=database, tell=tell)
    if as_json:
        emit_json(plain(done))
        return
    emit(
        say(
            "Đã khôi phục máy {code} {name} vào {directory}: {rows} bản ghi, theo bản sao lưu lúc {made_at}.",
            "Restored node {code} {name} into {directory}: {rows} rows, as backed up at {made_at}.",
            code=done.unit_code,
            name=done.unit_name,
            directory=done.directory,
            rows=number(done.rows),
            made_at=moment(done.made_at),
        )
    )
    if done.moved_to is not None:
        emit(
            say(
                "Tệp còn sót của cơ sở dữ liệu cũ đã được dời vào {folder}.",
                "What an earlier database had left there was moved to {folder}.",
                folder=done.moved_to,
            )
        )
    emit(
        say(
            "Đừng chạy máy cũ nữa. Tiếp theo: {run}",
            "Do not run the old machine any more. Next: {run}",
            run=at(done.directory, "syncd run"),
        )
    )
