"""The tree changes while others look at it, and what was sequenced elsewhere is not sequenced again (I3, I7)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from schema.replicated import TERM_MAX
from syncd import admission
from syncd.config import Config
from syncd.errors import JoinRefused
from syncd.node_files import OpenNode
from syncd.pipeline import Node
from syncd.security.enrol import JoinRequest
from syncd.setup import insert_node
from syncd.signals import APPLIED
from syncd.startup import forget_old_numbers
from syncd.store.base import Tx
from syncd.vitals import Vitals
from syncd.workers import Applier, Life
from tests.integration.shapes import (
    ThreeTiers,
    add_person,
    content,
    envelopes,
    own_stream,
    root_and_commune,
    three_tiers,
)
from tests.trees import TreeBuilder, _record


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[ThreeTiers]:
    tree = three_tiers(TreeBuilder(tmp_path))
    yield tree
    for node in tree.nodes:
        node.store.close()


def test_record_that_comes_while_the_tree_is_being_read_is_not_forgotten(
    tiers: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tiers.district.node
    node.forget_tree()
    read = node.store.read

    @contextmanager
    def read_late() -> Iterator[Tx]:
        with read() as tx:
            node.forget_tree()  # another thread has just committed a record that this snapshot does not see
            yield tx

    monkeypatch.setattr(node.store, "read", read_late)  # the moment between the snapshot and remembering
    old = node.tree()
    monkeypatch.undo()
    assert node.tree() is not old


def test_unit_moved_at_the_root_is_answered_for_at_once(tiers: ThreeTiers) -> None:
    """Not only below, where the change is applied."""
    other = tiers.builder.child(tiers.province, "other", "426")
    tiers.settle()
    unit = tiers.commune.unit_id
    tiers.province.sql("UPDATE unit SET parent_id = ? WHERE id = ?", (other.unit_id, unit))
    tiers.settle()
    kept = "SELECT 1 FROM syncd_keeper WHERE unit_id = ?"
    assert tiers.province.rows(kept, (unit,)) == tiers.district.rows(kept, (unit,)) == []


def test_child_that_another_process_let_in_is_heard(tiers: ThreeTiers) -> None:
    second = Node(tiers.district.store, tiers.district.keys, tiers.district.node.clock, tiers.district.node._random)
    assert len(second.tree().nodes) == 3
    sibling = tiers.builder.child(tiers.district, "sibling", "42502")
    tiers.settle()
    add_person(sibling)
    sibling.node.write()
    control = envelopes(sibling, own_stream(sibling, 3))
    assert second.accept(sibling.node.node_id, control).refused == {}


def test_loaded_dump_is_sequenced_once(tmp_path: Path, postgres_dsn: str) -> None:
    """A dump loaded into a younger server: its journal bears transaction numbers of the old one."""
    builder, root, commune = root_and_commune(tmp_path, commune=postgres_dsn)
    add_person(commune)
    with commune.store.apply("as loaded") as tx:
        tx.run("UPDATE syncd_journal SET tx = tx + 1000000000")
    forget_old_numbers(commune.store)
    assert commune.node.write() > 0
    assert commune.node.write() == 0
    builder.settle()
    assert content(root, "person") == content(commune, "person")


def test_group_waited_for_in_vain_is_waited_for_again_only_after_it_moved(
    tiers: ThreeTiers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Or one child on a bad line would make every turn wait, and all other streams with it (I10)."""
    monkeypatch.setattr("syncd.limits.OPEN_GROUP_WAIT_S_MAX", 0.0)
    at = tiers.district
    opened = OpenNode(directory=tmp_path, config=Config(), keys=at.keys, store=at.store, node=at.node, facts={})
    worker = Applier(Life(), Vitals(at.node.clock, lambda: None), opened)
    more = worker._more_of("a")
    assert more is not None
    assert not more()
    assert worker._more_of("a") is None
    assert worker._more_of("b") is not None
    at.node.signals.emit(APPLIED, ["a"])
    assert worker._more_of("a") is not None


def request_of(node_id: str) -> JoinRequest:
    return JoinRequest(
        secret=b"", node_id=node_id, ed25519_public=bytes(32), x25519_public=bytes(32), csr=b"", issuer_csr=None,
        name="station", proof=b"",
    )  # fmt: skip


def test_node_with_another_s_tag_is_not_let_in(tiers: ThreeTiers) -> None:
    double = f"00000000-0000-7000-8000-0000{tiers.province.keys.tag}"
    with (
        tiers.district.store.write("admit") as tx,
        pytest.raises(JoinRefused, match="tag"),
    ):
        admission._record(tx, tiers.district.node, request_of(double), tiers.commune.unit_id, 1)


def test_child_cannot_give_away_a_unit_that_is_not_its_own(tiers: ThreeTiers) -> None:
    """Its record about a sibling's unit neither holds the unit nor uses up its terms."""
    unit = f"01900000-0000-7000-8abc-0000{tiers.province.keys.tag}"
    tiers.province.sql(
        "INSERT INTO unit (id, parent_id, level, code, name) VALUES (?, ?, 'unit', '42502', 'free')",
        (unit, tiers.district.unit_id),
    )
    squatter = replace(
        _record(tiers.commune), parent_id=tiers.commune.node.node_id, unit_id=unit, term=TERM_MAX, name="squatter"
    )
    with tiers.commune.store.write("hostile") as tx:
        insert_node(tx, squatter, 1)
    tiers.settle()
    station = "00000000-0000-7000-8000-000012345678"
    with tiers.district.store.write("admit") as tx:
        admission._require_free(tx, tiers.district.node, unit, station)
        assert admission._record(tx, tiers.district.node, request_of(station), unit, 1) == 1
