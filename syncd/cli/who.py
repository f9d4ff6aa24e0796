"""Who gives a command, as far as the operating system knows.

Enters: nothing. Leaves: a name that stands in orders and proposals.
"""

from __future__ import annotations

import getpass


def author() -> str:
    """The name the operator is logged in under."""
    return getpass.getuser()
