"""Signed by a node of the tree, carried by its rightful way, and still not to be believed (I4, I5, I10, I11)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from schema.spec import Audience, Kind
from syncd import keys
from syncd.envelope import parse_envelope, stream_id_of, without_part
from syncd.security.identity import NodeKeys
from syncd.setup import insert_node
from syncd.tree import NodeRecord
from tests.integration.shapes import ThreeTiers, add_person, content, envelopes, own_stream, state, tiers_on
from tests.postgres import PostgresMix
from tests.trees import TreeNode, _record

KEY = b"k" * keys.EPOCH_KEY_BYTES


@pytest.fixture(params=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    names = ("province", "district") if request.param == "postgres" else ()
    with tiers_on(postgres_mix, tmp_path, names) as tree:
        yield tree


def grant(by: TreeNode, stream_id: str, audience: Audience, epoch: int, reader: TreeNode) -> None:
    """A grant of a key that `by` chose."""
    with by.store.write("hostile") as tx:
        to = keys.Reader(node_id=reader.node.node_id, sealing_public=reader.keys.x25519_public)
        keys.grant(tx, stream_id, int(audience), epoch, KEY, to)


def record_by(by: TreeNode, record: NodeRecord) -> None:
    with by.store.write("hostile") as tx:
        insert_node(tx, record, 1_790_000_000_000)


@pytest.mark.parametrize("audience", [Audience.SCOPE, Audience.CUSTODIAN])
def test_envelope_that_a_relay_robbed_of_a_part_is_refused_and_the_whole_one_taken(
    tiers: ThreeTiers, audience: Audience
) -> None:
    add_person(tiers.commune)
    person = tiers.commune.value("SELECT id FROM person")
    tiers.commune.sql("INSERT INTO death (person_id, died_on, cause) VALUES (?, '2026-03-05', 'x')", (person,))
    tiers.commune.node.write()
    desk, peer = tiers.district.desk, tiers.commune.node.node_id
    desk.push(peer, envelopes(tiers.commune, own_stream(tiers.commune, 3)))
    robbed = without_part(parse_envelope(envelopes(tiers.commune, own_stream(tiers.commune))[0]), int(audience))
    assert [refusal.code for refusal in desk.push(peer, [robbed.to_bytes()]).refused] == ["refused"]
    tiers.prove()
    assert content(tiers.province, "person") == content(tiers.commune, "person")
    assert content(tiers.province, "death") == content(tiers.commune, "death")


def test_parent_cannot_choose_the_key_that_its_child_seals_with(tiers: ThreeTiers) -> None:
    person = add_person(tiers.commune)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    grant(tiers.district, stream_id, Audience.CUSTODIAN, 2, tiers.commune)
    tiers.settle()
    tiers.commune.sql("INSERT INTO death (person_id, died_on, cause) VALUES (?, '2026-03-05', 'x')", (person,))
    tiers.prove()
    assert {part.epoch for part in parse_envelope(envelopes(tiers.commune, stream_id)[-1]).header.parts} == {1}
    assert tiers.province.value("SELECT cause FROM death") == "x"


def test_sibling_cannot_have_a_stream_opened_with_a_wrong_key(tiers: ThreeTiers) -> None:
    sibling = tiers.builder.child(tiers.district, "sibling", "42502")
    tiers.settle()
    stream_id = stream_id_of(Kind.REGISTER, sibling.unit_id, sibling.node.node_id, 1)
    grant(tiers.commune, stream_id, Audience.SCOPE, 1, tiers.district)
    tiers.settle()
    add_person(sibling)
    tiers.settle()
    assert state(tiers.district, stream_id) == ("ok", None)
    assert content(tiers.district, "person") == content(sibling, "person")


def test_sibling_cannot_keep_a_key_from_another(tiers: ThreeTiers) -> None:
    sibling = tiers.builder.child(tiers.district, "sibling", "42502")
    tiers.settle()
    stream_id = stream_id_of(Kind.OVERSIGHT, sibling.unit_id, tiers.province.node.node_id, 1)
    grant(tiers.commune, stream_id, Audience.SCOPE, 1, sibling)
    person = add_person(sibling)
    tiers.settle()
    tiers.province.sql(
        "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by)"
        " VALUES (?, ?, '079080000001', '2026-11-01T00:00:00Z', 'A')",
        (sibling.unit_id, person),
    )
    tiers.settle()
    assert sibling.rows("SELECT citizen_id FROM person_check") == [("079080000001",)]


def test_record_that_gives_the_root_another_key_or_place_counts_for_nothing(tiers: ThreeTiers) -> None:
    thief = NodeKeys.generate(random.Random(5).randbytes)
    root = _record(tiers.province)
    record_by(
        tiers.district,
        replace(root, parent_id=tiers.district.node.node_id, sealing_public=thief.x25519_public, term=99),
    )
    tiers.settle()
    for node in tiers.nodes:
        tree = node.node.tree()
        assert tree.root_id == root.node_id
        assert tree.nodes[root.node_id].sealing_public == root.sealing_public


def test_record_of_another_hub_s_child_does_not_move_it(tiers: ThreeTiers) -> None:
    """The other hub's child stays reachable by the way of those who let it in."""
    other = tiers.builder.child(tiers.province, "other", "426")
    record_by(other, replace(_record(tiers.district), parent_id=other.node.node_id, term=99))
    tiers.settle()
    assert tiers.province.node.tree().nodes[tiers.district.node.node_id].parent_id == tiers.province.node.node_id
    add_person(tiers.commune)
    tiers.settle()
    assert content(tiers.province, "person") == content(tiers.commune, "person")


def test_node_with_the_root_s_tag_is_not_known(tiers: ThreeTiers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever searched for keys until their id ended like the root's could mint records in its name."""
    double = f"{tiers.commune.node.node_id[:28]}{tiers.province.keys.tag}"
    monkeypatch.setattr("syncd.tree._id_of_key", lambda _key: double)  # 2^32 keys are too many for a test
    record_by(tiers.district, replace(_record(tiers.commune), node_id=double, parent_id=tiers.district.node.node_id))
    with tiers.district.store.read() as tx:
        from syncd.tree import load_tree

        assert double not in load_tree(tx).nodes


def test_node_cannot_begin_streams_without_end(tiers: ThreeTiers) -> None:
    """A stream per term would fill every hello above it."""
    from syncd.log import Stream

    commune = tiers.commune.node.node_id
    for kind, unit in ((Kind.CONTROL, None), (Kind.OVERSIGHT, tiers.commune.unit_id)):
        found = [
            tiers.district.node.tree().keeps(
                Stream(stream_id="", kind=kind, unit_id=unit, keeper=commune, term=term, own=False)
            )
            for term in (1, 2, 77)
        ]
        assert found == [True, False, False]


def test_verdict_about_another_unit_s_proposal_decides_nothing(tiers: ThreeTiers) -> None:
    """Only the keeper of the row's unit decides; its neighbour's word stands in the neighbour's own stream."""
    sibling = tiers.builder.child(tiers.district, "sibling", "42502")
    tiers.settle()
    person = add_person(tiers.commune)
    tiers.settle()
    with tiers.district.store.write("propose") as tx:
        proposal = tx.value(
            "INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
            " author_depth) VALUES (?, 'person', ?, 'update', '{\"phone\":\"0901\"}', '{\"phone\":\"0909\"}', 'A', 'r',"
            " '2026-11-01T00:00:00Z', 1) RETURNING id",
            (tiers.commune.unit_id, person),
        )
    other = "INSERT INTO verdict (unit_id, proposal_id, outcome, detail, decided_at, decided_by) VALUES (?, ?, 'rejected', '{}', '2026-11-01T00:00:00Z', 'B')"  # noqa: E501
    with tiers.commune.store.apply("as if it had come") as tx:
        tx.run(
            other.replace("(unit_id", "(id, unit_id", 1).replace("(?, ?", "(?, ?, ?", 1),
            (f"019a0000-0000-7000-8000-0000{sibling.keys.tag}", sibling.unit_id, proposal),
        )
    tiers.settle()
    assert tiers.district.value("SELECT phone FROM person") == "0909"
