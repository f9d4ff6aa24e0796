"""Rows that passed to another unit, as receivers see it: two streams tell of one move, and come in any order.

Enters: the changes of an envelope, the orders to move rows, the marks that keepers leave in both registers. Leaves: the
changes that can be applied now.
Must hold: a row is never in two units; who receives both streams shows the move only once the one the rows leave says
so; who learns the history of that one later passes over rows that have moved on already; who does not hear of it any
more gives up the rows it was left with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from schema.spec import Audience, Kind, Registry, Table
from syncd import log
from syncd.derived import derived_id
from syncd.envelope import stream_id_of
from syncd.errors import StreamBehind
from syncd.log import Stream
from syncd.store.base import Tx, in_lists
from syncd.tree import Term, Tree, covers, units_above
from syncd.wire import DELETE, INSERT, Block

Parts = dict[Audience, list[Block]]

# An order to move rows to the unit they are in moves nothing: whoever carried it out wrote them once more, in one
# stream, and neither part waits for the other.
_PASSES = "from_unit_id <> to_unit_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The verdicts by which a keeper says in both units that it has moved rows."""

    left: str
    came: str


def marks_of(order_id: str, keeper: str) -> Marks:
    """Where the rows were, and where they are."""
    return Marks(
        left=derived_id("reassigned from", order_id, keeper[28:]),
        came=derived_id("reassigned into", order_id, keeper[28:]),
    )


def referral_id(unit_id: str, proposal_id: str, tag: str) -> str:
    """The verdict by which the keeper with this tag refers a wish about a unit's row to the unit that has it now."""
    return derived_id(f"referred from {unit_id}", proposal_id, tag)


def concerns_moves(tx: Tx, at: Stream) -> bool:
    """Whether rows of the unit were ever ordered to move, out of it or into it."""
    if at.kind != Kind.REGISTER:
        return False
    query = "SELECT 1 FROM reassignment WHERE from_unit_id = ? OR to_unit_id = ? LIMIT 1"
    return tx.one(query, (at.unit_id, at.unit_id)) is not None


def may_take_rows(tx: Tx, tree: Tree, at: Stream) -> bool:
    """Whether rows that others minted may enter a stream: who has the say ordered rows into its unit."""
    rows = tx.all("SELECT DISTINCT from_unit_id FROM reassignment WHERE to_unit_id = ?", (at.unit_id,))
    return any(_is_ordered(tx, tree, at, from_unit) for (from_unit,) in rows)


def applicable(tx: Tx, registry: Registry, tree: Tree, at: Stream, parts: Parts) -> Parts:
    """The changes without rows that have moved on. Raises StreamBehind while rows that come have not left."""
    _require_left(tx, tree, at, parts)
    _require_referred(tx, registry, tree, at, parts)
    arrived = _arrived(tx, at.unit_id)
    if not all(arrived):
        return _not_moved_on(tx, registry, at, parts)
    _require_gone(tx, registry, tree, at, parts.get(Audience.SCOPE, []))
    if arrived:  # the mark may have come in one piece of a group, and what it gives up in another
        return {audience: list(_without_gone(tx, registry, at, blocks)) for audience, blocks in parts.items()}
    return parts


def applicable_of_baseline(tx: Tx, registry: Registry, at: Stream, parts: Parts) -> Parts:
    """The rows of a baseline without those that have moved on: the log behind it says so later."""
    return _not_moved_on(tx, registry, at, parts) if is_behind(tx, at.unit_id) else parts


def sources(tx: Tx, unit_id: str | None) -> list[Stream]:
    """A stream of each unit that rows came from, as far as it is shown here: what goes back to before their arrival is
    to be there again."""
    query = f"SELECT DISTINCT from_unit_id FROM reassignment WHERE to_unit_id = ? AND {_PASSES} ORDER BY 1"
    units = tx.all(query, (unit_id,))
    where = "kind = ? AND unit_id = ? AND applied_seq > 0"
    shown = (log.streams(tx, where, (int(Kind.REGISTER), from_unit)) for (from_unit,) in units)
    return [streams[0] for streams in shown if streams]


def left_behind(
    tx: Tx, registry: Registry, tree: Tree, at: Stream, parts: Parts
) -> Iterator[tuple[Table, str, list[str]]]:
    """The rows among those that come which are still here in a unit that passed to another branch after they had left
    it, or before: nobody tells this node of it any more. Table, that unit, ids."""
    for block in parts.get(Audience.SCOPE, []):
        found: dict[str, list[str]] = {}
        for row_id, unit_id in _elsewhere(tx, registry, at, block) if block.op == INSERT else ():
            found.setdefault(unit_id, []).append(row_id)
        for unit_id, ids in found.items():
            if _is_out_of_hearing(tx, tree, at, unit_id):
                yield registry.by_number[block.table], unit_id, ids


def is_behind(tx: Tx, unit_id: str | None) -> bool:
    """Whether rows are shown in their new unit here that this unit's stream has not given up yet."""
    return not all(_arrived(tx, unit_id))


def _arrived(tx: Tx, unit_id: str | None) -> list[bool]:
    """Of each move out of a unit whose rows are shown in their new one here: whether this unit's stream has given them
    up."""
    rows = tx.all(
        "SELECT v.proposal_id, v.id FROM verdict AS v JOIN reassignment AS r ON r.id = v.proposal_id"
        f" WHERE r.from_unit_id = ? AND {_PASSES}",
        (unit_id,),
    )
    here = {mark_id for _order_id, mark_id in rows}
    marks = [(mark_id, marks_of(order_id, mark_id)) for order_id, mark_id in rows]  # by the tag of who moved them
    return [both.left in here for mark_id, both in marks if mark_id == both.came]


def units_left(tx: Tx, tree: Tree) -> frozenset[str]:
    """Units that rows have left here for another, in which they have not arrived but shall: nobody knows here for now
    where these rows are."""
    rows = tx.all("SELECT r.id, r.from_unit_id, r.to_unit_id, v.id FROM verdict AS v JOIN reassignment AS r"
                  f" ON r.id = v.proposal_id WHERE {_PASSES}")  # fmt: skip
    here = {mark_id for *_, mark_id in rows}
    marks = [
        (marks_of(order_id, mark_id), from_unit, to_unit, mark_id) for order_id, from_unit, to_unit, mark_id in rows
    ]
    return frozenset(
        from_unit
        for both, from_unit, to_unit, mark_id in marks
        if mark_id == both.left and both.came not in here and may_come(tx, tree, to_unit, mark_id[28:])
    )


def may_come(tx: Tx, tree: Tree, unit_id: str, tag: str) -> bool:
    """Whether more of what a keeper wrote about a unit is still to be shown here."""
    return any(
        term.node_id[28:] == tag and tree.is_for_me(_register(term)) and not _is_told(tx, term)
        for term in tree.terms.get(unit_id) or _only_term(tree, unit_id)
    )


def _only_term(tree: Tree, unit_id: str) -> Iterator[Term]:
    """Of a unit that has never passed on."""
    if unit_id in tree.keepers:
        node_id, term = tree.keepers[unit_id]
        yield Term(unit_id=unit_id, term=term, node_id=node_id, began="record")


def _require_left(tx: Tx, tree: Tree, at: Stream, parts: Mapping[Audience, Sequence[Block]]) -> None:
    inserted = {row_id for block in parts.get(Audience.SCOPE, []) if block.op == INSERT for row_id in block.ids}
    query = f"SELECT id, from_unit_id FROM reassignment WHERE to_unit_id = ? AND {_PASSES}"
    for order_id, from_unit in tx.all(query, (at.unit_id,)):
        marks = marks_of(order_id, at.keeper)
        if marks.came in inserted and _hears(tx, tree, at, from_unit) and not _is_here(tx, marks.left):
            raise StreamBehind(
                f"stream {at.stream_id} takes rows that the stream of unit {from_unit} has not given up here",
                hint="the stream goes on by itself when the other one has arrived",
            )


def _require_referred(
    tx: Tx, registry: Registry, tree: Tree, at: Stream, parts: Mapping[Audience, Sequence[Block]]
) -> None:
    """A verdict about a wish that names another unit is shown behind the word in that unit's stream: where a term is
    ended by force, the custodian has that word if it has the verdict."""
    kept = {unit_id for unit_id, (node_id, _term) in tree.keepers.items() if node_id == at.keeper}
    kept |= {unit_id for unit_id, chain in tree.terms.items() if any(term.node_id == at.keeper for term in chain)}
    for proposal_id, earlier in _resolved(registry, parts):
        if earlier[28:] != at.keeper[28:] or _is_here(tx, earlier):
            continue
        for unit_id in kept:
            is_it = referral_id(unit_id, proposal_id, earlier[28:]) == earlier
            if is_it and may_come(tx, tree, unit_id, earlier[28:]):
                raise StreamBehind(
                    f"stream {at.stream_id} decides what the stream of unit {unit_id} has not referred to it here",
                    hint="the stream goes on by itself when the other one has arrived",
                )


def _resolved(registry: Registry, parts: Mapping[Audience, Sequence[Block]]) -> Iterator[tuple[str, str]]:
    """The verdicts among the changes that resolve one which is not among them: its proposal, the earlier one."""
    table = registry.by_name["verdict"]
    blocks = [block for block in parts.get(Audience.SCOPE, []) if block.table == table.number and block.op == INSERT]
    inserted = {row_id for block in blocks for row_id in block.ids}
    proposal, resolves = (table.by_name[name].number for name in ("proposal_id", "resolves"))
    for block in blocks:
        values = dict(zip(block.columns, block.values, strict=True))
        for proposal_id, earlier in zip(values[proposal], values.get(resolves, ()), strict=False):
            if earlier is not None and earlier not in inserted:
                yield str(proposal_id), str(earlier)


def _hears(tx: Tx, tree: Tree, at: Stream, unit_id: str) -> bool:
    """Whether this node receives what the same keeper wrote about the other unit; where it kept that more than once and
    not all of it comes here, whether more is still to come."""
    if tree.goes_up(at):
        return True
    terms = [term for term in tree.terms.get(unit_id, ()) if term.node_id == at.keeper]
    heard = [term for term in terms if tree.is_for_me(_register(term))]
    return bool(heard) and (len(heard) == len(terms) or not all(_is_told(tx, term) for term in heard))


def _is_told(tx: Tx, term: Term) -> bool:
    """Whether all that was written in a term is shown here."""
    shown = tx.value("SELECT applied_seq FROM syncd_stream WHERE stream_id = ?", (_register(term).stream_id,))
    return term.ended_seq is not None and int(shown or 0) >= term.ended_seq


def _register(term: Term) -> Stream:
    """The stream of a term, as it begins."""
    return Stream(
        stream_id=stream_id_of(Kind.REGISTER, term.unit_id, term.node_id, term.term), kind=int(Kind.REGISTER),
        unit_id=term.unit_id, keeper=term.node_id, term=term.term, own=False,
    )  # fmt: skip


def _is_here(tx: Tx, mark_id: str) -> bool:
    return tx.one("SELECT 1 FROM verdict WHERE id = ?", (mark_id,)) is not None


def _is_out_of_hearing(tx: Tx, tree: Tree, at: Stream, unit_id: str) -> bool:
    """Whether the keeper of `at` was to move rows from that unit, which it kept then, and nothing of what it wrote
    about it comes here. Of a unit that is kept at or below this node it does, whoever keeps it now."""
    kept_it = any(term.node_id == at.keeper for term in tree.terms.get(unit_id, ()))
    return kept_it and not _hears(tx, tree, at, unit_id) and _is_ordered(tx, tree, at, unit_id)


def _is_ordered(tx: Tx, tree: Tree, at: Stream, from_unit: str) -> bool:
    """Whether who answers for the unit that rows leave, and is or stands above the keeper, ordered them into the other:
    by its own word alone no keeper takes rows of a unit that passed on."""
    above = units_above(tx)
    line = [tree.nodes[node_id] for node_id in tree.line(at.keeper)]
    tags = {record.tag for record in line if covers(above, record.unit_id, from_unit)}
    query = "SELECT id FROM reassignment WHERE from_unit_id = ? AND to_unit_id = ?"
    return any(row[0][28:] in tags for row in tx.all(query, (from_unit, at.unit_id)))


def _require_gone(tx: Tx, registry: Registry, tree: Tree, at: Stream, blocks: Sequence[Block]) -> None:
    for block in blocks:
        units = {unit_id for _row, unit_id in _elsewhere(tx, registry, at, block)} if block.op == INSERT else set()
        if any(not _is_out_of_hearing(tx, tree, at, unit_id) for unit_id in units):
            raise StreamBehind(
                f"stream {at.stream_id} takes rows of {registry.by_number[block.table].name} that another unit's stream"
                " has not given up here",
                hint="the stream goes on by itself when the other one has arrived",
            )


def _not_moved_on(tx: Tx, registry: Registry, at: Stream, parts: Parts) -> Parts:
    return {audience: list(_without_moved(tx, registry, at, blocks)) for audience, blocks in parts.items()}


def _without_moved(tx: Tx, registry: Registry, at: Stream, blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        moved = {row_id for row_id, _unit in _elsewhere(tx, registry, at, block)}
        kept = [place for place, row_id in enumerate(block.ids) if row_id not in moved]
        if len(kept) == len(block.ids):
            yield block
        elif kept:
            values = [[column[place] for place in kept] for column in block.values]
            yield replace(block, ids=[block.ids[place] for place in kept], values=values)


def _without_gone(tx: Tx, registry: Registry, at: Stream, blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield from _without_moved(tx, registry, at, [block]) if block.op == DELETE else [block]


def _elsewhere(tx: Tx, registry: Registry, at: Stream, block: Block) -> Iterator[tuple[str, str]]:
    """The rows of a block that another unit has here, and that unit."""
    table = registry.by_number.get(block.table)
    if table is None:
        return  # of a newer schema: the stream stops there
    for marks, some in in_lists(block.ids):
        query = f"SELECT id, unit_id FROM {table.sql} WHERE unit_id <> ? AND id IN ({marks})"
        yield from ((row[0], row[1]) for row in tx.all(query, (at.unit_id, *some)))
