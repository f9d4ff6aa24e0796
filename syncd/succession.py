"""Two machines of one unit: who waits to take over, who was replaced, and how they are told apart.

Enters: a read transaction. Leaves: the state of this node, of others, names with tags. Must hold: only the custodian's
orders retire a machine; one that keeps a unit again is not retired, unless it was revoked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schema.spec import Kind
from syncd.store.base import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """A machine beside another of the same unit. `state`: `waits` for the order to take over, `replaced` or `revoked`.
    `keeper_…`: who keeps the unit."""

    state: str
    unit_code: str
    unit: str
    keeper_name: str
    keeper_tag: str


def retired_nodes(tx: Tx) -> dict[str, str]:
    """Node → `replaced` or `revoked`, of the machines that another one has taken the place of."""
    return {row[0]: "revoked" if row[1] else "replaced" for row in tx.all(_RETIRED)}


def succession(tx: Tx, facts: Mapping[str, str]) -> Succession | None:
    """What this node is to another of its unit; None where it keeps the unit, or kept it and passed it on by agreement.
    `facts`: of `syncd_meta`."""
    me, home = facts["node_id"], facts.get("unit_id")
    keeper = tx.one(_KEEPER, (home,))
    if keeper is None or keeper[0] == me:
        return None
    state = retired_nodes(tx).get(me)
    if state is None:
        kept = "SELECT 1 FROM syncd_stream WHERE own = 1 AND kind = ? AND unit_id = ?"
        if tx.one(kept, (int(Kind.REGISTER), home)) is not None:
            return None
        state = "waits"
    code, name = facts.get("unit_code", ""), facts.get("unit_name", "")
    return Succession(
        state=state, unit_code=code, unit=f"{code} {name}", keeper_name=keeper[1] or "", keeper_tag=keeper[0][28:]
    )


def named_apart(name: str | None, node_id: str, other: str | None) -> str:
    """A node's name; with its tag, where another that stands beside it bears the same."""
    return f"{name} · {node_id[28:]}" if name and name == other else name or ""


# Machines whose units the custodian passed to another by force, and that keep none now; whoever was revoked.
_RETIRED = """
    SELECT CAST(h.from_node_id AS text), max(h.is_revoked) FROM handover AS h
    WHERE (h.is_revoked = 1 OR h.forced_seq IS NOT NULL)
        AND substr(CAST(h.id AS text), 29) = (SELECT substr(value, 29) FROM syncd_meta WHERE key = 'root_id')
        AND (h.is_revoked = 1 OR NOT EXISTS (SELECT 1 FROM syncd_keeper AS k WHERE k.node_id = h.from_node_id))
    GROUP BY CAST(h.from_node_id AS text)
"""
_KEEPER = """
    SELECT CAST(k.node_id AS text), max(n.name) FROM syncd_keeper AS k LEFT JOIN node AS n ON n.node_id = k.node_id
    WHERE k.unit_id = ? GROUP BY CAST(k.node_id AS text)
"""
