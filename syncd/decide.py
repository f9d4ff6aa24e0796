"""Deciding: proposals for units kept here, once, in the keeper's own stream (design §5, I11, I12).

Enters: rows of `proposal` without a verdict. Leaves: the effect and the verdict, in one transaction, captured like any
write.
Must hold: nothing is decided twice; whatever loses stands in the verdict with what was seen, kept, wished, and why; a
wish the database refuses is refused alone. Rows are read and written by sets: one that fails is found by halving. A
wish about a row that went to another unit kept here is decided there, once the addressed unit's log refers to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from conflict.decide import decide
from conflict.errors import ConflictError
from conflict.policy import Policy, Rules
from conflict.proposal import Kept, Newer, Proposal
from conflict.verdict import Why
from schema.names import listed, quoted
from schema.spec import Column, Kind, Registry, Table, Type
from schema.triggers_sqlite import KEYS_AT_ONCE
from schema.values import INT_MAX, INT_MIN, Problem, check_row, check_values, rows_hold, values_hold
from syncd import limits
from syncd.carrying_out import Decision, Writer
from syncd.clock import Clock, time_ms_of
from syncd.envelope import stream_id_of
from syncd.errors import StoreError
from syncd.likeness import Likeness
from syncd.moved_rows import units_left
from syncd.store.base import Store, Tx
from syncd.tree import Tree
from syncd.undecided import (
    REFERRED,
    Referral,
    Waiting,
    deciding_unit,
    newer_wishes,
    referrals,
    rows_of,
    takes_proposals,
    twins_decided,
    undecided,
    waiting,
    waves,
)

# Stream, table, row → mask of columns: (row, column number) → when it last changed.
ChangedAt = Callable[[Tx, str, Table, Mapping[str, int]], Mapping[tuple[str, int], int]]

NAMED_APART = frozenset(("id", "unit_id"))  # a wish names its row and unit beside its values
REFUSED = (
    ConflictError, StoreError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """How many proposals were decided; whether others wait for rows that are on their way to another unit; whether some
    were only referred to the unit their row is in: they are decided once that is in the log."""

    count: int
    is_waiting: bool
    has_referred: bool = False

    def __add__(self, more: Decided) -> Decided:
        return Decided(
            count=self.count + more.count, is_waiting=self.is_waiting or more.is_waiting,
            has_referred=self.has_referred or more.has_referred,
        )  # fmt: skip


def decide_waiting(
    store: Store, tree: Tree, clock: Clock, clock_offset_ms: int | None, changed_at: ChangedAt
) -> Decided:
    """Decide every undecided proposal for a unit kept here, but those about rows that nobody knows here where they are
    just now."""
    decided = Decided(count=0, is_waiting=False)
    with store.read() as tx:
        due = undecided(tx, store.registry)
    for start in range(0, len(due), limits.DECIDE_ROWS_MAX):
        some = due[start : start + limits.DECIDE_ROWS_MAX]
        try:
            more = _decide_some(store, tree, clock, clock_offset_ms, changed_at, some, _Desk.settle)
        except REFUSED:  # nothing of it was written; once more, so that what the database refuses is found
            more = _decide_some(store, tree, clock, clock_offset_ms, changed_at, some, _Desk.settle_apart)
        decided += more
    return decided


def _decide_some(
    store: Store, tree: Tree, clock: Clock, clock_offset_ms: int | None, changed_at: ChangedAt, some: Sequence[str],
    settle: Callable[[_Desk, Sequence[Waiting]], int],
) -> Decided:  # fmt: skip
    """Decide some proposals in one transaction, wave by wave."""
    with store.write("decide") as tx:
        tx.lock("decide")  # two processes on one database must not both decide
        batch = waiting(tx, some)
        desk = _Desk(tx, store.registry, tree, clock, clock_offset_ms, changed_at, newer_wishes(tx, batch))
        with _keys_at_once(tx):
            count = sum(settle(desk, wave) for wave in waves(batch))
        return Decided(count=count, is_waiting=desk.is_waiting, has_referred=desk.has_referred)


@contextmanager
def _keys_at_once(tx: Tx) -> Iterator[None]:
    """SQLite: a wish whose key leads nowhere is refused itself, instead of all of them at the commit."""
    if tx.dialect == "sqlite":
        tx.run("INSERT INTO syncd_meta (key, value) VALUES (?, '')", (KEYS_AT_ONCE,))
    yield
    if tx.dialect == "sqlite":
        tx.run("DELETE FROM syncd_meta WHERE key = ?", (KEYS_AT_ONCE,))


def rules_of(table: Table) -> Rules:
    """What `schema/` says about disagreements in this table."""
    groups: dict[str, list[str]] = {}
    for column in table.columns:
        if column.group:
            groups.setdefault(column.group, []).append(column.name)
    return Rules(
        policies={column.name: Policy(column.policy) for column in table.columns},
        groups=tuple(tuple(names) for names in groups.values()),
        chars_max={column.name: column.chars_max for column in table.columns},
    )


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal that is decided now, in the stream of `unit_id`. `values`: of its row; None where there is none."""

    waiting: Waiting
    unit_id: str
    values: dict[str, Any] | None


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal read as what it says, with the row it speaks of. `unit_id`: in whose stream it is decided."""

    waiting: Waiting
    unit_id: str
    table: Table
    proposal: Proposal
    values: dict[str, Any] | None


class _Desk:
    """One transaction of deciding."""

    def __init__(
        self, tx: Tx, registry: Registry, tree: Tree, clock: Clock, offset_ms: int | None, changed_at: ChangedAt,
        newer: Mapping[str, Sequence[Newer]],
    ) -> None:  # fmt: skip
        self._tx = tx
        self._registry = registry
        self._tree = tree
        self._offset_ms = offset_ms
        self._changed_at = changed_at
        self._newer = newer
        self._now_ms = clock()
        self._rules = {table.name: rules_of(table) for table in registry if takes_proposals(table)}
        self._authors = {node_id[28:]: node_id for node_id in tree.nodes}
        self._line = {tree.me, *tree.ancestors(tree.me)}
        self._depth = tree.depth(tree.me)
        self._mine = frozenset(row[0] for row in tx.all("SELECT unit_id FROM syncd_keeper WHERE mine = 1"))
        self._left = units_left(tx, tree)
        self._likeness = Likeness(tx)
        self._referrals: dict[str, Referral] = {}
        self._writer = Writer(tx, registry, tree, self._now_ms)
        self.is_waiting = False
        self.has_referred = False

    def settle(self, wave: Sequence[Waiting]) -> int:
        """Decide a wave; returns how many were decided. Raises one of REFUSED where the database refuses any.

        Without a savepoint: inside one, SQLite keeps every page that a statement changes, which costs ten times the
        statement.
        """
        decisions = self._decide(wave)
        self._writer.carry_out(decisions)
        if self._tx.dialect != "sqlite":
            self._tx.run("SET CONSTRAINTS ALL IMMEDIATE")  # or a dangling key would fail them all at the commit
        return len(decisions)

    def settle_apart(self, wave: Sequence[Waiting]) -> int:
        """The same in a savepoint; where the database refuses, halves of the wave, down to the one it refuses."""
        self._tx.run("SAVEPOINT syncd_decide")
        try:
            decided = self.settle(wave)
        except REFUSED as error:
            self._tx.run("ROLLBACK TO SAVEPOINT syncd_decide")
            self._tx.run("RELEASE SAVEPOINT syncd_decide")
            if len(wave) > 1:
                half = len(wave) // 2
                return self.settle_apart(wave[:half]) + self.settle_apart(wave[half:])
            # The wish cannot be carried out as written: the kept value stands and the proposer is told why.
            refused = self._refused(wave[0], wave[0].unit_id, error)
            self._writer.record([(refused, wave[0].row_id, refused.detail)])
            return 1
        self._tx.run("RELEASE SAVEPOINT syncd_decide")
        return decided

    # --- reading: whole waves at a time ---------------------------------------------------------------------------

    def _decide(self, wave: Sequence[Waiting]) -> list[Decision]:
        rows, settled = self._read_rows(wave), twins_decided(self._tx, wave)
        self._referrals = self._writer.referrals = referrals(self._tx, wave)
        due: list[_Due] = []
        decisions: list[Decision] = []
        for each in wave:
            unit_id, values = rows.get((each.table, each.row_id or ""), (None, None))
            home = deciding_unit(each, unit_id, self._mine)
            if home is None or (each.unit_id not in self._mine and self._follows(each)):
                continue  # the row is kept elsewhere, and so is the decision; or its author sends it after the row
            if values is None and each.row_id is not None and each.operation != "insert" and each.unit_id in self._left:
                self.is_waiting = True
                continue  # it has left its unit and not arrived in the next one: not deleted, but on its way
            if home != each.unit_id and each.unit_id in self._mine and each.id not in self._referrals:
                decisions.append(self._referral(each, home))
                continue
            if each.id in self._referrals and not self._referrals[each.id].is_sealed:
                self.has_referred = True
                continue
            if each.id in settled:  # one late write, admitted at two nodes
                decisions.append(Decision(waiting=each, unit_id=home, outcome="rejected", detail=_detail(
                    Why.SUPERSEDED, newer=[settled[each.id]])))  # fmt: skip
                continue
            due.append(_Due(waiting=each, unit_id=home, values=values))
        items, malformed = self._read_wishes(due)
        decisions += malformed
        changed, references = self._changes(items), self._references(items)
        self._likeness.prepare([(each.unit_id, each.table, each.proposal) for each in items])
        return decisions + [self._verdict(each, changed, references) for each in items]

    def _referral(self, of: Waiting, unit_id: str) -> Decision:
        """A word in the stream of the unit that the wish names: whoever keeps that next hears nothing of the other."""
        self.has_referred = True
        return Decision(waiting=of, unit_id=of.unit_id, outcome=REFERRED, detail=_detail(Why.MOVED, unit_id=unit_id))

    def _follows(self, of: Waiting) -> bool:
        """Whether its author sees where the row is now, and sends the wish after it (`syncd/following.py`). It also
        knows whether the keeper of the unit that the row has left has decided already; nobody here may. What this node
        itself referred it waits for."""
        referral = self._referrals.get(of.id)
        is_mine = referral is not None and referral.id[28:] == self._tree.me[28:]
        return not is_mine and self._authors.get(of.author_tag) in self._line

    def _read_rows(self, wave: Iterable[Waiting]) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
        """Table and row → its unit and values. PostgreSQL: locked, so that nobody changes what is being decided."""
        chosen: dict[str, list[str]] = {}
        for each in wave:
            if each.row_id is not None and each.table in self._rules:
                chosen.setdefault(each.table, []).append(each.row_id)
        lock = "" if self._tx.dialect == "sqlite" else " ORDER BY id FOR UPDATE"
        found = {}
        for table_name, row_ids in chosen.items():
            names = [column.name for column in self._registry.by_name[table_name].columns]
            query = f"SELECT id, unit_id, {listed(names)} FROM {quoted(table_name)} WHERE id {{chosen}}{lock}"
            for row_id, unit_id, *values in rows_of(self._tx, query, row_ids):
                found[table_name, row_id] = (unit_id, dict(zip(names, values, strict=True)))
        return found

    def _read_wishes(self, due: Sequence[_Due]) -> tuple[list[_Item], list[Decision]]:
        """What proposals say, and verdicts about those that are malformed or break a rule of their table."""
        read: list[tuple[_Due, Table, dict[str, Any]]] = []
        items: list[_Item] = []
        decisions: list[Decision] = []
        for each in due:
            try:
                table = self._table(each.waiting.table)
                read.append((each, table, _values(table, each.waiting.wished)))
            except REFUSED as error:
                decisions.append(self._refused(each.waiting, each.unit_id, error))
        sound = _sound(read)
        for each, table, wished in read:
            of = each.waiting
            if of.id not in sound and (problems := _problems(of, table, wished)):
                detail = _detail(Why.RULE_VIOLATED, columns_wrong=[problem.column for problem in problems])
                decisions.append(Decision(waiting=of, unit_id=each.unit_id, outcome="rejected", detail=detail))
                continue
            try:
                items.append(self._read_wish(each, table, wished))
            except REFUSED as error:
                decisions.append(self._refused(of, each.unit_id, error))
        return items, decisions

    def _table(self, name: str) -> Table:
        table = self._registry.by_name.get(name)
        if table is None or table.name not in self._rules:
            raise ValueError(f"table {name} takes no proposals")
        return table

    def _read_wish(self, due: _Due, table: Table, wished: dict[str, Any]) -> _Item:
        """What a proposal says. Raises ValueError where it is malformed."""
        of = due.waiting
        author = self._authors.get(of.author_tag, of.author_tag)
        proposal = Proposal(
            id=of.id, op=of.operation, table=table.name, row_id=of.row_id, seen=_values(table, of.seen), wished=wished,  # type: ignore[arg-type]  # checked by Proposal
            author_node=author, author_tier_depth=self._author_depth(author, of), made_at_ms=time_ms_of(of.made_at),
            clock_offset_ms=of.clock_offset_ms, reason=of.reason, is_withdrawn=of.withdrawn_at is not None,
            expires_at_ms=None if of.expires_at is None else time_ms_of(of.expires_at),
            is_from_line=of.unit_id == due.unit_id or author in self._line,
        )  # fmt: skip
        return _Item(waiting=of, unit_id=due.unit_id, table=table, proposal=proposal, values=due.values)

    def _author_depth(self, author: str, of: Waiting) -> int:
        """The author's tier as the tree knows it; a node that is not above this one is nobody's upper tier."""
        if author in self._line and author != self._tree.me:
            return self._tree.depth(author)
        return max(of.author_depth, self._depth)

    def _changes(self, items: Iterable[_Item]) -> dict[str, dict[str, int]]:
        """Row → column → when the keeper changed it: of columns under `latest` that are not as they were seen."""
        wanted: dict[tuple[str, str], dict[str, int]] = {}
        for each in items:
            mask = self._latest_mask(each)
            if mask:
                wanted.setdefault((each.unit_id, each.table.name), {})[each.proposal.row_id or ""] = mask
        found: dict[str, dict[str, int]] = {}
        for (unit_id, table_name), rows in wanted.items():
            table = self._registry.by_name[table_name]
            names = {column.number: column.name for column in table.columns}
            stream_id = stream_id_of(Kind.REGISTER, unit_id, self._tree.me, self._term(unit_id))
            for (row_id, number), at_ms in self._changed_at(self._tx, stream_id, table, rows).items():
                found.setdefault(row_id, {})[names[number]] = at_ms
        return found

    def _latest_mask(self, of: _Item) -> int:
        rules, seen, values = self._rules[of.table.name], of.proposal.seen, of.values
        if values is None or of.proposal.op != "update":
            return 0
        return sum(
            1 << of.table.by_name[name].number
            for name in rules.seen_columns(of.proposal.wished)
            if rules.policy_of(name) is Policy.LATEST and not (name in seen and seen[name] == values[name])
        )

    def _term(self, unit_id: str) -> int:
        return self._tree.keepers.get(unit_id, ("", 1))[1]

    def _references(self, items: Iterable[_Item]) -> dict[tuple[str, str], int]:
        """Table and row of every wished delete → how many rows name it."""
        chosen: dict[str, list[str]] = {}
        for each in items:
            if each.proposal.op == "delete" and each.values is not None:
                chosen.setdefault(each.table.name, []).append(each.proposal.row_id or "")
        found: dict[tuple[str, str], int] = {}
        for table_name, row_ids in chosen.items():
            for other in self._registry:
                for column in other.columns:
                    if column.references == table_name:
                        self._count(other, column, table_name, row_ids, found)
        return found

    def _count(
        self, other: Table, column: Column, table_name: str, row_ids: Sequence[str], found: dict[tuple[str, str], int]
    ) -> None:
        query = f"SELECT {column.sql}, count(*) FROM {other.sql} WHERE {column.sql} {{chosen}} GROUP BY {column.sql}"
        for row_id, count in rows_of(self._tx, query, row_ids):
            found[table_name, row_id] = found.get((table_name, row_id), 0) + int(count)

    # --- deciding and writing -------------------------------------------------------------------------------------

    def _verdict(
        self, of: _Item, changed: Mapping[str, Mapping[str, int]], references: Mapping[tuple[str, str], int]
    ) -> Decision:
        row_id = of.proposal.row_id or ""
        kept = Kept(
            values=of.values,
            changed_at_ms=changed.get(row_id, {}),
            clock_offset_ms=self._offset_ms,
            keeper_node=self._tree.me,
            keeper_tier_depth=self._depth,
            references=references.get((of.table.name, row_id), 0),
            resembles=self._likeness.of(of.unit_id, of.table, of.proposal),
            now_ms=self._now_ms,
        )
        verdict = decide(of.proposal, kept, self._rules[of.table.name], self._newer.get(of.waiting.id, ()))
        return Decision(
            waiting=of.waiting, unit_id=of.unit_id, outcome=verdict.outcome, detail=verdict.detail_json(),
            case=None if verdict.case is None else verdict.case.value, table=of.table, verdict=verdict,
        )  # fmt: skip

    def _refused(self, of: Waiting, unit_id: str, error: Exception) -> Decision:
        detail = _detail(Why.MALFORMED, error=type(error).__name__)
        return Decision(waiting=of, unit_id=unit_id, outcome="rejected", detail=detail)


def _detail(why: Why, **facts: Any) -> str:
    return json.dumps({"columns": [], "why": why, **facts}, sort_keys=True, ensure_ascii=False)


def _sound(read: Iterable[tuple[_Due, Table, dict[str, Any]]]) -> set[str]:
    """Proposals whose wished values break no rule, as far as that is found by asking of all alike at once."""
    alike: dict[tuple[str, bool, tuple[str, ...]], list[tuple[str, Table, dict[str, Any]]]] = {}
    for each, table, wished in read:
        place = (table.name, each.waiting.operation == "insert", tuple(sorted(wished)))
        alike.setdefault(place, []).append((each.waiting.id, table, wished))
    found: set[str] = set()
    for (_table, is_insert, _names), some in alike.items():
        hold = rows_hold if is_insert else values_hold
        if hold(some[0][1], [wished for _id, _of, wished in some]):
            found.update(proposal_id for proposal_id, _of, _wished in some)
    return found


def _problems(of: Waiting, table: Table, wished: Mapping[str, Any]) -> list[Problem]:
    return (check_row if of.operation == "insert" else check_values)(table, wished)


def _values(table: Table, text: str) -> dict[str, Any]:
    """Column → canonical value of a JSON object. Raises ValueError unless it is one, of columns of this table."""
    try:
        values = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a JSON text of {table.name}") from error
    if not isinstance(values, dict) or not values.keys() <= table.by_name.keys() or values.keys() & NAMED_APART:
        raise ValueError(f"not an object of columns of {table.name}")
    for name, value in values.items():
        if value is not None and (type(value) is not str or table.by_name[name].type is Type.BYTES):
            values[name] = _value(table.by_name[name], value)
    return values


def _value(column: Column, value: Any) -> Any:
    """A JSON value as the database has it: bytes are hexadecimal there, `\\x` before them or not, or an object."""
    if column.type is Type.BYTES and isinstance(value, dict | str):
        return bytes.fromhex(value["hex"] if isinstance(value, dict) else value.removeprefix("\\x"))
    if value is None or isinstance(value, str) or (type(value) is int and INT_MIN <= value <= INT_MAX):
        return value
    raise ValueError(f"column {column.name}: no canonical value")
