"""Whose pairs are this node's to match: those whose keepers have this node as their lowest common ancestor.

Enters: the tree. Leaves: the branch each unit lies in. Must hold: of all nodes that see both units of a pair exactly
one matches it; a unit whose keeper is not at or below this node belongs to nobody here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncd.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`branches`: unit → the child of this node that its keeper stands at or below, or this node itself."""

    node_id: str
    branches: Mapping[str, str]

    def has(self, one_unit: str, other_unit: str) -> bool:
        """Whether a pair of persons of these units is matched here."""
        one, other = self.branches.get(one_unit), self.branches.get(other_unit)
        if one is None or other is None:
            return False
        return one != other or one == self.node_id


def scope_of(tree: Tree) -> Scope:
    """The scope of the tree's own node."""
    branches = {}
    for unit_id, (keeper, _term) in tree.keepers.items():
        line = list(tree.line(keeper))
        if tree.me in line:
            place = line.index(tree.me)
            branches[unit_id] = line[place - 1] if place else tree.me
    return Scope(node_id=tree.me, branches=branches)
