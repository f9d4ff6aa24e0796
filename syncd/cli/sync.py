"""`syncd sync --once`: one whole exchange with the parent, without a daemon.

Enters: a node's directory. Leaves: what moved; exit 75 when the parent cannot be reached now.
"""

from __future__ import annotations

from pathlib import Path

import click

from syncd.cli.output import emit, emit_json
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say


@verb(
    Both(
        "Trao đổi một lần với cấp trên, không cần chương trình đồng bộ (máy ít bật, lịch hằng ngày).",
        "One whole exchange with the parent, without a daemon (for machines that are rarely on).",
    ),
    "syncd sync --once",
)
@option(
    "--once",
    is_flag=True,
    vi="Một lần rồi thôi (bắt buộc; chạy mãi là `syncd run`).",
    en="Once (required; `syncd run` is for ever).",
)
@directory_option
@json_option
def command(once: bool, directory: Path | None, as_json: bool) -> None:
    if not once:
        raise click.UsageError(
            say("thiếu --once; để chạy mãi: [[syncd run]]", "--once is missing; to run for ever: [[syncd run]]")
        )
    from contextlib import closing

    from syncd.cli.place import config_of, node_directory
    from syncd.node.holding import SYNC, hold, require_original
    from syncd.node_files import open_node, require_node
    from syncd.once import sync_once
    from syncd.startup import check_start

    where = node_directory(directory)
    config = config_of(where)
    require_node(where, config)
    require_original(where)
    with hold(where, SYNC), closing(open_node(where, config, is_starting=True)) as opened:
        check_start(opened)  # as a daemon does: many a station never runs one
        done = sync_once(opened)
    if as_json:
        emit_json(done)
        return
    emit(
        say(
            "Ghi nhật ký {rows} bản ghi; gửi {sent} gói, nhận {received} gói, {receipts} xác nhận; còn chờ tỉnh xác "
            "nhận {waiting} bản ghi.",
            "Logged {rows} rows; sent {sent} envelopes, received {received}, {receipts} receipts; {waiting} rows "
            "await the province.",
            rows=number(done.rows_written),
            sent=number(done.envelopes_sent),
            received=number(done.envelopes_received),
            receipts=number(done.receipts),
            waiting=number(done.waiting_rows),
        )
    )
    if done.refused:
        emit(
            say(
                "Cấp trên từ chối {n} nhật ký; xem: [[syncd status]]",
                "The parent refused {n} streams; see: [[syncd status]]",
                n=done.refused,
            )
        )
