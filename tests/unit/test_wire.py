"""The body's codec: every canonical value comes back as it was; bytes from outside raise `EnvelopeError` alone."""

import json
import string
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.errors import Altered, EnvelopeError, NotCanonical, SchemaNewer, TooLarge
from syncd.limits import BODY_BLOCKS_MAX, ENVELOPE_ROWS_MAX, SHARED_CHARS_MAX
from syncd.wire import (
    DELETE,
    INSERT,
    UPDATE,
    Block,
    CheckpointLine,
    Value,
    copy_text,
    decode_body,
    decode_checkpoint,
    decode_touched,
    encode_block,
    encode_body,
    encode_checkpoint,
    join_blocks,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "wire.json"
TYPES = ("uuid", "text", "int", "date", "instant", "bytes")
# Table 1 has a column of each type; 2 all of text; 3 only a row's existence.
SCHEMA = {1: dict(enumerate(TYPES, 1)), 2: dict.fromkeys(range(1, 63), "text"), 3: {}}

uuids = st.uuids().map(str)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
instants = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + "Z")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uuid": uuids,
    "text": texts | st.text(string.digits, min_size=12, max_size=12) | st.sampled_from(["TT", "TV", ""]),
    "int": st.integers(-(2**63), 2**63 - 1) | st.integers(-200, 200),
    "date": st.dates().map(str),
    "instant": instants,
    "bytes": st.binary(max_size=300),
}


def columns_of(type_: str, count: int) -> st.SearchStrategy[list[Value]]:
    """Mixed values; few distinct ones; one alone; with and without nulls."""
    value = VALUES[type_]
    few = st.lists(value, min_size=1, max_size=4).flatmap(
        lambda some: st.lists(st.sampled_from(some), min_size=count, max_size=count)
    )
    mixed = st.lists(value, min_size=count, max_size=count)
    gaps = st.lists(st.none() | value, min_size=count, max_size=count)
    return mixed | few | gaps | value.map(lambda one: [one] * count)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    count = draw(st.sampled_from([1, 2, 7, 16, 40, 300]))
    numbers = tuple(draw(st.lists(st.sampled_from(range(1, 7)), unique=True, max_size=6)))
    # Equal ids are of no matter here; drawing three hundred different ones would be the test's whole time.
    ids = draw(st.lists(uuids, min_size=1, max_size=5)) * count
    return Block(
        table=1,
        op=draw(st.sampled_from([INSERT, UPDATE, DELETE])),
        columns=numbers,
        ids=ids[:count],
        values=[draw(columns_of(SCHEMA[1][number], count)) for number in numbers],
    )


def one(type_: str, values: list[Value]) -> Block:
    number = TYPES.index(type_) + 1
    ids = [f"00000000-0000-7000-8000-{index:012x}" for index in range(len(values))]
    return Block(table=1, op=INSERT, columns=(number,), ids=ids, values=[values])


@settings(deadline=None, max_examples=300)
@given(st.lists(blocks(), max_size=20))
def test_every_canonical_value_comes_back_as_it_was(given_blocks: list[Block]) -> None:
    assert decode_body(encode_body(given_blocks, SCHEMA), SCHEMA) == given_blocks


def test_touched_rows_are_those_of_the_body_without_values() -> None:
    block = Block(
        table=2, op=UPDATE, columns=(1, 2), ids=["019b76db-8363-7ebe-8c64-cab0db2a6a0d"], values=[["a"], [""]]
    )
    assert decode_touched(encode_body([block], SCHEMA)) == [
        Block(table=2, op=UPDATE, columns=(1, 2), ids=block.ids, values=[])
    ]
    with pytest.raises(Altered):
        decode_touched(b"no body")


@pytest.mark.parametrize("type_", TYPES)
def test_many_distinct_values_come_back_as_they_were(type_: str) -> None:
    made: dict[str, Any] = {
        "uuid": lambda i: f"{i:08x}-0000-7000-8000-0000aabbccdd",
        "text": lambda i: f"Thôn {i}",
        "int": lambda i: (i - 500) ** 7 % 2**62,
        "date": lambda i: f"{1 + i:04d}-02-28",
        "instant": lambda i: f"2026-11-21T00:{i // 60 % 60:02d}:{i % 60:02d}Z",
        "bytes": lambda i: bytes([i % 251]) * (i % 40),
    }
    values = [made[type_](index * 7 % 1000) for index in range(4000)]
    # In runs of four, dictionaries of more than 256 values are among them.
    for order in (values, sorted(values)):
        block = one(type_, order)
        assert decode_body(encode_body([block], SCHEMA), SCHEMA) == [block]


def test_more_than_sixteen_blocks_are_joined_into_one_body() -> None:
    block = one("int", [1])
    encoded = join_blocks([encode_block(block, ["int"])] * 40)
    assert decode_body(encoded, SCHEMA) == [block] * 40


def test_a_delete_carries_ids_alone() -> None:
    block = Block(table=3, op=DELETE, columns=(), ids=["00000000-0000-7000-8000-000000000001"], values=[])
    assert decode_body(encode_body([block], SCHEMA), SCHEMA) == [block]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("uuid", "00000000-0000-7000-8000-00000000000A"),
        ("uuid", "000000000-000-7000-8000-000000000001"),
        ("uuid", "00000000-0000-7000-8000-0000000001"),
        ("uuid", ""),
        ("text", "a\0b"),
        ("text", "\ud800"),
        ("text", 7),
        ("int", 2**63),
        ("int", "7"),
        ("int", 1.5),
        ("date", "2024-02-31"),
        ("date", "2024-W01-1"),
        ("date", "20240101"),
        ("date", "0000-01-01"),
        ("date", "२०२४-01-01"),
        ("bytes", "text"),
    ],
)
@pytest.mark.parametrize("neighbours", [0, 3])
def test_a_value_outside_its_type_is_never_sealed(type_: str, value: Any, neighbours: int) -> None:
    good: dict[str, Value] = {
        "uuid": "00000000-0000-7000-8000-000000000001",
        "text": "a",
        "int": 1,
        "date": "2024-02-29",
        "bytes": b"a",
    }
    with pytest.raises(NotCanonical) as refused:
        encode_body([one(type_, [*[good[type_]] * neighbours, value])], SCHEMA)
    assert f"column {TYPES.index(type_) + 1}" in refused.value.message
    assert refused.value.hint


def test_columns_of_other_lengths_than_the_ids_are_never_sealed() -> None:
    for block in (
        Block(table=1, op=INSERT, columns=(2,), ids=[], values=[[]]),
        Block(table=1, op=INSERT, columns=(2,), ids=["00000000-0000-7000-8000-000000000001"], values=[["a", "b"]]),
        Block(table=1, op=INSERT, columns=(2, 3), ids=["00000000-0000-7000-8000-000000000001"], values=[["a"]]),
    ):
        with pytest.raises(NotCanonical):
            encode_body([block], SCHEMA)


def test_an_unknown_table_or_column_waits_for_the_upgrade() -> None:
    body = encode_body([one("text", ["a"])], SCHEMA)
    for schema in ({}, {1: {1: "uuid"}}):
        with pytest.raises(SchemaNewer) as newer:
            decode_body(body, schema)
        assert "upgrade" in newer.value.hint


def wire(*, data: Any, count: int = 2, nulls: Any = None, ids: bytes | None = None, **other: Any) -> bytes:
    """A body written by hand: one block of table 1 with one column, number 2 (text) unless told otherwise."""
    block = [
        other.get("table", 1),
        other.get("op", 1),
        other.get("columns", [2]),
        count,
        bytes(16 * count) if ids is None else ids,
        [[nulls, data]],
    ]
    return msgspec.msgpack.encode([block])


def test_the_hand_written_body_is_readable() -> None:
    assert decode_body(wire(data=b"\0a\0b"), SCHEMA)[0].values == [["a", "b"]]
    assert decode_body(wire(data=b"\2aabb"), SCHEMA)[0].values == [["ab", "ab"]]
    assert decode_body(wire(data=[b"\0ab"]), SCHEMA)[0].values == [["ab", "ab"]]
    assert decode_body(wire(data=[b"\0a\0b", b"\1\0"]), SCHEMA)[0].values == [["b", "a"]]
    assert decode_body(wire(data=b"\0a", nulls=b"\2"), SCHEMA)[0].values == [[None, "a"]]
    assert decode_body(wire(data=None, nulls=True), SCHEMA)[0].values == [[None, None]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x90\x00",
        b"\x91" * 5000 + b"\x90",
        wire(data=b"\0a\0b") + b"\0",
        wire(data=b"\0a\0b")[:-1],
        wire(data=b"\0a\0b", table=0),
        wire(data=b"\0a\0b", op=4),
        wire(data=b"\0a\0b", columns=[0]),
        wire(data=b"\0a\0b", columns=[63]),
        wire(data=b"\0a\0b", columns=[2, 2]),
        wire(data=b"\0a\0b", columns=[]),
        wire(data=b"\0a\0b", ids=bytes(31)),
        wire(data=b"", count=0),
        wire(data=None),
        wire(data=b"", nulls=True),
        wire(data=b"\0a\0b", nulls=False),
        wire(data=b"\0a\0b", nulls=b"\0"),
        wire(data=b"\0a", nulls=b"\4"),
        wire(data=b"\0a", nulls=b"\0\2"),
        wire(data=b"\0", nulls=b"\3"),
        wire(data="a\0b"),
        wire(data=b""),
        wire(data=b"\0a"),
        wire(data=b"\0a\0b\0c"),
        wire(data=b"\0\xff\0b"),
        wire(data=b"\1a"),
        wire(data=b"\1a\0"),
        wire(data=b"\1a\xff"),
        wire(data=b"\x21" + b"a" * 66),
        wire(data=[]),
        wire(data=[b"\0a", b"\0\0", b""]),
        wire(data=[b"\0" + b"a" * (SHARED_CHARS_MAX + 1)]),
        wire(data=[b"\0a\0" + b"a" * (SHARED_CHARS_MAX + 1), b"\0\0"]),
        wire(data=[b"\0a\0b", b"\0\2"]),
        wire(data=[b"\0a\0b", b"\0"]),
        wire(data=[b"\0a\0b", b"\0\0\0\1"]),
        wire(data=[b"\0a\0b\0c", b"\0\0"]),
        wire(data=[b"", b"\0\0"]),
        wire(data=[b"\1", b"\0\0"]),
        wire(data=bytes(31), columns=[1]),
        wire(data=[bytes(0), b"\0\0"], columns=[1]),
        wire(data=b"\0\0\0", columns=[3]),
        wire(data=b"", columns=[3]),
        wire(data=[b"\0\0", b"\0\0"], columns=[3]),
        wire(data=b"2024-1-1" * 2, columns=[4]),
        wire(data=b"2" * 16, columns=[4]),
        wire(data=b"2" * 15, columns=[4]),
        wire(data=[b"\1\1", b"a"], columns=[6]),
        wire(data=[b"\2\xff", b"a"], columns=[6]),
        wire(data=[b"\1\0"], columns=[6]),
        wire(data=b"\1\0", columns=[6]),
    ],
)
def test_a_body_in_any_other_form_is_refused(body: bytes) -> None:
    with pytest.raises(Altered) as refused:
        decode_body(body, SCHEMA)
    assert refused.value.hint


def test_a_body_beyond_the_limits_is_refused_before_it_is_built() -> None:
    for body in (
        b"\xdd\xff\xff\xff\xff",
        b"\xdc" + (BODY_BLOCKS_MAX + 1).to_bytes(2, "big"),
        join_blocks([encode_block(one("int", [1] * 40_000), ["int"])] * 2),
    ):
        with pytest.raises(TooLarge):
            decode_body(body, SCHEMA)
    with pytest.raises(TooLarge):
        decode_checkpoint(b"\xdd\xff\xff\xff\xff")
    with pytest.raises(NotCanonical):
        encode_block(one("int", [1] * (ENVELOPE_ROWS_MAX + 1)), ["int"])


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_envelope_errors_alone(data: bytes) -> None:
    for decode in (lambda: decode_body(data, SCHEMA), lambda: decode_checkpoint(data)):
        try:
            decode()
        except EnvelopeError as refused:
            assert refused.hint  # noqa: PT017 - what is asserted is that nothing else escapes; most examples raise, not all


@settings(deadline=None, max_examples=300)
@given(st.lists(blocks(), min_size=1, max_size=3), st.data())
def test_mutated_bodies_raise_envelope_errors_alone(given_blocks: list[Block], data: st.DataObject) -> None:
    body = bytearray(encode_body(given_blocks, SCHEMA))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not body:
            break
    try:
        decoded = decode_body(bytes(body), SCHEMA)
    except EnvelopeError:
        return
    # What is still read obeys every rule: it can be written again.
    assert decode_body(encode_body(decoded, SCHEMA), SCHEMA) == decoded


def test_checkpoint_lines_come_back_as_they_were() -> None:
    lines = [CheckpointLine(at_seq=7, table=3, audience=1, row_count=0, sha256=bytes(range(32)))]
    assert decode_checkpoint(encode_checkpoint(lines)) == lines
    for body in (b"", b"\xc0", encode_checkpoint(lines)[:-1], msgspec.msgpack.encode([[7, 3, 1, -1, bytes(32)]])):
        with pytest.raises(Altered):
            decode_checkpoint(body)


def test_committed_bodies_are_read_and_written_the_same() -> None:
    for vector in json.loads(VECTORS.read_text("utf-8")):
        schema = {int(table): {int(n): t for n, t in columns.items()} for table, columns in vector["schema"].items()}
        expected = [
            Block(
                table=block["table"],
                op=block["op"],
                columns=tuple(block["columns"]),
                ids=block["ids"],
                values=[
                    [bytes.fromhex(v) if schema[block["table"]][n] == "bytes" and v is not None else v for v in values]
                    for n, values in zip(block["columns"], block["values"], strict=True)
                ],
            )
            for block in vector["blocks"]
        ]
        assert decode_body(bytes.fromhex(vector["body"]), schema) == expected, vector["name"]
        assert encode_body(expected, schema).hex() == vector["body"], vector["name"]
        columns: list[list[Value]] = [list(expected[0].ids), *expected[0].values]
        types = ["uuid", *(schema[expected[0].table][n] for n in expected[0].columns)]
        assert copy_text(columns, types).decode() == vector["copy_text"], vector["name"]


# --- COPY text -------------------------------------------------------------------------------------------------------

AWKWARD = [
    "plain",
    "",
    "\\",
    "\\N",
    "\\.",
    "a\tb\nc\rd\be\ff\vg",
    "\x01\x1b\x7f\x85\xa0\u2028",
    "Nguyễn Thị Hồng",
    "đường 🛖",
    "'\"",
    " ",
    None,
]


def test_copy_text_is_what_postgresql_writes(postgres_dsn: str) -> None:
    count = len(AWKWARD)
    columns: list[list[Value]] = [
        [f"{index:08x}-0000-7000-8000-0000aabbccdd" for index in range(count)],
        list(AWKWARD),
        [0, -1, 2**63 - 1, -(2**63), None, 5, 6, 7, 8, 9, 10, 11],
        ["0001-01-01", "9999-12-31", "2024-02-29", None, *["1945-09-02"] * (count - 4)],
        [None, *["2026-11-21T00:00:00.123Z"] * (count - 1)],
        [b"", b"\\x", b"\0\xff\n\t", None, *[bytes([index]) for index in range(count - 4)]],
    ]
    types = ["uuid", "text", "int", "date", "instant", "bytes"]
    ours = copy_text(columns, types)
    with psycopg.connect(postgres_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a uuid PRIMARY KEY, b text, c bigint, d date, e text, f bytea)")
        insert = "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s)"
        cursor.executemany(insert, list(zip(*columns, strict=True)))
        with cursor.copy("COPY (SELECT * FROM t ORDER BY a) TO STDOUT") as copy:
            theirs = b"".join(map(bytes, copy))
        assert ours == theirs
        # And read back by the same database it is the same rows.
        cursor.execute("CREATE TABLE u (LIKE t)")
        with cursor.copy("COPY u FROM STDIN") as copy:
            copy.write(ours)
        cursor.execute("SELECT (SELECT count(*) FROM u), count(*) FROM (TABLE t INTERSECT TABLE u) AS same")
        found = cursor.fetchone()
        assert found == (count, count)


def test_copy_text_of_long_rows_is_that_of_short_ones() -> None:
    """Long values are written row by row: the same text as where each of them stands alone among short ones."""
    parts = ["a\\b\tc\nd\re\bf\fg\vh ế", "\U0001d54f", "", None, "x" * 900_000, "\\\t" * 300_000, "y"]
    columns: list[list[Any]] = [
        parts,
        [b"\x00" * 700_000, b"", None, b"\xff", b"a" * 700_000, b"b", b"c"],
        [1, None, -5, 0, 2, 3, 4],
    ]
    types = ["text", "bytes", "int"]
    alone = [copy_text([[value] for value in row], types) for row in zip(*columns, strict=True)]
    assert max(map(len, alone)) < 3_000_000
    assert copy_text(columns, types) == b"".join(alone)
    assert b"".join(alone).count(b"\n") == len(parts)


def test_copy_text_of_no_rows_is_empty() -> None:
    assert copy_text([[], []], ["uuid", "int"]) == b""
    assert copy_text([], []) == b""


def test_copy_text_of_one_empty_value_is_one_line() -> None:
    assert copy_text([[""]], ["text"]) == b"\n"


def test_copy_text_of_uneven_columns_is_refused() -> None:
    with pytest.raises(NotCanonical):
        copy_text([["a"], []], ["text", "text"])


@settings(deadline=None)
@given(st.lists(st.none() | texts | st.text("\\\t\n\r\b\f\va", max_size=5), min_size=1, max_size=600))
def test_copy_text_is_the_same_column_by_column_as_value_by_value(values: list[str | None]) -> None:
    names = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
    lines = ["\\N" if value is None else "".join(names.get(c, c) for c in value) for value in values]
    assert copy_text([list(values)], ["text"]) == "".join(f"{line}\n" for line in lines).encode()
