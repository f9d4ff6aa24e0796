"""Reads households and persons from one CSV, line by line: memory holds one household, and the numbers of all.

Enters: a file in UTF-8 (with or without BOM), comma or semicolon, one line per person (`person_cells.FIELDS`).
Leaves: households in the file's order, each whole and checked, and problems by line and column.
Must hold: a household with any problem is refused whole; no problem holds a value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schema.population import HOUSEHOLD, PERSON
from schema.spec import Table
from schema.values import Value, check_row
from syncd.errors import FileRefused
from syncd.inputs.limits import CELL_CHARS_MAX, FILE_LINES_MAX, HOUSEHOLD_PERSONS_MAX
from syncd.inputs.open_text import open_text
from syncd.inputs.person_cells import (
    BY_HEADER,
    DEFAULTS,
    FIELDS,
    REQUIRED,
    CellError,
    CodeKeys,
    Field,
    Values,
    read_cell,
)
from syncd.inputs.problem import Problem, ProblemList
from syncd.inputs.text import clean, plain
from syncd.language import Both, say

NUMBER = "household_number"
COLUMN_TO_FIELD = {(f.of_household, f.column): f.name for f in FIELDS} | {(False, "birth_precision"): "birth_date"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a first reading found: how to read the file, how long it is, and which households lie in several places."""

    delimiter: str
    fields: tuple[Field | None, ...]  # by place; None: a column nobody asked for
    unknown: tuple[str, ...]
    lines: int
    scattered: frozenset[str]


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


def survey(path: Path) -> Survey:
    """Read the whole file once. Raises FileRefused when it is no such CSV: nothing is imported then."""
    with open_text(path) as lines:
        delimiter, fields, unknown = _header(path, next(lines, ""))
        place = next(i for i, f in enumerate(fields) if f and f.name == NUMBER)
        finished: set[str] = set()
        scattered: set[str] = set()
        current, count = "", 0
        for _, cells in _records(path, lines, delimiter):
            count += 1
            number = clean(cells[place]) if place < len(cells) else ""
            if number and number != current:
                if number in finished:
                    scattered.add(number)
                finished.add(number)
                current = number
    return Survey(delimiter=delimiter, fields=fields, unknown=unknown, lines=count, scattered=frozenset(scattered))


def households(
    path: Path, found: Survey, codes: CodeKeys, today: str, problems: ProblemList
) -> Iterator[HouseholdLines]:
    """Every household of the file, refused ones too (so that they are counted)."""
    reader = _Reader(found, codes, today, problems)
    with open_text(path) as lines:
        next(lines, "")
        for line, cells in _records(path, lines, found.delimiter):
            if (done := reader.take(line, cells)) is not None:
                yield done
    if (done := reader.finish()) is not None:
        yield done


class _Reader:
    """Gathers the lines of one household at a time."""

    def __init__(self, found: Survey, codes: CodeKeys, today: str, problems: ProblemList) -> None:
        self._survey = found
        self._codes = codes
        self._today = today
        self._problems = problems
        self._current: HouseholdLines | None = None

    def take(self, line: int, cells: list[str]) -> HouseholdLines | None:
        """Add one line; returns the household before it when this line begins another."""
        texts = {f.name: text for f, text in zip(self._survey.fields, cells, strict=False) if f}
        number = clean(texts.get(NUMBER, ""))
        if not number:
            self._say(
                line, NUMBER, "required", "thiếu số hộ, dòng bị bỏ qua", "no household number: the line is left out"
            )
            return None
        done = None
        if self._current is None or self._current.number != number:
            done = self.finish()
            self._current = self._begin(line, number)
        self._add(self._current, line, cells, texts)
        return done

    def finish(self) -> HouseholdLines | None:
        """The household read last, checked as a whole."""
        current, self._current = self._current, None
        if current is not None and not current.refused:
            for problem in check_row(HOUSEHOLD, {**DEFAULTS_OF_HOUSEHOLD, **current.values}):
                self._refuse(current, current.line, HOUSEHOLD, problem.column, problem.rule_vi, problem.rule_en)
        return current

    def _begin(self, line: int, number: str) -> HouseholdLines:
        household = HouseholdLines(number=number, line=line)
        if number in self._survey.scattered:
            household.refused = True
            self._say(
                line, NUMBER, "scattered", "các dòng của hộ này không liền nhau: hãy sắp xếp tệp theo số hộ",
                "the lines of this household are not together: sort the file by household number",
            )  # fmt: skip
        return household

    def _add(self, household: HouseholdLines, line: int, cells: list[str], texts: Mapping[str, str]) -> None:
        household.lines += 1
        if household.refused and household.number in self._survey.scattered:
            return
        if any(clean(cell) for cell in cells[len(self._survey.fields) :]) or len(cells) < len(self._survey.fields):
            household.refused = True
            wanted = len(self._survey.fields)
            self._say(line, NUMBER, "cells", f"dòng phải có {wanted} ô", f"a line has {wanted} cells")
            return
        if household.lines > HOUSEHOLD_PERSONS_MAX:
            self._too_large(household, line)
            return
        values = self._values(household, line, texts)
        if values is not None:
            self._merge(household, line, values[0])
            self._check_person(household, line, values[1])
            household.persons.append(PersonLine(line=line, values=values[1]))

    def _check_person(self, household: HouseholdLines, line: int, values: Values) -> None:
        for problem in check_row(PERSON, {**DEFAULTS_OF_PERSON, **values}):
            self._refuse(household, line, PERSON, problem.column, problem.rule_vi, problem.rule_en)
        if str(values["birth_date"]) > self._today:
            self._refuse(household, line, PERSON, "birth_date", "không được sau hôm nay", "is not after today")
        if any(person.values["line_no"] == values["line_no"] for person in household.persons):
            self._refuse(
                household, line, PERSON, "line_no", "trùng số thứ tự trong hộ", "occurs twice in the household"
            )

    def _values(self, household: HouseholdLines, line: int, texts: Mapping[str, str]) -> tuple[Values, Values] | None:
        """(household columns, person columns) of the filled cells; None when a cell is broken, which is reported."""
        of_household: Values = {}
        of_person: Values = {}
        fine = True
        for column in self._survey.fields:
            if column is None:
                continue
            try:
                values = _cell(column, texts[column.name], self._codes)
            except CellError as error:
                fine, household.refused = False, True
                self._say(line, column.name, error.rule, error.text_vi, error.text_en)
            else:
                (of_household if column.of_household else of_person).update(values)
        return (of_household, of_person) if fine else None

    def _merge(self, household: HouseholdLines, line: int, values: Values) -> None:
        """A household's columns stand on its lines; what one line says no other may deny."""
        for column, value in values.items():
            if household.values.setdefault(column, value) != value:
                self._refuse(
                    household, line, HOUSEHOLD, column, "khác với dòng trước của hộ", "differs from an earlier line"
                )  # fmt: skip

    def _too_large(self, household: HouseholdLines, line: int) -> None:
        if household.lines == HOUSEHOLD_PERSONS_MAX + 1:
            most = HOUSEHOLD_PERSONS_MAX
            self._refuse(
                household, line, HOUSEHOLD, "number", f"hộ có hơn {most} người", f"more than {most} persons"
            )  # fmt: skip

    def _refuse(
        self, household: HouseholdLines, line: int, table: Table, column: str, text_vi: str, text_en: str
    ) -> None:
        household.refused = True
        name = COLUMN_TO_FIELD.get((table is HOUSEHOLD, column), column)
        self._say(line, name, "rule", text_vi, text_en)

    def _say(self, line: int, column: str, rule: str, text_vi: str, text_en: str) -> None:
        self._problems.add(Problem(line=line, column=column, rule=rule, text_vi=text_vi, text_en=text_en))


DEFAULTS_OF_HOUSEHOLD: Mapping[str, Value] = {"kind": DEFAULTS["kind"]}
DEFAULTS_OF_PERSON: Mapping[str, Value] = {"residence": DEFAULTS["residence"]}


def _cell(column: Field, text: str, codes: CodeKeys) -> Values:
    if len(text) > CELL_CHARS_MAX:
        raise CellError("long", "ô quá dài", "the cell is too long")
    values = read_cell(column, text, codes)
    if not values and column.name in REQUIRED:
        raise CellError("required", "bắt buộc phải có", "is required")
    return values


def _header(path: Path, line: str) -> tuple[str, tuple[Field | None, ...], tuple[str, ...]]:
    delimiter = ";" if line.count(";") > line.count(",") else ","
    try:
        titles = [clean(title) for title in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise _no_csv(path, 1) from error
    fields = tuple(BY_HEADER.get(plain(title)) for title in titles)
    names = [f.name for f in fields if f]
    missing = [name for name in REQUIRED if name not in names]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if missing or doubled:
        what = (
            say("{path} thiếu các cột {names}", "{path} lacks the columns {names}", path=path, names=_titles(missing))
            if missing
            else say(
                "{path} có hai lần các cột {names}",
                "{path} has twice the columns {names}",
                path=path,
                names=_titles(doubled),
            )
        )
        raise FileRefused(
            what,
            say(
                "dòng đầu nêu tên cột; xem mẫu: syncd import --template",
                "the first line names the columns; see the template: syncd import --template",
            ),
        )
    return delimiter, fields, tuple(title for title, f in zip(titles, fields, strict=True) if f is None and title)


def _titles(names: list[str]) -> str:
    """Columns as the template names them."""
    return ", ".join(Both(field.title, field.name).here for field in FIELDS if field.name in names)


def _no_csv(path: Path, line: int) -> FileRefused:
    return FileRefused(
        say(
            "{path}, dòng {line}: từ đây không còn là CSV",
            "{path}, line {line}: no CSV from here on",
            path=path,
            line=line,
        ),
        say(
            "tìm dấu nháy kép chưa đóng hoặc đứng lẻ",
            "look for a quotation mark that is not closed or stands alone",
        ),
    )


def _records(path: Path, lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(first line of the record, its cells); empty lines are passed over."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 2  # the header is line 1 and was read before
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _no_csv(path, line) from error
        if cells is None:
            return
        if line > FILE_LINES_MAX:
            raise FileRefused(
                say("{path} có hơn {most} dòng", "{path} has more than {most} lines", path=path, most=FILE_LINES_MAX),
                say("tách tệp ở giữa hai hộ", "split the file between two households"),
            )
        if any(cell.strip() for cell in cells):
            yield line, cells
