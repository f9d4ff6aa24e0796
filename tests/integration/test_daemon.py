"""The daemon's life: one per database, what it says of bad input, how it ends, what it costs when idle."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import control, enrolment, once
from syncd.config import KEYS, RULES, Config, load_config, write_config
from syncd.errors import ConfigError, ParentUnreachable, WrongPeer
from syncd.failpoint import read_stages
from syncd.node_files import open_node
from tests.nodes import END_S_MAX, ROOT_UNIT, Nodes, TestNode
from tests.waiting import until

IDLE_S = 3.0


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def finished(node: TestNode, **environment: str) -> tuple[int, str]:
    """Exit code and log of a daemon that is expected not to stay."""
    node.spawn(environment)
    assert node.process is not None
    code = node.process.wait(END_S_MAX)
    return code, node.log


def keeping(nodes: Nodes, root: TestNode) -> TestNode:
    """A running commune that keeps its unit."""
    commune = nodes.joined(root, "01")
    commune.start()
    until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    return commune


def test_second_daemon_of_one_database_is_refused(nodes: Nodes) -> None:
    root = nodes.root()
    done = subprocess.run(
        [sys.executable, "-m", "tests.daemon_process", str(root.directory)],
        capture_output=True,
        text=True,
        timeout=END_S_MAX,
    )
    assert done.returncode == 75
    assert "is running (pid" in done.stderr
    assert control.ask(root.directory) is not None, "the first goes on"


def test_unknown_key_names_key_file_and_near_miss(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text("pol_ms = 5\n")
    with pytest.raises(ConfigError, match=r"'pol_ms' in .*syncd\.toml — did you mean poll_ms") as caught:
        load_config(tmp_path, {})
    assert caught.value.exit_code == 78


def test_unknown_variable_names_it_and_a_near_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    for name, meant in (("SYNCD_POL_MS", "did you mean SYNCD_POLL_MS"), ("SYNCD_FOO", "known: SYNCD_NAME, ")):
        with pytest.raises(ConfigError, match=f"unknown environment variable {name} — {meant}") as caught:
            load_config(tmp_path, {name: "1"})
        assert caught.value.exit_code == 78
    other = {"SYNCD_DIR": "x", "SYNCD_FAILPOINT": "", "SYNCD_STAGE_FILE": "", "SYNCD_LANGUAGE": "vi", "PATH": "x"}
    assert load_config(tmp_path, other) == Config(language="vi")


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    assert load_config(tmp_path, {}).poll_ms == 20
    write_config(tmp_path, Config(poll_ms=30))
    assert load_config(tmp_path, {}).poll_ms == 30
    assert load_config(tmp_path, {"SYNCD_POLL_MS": "40"}).poll_ms == 40
    assert load_config(tmp_path, {"SYNCD_POLL_MS": "40"}, {"poll_ms": 50}).poll_ms == 50


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('poll_ms = "often"', "poll_ms"),
        ("poll_ms = 0", "poll_ms"),
        ('database = "mysql://x"', "database"),
        ('foreign_writes = "maybe"', "foreign_writes"),
        ('addresses = ["http://plain"]', "addresses"),
        ("poll_ms = ", "not TOML"),
        ("keep_days = 4000", "keep_days is a whole number from 0 to 3650"),
        ("retention_days = -1", "retention_days is a whole number"),
        ('keep_days = "a"', "keep_days"),
        ('prune = "x"', "prune is true or false"),
        ('listen = "0.0.0.0:65536"', "listen"),
        ('extra_tables = "no_such_module:TABLES"', None),
    ],
)
def test_bad_value_is_named(tmp_path: Path, line: str, said: str | None) -> None:
    (tmp_path / "syncd.toml").write_text(line + "\n")
    if said is None:
        from syncd.config import load_registry

        with pytest.raises(ConfigError, match="no_such_module"):
            load_registry(load_config(tmp_path, {}), tmp_path)
        return
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path, {})


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_words_for_a_bad_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    (tmp_path / "syncd.toml").write_text(f"{key} = {{ odd = 1 }}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    assert caught.value.hint == f"{key} là {RULES[key].vi}"
    assert caught.value.exit_code == 78


def test_password_of_a_dsn_stays_out_of_messages(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text('database = "mysql://user:geheim@host/db"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    assert "geheim" not in str(caught.value)


def test_daemon_without_a_node_says_what_to_do(tmp_path: Path) -> None:
    node = TestNode(tmp_path / "empty")
    node.directory.mkdir(mode=0o700)
    code, log = finished(node)
    assert code == 78
    assert "missing" in log or "no node" in log


def test_terminated_daemon_ends_with_zero_and_keeps_the_time_of_its_last_exchange(nodes: Nodes) -> None:
    root = nodes.root()
    commune = keeping(nodes, root)
    commune.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")
    until(lambda: root.value("SELECT 1 FROM household WHERE number = '1'"), "the row is at the root")
    assert commune.stop() == 0
    assert root.stop() == 0
    assert commune.value("SELECT last_success_at FROM syncd_peer WHERE role = 'parent'") is not None
    assert root.value("SELECT last_success_at FROM syncd_peer WHERE role = 'child'") is not None
    assert control.ask(commune.directory) is None


def test_terminated_under_load_loses_nothing(nodes: Nodes) -> None:
    root = nodes.root()
    commune = keeping(nodes, root)
    for number in range(1, 61):
        commune.sql("INSERT INTO household (number, kind) VALUES (?, 'family')", str(number))
        if number % 20 == 0:
            assert commune.stop() == 0
            commune.start()
    until(lambda: root.value("SELECT count(*) FROM household") == 60, "all rows are at the root, once")


def test_parent_down_is_shown_and_the_backlog_drains_later(nodes: Nodes) -> None:
    root = nodes.root()
    commune = keeping(nodes, root)
    listen = root.address.removeprefix("https://")
    root.stop()
    commune.sql("INSERT INTO household (number, kind) VALUES ('9', 'family')")

    def error() -> str | None:
        picture = control.ask(commune.directory)
        return next(iter(picture["peers"].values()))["last_error"] if picture else None

    # An exchange that was under way ends with "broke off" first.
    until(lambda: "does not answer" in (error() or ""), "the error is shown")
    root.configure(listen=listen)
    root.start()
    until(lambda: root.value("SELECT 1 FROM household WHERE number = '9'"), "the row is at the root")
    until(lambda: error() is None, "the error is gone")


def test_once_without_a_daemon_moves_everything_and_reports(nodes: Nodes) -> None:
    root = nodes.root()
    commune = nodes.joined(root, "01")
    opened = commune.opened()
    assert once.sync_once(opened).envelopes_received > 0
    commune.sql("INSERT INTO household (number, kind) VALUES ('5', 'family')")
    summary = once.sync_once(opened)
    assert summary.envelopes_sent > 0
    assert root.value("SELECT 1 FROM household WHERE number = '5'")
    assert summary.waiting_rows == 0
    root.stop()
    with pytest.raises(ParentUnreachable) as caught:
        once.sync_once(opened)
    assert caught.value.exit_code == 75


def test_parent_with_another_certificate_is_not_believed(nodes: Nodes, tmp_path: Path) -> None:
    """Another tree's root answers at the parent's address."""
    root = nodes.root()
    commune = nodes.joined(root, "01")
    listen = root.address.removeprefix("https://")
    root.stop()
    other = TestNode(tmp_path / "other")
    nodes.all.append(other)
    enrolment.init_root(other.directory, ROOT_UNIT, Config(listen=listen))
    other.start()
    with pytest.raises(WrongPeer, match="does not lead to our root"):
        once.sync_once(commune.opened())


def test_certificate_that_is_not_valid_yet_speaks_of_the_clock(nodes: Nodes, tmp_path: Path) -> None:
    """The root's certificates were made by a clock far ahead: at a station whose clock is right, or behind, they begin
    later.
    """
    ahead = TestNode(tmp_path / "ahead")
    nodes.all.append(ahead)
    later_ms = time.time_ns() // 1_000_000 + 40 * 86_400_000
    enrolment.init_root(ahead.directory, ROOT_UNIT, Config(listen="127.0.0.1:0"), clock=lambda: later_ms)
    nodes._units(ahead)
    ahead.start()
    with pytest.raises(WrongPeer, match=r"not valid yet.*clock"):
        nodes.joined(ahead, "01")


def test_idle_daemons_write_nothing(nodes: Nodes) -> None:
    root = nodes.root(checkpoint_after_s=0.2)
    commune = nodes.joined(root, "01", checkpoint_after_s=0.2)
    commune.start()
    until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    commune.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")
    until(
        lambda: commune.value(
            "SELECT min(custodian_seq = held_seq AND checkpoint_seq > 0) FROM syncd_stream WHERE own = 1"
        ),
        "everything settled",
    )

    def written() -> list[object]:
        found: list[object] = []
        for node in (root, commune):
            assert node.process is not None
            io = Path(f"/proc/{node.process.pid}/io").read_text()
            found += [line for line in io.splitlines() if line.startswith("write_bytes")]
            found += sorted(
                (path.name, path.stat().st_mtime_ns) for path in node.directory.iterdir() if path.suffix != ".db-shm"
            )
        return found

    def is_still() -> bool:
        before = written()
        assert commune.process is not None
        with pytest.raises(subprocess.TimeoutExpired):  # the stretch of time that is examined: the daemon lives on
            commune.process.wait(IDLE_S)
        return written() == before

    until(is_still, f"a stretch of {IDLE_S} s in which nothing is written", 3 * IDLE_S)


def test_killed_at_every_commit_boundary_of_writing_the_row_arrives_once(nodes: Nodes) -> None:
    root = nodes.root()
    commune = keeping(nodes, root)
    commune.stop()
    for number, point in enumerate(
        ("sequence-close:before-commit", "sequence-close:after-commit", "push:before-send", "push:after-reply"), 1
    ):
        stages = commune.directory.with_name("stages")
        commune.sql("INSERT INTO household (number, kind) VALUES (?, 'family')", str(number))
        code, _ = finished(commune, SYNCD_FAILPOINT=point, SYNCD_STAGE_FILE=str(stages))
        assert code == -signal.SIGKILL, commune.log
        assert point in read_stages(stages).values()
    commune.start()
    until(lambda: root.value("SELECT count(*) FROM household") == 4, "every row is at the root, once")


@pytest.mark.parametrize("line", ['log_level = "loud"', "keep_days = 4000", 'prune = "x"'])
def test_wrong_settings_at_a_reload_change_nothing(nodes: Nodes, line: str) -> None:
    root = nodes.root()
    path = root.directory / "syncd.toml"
    good = path.read_text()
    path.write_text(f"{good}{line}\n")
    assert root.process is not None
    root.process.send_signal(signal.SIGHUP)
    until(lambda: "reload-failed" in root.log, "the reload is refused")
    path.write_text(good + 'log_level = "debug"\n')
    root.process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in root.log.replace("reload-failed", ""), "the settings are taken over")
    assert root.stop() == 0


def test_missing_trigger_is_put_back_with_a_case(nodes: Nodes) -> None:
    root = nodes.root()
    root.stop()
    with root.opened().store.apply("damage") as tx:
        name = tx.value("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'unit' LIMIT 1")
        tx.run(f"DROP TRIGGER {name}")
    root.start()
    assert root.value("SELECT 1 FROM sqlite_master WHERE name = ?", name)
    assert root.value("SELECT count(*) FROM syncd_case WHERE detail LIKE '%triggers%'") == 1


def resident_mb(at: TestNode) -> float:
    assert at.process is not None
    status = Path(f"/proc/{at.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def test_station_daemon_stays_small(nodes: Nodes) -> None:
    root = nodes.root()
    commune = nodes.joined(root, "01")
    commune.is_forked = False
    commune.start()
    assert commune.process is not None
    until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    until(lambda: resident_mb(commune) <= 60, "what joining took is given back")
    maps = Path(f"/proc/{commune.process.pid}/maps").read_text()
    assert "psycopg" not in maps


def test_station_daemon_loads_no_server_and_no_sqlalchemy(tmp_path: Path) -> None:
    heavy = ("starlette", "uvicorn", "sqlalchemy", "alembic", "psycopg", "cryptography.x509", "rich", "sqlite3")
    script = f"import sys, syncd.daemon; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=END_S_MAX, env=os.environ
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_database_is_encrypted_unless_told_otherwise(tmp_path: Path) -> None:
    enrolment.init_root(tmp_path / "closed", ROOT_UNIT, Config())
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "closed" / "syncd.db").execute("SELECT * FROM unit")
    enrolment.init_root(tmp_path / "open", ROOT_UNIT, Config(encrypted=False))
    plain = sqlite3.connect(tmp_path / "open" / "syncd.db")
    assert plain.execute("SELECT code FROM unit").fetchall() == [("42",)]
    plain.close()
    opened = open_node(tmp_path / "open")
    assert opened.node.is_root
    opened.close()
