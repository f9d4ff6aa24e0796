"""Settings of a server, database, role or session that are not ours: pinned, or refused with words."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from schema.install import install
from syncd.errors import ConfigError, RuleBroken, SyncdError
from syncd.prove import prove
from syncd.startup import require_server
from syncd.store import postgres
from syncd.store.postgres_session import known_holes
from tests.integration.shapes import ThreeTiers, add_person, build_three_tiers, tiers_of
from tests.postgres import PostgresServer
from tests.programs import Program
from tests.schema_builders import IDENTITY, PERSON, REGISTRY
from tests.trees import TreeBuilder

# Each changes what some statement means or returns, or ends it; all of them at once.
HOSTILE = {
    "bytea_output": "escape",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Ho_Chi_Minh",
    "extra_float_digits": "-10",
    "standard_conforming_strings": "off",
    "backslash_quote": "on",
    "escape_string_warning": "off",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "xmlbinary": "hex",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "idle_in_transaction_session_timeout": "5s",
    "idle_session_timeout": "5s",
    "plpgsql.extra_errors": "all",
    "plpgsql.variable_conflict": "error",
    "session_replication_role": "replica",
    "search_path": "nowhere",
    "client_encoding": "LATIN1",
    "enable_indexscan": "off",
    "enable_hashjoin": "off",
    "check_function_bodies": "off",
    "client_min_messages": "error",
}
# Those that end what they are put into, or forbid it, come from the database alone.
OF_THE_DATABASE = {"default_transaction_read_only": "on", "statement_timeout": "1s", "lock_timeout": "1ms"}
# A clerk's session must still find the tables, and be read by the test.
OF_A_SESSION = {key: value for key, value in HOSTILE.items() if key not in ("search_path", "client_encoding")}


@pytest.fixture
def hostile_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database whose settings are all others than ours, in a collation that does not sort by bytes."""
    dsn = postgres_server.create_database(locale="C.UTF-8")
    name = dsn.rsplit("/", 1)[1].split("?")[0]
    with contextlib.closing(psycopg.connect(dsn, autocommit=True)) as admin:
        for setting, value in (HOSTILE | OF_THE_DATABASE).items():
            value = value if setting == "search_path" else f"'{value}'"
            admin.execute(f"SET default_transaction_read_only = off; ALTER DATABASE {name} SET {setting} = {value}")
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture
def hostile_tree(hostile_dsn: str, tmp_path: Path) -> ThreeTiers:
    builder = TreeBuilder(tmp_path)
    build_three_tiers(builder, {"district": hostile_dsn})
    return tiers_of(builder)


def test_no_setting_of_the_database_changes_what_a_node_does(hostile_tree: ThreeTiers) -> None:
    person = add_person(hostile_tree.commune)
    hostile_tree.prove()
    hostile_tree.commune.sql("UPDATE person SET full_name = ?, birth_date = '1999-02-11'", ("C:\\ \\n 'A' \\x00e9",))
    hostile_tree.prove()
    assert hostile_tree.district.rows("SELECT id, birth_date FROM person") == [(person, "1999-02-11")]
    for node in hostile_tree.nodes:
        with node.store.read() as tx:
            proofs = prove(tx, node.store.registry, node.node.ring)
        assert [(proof.kind, proof.reason) for proof in proofs if proof.differing] == []


def test_no_setting_of_a_session_changes_what_is_captured(postgres_program: Program) -> None:
    def history() -> list[tuple[Any, ...]]:
        for rows in (1, 3):
            ids = [postgres_program.insert("person", **{**PERSON, "birth_date": "1999-02-11"}) for _ in range(rows)]
            postgres_program.run("UPDATE person SET birth_date = '2001-11-02', phone = NULL, ethnic = '03'")
            postgres_program.run("UPDATE person SET phone = NULL")
            postgres_program.run("DELETE FROM person")
            assert len(ids) == rows
        return [(table, op, mask, was) for table, op, _row, mask, was in postgres_program.captured()]

    expected = history()
    for setting, value in OF_A_SESSION.items():
        postgres_program.run(f"SET {setting} = '{value}'")
    assert history() == expected


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1258", "SQL_ASCII"])
def test_a_database_that_is_not_in_utf8_is_refused(postgres_server: PostgresServer, encoding: str) -> None:
    dsn = postgres_server.create_database(encoding=encoding)
    with pytest.raises(ConfigError) as refused:
        postgres.connect(dsn)
    assert encoding in str(refused.value)
    assert "TEMPLATE template0 ENCODING 'UTF8'" in str(refused.value.hint)
    postgres_server.drop_database(dsn)


def test_a_setting_that_would_lose_commits_is_refused(postgres_dsn: str) -> None:
    with pytest.raises(ConfigError, match="synchronous_commit"):
        postgres.connect(make_conninfo(postgres_dsn, options="-c synchronous_commit=off"))


def test_tables_are_found_where_they_are_whatever_the_search_path(postgres_dsn: str) -> None:
    with contextlib.closing(psycopg.connect(postgres_dsn, autocommit=True)) as admin:
        admin.execute('CREATE SCHEMA "Dân số"')
    home = make_conninfo(postgres_dsn, options='-c search_path="Dân\\ số"')
    install(lambda: postgres.connect(home), "postgres", REGISTRY, IDENTITY)
    with contextlib.closing(postgres.connect(postgres_dsn)) as other:
        assert other.execute("SELECT value FROM syncd_meta WHERE key = 'node_id'").fetchone() == (IDENTITY.node_id,)


@contextlib.contextmanager
def pooler(dsn: str, folder: Path) -> Iterator[str]:
    """What stands between as PgBouncer does: it names a backend of its own (BackendKeyData), not the server's."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / ".s.PGSQL.5432"))
    listener.listen()
    upstream = f"{conninfo_to_dict(dsn)['host']}/.s.PGSQL.5432"

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                at = data.find(b"K\0\0\0")
                target.sendall(data if at < 0 else data[: at + 5] + b"\0\x0f\x42\x40" + data[at + 9 :])
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        client, _ = listener.accept()
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(upstream)
            back = threading.Thread(target=copy, args=(server, client))
            back.start()
            copy(client, server)
            back.join()

    serving = threading.Thread(target=serve)
    serving.start()
    yield make_conninfo(dsn, host=str(folder))
    serving.join()
    listener.close()


def test_a_pooler_in_between_is_refused(postgres_dsn: str) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,  # the path of a socket must be short
        pooler(postgres_dsn, Path(folder)) as between,
        pytest.raises(ConfigError, match="PgBouncer"),
    ):
        postgres.connect(between)


@pytest.fixture
def own_role_dsn(postgres_server: PostgresServer, postgres_dsn: str) -> Iterator[str]:
    """A database of an ordinary role, as a careful administrator makes it; another role, `clerk…`, beside it."""
    roles = [f"{name}_{postgres_dsn.rsplit('_', 1)[1].split('?')[0]}" for name in ("daemon", "clerk")]
    with contextlib.closing(psycopg.connect(postgres_dsn, autocommit=True)) as admin:
        for role in roles:
            admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"GRANT SET ON PARAMETER session_replication_role TO {roles[0]}")
        admin.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {roles[0]}")
        yield make_conninfo(postgres_dsn, user=roles[0])
        for role in roles:
            admin.execute(f"REVOKE ALL ON PARAMETER session_replication_role FROM {role}")
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


def _start(dsn: str) -> None:
    """What a daemon asks of the server before it works."""
    store = postgres.PostgresStore(dsn, REGISTRY)
    try:
        require_server(store)
    finally:
        store.close()


def remedy(error: SyncdError) -> str:
    """The statement that the hint names, as it stands."""
    return str(error.hint).partition(": ")[2]


def test_an_ordinary_role_serves(own_role_dsn: str) -> None:
    install(lambda: postgres.connect(own_role_dsn), "postgres", REGISTRY, IDENTITY)
    _start(own_role_dsn)


@pytest.mark.parametrize("grantee", ["PUBLIC", "clerk"])
def test_nobody_else_may_create_beside_our_tables(own_role_dsn: str, postgres_dsn: str, grantee: str) -> None:
    clerk = "clerk_" + postgres_dsn.rsplit("_", 1)[1].split("?")[0]
    role = clerk if grantee == "clerk" else grantee
    install(lambda: postgres.connect(own_role_dsn), "postgres", REGISTRY, IDENTITY)
    with contextlib.closing(psycopg.connect(postgres_dsn, autocommit=True)) as admin:
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        with pytest.raises(ConfigError) as refused:
            _start(own_role_dsn)
        assert role in str(refused.value)
        admin.execute(remedy(refused.value))
    _start(own_role_dsn)


def test_a_role_that_cannot_apply_is_told_before_anything_waits(own_role_dsn: str, postgres_dsn: str) -> None:
    install(lambda: postgres.connect(own_role_dsn), "postgres", REGISTRY, IDENTITY)
    role = "daemon_" + postgres_dsn.rsplit("_", 1)[1].split("?")[0]
    with contextlib.closing(psycopg.connect(postgres_dsn, autocommit=True)) as admin:
        admin.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {role}")
        with pytest.raises(ConfigError) as refused:
            _start(own_role_dsn)
        admin.execute(remedy(refused.value))
    _start(own_role_dsn)


@pytest.mark.parametrize(
    "broken",
    [
        "SELECT '{name}'::int",
        "SELECT '{name}'::date",
        "SELECT '{name}'::uuid",
        "INSERT INTO page (words, printed_on) VALUES ('{name}', '{name}')",
        "INSERT INTO book (title, state) VALUES ('x', '{name}')",
        "DO $$ BEGIN RAISE EXCEPTION 'không nhận {name}'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '22023' USING MESSAGE = '{name}'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '53100' USING MESSAGE = '{name}'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION SQLSTATE 'ZZ001' USING MESSAGE = '{name}', TABLE = 'person'; END $$",
        "DO $$ BEGIN EXECUTE 'SELECT {name}'; END $$",
        "DO $$ BEGIN EXECUTE 'SELECT \"{name}\"'; END $$",
        "SELECT 'x'::pg_catalog.\"{name}\"",
        "SELECT json_extract_path_text('{name}'::json, 'a')",
        "SELECT to_date('{name}', 'YYYY')",
        "SELECT '{name}' COLLATE \"{name}\"",
    ],
)
def test_no_value_of_a_row_stands_in_an_error(installed_dsn: str, broken: str) -> None:
    store = postgres.PostgresStore(installed_dsn, REGISTRY)
    with contextlib.closing(store), pytest.raises(SyncdError) as refused, store.write("clerk") as tx:
        tx.run(broken.format(name="Nguyễn Thị Bưởi"))
    assert "Bưởi" not in f"{refused.value} {refused.value.hint}"


def test_a_broken_rule_is_named_by_the_servers_own_fields(postgres_dsn: str, tmp_path: Path) -> None:
    """Not by its sentence, which a server in another language writes otherwise."""
    root = TreeBuilder(tmp_path).root(dsn=postgres_dsn)
    for statement in ("INSERT INTO household (kind) VALUES ('family')", "INSERT INTO household (number) VALUES ('x')"):
        with pytest.raises(RuleBroken, match=r"household, c.+ (number|kind)"):
            root.sql(statement)


@pytest.mark.parametrize(
    ("version", "upgrade"), [(150004, "15.18"), (150018, None), (160013, "16.14"), (180004, None), (190000, None)]
)
def test_releases_with_known_holes_are_named(version: int, upgrade: str | None) -> None:
    assert known_holes(version) == upgrade


def test_who_waits_for_a_server_or_for_a_lock_does_not_wait_for_ever(postgres_dsn: str) -> None:
    """A server that went without a word, and a table that somebody keeps locked."""
    with contextlib.closing(postgres.connect(postgres_dsn)) as connection:
        given = connection.info.get_parameters()
        assert {name: given[name] for name in postgres.LIVELY} == {k: str(v) for k, v in postgres.LIVELY.items()}
        assert connection.execute("SHOW lock_timeout").fetchone() == ("1min",)
    with contextlib.closing(postgres.connect(make_conninfo(postgres_dsn, connect_timeout=3))) as connection:
        assert connection.info.get_parameters()["connect_timeout"] == "3"
