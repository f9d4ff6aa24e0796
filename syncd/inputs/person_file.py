"""Reads households and persons from one list, row by row: memory holds one household, and the numbers of all.

Enters: a file as `open_text.py` takes it, one row per person (`person_cells.FIELDS`); a household's number may stand on
its first row alone, or on a row of its own, as merged cells leave it.
Leaves: households in the file's order, each whole and checked, and problems by line and column.
Must hold: a household with any problem is refused whole, and so is one of which a row may have gone elsewhere; no
problem holds a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from schema.population import HOUSEHOLD, PERSON
from schema.spec import Table
from schema.values import Value, check_row
from syncd.errors import FileRefused
from syncd.inputs.cell import Around, CellError, CodeKeys, Oddities, Values
from syncd.inputs.cell_numbers import small_number
from syncd.inputs.limits import CELL_CHARS_MAX, HOUSEHOLD_PERSONS_MAX
from syncd.inputs.open_text import open_text
from syncd.inputs.person_cells import DEFAULTS, FIELDS, REQUIRED, Field, read_cell
from syncd.inputs.person_checks import ALIKE, same_number, says_another, stands_twice
from syncd.inputs.person_lines import NUMBER, PASSED_OVER, Sort, household_key, sort_of, texts_of
from syncd.inputs.person_survey import Survey, survey, titles_in
from syncd.inputs.problem import Notes, Problem, ProblemList
from syncd.inputs.sheet import EMPTY, Row, Sheet, other_mark
from syncd.language import say

__all__ = ["HouseholdLines", "PersonLine", "Survey", "households", "survey"]

COLUMN_TO_FIELD = {(f.of_household, f.column): f.name for f in FIELDS} | {(False, "birth_precision"): "birth_date"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLine:
    line: int
    values: Mapping[str, Value]


@dataclass(slots=True, kw_only=True)
class HouseholdLines:
    """One household. `values` holds the filled columns of table household; `refused` when any of it has a problem."""

    number: str
    line: int
    values: dict[str, Value] = field(default_factory=dict)
    persons: list[PersonLine] = field(default_factory=list)
    lines: int = 0
    refused: bool = False


def households(
    path: Path, found: Survey, codes: CodeKeys, today: str, problems: ProblemList
) -> Iterator[HouseholdLines]:
    """Every household of the file, refused ones too (so that they are counted)."""
    reader = _Reader(path, found, codes, today, problems)
    with open_text(path) as lines:
        sheet = Sheet(str(path), lines, titles_in)
        for row in sheet.rows():
            if (done := reader.take(row)) is not None:
                yield done
    if (done := reader.finish()) is not None:
        yield done
    reader.notes.tell(problems)


class _Reader:
    """Gathers the rows of one household at a time."""

    def __init__(self, path: Path, found: Survey, codes: CodeKeys, today: str, problems: ProblemList) -> None:
        self.notes = Notes()
        self._path = path
        self._survey = found
        self._around = Around(codes=codes, today=date.fromisoformat(today), month_first=found.month_first)
        self._problems = problems
        self._current: HouseholdLines | None = None
        self._last_no = 0  # the line number of the row before, where the next row may go on
        self._is_broken_off = True  # a row without a household number belongs to nobody known
        self._strays = False  # such rows came since the last number

    def take(self, row: Row) -> HouseholdLines | None:
        """Add one row; returns the household before it when this row begins another."""
        texts = texts_of(self._survey.fields, row.cells)
        if len(row.cells) < len(self._survey.fields) and other_mark(row.cells, self._survey.delimiter):
            self._stray(row.line, None, "cells", *OTHER_MARK)
            return None
        sort = sort_of(self._survey.fields, row.cells, texts)
        if sort is Sort.OTHER_TITLES:
            raise self._other_titles(row.line)
        if sort in PASSED_OVER:
            self.notes.add(row.line, NUMBER, sort.value, *PASSED_OVER[sort])
            self._is_broken_off = self._is_broken_off or sort is not Sort.TITLES
            return None
        number = household_key(texts[NUMBER])
        if not number:
            self._without_number(row, texts)
            return None
        done = None
        if self._current is None or self._current.number != number:
            done = self.finish()
            self._current = self._begin(row.line, number)
        self._check_strays(self._current, row.line, texts)
        self._is_broken_off = self._strays = False
        self._add(self._current, row, texts, sort)
        return done

    def finish(self) -> HouseholdLines | None:
        """The household read last, checked as a whole."""
        current, self._current = self._current, None
        self._last_no, self._is_broken_off = 0, True
        if current is not None and not current.refused:
            if not current.persons:
                self._refuse(current, current.line, PERSON, "full_name", "hộ không có người nào", "nobody is in it")
            for problem in check_row(HOUSEHOLD, {**DEFAULTS_OF_HOUSEHOLD, **current.values}):
                self._refuse(current, current.line, HOUSEHOLD, problem.column, problem.rule_vi, problem.rule_en)
            if not current.refused:
                self._note_alike(current)
        return current

    def _note_alike(self, household: HouseholdLines) -> None:
        persons = household.persons
        for place, person in enumerate(persons):
            if stands_twice(person.values, [each.values for each in persons[:place]]):
                self.notes.add(person.line, "full_name", "alike", *ALIKE)

    def _begin(self, line: int, number: str) -> HouseholdLines:
        household = HouseholdLines(number=number, line=line)
        if number in self._survey.scattered:
            household.refused = True
            self._say(
                line,
                NUMBER,
                "scattered",
                "các dòng của hộ này không liền nhau: hãy sắp xếp tệp theo số hộ",
                "the lines of this household are not together: sort the file by household number",
            )
        return household

    def _without_number(self, row: Row, texts: Mapping[str, str]) -> None:
        """A row goes on with the household above it where its line number does; else nobody knows whose it is."""
        current, line_no = self._current, _line_no(texts)
        if current is not None and not self._is_broken_off and (line_no is None or line_no > self._last_no):
            self.notes.add(
                row.line,
                NUMBER,
                "carried",
                "ô số hộ trống; lấy số hộ ở dòng trên",
                "the household number is empty; that of the line above was taken",
            )
            self._add(current, row, texts, Sort.PERSON)
            return
        self._stray(row.line, line_no, "required", *NO_NUMBER)

    def _stray(self, line: int, line_no: int | None, rule: str, text_vi: str, text_en: str) -> None:
        """A row that belongs to nobody known; perhaps to the household above, page break or sum between them or not,
        unless it is the first of another, or such a row stands between.
        """
        self._say(line, NUMBER, rule, text_vi, text_en)
        if self._current is not None and not self._strays and line_no != 1:
            self._doubt(self._current, line)
        self._strays = self._is_broken_off = True

    def _check_strays(self, household: HouseholdLines, line: int, texts: Mapping[str, str]) -> None:
        if self._strays and (household.lines or _line_no(texts) != 1):
            self._doubt(household, line)

    def _doubt(self, household: HouseholdLines, line: int) -> None:
        if not household.refused:
            self._say(
                line,
                NUMBER,
                "stray",
                "một dòng thiếu số hộ gần đây có thể thuộc hộ này: hộ không được nhập",
                "a line near it without a number may belong to this household: it is not imported",
            )
        household.refused = True

    def _add(self, household: HouseholdLines, row: Row, texts: Mapping[str, str], sort: Sort) -> None:
        household.lines += 1
        self._last_no = _line_no(texts) or self._last_no
        if household.refused and household.number in self._survey.scattered:
            return
        if not self._is_whole(household, row):
            return
        if household.lines > HOUSEHOLD_PERSONS_MAX:
            self._too_large(household, row.line)
            return
        values = self._values(household, row.line, texts, sort)
        if values is None:
            return
        self._merge(household, row.line, values[0])
        if sort is Sort.PERSON:
            self._check_person(household, row.line, values[1])
            household.persons.append(PersonLine(line=row.line, values=values[1]))

    def _is_whole(self, household: HouseholdLines, row: Row) -> bool:
        """Whether a row has its cells. Fewer are the empty ones at its end, unless the file breaks off there."""
        wanted, cells = len(self._survey.fields), row.cells
        if any(cell.strip(EMPTY) for cell in cells[wanted:]):
            said = (
                f"dòng có nhiều hơn {wanted} ô của tiêu đề: chữ có dấu ngăn ô phải đứng trong dấu nháy kép",
                f"the line has more cells than the {wanted} titles: text that holds the mark between cells is quoted",
            )
        elif len(cells) < wanted and row.is_cut:
            said = (
                "tệp hết giữa dòng này: có thể đã bị cắt; lấy lại tệp, hoặc thêm dấu xuống dòng nếu dòng đã đủ",
                "the file ends within this line and may be cut off: fetch it again, or end the line if it is whole",
            )
        else:
            return True
        household.refused = True
        self._say(row.line, NUMBER, "cells", *said)
        return False

    def _check_person(self, household: HouseholdLines, line: int, values: Values) -> None:
        for problem in check_row(PERSON, {**DEFAULTS_OF_PERSON, **values}):
            self._refuse(household, line, PERSON, problem.column, problem.rule_vi, problem.rule_en)
        if any(person.values["line_no"] == values["line_no"] for person in household.persons):
            self._refuse(
                household, line, PERSON, "line_no", "trùng số thứ tự trong hộ", "occurs twice in the household"
            )
        for column, text_vi, text_en in same_number(
            values, [each.values for each in household.persons], self._survey.twice
        ):
            household.refused = True
            self._say(line, column, "twice", text_vi, text_en)
        for column, rule, text_vi, text_en in says_another(values):
            self.notes.add(line, column, rule, text_vi, text_en)

    def _values(
        self, household: HouseholdLines, line: int, texts: Mapping[str, str], sort: Sort
    ) -> tuple[Values, Values] | None:
        """(household columns, person columns) of the filled cells; None when a cell is broken, which is reported."""
        of_household: Values = {}
        of_person: Values = {}
        fine = True
        for column in self._survey.fields:
            if column is None or (sort is Sort.HOUSEHOLD and not column.of_household):
                continue
            odd = Oddities()
            try:
                values = _cell(column, texts[column.name], self._around, odd)
            except CellError as error:
                fine, household.refused = False, True
                self._say(line, column.name, error.rule, error.text_vi, error.text_en)
                continue
            (of_household if column.of_household else of_person).update(values)
            for rule, words in odd.found.items():
                self.notes.add(line, column.name, rule, *words)
        return (of_household, of_person) if fine else None

    def _merge(self, household: HouseholdLines, line: int, values: Values) -> None:
        """A household's columns stand on its lines; what one line says no other may deny."""
        for column, value in values.items():
            if household.values.setdefault(column, value) != value:
                self._refuse(
                    household, line, HOUSEHOLD, column, "khác với dòng trước của hộ", "differs from an earlier line"
                )

    def _too_large(self, household: HouseholdLines, line: int) -> None:
        if household.lines == HOUSEHOLD_PERSONS_MAX + 1:
            most = HOUSEHOLD_PERSONS_MAX
            self._refuse(household, line, HOUSEHOLD, "number", f"hộ có hơn {most} người", f"more than {most} persons")

    def _refuse(
        self, household: HouseholdLines, line: int, table: Table, column: str, text_vi: str, text_en: str
    ) -> None:
        household.refused = True
        name = COLUMN_TO_FIELD.get((table is HOUSEHOLD, column), column)
        self._say(line, name, "rule", text_vi, text_en)

    def _say(self, line: int, column: str, rule: str, text_vi: str, text_en: str) -> None:
        self._problems.add(Problem(line=line, column=column, rule=rule, text_vi=text_vi, text_en=text_en))

    def _other_titles(self, line: int) -> FileRefused:
        return FileRefused(
            say(
                "{path}, dòng {line}: tiêu đề lặp lại với thứ tự cột khác",
                "{path}, line {line}: the titles come again in another order",
                path=self._path,
                line=line,
            ),
            say("tách tệp tại dòng đó và nhập từng tệp", "split the file at that line and import each part"),
        )


NO_NUMBER = (
    "thiếu số hộ, dòng bị bỏ qua: ghi số hộ vào dòng này",
    "no household number, the line is left out: write the number on it",
)
OTHER_MARK = (
    "dòng ngăn ô bằng dấu khác với dòng tiêu đề: dùng một dấu cho cả tệp",
    "its cells are parted by another mark than the titles: use one mark in the whole file",
)
DEFAULTS_OF_HOUSEHOLD: Mapping[str, Value] = {"kind": DEFAULTS["kind"]}
DEFAULTS_OF_PERSON: Mapping[str, Value] = {"residence": DEFAULTS["residence"]}


def _line_no(texts: Mapping[str, str]) -> int | None:
    """A row's number in its household; None for none that can be read."""
    try:
        return int(str(small_number(texts["line_no"].strip(), NOTHING_AROUND, Oddities())))
    except CellError:
        return None


NOTHING_AROUND = Around(codes={}, today=date.min)


def _cell(column: Field, text: str, around: Around, odd: Oddities) -> Values:
    if column.name == NUMBER and not text.strip():
        return {}  # that of the line above
    if len(text) > CELL_CHARS_MAX:
        raise CellError("long", "ô quá dài", "the cell is too long")
    values = read_cell(column, text, around, odd)
    if not values and column.name in REQUIRED and column.name != NUMBER:
        raise CellError("required", "bắt buộc phải có", "is required")
    return values
