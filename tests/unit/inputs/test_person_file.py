"""The import template: how cells are read, and that a household with any problem is refused whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.errors import FileRefused
from syncd.inputs.cell import CellError
from syncd.inputs.cell_dates import read_partial_date
from syncd.inputs.codes import package_codes
from syncd.inputs.person_cells import CODE_LISTS, code_keys, template
from syncd.inputs.person_file import HouseholdLines, households, survey
from syncd.inputs.problem import ProblemList, Severity

HEADER = "household_number;household_kind;hamlet;line_no;full_name;sex;birth_date;ethnic;citizen_id"
TODAY = "2026-11-20"
CODES = {
    name: code_keys({row.code: row.name for row in package_codes() if row.code and row.list_name == name})
    for name in CODE_LISTS
}


def read(path: Path, *lines: str, header: str = HEADER) -> tuple[list[HouseholdLines], ProblemList]:
    path.write_text("\r\n".join([header, *lines]) + "\r\n", encoding="utf-8-sig")
    problems = ProblemList()
    return list(households(path, survey(path), CODES, TODAY, problems)), problems


def line(number: str = "1", line_no: str = "1", *, born: str = "05/03/1981", sex: str = "nam", ethnic: str = "01",
         citizen: str = "", name: str = "Nguyễn Văn Mẫu", hamlet: str = "Thôn 3") -> str:  # fmt: skip
    return f"{number};;{hamlet};{line_no};{name};{sex};{born};{ethnic};{citizen}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "persons.csv"


def test_the_template_itself_is_imported_without_a_problem(path: Path) -> None:
    path.write_text(template(), encoding="utf-8")
    problems = ProblemList()
    (household,) = households(path, survey(path), CODES, TODAY, problems)
    assert not problems.kept
    assert (household.number, len(household.persons), household.refused) == ("12.1", 2, False)
    assert household.persons[1].values["birth_precision"] == "m"
    assert household.persons[1].values["ethnic"] == "01"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5/3/1981", ("1981-03-05", "d")),
        ("1981-03-05", ("1981-03-05", "d")),
        ("03/1981", ("1981-03-01", "m")),
        ("1981-03", ("1981-03-01", "m")),
        ("1981", ("1981-01-01", "y")),
    ],
)
def test_dates_are_read_day_first_and_keep_their_precision(text: str, expected: tuple[str, str]) -> None:
    assert read_partial_date(text) == expected


@pytest.mark.parametrize("text", ["31/02/2024", "13/13/2020", "1/2/81", "mai", "2024-2-30", "0000"])
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        read_partial_date(text)


def test_commas_semicolons_and_vietnamese_titles_are_read_alike(path: Path) -> None:
    header = "Số hộ,Số thứ tự trong hộ,Họ và tên,Giới tính,Ngày sinh,Dân tộc,Ghi chú"
    (household,), problems = read(path, "7,1,Trần Thị Thử,2,1990,Tày,gì đó", header=header)
    assert not problems.kept
    assert household.persons[0].values["ethnic"] == "02"
    assert survey(path).unknown == ("Ghi chú",)


@pytest.mark.parametrize(
    ("bad", "column", "rule"),
    [
        (line(sex="x"), "sex", "sex"),
        (line(born="31/02/2024"), "birth_date", "date"),
        (line(born="01/01/2030"), "birth_date", "rule"),
        (line(ethnic="1"), "ethnic", "code"),
        (line(ethnic=""), "ethnic", "required"),
        (line(name=""), "full_name", "required"),
        (line(citizen="12345678901"), "citizen_id", "leading_zero"),
        (line(citizen="1234567890"), "citizen_id", "rule"),
        (line(line_no="0"), "line_no", "number"),
        (line(number="12a"), "household_number", "rule"),
    ],
)  # fmt: skip
def test_a_household_with_a_bad_cell_is_refused_whole(path: Path, bad: str, column: str, rule: str) -> None:
    number = bad.split(";")[0]
    (household, other), problems = read(path, bad, line(number, "2"), line("99"))
    assert (household.refused, other.refused) == (True, False)
    assert {(problem.column, problem.rule) for problem in problems.kept} == {(column, rule)}
    assert problems.kept[0].line == 2


def test_no_problem_repeats_what_the_cell_holds(path: Path) -> None:
    secret = "Bí Mật"
    bad = line(sex=secret, born=secret, citizen=secret, ethnic=secret, line_no=secret)
    _, problems = read(path, bad, line(number=secret, citizen=secret))
    assert problems.errors
    assert all(secret not in problem.text(language) for problem in problems.kept for language in ("vi", "en"))


def test_a_household_whose_lines_are_not_together_is_refused_before_anything_of_it(path: Path) -> None:
    found, problems = read(path, line("1", "1"), line("2", "1"), line("1", "2"))
    assert [(item.number, item.refused) for item in found] == [("1", True), ("2", False), ("1", True)]
    assert {(problem.line, problem.rule) for problem in problems.kept} == {(2, "scattered"), (4, "scattered")}


def test_lines_of_one_household_must_agree_about_it(path: Path) -> None:
    (household,), problems = read(path, line("1", "1"), line("1", "2", hamlet="Thôn 4"))
    assert household.refused
    assert [(problem.line, problem.column) for problem in problems.kept] == [(3, "hamlet")]


def test_a_line_number_occurs_once_in_a_household(path: Path) -> None:
    (household,), problems = read(path, line("1", "1"), line("1", "1"))
    assert household.refused
    assert [(problem.line, problem.column) for problem in problems.kept] == [(3, "line_no")]


def test_a_line_without_household_and_a_household_without_persons_are_named(path: Path) -> None:
    (first,), problems = read(path, line(""), "1;;Thôn 3")
    assert first.refused
    assert [(problem.line, problem.column) for problem in problems.kept if problem.severity is Severity.ERROR] == [
        (2, "household_number"), (3, "household_number")]  # fmt: skip


def test_text_is_composed_and_line_breaks_inside_quotes_keep_the_count(path: Path) -> None:
    broken_up = '1;;"Thôn\r\n3";1;Nguyễn Văn Mẫu;1;1980;01;'
    (one, two), problems = read(path, broken_up, line("2", sex="x"))
    assert one.values["hamlet"] == "Thôn 3"
    assert one.persons[0].values["full_name"] == "Nguyễn Văn Mẫu"
    assert two.line == 4
    assert problems.kept[0].line == 4


def test_an_unclosed_quotation_mark_stops_everything_before_it_starts(path: Path) -> None:
    with pytest.raises(FileRefused, match="line 3"):
        read(path, line("1"), '2;;"Thôn 3;1;A;1;1980;01;')


@pytest.mark.parametrize("header", ["full_name;sex", f"{HEADER};sex"])
def test_a_header_that_lacks_or_doubles_a_column_is_refused(path: Path, header: str) -> None:
    with pytest.raises(FileRefused, match="columns"):
        read(path, header=header)


def test_a_file_in_another_encoding_is_refused_with_the_remedy(path: Path) -> None:
    path.write_bytes(f"{HEADER}\n{line(name='Trân')}\n".encode("cp1258"))
    with pytest.raises(FileRefused, match="line 2: not UTF-8"):
        survey(path)


@pytest.mark.parametrize("between", [("Trang 2",), ("Cộng trang;;;2",), ("Trang 2", "Cộng trang")])
@pytest.mark.parametrize("row", [line("", "3"), line("", "")])
def test_a_page_break_within_a_household_does_not_split_it(path: Path, between: tuple[str, ...], row: str) -> None:
    (found, other), _ = read(path, line("920", "1"), line("920", "2"), *between, row, line("921", "1"))
    assert (found.refused, other.refused) == (True, False)


def test_somebody_who_stands_twice_in_a_household_is_noted(path: Path) -> None:
    (_, other), problems = read(path, line("1"), line("1", "2", name="NGUYỄN VĂN MẪU"), line("2"))
    assert [(each.line, each.rule, each.severity) for each in problems.kept] == [(3, "alike", Severity.NOTE)]
    assert not other.refused
