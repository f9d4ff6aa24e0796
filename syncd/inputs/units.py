"""Administrative units and their successions into the tables `unit` and `unit_change`, at the root.

Enters: the official conversion (`unit_file.py`), a list of units that changed their kind (`unit_kinds.py`), or a short
list of units. Leaves: units with validity dates, successions.
Must hold: importing again changes nothing; a unit is found by level, code and validity, never by code alone; a
corrected file changes what it corrects (`unit_corrections.py`), and every change and refusal is reported.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import islice
from random import Random

from schema.population import UNIT, UNIT_CHANGE
from schema.spec import Table, Type
from syncd.clock import Clock, day_of
from syncd.errors import PermissionDenied, UsageError
from syncd.inputs.limits import UNIT_LINES_MAX
from syncd.inputs.mint import mint, tag_of_node
from syncd.inputs.problem import Problem, ProblemList
from syncd.inputs.text import clean
from syncd.inputs.unit_corrections import (
    Correction,
    change_rows,
    correct_units,
    once,
    settle_successions,
    unit_rows,
    write,
)
from syncd.inputs.unit_file import Conversion, Era, Level, Operation, UnitFact, UnitKey, read_conversion
from syncd.inputs.unit_kinds import is_kind_list, plan_kinds
from syncd.language import say
from syncd.store.base import Row, Store, Tx
from syncd.store.patience import again

EFFECTIVE_ON = "2025-07-01"
UNIT_NAMES = ("id", "parent_id", "level", "code", "name", "valid_from", "valid_to")
UNIT_TYPES = (Type.UUID, Type.UUID, Type.TEXT, Type.TEXT, Type.TEXT, Type.DATE, Type.DATE)
CHANGE_NAMES = ("id", "old_unit_id", "new_unit_id", "operation", "scope_note", "decision_no", "effective_on")
CHANGE_TYPES = (Type.UUID, Type.UUID, Type.UUID, Type.TEXT, Type.TEXT, Type.TEXT, Type.DATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitImport:
    """What the file holds, what was new here, and what is wrong with the file."""

    lines: int
    new_communes: int
    old_communes: int
    old_districts: int
    new_provinces: int
    old_provinces: int
    successions: int
    units_added: int
    changes_added: int
    problems: ProblemList
    corrected: tuple[Correction, ...] = ()  # values of rows that were here
    is_conversion: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRow:
    """One unit of a short list; its parent is named by level and code, empty for the top."""

    level: str
    code: str
    name: str
    parent_level: str
    parent_code: str
    valid_from: str | None
    valid_to: str | None


def import_units(
    store: Store, lines: Iterable[str], *, clock: Clock, random: Random, province: str | None = None, name: str = ""
) -> UnitImport:
    """Import a list in one transaction. `province`: only what went into the new province of this code. `name`: of
    the file, as errors say it.

    Raises FileRefused for a file that is no such list, PermissionDenied elsewhere than at the root.
    """
    read = _read(lines, province, name)

    def work() -> UnitImport:
        with store.write("import") as tx:
            plan, report = read(tx, clock(), random)
            _copy(tx, UNIT, UNIT_NAMES, UNIT_TYPES, plan.units)
            _copy(tx, UNIT_CHANGE, CHANGE_NAMES, CHANGE_TYPES, plan.changes)
            write(tx, plan.corrected)
        return report

    return again(work)


def preview_units(
    store: Store, lines: Iterable[str], *, clock: Clock, random: Random, province: str | None = None, name: str = ""
) -> UnitImport:
    """What `import_units` would do now; writes nothing."""
    read = _read(lines, province, name)
    with store.read() as tx:
        return read(tx, clock(), random)[1]


def _read(
    lines: Iterable[str], province: str | None, name: str
) -> Callable[[Tx, int, Random], tuple[_Plan, UnitImport]]:  # fmt: skip
    """What to ask of the tables once a list is read: by its titles, which of the two kinds it is."""
    held = list(islice(lines, UNIT_LINES_MAX + 1))
    if is_kind_list(held):
        return lambda tx, time_ms, random: _plan_kinds(tx, held, province, name, time_ms, random)
    conversion = read_conversion(held, province, name)

    def plan(tx: Tx, time_ms: int, random: Random) -> tuple[_Plan, UnitImport]:
        made = _plan(tx, conversion, time_ms, random)
        return made, _report(conversion, made)

    return plan


def load_units(tx: Tx, rows: Sequence[UnitRow], *, time_ms: int, random: Random) -> dict[tuple[str, str], str]:
    """Create the units of a list that are not there yet, parents before children; returns ids by (level, code).

    The node's own unit stands for the row of its level and code. Raises UsageError for a parent not listed before.
    """
    known = {(level, code, start, end): unit_id for unit_id, level, code, start, end in _existing(tx)}
    own = _own_unit(tx)
    minted = iter(mint(len(rows), tag_of_node(tx), time_ms, random))
    ids: dict[tuple[str, str], str] = {}
    added = []
    for row in rows:
        key = (row.level, row.code)
        found = known.get((*key, row.valid_from, row.valid_to)) or (
            own.unit_id if own and (own.level, own.code) == key else None
        )
        ids[key] = found or next(minted)
        if found is None:
            parent = _listed_parent(row, ids)
            added.append((ids[key], parent, row.level, row.code, row.name, row.valid_from, row.valid_to))
    _copy(tx, UNIT, UNIT_NAMES, UNIT_TYPES, added)
    return ids


def demo_unit_rows() -> list[UnitRow]:
    """The extract that ships with the package: real units of Hà Tĩnh before 2025-07-01."""
    text = files("syncd").joinpath("data/demo_units.csv").read_text(encoding="utf-8")
    return read_unit_rows(text.splitlines())


def read_unit_rows(lines: Iterable[str]) -> list[UnitRow]:
    """Rows of a CSV with the fields of `UnitRow` as header; lines that begin with # are comments."""
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [
        UnitRow(
            level=row["level"], code=row["code"], name=clean(row["name"]), parent_level=row["parent_level"],
            parent_code=row["parent_code"], valid_from=row["valid_from"] or None, valid_to=row["valid_to"] or None,
        )
        for row in reader
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Rows that are missing here, in the order of the columns above; what others say otherwise, and what is refused."""

    units: list[tuple[str | None, ...]]
    changes: list[tuple[str | None, ...]]
    corrected: list[Correction] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _plan(tx: Tx, conversion: Conversion, time_ms: int, random: Random) -> _Plan:
    _require_root(tx)
    own = _own_unit(tx)
    ids = _known_ids(tx, own)
    facts = [fact for fact in conversion.units if fact.key not in ids]
    minted = mint(len(facts), tag_of_node(tx), time_ms, random)
    ids |= {fact.key: unit_id for fact, unit_id in zip(facts, minted, strict=True)}
    tops = _tops(tx, conversion, own)
    units = [_unit_values(fact, ids, tops.get(fact.key)) for fact in facts]
    known, before = unit_rows(tx), change_rows(tx)
    corrections = correct_units(tx, conversion, ids, known, own.unit_id if own else None, before)
    missing, settled = settle_successions(conversion.successions, ids, known, before)
    changes: list[tuple[str | None, ...]] = [
        (change_id, ids[item.old], ids[item.new], item.operation, item.scope_note, None, EFFECTIVE_ON)
        for change_id, item in zip(mint(len(missing), tag_of_node(tx), time_ms, random), missing, strict=True)
    ]
    return _Plan(
        units=units, changes=changes, corrected=corrections.changed + settled.changed,
        problems=corrections.problems + settled.problems,
    )  # fmt: skip


def _plan_kinds(
    tx: Tx, lines: Sequence[str], province: str | None, name: str, time_ms: int, random: Random
) -> tuple[_Plan, UnitImport]:
    """The plan of a list of decisions that change kinds."""
    _require_root(tx)
    found = plan_kinds(lines, unit_rows(tx), change_rows(tx), day_of(time_ms), province, name)
    minted = mint(len(found.added), tag_of_node(tx), time_ms, random)
    changes: list[tuple[str | None, ...]] = [
        (change_id, unit_id, unit_id, Operation.WHOLE, each.step.scope_note, each.decision_no, each.effective_on)
        for change_id, (unit_id, each) in zip(minted, found.added, strict=True)
    ]
    plan = _Plan(units=[], changes=changes, corrected=found.changed)
    return plan, UnitImport(
        lines=found.lines, new_communes=0, old_communes=0, old_districts=0, new_provinces=0, old_provinces=0,
        successions=len(found.added), units_added=0, changes_added=len(changes), problems=found.problems,
        corrected=tuple(found.changed), is_conversion=False,
    )  # fmt: skip


def _unit_values(fact: UnitFact, ids: Mapping[UnitKey, str], top: str | None) -> tuple[str | None, ...]:
    key = fact.key
    parent = ids[fact.parent] if fact.parent else top
    dates = (None, EFFECTIVE_ON) if key.era is Era.OLD else (EFFECTIVE_ON, None)
    return (ids[key], parent, key.level, key.code, fact.name, *dates)


def _tops(tx: Tx, conversion: Conversion, own: _Own | None) -> dict[UnitKey, str | None]:
    """What provinces hang below: the root's unit. A root that is a province itself has only its predecessors below it,
    and the other provinces beside it.
    """
    provinces = [fact.key for fact in conversion.units if fact.key.level is Level.PROVINCE]
    if own is None:
        return {}
    if own.level != Level.PROVINCE:
        return dict.fromkeys(provinces, own.unit_id)
    parents = {fact.key: fact.parent for fact in conversion.units}
    inside = {
        _province_of(parents, item.old)
        for item in conversion.successions
        if _province_of(parents, item.new) == UnitKey(Level.PROVINCE, own.code, Era.NEW)
    }
    return {province: own.unit_id if province in inside else own.parent_id for province in provinces}


def _province_of(parents: Mapping[UnitKey, UnitKey | None], unit: UnitKey) -> UnitKey | None:
    current: UnitKey | None = unit
    while current is not None and current.level is not Level.PROVINCE:
        current = parents[current]
    return current


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The unit this node itself stands for."""

    unit_id: str
    parent_id: str | None
    level: str
    code: str


def _own_unit(tx: Tx) -> _Own | None:
    row = tx.one(
        "SELECT u.id, u.parent_id, u.level, u.code FROM unit AS u"
        " JOIN syncd_meta AS m ON m.value = CAST(u.id AS text) WHERE m.key = 'unit_id'"
    )
    return _Own(unit_id=row[0], parent_id=row[1], level=row[2], code=row[3]) if row else None


def _existing(tx: Tx) -> list[Row]:
    return tx.all("SELECT id, level, code, valid_from, valid_to FROM unit")


def _known_ids(tx: Tx, own: _Own | None) -> dict[UnitKey, str]:
    """Units of the reform that are here: an old one ended, or a new one began, on its day."""
    ids: dict[UnitKey, str] = {}
    for unit_id, level, code, valid_from, valid_to in _existing(tx):
        if level in set(Level) and EFFECTIVE_ON in (valid_from, valid_to):
            ids[UnitKey(Level(level), code, Era.OLD if valid_to == EFFECTIVE_ON else Era.NEW)] = unit_id
    if own is not None and own.level == Level.PROVINCE:
        ids[UnitKey(Level.PROVINCE, own.code, Era.NEW)] = own.unit_id
    return ids


def _listed_parent(row: UnitRow, ids: Mapping[tuple[str, str], str]) -> str | None:
    if not row.parent_code:
        return None
    parent = ids.get((row.parent_level, row.parent_code))
    if parent is None:
        raise UsageError(
            say(
                "đơn vị {level} {code}: cấp trên {parent_level} {parent_code} không đứng trước trong danh sách",
                "unit {level} {code}: its parent {parent_level} {parent_code} is not above it in the list",
                level=row.level,
                code=row.code,
                parent_level=row.parent_level,
                parent_code=row.parent_code,
            ),
            say("ghi đơn vị cấp trên trước đơn vị cấp dưới", "list parents before their children"),
        )
    return parent


def _require_root(tx: Tx) -> None:
    """Units are about all: only the root may write them, and says so before any work rather than by the guard."""
    if tx.value("SELECT value FROM syncd_meta WHERE key = 'depth'") != "0":
        raise PermissionDenied(
            say(
                "đơn vị chỉ nhập tại máy gốc, và máy này không phải máy gốc",
                "units are imported at the root only, and this node is not the root",
            ),
            say(
                "chạy `syncd units import` tại máy gốc; đơn vị tự về đây",
                "run `syncd units import` at the root; its units come down by themselves",
            ),
        )


def _copy(
    tx: Tx, table: Table, names: Sequence[str], types: Sequence[Type], rows: Sequence[Sequence[str | None]]
) -> None:
    if rows:
        tx.insert_columns(table, names, types, list(zip(*rows, strict=True)))


def _report(conversion: Conversion, plan: _Plan) -> UnitImport:
    counts = Counter((fact.key.level, fact.key.era) for fact in conversion.units)
    problems = _together(conversion.problems, plan.problems)
    return UnitImport(
        lines=conversion.lines,
        new_communes=counts[Level.COMMUNE, Era.NEW],
        old_communes=counts[Level.COMMUNE, Era.OLD],
        old_districts=counts[Level.DISTRICT, Era.OLD],
        new_provinces=counts[Level.PROVINCE, Era.NEW],
        old_provinces=counts[Level.PROVINCE, Era.OLD],
        successions=len(once(conversion.successions)),
        units_added=len(plan.units),
        changes_added=len(plan.changes),
        problems=problems,
        corrected=tuple(plan.corrected),
    )


def _together(of_file: ProblemList, of_plan: Sequence[Problem]) -> ProblemList:
    """One list by line; the file's own stays as it is, since a plan may be made again."""
    found = ProblemList(kept=list(of_file.kept), errors=of_file.errors, notes=of_file.notes)
    for problem in of_plan:
        found.add(problem)
    found.kept.sort(key=lambda problem: problem.line)
    return found
