"""What the tests of restored copies share: a copy of a node's database file, and what holds once it has found back.

Enters: a settled tree over SQLite files. Leaves: nodes that stand where they stood when the copy was taken.
Must hold: nothing here knows how a node rejoins.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from syncd.aggregate import recount
from syncd.positions import HighWater
from syncd.proposing import Wish, propose
from syncd.store import sqlite
from tests.integration.shapes import ThreeTiers, content
from tests.trees import TreeNode

REGISTERS = ("household", "person", "death", "birth", "verdict")


@dataclass
class Copy:
    """The database file of a node as it was at a moment."""

    at: TreeNode
    path: Path

    def put_back(self) -> None:
        """Instead of what the node has now."""
        self.at.node.store.close()
        _remove(self._place)
        shutil.copyfile(self.path, self._place)
        self.at.reopen()

    @property
    def _place(self) -> Path:
        return Path(self.at.store.path)  # type: ignore[attr-defined]  # SQLite's


def copy_of(at: TreeNode, name: str = "copy") -> Copy:
    """Yesterday's copy: everything committed, as a backup program takes it."""
    path = Path(at.store.path).with_suffix(f".{name}")  # type: ignore[attr-defined]  # SQLite's
    _remove(path)
    with contextlib.closing(sqlite.connect(at.store.path, None)) as connection:  # type: ignore[attr-defined]  # SQLite's
        connection.execute("VACUUM INTO ?", (str(path),))
    return Copy(at, path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def assert_equal(tiers: ThreeTiers) -> None:
    """Every register and every word of upper tiers equal at all tiers that keep them, proven by checkpoints."""
    tiers.prove()
    tiers.prove()
    for table in REGISTERS:
        assert content(tiers.district, table, without=("cause",)) == content(tiers.province, table, without=("cause",))
        unit = tiers.commune.unit_id
        kept = [row for row in content(tiers.province, table) if row[1] == unit]
        assert kept == [row for row in content(tiers.commune, table) if row[1] == unit], table
    for node in tiers.nodes:
        where = "state <> 'ok' OR applied_seq <> held_seq OR rejoin_seq <> 0"
        assert node.rows(f"SELECT kind, state, reason FROM syncd_stream WHERE {where}") == [], node.name
        assert node.rows("SELECT stream_id FROM syncd_stream WHERE own = 1 AND custodian_seq <> held_seq") == []
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        assert node.rows("SELECT kind, detail FROM syncd_case WHERE closed_at IS NULL") == [], node.name
        assert node.rows("SELECT op, row_id FROM syncd_wish") == []
        with node.store.read() as tx:
            assert recount(tx, node.store.registry) == []


def mark(at: TreeNode) -> HighWater:
    """What a daemon notes beside its database."""
    mark = HighWater(Path(at.store.path).parent)  # type: ignore[attr-defined]  # SQLite's
    with at.store.read() as tx:
        mark.note(tx)
    return mark


def names(at: TreeNode) -> set[str]:
    return {row[0] for row in at.rows("SELECT full_name FROM person")}


def propose_phone(at: TreeNode, person: str, phone: str) -> None:
    wish = Wish(
        operation="update", table="person", row_id=person, unit_code=None, wished={"phone": phone}, author="A",
        reason="thử",
    )  # fmt: skip
    propose(at.store, wish, at.node.clock())
