"""`syncd status`: one screen, one JSON document, or one line for monitoring.

Enters: the node's tables and, when it runs, its daemon. Leaves: text; with --check an exit code 0, 1, 2 or 3 as Nagios
reads it. Must hold: quick (no stages, no SQLAlchemy); a database that cannot be read is 3, unknown, never fine.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from syncd.cli.output import emit, emit_json, plain
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.errors import SyncdError
from syncd.language import Both, say
from syncd.text import escaped

UNKNOWN = 3
LIVE_FACTS = ("last_success_at", "last_attempt_at", "clock_offset_ms", "waiting_rows", "open_cases")
CHECK_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@verb(
    Both(
        "Trạng thái của máy trên một màn hình.\n\n--check in một dòng cho giám sát; mã thoát 0 tốt, 1 cảnh báo, 2 "
        "nghiêm trọng, 3 không rõ.",
        "The node on one screen.\n\n--check prints one line for monitoring; exit 0 fine, 1 warning, 2 critical, 3 "
        "unknown.",
    ),
    "syncd status",
    "syncd status --check --dir /var/lib/syncd",
)
@option(
    "--check", is_flag=True, vi="Một dòng và mã thoát kiểu Nagios.", en="One line and an exit code, as Nagios has it."
)
@directory_option
@json_option
def command(check: bool, directory: Path | None, as_json: bool) -> int:
    if not check:
        found, live = _read(directory)
        _show(found, live, as_json)
        return 0
    try:
        found, live = _read(directory)
    except SyncdError as error:
        emit(f"SYNCD {CHECK_WORDS[UNKNOWN]} - {escaped.line(str(error))}")
        return UNKNOWN
    return _check(found, live)


def _read(directory: Path | None) -> tuple[Any, dict[str, Any] | None]:
    from dataclasses import replace

    from syncd.cli.place import node_directory, opened_store
    from syncd.control import ask
    from syncd.positions import HighWater
    from syncd.status import status
    from syncd.store.files import linked

    place = node_directory(directory)
    with opened_store(directory) as store, store.read() as tx:
        found = replace(status(tx), is_older_copy=bool(HighWater(place).behind(tx)))
        live = ask(place)
        trouble, rescued = _trouble(place, live)
        at_hand = replace(with_live(found, live), trouble=trouble, rescued=rescued)
        return replace(at_hand, linked=linked(store.held_files())), live


def _trouble(place: Path, live: dict[str, Any] | None) -> tuple[str | None, str | None]:
    """Why the last daemon ended by itself and what it rescued, or that the one that runs works on files that lie here
    no longer."""
    from syncd.control import last_end
    from syncd.store.files import first_stranger

    if live is None:
        return last_end(place)
    found = first_stranger(live.get("files", {}))
    return (None if found is None else found.english), None


def with_live(found: Any, live: dict[str, Any] | None) -> Any:
    """The status with what only the running daemon knows: an idle daemon exchanges without writing."""
    from dataclasses import replace

    seen = {} if live is None else live.get("peers", {})
    if not seen:
        return found

    def newer(peer: Any) -> Any:
        now = seen.get(peer.node_id)
        if now is None:
            return peer
        facts = {name: now[name] for name in LIVE_FACTS if now.get(name) is not None}
        return replace(peer, **facts, last_error=now.get("last_error"))

    return replace(
        found,
        parent=None if found.parent is None else newer(found.parent),
        children=tuple(newer(child) for child in found.children),
    )


def _show(found: Any, live: dict[str, Any] | None, as_json: bool) -> None:
    if as_json:
        emit_json({"daemon": live, **plain(found)})
        return
    from syncd.cli.status_text import screen

    emit(screen(escaped.tree(found), escaped.tree(live), time.time_ns() // 1_000_000))


def _check(found: Any, live: dict[str, Any] | None) -> int:
    from syncd.cli.status_text import verdict

    code, reasons = verdict(escaped.tree(found), escaped.tree(live), time.time_ns() // 1_000_000)
    own = found.own
    words = "; ".join(reasons) or say("mọi việc bình thường", "everything is fine")
    words = words.replace("|", "¦")  # what follows a bar is read as figures
    emit(
        f"SYNCD {CHECK_WORDS[code]} - {words} | waiting={own.waiting} at_parent={own.at_parent} "
        f"reviews={found.reviews} cases={found.cases}"
    )
    return code
