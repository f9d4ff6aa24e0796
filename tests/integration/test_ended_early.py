"""A daemon that is told to end before it has begun: whatever it is at, it ends with 0; HUP is no end.

The moment is no matter of luck: an audit hook sends the signal when the process imports, opens or binds something.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from syncd import enrolment
from syncd.config import Config
from tests.nodes import END_S_MAX, LISTEN, ROOT_UNIT

PROGRAM = """
import os, signal, sys
wanted = {(event, part): int(number) for event, part, number in (each.split("=") for each in sys.argv[2].split(","))}

def hook(event, values):
    for key in [key for key in tuple(wanted) if key[0] == event and (not key[1] or key[1] in str(values[0]))]:
        number = wanted.pop(key, None)  # another thread may be here too
        if number is not None:
            os.kill(os.getpid(), number)

sys.addaudithook(hook)
sys.argv = ["syncd", "run", "--dir", sys.argv[1]]
from syncd.cli import main
sys.exit(main())
"""
MOMENTS = [
    "import=syncd.cli.program", "import=syncd.cli.place", "import=syncd.daemon", "import=sqlcipher3",
    "import=cryptography", "open=daemon.lock", "open=signing.key", "import=syncd.net.server", "socket.bind=",
    "open=daemon.json", "open=.daemon.json.new",
]  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("early") / "n"
    enrolment.init_root(path, ROOT_UNIT, Config(listen=LISTEN))
    return path


def run(directory: Path, moments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), moments],
        capture_output=True, text=True, timeout=END_S_MAX, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_daemon_told_to_end_before_it_runs_ends_with_zero(directory: Path, moment: str) -> None:
    done = run(directory, f"{moment}=15")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert not (directory / "daemon.json").exists(), "nobody takes it for running"


def test_interrupted_while_it_loads_it_ends_with_zero_too(directory: Path) -> None:
    assert run(directory, "import=syncd.daemon=2").returncode == 0


def test_settings_asked_for_while_it_loads_are_no_end(directory: Path) -> None:
    done = run(directory, "import=syncd.daemon=1,open=.daemon.json.new=15")
    assert done.returncode == 0, done.stderr
    assert " reloaded" in done.stderr or " stopped" in done.stderr
