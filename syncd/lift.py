"""Leaving a branch: the log cut at the common past, the tables put back there, own changes beyond it kept as wishes.

Enters: the apply transaction, a stream, the last position that the stream's other branch agrees with. Leaves: log and
content at that position; of a stream this node writes, rows of `syncd_wish` for whatever it had written since.
Must hold: one transaction, so that a crash finds either the branch or its wishes; the journal of the stream goes with
it, and a sequencer that had begun a cut before finds that it must begin anew.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from schema.spec import Column, Kind, Table, Type
from syncd import limits, log, sequence
from syncd.applying import Applier
from syncd.envelope import parse_envelope, stream_id_of
from syncd.log import Stream
from syncd.moved_rows import sources
from syncd.rebuild import CHANGES, rebuild, unsealed, void_groups
from syncd.store.base import Tx

PLACE_MAX = 1 << 26
Rows = dict[str, dict[str, Any]]  # id → column → value


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """What leaving a branch did: the stream where it now stands, the tables touched, envelopes dropped, rows kept as
    wishes.
    """

    stream: Stream
    touched: set[str]
    envelopes: int
    wishes: int


def lift(tx: Tx, applier: Applier, at: Stream, seq: int, made_ms: int) -> Lifted:
    """Go back to `seq`, which the log here must hold; `made_ms`: now, by this node's clock."""
    left: list[Lifted] = []
    kept = 0
    if at.own:
        kept = _keeping(tx, applier, at, seq, made_ms, lambda: left.append(_leave(tx, applier, at, seq)))
    else:
        left.append(_leave(tx, applier, at, seq))
    if left[0].touched and at.kind == Kind.REGISTER:
        for source in sources(tx, at.unit_id):  # rows that have not come any more
            if has_unsealed(tx, applier, source):
                kept += set_aside(tx, applier, source, made_ms)
            else:
                rebuild(tx, applier, source, {})
    return replace(left[0], wishes=kept)


def set_aside(tx: Tx, applier: Applier, at: Stream, made_ms: int) -> int:
    """Keep what this node wrote and has not sealed; the log stays as it is, the tables show its applied position again.
    Returns how many rows that were.
    """
    applied = replace(at, held_seq=at.applied_seq, held_hash=at.applied_hash)
    return _keeping(tx, applier, applied, at.applied_seq, made_ms, lambda: rebuild(tx, applier, at, {}))


def set_aside_unit(tx: Tx, applier: Applier, unit_id: str, made_ms: int) -> int:
    """The same of a unit that another node keeps: what a transaction wrote here that had not seen the new keeper.
    Returns how many rows that were. Raises StoreError where the log does not reach back far enough."""
    found = log.streams(tx, "kind = ? AND unit_id = ?", (int(Kind.REGISTER), unit_id))
    at = max(found, key=lambda stream: (stream.own, stream.term), default=None)
    if at is None:  # nothing of the unit has come: whatever is shown of it was written here
        node_id, term = tx.all("SELECT node_id, term FROM syncd_keeper WHERE unit_id = ?", (unit_id,))[0]
        stream_id = stream_id_of(Kind.REGISTER, unit_id, node_id, term)
        at = Stream(stream_id=stream_id, kind=int(Kind.REGISTER), unit_id=unit_id, keeper=node_id, term=term, own=False)
        log.create(tx, at)
    return set_aside(tx, applier, at, made_ms)


def _keeping(tx: Tx, applier: Applier, at: Stream, seq: int, made_ms: int, go_back: Callable[[], object]) -> int:
    hold_writers(tx, applier, at)
    changed = _changed(tx, applier, at, seq)
    before = {table: _read(tx, at, table, ids) for table, ids in changed.items()}
    _drop_journal(tx, applier, at)
    go_back()
    after = {table: _read(tx, at, table, ids) for table, ids in changed.items()}
    wishes = _wishes(before, after)
    _keep(tx, at, seq, wishes, made_ms, applier.me[28:])
    return len(wishes)


def hold_writers(tx: Tx, applier: Applier, at: Stream) -> None:
    """PostgreSQL: nobody else writes these tables until the end of the transaction, and whoever had begun has ended;
    SQLite has one writer anyway."""
    if tx.dialect != "sqlite":
        names = ", ".join(table.sql for table in applier.registry.of_kind(Kind(at.kind)))
        tx.run(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def has_unsealed(tx: Tx, applier: Applier, at: Stream) -> bool:
    """Whether this node has written rows of the stream that are not in its log."""
    query, values = unsealed(applier, at, "1")
    return tx.one(f"{query} LIMIT 1", values) is not None


def _leave(tx: Tx, applier: Applier, at: Stream, seq: int) -> Lifted:
    """Cut the log; put the tables back if they had gone further, or hold what no log tells."""
    kept = log.cut(tx, at, seq)
    touched: set[str] = set()
    if at.own or at.applied_seq > seq:
        touched = rebuild(tx, applier, kept, {at.stream_id: seq})
    return Lifted(stream=kept, touched=touched, envelopes=at.held_seq - seq, wishes=0)


def _changed(tx: Tx, applier: Applier, at: Stream, seq: int) -> dict[Table, set[str]]:
    """The rows that the log beyond `seq`, or the journal, says were changed."""
    found: dict[int, set[str]] = {}
    void = void_groups(tx, at.stream_id)
    after = seq
    while after < at.held_seq:
        for entry in log.entries(tx, at.stream_id, after, limits.APPLY_BYTES_MAX):
            after = entry.seq
            is_void = any(first <= entry.seq < end for first, end in void)
            if entry.mark in CHANGES and not is_void and entry.seq <= at.held_seq:
                for blocks in applier.blocks(tx, at, parse_envelope(entry.envelope)).values():
                    for block in blocks:
                        found.setdefault(block.table, set()).update(block.ids)
    query, values = unsealed(applier, at, "DISTINCT tab, row_id")
    for number, row_id in tx.all(query, values):
        found.setdefault(number, set()).add(row_id)
    return {applier.registry.by_number[number]: ids for number, ids in sorted(found.items())}


def _read(tx: Tx, at: Stream, table: Table, ids: Iterable[str]) -> Rows:
    names = ["id", *(column.name for column in table.columns)]
    rows = tx.select_ids(table, at.unit_id, sorted(ids), names)
    return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in rows}


def _drop_journal(tx: Tx, applier: Applier, at: Stream) -> None:
    query, values = unsealed(applier, at, "")
    tx.run(query.replace("SELECT ", "DELETE", 1), values)
    sequence.count_cut(tx)


# --- wishes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """One row of the branch: what the common past shows, and what this node had made of it."""

    table: Table
    row_id: str
    op: str
    seen: Mapping[str, Any]
    wished: Mapping[str, Any]


def _wishes(before: Mapping[Table, Rows], after: Mapping[Table, Rows]) -> list[_Wish]:
    """In the order of effect: what is referred to before what refers, deletes last and the other way round."""
    made: list[_Wish] = []
    gone: list[_Wish] = []
    for table, wanted in before.items():
        base = after[table]
        for row_id in sorted(wanted.keys() | base.keys()):
            wish = _wish(table, row_id, base.get(row_id), wanted.get(row_id))
            if wish is not None:
                (gone if wish.op == "delete" else made).append(wish)
    return [*made, *reversed(gone)]


def _wish(table: Table, row_id: str, base: dict[str, Any] | None, wanted: dict[str, Any] | None) -> _Wish | None:
    if wanted is None:
        return None if base is None else _Wish(table=table, row_id=row_id, op="delete", seen=base, wished={})
    if base is None:
        filled = {name: value for name, value in wanted.items() if value is not None}
        return _Wish(table=table, row_id=row_id, op="insert", seen={}, wished=filled)
    changed = {name: value for name, value in wanted.items() if value != base[name]}
    return _Wish(table=table, row_id=row_id, op="update", seen=base, wished=changed) if changed else None


def _keep(tx: Tx, at: Stream, seq: int, wishes: list[_Wish], made_ms: int, tag: str) -> None:
    salt = sha256(b"syncd wish v1" + uuid.UUID(at.stream_id).bytes + seq.to_bytes(8, "big") + at.held_hash).digest()
    first = int(tx.value("SELECT coalesce(max(place), 0) FROM syncd_wish") or 0) + 1
    tx.many(
        "INSERT INTO syncd_wish (wish_id, stream_id, place, tab, row_id, op, seen, wished, made_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                _id(salt, made_ms, place, tag), at.stream_id, place, wish.table.number, wish.row_id, wish.op,
                encode(wish.seen), encode(wish.wished), made_ms,
            )
            for place, wish in enumerate(wishes, first)
        ],
    )  # fmt: skip


def _id(salt: bytes, made_ms: int, place: int, tag: str) -> str:
    """A row id (UUIDv7 layout, this node's tag) that sorts by time and place, and that two machines which leave
    different branches do not share."""
    value = made_ms << 80 | 7 << 76 | (place % PLACE_MAX >> 14) << 64 | 2 << 62 | (place & 0x3FFF) << 48
    value |= int.from_bytes(sha256(salt + place.to_bytes(8, "big")).digest()[:2], "big") << 32 | int(tag, 16)
    return str(uuid.UUID(int=value))


def encode(values: Mapping[str, Any]) -> str:
    """Values as a proposal holds them: JSON has no bytes, they are hexadecimal."""
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def decode(table: Table, text: str) -> dict[str, Any]:
    """The values back."""
    return {name: _value(table.by_name[name], value) for name, value in json.loads(text).items()}


def _value(column: Column, value: Any) -> Any:
    return bytes.fromhex(value) if column.type is Type.BYTES and isinstance(value, str) else value
