"""Is the program alone in its environment? `schema` and `conflict` are names of other projects too.

Enters: where Python would take our packages from. Leaves: nothing, or an error that names the place. Must hold: no
stranger's code is run to find out; asked before any verb is loaded.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import syncd
from syncd.errors import ConfigError
from syncd.language import say

OURS = ("schema", "conflict")


def require_own_packages() -> None:
    """Raises ConfigError where another distribution's package would be taken for one of ours."""
    home = os.path.dirname(os.path.dirname(os.path.realpath(syncd.__file__)))
    for name in OURS:
        spec = find_spec(name)
        found = (
            "" if spec is None else os.path.realpath(spec.origin or next(iter(spec.submodule_search_locations or [""])))
        )
        if found != os.path.join(home, name, "__init__.py"):
            raise ConfigError(
                say(
                    "gói {name} của syncd bị gói khác che mất: {place}",
                    "another package stands before syncd's own {name}: {place}",
                    name=name,
                    place=found or say("không có", "none"),
                ),
                say(
                    "cài syncd vào môi trường riêng (deploy/install.sh), hoặc chạy bằng `python -I -m syncd`; bỏ"
                    " PYTHONPATH",
                    "install syncd into an environment of its own (deploy/install.sh), or call it by `python -I -m"
                    " syncd`; unset PYTHONPATH",
                ),
            )
