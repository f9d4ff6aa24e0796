"""Policies: what happens to a column that changed between the proposer's look and the keeper's decision.

Enters: what `schema/` writes beside its columns. Leaves: `Rules` for one table, as `decide` takes them.
Must hold: a policy speaks only when the kept value changed meanwhile. A wish on an unchanged column is accepted by
itself, also under `review` (design.md §1: "unchanged since → accepted; changed meanwhile → the column's policy").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from conflict.errors import RulesError
from conflict.limits import UNION_CHARS_MAX


class Policy(StrEnum):
    """The seven policies of design.md §5, data beside the column."""

    KEEPER = "keeper"
    """The kept value stands and the proposer is told (design.md §5: "keep ours, tell the proposer")."""

    UPPER = "upper"
    """The wish wins when its author stands nearer the root than the keeper (§5: "the upper tier's wish wins");
    any other author is answered as under `keeper`."""

    LATEST = "latest"
    """The later by corrected time wins; a tie leaves the kept value (§5: "by time corrected with the known clock
    offset; the only place where time matters"). An unknown time or offset, or a clock more than 24 hours off, on
    either side, proves nothing and goes to review (§5 lists "clock far off" as a case)."""

    MAX = "max"
    """The greater value wins, an empty one loses (§5). Numbers by size, text by code point, which orders canonical
    dates; instants with and without a fraction compare by time."""

    MIN = "min"
    """The smaller value wins, an empty one loses (§5): empty means unknown, never smallest."""

    UNION = "union"
    """Texts that list values separated by `;` are joined (§5), sorted by code point. A union only adds: when either
    side removed a value the other had seen, a person decides, or the removal would be undone in silence (I12)."""

    REVIEW = "review"
    """A person decides; the kept value stands meanwhile (§5)."""


# For a delete only these mean something: there is no greater or joined deletion.
DELETE_POLICIES = frozenset({Policy.REVIEW, Policy.KEEPER, Policy.UPPER, Policy.LATEST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one table says about disagreements.

    * `policies`: column → policy; a column not named takes `default`.
    * `groups`: columns that decide as one (design.md §5: "address parts, date with precision"). The proposer sends
      what it saw of the whole group: `seen_columns` says which columns those are.
    * `delete_policy`: for a delete whose row did not change since it was seen and to which nothing refers:
      `review` a person decides; `keeper` refused; `upper` carried out for an author nearer the root; `latest`
      carried out. In all other circumstances a delete is reviewed (I11).
    * `chars_max`: column → longest text, so that a union never outgrows its column.

    Raises RulesError when a column stands in two groups or the delete policy means nothing for a delete.
    """

    policies: Mapping[str, Policy]
    default: Policy = Policy.REVIEW
    groups: tuple[tuple[str, ...], ...] = ()
    delete_policy: Policy = Policy.REVIEW
    chars_max: Mapping[str, int] = field(default_factory=dict)
    _group_of: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        grouped = [column for group in self.groups for column in group]
        twice = sorted({column for column in grouped if grouped.count(column) > 1})
        if twice:
            raise RulesError(f"columns grouped more than once: {', '.join(twice)}", "name each column in one group")
        if self.delete_policy not in DELETE_POLICIES:
            allowed = ", ".join(sorted(DELETE_POLICIES))
            raise RulesError(f"{self.delete_policy} means nothing for a delete", f"use one of {allowed}")
        # Asked several times per column of every proposal.
        object.__setattr__(self, "_group_of", {column: group for group in self.groups for column in group})

    def policy_of(self, column: str) -> Policy:
        return self.policies.get(column, self.default)

    def chars_max_of(self, column: str) -> int:
        return self.chars_max.get(column, UNION_CHARS_MAX)

    def group_of(self, column: str) -> tuple[str, ...]:
        """The columns that decide together with this one, itself included."""
        return self._group_of.get(column) or (column,)

    def seen_columns(self, wished: Iterable[str]) -> tuple[str, ...]:
        """The columns a proposal must state as seen when it wishes these: their whole groups, sorted."""
        return tuple(sorted({member for column in wished for member in self.group_of(column)}))
