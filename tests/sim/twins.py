"""Machines that nothing tells of their past: images started twice from the first day on, one that says nothing, a root
that is put back with the mark beside its database.

Enters: a world with clones, or one that loses disks. Leaves: other machines of its nodes; an AssertionError when a twin
does not learn of the other one. Must hold: whatever is typed at either is judged by `tests/sim/lost.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd import keeping
from syncd.errors import UsageError
from tests.sim.clerk import Clerk
from tests.trees import TreeNode, asks_only, step

if TYPE_CHECKING:
    from tests.sim.world import World

IDLE_QUESTIONS = 12  # an answer holds what came with it; then come own streams, then what leans on them
OWN = "SELECT stream_id, held_seq, held_hash FROM syncd_stream WHERE own = 1 AND held_seq > 0 AND kind <> 4"


@dataclass(slots=True)
class Twins:
    """Of one world."""

    world: World
    twin: str | None = None  # the node that was two machines from the first day on

    @property
    def is_one_away(self) -> bool:
        """Whether a machine from the first day has not handed over what it holds."""
        return self.twin is not None and self.twin in self.world.machines.second

    def from_the_first_day(self) -> None:
        """An image is started twice before anything of its register was sealed, both machines are typed at. What comes
        of it is chance: the unit may pass on by the word of the one, while the other knows of nothing."""
        world = self.world
        leaf = world.random.choice([node for node in world.nodes if not node.children])
        world.machines.clone(leaf)
        self.twin = leaf.name
        for _ in range(2):
            for clerk in self._clerks(leaf):
                clerk.write()
            world.other_machine(leaf)
        if world.random.random() < 0.5:
            self._passes_on_unheard(leaf)
        world.counts["twins from the first day"] += 1

    def _passes_on_unheard(self, leaf: TreeNode) -> None:
        """The one machine hands its unit over; the other one hears of the order before it has greeted anybody."""
        world = self.world
        assert leaf.parent is not None
        world.rest()
        try:
            keeping.order(world.root.node, leaf.unit_id, leaf.parent.node.node_id, author="An", reason="thử")
        except UsageError:
            return
        world.keepers.watch(world.root)
        world.rest()
        world.other_machine(leaf)
        for _ in range(world.random.randrange(3)):
            asks_only(leaf)
            world.keepers.watch(leaf)

    def root_put_back(self, _node: TreeNode) -> None:
        """The root is copied between a write and its checkpoint, goes on with its one child, and the copy takes its
        place: it works for a while before that child calls."""
        world, root = self.world, self.world.root
        if len(root.children) != 1:
            return  # of several, one that had heard less may speak for all: that is a person's to settle
        was_mortal, world.mortal = world.mortal, False  # else hardly a disk would hold nothing of its own
        try:
            self._root_and_child(root)
            world.machines.snapshot(root)
            root.node.checkpoint()
            self._root_and_child(root)
            if not world.put_back(root, has_mark=False):
                return
            world.counts["roots put back with their mark"] += 1
            self._root_writes(root)
            root.node.write()
            root.node.checkpoint()
            root.node.settle()
        finally:
            world.mortal = was_mortal

    def _root_and_child(self, root: TreeNode) -> None:
        """It writes, and its child hears of it, on a good line."""
        self._root_writes(root)
        for at in (root, *root.children * 3, root, *root.children * 3):
            step(at)
            self.world.keepers.watch(at)

    def _root_writes(self, root: TreeNode) -> None:
        code = str(self.world.random.randrange(10_000, 99_999))
        root.sql("INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'commune', ?, 'Xã mới')",
                 (root.unit_id, code))  # fmt: skip

    def idle(self) -> None:
        """The other machine of a node works and is switched off; this one has nothing to say and only asks. It must
        learn of it all the same."""
        world = self.world
        keeping = [clerk.at for clerk in world.clerks if clerk.at.parent is not None]
        if not keeping:
            return
        at = world.random.choice(keeping)
        world.machines.clone(at)
        world.other_machine(at)
        for clerk in self._clerks(at):
            clerk.write()
        world.rest()
        written = set(at.rows(OWN))
        world.other_machine(at)
        told = {stream_id for stream_id, _seq, _hash in written}
        for number in range(IDLE_QUESTIONS):
            asks_only(at, told if number == 0 else ())
            world.keepers.watch(at)
        assert written <= set(at.rows(OWN)), f"{at.name}: an idle twin does not learn that its clone went on"
        world.counts["idle twins"] += 1
        world.machines.retire(at)
        world.rest()

    def _clerks(self, at: TreeNode) -> list[Clerk]:
        return [clerk for clerk in self.world.clerks if clerk.at is at]
