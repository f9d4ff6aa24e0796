"""Persons from a CSV file on real SQLite and real PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schema.population import PERSON
from syncd.errors import PermissionDenied
from syncd.inputs.codes import load_codes, package_codes
from syncd.inputs.persons_csv import PersonImport, import_persons, preview_persons
from syncd.inputs.problem import Severity
from syncd.store.base import Store
from tests.unit.inputs.builders import OTHER_UNIT, UNIT, clock, count, random

HEADER = "household_number;hamlet;line_no;full_name;sex;birth_date;ethnic;residence;phone"


def write_csv(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
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


WHOLE = "household_number;line_no;full_name;sex;birth_date;ethnic;relation;citizen_id;insurance_no;phone"
FATHER = "1;Đặng Văn Cha;1;1960;01;01;042060000001;;0912000091"
DAUGHTER = "2;Đặng Thị Con;2;1990;01;03;042190000002;HT4429900000002;0912000092"
SON = "3;Đặng Văn Út;1;05/06/1995;01;03;;;0912000093"


def family(path: Path, *people: str, number: str = "1090") -> Path:
    return write_csv(path, *(f"{number};{person}" for person in people), header=WHOLE)


def people(store: Store) -> list[tuple[object, ...]]:
    with store.read() as tx:
        return tx.all("SELECT full_name, line_no, citizen_id, insurance_no, phone FROM person ORDER BY full_name")


def test_a_line_put_in_between_makes_nobody_somebody_else(commune: Store, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    import_(commune, family(path, FATHER, DAUGHTER, SON))
    wife = "2;Lê Thị Vợ;2;1962;01;02;;;"
    family(path, FATHER, wife, DAUGHTER.replace("2;", "3;", 1), SON.replace("3;", "4;", 1))
    report = import_(commune, path)
    assert counts(report) == (0, 0, 1, 0, 1, 2, 1)
    assert people(commune) == [
        ("Lê Thị Vợ", 2, None, None, None),
        ("Đặng Thị Con", 3, "042190000002", "HT4429900000002", "0912000092"),
        ("Đặng Văn Cha", 1, "042060000001", None, "0912000091"),
        ("Đặng Văn Út", 4, None, None, "0912000093"),
    ]
    journal = count(commune, "syncd_journal")
    assert counts(import_(commune, path)) == (0, 0, 1, 0, 0, 0, 4)
    assert count(commune, "syncd_journal") == journal


TOLD = {
    "a name corrected, told by the citizen id": DAUGHTER.replace("Thị Con", "Thị Côn"),
    "told by the insurance number": DAUGHTER.replace("042190000002", "").replace("Thị Con", "Thị Côn"),
    "told by name, birth and sex at another line": SON.replace("3;", "7;", 1),
    "a birth date known better": DAUGHTER.replace("042190000002;HT4429900000002", ";").replace("1990", "02/03/1990"),
}
ASKED = {
    "the number of one, all else of another": SON.replace("01;03;;", "01;03;042190000002;"),
    "somebody else at a line": "3;Trần Văn Lạ;1;2001;01;11;;;",
    "a name alike, nothing to tell by": SON.replace("Văn Út", "Văn Út Em"),
    "another birth date, nothing to tell by": SON.replace("1995", "1996"),
    "the line of somebody whom the file leaves out": DAUGHTER.replace("2;", "3;", 1),
    "the insurance number and the year of one, name and sex of another": "2;Hồ Văn Lạ;1;1990;01;03;;HT4429900000002;",
    "the citizen id and the year of one, name and sex of another": "2;Hồ Văn Lạ;1;1990;01;03;042190000002;;",
    "the number and the year of one, the month known, all else of another": (
        "2;Hồ Văn Lạ;1;05/1990;01;03;042190000002;;"
    ),
    "the number and the year of one, another name of the same sex": "2;Hồ Thị Lạ;2;1990;01;03;042190000002;;",
}


@pytest.mark.parametrize("person", TOLD.values(), ids=TOLD)
def test_somebody_is_told_by_who_it_is(commune: Store, tmp_path: Path, person: str) -> None:
    path = tmp_path / "p.csv"
    import_(commune, family(path, FATHER, DAUGHTER, SON))
    report = import_(commune, family(path, person))
    assert counts(report) == (0, 0, 1, 0, 0, 1, 0)


@pytest.mark.parametrize("person", ASKED.values(), ids=ASKED)
def test_what_cannot_be_told_is_a_question_and_nothing_is_written(commune: Store, tmp_path: Path, person: str) -> None:
    path = tmp_path / "p.csv"
    import_(commune, family(path, FATHER, DAUGHTER, SON))
    before, journal = people(commune), count(commune, "syncd_journal")
    report = import_(commune, family(path, FATHER.replace("091", "099"), person))
    assert counts(report) == (0, 0, 0, 1, 0, 0, 0)
    asked = {(each.line, each.rule) for each in report.problems.kept if each.severity is Severity.ERROR}
    assert asked == {(3, "who")}
    assert (people(commune), count(commune, "syncd_journal")) == (before, journal)


ONE = "1;Lý Văn Anh;1;05/06/1990;01;01;;{};"
OTHER = "2;Lý Văn Em;1;05/06/1990;01;11;;{};"
FIRST, SECOND = "4200000001", "4200000002"
OF_TWO = {
    "the twin with the number of one who is named too": ((ONE.format(FIRST),), (ONE.format(""), OTHER.format(FIRST))),
    "told by the place of one, who is named too": ((ONE.format(FIRST),), (OTHER.format(FIRST), ONE.format(SECOND))),
    "the number that another keeps": (
        (ONE.replace(";;", ";042090000001;", 1).format(FIRST), OTHER.replace(";;", ";042090000002;", 1).format(SECOND)),
        (ONE.replace(";;", ";042090000001;", 1).format(""), OTHER.replace(";;", ";042090000002;", 1).format(FIRST)),
    ),
    "numbers exchanged": (
        (ONE.format(FIRST), OTHER.format(SECOND)), (ONE.format(SECOND), OTHER.format(FIRST)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kept", "told"), OF_TWO.values(), ids=OF_TWO)
def test_two_of_a_household_never_share_a_number(
    commune: Store, tmp_path: Path, kept: tuple[str, ...], told: tuple[str, ...]
) -> None:
    path = tmp_path / "p.csv"
    import_(commune, family(path, *kept))
    before = people(commune)
    report = import_(commune, family(path, *told))
    assert counts(report) == (0, 0, 0, 1, 0, 0, 0)
    assert {each.rule for each in report.problems.kept if each.severity is Severity.ERROR} == {"who"}
    assert people(commune) == before


KNOWN = "1;Nguyễn Thị Mẫu;2;05/03/1990;01;01;042190000005;;"
BETTER = {
    "the year alone": (KNOWN.replace("05/03/", ""), {("birth_date", "birth_kept")}),
    "month and year": (KNOWN.replace("05/03/", "03/"), {("birth_date", "birth_kept")}),
    "no diacritics": (KNOWN.replace("Nguyễn Thị Mẫu", "NGUYEN THI MAU"), {("full_name", "name_kept")}),
    "another name": (KNOWN.replace("Mẫu", "Mão"), {("full_name", "person_changed")}),
    "another sex": (KNOWN.replace(";2;", ";1;"), {("sex", "person_changed")}),
    "another day": (KNOWN.replace("05/", "06/"), {("birth_date", "person_changed")}),
}


@pytest.mark.parametrize(("told", "notes"), BETTER.values(), ids=BETTER)
def test_what_the_register_knows_better_stays_and_what_changes_is_said(
    commune: Store, tmp_path: Path, told: str, notes: set[tuple[str, str]]
) -> None:
    path = tmp_path / "p.csv"
    import_(commune, family(path, KNOWN))
    report = import_(commune, family(path, told))
    assert {(each.column, each.rule) for each in report.problems.kept if each.column != "citizen_id"} == notes
    is_changed = any(rule == "person_changed" for _, rule in notes)
    assert counts(report) == (0, 0, 1, 0, 0, int(is_changed), int(not is_changed))


def test_a_number_of_a_hamlet_is_the_same_without_its_zeros(commune: Store, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    import_(commune, write_csv(path, "1;001;1;Nguyễn Văn Mẫu;1;1980;01;;"))
    for hamlet in ("1", "1.0", "01"):
        assert counts(import_(commune, write_csv(path, f"1;{hamlet};1;Nguyễn Văn Mẫu;1;1980;01;;")))[1:3] == (0, 1)
    assert counts(import_(commune, write_csv(path, "1;2;1;Nguyễn Văn Mẫu;1;1980;01;;")))[1:3] == (1, 0)


def test_a_place_of_somebody_gone_is_free_and_a_number_of_another_household_is_a_question(
    commune: Store, tmp_path: Path
) -> None:
    path = tmp_path / "p.csv"
    import_(commune, family(path, FATHER, DAUGHTER, SON))
    with commune.write("test") as tx:
        tx.run("UPDATE person SET residence = 'deceased' WHERE full_name = ?", ("Đặng Văn Út",))
    baby = "3;Đặng Thị Bé;2;01/11/2026;01;03;;;"
    assert counts(import_(commune, family(path, FATHER, DAUGHTER, baby))) == (0, 0, 1, 0, 1, 0, 2)
    elsewhere = import_(commune, family(path, DAUGHTER.replace("2;", "1;", 1), number="1091"))
    assert elsewhere.problems.kept[0].rule == "who"
    assert count(commune, "household") == 1


def test_other_spellings_of_a_household_number_find_the_household(commune: Store, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with commune.write("test") as tx:
        tx.run("INSERT INTO household (number, kind) VALUES ('01021', 'family')")
    import_(commune, family(path, FATHER, number="1020"))
    for number in ("1020.0", "01020", "1020"):
        assert counts(import_(commune, family(path, FATHER, number=number))) == (0, 0, 1, 0, 0, 0, 1)
    assert counts(import_(commune, family(path, DAUGHTER, number="1021"))) == (0, 0, 1, 0, 1, 0, 0)
    with commune.read() as tx:
        assert tx.all("SELECT number FROM household ORDER BY number") == [("01021",), ("1020",)]


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
