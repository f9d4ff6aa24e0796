"""Orders about keeping: who shall keep a unit's register from now on, and what that will mean.

Enters: a unit, a node. Leaves: an order in this node's control stream, or a preview in numbers.
Must hold: an order is refused here whenever the nodes that hear of it would not believe it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schema.spec import Kind
from syncd import log
from syncd.admission import unit_of_code
from syncd.clock import day_of, instant_of
from syncd.envelope import stream_id_of
from syncd.errors import UsageError
from syncd.language import say
from syncd.limits import SHOWN_UNITS_MAX
from syncd.pipeline import Node
from syncd.reassign import packed
from syncd.store.base import Tx
from syncd.store.patience import patiently
from syncd.succession import named_apart
from syncd.tree import Tree, covers, units_above


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an order will do. `held_seq`: how far the old keeper's stream is here; `rows`: of which tables how many;
    `put_aside`: the name of whom an earlier order meant to keep the unit, which will not any more."""

    unit_id: str
    unit_name: str
    from_node: str | None
    from_name: str | None
    from_term: int
    to_node: str
    to_name: str
    held_seq: int
    applied_seq: int
    rows: dict[str, int]
    also_kept: dict[str, str]  # the other units that pass on, as the same machine keeps or was to keep them → name
    going_on: dict[str, Heir]  # those it was to hand to another node already, which keeps them now
    put_aside: str | None = None
    heard_at: str | None = None  # when the old keeper was last heard of, as far as the tables say


@dataclass(frozen=True, slots=True, kw_only=True)
class Heir:
    """Who keeps a unit of a machine that is gone."""

    unit_name: str
    to_node: str
    to_name: str


@patiently
def order(
    node: Node, unit_id: str, to_node: str, *, author: str, reason: str, forced: bool = False, revoke: bool = False
) -> Preview:
    """Order that `to_node` keeps `unit_id`. `forced`: the old keeper's machine is gone, so it is not asked: whatever it
    keeps passes on (rows may have gone from one of its units to another), each stream ends where it is applied here. A
    unit that it was to hand to another node goes there; one that it was to take over goes to `to_node`, from where its
    keeper ends it. `revoke`: nothing of it is believed any more. Both are the custodian's alone.

    Raises UsageError when nobody would believe the order, or one is under way.
    """
    node.reread_tree()  # another process of this node may have ordered something
    with node.store.write("order") as tx:
        planned = _orders(node, tx, unit_id, to_node, forced=forced, revoke=revoke)
        for each in planned:
            forced_at = _end_here(tx, each) if forced else (None, None)
            _insert(tx, node, each, forced_at, revoke, reason, author)
    node.refresh()
    return planned[0]


def _orders(node: Node, tx: Tx, unit_id: str, to_node: str, *, forced: bool, revoke: bool) -> list[Preview]:
    """The order asked for, then those that come with it."""
    planned = _checked(node, tx, unit_id, to_node, forced or revoke)
    return [planned, *(_others(node, tx, planned) if forced else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Households that pass to another unit. `row_ids`: None for every row of the unit."""

    from_unit: str
    to_unit: str
    row_ids: tuple[str, ...] | None


def households_named(tx: Tx, unit_id: str, named: Sequence[str]) -> tuple[str, ...]:
    """The ids of a unit's households by number or id. Raises UsageError with those that are not there."""
    known: dict[str, str] = {}
    for row_id, household_number in tx.all("SELECT id, number FROM household WHERE unit_id = ?", (unit_id,)):
        known[row_id] = known[str(household_number)] = row_id
    missing = [each for each in named if each not in known]
    if missing or not named:
        raise UsageError(
            say("không có hộ: {missing}", "no such household: {missing}",
                missing=", ".join(missing[:SHOWN_UNITS_MAX]) or "-"),
            say("mỗi dòng một số hộ hoặc id của hộ trong đơn vị", "one household number or id of the unit per line"),
        )  # fmt: skip
    return tuple(sorted({known[each] for each in named}))


def size_of(tx: Tx, move: Move) -> dict[str, int]:
    """How many households and persons a move concerns."""
    households = {row[0] for row in tx.all("SELECT id FROM household WHERE unit_id = ?", (move.from_unit,))}
    chosen = households if move.row_ids is None else households & set(move.row_ids)
    persons = tx.all(
        "SELECT household_id, count(*) FROM person WHERE unit_id = ? GROUP BY household_id", (move.from_unit,)
    )
    counted = sum(count for household, count in persons if move.row_ids is None or household in chosen)
    return {"households": len(chosen), "persons": int(counted)}


@patiently
def reassign(node: Node, move: Move, *, author: str, reason: str) -> None:
    """Order the keeper of `from_unit` to put rows under `to_unit`; it keeps that one too, from now on if nobody did.

    Raises UsageError as `plan_move` does.
    """
    node.reread_tree()  # another process of this node may have ordered something
    with node.store.write("order-move") as tx:
        first = plan_move(node, tx, move)
        if first is not None:
            _insert(tx, node, first, (None, None), False, reason, author)
        tx.run(
            "INSERT INTO reassignment (from_unit_id, to_unit_id, row_ids, reason, author, ordered_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (move.from_unit, move.to_unit, None if move.row_ids is None else packed(move.row_ids), reason, author,
             instant_of(node.clock())),
        )  # fmt: skip
    node.refresh()


def plan_move(node: Node, tx: Tx, move: Move) -> Preview | None:
    """Whether rows may pass so; returns the order that has to come first, where nobody keeps `to_unit` yet. Raises
    UsageError when the units are one, or one lies in the other, have different keepers, or this node does not stand
    above them."""
    _require_apart(tx, move)
    keeper = node.tree().keepers.get(move.from_unit, (node.node_id, 0))[0]
    target = node.tree().keepers.get(move.to_unit)
    _checked(node, tx, move.from_unit, node.node_id, False, may_keep=True)
    if target is None:
        return _checked(node, tx, move.to_unit, keeper, False)
    if target[0] != keeper:
        raise UsageError(
            say("hai đơn vị do hai nơi giữ", "the two units have different keepers"),
            say(
                "bàn giao một đơn vị trước: `[[syncd handover MÃ --to MÁY]]`",
                "hand one of them over first: `[[syncd handover CODE --to NODE]]`",
            ),
        )
    return None


def _require_apart(tx: Tx, move: Move) -> None:
    """Rows pass from a unit to another beside it, never to the unit they are in, nor to one above or below it."""
    if move.from_unit == move.to_unit:
        raise UsageError(
            say("đơn vị nhận chính là đơn vị đang có các hộ này", "the unit that takes the households is their own"),
            say("không có gì để chuyển; xem lại mã đơn vị sau --into",
                "nothing would pass; check the unit's code after --into"),
        )  # fmt: skip
    lines = {unit: {row[0] for row in tx.all(_ABOVE_UNIT, (unit,))} for unit in (move.from_unit, move.to_unit)}
    if move.to_unit in lines[move.from_unit] or move.from_unit in lines[move.to_unit]:
        raise UsageError(
            say("một đơn vị nằm trong đơn vị kia", "one of the units lies in the other"),
            say("hộ chỉ chuyển giữa hai đơn vị ngang hàng; xem lại mã hai đơn vị",
                "households pass between units side by side; check the codes of both"),
        )  # fmt: skip


def plan(node: Node, unit_id: str, to_node: str, *, forced: bool = False, revoke: bool = False) -> Preview:
    """What `order` would do, with the same refusals; nothing is written."""
    node.reread_tree()
    with node.store.read() as tx:
        return _orders(node, tx, unit_id, to_node, forced=forced, revoke=revoke)[0]


def node_named(node: Node, named: str) -> str:
    """The id of a node by its name, id, unit's code, or `self`. Raises UsageError unless it is just one."""
    if named == "self":
        return node.node_id
    with node.store.read() as tx:
        units = {row[0] for row in tx.all("SELECT id FROM unit WHERE code = ? AND unit_id IS NULL", (named,))}
    enrolled = [record for record in node.tree().nodes.values() if record.status == "enrolled"]
    found = [each for each in enrolled if named in (each.name, each.node_id) or each.unit_id in units] or [
        each for each in enrolled if named and (each.node_id.startswith(named) or each.node_id.endswith(named))
    ]
    if len(found) == 1:
        return found[0].node_id
    several = "; ".join(f"{record.tag} {record.name}" for record in found[:SHOWN_UNITS_MAX])
    raise UsageError(
        say("{named} không chỉ đúng một máy: {several}", "{named} does not name one node: {several}", named=named,
            several=several or say("không có máy nào", "there is none")),
        say("nêu id ngắn của máy (8 chữ số); `[[syncd status]]` liệt kê các máy",
            "give the node's short id (8 digits); `[[syncd status]]` lists the nodes"),
    )  # fmt: skip


def unit_named(node: Node, tx: Tx, named: str) -> str:
    """The id of a unit by its code or id. Raises UsageError."""
    return unit_of_code(tx, named, day_of(node.clock())).id


def _checked(
    node: Node, tx: Tx, unit_id: str, to_node: str, by_force: bool, *, may_keep: bool = False,
    ends: tuple[str, int] | None = None,
) -> Preview:  # fmt: skip
    planned = _preview(node, tx, unit_id, to_node, by_force, ends)
    _require_mine_to_order(node, tx, planned, by_force)
    if planned.from_node == planned.to_node and not may_keep:
        raise UsageError(
            say("{name} đang giữ {unit} rồi", "{name} keeps {unit} already", name=planned.to_name,
                unit=planned.unit_name),
            say("không cần làm gì", "nothing to do"),
        )  # fmt: skip
    return planned


def _preview(node: Node, tx: Tx, unit_id: str, to_node: str, by_force: bool, ends: tuple[str, int] | None) -> Preview:
    """What such an order would do, as things stand. `ends`: the term that a forced one ends; None for the one in which
    the unit is kept. Raises UsageError for a unit or a node unknown here."""
    tree = node.tree()
    unit_name = tx.value("SELECT name FROM unit WHERE id = ?", (unit_id,))
    target = tree.nodes.get(to_node)
    if unit_name is None or target is None or target.status != "enrolled":
        raise UsageError(
            say("không có đơn vị hoặc máy này trong phạm vi của máy, hoặc máy đã bị thu hồi",
                "no such unit or node at or below this one, or the node is revoked"),
            say("xem `[[syncd status]]`", "see `[[syncd status]]`"),
        )  # fmt: skip
    kept = tree.keepers.get(unit_id, (None, 0))
    from_node, from_term = ends or (_kept_last(tree, unit_id) if by_force else kept)
    also_kept, going_on = _left_by(tx, tree, from_node, unit_id) if by_force and not ends else ({}, {})
    stream = log.stream(tx, stream_id_of(Kind.REGISTER, unit_id, from_node, from_term)) if from_node else None
    return Preview(
        unit_id=unit_id, unit_name=unit_name, from_node=from_node,
        from_name=_apart(_name_of(tree, from_node), from_node, target.name),
        from_term=from_term,
        to_node=to_node, to_name=named_apart(target.name, to_node, _name_of(tree, from_node)),
        held_seq=stream.held_seq if stream else 0,
        applied_seq=stream.applied_seq if stream else 0,
        also_kept=also_kept, going_on=going_on,
        heard_at=_heard_at(tx, from_node),
        put_aside=_name_of(tree, kept[0]) if by_force and kept[0] not in (from_node, to_node) else None,
        rows={
            table.name: int(tx.value(f"SELECT count(*) FROM {table.sql} WHERE unit_id = ?", (unit_id,)))
            for table in node.store.registry.of_kind(Kind.REGISTER)
        },
    )  # fmt: skip


def _others(node: Node, tx: Tx, planned: Preview) -> list[Preview]:
    """The other orders that end what a machine keeps or was to keep."""
    tree, to_nodes = node.tree(), dict.fromkeys(planned.also_kept, planned.to_node)
    to_nodes |= {unit: heir.to_node for unit, heir in planned.going_on.items()}
    return [
        _checked(node, tx, unit, to_node, True, ends=ends)
        for unit, to_node in sorted(to_nodes.items())
        if (ends := _open_term(tree, unit, planned.from_node)) is not None
    ]


def _left_by(tx: Tx, tree: Tree, node_id: str | None, unit_id: str) -> tuple[dict[str, str], dict[str, Heir]]:
    """The other units that a machine leaves when it is gone: those without an heir, and those with one."""
    also_kept: dict[str, str] = {}
    going_on: dict[str, Heir] = {}
    for unit in sorted(tree.keepers):
        if unit == unit_id or _open_term(tree, unit, node_id) is None:
            continue
        name = tx.value("SELECT name FROM unit WHERE id = ?", (unit,)) or unit
        heir = tree.nodes.get(tree.keepers[unit][0])
        if heir is None or heir.node_id == node_id or heir.status != "enrolled":
            also_kept[unit] = name
        else:
            going_on[unit] = Heir(unit_name=name, to_node=heir.node_id, to_name=heir.name)
    return also_kept, going_on


def _open_term(tree: Tree, unit_id: str, node_id: str | None) -> tuple[str, int] | None:
    """The term in which a node keeps a unit, or was to keep it, as long as nothing has ended it."""
    chain = tree.terms.get(unit_id, ())
    kept = [(term.node_id, term.term) for term in chain if term.ended_seq is None] or [tree.keepers[unit_id]]
    return next((place for place in kept if place[0] == node_id), None)


def _apart(name: str | None, node_id: str | None, other: str) -> str | None:
    return None if name is None or node_id is None else named_apart(name, node_id, other)


def _heard_at(tx: Tx, node_id: str | None) -> str | None:
    """Of a neighbour its last exchange; of anybody the newest envelope that came."""
    found = tx.value(
        "SELECT max(at) FROM (SELECT last_success_at AS at FROM syncd_peer WHERE node_id = ?"
        " UNION ALL SELECT changed_at FROM syncd_stream WHERE keeper = ?) AS heard",
        (node_id, node_id),
    )
    return None if found is None else str(found)


def _name_of(tree: Tree, node_id: str | None) -> str | None:
    record = None if node_id is None else tree.nodes.get(node_id)
    return node_id if record is None else record.name


def _kept_last(tree: Tree, unit_id: str) -> tuple[str | None, int]:
    """Whose term a forced order ends: where an earlier hand-over never came to its end, the old keeper's."""
    under_way = next((term for term in tree.terms.get(unit_id, ()) if term.ended_seq is None), None)
    return (under_way.node_id, under_way.term) if under_way else tree.keepers.get(unit_id, (None, 0))


def _require_mine_to_order(node: Node, tx: Tx, planned: Preview, by_force: bool) -> None:
    tree = node.tree()
    if by_force and not node.is_root:
        raise UsageError(
            say("chỉ máy gốc mới được chuyển giao bắt buộc", "only the root may end a term by force"),
            say("chạy lệnh này tại máy gốc", "run this at the root"),
        )
    if by_force and planned.from_node == tree.me:
        raise UsageError(
            say("chính máy này giữ {unit}", "this node keeps {unit} itself", unit=planned.unit_name),
            say("dùng `[[syncd handover MÃ --to MÁY]]`", "use `[[syncd handover CODE --to NODE]]`"),
        )
    above = units_above(tx) | dict(tx.all(_ABOVE_UNIT, (planned.unit_id,)))
    if not covers(above, tree.nodes[tree.me].unit_id, planned.unit_id) or not _stands_above(tree, planned):
        raise UsageError(
            say(
                "máy này không đứng trên cả hai nơi giữ dữ liệu của {unit}",
                "this node does not stand above both keepers of {unit}",
                unit=planned.unit_name,
            ),
            say("chạy lệnh tại tuyến trên chung của hai máy", "run this at the tier above both"),
        )
    chain = tree.terms.get(planned.unit_id, ())
    if not by_force and len(chain) > 1 and chain[-2].ended_seq is None:
        raise UsageError(
            say("việc bàn giao {unit} trước đó chưa xong", "an earlier hand-over of {unit} is still under way",
                unit=planned.unit_name),
            say("chờ nơi giữ cũ kết nối, hoặc chuyển giao bắt buộc tại máy gốc: `syncd replace`",
                "wait until the old keeper connects, or end its term at the root: `syncd replace`"),
        )  # fmt: skip


def _stands_above(tree: Tree, planned: Preview) -> bool:
    return all(tree.is_within(node_id, tree.me) for node_id in (planned.from_node, planned.to_node) if node_id)


_ABOVE_UNIT = """
    WITH RECURSIVE above (id, parent_id) AS (
        SELECT u.id, u.parent_id FROM unit AS u WHERE u.id = ? AND u.unit_id IS NULL
        UNION
        SELECT u.id, u.parent_id FROM unit AS u JOIN above AS a ON u.id = a.parent_id WHERE u.unit_id IS NULL
    )
    SELECT id, parent_id FROM above
"""


def _insert(
    tx: Tx, node: Node, planned: Preview, forced_at: tuple[int | None, bytes | None], revoke: bool, reason: str,
    author: str,
) -> None:  # fmt: skip
    tx.run(
        "INSERT INTO handover (kept_unit_id, from_node_id, from_term, to_node_id, forced_seq, forced_hash,"
        " is_revoked, reason, author, ordered_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (planned.unit_id, planned.from_node or planned.to_node, planned.from_term, planned.to_node, *forced_at,
         int(revoke), reason, author, instant_of(node.clock())),
    )  # fmt: skip


def _end_here(tx: Tx, planned: Preview) -> tuple[int | None, bytes | None]:
    """Where the old keeper's stream ends by force: at what the custodian shows. Nowhere, where nobody kept it."""
    if planned.from_node is None:
        return None, None
    stream = log.stream(tx, stream_id_of(Kind.REGISTER, planned.unit_id, planned.from_node, planned.from_term))
    return (stream.applied_seq, stream.applied_hash) if stream else (0, log.NO_HASH)
