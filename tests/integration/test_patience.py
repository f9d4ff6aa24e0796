"""Commands beside a program that holds the database: they wait at their commit boundaries, say so, and go on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from syncd import limits
from syncd.cli import program
from syncd.cli.place import opened_store
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.errors import DatabaseLocked
from syncd.inputs.person_cells import template
from syncd.language import prefer
from syncd.store.patience import patient
from syncd.store.postgres import PostgresStore
from tests.schema_builders import REGISTRY
from tests.waiting import WAIT_S_MAX, until


@dataclass
class Station:
    """A root with a register of its own."""

    directory: Path
    capsys: pytest.CaptureFixture[str]
    said: str = ""

    def run(self, *arguments: str) -> int:
        return program.run([*arguments, "--dir", str(self.directory)])

    def says(self, text: str) -> bool:
        """Whether a command has said so by now."""
        self.said += self.capsys.readouterr().err
        return text in self.said

    def value(self, query: str) -> object:
        with opened_store(self.directory) as store, store.read() as tx:
            return tx.value(query)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Another program is in the middle of a transaction."""
        with opened_store(self.directory) as store, store.write("held"):
            yield


@pytest.fixture
def station(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    monkeypatch.setattr(limits, "PATIENCE_TOLD_AFTER_S", 0.0)
    where = tmp_path / "xa"
    init_root(
        where,
        Unit(code="42", name="Xã thử", level="commune"),
        Config(listen="127.0.0.1:0", addresses=["https://127.0.0.1:8443"]),
    )
    (tmp_path / "so.csv").write_text(template(), encoding="utf-8")
    found = Station(where, capsys)
    assert found.run("generate", "--unit", "42", "--persons", "20") == 0
    yield found
    prefer("auto")


def writing_verbs(station: Station) -> dict[str, tuple[str, ...]]:
    """One call of each verb that writes into a node's database."""
    folder = station.directory.parent
    person = str(station.value("SELECT min(CAST(id AS text)) FROM person"))
    return {
        "generate": ("generate", "--unit", "42", "--persons", "30", "--seed", "2"),
        "import": ("import", str(folder / "so.csv"), "--unit", "42"),
        "units": ("units", "import", "--demo"),
        "match": ("identity", "match", "--all"),
        "propose": ("propose", "person", person, "--set", "education=07"),
        "sql": ("sql", "UPDATE household SET collaborator = 'CTV 1'"),
        "backup": ("backup", str(folder / "sao-luu")),
        "verify": ("verify",),
    }


def run_beside_a_writer(station: Station, arguments: tuple[str, ...]) -> int:
    """The exit code of a command that is begun while another program writes, which goes on until the command waits."""
    codes: list[int] = []
    command = threading.Thread(target=lambda: codes.append(station.run(*arguments)))
    station.said = ""
    with station.held():
        command.start()
        until(lambda: station.says("waiting for the database") or codes, f"{arguments[0]} waits")
        assert not codes, f"{arguments[0]} did not wait: {station.said}"
    command.join()
    return codes[0]


def test_every_writing_verb_waits_says_so_and_goes_on(station: Station) -> None:
    codes = {name: run_beside_a_writer(station, arguments) for name, arguments in writing_verbs(station).items()}
    assert codes.pop("propose") != DatabaseLocked.exit_code  # a wish about an own row is refused, for its own reason
    assert codes == dict.fromkeys(codes, 0)
    assert station.value("SELECT count(*) FROM person") == 20 + 30 + 2


def test_a_verb_that_gave_up_says_what_to_do_and_has_lost_nothing(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PATIENCE_S", 0.05)
    with station.held():
        code = station.run("sql", "UPDATE household SET collaborator = 'CTV 2'")
    assert code == DatabaseLocked.exit_code
    assert station.says("run this command again")
    assert not station.says("by itself")


def test_who_writes_in_a_loop_leaves_room_for_a_command(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two long transactions lay some microseconds: a command would wait for many of them."""
    monkeypatch.setattr(limits, "GIVE_WAY_AFTER_S", 0.0)
    monkeypatch.setattr(limits, "GIVE_WAY_S", 1.0)
    order: list[str] = []
    is_waiting = threading.Event()

    def command() -> None:
        with patient(lambda _seconds: is_waiting.set()), opened_store(station.directory) as store, store.write("c"):
            order.append("command")

    waiting = threading.Thread(target=command)
    with opened_store(station.directory) as store:
        for turn in range(2):
            with store.write("loop"):
                order.append("loop")
                if not turn:
                    waiting.start()
                    assert is_waiting.wait(WAIT_S_MAX)
        waiting.join()
    assert order == ["loop", "command", "loop"]


@pytest.fixture
def rows_dsn(postgres_dsn: str) -> str:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE syncd_meta (key text, value text); CREATE TABLE of_both (n int)")
        connection.execute("INSERT INTO of_both VALUES (1)")
    return postgres_dsn


def _update(dsn: str, tell: Callable[[int], None]) -> None:
    with patient(tell), contextlib.closing(PostgresStore(dsn, REGISTRY)) as store, store.write("test") as tx:
        tx.run("UPDATE of_both SET n = n + 1")


@dataclass
class Waiting:
    """A command in a thread."""

    dsn: str
    told: list[int] = field(default_factory=list)
    error: list[Exception] = field(default_factory=list)

    def __call__(self) -> None:
        try:
            _update(self.dsn, self.told.append)
        except DatabaseLocked as error:
            self.error.append(error)


def test_a_command_on_postgresql_says_that_it_waits_and_goes_on(rows_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE_TOLD_AFTER_S", 0.05)
    command = Waiting(rows_dsn)
    thread = threading.Thread(target=command)
    with psycopg.connect(rows_dsn) as other:
        other.execute("UPDATE of_both SET n = 10")
        thread.start()
        until(lambda: command.told or not thread.is_alive(), "the wait is told")
        other.commit()
        thread.join()
        assert not command.error
        assert other.execute("SELECT n FROM of_both").fetchone() == (11,)


def test_a_command_on_postgresql_gives_up_after_its_time(rows_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE_S", 0.1)
    command = Waiting(rows_dsn)
    with psycopg.connect(rows_dsn) as other:
        other.execute("UPDATE of_both SET n = 10")
        command()
    assert [type(error) for error in command.error] == [DatabaseLocked]
