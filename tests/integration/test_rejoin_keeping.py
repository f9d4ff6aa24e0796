"""Restored copies where units have passed on, or baselines were made, since the copy: the node works again (I13)."""

from __future__ import annotations

from pathlib import Path

from syncd import baseline, keeping, quarantine
from syncd.framing import FrameReader
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


def test_late_writes_that_a_copy_has_lost_are_admitted_above_it(plain: ThreeTiers) -> None:
    """The unit came back to who wrote them: a person is asked there, unless its disk does not hold them any more."""
    commune, district = plain.commune, plain.district
    add_person(commune, full_name="Hôm qua")
    plain.settle()
    yesterday = copy_of(commune)
    force_to_district(plain)
    for node in (plain.province, district):
        step(node)
    add_person(commune, full_name="Muộn")
    settle(plain)
    keeping.order(district.node, commune.unit_id, commune.node.node_id, author="An", reason="thử")
    settle(plain)
    assert (len(waiting(commune)), waiting(district)) == (1, [])

    yesterday.put_back()
    settle(plain)

    assert waiting(commune) == []
    [stream_id] = waiting(district)
    assert district.node.adopt_late(stream_id, "Bình").proposals == 1
    settle(plain)
    for node in plain.nodes:
        assert names(node) == {"Hôm qua", "Muộn"}, node.name


def test_two_branches_of_late_writes_are_both_admitted(plain: ThreeTiers) -> None:
    """Written too late before a copy was put back, and after: neither is taken for the other."""
    commune, district = plain.commune, plain.district
    add_person(commune, full_name="Hôm qua")
    plain.settle()
    yesterday = copy_of(commune)
    force_to_district(plain)
    for node in (plain.province, district):
        step(node)
    add_person(commune, full_name="Muộn")
    settle(plain)
    yesterday.put_back()
    add_person(commune, full_name="Gõ lại")
    assert commune.node.write()
    assert commune.link is not None
    hears_the_order(commune)  # before it tells where it stands
    settle(plain)
    [stream_id] = waiting(district)
    assert district.value("SELECT count(DISTINCT hash) - count(DISTINCT seq) FROM syncd_quarantine") == 1
    assert district.rows("SELECT seq, hash FROM syncd_quarantine ORDER BY 1, 2") == plain.province.rows(
        "SELECT seq, hash FROM syncd_quarantine ORDER BY 1, 2")  # fmt: skip

    assert district.node.adopt_late(stream_id, "Bình").proposals == 2

    settle(plain)
    for node in plain.nodes[:2]:
        assert names(node) == {"Hôm qua", "Muộn", "Gõ lại"}, node.name


def waiting(at: TreeNode) -> list[str]:
    """Streams of which somebody has to admit late writes here."""
    with at.store.read() as tx:
        return [row[0] for row in quarantine.waiting(tx, at.node.tree())]


def hears_the_order(at: TreeNode) -> None:
    """What flows down to a node, and nothing else of a session."""
    assert at.link is not None
    assert at.parent is not None
    reply, down = at.parent.desk.pull(at.node.node_id, at.link.pull(0))
    at.link.take_pull(reply, FrameReader(b"").feed(down.body))
    at.node.apply_all()
    at.node.settle()


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
