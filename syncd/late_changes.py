"""Late changes: what envelopes written after a term did to each row, taken together (design §5).

Enters: envelopes kept apart, of one branch, in order. Leaves: `Change` per row.
Must hold: what a discarded group says counts too: it is said again later, unless another machine went on; rows that
were ordered to another unit are neither deleted in one nor inserted in the other: who keeps both units carries the
order out anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schema.names import listed, quoted
from schema.spec import Registry, Table
from syncd.applying import Applier
from syncd.envelope import Envelope, Mark
from syncd.log import Stream
from syncd.moved_rows import marks_of
from syncd.reassign import between, concerned
from syncd.store.base import Tx
from syncd.undecided import rows_of, takes_proposals
from syncd.wire import DELETE, INSERT, Block, Value

CHANGES = (Mark.CLOSED, Mark.OPEN)


@dataclass(slots=True, kw_only=True)
class Change:
    """What late envelopes do to one row. `operation`: empty where it came and went; `place`: the envelope that says so,
    as a proposal's id is made of it; `unit_id`: where the row is; `group`: the cut of the last word.
    """

    table: Table
    row_id: str
    operation: str
    place: str
    unit_id: str | None
    group: int
    values: dict[str, Value] = field(default_factory=dict)


def net(applier: Applier, tx: Tx, at: Stream, envelopes: Iterable[Envelope]) -> list[Change]:
    """The changes of a branch of late envelopes. A late verdict is none: whoever keeps the unit now decides."""
    changes: dict[tuple[str, str], Change] = {}
    verdicts: dict[str, int] = {}
    for group, pieces in enumerate(_groups(envelopes)):
        for envelope in pieces:
            place = f"{envelope.header.seq} {envelope.hash[:8].hex()}"
            for block in (block for blocks in applier.blocks(tx, at, envelope).values() for block in blocks):
                table = applier.registry.by_number[block.table]
                if takes_proposals(table):
                    _add(changes, at, table, block, place, group)
                else:
                    verdicts |= dict.fromkeys(block.ids, group)
    found = _not_moved(tx, applier.registry, at, list(changes.values()), verdicts)
    return [change for change in found if change.operation]


def plain(value: Value) -> Any:
    """A value as JSON has it."""
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _groups(envelopes: Iterable[Envelope]) -> Iterator[list[Envelope]]:
    """The pieces of each cut; of one that was not closed, or was discarded, what there is."""
    pieces: list[Envelope] = []
    for envelope in envelopes:
        if envelope.header.mark in CHANGES:
            pieces.append(envelope)
        if envelope.header.mark in (Mark.CLOSED, Mark.DISCARD):
            yield pieces
            pieces = []
    yield pieces


def _not_moved(
    tx: Tx, registry: Registry, at: Stream, changes: Sequence[Change], verdicts: dict[str, int]
) -> Iterator[Change]:
    """The changes without what orders to move rows did. What else became of a row that came is a change of it where it
    is kept. `verdicts`: the late ones, keepers' marks among them, with their cuts: a move is in the cut of its mark."""
    marks = [(order, marks_of(order.id, at.keeper)) for order in between(tx, at.unit_id or "")]
    out = [(order, verdicts[mark.left]) for order, mark in marks if mark.left in verdicts]
    came = any(mark.came in verdicts for _order, mark in marks)
    left = {(row_id, group) for order, group in out for _table, ids in concerned(tx, registry, order) for row_id in ids}
    to_units = {(order.to_unit, group) for order, group in out}
    rows = _anywhere(tx, changes) if came or out else {}
    for change in changes:
        kept = rows.get((change.table.name, change.row_id))
        if kept is None or change.operation == "update":
            yield change
        elif change.operation == "delete":
            if (change.row_id, change.group) not in left and (kept["unit_id"], change.group) not in to_units:
                yield change
        elif change.operation == "insert":
            yield from _since(change, kept)
        elif came:  # it came, and was deleted
            yield replace(change, operation="delete", unit_id=str(kept["unit_id"]))


def _anywhere(tx: Tx, changes: Iterable[Change]) -> dict[tuple[str, str], dict[str, Value]]:
    """Table and row → the row as it is kept, in whatever unit."""
    chosen: dict[str, list[Change]] = {}
    for change in changes:
        chosen.setdefault(change.table.name, []).append(change)
    found = {}
    for table_name, of_table in chosen.items():
        names = ["unit_id", *(column.name for column in of_table[0].table.columns)]
        query = f"SELECT id, {listed(names)} FROM {quoted(table_name)} WHERE id {{chosen}}"
        for row in rows_of(tx, query, [change.row_id for change in of_table]):
            found[table_name, row[0]] = dict(zip(names, row[1:], strict=True))
    return found


def _since(change: Change, kept: dict[str, Value]) -> Iterator[Change]:
    """What a row that came late has that it does not have where it is kept."""
    said: dict[str, Value] = dict.fromkeys(kept.keys() - {"unit_id"}) | change.values
    values = {name: value for name, value in said.items() if plain(kept[name]) != plain(value)}
    if values:
        yield replace(change, operation="update", unit_id=str(kept["unit_id"]), values=values)


def _add(
    changes: dict[tuple[str, str], Change], at: Stream, table: Table, block: Block, place: str, group: int
) -> None:
    names = [table.all_columns[number].name for number in block.columns]
    for index, row_id in enumerate(block.ids):
        known = changes.get((table.name, row_id))
        values = {name: column[index] for name, column in zip(names, block.values, strict=True)}
        change = Change(
            table=table, row_id=row_id, operation="insert" if block.op == INSERT else "update", place=place,
            unit_id=at.unit_id, group=group, values=values,
        )  # fmt: skip
        if block.op == DELETE:
            change.operation, change.values = "" if known is not None and known.operation == "insert" else "delete", {}
        elif known is not None and known.operation == "delete":  # deleted, and entered again under its id
            change.operation = "update"
            change.values = dict.fromkeys((column.name for column in table.columns), None) | values
        elif known is not None and known.operation:
            known.values |= values  # a part for fewer readers, or a later change
            continue
        changes[table.name, row_id] = change
