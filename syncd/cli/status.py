"""`syncd status`: one screen, one JSON document, or one line for monitoring.

Enters: the node's tables and, when it runs, its daemon. Leaves: text; with --check an exit code 0, 1, 2 or 3 as Nagios
reads it. Must hold: quick (no stages, no SQLAlchemy); with --check one line and one of these codes whatever happens; a
node that cannot be examined is never fine: a database that is down, missing or
damaged is critical, and so is a key; all else unknown.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from syncd.cli.output import emit, emit_json, plain
from syncd.cli.place import node_directory
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.cli.versions import facts, whereabouts
from syncd.errors import SyncdError
from syncd.language import Both, say
from syncd.text import escaped

CRITICAL, UNKNOWN = 2, 3
LIVE_FACTS = (
    "last_success_at", "last_attempt_at", "clock_offset_ms", "waiting_rows", "open_cases", "success_age_s", "failing_s",
)  # fmt: skip
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
@option(
    "--children",
    "wanted",
    default=None,
    metavar="WHICH",
    vi="Đơn vị trực thuộc nào: all, late (im lặng), hoặc một phần mã, tên.",
    en="Which children: all, late (silent), or a part of a code or name.",
)
@directory_option
@json_option
def command(check: bool, wanted: str | None, directory: Path | None, as_json: bool) -> int:
    if not check:
        found, live = _read(directory)
        _show(found, live, as_json, wanted, node_directory(directory))
        return 0
    try:
        return _check(*_read(directory))
    except Exception as error:  # whatever it is: monitoring reads one line and a code
        return unknown(error)


def unknown(error: Exception) -> int:
    """The line for a node that cannot be examined: critical where it cannot work either, else unknown."""
    from syncd.cli.reasons import told_once
    from syncd.errors import DatabaseUnreachable, DatabaseUnusable, DiskFull, KeyFileError, StoreError
    from syncd.node.barriers import unforeseen
    from syncd.system import translate_os_error

    ours = error if isinstance(error, SyncdError) else unforeseen(error)
    if isinstance(error, OSError):
        place = error.filename or "?"
        ours = translate_os_error(error, say("không xem được {path}", "cannot examine {path}", path=place))
    broken = DatabaseUnreachable | DatabaseUnusable | DiskFull | KeyFileError | StoreError
    code = CRITICAL if isinstance(ours, broken) else UNKNOWN
    _line(code, told_once(ours))
    return code


def unknown_line(words: str) -> int:
    """The line where not even the question makes sense."""
    _line(UNKNOWN, words)
    return UNKNOWN


def _line(code: int, words: str, figures: str = "") -> None:
    """One line, whatever the words hold; what follows a bar is read as figures."""
    text = escaped.line(" ".join(words.split())).replace("|", "¦")
    emit(f"SYNCD {CHECK_WORDS[code]} - {text}{figures}")


def _read(directory: Path | None) -> tuple[Any, dict[str, Any] | None]:
    from dataclasses import replace

    from syncd.cli.place import config_of, opened_store
    from syncd.control import asked
    from syncd.node.machine import machine
    from syncd.positions import UNREADABLE, HighWater
    from syncd.status import status
    from syncd.store.files import linked

    place = node_directory(directory)
    config = config_of(place)
    with opened_store(directory) as store, store.read() as tx:
        behind = HighWater(place).behind(tx)
        is_lost = behind == [UNREADABLE]
        found = replace(status(tx), is_older_copy=bool(behind) and not is_lost, is_mark_unreadable=is_lost)
        made_at = tx.value("SELECT value FROM syncd_meta WHERE key = 'created_at'")
        live, is_silent = asked(place)
        trouble, rescued = _trouble(place, live)
        found = replace(with_live(found, live), trouble=trouble, rescued=rescued, silent=_silent(tx, live))
        found = replace(found, linked=linked(store.held_files()))
        of_machine = machine(place, is_sqlite=config.is_sqlite)
        return replace(
            found, is_silent=is_silent, created_at=made_at, bounds=config.bounds, machine=of_machine
        ), live  # fmt: skip


def _silent(tx: Any, live: dict[str, Any] | None) -> tuple[Any, ...]:
    """Nodes further below that are silent, by the names they have here; children themselves stand in their table."""
    from syncd.limits import SILENT_MAX
    from syncd.status import Silent, unit_words

    told = {
        str(node_id): (child, float(for_s))
        for child, peer in ((live or {}).get("peers") or {}).items()
        for node_id, for_s in peer.get("silent") or ()
    }
    if not told:
        return ()
    known = {
        row[0]: unit_words(row[2], row[3]) or row[1]
        for row in tx.all(
            "SELECT CAST(n.node_id AS text), max(n.name), max(u.code), max(u.name) FROM node AS n"
            " LEFT JOIN unit AS u ON u.id = n.home_unit_id GROUP BY n.node_id"
        )
    }
    found = [
        Silent(node_id=node_id, name=known[node_id], via=known.get(child, child[-8:]), for_s=for_s)
        for node_id, (child, for_s) in told.items()
        if node_id in known
    ]
    return tuple(sorted(found, key=lambda each: (each.for_s > 0, -each.for_s, each.name))[:SILENT_MAX])


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


def _show(found: Any, live: dict[str, Any] | None, as_json: bool, wanted: str | None, place: Path) -> None:
    if as_json:
        emit_json({"daemon": live, **facts(place, live), **plain(found)})
        return
    from syncd.cli.status_text import screen

    emit(screen(escaped.tree(found), escaped.tree(live), time.time_ns() // 1_000_000, wanted))
    emit(whereabouts(place, live))


def _check(found: Any, live: dict[str, Any] | None) -> int:
    from syncd.cli.status_text import verdict

    code, reasons = verdict(escaped.tree(found), escaped.tree(live), time.time_ns() // 1_000_000)
    own = found.own
    words = "; ".join(reasons) or say("mọi việc bình thường", "everything is fine")
    figures = f" | waiting={own.waiting} at_parent={own.at_parent} reviews={found.reviews} cases={found.cases}"
    _line(code, words, figures)
    return code
