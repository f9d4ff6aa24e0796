"""Figures as an operator reads them: Vietnamese or English, decimal comma in Vietnamese, dates dd/mm/yyyy.

Enters: `Figures`. Leaves: lines of text. Must hold: nothing is computed here, and what is not known is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from schema.titles import value_title
from syncd.clock import civil_zone
from syncd.inputs.figures import BySex, EthnicGroup, Figures, RegisterState, SexRatio

REGISTERS_SHOWN_MAX = 40

VIETNAMESE: Mapping[str, str] = {
    "title": "Số liệu tháng {month}/{year}, {units} đơn vị và {below} đơn vị trực thuộc",
    "usual": "Nhân khẩu thực tế thường trú",
    "male": "nam", "female": "nữ", "unknown": "không rõ", "age": "Tuổi", "over": "{first} trở lên",
    "residence": "Tình trạng cư trú", "ethnic": "Dân tộc",
    "not_listed": "[mã {code} không có trong danh mục]",
    "births": "Sinh", "deaths": "Chết", "arrivals": "Chuyển đến", "departures": "Chuyển đi",
    "ratio": "Tỷ số giới tính khi sinh",
    "ratio_is": "{ratio} bé trai/100 bé gái (n = {n}; khoảng tin cậy 95 %: {low}–{high})",
    "ratio_none": "không tính được (n = {n})",
    "complete": "Sổ đã về: {there}; chưa về: {missing}", "position": "vị trí {seq}, {when}",
    "missing": "chưa về", "unkept": "chưa có sổ: chưa nơi nào giữ", "matched": "Đối chiếu nhân khẩu giữa các sổ",
    "matched_at": "toàn bộ lần cuối {when}", "unmatched": "chưa lần nào",
    "never": "chưa rõ thời điểm", "more": "… và {n} đơn vị nữa", "note": "Ghi chú",
}  # fmt: skip
ENGLISH: Mapping[str, str] = {
    "title": "Figures for {month}/{year}, {units} and {below} below",
    "usual": "Usual residents",
    "male": "male", "female": "female", "unknown": "unknown", "age": "Age", "over": "{first} and over",
    "residence": "Residence", "ethnic": "Ethnic group",
    "not_listed": "[code {code} is in no list]",
    "births": "Births", "deaths": "Deaths", "arrivals": "Arrivals", "departures": "Departures",
    "ratio": "Sex ratio at birth", "ratio_is": "{ratio} boys per 100 girls (n = {n}; 95 % interval {low}–{high})",
    "ratio_none": "cannot be formed (n = {n})",
    "complete": "Registers in: {there}; not in yet: {missing}", "position": "position {seq}, {when}",
    "missing": "not in yet", "unkept": "no register: nobody keeps it", "matched": "Persons matched across registers",
    "matched_at": "everybody last at {when}", "unmatched": "never",
    "never": "time not known", "more": "… and {n} more units", "note": "Note",
}  # fmt: skip


def figures_text(figures: Figures, language: str) -> str:
    """The whole report in `vi` or `en`."""
    return "\n".join(_Report(figures, language).lines())


class _Report:
    def __init__(self, figures: Figures, language: str) -> None:
        self._figures = figures
        self._vi = language == "vi"
        self._words = VIETNAMESE if self._vi else ENGLISH

    def lines(self) -> list[str]:
        figures, words = self._figures, self._words
        year, month = figures.period.split("-")
        units, below = (_units(n) if not self._vi else str(n) for n in (len(figures.units), figures.units_below))
        title = words["title"].format(month=month, year=year, units=units, below=below)
        return [
            title, "",
            self._line("usual", figures.usual), *self._ages(), "",
            *self._residence(), *self._ethnic(), "",
            self._line("births", figures.births), f"{words['ratio']}: {self._ratio(figures.sex_ratio)}",
            *(self._line(name, getattr(figures, name)) for name in ("deaths", "arrivals", "departures")), "",
            *self._completeness(), self._matched(),
            *(f"{words['note']}: {vietnamese if self._vi else english}" for vietnamese, english in figures.notes),
        ]  # fmt: skip

    def _line(self, name: str, count: BySex) -> str:
        words = self._words
        parts = [f"{words['male']} {self._int(count.male)}", f"{words['female']} {self._int(count.female)}"]
        if count.unknown:
            parts.append(f"{words['unknown']} {self._int(count.unknown)}")
        return f"{words[name]}: {self._int(count.total)} ({', '.join(parts)})"

    def _ages(self) -> list[str]:
        words = self._words
        lines = [f"  {words['age']:<14}{words['male']:>10}{words['female']:>10}"]
        for group in self._figures.ages:
            label = words["over"].format(first=group.first) if group.last is None else f"{group.first}–{group.last}"
            lines.append(f"  {label:<14}{self._int(group.male):>10}{self._int(group.female):>10}")
        return lines

    def _residence(self) -> list[str]:
        place = 0 if self._vi else 1
        named = [
            ((value_title("residence", code) or (code, code))[place], n) for code, n in self._figures.residence.items()
        ]
        parts = [f"{name} {self._int(n)}" for name, n in named]
        return [f"{self._words['residence']}: {', '.join(parts)}"] if parts else []

    def _ethnic(self) -> list[str]:
        parts = [f"{self._ethnic_name(group)} {self._int(group.n)}" for group in self._figures.ethnic]
        return [f"{self._words['ethnic']}: {', '.join(parts)}"] if parts else []

    def _ethnic_name(self, group: EthnicGroup) -> str:
        if group.is_known:
            return group.name or group.code
        return self._words["not_listed"].format(code=group.code)

    def _ratio(self, ratio: SexRatio) -> str:
        if ratio.ratio is None or ratio.low is None or ratio.high is None:
            return self._words["ratio_none"].format(n=self._int(ratio.births))
        return self._words["ratio_is"].format(
            ratio=self._decimal(ratio.ratio), n=self._int(ratio.births),
            low=self._decimal(ratio.low), high=self._decimal(ratio.high),
        )  # fmt: skip

    def _completeness(self) -> list[str]:
        figures, words = self._figures, self._words
        head = words["complete"].format(there=len(figures.registers), missing=len(figures.registers_missing))
        states = [*figures.registers_missing, *figures.registers]
        lines = [f"  {self._state(state)}" for state in states[:REGISTERS_SHOWN_MAX]]
        if len(states) > REGISTERS_SHOWN_MAX:
            lines.append(f"  {words['more'].format(n=len(states) - REGISTERS_SHOWN_MAX)}")
        return [head, *lines]

    def _matched(self) -> str:
        """When everybody was last looked at for rows that are one person."""
        words, when = self._words, self._figures.matched_at
        said = words["unmatched"] if when is None else words["matched_at"].format(when=_local_time(when))
        return f"{words['matched']}: {said}"

    def _state(self, state: RegisterState) -> str:
        label = f"{state.code or '?'} {state.name or state.unit_id}"
        if state.state == "missing":
            return f"{label}: {self._words['missing' if state.is_kept else 'unkept']}"
        when = _local_time(state.changed_at) if state.changed_at else self._words["never"]
        return f"{label}: {self._words['position'].format(seq=self._int(state.position), when=when)}"

    def _int(self, number: int) -> str:
        return f"{number:,}".replace(",", "." if self._vi else ",")

    def _decimal(self, number: float) -> str:
        return f"{number:.1f}".replace(".", ",") if self._vi else f"{number:.1f}"


def _units(n: int) -> str:
    """English has a singular."""
    return f"{n:,} unit{'' if n == 1 else 's'}"


def _local_time(instant: str) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(civil_zone()):%d/%m/%Y %H:%M}"
