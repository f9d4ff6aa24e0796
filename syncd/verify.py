"""Checkpoints: digests of content that tiers compare to prove that they agree (design §1, I1).

Enters: a snapshot or the apply transaction, standing at exactly one position of a stream.
Leaves: one line per table and audience: row count and SHA-256 of the canonical content, ordered by id.
Must hold: the digest is of rows, never of log bytes; it is the same on SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, takewhile

from schema.described import NUMBER_MIN
from schema.spec import COLUMNS_MAX, Audience, Column, Kind, Registry, Table
from syncd.log import Stream
from syncd.store.base import Tx
from syncd.wire import CheckpointLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One table of a stream whose content here is not what its keeper stated."""

    stream_id: str
    seq: int
    table: str
    audience: Audience
    rows_stated: int
    rows_found: int


def digest_stream(
    tx: Tx, registry: Registry, stream: Stream, audiences: Sequence[Audience], at_seq: int
) -> list[CheckpointLine]:
    """The content of a stream as the tables show it now, in the columns of `audiences`."""
    return [
        _line(tx, stream, table, audience, at_seq)
        for table in registry.of_kind(Kind(stream.kind))
        for audience in audiences
        if any(column.audience is audience for column in table.columns)
    ]


def compare(
    tx: Tx, registry: Registry, stream: Stream, stated: Sequence[CheckpointLine], checked_at: str
) -> list[Difference]:
    """Digest what the stated lines name, record both values, and return what differs."""
    differences = []
    for line in stated:
        table = registry.by_number.get(line.table)
        if table is None or line.audience not in set(Audience):
            continue  # a table of a newer schema: its rows stop the stream before its checkpoint is reached
        found = _line(tx, stream, table, Audience(line.audience), line.at_seq)
        equal = same(tx, registry, stream, line, found)
        _record(tx, stream, line, found, int(equal), checked_at)
        if not equal:
            differences.append(Difference(
                stream_id=stream.stream_id, seq=line.at_seq, table=table.name, audience=Audience(line.audience),
                rows_stated=line.row_count, rows_found=found.row_count))  # fmt: skip
    return differences


def same(tx: Tx, registry: Registry, stream: Stream, stated: CheckpointLine, found: CheckpointLine) -> bool:
    """Whether a table's content is what its keeper stated. Of a deployment's table one side may describe columns that
    the other does not have yet: those say nothing while they are empty."""
    if stated.row_count != found.row_count:
        return False
    if stated.sha256 == found.sha256:
        return True
    table, audience = registry.by_number[stated.table], Audience(stated.audience)
    if table.number < NUMBER_MIN:
        return False
    names = [column.sql for column in digested(table, audience)]
    types = [str(column.type) for column in digested(table, audience)]
    more = ((names + ["NULL"] * n, types + ["text"] * n) for n in range(1, COLUMNS_MAX - len(names)))
    fewer = ((names[:-n], types[:-n]) for n in range(1, _empty_at_end(tx, stream, table, audience) + 1))
    return any(_digest(tx, stream, table, *each)[1] == stated.sha256 for each in chain(fewer, more))


def _empty_at_end(tx: Tx, stream: Stream, table: Table, audience: Audience) -> int:
    """How many of the last columns hold nothing in any row."""
    where, values = rows_of(tx, stream, table)
    columns = [column for column in digested(table, audience) if column.number > 1]
    filled = (
        not column.nullable
        or tx.one(f"SELECT 1 FROM {table.sql} WHERE {where} AND {column.sql} IS NOT NULL LIMIT 1", values) is not None
        for column in reversed(columns)
    )
    return sum(1 for _ in takewhile(lambda is_filled: not is_filled, filled))


def _line(tx: Tx, stream: Stream, table: Table, audience: Audience, at_seq: int) -> CheckpointLine:
    columns = digested(table, audience)
    names, types = [column.sql for column in columns], [str(column.type) for column in columns]
    count, digest = _digest(tx, stream, table, names, types)
    return CheckpointLine(at_seq=at_seq, table=table.number, audience=int(audience), row_count=count, sha256=digest)


def _digest(tx: Tx, stream: Stream, table: Table, names: Sequence[str], types: Sequence[str]) -> tuple[int, bytes]:
    where, values = rows_of(tx, stream, table)
    return tx.digest(f"SELECT {', '.join(names)} FROM {table.sql} WHERE {where} ORDER BY id", values, types)


def digested(table: Table, audience: Audience) -> list[Column]:
    """The columns of a digest, in their order; the unit is the stream's own."""
    columns = [column for column in table.all_columns if column.number == 0 or column.audience is audience]
    return [column for column in columns if column.number != 1]


def rows_of(tx: Tx, stream: Stream, table: Table) -> tuple[str, tuple[str, ...]]:
    """The rows of a stream: of its unit, and in oversight and control tables of its keeper's minting."""
    unit = ("unit_id IS NULL", ()) if stream.unit_id is None else ("unit_id = ?", (stream.unit_id,))
    if table.kind is Kind.REGISTER:
        # A station's own register is nearly the whole table: read it by id rather than find and sort it in memory.
        return ("+" if tx.dialect == "sqlite" and stream.own else "") + unit[0], unit[1]
    tag = "substr(id, 29) = ?" if tx.dialect == "sqlite" else "right(id::text, 8) = ?"
    return f"{unit[0]} AND {tag}", (*unit[1], stream.keeper[28:])


def _record(tx: Tx, stream: Stream, line: CheckpointLine, found: CheckpointLine, equal: int, checked_at: str) -> None:
    tx.run("DELETE FROM syncd_checkpoint WHERE stream_id = ? AND tab = ? AND audience = ?",
           (stream.stream_id, line.table, line.audience))  # fmt: skip
    tx.run(
        "INSERT INTO syncd_checkpoint (stream_id, tab, audience, seq, rows_stated, digest_stated, rows_found,"
        " digest_found, ok, checked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (stream.stream_id, line.table, line.audience, line.at_seq, line.row_count, line.sha256, found.row_count,
         found.sha256, equal, checked_at),
    )  # fmt: skip
