"""What a turn in which nothing happens costs: a bound on statements, which on PostgreSQL are ways to the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.registers import Registers, registers
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder, finish, step

# 48 when this was written, 22 of them beginnings and ends of transactions; 71 and 30 before reads were shared.
STATEMENTS_MAX = 50


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent to a PostgreSQL server from here on."""
    sent: list[str] = []
    execute = psycopg.Connection.execute

    def noted(self: psycopg.Connection[Any], query: Any, *rest: Any, **named: Any) -> Any:
        sent.append(str(query))
        return execute(self, query, *rest, **named)

    monkeypatch.setattr(psycopg.Connection, "execute", noted)
    return sent


@pytest.fixture
def tree(tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[Registers]:
    with postgres_mix.databases(("province", "district")) as dsns:
        tree = registers(TreeBuilder(tmp_path), dsns)
        tree.settle()
        yield tree
        finish()


def test_a_quiet_turn_of_a_tier_between_costs_few_statements(tree: Registers, statements: list[str]) -> None:
    statements.clear()
    assert not step(tree.district)
    counted = len(statements)
    assert 0 < counted <= STATEMENTS_MAX, "\n".join(statements)
    assert sum(each.startswith("BEGIN") for each in statements) <= 11, "\n".join(statements)
