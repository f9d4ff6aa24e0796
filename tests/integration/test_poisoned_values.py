"""Rows of registers and of oversight whose values are odd, yet within the rules: every duty of every tier goes on, and
every screen is drawn (I10).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from schema.ddl import Dialect
from schema.spec import Column, Kind, Table, Type
from schema.tables import registry
from schema.views import views
from syncd.cli.conflict_list import listed
from syncd.cli.conflict_text import conflict_text
from syncd.cli.status_text import screen
from syncd.disagreement_names import code_names
from syncd.disagreements import conflicts
from syncd.errors import SyncdError
from syncd.proposals import every
from syncd.review.candidates import candidates
from syncd.status import status
from tests.contained import Contained
from tests.integration.shapes import ThreeTiers, add_household, add_person, three_tiers
from tests.trees import TreeBuilder, TreeNode, exchange

NOW = "2026-01-01T00:00:00Z"
DEEP = "[" * 60_000
TEXTS = (
    "", " ", "\x1b[2J", "\u202e", "{}", "[]", "null", "1", "NaN", "1e999", "-0", '{"a": NaN}', '{"full_name": 1e999}',
    '{"columns": null}', '{"columns": [1]}', '{"columns": [{"column": {}}]}', '{"effects": [1]}', '{"effects": 7}',
    '{"full_name": {"hex": "zz"}}', '{"why": []}', '{"word": 1}', DEEP, '{"a":' * 10_000, "9" * 5_000, "01", "x" * 60,
    "insert", "update", "delete", "accepted", "review", "referred", "same-person", "undo", "person", "node", "nowhere",
    "duplicate_person", "fork", "fork\n", "%s{x}",
)  # fmt: skip
VALUES: dict[Type, tuple[Any, ...]] = {
    Type.TEXT: TEXTS,
    Type.INT: (-(2**63), -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 1),
    Type.DATE: ("0001-01-01", "9999-12-31", "2024-02-29"),
    Type.INSTANT: ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"),
    Type.BYTES: (b"", b"\xff" * 100),
    Type.UUID: ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
}
KINDS = {"commune": Kind.REGISTER, "district": Kind.OVERSIGHT, "province": Kind.OVERSIGHT}
FILLED: dict[Type, Any] = {
    Type.TEXT: "x", Type.INT: 1, Type.DATE: "2020-01-01", Type.INSTANT: NOW, Type.BYTES: b"x",
}  # fmt: skip


@pytest.fixture
def tiers(tmp_path: Path) -> ThreeTiers:
    return three_tiers(TreeBuilder(tmp_path))


def good(column: Column, person: str) -> Any:
    """A value that the column's rule most likely takes."""
    known: dict[str, Any] = {
        "operation": "update", "outcome": "rejected", "verdict": "later", "table_name": "person", "seen": "{}",
        "wished": '{"full_name": "Y"}', "detail": "{}", "case_kind": "duplicate_person", "author_depth": 1, "sex": 1,
        "birth_precision": "d", "residence": "usual", "kind": "family", "number": "7", "ethnic": "01",
        "state": "linked", "status": "linked", "level": "unit", "method": "person",
    }  # fmt: skip
    return person if column.type is Type.UUID else known.get(column.name, FILLED[column.type])


def insert(by: TreeNode, table: Table, row: dict[str, Any]) -> bool:
    """As any program; whether the rules took it."""
    with suppress(SyncdError):
        by.sql(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
        return True
    return False


def poison(by: TreeNode, table: Table, unit_id: str, person: str) -> int:
    """Every value of every column that the rules take, a row each; how many."""
    base = {column.name: good(column, person) for column in table.columns}
    unit = {"unit_id": unit_id} if "unit_id" in table.by_name else {}
    taken = 0
    for column in table.columns:
        for value in (None, *VALUES[column.type]):
            taken += insert(by, table, {**base, **unit, column.name: value})
    return taken


def draw(at: TreeNode) -> None:
    """Every screen of this node, from its tables."""
    with at.store.read() as tx:
        found = conflicts(tx)
        assert listed(tx, found) or not found
        for each in found[:50]:
            assert conflict_text(each, code_names(tx, each), candidates(tx, each))
        every(tx, 1_790_000_000_000)
        for name in views(Dialect.SQLITE, at.store.registry):
            tx.all(f"SELECT * FROM {name}")
        screen(status(tx), None, 1_790_000_000_000)


@pytest.mark.parametrize("who", KINDS)
def test_odd_values_stop_no_duty_and_no_screen(tiers: ThreeTiers, contained: Contained, who: str) -> None:
    by: TreeNode = getattr(tiers, who)
    person = add_person(tiers.commune, add_household(tiers.commune))
    tiers.settle()
    tables = [table for table in registry() if table.kind is KINDS[who]]
    taken = {table.name: poison(by, table, tiers.commune.unit_id, person) for table in tables}
    assert sum(taken.values()) > 100
    for _ in range(6):
        for node in tiers.nodes:
            node.node.write()
            if node.link is not None and node.parent is not None:
                exchange(node.link, node.parent.desk, node)
            node.node.apply_all()
            node.node.settle()
    for node in tiers.nodes:
        draw(node)
    assert contained.bugs == []
    assert contained.stopped == []
    after = add_person(tiers.commune)
    for _ in range(4):
        for node in tiers.nodes:
            node.node.write()
            if node.link is not None and node.parent is not None:
                exchange(node.link, node.parent.desk, node)
            node.node.apply_all()
    assert tiers.province.value("SELECT count(*) FROM person WHERE id = ?", (after,)) == 1
