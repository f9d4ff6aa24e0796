"""Restored copies and clones of a simulated node: database files taken at random, put back, or run as a second machine.

Enters: a world's nodes. Leaves: the same nodes over other files.
Must hold: a disk is lost only once everything on it has left the node (what only the lost disk held is lost in life
too); the root, whose own two branches are a person's to judge, has the mark beside its database, or, where it has one
child, who holds all it wrote, the mark as it was when the copy was made.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schema.spec import Kind
from syncd import log
from syncd.exchange import Desk, Link
from syncd.pipeline import Node
from syncd.positions import HighWater
from syncd.store import sqlite
from syncd.store.base import Store
from tests.sim.clerk import Clerk
from tests.trees import TreeNode

Model = dict[str, dict[str, dict[str, Any]]]


@dataclass(slots=True, kw_only=True)
class Machine:
    """One of the machines that are a node: what is needed to run it."""

    opener: Callable[[], Store]
    node: Node
    model: Model | None
    number: int


@dataclass(slots=True)
class Machines:
    """The copies of one world. `clerk_of`: the clerk who types at a node, if any."""

    folder: Path
    openers: Callable[[Path, str], Callable[[], Store]]
    clerk_of: Callable[[TreeNode], Clerk | None]
    copies: dict[str, tuple[Path, Model | None]] = field(default_factory=dict)
    marks_copied: dict[str, Path] = field(default_factory=dict)  # beside the copies: as when they were made
    second: dict[str, Machine] = field(default_factory=dict)
    marks: dict[str, Path] = field(default_factory=dict)
    made: int = 0
    careful: bool = False  # units pass on here: a baseline can be made again, late writes and offers must have left

    def snapshot(self, at: TreeNode) -> None:
        """Yesterday's copy, as a backup program takes it."""
        path = self._copy(at)
        self.copies[at.name] = (path, self._model(at))
        self.marks_copied[at.name] = self._noted(at, f"{path.stem}-mark")

    def renew(self, root: TreeNode) -> None:
        """The custodian signs for a backup that holds what it shows: an older copy is none any more."""
        if self.careful and root.name in self.copies:
            self.snapshot(root)

    def restore(self, at: TreeNode, has_mark: bool) -> bool:
        """Put the copy back, if there is one and the disk holds nothing that no neighbour has."""
        if at.name not in self.copies or at.name in self.second or not _has_left(at, self.careful):
            return False
        if at.parent is None and self.second:
            return False  # a machine that is switched off may hold what only the root's lost disk held
        if self.careful and not _has_left_late(at):
            return False
        copied, model = self.copies.pop(at.name)
        mark_folder = self._noted(at, f"mark-{at.name}")
        if at.parent is None and len(at.children) == 1 and not has_mark:  # copied with everything beside it
            mark_folder = self.marks_copied[at.name]
        at.node.store.close()
        path = self._fresh(at)
        shutil.copyfile(copied, path)
        at.opener = self.openers(path, at.name)
        self._open(at)
        if has_mark or at.parent is None:
            self.marks[at.name] = mark_folder
            self.watch(at)
        else:
            self.marks.pop(at.name, None)
        self._tell_clerk(at, model, self.made)
        return True

    def _noted(self, at: TreeNode, name: str) -> Path:
        """The folder of a mark of where the node stands now."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        with at.store.read() as tx:
            HighWater(folder).note(tx)
        return folder

    def watch(self, at: TreeNode) -> None:
        """What every process does that finds a mark beside its database."""
        if at.name in self.marks:
            at.node.rejoin.watch(HighWater(self.marks[at.name]))

    def clone(self, at: TreeNode) -> bool:
        """Start the disk image a second time; it runs when `swap` says so."""
        if at.name in self.second or at.parent is None:
            return False
        path = self._copy(at)
        opener = self.openers(path, at.name)
        node = Node(opener(), at.keys, at.node.clock, at.node._random)
        self.second[at.name] = Machine(opener=opener, node=node, model=self._model(at), number=self.made)
        return True

    def swap(self, at: TreeNode) -> bool:
        """The other machine has the network now."""
        other = self.second.get(at.name)
        if other is None:
            return False
        clerk = self.clerk_of(at)
        number = 0 if clerk is None else clerk.machine
        self.second[at.name] = Machine(opener=at.opener, node=at.node, model=self._model(at), number=number)
        at.opener, at.node = other.opener, other.node
        at.desk = Desk(at.node)
        at.link = None if at.parent is None else Link(at.node, at.parent.node.node_id)
        self._tell_clerk(at, other.model, other.number)
        return True

    def retire(self, at: TreeNode) -> None:
        """The second machine is switched off for good; whoever calls has let it hand everything over."""
        self.second.pop(at.name).node.store.close()

    def _open(self, at: TreeNode) -> None:
        at.node = Node(at.opener(), at.keys, at.node.clock, at.node._random)
        at.desk = Desk(at.node)
        if at.parent is not None:
            at.link = Link(at.node, at.parent.node.node_id)

    def _copy(self, at: TreeNode) -> Path:
        path = self._fresh(at)
        with contextlib.closing(sqlite.connect(at.store.path, None)) as connection:  # type: ignore[attr-defined]  # SQLite's
            connection.execute("VACUUM INTO ?", (str(path),))
        return path

    def _fresh(self, at: TreeNode) -> Path:
        self.made += 1
        return self.folder / f"{at.name}-{self.made}.db"

    def _model(self, at: TreeNode) -> Model | None:
        clerk = self.clerk_of(at)
        return None if clerk is None else copy.deepcopy(clerk.tables)

    def _tell_clerk(self, at: TreeNode, model: Model | None, number: int) -> None:
        clerk = self.clerk_of(at)
        if clerk is not None and model is not None:
            clerk.tables, clerk.machine = copy.deepcopy(model), number


def _has_left(at: TreeNode, careful: bool) -> bool:
    """Whether neighbours hold every own envelope, and no change waits to become one."""
    if at.value("SELECT count(*) FROM syncd_journal") or at.node.rejoin.is_unfinished() or at.node.rejoin.holds_back():
        return False
    if at.value("SELECT count(*) FROM syncd_wish"):
        return False
    neighbours = [at.parent] if at.parent is not None else at.children
    with at.store.read() as tx:
        tree, streams = at.node.tree(), log.streams(tx, "held_seq > 0")
    for stream in streams:
        if not stream.own and not (at.parent is not None and tree.goes_up(stream)):
            continue
        if careful and stream.kind == Kind.BASELINE:
            continue
        if not any(_holds(node, stream.stream_id, stream.held_seq, stream.held_hash) for node in neighbours):
            return False
    return True


def _has_left_late(at: TreeNode) -> bool:
    """Whether neighbours hold what is kept apart here, and wait for nothing that only this disk may hold."""
    neighbours = [at.parent] if at.parent is not None else at.children
    if any(near.node.rejoin.is_unfinished() or near.node.rejoin.holds_back() for near in [*neighbours, *at.children]):
        return False
    query = "SELECT stream_id, seq, hash FROM syncd_quarantine"
    there = {tuple(row) for near in neighbours for row in near.rows(query)}
    return all(tuple(row) in there for row in at.rows(query))


def _holds(at: TreeNode, stream_id: str, seq: int, hash_: bytes) -> bool:
    with at.store.read() as tx:
        return log.hash_at(tx, stream_id, seq) == hash_
