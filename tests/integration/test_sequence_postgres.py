"""Sequencing on PostgreSQL while everybody writes: commits out of order, long transactions, one left open (I3).

A reader at the province looks after every apply: each source transaction is there whole or not at all.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from syncd.aggregate import recount
from tests.integration.shapes import content, root_and_commune
from tests.postgres import PostgresServer
from tests.trees import TreeNode, step

WRITERS = 8
ROWS = 10  # of one transaction
ROUNDS_MAX = 5_000
PAUSES = 6
WAIT_S_MAX = 300.0

INSERT = (
    "INSERT INTO household (number, kind, collaborator) SELECT i::text, 'family', %s FROM generate_series(1, %s) AS i "
)


@pytest.fixture
def pair(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[tuple[TreeNode, TreeNode]]:
    """A commune on PostgreSQL and the province above it, on SQLite with durable commits as any."""
    dsn = postgres_server.create_database()
    builder, province, commune = root_and_commune(tmp_path, commune=dsn)
    yield province, commune
    for node in builder.nodes:
        node.store.close()
    postgres_server.drop_database(dsn)


class Cuts:
    """How many groups were cut so far; writers wait for one now and then, so that every run mixes both."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_for_next(self) -> None:
        with self._changed:
            now = self.count
            assert self._changed.wait_for(lambda: self.count > now, WAIT_S_MAX), "the sequencer stands still"


class Writer(threading.Thread):
    """Transactions of `ROWS` rows that carry one stamp: inserted, then stamped again and again, some held open."""

    def __init__(self, dsn: str, number: int, changes: int, cuts: Cuts) -> None:
        super().__init__(name=f"writer {number}", daemon=True)
        self._dsn, self._number, self._left = dsn, number, changes
        self._random = random.Random(number)
        self._cuts = cuts
        self._pauses = [changes * part // PAUSES for part in range(1, PAUSES)]
        self.batches: dict[str, str] = {}  # batch → newest committed stamp
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as one, psycopg.connect(self._dsn, autocommit=True) as two:
                while self._left > 0:
                    self._write(one, two)
        except Exception as error:  # the test thread shows it
            self.error = error

    def _write(self, one: psycopg.Connection, two: psycopg.Connection) -> None:
        """A long transaction on one connection; others begin after it and commit before it."""
        one.execute("BEGIN")
        first = self._insert(one)
        if self._pauses and self._left < self._pauses[-1]:
            self._pauses.pop()
            self._cuts.wait_for_next()  # with a transaction open
        for _ in range(self._random.randint(0, 3)):
            two.execute("BEGIN")
            stamps = [self._insert(two), *(self._restamp(two) for _ in range(4))]
            rolled_back = self._random.random() < 0.1
            two.execute("ROLLBACK" if rolled_back else "COMMIT")
            if not rolled_back:
                self._keep(stamps)
        one.execute("COMMIT")
        self._keep([first])

    def _insert(self, connection: psycopg.Connection) -> str:
        self._left -= ROWS
        stamp = f"{self._number}.{self._left}/0"
        connection.execute(INSERT, (stamp, ROWS))
        return stamp

    def _restamp(self, connection: psycopg.Connection) -> str | None:
        if not self.batches:
            return None
        self._left -= ROWS
        batch = self._random.choice(list(self.batches))
        stamp = f"{batch}/{self._left}"
        connection.execute("UPDATE household SET collaborator = %s WHERE collaborator LIKE %s", (stamp, f"{batch}/%"))
        return stamp

    def _keep(self, stamps: list[str | None]) -> None:
        for stamp in stamps:
            if stamp is not None:
                self.batches[stamp.split("/")[0]] = stamp


@pytest.mark.parametrize("changes", [10_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_concurrent_writers_lose_nothing_and_are_seen_whole(pair: tuple[TreeNode, TreeNode], changes: int) -> None:
    province, commune = pair
    dsn = commune.dsn
    assert dsn is not None
    torn: list[object] = []
    cuts = Cuts()
    looks = _look_after_each_apply(province, torn)
    with psycopg.connect(dsn) as idle, psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("CREATE INDEX ON household (collaborator text_pattern_ops)")  # the writers', not the system's
        idle.execute(
            "INSERT INTO household (number, kind, collaborator) VALUES ('1', 'family', 'never')"
        )  # open throughout
        writers = [Writer(dsn, number, changes // WRITERS, cuts) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        _run_daemon(province, commune, writers, cuts)
        assert [writer.error for writer in writers if writer.error] == []
        assert torn == []
        idle.rollback()
    _assert_all_there(province, commune, writers)
    assert cuts.count >= PAUSES - 1, "the sequencer ran while the writers wrote"
    assert looks["count"] >= cuts.count


def _look_after_each_apply(province: TreeNode, torn: list[object]) -> dict[str, int]:
    looks = {"count": 0}

    def failpoint(point: str) -> None:
        if point == "apply:after-commit":
            looks["count"] += 1
            torn.extend(
                province.rows(
                    "SELECT substr(collaborator, 1, instr(collaborator, '/')), count(*), count(DISTINCT collaborator)"
                    " FROM household GROUP BY 1 HAVING count(*) <> ? OR count(DISTINCT collaborator) <> 1",
                    (ROWS,),
                )
            )

    province.store.failpoint = failpoint
    return looks


def _run_daemon(province: TreeNode, commune: TreeNode, writers: list[Writer], cuts: Cuts) -> None:
    """Rounds of both nodes until the writers are done and nothing moves any more."""
    for _ in range(ROUNDS_MAX):
        alive = any(writer.is_alive() for writer in writers)
        moved = bool(commune.node.write())
        if moved:
            cuts.add()
        moved = step(commune) or moved
        moved = step(province) or moved
        if not alive and not moved:
            return
    raise AssertionError(f"still moving after {ROUNDS_MAX} rounds")


def _assert_all_there(province: TreeNode, commune: TreeNode, writers: list[Writer]) -> None:
    wanted = {batch: stamp for writer in writers for batch, stamp in writer.batches.items()}
    rows = province.rows("SELECT collaborator, count(*) FROM household GROUP BY collaborator")
    assert dict(rows) == dict.fromkeys(wanted.values(), ROWS)
    assert content(province, "household") == content(commune, "household")
    assert commune.value("SELECT count(*) FROM syncd_journal") == 0
    commune.node.checkpoint()
    step(commune)
    step(province)
    assert (
        province.value("SELECT count(*) FROM syncd_checkpoint WHERE ok = 1 AND rows_found = ?", (len(wanted) * ROWS,))
        == 1
    )
    assert province.rows("SELECT * FROM syncd_checkpoint WHERE ok <> 1") == []


@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.long)])
def test_bulk_load_is_sequenced_in_pieces_and_arrives_whole(pair: tuple[TreeNode, TreeNode], count: int) -> None:
    province, commune = pair
    seen: set[int] = set()

    def failpoint(point: str) -> None:
        if point.endswith(":after-commit"):
            seen.add(province.value("SELECT count(*) FROM person"))

    province.store.failpoint = failpoint
    commune.sql(
        "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
        " SELECT 'Người ' || i, 1 + i % 2, DATE '1950-01-01' + i % 20000, 'd', '01', 'usual'"
        " FROM generate_series(1, ?) AS i",
        (count,),
    )
    while step(commune) | step(province):
        pass
    marks = [
        row[0]
        for row in commune.rows(
            "SELECT l.mark FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id"
            " WHERE s.own = 1 AND s.kind = 1 ORDER BY l.seq"
        )
    ]
    assert marks[:-1] == [1] * (count // 5_000)
    assert marks[-1] == 0
    assert seen == {0, count}
    assert content(province, "person") == content(commune, "person")
    with province.store.read() as tx:
        assert recount(tx, province.store.registry) == []
