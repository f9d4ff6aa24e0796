"""Deciding: proposals for units kept here, once, in the keeper's own stream (design §5, I11, I12).

Enters: rows of `proposal` without a verdict. Leaves: the effect and the verdict, in one transaction, captured like any
write.
Must hold: nothing is decided twice; whatever loses stands in the verdict with what was seen, kept, wished, and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conflict import ConflictError, Kept, Policy, Proposal, Rules, Verdict, decide, resembles
from schema.spec import Kind, Registry, Table
from schema.values import check_row
from syncd import limits
from syncd.clock import Clock, instant_of, time_ms_of
from syncd.envelope import stream_id_of
from syncd.errors import StoreError
from syncd.store.base import Row, Store, Tx
from syncd.tree import Tree

ChangedAt = Callable[[Tx, str, Table, str, int], int | None]

_WAITING = """
    SELECT p.id, p.unit_id, p.table_name, p.row_id, p.operation, p.seen, p.wished, p.author, p.reason, p.made_at,
           p.clock_offset_ms, p.author_depth
    FROM proposal AS p JOIN syncd_keeper AS k ON k.unit_id = p.unit_id AND k.mine = 1
    WHERE p.withdrawn_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND v.unit_id = p.unit_id)
    ORDER BY p.made_at, p.id LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """One proposal as stored. `seen` and `wished` are JSON texts."""

    id: str
    unit_id: str
    table: str
    row_id: str | None
    operation: str
    seen: str
    wished: str
    author: str
    reason: str
    made_at: str
    clock_offset_ms: int | None
    author_depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """What is written: the verdict's row, and the change of the table it carries."""

    outcome: str
    detail: str
    case: str | None
    verdict: Verdict | None


def decide_waiting(store: Store, tree: Tree, clock: Clock, clock_offset_ms: int | None, changed_at: ChangedAt) -> int:
    """Decide every undecided proposal for a unit kept here; returns how many."""
    decided = 0
    while True:
        with store.read() as tx:
            if tx.one(_WAITING, (1,)) is None:
                return decided
        with store.write("decide") as tx:
            tx.lock("decide")  # two processes on one database must not both decide
            rows = tx.all(_WAITING, (limits.DECIDE_ROWS_MAX,))
            newest = _newest_wishes(rows)
            for row in rows:
                waiting = _Waiting(**dict(zip(_Waiting.__slots__, row, strict=True)))
                _settle(tx, store, tree, clock, clock_offset_ms, changed_at, waiting, newest)
                decided += 1


def _newest_wishes(rows: list[Row]) -> dict[tuple[str, str, str, str], str]:
    """Author, table, row and wished columns → the newest proposal: it supersedes the older ones."""
    return {_wish_key(row[0], row[7], row[2], row[3], row[6]): row[0] for row in rows if row[3] is not None}


def _wish_key(proposal_id: str, author: str, table: str, row_id: str, wished: str) -> tuple[str, str, str, str]:
    """People of one name at two nodes are two authors, so the node's tag counts too."""
    try:
        columns = ",".join(sorted(json.loads(wished)))
    except (ValueError, TypeError, RecursionError):
        columns = wished
    return f"{proposal_id[28:]} {author}", table, row_id, columns


def _settle(
    tx: Tx, store: Store, tree: Tree, clock: Clock, offset_ms: int | None, changed_at: ChangedAt, waiting: _Waiting,
    newest: Mapping[tuple[str, str, str, str], str],
) -> None:  # fmt: skip
    if waiting.row_id is not None:
        by = newest[_wish_key(waiting.id, waiting.author, waiting.table, waiting.row_id, waiting.wished)]
        if by != waiting.id:
            _record(tx, tree, clock, waiting, waiting.row_id, _refused("superseded", by=by))
            return
    tx.run("SAVEPOINT syncd_decide")
    try:
        table = _register_table(store, waiting)
        decision = _decide(tx, store.registry, tree, offset_ms, changed_at, waiting, table)
        row_id = waiting.row_id if decision.verdict is None else _carry_out(tx, table, waiting, decision.verdict)
        _record(tx, tree, clock, waiting, row_id, decision)
        if tx.dialect != "sqlite":
            tx.run("SET CONSTRAINTS ALL IMMEDIATE")  # or a dangling key would fail all decisions at the commit
    except (ConflictError, StoreError, ValueError, TypeError, RecursionError) as error:
        # The wish cannot be carried out as written: the kept value stands and the proposer is told why.
        tx.run("ROLLBACK TO SAVEPOINT syncd_decide")
        _record(tx, tree, clock, waiting, waiting.row_id, _refused("malformed", error=type(error).__name__))
    tx.run("RELEASE SAVEPOINT syncd_decide")


def _register_table(store: Store, waiting: _Waiting) -> Table:
    table = store.registry.by_name.get(waiting.table)
    if table is None or table.kind is not Kind.REGISTER or table.name == "verdict":
        raise ValueError(f"table {waiting.table} takes no proposals")
    return table


def _decide(
    tx: Tx,
    registry: Registry,
    tree: Tree,
    offset_ms: int | None,
    changed_at: ChangedAt,
    waiting: _Waiting,
    table: Table,
) -> _Decision:
    wished = _values(table, waiting.wished)
    problems = check_row(table, wished) if waiting.operation == "insert" else _problems(table, wished)
    if problems:
        return _refused("rule_violated", columns=[problem.column for problem in problems])
    author_node = next((node for node in tree.nodes if node[28:] == waiting.id[28:]), waiting.id[28:])
    proposal = Proposal(
        id=waiting.id, op=waiting.operation, table=table.name, row_id=waiting.row_id, seen=_values(table, waiting.seen),  # type: ignore[arg-type]  # checked by Proposal
        wished=wished, author_node=author_node, author_tier_depth=_author_depth(tree, author_node, waiting),
        made_at_ms=time_ms_of(waiting.made_at), clock_offset_ms=waiting.clock_offset_ms, reason=waiting.reason,
    )  # fmt: skip
    kept = _kept(tx, registry, tree, offset_ms, changed_at, table, waiting, proposal)
    verdict = decide(proposal, kept, rules_of(table))
    case = None if verdict.case is None else verdict.case.value
    return _Decision(outcome=verdict.outcome, detail=verdict.detail_json(), case=case, verdict=verdict)


def _author_depth(tree: Tree, author_node: str, waiting: _Waiting) -> int:
    """The author's tier as the tree knows it; a node that is not above this one is nobody's upper tier."""
    return (
        tree.depth(author_node)
        if author_node in tree.ancestors(tree.me)
        else max(waiting.author_depth, tree.depth(tree.me))
    )


def _kept(
    tx: Tx,
    registry: Registry,
    tree: Tree,
    offset_ms: int | None,
    changed_at: ChangedAt,
    table: Table,
    waiting: _Waiting,
    proposal: Proposal,
) -> Kept:
    names = [column.name for column in table.columns]
    rows = tx.select_ids(table, waiting.unit_id, [waiting.row_id], names) if waiting.row_id else []
    values = dict(zip(names, rows[0], strict=True)) if rows else None
    changed: dict[str, int] = {}
    if values is not None:
        stream_id = stream_id_of(Kind.REGISTER, waiting.unit_id, tree.me, tree.keepers[waiting.unit_id][1])
        for name, wished in proposal.wished.items():
            column = table.by_name.get(name)
            disputed = name in values and values[name] not in (proposal.seen.get(name), wished)
            if column is not None and disputed and column.policy == Policy.LATEST and waiting.row_id:
                at = changed_at(tx, stream_id, table, waiting.row_id, column.number)
                if at is not None:
                    changed[name] = at
    return Kept(
        values=values,
        changed_at_ms=changed,
        clock_offset_ms=offset_ms,
        keeper_node=tree.me,
        keeper_tier_depth=tree.depth(tree.me),
        references=_references(tx, registry, table, waiting.row_id) if proposal.op == "delete" else 0,
        resembles=_resembling(tx, table, waiting.unit_id, proposal) if proposal.op == "insert" else (),
    )


def _references(tx: Tx, registry: Registry, table: Table, row_id: str | None) -> int:
    """How many rows name this one."""
    return sum(
        int(tx.value(f"SELECT count(*) FROM {other.name} WHERE {column.name} = ?", (row_id,)))
        for other in registry
        for column in other.columns
        if column.references == table.name
    )


def _resembling(tx: Tx, table: Table, unit_id: str, proposal: Proposal) -> tuple[str, ...]:
    """Ids of kept persons of the unit who may be the one an insert wishes."""
    if "full_name" not in table.by_name or "birth_date" not in proposal.wished:
        return ()
    names = ("id", "full_name", "birth_date", "birth_precision", "sex")
    rows = tx.all(
        f"SELECT {', '.join(names)} FROM {table.name} WHERE unit_id = ? AND sex = ?",
        (unit_id, proposal.wished.get("sex")),
    )
    return tuple(row[0] for row in rows if resembles(proposal.wished, dict(zip(names, row, strict=True))))


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


def _carry_out(tx: Tx, table: Table, waiting: _Waiting, verdict: Verdict) -> str | None:
    """Write what the verdict says; returns the row's id."""
    names = list(verdict.writes)
    if verdict.insert:
        marks = ", ".join("?" * (len(names) + 1))
        return str(tx.value(
            f"INSERT INTO {table.name} ({', '.join(('unit_id', *names))}) VALUES ({marks}) RETURNING id",
            (waiting.unit_id, *verdict.writes.values()),
        ))  # fmt: skip
    if verdict.delete:
        tx.run(f"DELETE FROM {table.name} WHERE id = ?", (waiting.row_id,))
    elif names:
        sets = ", ".join(f"{name} = ?" for name in names)
        tx.run(f"UPDATE {table.name} SET {sets} WHERE id = ?", (*verdict.writes.values(), waiting.row_id))
    return waiting.row_id


def _record(tx: Tx, tree: Tree, clock: Clock, waiting: _Waiting, row_id: str | None, decision: _Decision) -> None:
    me = tree.nodes.get(tree.me)
    tx.run(
        "INSERT INTO verdict (unit_id, proposal_id, outcome, row_id, detail, case_kind, decided_at, decided_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (waiting.unit_id, waiting.id, decision.outcome, row_id, decision.detail, decision.case, instant_of(clock()),
         me.name if me else tree.me),
    )  # fmt: skip


def _refused(why: str, **facts: Any) -> _Decision:
    detail = json.dumps({"columns": [], "why": why, **facts}, sort_keys=True, ensure_ascii=False)
    return _Decision(outcome="rejected", detail=detail, case=None, verdict=None)


def _values(table: Table, text: str) -> dict[str, Any]:
    """Column → value of a JSON object. Raises ValueError unless it is one, of columns of this table."""
    values = json.loads(text)
    if not isinstance(values, dict) or not values.keys() <= table.by_name.keys() - {"id", "unit_id"}:
        raise ValueError(f"not an object of columns of {table.name}")
    return values


def _problems(table: Table, wished: Mapping[str, Any]) -> list[Any]:
    """Rules that the wished values break; columns not wished are not judged."""
    return [problem for problem in check_row(table, wished) if problem.column in wished]
