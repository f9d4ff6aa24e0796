"""What a decision is made of: the proposal, and what the keeper holds.

Enters: rows that the caller read (the proposal's own and the kept one). Leaves: `Proposal` and `Kept`.
Must hold: values are canonical (schema/spec.py), so equality of values is equality of content; a proposal's author
is one whom the unit tree lets propose here: a node on the way from the root to the keeper, or the keeper itself.
The caller checks that at the door; only then does "smaller depth" mean "upper tier of this keeper".

A clock offset is the node's clock minus the reference clock: positive when the node is ahead, so
corrected time = stated time minus offset. None means it was never measured. The root's offset is 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from conflict.errors import ProposalError
from conflict.limits import PROPOSAL_COLUMNS_MAX, REASON_CHARS_MAX
from conflict.record import record

Value: TypeAlias = str | int | bytes | None
Op: TypeAlias = Literal["insert", "update", "delete"]

OPS: tuple[Op, ...] = ("insert", "update", "delete")


@record
class Proposal:
    """A wish about one row (design.md §1): per column the kept value its author saw, and the value wished.

    * `row_id`: the row meant; may be None for an insert, whose id the keeper's verdict then mints.
    * `seen`: what the author saw kept; holds the whole group of every wished column (`Rules.seen_columns`), and for
      a delete every column that `Kept.values` holds.
    * `wished`: what it wants; empty for a delete.
    * `author_tier_depth`: edges from the root, 0 is the root; smaller is upper.
    * `made_at_ms`: milliseconds since 1970 UTC by the author's own clock.
    * `expires_at_ms`: from then on it has no effect any more; by the reference clock, as a date in a letter is.
    * `is_withdrawn`: its author took it back before it was decided.
    * `is_from_line`: the author stands on the way from the root to the keeper, or is the keeper (see above).

    Raises ProposalError when malformed: every other proposal gets a verdict.
    """

    id: str
    op: Op
    table: str
    row_id: str | None
    seen: Mapping[str, Value]
    wished: Mapping[str, Value]
    author_node: str
    author_tier_depth: int
    made_at_ms: int
    clock_offset_ms: int | None
    reason: str
    expires_at_ms: int | None = None
    is_withdrawn: bool = False
    is_from_line: bool = True

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise ProposalError(f"proposal {self.id}: unknown operation", f"use one of {', '.join(OPS)}")
        if self.row_id is None and self.op != "insert":
            raise ProposalError(f"proposal {self.id}: {self.op} names no row", "state the row's id")
        if self.op == "delete" and self.wished:
            raise ProposalError(f"proposal {self.id}: a delete wishes values", "send a delete without wished values")
        if max(len(self.seen), len(self.wished)) > PROPOSAL_COLUMNS_MAX:
            raise ProposalError(f"proposal {self.id}: too many columns", f"send at most {PROPOSAL_COLUMNS_MAX}")
        if len(self.reason) > REASON_CHARS_MAX:
            raise ProposalError(f"proposal {self.id}: reason too long", f"use at most {REASON_CHARS_MAX} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """A later proposal of the same author about the same row, undecided too. `columns`: those it wishes."""

    id: str
    op: Op
    columns: frozenset[str]


@record
class Kept:
    """What the keeper holds at the moment of the decision, read in the transaction that writes the verdict.

    * `values`: the row as kept, column → value; None when no such row exists (deleted, or not yet inserted).
    * `changed_at_ms`: column → when the keeper last changed it, by the keeper's clock; None when not known at all.
    * `clock_offset_ms`: the keeper's offset when it made those changes, and now.
    * `now_ms`: the moment of the decision by the keeper's clock; needed for a proposal that expires.
    * `references`: how many rows refer to this one; shown with a delete.
    * `resembles`: ids of kept rows that look like the one an insert wishes (`conflict.match.resembles`).
    """

    values: Mapping[str, Value] | None
    changed_at_ms: Mapping[str, int] | None
    clock_offset_ms: int | None
    keeper_node: str
    keeper_tier_depth: int
    references: int = 0
    resembles: tuple[str, ...] = ()
    now_ms: int | None = None

    def changed_at_ms_of(self, column: str) -> int | None:
        return None if self.changed_at_ms is None else self.changed_at_ms.get(column)
