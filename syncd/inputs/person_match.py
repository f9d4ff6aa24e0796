"""Which person of the register each row of a file is: by citizen id, insurance number, or name with birth date and sex.

Enters: the rows of one household in the file, the persons kept of it, and who else in the unit bears their numbers.
Leaves: pairs, new persons, and questions. Must hold: a place in the household makes nobody somebody else; what speaks
for two persons, or for nobody surely, is a question to a person, and then nothing of the household is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from schema.values import Value
from syncd.inputs.person_file import PersonLine
from syncd.inputs.person_survey import IDENTITIES
from syncd.inputs.spelling import PLACE_KEPT, has_lost_marks, why_kept
from syncd.inputs.text import clean, name_key, plain

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
OF_ANOTHER_HERE = (
    "trong sổ, một người khác của hộ này cũng giữ số này: sửa tệp hoặc sửa sổ trước",
    "somebody else of this household keeps this number in the register: correct the file, or the register first",
)
# rule, and its wording
NUMBER_REPLACED = (
    "number_replaced",
    "số trong sổ khác với tệp; đã lấy số trong tệp",
    "the register had another number; that of the file was taken",
)
CHANGED = (
    "person_changed",
    "nhận ra theo số; trong sổ ghi khác, đã lấy theo tệp",
    "told by the number; the register said otherwise, what the file says was taken",
)
BIRTH_KEPT = (
    "birth_kept",
    "trong sổ ghi ngày sinh đầy đủ hơn và không trái với tệp; giữ ngày trong sổ",
    "the register knows the birth date better, and the file does not deny it; that of the register is kept",
)
FIRST_DAY = (
    "first_day",
    "trong sổ chỉ biết năm hoặc tháng sinh, tệp ghi ngày đầu của năm hoặc tháng đó; giữ như sổ (nếu sinh đúng ngày đó "
    "thì sửa trong sổ)",
    "the register knows the year or month of birth alone, and the file gives its first day; the register stays (if it "
    "is the true day, correct the register)",
)
GONE_HERE = (
    "theo sổ người này đã mất hoặc đã đi khỏi, tệp ghi khác: nếu tệp mới đúng thì sửa tình trạng cư trú trong sổ "
    "trước; nếu không thì sửa tệp",
    "by the register this person has died or moved away, and the file says otherwise: if the file is right, change the "
    "residence in the register first; else correct the file",
)
GONE_NAMED = (
    "gone",
    "theo sổ người này đã mất hoặc đã đi khỏi; tệp vẫn nêu; giữ tình trạng trong sổ",
    "by the register this person has died or moved away, and the file names them still; the register's residence stays",
)


@dataclass(slots=True, kw_only=True)
class Matched:
    """`pairs`: (row of the file, without what the register knows better; person kept). `questions`: (line, column,
    wording). `notes`: the same, with the rule before the wording.
    """

    pairs: list[tuple[PersonLine, Kept]] = field(default_factory=list)
    new: list[PersonLine] = field(default_factory=list)
    questions: list[tuple[int, str, tuple[str, str]]] = field(default_factory=list)
    notes: list[tuple[int, str, tuple[str, str, str]]] = field(default_factory=list)


def match(lines: Sequence[PersonLine], kept: Iterable[Kept], elsewhere: Mapping[str, Collection[Value]]) -> Matched:
    """`elsewhere`: column → numbers of these rows that persons of other households of the unit bear."""
    return _Matching(lines, kept).matched(elsewhere)


class _Matching:
    def __init__(self, lines: Sequence[PersonLine], kept: Iterable[Kept]) -> None:
        self._open = list(lines)
        self._kept = list(kept)
        self._free = list(self._kept)
        self._result = Matched()

    def matched(self, elsewhere: Mapping[str, Collection[Value]]) -> Matched:
        for column in IDENTITIES:
            self._by_number(column)
        self._by_person(lambda line, row: _born_exactly(line, row) and line["line_no"] == row["line_no"])
        self._by_person(_born_exactly)
        self._by_person(_born_alike)
        self._by_bare_name()
        for line in list(self._open):
            self._judge_rest(line)
        self._check_places()
        self._check_elsewhere(elsewhere)
        self._check_gone()
        self._result.pairs = [(self._without_known_better(line, row), row) for line, row in self._result.pairs]
        return self._result

    def _by_number(self, column: str) -> None:
        for line in list(self._open):
            number = line.values.get(column)
            rows = [row for row in self._free if number is not None and row[column] == number]
            if not rows:
                continue
            if len(rows) == 1 and self._is_surely(line.values, rows[0], column):
                self._pair(line, rows[0])
                self._note_changes(line, rows[0])
            else:
                self._ask(line, column, NUMBER_OF_ANOTHER)

    def _is_surely(self, line: Mapping[str, Value], row: Kept, column: str) -> bool:
        """A number decides unless all else speaks against it, or speaks for somebody else of the household."""
        if column == "insurance_no" and None not in (line.get("citizen_id"), row["citizen_id"]):
            return line.get("citizen_id") == row["citizen_id"]
        others = (each for each in self._free if each is not row)
        if any(_is_called(line, each) and _born_exactly(line, each) for each in others) and not _is_called(line, row):
            return False
        if _is_called(line, row):
            return True
        if any(_is_called(each.values, row) and _born_alike(each.values, row) for each in self._open):
            return False
        is_named = name_key(str(line["full_name"])) == name_key(str(row["full_name"]))
        return is_named or (_born_alike(line, row) and (_is_same_day(line, row) or _is_called_alike(line, row)))

    def _note_changes(self, line: PersonLine, row: Kept) -> None:
        differing = [name for name in ("full_name", "sex") if line.values[name] != row[name]]
        if name_key(str(line.values["full_name"])) == name_key(str(row["full_name"])) or _is_bare(line.values, row):
            differing = [name for name in differing if name != "full_name"]
        if not _born_alike(line.values, row):
            differing.append("birth_date")
        self._result.notes += [(line.line, name, CHANGED) for name in differing]

    def _without_known_better(self, line: PersonLine, row: Kept) -> PersonLine:
        """The row without a birth date or a name of which the register knows more."""
        known: set[str] = set()
        if _precision(line.values) < _precision(row) and _born_alike(line.values, row):
            known |= {"birth_date", "birth_precision"}
            self._result.notes.append((line.line, "birth_date", BIRTH_KEPT))
        elif _is_first_day(line.values, row):
            known |= {"birth_date", "birth_precision"}
            self._result.notes.append((line.line, "birth_date", FIRST_DAY))
        reason = why_kept(str(line.values["full_name"]), str(row["full_name"]))
        if reason is not None:
            known.add("full_name")
        if reason is not None and reason is not PLACE_KEPT:
            self._result.notes.append((line.line, "full_name", reason))
        if not known:
            return line
        return replace(line, values={name: value for name, value in line.values.items() if name not in known})

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

    def _by_bare_name(self) -> None:
        """A list that has lost all its marks names the same persons, where day and sex are theirs and nobody else's."""
        for line in list(self._open):
            rows = [row for row in self._free if _is_bare_twin(line.values, row)]
            if len(rows) == 1 and sum(_is_bare_twin(each.values, rows[0]) for each in self._open) == 1:
                self._pair(line, rows[0])

    def _check_gone(self) -> None:
        """Nobody comes to life, or back, by a list: it may be older than what happened."""
        for line, row in self._result.pairs:
            told = line.values.get("residence")
            if row["residence"] not in GONE or told == row["residence"] or told == "deceased":
                continue
            if told is None:
                self._result.notes.append((line.line, "residence", GONE_NAMED))
            else:
                self._ask(line, "residence", GONE_HERE)

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
                elif any(each is not row and self._number_then(each, column) == number for each in self._kept):
                    self._ask(line, column, OF_ANOTHER_HERE)
                elif row is not None and row[column] is not None:
                    self._result.notes.append((line.line, column, NUMBER_REPLACED))

    def _number_then(self, row: Kept, column: str) -> Value:
        """What somebody of the household bears once the file is imported."""
        named = next((line.values.get(column) for line, each in self._result.pairs if each is row), None)
        return row[column] if named is None else named

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
    known = min(_precision(line), _precision(row))
    return str(line["birth_date"])[:known] == str(row["birth_date"])[:known]


def _precision(values: Mapping[str, Value]) -> int:
    return PRECISION_CHARS[str(values["birth_precision"])]


def _is_same_day(line: Mapping[str, Value], row: Kept) -> bool:
    return _born_exactly(line, row) and line["birth_precision"] == "d"


def _is_first_day(line: Mapping[str, Value], row: Kept) -> bool:
    """Whether a file gives as a day what programs write for a year or month: a copy of the register has it so."""
    return line["birth_date"] == row["birth_date"] and _precision(line) > _precision(row)


def _is_called_alike(line: Mapping[str, Value], row: Kept) -> bool:
    """Of one sex, and of one family name or given name, whatever the tones: as a name is that was corrected."""
    one, other = (plain(str(each["full_name"])).split() for each in (line, row))
    return line["sex"] == row["sex"] and (one[:1] == other[:1] or one[-1:] == other[-1:])


def _is_bare(line: Mapping[str, Value], row: Kept) -> bool:
    """Whether the file writes the kept name without some of its marks."""
    name, kept = str(line["full_name"]), str(row["full_name"])
    return name_key(name) != name_key(kept) and has_lost_marks(name, kept)


def _is_wholly_bare(line: Mapping[str, Value], row: Kept) -> bool:
    """Whether the file writes the kept name without any mark."""
    return _is_bare(line, row) and plain(str(line["full_name"])) == clean(str(line["full_name"])).casefold()


def _is_bare_twin(line: Mapping[str, Value], row: Kept) -> bool:
    return line["sex"] == row["sex"] and _is_same_day(line, row) and _is_wholly_bare(line, row)


def _is_half(line: Mapping[str, Value], row: Kept) -> bool:
    """Of one name, whatever its marks, or of one birthday: a slip of the pen may be all that is between them."""
    if _is_called(line, row):
        return True
    is_alike = plain(str(line["full_name"])) == plain(str(row["full_name"])) and _born_alike(line, row)
    return line["sex"] == row["sex"] and (is_alike or _is_same_day(line, row))


def _stands_at(line: Mapping[str, Value], row: Kept) -> bool:
    """Who has died or gone keeps no place."""
    return line["line_no"] == row["line_no"] and row["residence"] not in GONE
