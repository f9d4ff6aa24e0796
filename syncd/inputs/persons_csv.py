"""Imports households and persons of one unit from a CSV (`person_file.py`), a few thousand persons per transaction.

Enters: a store and a file. Leaves: committed rows and a report; `preview_persons` writes nothing.
Must hold: a household is imported whole or not at all; a household is found by unit and number, a person by who it is
(`person_match.py`), never by a place; only columns that differ are updated, and an empty cell never erases what is
kept. So the same file again changes nothing, and an interrupted import is finished by running it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from schema.population import HOUSEHOLD, PERSON
from schema.spec import Table
from schema.values import Value
from syncd.clock import Clock, day_of
from syncd.errors import PermissionDenied
from syncd.inputs.cell_numbers import canonical_number
from syncd.inputs.codes import codes_of
from syncd.inputs.limits import BATCH_PERSONS_MAX, LOOKUP_VALUES_MAX
from syncd.inputs.mint import mint, tag_of_node
from syncd.inputs.person_cells import CODE_LISTS, DEFAULTS, FIELDS, code_keys
from syncd.inputs.person_file import HouseholdLines, Survey, households, survey
from syncd.inputs.person_match import Kept, Matched, match
from syncd.inputs.person_survey import IDENTITIES
from syncd.inputs.problem import Problem, ProblemList, Severity
from syncd.inputs.spelling import PLACE_KEPT, why_kept
from syncd.language import say
from syncd.store.base import Row, Store, Tx
from syncd.store.patience import again

HOUSEHOLD_COLUMNS = tuple(f.column for f in FIELDS if f.of_household)
PERSON_COLUMNS = (*(f.column for f in FIELDS if not f.of_household), "birth_precision")
SPELT = ("hamlet", "address", "collaborator")
NUMBERED = ("hamlet", "enumeration_area")  # texts that often are but a number
Progress = Callable[[int, int], None]


def no_progress(_lines_done: int, _lines_total: int) -> None:
    """Nobody watches."""


@dataclass(slots=True, kw_only=True)
class PersonImport:
    """What was found and done. `columns_unknown`: titles of the file that were passed over."""

    lines: int = 0
    households_added: int = 0
    households_changed: int = 0
    households_same: int = 0
    households_refused: int = 0
    persons_added: int = 0
    persons_changed: int = 0
    persons_same: int = 0
    columns_unknown: tuple[str, ...] = ()
    problems: ProblemList = field(default_factory=ProblemList)


def import_persons(
    store: Store, path: Path, *, unit_id: str, clock: Clock, random: Random, progress: Progress = no_progress
) -> PersonImport:
    """Import a file. Raises FileRefused for a file that cannot be read as the template, PermissionDenied for a unit
    kept elsewhere; problems of single lines are in the report.
    """
    run = _Run(store, path, unit_id, clock, progress)
    run.each_batch(lambda: store.write("import"), lambda tx, plan: plan.write(tx, unit_id, clock(), random))
    return run.report


def preview_persons(
    store: Store, path: Path, *, unit_id: str, clock: Clock, progress: Progress = no_progress
) -> PersonImport:
    """What `import_persons` would do now; writes nothing."""
    run = _Run(store, path, unit_id, clock, progress)
    run.each_batch(store.read, lambda _tx, _plan: None)
    return run.report


class _Run:
    """One pass over the file against one store."""

    def __init__(self, store: Store, path: Path, unit_id: str, clock: Clock, progress: Progress) -> None:
        self._unit_id = unit_id
        self._progress = progress
        self.report = PersonImport()
        with store.read() as tx:
            _require_kept(tx, unit_id)
            codes = {name: code_keys(codes_of(tx, name)) for name in CODE_LISTS}
            self._spellings = _odd_spellings(tx, unit_id)
        self._survey: Survey = survey(path)
        self.report.columns_unknown = self._survey.unknown
        self._households = households(path, self._survey, codes, day_of(clock()), self.report.problems)

    def each_batch(
        self, transaction: Callable[[], AbstractContextManager[Tx]], settle: Callable[[Tx, _Plan], None]
    ) -> None:
        """Compare, settle, count; the counts of a batch appear only once its transaction has ended well."""
        for batch in _batches(self._households):
            readable = [item for item in batch if not item.refused]
            self._count(batch, again(partial(self._settled, readable, transaction, settle)))
            self._progress(self.report.lines, self._survey.lines)

    def _settled(
        self,
        readable: Sequence[HouseholdLines],
        transaction: Callable[[], AbstractContextManager[Tx]],
        settle: Callable[[Tx, _Plan], None],
    ) -> _Plan:
        """One batch, which a database may take back: what was found about it then is forgotten."""
        for item in readable:
            item.refused = False
        with transaction() as tx:
            plan = _compare(tx, self._unit_id, readable, self._spellings)
            settle(tx, plan)
        return plan

    def _count(self, batch: Sequence[HouseholdLines], plan: _Plan) -> None:
        report = self.report
        for problem in plan.problems:
            report.problems.add(problem)
        report.lines += sum(item.lines for item in batch)
        report.households_refused += sum(item.refused for item in batch)
        taken = [item for item in batch if not item.refused]
        changed = {row_id for row_id, _ in plan.changed[HOUSEHOLD.name]}
        report.households_added += len(plan.added)
        report.households_changed += len(changed)
        report.households_same += len(taken) - len(plan.added) - len(changed)
        persons_added = sum(len(item.persons) for item in plan.added) + len(plan.joined)
        persons_changed = len(plan.changed[PERSON.name])
        report.persons_added += persons_added
        report.persons_changed += persons_changed
        report.persons_same += sum(len(item.persons) for item in taken) - persons_added - persons_changed


@dataclass(slots=True, kw_only=True)
class _Plan:
    """What one batch changes: new households and their persons, persons joining a known one, changed columns by row."""

    added: list[HouseholdLines] = field(default_factory=list)
    joined: list[tuple[str, dict[str, Value]]] = field(default_factory=list)
    changed: dict[str, list[tuple[str, dict[str, Value]]]] = field(
        default_factory=lambda: {HOUSEHOLD.name: [], PERSON.name: []}
    )
    problems: list[Problem] = field(default_factory=list)

    def write(self, tx: Tx, unit_id: str, time_ms: int, random: Random) -> None:
        persons = sum(len(item.persons) for item in self.added) + len(self.joined)
        ids = iter(mint(len(self.added) + persons, tag_of_node(tx), time_ms, random))
        new_households, new_persons = [], []
        for item in self.added:
            household_id = next(ids)
            new_households.append((household_id, unit_id, *_values(HOUSEHOLD_COLUMNS, {**item.values})))
            for person in item.persons:
                new_persons.append((next(ids), unit_id, household_id, *_values(PERSON_COLUMNS, {**person.values})))
        for household_id, values in self.joined:
            new_persons.append((next(ids), unit_id, household_id, *_values(PERSON_COLUMNS, values)))
        _insert(tx, HOUSEHOLD, ("id", "unit_id", *HOUSEHOLD_COLUMNS), new_households)
        _insert(tx, PERSON, ("id", "unit_id", "household_id", *PERSON_COLUMNS), new_persons)
        for table in (HOUSEHOLD, PERSON):
            _update(tx, table, unit_id, self.changed[table.name])


def _compare(tx: Tx, unit_id: str, batch: Sequence[HouseholdLines], spellings: Mapping[str, Sequence[str]]) -> _Plan:
    """The plan of a batch against what is kept. What cannot be told is asked here, and its household refused."""
    plan = _Plan()
    numbers = [each for item in batch for each in (item.number, *spellings.get(item.number, ()))]
    kept: defaultdict[str, list[Kept]] = defaultdict(list)
    for row in _lookup(tx, HOUSEHOLD, HOUSEHOLD_COLUMNS, "number", unit_id, numbers):
        kept[canonical_number(str(row["number"]))].append(row)
    ids = [str(row["id"]) for rows in kept.values() for row in rows]
    persons = defaultdict(list)
    for row in _lookup(tx, PERSON, ("household_id", *PERSON_COLUMNS), "household_id", unit_id, ids):
        persons[row["household_id"]].append(row)
    bearers = _bearers(tx, unit_id, batch)
    for item in batch:
        rows = kept.get(item.number, [])
        if len(rows) > 1:
            _ambiguous(plan, item)
            continue
        home = str(rows[0]["id"]) if rows else ""
        elsewhere = {column: {number for number, homes in found.items() if homes - {home}}
                     for column, found in bearers.items()}  # fmt: skip
        matched = match(item.persons, persons[home], elsewhere)
        _settle(plan, item, rows[0] if rows else None, matched)
    return plan


def _settle(plan: _Plan, item: HouseholdLines, row: Kept | None, matched: Matched) -> None:
    for line, column, words in matched.questions:
        item.refused = True
        plan.problems.append(Problem(line=line, column=column, rule="who", text_vi=words[0], text_en=words[1]))
    if item.refused:
        return
    plan.problems += [_note(line, column, words) for line, column, words in matched.notes]
    if row is None:
        plan.added.append(item)
        return
    _note_change(plan, HOUSEHOLD, row, _told_of_household(plan, item, row))
    for person, kept in matched.pairs:
        _note_change(plan, PERSON, kept, dict(person.values))
    plan.joined += [(str(row["id"]), dict(person.values)) for person in matched.new]


def _told_of_household(plan: _Plan, item: HouseholdLines, row: Kept) -> dict[str, Value]:
    """What a file says of a household otherwise than the register knows it better, or spells it."""
    told: dict[str, Value] = {}
    for name, value in item.values.items():
        # Spelt otherwise (01020), a number is the same: the register keeps its own spelling.
        if name == "number" or (name in NUMBERED and _is_same_number(value, row[name])):
            continue
        reason = why_kept(str(value), str(row[name])) if name in SPELT and row[name] is not None else None
        if reason is None:
            told[name] = value
        elif reason is not PLACE_KEPT:
            plan.problems.append(_note(item.line, name, reason))
    return told


def _note(line: int, column: str, words: tuple[str, str, str]) -> Problem:
    rule, text_vi, text_en = words
    return Problem(line=line, column=column, rule=rule, text_vi=text_vi, text_en=text_en, severity=Severity.NOTE)


def _bearers(tx: Tx, unit_id: str, batch: Sequence[HouseholdLines]) -> dict[str, dict[Value, set[str | None]]]:
    """Column → number → the households whose persons bear it, of the numbers in a batch."""
    found: dict[str, dict[Value, set[str | None]]] = {}
    for column in IDENTITIES:
        wanted = [str(number) for item in batch for line in item.persons if (number := line.values.get(column))]
        found[column] = {}
        for row in _lookup(tx, PERSON, ("household_id", column), column, unit_id, wanted):
            home = row["household_id"]
            found[column].setdefault(row[column], set()).add(None if home is None else str(home))
    return found


def _odd_spellings(tx: Tx, unit_id: str) -> dict[str, list[str]]:
    """Plain number → how the register spells it otherwise (01020, 1020.0): other programs write them too."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for (number,) in tx.all(
        "SELECT DISTINCT number FROM household WHERE unit_id = ? AND (number LIKE '0%' OR number LIKE '%.0')",
        (unit_id,),
    ):
        if canonical_number(number) != number:
            spellings[canonical_number(number)].append(number)
    return dict(spellings)


def _note_change(plan: _Plan, table: Table, row: Kept, values: dict[str, Value]) -> None:
    differing = {column: value for column, value in values.items() if row[column] != value}
    if differing:
        plan.changed[table.name].append((str(row["id"]), differing))


def _is_same_number(value: Value, kept: Value) -> bool:
    """001 and 1: programs drop the zeros in front."""
    one, other = str(value), str(kept)
    return one.isdecimal() and other.isdecimal() and one.lstrip("0") == other.lstrip("0")


def _ambiguous(plan: _Plan, item: HouseholdLines) -> None:
    item.refused = True
    plan.problems.append(Problem(
        line=item.line, column="household_number", rule="ambiguous",
        text_vi="trong sổ đã có nhiều hộ cùng số này: hãy sửa sổ trước, hộ không được nhập",
        text_en="the register holds several households of this number: correct it first; the household is not imported",
    ))  # fmt: skip


def _lookup(
    tx: Tx, table: Table, columns: Sequence[str], key: str, unit_id: str, wanted: Sequence[str]
) -> Iterator[Kept]:
    names = ("id", *columns)
    for start in range(0, len(wanted), LOOKUP_VALUES_MAX):
        chunk = wanted[start : start + LOOKUP_VALUES_MAX]
        marks = ", ".join("?" * len(chunk))
        rows: list[Row] = tx.all(
            f"SELECT {', '.join(names)} FROM {table.name} WHERE unit_id = ? AND {key} IN ({marks})", (unit_id, *chunk)
        )
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _values(columns: Sequence[str], values: dict[str, Value]) -> list[Value]:
    """A new row's values: what the file says, the defaults, else nothing."""
    return [values.get(column, DEFAULTS.get(column)) for column in columns]


def _insert(tx: Tx, table: Table, names: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
    if rows:
        tx.insert_columns(table, names, [table.by_name[name].type for name in names], list(zip(*rows, strict=True)))


def _update(tx: Tx, table: Table, unit_id: str, rows: Sequence[tuple[str, dict[str, Value]]]) -> None:
    """Each row its own columns, by their masks."""
    if not rows:
        return
    columns = sorted({column for _, values in rows for column in values})
    masks = [sum(1 << table.by_name[column].number for column in values) for _, values in rows]
    filled: dict[str, Sequence[Value]] = {column: [values.get(column) for _, values in rows] for column in columns}
    tx.update_columns(table, unit_id, [row_id for row_id, _ in rows], masks, filled)


def _batches(items: Iterable[HouseholdLines]) -> Iterator[list[HouseholdLines]]:
    """Whole households, until BATCH_PERSONS_MAX persons are reached."""
    batch: list[HouseholdLines] = []
    persons = 0
    for item in items:
        batch.append(item)
        persons += item.lines
        if persons >= BATCH_PERSONS_MAX:
            yield batch
            batch, persons = [], 0
    if batch:
        yield batch


def _require_kept(tx: Tx, unit_id: str) -> None:
    if tx.value("SELECT mine FROM syncd_keeper WHERE unit_id = ?", (unit_id,)) != 1:
        code, name = tx.one("SELECT code, name FROM unit WHERE id = ?", (unit_id,)) or ("", unit_id)
        raise PermissionDenied(
            say(
                "máy này không giữ sổ của đơn vị {unit}",
                "this node does not keep the register of unit {unit}",
                unit=f"{code} {name}".strip(),
            ),
            say("nhập tại nơi giữ sổ đó", "import at the node that keeps it"),
        )
