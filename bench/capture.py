"""What capture costs a clerk: `person` with our triggers beside the same table without them, in percent of time.

Enters: a folder, a server, sizes. Leaves: one percentage per figure and round.
Must hold: both sides have the same columns, constraints, indexes and durable settings and do the same changes; the
sides take turns within a round, so that a slow moment of the disk meets both.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg

from bench import data
from bench.data import Statement
from schema.install import Identity, install
from schema.tables import registry
from syncd.inputs.generate import HOUSEHOLD_NAMES, PERSON_NAMES
from syncd.store import postgres, sqlite
from syncd.store.postgres import PG_TYPE, placed
from syncd.wire import copy_text
from tests.postgres import PostgresServer

IDENTITY = Identity(
    node_id="01900000-0000-7000-8000-00000badcafe",
    tag="0badcafe",
    unit_id="01900000-0000-7000-8000-00010badcafe",
)
PERSON = registry().by_name["person"]
HOUSEHOLD = registry().by_name["household"]
TURN_TRANSACTIONS = 20  # of one side before the other's turn
BULK_ROWS = 5_000  # in one statement on PostgreSQL
TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('person', 'household')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Rows in the table; changes per round in large transactions, and in transactions of one."""

    rows: int
    bulk_changes: int
    single_changes: int


class SqliteCapture:
    """Two encrypted databases from one content, one of them with its triggers dropped."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self._folder = folder
        self._sizes = sizes
        self._register = data.register(IDENTITY.unit_id, IDENTITY.tag, sizes.rows)
        self._key = os.urandom(32)
        self._with = folder / "with.db"
        self._without = folder / "without.db"
        self._build()

    def thousand(self, turn: int) -> float:
        """`capture_sqlite_1000`: 1 000 changes per transaction."""
        return self._round(self._sizes.bulk_changes, 1_000, turn)

    def single(self, turn: int) -> float:
        """`capture_sqlite_1`: one change per transaction."""
        return self._round(self._sizes.single_changes, 1, turn)

    def _build(self) -> None:
        install(lambda: sqlite.connect(self._with, self._key), "sqlite", registry(), IDENTITY)
        connection = sqlite.connect(self._with, self._key)
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, 1, 1)",
            (IDENTITY.unit_id, IDENTITY.node_id),
        )
        connection.execute("INSERT INTO syncd_applying (one) VALUES (1)")
        connection.executemany(data.INSERT_HOUSEHOLD, self._register.households)
        connection.executemany(data.INSERT_PERSON, self._register.persons)
        connection.execute("DELETE FROM syncd_applying")
        connection.execute("COMMIT")
        connection.close()  # the last connection folds the WAL into the file: it can be copied
        shutil.copyfile(self._with, self._without)
        bare = sqlite.connect(self._without, self._key)
        for (name,) in bare.execute(TRIGGERS).fetchall():
            bare.execute(f"DROP TRIGGER {name}")
        bare.close()

    def _round(self, count: int, per_transaction: int, turn: int) -> float:
        paths = [_copied(path, self._folder / f"round-{path.name}") for path in (self._with, self._without)]
        sides = [sqlite.connect(path, self._key) for path in paths]
        changes = data.mix(self._register, count, seed=turn)
        transactions = [changes[at : at + per_transaction] for at in range(0, count, per_transaction)]
        spent_s = take_turns([partial(_write_sqlite, side) for side in sides], transactions)
        counts = [side.execute("SELECT count(*) FROM person").fetchone()[0] for side in sides]
        captured = sides[0].execute("SELECT count(*) FROM syncd_journal").fetchone()[0]
        for side in sides:
            side.close()
        _require(counts[0] == counts[1] and captured == count, f"rows {counts}, captured {captured} of {count}")
        return overhead_pct(*spent_s)


class PostgresCapture:
    """Two databases of one server with the same content, one of them with its triggers dropped."""

    def __init__(self, server: PostgresServer, sizes: Sizes) -> None:
        self._sizes = sizes
        self._register = data.register(IDENTITY.unit_id, IDENTITY.tag, sizes.rows)
        self._server = server
        self._dsns = [server.create_database(f"capture_{side}") for side in ("with", "without")]
        for dsn in self._dsns:
            self._build(dsn)
        with psycopg.connect(self._dsns[1], autocommit=True) as bare:
            drop_triggers(bare)

    def bulk(self, turn: int) -> float:
        """`capture_pg_bulk`: statements of 5 000 rows, COPY or UPDATE … FROM or DELETE, one per transaction."""
        changes = sorted(
            data.mix(self._register, self._sizes.bulk_changes, seed=100 + turn), key=lambda change: change[0]
        )
        parts = [
            group[at : at + BULK_ROWS]
            for group in (list(found) for _sql, found in groupby(changes, key=lambda change: change[0]))
            for at in range(0, len(group), BULK_ROWS)
        ]
        return self._round(parts, _write_bulk)

    def single(self, turn: int) -> float:
        """`capture_pg_1`: one change per transaction."""
        changes = data.mix(self._register, self._sizes.single_changes, seed=200 + turn)
        return self._round([[change] for change in changes], _write_single)

    def close(self) -> None:
        for dsn in self._dsns:
            self._server.drop_database(dsn)

    def _build(self, dsn: str) -> None:
        install(lambda: postgres.connect(dsn), "postgres", registry(), IDENTITY)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (%s, %s, 1, 1)",
                (IDENTITY.unit_id, IDENTITY.node_id),
            )
            connection.execute("SET syncd.applying = 'on'")
            copy_rows(connection, "household", HOUSEHOLD, HOUSEHOLD_NAMES, self._register.households)
            copy_rows(connection, "person", PERSON, PERSON_NAMES, self._register.persons)
            connection.execute("VACUUM (ANALYZE) person")

    def _round(
        self, parts: list[list[Statement]], write: Callable[[psycopg.Connection[Any], list[Statement]], None]
    ) -> float:
        """Every change is undone afterwards, so that each round finds the same table."""
        sides = [psycopg.connect(dsn, autocommit=True) for dsn in self._dsns]
        for side in sides:
            side.execute("CHECKPOINT")
        spent_s = take_turns([partial(write, side) for side in sides], parts)
        counts = [_value(side, "SELECT count(*) FROM person") for side in sides]
        captured, count = _value(sides[0], "SELECT count(*) FROM syncd_journal"), sum(map(len, parts))
        for side in sides:
            self._restore(side)
            side.close()
        _require(counts[0] == counts[1] and captured == count, f"rows {counts}, captured {captured} of {count}")
        return overhead_pct(*spent_s)

    def _restore(self, side: psycopg.Connection[Any]) -> None:
        with side.transaction():
            side.execute("SET LOCAL syncd.applying = 'on'")
            side.execute("SET LOCAL session_replication_role = replica")
            side.execute("ALTER TABLE person DISABLE TRIGGER USER")
            side.execute("TRUNCATE person, syncd_journal")
            copy_rows(side, "person", PERSON, PERSON_NAMES, self._register.persons)
            side.execute("ALTER TABLE person ENABLE TRIGGER USER")
            for (name,) in side.execute(PERSON_TRIGGERS).fetchall():
                side.execute(f"ALTER TABLE person ENABLE ALWAYS TRIGGER {name}")
        side.execute("VACUUM (ANALYZE) person")


PERSON_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = 'person'::regclass"


def drop_triggers(connection: psycopg.Connection[Any]) -> None:
    """Take our triggers off `person` and `household`; foreign keys stay."""
    for table in ("person", "household"):
        query = PERSON_TRIGGERS.replace("person", table)
        for (name,) in connection.execute(query).fetchall():
            connection.execute(f"DROP TRIGGER {name} ON {table}")


def copy_rows(
    connection: psycopg.Connection[Any], target: str, table: Any, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """COPY text into a table."""
    types = [str(table.by_name[name].type) for name in names]
    text = copy_text([list(column) for column in zip(*rows, strict=True)], types)
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} ({', '.join(names)}) FROM STDIN") as copy:
        copy.write(text)


def take_turns(sides: Sequence[Callable[[list[Statement]], None]], parts: list[list[Statement]]) -> list[float]:
    """Seconds each side needs for all parts. A few parts each, who begins alternating."""
    spent_s = [0.0] * len(sides)
    turn = max(1, min(TURN_TRANSACTIONS, len(parts) // 10))
    for number, at in enumerate(range(0, len(parts), turn)):
        order = range(len(sides)) if number % 2 == 0 else range(len(sides) - 1, -1, -1)
        for side in order:
            began = time.perf_counter()
            for part in parts[at : at + turn]:
                sides[side](part)
            spent_s[side] += time.perf_counter() - began
    return spent_s


def overhead_pct(with_s: float, without_s: float) -> float:
    return (with_s / without_s - 1) * 100


def _write_sqlite(connection: Any, part: list[Statement]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for sql, values in part:
        connection.execute(sql, values)
    connection.execute("COMMIT")


def _write_single(connection: psycopg.Connection[Any], part: list[Statement]) -> None:
    for sql, values in part:
        connection.execute(placed(sql), values)


def _write_bulk(connection: psycopg.Connection[Any], part: list[Statement]) -> None:
    """All changes of one shape in one statement."""
    sql = part[0][0]
    rows = [values for _sql, values in part]
    if sql == data.INSERT_PERSON:
        copy_rows(connection, "person", PERSON, PERSON_NAMES, rows)
    elif sql == data.DELETE_PERSON:
        connection.execute("DELETE FROM person WHERE id = ANY(%s::uuid[])", ([row[0] for row in rows],))
    else:
        names = [word.split(" = ")[0] for word in sql.removeprefix("UPDATE person SET ").split(" WHERE")[0].split(", ")]
        arrays = ", ".join(f"%s::{PG_TYPE[PERSON.by_name[name].type]}[]" for name in (*names, "id"))
        sets = ", ".join(f"{name} = s.{name}" for name in names)
        connection.execute(
            f"UPDATE person AS t SET {sets} FROM unnest({arrays}) AS s({', '.join(names)}, id) WHERE t.id = s.id",
            [list(column) for column in zip(*rows, strict=True)],
        )


def _value(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def _copied(path: Path, target: Path) -> Path:
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(path, target)
    return target


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"the two sides differ, no figure is given: {what}")
