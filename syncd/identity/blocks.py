"""Pairs worth a look, of everybody: persons who share a blocking key and whose units are this node's to match.

Enters: keys of everybody, what a pair must pass. Leaves: pairs of places, each once, the smaller first.
Must hold: never all pairs: a block above `IDENTITY_BLOCK_PERSONS_MAX` is passed over and counted; a pair that shares
several keys is met at the first of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, groupby

from syncd.identity.keys import EXACT_KINDS
from syncd.limits import IDENTITY_BLOCK_PERSONS_MAX

Pair = tuple[int, int]
Passes = Callable[[int, int], bool]


class Blocks:
    """`too_large`: blocks passed over so far; `compared`: pairs that shared a key and passed the scope."""

    def __init__(self, columns: Sequence[array[int]], branches: Sequence[int], mine: int) -> None:
        """`branches`: per person the branch its unit lies in, negative for none; `mine`: this node's own."""
        self.too_large = 0
        self.compared = 0
        self._columns = columns
        self._branches = branches
        self._mine = mine
        self._passed_over: set[int] = set()  # keys

    def pairs(self, passes: Passes) -> Iterator[Pair]:
        """Every pair with a number in common, and every other that passes."""
        for kind, column in enumerate(self._columns):
            order = sorted((place for place, key in enumerate(column) if key), key=column.__getitem__)
            for key, group in groupby(order, key=column.__getitem__):
                block = list(group)
                if len(block) > IDENTITY_BLOCK_PERSONS_MAX:
                    self._passed_over.add(key)
                    self.too_large += 1
                elif len(block) > 1:
                    yield from self._of_block(kind, block, passes)

    def _of_block(self, kind: int, block: list[int], passes: Passes) -> Iterator[Pair]:
        block.sort()
        branches, mine, earlier = self._branches, self._mine, self._columns[:kind]
        for one, other in combinations(block, 2):
            branch = branches[one]
            if branch < 0 or branches[other] < 0 or (branch == branches[other] and branch != mine):
                continue
            self.compared += 1
            if kind >= EXACT_KINDS and not passes(one, other):
                continue
            if not any(self._met(column[one], column[other]) for column in earlier):
                yield one, other

    def _met(self, one_key: int, other_key: int) -> bool:
        return one_key == other_key and one_key != 0 and one_key not in self._passed_over
