"""`python -m tests.fork_server FD`: has the program loaded, and forks a process from itself for each that is asked for.

Enters: over the socket, what to run (module, arguments, environment, directory) and its standard streams. Leaves: a
process that runs the module as `python -m` does, and its exit code when it has ended. Must hold: one thread, nothing
opened, so that a fork takes along no lock and no connection; it ends with the one that started it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

from tests.bounds import bounded_by
from tests.forking import NUMBER, REQUEST_SIZE_MAX

PACKAGES = ("syncd", "schema", "conflict")
FURTHER = ("sqlalchemy.dialects.postgresql.psycopg", "sqlcipher3.dbapi2", "psycopg", "uvicorn.protocols.http.h11_impl")
STREAMS = 3


def load() -> None:
    """What any of the program's processes may import: each would need half a second of its own."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.endswith("__main__") and ".migrations" not in found.name:
                importlib.import_module(found.name)
    for name in FURTHER:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork would take along the locks of the other threads"
    gc.freeze()


def serve(asked: socket.socket) -> None:
    """Until whoever asks has gone. Each request carries a socket to which the exit code goes."""
    woken, wake = socket.socketpair()
    for each in (woken, wake):
        each.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    awaited: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _tell_ended(awaited)
            if asked in ready:
                body, descriptors, _, _ = socket.recv_fds(asked, REQUEST_SIZE_MAX, STREAMS + 1)
                if not body:
                    return
                answer = socket.socket(fileno=descriptors.pop())
                pid = os.fork()
                if pid == 0:
                    _run(json.loads(body), descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                answer.sendall(NUMBER.pack(pid))
                awaited[pid] = answer


def _tell_ended(awaited: dict[int, socket.socket]) -> None:
    while awaited:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with awaited.pop(pid) as answer, contextlib.suppress(BrokenPipeError):
            answer.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _run(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """In the new process: what the interpreter does around `-m`."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(STREAMS, max(map(int, os.listdir("/proc/self/fd"))) + 1)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(each, mode) for each, mode in ((0, "r"), (1, "w"), (2, "w")))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv[1:] = request["arguments"]
    bounded_by(os.environ)
    code = _exit_code(request["module"])
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for written in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            written.flush()
    os._exit(code)


def _exit_code(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            return int(ended.code or 0) & 0xFF
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:  # what the interpreter would print and end with
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.stdin = io.StringIO()
    load()
    with socket.socket(fileno=int(sys.argv[1])) as from_test:
        serve(from_test)
