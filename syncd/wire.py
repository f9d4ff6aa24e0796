"""The columnar body of a part (PROTOCOL.md §6).

Enters: blocks of rows, column by column. Leaves: MessagePack bytes, and back; or the same rows as PostgreSQL's COPY
text, for loading and for content digests.
Must hold: decoding gives exactly the values encoded, for every canonical value; bytes from outside raise `Altered`,
`TooLarge` or `SchemaNewer` and nothing else; every size is checked before memory is taken for it. Work is done per
column by C-level operations (join, split, slices, map), never value by value: the cost per row decides how fast a
province can follow its communes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress, islice, repeat
from operator import is_, is_not
from typing import Annotated, Any, Final

from msgspec import Meta, Raw
from msgspec.msgpack import Decoder, Encoder

from syncd.columns import CODECS, Codec, Packed, pack_uuid, unpack_uuid
from syncd.errors import NotCanonical, SchemaNewer, TooLarge
from syncd.limits import (
    BLOCK_COLUMNS_MAX,
    BODY_BLOCKS_MAX,
    CHECKPOINT_LINES_MAX,
    COLUMN_NUMBER_MAX,
    ENVELOPE_ROWS_MAX,
    PLAIN_BYTES_MAX,
    TABLE_NUMBER_MAX,
)
from syncd.protocol.decoding import decoding
from syncd.protocol.unfolded import Budget, RawBlock

Value = str | int | bytes | None
# Table number → column number → canonical type ('uuid', 'text', 'int', 'date', 'instant', 'bytes').
Schema = Mapping[int, Mapping[int, str]]

INSERT: Final = 1
UPDATE: Final = 2
DELETE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of one table changed by one operation in the same columns: `values` holds one list per column."""

    table: int
    op: int
    columns: tuple[int, ...]
    ids: list[str]
    values: list[list[Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLine:
    """The digest of one table's content, in one audience's columns, at a position of the stream."""

    at_seq: int
    table: int
    audience: int
    row_count: int
    sha256: bytes


def encode_body(blocks: Sequence[Block], schema: Schema) -> bytes:
    """The plain of a part. Raises `NotCanonical` for a value outside its column's type, `TooLarge` for too many."""
    return encode_bodies({0: blocks}, schema)[0]


def encode_bodies(parts: Mapping[int, Sequence[Block]], schema: Schema) -> dict[int, bytes]:
    """The plains of the parts of one envelope, which share its bounds. Raises as `encode_body` does."""
    budget = Budget()
    plains = {audience: _encode_body(blocks, schema, budget) for audience, blocks in parts.items()}
    size_bytes = sum(map(len, plains.values()))
    if size_bytes > PLAIN_BYTES_MAX:
        raise TooLarge(f"bodies of {size_bytes} bytes, the limit is {PLAIN_BYTES_MAX}", "write the group in pieces")
    return plains


def _encode_body(blocks: Sequence[Block], schema: Schema, budget: Budget) -> bytes:
    if len(blocks) > BODY_BLOCKS_MAX or sum(len(block.ids) for block in blocks) > ENVELOPE_ROWS_MAX:
        raise TooLarge(
            f"a body above {ENVELOPE_ROWS_MAX} rows or {BODY_BLOCKS_MAX} blocks", "write the group in pieces"
        )
    return join_blocks(
        [_encode_block(block, [schema[block.table][c] for c in block.columns], budget) for block in blocks]
    )


def join_blocks(encoded: Sequence[bytes]) -> bytes:
    """The plain of a part out of blocks encoded one by one, in their order."""
    count = len(encoded)
    head = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return head + b"".join(encoded)


def encode_block(block: Block, types: Sequence[str]) -> bytes:
    """One block; `types` are the canonical types of `block.columns`."""
    return _encode_block(block, types, Budget())


def _encode_block(block: Block, types: Sequence[str], budget: Budget) -> bytes:
    count = len(block.ids)
    if not 0 < count <= ENVELOPE_ROWS_MAX or any(len(column) != count for column in block.values):
        raise NotCanonical(f"a block of table {block.table} has columns of different lengths or no rows", _HINT_OURS)
    if not len(types) == len(block.columns) == len(block.values):
        raise NotCanonical(f"a block of table {block.table} names other columns than it carries", _HINT_OURS)
    columns: list[_Column] = []
    try:
        ids = pack_uuid(block.ids)
        for type_, values in zip(types, block.values, strict=True):
            columns.append(_encode_column(values, CODECS[type_]))
        raw: RawBlock = (block.table, block.op, block.columns, count, ids, columns)
        budget.take(raw, types)
        return _PACKER.encode(raw)
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        # The columns done tell which one failed: an id or the column after the last one that went well.
        place = block.columns[len(columns)] if len(columns) < len(block.columns) else "text"
        raise NotCanonical(f"table {block.table}, column {place}: a value is not canonical", _HINT_OURS) from error


def decode_body(plain: bytes, schema: Schema) -> list[Block]:
    """The blocks in `plain`. Raises `Altered`, `TooLarge`; `SchemaNewer` when a table or column is not in `schema`."""
    return decode_bodies({0: plain}, schema)[0]


def decode_bodies(plains: Mapping[int, bytes], schema: Schema) -> dict[int, list[Block]]:
    """The blocks of all parts of one envelope, which share its bounds. Raises as `decode_body` does."""
    budget = Budget()
    return {
        audience: _decoded(plain, partial(_decode_block, schema=schema, budget=budget))
        for audience, plain in plains.items()
    }


def decode_touched(plain: bytes) -> list[Block]:
    """The same without values, for whoever asks which rows and columns an applied envelope has changed."""
    return _decoded(plain, _touched_block)


def _decoded(plain: bytes, decode: Callable[["_RawBlock"], Callable[[], Block]]) -> list[Block]:
    """First every block's form and size, one after the other, then the values: what is refused takes no memory."""
    _refuse_long_array(plain, BODY_BLOCKS_MAX)
    with decoding("a body does not have the form of the protocol", _HINT):
        makers, rows = [], 0
        for raw in map(_BLOCK.decode, _BODY.decode(plain)):
            rows += raw[3]
            if rows > ENVELOPE_ROWS_MAX:
                raise TooLarge(f"a body states more than {ENVELOPE_ROWS_MAX} rows", _HINT)
            makers.append(decode(raw))
        return [make() for make in makers]


def encode_checkpoint(lines: Sequence[CheckpointLine]) -> bytes:
    """The plain of a checkpoint's part."""
    return _PACKER.encode([(line.at_seq, line.table, line.audience, line.row_count, line.sha256) for line in lines])


def decode_checkpoint(plain: bytes) -> list[CheckpointLine]:
    """The lines of a checkpoint's part. Raises `Altered` or `TooLarge`."""
    _refuse_long_array(plain, CHECKPOINT_LINES_MAX)
    with decoding("a checkpoint does not have the form of the protocol", _HINT):
        raw = _CHECKPOINT.decode(plain)
    return [CheckpointLine(at_seq=a, table=t, audience=u, row_count=n, sha256=d) for a, t, u, n, d in raw]


def copy_text(columns: Sequence[Sequence[Value]], types: Sequence[str]) -> bytes:
    """Rows as PostgreSQL's COPY text, byte for byte what `COPY (SELECT …) TO STDOUT` of the same values gives."""
    return b"".join(copy_chunks(columns, types))


def copy_chunks(columns: Sequence[Sequence[Value]], types: Sequence[str]) -> Iterator[bytes]:
    """The same piece by piece: a column's equal values are one in memory, and as many as its rows in the text."""
    if len(columns) != len(types) or len({len(column) for column in columns}) > 1:
        raise NotCanonical("rows for COPY have columns of different lengths", _HINT_OURS)
    fields = [_COPY_FIELDS[type_] for type_ in types]
    for start in range(0, len(columns[0]) if columns else 0, _COPY_SLICE_ROWS):
        chosen = [column[start : start + _COPY_SLICE_ROWS] for column in columns]
        try:
            texts = [field(column) for field, column in zip(fields, chosen, strict=True)]
        except _Long:
            yield from map(_long_row, zip(*chosen, strict=True))
            continue
        rows = map("\t".join, zip(*texts, strict=True))
        while chunk := list(islice(rows, _COPY_ROWS)):
            yield "\n".join([*chunk, ""]).encode()


# --- blocks and columns ---------------------------------------------------------------------------------------------

_HINT = "nothing was applied; fetch the envelope again, and if it stays so ask the keeper of the stream for a baseline"
_HINT_OURS = "nothing was sealed; correct the row, and what was written goes on by itself"

_Column = tuple[bool | bytes | None, Packed | None]
_RawBlock = tuple[int, int, list[int], int, bytes, list[_Column]]  # as the decoder gives it
_Numbers = Annotated[list[Annotated[int, Meta(ge=1, le=COLUMN_NUMBER_MAX)]], Meta(max_length=BLOCK_COLUMNS_MAX)]
# The same shapes with bounds, for the strict decoder; a part of a column is one string, or a list of at most two.
_WireData = bytes | Annotated[list[bytes], Meta(min_length=1, max_length=2)]
_WireColumn = tuple[bool | bytes | None, _WireData | None]
_WireBlock = tuple[
    Annotated[int, Meta(ge=1, le=TABLE_NUMBER_MAX)],
    Annotated[int, Meta(ge=INSERT, le=DELETE)],
    _Numbers,
    Annotated[int, Meta(ge=1, le=ENVELOPE_ROWS_MAX)],
    bytes,
    Annotated[list[_WireColumn], Meta(max_length=BLOCK_COLUMNS_MAX)],
]
_Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_WireLine = tuple[
    _Natural,
    Annotated[int, Meta(ge=1, le=TABLE_NUMBER_MAX)],
    Annotated[int, Meta(ge=0, le=255)],
    _Natural,
    Annotated[bytes, Meta(min_length=32, max_length=32)],
]
_PACKER: Final = Encoder()
_BODY: Final = Decoder(list[Raw])
_BLOCK: Final = Decoder(_WireBlock)
_CHECKPOINT: Final = Decoder(list[_WireLine])


def _refuse_long_array(plain: bytes, items_max: int) -> None:
    """Read the length of the outermost array before the decoder builds it."""
    if plain[:1] == b"\xdc":
        count = int.from_bytes(plain[1:3], "big")
    elif plain[:1] == b"\xdd":
        count = int.from_bytes(plain[1:5], "big")
    else:
        return
    if count > items_max:
        raise TooLarge(f"a body states {count} items, the limit is {items_max}", _HINT)


def _decode_block(raw: _RawBlock, schema: Schema, budget: Budget) -> Callable[[], Block]:
    table, _op, columns, _count, _ids, data = raw
    if len(columns) != len(data) or len(set(columns)) != len(columns):
        raise ValueError("columns")
    known = schema.get(table)
    if known is None or not known.keys() >= set(columns):
        raise SchemaNewer(f"a body has table {table}, columns {columns}, which this node does not know", _HINT_NEWER)
    types = [known[number] for number in columns]
    budget.take(raw, types)
    return partial(_whole_block, raw, [CODECS[type_] for type_ in types])


def _whole_block(raw: _RawBlock, codecs: Sequence[Codec]) -> Block:
    table, op, columns, count, ids, data = raw
    values = [_decode_column(column, count, codec) for column, codec in zip(data, codecs, strict=True)]
    return Block(table=table, op=op, columns=tuple(columns), ids=unpack_uuid(ids, count), values=values)


def _touched_block(raw: _RawBlock) -> Callable[[], Block]:
    table, op, columns, count, ids, _data = raw
    block = Block(table=table, op=op, columns=tuple(columns), ids=unpack_uuid(ids, count), values=[])
    return lambda: block


_HINT_NEWER = "upgrade syncd on this node; the stream goes on by itself afterwards"
# Of an int 0…255 read as a flag: zero or not. And of the flags 0 and 1: the digit of a binary number.
_DIGIT: Final = b"01" + bytes(254)
_FLAG: Final = bytes(c == 0x31 for c in range(256))


def _encode_column(values: list[Value], codec: Codec) -> _Column:
    if None not in values:
        return None, codec.encode(values)
    present = list(compress(values, map(is_not, values, repeat(None))))
    if not present:
        return True, None
    digits = bytes(map(is_, values, repeat(None))).translate(_DIGIT)
    return int(digits, 2).to_bytes((len(values) + 7) // 8, "big"), codec.encode(present)


def _decode_column(column: _Column, count: int, codec: Codec) -> list[Value]:
    nulls, data = column
    if nulls is True and data is None:
        return [None] * count
    if data is None or isinstance(nulls, bool):
        raise ValueError("nulls")
    if nulls is None:
        return codec.decode(data, count)
    number = int.from_bytes(nulls, "big")
    absent = number.bit_count()
    if len(nulls) != (count + 7) // 8 or number.bit_length() > count or not 0 < absent < count:
        raise ValueError("bitmap")
    take = iter(codec.decode(data, count - absent)).__next__
    flags = format(number, f"0{count}b").encode().translate(_FLAG)
    return [None if absent_here else take() for absent_here in flags]


# --- COPY text -------------------------------------------------------------------------------------------------------

_NULL: Final = r"\N"
# Rows are made into bytes while they still lie in the processor's cache: a quarter faster than all at once.
_COPY_ROWS: Final = 256
_COPY_SLICE_ROWS: Final = 1024  # of every column at once; more are not faster
_COPY_COLUMN_MAX: Final = 1024 * 1024  # characters of a column in one slice; more are written row by row


class _Long(Exception):  # noqa: N818 - not an error: the other way is taken
    """Values so long that copies of the whole slice would cost more than the time they save."""


def _long_row(row: Sequence[Value]) -> bytes:
    return b"\t".join(map(_long_field, row)) + b"\n"


def _long_field(value: Value) -> bytes:
    if value is None:
        return _NULL.encode()
    if isinstance(value, bytes):
        return rb"\\x" + value.hex().encode()
    data = str(value).encode()
    for raw, escape in _ESCAPES:
        data = data.replace(raw.encode(), escape.encode())
    return data


# The backslash first, or it would escape the escapes.
_ESCAPES: Final = (
    ("\\", r"\\"),
    ("\t", r"\t"),
    ("\n", r"\n"),
    ("\r", r"\r"),
    ("\b", r"\b"),
    ("\f", r"\f"),
    ("\v", r"\v"),
)


def _copy_plain(column: Sequence[Any]) -> Sequence[str]:
    """Of types whose text holds nothing to escape."""
    return [_NULL if value is None else value for value in column] if None in column else column


def _copy_text(column: Sequence[Any]) -> Sequence[str]:
    present = [value for value in column if value is not None] if None in column else column
    # Searched once for the whole column: escapes are rare, and seven searches cost less than one pass value by value.
    joined = "\0".join(present)
    if len(joined) > _COPY_COLUMN_MAX:
        raise _Long
    found = [(raw, escape) for raw, escape in _ESCAPES if raw in joined]
    if not found:
        return _copy_plain(column)
    for raw, escape in found:
        joined = joined.replace(raw, escape)
    if len(present) == len(column):
        return joined.split("\0")
    take = iter(joined.split("\0")).__next__
    return [_NULL if value is None else take() for value in column]


def _copy_int(column: Sequence[Any]) -> Sequence[str]:
    # The text of a list of numbers is made in one go.
    return repr(list(column))[1:-1].replace("None", _NULL).split(", ") if column else ()


def _copy_bytes(column: Sequence[Any]) -> Sequence[str]:
    if sum(len(value) for value in column if value is not None) > _COPY_COLUMN_MAX:
        raise _Long
    return [_NULL if value is None else r"\\x" + value.hex() for value in column]


_COPY_FIELDS: Final = {
    "uuid": _copy_plain,
    "text": _copy_text,
    "instant": _copy_text,
    "int": _copy_int,
    "date": _copy_plain,
    "bytes": _copy_bytes,
}
