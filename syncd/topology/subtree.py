"""How many nodes and orders a node may bring: every tier above reads all of them whenever the tree changes (I6, I7).

Enters: a control stream whose records were just written in this transaction. Leaves: nothing, or `TooLarge`, which
stops that stream alone.
Must hold: the deeper a node stands the less it brings, so that no commune uses up what its district may have; what is
refused is said to whoever sent it, and nothing more of that stream is kept.
"""

from __future__ import annotations

from collections import Counter

from schema.spec import Kind
from syncd import limits
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


class NoRoom(TooLarge):
    """More of a stream that has brought too many nodes."""


def require_bounded(tx: Tx, at: Stream, touched: set[str]) -> None:
    """Raise TooLarge where a control stream of another node brings more orders than one node ever gives, or more nodes
    than its keeper, or one above it that is below this node, may have."""
    if at.own or at.kind != Kind.CONTROL:
        return
    for table in touched & MINTED_MAX.keys():
        query = f"SELECT count(*) FROM {table} WHERE substr(CAST(id AS text), 29) = ?"
        minted = int(tx.value(query, (at.keeper[28:],)))
        if minted > MINTED_MAX[table]:
            raise _too_many(at.keeper, minted, MINTED_MAX[table])
    if "node" not in touched:
        return
    tree = load_nodes(tx)
    if not tree.is_within(at.keeper, tree.me):
        return  # who stands above is bounded by what it mints
    bounded = [node_id for node_id in tree.line(at.keeper) if not tree.is_within(tree.me, node_id)]
    below = _below(tree, bounded)
    for node_id in bounded:
        most = most_below(tree.depth(node_id))
        if below[node_id] > most:
            raise _too_many(node_id, below[node_id], most)


def most_below(depth: int) -> int:
    """How many nodes may stand below one that is so many steps below the root."""
    return limits.NODES_BELOW_MAX[min(depth, len(limits.NODES_BELOW_MAX)) - 1]


def is_bound(at: Stream) -> bool:
    """Whether a stream stands still because it brings too many nodes."""
    return at.kind == Kind.CONTROL and at.state == "stopped" and _SAYS in (at.reason or "")


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
    return TooLarge(
        f"node {node_id} records {found} nodes or orders, more than {most}",
        hint="nothing more of this stream is taken; if that machine was seized give its unit another one"
        " (syncd replace), if not tell IT",
    )
