"""`syncd run`: the daemon, in the foreground, until TERM or Ctrl-C.

Enters: a node's directory. Leaves: log lines on stderr, an exit code.
"""

from __future__ import annotations

from pathlib import Path

from syncd.cli.verb import directory_option, option, verb
from syncd.language import Both


@verb(
    Both(
        "Chạy chương trình đồng bộ của máy cho tới khi nhận TERM.\n\nMỗi cơ sở dữ liệu một chương trình đồng "
        "bộ. HUP đọc lại cấu hình và chứng "
        "thư.",
        "Run the node's daemon until TERM.\n\nOne daemon per database. HUP reads configuration and certificates again.",
    ),
    "syncd run --dir /var/lib/syncd",
)
@directory_option
@option(
    "--log-level",
    default=None,
    metavar="LEVEL",
    vi="debug, info, warning hoặc error.",
    en="debug, info, warning or error.",
)
@option("--json", "as_json", is_flag=True, vi="Nhật ký dạng JSON.", en="Log lines as JSON.")
def command(directory: Path | None, log_level: str | None, as_json: bool) -> int:
    from syncd.cli.place import node_directory
    from syncd.daemon import run
    from syncd.text.command import name_node

    where = node_directory(directory)
    name_node(where.absolute(), is_named=True)  # what it says is read elsewhere
    return run(where, flags={"log_level": log_level, "log_format": "json" if as_json else None})
