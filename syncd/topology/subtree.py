"""How many nodes, orders and grants a node may bring: every tier above reads them whenever the tree changes (I6, I7).

Enters: a control stream whose records were just written in this transaction. Leaves: nothing, or `TooLarge`, which
stops that stream alone, with a case until it goes on.
Must hold: the deeper a node stands the less it brings, so that no commune uses up what its district may have; what is
refused is said to whoever sent it, and nothing more of that stream is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from conflict.case import CaseKind, case_id
from schema.spec import Kind
from syncd import limits
from syncd.cases import close_case, open_case
from syncd.errors import TooLarge
from syncd.log import Stream
from syncd.store.base import Tx
from syncd.tree import Tree, load_nodes

MINTED_MAX = {
    "node": limits.NODES_MINTED_MAX,
    "handover": limits.ORDERS_MINTED_MAX,
    "reassignment": limits.ORDERS_MINTED_MAX,
}
BOUND = "bound"  # the code of a refusal
_SAYS = " nodes or orders, more than "
_SAYS_GRANTS = " key grants or other rows, more than "
_HINT = (
    "nothing more of this stream is taken; if that machine was seized give its unit another one (syncd replace),"
    " if not tell IT"
)
DUTY = "take what a node brings"  # what a case about such a stream names
Room = dict[tuple[str, str], int]  # stream and table → rows that may come before they are counted again
Counts = dict[str, tuple[int, int]]  # stream → position up to which its rows were counted, and how many there are


class NoRoom(TooLarge):
    """More of a stream that has brought too many nodes."""


def require_bounded(tx: Tx, at: Stream, brings: Mapping[str, int], room: Room) -> None:
    """Raise TooLarge where a control stream of another node brings more orders than one node ever gives, or more nodes
    than its keeper, or one above it that is below this node, may have. `brings`: rows per table that were just written.
    They are counted again only once as many have come as there was room for, not with each of thousands of records."""
    for table in brings.keys() & MINTED_MAX.keys():
        place = (at.stream_id, table)
        room[place] = room.get(place, 0) - brings[table]
        if room[place] < 0:
            left = _room_of_its_own(tx, at, table)
            room[place] = min(left, _room_below(tx, at)) if table == "node" else left


def _room_of_its_own(tx: Tx, at: Stream, table: str) -> int:
    """How many more rows of a table a node may mint."""
    query = f"SELECT count(*) FROM {table} WHERE substr(CAST(id AS text), 29) = ?"
    minted = int(tx.value(query, (at.keeper[28:],)))
    if minted > MINTED_MAX[table]:
        raise _too_many(at.keeper, minted, MINTED_MAX[table])
    return MINTED_MAX[table] - minted


def _room_below(tx: Tx, at: Stream) -> int:
    """How many more nodes may stand below a node."""
    tree = load_nodes(tx)
    if not tree.is_within(at.keeper, tree.me):
        return limits.NODES_MINTED_MAX  # who stands above is bounded by what it mints
    bounded = [node_id for node_id in tree.line(at.keeper) if not tree.is_within(tree.me, node_id)]
    below = _below(tree, bounded)
    most = {node_id: most_below(tree.depth(node_id)) for node_id in bounded}
    for node_id in bounded:
        if below[node_id] > most[node_id]:
            raise _too_many(node_id, below[node_id], most[node_id])
    return min((most[node_id] - below[node_id] for node_id in bounded), default=0)


def require_few_rows(tx: Tx, at: Stream, seq: int, counted: Counts) -> None:
    """Raise TooLarge where a control stream of a node below this one brings more rows up to `seq` than the grants,
    nodes and orders of one node can be. `counted` spares reading its log from the first envelope with every one."""
    if at.own or at.kind != Kind.CONTROL:
        return
    from_seq, rows = counted.get(at.stream_id, (0, 0))
    if from_seq > seq:
        from_seq, rows = 0, 0  # another branch of it has come
    query = "SELECT coalesce(sum(rows), 0) FROM syncd_log WHERE stream_id = ? AND seq > ? AND seq <= ?"
    rows += int(tx.value(query, (at.stream_id, from_seq, seq)))
    counted[at.stream_id] = (seq, rows)
    if rows > limits.CONTROL_ROWS_MAX:
        tree = load_nodes(tx)
        if tree.is_within(at.keeper, tree.me):
            raise TooLarge(
                f"node {at.keeper} records {rows} key grants or other rows, more than {limits.CONTROL_ROWS_MAX}",
                hint=_HINT,
            )


def note(tx: Tx, at: Stream, reason: str, now: str) -> None:
    """A bound has stopped a stream: a case until it goes on."""
    open_case(
        tx, CaseKind.DUTY_STOPPED, (DUTY, at.stream_id), opened_at=now, stream_id=at.stream_id, unit_id=at.unit_id,
        detail={"duty": DUTY, "about": at.keeper, "error": reason},
    )  # fmt: skip


def goes_on(tx: Tx, stream_id: str, now: str) -> None:
    """A stream that stood still has moved."""
    close_case(tx, case_id(CaseKind.DUTY_STOPPED, DUTY, stream_id), now)


def most_below(depth: int) -> int:
    """How many nodes may stand below one that is so many steps below the root."""
    return limits.NODES_BELOW_MAX[min(depth, len(limits.NODES_BELOW_MAX)) - 1]


def is_bound(at: Stream) -> bool:
    """Whether a stream stands still because it brings too many nodes."""
    return (
        at.kind == Kind.CONTROL
        and at.state == "stopped"
        and any(words in (at.reason or "") for words in (_SAYS, _SAYS_GRANTS))
    )


def require_room(at: Stream) -> None:
    """Nothing more is kept of a stream that has brought too many nodes. Raises NoRoom."""
    if not at.own and is_bound(at):
        message, _dash, hint = (at.reason or "").partition(" — ")
        raise NoRoom(message, hint=hint)


def _below(tree: Tree, tops: list[str]) -> Counter[str]:
    """Nodes below each of some nodes."""
    chosen = set(tops)
    return Counter(above for node_id in tree.nodes for above in tree.ancestors(node_id) if above in chosen)


def _too_many(node_id: str, found: int, most: int) -> TooLarge:
    return TooLarge(f"node {node_id} records {found} nodes or orders, more than {most}", hint=_HINT)
