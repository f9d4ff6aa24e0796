"""`syncd units import` at a root: what it ends with, and whom it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.cli import program
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.inputs.unit_file import COLUMNS

LINE = "42,Tỉnh Hà Tĩnh,{new},{old},436,Thành phố Hà Tĩnh,42,Tỉnh Hà Tĩnh,Nhập toàn bộ"
GOOD = LINE.format(new="18073,Phường Thành Sen", old="18073,Phường Nam Hà")
FILES = {
    # lines, options → exit code, what is said
    "good": ((GOOD,), (), 0, "Would add"),
    "a code without its zero": (
        (GOOD, LINE.format(new="18073,Phường Thành Sen", old="1877,Phường Bắc Hà")), (), 1, "line 3, column Old code"
    ),
    "a cell too long": (
        (GOOD, LINE.format(new="18073,Phường Thành Sen", old=f"18077,{'Bắc ' * 100}")), (), 1, "line 3, column Old name"
    ),
    "of another province": (
        (GOOD, GOOD.replace("42,", "24,").replace("18073", "73")), ("--province", "42"), 0, "Would add"
    ),
    "spelt otherwise": (
        (GOOD, GOOD, LINE.format(new="18073,Phường Thành Sen", old="18077,Phường Bắc Hà").replace("phố", "Phố")), (), 0,
        "0 errors",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("root")
    init_root(directory, Unit(code="01", name="Tỉnh thử", level="province"), Config(encrypted=False))
    return directory


@pytest.mark.parametrize(("lines", "options", "code", "said"), FILES.values(), ids=FILES)
def test_lines_that_were_refused_end_with_1(
    root: Path, tmp_path: Path, lines: tuple[str, ...], options: tuple[str, ...], code: int, said: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    path = tmp_path / "units.csv"
    path.write_text("\n".join((",".join(COLUMNS), *lines)) + "\n", encoding="utf-8")
    for dry in ((), ("--dry-run",)):
        done = program.run(["units", "import", str(path), *options, *dry, "--dir", str(root)])
        shown = capsys.readouterr()
        assert (done, shown.err) == (code, "")
    assert said.replace("Would add", "Nothing differs") in shown.out


def test_a_file_that_is_no_list_is_named_with_its_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    path = tmp_path / "units.csv"
    path.write_text(f"{','.join(COLUMNS)}\n{GOOD}\n{GOOD.replace('Nam Hà', 'N' * 200_000)}\n", encoding="utf-8")
    assert program.run(["units", "import", str(path), "--dir", str(root)]) == 1
    assert "units.csv, line 3: a cell holds more than" in capsys.readouterr().err
