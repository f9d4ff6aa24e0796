"""What programs do to the form of a list: marks, titles, encodings, line ends, rows that are nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.errors import FileRefused
from syncd.inputs.person_survey import survey
from tests.unit.inputs.lists import TITLES, notes, person, read_bytes, read_lines, told

ROW = person(name="Nguyễn Văn Mã", born="05/03/1981")
QUOTED = ";".join(f'"{each}"' for each in TITLES.split(";"))
HINTS = TITLES.replace("Ngày sinh", "Ngày sinh (dd/mm/yyyy)").replace("Họ và tên", "Họ tên *")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def text(*lines: str, end: str = "\r\n") -> str:
    return "".join(f"{line}{end}" for line in lines)


def parted(mark: str) -> str:
    titles = ['"Thôn, tổ dân phố"' if mark == "," and "," in each else each for each in TITLES.split(";")]
    return text(mark.join(titles), ROW.replace(";", mark))


FORMS = {
    "sep=": ("\ufeffsep=;\r\n" + text(TITLES, ROW)).encode(),
    "sep= quoted": ('\ufeff"sep=;"\r\n' + text(TITLES, ROW)).encode(),
    "sep= tab": ("sep=\t\r\n" + parted("\t")).encode(),
    "tabs": parted("\t").encode(),
    "bars": parted("|").encode(),
    "commas": parted(",").encode(),
    "two marks": ("\ufeff\ufeff" + text(TITLES, ROW)).encode(),
    "three marks, titles quoted": ("\ufeff" * 3 + text(QUOTED, ROW)).encode(),
    "Unicode text of Excel": ("\ufeff" + parted("\t")).encode("utf-16-le"),
    "UTF-16, big end": ("\ufeff" + text(TITLES, ROW)).encode("utf-16-be"),
    "line break in a title": text(TITLES.replace("Ngày sinh", '"Ngày\nsinh"'), ROW).encode(),
    "line break in the last title": text(f'{TITLES};"Ghi\r\nchú"', f"{ROW};").encode(),
    "hints in titles": text(HINTS, ROW).encode(),
    "headings above": text("UBND XÃ MẪU;;;", "DANH SÁCH NHÂN KHẨU", "", TITLES, ROW).encode(),
    "numbers of columns": text(TITLES, ";".join(f"({n})" for n in range(1, 13)), ROW).encode(),
    "old Mac line ends": text(TITLES, ROW, end="\r").encode(),
    "doubled line ends": text(TITLES, ROW, end="\r\r\n").encode(),
    "empty last cells dropped": text(TITLES, ROW.rstrip(";")).encode(),
    "cells added": text(f"{TITLES};;", f"{ROW};;;;").encode(),
    "the end of a DOS file": (text(TITLES, ROW) + "\x1a").encode(),
    "no end of the last line": (text(TITLES) + ROW).encode(),
    "titles again, and a sum": text(TITLES, ROW, TITLES, "Tổng cộng;;1;;;;;;;;;").encode(),
    "a signature": text(TITLES, ROW, ";;;;;;;;;;;", ";;;Người lập biểu;;;;;;;;",
                        ";;;;;;;Ngày 1 tháng 12 năm 2026;;;;").encode(),
}  # fmt: skip


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_one_person_is_read_whatever_the_form(path: Path, data: bytes) -> None:
    (household,), problems = read_bytes(path, data)
    assert told(problems) == []
    assert [each.values["full_name"] for each in household.persons] == ["Nguyễn Văn Mã"]
    assert (household.number, household.values["hamlet"]) == ("1", "Thôn 3")


def test_rows_that_are_nobodys_are_named_and_nobody_after_them_is_guessed(path: Path) -> None:
    found, problems = read_lines(
        path, person("1"), "Cộng;;1;;;;;;;;;", person("", "2", name="Trần Thị Lạc"), person("2")
    )
    assert {"sum"} <= notes(problems)
    assert [(each.number, each.refused) for each in found] == [("1", True), ("2", False)]
    assert told(problems) == [(4, "household_number", "required"), (4, "household_number", "stray")]


def test_titles_again_in_another_order_refuse_the_file(path: Path) -> None:
    names = TITLES.split(";")
    with pytest.raises(FileRefused, match="line 3"):
        read_lines(path, person(), ";".join([names[1], names[0], *names[2:]]))


def test_a_quotation_mark_that_closes_lines_later_refuses_the_file(path: Path) -> None:
    lines = [person("1"), person("2", hamlet='"Thôn 4'), person("3"), person("4", hamlet='Thôn 5"'), person("5")]
    with pytest.raises(FileRefused, match="line 3"):
        read_lines(path, *lines)


@pytest.mark.parametrize(
    ("row", "whole"),
    [
        (person("2", hamlet="Thôn 1; xóm 2", phone="0912000001"), ["1", "3"]),  # text that holds the mark
        (person("1", "2").replace(";", ","), ["3"]),  # it may be the household's before it
    ],
)
def test_a_row_with_other_cells_than_titles_is_refused_alone(path: Path, row: str, whole: list[str]) -> None:
    found, problems = read_lines(path, person("1"), row, person("3"))
    assert [each.number for each in found if not each.refused] == whole
    assert told(problems)[0] == (3, "household_number", "cells")


def test_a_file_that_ends_within_a_row_is_told(path: Path) -> None:
    found, problems = read_bytes(path, (text(TITLES, person("1")) + "2;Thôn 3;1;Nguyễn Văn Cắt;nam;1981;01;0").encode())
    assert [(each.number, each.refused) for each in found] == [("1", False), ("2", True)]
    assert told(problems) == [(3, "household_number", "cells")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"Nguy\xd4n V\xa8n An;Tr\xc7n Th\xde Mai", "TCVN3"),
        ("Nguyeãn Vaên An;Traàn Thò Mai".encode("latin-1"), "VNI"),
        ("Lê Thị Hoa;Phan Hòa".replace("ị", "i\u0323").replace("ò", "o\u0300").encode("cp1258"), "Windows-1258"),
        (b"\x81\x82\xff\xfe\xfd", "line 2: not UTF-8"),
    ],
)
def test_a_file_in_an_old_code_is_refused_with_its_line_and_the_code(path: Path, data: bytes, said: str) -> None:
    path.write_bytes(text(TITLES).encode() + data + b"\r\n")
    with pytest.raises(FileRefused, match=said) as caught:
        survey(path)
    assert "line 2" in str(caught.value)
    assert "Unicode" in caught.value.hint


MERGED = {
    "number on the first row": ([person("10"), person("", "2"), person("", "3"), person("11")], {"10": 3, "11": 1}),
    "number in a row of its own": (["10;Thôn 3", person("", "1"), person("", "2"), person("11")], {"10": 2, "11": 1}),
    "a page's titles between": ([person("10"), TITLES, person("", "2")], {"10": 2}),
    "pandas": ([person("10.0", "1.0"), person("nan", "2.0"), person("10", "3.0")], {"10": 3}),
}


@pytest.mark.parametrize(("lines", "expected"), MERGED.values(), ids=MERGED)
def test_merged_cells_keep_a_household_together(path: Path, lines: list[str], expected: dict[str, int]) -> None:
    found, problems = read_lines(path, *lines)
    assert told(problems) == []
    assert {each.number: len(each.persons) for each in found} == expected


STRAYS = {
    "before everything": ([person("", "1"), person("1", "2"), person("2")], ["2"]),
    "the next household's first row": ([person("1"), person("", "1"), person("2", "2"), person("3")], ["1", "3"]),
    "within a household": ([person("1"), person("1", "2"), person("", "2"), person("2")], ["2"]),
    "between rows of one household": ([person("1"), person("", "1"), person("1", "2"), person("2")], ["2"]),
    "a household without persons": (["1;Thôn 3", person("2")], ["2"]),
    "without a line number": ([person("1"), person("", ""), person("2")], ["2"]),
}


@pytest.mark.parametrize(("lines", "whole"), STRAYS.values(), ids=STRAYS)
def test_a_household_of_which_a_row_may_have_strayed_is_refused_whole(
    path: Path, lines: list[str], whole: list[str]
) -> None:
    found, problems = read_lines(path, *lines)
    assert [each.number for each in found if not each.refused] == whole
    assert problems.errors


def test_one_household_under_several_spellings_of_its_number_is_one(path: Path) -> None:
    (household,), problems = read_lines(path, person("1020"), person("01020", "2"), person("1020.0", "3"))
    assert (household.number, len(household.persons), told(problems)) == ("1020", 3, [])
    assert "number_form" in notes(problems)


def test_a_number_of_a_person_in_two_households_refuses_both(path: Path) -> None:
    found, problems = read_lines(
        path, person("1", citizen="042060000001"), person("2", citizen="042 060 000 001"), person("3")
    )
    assert [each.number for each in found if not each.refused] == ["3"]
    assert told(problems) == [(2, "citizen_id", "twice"), (3, "citizen_id", "twice")]


def test_what_is_odd_on_every_line_is_said_once_with_a_count(path: Path) -> None:
    _, problems = read_lines(path, *(person(f"{n}.0") for n in range(1, 9)))
    (note,) = (each for each in problems.kept if each.rule == "number_form")
    assert (note.line, "7" in note.text_en) == (2, True)
