"""Who opens a node's database beside the library that has it open: told by Python's own audit events.

`python -m tests.opens FILE LINE...`: runs verbs in one process, each line one command line. Enters: a file to write to.
Leaves: a line for each time the process has opened a database or its log by anything but sqlcipher3, which raises no
such events; `ran VERB CODE` for each verb. Must hold: the hook itself opens nothing.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

DATABASE = "syncd.db"


def record(report: Path) -> int:
    """From now on note in `report` what this process opens of a database; the descriptor to write to."""
    descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(name: str, values: tuple[Any, ...]) -> None:
        is_file = name == "open" and isinstance(values[0], str | bytes | os.PathLike)
        if is_file and Path(os.fsdecode(values[0])).name.startswith(DATABASE):
            os.write(descriptor, f"opened {os.fsdecode(values[0])}\n".encode())
        elif name == "sqlite3.connect" and values[0] != ":memory:":
            os.write(descriptor, f"another SQLite {values[0]}\n".encode())

    sys.addaudithook(hook)
    return descriptor


if __name__ == "__main__":
    noted = record(Path(sys.argv[1]))
    from syncd.cli.program import run

    for line in sys.argv[2:]:
        code = run(shlex.split(line))
        os.write(noted, f"ran {line.split()[0]} {code}\n".encode())
