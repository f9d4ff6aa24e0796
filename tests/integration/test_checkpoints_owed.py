"""Checkpoints are owed until they are written, and only to who is still told of the stream (I1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from syncd import keeping
from syncd.config import Config
from syncd.node_files import DATABASE_FILE, OpenNode
from syncd.positions import HighWater
from syncd.prove import EQUAL, PAST, exit_code, prove
from syncd.status import status
from syncd.vitals import Vitals
from syncd.workers import Life, Writer
from tests.integration.copies import copy_of, mark, names, propose_phone
from tests.integration.shapes import ThreeTiers, add_person
from tests.integration.test_rejoin_clones import Clone
from tests.trees import TreeNode


def verified(at: TreeNode) -> int:
    """The exit code of `syncd verify --full`."""
    with at.store.read() as tx:
        return exit_code(prove(tx, at.store.registry, at.node.ring))


def unproven(at: TreeNode) -> int:
    with at.store.read() as tx:
        return len(status(tx).unproven)


def writer_of(at: TreeNode, folder: Path) -> Callable[[], None]:
    """One turn of the thread that a daemon writes with, after a pause in which nobody typed."""
    directory = folder / f"{at.name}.node"
    directory.mkdir(exist_ok=True)
    database = directory / DATABASE_FILE
    if not database.is_symlink():
        database.symlink_to(folder / f"{at.name}.db")
    facts = {str(key): str(value) for key, value in at.rows("SELECT key, value FROM syncd_meta")}
    config = Config(encrypted=False)
    opened = OpenNode(directory=directory, config=config, keys=at.keys, store=at.store, node=at.node, facts=facts)
    life = Life()
    writer = Writer(life, Vitals(at.node.clock, lambda: None), opened, lambda: (0.001, 0.0))
    life.end()  # its waits end at once
    return writer.turn


def test_checkpoint_that_a_restored_copy_could_not_write_follows_when_it_has_rejoined(
    plain: ThreeTiers, tmp_path: Path
) -> None:
    add_person(plain.commune, full_name="Hôm qua")
    plain.prove()
    yesterday = copy_of(plain.commune)
    add_person(plain.commune, full_name="Hôm nay", birth_date="1999-01-01")
    plain.settle()
    mark(plain.commune)
    yesterday.put_back()
    plain.commune.node.rejoin.watch(HighWater(tmp_path))
    turn = writer_of(plain.commune, tmp_path)
    turn()  # held back: nothing may be sealed
    assert plain.commune.node.owes_checkpoint

    plain.settle()
    assert names(plain.commune) == {"Hôm qua", "Hôm nay"}
    assert [verified(node) for node in plain.nodes] == [75, 75, 75], "the newest row stands behind no checkpoint"
    turn()
    plain.settle()

    assert [verified(node) for node in plain.nodes] == [0, 0, 0]
    assert not plain.commune.node.owes_checkpoint


def test_checkpoint_is_owed_for_what_came_back_while_the_daemon_ran(plain: ThreeTiers, tmp_path: Path) -> None:
    add_person(plain.commune, full_name="Chung")
    plain.prove()
    turn = writer_of(plain.commune, tmp_path)
    turn()
    assert not plain.commune.node.owes_checkpoint
    clone = Clone(plain.commune, plain.builder.folder)
    clone.swap()
    add_person(plain.commune, full_name="Máy hai", birth_date="1962-01-01")
    plain.settle()
    clone.swap()  # the first machine's process is still the same

    plain.settle()
    assert names(plain.commune) == {"Chung", "Máy hai"}
    turn()
    plain.settle()

    assert [verified(node) for node in plain.nodes] == [0, 0, 0]
    clone.close()


def test_checkpoint_is_owed_for_a_unit_taken_over_that_nobody_types_in(plain: ThreeTiers, tmp_path: Path) -> None:
    add_person(plain.commune, full_name="Có sẵn")
    plain.prove()
    turn = writer_of(plain.district, tmp_path)
    turn()
    keeping.order(plain.province.node, plain.commune.unit_id, plain.district.node.node_id, author="An", reason="thử")
    plain.settle()

    turn()  # not what another stage of this node has written without it
    for other in (plain.province, plain.commune):
        other.node.checkpoint()
    plain.settle()

    assert verified(plain.district) == 0
    turn()
    turn()
    assert not plain.district.node.owes_checkpoint, "its own checkpoint is not news that needs another"


def test_earlier_keeper_is_not_owed_what_no_longer_flows_to_it(plain: ThreeTiers) -> None:
    person = add_person(plain.commune, phone="0")
    plain.prove()
    propose_phone(plain.district, person, "1")
    plain.settle()  # the commune has the proposal, and no checkpoint behind it
    assert unproven(plain.commune) > 0
    keeping.order(plain.province.node, plain.commune.unit_id, plain.district.node.node_id, author="An", reason="thử")
    plain.settle()
    plain.prove()

    assert [verified(node) for node in plain.nodes] == [0, 0, 0]
    assert unproven(plain.commune) == 0
    with plain.commune.store.read() as tx:
        states = {proof.state for proof in prove(tx, plain.commune.store.registry, plain.commune.node.ring)}
    assert states == {EQUAL, PAST}


def test_what_still_flows_is_not_passed_over(plain: ThreeTiers) -> None:
    """A tier that hears of a unit goes on to say that it cannot be proven yet."""
    add_person(plain.commune)
    plain.prove()
    add_person(plain.commune, full_name="Mới", birth_date="1970-01-01")
    plain.settle()
    assert [verified(node) for node in plain.nodes] == [75, 75, 75]
    assert unproven(plain.province) > 0 < unproven(plain.district)
