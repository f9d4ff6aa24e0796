"""Events beside typing and exchanging: units and households pass on, terms end by force, late writes are admitted,
baselines and pruning, clocks that jump, reviews that people settle and take back.

Enters: a world. Leaves: orders and local writes at its nodes. Must hold: what is ordered is what an operator could.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from schema.spec import Kind
from schema.tables import SCHEMA_REVISION
from syncd import baseline, keeping, log, quarantine, receipt
from syncd.clock import instant_of
from syncd.errors import KeyMissing, SyncdError, UsageError
from syncd.proposing import Wish, propose
from syncd.prune import Policy, prune
from syncd.reassign import packed
from syncd.review.desk import Asked
from syncd.review.resolve import resolve, undo
from syncd.review.verbs import Verb
from tests.sim.clerk import Clerk
from tests.sim.verdicts import check_backed_up, check_floors
from tests.trees import TreeNode, unguarded

if TYPE_CHECKING:
    from tests.sim.world import World

YEAR_MS = 365 * 24 * 3600 * 1000
NO_AGE = Policy(keep_ms=0, retention_ms=0)
REVIEWS = (
    "SELECT p.id, p.operation, p.row_id, p.wished, v.detail, p.table_name FROM verdict AS v"
    " JOIN proposal AS p ON p.id = v.proposal_id WHERE v.unit_id = ? AND v.outcome = 'review'"
    " AND NOT EXISTS (SELECT 1 FROM verdict AS later WHERE later.resolves = v.id) ORDER BY p.id"
)


@dataclass(slots=True)
class _Settled:
    """What a person decided, and the row of before."""

    clerk: Clerk
    proposal_id: str
    table: str
    row_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(slots=True)
class Moving:
    """The events of one world."""

    world: World
    settled: list[_Settled] = field(default_factory=list)
    units_made: int = 0
    backed_up: dict[str, int] = field(default_factory=dict)  # stream → how far the custodian has signed a backup

    def propose(self, upper: TreeNode, person: str) -> None:
        """An upper tier wishes something about a person, or a new one."""
        unit_code = next(node.unit_code for node in self.world.nodes if not node.children)
        wishes: list[tuple[str, str | None, str | None, dict[str, str | int | None]]] = [
            ("update", person, None, {"phone": f"09{self.world.random.randrange(10**7)}"}),
            ("update", person, None, {"ethnic": "05", "relation": "03"}),
            ("update", person, None, {"full_name": f"Lê {self.world.random.randrange(99)}"}),
            (
                "insert",
                None,
                unit_code,
                {
                    "full_name": f"Phạm {self.world.random.randrange(99)}",
                    "sex": 2,
                    "birth_date": "1990-01-02",
                    "birth_precision": "y",
                    "ethnic": "01",
                    "residence": "usual",
                },
            ),
            ("delete", person, None, {}),
        ]
        operation, row_id, code, wished = self.world.random.choice(wishes)
        try:
            propose(
                upper.store,
                Wish(
                    operation=operation,
                    table="person",
                    row_id=row_id,
                    unit_code=code,
                    wished=wished,
                    author="cán bộ",
                    reason="thử",
                ),
                self.world.clock(),
            )
        except UsageError:
            return  # a row or unit whose keeper is not known there (yet)
        self.world.counts["proposals"] += 1

    def hand_over(self, by: TreeNode) -> None:
        """A tier above orders that a unit passes to another node below it, or to itself."""
        by = by if by.children else self.world.root
        to = self.world.random.choice([node for node in self.world.nodes if _is_below(node, by)])
        self._order(by, self.world.random.choice(sorted(self.world.keepers.writable)), to)

    def force(self, _node: TreeNode) -> None:
        """A machine is dead or stolen: the custodian ends the terms of whatever it keeps where they stand."""
        to = self.world.random.choice(self.world.nodes)
        self._order(self.world.root, self.world.random.choice(sorted(self.world.keepers.writable)), to, forced=True)

    def _order(self, by: TreeNode, unit_id: str, to: TreeNode, *, forced: bool = False) -> None:
        world = self.world
        world.tell(f"unit {unit_id[19:23]} to {to.name}")
        try:
            world.alive(
                by,
                lambda: keeping.order(by.node, unit_id, to.node.node_id, author="An", reason="thử", forced=forced),
            )
        except UsageError:
            return
        finally:
            world.keepers.note_forced(world.root)  # written or not, if it died of it
        world.counts["forced terms" if forced else "hand-overs"] += 1
        world.keepers.watch(by)

    def reassign(self, _node: TreeNode) -> None:
        """Households pass to a new unit, or from there to where they came from."""
        world = self.world
        clerk = self._some_clerk()
        households = world.keepers.household_lists(clerk) if clerk else []
        if clerk is None or not households:
            return
        chosen = tuple(sorted(world.random.sample(households, world.random.randint(1, len(households)))))
        to_unit = self._target(clerk)
        world.tell(f"{len(chosen)} households of {clerk.unit_id[19:23]} to {to_unit[19:23]}")
        move = keeping.Move(from_unit=clerk.unit_id, to_unit=to_unit, row_ids=chosen)
        try:
            world.alive(world.root, lambda: keeping.reassign(world.root.node, move, author="An", reason="thử"))
        except UsageError:
            return
        finally:
            self._note_moves(move.from_unit, to_unit, chosen)
        world.counts["reassignments"] += 1

    def onto_itself(self, _node: TreeNode) -> None:
        """Somebody slips: households pass to the unit they are in. An order may also come from an older release, which
        let it through."""
        world = self.world
        clerk = self._some_clerk()
        if clerk is None:
            return
        unit_id = clerk.unit_id
        chosen = world.random.choice([None, tuple(world.random.sample(sorted(clerk.tables["household"]), 1))]
                                     if clerk.tables["household"] else [None])  # fmt: skip
        world.tell(f"{'all' if chosen is None else 1} of {unit_id[19:23]} to itself")
        move = keeping.Move(from_unit=unit_id, to_unit=unit_id, row_ids=chosen)
        values = {"from_unit_id": unit_id, "to_unit_id": unit_id, "row_ids": chosen and packed(chosen)}
        words = {"reason": "", "author": "An", "ordered_at": instant_of(world.clock())}
        try:
            if world.random.random() < 0.5:
                world.alive(world.root, lambda: keeping.reassign(world.root.node, move, author="An", reason="thử"))
            else:
                world.alive(world.root, lambda: unguarded(world.root, "reassignment", **values, **words))
        except UsageError:
            return
        finally:
            for (order_id,) in world.root.rows("SELECT id FROM reassignment WHERE from_unit_id = to_unit_id"):
                world.keepers.moves.setdefault(order_id, (unit_id, ()))
        world.counts["moves onto oneself"] += 1

    def _note_moves(self, from_unit: str, to_unit: str, households: tuple[str, ...]) -> None:
        known = self.world.keepers.moves
        for (order_id,) in self.world.root.rows("SELECT id FROM reassignment"):
            if order_id not in known:
                known[order_id] = (from_unit, households)
                self.world.keepers.note_exchange(from_unit, to_unit)
                self.world.keepers.writable.add(to_unit)

    def _some_clerk(self) -> Clerk | None:
        clerks = self.world.clerks  # none while every unit is on its way to another keeper
        if not clerks:
            return None
        clerk = self.world.random.choice(clerks)
        clerk.refresh()
        return clerk

    def _target(self, clerk: Clerk) -> str:
        world = self.world
        others = [c.unit_id for c in world.keepers.at(clerk.at) if c is not clerk]
        if others and world.random.random() < 0.6:
            return world.random.choice(others)
        self.units_made += 1
        number = self.units_made
        unit_id = f"01900000-0000-7000-9{number:03x}-0000{world.root.keys.tag}"
        world.root.sql(
            "INSERT INTO unit (id, parent_id, level, code, name) VALUES (?, ?, 'commune', ?, 'Xã mới')",
            (unit_id, world.root.unit_id, f"9{number:03}"),
        )
        world.alive(world.root, world.root.node.refresh)
        return unit_id

    def adopt(self, node: TreeNode) -> None:
        """A person admits what was written beyond a term."""
        with node.store.read() as tx:
            late = [row[0] for row in quarantine.waiting(tx, node.node.tree())]
        for stream_id in late:
            self.world.keepers.torn.update(
                row[0] for row in node.rows("SELECT unit_id FROM syncd_stream WHERE stream_id = ?", (stream_id,))
            )
            try:
                made = self.world.alive(node, partial(node.node.adopt_late, stream_id, "Bình"))
            except (UsageError, KeyMissing):  # not this node's, or its key is on the way: tried again at the end
                continue
            self.world.counts["adopted"] += made.proposals

    def back_up(self, _node: TreeNode) -> None:
        """The custodian signs that it has a verified backup of all it shows (making the file is tested elsewhere)."""
        root = self.world.root
        made_ms = root.node.clock()

        def sign() -> None:
            with root.store.apply("backed-up") as tx:
                signed = [
                    receipt.sign(root.node.keys, at, made_ms, receipt.BACKED_UP)
                    for at in log.streams(tx, "applied_seq > backed_up_seq")
                ]
                receipt.note_backup(tx, signed)
                for item in signed:
                    receipt.store(tx, item)

        self.world.machines.renew(root)
        self.world.alive(root, sign)
        self.backed_up = self._safe()

    def _safe(self) -> dict[str, int]:
        """How far the custodian has signed backups: as it knows, or did before its own disk was lost."""
        known = dict(self.world.root.rows("SELECT stream_id, backed_up_seq FROM syncd_stream"))
        if not self.world.lost.root_was_lost:
            return known
        return {key: max(known.get(key, 0), self.backed_up.get(key, 0)) for key in known.keys() | self.backed_up}

    def make_baseline(self, node: TreeNode) -> None:
        """A keeper, or the custodian, writes a baseline of a register."""
        own = "" if node is self.world.root else " AND own = 1"
        rows = node.rows(f"SELECT stream_id FROM syncd_stream WHERE kind = ?{own} ORDER BY 1", (int(Kind.REGISTER),))
        if rows:
            stream_id = self.world.random.choice(rows)[0]
            made = self.world.alive(node, lambda: baseline.make(node.node, stream_id))
            self.world.counts["baselines"] += made is not None

    def prune(self, _node: TreeNode) -> None:
        """A day has passed: the custodian backs up, and everywhere logs forget what may go. Not while a machine of the
        first day is away: of a term that ended meanwhile its branch could never be left (a known limit)."""
        if self.world.twins.is_one_away:
            return
        self.back_up(self.world.root)
        for node in self.world.nodes:
            cuts = self.world.alive(node, partial(prune, node.store, NO_AGE, node.node.clock()))
            self.world.counts["pruned envelopes"] += sum(cut.envelopes for cut in cuts)
            check_floors(node)
            check_backed_up(cuts, node, self._safe())

    def jump(self, node: TreeNode) -> None:
        """A station's clock is a year off, or right again."""
        clock = self.world.clocks[node.name]
        clock.offset_ms = self.world.random.choice([YEAR_MS, -YEAR_MS, 0, 0]) if node is not self.world.root else 0
        self.world.counts["clock jumps"] += 1

    def upgrade(self, node: TreeNode) -> None:
        """The next release runs here; what it writes, the others cannot read until it is their turn."""
        self.world.revisions[node.name] = SCHEMA_REVISION + 1
        self.world.reopen(node)
        self.world.counts["upgrades"] += 1

    def review(self, _node: TreeNode) -> None:
        """A person settles what waits for a person, or takes it back."""
        world = self.world
        clerk = self._some_clerk()
        if clerk is None:
            return
        if self.settled and world.random.random() < 0.3:
            self._undo(self.settled.pop())
            return
        waiting = clerk.at.rows(REVIEWS, (clerk.unit_id,))
        if waiting:
            self._resolve(clerk, *world.random.choice(waiting))

    def _resolve(
        self, clerk: Clerk, proposal_id: str, operation: str, row_id: str, wished: str, detail: str, table: str
    ) -> None:
        verb = self.world.random.choice([Verb.KEEP_OURS, Verb.TAKE_THEIRS])
        if operation == "insert" or row_id not in clerk.tables[table]:
            verb = Verb.KEEP_OURS
        before = copy.deepcopy(clerk.tables[table].get(row_id))
        try:
            resolve(clerk.at.store, proposal_id, Asked(verb=verb, author="An"), clerk.at.node.clock(),
                    self.world.random.randbytes)  # fmt: skip
        except SyncdError:
            return
        if verb is Verb.TAKE_THEIRS and operation == "delete":
            del clerk.tables[table][row_id]
        elif verb is Verb.TAKE_THEIRS:
            columns = json.loads(detail)["columns"]
            clerk.tables[table][row_id].update({c["column"]: c["wished"] for c in columns if c["result"] == "review"})
        self.world.counts["reviews"] += 1
        after = copy.deepcopy(clerk.tables[table].get(row_id))
        self.settled.append(
            _Settled(clerk=clerk, proposal_id=proposal_id, table=table, row_id=row_id, before=before, after=after)
        )

    def _undo(self, of: _Settled) -> None:
        clerk = of.clerk
        if clerk not in self.world.clerks or clerk.tables[of.table].get(of.row_id) != of.after:
            return
        try:
            undo(clerk.at.store, of.proposal_id, Asked(verb=Verb.LATER, author="An", reason="nhầm"),
                 clerk.at.node.clock(), self.world.random.randbytes)  # fmt: skip
        except SyncdError:
            return
        self.world.counts["undone"] += 1
        if of.before is None:
            clerk.tables[of.table].pop(of.row_id, None)
        else:
            clerk.tables[of.table][of.row_id] = of.before


def _is_below(node: TreeNode, of: TreeNode) -> bool:
    at: TreeNode | None = node
    while at is not None and at is not of:
        at = at.parent
    return at is of
