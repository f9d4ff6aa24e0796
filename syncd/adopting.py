"""Adopting late writes: what a keeper signed after its term becomes proposals to whoever keeps the unit now.

Enters: envelopes kept apart (`syncd/quarantine.py`), a person's word. Leaves: proposals, decided like any other.
Must hold: adopted twice, at one node or at two, each change is wished once; what late rows say of each other stays
true; a value for the custodian's eyes never enters a proposal; rows that were ordered to another unit are not wished
deleted in one and inserted in the other: who keeps both carries the order out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from conflict.case import CaseKind
from schema.spec import Audience, Kind
from syncd import limits, log
from syncd.applying import Applier
from syncd.cases import close_cases
from syncd.clock import instant_of
from syncd.derived import LATE, derived_id, stem
from syncd.envelope import parse_envelope
from syncd.errors import UsageError
from syncd.language import say
from syncd.late_changes import Change, net, plain
from syncd.log import Stream
from syncd.protocol.decoding import json_object
from syncd.quarantine import admits
from syncd.store.base import Row, Store, Tx
from syncd.store.patience import patiently
from syncd.tree import Tree
from syncd.wire import Value

REASON = LATE + "{node} after its term had ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What became of late writes: how many proposals; how many rows with values that only the unit's keeper and the
    custodian read, which no proposal may carry: they stay where they are kept apart."""

    proposals: int
    withheld: int

    def __add__(self, more: Admitted) -> Admitted:
        return Admitted(proposals=self.proposals + more.proposals, withheld=self.withheld + more.withheld)


@patiently
def adopt(
    store_: Store, applier: Applier, tree: Tree, stream_id: str, author: str, now_ms: int, offset_ms: int | None
) -> Admitted:
    """Make proposals of what late envelopes change. Raises UsageError when there are none, or it is not for this node.

    A row inserted late cannot keep its id, whose tag is another node's: it is wished under an id made from it with the
    new keeper's tag, and whatever names it is wished to name that.
    """
    with store_.write("adopt") as tx:
        at = log.stream(tx, stream_id)
        rows = tx.all(
            "SELECT hash, previous, envelope, adopted_at FROM syncd_quarantine WHERE stream_id = ? ORDER BY seq, hash",
            (stream_id,),
        )
        if at is None or at.unit_id is None or all(row[3] is not None for row in rows):
            raise UsageError(
                say("không có dữ liệu nào đang chờ nhận", "nothing waits to be adopted"),
                say("xem `[[syncd conflicts list]]`", "see `[[syncd conflicts list]]`"),
            )
        _require_a_say(tree, at)
        made = Admitted(proposals=0, withheld=0)
        for branch in _branches(rows):
            earlier, late = (
                [parse_envelope(bytes(row[2])) for row in branch if (row[3] is not None) is done]
                for done in (True, False)
            )
            known = {change.row_id for change in net(applier, tx, at, earlier) if change.operation == "insert"}
            changes = net(applier, tx, at, late)
            made += _propose(applier, tx, tree, at, changes, known, author, now_ms, offset_ms)
        tx.run(
            "UPDATE syncd_quarantine SET adopted_at = ? WHERE stream_id = ? AND adopted_at IS NULL",
            (instant_of(now_ms), stream_id),
        )
        close_cases(tx, CaseKind.WRITES_BEYOND_TERM, stream_id, instant_of(now_ms))
    return made


def _branches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Late envelopes by branch, each from its first: a keeper that was restored may have gone on twice."""
    by_hash = {bytes(row[0]): row for row in rows}
    before = {bytes(row[1]) for row in rows}
    for end in (row for hash_, row in by_hash.items() if hash_ not in before):
        branch = [end]
        while (previous := by_hash.get(bytes(branch[-1][1]))) is not None:
            branch.append(previous)
        yield branch[::-1]


def _require_a_say(tree: Tree, at: Stream) -> None:
    """Proposals count when they come from a tier above the unit's keeper, or from that keeper."""
    kept = tree.keepers.get(at.unit_id or "")
    if kept is None or not tree.is_within(kept[0], tree.me):
        where = admits(tree, at)
        raise UsageError(
            say("máy này không đứng trên máy đang giữ đơn vị", "this node does not stand above the unit's keeper"),
            say("nhận tại {node}", "adopt them at {node}",
                node=tree.nodes[where].name if where else say("tuyến trên", "a tier above")),
        )  # fmt: skip


def _propose(
    applier: Applier, tx: Tx, tree: Tree, at: Stream, changes: list[Change], known: set[str], author: str, now_ms: int,
    offset_ms: int | None,
) -> Admitted:  # fmt: skip
    """`known`: rows inserted late and wished before."""
    reason = REASON.format(node=at.keeper)
    inserted = known | {change.row_id for change in changes if change.operation == "insert"}
    renamed = _renamed(tx, tree, at, inserted)
    made = tx.all("SELECT id, wished FROM proposal WHERE reason = ?", (reason,))
    wished_before = {stem(row[0]): json_object(row[1]) for row in made}
    rows, withheld = [], 0
    for change in changes:
        scope = {name for name in change.values if change.table.by_name[name].audience is Audience.SCOPE}
        withheld += int(scope != change.values.keys())
        proposal_id = derived_id(f"{at.stream_id} {change.place}", change.row_id, tree.me[28:])
        if change.operation == "update" and not scope:
            continue
        operation = change.operation
        wished = {name: renamed.get(str(change.values[name]), change.values[name]) for name in scope}
        before = wished_before.get(stem(proposal_id))
        if before is None:
            seen = {} if operation == "insert" else _kept(applier, tx, at, change)
        else:  # a part of it was admitted elsewhere, before the rest came
            wished = {name: value for name, value in wished.items() if before.get(name) != plain(value)}
            proposal_id = derived_id(f"{at.stream_id} {change.place} {_json(wished)}", change.row_id, tree.me[28:])
            if not wished or stem(proposal_id) in wished_before:
                continue
            operation, seen = "update", {name: before.get(name) for name in wished}
        rows.append((
            proposal_id, change.unit_id, change.table.name, renamed.get(change.row_id, change.row_id), operation,
            _json(seen), _json(wished), author, reason, instant_of(now_ms), offset_ms, tree.depth(tree.me),
        ))  # fmt: skip
    tx.many(
        "INSERT INTO proposal (id, unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
        " clock_offset_ms, author_depth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return Admitted(proposals=len(rows), withheld=withheld)


def _renamed(tx: Tx, tree: Tree, at: Stream, inserted: Iterable[str]) -> dict[str, str]:
    """Row inserted late → the id it is wished under: once wished, by whomever, it stays that one."""
    keeper = tree.keepers.get(at.unit_id or "", (at.keeper, at.term))[0]
    wished = (
        "SELECT p.row_id, v.row_id FROM proposal AS p LEFT JOIN verdict AS v ON v.proposal_id = p.id"
        " AND v.outcome = 'accepted' WHERE p.operation = 'insert' AND p.row_id IS NOT NULL AND p.reason = ?"
    )
    before = {stem(row[0]): row[1] or row[0] for row in tx.all(wished, (REASON.format(node=at.keeper),))}
    ids = {row_id: derived_id(at.stream_id, row_id, keeper[28:]) for row_id in inserted}
    return {row_id: before.get(stem(new), new) for row_id, new in ids.items()}


def _kept(applier: Applier, tx: Tx, at: Stream, change: Change) -> dict[str, Value]:
    """The values as they are kept, of the columns that nobody has changed since the term ended: what the late writer
    saw. Of a column changed since it saw another value; which one is not known here, so it is left out and judged as
    changed meanwhile."""
    names = [column.name for column in change.table.columns if column.audience is Audience.SCOPE]
    if change.operation == "update":
        names = [name for name in names if name in change.values]
    found = tx.select_ids(change.table, change.unit_id, [change.row_id], names)
    if not found:
        return {}
    mask = sum(1 << change.table.by_name[name].number for name in names)
    changed = _changed_since(applier, tx, at, change, mask)
    values = dict(zip(names, found[0], strict=True))
    return {name: value for name, value in values.items() if change.table.by_name[name].number not in changed}


def _changed_since(applier: Applier, tx: Tx, at: Stream, change: Change, mask: int) -> set[int]:
    """The columns of a row that later terms of the unit wrote; all of them where their logs do not reach back."""
    found: set[int] = set()
    terms = log.streams(tx, "kind = ? AND unit_id = ?", (int(Kind.REGISTER), change.unit_id))
    its_last = max((each.term for each in terms if each.keeper == at.keeper), default=0)
    for later in (each for each in terms if each.term > (at.term if change.unit_id == at.unit_id else its_last)):
        if later.floor_seq or later.held_seq > limits.HISTORY_ENVELOPES_MAX:
            return {column.number for column in change.table.columns}
        written = applier.changed_at(tx, later.stream_id, change.table, {change.row_id: mask})
        found |= {number for _row_id, number in written}
    return found


def _json(values: dict[str, Value]) -> str:
    return json.dumps({name: plain(value) for name, value in values.items()}, sort_keys=True, ensure_ascii=False)
