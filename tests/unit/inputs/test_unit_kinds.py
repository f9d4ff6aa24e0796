"""Decisions about one unit's kind, in files that come in any order and again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from syncd.inputs.unit_corrections import ChangeRow, UnitRow
from syncd.inputs.unit_kinds import COLUMNS, KindPlan, plan_kinds

TODAY = "2030-01-01"
PROVINCE, KEP, TOWN = "p", "k", "t"
UNITS = {
    PROVINCE: ("", "province", "24", "Tỉnh Bắc Ninh"),
    KEP: (PROVINCE, "commune", "07399", "Xã Kép"),
    TOWN: (PROVINCE, "commune", "07402", "Thị trấn Chũ"),
    "other": (PROVINCE, "commune", "07405", "Đặc khu Chũ"),
}  # fmt: skip


class Register:
    """The units and changes of a root, as files change them."""

    def __init__(self) -> None:
        self.units = {
            row_id: UnitRow(id=row_id, parent_id=above or None, level=level, code=code, name=name,
                            valid_from="2025-07-01", valid_to=None)
            for row_id, (above, level, code, name) in UNITS.items()
        }  # fmt: skip
        self.changes: list[ChangeRow] = []

    def take(self, *lines: str) -> KindPlan:
        plan = plan_kinds([f"{line}\n" for line in (",".join(COLUMNS), *lines)], self.units, self.changes, TODAY)
        for unit_id, decision in plan.added:
            self.changes.append(ChangeRow(
                id=f"c{len(self.changes)}", old_unit_id=unit_id, new_unit_id=unit_id, operation="whole",
                scope_note=decision.step.scope_note, decision_no=decision.decision_no,
                effective_on=decision.effective_on,
            ))  # fmt: skip
        for each in plan.changed:
            if each.table == "unit":
                self.units[each.row_id] = replace(self.units[each.row_id], name=str(each.value))
            else:
                change: dict[str, Any] = {each.column: each.value}
                self.changes = [replace(row, **change) if row.id == each.row_id else row for row in self.changes]
        return plan

    def kinds(self, unit: str = KEP) -> list[tuple[str, str | None]]:
        """(day, what was decided) of a unit, by day."""
        return sorted((row.effective_on, row.scope_note) for row in self.changes if row.new_unit_id == unit)


def line(day: str, decision: str, old: str, new: str, name: str = "Kép", code: str = "07399") -> str:
    return f"{day},{decision},reclassify,{code},{name},{old},{new},24"


FIRST = line("2026-09-20", "388/NQ", "Xã", "Phường")
BACK = line("2027-03-01", "12/NQ", "Phường", "Xã")
AGAIN = line("2028-05-01", "77/NQ", "Xã", "Phường")


def rules(plan: KindPlan) -> list[str]:
    return [problem.rule for problem in plan.problems.kept]


@pytest.mark.parametrize("files", [[[FIRST], [BACK]], [[BACK], [FIRST]], [[FIRST, BACK]], [[BACK, FIRST]]])
def test_what_was_decided_later_stands_in_whatever_order_files_come(files: list[list[str]]) -> None:
    register = Register()
    register.units[KEP] = replace(register.units[KEP], name="Xã Kép")
    for file in files:
        assert register.take(*file).problems.errors == 0
    assert register.units[KEP].name == "Xã Kép"
    for file in (*files, *files[::-1]):
        again = register.take(*file)
        assert (again.changed, again.added, again.problems.errors) == ([], [], 0)
    assert register.units[KEP].name == "Xã Kép"
    assert len(register.kinds()) == 2


def test_a_unit_may_take_a_kind_again_and_each_time_is_kept() -> None:
    register = Register()
    for each in (FIRST, BACK, AGAIN):
        register.take(each)
    assert register.units[KEP].name == "Phường Kép"
    assert [day for day, _ in register.kinds()] == ["2026-09-20", "2027-03-01", "2028-05-01"]
    assert rules(register.take(FIRST)) == ["later"]
    assert [day for day, _ in register.kinds()] == ["2026-09-20", "2027-03-01", "2028-05-01"]


CORRECTED = {
    "new kind": (line("2026-09-20", "388/NQ", "Xã", "Đặc khu"), "Đặc khu Kép"),
    "old kind": (line("2026-09-20", "388/NQ", "Thị trấn", "Phường"), "Phường Kép"),
    "both kinds": (line("2026-09-20", "388/NQ", "Thị trấn", "Đặc khu"), "Đặc khu Kép"),
    "without a code": (line("2026-09-20", "388/NQ", "Xã", "Đặc khu", code=""), "Đặc khu Kép"),
    "kind and day": (line("2026-09-21", "388/NQ", "Xã", "Đặc khu"), "Đặc khu Kép"),
    "day": (line("2026-10-01", "388/NQ", "Xã", "Phường"), "Phường Kép"),
    "number": (line("2026-09-20", "389/NQ", "Xã", "Phường"), "Phường Kép"),
    "day and number": (line("2026-10-01", "389/NQ", "Xã", "Phường"), "Phường Kép"),
}


@pytest.mark.parametrize(("corrected", "name"), CORRECTED.values(), ids=CORRECTED)
def test_a_corrected_decision_changes_what_was_decided_and_adds_nothing(corrected: str, name: str) -> None:
    register = Register()
    register.take(FIRST)
    done = register.take(corrected)
    assert (rules(done), done.added, len(register.changes)) == ([], [], 1)
    assert register.units[KEP].name == name
    day, decision, _, _, _, old, new, _ = corrected.split(",")
    (row,) = register.changes
    assert (row.effective_on, row.decision_no) == (day, decision)
    assert row.scope_note == f"Đổi loại hình: {old} → {new}"
    assert register.take(corrected).changed == []


WRONG = {
    "another decision of the day": (line("2026-09-20", "9/NQ", "Xã", "Đặc khu"), "same_day"),
    "does not follow": (line("2027-09-20", "9/NQ", "Thị trấn", "Đặc khu"), "kind_before"),
    "does not lead on": (line("2025-09-20", "9/NQ", "Thị trấn", "Đặc khu"), "kind_after"),
    "the first corrected after the second": (line("2026-09-20", "388/NQ", "Xã", "Đặc khu"), "kind_after"),
    "another kind here": (line("2026-09-20", "9/NQ", "Đặc khu", "Phường", "Chũ", "07402"), "kind_here"),
    "before it was": (line("2024-09-20", "9/NQ", "Xã", "Phường"), "not_valid"),
    "another name": (line("2026-09-20", "388/NQ", "Xã", "Phường", "Lan"), "name"),
}


@pytest.mark.parametrize(("wrong", "rule"), WRONG.values(), ids=WRONG)
def test_a_decision_that_contradicts_earlier_ones_is_refused_with_its_own_cause(wrong: str, rule: str) -> None:
    register = Register()
    register.take(FIRST)
    register.take(BACK)
    before = (dict(register.units), list(register.changes))
    assert rules(register.take(wrong)) == [rule]
    assert (register.units, register.changes) == before


def test_units_of_two_kinds_may_share_their_name() -> None:
    register = Register()
    done = register.take(line("2026-09-20", "1/NQ", "Thị trấn", "Phường", "Chũ", ""))
    assert (rules(done), register.units[TOWN].name) == ([], "Phường Chũ")


def test_lines_of_one_file_that_contradict_each_other_are_refused_and_the_others_taken() -> None:
    register = Register()
    other = line("2026-09-20", "388/NQ", "Xã", "Đặc khu")
    done = register.take(FIRST, other, line("2026-09-20", "1/NQ", "Thị trấn", "Phường", "Chũ", "07402"))
    assert rules(done) == ["twice"]
    assert (register.units[KEP].name, register.units[TOWN].name) == ("Xã Kép", "Phường Chũ")
