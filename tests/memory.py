"""Where tests put their files: in memory where the machine has room for it, else wherever temporary files go.

Enters: the environment. Leaves: a folder, or None. Must hold: fsync is called as ever, only there is no disk to wait
for; what survives SIGKILL survives it here too. Databases of PostgreSQL, 300 files each, gain most: ext4 searches long
for inodes that were not freed within the last seconds.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
FREE_BYTES_MIN = 4 << 30  # a run takes less than a quarter of it


def in_memory() -> Path | None:
    """The machine's folder in memory; None when it has none, when it is small, or when the caller named a folder."""
    if os.environ.get("TMPDIR") or not os.access(SHARED_MEMORY, os.W_OK):
        return None
    return SHARED_MEMORY if shutil.disk_usage(SHARED_MEMORY).free >= FREE_BYTES_MIN else None
