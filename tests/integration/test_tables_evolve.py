"""`extra_tables` over the life of a node: what may be added is added at start, all else is refused in one sentence;
what an application has added to our tables is said. Nodes made by init, on both databases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncd import enrolment, limits
from syncd.cli import program
from syncd.config import Config
from syncd.errors import ConfigError, RuleBroken, StoreError
from syncd.node_files import connector, open_node
from syncd.recovery.capture import Capture
from syncd.startup import check_start
from tests.nodes import ROOT_UNIT
from tests.postgres import PostgresServer
from tests.waiting import until

HEAD = "from schema.spec import Column, Fold, Kind, Table, Type\n"
COLUMNS = 'Column(number=2, name="title", type=Type.TEXT, chars_max=20)'
ADDED = ', Column(number=3, name="Số", type=Type.INT, check="\\"Số\\" > 0")'
PAGE = (
    'Table(number=1001, name="Page", kind=Kind.REGISTER, columns=(Column(number=2, name="book_id", type=Type.UUID,'
    ' references="order", inside_unit=True, on_delete="cascade"),), indexes=(("book_id",),))'
)


def book(columns: str = COLUMNS, **more: str) -> str:
    given = {"number": "1000", "name": '"order"', "kind": "Kind.REGISTER", **more}
    return f"Table({', '.join(f'{key}={value}' for key, value in given.items())}, columns=({columns},))"


class Station:
    """A root that nobody has started yet; `describe` writes what its tables are."""

    FIRST = book()

    def __init__(self, directory: Path, config: Config) -> None:
        self.directory = directory
        self.config = config
        directory.mkdir()
        self.describe(self.FIRST)
        enrolment.init_root(directory, ROOT_UNIT, config)

    def describe(self, *tables: str) -> None:
        (self.directory / "tables.py").write_text(f"{HEAD}TABLES = ({', '.join(tables)},)\n")

    def start(self) -> None:
        """What a daemon does before it serves."""
        opened = open_node(self.directory, is_starting=True)
        try:
            check_start(opened)
        finally:
            opened.close()

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        opened = open_node(self.directory)
        try:
            with opened.store.write("clerk") as tx:
                if "RETURNING" in statement or statement.startswith("SELECT"):
                    return tx.all(statement, values)
                tx.run(statement, values)
                return []
        finally:
            opened.close()

    def raw(self, *statements: str) -> None:
        """As an application that knows nothing of syncd."""
        connection = connector(self.directory, self.config)()
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def grants(self) -> list[tuple[Any, ...]]:
        """What others may do with the view of pending wishes, and by its columns; nothing on SQLite."""
        if self.config.is_sqlite:
            return []
        return self.sql(
            "SELECT attname::text, attacl::text, relacl::text, (SELECT count(*) FROM pg_class WHERE relname = 'report')"
            " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
            " WHERE relname = 'order_with_pending' AND (attname = 'title' OR attacl IS NOT NULL)"
        )

    def journal(self) -> int:
        return int(self.sql("SELECT count(*) FROM syncd_journal WHERE tab >= 1000")[0][0])

    def cases(self) -> list[dict[str, Any]]:
        rows = self.sql("SELECT detail FROM syncd_case WHERE closed_at IS NULL ORDER BY detail")
        return [json.loads(row[0]) for row in rows]


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[Config]:
    if request.param == "sqlite":
        yield Config(extra_tables="tables:TABLES", encrypted=False)
        return
    dsn = postgres_server.create_database()
    yield Config(extra_tables="tables:TABLES", database=dsn)
    postgres_server.drop_database(dsn)


@pytest.fixture
def station(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Station:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    return Station(tmp_path / "node", config)


def test_new_tables_and_nullable_columns_are_added_at_start(station: Station) -> None:
    station.start()
    (row,) = station.sql('INSERT INTO "order" (title) VALUES (?) RETURNING id', "a")
    if not station.config.is_sqlite:  # what others were given, and have built, on the view
        station.raw(
            'GRANT SELECT ON "order_with_pending" TO pg_monitor',
            'GRANT SELECT (title) ON "order_with_pending" TO PUBLIC',
            'CREATE VIEW report AS SELECT title FROM "order_with_pending"',
        )  # fmt: skip
    granted = station.grants()
    station.describe(book(COLUMNS + ADDED, indexes='(("title", "Số"),)'), PAGE)
    with pytest.raises(ConfigError, match=r"does not have yet: Page, order \(title, Số\), order\.Số"):
        open_node(station.directory).close()
    station.start()
    station.sql('INSERT INTO "Page" (book_id) VALUES (?)', row[0])
    station.sql('UPDATE "order" SET "Số" = 5')
    assert station.journal() == 3
    assert station.grants() == granted
    assert station.sql('SELECT "Số" FROM "order_with_pending"') == [(5,)]
    with pytest.raises(RuleBroken, match="Số"):
        station.sql('UPDATE "order" SET "Số" = 0')
    where = "sqlite_master WHERE name" if station.config.is_sqlite else "pg_indexes WHERE indexname"
    assert station.sql(f"SELECT count(*) FROM {where} = 'ix_order_title_Số'") == [(1,)]
    station.sql('DELETE FROM "order"')  # and its page with it
    assert station.sql('SELECT count(*) FROM "Page"') == [(0,)]
    assert station.cases() == []  # triggers were made anew on purpose
    station.start()
    assert station.cases() == []


def test_a_station_without_a_daemon_gets_them_too(station: Station) -> None:
    station.describe(book(COLUMNS + ADDED), PAGE)
    assert program.run(["sync", "--once", "--dir", str(station.directory)]) == 0
    assert station.sql('SELECT count(*) FROM "Page"') == [(0,)]


def test_init_again_changes_nothing(station: Station, config: Config) -> None:
    station.sql('INSERT INTO "order" (title) VALUES (?)', "a")
    assert enrolment.init_root(station.directory, ROOT_UNIT, config).already
    station.start()
    assert station.journal() == 1


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([PAGE.replace("order", "household")], r"table order \(number 1000\) is not described any more"),
        ([book(name='"orders"')], "table orders: name was 'order' and is 'orders'"),
        ([book(kind="Kind.OVERSIGHT")], "table order: kind was 1 and is 2"),
        ([book(checks='(("x", "title <> \'\'"),)')], "table order: checks was"),
        ([book(COLUMNS.replace("TEXT", "INT"))], "table order, column title: type was 'text' and is 'int'"),
        ([book(COLUMNS.replace("title", "name"))], "table order, column title: name was 'title' and is 'name'"),
        ([book(COLUMNS.replace("20", "30"))], "chars_max was 20 and is 30"),
        (
            [book(COLUMNS.replace("20", "2000"), indexes='(("title",),)')],
            r"new index \(title\) may have more than 2600",
        ),
        ([book(COLUMNS + ADDED.replace("type", "nullable=False, type"))], "new column Số must be nullable"),
    ],
)
def test_any_other_change_is_refused_in_a_sentence(station: Station, tables: list[str], said: str) -> None:
    station.describe(*tables)
    for attempt in (station.start, lambda: open_node(station.directory).close()):
        with pytest.raises(ConfigError, match=said) as caught:
            attempt()
        assert "describe it as it was" in caught.value.hint
    station.describe(book())
    station.start()


def test_what_no_index_of_postgresql_holds_is_refused_by_both(tmp_path: Path, config: Config) -> None:
    """A keeper on SQLite would take it, and the stream would stand still at a province on PostgreSQL for good."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNCD_LANGUAGE", "en")
        patch.setattr(Station, "FIRST", book(COLUMNS.replace("20", "2000"), indexes='(("title",),)'))
        station = Station(tmp_path / "node", config)
        station.sql('INSERT INTO "order" (title) VALUES (?)', "ộ" * 866)
        with pytest.raises(RuleBroken, match="columns of an index have at most 2600 bytes"):
            station.sql('INSERT INTO "order" (title) VALUES (?)', "".join(chr(0x4E00 + n) for n in range(867)))


def test_an_index_that_was_made_stays_described(station: Station) -> None:
    station.describe(book(indexes='(("title",),)'))
    station.start()
    station.describe(book())
    with pytest.raises(ConfigError, match=r"the index \(title\) is not described any more"):
        station.start()


def test_words_and_policies_may_change(station: Station) -> None:
    station.describe(book(COLUMNS.replace("type=", 'policy="latest", data_class="b", type='), title_en='"Orders"'))
    station.start()


@pytest.mark.parametrize("made", ['CREATE TABLE "Page" (x int)', 'CREATE VIEW "Page" AS SELECT 1 AS x'])
def test_a_table_of_the_applications_is_never_taken_for_ours(station: Station, made: str) -> None:
    station.raw(made)
    station.describe(book(), PAGE)
    with pytest.raises(ConfigError, match="has a table Page already that syncd did not make"):
        station.start()
    station.describe(book())
    station.start()


def test_init_takes_no_table_of_the_applications(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute('CREATE TABLE "order" (id int)')
    (tmp_path / "tables.py").write_text(f"{HEAD}TABLES = ({book()},)\n")
    with pytest.raises(ConfigError, match="has a table order already"):
        enrolment.init_root(tmp_path, ROOT_UNIT, Config(extra_tables="tables:TABLES", database=postgres_dsn))


INDEX = "CREATE UNIQUE INDEX their_own ON household (number)"
TRIGGERS = {
    True: ["CREATE TRIGGER their_trigger AFTER INSERT ON household BEGIN UPDATE household SET address = 'x'; END"],
    False: [
        "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER their_trigger AFTER INSERT ON household EXECUTE FUNCTION theirs()",
        "ALTER TABLE household ENABLE ALWAYS TRIGGER their_trigger",
    ],
}


def test_what_an_application_added_is_said_at_start_until_it_is_gone(station: Station, config: Config) -> None:
    station.raw(INDEX, *TRIGGERS[config.is_sqlite])
    station.start()
    station.start()
    assert station.cases() == [
        {"name": "their_own", "table": "household", "what": "strange-index"},
        {"name": "their_trigger", "table": "household", "what": "strange-trigger"},
    ]
    station.raw("DROP INDEX their_own", f"DROP TRIGGER their_trigger{'' if config.is_sqlite else ' ON household'}")
    station.start()
    assert station.cases() == []


def test_what_an_application_adds_while_the_daemon_runs_is_said_at_the_next_look(
    station: Station, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CAPTURE_LOOK_S", 0.0)
    opened = open_node(station.directory, is_starting=True)
    try:
        check_start(opened)
        capture = Capture(opened)
        assert capture.look() is None
        station.raw(INDEX, *TRIGGERS[config.is_sqlite])
        until(lambda: capture.look() or len(station.cases()) == 2, "it is said")
        station.raw("DROP INDEX their_own", f"DROP TRIGGER their_trigger{'' if config.is_sqlite else ' ON household'}")
        until(lambda: capture.look() or station.cases() == [], "it is gone")
    finally:
        opened.close()


def test_a_unique_index_that_stops_a_write_is_named_with_the_remedy(station: Station) -> None:
    station.raw(INDEX)
    station.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")
    with pytest.raises(StoreError, match=r"(household\.number|their_own)") as caught:
        station.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")
    assert "remove it" in caught.value.hint
