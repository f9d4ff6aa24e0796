"""`syncd demo`: a whole tree on this machine, shown step by step, proven at the end.

Enters: nothing but options. Leaves: exit 0 when every tier is equal, else 1 with the reason.
"""

from __future__ import annotations

from pathlib import Path

import click

from syncd.cli.verb import option, verb
from syncd.language import Both


@verb(
    Both(
        "Chạy thử cả cây trên máy này: 1 tỉnh, 2 huyện, 6 xã.\n\nMỗi máy là một chương trình riêng với cơ sở dữ "
        "liệu mã hóa "
        "trong thư mục tạm; dữ liệu "
        "giả lập. Dưới một phút; mã thoát 0 khi mọi tuyến khớp.",
        "A whole tree on this machine: 1 province, 2 districts, 6 communes.\n\nEach node is a daemon of its own with "
        "an encrypted database in a "
        "temporary folder; the people are generated. Under a minute; exit 0 when every tier is equal.",
    ),
    "syncd demo",
    "syncd demo --keep /tmp/cay",
)
@option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    default=None,
    vi="Giữ lại cây trong thư mục này, sẵn sàng chạy.",
    en="Keep the tree in this folder, ready to run.",
)
@option(
    "--sabotage",
    is_flag=True,
    vi="Sửa lén một giá trị ở huyện: phải bị phát hiện (mã thoát 1).",
    en="Alter one value at a district behind its back: it must be found (exit 1).",
)
@option(
    "--json", "as_json", is_flag=True, vi="Dòng cuối là một tài liệu JSON.", en="The last line is one JSON document."
)
def command(keep: Path | None, sabotage: bool, as_json: bool) -> int:
    from syncd.demo.run import Options, run_demo

    return run_demo(Options(keep=keep, with_sabotage=sabotage, as_json=as_json))
