"""Opening what a person hands over as a list: text in UTF-8, or in UTF-16 that says so, and nothing that merely bears
the name.

Enters: a path. Leaves: its lines. Must hold: a workbook, an archive or another program's file is told by its first
bytes and named, with what to do; text in an old code is named by line and code, never guessed at; no byte of it is
quoted; a database that is open here is not opened beside SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from syncd.errors import FileRefused
from syncd.language import Both, say
from syncd.system import read_beginning, refuse_library_file, translate_os_error
from syncd.text.garbled import code_of_bytes

LOOK_BYTES = 512
WORKBOOK = Both("là sổ bảng tính hoặc tệp nén (xlsx, ods, zip)", "is a workbook or an archive (xlsx, ods, zip)")
OLD_OFFICE = Both("là tệp Office cũ (xls, doc)", "is an old Office file (xls, doc)")
BLOCK_BYTES = 64 * 1024  # of a file that is no UTF-8, around the first byte that shows it
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF_32_MARK = b"\xff\xfe\x00\x00"
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
    """The file as text, line ends as they are. Raises FileRefused where it is no text, also when that shows while it is
    read.
    """
    head = refuse_other_kind(path)
    try:
        with path.open(encoding="utf-16" if head.startswith(UTF_16_MARKS) else "utf-8-sig", newline="") as file:
            yield file
    except UnicodeError as error:
        # The decoder's own text would quote the bytes.
        raise _other_code(path, head) from error
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error


def refuse_other_kind(path: Path) -> bytes:
    """The first bytes of a file. Raises FileRefused for what is no text by them."""
    head = read_beginning(path, LOOK_BYTES)
    is_utf_16 = head.startswith(UTF_16_MARKS) and not head.startswith(UTF_32_MARK)
    found = None if is_utf_16 else kind_of(head)
    if found is not None:
        raise FileRefused(say("{path} {kind}, không phải CSV", "{path} {kind}, not CSV", path=path, kind=found.here),
                          say(*AS_CSV))  # fmt: skip
    return head


def _other_code(path: Path, head: bytes) -> FileRefused:
    """What to say of a file that turned out to be no text in the code it began in: where, and which code it seems."""
    if head.startswith(UTF_16_MARKS):
        return FileRefused(
            say("{path} là UTF-16 bị hỏng hoặc bị cắt", "{path} is UTF-16 that is damaged or cut off", path=path),
            say(*AS_CSV),
        )
    line, block = _first_undecodable(path)
    code = code_of_bytes(block)
    if code is None:
        said = say("{path}, dòng {line}: không phải UTF-8", "{path}, line {line}: not UTF-8", path=path, line=line)
    else:
        said = say(
            "{path}, dòng {line}: không phải UTF-8 mà có vẻ là {code}",
            "{path}, line {line}: not UTF-8; it seems to be {code}",
            path=path, line=line, code=code.here,
        )  # fmt: skip
    return FileRefused(
        said,
        say(
            "chuyển bảng sang Unicode (UniKey, Ctrl+Shift+F6), rồi trong Excel: Save As, CSV UTF-8 (comma delimited)",
            "convert the table to Unicode (UniKey, Ctrl+Shift+F6), then in Excel: Save As, CSV UTF-8 (comma delimited)",
        ),
    )


def _first_undecodable(path: Path) -> tuple[int, bytes]:
    """(the first line that is no UTF-8, from 1; what stands there and behind it)."""
    refuse_library_file(path)
    with path.open("rb") as file:
        for line, data in enumerate(file, 1):
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                return line, data[:BLOCK_BYTES] + file.read(BLOCK_BYTES)
    return 1, b""


def kind_of(head: bytes) -> Both | None:
    """What the first bytes of a file say that it is; None for what may be text."""
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(MARKUP):
        return Both("là trang HTML hoặc XML", "is a page of HTML or XML")
    return Both("là tệp nhị phân", "is a binary file") if b"\x00" in head else None
