"""No process outlives the run that started it, however that ends.

Enters: the process of pytest. Leaves: a guard that ends, by their number, the processes which bear this run's mark in
their environment, once pytest is gone without a word (SIGKILL). Must hold: only processes of this very run are ended;
servers of PostgreSQL have a guard of their own, which lets them end in order.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

MARK = "TEST_RUN_OF_THIS_PROCESS"  # inherited by whatever a test starts
# Twice: while the first look went on, another may have been started.
GUARD = """
read -r word && exit 0
for look in 1 2; do
  for process in /proc/[0-9]*; do
    grep -qsF "$1" "$process/environ" || continue
    case "$(cat "$process/comm" 2>/dev/null)" in postgres*) continue ;; esac
    kill -KILL "${process#/proc/}" 2>/dev/null
  done
  sleep 1
done
"""


def watch() -> subprocess.Popen[bytes] | None:
    """Mark this process and start the guard; None on a system without /proc."""
    if not sys.platform.startswith("linux"):
        return None
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    os.environ[MARK] = str(uuid.uuid4())
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "syncd-test-guard", f"{MARK}={os.environ[MARK]}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=unmarked,
        start_new_session=True,  # what ends the whole group of this process must not end the guard
    )


def leave(guard: subprocess.Popen[bytes]) -> None:
    """The run has ended in order: each test has ended what it started."""
    guard.communicate(b"ended\n")
