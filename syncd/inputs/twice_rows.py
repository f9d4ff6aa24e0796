"""Households of `syncd/inputs/twice.py` as rows of one unit, and the truth as a file.

Enters: written households, the unit, the node's tag. Leaves: rows by table, lines of truth.
Must hold: every row obeys the rules of `schema/population.py`; the truth names rows by id alone, no person's value is
in it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import date
from itertools import islice
from pathlib import Path
from random import Random

from schema.population import HOUSEHOLD, MIGRATION, PERSON
from syncd.inputs.generate import (
    DAY_MS,
    EPOCH_DAY,
    HOUSEHOLDS_PER_HAMLET,
    Generated,
    Values,
    next_household_number,
    require_new,
    write_batch,
)
from syncd.inputs.limits import TWICE_BATCH_HOUSEHOLDS
from syncd.inputs.mint import mint, tag_of_node
from syncd.inputs.twice import Written, WrittenHousehold
from syncd.store.base import Store

OPENED_DAYS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One row that was written in a story. Rows of one `entity` are one person; `errors`: slips, apart by spaces."""

    person_id: str
    unit_id: str
    entity: str
    kind: str
    errors: str


def generate_twice(
    store: Store, *, unit_id: str, seed: int, today: date, households: Iterable[WrittenHousehold]
) -> tuple[Generated, list[Truth]]:
    """Write these households into a unit this node keeps; returns what was written and the truth about it."""
    with store.read() as tx:
        tag, first_number = tag_of_node(tx), next_household_number(tx, unit_id)
    counts = dict.fromkeys(("household", "person", "migration"), 0)
    truth: list[Truth] = []
    for rows, known in batches_twice(
        tag=tag, unit_id=unit_id, seed=seed, today=today, households=households, first_number=first_number
    ):
        if not counts["household"]:
            require_new(store, rows, seed)
        write_batch(store, rows)
        for name in counts:
            counts[name] += len(rows[name])
        truth += known
    return Generated(
        households=counts["household"], persons=counts["person"], births=0, deaths=0, migrations=counts["migration"]
    ), truth


def batches_twice(
    *, tag: str, unit_id: str, seed: int, today: date, households: Iterable[WrittenHousehold], first_number: int = 1
) -> Iterator[tuple[dict[str, list[Values]], list[Truth]]]:
    """Rows by table and their truth, TWICE_BATCH_HOUSEHOLDS households at a time."""
    maker = _Rows(tag, unit_id, seed, today, first_number)
    waiting = iter(households)
    while batch := list(islice(waiting, TWICE_BATCH_HOUSEHOLDS)):
        yield maker.batch(batch)


def write_truth(path: Path, truth: Iterable[Truth]) -> None:
    """The truth as CSV, one line per row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([field.name for field in fields(Truth)])
        lines.writerows(astuple(each) for each in truth)


class _Rows:
    def __init__(self, tag: str, unit_id: str, seed: int, today: date, first_number: int) -> None:
        self._random = Random(f"twice rows:{seed}:{unit_id}")
        self._tag = tag
        self._unit_id = unit_id
        self._today = today.toordinal()
        self._until = date(today.year, 12, 31).isoformat()
        self._number = first_number
        # A quarter of a day later than `generate`, so that ids of one seed differ.
        self._time_ms = (self._today - EPOCH_DAY) * DAY_MS + DAY_MS // 4
        self._rows: dict[str, list[Values]] = {}
        self._truth: list[Truth] = []

    def batch(self, households: list[WrittenHousehold]) -> tuple[dict[str, list[Values]], list[Truth]]:
        self._rows = {name: [] for name in (HOUSEHOLD.name, PERSON.name, "birth", "death", MIGRATION.name)}
        self._truth = []
        count = sum(1 + 2 * len(household.people) for household in households)
        ids = iter(mint(count, self._tag, self._time_ms, self._random))
        self._time_ms += 1
        for household in households:
            self._household(household, ids)
        return self._rows, self._truth

    def _household(self, household: WrittenHousehold, ids: Iterator[str]) -> None:
        household_id, hamlet = next(ids), 1 + self._number // HOUSEHOLDS_PER_HAMLET
        opened = date.fromordinal(self._today - OPENED_DAYS).isoformat()
        self._rows["household"].append((
            household_id, self._unit_id, str(self._number), "family", f"Thôn {hamlet}", f"Nhà số {self._number}",
            f"{hamlet:03d}", None, opened,
        ))  # fmt: skip
        self._number += 1
        person_ids = [next(ids) for _ in household.people]
        for line_no, written in enumerate(household.people, 1):
            self._person(household_id, line_no, written, person_ids)
            if written.moved_on is not None:
                self._rows["migration"].append((
                    next(ids), self._unit_id, person_ids[line_no - 1], written.direction, written.moved_on,
                    written.papers.member.sex, f"Xã số {1 + int(self._random.random() * 60)}",
                ))  # fmt: skip

    def _person(self, household_id: str, line_no: int, written: Written, person_ids: list[str]) -> None:
        papers, member = written.papers, written.papers.member
        self._rows["person"].append((
            person_ids[line_no - 1], self._unit_id, household_id, line_no, member.name, member.sex, papers.born,
            papers.precision, member.ethnic, member.relation, member.education, member.marital, written.residence,
            None if member.mother is None else person_ids[member.mother],
            None if member.father is None else person_ids[member.father],
            papers.citizen_id or None, papers.insurance_no or None, self._until if papers.insurance_no else None,
            papers.phone or None,
        ))  # fmt: skip
        if written.entity:
            self._truth.append(Truth(
                person_id=person_ids[line_no - 1], unit_id=self._unit_id, entity=written.entity, kind=written.kind,
                errors=" ".join(written.errors),
            ))  # fmt: skip
