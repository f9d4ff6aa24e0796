"""A run of tests that is killed leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leftovers import MARK
from tests.waiting import until

ROOT = Path(__file__).parents[2]
# A process in a session of its own, as daemons are: neither a signal to the group nor a closed terminal reaches it.
STARTING = """
import subprocess, sys
from pathlib import Path

def test_starts_a_process(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    Path({told!r}).write_text(str(child.pid))
    child.wait()
"""
SERVING_TESTS = """
import time
from pathlib import Path
import psycopg
from tests.postgres import open_server

def test_has_a_server():
    with open_server() as server, psycopg.connect(server.admin_dsn) as connection:
        data = Path(connection.execute("SHOW data_directory").fetchone()[0])
        Path({told!r}).write_text((data / "postmaster.pid").read_text().split()[0])
        time.sleep(600)
"""

# A run that has only just started a server: it is killed before the server has written down its number, which comes to
# a stand until the guard has found that out.
SERVING = """
import os, signal
from tests.memory import in_memory
from tests.postgres import SCRATCH_IN, Cluster, _spawn
from tests.postgres_binaries import find_binaries

of = Cluster(find_binaries(), None, {}, in_memory() or SCRATCH_IN)
server = _spawn(of._folder, of.data_dir, of._scratch, of._account, {})
server.send_signal(signal.SIGSTOP)
assert not (of.data_dir / "postmaster.pid").exists()
print(server.pid, of._guard.pid, of._scratch, of._data_scratch, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the guard reads /proc")
@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["", "worker"])
@pytest.mark.parametrize("content", [STARTING, SERVING_TESTS], ids=["process", "server"])
def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path, content: str, workers: list[str]) -> None:
    told = tmp_path / "pid"
    test = tmp_path / "test_starting.py"
    test.write_text(content.format(told=str(told)))
    options = ["-q", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", *workers]
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, str(test)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        pid = int(until(lambda: told.read_text() if told.exists() else None, "the test has started a process"))
        assert _lives(pid)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    until(lambda: not _lives(pid), "the process has ended")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_server_that_was_only_starting_when_its_run_was_killed_is_ended_too() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SERVING],
        cwd=ROOT, env={**os.environ, MARK: "of-the-run"}, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == -signal.SIGKILL
    pid, guard, *folders = run.stdout.split()
    children = Path(f"/proc/{guard}/task/{guard}/children")
    try:
        assert MARK not in Path(f"/proc/{guard}/environ").read_text(), "it would be ended with what the run has left"
        until(lambda: not _lives(int(guard)) or children.read_text(), "the guard waits, or has given up")
        os.kill(int(pid), signal.SIGCONT)
        until(lambda: not _lives(int(pid)), "the server has ended")
        until(lambda: not any(Path(each).exists() for each in folders), "its folders are gone")
    finally:
        if _lives(int(pid)):
            os.kill(int(pid), signal.SIGKILL)
