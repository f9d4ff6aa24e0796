"""A node's daemon as a process of its own: started, ended by its own number, the end of its log.

Enters: a node's directory. Leaves: a running `syncd run`. Must hold: settings meant for another node never reach it;
what was started can always be ended, by force when it does not go.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

LOG_FILE = "daemon.log"


def run(directory: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the daemon; returns at once. It logs into the node's directory."""
    with (directory / LOG_FILE).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "syncd", "run", "--dir", str(directory.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory.parent,  # not where a folder of the name of one of our packages may lie
            env=environment,
        )


def end(process: subprocess.Popen[bytes], within_s: float) -> None:
    """End it in good order; by force when it does not go."""
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(within_s)


def clean_environment(kept: Collection[str] = ()) -> dict[str, str]:
    """This process's, without settings meant for another node. `kept`: names of ours that stay."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SYNCD_") or key in kept}


def log_tail(directory: Path, lines_max: int) -> str:
    """The last lines the daemon wrote."""
    lines = (directory / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-lines_max:])
