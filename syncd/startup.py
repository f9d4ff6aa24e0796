"""What is examined before a daemon works: is the database the one this node wrote, and does it still capture?

Enters: an open node. Leaves: nothing, or triggers put back and a case that says so. Must hold: what was not captured
while triggers were missing is found by the daemon (`recovery/capture.py`) before it seals anything.
"""

from __future__ import annotations

import logging

from schema.views import UTC_OFFSET
from syncd import setup
from syncd.clock import UTC_OFFSET_MIN, instant_of
from syncd.config import Config, require_parent_urls
from syncd.errors import written
from syncd.events import event
from syncd.language import english_of
from syncd.node import evolve, strangers
from syncd.node.machine import certificates
from syncd.node_files import OpenNode
from syncd.recovery.capture import Capture
from syncd.status import EXCHANGED_BY
from syncd.store.base import Store
from syncd.store.files import linked, linked_words


def check_start(opened: OpenNode) -> None:
    """Examine and mend. Raises ConfigError when this node cannot work as it is configured."""
    if opened.parent_id is not None:
        require_parent_urls(opened.config)
    if opened.store.dialect != "sqlite":
        require_server(opened.store)
    evolve.bring_up(opened)  # before the triggers, which are made for the columns
    _check_capture(opened)
    _check_facts(opened)  # after the triggers, which are made anew when a setting differs from the recorded one
    strangers.tell(opened)
    _tell_certificates(opened)
    if (path := linked(opened.store.held_files())) is not None:
        event("second-name", logging.WARNING, reason=english_of(linked_words(path)))
    if opened.store.dialect != "sqlite":
        forget_old_numbers(opened.store)
        from syncd.store.postgres_roles import give_rights

        give_rights(opened.store)
        _warn_of_others(opened)


def _check_facts(opened: OpenNode) -> None:
    """Settings that the database or other programs read from it."""
    wanted = {"name": opened.config.name or opened.facts["name"], "foreign_writes": opened.config.foreign_writes}
    changed = [(key, value) for key, value in wanted.items() if opened.facts.get(key) != value]
    if changed:
        with opened.store.apply("facts") as tx:
            setup.set_facts(tx, changed)
    note_days(opened.store, opened.config)


def note_days(store: Store, config: Config) -> None:
    """From when on views count a day: as the program does. Written where it differs."""
    wanted = str(config.utc_offset_min)
    with store.read() as tx:
        found = tx.value("SELECT value FROM syncd_meta WHERE key = ?", (UTC_OFFSET,))
    if (found or str(UTC_OFFSET_MIN)) != wanted:
        with store.apply("facts") as tx:
            setup.set_facts(tx, [(UTC_OFFSET, wanted)])


def _tell_certificates(opened: OpenNode) -> None:
    """Of this node itself: whoever calls it would think of its own clock first."""
    now_s = opened.node.clock() / 1000
    for each in certificates(opened.directory):
        if each.begins_s is None or each.ends_s is None or not each.begins_s <= now_s <= each.ends_s:
            begins, ends = (None if s is None else instant_of(int(s * 1000)) for s in (each.begins_s, each.ends_s))
            event("own-certificate-not-valid", logging.ERROR, file=each.file, begins=begins, ends=ends)


def note_exchanged_by(opened: OpenNode, way: str) -> None:
    """How this node exchanges: a machine that only runs `sync --once` is not missed between two of them."""
    with opened.store.read() as tx:
        before = tx.value("SELECT value FROM syncd_meta WHERE key = ?", (EXCHANGED_BY,))
    if (before or "daemon") != way:
        with opened.store.apply("facts") as tx:
            setup.set_facts(tx, [(EXCHANGED_BY, way)])


def _check_capture(opened: OpenNode) -> None:
    """Triggers are put back where they fit. Where they do not the daemon runs all the same: `status` says what to do,
    and it goes on by itself once that is done."""
    trouble = Capture(opened).examine()
    if trouble is not None:
        event("capture-lost", logging.ERROR, reason=written(trouble))


def require_server(store: Store) -> None:
    """Nobody else may put functions beside our tables; a release with known holes is worth a line in the log."""
    from syncd.store.postgres_session import known_holes, require_closed

    with store.read() as tx:
        require_closed(tx)
        version = int(tx.value("SELECT current_setting('server_version_num')"))
    if upgrade := known_holes(version):
        event("server-holes", logging.WARNING, version=f"{version // 10000}.{version % 10000}", upgrade_to=upgrade)


def forget_old_numbers(store: Store) -> None:
    """After a dump was loaded into another server, journal rows bear transaction numbers that this one has yet to give
    out: they would be sequenced, never be recognised as seen, and be sequenced again for ever."""
    with store.apply("journal-numbers") as tx:
        tx.run(
            "UPDATE syncd_journal SET tx = 0 WHERE NOT pg_visible_in_snapshot(tx::text::xid8, pg_current_snapshot())"
        )


def _warn_of_others(opened: OpenNode) -> None:
    """Several hub processes may serve one PostgreSQL; that nobody meant to is worth a line in the log."""
    with opened.store.read() as tx:
        others = tx.value(
            "SELECT count(DISTINCT client_port) FROM pg_stat_activity"
            " WHERE application_name = 'syncd' AND datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_start < now() - interval '5 seconds'"
        )
    if others:
        event("shared-database", logging.WARNING, connections=int(others))
