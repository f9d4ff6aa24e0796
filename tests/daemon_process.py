"""`python -m tests.daemon_process DIR`: a node's daemon as a process, without the command line around it."""

from __future__ import annotations

import sys
from pathlib import Path

from syncd import daemon
from syncd.errors import SyncdError

if __name__ == "__main__":
    try:
        sys.exit(daemon.run(Path(sys.argv[1])))
    except SyncdError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
