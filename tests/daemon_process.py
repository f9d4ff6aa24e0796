"""`python -m tests.daemon_process DIR`: a node's daemon as a process, without the command line around it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from syncd import daemon, limits
from syncd.errors import SyncdError

if __name__ == "__main__":
    if "UPKEEP_FIRST_S" in os.environ:  # a test does not wait ten minutes
        limits.UPKEEP_FIRST_S = float(os.environ["UPKEEP_FIRST_S"])  # type: ignore[misc]
        limits.UPKEEP_SPREAD_S = 0.0  # type: ignore[misc]
    try:
        sys.exit(daemon.run(Path(sys.argv[1])))
    except SyncdError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
