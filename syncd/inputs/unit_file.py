"""Reads the official conversion of 2025-07-01: every row says that (a part of) an old commune went into a new one.

Enters: the lines of a CSV with the columns below.
Leaves: `Conversion`: units of both eras, successions, problems by line.
Must hold: a row is a succession, not a unit, and a code is not an identity (every new code is a re-used old one), so
units are keyed by level, code and era. Nothing is guessed: what the lines contradict each other about is left out and
reported.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from syncd.errors import FileRefused, UsageError
from syncd.inputs.cell import FAILED, visible
from syncd.inputs.cell_texts import LOST_LETTER
from syncd.inputs.limits import UNIT_CELL_CHARS_MAX, UNIT_LINES_MAX
from syncd.inputs.problem import Problem, ProblemList, Severity
from syncd.inputs.sheet import Sheet
from syncd.inputs.text import clean, name_key
from syncd.language import Both, say
from syncd.text.garbled import code_of

COLUMNS = (
    "new_province_code", "new_province", "new_code", "new_name",
    "old_code", "old_name", "old_district_code", "old_district", "old_province_code", "old_province", "scope_note",
)  # fmt: skip
DIGITS = {"new_province_code": 2, "new_code": 5, "old_code": 5, "old_district_code": 3, "old_province_code": 2}
HINT = Both(
    "tệp phải là bảng chuyển đổi chính thức năm 2025, cột mang đúng các tên tiếng Anh này",
    "the file has to be the official conversion of 2025, with these English names of columns",
)


T = TypeVar("T")


# rule → what the operator reads, Vietnamese and English.
RULES = {
    "cells": ("dòng có {found} ô, tiêu đề có {wanted}", "the line has {found} cells, the header {wanted}"),
    "titles": ("dòng tiêu đề lặp lại; bỏ qua", "the titles again; passed over"),
    "again": ("dòng này giống hệt một dòng trước; bỏ qua", "the same as a line before; passed over"),
    "required": ("ô trống", "the cell is empty"),
    "long": ("ô dài hơn {most} ký tự", "the cell holds more than {most} characters"),
    "failed": (
        "ô là công thức hoặc lỗi của bảng tính (#N/A): nhập lại giá trị",
        "the cell is a formula or a spreadsheet's error (#N/A): type the value",
    ),
    "letters": (
        "chữ bị sai mã ({code}): chuyển sang Unicode rồi xuất lại CSV UTF-8",
        "the letters are those of another code ({code}): convert to Unicode and export as CSV UTF-8",
    ),
    "digits": (
        "mã phải có đúng {digits} chữ số (giữ số 0 ở đầu)",
        "a code of this column has {digits} digits (leading zeros kept)",
    ),
    "name": (
        "mã {code} có nhiều tên: {names}; không rõ đơn vị nào",
        "code {code} has several names: {names}; which one is meant?",
    ),
    "spelling": ("mã {code}: viết khác; dùng {name}", "code {code} is spelt differently; {name} is used"),
    "parent": (
        "{name} ({code}) thuộc nhiều đơn vị cấp trên: {parents}; dòng này không được dùng để xếp cấp trên",
        "{name} ({code}) is listed under several parents: {parents}; this line's is not taken",
    ),
    "scope": (
        "ghi chú chưa biết, không rõ toàn bộ hay một phần",
        "this note is not known: whole, part or land cannot be told",
    ),
    "old_unit": ("không có mã cũ: không xác định được đơn vị cũ", "no old code: the old unit cannot be identified"),
    "whole": (
        "đơn vị cũ vừa nhập toàn bộ vừa còn dòng khác",
        "all people of the old unit go to one successor, and some to another",
    ),
    "people": (
        "đơn vị cũ {code}: không dòng nào cho biết dân số về đâu",
        "old unit {code}: no line says where its people went",
    ),
}
NOTE_RULES = ("spelling", "people", "titles", "again")
LOST = Both("có chữ đã mất", "letters are lost")


class Level(StrEnum):
    PROVINCE = "province"
    DISTRICT = "district"
    COMMUNE = "commune"


class Era(StrEnum):
    """OLD: valid until the reform. NEW: valid from it."""

    OLD = "old"
    NEW = "new"


class Operation(StrEnum):
    """What of the old unit goes to the new one: WHOLE all its people, PART some of them, LAND none."""

    WHOLE = "whole"
    PART = "part"
    LAND = "land"


@dataclass(frozen=True, slots=True, order=True)
class UnitKey:
    level: Level
    code: str
    era: Era


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFact:
    """`parent` None: a province, or a unit about whose parent the lines contradict each other. `line`: the first that
    speaks of it. `is_named`: the lines agree about the name.
    """

    key: UnitKey
    name: str
    parent: UnitKey | None
    line: int = 1
    is_named: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    old: UnitKey
    new: UnitKey
    operation: Operation
    scope_note: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """Units in the order province, district, commune; successions in the order of the file; `lines` without header."""

    units: tuple[UnitFact, ...]
    successions: tuple[Succession, ...]
    problems: ProblemList
    lines: int


def read_conversion(lines: Iterable[str], province: str | None = None, name: str = "") -> Conversion:
    """Read and validate. `province`: only what went into the new province of this code; what is wrong with lines of
    other provinces is not told then. `name`: of the file, as errors say it.

    Raises FileRefused when the file is no conversion, UsageError when it has no such province.
    """
    problems = ProblemList()
    others = ProblemList()  # of lines that nobody asked for
    rows = [
        row
        for row in _rows(lines, problems, name)
        if _well_formed(row, others if _is_of_another(row, province) else problems)
    ]
    if province is not None and not any(row.cells["new_province_code"] == province for row in rows):
        known = ", ".join(sorted({row.cells["new_province_code"] for row in rows}))
        raise UsageError(
            say(
                "không dòng nào dẫn vào tỉnh mới {province}",
                "no line leads into a new province {province}",
                province=province,
            ),
            say("các tỉnh mới trong tệp: {known}", "new provinces of this file: {known}", known=known),
        )
    conversion = _Reading(rows, problems).conversion(province)
    problems.kept.sort(key=lambda problem: problem.line)
    return conversion


# What a note says about the people of the old unit. Free texts of single lines follow in NOTE_PATTERNS.
NOTES = {
    "nhập toàn bộ": Operation.WHOLE,
    "giữ nguyên": Operation.WHOLE,
    "đổi tên": Operation.WHOLE,
    "đổi loại hình": Operation.WHOLE,
    "nhập một phần diện tích, toàn bộ dân số": Operation.WHOLE,
    "nhập một phần": Operation.PART,
    "nhập một phần dân số": Operation.PART,
    "nhập một phần diện tích": Operation.LAND,
    "nhâp một phần diện tích": Operation.LAND,  # as the official file spells it once
    "nhập toàn bộ diện tích": Operation.LAND,
}
NOTE_PATTERNS = (
    (re.compile(r"^phần còn lại sau khi tách một phần "), Operation.PART),
    (re.compile(r"^đổi tên(, đổi loại hình)? từ một phần "), Operation.PART),
    (re.compile(r"^sắp xếp toàn bộ "), Operation.WHOLE),
)


def operation_of(scope_note: str) -> Operation | None:
    """The operation a note states; None for a note nobody has read yet."""
    note = clean(scope_note).casefold()
    if note in NOTES:
        return NOTES[note]
    return next((operation for pattern, operation in NOTE_PATTERNS if pattern.match(note)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """`old` None: the line names no old unit; its old district and province it names all the same. `statements`: (unit,
    its name, its parent) as the line states them, also of the new province."""

    line: int
    cells: dict[str, str]
    new: UnitKey
    old: UnitKey | None
    district: UnitKey
    province: UnitKey
    statements: tuple[tuple[UnitKey, str, UnitKey | None], ...]


def _rows(lines: Iterable[str], problems: ProblemList, name: str) -> Iterator[_Row]:
    sheet = Sheet(name or say("tệp", "the file"), lines, titles_in)
    header = [title_of(title) for title in sheet.titles]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise FileRefused(
            say("tệp thiếu các cột {names}", "the file lacks the columns {names}", names=", ".join(missing)), HINT.here
        )
    if doubled := [name for name in COLUMNS if header.count(name) > 1]:
        raise FileRefused(
            say("tệp có hai lần các cột {names}", "the file has twice the columns {names}", names=", ".join(doubled)),
            HINT.here,
        )
    seen: set[tuple[str, ...]] = set()
    wanted = 1 + max(header.index(name) for name in COLUMNS)
    is_empty = True
    for row in sheet.rows():
        is_empty = False
        if row.line > UNIT_LINES_MAX:
            raise FileRefused(
                say("tệp có hơn {most} dòng", "the file has more than {most} lines", most=UNIT_LINES_MAX), HINT.here
            )
        cells = [visible(cell) for cell in row.cells]
        if cells and title_of(cells[0]) == header[0] and list(map(title_of, cells[:wanted])) == header[:wanted]:
            _say(problems, row.line, header[0], "titles")
        elif len(cells) < wanted or any(cells[len(header) :]):
            _say(problems, row.line, header[0], "cells", found=len(cells), wanted=len(header))
        elif tuple(cells[: len(header)]) in seen:
            _say(problems, row.line, header[0], "again")
        else:
            seen.add(tuple(cells[: len(header)]))
            yield _row(row.line, dict(zip(header, cells, strict=False)))
    if is_empty:
        raise sheet.no_rows()


def _is_of_another(row: _Row, province: str | None) -> bool:
    """Whether a line surely leads into another province than the one asked for."""
    code = row.cells["new_province_code"]
    return province is not None and code != province and len(code) == DIGITS["new_province_code"]


def titles_in(cells: Sequence[str]) -> int:
    """How many columns of the conversion a row names."""
    return len(set(COLUMNS) & {title_of(cell) for cell in cells})


def title_of(cell: str) -> str:
    """A title without what cannot be seen."""
    return visible(cell).lower()


def _well_formed(row: _Row, problems: ProblemList) -> bool:
    """Codes have their digits and cells are filled. Without an old code a line may still name a new unit."""
    fine = True
    for column in COLUMNS:
        value, digits = row.cells[column], DIGITS.get(column)
        if len(value) == digits and value.isascii() and value.isdigit():
            continue  # the usual cell, told at little cost
        if not value and column != "old_code":
            fine = False
            _say(problems, row.line, column, "required")
        elif FAILED.fullmatch(value) or value.startswith("="):
            fine = False
            _say(problems, row.line, column, "failed")
        elif (code := code_of(value)) is not None or LOST_LETTER.search(value) or "\ufffd" in value:
            fine = False
            _say(problems, row.line, column, "letters", code=code or LOST)
        elif len(value) > UNIT_CELL_CHARS_MAX:
            fine = False
            _say(problems, row.line, column, "long", most=UNIT_CELL_CHARS_MAX)
        elif digits and value:
            fine = False
            _say(problems, row.line, column, "digits", digits=digits)
    return fine


class _Reading:
    """What all lines say together. A value counts when more than half of the lines that speak of it agree."""

    def __init__(self, rows: list[_Row], problems: ProblemList) -> None:
        self._rows = rows
        self._problems = problems
        self._names: defaultdict[UnitKey, Counter[str]] = defaultdict(Counter)  # by spelling
        self._parents: defaultdict[UnitKey, Counter[UnitKey]] = defaultdict(Counter)
        for row in rows:
            for unit, name, parent in row.statements:
                self._names[unit][name] += 1
                if parent is not None:
                    self._parents[unit][parent] += 1
        self._name_keys = {unit: _majority(_by_key(names)) for unit, names in self._names.items()}
        self._parent = {unit: _majority(parents) for unit, parents in self._parents.items()}
        self._parent |= self._parents_of_old_communes()

    def conversion(self, province: str | None) -> Conversion:
        chosen = [row for row in self._rows if province in (None, row.cells["new_province_code"])]
        noted: set[UnitKey] = set()
        successions = []
        for row in chosen:
            agreed = self._agrees(row, noted)
            succession = self._succession(row) if agreed else None
            if succession is not None:
                successions.append(succession)
        successions = self._without_doubled(successions)
        self._note_people_unknown(successions)
        units: dict[UnitKey, int] = {}
        for row in chosen:
            for unit in self._units_of(row):
                units.setdefault(unit, row.line)
        facts = [
            UnitFact(key=unit, name=self._name(unit), parent=self._parent.get(unit), line=line,
                     is_named=self._name_keys[unit] is not None)
            for unit, line in units.items()
        ]  # fmt: skip
        order = list(Level)
        facts.sort(key=lambda fact: (order.index(fact.key.level), fact.key.era, fact.key.code))
        return Conversion(
            units=tuple(facts), successions=tuple(successions), problems=self._problems, lines=len(chosen)
        )

    def _parents_of_old_communes(self) -> dict[UnitKey, UnitKey | None]:
        """A line whose district and province contradict each other says nothing about its commune's district."""
        votes: defaultdict[UnitKey, Counter[UnitKey]] = defaultdict(Counter)
        for row in self._rows:
            if row.old is not None:
                votes[row.old][row.district] += self._parent[row.district] == row.province
        return {commune: _majority(districts) for commune, districts in votes.items()}

    def _agrees(self, row: _Row, noted: set[UnitKey]) -> bool:
        """Reports where this line contradicts the others; False when it is then unclear which units it means."""
        agreed = True
        for unit, name, parent in row.statements:
            if name_key(name) != self._name_keys[unit]:
                agreed = agreed and unit.level is not Level.COMMUNE
                names = ", ".join(self._names[unit])
                _say(self._problems, row.line, _columns(unit)[0], "name", code=unit.code, names=names)
            elif name != self._name(unit) and unit not in noted:
                noted.add(unit)
                _say(self._problems, row.line, _columns(unit)[0], "spelling", code=unit.code, name=self._name(unit))
            if parent is not None and parent != self._parent[unit] and len(self._parents[unit]) > 1:
                # An old unit is still the one meant: it is imported, and its parent stays open.
                agreed = agreed and unit.era is Era.OLD
                parents = ", ".join(f"{key.code} × {count}" for key, count in self._parents[unit].items())
                _say(self._problems, row.line, _columns(unit)[1], "parent", code=unit.code, name=name, parents=parents)
        return agreed

    def _succession(self, row: _Row) -> Succession | None:
        note = row.cells["scope_note"]
        operation = operation_of(note)
        if operation is None:
            _say(self._problems, row.line, "scope_note", "scope")
        if row.old is None:
            _say(self._problems, row.line, "old_code", "old_unit")
        if operation is None or row.old is None:
            return None
        return Succession(old=row.old, new=row.new, operation=operation, scope_note=note, line=row.line)

    def _without_doubled(self, successions: list[Succession]) -> list[Succession]:
        """All people of a unit cannot go to one successor and some of them to another: none of these lines is taken."""
        of_people: defaultdict[UnitKey, list[Succession]] = defaultdict(list)
        for item in successions:
            if item.operation is not Operation.LAND:
                of_people[item.old].append(item)
        refused = {
            item.line
            for items in of_people.values()
            if len(items) > 1 and any(item.operation is Operation.WHOLE for item in items)
            for item in items
        }
        for line in sorted(refused):
            _say(self._problems, line, "scope_note", "whole")
        return [item for item in successions if item.line not in refused]

    def _note_people_unknown(self, successions: list[Succession]) -> None:
        peopled = {item.old for item in successions if item.operation is not Operation.LAND}
        for item in successions:
            if item.old not in peopled:
                _say(self._problems, item.line, "scope_note", "people", code=item.old.code)

    def _units_of(self, row: _Row) -> Iterator[UnitKey]:
        """The units a line stands for. A province comes as a parent: one in a contradicted cell does not come."""
        for unit, _, _ in row.statements:
            parent = self._parent.get(unit)
            if unit.level is not Level.PROVINCE:
                yield unit
            if parent is not None:
                yield parent

    def _name(self, unit: UnitKey) -> str:
        """The commonest spelling of the name; all names where no name has the majority."""
        key, names = self._name_keys[unit], self._names[unit]
        if key is None:
            return " / ".join(names)
        return max((name for name in names if name_key(name) == key), key=lambda name: names[name])


@lru_cache(maxsize=50_000)
def _key(level: Level, code: str, era: Era) -> UnitKey:
    """One object for one unit, however many lines name it."""
    return UnitKey(level, code, era)


def _row(line: int, cells: dict[str, str]) -> _Row:
    new_province = _key(Level.PROVINCE, cells["new_province_code"], Era.NEW)
    province = _key(Level.PROVINCE, cells["old_province_code"], Era.OLD)
    district = _key(Level.DISTRICT, cells["old_district_code"], Era.OLD)
    new = _key(Level.COMMUNE, cells["new_code"], Era.NEW)
    old = _key(Level.COMMUNE, cells["old_code"], Era.OLD) if cells["old_code"] else None
    named = (
        (new_province, cells["new_province"], None), (new, cells["new_name"], new_province),
        (province, cells["old_province"], None), (district, cells["old_district"], province),
    )  # fmt: skip
    return _Row(
        line=line, cells=cells, new=new, old=old, district=district, province=province,
        statements=named if old is None else (*named, (old, cells["old_name"], district)),
    )  # fmt: skip


def _columns(unit: UnitKey) -> tuple[str, str]:
    """(column of the unit's name, column of its parent)."""
    if unit.level is Level.PROVINCE:
        return f"{unit.era}_province", ""
    if unit.level is Level.DISTRICT:
        return "old_district", "old_province_code"
    return f"{unit.era}_name", "old_district_code" if unit.era is Era.OLD else "new_province_code"


def _by_key(names: Counter[str]) -> Counter[str]:
    keys: Counter[str] = Counter()
    for name, count in names.items():
        keys[name_key(name)] += count
    return keys


def _majority(votes: Counter[T]) -> T | None:
    """What more than half say, if anything."""
    value = max(votes, key=votes.__getitem__)
    return value if 2 * votes[value] > votes.total() else None


def _say(problems: ProblemList, line: int, column: str, rule: str, **words: object) -> None:
    text_vi, text_en = (
        text.format(**{name: word[place] if isinstance(word, Both) else word for name, word in words.items()})
        for place, text in enumerate(RULES[rule])
    )
    severity = Severity.NOTE if rule in NOTE_RULES else Severity.ERROR
    problems.add(Problem(line=line, column=column, rule=rule, text_vi=text_vi, text_en=text_en, severity=severity))
