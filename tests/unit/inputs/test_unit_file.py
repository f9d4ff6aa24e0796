"""The official conversion: what a row says, and what is done when rows contradict each other.

A small hand-written file shows every rule; the official file is read too where it lies beside the repository.
"""

from __future__ import annotations

from collections import Counter

import pytest

from syncd.errors import FileRefused, UsageError
from syncd.inputs.problem import Severity
from syncd.inputs.unit_file import COLUMNS, Conversion, Era, Level, Operation, UnitKey, operation_of, read_conversion
from tests.unit.inputs.builders import OFFICIAL

HEADER = ",".join(COLUMNS)


def old(code: str, level: Level = Level.COMMUNE) -> UnitKey:
    return UnitKey(level, code, Era.OLD)


def row(new: str, was: str, *, district: str = "439,Huyện Hương Sơn", note: str = "Nhập toàn bộ") -> str:
    return f"42,Tỉnh Hà Tĩnh,{new},{was},{district},42,Tỉnh Hà Tĩnh,{note}"


def read(*rows: str, province: str | None = None) -> Conversion:
    return read_conversion([f"{line}\r\n" for line in (HEADER, *rows)], province)


def rules(conversion: Conversion) -> list[tuple[int, str, str]]:
    return [(problem.line, problem.column, problem.rule) for problem in conversion.problems.kept]


def test_a_row_is_a_succession_and_its_units_belong_to_two_eras() -> None:
    conversion = read(row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng"), row("18160,Xã Sơn Hồng", "18160,Xã Sơn Lĩnh"))
    names = {fact.key: fact.name for fact in conversion.units}
    assert names[UnitKey(Level.COMMUNE, "18160", Era.NEW)] == "Xã Sơn Hồng"
    assert names[old("18160")] == "Xã Sơn Lĩnh"  # the re-used code named another place
    assert [(item.old.code, item.new.code) for item in conversion.successions] == [
        ("18139", "18160"),
        ("18160", "18160"),
    ]
    assert not conversion.problems.kept


def test_old_units_hang_under_districts_and_new_ones_under_provinces() -> None:
    conversion = read(row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng"))
    parents = {fact.key: fact.parent for fact in conversion.units}
    assert parents[old("18139")] == old("439", Level.DISTRICT)
    assert parents[old("439", Level.DISTRICT)] == old("42", Level.PROVINCE)
    assert parents[UnitKey(Level.COMMUNE, "18160", Era.NEW)] == UnitKey(Level.PROVINCE, "42", Era.NEW)


def test_a_district_whose_name_varies_in_case_is_one_district() -> None:
    conversion = read(
        row("18754,Phường Sông Trí", "18754,Phường Hưng Trí", district="449,Thị Xã Kỳ Anh"),
        row("18754,Phường Sông Trí", "18757,Xã Kỳ Ninh", district="449,Thị xã Kỳ Anh"),
        row("18754,Phường Sông Trí", "18760,Xã Kỳ Hà", district="449,Thị xã Kỳ Anh"),
    )
    assert [fact.name for fact in conversion.units if fact.key.level == Level.DISTRICT] == ["Thị xã Kỳ Anh"]
    assert rules(conversion) == [(2, "old_district", "spelling")]
    assert conversion.problems.errors == 0


def test_a_district_listed_under_two_provinces_leaves_the_odd_commune_without_parent() -> None:
    odd = "42,Tỉnh Hà Tĩnh,18160,Xã Sơn Hồng,18142,Xã Sơn Tiến,439,Huyện Hương Sơn,40,Tỉnh Nghệ An,Nhập toàn bộ"
    conversion = read(
        row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng"), row("18160,Xã Sơn Hồng", "18160,Xã Sơn Lĩnh"), odd
    )  # fmt: skip
    parents = {fact.key: fact.parent for fact in conversion.units}
    assert rules(conversion) == [(4, "old_province_code", "parent")]
    assert parents[old("18142")] is None
    assert parents[old("439", Level.DISTRICT)] == old("42", Level.PROVINCE)
    assert old("40", Level.PROVINCE) not in parents
    assert len(conversion.successions) == 3


def test_a_code_with_two_names_succeeds_to_nothing() -> None:
    conversion = read(
        row("01636,Xã Bế Văn Đàn", "01615,Xã Hồng Quang"), row("01648,Xã Phục Hòa", "01615,Xã Mỹ Hưng")
    )  # fmt: skip
    assert rules(conversion) == [(2, "old_name", "name"), (3, "old_name", "name")]
    assert not conversion.successions
    assert [fact.name for fact in conversion.units if fact.key == old("01615")] == ["Xã Hồng Quang / Xã Mỹ Hưng"]


def test_a_row_without_old_code_creates_the_new_unit_alone() -> None:
    conversion = read(row("14698,Xã Kim Đông", ",Bãi bồi ven biển"))
    assert rules(conversion) == [(2, "old_code", "old_unit")]
    assert [fact.key.code for fact in conversion.units if fact.key.level == Level.COMMUNE] == ["14698"]
    assert not conversion.successions


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ((row("1816,Xã Sơn Hồng", "18139,Xã Sơn Hồng"),), (2, "new_code", "digits")),
        ((row("18160,", "18139,Xã Sơn Hồng"),), (2, "new_name", "required")),
        ((row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng", note="Chưa rõ"),), (2, "scope_note", "scope")),
        (("42,Tỉnh Hà Tĩnh",), (2, "new_province_code", "cells")),
        ((row("18160,#N/A", "18139,Xã Sơn Hồng"),), (2, "new_name", "failed")),
        ((row("18160,Xã Sơn Hồng", "18139,#REF!"),), (2, "old_name", "failed")),
        ((row("18160,=A2", "18139,Xã Sơn Hồng"),), (2, "new_name", "failed")),
    ],
)  # fmt: skip
def test_a_broken_row_is_named_by_line_column_and_rule(rows: tuple[str, ...], problem: tuple[int, str, str]) -> None:
    conversion = read(*rows)
    assert rules(conversion) == [problem]
    assert not conversion.successions


def test_all_people_of_a_unit_cannot_go_to_two_successors() -> None:
    conversion = read(row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng"), row("18163,Xã Sơn Tiến", "18139,Xã Sơn Hồng"))
    assert rules(conversion) == [(2, "scope_note", "whole"), (3, "scope_note", "whole")]
    assert not conversion.successions


def test_people_follow_the_note_and_land_alone_is_noted() -> None:
    land = row("18163,Xã Sơn Tiến", "18139,Xã Sơn Hồng", note="Nhập một phần diện tích")
    everybody = row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng", note='"Nhập một phần diện tích, toàn bộ dân số"')
    assert [item.operation for item in read(land, everybody).successions] == [Operation.LAND, Operation.WHOLE]
    only_land = read(land)
    assert rules(only_land) == [(2, "scope_note", "people")]
    assert only_land.problems.kept[0].severity is Severity.NOTE


@pytest.mark.parametrize(
    ("note", "operation"),
    [
        ("Nhập toàn bộ", Operation.WHOLE),
        ("Giữ nguyên", Operation.WHOLE),
        ("Nhập một  phần", Operation.PART),
        ("Nhâp một phần diện tích", Operation.LAND),
        ("Phần còn lại sau khi tách một phần vào xã Canh Vinh", Operation.PART),
        ("Sắp xếp toàn bộ xã Thổ Châu thành đặc khu Thổ Châu", Operation.WHOLE),
        ("Đổi tên từ một phần Phường 15", Operation.PART),
        ("tùy ý", None),
    ],
)
def test_notes_are_read_and_never_guessed(note: str, operation: Operation | None) -> None:
    assert operation_of(note) is operation


def test_a_file_with_other_columns_or_another_province_is_refused() -> None:
    with pytest.raises(FileRefused, match="old_code"):
        read_conversion(["new_code,new_name\n"])
    with pytest.raises(UsageError, match="99"):
        read(row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng"), province="99")


@pytest.mark.skipif(
    not OFFICIAL.exists(), reason="the official file is not beside the repository; the rest used a small one"
)
class TestOfficialFile:
    def test_the_whole_country_is_read_and_its_contradictions_named(self) -> None:
        with OFFICIAL.open(encoding="utf-8-sig", newline="") as lines:
            conversion = read_conversion(lines)
        counts = Counter((fact.key.level, fact.key.era) for fact in conversion.units)
        assert counts[Level.COMMUNE, Era.NEW] == 3_316
        assert counts[Level.COMMUNE, Era.OLD] == 10_033
        assert (counts[Level.PROVINCE, Era.NEW], counts[Level.PROVINCE, Era.OLD]) == (34, 63)
        assert len(conversion.successions) == 10_560
        errors = [problem for problem in conversion.problems.kept if problem.severity is Severity.ERROR]
        assert [(problem.line, problem.rule) for problem in errors] == [
            (424, "name"), (906, "name"), (909, "name"), (1249, "name"), (1256, "name"), (4731, "old_unit"),
            (8879, "parent"), (9992, "parent"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("province", "olds", "news"), [("42", 209, 69), ("04", 160, 56), ("12", 106, 38)]
    )  # fmt: skip
    def test_a_province_is_read_alone(self, province: str, olds: int, news: int) -> None:
        with OFFICIAL.open(encoding="utf-8-sig", newline="") as lines:
            conversion = read_conversion(lines, province)
        counts = Counter((fact.key.level, fact.key.era) for fact in conversion.units)
        assert (counts[Level.COMMUNE, Era.OLD], counts[Level.COMMUNE, Era.NEW]) == (olds, news)


def test_what_cannot_be_seen_is_no_part_of_a_name() -> None:
    conversion = read(
        row("18160,\ufeffXã Sơn\u200bHồng\u200e", "18139,Xã Sơn Hồng"), row("18160,Xã Sơn Hồng", "18142,Xã B")
    )
    assert "Xã Sơn Hồng" in {fact.name for fact in conversion.units}
    assert not conversion.problems.kept


def test_a_line_that_comes_again_is_said_to_be_just_that() -> None:
    line = row("18160,Xã Sơn Hồng", "18139,Xã Sơn Hồng")
    conversion = read(line, line)
    assert rules(conversion) == [(3, "new_province_code", "again")]
    assert conversion.problems.errors == 0
    assert len(conversion.successions) == 1


def test_a_title_that_stands_twice_refuses_the_file() -> None:
    with pytest.raises(FileRefused, match="twice the columns old_name"):
        read_conversion([f"{HEADER},old_name\n", row("18160,Xã A", "18139,Xã A") + ",Xã B\n"])
