"""The first reading of a list of persons: what only the whole file tells.

Enters: a file. Leaves: which column is where, how many lines there are, which households lie in several places, which
numbers of persons stand in two of them, and which columns hold dates with the month first.
Must hold: nothing is imported of a file that is no such list; memory holds the numbers of all and one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncd.errors import FileRefused
from syncd.inputs.cell_dates import is_month_first
from syncd.inputs.cell_numbers import is_made_up
from syncd.inputs.open_text import open_text
from syncd.inputs.person_cells import BY_HEADER, FIELDS, REQUIRED, Field, title_key
from syncd.inputs.person_lines import HOUSEHOLD_NUMBER, NUMBER, household_key
from syncd.inputs.sheet import Sheet
from syncd.inputs.text import clean
from syncd.language import Both, say

DATES = ("opened_on", "closed_on", "birth_date", "insurance_until")
IDENTITIES = ("citizen_id", "insurance_no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """`fields` by place; None: a column nobody asked for. `twice`: column → numbers that stand in two households."""

    delimiter: str
    fields: tuple[Field | None, ...]
    unknown: tuple[str, ...]
    lines: int
    scattered: frozenset[str]
    month_first: frozenset[str]
    twice: Mapping[str, frozenset[str]]


def survey(path: Path) -> Survey:
    """Read the whole file once. Raises FileRefused when it is no such CSV: nothing is imported then."""
    with open_text(path) as lines:
        sheet = Sheet(str(path), lines, titles_in)
        fields, unknown = _columns(path, sheet)
        reading = _Reading(fields)
        for row in sheet.rows():
            reading.take(row.cells)
        if not reading.lines:
            raise sheet.no_rows()
    return Survey(
        delimiter=sheet.mark,
        fields=fields,
        unknown=unknown,
        lines=reading.lines,
        scattered=frozenset(reading.scattered),
        month_first=frozenset(reading.month_first),
        twice={name: frozenset(found) for name, found in reading.twice.items()},
    )


def titles_in(cells: Sequence[str]) -> int:
    """How many columns of the template a row names."""
    return len({found.name for cell in cells if (found := BY_HEADER.get(title_key(cell)))})


def identity_key(text: str) -> str:
    """A number of a person without what people write between its digits; empty for what is none."""
    key = "".join(letter for letter in text if letter.isalnum()).upper()
    return key if any(letter.isdigit() for letter in key) and not is_made_up(key) else ""


class _Reading:
    def __init__(self, fields: Iterable[Field | None]) -> None:
        places = {field.name: place for place, field in enumerate(fields) if field}
        self._number = places[NUMBER]
        self._dates = [(name, places[name]) for name in DATES if name in places]
        self._identities = [(name, places[name]) for name in IDENTITIES if name in places]
        self._current = ""
        self._finished: set[str] = set()
        self._seen: dict[str, set[str]] = {name: set() for name in IDENTITIES}
        self._of_household: set[tuple[str, str]] = set()
        self.lines = 0
        self.scattered: set[str] = set()
        self.month_first: set[str] = set()
        self.twice: dict[str, set[str]] = {name: set() for name in IDENTITIES}

    def take(self, cells: Sequence[str]) -> None:
        self.lines += 1
        number = household_key(cells[self._number]) if self._number < len(cells) else ""
        if number != self._current and HOUSEHOLD_NUMBER.fullmatch(number):
            if number in self._finished:
                self.scattered.add(number)
            self._finished.add(number)
            self._current = number
            self._of_household.clear()
        for name, place in self._dates:
            if place < len(cells) and is_month_first(cells[place]):
                self.month_first.add(name)
        for name, place in self._identities:
            if place < len(cells) and (key := identity_key(cells[place])):
                self._identity(name, key)

    def _identity(self, name: str, key: str) -> None:
        if key in self._seen[name] and (name, key) not in self._of_household:
            self.twice[name].add(key)
        self._seen[name].add(key)
        self._of_household.add((name, key))


def _columns(path: Path, sheet: Sheet) -> tuple[tuple[Field | None, ...], tuple[str, ...]]:
    """(the template's column at each place, titles of the others). Raises FileRefused."""
    titles = [clean(title) for title in sheet.titles]
    fields = tuple(BY_HEADER.get(title_key(title)) for title in titles)
    names = [field.name for field in fields if field]
    missing = [name for name in REQUIRED if name not in names]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if missing:
        raise _no_list(
            say("{path} thiếu các cột {names}", "{path} lacks the columns {names}", path=path, names=_titles(missing))
        )
    if doubled:
        raise _no_list(
            say(
                "{path} có hai lần các cột {names}",
                "{path} has twice the columns {names}",
                path=path,
                names=_titles(doubled),
            )
        )
    return fields, tuple(title for title, field in zip(titles, fields, strict=True) if field is None and title)


def _no_list(what: str) -> FileRefused:
    return FileRefused(
        what,
        say(
            "một dòng đầu tệp nêu tên cột, các ô cách nhau bằng dấu phẩy, chấm phẩy hoặc tab; "
            "xem mẫu: [[syncd import --template]]",
            "a line at the top names the columns, parted by commas, semicolons or tabs; "
            "see the template: [[syncd import --template]]",
        ),
    )


def _titles(names: list[str]) -> str:
    """Columns as the template names them."""
    return ", ".join(Both(field.title, field.name).here for field in FIELDS if field.name in names)
