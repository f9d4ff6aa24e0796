"""Trees for the tests of this folder, over SQLite and PostgreSQL, and what they compare.

Enters: a builder, DSNs of empty databases per node. Leaves: nodes, rows of plain SQL, envelopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.grown import grow
from tests.postgres import PostgresMix, PostgresServer
from tests.trees import TreeBuilder, TreeNode

PERSON = ("household_id", "full_name", "sex", "birth_date", "birth_precision", "ethnic", "residence", "phone")
NAMES = ("Nguyễn Thị Bưởi", "Trần Văn Đức\t\\N", "Lê 'Ngọc' \"Ánh\"\nhai", "Phạm Ồn")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeTiers:
    """A province, a district, a commune."""

    builder: TreeBuilder
    province: TreeNode
    district: TreeNode
    commune: TreeNode

    @property
    def nodes(self) -> list[TreeNode]:
        return [self.province, self.district, self.commune]

    def settle(self) -> None:
        self.builder.settle()

    def prove(self) -> None:
        """Let every keeper state its content, and everybody compare."""
        self.builder.settle()
        for node in self.nodes:
            node.node.checkpoint()
        self.builder.settle()


def three_tiers(builder: TreeBuilder, dsns: Mapping[str, str] | None = None) -> ThreeTiers:
    """Built and settled. `dsns`: node name → DSN of an empty database; the others are SQLite files."""
    grow(builder, build_three_tiers, dsns or {})
    return tiers_of(builder)


def tiers_of(builder: TreeBuilder) -> ThreeTiers:
    """The nodes by their tier."""
    province, district, commune = builder.nodes
    return ThreeTiers(builder=builder, province=province, district=district, commune=commune)


def build_three_tiers(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    """The same in databases as they are, whatever was set on them."""
    province = builder.root("province", "42", dsns.get("province"))
    district = builder.child(province, "district", "425", dsns.get("district"))
    builder.child(district, "commune", "42501", dsns.get("commune"))
    builder.settle()


def lone_root(folder: Path, dsn: str | None = None) -> TreeNode:
    """A province that stands alone."""
    builder = TreeBuilder(folder)
    grow(builder, _build_root, _named("province", dsn))
    return builder.nodes[0]


def _build_root(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    builder.root(dsn=dsns.get("province"))


def two_communes(folder: Path, dsn: str | None = None) -> tuple[TreeBuilder, TreeNode, TreeNode, TreeNode]:
    """A province and two communes right below it, settled: builder, province, `one`, `two`. `dsn`: the province's."""
    builder = TreeBuilder(folder)
    grow(builder, _build_two_communes, _named("province", dsn))
    province, one, two = builder.nodes
    return builder, province, one, two


def _build_two_communes(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    root = builder.root(dsn=dsns.get("province"))
    builder.child(root, "one", "101")
    builder.child(root, "two", "102")
    builder.settle()


def root_and_commune(
    folder: Path, *, root: str | None = None, commune: str | None = None
) -> tuple[TreeBuilder, TreeNode, TreeNode]:
    """A province and one commune, settled: builder, province, `commune`. `root`, `commune`: their DSNs."""
    builder = TreeBuilder(folder)
    grow(builder, _build_root_and_commune, {**_named("province", root), **_named("commune", commune)})
    province, found = builder.nodes
    return builder, province, found


def _build_root_and_commune(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    root = builder.root(dsn=dsns.get("province"))
    builder.child(root, "commune", "101", dsns.get("commune"))
    builder.settle()


def _named(node: str, dsn: str | None) -> dict[str, str]:
    return {} if dsn is None else {node: dsn}


@contextmanager
def tiers_on(server: PostgresServer | PostgresMix, folder: Path, names: Sequence[str]) -> Iterator[ThreeTiers]:
    """Three tiers, the nodes named on databases of their own on the server, the others on SQLite files."""
    with server.databases(names) as dsns:
        tree = three_tiers(TreeBuilder(folder), dsns)
        yield tree
        for node in tree.nodes:
            node.store.close()


class Died(BaseException):
    """What a test's process dies of; everything in its memory is lost."""


def die_at(point: str) -> Callable[[str], None]:
    """A failpoint at which the process dies."""

    def failpoint(name: str) -> None:
        if name == point:
            raise Died(name)

    return failpoint


def add_household(at: TreeNode, number: str = "1") -> str:
    with at.store.write("clerk") as tx:
        return str(tx.value("INSERT INTO household (number, kind) VALUES (?, 'family') RETURNING id", (number,)))


def add_person(at: TreeNode, household: str | None = None, **values: Any) -> str:
    """One person typed at a keeper; returns the id that its database minted."""
    row = {
        "household_id": household,
        "full_name": NAMES[0],
        "sex": 1,
        "birth_date": "1980-02-29",
        "birth_precision": "d",
        "ethnic": "01",
        "residence": "usual",
        "phone": "0901",
        **values,
    }
    with at.store.write("clerk") as tx:
        return str(
            tx.value(
                f"INSERT INTO person ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) RETURNING id",
                tuple(row.values()),
            )
        )


def content(at: TreeNode, table: str, *, without: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """A table by plain SQL, in the order of ids."""
    found = at.store.registry.by_name[table]
    names = [column.sql for column in found.all_columns if column.name not in without]
    return [
        tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
        for row in at.rows(f"SELECT {', '.join(names)} FROM {found.sql} ORDER BY id")
    ]


def own_stream(at: TreeNode, kind: int = 1) -> str:
    """The id of a node's own stream of a kind (the first one)."""
    return str(at.value("SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = ? ORDER BY stream_id", (kind,)))


def envelopes(at: TreeNode, stream_id: str) -> list[bytes]:
    """A stream's log, as bytes."""
    return [
        bytes(row[0])
        for row in at.rows("SELECT envelope FROM syncd_log WHERE stream_id = ? ORDER BY seq", (stream_id,))
    ]


def positions(at: TreeNode) -> list[tuple[Any, ...]]:
    """Everything that receiving or applying could move."""
    return [
        *at.rows("SELECT stream_id, held_seq, applied_seq, state FROM syncd_stream ORDER BY stream_id"),
        *at.rows("SELECT stream_id, count(*) FROM syncd_log GROUP BY stream_id ORDER BY stream_id"),
        *at.rows("SELECT 'rows', count(*) FROM person"),
    ]


def state(at: TreeNode, stream_id: str) -> tuple[str, str | None]:
    """A stream's state and its reason."""
    found = at.rows("SELECT state, reason FROM syncd_stream WHERE stream_id = ?", (stream_id,))[0]
    return found[0], found[1]
