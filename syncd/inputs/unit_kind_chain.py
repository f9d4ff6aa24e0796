"""The kinds one unit has had, day by day, and what a list of decisions adds to them or corrects of them.

Enters: the decisions kept of a unit, and those of a file. Leaves: the kinds in the order of their days, which lines are
taken, and why others are not. Must hold: each kind follows on the one before it; a day has one kind; a line that says
an earlier one again, with another kind, day or number, corrects it; what was decided later stands, whoever says the
earlier one again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from syncd.inputs.text import name_key
from syncd.inputs.unit_corrections import ChangeRow

Words = dict[str, str]
NOTE = re.compile(r"Đổi loại hình: (?P<old>.+) → (?P<new>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of kind. `row`: where it is kept, None for what is not here yet."""

    effective_on: str
    old_kind: str
    new_kind: str
    decision_no: str | None
    row: ChangeRow | None = None

    @property
    def scope_note(self) -> str:
        return f"Đổi loại hình: {self.old_kind} → {self.new_kind}"

    @property
    def kinds(self) -> tuple[str, str]:
        return name_key(self.old_kind), name_key(self.new_kind)


@dataclass(slots=True, kw_only=True)
class Chain:
    """The changes of one unit by their days; `kind`: what its name says now."""

    kind: str
    steps: list[Step] = field(default_factory=list)

    @classmethod
    def of(cls, kind: str, rows: Iterable[ChangeRow]) -> Chain:
        steps = [step for row in rows if (step := kept_step(row)) is not None]
        return cls(kind=kind, steps=sorted(steps, key=lambda step: step.effective_on))

    def take(self, wished: Step) -> tuple[Step | None, str, Words]:
        """Put a decision into its place: (what is kept of it, "", {}), or (None, the rule it breaks, its words)."""
        said = self._said_before(wished)
        others = [step for step in self.steps if step is not said]
        before = next((step for step in reversed(others) if step.effective_on <= wished.effective_on), None)
        after = next((step for step in others if step.effective_on > wished.effective_on), None)
        if before is not None and before.effective_on == wished.effective_on:
            row_id = before.row.id if before.row is not None else ""
            return None, "same_day", {"kind": before.new_kind, "decision": before.decision_no or "", "id": row_id}
        if before is not None and name_key(before.new_kind) != wished.kinds[0]:
            return None, "kind_before", {"kind": before.new_kind, "day": before.effective_on}
        if after is not None and name_key(after.old_kind) != wished.kinds[1]:
            return None, "kind_after", {"kind": after.old_kind, "day": after.effective_on}
        fitting = {*wished.kinds, *(said.kinds if said else ())}
        if after is None and name_key(self.kind) not in fitting:
            return None, "kind_here", {"kind": self.kind}
        self.steps = sorted([*others, wished], key=lambda step: step.effective_on)
        return said or wished, "", {}

    def _said_before(self, wished: Step) -> Step | None:
        """The kept decision that a line says again: of its day, of its number, or the one it can only be a correction
        of, since a unit does not become twice what it is already.
        """
        kept = [step for step in self.steps if step.row is not None]
        tests: tuple[Callable[[Step], bool], ...] = (
            lambda step: step.effective_on == wished.effective_on and step.kinds == wished.kinds,
            lambda step: step.effective_on == wished.effective_on and step.decision_no == wished.decision_no,
            lambda step: step.decision_no == wished.decision_no,
            lambda step: step.kinds == wished.kinds and not self._is_between(step, wished),
        )
        for test in tests:
            if found := [step for step in kept if test(step)]:
                return found[0]
        return None

    def _is_between(self, one: Step, other: Step) -> bool:
        """Whether the unit changed its kind between two days."""
        first, last = sorted((one.effective_on, other.effective_on))
        return any(first < step.effective_on < last for step in self.steps)


def kept_step(row: ChangeRow) -> Step | None:
    """A change of kind as it is kept; None for what is none."""
    found = NOTE.fullmatch(row.scope_note or "") if row.old_unit_id == row.new_unit_id else None
    if found is None:
        return None
    return Step(
        effective_on=row.effective_on,
        old_kind=found["old"],
        new_kind=found["new"],
        decision_no=row.decision_no,
        row=row,
    )


def kind_of(name: str, kinds: Sequence[str]) -> str | None:
    """The kind that a unit's name begins with; None where it bears none."""
    words = name_key(name)
    return next((kind for kind in kinds if words.startswith(f"{name_key(kind)} ")), None)


def without_kind(name: str, kinds: Sequence[str]) -> str:
    """A unit's name proper."""
    kind = kind_of(name, kinds)
    return name if kind is None else " ".join(name.split(" ")[len(kind.split(" ")) :])
