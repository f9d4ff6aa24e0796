"""Units that change their kind and keep code, place and people: a commune becomes a ward, a province a central city.

Enters: the lines of a list of decisions (`effective, decision, operation, unit_code, name, old_kind, new_kind,
province_code`), the units that are here, today. Leaves: new names, and one succession of a unit to itself that keeps
the old kind, the decision and its day. Must hold: identity does not change, so nobody hands anything over; a line is
believed only where code, name, kind and province fit one valid unit; nothing is guessed, and what is not in force yet
waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from syncd.errors import FileRefused
from syncd.inputs.cell import FAILED, CellError, visible
from syncd.inputs.cell_dates import read_partial_date
from syncd.inputs.limits import UNIT_CELL_CHARS_MAX, UNIT_LINES_MAX
from syncd.inputs.problem import Problem, ProblemList, Severity
from syncd.inputs.sheet import Sheet
from syncd.inputs.text import name_key
from syncd.inputs.unit_corrections import ChangeRow, Correction, UnitRow
from syncd.inputs.unit_file import Level, title_of
from syncd.inputs.unit_kind_chain import Chain, Step, kept_step, kind_of, without_kind
from syncd.language import say

COLUMNS = (
    "effective", "decision", "operation", "unit_code", "name", "old_kind", "new_kind", "province_code",
)  # fmt: skip
REQUIRED = ("effective", "decision", "operation", "name", "old_kind", "new_kind", "province_code")
RECLASSIFY = "reclassify"
KINDS: Mapping[str, tuple[str, ...]] = {
    Level.PROVINCE: ("Tỉnh", "Thành phố"),
    Level.DISTRICT: ("Huyện", "Quận", "Thị xã", "Thành phố"),
    Level.COMMUNE: ("Xã", "Phường", "Thị trấn", "Đặc khu"),
}
LEVEL_OF_DIGITS = {2: Level.PROVINCE, 3: Level.DISTRICT, 5: Level.COMMUNE}
RULES = {
    "required": ("ô trống", "the cell is empty"),
    "failed": ("ô là lỗi của bảng tính (#N/A): nhập lại giá trị",
               "the cell is a spreadsheet's error (#N/A): type the value"),
    "long": (f"ô dài hơn {UNIT_CELL_CHARS_MAX} ký tự", f"the cell holds more than {UNIT_CELL_CHARS_MAX} characters"),
    "operation": ("thao tác này không nhập được ở đây; chỉ có reclassify", "no such operation here; only reclassify"),
    "date": ("ngày hiệu lực không đọc được (dd/mm/yyyy hoặc yyyy-mm-dd)",
             "the day it takes force cannot be read (dd/mm/yyyy or yyyy-mm-dd)"),
    "not_yet": ("chưa đến ngày hiệu lực; nhập lại từ ngày đó", "not in force yet; import it again from that day on"),
    "digits": ("mã tỉnh có 2, mã huyện 3, mã xã 5 chữ số (giữ số 0 ở đầu)",
               "a province's code has 2 digits, a district's 3, a commune's 5 (leading zeros kept)"),
    "kind": ("loại hình cũ và mới phải khác nhau và cùng cấp (Xã, Phường, Thị trấn, Đặc khu; Tỉnh, Thành phố)",
             "old and new kind differ and are of one level (Xã, Phường, Thị trấn, Đặc khu; Tỉnh, Thành phố)"),
    "unknown_unit": ("không có đơn vị nào như vậy còn hiệu lực ở đây", "no such unit that is valid is here"),
    "not_valid": ("đơn vị này không có hiệu lực vào ngày ghi ở dòng này: xem lại ngày và mã",
                  "that unit is not valid on the day of this line: look at the day and the code"),
    "same_day": ("{name}: theo dữ liệu đã nhập, cùng ngày này quyết định {decision} đã đổi thành {kind}; dòng này "
                 "không được nhập; nếu lần nhập trước sai, xóa dòng {id} của bảng unit_change rồi nhập lại",
                 "{name}: by what was imported before, decision {decision} made it {kind} on this very day; the line "
                 "is not taken; if the earlier import was wrong, delete row {id} of unit_change and import again"),
    "kind_before": ("{name}: theo dữ liệu đã nhập, từ {day} là {kind}, không phải loại hình cũ ghi ở dòng này: xem "
                    "lại loại hình cũ và ngày",
                    "{name}: by what was imported before, it has been {kind} since {day}, not the old kind of this "
                    "line: look at the old kind and the day"),
    "kind_after": ("{name}: theo dữ liệu đã nhập, quyết định ngày {day} đổi từ {kind}, không phải từ loại hình mới ghi "
                   "ở dòng này: xem lại loại hình mới và ngày, hoặc sửa quyết định sau trước",
                   "{name}: by what was imported before, the decision of {day} changes it from {kind}, not from the "
                   "new kind of this line: look at the new kind and the day, or correct the later decision first"),
    "kind_here": ("{name} ở đây là {kind}, không phải loại hình cũ hay mới ghi ở dòng này",
                  "{name} is {kind} here, neither the old nor the new kind of this line"),
    "later": ("{name}: quyết định ngày {day} có sau dòng này; giữ loại hình hiện tại",
              "{name}: a decision of {day} is later than this line; its present kind stays"),
    "several": ("có nhiều đơn vị cùng tên: ghi mã đơn vị", "several units have this name: give the unit's code"),
    "name": ("đơn vị mang mã này có tên khác: {name}", "the unit of this code has another name: {name}"),
    "province": ("đơn vị {name} không thuộc tỉnh mang mã này", "{name} is not in the province of this code"),
    "twice": ("dòng {before} đã nói khác về đơn vị này: không dòng nào được nhập",
              "line {before} says otherwise about this unit: neither is taken"),
    "again": ("lặp lại dòng {before}; bỏ qua", "says line {before} again; passed over"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line that can be believed by itself."""

    line: int
    level: Level
    code: str
    name: str
    old_kind: str
    new_kind: str
    province: str
    decision_no: str
    effective_on: str

    @property
    def says(self) -> tuple[str, str, str, str]:
        return self.old_kind, self.new_kind, self.decision_no, self.effective_on

    @property
    def step(self) -> Step:
        return Step(
            effective_on=self.effective_on, old_kind=self.old_kind, new_kind=self.new_kind,
            decision_no=self.decision_no,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPlan:
    """`added`: (unit, what was decided) of successions that are not here yet."""

    lines: int
    changed: list[Correction]
    added: list[tuple[str, Decision]]
    problems: ProblemList


@dataclass(frozen=True, slots=True)
class Here:
    """The units that are here, as lines name them: by code, or by the name proper, whatever kind they have had."""

    known: Mapping[str, UnitRow]
    own: Mapping[str, Sequence[ChangeRow]]  # unit → its successions to itself
    by_code: dict[tuple[str, str], list[UnitRow]] = field(default_factory=dict)
    by_name: dict[tuple[str, str], list[UnitRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Mapping[str, UnitRow], own: Mapping[str, Sequence[ChangeRow]]) -> Here:
        here = cls(known, own)
        for row in known.values():
            here.by_code.setdefault((row.level, row.code), []).append(row)
            here.by_name.setdefault((row.level, _proper(row)), []).append(row)
        return here


def titles_in(cells: Sequence[str]) -> int:
    """How many columns of such a list a row names."""
    return len(set(COLUMNS) & {title_of(cell) for cell in cells})


def is_kind_list(lines: Sequence[str]) -> bool:
    """Whether lines are such a list rather than a conversion."""
    try:
        sheet = Sheet("", lines, titles_in)
    except FileRefused:
        return False
    return set(COLUMNS) <= {title_of(title) for title in sheet.titles}


def plan_kinds(
    lines: Iterable[str], known: Mapping[str, UnitRow], changes: Sequence[ChangeRow], today: str,
    province: str | None = None, name: str = "",
) -> KindPlan:  # fmt: skip
    """What a list changes here. `province`: only units of the province of this code. `name`: of the file."""
    problems = ProblemList()
    rows = [(line, cells) for line, cells in _rows(lines, problems, name) if province in (None, cells["province_code"])]
    decisions = [decision for line, cells in rows if (decision := _decision(line, cells, today, problems)) is not None]
    own: dict[str, list[ChangeRow]] = {}
    for row in changes:
        if row.old_unit_id == row.new_unit_id:
            own.setdefault(row.new_unit_id, []).append(row)
    here = Here.of(known, own)
    plan = KindPlan(lines=len(rows), changed=[], added=[], problems=problems)
    of_unit: dict[str, list[Decision]] = {}
    for decision in decisions:
        if (unit := _unit(decision, here, problems)) is not None:
            of_unit.setdefault(unit.id, []).append(decision)
    for unit_id, found in of_unit.items():
        _settle(plan, known[unit_id], own.get(unit_id, ()), list(_agreed(found, problems)))
    problems.kept.sort(key=lambda problem: problem.line)
    return plan


def _rows(lines: Iterable[str], problems: ProblemList, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    sheet = Sheet(name or say("tệp", "the file"), lines, titles_in)
    header = [title_of(title) for title in sheet.titles]
    is_empty = True
    for row in sheet.rows():
        is_empty = False
        if row.line > UNIT_LINES_MAX:
            raise FileRefused(
                say("tệp có hơn {most} dòng", "the file has more than {most} lines", most=UNIT_LINES_MAX),
                say("tách tệp", "split the file"),
            )
        cells = dict.fromkeys(header, "") | dict(zip(header, map(visible, row.cells), strict=False))
        wrong = [
            (name, "required" if not cells[name] else "failed" if FAILED.fullmatch(cells[name]) else "long")
            for name in (*REQUIRED, "unit_code")
            if (not cells[name] and name in REQUIRED) or FAILED.fullmatch(cells[name])
            or len(cells[name]) > UNIT_CELL_CHARS_MAX
        ]  # fmt: skip
        for name, rule in wrong:
            _say(problems, row.line, name, rule)
        if not wrong and list(cells) != list(map(title_of, cells.values())):
            yield row.line, cells
    if is_empty:
        raise sheet.no_rows()


def _decision(line: int, cells: Mapping[str, str], today: str, problems: ProblemList) -> Decision | None:
    level, code = _level(cells), cells["unit_code"]
    if cells["operation"].lower() != RECLASSIFY:
        _say(problems, line, "operation", "operation")
        return None
    if code and (not code.isascii() or not code.isdigit() or len(code) not in LEVEL_OF_DIGITS):
        _say(problems, line, "unit_code", "digits")
        return None
    kinds = [_kind(cells[name], level) for name in ("old_kind", "new_kind")]
    if level is None or None in kinds or kinds[0] == kinds[1]:
        _say(problems, line, "new_kind", "kind")
        return None
    try:
        day, precision = read_partial_date(cells["effective"])
    except CellError:
        day, precision = "", ""
    if precision != "d":
        _say(problems, line, "effective", "date")
        return None
    if day > today:
        _say(problems, line, "effective", "not_yet")
        return None
    return Decision(
        line=line, level=level, code=code, name=cells["name"], old_kind=str(kinds[0]), new_kind=str(kinds[1]),
        province=cells["province_code"], decision_no=cells["decision"], effective_on=day,
    )  # fmt: skip


def _level(cells: Mapping[str, str]) -> Level | None:
    """By the code; without one, by kinds that only one level has."""
    if cells["unit_code"]:
        return LEVEL_OF_DIGITS.get(len(cells["unit_code"]))
    fitting = [level for level in Level if all(_kind(cells[name], level) for name in ("old_kind", "new_kind"))]
    return fitting[0] if len(fitting) == 1 else None


def _kind(text: str, level: Level | None) -> str | None:
    kinds = KINDS[level] if level is not None else ()
    return next((kind for kind in kinds if name_key(kind) == name_key(text)), None)


def _unit(decision: Decision, here: Here, problems: ProblemList) -> UnitRow | None:
    """The one valid unit a line means."""
    named = here.by_code.get((decision.level, decision.code), []) if decision.code else [
        row for row in here.by_name.get((decision.level, name_key(decision.name)), ())
        if _province(row, here.known) == decision.province and _may_have_been(row, decision, here)
    ]  # fmt: skip
    found = [
        row for row in named
        if (row.valid_from or "") <= decision.effective_on
        and (row.valid_to is None or decision.effective_on < row.valid_to)
    ]  # fmt: skip
    if len(found) != 1:
        rule = "several" if found else "not_valid" if named else "unknown_unit"
        _say(problems, decision.line, "unit_code", rule)
        return None
    if _proper(found[0]) != name_key(decision.name):
        _say(problems, decision.line, "name", "name", name=found[0].name)
        return None
    if _province(found[0], here.known) != decision.province:
        _say(problems, decision.line, "province_code", "province", name=found[0].name)
        return None
    return found[0]


def _proper(row: UnitRow) -> str:
    """What spellings of a unit's name share, without its kind."""
    return name_key(without_kind(row.name, _kinds(row)))


def _kinds(row: UnitRow) -> tuple[str, ...]:
    return KINDS.get(row.level, ())


def _may_have_been(row: UnitRow, decision: Decision, here: Here) -> bool:
    """Whether a unit is or was of one of the kinds a line names: units of two kinds may share their name."""
    had = {kind_of(row.name, _kinds(row))}
    for step in map(kept_step, here.own.get(row.id, ())):
        had |= {step.old_kind, step.new_kind} if step else set()
    return bool(had & {decision.old_kind, decision.new_kind})


def _province(row: UnitRow, known: Mapping[str, UnitRow]) -> str | None:
    """The code of the province a unit is or lies in."""
    seen: set[str] = set()
    current: UnitRow | None = row
    while current is not None and current.level != Level.PROVINCE and current.id not in seen:
        seen.add(current.id)
        current = known.get(current.parent_id or "")
    return current.code if current is not None else None


def _agreed(found: Sequence[Decision], problems: ProblemList) -> Iterator[Decision]:
    """Of the lines about one unit, by their days: lines that say the same are one; of a day or a decision about which
    they contradict each other, none.
    """
    said: dict[int, Decision] = {}
    refused: set[int] = set()
    for decision in found:
        before = next((each for each in said.values() if _is_about_the_same(each, decision)), None)
        if before is None:
            said[decision.line] = decision
        elif before.says == decision.says:
            _say(problems, decision.line, "name", "again", before=before.line)
        else:
            _say(problems, decision.line, "name", "twice", before=before.line)
            refused.add(before.line)
    yield from sorted(
        (each for line, each in said.items() if line not in refused), key=lambda each: each.effective_on
    )  # fmt: skip


def _is_about_the_same(one: Decision, other: Decision) -> bool:
    return one.effective_on == other.effective_on or one.decision_no == other.decision_no


def _settle(plan: KindPlan, unit: UnitRow, kept: Sequence[ChangeRow], decisions: Sequence[Decision]) -> None:
    """What the lines about one unit change of its decisions and, where none is later, of its name."""
    kind = kind_of(unit.name, _kinds(unit)) or ""
    chain = Chain.of(kind, kept)
    taken: list[Decision] = []
    for decision in decisions:
        step, rule, words = chain.take(decision.step)
        if step is None:
            _say(plan.problems, decision.line, "old_kind" if rule == "kind_before" else "new_kind", rule,
                 name=unit.name, **words)  # fmt: skip
            continue
        taken.append(decision)
        _correct(plan, decision, unit, step.row)
    if not taken:
        return
    last = chain.steps[-1]
    if last.effective_on != taken[-1].effective_on:
        _say(plan.problems, taken[-1].line, "new_kind", "later", name=unit.name, day=last.effective_on)
    elif name_key(last.new_kind) != name_key(kind):
        # The spelling of the name itself stays as it is here.
        name = f"{last.new_kind} {without_kind(unit.name, _kinds(unit))}"
        plan.changed.append(_correction("unit", unit.id, "name", unit, unit.name, name))


def _correct(plan: KindPlan, decision: Decision, unit: UnitRow, kept: ChangeRow | None) -> None:
    if kept is None:
        plan.added.append((unit.id, decision))
        return
    for column, old, new in (
        ("scope_note", kept.scope_note, decision.step.scope_note),
        ("decision_no", kept.decision_no, decision.decision_no),
        ("effective_on", kept.effective_on, decision.effective_on),
    ):
        if old != new:
            plan.changed.append(_correction("unit_change", kept.id, column, unit, old, new))


def _correction(table: str, row_id: str, column: str, unit: UnitRow, old: str | None, new: str) -> Correction:
    return Correction(
        table=table, row_id=row_id, column=column, unit=f"{unit.code} {unit.name}", old=old, new=new, value=new
    )


def _say(problems: ProblemList, line: int, column: str, rule: str, **words: object) -> None:
    vi, en = (text.format(**words) for text in RULES[rule])
    severity = Severity.NOTE if rule in ("again", "not_yet", "later") else Severity.ERROR
    problems.add(Problem(line=line, column=column, rule=rule, text_vi=vi, text_en=en, severity=severity))
