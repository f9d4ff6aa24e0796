"""`syncd replace`: a station is dead or stolen; another node keeps its unit from what the root holds.

Enters: the unit, the node that shall keep it. Leaves: the root's order, or a preview in words.
"""

from __future__ import annotations

from pathlib import Path

import click

from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both


@verb(
    Both(
        "Thay máy đã hỏng hoặc bị mất: máy khác giữ sổ của đơn vị, từ những gì máy gốc đang có.\n\nChạy tại máy gốc. "
        "Máy mới gia nhập trước bằng `syncd token --successor`. Có bản sao lưu của máy cũ? `syncd restore` thì hơn.",
        "Replace a dead or stolen machine: another node keeps the unit, from what the root holds.\n\nRun it at the "
        "root. The new machine joins first, with a token of `syncd token --successor`. Is there a backup of the old "
        "machine? Then `syncd restore` is better.",
    ),
    "syncd replace 18133 --to 'Trạm mới' --stolen --dry-run --dir tinh",
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
@option(
    "--stolen",
    is_flag=True,
    vi="Thu hồi máy cũ: không tin gì từ nó nữa.",
    en="Revoke the old machine: nothing of it is believed any more.",
)
@option("--reason", default="", metavar="TEXT", vi="Lý do, ghi vào lệnh.", en="Why; it stands in the order.")
@option("--dry-run", is_flag=True, vi="Chỉ nói trước sẽ có gì xảy ra.", en="Only say what would happen.")
@directory_option
@json_option
def command(
    unit_code: str, target: str, stolen: bool, reason: str, dry_run: bool, directory: Path | None, as_json: bool
) -> None:  # fmt: skip
    from syncd.cli.handover import run

    run(unit_code, target, reason, dry_run, directory, as_json, forced=True, revoke=stolen)
