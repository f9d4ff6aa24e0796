"""How long a hand-over takes at each tier, and what it sends: a commune's register passes to its district and back.

Enters: a folder, a server for the province, the number of persons. Leaves: seconds of the busiest node, bytes on the
wire. Must hold: three tiers over a perfect line in this process; every node's turns are timed until the new keeper has
typed and the province shows it; contents are compared before a figure is given.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import data
from bench.deciding import Encrypted
from syncd import keeping, messages
from syncd.framing import FrameReader
from tests import trees
from tests.postgres import PostgresServer
from tests.trees import TreeNode

PERSONS = 30_000  # of a commune of today
DEATHS = 180  # of a year; their cause is for the keeper and the province alone
TYPED = "UPDATE person SET education = ? WHERE id = ?"
TYPED_ROW = "SELECT education FROM person WHERE id = ?"


@dataclass(slots=True, kw_only=True)
class Passed:
    """One hand-over: seconds of work per node, bytes in both directions on both lines."""

    seconds: dict[str, float] = field(default_factory=dict)
    size_bytes: int = 0


class HandingOver:
    """A province, a district, a commune; the commune's register is loaded and at rest."""

    def __init__(self, folder: Path, server: PostgresServer, persons: int) -> None:
        folder.mkdir()
        self._server = server
        self._dsn = server.create_database(f"handover_{folder.name}")
        builder = Encrypted(folder)
        self.province = builder.root(dsn=self._dsn)
        self.district = builder.child(self.province, "district", "440")
        self.commune = builder.child(self.district, "commune", "18229")
        self._nodes = [self.province, self.district, self.commune]
        builder.settle()
        self._builder = builder
        self._load(persons)
        self._turn = 0

    def passes(self) -> list[Passed]:
        """There and back."""
        return [self._pass(self.district), self._pass(self.commune)]

    def close(self) -> None:
        trees.close()
        self._server.drop_database(self._dsn)

    def _load(self, persons: int) -> None:
        register = data.register(self.commune.unit_id, self.commune.keys.tag, persons)
        with self.commune.store.write("load") as tx:
            tx.many(data.INSERT_HOUSEHOLD, register.households)
            tx.many(data.INSERT_PERSON, register.persons)
        self._builder.settle()
        dead = [row[0] for row in register.persons[: DEATHS * 7 : 7]]
        for start in range(0, len(dead), 3):  # as they are typed, a few a day
            with self.commune.store.write("load") as tx:
                tx.many("INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-01', 1, 'I64')",
                        [(row_id,) for row_id in dead[start : start + 3]])  # fmt: skip
            self.commune.node.write()
        self._builder.settle()
        self.commune.node.checkpoint()
        self._builder.settle()
        self._person = str(register.persons[0][0])

    def _pass(self, new: TreeNode) -> Passed:
        """From the order until nothing moves, the new keeper having typed."""
        self._turn += 1
        passed = Passed(seconds=dict.fromkeys((node.name for node in self._nodes), 0.0))
        keeping.order(self.district.node, self.commune.unit_id, new.node.node_id, author="An", reason="bench")
        self._settle(passed)
        with new.store.write("clerk") as tx:
            tx.run(TYPED, (str(self._turn), self._person))
        self._settle(Passed(seconds=dict(passed.seconds)))
        self._require_equal(new)
        return passed

    def _settle(self, passed: Passed) -> None:
        for _ in range(trees.ROUNDS_MAX):
            if not any([self._step(node, passed) for node in self._nodes]):  # noqa: C419 - each takes its turn
                return
        raise RuntimeError("the hand-over does not come to its end")

    def _step(self, at: TreeNode, passed: Passed) -> bool:
        began = time.perf_counter()
        moved = bool(at.node.write())
        if at.link is not None and at.parent is not None:
            moved = self._exchange(at, at.parent, passed) or moved
        moved = at.node.apply_all().applied or moved
        moved = at.node.settle().wrote or moved
        passed.seconds[at.name] += time.perf_counter() - began
        return moved

    @staticmethod
    def _exchange(at: TreeNode, parent: TreeNode, passed: Passed) -> bool:
        """What `tests.trees.exchange` does, every body counted that carries anything."""
        link, desk, me, moved = at.link, parent.desk, at.node.node_id, False
        if link is None:
            return False
        now = at.node.clock()
        link.take_hello(desk.hello(me, link.hello()), now, now)
        while sending := link.next_push():
            reply = desk.push(me, FrameReader(b"").feed(sending.body))
            link.take_push(reply)
            passed.size_bytes += len(sending.body) + len(messages.encode(reply))
            moved = True
        asked = link.pull(0)
        answer, down = desk.pull(me, asked)
        received = link.take_pull(answer, FrameReader(b"").feed(down.body))
        if answer.receipts or down.body:
            passed.size_bytes += len(messages.encode(asked)) + len(messages.encode(answer)) + len(down.body)
        return moved or bool(answer.receipts) or bool(received and received.taken)

    def _require_equal(self, new: TreeNode) -> None:
        for table in ("household", "person", "death"):
            counts = {node.value(f"SELECT count(*) FROM {table}") for node in self._nodes}
            if len(counts) != 1:
                raise RuntimeError(f"{table} differs between the tiers: {counts}; no figure is given")
        causes = new.value("SELECT count(*) FROM death WHERE cause = 'I64'")
        differing = [node.rows("SELECT 1 FROM syncd_checkpoint WHERE ok = 0") for node in self._nodes]
        if causes != DEATHS or any(differing) or new.value(TYPED_ROW, (self._person,)) != str(self._turn):
            raise RuntimeError(f"the new keeper shows other content ({causes} causes of death); no figure is given")
