"""One seed's world: a tree, its clerks and upper tiers, a bad network, crashes at commits, what must hold at last.

Enters: a seed. Leaves: counts, or an AssertionError that says what was lost, doubled, torn or unequal.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from schema.tables import SCHEMA_REVISION, registry
from syncd.aggregate import recount
from syncd.store.base import Failpoint, Store
from syncd.store.sqlite import SqliteStore
from tests.sim.clerk import Clerk
from tests.sim.keepers import Keepers
from tests.sim.lost import Lost
from tests.sim.machines import Machines
from tests.sim.moving import Moving
from tests.sim.network import Faults, Gone, Network
from tests.sim.preset import SMALL, NodeClock, Preset, other_limits, release
from tests.sim.template import ALL_SHAPES, SHAPES, template
from tests.sim.twins import Twins
from tests.sim.verdicts import (
    check_content,
    check_decided,
    check_floors,
    check_keepers,
    check_logs,
    check_proven,
    check_receipts,
    check_state,
    check_told,
    check_waits,
)
from tests.trees import TestClock, TreeNode, step

T = TypeVar("T")
ROUNDS_MAX = 60
GROUP_ROWS = (2, 3, 7, 5_000, 5_000)  # small ones make open pieces, and with a crash discarded ones


class Crash(BaseException):
    """The process of a node dies here."""


class World:
    """Runs a seed. `failpoint` of every store is this world's: it counts, checks groups and lets nodes die.

    An action's choices follow from seed and number alone, so any subset of them can be played again.
    """

    def __init__(self, seed: int, folder: Path, preset: Preset = SMALL) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter(seeds=1)
        self.trace: dict[int, str] = {}  # number of an action → what was done
        self._number = 0  # of the action under way
        self.faults = self._choose_faults(seed)
        self.preset = preset
        self.shape = preset.shape or list(SHAPES)[seed % len(SHAPES)]
        self.clock = TestClock()
        self.clocks = {name: NodeClock(self.clock) for name in ALL_SHAPES[self.shape]}
        self.network = Network(random=self.random, faults=self.faults, counts=self.counts, alive=self.alive)
        self.mortal = False
        self.nodes = template(self.shape).copy(folder, self.clocks.__getitem__, self.random, self._failpoint_of)
        self.root = self.nodes[0]
        self.revisions: dict[str, int] = {}  # of nodes that another release runs at than the others
        self.has_copies = preset.shape is None and not preset.loses_disks and not preset.skews and seed % 4 == 3
        leaves, self._clerks_made = [node for node in self.nodes if not node.children], 0
        self._settled_clerks = [self._new_clerk(node, node.unit_id) for node in leaves] if self.has_copies else []
        self.keepers = Keepers(self.nodes, self._new_clerk, writable={node.unit_id for node in leaves})
        self.moving = Moving(self)
        self.machines = Machines(folder, self._opener, self._clerk_of, careful=preset.loses_disks)
        self.lost = Lost(self)
        self.twins = Twins(self)
        self._group_rows = self.random.choice(GROUP_ROWS)
        self._write_lock_ms = self.random.choice((0, 250))

    @property
    def clerks(self) -> list[Clerk]:
        """Who may type now."""
        return self._settled_clerks if self.has_copies else self.keepers.clerks()

    def run(self, script: Sequence[int] | None = None) -> Counter[str]:
        """The whole seed, or these of its actions: trouble, then peace, then the checks."""
        try:
            with other_limits(GROUP_ROWS_MAX=self._group_rows, WRITE_LOCK_MS_MAX=self._write_lock_ms):
                self._begin()
                self.mortal = True
                for number in range(self.preset.actions) if script is None else script:
                    self.random.seed(f"{self.seed}/{number}")
                    self._act(number)
                self.counts["events"] += len(self.trace)
                self.mortal = False
                self.random.seed(f"{self.seed}/peace")
                with release(max([SCHEMA_REVISION, *self.revisions.values()])):
                    self._settle()
            self._check()
        finally:
            for node in self.nodes:
                node.store.close()
        return self.counts

    def _begin(self) -> None:
        self.random.seed(f"{self.seed}/begin")
        if not self.has_copies:
            for node in self.nodes:
                self.keepers.watch(node)
        for clerk in self.clerks:
            clerk.begin()
        if self.preset.clones and self.random.random() < 0.5:
            self.twins.from_the_first_day()

    def other_machine(self, at: TreeNode) -> bool:
        """The other machine of a node runs now, if there is one."""
        if not self.machines.swap(at):
            return False
        self.lost.other_machine(at, self.machines.made)
        return True

    def _new_clerk(self, at: TreeNode, unit_id: str) -> Clerk:
        self._clerks_made += 1
        clerk = Clerk(at, self.random, self.counts, unit_id, self._clerks_made)
        clerk.has_copies = self.has_copies
        return clerk

    def alive(self, node: TreeNode, work: Callable[[], T]) -> T:
        """Run a node's work; when it dies of it, a new process takes its place and nobody gets an answer."""
        try:
            with release(self.revisions.get(node.name, SCHEMA_REVISION)):
                return work()
        except Crash as crash:
            self.counts["crashes"] += 1
            self.reopen(node)
            raise Gone from crash
        finally:
            self._learn(node)

    def _learn(self, node: TreeNode) -> None:
        if not self.has_copies:
            self.keepers.watch(node)
        for clerk in self.clerks if self.has_copies else []:
            if clerk.at is node:
                clerk.learn_verdicts()
        if self.preset.loses_disks:
            self.lost.note(node)

    # --- trouble --------------------------------------------------------------------------------------------------

    def _choose_faults(self, seed: int) -> Faults:
        if seed % 10 == 0:
            return Faults()
        worst = self.random.choice([0.02, 0.1, 0.25])
        lost, duplicated, late, cut, corrupt = (self.random.random() * worst for _ in range(5))
        return Faults(
            lost=lost,
            duplicated=duplicated,
            late=late,
            cut=cut * 2,
            corrupt=corrupt * 2,
            crash=self.random.choice([0.0, 0.01, 0.06]),
        )

    def _act(self, number: int) -> None:
        self.clock.now_ms += self.random.randrange(2_000)
        node = self.random.choice(self.nodes)
        action = self.random.choice(
            [
                self._write,
                self._write,
                self._write,
                self._write,
                self._oversee,
                self._oversee,
                self.exchange,
                self.exchange,
                self._round,
                self._round,
                self._apply,
                self.settle_one,
                self.sequence,
                self._late,
                self._restart,
                *(self._copying if self.has_copies else self._passing_on if self.preset.passes_on else ()),
            ]
        )
        self._number = number
        self.trace[number] = f"{action.__name__.strip('_')} {node.name}"
        try:
            action(node)
        except Gone:
            self.counts["broken off"] += 1
        if not self.has_copies and not self.lost.root_was_lost:  # else it has signed more than its older copy shows
            check_receipts(node, self.root)
        check_floors(node)
        self.counts["waits for a release"] += check_waits(node)

    def tell(self, what: str) -> None:
        """What the action under way chose, for whoever reads the script."""
        self.trace[self._number] += f": {what}"

    def _write(self, _node: TreeNode) -> None:
        if clerks := self.clerks:
            self.random.choice(clerks).write()

    def sequence(self, node: TreeNode) -> None:
        checkpoints = self.random.random() < 0.3
        self.alive(node, lambda: node.node.write(checkpoints))
        if self.random.random() < 0.1:
            self.alive(node, node.node.checkpoint)

    def _apply(self, node: TreeNode) -> None:
        self.alive(node, node.node.apply_all)

    def settle_one(self, node: TreeNode) -> None:
        self.alive(node, node.node.settle)

    def _late(self, _node: TreeNode) -> None:
        self.network.deliver_late()

    def _restart(self, node: TreeNode) -> None:
        if self.faults.crash:
            self.reopen(node)

    def reopen(self, node: TreeNode) -> None:
        """A new process of a node."""
        node.reopen()
        self.machines.watch(node)

    @property
    def _copying(self) -> list[Callable[[TreeNode], None]]:
        return [
            self._snapshot, self._restore, self._restore, self._clone, *[self._swap] * 3, self.twins.root_put_back,
        ]  # fmt: skip

    @property
    def _passing_on(self) -> list[Callable[[TreeNode], None]]:
        moving = self.moving
        return [
            moving.hand_over, moving.hand_over, moving.force, moving.reassign, moving.onto_itself, moving.adopt,
            moving.back_up, *[moving.make_baseline] * 2, moving.prune, moving.prune, moving.jump, moving.review,
            moving.review, *[self._round] * 3, self._write, self._write,
            *([moving.upgrade] * 3 if self.preset.skews else ()),
            *([*[self._snapshot] * 3, *[self._restore] * 6, *[self.twins.root_put_back] * 2]
              if self.preset.loses_disks else ()),
            *([self._clone, *[self._swap] * 3] if self.preset.clones else ()),
        ]  # fmt: skip

    def _snapshot(self, node: TreeNode) -> None:
        self.machines.snapshot(node)

    def _restore(self, node: TreeNode) -> None:
        """A disk dies, its last copy is put back; what it held had reached its neighbours."""
        for below in [*node.children, node, *([node.parent] if node.parent else [])]:
            self.sequence(below)
            self.exchange(below)
        self.put_back(node, self.random.random() < 0.5)

    def put_back(self, node: TreeNode, has_mark: bool) -> bool:
        """A copy takes the place of what a node has, if there is one and nothing is lost by it."""
        is_back = self.machines.restore(node, has_mark)
        if is_back:
            self.tell("put back")
            self.counts["restored copies"] += 1
            if node.node.rejoin.holds_back():  # a daemon's writer asks for what it owes, and may not write it yet
                assert self.alive(node, node.node.checkpoint) == 0
            self.lost.other_machine(node, self.machines.made)
        return is_back

    def _clone(self, node: TreeNode) -> None:
        self.counts["clones"] += self.machines.clone(node)

    def _swap(self, node: TreeNode) -> None:
        if self.other_machine(node):
            self.tell("the other machine")
            self.counts["machines swapped"] += 1

    def _opener(self, path: Path, name: str) -> Callable[[], Store]:
        tables, failpoint = registry(), self._failpoint_of(name)
        return lambda: SqliteStore(path, tables, failpoint=failpoint)

    def _clerk_of(self, node: TreeNode) -> Clerk | None:
        return next((clerk for clerk in self.clerks if clerk.at is node), None)

    def exchange(self, node: TreeNode) -> None:
        """A session, or the part of it that the network lets through; other things happen in between."""
        if node.parent is None:
            return
        self.alive(node, lambda: self.network.hello(node))
        while self.alive(node, lambda: self.network.push(node)) and self.random.random() < 0.8:
            pass
        self.alive(node, lambda: self.network.pull(node))
        while self.random.random() < 0.3:  # a daemon asks again and again, and greets only now and then
            self.alive(node, lambda: self.network.pull(node))

    def _round(self, _node: TreeNode) -> None:
        """Everybody does a bit of everything, from the bottom up, so that news gets somewhere."""
        for node in reversed(self.nodes):
            for work in (self.sequence, self.exchange, self._apply, self.settle_one):
                try:
                    work(node)
                except Gone:
                    self.counts["broken off"] += 1

    def _oversee(self, _node: TreeNode) -> None:
        """An upper tier wishes, verifies, or adds a unit; all of it captured as any write."""
        upper = self.random.choice([node for node in self.nodes if node.children])
        people = upper.rows("SELECT id, unit_id FROM person ORDER BY id")
        kind = self.random.randrange(6)
        if kind == 0:
            self.root.sql(
                "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'commune', ?, 'Xã mới')",
                (self.root.unit_id, str(self.random.randrange(10_000, 99_999))),
            )
        elif kind == 1 and people and upper is self.root:
            person, unit = self.random.choice(people)
            self.root.sql(
                "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by)"
                " VALUES (?, ?, ?, ?, 'A')",
                (unit, person, "079" + "0" * 9, "2026-11-01T00:00:00Z"),
            )
        elif people:
            self.moving.propose(upper, self.random.choice(people)[0])

    def _failpoint_of(self, name: str) -> Failpoint:
        def failpoint(point: str) -> None:
            if point.startswith(("sequence-piece:after", "discard:after")):
                self.counts[point.partition(":")[0]] += 1
            if point == "apply:after-commit":
                self._check_whole(name)
            if self.mortal and point == "sequence-piece:after-commit":
                self._write_meanwhile(name)
            if not self.mortal or point.startswith(("clerk", "propose", "resolve")):
                return
            if self.random.random() < self.faults.crash:
                raise Crash(f"{name}: {point}")

        return failpoint

    def _write_meanwhile(self, name: str) -> None:
        """A clerk commits while the sequencer is between two pieces of a group, which must not touch it."""
        node = next(node for node in self.nodes if node.name == name)
        if not self.has_copies:
            self.keepers.watch(node)
        for clerk in self.clerks:
            if clerk.at is node and self.random.random() < 0.3:
                clerk.write()

    # --- peace ----------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """The faults are over: late requests arrive, then everything must come to rest in so many rounds."""
        self.network.faults = Faults()
        while self.network.held_back:
            try:
                self.network.deliver_late()
            except Gone:
                self.counts["broken off"] += 1
        for node in [node for node in self.nodes if node.name in self.machines.second]:
            for _ in range(3):  # both hand everything over; the first one stays
                self.rest()
                self.other_machine(node)
            self.rest()
            self.machines.retire(node)
        for clock in self.clocks.values():
            clock.offset_ms = 0
        self.rest()
        if self.preset.clones:
            self.twins.idle()
        for node in [] if self.has_copies else self.nodes:
            self.moving.adopt(node)
        for _ in range(2):
            self.rest()
            for node in self.nodes:
                if node.node.owes_checkpoint:  # as a daemon's writer goes by
                    node.node.checkpoint()
        self.rest()

    def rest(self) -> None:
        moved: list[bool] = []
        for _ in range(ROUNDS_MAX):
            moved = []
            for node in self.nodes:
                moved.append(step(node))
                for each in self.nodes if not self.has_copies else []:
                    self.keepers.watch(each)
            for clerk in self.clerks if self.has_copies else []:
                clerk.learn_verdicts()
            if not any(moved):
                return
        restless = [node.name for node, has_moved in zip(self.nodes, moved, strict=True) if has_moved]
        raise AssertionError(f"still moving after {ROUNDS_MAX} rounds: {restless}")

    def _check_whole(self, name: str) -> None:
        """A reader sees every stamping transaction whole or not at all, at every moment."""
        node = next((node for node in getattr(self, "nodes", []) if node.name == name), None)
        if node is None:
            return
        if self.preset.loses_disks:
            self.lost.see_wishes(node)
        self.counts["groups read"] += 1
        marks = ", ".join("?" * len(self.keepers.torn))
        torn = node.rows(
            "SELECT unit_id, count(DISTINCT collaborator), count(*) FROM household WHERE collaborator IS NOT NULL"
            f" AND unit_id NOT IN ({marks}) GROUP BY unit_id HAVING count(DISTINCT collaborator) <> 1 OR count(*) <> 5",
            tuple(sorted(self.keepers.torn)),
        )
        assert not torn, f"{name}: a group is visible in part: {torn}"

    def _check(self) -> None:
        kept_by = {clerk.unit_id: clerk.at for clerk in (self._settled_clerks or self.keepers.live.values())}
        for node in self.nodes:
            check_state(node, self.nodes, kept_by)
            check_proven(node)
            check_told(node)
            with node.store.read() as tx:
                assert recount(tx, node.store.registry) == [], f"{node.name}: aggregates differ from a recount"
        check_logs(self.nodes)
        check_decided(self.nodes, kept_by)
        for clerk in self.clerks:
            clerk.refresh()
            check_content(clerk, self.nodes, compare_closed=self.has_copies)
            if self.has_copies:
                clerk.audit_all()
        if not self.has_copies:
            check_keepers(self.keepers, self.nodes)
        if self.preset.loses_disks:
            self.lost.check()
