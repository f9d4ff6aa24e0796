"""Restored copies where units have passed on, or baselines were made, since the copy: the node works again (I13)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import baseline, keeping
from syncd.positions import HighWater
from tests.integration.shapes import ThreeTiers, add_person, own_stream, three_tiers
from tests.integration.test_rejoin import assert_equal, copy_of, mark, names
from tests.trees import TreeBuilder, step


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[ThreeTiers]:
    tree = three_tiers(TreeBuilder(tmp_path))
    yield tree
    for node in tree.nodes:
        node.store.close()


def test_root_seals_again_although_a_baseline_it_had_made_is_lost(plain: ThreeTiers, tmp_path: Path) -> None:
    add_person(plain.commune)
    plain.settle()
    yesterday = copy_of(plain.province)
    assert baseline.make(plain.province.node, own_stream(plain.commune)) is not None
    plain.settle()
    assert plain.district.value("SELECT count(*) FROM syncd_baseline WHERE is_whole = 1") == 1
    mark(plain.province)
    yesterday.put_back()
    plain.province.node.rejoin.watch(HighWater(tmp_path))

    plain.settle()
    plain.settle()  # nothing moves while the root asks, and is answered by the next question

    assert not plain.province.node.rejoin.holds_back()
    plain.province.sql(
        "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'ward', '42999', 'Hôm nay')",
        (plain.province.unit_id,),
    )
    assert_equal(plain)
    assert plain.commune.value("SELECT count(*) FROM unit WHERE code = '42999'") == 1


def test_keeper_restored_from_before_its_term_keeps_the_unit_again(plain: ThreeTiers) -> None:
    add_person(plain.commune, full_name="Hôm qua")
    plain.settle()
    keeping.order(plain.province.node, plain.commune.unit_id, plain.district.node.node_id, author="An", reason="thử")
    for node in (plain.province, plain.district, plain.commune, plain.commune):
        step(node)
    plain.district.node.apply_all()
    yesterday = copy_of(plain.district)  # the old keeper has ended its term, the new one has not begun
    plain.settle()
    kept = "SELECT mine FROM syncd_keeper WHERE unit_id = ?"
    assert plain.district.value(kept, (plain.commune.unit_id,)) == 1
    yesterday.put_back()

    plain.settle()

    assert plain.district.value(kept, (plain.commune.unit_id,)) == 1
    plain.district.sql("UPDATE person SET phone = '0999' WHERE full_name = 'Hôm qua'")
    plain.settle()
    assert plain.province.rows("SELECT phone FROM person WHERE full_name = 'Hôm qua'") == [("0999",)]
    assert names(plain.province) == {"Hôm qua"}
