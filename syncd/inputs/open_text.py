"""Opening what a person hands over as a list: CSV in UTF-8, and nothing that merely bears the name.

Enters: a path. Leaves: its lines. Must hold: a workbook, an archive or another program's file is told by its first
bytes and named, with what to do; no byte of it is quoted; a database that is open here is not opened beside SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from syncd.errors import FileRefused
from syncd.language import Both, say
from syncd.system import read_beginning, translate_os_error

LOOK_BYTES = 512
WORKBOOK = Both("là sổ bảng tính hoặc tệp nén (xlsx, ods, zip)", "is a workbook or an archive (xlsx, ods, zip)")
OLD_OFFICE = Both("là tệp Office cũ (xls, doc)", "is an old Office file (xls, doc)")
UTF_16 = Both("là văn bản UTF-16 (Unicode Text)", "is UTF-16 text (Unicode Text)")
# What a file begins with, and what it then is.
BEGINNINGS: tuple[tuple[bytes, Both], ...] = (
    (b"PK\x03\x04", WORKBOOK), (b"PK\x05\x06", WORKBOOK), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLD_OFFICE),
    (b"\xff\xfe", UTF_16), (b"\xfe\xff", UTF_16),
    (b"%PDF", Both("là tệp PDF", "is a PDF file")),
    (b"\x1f\x8b", Both("là tệp nén (gzip)", "is compressed (gzip)")),
    (b"7z\xbc\xaf\x27\x1c", Both("là tệp nén (7z)", "is compressed (7z)")),
    (b"Rar!\x1a\x07", Both("là tệp nén (rar)", "is compressed (rar)")),
    (b"SQLite format 3\x00", Both("là cơ sở dữ liệu SQLite", "is an SQLite database")),
    (b"{\\rtf", Both("là tệp RTF (Word)", "is an RTF file (Word)")),
)  # fmt: skip
# What Excel and old programs write under the name .xls: text, but no list.
MARKUP: tuple[bytes, ...] = (b"<html", b"<!doctype", b"<table", b"<?xml", b"<workbook")
AS_CSV = Both(
    "mở bằng Excel (hoặc LibreOffice), Save As, chọn CSV UTF-8 (comma delimited), rồi nêu tệp đó",
    "open it in Excel (or LibreOffice), Save As, CSV UTF-8 (comma delimited), and name that file",
)


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """The file as text. Raises FileRefused where it is no text in UTF-8, also when that shows while it is read."""
    refuse_other_kind(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        # The decoder's own text would quote the bytes.
        raise FileRefused(
            say("{path} không phải UTF-8", "{path} is not UTF-8", path=path),
            say("trong Excel: Save As, CSV UTF-8 (comma delimited)", "in Excel: Save As, CSV UTF-8 (comma delimited)"),
        ) from error
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error


def refuse_other_kind(path: Path) -> None:
    """Raises FileRefused for what is no text, by its first bytes."""
    found = kind_of(read_beginning(path, LOOK_BYTES))
    if found is not None:
        raise FileRefused(say("{path} {kind}, không phải CSV", "{path} {kind}, not CSV", path=path, kind=found.here),
                          say(*AS_CSV))  # fmt: skip


def kind_of(head: bytes) -> Both | None:
    """What the first bytes of a file say that it is; None for what may be text."""
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(MARKUP):
        return Both("là trang HTML hoặc XML", "is a page of HTML or XML")
    return Both("là tệp nhị phân", "is a binary file") if b"\x00" in head else None
