"""Following: a proposal of this node goes after its row, which passed to a unit that another node keeps (design §5).

Enters: own undecided proposals, where their rows are now. Leaves: the old one withdrawn, the same wish about the new
unit; both in one transaction.
Must hold: only who made a proposal moves it; moved twice from one unit, it is wished once. A row that went to another
unit of the same keeper needs nothing: that keeper finds it (`syncd/undecided.py`). What a keeper referred to another
unit, and may have decided there, is not moved before all that it said there has come.
"""

from __future__ import annotations

from schema.names import quoted
from schema.spec import Registry
from syncd.clock import instant_of
from syncd.derived import derived_id
from syncd.moved_rows import may_come
from syncd.store.base import Row, Store, Tx
from syncd.tree import load_tree
from syncd.undecided import rows_of, takes_proposals

_OWN = """
    SELECT p.id, p.unit_id, p.table_name, p.row_id FROM proposal AS p
    WHERE p.row_id IS NOT NULL AND p.withdrawn_at IS NULL AND p.unit_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND v.outcome <> 'referred')
        AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.proposal_id = p.id)
"""
_REFERRED = (
    "SELECT v.proposal_id, v.id FROM verdict AS v JOIN proposal AS p ON p.id = v.proposal_id AND p.unit_id = v.unit_id"
    " WHERE v.outcome = 'referred' AND v.proposal_id {chosen}"
)
_COPY = """
    INSERT INTO proposal (id, unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,
        clock_offset_ms, author_depth, expires_at)
    SELECT ?, ?, table_name, row_id, operation, seen, wished, author, reason, made_at, clock_offset_ms, author_depth,
        expires_at
    FROM proposal WHERE id = ?
"""


def follow_rows(store: Store, me: str, now_ms: int) -> int:
    """Wish anew where the rows are now; returns how many proposals were moved."""
    with store.read() as tx:
        if not _strayed(tx, store.registry, me):
            return 0
    with store.write("follow") as tx:
        strayed = _strayed(tx, store.registry, me)
        now = instant_of(now_ms)
        tx.many("UPDATE proposal SET withdrawn_at = ? WHERE id = ?", [(now, row[0]) for row in strayed])
        tx.many(_COPY, [(derived_id(f"follows {unit}", old, me[28:]), unit, old) for old, unit in strayed])
    return len(strayed)


def _strayed(tx: Tx, registry: Registry, me: str) -> list[tuple[str, str]]:
    """Own proposals with the unit their row is in now, where another node keeps that."""
    own = [row for row in tx.all(_OWN) if row[0][28:] == me[28:] and takes_proposals(registry.by_name.get(row[2]))]
    if not own:
        return []
    keepers: dict[str, str] = dict(tx.all("SELECT unit_id, node_id FROM syncd_keeper"))
    found: list[tuple[str, str]] = []
    for table in sorted({row[2] for row in own}):
        rows: list[Row] = [row for row in own if row[2] == table]
        query = f"SELECT id, unit_id FROM {quoted(table)} WHERE id {{chosen}}"
        units: dict[str, str] = dict(rows_of(tx, query, sorted({row[3] for row in rows})))
        found += [
            (row[0], units[row[3]])
            for row in rows
            if row[3] in units and units[row[3]] != row[1] and keepers.get(units[row[3]]) != keepers.get(row[1])
        ]
    return _not_on_its_way(tx, found)


def _not_on_its_way(tx: Tx, strayed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without those whose verdict may still come: who referred them to the unit has said more about it."""
    by: dict[str, str] = dict(rows_of(tx, _REFERRED, sorted({proposal_id for proposal_id, _unit in strayed})))
    tree = load_tree(tx) if by else None
    return [
        (proposal_id, unit_id) for proposal_id, unit_id in strayed
        if tree is None or proposal_id not in by or not may_come(tx, tree, unit_id, by[proposal_id][28:])
    ]  # fmt: skip
