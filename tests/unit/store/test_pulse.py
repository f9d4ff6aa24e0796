"""Which threads get on: what counts as a wait, as work, and as the work of another thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from syncd import limits
from syncd.store import pulse
from syncd.store.postgres import PostgresTx, connect
from syncd.store.sqlite import SqliteTx
from syncd.store.sqlite import connect as connect_sqlite
from tests.waiting import until


@pytest.fixture(autouse=True)
def every_worker_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever works is listed with the age of its last step."""
    monkeypatch.setattr(limits, "BUSY_S_MAX", -1.0)
    monkeypatch.setattr(limits, "TURN_LOOK_S", 0.005)


@contextmanager
def thread(name: str, call: Callable[[threading.Event], object]) -> Iterator[None]:
    """A watched thread that runs `call` with the event that ends it."""
    leave = threading.Event()
    running = threading.Thread(target=lambda: pulse.watching(call, leave), name=name)
    running.start()
    try:
        yield
    finally:
        leave.set()
        running.join()


def hang(leave: threading.Event) -> None:
    leave.wait()


def wait(leave: threading.Event) -> None:
    with pulse.waiting():
        pulse.step()  # does not end the wait
        leave.wait()


def write_in_the_middle_of_an_answer(leave: threading.Event) -> None:
    with pulse.waiting(), pulse.working():
        leave.wait()


@pytest.mark.parametrize(
    ("call", "is_working"), [(hang, True), (wait, False), (write_in_the_middle_of_an_answer, True)]
)
def test_what_is_no_declared_wait_is_work(call: Callable[[threading.Event], object], is_working: bool) -> None:
    entered = threading.Event()

    def told(leave: threading.Event) -> None:
        entered.set()
        call(leave)

    with thread("one", told):
        entered.wait()
        until(lambda: ("one" in pulse.stuck()) is is_working, "it shows")
    assert "one" not in pulse.stuck()


def test_who_waits_for_a_thread_gets_on_as_that_one_does() -> None:
    baton, go, done = pulse.Baton(), threading.Event(), threading.Event()

    def hold(_leave: threading.Event) -> None:
        with baton:
            go.set()
            while not done.wait(0.001):
                pulse.step()

    def follow(_leave: threading.Event) -> None:
        with baton:
            pass

    with thread("holder", hold):
        go.wait()
        with thread("follower", follow):
            first = until(lambda: pulse.last_step_s("follower"), "it waits")
            until(lambda: pulse.last_step_s("follower") > first, "it gets on")
            done.set()


def test_two_threads_that_wait_for_each_other_do_not_get_on() -> None:
    """Neither may take the other's wait for a step."""
    first, second = pulse.Baton(), pulse.Baton()
    both = threading.Barrier(3)

    def cross(mine: pulse.Baton, other: pulse.Baton) -> Callable[[threading.Event], None]:
        def call(_leave: threading.Event) -> None:
            with mine:
                both.wait()
                both.wait()
                if not other.acquire(seconds=0.3):
                    return
                other.release()

        return call

    with thread("a", cross(first, second)), thread("b", cross(second, first)):
        both.wait()
        latest = max(pulse.last_step_s("a"), pulse.last_step_s("b"))
        both.wait()
        seen: list[float] = []
        while steps := [each for each in map(pulse.last_step_s, ("a", "b")) if each]:
            seen += steps
    assert seen
    assert max(seen) <= latest


def test_a_long_statement_of_sqlite_gets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PULSE_OPERATIONS", 1000)
    connection = connect_sqlite(tmp_path / "x.db", None)
    tx = SqliteTx(connection, "x.db")

    def count(leave: threading.Event) -> None:
        connection.create_function("leave", 0, leave.is_set)
        tx.all("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE NOT leave()) SELECT max(n) FROM c")

    with thread("counting", count):
        first = until(lambda: pulse.last_step_s("counting"), "it began")
        until(lambda: pulse.last_step_s("counting") > first, "it gets on")
    connection.close()


def test_who_waits_for_a_server_is_alive(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as other:
        other.execute("CREATE TABLE held (n int)")
        other.commit()
        other.execute("LOCK TABLE held")
        connection = connect(postgres_dsn)

        def ask(_leave: threading.Event) -> None:
            PostgresTx(connection).all("SELECT * FROM held")

        with thread("asking", ask):
            blocked = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
            until(lambda: other.execute(blocked, (connection.info.backend_pid,)).fetchone() == (True,), "it is held up")
            assert "asking" not in pulse.stuck()
            other.rollback()
        connection.close()


def test_a_loop_works_until_it_has_answered() -> None:
    asked: list[pulse.Asked] = []
    hung, begun = threading.Event(), threading.Event()

    async def serve(leave: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        asked.append(pulse.Asked(loop.call_soon_threadsafe))
        asked[0].begin()
        ended = asyncio.Event()
        begun.set()
        await asyncio.get_running_loop().run_in_executor(None, hung.wait)  # the loop is free
        leave.wait()  # now it is not
        asked[0].end()
        ended.set()

    def is_asked_in_vain() -> bool:
        asked[0].ask()
        return "serving" in pulse.stuck()

    with thread("serving", lambda leave: asyncio.run(serve(leave))):
        begun.wait()
        assert "serving" not in pulse.stuck()
        asked[0].ask()
        until(lambda: "serving" not in pulse.stuck(), "it answers")
        hung.set()
        until(is_asked_in_vain, "it hangs")
    asked[0].ask()
    assert "serving" not in pulse.stuck()
