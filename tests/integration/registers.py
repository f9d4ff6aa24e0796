"""Four nodes for disagreements: communes A and B below a district, the district below a province; rows of all kinds.

Enters: a builder, DSNs. Leaves: the tree, ids of rows as the keepers' databases minted them, cases as found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.grown import grow
from tests.integration.shapes import add_person
from tests.trees import TreeBuilder, TreeNode

DAY_MS = 24 * 3600 * 1000
TODAY = "2026-09-21"  # of the tests' clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """The nodes, and what each test asks of them."""

    builder: TreeBuilder
    province: TreeNode
    district: TreeNode
    a: TreeNode
    b: TreeNode
    c: TreeNode  # a commune right below the province

    @property
    def nodes(self) -> list[TreeNode]:
        return [self.province, self.district, self.a, self.b, self.c]

    def settle(self) -> None:
        self.builder.settle()

    def later(self, days: int) -> None:
        """Let days pass, and every node look at what is due."""
        self.builder.clock.now_ms += days * DAY_MS
        self.settle()

    def found_at(self, kind: str) -> dict[str, int]:
        """Node → how many open cases of a kind."""
        counts = {node.name: len(cases(node, kind)) for node in self.nodes}
        return {name: count for name, count in counts.items() if count}


def registers(builder: TreeBuilder, dsns: dict[str, str] | None = None) -> Registers:
    """Built and settled. `dsns`: node name → DSN; the others are SQLite files."""
    grow(builder, _build_registers, dsns or {})
    province, district, a, b, c = builder.nodes
    return Registers(builder=builder, province=province, district=district, a=a, b=b, c=c)


def _build_registers(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    province = builder.root("province", "42", dsns.get("province"))
    district = builder.child(province, "district", "425", dsns.get("district"))
    builder.child(district, "a", "42501", dsns.get("a"))
    builder.child(district, "b", "42502", dsns.get("b"))
    builder.child(province, "c", "42601", dsns.get("c"))
    builder.settle()


def cases(at: TreeNode, kind: str | None = None) -> list[tuple[str, str, dict[str, Any]]]:
    """Open cases of a node: id, kind, detail."""
    rows = at.rows("SELECT case_id, kind, detail FROM syncd_case WHERE closed_at IS NULL ORDER BY opened_at, case_id")
    return [(row[0], row[1], json.loads(row[2])) for row in rows if kind in (None, row[1])]


def person(at: TreeNode, **values: Any) -> str:
    """A person without anything that could disagree."""
    return add_person(at, **{"phone": None, **values})


def mother(at: TreeNode, **values: Any) -> str:
    return person(at, **{"sex": 2, "birth_date": "1995-04-01", **values})


def birth(at: TreeNode, **values: Any) -> str:
    return insert(at, "birth", born_on="2026-03-01", sex=1, **values) if "born_on" not in values else insert(
        at, "birth", **{"sex": 1, **values})  # fmt: skip


def death(at: TreeNode, person_id: str, died_on: str = "2026-05-01") -> str:
    return insert(at, "death", person_id=person_id, died_on=died_on)


def move(at: TreeNode, person_id: str, direction: str, moved_on: str = "2026-09-01", **values: Any) -> str:
    return insert(at, "migration", person_id=person_id, direction=direction, moved_on=moved_on, **values)


def insert(at: TreeNode, table: str, **values: Any) -> str:
    """A row as a clerk types it; its id."""
    marks = ", ".join("?" * len(values))
    with at.store.write("clerk") as tx:
        return str(tx.value(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks}) RETURNING id", tuple(values.values())
        ))  # fmt: skip
