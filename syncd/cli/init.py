"""`syncd init`: make the root of a tree: keys, authority, recovery key, database, the root's own unit.

Enters: the unit's code, name and level; how children reach it. Leaves: a directory that `syncd run` serves.
"""

from __future__ import annotations

from pathlib import Path

from syncd.cli.output import emit, emit_json, plain
from syncd.cli.settings import chosen_config, printed_roles, settings_options, with_password_kept
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, say
from syncd.text.command import at


@verb(
    Both(
        "Tạo máy gốc (tỉnh): khóa, chứng thư, khóa khôi phục, cơ sở dữ liệu, đơn vị của máy.\n\nChạy lại không đổi gì.",
        "Make the root (a province): keys, certificates, recovery key, database, its own unit.\n\nRunning it again "
        "changes nothing.",
    ),
    "syncd init --dir tinh --unit 42 --unit-name 'Tỉnh Hà Tĩnh' --level province --listen 0.0.0.0:8443 "
    "--address https://dongbo.hatinh.example:8443",
)
@option("--unit", "code", required=True, metavar="CODE", vi="Mã đơn vị của máy.", en="The code of the node's unit.")
@option("--unit-name", required=True, metavar="TEXT", vi="Tên đơn vị.", en="The unit's name.")
@option(
    "--level",
    default="province",
    metavar="WORD",
    vi="Cấp của đơn vị (mặc định province).",
    en="The unit's level (default province).",
)
@settings_options
@directory_option
@json_option
def command(code: str, unit_name: str, level: str, directory: Path | None, as_json: bool, **settings: object) -> None:
    from syncd.cli.place import node_directory
    from syncd.enrolment import Unit, init_root
    from syncd.security.authority import ROOT_KEY_FILE
    from syncd.security.recovery import RECOVERY_KEY_FILE

    where = node_directory(directory)
    config = chosen_config(where, settings)
    if printed_roles(config, settings):
        return
    config = with_password_kept(config, where)
    made = init_root(where, Unit(code=code, name=unit_name, level=level), config)
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
    if made.already:
        emit(
            say(
                "Máy {name} đã có trong {where}; không đổi gì.",
                "Node {name} is in {where} already; nothing changed.",
                name=made.unit_name,
                where=where,
            )
        )
        return
    emit(
        say(
            "Đã tạo máy gốc {code} {name} trong {where}.",
            "Root {code} {name} is made in {where}.",
            code=made.unit_code,
            name=made.unit_name,
            where=where,
        )
    )
    emit(
        say(
            "Cất {recovery} và khóa CA ({authority}) ra nơi an toàn, ngoài máy này.",
            "Move {recovery} and the authority's key ({authority}) to a safe place off this machine.",
            recovery=RECOVERY_KEY_FILE,
            authority=ROOT_KEY_FILE,
        )
    )
    emit(
        say(
            "Tiếp theo: {units}, {run}, {token}",
            "Next: {units}, {run}, {token}",
            units=at(where, f"syncd units import {say('TỆP', 'FILE')}"),
            run=at(where, "syncd run"),
            token=at(where, f"syncd token --unit {say('MÃ', 'CODE')}"),
        )
    )
