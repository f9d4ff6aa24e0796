"""Real nodes for the benchmarks: `syncd init`, `join` and `run` as an operator would use them, on loopback.

Enters: a folder, a server for the province's database. Leaves: nodes whose daemons start and stop, and whose state can
be saved and restored. Must hold: every process started here is ended by its own number; a wait is bounded and says for
what.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from msgspec.structs import replace
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bench import data
from bench.data import Register, Statement
from syncd.admission import Succession, TokenKind
from syncd.cli.token import issue
from syncd.config import Config, load_config, write_config
from syncd.control import ask
from syncd.demo import process
from syncd.demo.line import HOST, free_port
from syncd.demo.waiting import LOOK_S, first
from syncd.enrolment import Unit, init_root, join
from syncd.inputs.generate import PERSON_NAMES
from syncd.inputs.mint import mint
from syncd.node_files import DATABASE_FILE, database_key
from syncd.store import postgres, sqlite
from tests.postgres import PostgresServer

WAIT_S_MAX = 300.0
STOP_S_MAX = 40.0
TRANSACTION_ROWS = 5_000
LOG_LINES_SHOWN = 12
PROVINCE, DISTRICT, COMMUNE = "42", "440", "18229"
AT_PROVINCE = (
    "SELECT NOT EXISTS (SELECT 1 FROM syncd_journal) AND NOT EXISTS "
    "(SELECT 1 FROM syncd_stream WHERE own = 1 AND custodian_seq < held_seq)"
)


@dataclass(slots=True, kw_only=True, eq=False)
class BenchNode:
    """One node: its directory, its database, its daemon."""

    code: str
    directory: Path
    config: Config
    unit_id: str = ""
    parent: BenchNode | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError(f"the daemon of {self.code} does not run")
        return self.process.pid

    def connect(self) -> Any:
        """A connection as any program's, in autocommit mode."""
        if not self.config.is_sqlite:
            return postgres.connect(self.config.database)
        return sqlite.connect(self.directory / DATABASE_FILE, database_key(self.directory, self.config))

    @contextmanager
    def open(self) -> Iterator[Any]:
        connection = self.connect()
        try:
            yield connection
        finally:
            connection.close()

    def value(self, query: str) -> Any:
        with self.open() as connection:
            return connection.execute(query).fetchone()[0]

    @property
    def tag(self) -> str:
        return str(self.value("SELECT value FROM syncd_meta WHERE key = 'node_id'"))[28:]

    def join_hub(self, code: str) -> BenchNode:
        """Enrol a node with children of its own below this one, which runs."""
        return _joined(self, self.directory.parent / code, code, TokenKind.HUB)

    def run(self) -> None:
        """Start the daemon; returns at once."""
        self.process = process.run(self.directory, process.clean_environment())

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self.run()
        self.wait("its daemon answers", lambda: ask(self.directory))

    def stop(self) -> None:
        running, self.process = self.process, None
        if running is not None:
            process.end(running, STOP_S_MAX)

    def run_for(self, duration_s: float) -> None:
        """Let the daemon run for a while. Raises RuntimeError when it ends meanwhile."""
        try:
            if self.process is not None:
                self.process.wait(duration_s)
        except subprocess.TimeoutExpired:
            return
        raise RuntimeError(f"the daemon of {self.code} does not run\n{self._log_tail()}")

    def wait(self, what: str, condition: Callable[[], Any], look_s: float = LOOK_S, most_s: float = WAIT_S_MAX) -> None:
        """Until the condition holds."""

        def holds() -> bool:
            if condition():
                return True
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"node {self.code}: its daemon ended before {what}\n{self._log_tail()}")
            return False

        if first(holds, most_s, look_s) is None:
            raise RuntimeError(f"node {self.code}: waited in vain until {what}\n{self._log_tail()}")

    def wait_at_province(self, look_s: float = LOOK_S) -> None:
        """Until the node sees everything of its own at the province."""
        with self.open() as connection:
            self.wait(
                "all of its own is at the province", lambda: connection.execute(AT_PROVINCE).fetchone()[0], look_s
            )

    def write(self, statements: Sequence[Statement], per_transaction: int = TRANSACTION_ROWS) -> None:
        """Commit statements as a clerk's program, `per_transaction` at a time."""
        with self.open() as connection:
            for at in range(0, len(statements), per_transaction):
                connection.execute("BEGIN IMMEDIATE")
                for text, values in statements[at : at + per_transaction]:
                    connection.execute(text, values)
                connection.execute("COMMIT")

    def _log_tail(self) -> str:
        return process.log_tail(self.directory, LOG_LINES_SHOWN)


class BenchTree:
    """A line of nodes: a commune, optionally a district, a province on PostgreSQL."""

    def __init__(self, folder: Path, server: PostgresServer, *, district: bool) -> None:
        self._folder = folder
        self._server = server
        self.states: set[str] = set()
        folder.mkdir(parents=True)
        self.province = self._root()
        self.nodes = [self.province]
        self.province.start()
        if district:
            self._join(DISTRICT, TokenKind.HUB)
        self.commune = self._join(COMMUNE, TokenKind.LEAF)
        self.commune.wait("it keeps its unit", lambda: self.commune.value("SELECT max(mine) FROM syncd_keeper"))
        self.register = Register(tag="", households=[], persons=[])

    def load(self, persons: int) -> None:
        """Deliver the households, then commit the persons and leave them unsequenced. Ends with all daemons stopped."""
        commune = self.commune
        self.register = data.register(
            commune.unit_id, str(commune.value("SELECT value FROM syncd_meta WHERE key = 'tag'")), persons
        )
        commune.write([(data.INSERT_HOUSEHOLD, row) for row in self.register.households])
        commune.wait_at_province()
        self.stop()
        commune.write([(data.INSERT_PERSON, row) for row in self.register.persons])

    def start_upper(self) -> None:
        """All daemons but the commune's."""
        for node in self.nodes[:-1]:
            node.start()

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()

    def deliver(self) -> float:
        """Seconds from the start of the commune's daemon until it sees its whole backlog at the province."""
        self.start_upper()
        began = time.perf_counter()
        self.commune.run()
        self.commune.wait_at_province()
        return time.perf_counter() - began

    def save(self, name: str) -> None:
        """Remember the state of all (stopped) nodes."""
        self.states.add(name)
        for node in self.nodes:
            shutil.copytree(node.directory, self._folder / f"{name}-{node.code}")
            if not node.config.is_sqlite:
                self._clone(_database(node), f"{_database(node)}_{name}")

    def restore(self, name: str) -> None:
        """Put all (stopped) nodes back to a saved state, on a server that has nothing else to do."""
        for node in self.nodes:
            shutil.rmtree(node.directory)
            shutil.copytree(self._folder / f"{name}-{node.code}", node.directory)
            if not node.config.is_sqlite:
                self._server.drop_database(node.config.database)
                self._clone(f"{_database(node)}_{name}", _database(node))
        with psycopg.connect(self._server.admin_dsn, autocommit=True) as admin:
            admin.execute("CHECKPOINT")
        os.sync()

    def require_equal(self) -> int:
        """Compare the table `person` at all nodes; returns its rows. Raises RuntimeError when a node differs."""
        found = {node.code: content(node) for node in self.nodes}
        if len(set(found.values())) != 1:
            raise RuntimeError(f"contents differ, no figure is given: {found}")
        return next(iter(found.values()))[0]

    def _clone(self, source: str, target: str) -> None:
        with psycopg.connect(self._server.admin_dsn, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(target)))
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(target), sql.Identifier(source))
            )

    def _root(self) -> BenchNode:
        root = make_hub(self._folder, self._server)
        above = root.unit_id
        with root.open() as connection:
            for unit_id, code, level in zip(
                mint(2, root.tag, 0, Random(1)), (DISTRICT, COMMUNE), ("district", "commune"), strict=True
            ):
                connection.execute(
                    "INSERT INTO unit (id, parent_id, level, code, name) VALUES (%s, %s, %s, %s, %s)",
                    (unit_id, above, level, code, code),
                )
                above = unit_id
        return root

    def _join(self, code: str, kind: TokenKind) -> BenchNode:
        """Enrol and start a node below the last one."""
        node = _joined(self.nodes[-1], self._folder / code, code, kind)
        self.nodes.append(node)
        node.start()
        return node


def make_hub(folder: Path, server: PostgresServer) -> BenchNode:
    """A province on PostgreSQL, with no unit but its own; its daemon is not started."""
    directory, dsn = folder / PROVINCE, server.create_database(f"province_{folder.name.replace('-', '_')}")
    made = init_root(directory, Unit(code=PROVINCE, name="Tỉnh", level="province"), _config(free_port(), dsn))
    return BenchNode(code=PROVINCE, directory=directory, config=load_config(directory, {}), unit_id=made.unit_id)


def _joined(parent: BenchNode, directory: Path, code: str, kind: TokenKind) -> BenchNode:
    """A node enrolled below a running one; its daemon is not started."""
    parent.wait(f"it knows unit {code}", lambda: parent.value(f"SELECT count(*) FROM unit WHERE code = '{code}'"))
    made = join(
        directory,
        issue(parent.directory, code, kind, 3600, Succession.NONE),
        _config(free_port() if kind is TokenKind.HUB else None),
    )
    return BenchNode(
        code=code, directory=directory, config=load_config(directory, {}), unit_id=made.unit_id, parent=parent
    )


def route(node: BenchNode, port: int) -> None:
    """Have a (stopped) node reach its parent at another port."""
    node.config = replace(node.config, parent_urls=[f"https://{HOST}:{port}"])
    write_config(node.directory, node.config)


def parent_port(node: BenchNode) -> int:
    return int(node.config.parent_urls[0].rpartition(":")[2])


def content(node: BenchNode) -> tuple[int, str]:
    """Number of persons and a digest of all their values, by plain SQL."""
    with node.open() as connection:
        return digest(connection, f"SELECT {', '.join(PERSON_NAMES)} FROM person ORDER BY id")


def digest(connection: Any, query: str) -> tuple[int, str]:
    """Number of rows and SHA-256 of a query's rows, the same on both databases."""
    count, state = 0, sha256()
    cursor = connection.execute(query)
    while rows := cursor.fetchmany(TRANSACTION_ROWS):
        count += len(rows)
        state.update(repr([tuple(map(str, row)) for row in rows]).encode())
    return count, state.hexdigest()


def _config(port: int | None, database: str = "sqlite") -> Config:
    if port is None:
        return Config(database=database)
    return Config(database=database, listen=f"{HOST}:{port}", addresses=[f"https://{HOST}:{port}"])


def _database(node: BenchNode) -> str:
    return str(conninfo_to_dict(node.config.database)["dbname"])
