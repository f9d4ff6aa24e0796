"""A node's configuration: `syncd.toml` in its directory, the environment, the command line.

Enters: a directory, environment variables `SYNCD_<KEY>`, values given on the command line. Leaves: one checked
`Config`. Must hold: flag > environment > file > default; an unknown key is an error that names key and file, never a
silence; no secret is ever a setting.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schema.spec import Registry
from schema.tables import registry
from syncd.clock import UTC_OFFSET_MIN
from syncd.errors import ConfigError
from syncd.failpoint import FAILPOINT, STAGE_FILE
from syncd.language import Both, say
from syncd.node.bounds import MEANINGS, NAMES, PREFIX, Bounds
from syncd.system import translate_os_error, write_public_file

CONFIG_FILE = "syncd.toml"
ENVIRONMENT_PREFIX = "SYNCD_"
# Variables of this prefix that are no settings: where the node is; for the tests.
OTHER_VARIABLES = ("SYNCD_DIR", FAILPOINT, STAGE_FILE)
TESTS_PREFIX = "SYNCD_TEST_"
AS_UTF_8 = Both(
    "mở bằng Notepad, Save As, Encoding: UTF-8, lưu đè lên tệp đó",
    "open it in Notepad, Save As, Encoding: UTF-8, over the same file",
)
CONFIG_BYTES_MAX = 64 * 1024

Address = Annotated[str, Meta(pattern=r"^https://[^/?#\s]+(:\d+)?$", max_length=255)]
_PORT = r"(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
Listen = Annotated[str, Meta(pattern=rf"^$|^.+:{_PORT}$", max_length=255)]


_DEFAULTS = Bounds()


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
    prune: bool = True  # once a day, what the custodian has backed up and a baseline stands for
    keep_days: Annotated[int, Meta(ge=0, le=3_650)] = 30  # nothing younger is pruned
    retention_days: Annotated[int, Meta(ge=0, le=36_500)] = 0  # what is older goes without a backup; 0: never
    language: Literal["auto", "vi", "en"] = "auto"
    utc_offset_min: Annotated[int, Meta(ge=-720, le=840)] = UTC_OFFSET_MIN  # where days begin: the same at every node
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    # From when on `status --check` warns: `node/bounds.py` says what each is about.
    check_clock_s: Annotated[int, Meta(ge=1, le=31_536_000)] = _DEFAULTS.clock_s
    check_parent_warning_s: Annotated[int, Meta(ge=1, le=31_536_000)] = _DEFAULTS.parent_warning_s
    check_parent_critical_s: Annotated[int, Meta(ge=1, le=31_536_000)] = _DEFAULTS.parent_critical_s
    check_child_h: Annotated[int, Meta(ge=1, le=87_600)] = _DEFAULTS.child_h
    check_failing_s: Annotated[int, Meta(ge=0, le=31_536_000)] = _DEFAULTS.failing_s
    check_backlog_h: Annotated[int, Meta(ge=1, le=87_600)] = _DEFAULTS.backlog_h
    check_backlog_rows: Annotated[int, Meta(ge=1, le=2**53)] = _DEFAULTS.backlog_rows
    check_backup_days: Annotated[int, Meta(ge=1, le=36_500)] = _DEFAULTS.backup_days
    check_certificate_days: Annotated[int, Meta(ge=0, le=3_650)] = _DEFAULTS.certificate_days
    check_disk_mib: Annotated[int, Meta(ge=0, le=2**30)] = _DEFAULTS.disk_mib

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
    def bounds(self) -> Bounds:
        """The thresholds of `status --check`."""
        return Bounds(**{name: getattr(self, PREFIX + name) for name in NAMES})

    @property
    def listen_place(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


KEYS = tuple(field.name for field in msgspec.structs.fields(Config))

# What a running daemon cannot change under itself; HUP takes every other setting over.
OF_RESTART = ("name", "database", "encrypted", "listen", "foreign_writes", "extra_tables")
# Thresholds that a daemon reads as well: from when on it tells of a silence below.
OF_BOTH = ("check_child_h",)
# What only commands read, each time anew.
OF_COMMANDS = ("addresses", *(key for key in KEYS if key.startswith(PREFIX) and key not in OF_BOTH))

_TRUTH = Both("true hoặc false", "true or false")


def _whole(least: int, most: int) -> Both:
    return Both(f"số nguyên từ {least} đến {most}", f"a whole number from {least} to {most}")


_URLS = Both("danh sách tối đa 8 địa chỉ https://máy[:cổng]", "a list of at most 8 addresses https://host[:port]")
RULES: dict[str, Both] = {
    "name": Both("chữ, tối đa 200 ký tự", "text of at most 200 characters"),
    "database": Both("sqlite hoặc postgresql://…", "sqlite or postgresql://…"),
    "encrypted": _TRUTH,
    "listen": Both("máy:cổng, hoặc trống", "host:port, or empty"),
    "addresses": _URLS,
    "parent_urls": _URLS,
    "foreign_writes": Both("refuse hoặc propose", "refuse or propose"),
    "extra_tables": Both('"mô-đun:TABLES", hoặc trống', '"module:TABLES", or empty'),
    "poll_ms": Both("số nguyên từ 1 đến 60000", "a whole number from 1 to 60000"),
    "checkpoint_after_s": Both("số từ 0.1 đến 86400", "a number from 0.1 to 86400"),
    "prune": _TRUTH,
    "keep_days": Both("số nguyên từ 0 đến 3650", "a whole number from 0 to 3650"),
    "retention_days": Both("số nguyên từ 0 đến 36500", "a whole number from 0 to 36500"),
    "utc_offset_min": Both("số nguyên từ -720 đến 840", "a whole number from -720 to 840"),
    "language": Both("auto, vi hoặc en", "auto, vi or en"),
    "log_level": Both("debug, info, warning hoặc error", "debug, info, warning or error"),
    "log_format": Both("text hoặc json", "text or json"),
    "check_clock_s": _whole(1, 31_536_000),
    "check_parent_warning_s": _whole(1, 31_536_000),
    "check_parent_critical_s": _whole(1, 31_536_000),
    "check_child_h": _whole(1, 87_600),
    "check_failing_s": _whole(0, 31_536_000),
    "check_backlog_h": _whole(1, 87_600),
    "check_backlog_rows": _whole(1, 2**53),
    "check_backup_days": _whole(1, 36_500),
    "check_certificate_days": _whole(0, 3_650),
    "check_disk_mib": _whole(0, 2**30),
}
"""What a value of each key may be, in words."""
if RULES.keys() != set(KEYS):  # a key without its words would fail only where somebody mistypes it: refuse to start
    raise TypeError(f"keys and their rules differ: {sorted(RULES.keys() ^ set(KEYS))}")


def load_config(directory: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration of the node in `directory`; a missing file is an empty one. Raises ConfigError."""
    path = directory / CONFIG_FILE
    values = _read_file(path)
    _refuse_unknown(values, path)
    _refuse_unknown_variables(environment)
    sources = dict.fromkeys(values, str(path))
    texts = _from_environment(environment)
    for key, text in texts.items():
        values[key] = text
        sources[key] = say(
            "biến môi trường {name}", "environment variable {name}", name=ENVIRONMENT_PREFIX + key.upper()
        )
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = value
            sources[key] = say("dòng lệnh", "command line")
            texts.pop(key, None)
    return _convert(values, sources, texts)


def require_parent_urls(config: Config) -> None:
    """Raises ConfigError where a node below another has no address of it."""
    if not config.parent_urls:
        raise ConfigError(
            say("không có địa chỉ cấp trên", "no address of the parent"),
            say(
                "đặt parent_urls trong syncd.toml như trong mã gia nhập",
                "set parent_urls in syncd.toml as the token had it",
            ),
        )


def waits_for_restart(now: Config, wanted: Config) -> list[str]:
    """The settings that differ and that a running daemon does not take over."""
    return [key for key in OF_RESTART if getattr(now, key) != getattr(wanted, key)]


def taken_over(now: Config, wanted: Config) -> Config:
    """What a running daemon works with from now on."""
    return msgspec.structs.replace(wanted, **{key: getattr(now, key) for key in OF_RESTART})


def restart_needed(keys: Sequence[str]) -> ConfigError:
    """Settings were changed that count from the next start on."""
    return ConfigError(
        say(
            "syncd.toml đã đổi {keys}, chưa có hiệu lực",
            "syncd.toml has changed {keys}, without effect so far",
            keys=", ".join(keys),
        ),
        say("khởi động lại dịch vụ syncd", "restart the service syncd"),
    )


def write_config(directory: Path, config: Config) -> None:
    """Write the settings that differ from their defaults, whole or not at all."""
    default = Config()
    lines = ["# Settings of this node: `syncd config check` examines them.\n"]
    for key in KEYS:
        value = getattr(config, key)
        if value != getattr(default, key):
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}\n")
    lines += ["\n# From when on `syncd status --check` warns; take away the # and change the number.\n"]
    for name in NAMES:
        if getattr(config, PREFIX + name) == getattr(default, PREFIX + name):
            lines.append(f"# {PREFIX}{name} = {getattr(default, PREFIX + name)}  # {MEANINGS[name].en}\n")
    write_public_file(directory / CONFIG_FILE, "".join(lines).encode())


def load_registry(config: Config, directory: Path) -> Registry:
    """The tables this node replicates: the release's own and those of `extra_tables`, whose module lies in the node's
    directory. Raises ConfigError."""
    if not config.extra_tables:
        return registry()
    from syncd.node.tables import load_tables

    return load_tables(config.extra_tables, directory)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError(
            say("{path} dài quá {most} byte", "{path} is longer than {most} bytes", path=path, most=CONFIG_BYTES_MAX),
            say("đây không phải tệp cấu hình của syncd", "this is not a configuration of syncd"),
        )
    if b"\x00" in data or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(
            say("{path} là văn bản UTF-16, không phải UTF-8", "{path} is UTF-16 text, not UTF-8", path=path),
            say(*AS_UTF_8),
        )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))  # Notepad writes a byte order mark
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(
            say(
                "{path}, dòng {line}: không phải UTF-8 (bảng mã cũ như windows-1258)",
                "{path}, line {line}: not UTF-8 (an old code page such as windows-1258)",
                path=path,
                line=line,
            ),
            say(*AS_UTF_8),
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:  # brackets without end
        raise ConfigError(
            say("{path} không đúng dạng TOML: {error}", "{path} is not TOML: {error}", path=path, error=error),
            say("sửa dòng được nêu", "correct the line it names"),
        ) from error


def _refuse_unknown(values: Mapping[str, Any], path: Path) -> None:
    for key in values:
        if key not in KEYS:
            raise ConfigError(
                say("khóa lạ {key!r} trong {path}", "unknown key {key!r} in {path}", key=key, path=path),
                _meant(key, KEYS),
            )


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = (*(ENVIRONMENT_PREFIX + key.upper() for key in KEYS), *OTHER_VARIABLES)
    for name in environment:
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known and not name.startswith(TESTS_PREFIX):
            raise ConfigError(
                say("biến môi trường lạ {name}", "unknown environment variable {name}", name=name),
                _meant(name, known[: len(KEYS) + 1], ENVIRONMENT_PREFIX),
            )


def _meant(name: str, known: tuple[str, ...], prefix: str = "") -> str:
    """What may have been meant; what all names begin with makes none alike."""
    found = get_close_matches(name.removeprefix(prefix), [each.removeprefix(prefix) for each in known], n=2)
    near = [prefix + each for each in found]
    if not near:
        return say("các tên đã biết: {names}", "known: {names}", names=", ".join(known))
    return say("có phải {names}?", "did you mean {names}?", names=say(" hoặc ", " or ").join(near))


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Values of known keys; lists are separated by commas."""
    found: dict[str, Any] = {}
    for key in KEYS:
        text = environment.get(ENVIRONMENT_PREFIX + key.upper())
        if text is not None:
            found[key] = [item for item in text.split(",") if item] if key in ("addresses", "parent_urls") else text
    return found


def _convert(values: Mapping[str, Any], sources: Mapping[str, str], texts: Mapping[str, Any]) -> Config:
    """`texts`: the keys whose value comes as a text of the environment, to be read as what the setting is."""
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, Config, strict=key not in texts)
        except msgspec.ValidationError as error:
            raise ConfigError(
                say(
                    "{key} = {value} ({source}): giá trị không dùng được",
                    "{key} = {value} ({source}): a value that cannot be used",
                    key=key,
                    value=_shown(value),
                    source=sources[key],
                ),
                say("{key} là {rule}", "{key} is {rule}", key=key, rule=RULES[key].here),
            ) from error
    return msgspec.convert(values, Config, strict=False)


def _shown(value: Any) -> str:
    """A value in a message, without the password a DSN may carry."""
    text = str(value)
    scheme, found, rest = text.partition("://")
    return repr(f"{scheme}://…{rest.rpartition('@')[2]}" if found and "@" in rest else text)[:120]
