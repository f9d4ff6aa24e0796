"""Restored copies where units have passed on, or baselines were made, since the copy: the node works again (I13)."""

from __future__ import annotations

from pathlib import Path

from syncd import baseline, keeping
from syncd.positions import HighWater
from tests.integration.copies import assert_equal, copy_of, mark, names
from tests.integration.shapes import ThreeTiers, add_person, own_stream
from tests.trees import TreeNode, step


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


def force_to_district(tiers: ThreeTiers) -> None:
    keeping.order(
        tiers.province.node, tiers.commune.unit_id, tiers.district.node.node_id, author="An", reason="thử", forced=True
    )


def settle(tiers: ThreeTiers) -> None:
    """Rounds in which nothing moves may stand between two that move something: one asks, the next answers."""
    for _ in range(4):
        tiers.settle()


def works(at: TreeNode) -> bool:
    return not at.node.rejoin.holds_back() and at.value("SELECT count(*) FROM syncd_wish") == 0


def test_copy_that_goes_on_beyond_a_forced_end_takes_its_late_writes_back(plain: ThreeTiers) -> None:
    """What the lost disk wrote too late stays apart above; what was typed since becomes proposals; it works on."""
    add_person(plain.commune, full_name="Hôm qua")
    plain.settle()
    yesterday = copy_of(plain.commune)
    force_to_district(plain)
    for node in (plain.province, plain.district):
        step(node)
    add_person(plain.commune, full_name="Muộn")
    step(plain.commune)
    late = plain.district.rows("SELECT seq, hash FROM syncd_quarantine")
    assert late
    yesterday.put_back()
    add_person(plain.commune, full_name="Gõ lại")
    assert plain.commune.node.write()

    settle(plain)

    assert works(plain.commune)
    for node in plain.nodes:
        assert node.rows("SELECT seq, hash FROM syncd_quarantine ORDER BY seq")[: len(late)] == late, node.name
    wished = {row[0] for row in plain.province.rows("SELECT wished FROM proposal")}
    assert any("Gõ lại" in each for each in wished)


def test_copy_that_shows_more_than_a_forced_end_keeps_the_unit_again(plain: ThreeTiers) -> None:
    """Its own term can only follow once the term before has gone back to its end, which seals nothing."""
    add_person(plain.commune, full_name="Hôm qua")
    plain.settle()
    add_person(plain.commune, full_name="Muộn")
    step(plain.commune)
    plain.district.node.apply_all()
    assert names(plain.district) == {"Hôm qua", "Muộn"}
    yesterday = copy_of(plain.district)
    force_to_district(plain)
    settle(plain)
    assert names(plain.district) == names(plain.province)
    yesterday.put_back()

    settle(plain)

    assert works(plain.district)
    assert plain.district.value("SELECT mine FROM syncd_keeper WHERE unit_id = ?", (plain.commune.unit_id,)) == 1
    assert names(plain.district) == names(plain.province)
