"""Orders about keeping: who shall keep a unit's register from now on, and what that will mean.

Enters: a unit, a node. Leaves: an order in this node's control stream, or a preview in numbers.
Must hold: an order is refused here whenever the nodes that hear of it would not believe it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schema.spec import Kind
from syncd import log
from syncd.admission import unit_of_code
from syncd.clock import instant_of
from syncd.envelope import stream_id_of
from syncd.errors import UsageError
from syncd.language import say
from syncd.limits import SHOWN_UNITS_MAX
from syncd.pipeline import Node
from syncd.store.base import Tx
from syncd.tree import Tree, covers, units_above


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an order will do. `held_seq`: how far the old keeper's stream is here; `rows`: of which tables how many."""

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


def order(
    node: Node, unit_id: str, to_node: str, *, author: str, reason: str, forced: bool = False, revoke: bool = False
) -> Preview:
    """Order that `to_node` keeps `unit_id`. `forced`: the old keeper is not asked, its stream ends where it is applied
    here; `revoke`: its machine is lost, nothing of it is believed any more. Both are the custodian's alone.

    Raises UsageError when nobody would believe the order, or one is under way.
    """
    with node.store.write("order") as tx:
        planned = _checked(node, tx, unit_id, to_node, forced or revoke)
        forced_at = _end_here(tx, planned) if forced else (None, None)
        tx.run(
            "INSERT INTO handover (kept_unit_id, from_node_id, from_term, to_node_id, forced_seq, forced_hash,"
            " is_revoked, reason, author, ordered_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (unit_id, planned.from_node or to_node, planned.from_term, to_node, *forced_at, int(revoke), reason,
             author, instant_of(node.clock())),
        )  # fmt: skip
    node.refresh()
    return planned


def plan(node: Node, unit_id: str, to_node: str, *, forced: bool = False, revoke: bool = False) -> Preview:
    """What `order` would do, with the same refusals; nothing is written."""
    with node.store.read() as tx:
        return _checked(node, tx, unit_id, to_node, forced or revoke)


def node_named(node: Node, named: str) -> str:
    """The id of a node by its name, id, unit's code, or `self`. Raises UsageError unless it is just one."""
    if named == "self":
        return node.node_id
    with node.store.read() as tx:
        units = {row[0] for row in tx.all("SELECT id FROM unit WHERE code = ? AND unit_id IS NULL", (named,))}
    found = [
        record
        for record in node.tree().nodes.values()
        if record.status == "enrolled"
        and (named in (record.name, record.node_id) or record.node_id.startswith(named) or record.unit_id in units)
    ]
    if len(found) == 1:
        return found[0].node_id
    several = "; ".join(f"{record.node_id} {record.name}" for record in found[:SHOWN_UNITS_MAX])
    raise UsageError(
        say("{named} không chỉ đúng một nút: {several}", "{named} does not name one node: {several}", named=named,
            several=several or say("không có nút nào", "there is none")),
        say("nêu id của nút; `syncd status` liệt kê các nút", "give the node's id; `syncd status` lists the nodes"),
    )  # fmt: skip


def unit_named(node: Node, tx: Tx, named: str) -> str:
    """The id of a unit by its code or id. Raises UsageError."""
    return unit_of_code(tx, named, instant_of(node.clock())[:10]).id


def _checked(node: Node, tx: Tx, unit_id: str, to_node: str, by_force: bool) -> Preview:
    planned = _preview(node, tx, unit_id, to_node)
    _require_mine_to_order(node, tx, planned, by_force)
    return planned


def _preview(node: Node, tx: Tx, unit_id: str, to_node: str) -> Preview:
    """What such an order would do, as things stand. Raises UsageError for a unit or a node unknown here."""
    tree = node.tree()
    unit_name = tx.value("SELECT name FROM unit WHERE id = ?", (unit_id,))
    target = tree.nodes.get(to_node)
    if unit_name is None or target is None:
        raise UsageError(
            say("không có đơn vị hoặc nút này trong phạm vi của nút", "no such unit or node at or below this one"),
            say("xem `syncd status`", "see `syncd status`"),
        )
    from_node, from_term = tree.keepers.get(unit_id, (None, 0))
    stream = log.stream(tx, stream_id_of(Kind.REGISTER, unit_id, from_node, from_term)) if from_node else None
    return Preview(
        unit_id=unit_id, unit_name=unit_name, from_node=from_node,
        from_name=tree.nodes[from_node].name if from_node and from_node in tree.nodes else from_node,
        from_term=from_term,
        to_node=to_node, to_name=target.name, held_seq=stream.held_seq if stream else 0,
        applied_seq=stream.applied_seq if stream else 0,
        rows={
            table.name: int(tx.value(f"SELECT count(*) FROM {table.name} WHERE unit_id = ?", (unit_id,)))
            for table in node.store.registry.of_kind(Kind.REGISTER)
        },
    )  # fmt: skip


def _require_mine_to_order(node: Node, tx: Tx, planned: Preview, by_force: bool) -> None:
    tree = node.tree()
    if by_force and not node.is_root:
        raise UsageError(
            say("chỉ nút gốc mới được chuyển giao bắt buộc", "only the root may end a term by force"),
            say("chạy lệnh này tại nút gốc", "run this at the root"),
        )
    above = units_above(tx) | dict(tx.all(_ABOVE_UNIT, (planned.unit_id,)))
    if not covers(above, tree.nodes[tree.me].unit_id, planned.unit_id) or not _stands_above(tree, planned):
        raise UsageError(
            say(
                "nút này không đứng trên cả hai nút giữ dữ liệu của {unit}",
                "this node does not stand above both keepers of {unit}",
                unit=planned.unit_name,
            ),
            say("chạy lệnh tại tuyến trên chung của hai nút", "run this at the tier above both"),
        )
    if planned.from_node == planned.to_node:
        raise UsageError(
            say("{name} đang giữ {unit} rồi", "{name} keeps {unit} already", name=planned.to_name,
                unit=planned.unit_name),
            say("không cần làm gì", "nothing to do"),
        )  # fmt: skip
    chain = tree.terms.get(planned.unit_id, ())
    if not by_force and len(chain) > 1 and chain[-2].ended_seq is None:
        raise UsageError(
            say("việc bàn giao {unit} trước đó chưa xong", "an earlier hand-over of {unit} is still under way",
                unit=planned.unit_name),
            say("chờ nút giữ cũ kết nối, hoặc chuyển giao bắt buộc tại nút gốc: `syncd replace`",
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


def _end_here(tx: Tx, planned: Preview) -> tuple[int, bytes]:
    """Where the old keeper's stream ends by force: at what the custodian shows."""
    stream = log.stream(tx, stream_id_of(Kind.REGISTER, planned.unit_id, planned.from_node or "", planned.from_term))
    return (stream.applied_seq, stream.applied_hash) if stream else (0, log.NO_HASH)
