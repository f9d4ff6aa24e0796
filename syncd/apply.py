"""Applying: the changes of a group into the tables, as sets, in one transaction (design §4, I8).

Enters: opened blocks of one stream, in the order of the log. Leaves: rows, aggregates and the set of tables touched.
Must hold: only rows of the stream's own unit, and ids its keeper may mint, are ever written (I4, at the receiver);
a change that does not find its row stops the stream rather than being passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from schema.spec import Audience, Column, Kind, Registry, Table
from syncd.errors import Altered, Diverged, Foreign, IdTaken, SchemaNewer
from syncd.limits import UPDATE_CELLS_MAX
from syncd.log import Stream
from syncd.store.base import Tx
from syncd.wire import INSERT, UPDATE, Block


class Counter(Protocol):
    """Collects what the group changes in the aggregates."""

    def add(self, table: Table, unit_id: str | None, sign: int, values: Sequence[Sequence[Any]]) -> None: ...


def apply_blocks(
    tx: Tx, registry: Registry, stream: Stream, tag: str | None, parts: dict[Audience, list[Block]], counter: Counter
) -> set[str]:
    """Apply the blocks of one envelope; returns the names of the tables touched, of `unit` only where units have come,
    gone or moved: who keeps what does not follow from their names.

    `tag` is the id tag of the stream's keeper, None where it may insert what others minted (a baseline). Raises
    Foreign, SchemaNewer, Diverged.
    """
    touched: set[str] = set()
    for audience, blocks in sorted(parts.items()):
        for table, op, run in _runs(registry, stream, audience, blocks):
            if tag is not None:
                _check_ids(stream, table, op, tag, run)
            if op == INSERT:
                for block in run:
                    _insert(tx, stream, table, block, counter)
            elif op == UPDATE:
                _update(tx, stream, table, run, counter)
            else:
                for block in run:
                    _delete(tx, stream, table, block, counter)
            if not _is_label(table, op, run):
                touched.add(table.name)
    return touched


def _is_label(table: Table, op: int, run: Sequence[Block]) -> bool:
    """Whether units are called otherwise and stand where they stood."""
    columns = (column.name for block in run for column in _columns(table, block))
    return table.name == "unit" and op == UPDATE and table.above not in columns


def _runs(
    registry: Registry, stream: Stream, audience: Audience, blocks: Sequence[Block]
) -> list[tuple[Table, int, list[Block]]]:
    """Consecutive blocks of one table and operation together, so that updates of many masks are one statement."""
    runs: list[tuple[Table, int, list[Block]]] = []
    for block in blocks:
        table = registry.by_number.get(block.table)
        if table is None or any(number >= len(table.all_columns) for number in block.columns):
            raise SchemaNewer(
                f"stream {stream.stream_id} carries table {block.table} with columns this release does not know",
                hint="upgrade syncd on this node; the stream goes on by itself afterwards",
            )
        if int(table.kind) != stream.kind:
            raise Foreign(
                f"stream {stream.stream_id} (kind {stream.kind}) carries rows of table {table.name}",
                hint="the sender is faulty or hostile; nothing was applied; ask the sending node's operator",
            )
        _check_columns(stream, table, audience, block)
        if runs and runs[-1][0] is table and runs[-1][1] == block.op:
            runs[-1][2].append(block)
        else:
            runs.append((table, block.op, [block]))
    return runs


def _check_columns(stream: Stream, table: Table, audience: Audience, block: Block) -> None:
    wrong = [column.name for column in _columns(table, block) if column.number < 2 or column.audience is not audience]
    if wrong:
        raise Foreign(
            f"stream {stream.stream_id} carries {table.name}.{wrong[0]} in the part for {audience.name.lower()}",
            hint="the sender is faulty or hostile; nothing was applied",
        )


def _check_ids(stream: Stream, table: Table, op: int, tag: str, run: Sequence[Block]) -> None:
    """Inserted ids carry the keeper's tag; in oversight and control streams every id does (it says whose row it is)."""
    if op != INSERT and table.kind is Kind.REGISTER:
        return
    foreign = {row_id[28:] for block in run for row_id in block.ids} - {tag}
    if foreign:
        raise Foreign(
            f"stream {stream.stream_id} writes rows of {table.name} whose ids were minted by another node",
            hint="the sender is faulty or hostile; nothing was applied",
        )


def _columns(table: Table, block: Block) -> list[Column]:
    return [table.all_columns[number] for number in block.columns]


def _insert(tx: Tx, stream: Stream, table: Table, block: Block, counter: Counter) -> None:
    columns = _columns(table, block)
    names = ["id", "unit_id", *(column.name for column in columns)]
    types = ["uuid", "uuid", *(str(column.type) for column in columns)]
    try:
        tx.insert_columns(table, names, types, [block.ids, [stream.unit_id] * len(block.ids), *block.values])
    except IdTaken as error:
        raise Diverged(
            f"stream {stream.stream_id} inserts rows of {table.name} that are here already", hint=way_on(stream)
        ) from error
    if table.fold is not None:
        by_name = dict(zip(names[2:], block.values, strict=True))
        if not by_name.keys() >= set(table.fold.all_columns):
            raise Altered(
                f"stream {stream.stream_id} inserts rows of {table.name} without a counted column",
                hint="nothing was applied",
            )
        counter.add(table, stream.unit_id, +1, [by_name[name] for name in table.fold.all_columns])


def _update(tx: Tx, stream: Stream, table: Table, run: Sequence[Block], counter: Counter) -> None:
    """All masks in one call, or in several where together they would be far more cells than each has; a row may stand
    in a later block again only in a later envelope."""
    for part in _bounded(run):
        _update_rows(tx, stream, table, part, counter)


def _bounded(run: Sequence[Block]) -> Iterator[list[Block]]:
    part: list[Block] = []
    columns: set[int] = set()
    rows = 0
    for block in run:
        if part and len(columns.union(block.columns)) * (rows + len(block.ids)) > UPDATE_CELLS_MAX:
            yield part
            part, columns, rows = [], set(), 0
        part.append(block)
        columns.update(block.columns)
        rows += len(block.ids)
    if part:
        yield part


def _update_rows(tx: Tx, stream: Stream, table: Table, run: Sequence[Block], counter: Counter) -> None:
    names = sorted({column.name for block in run for column in _columns(table, block)})
    ids: list[str] = []
    masks: list[int] = []
    values: dict[str, list[Any]] = {name: [] for name in names}
    counted: list[str] = []
    for block in run:
        given = dict(zip((column.name for column in _columns(table, block)), block.values, strict=True))
        mask = sum(1 << number for number in block.columns)
        ids += block.ids
        masks += [mask] * len(block.ids)
        for name in names:
            values[name] += given.get(name) or [None] * len(block.ids)
        if mask & table.fold_mask:
            counted += block.ids
    _count(tx, stream, table, counted, -1, counter)
    touched = tx.update_columns(table, stream.unit_id, ids, masks, dict(values))
    _check_found(stream, table, touched, len(ids))
    _count(tx, stream, table, counted, +1, counter)


def _delete(tx: Tx, stream: Stream, table: Table, block: Block, counter: Counter) -> None:
    fold = table.fold.all_columns if table.fold is not None else ()
    found = tx.delete_ids(table, stream.unit_id, block.ids, ("id", *fold))
    _check_found(stream, table, len(found), len(block.ids))
    if fold and found:
        counter.add(table, stream.unit_id, -1, list(zip(*(row[1:] for row in found), strict=True)))


def _count(tx: Tx, stream: Stream, table: Table, ids: Sequence[str], sign: int, counter: Counter) -> None:
    if ids and table.fold is not None:
        rows = tx.select_ids(table, stream.unit_id, ids, table.fold.all_columns)
        if rows:
            counter.add(table, stream.unit_id, sign, list(zip(*rows, strict=True)))


def way_on(stream: Stream) -> str:
    """What to do where copy and log do not fit: one of the two nodes has been written to past its triggers."""
    return (
        f"run `syncd repair` here; if the stream still stands, run it at the node that keeps it ({stream.keeper[28:]})"
    )


def _check_found(stream: Stream, table: Table, found: int, stated: int) -> None:
    if found != stated:
        raise Diverged(
            f"stream {stream.stream_id} changes {stated} rows of {table.name}, of which {stated - found} are not here",
            hint=way_on(stream),
        )
