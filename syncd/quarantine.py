"""Writes beyond a term: what a keeper signed after its unit had passed on is kept apart, and comes back as wishes.

Enters: envelopes that continue a stream beyond its end. Leaves: a case; once a person admits it, proposals to the new
keeper.
Must hold: nothing of it is applied, nothing of it is lost; admitted twice, it makes each proposal once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from conflict.case import CaseKind
from schema.spec import Audience, Kind, Table
from syncd import log
from syncd.applying import Applier
from syncd.cases import close_cases, open_case
from syncd.clock import instant_of
from syncd.envelope import Envelope, Mark, parse_envelope, verify_envelope
from syncd.errors import EnvelopeError, UsageError
from syncd.language import say
from syncd.limits import HISTORY_ENVELOPES_MAX, QUARANTINE_BYTES_MAX
from syncd.log import Stream
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
    held = tx.value("SELECT sum(length(envelope)) FROM syncd_quarantine WHERE stream_id = ?", (at.stream_id,)) or 0
    if (header.seq, header.previous) != (before[0] + 1, before[1]) or held + len(data) > QUARANTINE_BYTES_MAX:
        return  # known already, or nothing that can be read in its place: the sender keeps it
    keeper = tree.nodes.get(at.keeper)
    try:
        verify_envelope(envelope, b"" if keeper is None else keeper.signing_public)
    except EnvelopeError:
        return  # nobody's word; the refusal says so to whoever sent it
    store(tx, at, header.seq, envelope.hash, data, now_ms)


def store(tx: Tx, at: Stream, seq: int, position_hash: bytes, data: bytes, now_ms: int) -> None:
    """Keep an envelope apart that is known to be the keeper's."""
    tx.run(
        "INSERT INTO syncd_quarantine (stream_id, seq, hash, received_at, envelope) VALUES (?, ?, ?, ?, ?)",
        (at.stream_id, seq, position_hash, instant_of(now_ms), data),
    )
    open_case(
        tx, CaseKind.WRITES_BEYOND_TERM, (at.stream_id,), opened_at=instant_of(now_ms),
        detail={"stream_id": at.stream_id, "first_seq": at.held_seq + 1}, stream_id=at.stream_id, unit_id=at.unit_id,
    )  # fmt: skip


def adopt(
    store_: Store, applier: Applier, tree: Tree, stream_id: str, author: str, now_ms: int, offset_ms: int | None
) -> int:
    """Make proposals of what late envelopes change; returns how many. Raises UsageError when there are none.

    A row inserted late cannot keep its id, whose tag is another node's: it is wished under an id made from it with the
    new keeper's tag, and whatever names it is wished to name that.
    """
    with store_.write("adopt") as tx:
        at = log.stream(tx, stream_id)
        rows = tx.all(
            "SELECT envelope FROM syncd_quarantine WHERE stream_id = ? AND adopted_at IS NULL ORDER BY seq",
            (stream_id,),
        )
        if at is None or at.unit_id is None or not rows:
            raise UsageError(
                say("không có dữ liệu nào đang chờ nhận", "nothing waits to be adopted"),
                say("xem `syncd conflicts list`", "see `syncd conflicts list`"),
            )
        changes = _net(applier, tx, at, [parse_envelope(bytes(row[0])) for row in rows])
        keeper = tree.keepers.get(at.unit_id, (at.keeper, at.term))[0]
        made = _propose(applier, tx, tree, at, keeper, changes, author, now_ms, offset_ms)
        tx.run(
            "UPDATE syncd_quarantine SET adopted_at = ? WHERE stream_id = ? AND adopted_at IS NULL",
            (instant_of(now_ms), stream_id),
        )
        close_cases(tx, CaseKind.WRITES_BEYOND_TERM, stream_id, instant_of(now_ms))
    return made


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
    applier: Applier, tx: Tx, tree: Tree, at: Stream, keeper: str, changes: list[_Change], author: str, now_ms: int,
    offset_ms: int | None,
) -> int:  # fmt: skip
    renamed = {c.row_id: derived_id(at.stream_id, c.row_id, keeper[28:]) for c in changes if c.operation == "insert"}
    rows = []
    for change in changes:
        wished = {name: renamed.get(str(value), value) for name, value in change.values.items()}
        seen = {} if change.operation == "insert" else _kept(applier, tx, at, change)
        rows.append((
            derived_id(f"{at.stream_id} {change.seq}", change.row_id, tree.me[28:]), at.unit_id, change.table.name,
            renamed.get(change.row_id, change.row_id), change.operation, _json(seen), _json(wished), author,
            REASON.format(node=at.keeper), instant_of(now_ms), offset_ms, tree.depth(tree.me),
        ))  # fmt: skip
    new = [row for row in rows if tx.value("SELECT 1 FROM proposal WHERE id = ?", (row[0],)) is None]
    tx.many(
        "INSERT INTO proposal (id, unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,"
        " clock_offset_ms, author_depth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        new,
    )
    return len(new)


REASON = "written by node {node} after its term had ended"


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
        if later.floor_seq or later.held_seq > HISTORY_ENVELOPES_MAX:
            return {column.number for column in change.table.columns}
        written = applier.changed_at(tx, later.stream_id, change.table, {change.row_id: mask})
        found |= {number for _row_id, number in written}
    return found


def derived_id(of: str, row_id: str, tag: str) -> str:
    """A row id made from another, so that making it twice gives the same: UUIDv7 layout with the minting node's tag."""
    digest = bytearray(sha256(f"syncd derived {of} {row_id}".encode()).digest()[:12])
    digest[6] = 0x70 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(digest) + bytes.fromhex(tag)))


def _json(values: dict[str, Value]) -> str:
    plain = {name: {"hex": value.hex()} if isinstance(value, bytes) else value for name, value in values.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def standing(tx: Tx, at: Stream) -> Stream:
    """A stream as its sender shall see it: what was put aside need not be sent again."""
    if not at.ended:
        return at
    last = tx.one("SELECT max(seq) FROM syncd_quarantine WHERE stream_id = ?", (at.stream_id,))
    if last is None or last[0] is None:
        return at
    found = tx.value("SELECT hash FROM syncd_quarantine WHERE stream_id = ? AND seq = ?", (at.stream_id, last[0]))
    return replace(at, held_seq=last[0], held_hash=bytes(found))


def waiting(tx: Tx) -> list[tuple[str, int, str, str]]:
    """Streams with late envelopes that nobody has admitted: id, how many, name of the unit, keeper."""
    return [
        (row[0], row[1], row[2] or "", row[3])
        for row in tx.all(
            "SELECT q.stream_id, count(*), max(u.name), max(CAST(s.keeper AS text)) FROM syncd_quarantine AS q"
            " JOIN syncd_stream AS s ON s.stream_id = q.stream_id LEFT JOIN unit AS u ON u.id = s.unit_id"
            " WHERE q.adopted_at IS NULL GROUP BY q.stream_id ORDER BY 1"
        )
    ]
