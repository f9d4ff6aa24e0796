"""Units and codes on real SQLite and real PostgreSQL.

The official conversion is read where it lies beside the repository; the same rules are tested on a small file always.
"""

from __future__ import annotations

from typing import Any

import pytest

from syncd.errors import PermissionDenied, StoreError
from syncd.inputs.codes import CodeRow, codes_of, load_codes, package_codes
from syncd.inputs.unit_file import COLUMNS
from syncd.inputs.units import UnitImport, demo_unit_rows, import_units, load_units, preview_units
from syncd.store.base import Store
from syncd.store.postgres import PostgresTx
from syncd.store.sqlite import SqliteTx
from tests.unit.inputs.builders import OFFICIAL, UNIT, clock, count, own_unit, random

NEEDS_OFFICIAL = pytest.mark.skipif(not OFFICIAL.exists(), reason="the official file is not beside the repository")
STATEMENTS_MAX = 300
SMALL = (
    "42,Tỉnh Hà Tĩnh,18160,Xã Sơn Hồng,18139,Xã Sơn Hồng,439,Huyện Hương Sơn,42,Tỉnh Hà Tĩnh,Nhập toàn bộ",
    "42,Tỉnh Hà Tĩnh,18160,Xã Sơn Hồng,18160,Xã Sơn Lĩnh,439,Huyện Hương Sơn,42,Tỉnh Hà Tĩnh,Nhập toàn bộ",
    "80,Tỉnh Tây Ninh,27694,Phường Long An,27694,Phường 1,794,Thành phố Tân An,80,Tỉnh Long An,Nhập toàn bộ",
    "80,Tỉnh Tây Ninh,27694,Phường Long An,,Bãi bồi,794,Thành phố Tân An,80,Tỉnh Long An,Nhập toàn bộ",
)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is run one by one from here on."""
    ran: list[str] = []
    for kind in (PostgresTx, SqliteTx):
        execute = kind._execute

        def noted(self: Any, sql: str, values: Any, execute: Any = execute) -> Any:
            ran.append(sql)
            return execute(self, sql, values)

        monkeypatch.setattr(kind, "_execute", noted)
    return ran


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


def test_provinces_hang_below_a_country_and_a_second_import_changes_nothing(root: Store) -> None:
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


def test_a_root_that_is_a_province_is_the_new_province(root: Store) -> None:
    with root.write("test") as tx:
        own_unit(tx, "province", "42", "Tỉnh Hà Tĩnh")
    report = small_import(root, province="42")
    assert (report.new_provinces, report.units_added) == (1, 5)
    units = unit_rows(root)
    assert units["commune", "18160", None] == ("Xã Sơn Hồng", "42")
    assert units["province", "42", "2025-07-01"] == ("Tỉnh Hà Tĩnh", "42")
    with root.read() as tx:
        assert tx.value("SELECT parent_id FROM unit WHERE code = '18160' AND valid_to IS NULL") == UNIT


def test_a_preview_writes_nothing_and_foresees_the_import(root: Store) -> None:
    lines = [f"{line}\n" for line in (",".join(COLUMNS), *SMALL)]
    preview = preview_units(root, lines, clock=clock, random=random())
    assert count(root, "unit") == 0
    report = small_import(root)
    assert (preview.units_added, preview.changes_added) == (report.units_added, report.changes_added)


def test_units_are_imported_at_the_root_only(commune: Store) -> None:
    with pytest.raises(PermissionDenied, match="root"):
        small_import(commune)
    assert count(commune, "unit") == 0


@NEEDS_OFFICIAL
def test_the_whole_country_is_imported_by_sets(root: Store, statements: list[str]) -> None:
    with OFFICIAL.open(encoding="utf-8-sig", newline="") as lines:
        report = import_units(root, lines, clock=clock, random=random())
    assert 0 < len(statements) < STATEMENTS_MAX  # for 24 000 rows
    assert (report.new_communes, report.old_communes) == (3_316, 10_033)
    assert count(root, "unit", "level = 'commune' AND valid_from = '2025-07-01'") == 3_316
    assert count(root, "unit", "level = 'commune' AND valid_to = '2025-07-01'") == 10_033
    assert count(root, "unit_change") == report.successions
    with OFFICIAL.open(encoding="utf-8-sig", newline="") as lines:
        again = import_units(root, lines, clock=clock, random=random())
    assert (again.units_added, again.changes_added) == (0, 0)


def test_the_demo_list_is_loaded_once_and_takes_the_roots_own_unit(root: Store) -> None:
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


def test_lists_are_loaded_once_and_renamed_in_place(root: Store) -> None:
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


def test_codes_are_the_roots(commune: Store) -> None:
    with pytest.raises(StoreError), commune.write("test") as tx:
        load_codes(tx, package_codes())
