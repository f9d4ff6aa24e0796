"""Notices: what became of a proposal, told to an author to whom the verdict does not come (design §5, I11).

Enters: proposals of earlier keepers, or of tiers above these, and the verdicts about them, as committed. Leaves: rows
of `notice`, local writes of the lowest node above both author and decider. Must hold: a node tells each verdict once;
a notice tells the outcome and no value: everybody below reads it, its author may read nothing of the unit any more.
"""

from __future__ import annotations

from syncd.store.base import Row, Store, Tx
from syncd.tree import Tree
from syncd.undecided import REFERRED, rows_of

_UNTOLD = f"""
    SELECT v.proposal_id, v.id, v.outcome, v.decided_at FROM proposal AS p JOIN verdict AS v ON v.proposal_id = p.id
    WHERE p.unit_id {{chosen}} AND substr(CAST(p.id AS text), 29) IN ({{tags}}) AND v.outcome <> '{REFERRED}'
        AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.verdict_id = v.id)
    ORDER BY v.id
"""


def tell(store: Store, tree: Tree) -> int:
    """Write the notices that are due; returns how many."""
    authors = _authors(tree)
    if not authors:  # as a rule
        return 0
    with store.read() as tx:
        if not _due(tx, tree, authors):
            return 0
    with store.write("notice") as tx:
        due = _due(tx, tree, authors)
        tx.many("INSERT INTO notice (proposal_id, verdict_id, outcome, decided_at) VALUES (?, ?, ?, ?)", due)
    return len(due)


def _authors(tree: Tree) -> dict[str, set[str]]:
    """Tag of a node below this one → units that were kept at or below it once, and passed on to one beside it or
    above: it had a say about them, and does not hear of them any more."""
    found: dict[str, set[str]] = {}
    for unit_id, chain in tree.terms.items():
        for author in {node_id for term in chain[:-1] for node_id in _towards(tree, term.node_id)}:
            if any(not tree.is_within(term.node_id, author) for term in chain):
                found.setdefault(author[28:], set()).add(unit_id)
    return found


def _towards(tree: Tree, node_id: str) -> list[str]:
    """The nodes strictly below this one on the way to another, which is the first of them; none if it is not below."""
    line = list(tree.line(node_id))
    return line[: line.index(tree.me)] if tree.me in line else []


def _due(tx: Tx, tree: Tree, authors: dict[str, set[str]]) -> list[Row]:
    units = sorted(set().union(*authors.values()))
    query = _UNTOLD.replace("{tags}", ", ".join(f"'{tag}'" for tag in sorted(authors)))
    nodes = {record.tag: record.node_id for record in tree.nodes.values()}
    return [
        row for row in rows_of(tx, query, units)
        if _is_ours(tree, nodes.get(row[0][28:]), nodes.get(row[1][28:]))
    ]  # fmt: skip


def _is_ours(tree: Tree, author: str | None, decider: str | None) -> bool:
    """Whether this node is the lowest above both: a verdict made at or below the author has come to it, and one made
    below the next node on the way to the author is told there."""
    if author is None or decider is None:
        return False
    towards = _towards(tree, author)
    return bool(towards) and not any(tree.is_within(decider, node_id) for node_id in towards)
