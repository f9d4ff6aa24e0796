"""A recount of every database of a tree of real processes by plain SQL, in a process that imports nothing of ours.

The recount itself (`recount.py`) is tried first: a value altered at a district, a cell, a row too many must be found.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import recount
from tests.acceptance.processes import ROOT, Tree
from tests.acceptance.writers import open_plain
from tests.postgres import PostgresServer

PERSONS = 300
DEATHS = (
    "INSERT INTO death (person_id, died_on, sex, cause)"
    " SELECT id, '2026-01-02', sex, 'bệnh tim' FROM person ORDER BY id LIMIT 3"
)
SCRIPT = ROOT / "tests" / "acceptance" / "recount.py"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tree(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Tree]:
    """A province, a district, two communes with generated registers, deaths with a cause among them; stopped."""
    database = "sqlite" if request.param == "sqlite" else postgres_server.create_database()
    with contextlib.closing(Tree(tmp_path_factory.mktemp("recount"))) as made:
        province = made.root(database, {"425": ["42501", "42502"]})
        district = made.join(province, "425", hub=True)
        district.start()
        for code in ("42501", "42502"):
            commune = made.join(district, code)
            commune.start()
            made.keeps(commune)
            done = commune.command("generate", "--persons", str(PERSONS), "--seed", code)
            assert done.returncode == 0, done.stderr
            assert commune.command("sql", DEATHS).returncode == 0
        made.rest()
        for station in made.stations:
            station.stop()
        yield made


def test_plain_sql_finds_every_tier_equal(tree: Tree) -> None:
    """In a process of its own: only the drivers and the key files."""
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *map(str, tree.directories())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["differences"] == []
    assert told["imported"] == []
    rows = told["rows"]
    assert rows["42"] == rows["425"], "the district relays every row"
    for table in ("household", "person", "birth", "death", "migration"):
        assert rows["42"][table] == rows["42501"][table] + rows["42502"][table] > 0, table


def test_cause_of_death_is_at_commune_and_province_alone(tree: Tree) -> None:
    counts = [station.one("SELECT count(*) FROM death WHERE cause IS NOT NULL") for station in tree.stations]
    province, district, first, second = counts
    assert (province, district) == (first + second, 0)
    assert first > 0


@pytest.mark.parametrize("tree", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE person SET phone = '1' WHERE id = (SELECT max(id) FROM person)", "with other values"),
        ("DELETE FROM migration WHERE id = (SELECT max(id) FROM migration)", "1 lost"),
        ("UPDATE death SET cause = 'x' WHERE id = (SELECT max(id) FROM death)", "with other values"),
        ("UPDATE syncd_cell_stock SET n = n + 1 WHERE n = (SELECT max(n) FROM syncd_cell_stock)", "stock cell"),
        ("UPDATE unit SET name = 'khác' WHERE code = '42501'", "unit differs"),
    ],
)
def test_recount_finds_what_was_altered_behind_the_daemon(tree: Tree, statement: str, found: str) -> None:
    """At the district, in a copy of the tree's files."""
    district = tree.stations[1].directory
    connection = open_plain(district)
    connection.execute("PRAGMA foreign_keys = OFF")
    backup = (district / "syncd.db").read_bytes()
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO syncd_applying (one) VALUES (1)")
        connection.execute(statement)
        connection.execute("DELETE FROM syncd_applying")
        connection.execute("COMMIT")
        connection.close()
        assert any(found in line for line in recount.differences(tree.directories()))
    finally:
        connection.close()
        restore(district, backup)
    assert recount.differences(tree.directories()) == []


def restore(directory: Path, database: bytes) -> None:
    """Put the file back as it was; nobody has it open."""
    for path in directory.glob("syncd.db-*"):
        path.unlink()
    (directory / "syncd.db").write_bytes(database)
