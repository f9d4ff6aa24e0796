"""How fast a keeper decides: proposals against rows that all changed meanwhile, on either database.

Enters: a folder, a server, numbers of persons and proposals. Leaves: decisions per second.
Must hold: every proposal disagrees with its row in one column, under each policy in turn, and agrees in another; the
clock runs from the first question to the last commit, and every verdict is counted before a figure is given.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

from bench import data
from schema.install import Identity, install, statements
from syncd.decide import decide_waiting
from syncd.proposing import Proposer, Wish
from syncd.security.identity import NodeKeys
from syncd.setup import Place
from syncd.store import postgres, sqlite
from syncd.store.base import Store
from tests import trees
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode

PERSONS = 30_000  # of a commune of today
PROPOSALS = 5_000
KEY = bytes(range(32))
# A column and what district and clerk write into it: keeper, upper, latest, review; then one that nobody else touched.
DISPUTED = (("relation", "03", "05"), ("ethnic", "02", "03"), ("phone", "0222", "0333"), ("full_name", "A B", "A C"))
UNDISPUTED = "line_no"


class Deciding:
    """A province and a commune without a network; the commune keeps the register and decides."""

    def __init__(self, folder: Path, server: PostgresServer | None, persons: int) -> None:
        folder.mkdir()
        self._server = server
        self._dsn = None if server is None else server.create_database(f"deciding_{folder.name}")
        builder = Encrypted(folder)
        self.province = builder.root()
        self.commune = builder.child(self.province, "commune", "18229", self._dsn)
        builder.settle()
        register = data.register(self.commune.unit_id, self.commune.keys.tag, persons)
        with self.commune.store.write("load") as tx:
            tx.many(data.INSERT_HOUSEHOLD, register.households)
            tx.many(data.INSERT_PERSON, register.persons)
        builder.settle()
        self._builder = builder
        self._rows = [str(row[0]) for row in register.persons]
        self._turn = 0

    def per_second(self, count: int) -> float:
        """One round: `count` wishes of the province arrive after the clerk has changed every row they speak of."""
        self._turn += 1
        chosen = Random(self._turn).sample(self._rows, count)
        for node in (self.province, self.commune):
            node.node.clock_offset_ms = 0
        self._wish(chosen)
        with self.commune.store.write("clerk") as tx:
            for place, row_id in enumerate(chosen):
                name, _, edited = DISPUTED[place % len(DISPUTED)]
                tx.run(f"UPDATE person SET {name} = ? WHERE id = ?", (f"{edited}{self._suffix(name, place)}", row_id))
        self.commune.node.write()
        _carry(self.province, self.commune)
        at = self.commune.node
        began = time.perf_counter()
        decide_waiting(at.store, at.tree(), at.clock, at.clock_offset_ms, at.changed_at)
        spent_s = time.perf_counter() - began
        self._require_decided(count)
        self._builder.settle()
        return count / spent_s

    def close(self) -> None:
        trees.close()
        if self._server is not None and self._dsn is not None:
            self._server.drop_database(self._dsn)

    def _wish(self, chosen: list[str]) -> None:
        store = self.province.store
        with store.write("propose") as tx:
            proposer = Proposer(tx, self.province.node.clock())
            for place, row_id in enumerate(chosen):
                name, wished, _ = DISPUTED[place % len(DISPUTED)]
                values: dict[str, str | int | None] = {
                    name: f"{wished}{self._suffix(name, place)}",
                    UNDISPUTED: self._turn * 100 + place % 100,
                }
                wish = Wish(
                    operation="update", table="person", row_id=row_id, unit_code=None, wished=values, author="A",
                    reason="B",
                )  # fmt: skip
                proposer.write(proposer.prepare(store.registry.by_name["person"], wish))
        self.province.node.write()

    def _suffix(self, name: str, place: int) -> str:
        """So that each round changes something and no two persons come to look alike; codes keep their length."""
        return f"{self._turn} {place}" if name in ("phone", "full_name") else ""

    def _require_decided(self, count: int) -> None:
        found = self.commune.rows("SELECT outcome, count(*) FROM verdict GROUP BY outcome")
        if sum(row[1] for row in found) != count * self._turn or len(found) < 2:
            raise RuntimeError(f"decided otherwise than expected, no figure is given: {found}")


class Encrypted(TreeBuilder):
    """Embedded databases as stations have them: encrypted."""

    def _database(self, name: str, keys: NodeKeys, place: Place, dsn: str | None) -> Any:
        identity = Identity(node_id=keys.node_id, tag=keys.tag, unit_id=place.unit_id)
        if dsn is not None:
            install(lambda: postgres.connect(dsn), "postgres", self.registry, identity)
            return lambda: postgres.PostgresStore(dsn, self.registry)
        path = self.folder / f"{name}.db"
        connection = sqlite.connect(path, KEY)
        connection.execute("BEGIN")
        for statement in statements("sqlite", self.registry, identity):
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.close()

        def opened() -> Store:
            return sqlite.SqliteStore(path, self.registry, KEY)

        return opened


def _carry(parent: TreeNode, child: TreeNode) -> None:
    """Everything the parent has for the child, applied there and not yet decided."""
    for _ in range(trees.ROUNDS_MAX):
        parent.node.settle()  # the keys the child needs
        parent.node.write()
        moved = trees.exchange(child.link, parent.desk, child)  # type: ignore[arg-type]  # a child has a link
        if not child.node.apply_all().applied and not moved:
            return
