"""The views that show this node's own pending wishes over the rows as they are kept, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.clock import instant_of
from syncd.proposals import withdraw
from syncd.proposing import Wish, propose
from tests.integration.shapes import ThreeTiers, add_person, three_tiers
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode

MIXTURES: dict[str, tuple[str, ...]] = {"sqlite": (), "postgres": ("district",)}  # the author's database matters


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    with postgres_server.databases(MIXTURES[request.param]) as dsns:
        made = three_tiers(TreeBuilder(tmp_path), dsns)
        yield made
        for node in made.nodes:
            node.store.close()


def wish(by: TreeNode, row_id: str | None, wished: dict[str, Any], operation: str = "update", **more: Any) -> str:
    code = "42501" if row_id is None else None
    made = Wish(
        operation=operation,
        table="person",
        row_id=row_id,
        unit_code=code,
        wished=wished,
        author="A",
        reason="B",
        **more,
    )
    return propose(by.store, made, by.node.clock()).proposal_id


def shown(at: TreeNode, *names: str) -> list[tuple[Any, ...]]:
    return at.rows(f"SELECT {', '.join(names)} FROM person_with_pending ORDER BY full_name, phone")


def test_pending_wishes_are_laid_over_the_kept_row_and_the_table_stays_as_kept(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    other = add_person(tree.commune, full_name="Xuân", phone="1")
    tree.settle()
    wish(tree.district, row_id, {"phone": "2", "birth_date": "1980-03-01"})
    wish(tree.district, row_id, {"phone": None, "sex": 2})  # the newest about a column counts, also where it empties it
    wish(tree.province, row_id, {"relation": "03"})  # not this node's own
    tree.province.node.write()
    names = ("id", "pending", "phone", "sex", "birth_date", "relation", "full_name")
    assert shown(tree.district, *names) == [
        (row_id, "update", None, 2, "1980-03-01", None, "Nguyễn Thị Bưởi"),
        (other, None, "1", 1, "1980-02-29", None, "Xuân"),
    ]
    assert tree.district.rows("SELECT phone, sex FROM person WHERE id = ?", (row_id,)) == [("0901", 1)]
    assert [row[0] for row in shown(tree.province, "relation")] == ["03", None]
    tree.settle()
    assert [row[1] for row in shown(tree.district, "id", "pending")] == [None, None], "decided wishes are rows now"


def test_wished_rows_stand_beside_the_kept_ones_and_wished_deletes_are_marked(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    wish(tree.district, row_id, {"phone": "5"})
    wish(tree.district, row_id, {}, "delete")
    new = {"full_name": "Trẻ mới", "sex": 2, "birth_date": "2026-01-05", "birth_precision": "d", "ethnic": "01",
           "residence": "usual"}  # fmt: skip
    proposal_id = wish(tree.district, None, new, "insert")
    assert shown(tree.district, "id", "unit_id", "pending", "full_name", "birth_date", "phone") == [
        (row_id, tree.commune.unit_id, "delete", "Nguyễn Thị Bưởi", "1980-02-29", "5"),
        (proposal_id, tree.commune.unit_id, "insert", "Trẻ mới", "2026-01-05", None),
    ]


def test_withdrawn_and_expired_wishes_are_not_shown(tree: ThreeTiers) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    taken_back = wish(tree.district, row_id, {"phone": "2"})
    withdraw(tree.district.store, taken_back, tree.builder.clock())
    tree.builder.clock.now_ms -= 1_000_000_000_000  # the view asks the database's clock
    wish(tree.district, row_id, {"relation": "03"}, expires_at=instant_of(tree.builder.clock() + 1_000))
    assert shown(tree.district, "pending", "phone", "relation") == [(None, "0901", None)]


NONSENSE = ("[", "[]", "1", '{"phone": [1]}', '{"sex": "x"}', '{"birth_date": "2024-02-31"}', "[" * 9000, '{"a": 1}')


@pytest.mark.parametrize("wished", NONSENSE)
def test_a_wish_that_only_sql_could_write_breaks_no_view(tree: ThreeTiers, wished: str) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    for operation in ("update", "insert"):
        tree.district.sql(
            "INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
            " author_depth) VALUES (?, 'person', ?, ?, '{}', ?, 'A', 'B', '2026-11-01T00:00:00Z', 1)",
            (tree.commune.unit_id, row_id if operation == "update" else None, operation, wished),
        )
    assert len(shown(tree.district, *_person_names(tree))) == 2


def test_every_register_table_has_its_view(tree: ThreeTiers) -> None:
    for table in ("household", "person", "birth", "death", "migration"):
        columns = [column.name for column in tree.district.store.registry.by_name[table].columns]
        names = ", ".join(["id", "unit_id", "pending", *columns])
        assert tree.district.rows(f"SELECT {names} FROM {table}_with_pending") == []


def _person_names(tree: ThreeTiers) -> list[str]:
    return [column.name for column in tree.district.store.registry.by_name["person"].columns]
