"""What was changed past the triggers at its keeper, found and journaled (I2, I12).

Enters: an open node. Leaves: journal rows that bring the log to what the tables show; cases about what cannot go there.
Must hold: a row's journal entries are replaced by the one difference between log and table, in one transaction that
nobody writes these tables in; a value that receivers would refuse is never sealed; where much seems lost, a person
decides whether it was meant.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conflict.case import CaseKind, case_id
from schema.spec import Kind, Table
from schema.values import check_row
from syncd import limits, log, sequence
from syncd.cases import close_case, open_case
from syncd.clock import instant_of
from syncd.events import event
from syncd.lift import hold_writers
from syncd.log import Stream
from syncd.recovery.contents import (
    TableDifference,
    captured,
    changed_mask,
    columns_of,
    compare,
    may_judge,
    own_streams,
    values_of,
)
from syncd.recovery.replay import Replay
from syncd.store.base import Row, Tx
from syncd.store.patience import patiently
from syncd.wire import DELETE, INSERT, UPDATE

if TYPE_CHECKING:
    from syncd.pipeline import Node


@dataclass(slots=True, kw_only=True)
class Found:
    """What was found of one own stream. `journaled`: rows by table; `unsent`: rows that no receiver would take, by
    table; `lost`: tables of which so much is gone that a person has to say whether it was meant."""

    stream_id: str
    unit_id: str | None
    kind: str
    journaled: dict[str, int] = field(default_factory=dict)
    unsent: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.journaled or self.unsent or self.lost)


@patiently
def look(node: Node) -> list[Found]:
    """What `journal` would do."""
    with node.sequencing, node.store.read() as tx:
        found = []
        for at in own_streams(tx):
            if may_judge(tx, at):
                with Replay(tx, node.applier, at) as replay:
                    found.append(_seen(tx, at, compare(tx, replay, at)))
        return [each for each in found if each]


@patiently
def journal(node: Node, *, is_loss_meant: bool = False) -> list[Found]:
    """Compare every own stream with its log and journal what differs; the next cut seals it. `is_loss_meant`: a person
    has said that what is gone was to go."""
    if node.rejoin.holds_back():
        return []
    found = []
    with node.sequencing:
        node.own.discard_open()
        with node.store.read() as tx:
            streams = own_streams(tx)
        for at in streams:
            each = _journal_stream(node, at, is_loss_meant)
            found += [each] if each else []
    return found


def journal_one(node: Node, at: Stream) -> bool:
    """The same for one stream, as it stands by now; returns whether anything was journaled. Nobody who seals is kept
    waiting while it is read: only where it differs."""
    with node.store.read() as tx:
        now = _as_it_stands(tx, at)
        if now is None or not may_judge(tx, now) or node.rejoin.holds_back():
            return False
        with Replay(tx, node.applier, now) as replay:
            differs = any(compare(tx, replay, now))
        told = Found(stream_id=now.stream_id, unit_id=now.unit_id, kind=Kind(now.kind).name.lower())
        if not differs and not _is_told(tx, node, told):
            return False
    with node.sequencing:
        node.own.discard_open()
        with node.store.read() as tx:
            now = _as_it_stands(tx, at)
        return now is not None and bool(_journal_stream(node, now, False).journaled)


def _as_it_stands(tx: Tx, at: Stream) -> Stream | None:
    """A listed stream by now; None where it has passed on, or begun, since."""
    if at.stream_id:
        now = log.stream(tx, at.stream_id)
        return None if now is None or now.ended else now
    begun = "SELECT 1 FROM syncd_stream WHERE kind = ? AND unit_id = ?"
    return at if tx.one(begun, (at.kind, at.unit_id)) is None else None


def _journal_stream(node: Node, at: Stream, is_loss_meant: bool) -> Found:
    found = Found(stream_id=at.stream_id, unit_id=at.unit_id, kind=Kind(at.kind).name.lower())
    with node.store.read() as tx:
        if not may_judge(tx, at):
            return found
        replay = Replay(tx, node.applier, at)
        with replay.closed_on_error():
            differing = [table for table in compare(tx, replay, at) if table]
    with replay:
        for table in differing:
            if is_much(table) and not is_loss_meant:
                found.lost[table.table.name] = table.lost
                continue
            for ids in _chunks(table.ids):
                _journal_rows(node, replay, at, table.table, ids, found)
            if table.nameless:
                found.unsent.setdefault(table.table.name, []).append("")
    _note(node, found)
    return found


def is_much(table: TableDifference) -> bool:
    """Whether so much is gone that a mistake is likelier than a clerk: a table made anew, a column dropped."""
    return table.lost >= limits.FOUND_LOST_MIN and 2 * table.lost > table.told


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + limits.FOUND_ROWS] for start in range(0, len(ids), limits.FOUND_ROWS))


def _journal_rows(node: Node, replay: Replay, at: Stream, table: Table, ids: Sequence[str], found: Found) -> None:
    """Some rows, as they are now: what a program writes to them meanwhile has ended, or begins afterwards."""
    with node.store.apply("journal-found") as tx:
        if tx.dialect != "sqlite":
            tx.run(f"SET LOCAL lock_timeout = {limits.MEND_LOCK_MS_MAX}")
        hold_writers(tx, node.applier, at)
        now = log.stream(tx, at.stream_id) if at.stream_id else None
        if now is not None and now.applied_seq > replay.seq:
            replay.follow(tx, now)
        entries, unsent = _entries(tx, replay, at, table, ids)
        _replace(tx, table, at.unit_id, entries)
        sequence.count_cut(tx)
    if entries:
        found.journaled[table.name] = found.journaled.get(table.name, 0) + len(entries)
    if unsent:
        found.unsent.setdefault(table.name, []).extend(unsent)


def _entries(
    tx: Tx, replay: Replay, at: Stream, table: Table, ids: Sequence[str]
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """(operation, row, mask, counted values before) of each row that differs still; and the rows no receiver takes."""
    told, here, waiting = replay.some(table, ids), _here(tx, at, table, ids), captured(tx, at, table)
    entries: list[tuple[Any, ...]] = []
    unsent: list[str] = []
    for row_id in ids:
        old, new = told.get(row_id), here.get(row_id)
        if old == new or (row_id in waiting and waiting[row_id].explains(table, old, new)):
            continue
        if new is not None and not _may_be_sent(at, table, old, new):
            unsent.append(row_id)
        elif new is None or old is None:
            entries.append((INSERT if old is None else DELETE, row_id, 0, _was(table, old)))
        else:
            mask = changed_mask(table, old, new)
            entries.append((UPDATE, row_id, mask, _was(table, old) if mask & table.fold_mask else None))
    return entries, unsent


def _here(tx: Tx, at: Stream, table: Table, ids: Sequence[str]) -> dict[str, Row]:
    rows = tx.select_ids(table, at.unit_id, ids, columns_of(table))
    return {row[0]: tuple(row) for row in rows}


def _may_be_sent(at: Stream, table: Table, old: Row | None, new: Row) -> bool:
    """A new row's id was minted here, and every value is one that the tables of receivers take."""
    if old is None and new[0][28:] != at.keeper[28:]:
        return False
    return not check_row(table, {**values_of(table, new), "unit_id": at.unit_id})


def _was(table: Table, old: Row | None) -> str | None:
    if table.fold is None or old is None:
        return None
    values = values_of(table, old)
    return json.dumps([values[name] for name in table.fold.all_columns])


def _replace(tx: Tx, table: Table, unit_id: str | None, entries: Sequence[tuple[Any, ...]]) -> None:
    tx.many("DELETE FROM syncd_journal WHERE tab = ? AND row_id = ?", [(table.number, each[1]) for each in entries])
    tx.many(
        "INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id, mask, was)"
        f" VALUES ({'0' if tx.dialect == 'sqlite' else 'txid_current()'}, ?, ?, ?, ?, ?, ?)",
        [(table.number, op, row_id, unit_id, mask, was) for op, row_id, mask, was in entries],
    )


def _seen(tx: Tx, at: Stream, tables: Sequence[TableDifference]) -> Found:
    found = Found(stream_id=at.stream_id, unit_id=at.unit_id, kind=Kind(at.kind).name.lower())
    for table in tables:
        if is_much(table):
            found.lost[table.table.name] = table.lost
        elif table:
            found.journaled[table.table.name] = len(table.ids)
    return found


def _parts(node: Node, what: str, found: Found) -> tuple[str, str, str, str]:
    return what, node.node_id, found.kind, found.unit_id or ""


def _is_told(tx: Tx, node: Node, found: Found) -> bool:
    """Whether a case waits for what was not sent, or may be lost, to be gone."""
    cases = [case_id(CaseKind.RULE_VIOLATED, *_parts(node, what, found)) for what in ("unsent", "lost")]
    return tx.one("SELECT 1 FROM syncd_case WHERE case_id IN (?, ?) AND closed_at IS NULL", cases) is not None


def _note(node: Node, found: Found) -> None:
    """Cases: what was found is told once, what waits for a person until it is gone."""
    now = instant_of(node.clock())
    told: dict[str, Mapping[str, int | list[str]]] = {
        "found": {**found.journaled}, "unsent": {**found.unsent}, "lost": {**found.lost},
    }  # fmt: skip
    with node.store.read() as tx:
        if not found and not _is_told(tx, node, found):
            return  # as a rule
    with node.store.apply("found-case") as tx:
        for what, tables in told.items():
            parts = _parts(node, what, found)
            if what != "found" or tables:
                close_case(tx, case_id(CaseKind.RULE_VIOLATED, *parts), now)
            if tables:
                event(f"content-{what}", logging.WARNING, kind=found.kind, unit=found.unit_id, tables=_words(tables))
                open_case(
                    tx, CaseKind.RULE_VIOLATED, parts, opened_at=now, unit_id=found.unit_id,
                    detail={"what": what, "tables": _words(tables)[: limits.FOUND_WORDS_MAX]},
                )  # fmt: skip


def _words(tables: Mapping[str, int | list[str]]) -> str:
    """`household 3, person 12 (id, id …)`."""
    return ", ".join(
        f"{name} {rows}" if isinstance(rows, int) else f"{name} {len(rows)} ({' '.join(rows[:3])})"
        for name, rows in sorted(tables.items())
    )
