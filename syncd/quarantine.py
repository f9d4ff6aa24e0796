"""Writes beyond a term: what a keeper signed after its unit had passed on is kept apart, and comes back as wishes.

Enters: envelopes that continue a stream beyond its end. Leaves: a case; once a person admits it, proposals to the new
keeper.
Must hold: nothing of it is applied, nothing of it is lost; admitted twice, it makes each proposal once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from conflict.case import CaseKind
from schema.spec import Audience, Kind, Table
from syncd import limits, log
from syncd.applying import Applier
from syncd.cases import close_cases, open_case
from syncd.clock import instant_of
from syncd.derived import LATE, derived_id, stem
from syncd.envelope import Envelope, Mark, parse_envelope, verify_envelope
from syncd.errors import EnvelopeError, UsageError
from syncd.language import say
from syncd.log import Entry, Stream
from syncd.messages import Position
from syncd.store.base import Store, Tx
from syncd.tree import Tree
from syncd.wire import DELETE, INSERT, Block, Value

CHANGES = (Mark.CLOSED, Mark.OPEN)


@dataclass(slots=True, kw_only=True)
class _Change:
    """What late envelopes do to one row, taken together."""

    table: Table
    row_id: str
    operation: str
    seq: int
    values: dict[str, Value] = field(default_factory=dict)


def put(tx: Tx, tree: Tree, at: Stream, envelope: Envelope, data: bytes, now_ms: int) -> None:
    """Keep one envelope apart, if its keeper signed it and it continues what is held or kept apart; open the case."""
    header = envelope.header
    last = tx.one(
        "SELECT seq, hash FROM syncd_quarantine WHERE stream_id = ? ORDER BY seq DESC LIMIT 1", (at.stream_id,)
    )
    before = (at.held_seq, at.held_hash) if last is None else (last[0], bytes(last[1]))
    if (header.seq, header.previous) != (before[0] + 1, before[1]):
        return  # known already, or nothing that can be read in its place
    if _kept_bytes(tx, at) + len(data) > limits.QUARANTINE_BYTES_MAX:
        return  # the sender keeps it until somebody has admitted what waits
    keeper = tree.nodes.get(at.keeper)
    try:
        verify_envelope(envelope, b"" if keeper is None else keeper.signing_public)
    except EnvelopeError:
        return  # nobody's word; the refusal says so to whoever sent it
    if log.stream(tx, at.stream_id) is None:  # all of it is late
        log.create(tx, at)
        log.end(tx, at)
    store(tx, tree, at, header.seq, envelope.hash, data, now_ms)


def store(tx: Tx, tree: Tree, at: Stream, seq: int, position_hash: bytes, data: bytes, now_ms: int) -> None:
    """Keep an envelope apart that is known to be the keeper's."""
    tx.run(
        "INSERT INTO syncd_quarantine (stream_id, seq, hash, received_at, envelope) VALUES (?, ?, ?, ?, ?)",
        (at.stream_id, seq, position_hash, instant_of(now_ms), data),
    )
    if admits(tree, at) == tree.me:
        _open(tx, at, now_ms)


def _kept_bytes(tx: Tx, at: Stream) -> int:
    """What waits of a stream for a person's word."""
    query = "SELECT sum(length(envelope)) FROM syncd_quarantine WHERE stream_id = ? AND adopted_at IS NULL"
    return int(tx.value(query, (at.stream_id,)) or 0)


def admits(tree: Tree, at: Stream) -> str | None:
    """The node where a person admits late writes: the lowest above both keepers, or one of them; None while that is not
    known. Everybody else passes them on."""
    kept = tree.keepers.get(at.unit_id or "")
    earlier = set(tree.line(at.keeper))
    return next((node_id for node_id in tree.line(kept[0]) if node_id in earlier), None) if kept else None


def tell(store_: Store, tree: Tree, now_ms: int) -> None:
    """The unit has passed on again: late writes wait for a person at another node now, or at this one."""
    with store_.read() as tx:
        kept = [at for row in tx.all(_UNADMITTED) if (at := log.stream(tx, row[0])) is not None]
    if not kept:
        return
    with store_.apply("late-writes") as tx:
        for at in kept:
            if admits(tree, at) == tree.me:
                _open(tx, at, now_ms)
            else:
                close_cases(tx, CaseKind.WRITES_BEYOND_TERM, at.stream_id, instant_of(now_ms))


_UNADMITTED = "SELECT DISTINCT stream_id FROM syncd_quarantine WHERE adopted_at IS NULL ORDER BY 1"


def _open(tx: Tx, at: Stream, now_ms: int) -> None:
    open_case(
        tx, CaseKind.WRITES_BEYOND_TERM, (at.stream_id,), opened_at=instant_of(now_ms),
        detail={"stream_id": at.stream_id, "first_seq": at.held_seq + 1}, stream_id=at.stream_id, unit_id=at.unit_id,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What became of late writes: how many proposals; how many rows with values that only the unit's keeper and the
    custodian read, which no proposal may carry: they stay where they are kept apart."""

    proposals: int
    withheld: int


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
            "SELECT envelope, adopted_at FROM syncd_quarantine WHERE stream_id = ? ORDER BY seq", (stream_id,)
        )
        if at is None or at.unit_id is None or all(row[1] is not None for row in rows):
            raise UsageError(
                say("không có dữ liệu nào đang chờ nhận", "nothing waits to be adopted"),
                say("xem `syncd conflicts list`", "see `syncd conflicts list`"),
            )
        _require_a_say(tree, at)
        earlier, late = (
            [parse_envelope(bytes(row[0])) for row in rows if (row[1] is not None) is done] for done in (True, False)
        )
        known = {change.row_id for change in _net(applier, tx, at, earlier) if change.operation == "insert"}
        made = _propose(applier, tx, tree, at, _net(applier, tx, at, late), known, author, now_ms, offset_ms)
        tx.run(
            "UPDATE syncd_quarantine SET adopted_at = ? WHERE stream_id = ? AND adopted_at IS NULL",
            (instant_of(now_ms), stream_id),
        )
        close_cases(tx, CaseKind.WRITES_BEYOND_TERM, stream_id, instant_of(now_ms))
    return made


def _require_a_say(tree: Tree, at: Stream) -> None:
    """Proposals count when they come from a tier above the unit's keeper, or from that keeper."""
    kept = tree.keepers.get(at.unit_id or "")
    if kept is None or not tree.is_within(kept[0], tree.me):
        where = admits(tree, at)
        raise UsageError(
            say("nút này không đứng trên nút đang giữ đơn vị", "this node does not stand above the unit's keeper"),
            say("nhận tại {node}", "adopt them at {node}",
                node=tree.nodes[where].name if where else say("tuyến trên", "a tier above")),
        )  # fmt: skip


def _net(applier: Applier, tx: Tx, at: Stream, envelopes: Iterable[Envelope]) -> list[_Change]:
    changes: dict[tuple[str, str], _Change] = {}
    for envelope in envelopes:
        if envelope.header.mark in CHANGES:
            for blocks in applier.blocks(tx, at, envelope).values():
                for block in blocks:
                    _add(changes, applier.registry.by_number[block.table], block, envelope.header.seq)
    return [change for change in changes.values() if change.operation]


def _add(changes: dict[tuple[str, str], _Change], table: Table, block: Block, seq: int) -> None:
    names = [table.all_columns[number].name for number in block.columns]
    for place, row_id in enumerate(block.ids):
        known = changes.get((table.name, row_id))
        values = {name: column[place] for name, column in zip(names, block.values, strict=True)}
        if block.op == DELETE:
            gone = "" if known is not None and known.operation == "insert" else "delete"
            changes[table.name, row_id] = _Change(table=table, row_id=row_id, operation=gone, seq=seq)
        elif known is not None and known.operation:
            known.values |= values  # a part for fewer readers, or a later change
        else:
            operation = "insert" if block.op == INSERT else "update"
            changes[table.name, row_id] = _Change(
                table=table, row_id=row_id, operation=operation, seq=seq, values=values
            )


def _propose(
    applier: Applier, tx: Tx, tree: Tree, at: Stream, changes: list[_Change], known: set[str], author: str, now_ms: int,
    offset_ms: int | None,
) -> Admitted:  # fmt: skip
    """`known`: rows inserted late and wished before."""
    reason = REASON.format(node=at.keeper)
    inserted = known | {change.row_id for change in changes if change.operation == "insert"}
    renamed = _renamed(tx, tree, at, inserted)
    wished_before = {stem(row[0]) for row in tx.all("SELECT id FROM proposal WHERE reason = ?", (reason,))}
    rows, withheld = [], 0
    for change in changes:
        scope = {name for name in change.values if change.table.by_name[name].audience is Audience.SCOPE}
        withheld += int(scope != change.values.keys())
        proposal_id = derived_id(f"{at.stream_id} {change.seq}", change.row_id, tree.me[28:])
        if stem(proposal_id) in wished_before or (change.operation == "update" and not scope):
            continue
        seen = {} if change.operation == "insert" else _kept(applier, tx, at, change)
        wished = {name: renamed.get(str(change.values[name]), change.values[name]) for name in scope}
        rows.append((
            proposal_id, at.unit_id, change.table.name, renamed.get(change.row_id, change.row_id), change.operation,
            _json(seen), _json(wished), author, reason, instant_of(now_ms), offset_ms, tree.depth(tree.me),
        ))  # fmt: skip
    tx.many(
        "INSERT INTO proposal (id, unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
        " clock_offset_ms, author_depth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return Admitted(proposals=len(rows), withheld=withheld)


REASON = LATE + "{node} after its term had ended"


def _renamed(tx: Tx, tree: Tree, at: Stream, inserted: Iterable[str]) -> dict[str, str]:
    """Row inserted late → the id it is wished under: once wished, by whomever, it stays that one."""
    keeper = tree.keepers.get(at.unit_id or "", (at.keeper, at.term))[0]
    wished = "SELECT row_id FROM proposal WHERE operation = 'insert' AND row_id IS NOT NULL AND reason = ?"
    before = {stem(row[0]): row[0] for row in tx.all(wished, (REASON.format(node=at.keeper),))}
    ids = {row_id: derived_id(at.stream_id, row_id, keeper[28:]) for row_id in inserted}
    return {row_id: before.get(stem(new), new) for row_id, new in ids.items()}


def _kept(applier: Applier, tx: Tx, at: Stream, change: _Change) -> dict[str, Value]:
    """The values as they are kept, of the columns that nobody has changed since the term ended: what the late writer
    saw. Of a column changed since it saw another value; which one is not known here, so it is left out and judged as
    changed meanwhile."""
    names = [column.name for column in change.table.columns if column.audience is Audience.SCOPE]
    if change.operation == "update":
        names = [name for name in names if name in change.values]
    found = tx.select_ids(change.table, at.unit_id, [change.row_id], names)
    if not found:
        return {}
    mask = sum(1 << change.table.by_name[name].number for name in names)
    changed = _changed_since(applier, tx, at, change, mask)
    values = dict(zip(names, found[0], strict=True))
    return {name: value for name, value in values.items() if change.table.by_name[name].number not in changed}


def _changed_since(applier: Applier, tx: Tx, at: Stream, change: _Change, mask: int) -> set[int]:
    """The columns of a row that later terms of the unit wrote; all of them where their logs do not reach back."""
    found: set[int] = set()
    where = "kind = ? AND unit_id = ? AND term > ?"
    for later in log.streams(tx, where, (int(Kind.REGISTER), at.unit_id, at.term)):
        if later.floor_seq or later.held_seq > limits.HISTORY_ENVELOPES_MAX:
            return {column.number for column in change.table.columns}
        written = applier.changed_at(tx, later.stream_id, change.table, {change.row_id: mask})
        found |= {number for _row_id, number in written}
    return found


def _json(values: dict[str, Value]) -> str:
    plain = {name: {"hex": value.hex()} if isinstance(value, bytes) else value for name, value in values.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def standing(tx: Tx, at: Stream, stated_seq: int) -> Stream:
    """A stream as a neighbour shall see it who holds it up to `stated_seq`: what is kept apart here need not be sent."""
    if not at.ended or stated_seq <= at.held_seq:
        return at
    found = tx.one(
        "SELECT seq, hash FROM syncd_quarantine WHERE stream_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
        (at.stream_id, stated_seq),
    )
    return at if found is None else replace(at, held_seq=found[0], held_hash=bytes(found[1]))


def late_ends(tx: Tx) -> dict[str, int]:
    """Stream → the last envelope of it that is kept apart here."""
    return {row[0]: int(row[1]) for row in tx.all("SELECT stream_id, max(seq) FROM syncd_quarantine GROUP BY stream_id")}


def lacking(tx: Tx, streams: Iterable[Stream], theirs: Mapping[str, Position], bytes_max: int) -> list[tuple[str, Entry]]:
    """What of the late envelopes kept here the parent lacks, who has the stream's end; some of one stream."""
    for at in streams:
        position = theirs.get(at.stream_id)
        seq = 0 if position is None else position.seq
        if seq < at.held_seq:
            continue  # the end itself is on its way
        last, total = seq, 0
        for late_seq, size in tx.all(
            "SELECT seq, length(envelope) FROM syncd_quarantine WHERE stream_id = ? AND seq > ? ORDER BY seq LIMIT 1000",
            (at.stream_id, seq),
        ):
            total += size
            if last > seq and total > bytes_max:
                break
            last = late_seq
        if last > seq:
            return _late(tx, at.stream_id, seq, last)
    return []


def _late(tx: Tx, stream_id: str, after_seq: int, until_seq: int) -> list[tuple[str, Entry]]:
    rows = tx.all(
        "SELECT seq, hash, envelope FROM syncd_quarantine WHERE stream_id = ? AND seq > ? AND seq <= ? ORDER BY seq",
        (stream_id, after_seq, until_seq),
    )
    return [
        (stream_id, Entry(seq=row[0], mark=Mark.CLOSED, hash=bytes(row[1]), rows=0, envelope=bytes(row[2])))
        for row in rows
    ]


def waiting(tx: Tx, tree: Tree) -> list[tuple[str, int, str, str]]:
    """Streams with late envelopes that a person has to admit at this node: id, how many, name of the unit, keeper."""
    rows = tx.all(
        "SELECT q.stream_id, count(*), max(u.name), max(CAST(s.keeper AS text)) FROM syncd_quarantine AS q"
        " JOIN syncd_stream AS s ON s.stream_id = q.stream_id LEFT JOIN unit AS u ON u.id = s.unit_id"
        " WHERE q.adopted_at IS NULL GROUP BY q.stream_id ORDER BY 1"
    )
    mine = [row for row in rows if (at := log.stream(tx, row[0])) is not None and admits(tree, at) == tree.me]
    return [(row[0], row[1], row[2] or "", row[3]) for row in mine]
