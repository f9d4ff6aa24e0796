"""`syncd config check`: examine the configuration without starting anything.

Enters: a directory, the environment. Leaves: every setting as it would be used, or the error with the key and its
place.
"""

from __future__ import annotations

from pathlib import Path

from syncd.cli.output import emit, emit_json, table
from syncd.cli.verb import Group, directory_option, json_option, verb
from syncd.language import Both, say

command = Group(
    name="config",
    words=Both("Cấu hình của máy.", "The node's configuration."),
    examples=("syncd config check --dir /var/lib/syncd",),
)


@verb(
    Both(
        "Kiểm tra cấu hình: khóa lạ hay giá trị sai là lỗi.\n\nThứ tự: tùy chọn, biến môi trường SYNCD_<KHÓA>, "
        "syncd.toml, mặc định.",
        "Check the configuration: an unknown key or a wrong value is an error.\n\nOrder: option, variable "
        "SYNCD_<KEY>, syncd.toml, default.",
    ),
    "syncd config check --dir /var/lib/syncd",
    name="check",
)
@directory_option
@json_option
def check_command(directory: Path | None, as_json: bool) -> None:
    from msgspec.structs import asdict

    from syncd.cli.place import config_of, no_node, node_directory
    from syncd.config import CONFIG_FILE, Config, load_registry
    from syncd.security.identity import SIGNING_KEY_FILE

    where = node_directory(directory)
    path = where / CONFIG_FILE
    if not path.exists() and not (where / SIGNING_KEY_FILE).exists():
        raise no_node(where)
    config = config_of(where)
    load_registry(config, where)
    shown = {**asdict(config), "database": _without_password(config.database)}
    if as_json:
        emit_json({"directory": str(where), "file": str(path) if path.exists() else None, "settings": shown})
        return
    default = asdict(Config())
    rows = [
        [name, _text(value), "" if value == default[name] else _text(default[name]), _taken(name), _meaning(name)]
        for name, value in shown.items()
    ]
    emit(
        say("Cấu hình đúng: {path}", "The configuration is correct: {path}", path=path)
        if path.exists()
        else say(
            "Không có tệp {path}: dùng giá trị mặc định và biến môi trường",
            "There is no {path}: defaults and environment variables are used",
            path=path,
        )
    )
    heads = [say("khóa", "key"), say("giá trị", "value"), say("mặc định", "default")]
    emit(table([*heads, say("có hiệu lực", "takes effect"), say("cảnh báo khi", "warns when")], rows, indent="  "))


def _taken(name: str) -> str:
    """When a change of the file counts."""
    from syncd.config import OF_COMMANDS, OF_RESTART

    if name in OF_COMMANDS:
        return say("ngay", "at once")
    return say("khởi động lại", "restart") if name in OF_RESTART else "HUP"


def _meaning(name: str) -> str:
    """Of a threshold of `status --check`."""
    from syncd.node.bounds import MEANINGS, PREFIX

    return MEANINGS[name.removeprefix(PREFIX)].here if name.startswith(PREFIX) else ""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)


def _without_password(database: str) -> str:
    scheme, found, rest = database.partition("://")
    account, at, place = rest.rpartition("@")
    return f"{scheme}://{account.partition(':')[0]}@{place}" if found and at else database


command.add_command(check_command)
