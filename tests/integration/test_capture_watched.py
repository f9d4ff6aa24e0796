"""Capture is watched while the daemon runs: what others do to tables and triggers is noticed, told, and mended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncd.cli.program import run as syncd
from syncd.node_files import connector
from tests.nodes import Nodes, TestNode
from tests.postgres import PostgresServer
from tests.waiting import until

PERSON = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence, phone)"
    " VALUES ('{}', 1, '2001-01-01', 'd', '01', 'usual', '{}')"
)
HOUSEHOLD = "INSERT INTO household (number, kind) VALUES ('1', 'family')"
REBUILT = (
    "CREATE TABLE household_new (id TEXT PRIMARY KEY, unit_id TEXT, number TEXT, kind TEXT, hamlet TEXT, address TEXT,"
    " enumeration_area TEXT, collaborator TEXT, opened_on TEXT, closed_on TEXT, note TEXT)",
    "INSERT INTO household_new SELECT id, unit_id, number, kind, hamlet, address, enumeration_area, collaborator,"
    " opened_on, closed_on, NULL FROM household",
    "DROP TABLE household",
    "ALTER TABLE household_new RENAME TO household",
)


class Register:
    """A node that keeps a register, and another program at its database."""

    def __init__(self, node: TestNode, capsys: pytest.CaptureFixture[str]) -> None:
        self.node = node
        self._capsys = capsys

    def program(self, *statements: str, before: Sequence[str] = ()) -> None:
        """`statements` in one transaction, as a program that knows nothing of syncd runs them."""
        with closing(connector(self.node.directory, self.node.config)()) as connection:
            for statement in (*before, "BEGIN", *statements, "COMMIT"):
                connection.execute(statement)

    def says(self, *arguments: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = syncd([*arguments, "--dir", str(self.node.directory)])
        out, err = self._capsys.readouterr()
        return code, " ".join((out + err).split())

    def waits_for(self, text: str) -> None:
        """Until `status --check` is critical and its screen says so."""

        def told() -> bool:
            return self.says("status", "--check")[0] == 2 and text in self.says("status")[1]

        until(told, f"the status says {text}\n{self.node.log}")

    def is_in_log(self, query: str, expected: Any) -> None:
        """Until the daemon has taken everything into the log, which then tells what the tables show."""
        until(lambda: self._has_more() is None, f"the log has everything\n{self.node.log}")
        assert self.node.value(query) == expected
        code, said = self.says("verify", "--full")
        assert code == 0, said

    def _has_more(self) -> Any:
        if self.says("status")[1].count("another program changed"):
            return True
        if not self.node.value("SELECT 1 FROM syncd_meta WHERE key = 'schema_seen' AND value = ?", self._mark()):
            return True
        return self.node.value("SELECT 1 FROM syncd_journal LIMIT 1")

    def _mark(self) -> str:
        return self.node.opened().store.schema_mark()


@pytest.fixture
def at(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    postgres_server: PostgresServer,
) -> Iterator[Register]:
    """A root on the database that the test names, with a household and a person, its daemon running."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    monkeypatch.setenv("LIMITS", "CAPTURE_LOOK_S=0.2")  # of the daemon
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root(request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else "sqlite")
        for statement in (HOUSEHOLD, PERSON.format("A", "1")):
            root.sql(statement)
        until(lambda: root.value("SELECT 1 FROM syncd_journal") is None, "the log has the first rows")
        yield Register(root, capsys)
    finally:
        nodes.close()


sqlite = pytest.mark.parametrize("at", ["sqlite"], indirect=True)
postgresql = pytest.mark.parametrize("at", ["postgresql"], indirect=True)
both = pytest.mark.parametrize("at", ["sqlite", "postgresql"], indirect=True)


@sqlite
def test_triggers_taken_out_of_the_catalogue_itself_are_noticed(at: Register) -> None:
    """SQLite's own number of its schema does not change then."""
    gone = "DELETE FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'household'"
    at.program(gone, "UPDATE household SET collaborator = 'CTV'", before=("PRAGMA writable_schema = ON",))
    at.program("UPDATE household SET collaborator = 'CTV 2'")  # it reads the catalogue anew
    at.is_in_log("SELECT collaborator FROM household", "CTV 2")
    assert at.node.value("SELECT 1 FROM sqlite_master WHERE name = 'syncd_household_update'") == 1


@sqlite
def test_a_table_made_anew_is_captured_again_with_what_was_changed_meanwhile(at: Register) -> None:
    pragmas = ("PRAGMA foreign_keys = OFF", "PRAGMA legacy_alter_table = ON")
    at.program(*REBUILT, "UPDATE household SET collaborator = 'CTV' WHERE number = '1'", before=pragmas)
    at.is_in_log("SELECT collaborator FROM household", "CTV")
    assert at.node.value("SELECT 1 FROM sqlite_master WHERE name = 'syncd_household_update'") == 1
    details = [
        json.loads(row)["what"] for row in [at.node.value("SELECT detail FROM syncd_case WHERE detail LIKE '%found%'")]
    ]
    assert details == ["found"]
    at.node.sql("UPDATE household SET hamlet = 'B'")
    at.is_in_log("SELECT hamlet FROM household", "B")


@sqlite
@pytest.mark.parametrize("recreated", [False, True], ids=["dropped", "dropped and made again"])
def test_triggers_that_were_gone_for_a_moment_hide_nothing(at: Register, recreated: bool) -> None:
    text = str(at.node.value("SELECT sql FROM sqlite_master WHERE name = 'syncd_person_update'"))
    at.program("DROP TRIGGER syncd_person_update", "UPDATE person SET phone = '2'", *([text] if recreated else ()))
    at.is_in_log("SELECT phone FROM person", "2")


@both
@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "restarted"])
def test_a_renamed_column_is_told_and_its_way_back_works(at: Register, is_restarted: bool) -> None:
    is_sqlite = at.node.opened().store.dialect == "sqlite"  # whose triggers follow a column to its new name
    meanwhile = ("UPDATE person SET sex = 2, mobile = '3'",) if is_sqlite else ()
    at.program("ALTER TABLE person RENAME COLUMN phone TO mobile", *meanwhile)
    at.waits_for("ALTER TABLE person RENAME COLUMN mobile TO phone")
    if is_restarted:
        at.node.stop()
        at.node.start()
        at.waits_for("ALTER TABLE person RENAME COLUMN mobile TO phone")
    at.program(*meanwhile)
    at.program("ALTER TABLE person RENAME COLUMN mobile TO phone")
    at.is_in_log("SELECT phone FROM person", "3" if is_sqlite else "1")
    assert at.says("status", "--check")[0] < 2
    at.node.sql("UPDATE person SET phone = '4'")
    at.is_in_log("SELECT phone FROM person", "4")


@sqlite
def test_triggers_that_name_a_column_that_is_gone_are_taken_out_of_the_way(at: Register) -> None:
    """As an earlier release left them: every write failed, and the way back too."""
    texts = [str(at.node.value("SELECT sql FROM sqlite_master WHERE name = ?", f"syncd_person_{each}"))
             for each in ("insert", "update", "delete")]  # fmt: skip
    at.node.stop()
    names = ("insert", "update", "delete")
    at.program(
        "ALTER TABLE person RENAME COLUMN phone TO mobile", *(f"DROP TRIGGER syncd_person_{n}" for n in names), *texts
    )
    at.node.start()
    at.waits_for("ALTER TABLE person RENAME COLUMN mobile TO phone")
    at.program("UPDATE person SET sex = 2, mobile = '5'")
    at.program("ALTER TABLE person RENAME COLUMN mobile TO phone")
    at.is_in_log("SELECT phone FROM person", "5")


@both
def test_a_renamed_table_is_told_and_its_way_back_works(at: Register) -> None:
    at.program("ALTER TABLE household RENAME TO ho")
    at.waits_for("ALTER TABLE ho RENAME TO household")
    at.program("UPDATE ho SET hamlet = 'C'")
    at.program("ALTER TABLE ho RENAME TO household")
    at.is_in_log("SELECT hamlet FROM household", "C")


UNFIT = (  # each way back as `status` says it
    "ALTER TABLE person_old NO INHERIT person", "DROP RULE quiet ON person",
    "ALTER TABLE household ALTER COLUMN hamlet TYPE text USING hamlet::text", "ALTER TABLE death SET LOGGED",
    "ALTER TABLE syncd_journal SET LOGGED",
    "ALTER TABLE birth DISABLE ROW LEVEL SECURITY",
)  # fmt: skip
PAST = {  # what a program does → what is told (empty: mended by itself), the way back, the query and its value
    "triggers off and on again": (
        ("ALTER TABLE person DISABLE TRIGGER ALL", "UPDATE person SET phone = '6'", PERSON.format("B", "6"),
         "ALTER TABLE person ENABLE TRIGGER ALL"), (), (), "SELECT count(*) FROM person WHERE phone = '6'", 2),
    "always, off, always": (
        ("ALTER TABLE person DISABLE TRIGGER syncd_person_update", "UPDATE person SET phone = '6'",
         "ALTER TABLE person ENABLE ALWAYS TRIGGER syncd_person_update"), (), (), "SELECT phone FROM person", "6"),
    "as a replica": (
        ("SET LOCAL session_replication_role = replica", "UPDATE person SET phone = '6'"), (), (),
        "SELECT phone FROM person", "6"),
    "what makes the tables unfit, all at once": (
        ("CREATE TABLE person_old () INHERITS (person)", "CREATE RULE quiet AS ON DELETE TO person DO INSTEAD NOTHING",
         "ALTER TABLE household DISABLE TRIGGER ALL", "DROP VIEW household_with_pending",
         "ALTER TABLE household ALTER COLUMN hamlet TYPE varchar(20)", "ALTER TABLE death SET UNLOGGED",
         "ALTER TABLE syncd_journal SET UNLOGGED",
         "ALTER TABLE birth ENABLE ROW LEVEL SECURITY", "UPDATE household SET hamlet = 'D'"),
        ("(6 places)", *UNFIT), UNFIT, "SELECT hamlet FROM household", "D"),
}  # fmt: skip


@postgresql
@pytest.mark.parametrize("what", PAST)
def test_what_lets_rows_past_the_triggers_of_postgresql_is_noticed(at: Register, what: str) -> None:
    statements, told, back, query, expected = PAST[what]
    at.program(*statements)
    for each in told:
        at.waits_for(each)
    if back:
        at.program(*back)
    at.is_in_log(query, expected)
    assert at.node.value("SELECT count(*) FROM household_with_pending") == 1
    always = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'syncd\\_%' AND tgenabled <> 'A'"
    assert at.node.value(always) == 0
