"""Opening a node from its directory: configuration, keys, database, stages. One place for daemon and command line.

Enters: a directory made by `init` or `join`. Leaves: an `OpenNode`, or an error that says which file is wrong.
Must hold: nothing here writes; psycopg is loaded only for PostgreSQL, SQLAlchemy never.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schema.ddl import Identity
from syncd import failpoint as failpoints
from syncd.clock import Clock, system_clock
from syncd.config import Config, load_config, load_registry
from syncd.control import ask
from syncd.errors import ConfigError, KeyFileError, StoreError
from syncd.language import say
from syncd.node.evolve import require_made
from syncd.pipeline import Node
from syncd.positions import HighWater
from syncd.security.identity import SIGNING_KEY_FILE, DatabaseKey, NodeKeys
from syncd.setup import Connect
from syncd.store.base import Failpoint, Store
from syncd.store.sqlite_errors import require_there

DATABASE_FILE = "syncd.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNode:
    """A node ready to work."""

    directory: Path
    config: Config
    keys: NodeKeys
    store: Store
    node: Node
    facts: Mapping[str, str]  # syncd_meta as found at opening

    @property
    def parent_id(self) -> str | None:
        """The enrolled parent; None at the root."""
        return self.facts.get("parent_id") or None

    def close(self) -> None:
        self.store.close()


def open_node(
    directory: Path,
    config: Config | None = None,
    *,
    clock: Clock = system_clock,
    random_bytes: Callable[[int], bytes] = os.urandom,
    failpoint: Failpoint | None = None,
    is_starting: bool = False,
) -> OpenNode:
    """Open the node in `directory`; `is_starting`: to bring its database to what `extra_tables` says now.

    Raises ConfigError when it is none yet, KeyFileError for wrong or missing keys.
    """
    settings = config or load_config(directory, os.environ)
    require_node(directory, settings)
    node_keys = NodeKeys.load(directory)
    store = open_store(directory, settings, failpoint)
    try:
        facts = read_facts(store, directory)
        node_keys.require_database(facts, directory)
        if not is_starting:
            require_made(facts, store.registry)
        node = Node(store, node_keys, clock, random_bytes)
        mark = HighWater(directory)
        if is_starting:
            mark.tell()
        node.rejoin.watch(mark, lambda: (ask(directory) or {}).get("is_heard") is True)
        if node.rejoin.awaits_answer:
            node.awaited.expect(record.node_id for record in node.tree().children())
        return OpenNode(directory=directory, config=settings, keys=node_keys, store=store, facts=facts, node=node)
    except BaseException:
        store.close()
        raise


def require_node(directory: Path, config: Config) -> None:
    """Raises ConfigError where no node is; to be asked before anything is made in `directory`."""
    if config.is_sqlite:
        require_there(directory / DATABASE_FILE, has_keys=(directory / SIGNING_KEY_FILE).exists())
    known = directory / DATABASE_FILE if config.is_sqlite else directory
    if not known.exists():
        raise ConfigError(
            say("trong {directory} không có máy nào", "there is no node in {directory}", directory=directory),
            say(
                "tạo bằng `[[syncd init --unit MÃ --unit-name TÊN]]` (máy gốc) hoặc `[[syncd join"
                " MÃ_GIA_NHẬP]]`, hoặc nêu đúng"
                " --dir",
                "make one with `[[syncd init --unit CODE --unit-name NAME]]` (a root) or `[[syncd join"
                " TOKEN]]`, or name its"
                " --dir",
            ),
        )


def open_store(directory: Path, config: Config, failpoint: Failpoint | None = None) -> Store:
    """The node's database alone. `failpoint`: the environment's when None, so that tests kill any command at any
    commit.
    """
    tables = load_registry(config, directory)
    failpoint = failpoint or failpoints.from_environment(os.environ)
    if not config.is_sqlite:
        from syncd.store.postgres import PostgresStore

        return PostgresStore(config.database, tables, failpoint)
    from syncd.store.sqlite import SqliteStore

    require_node(directory, config)
    return SqliteStore(directory / DATABASE_FILE, tables, database_key(directory, config), failpoint)


def connector(directory: Path, config: Config) -> Connect:
    """What gives a new raw connection to the node's database."""
    if not config.is_sqlite:
        from syncd.store import postgres

        return lambda: postgres.connect(config.database)
    from syncd.store import sqlite

    key = database_key(directory, config)
    return lambda: sqlite.connect(directory / DATABASE_FILE, key)


def database_key(directory: Path, config: Config) -> bytes | None:
    """The raw key of the embedded database, None for a plain file."""
    if not config.encrypted:
        return None
    try:
        return DatabaseKey.load(directory).raw
    except KeyFileError:
        from syncd.store.sqlite import require_encrypted

        require_encrypted(directory / DATABASE_FILE)
        raise


def read_facts(store: Store, directory: Path) -> dict[str, str]:
    """What the database says of its node. Raises ConfigError while init or join has not been finished."""
    hint = say(
        "chạy lại đúng lệnh `syncd init` hoặc `syncd join` đó", "run the same `syncd init` or `syncd join` again"
    )
    try:
        with store.read() as tx:
            facts: dict[str, str] = dict(tx.all("SELECT key, value FROM syncd_meta"))
    except StoreError as error:
        raise ConfigError(
            say(
                "cơ sở dữ liệu trong {directory} không có bảng của syncd: {error}",
                "the database of {directory} has no tables of ours: {error}",
                directory=directory,
                error=error.message,
            ),
            hint,
        ) from error
    if "created_at" not in facts:
        raise ConfigError(
            say(
                "máy trong {directory} chưa được tạo xong",
                "the node in {directory} was not finished",
                directory=directory,
            ),
            hint,
        )
    return facts


def identity_of(facts: Mapping[str, str]) -> Identity:
    """Who the triggers believe this node is."""
    return Identity(node_id=facts["node_id"], tag=facts["tag"], unit_id=facts["unit_id"])


def raw_transaction(connection: Any, work: Callable[[], None]) -> None:
    """Run `work` in one transaction of a raw connection in autocommit mode."""
    connection.execute("BEGIN")
    try:
        work()
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
