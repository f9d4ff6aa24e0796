"""What a list of units says otherwise than the tables: names, units above, what went where.

Enters: a conversion that was read, the rows that are here. Leaves: what to change, each change with its old and new
value, and what is refused. Must hold: the rules that hold inside one file hold across imports; a unit that a node
keeps, or has below it, is never hung elsewhere by a file; what came later than the reform stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from syncd.inputs.problem import Problem, Severity
from syncd.inputs.unit_file import Conversion, Level, Operation, Succession, UnitFact, UnitKey
from syncd.language import Both
from syncd.store.base import Tx

COLUMN_WORDS = {
    "name": Both("tên", "name"), "parent_id": Both("cấp trên", "unit above"),
    "operation": Both("kế thừa", "succession"),
    "scope_note": Both("ghi chú", "note"), "decision_no": Both("quyết định", "decision"),
    "effective_on": Both("ngày hiệu lực", "in force from"),
}  # fmt: skip
RULES = {
    "kept_above": (
        "{name} ({code}): không đổi cấp trên vì máy của đơn vị này hoặc của đơn vị dưới nó đang giữ sổ; "
        "giao lại các máy đó trước",
        "{name} ({code}): its unit above stays as it is, because a node keeps this unit or one below it; "
        "hand those nodes over first",
    ),
    "later": (
        "{name} ({code}): đã đổi tên hoặc loại hình sau đó; giữ tên hiện tại",
        "{name} ({code}): was renamed or reclassified later; its present name stays",
    ),
    "own": (
        "{name} ({code}) là đơn vị của máy này; giữ tên hiện tại",
        "{name} ({code}) is this node's own unit; its present name stays",
    ),
    "whole": (
        "đơn vị cũ {code}: theo dữ liệu đã nhập, dân số đã về {known}; dòng này trái với điều đó nên không được nhập; "
        "nếu lần nhập trước sai, xóa dòng {id} của bảng unit_change rồi nhập lại",
        "old unit {code}: by what was imported before, its people went to {known}; this line contradicts it and is not "
        "taken; if the earlier import was wrong, delete row {id} of unit_change and import again",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRow:
    """A row of `unit` as it is here."""

    id: str
    parent_id: str | None
    level: str
    code: str
    name: str
    valid_from: str | None
    valid_to: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A row of `unit_change` as it is here."""

    id: str
    old_unit_id: str
    new_unit_id: str
    operation: str
    scope_note: str | None
    decision_no: str | None
    effective_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One value that a file changes. `old`, `new`: as people read them; `value`: what is written."""

    table: str
    row_id: str
    column: str
    unit: str
    old: str | None
    new: str | None
    value: str | None

    def text(self, language: str) -> str:
        """One line for the operator in `vi` or `en`."""
        word = COLUMN_WORDS[self.column][("vi", "en").index(language)]
        return f"{self.unit}: {word}: {self.old or '–'} → {self.new or '–'}"


@dataclass(slots=True, kw_only=True)
class Corrections:
    changed: list[Correction] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, rule: str, line: int, column: str, severity: Severity = Severity.ERROR, **words: object) -> None:
        vi, en = (text.format(**words) for text in RULES[rule])
        self.problems.append(
            Problem(line=line, column=column, rule=rule, text_vi=vi, text_en=en, severity=severity)
        )  # fmt: skip


def unit_rows(tx: Tx) -> dict[str, UnitRow]:
    rows = tx.all("SELECT id, parent_id, level, code, name, valid_from, valid_to FROM unit")
    return {row[0]: UnitRow(**dict(zip(UnitRow.__slots__, row, strict=True))) for row in rows}


def change_rows(tx: Tx) -> list[ChangeRow]:
    rows = tx.all(
        "SELECT id, old_unit_id, new_unit_id, operation, scope_note, decision_no, effective_on FROM unit_change"
        " ORDER BY id"
    )
    return [ChangeRow(**dict(zip(ChangeRow.__slots__, row, strict=True))) for row in rows]


def write(tx: Tx, corrections: Iterable[Correction]) -> None:
    """Carry corrections out, one statement per table and column."""
    by_column: defaultdict[tuple[str, str], list[tuple[str | None, str]]] = defaultdict(list)
    for each in corrections:
        by_column[each.table, each.column].append((each.value, each.row_id))
    for (table, column), values in by_column.items():
        tx.many(f"UPDATE {table} SET {column} = ? WHERE id = ?", values)


def correct_units(
    tx: Tx, conversion: Conversion, ids: Mapping[UnitKey, str], known: Mapping[str, UnitRow], own: str | None,
    changes: Sequence[ChangeRow],
) -> Corrections:  # fmt: skip
    """Names and units above of the units that are here already."""
    found = Corrections()
    later = {row.old_unit_id for row in changes if row.old_unit_id == row.new_unit_id}
    kept = _kept_and_above(tx, known)
    names = {row.id: row.name for row in known.values()}
    for fact in conversion.units:
        # A name that is refused stays what it is: nobody reads of a unit that exists nowhere.
        row = known.get(ids[fact.key])
        if row is None:
            names[ids[fact.key]] = fact.name
        elif _correct_name(found, fact, row, later, own):
            names[row.id] = fact.name
    for fact in conversion.units:
        row = known.get(ids[fact.key])
        if row is None:
            continue
        parent = ids[fact.parent] if fact.parent is not None and fact.key.level is not Level.PROVINCE else None
        if parent is None or parent == row.parent_id or row.id == own:
            continue
        if row.id in kept:
            found.refuse("kept_above", fact.line, "parent", name=fact.name, code=fact.key.code)
            continue
        above = known.get(row.parent_id or "")
        found.changed.append(Correction(
            table="unit", row_id=row.id, column="parent_id", unit=f"{row.code} {row.name}",
            old=None if above is None else above.name, new=names.get(parent), value=parent,
        ))  # fmt: skip
    return found


def _correct_name(found: Corrections, fact: UnitFact, row: UnitRow, later: set[str], own: str | None) -> bool:
    """Whether its name is changed."""
    if not fact.is_named or fact.name == row.name:
        return False
    if row.id == own or row.id in later:
        rule = "own" if row.id == own else "later"
        found.refuse(rule, fact.line, "name", Severity.NOTE, name=fact.name, code=row.code)
        return False
    found.changed.append(Correction(
        table="unit", row_id=row.id, column="name", unit=f"{row.code} {row.name}", old=row.name, new=fact.name,
        value=fact.name,
    ))  # fmt: skip
    return True


def _kept_and_above(tx: Tx, known: Mapping[str, UnitRow]) -> set[str]:
    """Units that a node keeps or stands for, and all above them: what hangs below them would change its way."""
    found: set[str] = set()
    for (unit_id,) in tx.all("SELECT unit_id FROM syncd_keeper UNION SELECT unit_id FROM node"):
        current: str | None = unit_id
        while current is not None and current not in found:
            found.add(current)
            current = known[current].parent_id if current in known else None
    return found


def settle_successions(
    successions: Sequence[Succession], ids: Mapping[UnitKey, str], known: Mapping[str, UnitRow],
    changes: Sequence[ChangeRow],
) -> tuple[list[Succession], Corrections]:  # fmt: skip
    """(what to add, what to correct and refuse). All people of a unit go to one successor, whoever said so when."""
    found = Corrections()
    kept: defaultdict[str, dict[str, ChangeRow]] = defaultdict(dict)
    for row in changes:
        if row.old_unit_id != row.new_unit_id:
            kept[row.old_unit_id][row.new_unit_id] = row
    of_old: defaultdict[str, list[Succession]] = defaultdict(list)
    for item in once(successions):
        of_old[ids[item.old]].append(item)
    added: list[Succession] = []
    for old, items in of_old.items():
        before = kept[old]
        people = {new: row.operation for new, row in before.items()} | {ids[each.new]: each.operation for each in items}
        people = {new: operation for new, operation in people.items() if operation != Operation.LAND}
        contradicted = [new for new in people if new in before and new not in {ids[each.new] for each in items}]
        if len(people) > 1 and Operation.WHOLE in people.values() and contradicted:
            _refuse_people(found, items, before, contradicted[0], known, ids)
            continue
        for item in items:
            there = before.get(ids[item.new])
            if there is None:
                added.append(item)
            else:
                _correct_succession(found, item, there)
    return added, found


def once(successions: Sequence[Succession]) -> list[Succession]:
    """One line for each pair of units: of two, the one that says where the people went."""
    pairs: dict[tuple[UnitKey, UnitKey], Succession] = {}
    for item in successions:
        pair = (item.old, item.new)
        if pair not in pairs or pairs[pair].operation is Operation.LAND:
            pairs[pair] = item
    return list(pairs.values())


def _refuse_people(
    found: Corrections, items: Sequence[Succession], before: Mapping[str, ChangeRow], contradicted: str,
    known: Mapping[str, UnitRow], ids: Mapping[UnitKey, str],
) -> None:  # fmt: skip
    there = known.get(contradicted)
    name = f"{there.code} {there.name}" if there else contradicted
    for item in items:
        row = before.get(ids[item.new])
        if row is not None and row.operation == item.operation:
            continue
        found.refuse("whole", item.line, "scope_note", code=item.old.code, known=name, id=before[contradicted].id)


def _correct_succession(found: Corrections, item: Succession, row: ChangeRow) -> None:
    unit = f"{item.old.code} → {item.new.code}"
    for column, old, new in (
        ("operation", row.operation, str(item.operation)), ("scope_note", row.scope_note, item.scope_note),
    ):  # fmt: skip
        if old != new:
            found.changed.append(Correction(
                table="unit_change", row_id=row.id, column=column, unit=unit, old=old, new=new, value=new,
            ))  # fmt: skip
