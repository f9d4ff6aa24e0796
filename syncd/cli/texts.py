"""Texts that an operator hands over as a file: a script, a list.

Enters: a path. Leaves: its text. Must hold: what is no text is refused by name and is not quoted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.errors import FileRefused
from syncd.inputs.open_text import LOOK_BYTES, kind_of
from syncd.language import say
from syncd.system import read_beginning

STANDARD_INPUT = Path("-")


def read_text(path: Path, bytes_max: int) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; `-` is standard input. Raises FileRefused where it
    is none, or longer: half a script must not run."""
    if path == STANDARD_INPUT:
        return _text(say("đầu vào chuẩn", "standard input"), read_input(bytes_max + 1), bytes_max)
    return _text(path, read_beginning(path, bytes_max + 1), bytes_max)


def read_input(size: int) -> bytes:
    """The first bytes of standard input; none where it is closed."""
    return sys.stdin.buffer.read(size)


def _text(path: Path | str, data: bytes, bytes_max: int) -> str:
    kind = kind_of(data[:LOOK_BYTES])
    if kind is not None:
        raise FileRefused(
            say("{path} {kind}, không phải văn bản", "{path} {kind}, not text", path=path, kind=kind.here),
            say("lưu tệp thành văn bản UTF-8 rồi chạy lại", "save it as UTF-8 text and run it again"),
        )
    if len(data) > bytes_max:
        raise FileRefused(
            say("{path} dài quá {most} byte", "{path} holds more than {most} bytes", path=path, most=bytes_max),
            say("chia thành nhiều tệp", "split it into several files"),
        )
    with refuse_other_text(path):
        return data.decode("utf-8-sig").replace("\r\n", "\n")


@contextmanager
def refuse_other_text(path: Path | str) -> Iterator[None]:
    """Tell of bytes that are no text, without quoting them as the decoder's own words would."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise FileRefused(
            say("{path} không phải UTF-8", "{path} is not UTF-8", path=path),
            say("lưu tệp thành văn bản UTF-8 rồi chạy lại", "save it as UTF-8 text and run it again"),
        ) from error
