"""Who keeps which unit, and what its register must hold: a model of every term, followed from keeper to keeper.

Enters: nodes after each work they did. Leaves: a clerk per term that has begun; AssertionErrors.
Must hold: the model takes from a node's tables only whether a term has begun, and what the custodian showed when it
ended a term by force; rows are followed by what was acknowledged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from schema.spec import Audience
from tests.sim.clerk import REGISTER, Clerk
from tests.trees import TreeNode

Tables = dict[str, dict[str, dict[str, Any]]]
Key = tuple[str, str, int]  # unit, node, term
FOLLOWS = {"person": ("household_id",), "birth": ("child_id", "mother_id"), "death": ("person_id",),
           "migration": ("person_id",)}  # fmt: skip


@dataclass(slots=True)
class Keepers:
    """The terms of a world. `clerk_for(node, unit)`: a new clerk there."""

    nodes: Sequence[TreeNode]
    clerk_for: Callable[[TreeNode, str], Clerk]
    terms: dict[Key, Clerk] = field(default_factory=dict)
    live: dict[Key, Clerk] = field(default_factory=dict)
    forced: dict[tuple[Key, int], Tables] = field(default_factory=dict)
    moves: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)  # order → unit it leaves, households
    moved: set[str] = field(default_factory=set)  # those orders that were carried out
    exchanges: set[tuple[str, str]] = field(default_factory=set)  # units that rows were ordered to leave, and enter
    writable: set[str] = field(default_factory=set)
    torn: set[str] = field(default_factory=set)  # units whose groups came back as single wishes
    loose: set[str] = field(default_factory=set)  # units followed by words alone (`tests/sim/lost.py`)

    def watch(self, at: TreeNode) -> None:
        """See what a node keeps now, and what it decided."""
        rows = at.rows("SELECT unit_id, node_id, term FROM syncd_keeper WHERE mine = 1")
        here = {(row[0], row[1], int(row[2])) for row in rows}
        before = [key for key, clerk in self.live.items() if clerk.at is at]
        begun = {unit_id for unit_id, _node, _term in here - self.live.keys()}
        for key in before:
            if key in here or key[0] not in begun:  # else a later term of this node may have decided already
                self.live[key].learn_verdicts()
        for key in before:
            if key not in here:
                del self.live[key]
        for key in sorted(here - self.live.keys()):
            self._begin(at, key)

    def clerks(self) -> list[Clerk]:
        """Those who may type now."""
        return [clerk for (unit_id, _node, _term), clerk in sorted(self.live.items()) if unit_id in self.writable]

    def at(self, node: TreeNode) -> list[Clerk]:
        """The clerks of one node."""
        return [clerk for clerk in self.clerks() if clerk.at is node]

    def note_forced(self, root: TreeNode) -> None:
        """Remember what the custodian shows of each unit whose term it has just ended by force."""
        rows = root.rows("SELECT kept_unit_id, from_node_id, from_term, forced_seq FROM handover"
                         " WHERE forced_seq IS NOT NULL")  # fmt: skip
        for unit_id, node_id, term, seq in rows:
            place = ((unit_id, node_id, int(term)), int(seq))
            if place not in self.forced:  # each order is seen at once, before the root applies anything more
                self.forced[place] = shown(root, unit_id)
                orders = "SELECT id FROM reassignment WHERE from_unit_id = ? OR to_unit_id = ?"
                self.moved -= {row[0] for row in root.rows(orders, (unit_id, unit_id))}  # perhaps carried out anew

    def household_lists(self, of: Clerk) -> list[str]:
        """Households that may move: without a stamp, which belongs to its unit's five, and that no order under way
        names (of two the first one to be carried out would have them, which the model does not follow)."""
        ordered = {row_id for order, (_unit, ids) in self.moves.items() if order not in self.moved for row_id in ids}
        rows = sorted(of.tables["household"].items())
        return [row_id for row_id, row in rows if row["collaborator"] is None and row_id not in ordered]

    def follow_words(self, units: set[str]) -> None:
        """Other branches of these units exist than their models know, and of whatever exchanges rows with them."""
        orders = [(unit_id, to_unit) for unit_id, to_unit in self.exchanges]
        self.loose |= units
        while more := {unit for pair in orders if self.loose & set(pair) for unit in pair} - self.loose:
            self.loose |= more
        for (unit_id, _node, _term), clerk in self.terms.items():
            clerk.is_loose = unit_id in self.loose

    def note_exchange(self, from_unit: str, to_unit: str) -> None:
        """Rows are ordered to pass between two units."""
        self.exchanges.add((from_unit, to_unit))
        self.follow_words(set())

    def late(self, root: TreeNode) -> Iterator[tuple[Key, Tables, Tables]]:
        """Terms that were cut or put aside: what stayed of each, and what was acknowledged in it."""
        for key, clerk in sorted(self.terms.items()):
            unit_id, node_id, term = key
            if unit_id in self.loose:
                continue
            chain = _chain(root, unit_id)
            place = next((row for row in chain if (row[1], row[0]) == (node_id, term)), None)
            if place is None and chain:
                yield key, clerk.before, clerk.tables
            elif place is not None and place[2] is not None and (key, place[2]) in self.forced:
                kept = clerk.before if place[2] == 0 else self.forced[key, place[2]]
                yield key, kept, clerk.tables

    def _begin(self, at: TreeNode, key: Key) -> None:
        if key in self.terms:
            self.live[key] = self.terms[key]
            return
        unit_id, _node_id, term = key
        clerk = self.clerk_for(at, unit_id)
        clerk.moved = lambda order_id: self._move(clerk, order_id)
        clerk.is_loose = unit_id in self.loose
        if clerk.is_loose:
            clerk.refresh()
            self.terms[key] = self.live[key] = clerk
            return
        clerk.before = self._taken_over(at, unit_id, term)
        clerk.tables = copy.deepcopy(clerk.before)
        self.terms[key] = self.live[key] = clerk
        found = {name: clerk.read(name) for name in REGISTER}
        clerk.verdicts |= self._known(unit_id)
        clerk.learn_verdicts()
        assert found == clerk.tables, (
            f"{at.name} begins term {term} of {unit_id} with other rows than the term before it left: "
            + _first_difference(found, clerk.tables)
        )

    def _known(self, unit_id: str) -> set[str]:
        """Verdicts whose effect the content taken over holds."""
        return {v for (unit, _node, _term), clerk in self.terms.items() if unit == unit_id for v in clerk.verdicts}

    def _taken_over(self, at: TreeNode, unit_id: str, term: int) -> Tables:
        """What the terms before this one left, by the chain as this node knows it."""
        for number, node_id, ended_seq in reversed([row for row in _chain(at, unit_id) if row[0] < term]):
            key = (unit_id, node_id, number)
            if ended_seq is not None and (key, ended_seq) in self.forced:
                if ended_seq > 0:
                    return copy.deepcopy(self.forced[key, ended_seq])
                continue  # nothing of it was kept: what the one before it left
            elif key in self.terms:
                return copy.deepcopy(self.terms[key].tables)
        return {name: {} for name in REGISTER}

    def _move(self, to: Clerk, order_id: str) -> None:
        """Households with all that refers to them are the other unit's now."""
        from_unit, households = self.moves[order_id]
        if to.unit_id == from_unit:
            return  # learned where the rows are now
        self._move_earlier(to, order_id)
        self.moved.add(order_id)
        if to.is_loose:
            return
        source = next(clerk for (unit, _n, _t), clerk in self.live.items() if unit == from_unit and clerk.at is to.at)
        chosen: dict[str, list[str]] = {"household": [h for h in households if h in source.tables["household"]]}
        persons: set[str] = set()
        for table, names in FOLLOWS.items():
            parents = set(chosen["household"]) if table == "person" else persons
            chosen[table] = [
                row_id for row_id, row in source.tables[table].items() if any(row[name] in parents for name in names)
            ]
            if table == "person":
                persons = set(chosen[table])
        for table, ids in chosen.items():
            for row_id in ids:
                to.tables[table][row_id] = source.tables[table].pop(row_id)

    def _move_earlier(self, to: Clerk, order_id: str) -> None:
        """What this node has carried out before: it may be about the same rows, in another unit's register."""
        query = (
            "SELECT r.id, r.to_unit_id, v.id FROM reassignment AS r JOIN reassignment AS l ON l.id = ? AND"
            " (l.ordered_at > r.ordered_at OR (l.ordered_at = r.ordered_at AND l.id > r.id))"
            " JOIN verdict AS v ON v.proposal_id = r.id AND v.unit_id = r.to_unit_id AND substr(v.id, 29) = ?"
            " ORDER BY r.ordered_at, r.id"
        )
        here = {unit: clerk for (unit, _node, _term), clerk in self.live.items() if clerk.at is to.at}
        for earlier, unit_id, verdict_id in to.at.rows(query, (order_id, to.at.keys.tag)):
            if unit_id in here and verdict_id not in here[unit_id].verdicts:
                here[unit_id].verdicts.add(verdict_id)
                self._move(here[unit_id], earlier)


def shown(at: TreeNode, unit_id: str) -> Tables:
    """A unit's register as a node has it."""
    found: Tables = {}
    for table in REGISTER.values():
        names = [column.name for column in table.columns]
        rows = at.rows(f"SELECT id, {', '.join(names)} FROM {table.name} WHERE unit_id = ?", (unit_id,))
        found[table.name] = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
    return found


def unnamed(
    kept: Tables, acknowledged: Tables, now: Tables, wishes: Sequence[dict[str, Any]], kept_beside: Sequence[Tables],
    beside: Sequence[Tables],
) -> Iterator[str]:  # fmt: skip
    """Acknowledged late words that neither stand nor are wished by any proposal. `kept_beside`, `beside`: the same of
    other units of that keeper, where rows may have come from, or went: that is an order's word, and no wish."""
    for table, rows in acknowledged.items():
        closed = {column.name for column in REGISTER[table].columns if column.audience is Audience.CUSTODIAN}
        open_ = {c.name for c in REGISTER[table].columns if not c.references} - closed
        of_table = [wish for wish in wishes if wish["table"] == table]
        for row_id, row in rows.items():
            before = next(
                (rows[row_id] for rows in (kept[table], *(k[table] for k in kept_beside)) if row_id in rows), None
            )
            if before is None:
                said = {name: row[name] for name in open_ if row[name] is not None}
                if not any(said.items() <= wished.items() for wished in wished_inserts(of_table)):
                    yield f"{table} {row_id}: inserted late, nobody names it"
                continue
            named = {name for w in of_table if w["row_id"] == row_id for name in w["wished"]}
            gone = any(w["row_id"] == row_id and w["operation"] == "delete" for w in of_table)
            stands = now[table].get(row_id, {})
            yield from (
                f"{table} {row_id}: {name} was changed to {row[name]!r} late, nobody names it"
                for name in sorted(row)
                if row[name] != before[name] and name not in named | closed and stands.get(name) != row[name]
                and not gone
            )  # fmt: skip
        for row_id in kept[table].keys() - rows.keys():
            if any(row_id in tables[table] for tables in beside):
                continue
            if row_id in now[table] and not any(w["row_id"] == row_id and w["operation"] == "delete" for w in of_table):
                yield f"{table} {row_id}: deleted late, nobody names it"


def wished_inserts(wishes: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What inserts wish, and what late writes said of the same rows later, one after the other: another keeper of the
    row may have written too late as well."""
    later: dict[str, list[dict[str, Any]]] = {}
    for wish in wishes:
        if wish["operation"] == "update" and wish.get("is_late", True):
            later.setdefault(wish["row_id"], []).append(wish["wished"])
    for wish in wishes:
        if wish["operation"] == "insert":
            said = wish["wished"]
            yield said
            for more in later.get(wish["row_id"], []):
                said = {**said, **more}
                yield said


def _chain(at: TreeNode, unit_id: str) -> list[tuple[int, str, int | None]]:
    rows = at.rows("SELECT term, node_id, ended_seq FROM syncd_term WHERE unit_id = ? ORDER BY term", (unit_id,))
    return [(int(row[0]), row[1], None if row[2] is None else int(row[2])) for row in rows]


def _first_difference(found: Tables, wanted: Tables) -> str:
    for table, rows in wanted.items():
        for row_id in sorted(found[table].keys() | rows.keys()):
            if found[table].get(row_id) != rows.get(row_id):
                return f"{table} {row_id} is {found[table].get(row_id)}, acknowledged was {rows.get(row_id)}"
    return "nothing"
