"""Commands on a server that takes their transactions back: sessions ended at each of their boundaries, a deadlock, an
answer to a commit that never comes. Each goes on where it was, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncd import limits
from syncd.cli import program
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.errors import DatabaseUnreachable
from syncd.inputs.person_cells import template
from syncd.language import prefer
from syncd.store.patience import again, patient
from syncd.store.postgres import PostgresStore, PostgresTx
from tests.schema_builders import REGISTRY
from tests.waiting import until

Connection = psycopg.Connection[Any]


def end(connection: Connection, dsn: str) -> None:
    """An administrator ends that session."""
    with psycopg.connect(dsn) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 60000)", (connection.info.backend_pid,))


@dataclass
class Faults:
    """Ends the session of the first so many transactions of a command: of writing ones before their commit, or behind
    it and before its answer; of reading ones once they have begun."""

    dsn: str
    before: int = 0
    behind: int = 0
    reads: int = 0
    done: list[str] = field(default_factory=list)

    def commit(self, store: PostgresStore, connection: Connection, number: int | None) -> None:
        if self.before:
            self.before -= 1
            self.done.append("before")
            end(connection, self.dsn)
        elif self.behind:
            self.behind -= 1
            self.done.append("behind")
            connection.execute("COMMIT")
            end(connection, self.dsn)
        REAL_COMMIT(store, connection, number)

    def begun(self, store: PostgresStore, begin: str, *, is_writing: bool = False) -> tuple[Connection, int | None]:
        connection, number = REAL_BEGUN(store, begin, is_writing=is_writing)
        if self.reads and not is_writing:
            self.reads -= 1
            self.done.append("read")
            end(connection, self.dsn)
        return connection, number


REAL_COMMIT, REAL_BEGUN = PostgresStore._commit, PostgresStore._begun


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> Iterator[Faults]:
    with monkeypatch.context() as patch:
        patch.setattr(PostgresStore, "_commit", lambda store, *values: faults.commit(store, *values))
        patch.setattr(PostgresStore, "_begun", lambda store, *values, **named: faults.begun(store, *values, **named))
        yield faults


@pytest.fixture
def station(tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    monkeypatch.setattr(limits, "PATIENCE_AGAIN_S", 0.001)
    (tmp_path / "so.csv").write_text(template(), encoding="utf-8")
    (tmp_path / "xin.csv").write_text("table,operation,row_id,set\n", encoding="utf-8")
    init_root(tmp_path / "xa", Unit(code="42", name="Xã thử", level="commune"), Config(database=postgres_dsn))
    assert run(tmp_path / "xa", "generate", "--unit", "42", "--persons", "20") == 0
    yield tmp_path / "xa"
    prefer("auto")


def run(directory: Path, *arguments: str) -> int:
    return program.run([*arguments, "--dir", str(directory)])


VERBS: dict[str, tuple[str, ...]] = {
    "generate": ("generate", "--unit", "42", "--persons", "30", "--seed", "2"),
    "import": ("import", "{folder}/so.csv", "--unit", "42"),
    "units": ("units", "import", "--demo"),
    "match": ("identity", "match", "--all"),
    "match those who changed": ("identity", "match"),
    "verify": ("verify",),
    "verify --full": ("verify", "--full"),
    "repair": ("repair",),
    "prune": ("prune", "--baseline"),
    "backup": ("backup", "{folder}/sao-luu"),
}


def contents(dsn: str) -> dict[str, int]:
    counted = ("household", "person", "unit", "birth", "migration")
    with psycopg.connect(dsn) as connection:
        found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in counted}
    return {name: row[0] if row else 0 for name, row in found.items()}


def test_a_command_whose_sessions_are_ended_goes_on_where_it_was(
    station: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: dict[str, object] = {}
    for name, arguments in VERBS.items():
        words = [each.format(folder=station.parent) for each in arguments]
        with failing(monkeypatch, Faults(postgres_dsn, before=1, behind=1, reads=1)) as faults:
            code = run(station, *words)
        if code or not faults.done:
            failures[name] = (code, faults.done)
    assert failures == {}
    assert len(list((station.parent / "sao-luu").iterdir())) == 1
    found = contents(postgres_dsn)
    assert (found["person"], found["unit"]) == (20 + 30 + 2, 20)
    assert run(station, "verify", "--full") == 0


def a_row(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE syncd_meta (key text, value text); CREATE TABLE of_both (id int, n int)")
        connection.execute("INSERT INTO of_both VALUES (1, 0), (2, 0)")


@pytest.mark.parametrize(("before", "behind"), [(3, 0), (0, 3)])
def test_a_transaction_is_done_once_whenever_the_server_goes(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, before: int, behind: int
) -> None:
    """Between a commit and its answer nobody can tell by the error alone."""
    a_row(postgres_dsn)

    def work() -> None:
        with store.write("test") as tx:
            tx.run("UPDATE of_both SET n = n + 1 WHERE id = 1")

    with closing(PostgresStore(postgres_dsn, REGISTRY)) as store:
        with failing(monkeypatch, Faults(postgres_dsn, before=before, behind=behind)), patient(lambda _seconds: None):
            again(work)
        with store.read() as tx:
            assert tx.value("SELECT n FROM of_both WHERE id = 1") == 1


def deadlocked(dsn: str, work: Callable[[Callable[[], None]], None]) -> None:
    """`work` is called with what makes it the one that the server takes back: another program holds row 2, wants 1."""
    with psycopg.connect(dsn) as other:
        other.execute("SET deadlock_timeout = '1h'; UPDATE of_both SET n = n + 10 WHERE id = 2")

        def want() -> None:
            other.execute("UPDATE of_both SET n = n + 10 WHERE id = 1")
            other.commit()

        wants = threading.Thread(target=want)

        def meet() -> None:
            if wants.ident is None:
                wants.start()
                blocked = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
                with psycopg.connect(dsn) as looking:
                    until(lambda: looking.execute(blocked, (other.info.backend_pid,)).fetchone() == (True,), "it waits")

        work(meet)
        wants.join()


def test_a_command_that_a_deadlock_ends_goes_on(postgres_dsn: str) -> None:
    a_row(postgres_dsn)
    told: list[int] = []

    def work(meet: Callable[[], None]) -> None:
        def once() -> None:
            with store.write("test") as tx:
                tx.run("UPDATE of_both SET n = n + 1 WHERE id = 1")
                meet()
                tx.run("UPDATE of_both SET n = n + 1 WHERE id = 2")

        with patient(told.append):
            again(once)

    with closing(PostgresStore(postgres_dsn, REGISTRY)) as store:
        deadlocked(postgres_dsn, work)
        with store.read() as tx:
            assert tx.all("SELECT n FROM of_both ORDER BY id") == [(11,), (11,)]


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "57P01", "25P03", "57014", "08006"])
def test_what_a_server_takes_back_for_others_sake_is_done_again(postgres_dsn: str, state: str) -> None:
    """By its code, whatever raised it."""
    a_row(postgres_dsn)
    tries: list[int] = []

    def work() -> None:
        with store.write("test") as tx:
            tries.append(1)
            tx.run("UPDATE of_both SET n = n + 1 WHERE id = 1")
            if len(tries) < 3:
                tx.run(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")

    with closing(PostgresStore(postgres_dsn, REGISTRY)) as store:
        with patient(lambda _seconds: None):
            again(work)
        with store.read() as tx:
            assert tx.value("SELECT n FROM of_both WHERE id = 1") == 1


def test_a_daemons_stage_hears_of_it_at_once(postgres_dsn: str) -> None:
    a_row(postgres_dsn)
    with closing(PostgresStore(postgres_dsn, REGISTRY)) as store, pytest.raises(DatabaseUnreachable):  # noqa: PT012, SIM117
        with store.write("test") as tx:
            assert isinstance(tx, PostgresTx)
            end(tx._connection, postgres_dsn)
