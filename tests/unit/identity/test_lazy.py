"""Matching's library is loaded when something is matched, not when a daemon starts or a link is shown."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import syncd.daemon, syncd.pipeline, syncd.cli.identity, syncd.identity.index, syncd.identity.links
import syncd.identity.moves, syncd.identity.words
sys.exit("rapidfuzz" in sys.modules)
"""


def test_nothing_but_matching_loads_rapidfuzz() -> None:
    assert subprocess.run([sys.executable, "-c", CODE], check=False, timeout=300).returncode == 0
