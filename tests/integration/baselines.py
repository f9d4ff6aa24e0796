"""What the tests of baselines and pruning share: a register's history, an emptied database, equality of all tiers.

Enters: a settled tree. Leaves: nodes whose logs begin later, or whose databases were lost.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

from syncd import baseline, floor, log
from syncd.aggregate import recount
from syncd.backup import back_up
from syncd.config import Config, load_config, write_config
from syncd.exchange import Desk, Link
from syncd.log import Stream
from syncd.node_files import open_store
from syncd.pipeline import Node
from syncd.restore import restore
from syncd.setup import record_place
from tests.integration.shapes import ThreeTiers, add_household, add_person, content
from tests.trees import TreeNode

TABLES = ("household", "person", "death", "birth", "migration", "verdict")


def write_history(at: TreeNode, people: int = 6) -> None:
    household = add_household(at)
    ids = [add_person(at, household, sex=1 + place % 2, phone=str(place)) for place in range(people)]
    at.node.write()
    at.sql("UPDATE person SET ethnic = '02', phone = NULL WHERE sex = 2")
    at.sql("INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-05', 1, 'tuổi già')", (ids[0],))
    at.node.write()
    at.sql("DELETE FROM person WHERE id = ?", (ids[1],))
    at.node.write()


def stream_of(at: TreeNode, stream_id: str) -> Stream:
    with at.store.read() as tx:
        found = log.stream(tx, stream_id)
    assert found is not None
    return found


def made(at: TreeNode, stream_id: str) -> Stream:
    found = baseline.make(at.node, stream_id)
    assert found is not None
    return found


def forget(at: TreeNode, stream_id: str, seq: int) -> None:
    """Prune without asking anybody."""
    with at.store.apply("prune") as tx:
        floor.forget(tx, stream_of(at, stream_id), seq)


def emptied(tiers: ThreeTiers, at: TreeNode, dsn: str | None = None) -> TreeNode:
    """The node's keys with an empty database, as after a lost disk."""
    at.store.close()
    opener = tiers.builder.new_database(f"{at.name}-new", at.keys, at.place, dsn)
    store = opener()
    record_place(store, at.keys, at.place, at.node.clock())
    at.node = Node(store, at.keys, at.node.clock, at.node._random)
    at.opener = opener
    at.desk = Desk(at.node)
    if at.parent is not None:
        at.link = Link(at.node, at.parent.node.node_id)
    for child in at.children:
        child.link = Link(child.node, at.node.node_id)
    return at


def assert_equal(tiers: ThreeTiers) -> None:
    tiers.prove()
    wanted = {table: content(tiers.commune, table, without=("cause",)) for table in TABLES}
    for node in tiers.nodes:
        assert {table: content(node, table, without=("cause",)) for table in TABLES} == wanted, node.name
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        assert node.rows("SELECT state, reason FROM syncd_stream WHERE state <> 'ok' OR applied_seq <> held_seq") == []
        with node.store.read() as tx:
            assert recount(tx, node.store.registry) == []
    assert content(tiers.province, "death") == content(tiers.commune, "death")


def emptied_dsn(at: TreeNode) -> str:
    """The node's own server database, emptied."""
    dsn = at.store._dsn  # type: ignore[attr-defined]  # a PostgresStore
    at.store.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return str(dsn)


def backed_up(tiers: ThreeTiers, folder: Path) -> None:
    """A verified backup of the province, and everybody told."""
    back_up(tiers.province.node, saved(tiers.province, folder), folder / "stick")
    tiers.settle()


def saved(at: TreeNode, folder: Path) -> Path:
    """A directory with a tree node's keys, as `init` or `join` leave it."""
    directory = folder / f"files-{at.name}"
    if not directory.exists():
        at.keys.save(directory)
        write_config(directory, Config())
    return directory


def restored(at: TreeNode, backup: Path, folder: Path) -> None:
    """The node as its backup has it, in the place of what it is now."""
    dsn = "sqlite" if at.store.dialect == "sqlite" else emptied_dsn(at)
    at.store.close()
    target = folder / f"restored-{at.name}-{len(list(folder.iterdir()))}"
    restore(backup, target, saved(at, folder) / "exchange.key", database=dsn)
    config = load_config(target, {})
    at.opener = lambda: open_store(target, config)
    at.node = Node(at.opener(), at.keys, at.node.clock, at.node._random)
    at.desk = Desk(at.node)
    if at.parent is not None:
        at.link = Link(at.node, at.parent.node.node_id)
    for child in at.children:
        child.link = Link(child.node, at.node.node_id)
