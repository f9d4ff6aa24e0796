"""A province and a commune for tests of one exchange: made once per worker, copied for each test.

Enters: folders; a DSN where the province shall stand on PostgreSQL. Leaves: pairs at rest with nothing running, and the
ways tests use them: another program that types, commands, exchanges in this process, the final check.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace
from psycopg.conninfo import conninfo_to_dict

from syncd.config import load_config, write_config
from syncd.errors import ParentUnreachable
from syncd.failpoint import FAILPOINT
from syncd.node_files import open_node
from syncd.once import Summary, sync_once
from tests.acceptance import recount
from tests.acceptance.processes import Station, Tree
from tests.acceptance.writers import open_plain
from tests.postgres import PostgresServer, copy_database
from tests.waiting import until

COMMUNE, SPARE, SECOND = "42501", "42502", "42503"
KILLED = -9


@dataclass
class Pair:
    """A province and a commune, enrolled, at rest, nothing running."""

    tree: Tree
    province: Station
    commune: Station
    spare_token: str
    names: list[str] = field(default_factory=list)  # households the commune has typed

    def type(self, count: int = 1) -> None:
        """Rows by another program at the commune, one transaction."""
        first = len(self.names) + 1
        numbers = [str(number) for number in range(first, first + count)]
        with contextlib.closing(open_plain(self.commune.directory)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            statement = "INSERT INTO household (number, kind) VALUES (?, 'family')"
            connection.executemany(statement, [(each,) for each in numbers])
            connection.execute("COMMIT")
        self.names += numbers

    def at(self, station: Station, *statements: str) -> None:
        """Statements of another program, one transaction."""
        done = station.command("sql", "; ".join(statements))
        assert done.returncode == 0, done.stderr

    def behind(self, *statements: str) -> None:
        """Statements at the province behind the daemon's back: neither guarded nor captured."""
        connection = open_plain(self.province.directory)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN IMMEDIATE")
        for statement in ("INSERT INTO syncd_applying (one) VALUES (1)", *statements, "DELETE FROM syncd_applying"):
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.close()

    def sync(self) -> Summary:
        """One exchange of the commune with the running province, in this process."""
        opened = open_node(self.commune.directory)
        try:
            return sync_once(opened)
        finally:
            opened.close()

    def dies(self, station: Station, point: str, *arguments: str) -> None:
        """A command that kills itself at `point`; run again it does what it should."""
        done = station.command(*arguments, **{FAILPOINT: point})
        assert done.returncode == KILLED, f"never came to {point}: {done.stderr}"
        again = station.command(*arguments)
        assert again.returncode == 0, again.stderr

    def province_dies(self, point: str, provoke: Callable[[], object]) -> None:
        """The province's daemon kills itself at `point`, wherever `provoke` has got to by then; it is started anew."""
        self.province.spawn({FAILPOINT: point})  # it may die before it is ready
        until(lambda: self.province.has_ended() or self.province.answers(), "the province is up, or dead already")
        with contextlib.suppress(ParentUnreachable):
            provoke()
        assert self.province.died() == KILLED
        self.province.start()

    def commune_dies(self, point: str) -> None:
        """The commune's own exchange kills itself at `point`; the next one goes on."""
        if self.province.process is None:
            self.province.start()
        self.dies(self.commune, point, "sync", "--once")

    def finish(self) -> None:
        """Until nothing waits, then the check."""
        if self.province.process is None:
            self.province.start()

        def at_rest() -> bool:
            self.sync()
            return not [line for line in self.tree.unfinished() if "checkpoint" not in line and "compared" not in line]

        until(at_rest, "province and commune are at rest")
        found = sorted(self.province.rows(f"SELECT number FROM household WHERE unit_id = '{self.commune.unit_id}'"))
        assert found == sorted((name,) for name in self.names)
        both = [self.province.directory, self.commune.directory]

        def equal() -> bool:
            self.sync()  # what the province has written since the last one comes only with another
            return not recount.differences(both)

        until(equal, "province and commune hold the same, down-flow included")


@contextlib.contextmanager
def made(folder: Path, database: str) -> Iterator[Pair]:
    """A province with units and a joined commune that have exchanged everything, both stopped."""
    with contextlib.closing(Tree(folder)) as tree:
        province = tree.root(database, {"": [COMMUNE, SPARE, SECOND]})
        commune = tree.join(province, COMMUNE)
        found = Pair(tree=tree, province=province, commune=commune, spare_token=province.token(SPARE))
        tree.forget(province)
        commune.start()
        tree.keeps(commune)
        tree.rest()
        commune.stop()
        province.stop()
        yield found


@contextlib.contextmanager
def copied(template: Pair, folder: Path) -> Iterator[Pair]:
    with contextlib.closing(Tree(folder)) as tree:
        for station in template.tree.stations:
            shutil.copytree(station.directory, folder / station.code)
            copy = Station(folder / station.code, code=station.code, unit_id=station.unit_id, node_id=station.node_id)
            copy.address = station.address
            tree.stations.append(copy)
        province, commune = tree.stations
        yield Pair(tree=tree, province=province, commune=commune, spare_token=template.spare_token)


@contextlib.contextmanager
def copied_on(server: PostgresServer, template: Pair, folder: Path) -> Iterator[Pair]:
    """A copy whose province stands on a database of its own."""
    with copied(template, folder) as found:
        directory = found.province.directory
        settings = load_config(directory, {})
        dsn = clone(server, settings.database)
        write_config(directory, replace(settings, database=dsn))
        yield found
    server.drop_database(dsn)


def clone(server: PostgresServer, dsn: str) -> str:
    """A database with the content of another that nobody is connected to."""
    copy = server.dsn(f"syncd_test_{uuid.uuid4().hex[:16]}")
    copy_database(copy, like=str(conninfo_to_dict(dsn)["dbname"]))
    return copy
