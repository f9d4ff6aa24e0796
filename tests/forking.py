"""Processes of the program, forked from one that has it loaded: the same processes, half a second sooner each.

Enters: a module with arguments, an environment, standard streams. Leaves: what `subprocess` would give. Must hold: each
is a process of its own, which is signalled, killed and waited for by its number; one server per process of tests.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
REQUEST_SIZE_MAX = 1 << 20
NUMBER = struct.Struct("!i")
_guard = threading.Lock()
_server: list[socket.socket] = []


class Forked:
    """A running process; the part of `subprocess.Popen` that tests use."""

    def __init__(self, arguments: Sequence[str], answer: socket.socket) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        self._answer = answer
        self.pid = self._number()

    def poll(self) -> int | None:
        """Its exit code, once it has ended; -9 when it was killed."""
        if self.returncode is None and select.select([self._answer], [], [], 0)[0]:
            self._take()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._answer], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._take()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _take(self) -> None:
        self.returncode = self._number()
        self._answer.close()

    def _number(self) -> int:
        word = self._answer.recv(NUMBER.size, socket.MSG_WAITALL)
        if not word:
            raise AssertionError("the server that forks processes for tests has ended")
        return int(NUMBER.unpack(word)[0])


def start(
    module: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    stdout: IO[Any] | int,
    stderr: IO[Any] | int,
    cwd: Path = ROOT,
) -> Forked:
    """`python -m MODULE ARGUMENTS` with nothing on its standard input."""
    ours, theirs = socket.socketpair()
    request = json.dumps({"module": module, "arguments": list(arguments), "env": dict(env), "cwd": str(cwd)})
    with theirs, open(os.devnull, "rb") as nothing, _guard:
        streams = [each if isinstance(each, int) else each.fileno() for each in (nothing, stdout, stderr)]
        socket.send_fds(_connected(), [request.encode()], [*streams, theirs.fileno()])
    return Forked([sys.executable, "-m", module, *arguments], ours)


def run(
    module: str, *arguments: str, env: Mapping[str, str], timeout: float, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """One command, waited for; what it wrote as text."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(module, arguments, env, stdout=stdout, stderr=stderr, cwd=cwd)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        written = [_text(each) for each in (stdout, stderr)]
    return subprocess.CompletedProcess(process.args, code, *written)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _connected() -> socket.socket:
    """To the server, started at first use; it ends when this process does."""
    if not _server:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST_SIZE_MAX)
        with theirs:
            server = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        _server.append(ours)
        atexit.register(_end, server)
    return _server[0]


def _end(server: subprocess.Popen[bytes]) -> None:
    _server.pop().close()
    server.wait()
