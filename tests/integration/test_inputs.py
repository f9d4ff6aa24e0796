"""Units, codes, persons, generated registers, edits and figures on real SQLite and real PostgreSQL.

The official conversion is read where it lies beside the repository; the same rules are tested on a small file always.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from schema.population import DEATH, MIGRATION, PERSON
from schema.spec import Table
from syncd.aggregate import Cells
from syncd.errors import PermissionDenied, StoreError
from syncd.inputs.codes import CodeRow, codes_of, load_codes, package_codes
from syncd.inputs.edits import edits, run, sql_text
from syncd.inputs.figures import figures
from syncd.inputs.generate import TABLES, generate
from syncd.inputs.persons_csv import PersonImport, import_persons, preview_persons
from syncd.inputs.unit_file import COLUMNS
from syncd.inputs.units import UnitImport, demo_unit_rows, import_units, load_units, preview_units
from syncd.store.base import Store
from tests.unit.inputs.builders import (
    OFFICIAL,
    OTHER_UNIT,
    UNIT,
    clock,
    count,
    own_unit,
    postgres_store,
    random,
    sqlite_store,
)

TODAY = date(2026, 11, 20)
NEEDS_OFFICIAL = pytest.mark.skipif(not OFFICIAL.exists(), reason="the official file is not beside the repository")
SMALL = (
    "42,Tỉnh Hà Tĩnh,18160,Xã Sơn Hồng,18139,Xã Sơn Hồng,439,Huyện Hương Sơn,42,Tỉnh Hà Tĩnh,Nhập toàn bộ",
    "42,Tỉnh Hà Tĩnh,18160,Xã Sơn Hồng,18160,Xã Sơn Lĩnh,439,Huyện Hương Sơn,42,Tỉnh Hà Tĩnh,Nhập toàn bộ",
    "80,Tỉnh Tây Ninh,27694,Phường Long An,27694,Phường 1,794,Thành phố Tân An,80,Tỉnh Long An,Nhập toàn bộ",
    "80,Tỉnh Tây Ninh,27694,Phường Long An,,Bãi bồi,794,Thành phố Tân An,80,Tỉnh Long An,Nhập toàn bộ",
)
Open = Callable[[int], Store]


@pytest.fixture(params=["sqlite", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the test's database as a node of a given depth."""
    opened: list[Store] = []

    def at(depth: int) -> Store:
        if request.param == "sqlite":
            opened.append(sqlite_store(tmp_path / "node.db", depth))
        else:
            opened.append(postgres_store(request.getfixturevalue("postgres_dsn"), depth))
        return opened[0]

    yield at
    for store in opened:
        store.close()


@pytest.fixture
def root(opening: Open) -> Store:
    return opening(0)


@pytest.fixture
def commune(opening: Open) -> Store:
    return opening(2)


def small_import(store: Store, province: str | None = None) -> UnitImport:
    lines = [f"{line}\n" for line in (",".join(COLUMNS), *SMALL)]
    return import_units(store, lines, clock=clock, random=random(), province=province)


def unit_rows(store: Store) -> dict[tuple[str, str, str | None], tuple[str, str | None]]:
    """(level, code, valid_to) → (name, code of the parent)."""
    with store.read() as tx:
        rows = tx.all(
            "SELECT u.level, u.code, u.valid_to, u.name, p.code FROM unit AS u"
            " LEFT JOIN unit AS p ON p.id = u.parent_id"
        )
    return {(level, code, valid_to): (name, parent) for level, code, valid_to, name, parent in rows}


class TestUnits:
    def test_provinces_hang_below_a_country_and_a_second_import_changes_nothing(self, root: Store) -> None:
        with root.write("test") as tx:
            own_unit(tx, "country", "VN", "Việt Nam")
        first = small_import(root)
        journal = count(root, "syncd_journal")
        second = small_import(root)
        assert (first.units_added, first.changes_added, first.problems.errors) == (11, 3, 1)
        assert (second.units_added, second.changes_added) == (0, 0)
        assert count(root, "syncd_journal") == journal
        units = unit_rows(root)
        assert units["province", "80", None] == ("Tỉnh Tây Ninh", "VN")
        assert units["province", "80", "2025-07-01"] == ("Tỉnh Long An", "VN")
        assert units["commune", "18160", None] == ("Xã Sơn Hồng", "42")
        assert units["commune", "18160", "2025-07-01"] == ("Xã Sơn Lĩnh", "439")

    def test_a_root_that_is_a_province_is_the_new_province(self, root: Store) -> None:
        with root.write("test") as tx:
            own_unit(tx, "province", "42", "Tỉnh Hà Tĩnh")
        report = small_import(root, province="42")
        assert (report.new_provinces, report.units_added) == (1, 5)
        units = unit_rows(root)
        assert units["commune", "18160", None] == ("Xã Sơn Hồng", "42")
        assert units["province", "42", "2025-07-01"] == ("Tỉnh Hà Tĩnh", "42")
        with root.read() as tx:
            assert tx.value("SELECT parent_id FROM unit WHERE code = '18160' AND valid_to IS NULL") == UNIT

    def test_a_preview_writes_nothing_and_foresees_the_import(self, root: Store) -> None:
        lines = [f"{line}\n" for line in (",".join(COLUMNS), *SMALL)]
        preview = preview_units(root, lines, clock=clock, random=random())
        assert count(root, "unit") == 0
        report = small_import(root)
        assert (preview.units_added, preview.changes_added) == (report.units_added, report.changes_added)

    def test_units_are_imported_at_the_root_only(self, commune: Store) -> None:
        with pytest.raises(PermissionDenied, match="root"):
            small_import(commune)
        assert count(commune, "unit") == 0

    @NEEDS_OFFICIAL
    def test_the_whole_country_is_imported_in_seconds(self, root: Store) -> None:
        started = time.monotonic()
        with OFFICIAL.open(encoding="utf-8-sig", newline="") as lines:
            report = import_units(root, lines, clock=clock, random=random())
        assert time.monotonic() - started < 10
        assert (report.new_communes, report.old_communes) == (3_316, 10_033)
        assert count(root, "unit", "level = 'commune' AND valid_from = '2025-07-01'") == 3_316
        assert count(root, "unit", "level = 'commune' AND valid_to = '2025-07-01'") == 10_033
        assert count(root, "unit_change") == report.successions
        with OFFICIAL.open(encoding="utf-8-sig", newline="") as lines:
            again = import_units(root, lines, clock=clock, random=random())
        assert (again.units_added, again.changes_added) == (0, 0)

    def test_the_demo_list_is_loaded_once_and_takes_the_roots_own_unit(self, root: Store) -> None:
        rows = demo_unit_rows()
        with root.write("test") as tx:
            own_unit(tx, "province", "42", "Tỉnh Hà Tĩnh")
            first = load_units(tx, rows, time_ms=clock(), random=random())
        with root.write("test") as tx:
            second = load_units(tx, rows, time_ms=clock() + 1, random=random())
        assert first == second
        assert first["province", "42"] == UNIT
        assert count(root, "unit") == len(rows) <= 40
        assert sum(row.level == "district" for row in rows) == 2
        assert sum(row.level == "commune" for row in rows) >= 6


class TestCodes:
    def test_lists_are_loaded_once_and_renamed_in_place(self, root: Store) -> None:
        with root.write("test") as tx:
            first = load_codes(tx, package_codes())
            second = load_codes(tx, package_codes())
            third = load_codes(tx, [CodeRow(list_name="ethnic", version=1, code="01", name="Kinh (Việt)")])
            names = codes_of(tx, "ethnic")
        assert (second.added, second.renamed) == (0, 0)
        assert first.added == first.lists + first.codes
        assert third.renamed == 1
        assert len(names) == 55
        assert names["01"] == "Kinh (Việt)"

    def test_codes_are_the_roots(self, commune: Store) -> None:
        with pytest.raises(StoreError), commune.write("test") as tx:
            load_codes(tx, package_codes())


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


class TestPersons:
    def import_(self, store: Store, path: Path) -> PersonImport:
        return import_persons(store, path, unit_id=UNIT, clock=clock, random=random())

    def test_the_same_file_again_changes_nothing(self, commune: Store, tmp_path: Path) -> None:
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
        second = self.import_(commune, path)
        assert counts(first) == counts(preview) == (2, 0, 0, 0, 3, 0, 0)
        assert counts(second) == (0, 0, 2, 0, 0, 0, 3)
        assert count(commune, "syncd_journal") == journal == 5
        assert seen == [(3, 3)]

    def test_a_changed_line_updates_only_the_columns_that_differ(self, commune: Store, tmp_path: Path) -> None:
        path = tmp_path / "p.csv"
        self.import_(commune, write_csv(path, "1;Thôn 1;1;Nguyễn Văn Mẫu;1;1980;01;absent;0912"))
        before = count(commune, "syncd_journal")
        report = self.import_(
            commune, write_csv(path, "1;;1;Nguyễn Văn Mẫu;1;1980;01;;0913", "1;;2;Lê Thị Nháp;2;2001;01;;")
        )
        assert counts(report) == (0, 0, 1, 0, 1, 1, 0)
        with commune.read() as tx:
            masks = tx.all("SELECT mask FROM syncd_journal WHERE op = 2")
            kept = tx.all("SELECT residence, phone FROM person ORDER BY line_no")
        assert masks == [(1 << PERSON.by_name["phone"].number,)]
        assert kept == [("absent", "0913"), ("usual", None)]  # an empty cell erases nothing
        assert count(commune, "syncd_journal") == before + 2

    def test_a_household_is_imported_whole_or_not_at_all(self, commune: Store, tmp_path: Path) -> None:
        path = write_csv(
            tmp_path / "p.csv", "1;;1;Nguyễn Văn Mẫu;1;1980;01;;", "1;;2;Trần Thị Thử;x;1984;01;;",
            "2;;1;Lê Thị Nháp;2;2001;01;;",
        )  # fmt: skip
        report = self.import_(commune, path)
        assert counts(report) == (1, 0, 0, 1, 1, 0, 0)
        assert [(problem.line, problem.column) for problem in report.problems.kept] == [(3, "sex")]
        assert (count(commune, "household"), count(commune, "person")) == (1, 1)

    def test_a_household_that_is_twice_in_the_register_is_left_alone(self, commune: Store, tmp_path: Path) -> None:
        with commune.write("test") as tx:
            tx.many("INSERT INTO household (number, kind) VALUES (?, 'family')", [("1",), ("1",)])
        report = self.import_(commune, write_csv(tmp_path / "p.csv", "1;;1;Nguyễn Văn Mẫu;1;1980;01;;"))
        assert counts(report) == (0, 0, 0, 1, 0, 0, 0)
        assert report.problems.kept[0].rule == "ambiguous"

    def test_codes_are_checked_once_their_list_is_here(self, root: Store, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "p.csv", "1;;1;Nguyễn Văn Mẫu;1;1980;77;;")
        assert preview_persons(root, path, unit_id=UNIT, clock=clock).households_added == 1
        with root.write("test") as tx:
            load_codes(tx, package_codes())
        assert preview_persons(root, path, unit_id=UNIT, clock=clock).problems.kept[0].rule == "code"

    def test_a_unit_kept_elsewhere_is_refused_before_reading(self, commune: Store, tmp_path: Path) -> None:
        with pytest.raises(PermissionDenied, match="keep"):
            import_persons(commune, tmp_path / "none.csv", unit_id=OTHER_UNIT, clock=clock, random=random())

    def test_a_long_file_is_committed_in_batches(self, commune: Store, tmp_path: Path) -> None:
        lines = [f"{n // 4};;{n % 4 + 1};Nguyễn Văn Mẫu;1;1980;01;;" for n in range(6_000)]
        stages: list[str] = []
        commune.failpoint = stages.append
        report = self.import_(commune, write_csv(tmp_path / "p.csv", *lines))
        assert (report.households_added, report.persons_added) == (1_500, 6_000)
        assert stages.count("import:after-commit") == 3


@pytest.fixture
def register(commune: Store) -> Store:
    """A commune with a generated register of 1 500 persons."""
    generate(commune, unit_id=UNIT, persons=1_500, seed=1, today=TODAY)
    return commune


class TestGenerated:
    def test_a_register_is_written_and_continued_with_new_household_numbers(self, register: Store) -> None:
        more = generate(register, unit_id=UNIT, persons=100, seed=2, today=TODAY)
        assert more.persons == 100
        assert count(register, "person") == 1_600
        with register.read() as tx:
            doubled = tx.all("SELECT number FROM household GROUP BY number HAVING count(*) > 1")
        assert not doubled

    def test_edits_are_plain_sql_that_every_guard_accepts(self, register: Store) -> None:
        with register.read() as tx:
            made = edits(tx, unit_id=UNIT, count=200, seed=3, today=TODAY)
            assert made == edits(tx, unit_id=UNIT, count=200, seed=3, today=TODAY)
        before = count(register, "syncd_journal")
        for number, edit in enumerate(made):
            with register.write("test") as tx:
                if number % 2:
                    run(tx, edit)
                else:
                    for statement in sql_text(edit).split(";\n"):
                        tx.run(statement.rstrip(";"))
        assert count(register, "syncd_journal") >= before + 200
        assert {edit.kind for edit in made} >= {
            "phone",
            "education",
            "marital",
            "birth",
            "death",
            "arrival",
            "departure",
        }


def fold(store: Store) -> None:
    """Fill the cells as applying does."""
    with store.apply("test") as tx:
        cells = Cells()
        for table, _ in TABLES:
            if table.fold:
                rows = tx.all(f"SELECT {', '.join(table.fold.all_columns)} FROM {table.name}")
                cells.add(table, UNIT, 1, list(zip(*rows, strict=True)))
        cells.store(tx)


def with_tree(store: Store) -> None:
    with store.apply("test") as tx:
        tx.run("INSERT INTO unit (id, level, code, name) VALUES (?, 'province', '42', 'Tỉnh Hà Tĩnh')", (OTHER_UNIT,))
        tx.run(
            "INSERT INTO unit (id, parent_id, level, code, name)"
            " VALUES (?, ?, 'commune', '18133', 'Thị trấn Phố Châu')",
            (UNIT, OTHER_UNIT),
        )


class TestFigures:
    def test_figures_of_a_province_equal_a_count_of_the_records(self, register: Store) -> None:
        with_tree(register)
        fold(register)
        with register.read() as tx:
            found = figures(tx, register.registry, [OTHER_UNIT], "2026-11")
        usual = "residence IN ('usual', 'absent')"
        assert found.usual.total == count(register, "person", usual)
        assert found.usual.male == count(register, "person", f"{usual} AND sex = 1")
        assert sum(group.male + group.female for group in found.ages) == found.usual.total
        # Born in December 2011 or later: not yet 15 at the end of November 2026.
        young = sum(group.male + group.female for group in found.ages if group.first < 15)
        assert young == count(register, "person", f"{usual} AND birth_date >= '2011-12-01'")
        for table, column, n in ((DEATH, "died_on", found.deaths), (MIGRATION, "moved_on", found.arrivals)):
            assert n.total == self.events(register, table, column)
        assert json.loads(json.dumps(found.to_json()))["usual"]["total"] == found.usual.total

    def events(self, store: Store, table: Table, column: str) -> int:
        where = f"{column} BETWEEN '2026-11-01' AND '2026-11-30'"
        return count(store, table.name, where + (" AND direction = 'arrival'" if table is MIGRATION else ""))

    def test_a_past_month_leaves_out_who_was_born_later(self, register: Store) -> None:
        fold(register)
        with register.read() as tx:
            found = figures(tx, register.registry, [UNIT], "2026-01")
        later = count(register, "person", "birth_date >= '2026-02-01'")
        assert later
        assert any(english.startswith(f"{later} persons were born after") for _, english in found.notes)

    def test_a_register_that_has_not_come_is_named_missing(self, commune: Store) -> None:
        with_tree(commune)
        with commune.read() as tx:
            before = figures(tx, commune.registry, [OTHER_UNIT], "2026-11")
        with commune.apply("test") as tx:
            tx.run(
                "INSERT INTO syncd_stream (stream_id, kind, unit_id, keeper, term, own, held_seq, held_hash,"
                " applied_seq, applied_hash, state, changed_at)"
                " SELECT ?, 1, unit_id, node_id, 1, 0, 9, ?, 7, ?, 'ok', ? FROM syncd_keeper",
                ("018f0000-0000-7000-8000-0000000000aa", b"h", b"h", "2026-11-20T01:00:00Z"),
            )
        with commune.read() as tx:
            after = figures(tx, commune.registry, [OTHER_UNIT], "2026-11")
        assert [(state.code, state.state) for state in before.registers_missing] == [("18133", "missing")]
        assert not after.registers_missing
        assert [(state.code, state.position) for state in after.registers] == [("18133", 7)]

    def test_views_read_as_the_cells_do(self, register: Store) -> None:
        with_tree(register)
        fold(register)
        assert count(register, "person") == int(self.total(register, "v_population"))
        assert self.total(register, "v_flow") == count(register, "birth") + count(register, "death") + count(
            register, "migration"
        )
        with register.read() as tx:
            assert tx.all("SELECT unit_code, state FROM v_completeness") == [("18133", "missing")]
            assert tx.all("SELECT code, parent_code FROM v_unit WHERE level = 'commune'") == [("18133", "42")]

    def total(self, store: Store, view: str) -> int:
        with store.read() as tx:
            return int(tx.value(f"SELECT sum(n) FROM {view}"))


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
