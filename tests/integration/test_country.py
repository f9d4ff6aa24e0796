"""The whole country's units flow down a tree.

Uses the official conversion where it lies beside the project, else the extract that ships with the package; the test's
id says which.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from syncd.inputs.units import demo_unit_rows, import_units, load_units
from tests.trees import TreeBuilder

OFFICIAL = Path(__file__).parents[3] / "shared" / "data" / "unit_changes_2025.csv"
SOURCE = "official" if OFFICIAL.is_file() else "extract"


@pytest.mark.parametrize("source", [SOURCE])
def test_every_unit_known_at_the_root_reaches_a_commune_two_hops_below(tmp_path: Path, source: str) -> None:
    builder = TreeBuilder(tmp_path)
    root = builder.root(name="country", code="VN")
    builder.settle()
    district = builder.child(root, "district", "436")
    commune = builder.child(district, "commune", "18073")
    builder.settle()
    if source == "official":
        with OFFICIAL.open(encoding="utf-8", newline="") as lines:
            imported = import_units(root.store, lines, clock=builder.clock, random=random.Random(1))
        assert imported is not None
    else:
        with root.store.write("import") as tx:
            load_units(tx, demo_unit_rows(), time_ms=builder.clock(), random=random.Random(1))
    builder.settle()
    queries = (
        "SELECT level, count(*), count(valid_to) FROM unit GROUP BY level ORDER BY level",
        "SELECT operation, count(*) FROM unit_change GROUP BY operation ORDER BY operation",
        "SELECT id, parent_id, code, name, valid_from, valid_to FROM unit ORDER BY id",
    )
    for query in queries:
        assert root.rows(query) == district.rows(query) == commune.rows(query)
    if source == "official":
        communes = commune.value("SELECT count(*) FROM unit WHERE level = 'commune' AND valid_to IS NULL")
        gone = commune.value("SELECT count(*) FROM unit WHERE level = 'commune' AND valid_to IS NOT NULL")
        assert (communes, gone) == (3316, 10033)
