"""A file that merely bears the name of a list, or of a configuration, is told by its content with what to do."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.cli.texts import read_text
from syncd.config import load_config
from syncd.errors import ConfigError, FileRefused
from syncd.inputs.open_text import open_text
from syncd.inputs.person_cells import REQUIRED
from syncd.inputs.person_file import survey
from syncd.inputs.proposals_csv import _lines

CSV = "household_number,full_name\n1,Nguyễn Văn An\n"


def workbook(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")


def content(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "xlsx": (workbook, "is a workbook or an archive"),
    "empty zip": (content(b"PK\x05\x06" + bytes(18)), "is a workbook or an archive"),
    "xls": (content(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)), "is an old Office file"),
    "xls of a browser": (content(b'\xef\xbb\xbf\r\n<HTML xmlns:x="urn"><table>'), "is a page of HTML or XML"),
    "xml": (content(b'<?xml version="1.0"?><Workbook/>'), "is a page of HTML or XML"),
    "utf-32": (content(CSV.encode("utf-32")), "is UTF-16 text|is a binary file"),
    "utf-16 without a mark": (content(CSV.encode("utf-16-le")), "is a binary file"),
    "pdf": (content(b"%PDF-1.7\n"), "is a PDF file"),
    "gzip": (content(b"\x1f\x8b\x08\x00"), "is compressed"),
    "database": (content(b"SQLite format 3\x00" + bytes(84)), "is an SQLite database"),
    "picture": (content(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "is a binary file"),
}


def archive(**members: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as made:
            for name, text in members.items():
                made.writestr(name.replace("__", "/"), text)

    return write


REMEDIES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "xlsx": (archive(**{"[Content_Types].xml": "<x/>", "xl__workbook.xml": "x" * 900}), "Excel, xlsx", "in Excel"),
    "ods": (archive(mimetype="application/vnd.oasis.opendocument.spreadsheet"), "LibreOffice, ods", "in LibreOffice"),
    "docx": (archive(**{"[Content_Types].xml": "<x/>", "word__document.xml": "x"}), "Word, docx", "copy the table"),
    "zip": (archive(bang="1"), "an archive (zip)", "unpack it"),
    "xls": (content(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)), "(xls, doc)", "in Excel"),
    "rar": (content(b"Rar!\x1a\x07\x01\x00"), "(rar)", "unpack it"),
    "pdf": (content(b"%PDF-1.7\n"), "PDF", "ask whoever made it"),
    "png": (content(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "a picture", "ask whoever made it"),
    "jpeg": (content(b"\xff\xd8\xff\xe0\x10JFIF"), "a picture", "ask whoever made it"),
    "photo of a telephone": (content(b"\x00\x00\x00\x18ftypheic"), "a picture", "ask whoever made it"),
    "utf-16 without a mark": (content(CSV.encode("utf-16-le")), "UTF-16 text without a mark", "instead of Unicode"),
    "database": (content(b"SQLite format 3\x00" + bytes(84)), "SQLite", "exported from it"),
    "nothing": (content(b""), "is empty", "right file"),
    "a mark alone": (content(b"\xef\xbb\xbf"), "is empty", "right file"),
    "blank lines": (content(b"\r\n\r\n"), "is empty", "right file"),
    "titles alone": (content(f"{','.join(REQUIRED)}\n".encode()), "no line below", "the sheet that holds the data"),
}


@pytest.mark.parametrize(("write", "said", "remedy"), REMEDIES.values(), ids=REMEDIES)
def test_each_kind_of_file_has_its_own_remedy(
    tmp_path: Path, write: Callable[[Path], None], said: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    path = tmp_path / "so_ho_khau.csv"
    write(path)
    with pytest.raises(FileRefused) as caught:
        survey(path)
    assert said in str(caught.value)
    assert remedy in caught.value.hint


READERS: dict[str, Callable[[Path], object]] = {
    "import": survey,
    "units import": lambda path: open_text(path).__enter__(),
    "propose --file": lambda path: list(_lines(path)),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("write", "said"), KINDS.values(), ids=KINDS)
def test_what_is_no_csv_is_named_and_how_to_make_it_one(
    tmp_path: Path, write: Callable[[Path], None], said: str, read: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    path = tmp_path / "so_ho_khau.csv"
    write(path)
    with pytest.raises(FileRefused, match=said) as caught:
        read(path)
    assert "CSV UTF-8 (comma delimited)" in caught.value.hint


@pytest.mark.parametrize(("write", "said"), KINDS.values(), ids=KINDS)
def test_a_script_that_is_no_text_is_named(
    tmp_path: Path, write: Callable[[Path], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    write(tmp_path / "x.sql")
    with pytest.raises(FileRefused, match=f"{said}.*, not text"):
        read_text(tmp_path / "x.sql", 1 << 20)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_text_in_utf_8_is_read_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.csv").write_text(CSV, encoding=encoding)
    with open_text(tmp_path / "x.csv") as lines:
        assert lines.read() == CSV


def test_settings_of_notepad_are_taken_with_their_mark(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text('name = "Xã Hương Sơn"\n', encoding="utf-8-sig")
    assert load_config(tmp_path, {}).name == "Xã Hương Sơn"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-16", "is UTF-16 text"), ("utf-16-le", "is UTF-16 text"), ("utf-16-be", "is UTF-16 text"),
     ("latin-1", "line 2: not UTF-8"), ("cp1258", "line 2: not UTF-8")],
)  # fmt: skip
def test_settings_of_another_code_are_told_so(
    tmp_path: Path, encoding: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    (tmp_path / "syncd.toml").write_bytes('poll_ms = 20\nname = "Xa Bênh"\n'.encode(encoding))
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(tmp_path, {})
    assert "Encoding: UTF-8" in caught.value.hint
