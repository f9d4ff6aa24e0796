"""One column's values, none of them null, to packed data and back (PROTOCOL.md §6).

Enters: a list of values. Leaves: one string, or a list of one or two.
Must hold: unpacking gives exactly the values packed; packing refuses what is not canonical, unpacking what packing
could not have made, both with ValueError (packing with TypeError and OverflowError too), which `wire` turns into errors
that name the place. Everything runs in C-level operations over whole columns.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, chain
from sys import byteorder
from typing import Any, Final

from syncd.limits import DICTIONARY_VALUES_MAX, PLANE_WIDTH_MAX, SHARED_CHARS_MAX

Packed = bytes | list[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """How values of one type are packed. `constants`: equal values may be sent once. `count`: how many values packed
    data holds, for the types that have dictionaries."""

    pack: Callable[[list[Any]], Packed]
    unpack: Callable[[Any, int], list[Any]]
    constants: bool = True
    count: Callable[[bytes], int] | None = None

    def encode(self, values: list[Any]) -> Packed:
        """Constant `[one value]`, dictionary `[values, codes]`, or the type's own form, whichever looks smaller."""
        rows = len(values)
        if rows < 2 or not self.constants:
            return self.pack(values)
        first = values[0]
        if first == values[-1] and values.count(first) == rows and _is_short(first):
            return [self._one(self.pack(values[:1]))]
        # Where a sample repeats itself. Values of one or two characters are as small as codes, and faster without.
        if self.count and rows >= _DICTIONARY_ROWS_MIN and len(first) > 2:
            sample = values[:_SAMPLE_ROWS]
            if len(set(sample)) * 2 <= len(sample):
                return self._dictionary(values) or self.pack(values)
        return self.pack(values)

    def decode(self, data: Packed, rows: int) -> list[Any]:
        """The `rows` ≥ 1 values in `data`."""
        if isinstance(data, bytes) or not self.constants:
            return self.unpack(data, rows)
        if len(data) == 1:
            value = self.unpack(data[0], 1)
            if not _is_short(value[0]):
                raise ValueError("constant too long")
            return value * rows
        packed, codes = data
        distinct = self.count(packed) if self.count else 0
        if not 0 < distinct <= min(rows, DICTIONARY_VALUES_MAX):
            raise ValueError("dictionary")
        return _look_up(self.unpack(packed, distinct), codes, rows)

    def _dictionary(self, values: list[str]) -> Packed | None:
        distinct = list(dict.fromkeys(values))
        count = len(distinct)
        if count * 2 > len(values) or count > DICTIONARY_VALUES_MAX or not all(map(_is_short, distinct)):
            return None
        codes = map(dict(zip(distinct, range(count), strict=True)).__getitem__, values)
        packed_codes = bytes(codes) if count <= 256 else _planes(_little(array("H", codes)).tobytes(), 2)
        return [self._one(self.pack(distinct)), packed_codes]

    @staticmethod
    def _one(packed: Packed) -> bytes:
        """A type that has constants packs into one string."""
        if not isinstance(packed, bytes):
            raise TypeError("packed")
        return packed


_DICTIONARY_ROWS_MIN: Final = 16
_SAMPLE_ROWS: Final = 64


def _is_short(value: Any) -> bool:
    return not isinstance(value, str) or len(value) <= SHARED_CHARS_MAX


def _look_up(values: list[Any], codes: bytes, count: int) -> list[Any]:
    if not all(map(_is_short, values)):
        raise ValueError("codes")
    numbers: Iterable[int] = codes
    if len(codes) != count:
        numbers = _integers("H", codes, count)
    if max(numbers) >= len(values):
        raise ValueError("codes")
    return list(map(values.__getitem__, numbers))


def _planes(rows: bytes, width: int, places: Sequence[int] | None = None) -> bytes:
    """Turn `rows` of `width` bytes each by a quarter: all first bytes, then all second bytes…, of the `places`."""
    return b"".join([rows[place::width] for place in places or range(width)])


def _rows(planes: bytes, count: int, template: bytes, places: Sequence[int]) -> bytearray:
    """Turn back: `count` copies of `template` with the planes written over its `places`."""
    rows = bytearray(template * count)
    width = len(template)
    for index, place in enumerate(places):
        rows[place::width] = planes[index * count : (index + 1) * count]
    return rows


def _split_rows(rows: bytearray) -> list[str]:
    """Rows of ASCII that each end in NUL."""
    del rows[-1]
    return rows.decode("ascii").split("\0")


_DASHES: Final = (8, 13, 18, 23)
_UUID_TEMPLATE: Final = b"00000000-0000-0000-0000-000000000000\0"
_HIGH_PLACES: Final = (0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34)
_LOW_PLACES: Final = tuple(place + 1 for place in _HIGH_PLACES)
_HIGH_DIGIT: Final = bytes(b"0123456789abcdef"[byte >> 4] for byte in range(256))
_LOW_DIGIT: Final = b"0123456789abcdef" * 16


def pack_uuid(values: list[str]) -> bytes:
    joined = "".join(values)
    digits = joined.encode("ascii").translate(None, b"-")
    rows = bytes.fromhex(digits.decode("ascii"))
    count = len(values)
    # Back to digits and compared, since fromhex lets capitals and blanks through.
    if len(rows) != 16 * count or len(joined) != 36 * count or rows.hex().encode() != digits:
        raise ValueError("uuid")
    if any(joined[place::36] != "-" * count for place in _DASHES):
        raise ValueError("uuid")
    return _planes(rows, 16)


def unpack_uuid(data: bytes, count: int) -> list[str]:
    if len(data) != 16 * count:
        raise ValueError("uuid")
    rows = _rows(data.translate(_HIGH_DIGIT), count, _UUID_TEMPLATE, _HIGH_PLACES)
    low = data.translate(_LOW_DIGIT)
    for index, place in enumerate(_LOW_PLACES):
        rows[place::37] = low[index * count : (index + 1) * count]
    return _split_rows(rows)


def _pack_text(values: list[str]) -> bytes:
    """A first byte 0, then the values joined by NUL, which no canonical text contains. Or, for short ASCII of one
    length, a first byte with that length, then the values by character place: numbers and codes pack better so."""
    joined = "\0".join(values)
    count = len(values)
    if joined.count("\0") != count - 1:
        raise ValueError("NUL")
    width = len(values[0])
    if (
        0 < width <= PLANE_WIDTH_MAX
        and len(joined) == (width + 1) * count - 1
        and joined.isascii()
        and joined[width :: width + 1] == "\0" * (count - 1)
    ):
        return bytes((width,)) + _planes(joined.encode("ascii"), width + 1, range(width))
    return b"\0" + joined.encode()


def _unpack_text(data: bytes, count: int) -> list[str]:
    if data[:1] == b"\0":
        # Counted before it is split: a body of NULs would become a list eight times its size.
        if data.count(b"\0") != count:
            raise ValueError("text")
        return str(memoryview(data)[1:], "utf-8").split("\0")
    planes = data[1:]
    if not data or data[0] > PLANE_WIDTH_MAX or len(planes) != data[0] * count or b"\0" in planes:
        raise ValueError("text")
    return _split_rows(_rows(planes, count, bytes(data[0] + 1), range(data[0])))


def _count_text(data: bytes) -> int:
    if data[:1] in (b"\0", b""):
        return data.count(b"\0")
    return (len(data) - 1) // data[0]


_DATE_PLACES: Final = (0, 1, 2, 3, 5, 6, 8, 9)


def _pack_date(values: list[str]) -> bytes:
    joined = "".join(values)
    count = len(values)
    if len(joined) != 10 * count or joined[4::10] != "-" * count or joined[7::10] != "-" * count:
        raise ValueError("date")
    _refuse_unreal_days(values)
    return _planes(joined.encode("ascii"), 10, _DATE_PLACES)


def _unpack_date(data: bytes, count: int) -> list[str]:
    if len(data) != 8 * count or not data.isdigit():
        raise ValueError("date")
    values = _split_rows(_rows(data, count, b"0000-00-00\0", _DATE_PLACES))
    _refuse_unreal_days(values)
    return values


def _refuse_unreal_days(values: list[str]) -> None:
    """ValueError for 2024-02-31: one database would store it and the other refuse the whole group."""
    deque(map(date.fromisoformat, values), maxlen=0)


def _pack_int(values: list[int]) -> bytes:
    for code in "bhi":
        try:
            numbers = array(code, values)
        except OverflowError:  # Not an error: the next width is tried.
            continue
        return _planes(_little(numbers).tobytes(), numbers.itemsize)
    return _planes(_little(array("q", values)).tobytes(), 8)


_INT_CODES: Final = {1: "b", 2: "h", 4: "i", 8: "q"}


def _unpack_int(data: bytes, count: int) -> list[int]:
    if len(data) % count or len(data) // count not in _INT_CODES:
        raise ValueError("int")
    return _integers(_INT_CODES[len(data) // count], data, count).tolist()


def _integers(code: str, planes: bytes, count: int) -> "array[int]":
    numbers = array(code)
    if len(planes) != numbers.itemsize * count:
        raise ValueError("integers")
    width = numbers.itemsize
    numbers.frombytes(planes if width == 1 else _rows(planes, count, bytes(width), range(width)))
    return _little(numbers)


def _little(numbers: "array[int]") -> "array[int]":
    if byteorder != "little":
        numbers.byteswap()
    return numbers


def _pack_bytes(values: list[bytes]) -> list[bytes]:
    return [_pack_int(list(map(len, values))), b"".join(values)]


def _unpack_bytes(data: Packed, count: int) -> list[bytes]:
    if not isinstance(data, list) or len(data) != 2:
        raise ValueError("bytes")
    lengths, blob = _unpack_int(data[0], count), data[1]
    if min(lengths) < 0 or sum(lengths) != len(blob):
        raise ValueError("bytes")
    ends = list(accumulate(lengths))
    return list(map(blob.__getitem__, map(slice, chain((0,), ends), ends)))


_TEXT: Final = Codec(pack=_pack_text, unpack=_unpack_text, count=_count_text)
CODECS: Final[dict[str, Codec]] = {
    "uuid": Codec(pack=pack_uuid, unpack=unpack_uuid, count=lambda data: len(data) // 16),
    "text": _TEXT,
    "instant": _TEXT,
    "int": Codec(pack=_pack_int, unpack=_unpack_int),
    "date": Codec(pack=_pack_date, unpack=_unpack_date, count=lambda data: len(data) // 8),
    "bytes": Codec(pack=_pack_bytes, unpack=_unpack_bytes, constants=False),
}
