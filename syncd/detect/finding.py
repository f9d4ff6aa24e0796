"""What was found: a kind, the rows it is about, and nothing of what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conflict.case import CaseKind, case_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One row. `unit_id`: None for a row that is not there."""

    table: str
    row_id: str
    unit_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement. `detail`: codes and counts, never a value of a record.

    `stands_from`: None, or the day (YYYY-MM-DD) before which it is not worth a case: the rest may still come.
    `nodes`: further nodes that must stand below whoever says so. `only_root`: its sides may be anywhere.
    """

    kind: CaseKind
    sides: tuple[Side, ...]
    detail: Mapping[str, str | int] = field(default_factory=dict)
    stands_from: str | None = None
    grace_days: int = 0
    nodes: Sequence[str] = ()
    only_root: bool = False

    @property
    def case_id(self) -> str:
        """The same at every node and at every time: of the rows, and of the rule where one pair may break several."""
        rule = self.detail.get("rule")
        parts = [side.row_id for side in self.sides]
        return case_id(self.kind, *([str(rule)] if rule else []), *parts)
