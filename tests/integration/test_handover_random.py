"""Random hand-overs over three tiers: orders by agreement and by force, households moved, writers, crashes; one oracle.

The oracle: every row that a keeper's database acknowledged is kept once at the end, at every tier that holds the unit,
or waits as somebody's undecided or reviewed wish; every node names the same keeper; contents and aggregates are proven.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from syncd import keeping
from syncd.errors import SyncdError
from tests.integration.handovers import HOUSEHOLD, at, country, late, new_unit
from tests.integration.shapes import Died
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder, TreeNode, finish, step

SEEDS = range(int(os.environ.get("SYNCD_TEST_HANDOVER_SEEDS", "2")))
ACTIONS = 60
STAGES = ("order", "refresh", "create-stream", "end-term", "begin-term", "cut-term", "grant-follower", "reassign",
          "order-move", "adopt", "apply", "receive", "decide", "sequence-close", "follow", "late-writes")  # fmt: skip


@dataclass
class World:
    """A tree, what was acknowledged, and one death at most that is due."""

    tree: TreeBuilder
    random: random.Random
    units: list[str]
    typed: dict[str, str] = field(default_factory=dict)  # household number → phone of its one member
    dead: TreeNode | None = None
    due: str = ""
    log: list[str] = field(default_factory=list)

    def arm(self) -> None:
        for node in self.tree.nodes:

            def failpoint(name: str, node: TreeNode = node) -> None:
                if name == self.due:
                    self.due, self.dead = "", node
                    raise Died(name)

            node.store.failpoint = failpoint

    def revive(self) -> None:
        if self.dead is not None:
            self.log.append(f"{self.dead.name} died")
            self.dead.reopen()
            self.dead = None
            self.arm()

    def keepers(self, unit_id: str) -> Iterator[TreeNode]:
        """Whoever thinks it keeps the unit."""
        for node in self.tree.nodes:
            if node.value("SELECT mine FROM syncd_keeper WHERE unit_id = ?", (unit_id,)) == 1:
                yield node

    def type(self) -> None:
        unit_id = self.random.choice(self.units)
        for node in self.keepers(unit_id):
            number, phone = str(1000 + len(self.typed)), f"09{self.random.randrange(10**8):08}"
            word = "".join(self.random.choice("bcdghklmnpqrstvx") for _ in range(9))
            with node.store.write("clerk") as tx:
                tx.run(HOUSEHOLD, (unit_id, number))
                tx.run(
                    "INSERT INTO person (unit_id, household_id, full_name, sex, birth_date, birth_precision, ethnic,"
                    " residence, phone) SELECT unit_id, id, ?, 2, ?, 'd', '01', 'usual', ? FROM household"
                    " WHERE number = ? AND unit_id = ?",
                    (word, f"{self.random.randrange(1930, 2020)}-0{self.random.randrange(1, 9)}-11", phone, number,
                     unit_id),
                )  # fmt: skip
            self.typed[number] = phone
            self.log.append(f"{node.name} types {number} in {unit_id[14:24]}")

    def order(self, by_force: bool) -> None:
        unit_id, to = self.random.choice(self.units), self.random.choice(self.tree.nodes)
        by = self.tree.nodes[0] if by_force else self.random.choice([self.tree.nodes[0], at(self.tree, "north")])
        self.log.append(f"{by.name} {'forces' if by_force else 'orders'} {unit_id[14:24]} to {to.name}")
        keeping.order(by.node, unit_id, to.node.node_id, author="An", reason="", forced=by_force)

    def move(self) -> None:
        frm, to = self.random.sample(self.units, 2)
        by = self.random.choice([self.tree.nodes[0], at(self.tree, "north")])
        rows = by.rows("SELECT id FROM household WHERE unit_id = ? ORDER BY id", (frm,))
        chosen = tuple(row[0] for row in rows if self.random.random() < 0.5)
        if chosen:
            self.log.append(f"{by.name} moves {len(chosen)} of {frm[14:24]} to {to[14:24]}")
            move = keeping.Move(from_unit=frm, to_unit=to, row_ids=chosen if self.random.random() < 0.7 else None)
            keeping.reassign(by.node, move, author="An", reason="")

    def adopt(self) -> None:
        for node in self.tree.nodes:
            for stream_id in late(node):
                self.log.append(f"{node.name} adopts {stream_id[:4]}")
                node.node.adopt_late(stream_id, "Bình")

    def act(self) -> None:
        chosen = self.random.random()
        try:
            if chosen < 0.30:
                self.type()
            elif chosen < 0.42:
                self.order(False)
            elif chosen < 0.48:
                self.order(True)
            elif chosen < 0.54:
                self.move()
            elif chosen < 0.58:
                self.adopt()
            elif chosen < 0.64:
                self.due = f"{self.random.choice(STAGES)}:{self.random.choice(('before-commit', 'after-commit'))}"
            else:
                for _ in range(self.random.randrange(1, 7)):
                    step(self.random.choice(self.tree.nodes))
        except SyncdError:
            pass  # an officer is told why not
        except Died:
            self.revive()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_hand_overs_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    _survives(country(TreeBuilder(tmp_path, seed=1)), seed)


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_random_hand_overs_over_postgresql_too(tmp_path: Path, postgres_mix: PostgresMix, seed: int) -> None:
    with postgres_mix.databases(("province", "north", "one")) as dsns:
        _survives(country(TreeBuilder(tmp_path, seed=1), dsns), seed)
        finish()


def _survives(tree: TreeBuilder, seed: int) -> None:
    units = [at(tree, name).unit_id for name in ("one", "two", "three")] + [new_unit(tree, "north", "13")]
    world = World(tree=tree, random=random.Random(seed), units=units)
    world.arm()
    try:
        for _ in range(ACTIONS):
            world.act()
        world.due = ""
        _bring_to_rest(world)
        _judge(world)
    except BaseException:
        print(f"SYNCD_TEST_HANDOVER_SEEDS={seed + 1} seed {seed}", *world.log, sep="\n")
        raise


def _bring_to_rest(world: World) -> None:
    world.tree.settle(80)
    for _ in range(6):
        waiting = [(node, stream_id) for node in world.tree.nodes for stream_id in late(node)]
        if not waiting:
            break
        for node, stream_id in waiting:
            try:
                node.node.adopt_late(stream_id, "Bình")
            except SyncdError as error:
                assert "above" in str(error)  # noqa: PT017 - some tiers only pass late writes on
        world.tree.settle(80)
    for node in world.tree.nodes:
        node.node.checkpoint()
    world.tree.settle(80)


def _judge(world: World) -> None:
    province = world.tree.nodes[0]
    for unit_id in world.units:
        who = "SELECT node_id, term FROM syncd_keeper WHERE unit_id = ?"
        said = province.rows(who, (unit_id,))
        assert [node.node.node_id for node in world.keepers(unit_id)] == [row[0] for row in said], unit_id
        for keeper in world.keepers(unit_id):
            line: TreeNode | None = keeper
            query = "SELECT id, number FROM household WHERE unit_id = ? ORDER BY id"
            while line is not None:
                assert line.rows(who, (unit_id,)) == said, (unit_id, line.name)
                assert line.rows(query, (unit_id,)) == keeper.rows(query, (unit_id,)), (unit_id, line.name, keeper.name)
                line = line.parent
    for node in world.tree.nodes:
        assert node.rows("SELECT tab, rows_stated, rows_found FROM syncd_checkpoint WHERE ok = 0") == [], node.name
        assert node.rows("SELECT term, state, reason FROM syncd_stream WHERE state <> 'ok'") == [], node.name
        assert node.value("SELECT count(*) FROM syncd_journal") == 0
    kept = [tuple(row) for row in province.rows(
        "SELECT h.number, p.phone FROM household AS h JOIN person AS p ON p.household_id = h.id")]  # fmt: skip
    open_wishes = " ".join(row[0] for row in province.rows(
        "SELECT p.wished FROM proposal AS p WHERE NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id"
        " AND v.outcome IN ('accepted', 'rejected'))"))  # fmt: skip
    assert len(kept) == len(set(kept))
    lost = {number for number, phone in world.typed.items() if (number, phone) not in kept and phone not in open_wishes}
    assert lost == set()
    assert {number for number, _phone in kept} <= world.typed.keys()
