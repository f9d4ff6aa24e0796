"""What several files of this folder ask for: programs at real databases, and trees.

In: nothing. Out: `program` (at every kind of SQLite and PostgreSQL in turn, with schema, capture and guard),
`sqlite_program`, `postgres_program`; the trees `tree` and `plain`, where a file has none of its own. Must hold: each
test begins with nodes as installed, whatever the test before did to them.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlcipher3.dbapi2 as sqlcipher

from tests.integration.handovers import country
from tests.integration.shapes import ThreeTiers, three_tiers
from tests.postgres import PostgresServer
from tests.programs import Program
from tests.schema_builders import postgres_node, sqlite_node, wipe_postgres
from tests.trees import TreeBuilder

SQLITE_VARIANTS = {
    "encrypted": (sqlcipher, "sqlite", "00" * 32),
    "plain": (sqlcipher, "sqlite", None),
    "portable": (sqlcipher, "sqlite-portable", None),
    # The standard library's own, which may be older than the one syncd brings.
    "standard library": (sqlite3, "sqlite-portable", None),
}
POSTGRES = "postgres"


@pytest.fixture(scope="session")
def installed_sqlite(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One installed database file per variant; each test writes into a copy."""
    folder = tmp_path_factory.mktemp("installed")
    paths = {name: folder / f"{number}.db" for number, name in enumerate(SQLITE_VARIANTS)}
    for name, (module, dialect, key) in SQLITE_VARIANTS.items():
        sqlite_node(str(paths[name]), module=module, dialect=dialect, key=key).close()
    return paths


@pytest.fixture(scope="session")
def installed_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """One installed database; each test has its rows wiped."""
    dsn = postgres_server.create_database()
    postgres_node(dsn).close()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture(params=[*SQLITE_VARIANTS, POSTGRES])
def program(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Program]:
    if request.param == POSTGRES:
        yield request.getfixturevalue("postgres_program")
        return
    with _at_sqlite(request.param, request.getfixturevalue("installed_sqlite"), tmp_path) as found:
        yield found


@pytest.fixture(params=SQLITE_VARIANTS)
def sqlite_program(
    request: pytest.FixtureRequest, installed_sqlite: dict[str, Path], tmp_path: Path
) -> Iterator[Program]:
    with _at_sqlite(request.param, installed_sqlite, tmp_path) as found:
        yield found


@pytest.fixture
def postgres_program(installed_dsn: str) -> Iterator[Program]:
    with contextlib.closing(psycopg.connect(installed_dsn, autocommit=True)) as connection:
        wipe_postgres(connection)
        yield Program(connection=connection, dialect="postgres")


@pytest.fixture
def tree(tmp_path: Path) -> TreeBuilder:
    """province → north → (one, two), south → three; over SQLite, settled."""
    return country(TreeBuilder(tmp_path))


@pytest.fixture
def plain(tmp_path: Path) -> ThreeTiers:
    """A province, a district, a commune; over SQLite, settled."""
    return three_tiers(TreeBuilder(tmp_path))


@contextlib.contextmanager
def _at_sqlite(variant: str, installed: dict[str, Path], folder: Path) -> Iterator[Program]:
    module, _, key = SQLITE_VARIANTS[variant]
    path = shutil.copy(installed[variant], folder / "node.db")
    with contextlib.closing(module.connect(path, isolation_level=None)) as connection:
        if key:
            connection.execute(f"PRAGMA key = \"x'{key}'\"")
        yield Program(connection=connection, dialect="sqlite")
