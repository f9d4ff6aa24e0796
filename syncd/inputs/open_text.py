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
from typing import IO, NamedTuple

from syncd.errors import FileRefused
from syncd.language import Both, say
from syncd.system import read_beginning, refuse_library_file, translate_os_error
from syncd.text.garbled import code_of_bytes

LOOK_BYTES = 512
BLOCK_BYTES = 64 * 1024  # of a file that is no UTF-8, around the first byte that shows it
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF_32_MARK = b"\xff\xfe\x00\x00"
AS_CSV = Both(
    "mở bằng Excel (hoặc LibreOffice), Save As, chọn CSV UTF-8 (comma delimited), rồi nêu tệp đó",
    "open it in Excel (or LibreOffice), Save As, CSV UTF-8 (comma delimited), and name that file",
)
OF_OFFICE = Both(
    "mở bằng LibreOffice (hoặc Excel), Save As, chọn Text CSV, mã UTF-8 (trong Excel: CSV UTF-8 (comma delimited)), "
    "rồi nêu tệp đó",
    "open it in LibreOffice (or Excel), Save As, Text CSV, encoding UTF-8 (in Excel: CSV UTF-8 (comma delimited)), and "
    "name that file",
)
UNPACK = Both(
    "giải nén trước, rồi nêu bảng bên trong, lưu dạng CSV UTF-8 (comma delimited)",
    "unpack it first, and name the table inside, saved as CSV UTF-8 (comma delimited)",
)
COPY_TABLE = Both(
    "chép bảng sang Excel, Save As, chọn CSV UTF-8 (comma delimited), rồi nêu tệp đó",
    "copy the table into Excel, Save As, CSV UTF-8 (comma delimited), and name that file",
)
ASK_FOR_TABLE = Both(
    "không lấy được chữ từ tệp này: xin nơi lập bảng gửi bảng tính gốc, Save As, chọn CSV UTF-8 (comma delimited); nếu "
    "không có thì nhập tay theo mẫu `[[syncd import --template]]`",
    "no table can be taken from it: ask whoever made it for the spreadsheet, Save As, CSV UTF-8 (comma delimited); if "
    "there is none, type it by the template `[[syncd import --template]]`",
)
TYPE_UTF_8 = Both(
    "mở bằng Excel, Save As, chọn CSV UTF-8 (comma delimited), không chọn Unicode",
    "open it in Excel, Save As, CSV UTF-8 (comma delimited) instead of Unicode",
)
EXPORT = Both(
    "đó không phải bảng: nêu tệp CSV UTF-8 (comma delimited) được xuất từ đó",
    "that is no table: name a file CSV UTF-8 (comma delimited) that was exported from it",
)


class Kind(NamedTuple):
    """What a file is, and what to do with it."""

    name: Both
    remedy: Both


def _archive(vi: str, en: str, remedy: Both) -> Kind:
    return Kind(Both(f"là sổ bảng tính hoặc tệp nén ({vi})", f"is a workbook or an archive ({en})"), remedy)


ARCHIVE = _archive("zip", "zip", UNPACK)
# What the list of an archive's members names, and what it then is.
MEMBERS: tuple[tuple[bytes, Kind], ...] = (
    (b"xl/", _archive("Excel, xlsx", "Excel, xlsx", AS_CSV)),
    (b"application/vnd.oasis.opendocument.spreadsheet", _archive("LibreOffice, ods", "LibreOffice, ods", OF_OFFICE)),
    (b"word/", _archive("Word, docx", "Word, docx", COPY_TABLE)),
    (b"application/vnd.oasis.opendocument.text", _archive("LibreOffice, odt", "LibreOffice, odt", COPY_TABLE)),
    (b"[Content_Types].xml", _archive("Office: xlsx, docx", "Office: xlsx, docx", AS_CSV)),
)
UTF_16 = Kind(Both("là văn bản UTF-16 (Unicode Text)", "is UTF-16 text (Unicode Text)"), TYPE_UTF_8)
BARE_UTF_16 = Kind(
    Both(
        "là tệp nhị phân, hoặc văn bản UTF-16 không có dấu đầu tệp", "is a binary file, or UTF-16 text without a mark"
    ),
    TYPE_UTF_8,
)
PICTURE = Kind(Both("là tệp nhị phân (ảnh)", "is a binary file (a picture)"), ASK_FOR_TABLE)
BINARY = Kind(Both("là tệp nhị phân", "is a binary file"), AS_CSV)
# What Excel and old programs write under the name .xls: text, but no list.
PAGE = Kind(Both("là trang HTML hoặc XML", "is a page of HTML or XML"), AS_CSV)
MARKUP: tuple[bytes, ...] = (b"<html", b"<!doctype", b"<table", b"<?xml", b"<workbook")
OLD_OFFICE = Kind(Both("là tệp Office cũ (xls, doc)", "is an old Office file (xls, doc)"), AS_CSV)
# What a file begins with, and what it then is.
BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLD_OFFICE),
    (b"\xff\xfe", UTF_16), (b"\xfe\xff", UTF_16),
    (b"%PDF", Kind(Both("là tệp PDF", "is a PDF file"), ASK_FOR_TABLE)),
    (b"\x1f\x8b", Kind(Both("là tệp nén (gzip)", "is compressed (gzip)"), UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Kind(Both("là tệp nén (7z)", "is compressed (7z)"), UNPACK)),
    (b"Rar!\x1a\x07", Kind(Both("là tệp nén (rar)", "is compressed (rar)"), UNPACK)),
    (b"SQLite format 3\x00", Kind(Both("là cơ sở dữ liệu SQLite", "is an SQLite database"), EXPORT)),
    (b"{\\rtf", Kind(Both("là tệp RTF (Word)", "is an RTF file (Word)"), COPY_TABLE)),
    (b"\x89PNG", PICTURE), (b"\xff\xd8\xff", PICTURE), (b"GIF8", PICTURE), (b"II*\x00", PICTURE), (b"MM\x00*", PICTURE),
)  # fmt: skip
TAIL_BYTES = 64 * 1024  # of an archive: where its list of members is


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
    found = None if is_utf_16 else _kind_by(head)
    if found is ARCHIVE:
        found = _kind_of_archive(path, head)
    if found is not None:
        said = say("{path} {kind}, không phải CSV", "{path} {kind}, not CSV", path=path, kind=found.name.here)
        raise FileRefused(said, say(*found.remedy))
    return head


def _kind_of_archive(path: Path, head: bytes) -> Kind:
    refuse_library_file(path)
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        names = head + file.read(TAIL_BYTES)
    return next((kind for member, kind in MEMBERS if member in names), ARCHIVE)


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
    found = _kind_by(head)
    return None if found is None else found.name


def _kind_by(head: bytes) -> Kind | None:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ARCHIVE
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(MARKUP):
        return PAGE
    if head[4:12] in (b"ftypheic", b"ftypmif1") or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return PICTURE
    if b"\x00" not in head:
        return None
    return BARE_UTF_16 if _may_be_utf_16(head) else BINARY


def _may_be_utf_16(head: bytes) -> bool:
    """Whether every other byte is mostly none, and no third thing is: letters of a Western alphabet."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    return max(even, odd) > len(head) // 3 and min(even, odd) == 0
