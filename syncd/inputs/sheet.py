"""A table as spreadsheets, databases and people write it into a text file: which mark parts its cells, where its titles
stand, and its rows.

Enters: lines of text, and how well a row of cells serves as titles. Leaves: the titles, and rows with the number of the
line each begins at. Must hold: titles are found by what they say, so a line such as `sep=;`, a heading above them, a
second byte order mark, tabs instead of commas, or a line break inside a quoted title changes nothing; a quotation mark
that is never closed refuses the file instead of swallowing lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from syncd.errors import FileRefused
from syncd.inputs.limits import FILE_LINES_MAX, HEAD_LINES_MAX
from syncd.language import say

MARKS = (",", ";", "\t", "|")
BOM = "\ufeff"
SEP_LINE = re.compile(r'^\ufeff*"?sep=(?P<mark>.?)"?,*;*\s*$', re.IGNORECASE)
EMPTY = " \t\r\n\x1a\ufeff\u200b\xa0"  # what an empty cell may consist of; 0x1A ends files of old programs
Score = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`line`: where it begins, from 1. `is_cut`: the file ends in it without an end of line."""

    line: int
    cells: list[str]
    is_cut: bool


class _Lines:
    """Counts what is read, and remembers whether the last line had an end."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.is_open = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.is_open = not line.endswith(("\n", "\r"))
        return line


class Sheet:
    """`mark` parts the cells, `titles` are the cells of line `line`; `above` are lines before it that were passed over.
    Its rows can be read once.
    """

    def __init__(self, name: str, lines: Iterable[str], score: Score) -> None:
        """`name`: of the file, as errors say it. `score`: how many titles a row holds. Raises FileRefused."""
        self._name = name
        self._lines = _Lines(lines)
        head = list(islice(self._lines, HEAD_LINES_MAX))
        if head:
            head[0] = head[0].lstrip(BOM)
        if not any(line.strip(EMPTY) for line in head):
            raise self._empty()
        named = SEP_LINE.match(head[0]) if head else None
        marks = (named["mark"],) if named and named["mark"] in MARKS else MARKS
        self.mark, self.line, end, self.titles = self._find(head, 1 if named else 0, marks, score)
        first = 1 if named else 0
        self.above = tuple(
            place for place in range(first + 1, self.line) if head[place - 1].strip(EMPTY + self.mark + '"')
        )
        self._skipped = end
        self._rest = chain(head[end:], self._lines)

    def rows(self) -> Iterator[Row]:
        """Every row that holds anything. Raises FileRefused where it is no table from some line on."""
        reader = csv.reader(self._rest, delimiter=self.mark, strict=True)
        while True:
            line = self._skipped + reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise self._broken(line, error) from error
            if cells is None:
                return
            if line > FILE_LINES_MAX:
                raise self._too_long()
            if self._skipped + reader.line_num > line and self._is_swallowed(cells):
                raise self._no_table(line)
            if any(cell.strip(EMPTY) for cell in cells):
                yield Row(line=line, cells=cells, is_cut=self._lines.is_open)

    def _find(
        self, head: Sequence[str], start: int, marks: Sequence[str], score: Score
    ) -> tuple[str, int, int, list[str]]:
        """(mark, line, how many lines up to its end, cells) of the row that serves best; of equals the first."""
        best: tuple[int, str, int, int, list[str]] = (-1, marks[0], start + 1, start + 1, [])
        broken: csv.Error | None = None
        for mark in marks:
            reader = csv.reader(iter(head[start:]), delimiter=mark, strict=True)
            before = start
            try:
                for cells in reader:
                    end = start + reader.line_num
                    if (points := score(cells)) > best[0]:
                        best = (points, mark, before + 1, end, cells)
                    before = end
            except csv.Error as error:
                broken = error
        if broken is not None and best[0] <= 0:
            raise self._broken(start + 1, broken) from broken
        return best[1:]

    def _is_swallowed(self, cells: Sequence[str]) -> bool:
        """Whether a quoted cell of several lines holds rows: somebody forgot to close it."""
        few = max(2, (len(self.titles) - 1) // 2)
        return any(
            line.count(self.mark) >= few for cell in cells if "\n" in cell or "\r" in cell for line in cell.splitlines()
        )

    def no_rows(self) -> FileRefused:
        """What to say of a file that ends with its titles."""
        return FileRefused(
            say("{path} chỉ có tiêu đề, không có dòng nào", "{path} has titles and no line below", path=self._name),
            say(
                "lưu đúng trang tính có số liệu (CSV chỉ giữ trang đang mở), bỏ bộ lọc rồi lưu lại",
                "save the sheet that holds the data (CSV keeps only the one that is open), without a filter",
            ),
        )

    def _empty(self) -> FileRefused:
        return FileRefused(
            say("{path} rỗng, không có dòng nào", "{path} is empty", path=self._name),
            say(
                "xem lại có đúng tệp không; lưu lại từ bảng tính (CSV UTF-8), hoặc chép lại nếu lần chép trước bị ngắt",
                "look whether it is the right file; save it again from the spreadsheet (CSV UTF-8), or copy it again "
                "if the last copy was interrupted",
            ),
        )

    def _broken(self, line: int, error: csv.Error) -> FileRefused:
        if "field larger" not in str(error):
            return self._no_table(line)
        return FileRefused(
            say(
                "{path}, dòng {line}: có ô dài hơn {most} ký tự",
                "{path}, line {line}: a cell holds more than {most} characters",
                path=self._name, line=line, most=csv.field_size_limit(),
            ),
            say(
                "tìm dấu nháy kép chưa đóng ở dòng đó, hoặc rút ngắn ô",
                "look for a quotation mark that is not closed on that line, or shorten the cell",
            ),
        )  # fmt: skip

    def _no_table(self, line: int) -> FileRefused:
        return FileRefused(
            say(
                "{path}, dòng {line}: từ đây không còn là CSV",
                "{path}, line {line}: no CSV from here on",
                path=self._name,
                line=line,
            ),
            say(
                "tìm dấu nháy kép chưa đóng hoặc đứng lẻ",
                "look for a quotation mark that is not closed or stands alone",
            ),
        )

    def _too_long(self) -> FileRefused:
        return FileRefused(
            say("{path} có hơn {most} dòng", "{path} has more than {most} lines", path=self._name, most=FILE_LINES_MAX),
            say("tách tệp ở giữa hai hộ", "split the file between two households"),
        )


def other_mark(cells: Sequence[str], mark: str) -> str:
    """The mark that seems to part the cells of a row which `mark` leaves in one piece; empty for none."""
    text = cells[0] if len([cell for cell in cells if cell.strip(EMPTY)]) == 1 else ""
    return next((each for each in MARKS if each != mark and text.count(each) > 1), "")
