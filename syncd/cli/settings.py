"""The settings that `init` and `join` take as options: name, database, how children reach the node.

Enters: options as typed. Leaves: a checked `Config` (option > environment > file > default).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from syncd.cli.verb import option
from syncd.language import say

if TYPE_CHECKING:
    from syncd.config import Config

OF_ONE_RUN = ("language", "log_level", "log_format", "poll_ms", "checkpoint_after_s")
PASSWORD_FILE = "pgpass"
_Function = TypeVar("_Function", bound=Callable[..., Any])


def settings_options(function: _Function) -> _Function:
    """--name, --listen, --address, --database, --plain, --foreign-writes."""
    for each in reversed(
        (
            option(
                "--name",
                default=None,
                metavar="TEXT",
                vi="Tên máy (mặc định: tên đơn vị).",
                en="The node's name (default: its unit's).",
            ),
            option(
                "--listen",
                default=None,
                metavar="HOST:PORT",
                vi="Nơi nghe các máy trực thuộc.",
                en="Where to listen for children.",
            ),
            option(
                "--address",
                "addresses",
                multiple=True,
                metavar="URL",
                vi="Địa chỉ https mà máy trực thuộc gọi tới.",
                en="The https address children call.",
            ),
            option(
                "--database",
                default=None,
                metavar="DSN",
                vi="postgresql://… (mặc định: SQLite mã hóa trong thư mục).",
                en="postgresql://… (default: an encrypted SQLite in the directory).",
            ),
            option(
                "--plain",
                is_flag=True,
                vi="SQLite không mã hóa, khi chương trình khác dùng chung tệp.",
                en="SQLite without encryption, when another program shares the file.",
            ),
            option(
                "--foreign-writes",
                default=None,
                metavar="refuse|propose",
                vi="Ghi vào đơn vị máy khác giữ: từ chối hay thành đề nghị.",
                en="A write to another node's unit: refuse it, or make it a proposal.",
            ),
            option(
                "--print-roles",
                is_flag=True,
                vi="PostgreSQL: in lệnh SQL lập các vai trò cho người quản trị cơ sở dữ liệu, rồi dừng.",
                en="PostgreSQL: print the SQL that makes the roles, for the database's administrator, and end.",
            ),
            option(
                "--make-roles",
                default=None,
                metavar="DSN",
                vi="PostgreSQL: lập các vai trò đó ngay, bằng địa chỉ của quản trị viên.",
                en="PostgreSQL: make these roles now, through the administrator's DSN.",
            ),
        )
    ):
        function = each(function)
    return function


def chosen_config(directory: Path, settings: Mapping[str, Any]) -> Config:
    """The configuration with the options typed. Raises ConfigError for a value that makes no sense.

    It will be written to the node's file, so what the environment says of this one run stays out of it.
    """
    from syncd.config import ENVIRONMENT_PREFIX, load_config

    flags: dict[str, Any] = {
        "name": settings["name"],
        "listen": settings["listen"],
        "addresses": list(settings["addresses"]) or None,
        "database": settings["database"],
        "encrypted": False if settings["plain"] else None,
        "foreign_writes": settings["foreign_writes"],
    }
    passing = {ENVIRONMENT_PREFIX + key.upper() for key in OF_ONE_RUN}
    environment = {name: value for name, value in os.environ.items() if name not in passing}
    return load_config(directory, environment, flags)


def printed_roles(config: Config, settings: Mapping[str, Any]) -> bool:
    """Make the roles of a PostgreSQL database where that was asked for; True where they were only printed."""
    if not settings["print_roles"] and settings["make_roles"] is None:
        return False
    from syncd.cli.output import emit
    from syncd.errors import UsageError
    from syncd.store.postgres_roles import make, roles_of, script, without_password

    if config.is_sqlite:
        raise UsageError(
            say("vai trò chỉ có trên PostgreSQL", "only PostgreSQL has roles"),
            say("nêu --database postgresql://…", "name --database postgresql://…"),
        )
    roles = roles_of(config.database)
    if settings["print_roles"]:
        emit(script(roles))
        return True
    if without_password(settings["make_roles"], "")[1]:
        words = say(
            "mật khẩu của quản trị viên không được lưu lại ở đâu; lần sau đừng ghi nó trên dòng lệnh",
            "the administrator's password is kept nowhere; do not type it on a command line again",
        )
        print(words, file=sys.stderr)
    make(settings["make_roles"], roles)
    return False


def with_password_kept(config: Config, directory: Path) -> Config:
    """A password is moved into a file of the node's that this account alone reads: the settings are for everybody.
    Raises ConfigError where a node that is there has a file of other content.
    """
    if config.is_sqlite:
        return config
    from msgspec.structs import replace

    from syncd.store.postgres_roles import without_password
    from syncd.system import make_secret_directory, write_secret_file

    kept = directory.absolute() / PASSWORD_FILE
    dsn, line = without_password(config.database, str(kept))
    if line and not _is_kept(kept, line):
        make_secret_directory(directory)
        write_secret_file(kept, line.encode())
        words = say(
            "mật khẩu đã được dời vào {path} (chỉ tài khoản này đọc được); lần sau đừng ghi nó trên dòng lệnh",
            "the password was moved into {path} (for this account alone); do not type it on a command line again",
            path=kept,
        )
        print(words, file=sys.stderr)
    return replace(config, database=dsn)


def _is_kept(kept: Path, line: str) -> bool:
    """Does the node have it so already? One that has no settings yet may have it replaced: it was mistyped."""
    from syncd.config import CONFIG_FILE
    from syncd.errors import ConfigError

    if not kept.exists():
        return False
    if kept.read_text(encoding="utf-8") == line:
        return True
    if not (kept.parent / CONFIG_FILE).exists():
        return False
    raise ConfigError(
        say("{path} đã có và ghi mật khẩu khác", "{path} is there already, with another password", path=kept),
        say(
            "sửa tệp đó, rồi chạy lại lệnh này mà không ghi mật khẩu",
            "edit that file, and run this command again without a password",
        ),
    )
