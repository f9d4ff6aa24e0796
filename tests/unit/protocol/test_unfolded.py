"""What a body unfolds to is bounded before memory is taken: whatever its columns are packed as, whoever packed them."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.spec import ROW_BYTES_MAX
from syncd import limits
from syncd.compress import compress, decompress
from syncd.errors import EnvelopeError, TooLarge
from syncd.limits import ENVELOPE_ROWS_MAX, MIB, PLAIN_BYTES_MAX, UNFOLDED_BYTES_MAX
from syncd.wire import Block, copy_chunks, decode_bodies, decode_body, decode_touched, encode_bodies, encode_body

TYPES = {1: "uuid", 2: "text", 3: "int", 4: "date", 5: "instant", 6: "bytes"}
SCHEMA = {1: TYPES, 2: dict.fromkeys(range(1, 63), "text"), 3: dict.fromkeys(range(1, 63), "int"), 4: {1: "bytes"}}
MEMORY_BYTES_MAX = 64 * MIB  # what whoever reads one envelope takes at most, its plain bytes included
pack = msgspec.msgpack.encode
WIDE = "\U0001d54f"  # four bytes in UTF-8, and of every character beside it in memory


def body(rows: int, columns: int, column: Any, table: int = 2, blocks: int = 1) -> bytes:
    """A body written by hand, as a hostile writer would: `column` as often as told."""
    block = (table, 1, list(range(1, columns + 1)), rows, bytes(16 * rows), [column] * columns)
    return pack([block] * blocks)


def texts(value: str) -> Callable[[int], bytes]:
    return lambda rows: b"\0" + b"\0".join([value.encode()] * rows)


def dictionary(rows: int, value: bytes) -> tuple[None, list[bytes]]:
    return None, [b"\0" + value + b"\0b", bytes(rows - 1) + b"\1"]


# Name → rows → a body of about so many rows, each a way to say much with few bytes once zstd has packed it.
FAMILIES: dict[str, Callable[[int], bytes]] = {
    "constant": lambda n: body(n, 62, (None, [b"\0" + WIDE.encode() * 256])),
    "constant of one width": lambda n: body(n, 62, (None, [b"\x20" + b"a" * 32])),
    "dictionary": lambda n: body(n, 62, dictionary(n, WIDE.encode() * 256)),
    "dictionary of escapes": lambda n: body(n, 62, dictionary(n, b"\\" * 256)),
    "nulls": lambda n: body(n, 62, (True, None)),
    "some nulls": lambda n: body(n, 62, (bytes((n + 7) // 8 - 1) + b"\1", [b"\0" + WIDE.encode() * 256])),
    "two letters": lambda n: body(n, 62, (None, texts("ab")(n))),
    "two letters by places": lambda n: body(n, 62, (None, b"\2" + b"a" * (2 * n))),
    "one wide character in many": lambda n: body(n, 1, (None, texts(WIDE + "a" * 300)(n))),
    "one wide character and escapes": lambda n: body(n, 1, (None, texts(WIDE + "\\" * 300)(n))),
    "one long text": lambda n: body(1, 1, (None, texts(WIDE + "\\" * 100 * n)(1))),
    "bytes": lambda n: body(n, 1, (None, [bytes(n), b""]), table=4),
    "one long value of bytes": lambda n: body(1, 1, (None, [(100 * n).to_bytes(4, "little"), bytes(100 * n)]), table=4),
    "letters of two bytes": lambda n: body(n, 3, (None, texts("ế" * 100)(n))),
    "numbers": lambda n: body(n, 62, (None, bytes([1]) * 8 * n), table=3),
    "one number": lambda n: body(n, 62, (None, [bytes([1]) * 8]), table=3),
    "rows alone": lambda n: body(n, 0, None),
    "many blocks": lambda n: body(1, 62, (True, None), blocks=max(n // 64, 1)),
    "many blocks of short texts": lambda n: body(1, 62, (None, b"\0ab"), blocks=max(n // 64, 1)),
    "every type": lambda n: pack([(1, 1, [1, 2, 3, 4, 5, 6], n, bytes(16 * n), [
        (None, bytes(16 * n)), (None, texts("ab")(n)), (None, bytes([1]) * n), (None, b"2" * n + b"0" * n * 4 + b"1" * n
        + b"0" * n + b"1" * n), (None, texts("2026-11-21T00:00:00Z")(n)), (None, [bytes([40]) * n, bytes(40 * n)])])]),
}  # fmt: skip


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Bytes that were taken at most since the block began."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def is_taken(plain: bytes) -> bool:
    try:
        decode_body(plain, SCHEMA)
    except TooLarge:
        return False
    return True


def most_rows(make: Callable[[int], bytes], takes: Callable[[bytes], bool]) -> int:
    """The greatest number of rows of a family that is still taken."""
    low, high = 1, ENVELOPE_ROWS_MAX + 1
    while high - low > max(low // 10, 1):
        middle = (low + high) // 2
        plain = make(middle)
        low, high = (middle, high) if len(plain) <= PLAIN_BYTES_MAX and takes(plain) else (low, middle)
    return low


@pytest.mark.parametrize("family", FAMILIES)
def test_the_most_that_is_taken_unfolds_within_the_bound(family: str) -> None:
    make = FAMILIES[family]
    rows = most_rows(make, is_taken)
    packed, size = compress(make(rows)), len(make(rows))
    with peak() as taken:
        blocks = decode_body(decompress(packed, size), SCHEMA)
        held = tracemalloc.get_traced_memory()[0]
        copied = sum(
            len(chunk)
            for block in blocks
            for chunk in copy_chunks([block.ids, *block.values], ["uuid", *_types(block)])
        )
        assert taken() <= MEMORY_BYTES_MAX
    assert held <= UNFOLDED_BYTES_MAX + MIB
    assert copied <= UNFOLDED_BYTES_MAX <= 32 * MIB
    assert len(packed) < 16 * 1024  # a few bytes on the wire, as a rule a few hundred


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_beyond_the_bound_is_refused_before_memory_is_taken(family: str) -> None:
    make = FAMILIES[family]
    rows = ENVELOPE_ROWS_MAX
    while len(plain := make(rows)) > PLAIN_BYTES_MAX:
        rows //= 2
    with peak() as taken:
        try:
            decode_body(plain, SCHEMA)
        except EnvelopeError:
            assert taken() <= len(plain) + 8 * MIB
    assert len(decode_touched(make(8))) >= 1


def _types(block: Block) -> list[str]:
    return [SCHEMA[block.table][number] for number in block.columns]


VALUES: dict[int, Callable[[int], Any]] = {
    1: lambda k: f"00000000-0000-7000-8000-{k:012x}",
    2: lambda k: (f"Nguyễn Thị {WIDE} " * (k % 3 + 1))[: k % 40],
    3: lambda k: k * 7919,
    4: lambda k: f"{1900 + k % 120}-0{k % 9 + 1}-1{k % 9}",
    5: lambda _k: "2026-11-21T00:00:00Z",
    6: lambda k: bytes([k % 256]) * (k % 50),
}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6, unique=True),
    st.sampled_from([1, 7, 300, 20_000]),
    st.sampled_from([1, 5, 300]),
    st.sampled_from([1, 2, 3, 1000]),
)
def test_whatever_is_sealed_is_read(columns: list[int], rows: int, longer: int, every: int) -> None:
    """`every`: which values are null; `longer`: texts and bytes are so many times longer."""
    values = [
        [None if k % every else value * longer if number in (2, 6) else value for k, value in enumerate(made)]
        for number in columns
        for made in [[VALUES[number](k % (rows // 3 + 1)) for k in range(rows)]]
    ]
    block = Block(table=1, op=1, columns=tuple(columns), ids=[VALUES[1](k) for k in range(rows)], values=values)
    try:
        plain = encode_body([block], SCHEMA)
    except TooLarge:
        return
    assert decode_body(plain, SCHEMA) == [block]


@pytest.mark.parametrize("length", [40, 256, 2000])
def test_writer_and_reader_have_the_same_bound(length: int) -> None:
    """At the last row that the writer takes the reader takes it; with one more the writer itself says to send less."""

    def block(rows: int) -> Block:
        ids = [VALUES[1](k) for k in range(rows)]
        return Block(
            table=2, op=1, columns=(1, 2), ids=ids, values=[["ế" * length] * rows, [f"{k}" for k in range(rows)]]
        )

    def is_written(rows: int) -> bool:
        try:
            encode_body([block(rows)], SCHEMA)
        except TooLarge:
            return False
        return True

    low, high = 1, ENVELOPE_ROWS_MAX + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_written(middle) else (low, middle)
    assert 1000 < low < ENVELOPE_ROWS_MAX
    assert decode_body(encode_body([block(low)], SCHEMA), SCHEMA) == [block(low)]


def test_the_longest_row_that_a_database_takes_fits() -> None:
    """Characters of four bytes, in one column or in all of them."""
    for columns in (1, 62):
        text = WIDE * (ROW_BYTES_MAX // 4 // columns)
        block = Block(
            table=2, op=1, columns=tuple(range(1, columns + 1)), ids=[VALUES[1](1)], values=[[text]] * columns
        )
        assert decode_body(encode_body([block], SCHEMA), SCHEMA) == [block]


def test_the_parts_of_one_envelope_share_the_bound() -> None:
    rows = 40_000
    ids = [VALUES[1](k) for k in range(rows)]
    block = Block(table=2, op=1, columns=(1,), ids=ids, values=[["a" * 60] * rows])
    one = encode_bodies({1: [block]}, SCHEMA)[1]
    assert decode_bodies({1: one}, SCHEMA)[1] == [block]
    with pytest.raises(TooLarge):
        decode_bodies({1: one, 2: one}, SCHEMA)
    with pytest.raises(TooLarge):
        encode_bodies({1: [block], 2: [block]}, SCHEMA)
    noise: list[Any] = [bytes([k % 256]) * limits.MIB for k in range(7)]
    long = Block(table=1, op=1, columns=(6,), ids=ids[:7], values=[noise])
    assert encode_bodies({1: [long]}, SCHEMA)
    with pytest.raises(TooLarge):
        encode_bodies({1: [long], 2: [long], 3: [long]}, SCHEMA)


def test_an_ordinary_piece_of_a_group_is_far_below_the_bound() -> None:
    """Twice the rows of a piece, all columns of a person: nothing that people type is ever split by it."""
    rows = 2 * limits.GROUP_ROWS_MAX
    ids = [VALUES[1](k) for k in range(rows)]
    names = [f"Nguyễn Thị Hoài {k}" for k in range(rows)]
    values: list[list[Any]] = [
        names,
        *[[f"{k % 7:02d}" for k in range(rows)]] * 8,
        *[[f"{k:012d}" for k in range(rows)]] * 3,
    ]
    block = Block(table=2, op=1, columns=tuple(range(1, 13)), ids=ids, values=values)
    assert decode_body(encode_body([block], SCHEMA), SCHEMA) == [block]
