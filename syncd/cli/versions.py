"""Which syncd this is, which one runs, and where the node is: `syncd --version`, and a line of `status`.

Enters: the node's directory, what its running daemon says of itself. Leaves: lines, or facts for JSON. Must hold: it
never fails, whatever lies there and whoever asks; where there is no node, nothing but the version is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncd import __version__


def told_version() -> None:
    """The same, told to the end: raises OSError where it cannot be written."""
    if sys.stdout is None:
        return
    getattr(sys.stdout, "reconfigure", lambda **_: None)(errors="replace")
    print_version()
    sys.stdout.flush()


def print_version() -> None:
    """`syncd 0.1.0`; where a node is, also its directory and the version that runs there."""
    print(f"syncd {__version__}")
    from syncd.cli.place import is_of_a_node, meant

    directory = meant(None)
    if not is_of_a_node(directory):
        return
    from syncd.control import ask

    print(whereabouts(directory, ask(directory)))


def facts(directory: Path, live: Mapping[str, Any] | None) -> dict[str, str | None]:
    """For JSON. `running_version`: None where none runs."""
    return {
        "directory": str(directory.absolute()),
        "version": __version__,
        "running_version": None if live is None else str(live.get("version", "")),
    }


def whereabouts(directory: Path, live: Mapping[str, Any] | None) -> str:
    """The node's directory and the version that runs, with what to do where another one is installed."""
    from syncd.language import say
    from syncd.text import escaped

    place = escaped.line(str(directory.absolute()))
    if live is None:
        return say("thư mục {place} · syncd {version}", "directory {place} · syncd {version}", place=place,
                   version=__version__)  # fmt: skip
    running = escaped.line(str(live.get("version", "")))
    if running == __version__:
        return say("thư mục {place} · đang chạy syncd {version}", "directory {place} · syncd {version} runs",
                   place=place, version=running)  # fmt: skip
    return say(
        "thư mục {place} · đang chạy syncd {running}, đã cài {version}: khởi động lại để dùng bản đã cài",
        "directory {place} · syncd {running} runs, {version} is installed: restart it to use the installed one",
        place=place,
        running=running,
        version=__version__,
    )
