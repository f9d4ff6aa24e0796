"""The database's files beside other programs: no lock is lost, no log is taken away unnoticed, nobody else opens them.

A lock of POSIX belongs to the process and the file: closing any descriptor of the file drops it. So the daemon's locks
are read where the kernel lists them, and what its process opens is told by Python's audit events.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd import control, enrolment
from syncd.cli.program import VERBS
from syncd.cli.program import run as run_verb
from syncd.config import Config
from syncd.errors import DatabaseReplaced
from syncd.store.sqlite import SqliteStore
from tests.nodes import END_S_MAX, LISTEN, ROOT_UNIT, Nodes, TestNode
from tests.schema_builders import REGISTRY
from tests.waiting import until

PROGRAM = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n" + (
    "for row in c.execute(sys.argv[2]): print(*row, sep='|')\nc.close()"
)
# Python's own SQLite in a process of its own, and the shell where there is one.
PROGRAMS = [
    (sys.executable, "-c", PROGRAM),
    *([("sqlite3", "-cmd", ".timeout 20000")] if shutil.which("sqlite3") else []),
]
HOUSEHOLD = "INSERT INTO household (number, kind) VALUES ('{}', 'family')"
NEEDS_MORE = {"demo", "init", "join", "run", "restore"}  # verbs that make a node, or do not end by themselves

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def lone(nodes: Nodes, name: str = "root", **settings: object) -> TestNode:
    """A root of one plain file, its daemon running, and no connection of this process to it."""
    node = nodes._new(name)
    enrolment.init_root(node.directory, ROOT_UNIT, Config(listen=LISTEN, encrypted=False, **settings))  # type: ignore[arg-type]
    node.start(OPENS_FILE=str(nodes.folder / "daemon.opens"))
    return node


def database(node: TestNode) -> Path:
    return node.directory / "syncd.db"


def other_program(node: TestNode, statement: str, program: tuple[str, ...] = PROGRAMS[0]) -> str:
    """What another program's process, with another SQLite, says to a statement."""
    done = subprocess.run(
        [*program, str(database(node)), statement], capture_output=True, text=True, timeout=END_S_MAX, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def locks(node: TestNode, suffix: str) -> int:
    """How many locks the daemon has on one of the files, as the kernel lists them."""
    assert node.process is not None
    found = Path(f"{database(node)}{suffix}").stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return sum(str(node.process.pid) in line and place in line for line in lines)


def require_locks(node: TestNode, after: str) -> None:
    assert locks(node, "") >= 1, f"after {after} the daemon has no lock on the database"
    assert locks(node, "-shm") >= 1, f"after {after} the daemon has no lock on the log's index"
    assert node.process is not None
    held = [os.readlink(each) for each in Path(f"/proc/{node.process.pid}/fd").iterdir() if each.is_symlink()]
    assert not [name for name in held if "syncd.db" in name and "(deleted)" in name], after


def test_a_daemons_locks_stay_whatever_it_and_its_neighbours_do(nodes: Nodes) -> None:
    root = lone(nodes)
    require_locks(root, "the start")
    assert root.process is not None
    root.process.send_signal(signal.SIGHUP)
    until(lambda: " reloaded" in root.log, "the settings are read again")
    require_locks(root, "HUP")
    control.ask(root.directory)
    require_locks(root, "a question")
    for line in verb_lines(nodes, root):
        if line.split()[0] in ("status", "verify", "backup", "prune", "sql"):
            run_verb(line.split("'")[0].split() + line.split("'")[1:2])
            require_locks(root, line)
    until(lambda: other_program(root, "SELECT count(*) FROM syncd_journal") == "0", "all is in the log")
    require_locks(root, "sequencing")
    assert root.stop() == 0


def verb_lines(nodes: Nodes, root: TestNode) -> list[str]:
    """One call or more of every verb that works on a node that is there; not all succeed."""
    there, folder = f"--dir {root.directory}", nodes.folder
    (folder / "p.csv").write_text("", encoding="utf-8")
    return [
        f"status {there}", f"status --check {there}", f"sql {there} '{HOUSEHOLD.format(9)}'", f"verify {there}",
        f"verify --full {there}", f"backup {folder / 'backups'} {there}", f"prune {there}",
        f"units import --demo {there}", f"generate --unit 42 --persons 5 {there}", f"token --unit 42 {there}",
        f"sync --once {there}", f"handover 42 --to x {there}", f"replace 42 --to x {there}", f"adopt {there}",
        f"reassign 42 --into 43 {there}", f"import {folder / 'p.csv'} {there}",
        f"propose insert household --unit 42 --set number=5 --set kind=family {there}", f"conflicts list {there}",
        f"identity list {there}", f"figures {there}", f"config check {there}",
    ]  # fmt: skip


def test_no_verb_and_no_daemon_opens_a_database_beside_the_library(nodes: Nodes) -> None:
    root = lone(nodes)
    lines = verb_lines(nodes, root)
    known = {line.split()[0] for line in lines}
    made = nodes.folder / "again"
    lines += [
        *(f"{verb} {database(root)} --dir {root.directory}" for verb in ("import", "units import", "sql --file")),
        f"propose --file {database(root)}-wal --dir {root.directory}", f"restore {database(root)} --to {made}-x",
        f"init --plain --dir {made} --unit 43 --unit-name X", f"init --plain --dir {made} --unit 43 --unit-name X",
        f"restore {nodes.folder / 'backups'} --to {nodes.folder / 'restored'} --key {root.directory / 'exchange.key'}",
        f"restore {nodes.folder / 'backups'} --to {made}", f"join --dir {made} x",
    ]  # fmt: skip
    report = nodes.folder / "verbs.opens"
    done = subprocess.run(
        [sys.executable, "-m", "tests.opens", str(report), *lines],
        capture_output=True, text=True, timeout=4 * END_S_MAX, check=False,
    )  # fmt: skip
    told = report.read_text(encoding="utf-8").splitlines()
    assert [line for line in told if not line.startswith("ran ")] == []
    assert len(told) == len(lines), done.stderr
    assert set(VERBS) - known <= NEEDS_MORE | {"repair"}
    assert root.stop() == 0
    assert (nodes.folder / "daemon.opens").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: Path(each[0]).name)
def test_another_program_reads_writes_and_vacuums_beside_the_daemon(nodes: Nodes, program: tuple[str, ...]) -> None:
    root = lone(nodes)
    assert other_program(root, "SELECT code FROM unit", program) == "42"
    require_locks(root, "a read by another program")
    for statement in (HOUSEHOLD.format(1), "VACUUM", HOUSEHOLD.format(2), "PRAGMA wal_checkpoint(TRUNCATE)"):
        other_program(root, statement, program)
        require_locks(root, statement)
    until(lambda: other_program(root, "SELECT count(*) FROM syncd_journal", program) == "0", "the rows are in the log")
    assert control.ask(root.directory) is not None
    assert root.stop() == 0
    assert other_program(root, "PRAGMA integrity_check", program) == "ok"
    assert other_program(root, "SELECT count(*) FROM household", program) == "2"


def test_what_a_parent_sends_and_another_program_writes_go_into_one_sound_database(nodes: Nodes) -> None:
    root = nodes.root()
    commune = nodes.joined(root, "01", encrypted=False)
    commune.start()
    until(lambda: other_program(commune, "SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    other_program(commune, HOUSEHOLD.format(1))
    other_program(commune, "VACUUM")
    for n in range(2, 5):
        root.sql("UPDATE unit SET name = ? WHERE code = '02'", f"Xã {n}")
        other_program(commune, HOUSEHOLD.format(n))
        until(
            lambda n=n: other_program(commune, "SELECT name FROM unit WHERE code = '02'") == f"Xã {n}",  # type: ignore[misc]
            "the new name is here",
        )
        require_locks(commune, f"exchange {n}")
    until(lambda: root.value("SELECT count(*) FROM household") == 4, "every row is at the root")
    assert commune.stop() == 0
    assert other_program(commune, "PRAGMA integrity_check") == "ok"


def unlink(suffix: str) -> Callable[[Path], None]:
    return lambda path: Path(f"{path}{suffix}").unlink()


def put_copy(suffix: str) -> Callable[[Path], None]:
    """As a synchronising or restoring program does: a copy beside, renamed into the place."""

    def put(path: Path) -> None:
        target = Path(f"{path}{suffix}")
        shutil.copyfile(target, path.with_name("copy"))
        path.with_name("copy").replace(target)

    return put


def rename(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


TAKEN = {
    "db-gone": unlink(""), "wal-gone": unlink("-wal"), "shm-gone": unlink("-shm"), "db-replaced": put_copy(""),
    "wal-replaced": put_copy("-wal"), "shm-replaced": put_copy("-shm"), "db-renamed": rename,
}  # fmt: skip


def content(path: Path) -> dict[str, bytes]:
    """What lies there now; in the log's index a reader notes how far it has read."""
    return {each.name: each.read_bytes() for each in path.parent.glob("syncd.db*") if each.suffix != ".db-shm"}


@pytest.mark.parametrize("take", TAKEN.values(), ids=TAKEN)
def test_a_store_writes_nothing_more_once_a_file_was_taken_away(
    tmp_path: Path, take: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    path = tmp_path / "n" / "syncd.db"
    store = SqliteStore(path, REGISTRY, None)
    with contextlib.closing(store):
        store.relax()
        store.change_mark()
        with store.apply("before") as tx:
            tx.run("INSERT INTO syncd_meta (key, value) VALUES ('seen', '1')")
        take(path)
        before = content(path)
        with pytest.raises(DatabaseReplaced, match=r"while syncd had it open — stopped, nothing more was written"):
            store.change_mark()
        for attempt in (store.write, store.apply):
            with pytest.raises(DatabaseReplaced), attempt("x") as tx:
                tx.run("UPDATE syncd_meta SET value = '2' WHERE key = 'seen'")
        assert content(path) == before


def insert_while(store: SqliteStore, happens: Callable[[], None]) -> None:
    with store.apply("x") as tx:
        tx.run("INSERT INTO syncd_meta (key, value) VALUES ('seen', '1')")
        happens()


def test_a_file_taken_away_inside_a_transaction_is_noticed_before_its_commit(tmp_path: Path) -> None:
    enrolment.init_root(tmp_path / "n", ROOT_UNIT, Config(encrypted=False))
    path = tmp_path / "n" / "syncd.db"
    with contextlib.closing(SqliteStore(path, REGISTRY, None)) as store, pytest.raises(DatabaseReplaced):
        insert_while(store, lambda: put_copy("")(path))
    with contextlib.closing(SqliteStore(path, REGISTRY, None)) as again, again.read() as tx:
        assert tx.value("SELECT count(*) FROM syncd_meta WHERE key = 'seen'") == 0


@pytest.mark.parametrize("kind", ["wal-gone", "db-replaced", "db-gone"])
def test_a_daemon_whose_files_were_taken_away_ends_loudly_and_status_says_why(
    nodes: Nodes, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    root = lone(nodes)
    other_program(root, HOUSEHOLD.format(1))
    until(lambda: other_program(root, "SELECT count(*) FROM syncd_journal") == "0", "all is in the log")
    TAKEN[kind](database(root))
    assert root.process is not None
    assert root.process.wait(END_S_MAX) == 1
    assert " critical database-replaced " in root.log
    assert "while syncd had it open" in root.log
    (rescued,) = root.directory.glob("rescued-*/syncd.db")
    code = run_verb(["status", "--check", "--dir", str(root.directory)])
    told = capsys.readouterr().out
    if kind == "db-gone":
        assert (code, "is missing" in told, "make one with" in told) == (2, True, False)
    else:
        assert code == 2
        assert "while syncd had it open" in told
        assert f"what was in it when it was taken away is in {rescued}" in told
    if kind == "db-gone":
        for each in root.directory.glob("syncd.db-*"):
            each.unlink()
        rescued.rename(database(root))
    root.start()
    assert other_program(root, "SELECT count(*) FROM household") == "1"
    if kind != "db-gone":
        run_verb(["status", "--dir", str(root.directory)])
        assert "Trouble" not in capsys.readouterr().out


def test_status_says_that_the_daemon_works_on_files_that_lie_here_no_longer(tmp_path: Path) -> None:
    from syncd.cli.status import _trouble

    path = tmp_path / "syncd.db"
    path.write_bytes(b"x")
    at = path.stat()
    live = {"files": {str(path): [at.st_dev, at.st_ino]}}
    assert _trouble(tmp_path, live) == (None, None)
    path.rename(tmp_path / "other")
    assert "was removed while syncd had it open" in str(_trouble(tmp_path, live))
    path.write_bytes(b"x")
    assert "was replaced while syncd had it open" in str(_trouble(tmp_path, live))


def test_a_second_name_of_the_database_is_told_at_start_and_by_status(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By another name another log is kept: two programs would write into one file."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    root = nodes._new("root")
    enrolment.init_root(root.directory, ROOT_UNIT, Config(encrypted=False))
    told = f"{database(root)} has another name (a hard link)"
    assert run_verb(["status", "--dir", str(root.directory)]) == 0
    assert told not in capsys.readouterr().out.replace("\n    ", " ")
    os.link(database(root), tmp := nodes.folder / "yesterday.db")
    root.start()
    assert "second-name" in root.log
    run_verb(["status", "--dir", str(root.directory)])
    assert told in capsys.readouterr().out.replace("\n    ", " ")
    assert run_verb(["status", "--check", "--dir", str(root.directory)]) == 1
    assert told in capsys.readouterr().out
    tmp.unlink()
    assert run_verb(["status", "--check", "--dir", str(root.directory)]) == 0


def test_both_libraries_of_this_test_are_two(tmp_path: Path) -> None:
    """What the cases above rely on: the other program's SQLite is not the daemon's."""
    from sqlcipher3 import dbapi2

    assert dbapi2.sqlite_version != sqlite3.sqlite_version or dbapi2.__file__ != sqlite3.__file__
