"""Which node a command speaks of, and its database alone: the quick way in, for reading.

Enters: --dir, the environment. Leaves: a directory, its configuration, a store.
Must hold: nothing is imported that a screen does not need: no stages, no certificates, no SQLAlchemy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from syncd import limits
from syncd.clock import live_at
from syncd.errors import ConfigError, UsageError
from syncd.language import prefer, say
from syncd.text import command

if TYPE_CHECKING:
    from syncd.config import Config
    from syncd.store.base import Store, Tx

SYSTEM_DIRECTORY = Path("/var/lib/syncd")
DATABASE_FILE = "syncd.db"
DATABASE_KEY_FILE = "database.key"
SIGNING_KEY_FILE = "signing.key"
OF_A_NODE = ("syncd.toml", SIGNING_KEY_FILE, DATABASE_FILE)  # a folder that holds one of these is a node's


def node_directory(given: Path | None) -> Path:
    """--dir, else SYNCD_DIR, else this folder if it is a node's, else the system's. Raises PermissionDenied where it is
    another account's, whoever asks.
    """
    from syncd.system import require_own_directory

    found = meant(given)
    require_own_directory(found)
    return found


def meant(given: Path | None) -> Path:
    """The same, whoever's it is."""
    return _named(given) or (Path(".") if is_of_a_node(Path(".")) else SYSTEM_DIRECTORY)


def speak_of(given: Path | None) -> None:
    """From here on commands are printed for that node."""
    command.name_node(meant(given), is_named=_named(given) is not None)


def _named(given: Path | None) -> Path | None:
    from_environment = os.environ.get("SYNCD_DIR")
    return given or (Path(from_environment) if from_environment else None)


def is_of_a_node(directory: Path) -> bool:
    """Whether something of a node lies there, as far as this account may look."""
    return any(os.path.exists(directory / name) for name in OF_A_NODE)


def config_of(directory: Path) -> Config:
    """The node's configuration; from here on its language is spoken, and its days are counted."""
    from syncd.config import load_config

    config = load_config(directory, os.environ)
    prefer(config.language)
    live_at(config.utc_offset_min)
    return config


@contextmanager
def opened_store(given: Path | None) -> Iterator[Store]:
    """The database of a node that exists, for reading and for a clerk's writes; closed at the end."""
    directory = node_directory(given)
    from syncd.errors import StoreError

    config = config_of(directory)
    store = open_store(directory, config)
    try:
        require_finished(store, directory)
        yield store
    except StoreError as error:
        raise (unfit(store, directory, config) or error) from error
    finally:
        store.close()


def unfit(store: Store, directory: Path, config: Config) -> Exception | None:
    """What another program did to the tables, with the statement that takes it back; None where they are as they were.
    To be asked where the database has refused something."""
    from schema.fit import misfits
    from syncd.node_files import connector
    from syncd.recovery.capture import refused

    with closing(connector(directory, config)()) as connection:
        found = misfits(connection, config.schema_dialect, store.registry)
    return refused(found) if found else None


def open_store(directory: Path, config: Config) -> Store:
    """The database as configured. Raises ConfigError when there is none."""
    from syncd import failpoint
    from syncd.config import load_registry

    tables, points = load_registry(config, directory), failpoint.from_environment(os.environ)
    if not config.is_sqlite:
        from syncd.store.postgres import PostgresStore

        return PostgresStore(config.database, tables, points)
    from syncd.store.sqlite import SqliteStore

    path = database_file(directory)
    return SqliteStore(path, tables, database_key(directory, config), points)


def database_file(directory: Path) -> Path:
    """The embedded database that is there. Raises ConfigError when there is none, or what lies there is no database."""
    from syncd.store.sqlite_errors import require_there

    path = directory / DATABASE_FILE
    require_there(path, has_keys=(directory / SIGNING_KEY_FILE).exists())
    if not path.exists():
        raise no_node(directory)
    return path


def database_key(directory: Path, config: Config) -> bytes | None:
    """The raw key of the embedded database; None where it is a plain file or a server."""
    if not config.is_sqlite or not config.encrypted:
        return None
    from syncd.errors import KeyFileError
    from syncd.system import GROUP_READS_MASK, read_secret_file

    try:
        return read_secret_file(directory / DATABASE_KEY_FILE, limits.DATABASE_KEY_BYTES_MAX, GROUP_READS_MASK)
    except KeyFileError:
        from syncd.store.sqlite import require_encrypted

        require_encrypted(directory / DATABASE_FILE)
        raise


def require_finished(store: Store, directory: Path) -> None:
    """Refuse the database of a node that was never finished, or of no node."""
    from syncd.errors import StoreError

    try:
        with store.read() as tx:
            finished = tx.value("SELECT 1 FROM syncd_meta WHERE key = 'created_at'")
    except StoreError as error:
        raise no_node(directory) from error
    if finished is None:
        raise no_node(directory)


def require_unit(tx: Tx, code: str | None) -> None:
    """Refuse a code that no unit known here has ever had; None asks for none."""
    if code is not None and tx.one("SELECT 1 FROM unit WHERE code = ?", (code,)) is None:
        raise no_unit(code)


def no_unit(code: str) -> UsageError:
    """What to say of a code that is no unit's."""
    return UsageError(
        say("không có đơn vị mang mã {code}", "there is no unit of code {code}", code=code),
        say('xem: [[syncd sql "SELECT code, name FROM unit"]]', 'see: [[syncd sql "SELECT code, name FROM unit"]]'),
    )


def no_node(directory: Path) -> ConfigError:
    """What to say where no node is."""
    return ConfigError(
        say("trong {directory} không có máy nào", "there is no node in {directory}", directory=directory),
        say(
            "tạo bằng `[[syncd init --unit MÃ --unit-name TÊN]]` (máy gốc) hoặc `[[syncd join MÃ_GIA_NHẬP]]`,"
            " hoặc nêu đúng"
            " --dir",
            "make one with `[[syncd init --unit CODE --unit-name NAME]]` (a root) or `[[syncd join TOKEN]]`, or"
            " name its"
            " --dir",
        ),
    )
