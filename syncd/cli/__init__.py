"""The command line: one verb per file, loaded when it is called.

Enters: arguments. Leaves: results on stdout, logs and errors on stderr, an exit code (`syncd/errors.py`).
Must hold: an error is printed once, with what to do about it; `syncd --version` loads next to
nothing.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        from syncd.cli.versions import told_version

        try:
            told_version()
        except OSError as error:
            from syncd.cli.program import untold

            return untold(error)
        return 0
    if sys.argv[1:2] == ["run"]:
        from syncd.system import hear_signals

        hear_signals()  # before all that a daemon loads
    from syncd.cli.program import run

    return run(sys.argv[1:])
