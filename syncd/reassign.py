"""Reassigning: whole households, with all that refers to them, pass from one unit to another of the same keeper.

Enters: orders of a tier above, as control rows. Leaves: rows with another unit, and the journal that says so.
Must hold: one transaction; the one unit's stream deletes what the other's inserts, so that content is exact at every
position of both; done once, whatever crashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from schema.names import listed, quoted
from schema.spec import Kind, Registry, Table
from syncd.moved_rows import marks_of
from syncd.store.base import Row, Store, Tx
from syncd.store.patience import patiently
from syncd.tree import Tree
from syncd.wire import DELETE, INSERT

IDS_PER_STATEMENT = 500
ID_BYTES = 16
FIRST_RECORD_TABLE = 20  # below are the system's own
_COLUMNS = "r.id, r.from_unit_id, r.to_unit_id, r.row_ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reassignment:
    """`row_ids`: of households; None for every row of the unit."""

    id: str
    from_unit: str
    to_unit: str
    row_ids: tuple[str, ...] | None


def due(tx: Tx, tree: Tree) -> list[Reassignment]:
    """The orders this node has to carry out: of a node above it (or itself), about two units it keeps now. One that
    moves rows to where they are is none: it may come from another program, or from an older release."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM reassignment AS r"
        " JOIN syncd_keeper AS f ON f.unit_id = r.from_unit_id AND f.mine = 1"
        " JOIN syncd_keeper AS t ON t.unit_id = r.to_unit_id AND t.mine = 1"
        " WHERE r.from_unit_id <> r.to_unit_id ORDER BY r.ordered_at, r.id"
    )
    above = {node_id[28:] for node_id in tree.line(tree.me)}
    done = {
        (row[0], row[1][28:])
        for row in tx.all("SELECT v.proposal_id, v.id FROM verdict AS v JOIN reassignment AS r ON r.id = v.proposal_id")
    }
    return [
        _order(row)
        for row in rows
        if row[0][28:] in above and not any((row[0], tag) in done for tag in _tags_of_keepers(tree, row[1]))
    ]


def between(tx: Tx, unit_id: str) -> list[Reassignment]:
    """The orders about rows of a unit, out of it or into it."""
    query = (
        f"SELECT {_COLUMNS} FROM reassignment AS r WHERE (r.from_unit_id = ? OR r.to_unit_id = ?)"
        " AND r.from_unit_id <> r.to_unit_id ORDER BY r.id"
    )
    return [_order(row) for row in tx.all(query, (unit_id, unit_id))]


def _order(row: Row) -> Reassignment:
    return Reassignment(id=row[0], from_unit=row[1], to_unit=row[2], row_ids=_unpacked(row[3]))


def _tags_of_keepers(tree: Tree, unit_id: str) -> set[str]:
    return {tree.me[28:], *(term.node_id[28:] for term in tree.terms.get(unit_id, ()))}


@patiently
def carry_out(store: Store, order: Reassignment, me: str, now: str) -> int:
    """Move the rows; returns how many. Captured as deletions in the one unit and insertions in the other.

    A verdict in both registers says that it is done: whoever keeps the units next does not do it again, nor does this
    node after it was restored.
    """
    moved = 0
    with store.apply("reassign") as tx:  # unguarded: a row's unit changes in no other way
        for table, ids in concerned(tx, store.registry, order):
            for some in _some(ids):
                _move(tx, table, order, some)
            moved += len(ids)
        _note_done(tx, store.registry.by_name["verdict"], order, me, now, moved)
    return moved


def packed(row_ids: Iterable[str]) -> bytes:
    """Row ids as an order carries them."""
    return b"".join(bytes.fromhex(row_id.replace("-", "")) for row_id in sorted(set(row_ids)))


def concerned(tx: Tx, registry: Registry, order: Reassignment) -> Iterator[tuple[Table, list[str]]]:
    """The tables of the register with the rows to move, referred-to tables first."""
    chosen: dict[str, list[str]] = {}
    for table in registry.of_kind(Kind.REGISTER):
        if order.row_ids is None:
            rows = tx.all(f"SELECT id FROM {table.sql} WHERE unit_id = ? ORDER BY id", (order.from_unit,))
            chosen[table.name] = [row[0] for row in rows]
        elif table.number >= FIRST_RECORD_TABLE:
            references = [column for column in table.columns if column.references in chosen]
            found = (
                {row_id for column in references for row_id in _naming(tx, table, column.name, order, chosen)}
                if references
                else set(_here(tx, table, order))
            )
            chosen[table.name] = sorted(found)
    yield from ((registry.by_name[name], ids) for name, ids in chosen.items() if ids)


def _here(tx: Tx, table: Table, order: Reassignment) -> Iterator[str]:
    """The ordered rows of a table that refers to none of the register."""
    for some in _some(order.row_ids or ()):
        query = f"SELECT id FROM {table.sql} WHERE unit_id = ? AND id IN ({_marks(some)})"
        yield from (row[0] for row in tx.all(query, (order.from_unit, *some)))


def _naming(tx: Tx, table: Table, column: str, order: Reassignment, chosen: dict[str, list[str]]) -> Iterator[str]:
    """Rows of the unit that name a chosen row in this column; people do so by their household, events by the person."""
    referred = chosen[table.by_name[column].references or ""]
    for some in _some(referred):
        query = f"SELECT id FROM {table.sql} WHERE unit_id = ? AND {quoted(column)} IN ({_marks(some)})"
        yield from (row[0] for row in tx.all(query, (order.from_unit, *some)))


def _move(tx: Tx, table: Table, order: Reassignment, ids: Sequence[str]) -> None:
    marks = _marks(ids)
    _journal(tx, table, DELETE, order.from_unit, ids)
    tx.run(
        f"UPDATE {table.sql} SET unit_id = ? WHERE unit_id = ? AND id IN ({marks})",
        (order.to_unit, order.from_unit, *ids),
    )
    _journal(tx, table, INSERT, order.to_unit, ids)


def _note_done(tx: Tx, verdicts: Table, order: Reassignment, me: str, now: str, moved: int) -> None:
    detail = json.dumps({"columns": [], "why": "reassigned", "rows": moved}, sort_keys=True)
    marks = marks_of(order.id, me)
    for row_id, unit_id in ((marks.left, order.from_unit), (marks.came, order.to_unit)):
        tx.run(
            "INSERT INTO verdict (id, unit_id, proposal_id, outcome, detail, decided_at, decided_by)"
            " VALUES (?, ?, ?, 'accepted', ?, ?, ?)",
            (row_id, unit_id, order.id, detail, now, me),
        )
        _journal(tx, verdicts, INSERT, unit_id, [row_id])


def _journal(tx: Tx, table: Table, op: int, unit_id: str, ids: Sequence[str]) -> None:
    """What a trigger would write for rows of this unit."""
    counted = listed(table.fold.all_columns) if table.fold is not None and op == DELETE else ""
    if tx.dialect == "sqlite":
        this, was = "0", f"json_array({counted})" if counted else "NULL"
    else:
        this, was = "pg_current_xact_id()::text::bigint", f"json_build_array({counted})::text" if counted else "NULL"
    tx.run(
        f"INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id, was) SELECT {this}, {table.number}, {op}, id,"
        f" unit_id, {was} FROM {table.sql} WHERE unit_id = ? AND id IN ({_marks(ids)}) ORDER BY id",
        (unit_id, *ids),
    )


def _some(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as one statement names."""
    for at in range(0, len(ids), IDS_PER_STATEMENT):
        yield ids[at : at + IDS_PER_STATEMENT]


def _marks(ids: Sequence[str]) -> str:
    return ", ".join("?" * len(ids))


def _unpacked(data: bytes | None) -> tuple[str, ...] | None:
    if data is None:
        return None
    texts = [bytes(data[at : at + ID_BYTES]).hex() for at in range(0, len(data) - ID_BYTES + 1, ID_BYTES)]
    return tuple(f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts)
