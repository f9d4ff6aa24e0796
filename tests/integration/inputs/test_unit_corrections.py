"""A units file that was corrected and is imported again, and units that change their kind, on both databases."""

from __future__ import annotations

from itertools import count as numbers
from random import Random

import pytest

from syncd.inputs.unit_file import COLUMNS
from syncd.inputs.units import UnitImport, import_units, preview_units
from syncd.store.base import Store
from tests.unit.inputs.builders import NODE, UNIT, clock, count, own_unit

SEN = "42,Tỉnh Hà Tĩnh,18073,Phường Thành Sen"
PHU = "42,Tỉnh Hà Tĩnh,18100,Phường Trần Phú"
CITY = "436,Thành phố Hà Tĩnh,42,Tỉnh Hà Tĩnh"
WHOLE = "Nhập toàn bộ"
FIRST = (
    f"{SEN},18073,Phường Nam Hà,{CITY},{WHOLE}",
    f"{SEN},18077,Phường Bắc Hà,{CITY},{WHOLE}",
    f"{PHU},18100,Phường Thạch Hạ,{CITY},{WHOLE}",
    f"{PHU},18103,Xã Đồng Môn,{CITY},{WHOLE}",
)
SEEDS = numbers(1)  # each import mints other ids
DECISIONS = "effective,decision,operation,unit_code,name,old_kind,new_kind,province_code,note"


@pytest.fixture
def province(root: Store) -> Store:
    with root.write("test") as tx:
        own_unit(tx, "province", "42", "Tỉnh Hà Tĩnh")
    import_(root, *FIRST)
    return root


def import_(store: Store, *lines: str, titles: str = ",".join(COLUMNS)) -> UnitImport:
    """Import lines after a preview, which has to foresee it."""
    texts = [f"{line}\r\n" for line in (titles, *lines)]
    foreseen = preview_units(store, texts, clock=clock, random=Random(next(SEEDS)))
    done = import_units(store, texts, clock=clock, random=Random(next(SEEDS)))
    assert [each.text("vi") for each in foreseen.corrected] == [each.text("vi") for each in done.corrected]
    assert (foreseen.units_added, foreseen.changes_added) == (done.units_added, done.changes_added)
    return done


def unit(store: Store, code: str, era: str = "valid_to IS NULL") -> tuple[str, str | None]:
    """(name, name of the unit above)."""
    with store.read() as tx:
        (row,) = tx.all(
            "SELECT u.name, p.name FROM unit AS u LEFT JOIN unit AS p ON p.id = u.parent_id"
            f" WHERE u.code = ? AND u.level = 'commune' AND u.{era}", (code,)
        )  # fmt: skip
    return row


def test_a_name_corrected_is_changed_once_and_told(province: Store) -> None:
    corrected = [line.replace("Thành Sen", "Thành Sen Mới") for line in FIRST]
    done = import_(province, *corrected)
    assert [(each.column, each.old, each.new) for each in done.corrected] == [
        ("name", "Phường Thành Sen", "Phường Thành Sen Mới")
    ]
    assert "Thành Sen Mới" in done.corrected[0].text("vi")
    assert unit(province, "18073")[0] == "Phường Thành Sen Mới"
    journal = count(province, "syncd_journal")
    assert import_(province, *corrected).corrected == ()
    assert count(province, "syncd_journal") == journal


def test_a_unit_above_corrected_is_changed_and_told(province: Store) -> None:
    done = import_(province, FIRST[0].replace("436,Thành phố Hà Tĩnh", "437,Thị xã Hồng Lĩnh"), *FIRST[1:])
    assert [(each.column, each.old, each.new) for each in done.corrected] == [
        ("parent_id", "Thành phố Hà Tĩnh", "Thị xã Hồng Lĩnh")
    ]
    assert done.units_added == 1
    assert unit(province, "18073", "valid_to IS NOT NULL") == ("Phường Nam Hà", "Thị xã Hồng Lĩnh")


def test_a_unit_that_a_node_keeps_is_hung_nowhere_else(province: Store) -> None:
    with province.apply("test") as tx:
        kept = tx.value("SELECT id FROM unit WHERE code = '18073' AND valid_to IS NOT NULL")
        tx.run("INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, 1, 0)", (kept, NODE))
    done = import_(province, FIRST[0].replace("436,Thành phố Hà Tĩnh", "437,Thị xã Hồng Lĩnh"), *FIRST[1:])
    assert [(problem.line, problem.rule) for problem in done.problems.kept] == [(2, "kept_above")]
    assert unit(province, "18073", "valid_to IS NOT NULL")[1] == "Thành phố Hà Tĩnh"


OTHERWISE = {
    "whole to another": (f"{PHU},18077,Phường Bắc Hà,{CITY},{WHOLE}",),
    "a part to another": (f"{PHU},18077,Phường Bắc Hà,{CITY},Nhập một phần",),
}


@pytest.mark.parametrize("lines", OTHERWISE.values(), ids=OTHERWISE)
def test_all_people_of_a_unit_go_to_one_successor_across_imports(province: Store, lines: tuple[str, ...]) -> None:
    before = count(province, "unit_change")
    done = import_(province, *lines)
    (problem,) = done.problems.kept
    assert (problem.line, problem.rule) == (2, "whole")
    assert "18073" in problem.text_en
    assert (count(province, "unit_change"), done.changes_added) == (before, 0)


def test_a_succession_corrected_in_one_file_is_changed(province: Store) -> None:
    part = FIRST[1].replace(WHOLE, "Nhập một phần")
    done = import_(province, FIRST[0], part, *FIRST[2:], f"{PHU},18077,Phường Bắc Hà,{CITY},Nhập một phần")
    assert done.problems.errors == 0
    assert {each.column for each in done.corrected} == {"operation", "scope_note"}
    assert done.changes_added == 1
    assert count(province, "unit_change", "operation = 'part'") == 2


def test_a_kind_changes_without_a_new_unit_and_later_than_the_reform(province: Store) -> None:
    lines = (
        "2026-04-30,237/NQ,reclassify,,Trần Phú,Phường,Đặc khu,42,",
        "2026-04-30,237/NQ,reclassify,18073,Thành Sen,Phường,Xã,42,",
    )
    units = count(province, "unit")
    done = import_(province, *lines, titles=DECISIONS)
    assert (done.problems.kept, done.changes_added, len(done.corrected)) == ([], 2, 2)
    assert unit(province, "18100")[0] == "Đặc khu Trần Phú"
    assert count(province, "unit") == units
    assert count(province, "unit_change", "old_unit_id = new_unit_id AND effective_on = '2026-04-30'") == 2
    again = import_(province, *lines, titles=DECISIONS)
    assert (again.corrected, again.changes_added) == ((), 0)
    # The reform's own file still bears the old name; what was decided later stands.
    reform = import_(province, *FIRST)
    assert (reform.corrected, {problem.rule for problem in reform.problems.kept}) == ((), {"later"})
    dated = import_(province, lines[0].replace("04-30", "05-01"), titles=DECISIONS)
    assert [(each.column, each.new) for each in dated.corrected] == [("effective_on", "2026-05-01")]
    city = "2026-04-30,30/QH,reclassify,42,Hà Tĩnh,Tỉnh,Thành phố,42,"
    assert [each.new for each in import_(province, city, titles=DECISIONS).corrected] == ["Thành phố Hà Tĩnh"]
    assert import_(province, city, titles=DECISIONS).corrected == ()


WRONG = {
    "another name": ("2026-04-30,1/NQ,reclassify,18073,Trần Phú,Phường,Xã,42,", "name"),
    "another province": ("2026-04-30,1/NQ,reclassify,18073,Thành Sen,Phường,Xã,24,", "province"),
    "no such unit": ("2026-04-30,1/NQ,reclassify,18999,Thành Sen,Phường,Xã,42,", "unknown_unit"),
    "zero eaten": ("2026-04-30,1/NQ,reclassify,4294,Thành Sen,Phường,Xã,42,", "digits"),
    "no digits": ("2026-04-30,1/NQ,reclassify,18O73,Thành Sen,Phường,Xã,42,", "digits"),
    "the same kind": ("2026-04-30,1/NQ,reclassify,18073,Thành Sen,Phường,phường,42,", "kind"),
    "kinds of two levels": ("2026-04-30,1/NQ,reclassify,18073,Thành Sen,Phường,Tỉnh,42,", "kind"),
    "to come": ("2027-04-30,1/NQ,reclassify,18073,Thành Sen,Phường,Xã,42,", "not_yet"),
    "no day": ("30/02/2026,1/NQ,reclassify,18073,Thành Sen,Phường,Xã,42,", "date"),
    "another operation": ("2026-04-30,1/NQ,merge,18073,Thành Sen,Phường,Xã,42,", "operation"),
    "no decision": ("2026-04-30,,reclassify,18073,Thành Sen,Phường,Xã,42,", "required"),
}


@pytest.mark.parametrize(("line", "rule"), WRONG.values(), ids=WRONG)
def test_a_decision_that_fits_no_unit_is_refused(line: str, rule: str, province: Store) -> None:
    done = import_(province, line, titles=DECISIONS)
    assert [(problem.line, problem.rule) for problem in done.problems.kept] == [(2, rule)]
    assert (done.corrected, done.changes_added) == ((), 0)


def test_the_roots_own_unit_keeps_its_name(province: Store) -> None:
    done = import_(province, *(line.replace("42,Tỉnh Hà Tĩnh,18", "42,Tỉnh Hà Tỉnh,18") for line in FIRST))
    assert "own" in {problem.rule for problem in done.problems.kept}
    # A name that is refused is nowhere named as a unit either.
    other = f"24,Tỉnh Bắc Ninh,07399,Xã Kép,07399,Xã Kép Cũ,{CITY},{WHOLE}"
    import_(province, *FIRST, other)
    moved = other.replace("24,Tỉnh Bắc Ninh", "42,Tỉnh Hà Tỉnh")
    done = import_(province, *(line.replace("42,Tỉnh Hà Tĩnh,18", "42,Tỉnh Hà Tỉnh,18") for line in FIRST), moved)
    assert [each.new for each in done.corrected if each.column == "parent_id"] == ["Tỉnh Hà Tĩnh"]
    with province.read() as tx:
        assert tx.value("SELECT name FROM unit WHERE id = ?", (UNIT,)) == "Tỉnh Hà Tĩnh"
