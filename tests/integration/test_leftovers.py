"""A run of tests that is killed leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the guard reads /proc")
@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path, workers: list[str]) -> None:
    told = tmp_path / "pid"
    test = tmp_path / "test_starting.py"
    test.write_text(STARTING.format(told=str(told)))
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
