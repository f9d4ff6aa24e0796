"""What a node has had without the columns that only keepers read: read from the logs when it keeps the unit itself.

Enters: streams of earlier keepers, whose keys this node has been granted meanwhile. Leaves: those columns in the rows
that are still here.
Must hold: the same values as if the streams had been applied with all keys; every other column stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schema.spec import Audience, Table
from syncd.applying import Applier
from syncd.envelope import Mark, parse_envelope
from syncd.log import Stream
from syncd.rebuild import CHANGES, entries, rebuild, void_groups
from syncd.store.base import Tx
from syncd.wire import DELETE, Block, Value

Row = dict[str, Value]  # of the columns withheld


def read_withheld(tx: Tx, applier: Applier, streams: Iterable[Stream]) -> None:
    """Put what `streams`, oldest first, say about the columns of keepers into the rows of their unit. Where a log was
    pruned, all of the content is put back anew from its baseline."""
    found = list(streams)
    if any(at.floor_seq for at in found):
        rebuild(tx, applier, found[-1], {})
        return
    rows: dict[str, dict[str, Row]] = {}
    for at in found:
        for table, block in _blocks(tx, applier, at):
            _note(rows.setdefault(table.name, {}), table, block)
    for name, values in rows.items():
        _store(tx, applier.registry.by_name[name], found[-1].unit_id, values)
    _compare(tx, applier, found[-1])


def _compare(tx: Tx, applier: Applier, at: Stream) -> None:
    """Against what the keeper stated last, if that is what its stream ends with."""
    last = next(iter(entries(tx, at.stream_id, at.applied_seq - 1, at.applied_seq)), None) if at.applied_seq else None
    if last is not None and last.mark in (Mark.CHECKPOINT, Mark.ENDS):
        applier.compare_all(tx, at, parse_envelope(last.envelope))


def _blocks(tx: Tx, applier: Applier, at: Stream) -> Iterator[tuple[Table, Block]]:
    void = void_groups(tx, at.stream_id)
    for entry in entries(tx, at.stream_id, 0, at.applied_seq):
        if entry.mark in CHANGES and not any(first <= entry.seq < end for first, end in void):
            for block in applier.blocks_for(tx, at, parse_envelope(entry.envelope), Audience.CUSTODIAN):
                yield applier.registry.by_number[block.table], block


def _note(rows: dict[str, Row], table: Table, block: Block) -> None:
    if block.op == DELETE:
        return  # by the part for all: the row is not here any more
    names = [table.all_columns[number].name for number in block.columns]
    for place, row_id in enumerate(block.ids):
        values = {name: column[place] for name, column in zip(names, block.values, strict=True)}
        rows[row_id] = rows.get(row_id, {}) | values


def _store(tx: Tx, table: Table, unit_id: str | None, rows: dict[str, Row]) -> None:
    """Rows that went meanwhile are passed over."""
    ids = list(rows)
    names = sorted({name for values in rows.values() for name in values})
    masks = [sum(1 << table.by_name[name].number for name in values) for values in rows.values()]
    tx.update_columns(table, unit_id, ids, masks, {name: [rows[row_id].get(name) for row_id in ids] for name in names})
