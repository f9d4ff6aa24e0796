"""Trees that the tests of this folder share: one per worker, copied for each test (see `pairs.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.pairs import Pair, copied, copied_on, made
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def pair_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Over SQLite."""
    with made(tmp_path_factory.mktemp("template"), "sqlite") as found:
        yield found


@pytest.fixture(scope="session")
def postgres_pair_template(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Pair]:
    """The province over PostgreSQL."""
    dsn = postgres_server.create_database()
    with made(tmp_path_factory.mktemp("template"), dsn) as found:
        yield found
    postgres_server.drop_database(dsn)


@pytest.fixture
def pair(pair_template: Pair, tmp_path: Path) -> Iterator[Pair]:
    """A province and a commune of this test's own, at rest, nothing running."""
    with copied(pair_template, tmp_path) as found:
        yield found


@pytest.fixture
def postgres_pair(postgres_pair_template: Pair, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Pair]:
    """The same with the province over PostgreSQL."""
    with copied_on(postgres_server, postgres_pair_template, tmp_path) as found:
        yield found
