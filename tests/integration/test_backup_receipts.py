"""The custodian's word about its backup: every tier hears of it, once; no other node's backup vouches (I9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.backup import back_up
from syncd.status import status
from tests.integration.baselines import saved
from tests.integration.shapes import ThreeTiers, add_household, add_person, own_stream, tiers_on
from tests.postgres import PostgresMix
from tests.trees import TreeNode


@pytest.fixture(params=[(), ("province", "district", "commune")], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_mix, tmp_path, request.param) as tree:
        yield tree


def levels(at: TreeNode, stream_id: str) -> tuple[Any, ...]:
    return at.rows("SELECT held_seq, custodian_seq, backed_up_seq FROM syncd_stream WHERE stream_id = ?", (stream_id,))[
        0
    ]


def test_a_verified_backup_of_the_root_is_told_to_every_tier_beside_newer_receipts(
    tiers: ThreeTiers, tmp_path: Path
) -> None:
    add_person(tiers.commune, add_household(tiers.commune))
    tiers.settle()
    made = back_up(tiers.province.node, saved(tiers.province, tmp_path), tmp_path / "stick")
    assert made.vouched == tiers.province.value("SELECT count(*) FROM syncd_stream WHERE applied_seq > 0")
    stream_id = own_stream(tiers.commune)
    held = levels(tiers.commune, stream_id)[0]
    assert levels(tiers.commune, stream_id) == (held, held, 0)
    tiers.settle()
    for node in (tiers.district, tiers.commune):
        assert levels(node, stream_id) == (held, held, held)
    add_person(tiers.commune)
    tiers.settle()  # a newer receipt of the applied position does not replace the older one of the backup
    for node in tiers.nodes:
        assert levels(node, stream_id) == (held + 1, held + 1, held)
        assert node.rows("SELECT level FROM syncd_receipt WHERE stream_id = ? ORDER BY level", (stream_id,)) == [
            (1,),
            (2,),
        ]
    with tiers.commune.store.read() as tx:
        own = status(tx).own
    assert own.at_custodian is not None
    assert own.backed_up == own.at_custodian - 1


def test_a_backup_of_any_other_node_vouches_for_nothing(tiers: ThreeTiers, tmp_path: Path) -> None:
    add_person(tiers.commune)
    tiers.settle()
    made = back_up(tiers.district.node, saved(tiers.district, tmp_path), tmp_path / "stick")
    assert made.vouched == 0
    tiers.settle()
    assert {row[0] for node in tiers.nodes for row in node.rows("SELECT max(backed_up_seq) FROM syncd_stream")} == {0}


def test_an_idle_tree_exchanges_no_receipt_of_a_backup_twice(tiers: ThreeTiers, tmp_path: Path) -> None:
    tiers.settle()
    back_up(tiers.province.node, saved(tiers.province, tmp_path), tmp_path / "stick")
    tiers.settle()
    for node in (tiers.district, tiers.commune):
        assert node.link is not None
        assert node.parent is not None
        reply, _ = node.parent.desk.pull(node.node.node_id, node.link.pull(0))
        assert reply.receipts == []


def test_a_clock_set_back_at_the_root_hides_no_backup(tiers: ThreeTiers, tmp_path: Path) -> None:
    for _ in range(2):
        add_person(tiers.commune)
        tiers.settle()
        back_up(tiers.province.node, saved(tiers.province, tmp_path), tmp_path / "stick")
        tiers.settle()
        held = levels(tiers.commune, own_stream(tiers.commune))
        assert held[2] == held[0]
        tiers.builder.clock.now_ms -= 10_000_000
