"""Restored copies where units have passed on, or baselines were made, since the copy: the node works again (I13)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncd import baseline, baseline_taking, keeping, limits, quarantine
from syncd.framing import FrameReader
from syncd.positions import HighWater
from tests.integration.baselines import forget, made, stream_of
from tests.integration.copies import Copy, assert_equal, copy_of, mark, names
from tests.integration.shapes import ThreeTiers, add_person, own_stream
from tests.trees import TreeNode, exchange, step


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


def test_keeper_restored_from_before_its_term_reads_anew_what_only_keepers_read(plain: ThreeTiers) -> None:
    """It had read the columns when it took the unit over; no log of its own tells them."""
    commune, district = plain.commune, plain.district
    person = add_person(commune, full_name="Hôm qua")
    commune.sql("INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-05', 1, 'I64')", (person,))
    plain.settle()
    keeping.order(plain.province.node, commune.unit_id, district.node.node_id, author="An", reason="thử")
    for node in (plain.province, district, commune, commune):
        step(node)
    district.node.apply_all()
    yesterday = copy_of(district)
    settle(plain)
    assert district.value("SELECT cause FROM death") == "I64"
    yesterday.put_back()
    assert district.value("SELECT cause FROM death") is None

    settle(plain)

    assert district.value("SELECT cause FROM death") == "I64"
    district.node.checkpoint()
    settle(plain)
    assert plain.province.rows("SELECT tab FROM syncd_checkpoint WHERE ok = 0") == []


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


def hand_up(at: TreeNode) -> None:
    """What is written goes up; nothing is heard."""
    assert at.link is not None
    assert at.parent is not None
    at.node.write()
    now_ms = at.node.clock()
    at.link.take_hello(at.parent.desk.hello(at.node.node_id, at.link.hello()), now_ms, now_ms)
    while sending := at.link.next_push():
        at.link.take_push(at.parent.desk.push(at.node.node_id, FrameReader().feed(sending.body)))


def ask_for(at: TreeNode, *stream_ids: str) -> None:
    """Exchange until these are in the log, without applying anything of registers."""
    assert at.link is not None
    assert at.parent is not None
    for _ in range(4):
        exchange(at.link, at.parent.desk, at)
    assert all(stream_of(at, stream_id).held_seq for stream_id in stream_ids)


def quarantined(at: TreeNode, stream_id: str) -> list[tuple[int, bytes]]:
    rows = at.rows("SELECT seq, hash FROM syncd_quarantine WHERE stream_id = ? ORDER BY seq", (stream_id,))
    return [(int(row[0]), bytes(row[1])) for row in rows]


def write_late(tiers: ThreeTiers) -> tuple[str, Copy]:
    """The commune's term ends by force; it has not heard of it, and two envelopes come late: between them a copy was
    made. Returns its stream."""
    commune = tiers.commune
    add_person(commune, full_name="Hôm qua")
    tiers.settle()
    force_to_district(tiers)
    for node in (tiers.province, tiers.district):
        step(node)
    add_person(commune, full_name="Muộn")
    hand_up(commune)
    yesterday = copy_of(commune)
    commune.sql("UPDATE person SET phone = '0777'")
    hand_up(commune)
    settle(tiers)
    return own_stream(commune), yesterday


def test_copy_from_between_two_late_writes_hears_of_the_second(plain: ThreeTiers) -> None:
    """Else it would write another envelope in its place, which nobody takes."""
    stream_id, yesterday = write_late(plain)
    late = quarantined(plain.district, stream_id)
    assert quarantined(plain.commune, stream_id) == late
    noted = mark(plain.commune)
    yesterday.put_back()
    plain.commune.node.rejoin.watch(noted)  # it seals nothing before it has been answered
    add_person(plain.commune, full_name="Gõ lại")

    settle(plain)

    assert works(plain.commune)
    for node in (plain.district, plain.commune):
        assert quarantined(node, stream_id)[: len(late)] == late, node.name
    assert quarantined(plain.district, stream_id) == quarantined(plain.commune, stream_id)
    wished = {row[0] for row in plain.province.rows("SELECT wished FROM proposal")}
    assert any("Gõ lại" in each for each in wished)


def own_register(of: TreeNode, unit_id: str) -> str:
    query = "SELECT stream_id FROM syncd_stream WHERE kind = 1 AND unit_id = ? AND own = 1"
    return str(of.value(query, (unit_id,)))


def give_back(tiers: ThreeTiers) -> str:
    """The district ends its term of the commune's unit; returns the stream."""
    unit_id = tiers.commune.unit_id
    tiers.district.sql("DELETE FROM person WHERE full_name = 'Hôm qua'")
    tiers.district.node.write()
    keeping.order(tiers.province.node, unit_id, tiers.commune.node.node_id, author="An", reason="thử")
    return own_register(tiers.district, unit_id)


def test_copy_goes_back_to_a_forced_end_before_its_later_term_follows(plain: ThreeTiers) -> None:
    """The unit has come back to it meanwhile: both terms come back from above, and the second waits for the first."""
    _first, yesterday = write_late(plain)
    give_back(plain)
    settle(plain)
    add_person(plain.commune, full_name="Hôm nay")
    settle(plain)
    assert names(plain.province) == {"Hôm nay"}
    yesterday.put_back()

    settle(plain)

    assert works(plain.commune)
    add_person(plain.commune, full_name="Gõ lại")
    settle(plain)
    for node in plain.nodes:
        assert names(node) == {"Hôm nay", "Gõ lại"}, node.name


@pytest.mark.parametrize("has_baseline", [False, True])
def test_nothing_follows_a_term_of_which_late_writes_still_come_back(
    plain: ThreeTiers, monkeypatch: pytest.MonkeyPatch, has_baseline: bool
) -> None:
    """They change rows as these stood then, wherever applying them was interrupted."""
    commune, district = plain.commune, plain.district
    nothing = copy_of(commune, "nothing")
    first, _yesterday = write_late(plain)
    second = give_back(plain)
    if has_baseline:
        made(district, second)
        forget(district, second, stream_of(district, second).held_seq)
    for node in (plain.province, district, plain.province, district):
        step(node)
    nothing.put_back()
    ask_for(commune, first, second)
    monkeypatch.setattr(limits, "WRITE_LOCK_MS_MAX", 0)
    monkeypatch.setattr(limits, "APPLY_TURNS_MAX", 1)
    assert commune.node.applier.apply(first)
    at = stream_of(commune, first)
    assert at.rejoin_seq
    assert at.applied_seq == commune.node.tree().terms[commune.unit_id][0].ended_seq
    assert at.applied_seq < at.held_seq
    commune.node.applier.apply(second)
    baseline_taking.take(commune.store, commune.node.applier, second)
    assert stream_of(commune, second).applied_seq == 0

    settle(plain)

    assert works(commune)
    assert commune.value("SELECT mine FROM syncd_keeper WHERE unit_id = ?", (commune.unit_id,)) == 1
    assert commune.rows("SELECT state, reason FROM syncd_stream WHERE state <> 'ok'") == []
    for node in plain.nodes:
        assert names(node) == set(), node.name


def test_copy_that_shows_more_than_an_end_that_its_own_ended_term_follows(plain: ThreeTiers) -> None:
    """Its own term comes back with late writes of its own, and can be shown only once the term before has gone back."""
    add_person(plain.commune, full_name="Hôm qua")
    plain.settle()
    add_person(plain.commune, full_name="Muộn")
    step(plain.commune)
    plain.district.node.apply_all()
    yesterday = copy_of(plain.district)
    force_to_district(plain)
    settle(plain)
    kept = own_register(plain.district, plain.commune.unit_id)
    keeping.order(
        plain.province.node, plain.commune.unit_id, plain.commune.node.node_id, author="An", reason="thử", forced=True
    )
    plain.district.sql("UPDATE person SET phone = '0777' WHERE full_name = 'Hôm qua'")
    hand_up(plain.district)
    settle(plain)
    late = quarantined(plain.province, kept)
    assert late
    assert quarantined(plain.district, kept) == late
    yesterday.put_back()
    ask_for(plain.district, kept)
    for _ in range(4):  # nothing else need be heard
        plain.district.node.apply_all()
        plain.district.node.settle()
    assert works(plain.district)

    settle(plain)

    assert quarantined(plain.district, kept) == late
    assert plain.district.rows("SELECT state, reason FROM syncd_stream WHERE state <> 'ok'") == []
    assert names(plain.district) == names(plain.province) == {"Hôm qua"}


@pytest.mark.parametrize("knows_baseline", [False, True])
def test_branch_that_is_longer_than_a_baseline_above_gives_way_to_it(plain: ThreeTiers, knows_baseline: bool) -> None:
    """The common past was pruned above, so nothing but the baseline leads back; the branch is longer than that."""
    commune, district, province = plain.commune, plain.district, plain.province
    add_person(commune, full_name="Hôm qua")
    plain.settle()
    stream_id = own_stream(commune)
    yesterday = copy_of(commune)
    add_person(commune, full_name="Hôm nay")
    plain.settle()
    made(province, stream_id)
    if knows_baseline:
        settle(plain)
    else:
        step(district)
    for node in (district, province):
        forget(node, stream_id, stream_of(node, stream_id).held_seq)
    if not knows_baseline:
        add_person(commune, full_name="Sau đó")
        hand_up(commune)
    yesterday.put_back()
    typed = {f"Gõ {n}" for n in range(5)}
    for name in sorted(typed):
        add_person(commune, full_name=name)
        commune.node.write()
    assert stream_of(commune, stream_id).held_seq > stream_of(district, stream_id).floor_seq

    settle(plain)

    assert works(commune)
    settle(plain)
    late = set() if knows_baseline else {"Sau đó"}
    for node in plain.nodes:
        assert names(node) == {"Hôm qua", "Hôm nay", *late, *typed}, node.name
        assert node.rows("SELECT state, reason FROM syncd_stream WHERE state <> 'ok'") == [], node.name


def test_common_past_is_found_where_the_log_above_begins(plain: ThreeTiers) -> None:
    """The distances of other samples may step over it."""
    commune = plain.commune
    add_person(commune, full_name="Hôm qua")
    plain.settle()
    stream_id = own_stream(commune)
    made(plain.province, stream_id)
    settle(plain)
    yesterday, begins_seq = copy_of(commune), stream_of(commune, stream_id).held_seq
    later, typed = ({f"{word} {n}" for n in range(3)} for word in ("Sau đó", "Gõ"))
    for name in sorted(later):
        add_person(commune, full_name=name)
        commune.node.write()
    settle(plain)
    for node in (plain.district, plain.province):
        forget(node, stream_id, begins_seq)
    yesterday.put_back()
    for name in sorted(typed):
        add_person(commune, full_name=name)
        commune.node.write()
    assert stream_of(commune, stream_id).held_seq == begins_seq + 3

    settle(plain)

    assert works(commune)
    for node in plain.nodes:
        assert names(node) == {"Hôm qua", *later, *typed}, node.name


def test_value_for_the_custodian_alone_waits_for_a_person_where_the_unit_has_passed_on(plain: ThreeTiers) -> None:
    """Typed on a copy that was left behind: no proposal may carry it, and the row is another node's to write."""
    commune, table = plain.commune, plain.commune.store.registry.by_name["death"]
    person = add_person(commune, full_name="Hôm qua")
    commune.sql("INSERT INTO death (person_id, died_on, sex) VALUES (?, '2026-03-05', 1)", (person,))
    plain.settle()
    keeping.order(plain.province.node, commune.unit_id, plain.district.node.node_id, author="An", reason="thử")
    settle(plain)
    row_id = commune.value("SELECT id FROM death")
    with commune.store.apply("left") as tx:
        tx.run(
            "INSERT INTO syncd_wish (wish_id, stream_id, place, tab, row_id, op, seen, wished, made_ms)"
            " VALUES (?, ?, 1, ?, ?, 'update', '{\"cause\": null}', '{\"cause\": \"I64\"}', 1)",
            (row_id, own_stream(commune), table.number, row_id),
        )
    settle(plain)
    assert commune.rows("SELECT op FROM syncd_wish") == [("kept",)]
    assert commune.rows("SELECT kind, row_id FROM syncd_case WHERE closed_at IS NULL") == [("fork", row_id)]
    assert commune.value("SELECT cause FROM death") is None


def test_nothing_is_sealed_before_keys_granted_on_a_branch_are_granted_again(plain: ThreeTiers) -> None:
    commune = plain.commune
    names_ = ("stream_id", "audience", "epoch", "reader_id", "sealed_key")
    add_person(commune)
    plain.settle()
    stream_id = own_stream(commune)
    (row_id, *values) = commune.rows(
        f"SELECT id, {', '.join(names_)} FROM key_grant WHERE stream_id = ? AND reader_id = ?",
        (stream_id, commune.node.node_id),
    )[0]
    granted = dict(zip(names_, [*values[:4], bytes(values[4]).hex()], strict=True))
    with commune.store.apply("left") as tx:
        tx.run(
            "INSERT INTO syncd_wish (wish_id, stream_id, place, tab, row_id, op, seen, wished, made_ms)"
            " SELECT ?, stream_id, 1, 2, ?, 'insert', '{}', ?, 1 FROM syncd_stream WHERE own = 1 AND kind = 3",
            (row_id, row_id, json.dumps(granted)),
        )
    add_person(commune)
    assert commune.node.write() == 0
    commune.node.settle()
    assert commune.node.write() > 0
