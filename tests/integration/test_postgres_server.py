"""The PostgreSQL that the other tests rely on: isolated, durable, recoverable, and gone when its starter is gone."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.postgres import PostgresServer, uri
from tests.postgres_binaries import PostgresUnavailable

ROOT = Path(__file__).parents[2]
STARTER = """
import sys, tests.postgres
server = tests.postgres.PostgresServer.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def _one(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    return row[0] if row else None


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_database_of_its_own(postgres_dsn: str, turn: int) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE left_behind (n int)")
    tables = "SELECT count(*) FROM pg_class JOIN pg_namespace s ON s.oid = relnamespace WHERE nspname = 'public'"
    assert _one(postgres_dsn, tables) == 1


def test_server_commits_durably(postgres_dsn: str) -> None:
    assert [_one(postgres_dsn, f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == ["on", "on"]


def test_database_is_utf8_in_bytewise_order(postgres_dsn: str) -> None:
    assert _one(postgres_dsn, "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('ă'), ('b'), ('B')) v(x)") == "Bbă"


def test_second_server_runs_beside_the_first_with_settings_of_its_own(postgres_dsn: str) -> None:
    with PostgresServer.start(config={"wal_level": "logical", "max_connections": 7}) as second:
        dsn = second.create_database("only_here")
        assert (_one(dsn, "SHOW wal_level"), _one(dsn, "SHOW max_connections")) == ("logical", "7")
        here, there = (_one(one, "SELECT system_identifier FROM pg_control_system()") for one in (dsn, postgres_dsn))
        assert here != there


def test_committed_row_survives_a_crash() -> None:
    with PostgresServer.start() as server:
        dsn = server.create_database()
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        server.crash()
        server.recover()
        assert _one(dsn, "SELECT n FROM kept") == 1


def test_switching_off_durability_is_refused() -> None:
    with pytest.raises(ValueError, match="fsync=off refused"):
        PostgresServer.start(config={"fsync": "off"})


def test_server_that_does_not_answer_is_reported_with_the_remedy() -> None:
    with pytest.raises(PostgresUnavailable, match="Remedy: install PostgreSQL"):
        PostgresServer.attach("postgresql://nobody@/none?host=/nonexistent")


def test_attached_server_is_not_stopped(postgres_server: PostgresServer) -> None:
    with PostgresServer.attach(postgres_server.admin_dsn) as attached:
        attached.drop_database(attached.create_database())
    assert _one(postgres_server.admin_dsn, "SELECT 1") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a foreign process by pidfd, which only Linux has")
def test_server_ends_when_its_starter_is_killed() -> None:
    command = [sys.executable, "-c", STARTER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        server = os.pidfd_open(int(starter.stdout.readline()))
        starter.kill()
    ended, _, _ = select.select([server], [], [], 30)
    os.close(server)
    assert ended


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://an:p%40ss@db.example:5433/register",
        "host=/run/postgresql user=an dbname='two words'",
        "postgresql:///register?host=%2Ftmp%2Fx&user=an",
        "host=a,b port=1,2 dbname=register",
        "dbname=register",
    ],
)
def test_uri_says_the_same_as_the_conninfo_it_came_from(conninfo: str) -> None:
    assert conninfo_to_dict(uri(conninfo_to_dict(conninfo))) == conninfo_to_dict(conninfo)
