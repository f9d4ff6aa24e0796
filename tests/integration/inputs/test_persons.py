"""Persons from a CSV file on real SQLite and real PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schema.population import PERSON
from syncd.errors import PermissionDenied
from syncd.inputs.codes import load_codes, package_codes
from syncd.inputs.persons_csv import PersonImport, import_persons, preview_persons
from syncd.store.base import Store
from tests.unit.inputs.builders import OTHER_UNIT, UNIT, clock, count, random

HEADER = "household_number;hamlet;line_no;full_name;sex;birth_date;ethnic;residence;phone"


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def counts(report: PersonImport) -> tuple[int, ...]:
    """Households added, changed, same, refused; persons added, changed, same."""
    return (
        report.households_added, report.households_changed, report.households_same, report.households_refused,
        report.persons_added, report.persons_changed, report.persons_same,
    )  # fmt: skip


def import_(store: Store, path: Path) -> PersonImport:
    return import_persons(store, path, unit_id=UNIT, clock=clock, random=random())


def test_the_same_file_again_changes_nothing(commune: Store, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "p.csv", "1;Thôn 1;1;Nguyễn Văn Mẫu;1;1980;01;;", "1;;2;Trần Thị Thử;2;02/1984;01;absent;0912",
        "2.1;Thôn 2;1;Lê Thị Nháp;nữ;2001-12-31;02;;",
    )  # fmt: skip
    seen: list[tuple[int, int]] = []
    preview = preview_persons(commune, path, unit_id=UNIT, clock=clock)
    assert count(commune, "person") == 0
    first = import_persons(
        commune,
        path,
        unit_id=UNIT,
        clock=clock,
        random=random(),
        progress=lambda done, total: seen.append((done, total)),
    )
    journal = count(commune, "syncd_journal")
    second = import_(commune, path)
    assert counts(first) == counts(preview) == (2, 0, 0, 0, 3, 0, 0)
    assert counts(second) == (0, 0, 2, 0, 0, 0, 3)
    assert count(commune, "syncd_journal") == journal == 5
    assert seen == [(3, 3)]


def test_a_changed_line_updates_only_the_columns_that_differ(commune: Store, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    import_(commune, write_csv(path, "1;Thôn 1;1;Nguyễn Văn Mẫu;1;1980;01;absent;0912"))
    before = count(commune, "syncd_journal")
    report = import_(commune, write_csv(path, "1;;1;Nguyễn Văn Mẫu;1;1980;01;;0913", "1;;2;Lê Thị Nháp;2;2001;01;;"))
    assert counts(report) == (0, 0, 1, 0, 1, 1, 0)
    with commune.read() as tx:
        masks = tx.all("SELECT mask FROM syncd_journal WHERE op = 2")
        kept = tx.all("SELECT residence, phone FROM person ORDER BY line_no")
    assert masks == [(1 << PERSON.by_name["phone"].number,)]
    assert kept == [("absent", "0913"), ("usual", None)]  # an empty cell erases nothing
    assert count(commune, "syncd_journal") == before + 2


def test_a_household_is_imported_whole_or_not_at_all(commune: Store, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "p.csv", "1;;1;Nguyễn Văn Mẫu;1;1980;01;;", "1;;2;Trần Thị Thử;x;1984;01;;",
        "2;;1;Lê Thị Nháp;2;2001;01;;",
    )  # fmt: skip
    report = import_(commune, path)
    assert counts(report) == (1, 0, 0, 1, 1, 0, 0)
    assert [(problem.line, problem.column) for problem in report.problems.kept] == [(3, "sex")]
    assert (count(commune, "household"), count(commune, "person")) == (1, 1)


def test_a_household_that_is_twice_in_the_register_is_left_alone(commune: Store, tmp_path: Path) -> None:
    with commune.write("test") as tx:
        tx.many("INSERT INTO household (number, kind) VALUES (?, 'family')", [("1",), ("1",)])
    report = import_(commune, write_csv(tmp_path / "p.csv", "1;;1;Nguyễn Văn Mẫu;1;1980;01;;"))
    assert counts(report) == (0, 0, 0, 1, 0, 0, 0)
    assert report.problems.kept[0].rule == "ambiguous"


def test_codes_are_checked_once_their_list_is_here(root: Store, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", "1;;1;Nguyễn Văn Mẫu;1;1980;77;;")
    assert preview_persons(root, path, unit_id=UNIT, clock=clock).households_added == 1
    with root.write("test") as tx:
        load_codes(tx, package_codes())
    assert preview_persons(root, path, unit_id=UNIT, clock=clock).problems.kept[0].rule == "code"


def test_a_unit_kept_elsewhere_is_refused_before_reading(commune: Store, tmp_path: Path) -> None:
    with pytest.raises(PermissionDenied, match="keep"):
        import_persons(commune, tmp_path / "none.csv", unit_id=OTHER_UNIT, clock=clock, random=random())


def test_a_long_file_is_committed_in_batches(commune: Store, tmp_path: Path) -> None:
    lines = [f"{n // 4};;{n % 4 + 1};Nguyễn Văn Mẫu;1;1980;01;;" for n in range(6_000)]
    stages: list[str] = []
    commune.failpoint = stages.append
    report = import_(commune, write_csv(tmp_path / "p.csv", *lines))
    assert (report.households_added, report.persons_added) == (1_500, 6_000)
    assert stages.count("import:after-commit") == 3


@pytest.mark.long
def test_200_000_persons_are_imported_in_bounded_memory(commune: Store, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        file.writelines(f"{n // 4};Thôn 1;{n % 4 + 1};Nguyễn Văn Mẫu;1;{1930 + n % 90};01;;\n" for n in range(200_000))
    before = resident_mb()
    report = import_persons(commune, path, unit_id=UNIT, clock=clock, random=random())
    assert report.persons_added == 200_000
    assert resident_mb() - before < 100


def resident_mb() -> float:
    """Resident memory of this process now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
