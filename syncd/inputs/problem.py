"""What is wrong with a line of a file, as an operator reads it: line, column, rule; never the value.

Enters: findings of the readers. Leaves: `Problem` and a bounded list of them.
Must hold: no text here holds a value of a record (domain §6, 6); codes and names of administrative
units are no such values.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from schema.titles import column_title
from syncd.inputs.limits import PROBLEMS_MAX


class Severity(StrEnum):
    """ERROR: something of the line was not imported. NOTE: imported, and worth a look."""

    ERROR = "error"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`line` counts from 1 (the header); `rule` is a stable word for programs, the texts are for people."""

    line: int
    column: str
    rule: str
    text_vi: str
    text_en: str
    severity: Severity = Severity.ERROR

    def text(self, language: str) -> str:
        """One line for the operator in `vi` or `en`."""
        if language == "vi":
            return f"dòng {self.line}, cột {self.title(0)}: {self.text_vi} [{self.rule}]"
        return f"line {self.line}, column {self.title(1)}: {self.text_en} [{self.rule}]"

    def title(self, place: int) -> str:
        """The column as its title says it: Vietnamese (0) or English (1)."""
        found = column_title(None, self.column)
        return found[place] if found else self.column


def not_in_list(list_name: str) -> tuple[str, str]:
    """A code that its list does not have, in both languages: the same words wherever one is typed."""
    vi, en = column_title(None, list_name) or (list_name, list_name)
    return (
        f"không có trong danh mục {vi} (giữ số 0 ở đầu mã)",
        f"is not in the code list {en} (keep a code's leading zero)",
    )


@dataclass(slots=True)
class ProblemList:
    """Problems in the order found; beyond PROBLEMS_MAX they are only counted: a wrong file cannot fill memory."""

    kept: list[Problem] = field(default_factory=list)
    errors: int = 0
    notes: int = 0

    def add(self, problem: Problem) -> None:
        if problem.severity is Severity.ERROR:
            self.errors += 1
        else:
            self.notes += 1
        if len(self.kept) < PROBLEMS_MAX:
            self.kept.append(problem)


@dataclass(slots=True)
class Notes:
    """What was read and is worth a look: one note for a column and rule, whose first line it names, with how many lines
    follow it. A file of a program has the same oddity on every line.
    """

    first: dict[tuple[str, str], Problem] = field(default_factory=dict)
    more: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, line: int, column: str, rule: str, text_vi: str, text_en: str) -> None:
        if (column, rule) in self.first:
            self.more[column, rule] += 1
            return
        self.more[column, rule] = 0
        self.first[column, rule] = Problem(
            line=line, column=column, rule=rule, text_vi=text_vi, text_en=text_en, severity=Severity.NOTE
        )

    def tell(self, problems: ProblemList) -> None:
        """Add the notes to a list of problems."""
        for key, note in self.first.items():
            if n := self.more[key]:
                vi, en = f"{note.text_vi} (và {n} dòng nữa)", f"{note.text_en} (and {n} more lines)"
                note = replace(note, text_vi=vi, text_en=en)
            problems.add(note)
