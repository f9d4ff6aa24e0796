"""Bad input at the command line and the daemon: the message says what to do, the exit code is the documented one, and
afterwards every row is at the province.

What else is shown elsewhere, by in-process calls or over the simulator:

| input | where |
|---|---|
| unknown or bad setting at start and reload, second daemon (75), TERM (0) | `tests/integration/test_daemon.py` |
| a certificate not valid yet; the wrong parent before the secret is shown | `test_daemon.py`, `test_join.py` |
| clock ahead at joining, mistyped and foreign tokens, leaf token for a hub | `tests/integration/test_join.py` |
| envelopes altered bit by bit, reordered, refused streams | `tests/integration/test_envelopes_refused.py` |
| the same over HTTP with a real certificate | `tests/acceptance/test_bad_envelopes.py` |
| a full disk | `tests/acceptance/test_disk_full.py` |
| every route with every kind of certificate, bodies too large | `tests/integration/test_routes.py` |
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from syncd import enrolment
from syncd.clock import system_clock
from syncd.config import Config
from syncd.control import ask
from syncd.node_files import open_node
from syncd.once import sync_once
from syncd.security.names import ROOT_CERTIFICATE_FILE
from tests.acceptance.pairs import SECOND, Pair
from tests.acceptance.processes import Tree, command
from tests.acceptance.writers import open_plain
from tests.postgres import PostgresServer
from tests.waiting import until

CONFIG, TRUST, TEMPORARY = 78, 77, 75  # `syncd/errors.py`
HOUR_MS = 3_600_000
Damage = Callable[[Pair], str]


# --- a node that cannot start ----------------------------------------------------------------------------------------


def unknown_key(pair: Pair) -> str:
    _append(pair.commune.directory / "syncd.toml", "pol_ms = 5\n")
    return "did you mean poll_ms"


def wrong_database_key(pair: Pair) -> str:
    _replace(pair.commune.directory / "database.key", os.urandom(32))
    return "put the right database.key beside the database"


def key_of_another_node(pair: Pair) -> str:
    for name in ("signing.key", "exchange.key"):
        _replace(pair.commune.directory / name, (pair.province.directory / name).read_bytes())
    return "put the key files of this node back"


def key_open_to_others(pair: Pair) -> str:
    (pair.commune.directory / "signing.key").chmod(0o644)
    return "chmod 600"


def missing_key(pair: Pair) -> str:
    (pair.commune.directory / "exchange.key").unlink()
    return "restore"


def missing_database(pair: Pair) -> str:
    for path in pair.commune.directory.glob("syncd.db*"):
        path.unlink()
    return "syncd init"


@pytest.mark.parametrize("verb", [("run",), ("sync", "--once")], ids=["run", "sync"])
@pytest.mark.parametrize(
    "damage",
    [unknown_key, wrong_database_key, key_of_another_node, key_open_to_others, missing_key, missing_database],
)
def test_node_with_wrong_files_ends_with_78_and_a_remedy(pair: Pair, damage: Damage, verb: tuple[str, ...]) -> None:
    pair.type(2)
    with kept(pair.commune.directory):
        remedy = damage(pair)
        done = pair.commune.command(*verb)
        said(done, CONFIG, remedy)
    pair.finish()


# --- the way to the parent -------------------------------------------------------------------------------------------


def test_parent_down_ends_with_75_and_the_rows_arrive_later(pair: Pair) -> None:
    pair.type(2)
    said(pair.commune.command("sync", "--once"), TEMPORARY, "check that the parent runs")
    pair.finish()


def test_parent_with_another_certificate_ends_with_77_and_gets_nothing(pair: Pair, tmp_path: Path) -> None:
    """Another tree's root answers at the parent's address."""
    pair.type(2)
    with contextlib.closing(Tree(tmp_path / "another")) as other:
        settings = Config(listen=pair.province.address.removeprefix("https://"), addresses=[pair.province.address])
        enrolment.init_root(
            tmp_path / "another" / "42", enrolment.Unit(code="42", name="Tỉnh khác", level="province"), settings
        )
        stranger = other.adopt(tmp_path / "another" / "42")
        stranger.start()
        said(pair.commune.command("sync", "--once"), TRUST, "does not lead to our root")
        assert stranger.one("SELECT count(*) FROM household") == 0
    pair.finish()


def test_token_used_twice_ends_with_77(pair: Pair, tmp_path: Path) -> None:
    pair.province.start()
    first, second = tmp_path / "first", tmp_path / "second"
    assert command("join", pair.spare_token, "--dir", str(first)).returncode == 0
    said(command("join", pair.spare_token, "--dir", str(second)), TRUST, "ask the parent's operator for a new one")
    assert pair.province.one("SELECT count(*) FROM syncd_token WHERE used_by IS NOT NULL") == 2, "the pair's and one"


def test_expired_token_ends_with_77(pair: Pair, tmp_path: Path) -> None:
    pair.province.start()
    token = pair.province.token(SECOND, valid_s=1)
    pair.tree.forget(pair.province)
    issued_ms = system_clock()
    until(lambda: system_clock() > issued_ms + 2_000, "the token has expired")
    said(command("join", token, "--dir", str(tmp_path / "late")), TRUST, "ask the parent for a new token")


def test_clock_three_hours_ahead_is_measured_and_carries_on(pair: Pair) -> None:
    pair.type(2)
    pair.province.start()
    opened = open_node(pair.commune.directory, clock=lambda: system_clock() + 3 * HOUR_MS)
    try:
        sync_once(opened)
        offset_ms = opened.node.clock_offset_ms
    finally:
        opened.close()
    assert offset_ms is not None
    assert abs(offset_ms - 3 * HOUR_MS) < 60_000
    pair.finish()


# --- the databases ---------------------------------------------------------------------------------------------------


def test_database_locked_by_another_program_is_told_and_waited_for(pair: Pair) -> None:
    pair.type(2)
    pair.province.start()
    other = open_plain(pair.commune.directory)
    other.execute("BEGIN IMMEDIATE")
    try:
        impatient = pair.commune.command("sync", "--once", LIMITS="PATIENCE_S=2")
        said(impatient, TEMPORARY, "close the other program's open transaction")
        pair.commune.start()
        until(lambda: "locked by another program" in _writer_error(pair), "the daemon says so")
        shown = pair.commune.command("status")
        assert "close the other program's open transaction" in shown.stdout, shown.stdout
    finally:
        other.execute("ROLLBACK")
        other.close()
    until(lambda: pair.province.one("SELECT count(*) FROM household") == 2, "the rows arrive once it is free")
    assert pair.commune.stop() == 0
    pair.finish()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_postgresql_that_would_lose_commits_is_refused_with_78(
    postgres_pair: Pair, careless_server: PostgresServer, setting: str
) -> None:
    """Asserted at every start, before anything is written."""
    dsn = careless_server.create_database()
    with psycopg.connect(careless_server.admin_dsn, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
        until(lambda: _current(careless_server, setting) == "off", "the server has taken the setting over")
        with kept(postgres_pair.province.directory):
            path = postgres_pair.province.directory / "syncd.toml"
            lines = path.read_text().splitlines()
            changed = [f'database = "{dsn}"' if line.startswith("database") else line for line in lines]
            path.write_text("\n".join(changed) + "\n")
            done = postgres_pair.province.command("run")
        connection.execute(f"ALTER SYSTEM RESET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    said(done, CONFIG, f"set {setting} = on in postgresql.conf")
    postgres_pair.finish()


@pytest.fixture(scope="module")
def careless_server() -> Iterator[PostgresServer]:
    """A server whose settings a test may spoil."""
    with PostgresServer.start() as server:
        yield server


def _current(server: PostgresServer, setting: str) -> str:
    with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
        row = connection.execute(f"SHOW {setting}").fetchone()
    return str(row[0]) if row else ""


def _writer_error(pair: Pair) -> str:
    picture = ask(pair.commune.directory) or {}
    return str(picture.get("workers", {}).get("writer", {}).get("error"))


# --- helpers ---------------------------------------------------------------------------------------------------------


def said(done: subprocess.CompletedProcess[str], code: int, remedy: str) -> None:
    """The documented exit code, one line of error with the remedy, no traceback."""
    assert done.returncode == code, done.stderr
    assert remedy in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert "ERROR CORE" not in done.stderr, "SQLCipher's own words"


@contextlib.contextmanager
def kept(directory: Path) -> Iterator[None]:
    """What a person puts back after the damage."""
    files = {path: (path.read_bytes(), path.stat().st_mode) for path in directory.iterdir() if path.is_file()}
    yield
    for path, (data, mode) in files.items():
        path.write_bytes(data)
        path.chmod(mode)
    assert (directory / ROOT_CERTIFICATE_FILE).exists()


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _replace(path: Path, data: bytes) -> None:
    path.write_bytes(data)
