"""Roles that a node's database comes with: what each may do, what none of them may, what the server's log keeps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd.cli import program
from syncd.cli.place import opened_store
from syncd.config import load_config
from syncd.language import prefer
from syncd.node_files import open_node
from syncd.startup import check_start
from syncd.store.postgres_roles import SILENT, give_rights, roles_of, script, without_password
from tests.integration.shapes import Died, die_at
from tests.postgres import PostgresServer

PERSON_OF_NOBODY = "Nguyễn Thị Bưởi"


@dataclass
class Province:
    """A root whose database has roles of its own."""

    directory: Path
    admin: str
    base: str

    def dsn(self, role: str, **more: str) -> str:
        found = conninfo_to_dict(self.admin)
        rest = "&".join(f"{key}={value}" for key, value in more.items())
        host = f"host={found['host']}" + (f"&port={found['port']}" if "port" in found else "")
        return f"postgresql://{self.base}_{role}@/{found['dbname']}?{host}{'&' + rest if rest else ''}"

    def init(self, *options: str) -> int:
        return program.run([
            "init", "--dir", str(self.directory), "--unit", "42", "--unit-name", "Tỉnh",
            "--database", self.dsn("daemon"), *options,
        ])  # fmt: skip

    @contextlib.contextmanager
    def login(self, role: str) -> Iterator[psycopg.Connection[Any]]:
        """As a program of that kind: a role of its own that was granted the group."""
        name = f"{self.base}_{role}_program"
        with contextlib.closing(psycopg.connect(self.admin, autocommit=True)) as admin:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone():
                admin.execute(f"CREATE ROLE {name} LOGIN; GRANT {self.base}_{role} TO {name}".encode())
        with contextlib.closing(psycopg.connect(self.dsn(f"{role}_program"), autocommit=True)) as connection:
            yield connection


@pytest.fixture
def province(
    postgres_server: PostgresServer, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Province]:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    base = "t" + conninfo_to_dict(postgres_dsn)["dbname"].rsplit("_", 1)[-1]  # type: ignore[union-attr]  # it has a name
    made = Province(tmp_path / "tinh", postgres_dsn, base)
    yield made
    prefer("auto")
    with contextlib.closing(psycopg.connect(postgres_dsn, autocommit=True)) as admin:
        names = [row[0] for row in admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", (base + "%",))]
        for name in names:
            admin.execute(f"DROP OWNED BY {name} CASCADE".encode())
        for name in names:
            admin.execute(f"DROP ROLE {name}".encode())


@pytest.fixture
def made(province: Province) -> Province:
    assert province.init("--make-roles", province.admin) == 0
    return province


def refused(connection: psycopg.Connection[Any], *statements: str) -> None:
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_each_role_may_do_what_it_is_for_and_no_more(made: Province) -> None:
    opened = open_node(made.directory)
    check_start(opened)  # what a daemon examines before it works
    opened.close()
    with made.login("clerk") as clerk:
        clerk.execute("INSERT INTO household (number, kind) VALUES ('7', 'family')")
        clerk.execute("UPDATE household SET hamlet = 'Thôn 1'")
        assert clerk.execute("SELECT count(*) FROM household").fetchone() == (1,)
        assert clerk.execute("SELECT count(*) FROM unit").fetchone() == (1,)
        refused(
            clerk, "SELECT * FROM syncd_meta", "SELECT * FROM key_grant", "UPDATE unit SET name = 'x'",
            "TRUNCATE household", "CREATE TABLE mine (n int)", "ALTER TABLE household DISABLE TRIGGER ALL",
            "SET session_replication_role = replica", f"SET ROLE {made.base}_owner", "DELETE FROM syncd_journal",
        )  # fmt: skip
    with made.login("reader") as reader:
        views = [row[0] for row in reader.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'v' AND relname LIKE 'v!_%' ESCAPE '!'")]  # fmt: skip
        assert len(views) >= 5
        for view in views:
            reader.execute(f"SELECT * FROM {view}".encode())
        refused(reader, "SELECT * FROM person", "SELECT * FROM syncd_log", "DELETE FROM household")
    with opened_store(made.directory) as store, store.read() as tx:
        assert tx.value("SELECT count(*) FROM syncd_journal WHERE tab = (SELECT max(tab) FROM syncd_journal)") > 0
        owners = tx.all("SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class"
                        " WHERE relnamespace = 'public'::regnamespace")  # fmt: skip
        assert owners == [(f"{made.base}_owner",)]


def test_a_reader_reads_views_made_later(made: Province) -> None:
    with opened_store(made.directory) as store, store.apply("test") as tx:
        tx.run("CREATE VIEW v_made_later AS SELECT 1 AS n")
        tx.run("CREATE TABLE made_later (n int)")
    for moment in ("before-commit", "after-commit"):  # a daemon that dies there leaves them to the next
        with opened_store(made.directory) as store, contextlib.suppress(Died):
            store.failpoint = die_at("rights" + f":{moment}")
            give_rights(store)
    opened = open_node(made.directory)
    check_start(opened)
    opened.close()
    with made.login("reader") as reader:
        assert reader.execute("SELECT n FROM v_made_later").fetchone() == (1,)
        refused(reader, "SELECT * FROM made_later")


def test_no_role_leaves_a_row_in_the_servers_log(made: Province) -> None:
    """By what holds in a session of each kind of program: a group's own settings would not."""
    connected = contextlib.closing(psycopg.connect(made.dsn("daemon"), autocommit=True))
    for login in (connected, made.login("clerk"), made.login("reader")):
        with login as connection:
            rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(SILENT),))
            assert dict(rows.fetchall()) == SILENT


def test_the_script_is_the_same_printed_and_may_run_twice(
    province: Province, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = province.dsn("daemon", password="thu")
    assert province.init("--print-roles", "--database", typed) == 0
    printed, said = capsys.readouterr()
    assert "pgpass" not in said
    assert printed.strip() == script(roles_of(province.dsn("daemon"))).strip()
    assert "password" in printed
    assert not province.directory.exists()
    with contextlib.closing(psycopg.connect(province.admin, autocommit=True)) as admin:
        for _ in range(2):
            admin.execute("\n".join(line for line in printed.splitlines() if not line.startswith("--")).encode())
    assert province.init() == 0


def test_a_role_without_rights_is_told_how_to_get_them(province: Province, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(psycopg.connect(province.admin, autocommit=True)) as admin:
        admin.execute(f"CREATE ROLE {province.base}_daemon LOGIN".encode())
    assert province.init() == 78
    assert "--print-roles" in capsys.readouterr().err


def test_a_password_goes_into_a_file_of_the_node_and_nowhere_else(
    province: Province, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one with the letters that the file and a URL write otherwise."""
    from syncd.cli.settings import chosen_config, with_password_kept

    typed = chosen_config(province.directory, {
        "name": None, "listen": None, "addresses": (), "plain": False, "foreign_writes": None,
        "database": "postgresql://t_daemon:b%3A%5Cc%40%20d@db.example:5433/syncd?connect_timeout=3",
    })  # fmt: skip
    assert not province.directory.exists()
    config = with_password_kept(typed, province.directory)
    kept = province.directory / "pgpass"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text() == "db.example:5433:syncd:t_daemon:b\\:\\\\c@ d\n"
    found = conninfo_to_dict(config.database)
    assert "password" not in found
    assert (found["passfile"], found["user"], found["port"], found["connect_timeout"]) == (
        str(kept.absolute()), "t_daemon", "5433", "3"
    )  # fmt: skip
    assert "pgpass" in capsys.readouterr().err
    assert load_config(province.directory, {}).database == "sqlite"  # nothing else was written yet
    assert json.dumps(config.database).count("b%3A") == 0


@pytest.mark.parametrize(
    ("dsn", "lines"),
    [
        ("postgresql://u:p@a,b:1/d", "a:*:d:u:p\nb:1:d:u:p\n"),
        ("host=a,b port=7 password=p", "a:7:*:*:p\nb:7:*:*:p\n"),
        ("postgresql://u:p@[::1]/d", "\\:\\:1:*:d:u:p\n"),
        ("postgresql://u:p@/d?host=/run/a&port=1", "*:1:d:u:p\n"),
        ("postgresql://?service=tinh&password=p", "*:*:*:*:p\n"),
        ("postgresql://u@a/d", ""),
    ],
)
def test_a_password_is_kept_for_the_places_of_its_dsn_alone(dsn: str, lines: str) -> None:
    assert without_password(dsn, "f")[1] == lines


def test_the_password_of_a_node_that_is_there_stays(made: Province, capsys: pytest.CaptureFixture[str]) -> None:
    (made.directory / "pgpass").write_text("its own")
    assert made.init("--database", made.dsn("daemon", password="thu")) == 78
    assert "with another password" in capsys.readouterr().err
    assert (made.directory / "pgpass").read_text() == "its own"


def test_an_administrators_password_is_warned_of_too(province: Province, capsys: pytest.CaptureFixture[str]) -> None:
    typed = make_conninfo(province.admin, password="thu")
    assert province.init("--make-roles", typed) == 0
    assert "do not type it on a command line" in capsys.readouterr().err


def test_a_service_file_and_a_password_file_serve_as_they_do_for_any_client(
    made: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = conninfo_to_dict(made.dsn("daemon"))
    service = made.directory.parent / "pg_service.conf"
    service.write_text("[tinh]\n" + "".join(f"{key}={value}\n" for key, value in found.items()))
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    monkeypatch.setenv("SYNCD_DATABASE", "postgresql://?service=tinh")
    with opened_store(made.directory) as store, store.read() as tx:
        assert tx.value("SELECT session_user::text") == f"{made.base}_daemon"
