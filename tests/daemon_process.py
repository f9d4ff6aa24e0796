"""`python -m tests.daemon_process DIR`: a node's daemon as a process, without the command line around it."""

from __future__ import annotations

import os
import resource
import sys
import time
from functools import partial
from pathlib import Path

from syncd import daemon, failpoint, limits
from syncd.errors import SyncdError
from tests import opens
from tests.bounds import bounded_by


def hang(place: str, file: Path, point: str) -> None:
    """At that point, for as long as the file is there."""
    while point == place and file.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    if "OPENS_FILE" in os.environ:
        opens.record(Path(os.environ["OPENS_FILE"]))
    if "UPKEEP_FIRST_S" in os.environ:  # a test does not wait ten minutes
        limits.UPKEEP_FIRST_S = float(os.environ["UPKEEP_FIRST_S"])  # type: ignore[misc]
        limits.UPKEEP_SPREAD_S = 0.0  # type: ignore[misc]
    bounded_by(os.environ)
    for name, at in (("DESCRIPTORS_SOFT", 0), ("DESCRIPTORS", 1)):  # a machine that allows few
        if name in os.environ:
            soft, hard = int(os.environ[name]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft if at else hard))
    if "HANGS_WHILE" in os.environ:  # a worker that is stuck at a place nobody thought of, while that file is there
        place, file = os.environ["HANGS_WHILE"].split("=")
        setattr(failpoint, "from_environment", lambda _environment: partial(hang, place, Path(file)))  # noqa: B010
    try:
        sys.exit(daemon.run(Path(sys.argv[1])))
    except SyncdError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
