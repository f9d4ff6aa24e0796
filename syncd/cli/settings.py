"""The settings that `init` and `join` take as options: name, database, how children reach the node.

Enters: options as typed. Leaves: a checked `Config` (option > environment > file > default).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from syncd.cli.verb import option

if TYPE_CHECKING:
    from syncd.config import Config

OF_ONE_RUN = ("language", "log_level", "log_format", "poll_ms", "checkpoint_after_s")
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
