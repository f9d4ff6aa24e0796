"""Aggregates: cells follow the rows, nothing stays at zero, and a recount finds what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.tables import registry
from syncd.aggregate import Cells, recount
from tests.integration.shapes import lone_root
from tests.postgres import PostgresServer
from tests.trees import TreeNode

TABLES = registry().by_name
PERSON, DEATH, MIGRATION = TABLES["person"], TABLES["death"], TABLES["migration"]
UNIT = "01900000-0000-7000-8000-00000badcafe"


@pytest.fixture(params=["sqlite", "postgres"])
def root(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[TreeNode]:
    dsn = request.getfixturevalue("postgres_dsn") if request.param == "postgres" else None
    node = lone_root(tmp_path, dsn)
    yield node
    node.store.close()


def fold(at: TreeNode, *changes: tuple[str, int, list[list[object]]]) -> None:
    at.broken = True  # cells without records
    cells = Cells()
    for table, sign, values in changes:
        cells.add(TABLES[table], UNIT, sign, values)
    with at.store.apply("fold") as tx:
        cells.store(tx)


def stock(at: TreeNode) -> list[tuple[object, ...]]:
    return at.rows("SELECT sex, month, ethnic, residence, n FROM syncd_cell_stock ORDER BY 1, 2, 3, 4")


def people(count: int, sex: int = 1, born: str = "1980-02-29") -> list[list[object]]:
    return [[sex] * count, [born] * count, ["01"] * count, ["usual"] * count]


def test_people_are_counted_by_sex_month_of_birth_ethnic_group_and_residence(root: TreeNode) -> None:
    fold(
        root, ("person", +1, people(3)), ("person", +1, people(2, sex=2)), ("person", +1, people(1, born="1980-02-01"))
    )
    assert stock(root) == [(1, "1980-02", "01", "usual", 4), (2, "1980-02", "01", "usual", 2)]


def test_row_that_moves_leaves_one_cell_and_enters_another_in_one_step(root: TreeNode) -> None:
    fold(root, ("person", +1, people(1)))
    fold(root, ("person", -1, people(1)), ("person", +1, people(1, sex=2)))
    assert stock(root) == [(2, "1980-02", "01", "usual", 1)]


def test_cell_that_becomes_zero_is_dropped_even_when_it_never_was_stored(root: TreeNode) -> None:
    fold(root, ("person", +1, people(2)))
    fold(root, ("person", -1, people(2)))
    fold(root, ("person", +1, people(1)), ("person", -1, people(1)))
    assert stock(root) == []


def test_events_are_counted_by_month_and_kind_with_sex_zero_when_unknown(root: TreeNode) -> None:
    fold(
        root,
        ("death", +1, [[1, None], ["2026-03-05", "2026-03-31"]]),
        ("migration", +1, [["arrival", "departure", "arrival"], [2, 2, 2], ["2026-04-01"] * 3]),
    )
    assert root.rows("SELECT month, kind, sex, n FROM syncd_cell_flow ORDER BY 1, 2, 3") == [
        ("2026-03", "death", 0, 1),
        ("2026-03", "death", 1, 1),
        ("2026-04", "arrival", 2, 2),
        ("2026-04", "departure", 2, 1),
    ]


def test_table_without_fold_and_row_about_all_units_count_nowhere(root: TreeNode) -> None:
    cells = Cells()
    cells.add(TABLES["household"], UNIT, +1, [["1"]])
    cells.add(PERSON, None, +1, people(1))
    cells.add(PERSON, UNIT, +1, [])
    with root.store.apply("fold") as tx:
        cells.store(tx)
    assert stock(root) == []


def type_everything(at: TreeNode) -> None:
    """Rows of every counted table, changed in every way that counts, and in one that does not."""
    with at.store.write("clerk") as tx:
        ids = [
            tx.value(
                "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
                " VALUES ('A', ?, ?, 'd', '01', 'usual') RETURNING id",
                (1 + n % 2, f"19{50 + n}-0{1 + n % 9}-15"),
            )
            for n in range(9)
        ]
        for month in ("2026-01-02", "2026-02-02"):
            tx.run("INSERT INTO death (person_id, died_on) VALUES (?, ?)", (ids[0], month))
            tx.run("INSERT INTO birth (born_on, sex) VALUES (?, 1)", (month,))
            for direction in ("arrival", "departure"):
                tx.run(
                    "INSERT INTO migration (person_id, direction, moved_on, sex) VALUES (?, ?, ?, 2)",
                    (ids[1], direction, month),
                )
    at.node.write()
    at.sql("UPDATE person SET sex = 2, phone = '1' WHERE id = ?", (ids[0],))
    at.sql("UPDATE person SET phone = '2'")
    at.sql("UPDATE person SET residence = 'departed' WHERE sex = 1")
    at.sql("UPDATE death SET died_on = '2026-05-05', sex = 1")
    at.sql("DELETE FROM person WHERE id = ?", (ids[2],))
    at.sql("DELETE FROM migration WHERE direction = 'arrival'")
    at.node.write()


def test_cells_equal_a_recount_of_every_counted_table(root: TreeNode) -> None:
    type_everything(root)
    assert root.value("SELECT sum(n) FROM syncd_cell_stock") == 8
    assert root.value("SELECT sum(n) FROM syncd_cell_flow") == 2 + 2 + 2
    with root.store.read() as tx:
        assert recount(tx, root.store.registry) == []


def test_recount_names_what_is_missing_and_what_is_surplus(root: TreeNode) -> None:
    type_everything(root)
    root.broken = True
    with root.store.apply("sabotage") as tx:
        tx.run("UPDATE syncd_cell_flow SET n = n + 1 WHERE kind = 'birth' AND month = '2026-01'")
        tx.run("DELETE FROM syncd_cell_flow WHERE kind = 'death'")
        tx.run(
            "INSERT INTO syncd_cell_stock (unit_id, sex, month, ethnic, residence, n)"
            " VALUES (?, 1, '1900-01', '01', 'usual', 1)",
            (UNIT,),
        )
    with root.store.read() as tx:
        found = recount(tx, root.store.registry)
    said = sorted((line.split(":")[0], "missing" if "missing" in line else "surplus") for line in found)
    assert said == [
        ("syncd_cell_flow", "missing"),
        ("syncd_cell_flow", "missing"),
        ("syncd_cell_flow", "surplus"),
        ("syncd_cell_stock", "surplus"),
    ]
