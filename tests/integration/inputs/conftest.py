"""A node's database of each kind, for what is read into it: as the root's (depth 0) or as a commune's (depth 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.store.base import Store
from tests.postgres import PostgresServer
from tests.unit.inputs.builders import postgres_store, sqlite_store

Open = Callable[[int], Store]


@pytest.fixture(params=["sqlite", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Open]:
    """Opens the test's database as a node of a given depth."""
    opened: list[Store] = []

    def at(depth: int) -> Store:
        if request.param == "sqlite":
            opened.append(sqlite_store(tmp_path / "node.db", depth))
        else:
            opened.append(postgres_store(request.getfixturevalue("postgres_dsn"), depth))
        return opened[0]

    yield at
    for store in opened:
        store.close()


@pytest.fixture
def root(opening: Open) -> Store:
    return opening(0)


@pytest.fixture
def commune(opening: Open) -> Store:
    return opening(2)
