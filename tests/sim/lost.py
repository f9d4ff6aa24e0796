"""Restored copies where units pass on: which units a model can follow, and what must hold of all the others.

Enters: a world, nodes whose disks were lost. Leaves: the units whose clerks are followed by their words alone;
AssertionErrors.
Must hold: a unit that no restored node ever kept, and that exchanged no rows with such a one, keeps its exact model. Of
the others, whose content depends on which branch came first, what the keeper shows at last is what every tier must
show, and every acknowledged word stands, was overruled by another, or is named by a proposal or a wish. Whatever the
custodian has signed stays in its log, the very bytes, or lies beyond a forced end.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schema.spec import Audience
from tests.sim.clerk import REGISTER
from tests.sim.keepers import wished_inserts
from tests.sim.verdicts import check_receipts
from tests.trees import TreeNode

if TYPE_CHECKING:
    from tests.sim.world import World

Row = dict[str, Any]
Place = tuple[str, str]  # table, row
Wish = dict[str, Any]
SIGNED = (
    "SELECT s.stream_id, s.custodian_seq, l.hash FROM syncd_stream AS s JOIN syncd_log AS l"
    " ON l.stream_id = s.stream_id AND l.seq = s.custodian_seq WHERE s.kind <> 4"
)


@dataclass(slots=True)
class Lost:
    """What the disks that were lost in one world leave to be judged."""

    world: World
    signed: dict[tuple[str, int], bytes] = field(default_factory=dict)
    root_was_lost: bool = False

    def note(self, at: TreeNode) -> None:
        """See what the custodian signed of a node's logs, and what a left branch became."""
        for stream_id, seq, position_hash in at.rows(SIGNED):
            self.signed.setdefault((stream_id, int(seq)), bytes(position_hash))
        self.see_wishes(at)

    def see_wishes(self, at: TreeNode) -> None:
        """Units whose groups come back as single wishes."""
        query = "SELECT DISTINCT s.unit_id FROM syncd_wish AS w JOIN syncd_stream AS s ON s.stream_id = w.stream_id"
        self.world.keepers.torn.update(row[0] for row in at.rows(query) if row[0] is not None)

    def other_machine(self, at: TreeNode, number: int) -> None:
        """Other database files are this node now: whatever it ever kept is followed by words from now on."""
        if not self.world.preset.loses_disks:
            return  # clerks are told by `Machines`
        keepers = self.world.keepers
        kept = {unit_id for unit_id, node_id, _term in keepers.terms if node_id == at.node.node_id}
        keepers.follow_words(kept)
        for (_unit, node_id, _term), clerk in keepers.terms.items():
            if node_id == at.node.node_id:
                clerk.machine = number
        self.root_was_lost = self.root_was_lost or at is self.world.root
        keepers.watch(at)

    def check(self) -> None:
        """At rest."""
        for node in self.world.nodes:
            check_receipts(node, self.world.root)
        self._check_signed()
        self._check_words()

    def _check_signed(self) -> None:
        root = self.world.root
        held = {row[0]: row[1:] for row in root.rows("SELECT stream_id, held_seq, floor_seq, ended FROM syncd_stream")}
        found = {(row[0], row[1]): bytes(row[2]) for row in root.rows("SELECT stream_id, seq, hash FROM syncd_log")}
        for (stream_id, seq), position_hash in self.signed.items():
            held_seq, floor_seq, ended = held.get(stream_id, (0, 0, 0))
            if seq < floor_seq or (ended and seq > held_seq):
                continue
            assert found.get((stream_id, seq), position_hash if seq == floor_seq else b"") == position_hash, (
                f"root: had signed {seq} of {stream_id} and holds something else there"
            )

    def _check_words(self) -> None:
        keepers, nodes = self.world.keepers, self.world.nodes
        said: dict[Place, list[tuple[tuple[int, int], Row | None]]] = defaultdict(list)
        judged: set[Place] = set()
        for (unit_id, _node, _term), clerk in keepers.terms.items():
            for place, words in clerk.ledger.items():
                said[place] += [((clerk.number, machine), word) for machine, word in words]
                if unit_id in keepers.loose:
                    judged.add(place)
        now, wishes = _stands(self.world.root), _Wishes(nodes)
        lost = [why for place in sorted(judged) for why in _lost(place, said[place], now.get(place), wishes)]
        assert not lost, f"acknowledged, and neither there nor named: {lost[:5]}"


class _Wishes:
    """What is wished anywhere, decided or not."""

    def __init__(self, nodes: Iterable[TreeNode]) -> None:
        self._all: dict[str, Wish] = {}
        names = {table.number: table.name for table in REGISTER.values()}
        for node in nodes:
            for key, table, row_id, op, wished in node.rows(
                "SELECT id, table_name, row_id, operation, wished FROM proposal ORDER BY made_at, id"
            ):
                self._all[key] = {"table": table, "row_id": row_id, "operation": op, "wished": json.loads(wished)}
            for key, tab, row_id, op, wished in node.rows("SELECT wish_id, tab, row_id, op, wished FROM syncd_wish"):
                values = {"operation": "update" if op in ("held", "kept") else op, "wished": json.loads(wished)}
                self._all[f"wish {key}"] = {"table": names.get(tab, ""), "row_id": row_id, **values}

    def of(self, place: Place) -> list[Wish]:
        return [w for w in self._all.values() if (w["table"], w["row_id"]) == place]

    def inserts(self, table: str) -> Iterator[Row]:
        return wished_inserts([w for w in self._all.values() if w["table"] == table])


def _stands(root: TreeNode) -> dict[Place, Row]:
    found: dict[Place, Row] = {}
    for table in REGISTER.values():
        names = [column.name for column in table.columns]
        for row in root.rows(f"SELECT id, {', '.join(names)} FROM {table.name}"):
            found[table.name, row[0]] = dict(zip(names, row[1:], strict=True))
    return found


def _lost(
    place: Place, said: list[tuple[tuple[int, int], Row | None]], now: Row | None, wishes: _Wishes
) -> Iterator[str]:
    """The last word of each machine about a row, unless another's stands instead or something names it."""
    table, row_id = place
    words = [word for _machine, word in said]
    last_of = dict(said)
    for last in last_of.values():
        if now == last or (now is None and None in words):
            continue
        named = wishes.of(place)
        if any(wish["operation"] in ("insert", "delete") for wish in named):
            continue
        if last is None:
            if not named and now not in words:
                yield f"{table} {row_id}: deleted, and is there"
        elif now is None:
            others = [*words, *(wish["wished"] for wish in named)]  # a proposal it had accepted counts as a word
            if not any(_says(table, wished, last, others) for wished in wishes.inserts(table)):
                yield f"{table} {row_id}: is gone"
        else:
            wished = {name for wish in named for name in wish["wished"]}
            overruled = {name for name in last if any(w is not None and w[name] == now[name] for w in words)}
            yield from (
                f"{table} {row_id}: {name} is {now[name]!r}, acknowledged was {last[name]!r}"
                for name in sorted(_open_names(table) - wished - overruled)
                if now[name] != last[name]
            )


def _says(table: str, wished: Row, last: Row, words: list[Row | None]) -> bool:
    """Whether an insert, of whatever id, wishes a row as it was acknowledged, or as a later word of it overruled that.
    What refers to other rows may have been wished under other ids."""
    names = {column.name for column in REGISTER[table].columns if not column.references} & _open_names(table)
    said = [word for word in words if word is not None]
    return all(
        any(name in word and word[name] == wished.get(name) for word in said)
        for name in names if last[name] is not None
    )  # fmt: skip


def _open_names(table: str) -> set[str]:
    """Without what is for the custodian's eyes, which no proposal tells."""
    return {column.name for column in REGISTER[table].columns if column.audience is not Audience.CUSTODIAN}
