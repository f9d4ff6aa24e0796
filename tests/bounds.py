"""Bounds of the program in a process of a test: it does not wait for what is meant for slow lines and patient clerks.

Enters: `LIMITS="NAME=1.5 OTHER=2"` of an environment. Leaves: `syncd.limits` with these values. Must hold: a name that
is no bound ends the process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from syncd import limits


def bounded_by(environment: Mapping[str, str]) -> None:
    for setting in environment.get("LIMITS", "").split():
        name, value = setting.split("=")
        if not hasattr(limits, name):
            sys.exit(f"no limit is called {name}")
        setattr(limits, name, float(value))
