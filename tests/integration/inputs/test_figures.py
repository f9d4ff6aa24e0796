"""Generated registers, edits and the figures counted from them, on real SQLite and real PostgreSQL."""

from __future__ import annotations

import json
from datetime import date

import pytest

from schema.population import DEATH, MIGRATION
from schema.spec import Table
from syncd.aggregate import Cells
from syncd.identity.looked import note_look
from syncd.inputs.codes import load_codes, package_codes
from syncd.inputs.edits import edits, run, sql_text
from syncd.inputs.figures import figures
from syncd.inputs.figures_text import figures_text
from syncd.inputs.generate import TABLES, generate
from syncd.store.base import Store
from tests.unit.inputs.builders import OTHER_UNIT, UNIT, count

TODAY = date(2026, 11, 20)


@pytest.fixture
def register(commune: Store) -> Store:
    """A commune with a generated register of 1 500 persons."""
    generate(commune, unit_id=UNIT, persons=1_500, seed=1, today=TODAY)
    return commune


def test_a_register_is_written_and_continued_with_new_household_numbers(register: Store) -> None:
    more = generate(register, unit_id=UNIT, persons=100, seed=2, today=TODAY)
    assert more.persons == 100
    assert count(register, "person") == 1_600
    with register.read() as tx:
        doubled = tx.all("SELECT number FROM household GROUP BY number HAVING count(*) > 1")
    assert not doubled


def test_edits_are_plain_sql_that_every_guard_accepts(register: Store) -> None:
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


def test_figures_of_a_province_equal_a_count_of_the_records(register: Store) -> None:
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
        assert n.total == events(register, table, column)
    assert json.loads(json.dumps(found.to_json()))["usual"]["total"] == found.usual.total


def events(store: Store, table: Table, column: str) -> int:
    where = f"{column} BETWEEN '2026-11-01' AND '2026-11-30'"
    return count(store, table.name, where + (" AND direction = 'arrival'" if table is MIGRATION else ""))


def test_a_past_month_leaves_out_who_was_born_later(register: Store) -> None:
    fold(register)
    with register.read() as tx:
        found = figures(tx, register.registry, [UNIT], "2026-01")
    later = count(register, "person", "birth_date >= '2026-02-01'")
    assert later
    assert any(english.startswith(f"{later} persons were born after") for _, english in found.notes)


def test_a_register_that_has_not_come_is_named_missing(commune: Store) -> None:
    with_tree(commune)
    with commune.read() as tx:
        before = figures(tx, commune.registry, [OTHER_UNIT], "2026-11")
    with commune.apply("test") as tx:
        tx.run(
            "INSERT INTO syncd_stream (stream_id, kind, unit_id, keeper, term, own, held_seq, held_hash,"
            " applied_seq, applied_hash, floor_hash, state, changed_at)"
            " SELECT ?, 1, unit_id, node_id, 1, 0, 9, ?, 7, ?, ?, 'ok', ? FROM syncd_keeper",
            ("018f0000-0000-7000-8000-0000000000aa", b"h", b"h", b"h", "2026-11-20T01:00:00Z"),
        )
    with commune.read() as tx:
        after = figures(tx, commune.registry, [OTHER_UNIT], "2026-11")
    assert [(state.code, state.state) for state in before.registers_missing] == [("18133", "missing")]
    assert not after.registers_missing
    assert [(state.code, state.position) for state in after.registers] == [("18133", 7)]


def test_one_line_a_unit_tells_who_has_no_register_and_no_tier_that_keeps_none(commune: Store) -> None:
    with_tree(commune)
    lone, gone, hub = (f"018f0000-0000-7000-8000-0000000000b{n}" for n in range(3))
    with commune.apply("test") as tx:
        tx.many(
            "INSERT INTO unit (id, parent_id, level, code, name, valid_to) VALUES (?, ?, 'commune', ?, ?, ?)",
            [(lone, OTHER_UNIT, "18134", "Xã Chưa Ai Giữ", None), (gone, OTHER_UNIT, "18135", "Xã Cũ", "2020-01-01")],
        )
        tx.run("INSERT INTO unit (id, parent_id, level, code, name) VALUES (?, ?, 'district', '440', 'Huyện Trống')",
               (hub, OTHER_UNIT))  # fmt: skip
        tx.run("UPDATE unit SET parent_id = ? WHERE id = ?", (hub, lone))
        tx.run("INSERT INTO syncd_meta (key, value) VALUES ('unit_id', ?) ON CONFLICT (key) DO UPDATE SET value = ?",
               (OTHER_UNIT, OTHER_UNIT))  # fmt: skip
        for term in (1, 2):
            tx.run(
                "INSERT INTO syncd_stream (stream_id, kind, unit_id, keeper, term, own, held_seq, held_hash,"
                " applied_seq, applied_hash, floor_hash, state, changed_at)"
                " SELECT ?, 1, unit_id, node_id, ?, 0, 9, ?, 7, ?, ?, 'ok', ? FROM syncd_keeper WHERE unit_id = ?",
                (f"018f0000-0000-7000-8000-0000000000c{term}", term, b"h", b"h", b"h", "2026-11-20T01:00:00Z", UNIT),
            )
    with commune.read() as tx:
        lines = tx.all("SELECT unit_code, state, keeper IS NULL FROM v_completeness ORDER BY unit_code")
        terms = tx.all("SELECT term FROM v_completeness_term WHERE unit_code = '18133' ORDER BY term")
        found = figures(tx, commune.registry, [OTHER_UNIT], "2026-11")
    assert [(code, state, bool(unkept)) for code, state, unkept in lines] == [
        ("18133", "ok", False), ("18134", "missing", True),
    ]  # fmt: skip
    assert terms == [(1,), (2,)]
    assert [(each.code, each.is_kept) for each in found.registers_missing] == [("18134", False)]
    assert [each.code for each in found.registers] == ["18133"]


def test_figures_say_where_persons_were_never_matched(commune: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with_tree(commune)
    with commune.apply("test") as tx:
        tx.run("INSERT INTO unit (id, parent_id, level, code, name) VALUES (?, ?, 'commune', '18134', 'Xã Bên')",
               ("018f0000-0000-7000-8000-0000000000b0", OTHER_UNIT))  # fmt: skip
    with commune.read() as tx:
        before = figures(tx, commune.registry, [OTHER_UNIT], "2026-11")
    with commune.write("test") as tx:
        note_look(tx, "2026-11-20T01:00:00.000Z")
    with commune.read() as tx:
        after = figures(tx, commune.registry, [OTHER_UNIT], "2026-11")
    assert any("never matched" in english for _, english in before.notes)
    assert "chưa lần nào" in figures_text(before, "vi")
    assert not any("never matched" in english for _, english in after.notes)
    assert "toàn bộ lần cuối 20/11/2026 08:00" in figures_text(after, "vi")
    assert (before.to_json()["matched_at"], after.matched_at) == (None, "2026-11-20T01:00:00.000Z")


def test_views_read_as_the_cells_do(register: Store) -> None:
    with_tree(register)
    fold(register)
    assert count(register, "person") == int(total(register, "v_population"))
    assert total(register, "v_flow") == count(register, "birth") + count(register, "death") + count(
        register, "migration"
    )
    with register.read() as tx:
        assert tx.all("SELECT unit_code, state FROM v_completeness") == [("18133", "missing")]
        assert tx.all("SELECT code, parent_code FROM v_unit WHERE level = 'commune'") == [("18133", "42")]


def total(store: Store, view: str) -> int:
    with store.read() as tx:
        return int(tx.value(f"SELECT sum(n) FROM {view}"))


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


def test_a_code_that_no_list_has_is_counted_apart_and_named(root: Store) -> None:
    with root.write("test") as tx:
        load_codes(tx, package_codes())
    generate(root, unit_id=UNIT, persons=50, seed=1, today=TODAY)
    with root.write("test") as tx:
        chosen = tx.value("SELECT min(CAST(id AS text)) FROM person WHERE residence = 'usual'")
        tx.run("UPDATE person SET ethnic = 'zz', education = '99' WHERE CAST(id AS text) = ?", (chosen,))
        tx.run("UPDATE person SET marital = '77', relation = '88' WHERE residence = 'usual'")
    fold(root)
    with root.read() as tx:
        found = figures(tx, root.registry, [UNIT], "2026-11")
    (unknown,) = (group for group in found.ethnic if not group.is_known)
    assert (unknown.code, unknown.name, unknown.n) == ("zz", None, 1)
    assert "[mã zz không có trong danh mục] 1" in figures_text(found, "vi")
    assert any("not in the list" in note for _, note in found.notes)
    usual = found.usual.total
    assert {(each.column, each.code): each.n for each in found.unlisted if each.column != "marital"} == {
        ("ethnic", "zz"): 1, ("education", "99"): 1, ("relation", "88"): count(root, "person", "residence = 'usual'"),
    }  # fmt: skip
    assert usual >= max(each.n for each in found.unlisted)
    notes = figures_text(found, "vi")
    assert "Trình độ học vấn: 1 người mang mã không có trong danh mục (99: 1)" in notes
    assert "Tình trạng hôn nhân" in notes
