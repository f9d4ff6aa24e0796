"""A node's configuration: `syncd.toml` in its directory, the environment, the command line.

Enters: a directory, environment variables `SYNCD_<KEY>`, values given on the command line. Leaves: one checked
`Config`. Must hold: flag > environment > file > default; an unknown key is an error that names key and file, never a
silence; no secret is ever a setting.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schema.spec import Registry, Table
from schema.tables import registry
from syncd.errors import ConfigError
from syncd.system import translate_os_error, write_public_file

CONFIG_FILE = "syncd.toml"
ENVIRONMENT_PREFIX = "SYNCD_"
CONFIG_BYTES_MAX = 64 * 1024

Address = Annotated[str, Meta(pattern=r"^https://[^/?#\s]+(:\d+)?$", max_length=255)]
Listen = Annotated[str, Meta(pattern=r"^$|^.+:\d{1,5}$", max_length=255)]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting, with its default."""

    name: Annotated[str, Meta(max_length=200)] = ""  # shown to other nodes; the unit's name when empty
    database: Annotated[str, Meta(pattern=r"^sqlite$|^postgres(ql)?://")] = "sqlite"
    encrypted: bool = True  # SQLite: false only when another program without SQLCipher shares the file
    listen: Listen = ""  # host:port for children; empty: this node has none
    addresses: Annotated[list[Address], Meta(max_length=8)] = []  # printed into tokens: where children reach `listen`
    parent_urls: Annotated[list[Address], Meta(max_length=8)] = []  # written by join
    foreign_writes: Literal["refuse", "propose"] = "refuse"  # what a write to another node's unit becomes
    extra_tables: str = ""  # "module:TABLES": further tables this deployment replicates, the same at every node
    poll_ms: Annotated[int, Meta(ge=1, le=60_000)] = 20  # how often new local writes are looked for
    checkpoint_after_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 30.0  # of quiet; at least daily
    language: Literal["auto", "vi", "en"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    @property
    def is_sqlite(self) -> bool:
        return self.database == "sqlite"

    @property
    def schema_dialect(self) -> str:
        """The name `schema/` knows the database by. A file shared with another program gets triggers any SQLite
        reads.
        """
        if not self.is_sqlite:
            return "postgres"
        return "sqlite" if self.encrypted else "sqlite-portable"

    @property
    def listen_place(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


KEYS = tuple(field.name for field in msgspec.structs.fields(Config))


def load_config(directory: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration of the node in `directory`; a missing file is an empty one. Raises ConfigError."""
    path = directory / CONFIG_FILE
    values = _read_file(path)
    _refuse_unknown(values, path)
    sources = dict.fromkeys(values, str(path))
    for key, text in _from_environment(environment).items():
        values[key] = text
        sources[key] = f"environment variable {ENVIRONMENT_PREFIX}{key.upper()}"
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = value
            sources[key] = "command line"
    return _convert(values, sources)


def write_config(directory: Path, config: Config) -> None:
    """Write the settings that differ from their defaults, whole or not at all."""
    default = Config()
    lines = ["# Settings of this node: `syncd config check` examines them.\n"]
    for key in KEYS:
        value = getattr(config, key)
        if value != getattr(default, key):
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}\n")
    write_public_file(directory / CONFIG_FILE, "".join(lines).encode())


def load_registry(config: Config) -> Registry:
    """The tables this node replicates: the release's own and those of `extra_tables`."""
    if not config.extra_tables:
        return registry()
    import importlib

    module_name, _, attribute = config.extra_tables.partition(":")
    hint = 'extra_tables is "module:TABLES", a tuple of schema.spec.Table in a module that Python finds'
    try:
        tables = tuple(getattr(importlib.import_module(module_name), attribute))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"extra_tables = {config.extra_tables!r} cannot be read: {error}", hint) from error
    if not all(isinstance(table, Table) for table in tables):
        raise ConfigError(f"extra_tables = {config.extra_tables!r} holds something that is no table", hint)
    try:
        return registry(tables)
    except ValueError as error:
        raise ConfigError(f"extra_tables = {config.extra_tables!r}: {error}", "give them numbers from 1000") from error


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise translate_os_error(error, f"cannot read {path}") from error
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path} is longer than {CONFIG_BYTES_MAX} bytes", "this is not a configuration of syncd")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", "correct the line it names") from error


def _refuse_unknown(values: Mapping[str, Any], path: Path) -> None:
    for key in values:
        if key not in KEYS:
            near = get_close_matches(key, KEYS, n=2)
            meant = f"did you mean {' or '.join(near)}?" if near else f"known keys: {', '.join(KEYS)}"
            raise ConfigError(f"unknown key {key!r} in {path}", meant)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Values of known keys; lists are separated by commas. Other variables of this prefix belong to other commands."""
    found: dict[str, Any] = {}
    for key in KEYS:
        text = environment.get(ENVIRONMENT_PREFIX + key.upper())
        if text is not None:
            found[key] = [item for item in text.split(",") if item] if key in ("addresses", "parent_urls") else text
    return found


def _convert(values: Mapping[str, Any], sources: Mapping[str, str]) -> Config:
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, Config, strict=not sources[key].startswith("environment"))
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"{key} = {_shown(value)} ({sources[key]}): {error}", "see `syncd config --help`"
            ) from error
    return msgspec.convert(values, Config, strict=False)


def _shown(value: Any) -> str:
    """A value in a message, without the password a DSN may carry."""
    text = str(value)
    scheme, found, rest = text.partition("://")
    return repr(f"{scheme}://…{rest.rpartition('@')[2]}" if found and "@" in rest else text)[:120]
