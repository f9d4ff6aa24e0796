"""Which person of the register each row of a file is: by citizen id, insurance number, or name with birth date and sex.

Enters: the rows of one household in the file, the persons kept of it, and who else in the unit bears their numbers.
Leaves: pairs, new persons, and questions. Must hold: a place in the household makes nobody somebody else; what speaks
for two persons, or for nobody surely, is a question to a person, and then nothing of the household is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schema.values import Value
from syncd.inputs.person_file import PersonLine
from syncd.inputs.person_survey import IDENTITIES
from syncd.inputs.text import name_key

Kept = dict[str, Value]
GONE = ("departed", "deceased")
PRECISION_CHARS = {"y": 4, "m": 7, "d": 10}

NUMBER_OF_ANOTHER = (
    "số này trong sổ là của người có họ tên, ngày sinh hoặc giới tính khác: không rõ là ai; sửa tệp hoặc sửa sổ trước",
    "the register has this number for somebody of another name, birth date or sex: it cannot be told who this is; "
    "correct the file, or the register first",
)
IN_ANOTHER_HOUSEHOLD = (
    "người mang số này đã có trong sổ ở hộ khác: nếu họ chuyển hộ thì sửa trong sổ trước; nếu không thì sửa số",
    "somebody of this number is in another household of the register: if they moved, change it there first; else "
    "correct the number",
)
WHO = (
    "không rõ là ai: trong sổ, hộ này có người gần giống hoặc đứng ở số thứ tự này mà tệp không nêu; "
    "ghi số định danh, đổi số thứ tự, hoặc sửa sổ trước",
    "it cannot be told who this is: the household has somebody alike, or at this line number, whom the file does not "
    "name; give the citizen id, use another line number, or correct the register first",
)
SEVERAL = (
    "trong sổ có nhiều người của hộ này trùng họ tên, ngày sinh và giới tính: ghi số định danh, hoặc sửa sổ trước",
    "the register has several persons of this household with this name, birth date and sex: give the citizen id, or "
    "correct the register first",
)
NUMBER_REPLACED = (
    "số trong sổ khác với tệp; đã lấy số trong tệp",
    "the register had another number; that of the file was taken",
)


@dataclass(slots=True, kw_only=True)
class Matched:
    """`pairs`: (row of the file, person kept). `questions` and `notes`: (line, column, wording)."""

    pairs: list[tuple[PersonLine, Kept]] = field(default_factory=list)
    new: list[PersonLine] = field(default_factory=list)
    questions: list[tuple[int, str, tuple[str, str]]] = field(default_factory=list)
    notes: list[tuple[int, str, tuple[str, str]]] = field(default_factory=list)


def match(lines: Sequence[PersonLine], kept: Iterable[Kept], elsewhere: Mapping[str, Collection[Value]]) -> Matched:
    """`elsewhere`: column → numbers of these rows that persons of other households of the unit bear."""
    return _Matching(lines, kept).matched(elsewhere)


class _Matching:
    def __init__(self, lines: Sequence[PersonLine], kept: Iterable[Kept]) -> None:
        self._open = list(lines)
        self._free = list(kept)
        self._result = Matched()

    def matched(self, elsewhere: Mapping[str, Collection[Value]]) -> Matched:
        for column in IDENTITIES:
            self._by_number(column)
        self._by_person(lambda line, row: _born_exactly(line, row) and line["line_no"] == row["line_no"])
        self._by_person(_born_exactly)
        self._by_person(_born_alike)
        for line in list(self._open):
            self._judge_rest(line)
        self._check_places()
        self._check_elsewhere(elsewhere)
        return self._result

    def _by_number(self, column: str) -> None:
        for line in list(self._open):
            number = line.values.get(column)
            rows = [row for row in self._free if number is not None and row[column] == number]
            if not rows:
                continue
            if len(rows) == 1 and self._is_surely(line.values, rows[0], column):
                self._pair(line, rows[0])
            else:
                self._ask(line, column, NUMBER_OF_ANOTHER)

    def _is_surely(self, line: Mapping[str, Value], row: Kept, column: str) -> bool:
        """A number decides unless all else speaks against it, or speaks for somebody else of the household."""
        if column == "insurance_no" and None not in (line.get("citizen_id"), row["citizen_id"]):
            return line.get("citizen_id") == row["citizen_id"]
        others = (each for each in self._free if each is not row)
        if any(_is_called(line, each) and _born_exactly(line, each) for each in others) and not _is_called(line, row):
            return False
        return name_key(str(line["full_name"])) == name_key(str(row["full_name"])) or _born_alike(line, row)

    def _by_person(self, is_born: Callable[[Mapping[str, Value], Kept], bool]) -> None:
        """Pairs of which each is the other's only candidate."""
        called: defaultdict[tuple[str, Value], list[Kept]] = defaultdict(list)
        for row in self._free:
            called[_called(row)].append(row)
        asking: defaultdict[tuple[str, Value], list[PersonLine]] = defaultdict(list)
        for line in self._open:
            asking[_called(line.values)].append(line)
        for name, lines in asking.items():
            for line in lines:
                rows = [row for row in called[name] if is_born(line.values, row)]
                if len(rows) == 1 and sum(is_born(each.values, rows[0]) for each in lines) == 1:
                    self._pair(line, rows[0])

    def _judge_rest(self, line: PersonLine) -> None:
        """Somebody new, unless somebody of the household whom the file does not name may be meant."""
        values = line.values
        if any(_is_called(values, row) and _born_alike(values, row) for row in self._free):
            self._ask(line, "full_name", SEVERAL)
        elif any(_is_half(values, row) or _stands_at(values, row) for row in self._free):
            self._ask(line, "full_name", WHO)
        else:
            self._result.new.append(line)

    def _check_places(self) -> None:
        """Nobody takes the line number of somebody who keeps it."""
        for line, row in self._result.pairs:
            if line.values["line_no"] != row["line_no"] and any(_stands_at(line.values, each) for each in self._free):
                self._ask(line, "line_no", WHO)

    def _check_elsewhere(self, elsewhere: Mapping[str, Collection[Value]]) -> None:
        kept = {id(line): row for line, row in self._result.pairs}
        for line in (*kept_lines(self._result), *self._result.new):
            for column in IDENTITIES:
                number, row = line.values.get(column), kept.get(id(line))
                if number is None or (row is not None and row[column] == number):
                    continue
                if number in elsewhere.get(column, ()):
                    self._ask(line, column, IN_ANOTHER_HOUSEHOLD)
                elif row is not None and row[column] is not None:
                    self._result.notes.append((line.line, column, NUMBER_REPLACED))

    def _pair(self, line: PersonLine, row: Kept) -> None:
        self._open.remove(line)
        self._free = [each for each in self._free if each is not row]
        self._result.pairs.append((line, row))

    def _ask(self, line: PersonLine, column: str, words: tuple[str, str]) -> None:
        if line in self._open:
            self._open = [each for each in self._open if each is not line]
        self._result.questions.append((line.line, column, words))


def kept_lines(found: Matched) -> list[PersonLine]:
    """The rows of the file that are somebody of the register."""
    return [line for line, _ in found.pairs]


def _called(values: Mapping[str, Value]) -> tuple[str, Value]:
    return name_key(str(values["full_name"])), values["sex"]


def _is_called(line: Mapping[str, Value], row: Kept) -> bool:
    return _called(line) == _called(row)


def _born_exactly(line: Mapping[str, Value], row: Kept) -> bool:
    return (line["birth_date"], line["birth_precision"]) == (row["birth_date"], row["birth_precision"])


def _born_alike(line: Mapping[str, Value], row: Kept) -> bool:
    """Whether both dates may be one, as far as the less precise says."""
    known = min(PRECISION_CHARS[str(each["birth_precision"])] for each in (line, row))
    return str(line["birth_date"])[:known] == str(row["birth_date"])[:known]


def _is_half(line: Mapping[str, Value], row: Kept) -> bool:
    """Of one name, or of one birthday: a slip of the pen may be all that is between them."""
    is_born = _born_exactly(line, row) and line["birth_precision"] == "d"
    return _is_called(line, row) or (is_born and line["sex"] == row["sex"])


def _stands_at(line: Mapping[str, Value], row: Kept) -> bool:
    """Who has died or gone keeps no place."""
    return line["line_no"] == row["line_no"] and row["residence"] not in GONE
