"""`syncd token`: a one-time token for a node that shall join below this one.

Enters: the unit's code. Leaves: the token's text; only the hash of its secret stays here.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncd.cli.output import emit, emit_json
from syncd.cli.times import moment
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, say

if TYPE_CHECKING:
    from syncd.admission import Succession, TokenKind

HOUR_S = 3600
HOURS_DEFAULT = 72


@verb(
    Both(
        "Cấp mã một lần cho máy sẽ gia nhập dưới máy này.\n\nMã mang dấu vân tay của CA: máy mới kiểm tra máy chủ "
        "trước khi lộ bí mật. Mỗi mã "
        "dùng một lần, hết hạn sau --hours.",
        "Print a one-time token for a node that shall join below this one.\n\nIt carries the authority's fingerprint, "
        "so that the new station "
        "proves the server before it shows its secret. One node, once, until --hours have passed.",
    ),
    "syncd token --unit 18133 --dir huyen > ma.txt",
    "syncd token --unit 439 --hub --dir tinh > ma.txt",
)
@option(
    "--unit",
    "unit_code",
    required=True,
    metavar="CODE",
    vi="Mã (hoặc id) đơn vị của máy mới.",
    en="The code (or id) of the new node's unit.",
)
@option("--hub", is_flag=True, vi="Máy mới sẽ có máy trực thuộc (huyện).", en="The new node will have children itself.")
@option(
    "--successor",
    is_flag=True,
    vi="Máy mới sẽ thay máy đang giữ đơn vị: chưa nhận gì cho đến `syncd handover` hoặc `syncd replace`.",
    en="The new node shall follow the one that keeps the unit: it keeps nothing before `syncd handover` or "
    "`syncd replace`.",
)
@option(
    "--hours",
    type=float,
    default=HOURS_DEFAULT,
    metavar="N",
    vi="Hạn dùng (mặc định 72 giờ).",
    en="Valid for (default 72 hours).",
)
@directory_option
@json_option
def command(unit_code: str, hub: bool, successor: bool, hours: float, directory: Path | None, as_json: bool) -> None:
    from syncd.admission import Succession, TokenKind
    from syncd.cli.place import node_directory

    kind = TokenKind.HUB if hub else TokenKind.LEAF
    succession = Succession.SUCCESSOR if successor else Succession.NONE
    text = issue(node_directory(directory), unit_code, kind, int(hours * HOUR_S), succession)
    if succession is Succession.NONE:
        _warn_of_holder(node_directory(directory), unit_code)
    emit_json({"token": text, "unit": unit_code, "hub": hub, "valid_s": int(hours * HOUR_S)}) if as_json else emit(text)


def _warn_of_holder(directory: Path, unit_code: str) -> None:
    """On stderr, stdout being the token: a station that joins with it is refused while another keeps the unit."""
    from syncd.admission import holder_of
    from syncd.node_files import open_node

    opened = open_node(directory)
    try:
        found = holder_of(opened.node, unit_code)
    finally:
        opened.close()
    if found is None:
        return
    name, tag, heard_at = found
    click.echo(
        say(
            "CẢNH BÁO: đơn vị {unit} đang do {name} · {tag} giữ (trao đổi lần cuối: {heard}); máy khác gia nhập bằng mã"
            " này sẽ bị từ chối. Máy mới thay máy đó: [[syncd token --unit {unit} --successor]]",
            "WARNING: unit {unit} is kept by {name} · {tag} (last exchange: {heard}); another machine that joins with"
            " this token is refused. For a machine that shall follow it: [[syncd token --unit {unit} --successor]]",
            unit=unit_code,
            name=name,
            tag=tag,
            heard=moment(heard_at) or say("chưa rõ", "not known"),
        ),
        err=True,
    )


def issue(directory: Path, unit_code: str, kind: TokenKind, valid_s: int, succession: Succession) -> str:
    """A token of the node in `directory`; its daemon may be running."""
    from syncd.admission import Way, make_token
    from syncd.node.machine import require_begun
    from syncd.node_files import open_node
    from syncd.security.names import ROOT_CERTIFICATE_FILE

    require_begun(directory, time.time())
    opened = open_node(directory)
    try:
        way = Way(
            addresses=tuple(opened.config.addresses),
            ca_pem=(directory / ROOT_CERTIFICATE_FILE).read_text(encoding="ascii"),
        )
        return make_token(opened.node, unit_code, kind, way, valid_s, os.urandom, succession)
    finally:
        opened.close()
