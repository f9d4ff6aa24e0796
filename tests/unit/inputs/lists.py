"""Lists of persons as tests write them: bytes as some program leaves them, read into households and problems.

In: a path, bytes or lines. Out: what the reader makes of them, on an invented day.
"""

from __future__ import annotations

from pathlib import Path

from syncd.inputs.codes import package_codes
from syncd.inputs.person_cells import CODE_LISTS, code_keys
from syncd.inputs.person_file import HouseholdLines, households, survey
from syncd.inputs.problem import ProblemList, Severity

TODAY = "2026-11-20"
TITLES = (
    "Số hộ;Thôn, tổ dân phố;Số thứ tự trong hộ;Họ và tên;Giới tính;Ngày sinh;Dân tộc;Quan hệ với chủ hộ;"
    "Số định danh cá nhân;Số thẻ bảo hiểm y tế;Hạn thẻ bảo hiểm y tế;Số điện thoại"
)
CODES = {
    name: code_keys({row.code: row.name for row in package_codes() if row.code and row.list_name == name})
    for name in CODE_LISTS
}


def person(number: str = "1", line_no: str = "1", name: str = "Nguyễn Văn Mẫu", **cells: str) -> str:
    """One line of a list with the titles above."""
    given = {"hamlet": "Thôn 3", "sex": "nam", "born": "1981", "ethnic": "01", "relation": "", "citizen": "",
             "insurance": "", "until": "", "phone": "", **cells}  # fmt: skip
    return ";".join(
        [
            number,
            given["hamlet"],
            line_no,
            name,
            given["sex"],
            given["born"],
            given["ethnic"],
            given["relation"],
            given["citizen"],
            given["insurance"],
            given["until"],
            given["phone"],
        ]
    )


def read_bytes(path: Path, data: bytes) -> tuple[list[HouseholdLines], ProblemList]:
    path.write_bytes(data)
    problems = ProblemList()
    return list(households(path, survey(path), CODES, TODAY, problems)), problems


def read_lines(path: Path, *lines: str, titles: str = TITLES) -> tuple[list[HouseholdLines], ProblemList]:
    return read_bytes(path, "".join(f"{line}\r\n" for line in (titles, *lines)).encode("utf-8-sig"))


def told(problems: ProblemList, severity: Severity = Severity.ERROR) -> list[tuple[int, str, str]]:
    """(line, column, rule) of errors or of notes."""
    return [(each.line, each.column, each.rule) for each in problems.kept if each.severity is severity]


def notes(problems: ProblemList) -> set[str]:
    return {each.rule for each in problems.kept if each.severity is Severity.NOTE}
