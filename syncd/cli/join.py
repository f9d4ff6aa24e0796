"""`syncd join`: enrol this machine at its parent with a one-time token.

Enters: a token (as an argument, or - for standard input, so that it stays out of the process list). Leaves: a node.
"""

from __future__ import annotations

from pathlib import Path

import click

from syncd import limits
from syncd.cli.output import emit, emit_json, plain
from syncd.cli.settings import chosen_config, printed_roles, settings_options, with_password_kept
from syncd.cli.verb import directory_option, json_option, verb
from syncd.language import Both, say
from syncd.text.command import at


@verb(
    Both(
        "Gia nhập cây đồng bộ bằng mã một lần của máy cấp trên.\n\nKhóa sinh tại máy này; máy cấp trên phải chứng "
        "minh mình trước. Dùng - để "
        "đọc mã từ đầu vào chuẩn. Nếu đứt giữa chừng, chạy lại đúng lệnh này.",
        "Join the tree with a one-time token of the parent.\n\nKeys are born on this machine; the parent proves "
        "itself first. Use - to read "
        "the token from standard input. After an interruption run the same command again.",
    ),
    "syncd join --dir xa - < ma.txt",
    "syncd join --dir huyen --listen 0.0.0.0:8444 --address https://10.1.2.3:8444 - < ma.txt",
)
@click.argument("token", metavar="TOKEN|-")
@settings_options
@directory_option
@json_option
def command(token: str, directory: Path | None, as_json: bool, **settings: object) -> None:
    from syncd.cli.place import node_directory
    from syncd.cli.texts import read_input
    from syncd.enrolment import join

    where = node_directory(directory)
    config = chosen_config(where, settings)
    if printed_roles(config, settings):
        return
    config = with_password_kept(config, where)
    text = read_input(limits.TOKEN_CHARS_MAX).decode("ascii", "replace") if token == "-" else token
    made = join(where, text.strip(), config)
    if as_json:
        emit_json({"directory": str(where), **{name: plain(getattr(made, name)) for name in made.__slots__}})
        return
    if made.moved_to is not None:
        emit(
            say(
                "Tệp còn sót của cơ sở dữ liệu cũ đã được dời vào {folder}.",
                "What an earlier database had left there was moved to {folder}.",
                folder=made.moved_to,
            )
        )
    emit(
        say(
            "Máy {code} {name} đã gia nhập, trong {where}.",
            "Node {code} {name} has joined, in {where}.",
            code=made.unit_code,
            name=made.unit_name,
            where=where,
        )
    )
    emit(say("Tiếp theo: {run}", "Next: {run}", run=at(where, "syncd run")))
