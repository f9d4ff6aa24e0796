"""The service manager's watchdog: fed while the daemon waits for work, not while a worker is stuck, again when it goes
on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.store.sqlite import SqliteStore
from tests import forking
from tests.schema_builders import REGISTRY
from tests.waiting import WAIT_S_MAX, until

SIGN = b"WATCHDOG=1"
SILENCE_S = 0.6  # the daemon's own interval is a tenth of a second


@pytest.fixture
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    path = tmp_path_factory.mktemp("n") / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(path))
        yield made


def hear(supervisor: socket.socket, signs: int) -> None:
    supervisor.settimeout(WAIT_S_MAX)
    while signs:
        signs -= supervisor.recv(4096) == SIGN


def is_silent(supervisor: socket.socket) -> bool:
    """What had been said before is left out."""
    supervisor.setblocking(False)
    try:
        while True:
            supervisor.recv(4096)
    except BlockingIOError:
        supervisor.settimeout(SILENCE_S)
    try:
        supervisor.recv(4096)
    except TimeoutError:
        return True
    return False


def test_a_stuck_worker_ends_the_feeding_and_one_that_waits_does_not(supervisor: socket.socket, tmp_path: Path) -> None:
    directory, hangs, log = tmp_path / "xa", tmp_path / "hangs", tmp_path / "log"
    init_root(directory, Unit(code="42", name="Xã", level="commune"), Config(encrypted=False))
    environment = {
        **os.environ, "NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "200000", "LIMITS": "BUSY_S_MAX=0.5",
        "HANGS_WHILE": f"sequence-close:begin={hangs}",
    }  # fmt: skip
    with log.open("w") as stderr:
        daemon = forking.start("tests.daemon_process", [str(directory)], environment, stdout=stderr, stderr=stderr)
        try:
            hear(supervisor, 10)  # a second: longer than a worker that does nothing but wait may be without a step
            hangs.touch()
            store = SqliteStore(directory / "syncd.db", REGISTRY)
            with store.write("test") as tx:
                tx.run("UPDATE unit SET name = 'Xã khác'")
            store.close()
            until(lambda: "stuck" in log.read_text() and is_silent(supervisor), "the feeding ends")
            assert "worker=writer" in log.read_text()
            assert "sequence.py:" in log.read_text()
            hangs.unlink()
            hear(supervisor, 2)
            daemon.terminate()
            assert daemon.wait(WAIT_S_MAX) == 0
        finally:
            daemon.kill()
            daemon.wait()
