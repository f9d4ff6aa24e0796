"""Restored copies find back, at each tier: nothing that was acknowledged is lost, and all tiers end equal (I13).

Whole trees in one process; a copy of a node's database file is put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.framing import FrameReader
from syncd.messages import position
from syncd.positions import HighWater, mark_restored
from tests.integration.copies import assert_equal, copy_of, mark, names, propose_phone
from tests.integration.shapes import ThreeTiers, add_household, add_person, envelopes, own_stream, three_tiers, tiers_on
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode, step


@pytest.fixture(params=["sqlite", "postgres province"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    """Three tiers; the root over either database."""
    with tiers_on(postgres_server, tmp_path, ("province",) if "postgres" in request.param else ()) as tree:
        yield tree


def awaits_answer(at: TreeNode) -> bool:
    return at.node.rejoin.awaits_answer


def test_yesterdays_copy_of_a_commune_takes_its_log_back(tiers: ThreeTiers) -> None:
    add_person(tiers.commune, full_name="Hôm qua")
    tiers.settle()
    yesterday = copy_of(tiers.commune)
    add_person(tiers.commune, full_name="Hôm nay")
    tiers.commune.sql("UPDATE person SET phone = '0999' WHERE full_name = 'Hôm qua'")
    tiers.prove()
    log_before = envelopes(tiers.province, own_stream(tiers.commune))
    yesterday.put_back()
    assert names(tiers.commune) == {"Hôm qua"}

    tiers.settle()

    assert names(tiers.commune) == {"Hôm qua", "Hôm nay"}
    assert tiers.commune.rows("SELECT phone FROM person WHERE full_name = 'Hôm qua'") == [("0999",)]
    assert envelopes(tiers.commune, own_stream(tiers.commune))[: len(log_before)] == log_before
    assert tiers.commune.value("SELECT count(*) FROM syncd_case") == 0
    assert_equal(tiers)


@pytest.mark.parametrize("is_sealed", [False, True], ids=["unsealed", "sealed"])
def test_what_was_typed_since_the_restore_becomes_proposals(tiers: ThreeTiers, is_sealed: bool) -> None:
    household = add_household(tiers.commune, "1")
    changed = add_person(tiers.commune, household, full_name="Sửa", phone="1", sex=1)
    disputed = add_person(tiers.commune, household, full_name="Tranh chấp", phone="1", sex=2, birth_date="1950-01-01")
    tiers.settle()
    yesterday = copy_of(tiers.commune)
    tiers.commune.sql("UPDATE person SET full_name = 'Hôm nay' WHERE id = ?", (disputed,))
    add_person(tiers.commune, household, full_name="Người mới", birth_date="1990-05-06", sex=2)
    tiers.settle()
    mark(tiers.commune)
    yesterday.put_back()
    if not is_sealed:
        tiers.commune.node.rejoin.watch(HighWater(tiers.builder.folder))
    tiers.commune.sql("UPDATE person SET phone = '2' WHERE id = ?", (changed,))
    tiers.commune.sql("UPDATE person SET full_name = 'Bản sao' WHERE id = ?", (disputed,))
    other = add_household(tiers.commune, "2")
    typed = add_person(tiers.commune, other, full_name="Gõ lại", birth_date="2001-02-03", sex=1)
    tiers.commune.sql(
        "INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-05', 1, 'tuổi già')", (typed,)
    )
    if is_sealed:
        tiers.commune.node.write()

    tiers.settle()

    assert names(tiers.commune) >= {"Sửa", "Hôm nay", "Người mới", "Gõ lại"}
    assert tiers.commune.value("SELECT phone FROM person WHERE id = ?", (changed,)) == "2"
    assert tiers.commune.value("SELECT full_name FROM person WHERE id = ?", (typed,)) == "Gõ lại", "it keeps its id"
    assert tiers.province.rows("SELECT cause FROM death") == [("tuổi già",)]
    outcomes = dict(tiers.province.rows(
        "SELECT p.row_id, v.outcome FROM proposal AS p JOIN verdict AS v ON v.proposal_id = p.id"
    ))  # fmt: skip
    assert outcomes[changed] == outcomes[typed] == outcomes[other] == "accepted"
    assert outcomes[disputed] == "review", "the custodian's branch stands until a person decides"
    wished = tiers.district.value("SELECT wished FROM proposal WHERE row_id = ?", (disputed,))
    assert "Bản sao" in wished
    assert all("cause" not in row[0] for row in tiers.district.rows("SELECT wished FROM proposal"))
    assert tiers.commune.value("SELECT count(*) FROM syncd_case WHERE kind = 'fork'") == int(is_sealed)
    assert_equal(tiers)


def test_older_copy_seals_nothing_until_its_parent_has_answered(tiers: ThreeTiers) -> None:
    add_person(tiers.commune, full_name="Hôm qua")
    tiers.settle()
    yesterday = copy_of(tiers.commune)
    add_person(tiers.commune, full_name="Hôm nay", birth_date="1999-01-01")
    tiers.settle()
    mark(tiers.commune)
    yesterday.put_back()
    commune = tiers.commune.node
    commune.rejoin.watch(HighWater(tiers.builder.folder))
    assert awaits_answer(tiers.commune)
    add_person(tiers.commune, full_name="Gõ thêm", birth_date="1988-08-08")
    held = tiers.commune.rows("SELECT stream_id, held_seq FROM syncd_stream WHERE own = 1")
    assert commune.write() == commune.checkpoint() == 0
    commune.settle()
    assert tiers.commune.rows("SELECT stream_id, held_seq FROM syncd_stream WHERE own = 1") == held
    tiers.settle()
    assert not awaits_answer(tiers.commune)
    assert names(tiers.province) == {"Hôm qua", "Hôm nay", "Gõ thêm"}
    assert_equal(tiers)
    mark(tiers.commune)
    commune.rejoin.watch(HighWater(tiers.builder.folder))
    assert not awaits_answer(tiers.commune)


def test_copy_that_is_said_to_be_one_awaits_an_answer_even_where_nothing_is_missing(tiers: ThreeTiers) -> None:
    add_person(tiers.commune)
    tiers.settle()
    mark(tiers.commune)
    mark_restored(tiers.builder.folder)
    tiers.commune.node.rejoin.watch(HighWater(tiers.builder.folder))
    assert awaits_answer(tiers.commune)
    tiers.settle()
    assert not tiers.commune.node.rejoin.holds_back()
    assert_equal(tiers)


def test_yesterdays_copy_of_a_district_takes_back_what_it_and_those_below_it_wrote(tmp_path: Path) -> None:
    builder = TreeBuilder(tmp_path)
    tiers = three_tiers(builder)
    add_person(tiers.commune, full_name="Hôm qua")
    tiers.prove()
    yesterday = copy_of(tiers.district)
    later = builder.child(tiers.district, "later", "42502")  # its record and keys are lost with the disk
    builder.settle()
    add_person(tiers.commune, full_name="Hôm nay", birth_date="1999-01-01")
    add_person(later, full_name="Xã mới", birth_date="1977-01-01")
    tiers.district.sql("INSERT INTO household (number, kind) VALUES ('7', 'family')")
    builder.settle()
    yesterday.put_back()
    tiers.district.sql("INSERT INTO household (number, kind) VALUES ('8', 'family')")
    assert tiers.district.value("SELECT count(*) FROM node WHERE name = 'later'") == 0
    builder.settle()
    assert names(tiers.district) == names(tiers.province) == {"Hôm qua", "Hôm nay", "Xã mới"}
    assert {row[0] for row in tiers.province.rows("SELECT number FROM household")} == {"7", "8"}
    add_person(later, full_name="Sau đó", birth_date="1971-01-01")
    builder.settle()
    assert "Sau đó" in names(tiers.province)
    assert_equal(tiers)


def test_district_takes_back_from_communes_what_its_own_parent_never_had(tmp_path: Path) -> None:
    builder = TreeBuilder(tmp_path)
    tiers = three_tiers(builder)
    person = add_person(tiers.commune)
    tiers.prove()
    yesterday = copy_of(tiers.district)
    propose_phone(tiers.district, person, "0777")
    tiers.district.node.write()
    for _ in range(3):  # the line to the province is broken, the commune hears its district
        step(tiers.commune)
        tiers.district.node.apply_all()
        tiers.district.node.settle()
        tiers.district.node.write()
    assert tiers.commune.value("SELECT phone FROM person") == "0777"
    yesterday.put_back()
    builder.settle()
    assert tiers.province.value("SELECT phone FROM person") == "0777"
    assert tiers.district.value("SELECT count(*) FROM proposal") == 1
    assert_equal(tiers)


@pytest.mark.parametrize("has_typed", [False, True], ids=["idle", "typed since"])
def test_root_restored_from_an_older_copy_is_handed_its_own_streams_back(tmp_path: Path, has_typed: bool) -> None:
    builder = TreeBuilder(tmp_path)
    tiers = three_tiers(builder)
    person = add_person(tiers.commune)
    tiers.prove()
    yesterday = copy_of(tiers.province)
    new_unit = "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'ward', ?, ?)"
    tiers.province.sql(new_unit, (tiers.province.unit_id, "42998", "Hôm nay"))
    tiers.province.sql(
        "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by)"
        " VALUES (?, ?, '079080000001', '2026-11-01T00:00:00Z', 'A')",
        (tiers.commune.unit_id, person),
    )
    add_person(tiers.commune, full_name="Hôm nay", birth_date="1999-01-01")
    builder.settle()
    mark(tiers.province)
    yesterday.put_back()
    tiers.province.node.rejoin.watch(HighWater(builder.folder))
    if has_typed:
        tiers.province.sql(new_unit, (tiers.province.unit_id, "42999", "Gõ lại"))
        assert tiers.province.node.write() == 0, "children are asked first"
    builder.settle()
    for node in tiers.nodes:
        codes = {row[0] for row in node.rows("SELECT code FROM unit")}
        assert ("42998" in codes, "42999" in codes) == (True, has_typed), node.name
        assert node.value("SELECT count(*) FROM person_check") == 1
    assert not tiers.province.node.rejoin.holds_back()
    assert_equal(tiers)


def test_answers_that_come_twice_change_nothing(plain: ThreeTiers) -> None:
    add_person(plain.commune, full_name="Hôm qua")
    plain.prove()
    yesterday = copy_of(plain.commune)
    add_person(plain.commune, full_name="Hôm nay", birth_date="1961-01-01")
    plain.settle()
    yesterday.put_back()
    add_person(plain.commune, full_name="Gõ lại", birth_date="2001-02-03")
    plain.commune.node.write()
    link, desk, me = plain.commune.link, plain.district.desk, plain.commune.node.node_id
    assert link is not None
    link.take_hello(desk.hello(me, link.hello()), 1, 1)
    reply, sending = desk.pull(me, link.pull(0))
    envelopes_ = FrameReader(b"").feed(sending.body)
    for _ in range(3):
        link.take_pull(reply, envelopes_)
        plain.commune.node.apply_all()
        plain.commune.node.settle()
    link.take_pull(reply, envelopes_)
    plain.settle()
    assert names(plain.province) == {"Hôm qua", "Hôm nay", "Gõ lại"}
    assert plain.province.value("SELECT count(*) FROM proposal") == 1
    assert_equal(plain)


def test_branch_of_another_is_never_taken_for_the_parents_word(plain: ThreeTiers) -> None:
    """A parent cannot make a node leave its branch by envelopes that its key did not sign."""
    add_person(plain.commune)
    plain.settle()
    stream_id = own_stream(plain.commune)
    before = envelopes(plain.commune, stream_id)
    forged = bytearray(before[-1])
    head = int.from_bytes(forged[:4], "big") & 0xFFFFFF
    forged[4 + head + 3] ^= 1  # inside the signature
    held = plain.commune.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (stream_id,))
    plain.commune.node.rejoin.differs(position(stream_id, held + 1, bytes(32)))
    received = plain.commune.node.accept(plain.district.node.node_id, [bytes(forged)])
    assert received.taken == 0
    assert envelopes(plain.commune, stream_id) == before
    assert plain.commune.value("SELECT count(*) FROM syncd_wish") == 0
