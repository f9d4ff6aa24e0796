"""Figures of units and all units below them, from the aggregate cells.

Enters: a read transaction, the units asked for, a month. Leaves: `Figures`, which becomes JSON as it is. Records are
read for one thing alone: codes that no list has, of columns that no cell counts (`unlisted.py`).
Must hold: the stock is the register as it stands now; the month chooses ages (at its end) and flows. Usual residents
are those present or temporarily absent; temporary residents, departed and deceased persons are not counted; who has
rows in several of the units, as links say, is counted once (`counted_once.py`).
Every figure comes with completeness: which registers are in, up to which position. Nothing is derived from too few
cases without saying so: the sex ratio at birth carries n and a 95 % interval.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schema.ddl import Dialect
from schema.spec import Registry
from schema.titles import column_title
from schema.views import REGISTERS, leaves
from syncd.clock import day_of
from syncd.errors import UsageError
from syncd.identity.looked import looked_at
from syncd.inputs.codes import names_of
from syncd.inputs.counted_once import counted_twice
from syncd.inputs.limits import AGE_TOP, LOOKUP_VALUES_MAX
from syncd.inputs.unlisted import Unlisted, unlisted_codes
from syncd.language import say
from syncd.store.base import Row, Tx

MALE, FEMALE = 1, 2
USUAL = ("usual", "absent")
AGE_STEP = 5
CODES_SHOWN_MAX = 10
Z_95 = 1.959964
NOTES = {
    "stock": (
        "Dân số là số trong sổ hiện tại; kỳ chỉ chọn tuổi và biến động.",
        "The stock is the register as it stands; the period chooses ages and flows.",
    ),
    "year": (
        "Người chỉ biết năm sinh được tính như sinh tháng 1.",
        "A person whose birth is known to the year only counts as born in January.",
    ),
    "codes": (
        "{n} người mang mã dân tộc không có trong danh mục: đếm riêng, không gộp vào dân tộc nào.",
        "{n} persons bear a code of an ethnic group that is not in the list: counted apart, in no group.",
    ),
    "unlisted": (
        "{column}: {n} người mang mã không có trong danh mục ({codes}): không thuộc nhóm nào.",
        "{column}: {n} persons bear a code that is not in the list ({codes}): they are in no group.",
    ),
    "unborn": (
        "{n} người sinh sau kỳ, không tính.",
        "{n} persons were born after the period and are not counted.",
    ),
    "unmatched": (
        "Nhân khẩu của các đơn vị này chưa từng được đối chiếu với nhau ở đây: ai có tên ở hai nơi được tính hai lần.",
        "The persons of these units were never matched with each other here: whoever is in two registers counts twice.",
    ),
    "twice": (
        "{n} bản ghi là của người đã tính ở đơn vị khác trong số này (đã liên kết): mỗi người tính một lần.",
        "{n} rows are of persons counted in another of these units (linked): everybody is counted once.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BySex:
    """A count by sex; `unknown` where the record does not say."""

    male: int
    female: int
    unknown: int = 0

    @property
    def total(self) -> int:
        return self.male + self.female + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeGroup:
    """Completed years `first` to `last`; `last` None: open."""

    first: int
    last: int | None
    male: int
    female: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EthnicGroup:
    """`name` None: the list, if it is here at all, does not have this code. `is_known` False: it is here."""

    code: str
    name: str | None
    n: int
    is_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SexRatio:
    """Male births per 100 female ones, `births` in all; None where it cannot be formed."""

    births: int
    ratio: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterState:
    """How far one register is in: the last position applied here, and when. `is_kept`: whether anybody keeps it."""

    unit_id: str
    code: str | None
    name: str | None
    position: int
    changed_at: str | None
    state: str
    is_kept: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`registers_missing`: units that should have a register (`schema.views.leaves`) of which nothing is here yet.
    `matched_at`: when everybody was last looked at for rows that are one person; None: never, at this node."""

    period: str
    units: tuple[str, ...]
    units_below: int
    usual: BySex
    ages: tuple[AgeGroup, ...]
    residence: Mapping[str, int]
    ethnic: tuple[EthnicGroup, ...]
    births: BySex
    sex_ratio: SexRatio
    deaths: BySex
    arrivals: BySex
    departures: BySex
    registers: tuple[RegisterState, ...]
    registers_missing: tuple[RegisterState, ...]
    matched_at: str | None = None
    unlisted: tuple[Unlisted, ...] = ()
    notes: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and text; totals written out, notes in English."""
        plain = asdict(self)
        for name in ("usual", "births", "deaths", "arrivals", "departures"):
            plain[name]["total"] = getattr(self, name).total
        return plain | {"units": list(self.units), "notes": [english for _, english in self.notes]}


def figures(tx: Tx, registry: Registry, unit_ids: Sequence[str], period: str) -> Figures:
    """The figures of `unit_ids` and every unit below them in the tree, summed, for a month `YYYY-MM`.

    Raises UsageError for a malformed month, or where this installation replicates no persons.
    """
    if "person" not in registry.by_name:
        raise UsageError(
            say("hệ thống này không đồng bộ nhân khẩu", "this installation replicates no persons"),
            say("số liệu cần các bảng dân số", "figures need the population tables"),
        )
    month = month_number(period)
    tree = units_within(tx, unit_ids)
    stock = _cells(tx, "SELECT sex, month, ethnic, residence, sum(n) FROM syncd_cell_stock WHERE unit_id IN ({})"
                       " GROUP BY sex, month, ethnic, residence", tree)  # fmt: skip
    twice = counted_twice(tx, frozenset(tree)) if "person_link" in registry.by_name else Counter()
    stock += [(*cell, -n) for cell, n in sorted(twice.items())]
    counted = [row for row in stock if month_number(row[1]) <= month]
    unborn = sum(int(row[4]) for row in stock) - sum(int(row[4]) for row in counted)
    usual = [row for row in counted if row[3] in USUAL]
    flows = _flows(tx, tree, period)
    registers, missing = _completeness(tx, tree)
    ethnic = _ethnic(tx, usual)
    uncoded = sum(group.n for group in ethnic if not group.is_known)
    unlisted = unlisted_codes(tx, registry, tree, USUAL)
    matched_at = looked_at(tx) if "person_link" in registry.by_name else None
    return Figures(
        period=period, units=tuple(unit_ids), units_below=len(tree) - len(set(unit_ids)),
        usual=_by_sex({sex: sum(int(row[4]) for row in usual if row[0] == sex) for sex in (MALE, FEMALE)}),
        ages=_ages(usual, month), residence=_totals(counted, 3), ethnic=ethnic,
        births=flows["birth"], sex_ratio=sex_ratio(flows["birth"].male, flows["birth"].female),
        deaths=flows["death"], arrivals=flows["arrival"], departures=flows["departure"],
        registers=registers, registers_missing=missing, matched_at=matched_at, unlisted=unlisted,
        notes=(
            *_notes(unborn, twice.total(), uncoded, matched_at is None and len(registers) + len(missing) > 1),
            *_unlisted_notes(unlisted),
        ),
    )  # fmt: skip


def month_of(time_ms: int) -> str:
    """The month it is then, YYYY-MM."""
    return day_of(time_ms)[:7]


def month_number(period: str) -> int:
    """Months since the year 0 of `YYYY-MM`."""
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", period)
    if match is None:
        raise UsageError(
            say("{period} không phải là tháng", "{period} is no month", period=period),
            say("viết kỳ dạng YYYY-MM, ví dụ 2026-11", "write the period as YYYY-MM, for example 2026-11"),
        )
    return int(match[1]) * 12 + int(match[2]) - 1


def units_within(tx: Tx, unit_ids: Sequence[str]) -> list[str]:
    """The units and all units below them; UNION ends even if the records make a circle."""
    found: set[str] = set()
    for start in range(0, len(unit_ids), LOOKUP_VALUES_MAX):
        chunk = unit_ids[start : start + LOOKUP_VALUES_MAX]
        marks = ", ".join("?" * len(chunk))
        found |= {row[0] for row in tx.all(
            f"WITH RECURSIVE tree AS (SELECT id FROM unit WHERE id IN ({marks}) UNION"
            " SELECT u.id FROM unit AS u JOIN tree AS t ON u.parent_id = t.id) SELECT id FROM tree", chunk
        )}  # fmt: skip
    # A unit asked for may have no row here yet; its register may already have come.
    return sorted(found | set(unit_ids))


def sex_ratio(male: int, female: int) -> SexRatio:
    """With the 95 % interval of a ratio of two counts (normal on the log scale: se² = 1/m + 1/f)."""
    if not male or not female:
        return SexRatio(births=male + female, ratio=None, low=None, high=None)
    ratio, spread = 100 * male / female, math.exp(Z_95 * math.sqrt(1 / male + 1 / female))
    return SexRatio(
        births=male + female, ratio=round(ratio, 1), low=round(ratio / spread, 1), high=round(ratio * spread, 1)
    )  # fmt: skip


def _cells(tx: Tx, sql: str, units: Sequence[str], values: Sequence[str] = ()) -> list[Row]:
    """Rows of a query over many units, asked in pieces."""
    rows: list[Row] = []
    for start in range(0, len(units), LOOKUP_VALUES_MAX):
        chunk = units[start : start + LOOKUP_VALUES_MAX]
        rows += tx.all(sql.format(", ".join("?" * len(chunk))), (*chunk, *values))
    return rows


def _flows(tx: Tx, units: Sequence[str], period: str) -> dict[str, BySex]:
    sql = "SELECT kind, sex, sum(n) FROM syncd_cell_flow WHERE unit_id IN ({}) AND month = ? GROUP BY kind, sex"
    counts: Counter[tuple[str, int]] = Counter()
    for kind, sex, n in _cells(tx, sql, units, (period,)):
        counts[kind, int(sex)] += int(n)
    kinds = ("birth", "death", "arrival", "departure")
    return {kind: _by_sex({sex: counts[kind, sex] for sex in (0, MALE, FEMALE)}) for kind in kinds}


def _by_sex(counts: Mapping[int, int]) -> BySex:
    return BySex(male=counts.get(MALE, 0), female=counts.get(FEMALE, 0), unknown=counts.get(0, 0))


def _ages(rows: Sequence[Row], month: int) -> tuple[AgeGroup, ...]:
    """Five-year groups. At a month's end everybody born in that calendar month has had the birthday: ages are exact."""
    counts: Counter[tuple[int, int]] = Counter()
    for sex, born, _, _, n in rows:
        age = (month - month_number(born)) // 12
        counts[min(age, AGE_TOP) // AGE_STEP, int(sex)] += int(n)
    return tuple(
        AgeGroup(
            first=group * AGE_STEP, last=None if group * AGE_STEP == AGE_TOP else group * AGE_STEP + AGE_STEP - 1,
            male=counts[group, MALE], female=counts[group, FEMALE],
        )
        for group in range(AGE_TOP // AGE_STEP + 1)
    )  # fmt: skip


def _totals(rows: Sequence[Row], place: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[place]] += int(row[4])
    return dict(sorted(counts.items()))


def _ethnic(tx: Tx, rows: Sequence[Row]) -> tuple[EthnicGroup, ...]:
    names = names_of(tx, "ethnic")
    counts = _totals(rows, 2)
    return tuple(
        EthnicGroup(code=code, name=names.get(code), n=n, is_known=not names or code in names)
        for code, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


_THERE = f"""
    SELECT r.unit_id, u.code, u.name, r.applied_seq, r.changed_at, r.state, 1 FROM ({REGISTERS}) AS r
    LEFT JOIN unit AS u ON u.id = r.unit_id WHERE r.place = 1 AND r.unit_id IN ({{}})
"""
_MISSING = """
    SELECT w.id, w.code, w.name, 0, NULL, 'missing', CASE WHEN k.unit_id IS NULL THEN 0 ELSE 1 END
    FROM ({leaves}) AS w LEFT JOIN syncd_keeper AS k ON k.unit_id = w.id WHERE w.id IN ({{}})
    AND NOT EXISTS (SELECT 1 FROM syncd_stream AS s WHERE s.kind = 1 AND s.unit_id = w.id AND s.applied_seq > 0)
"""


def _completeness(tx: Tx, units: Sequence[str]) -> tuple[tuple[RegisterState, ...], tuple[RegisterState, ...]]:
    """(registers that are in, registers that are not), by code: of every unit one of both, or neither where it keeps
    none."""
    missing = _MISSING.format(leaves=leaves(Dialect.SQLITE if tx.dialect == "sqlite" else Dialect.POSTGRES))
    there, away = (_states(_cells(tx, sql, units)) for sql in (_THERE, missing))
    is_away = {state.unit_id for state in away}
    return tuple(state for state in there if state.unit_id not in is_away), away


def _states(rows: Sequence[Row]) -> tuple[RegisterState, ...]:
    return tuple(
        RegisterState(
            unit_id=row[0], code=row[1], name=row[2], position=int(row[3]), changed_at=row[4], state=row[5],
            is_kept=bool(row[6]),
        )
        for row in sorted(rows, key=lambda row: (row[1] or "", row[0]))
    )  # fmt: skip


def _notes(unborn: int, twice: int, uncoded: int, is_unmatched: bool) -> tuple[tuple[str, str], ...]:
    notes = [NOTES["stock"], NOTES["year"], *([NOTES["unmatched"]] if is_unmatched else [])]
    for n, key in ((unborn, "unborn"), (twice, "twice"), (uncoded, "codes")):
        vietnamese, english = NOTES[key]
        if n:
            notes.append((vietnamese.format(n=n), english.format(n=n)))
    return tuple(notes)


def _unlisted_notes(found: Sequence[Unlisted]) -> list[tuple[str, str]]:
    """One note for a column; that of ethnic groups tells them apart already."""
    notes = []
    for column in dict.fromkeys(each.column for each in found if each.column != "ethnic"):
        some = [each for each in found if each.column == column]
        codes = ", ".join(f"{each.code}: {each.n}" for each in some[:CODES_SHOWN_MAX])
        more = "" if len(some) <= CODES_SHOWN_MAX else ", …"
        titles = column_title("person", column) or (column, column)
        notes.append(tuple(
            text.format(column=title, n=sum(each.n for each in some), codes=codes + more)
            for text, title in zip(NOTES["unlisted"], titles, strict=True)
        ))  # fmt: skip
    return [(vietnamese, english) for vietnamese, english in notes]
