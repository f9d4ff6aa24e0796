"""Whose disagreement it is: of all nodes that see every side exactly one says so (design §5).

Enters: the tree. Leaves: yes or no. Must hold: the lowest common ancestor of the keepers alone; inside one unit its
keeper itself; a unit whose keeper is not known at or below this node is nobody's business here.
"""

from __future__ import annotations

from collections.abc import Iterable

from syncd.tree import Tree


class Places:
    """Answers for one state of the tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._by_tag = {node_id[28:]: node_id for node_id in tree.nodes}
        self._branches: dict[str, str | None] = {}

    def meet_here(self, units: Iterable[str | None], nodes: Iterable[str] = ()) -> bool:
        """Whether this node is the lowest at or above the keepers of all these units and all these nodes."""
        keepers = [self.tree.keepers.get(unit or "", (None, 0))[0] for unit in units]
        branches = {self._branch(node) for node in (*keepers, *nodes)}
        if None in branches:
            return False
        return len(branches) > 1 or branches == {self.tree.me}

    def minter(self, row_id: str) -> str | None:
        """The node that minted a row's id; None for one that is not known here."""
        return self._by_tag.get(row_id[28:])

    @property
    def is_root(self) -> bool:
        """Whether this node sees everything there is."""
        return self.tree.root_id == self.tree.me

    def line_of(self, node: str) -> str:
        """Whom a node stands below, as a text to compare."""
        return " ".join(each[28:] for each in self.tree.line(node))

    def _branch(self, node: str | None) -> str | None:
        """The child of this node that a node stands at or below; this node itself for itself; None for any other."""
        if node is None:
            return None
        if node not in self._branches:
            line = list(self.tree.line(node))
            place = line.index(self.tree.me) if self.tree.me in line else -1
            self._branches[node] = None if place < 0 else line[place - 1] if place else self.tree.me
        return self._branches[node]
