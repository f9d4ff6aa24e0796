"""What is examined before a daemon works: is the database the one this node wrote, and does it still capture?

Enters: an open node. Leaves: nothing, or triggers put back and a case that says so. Must hold: what was not captured
while triggers were missing is found by the daemon (`recovery/capture.py`) before it seals anything.
"""

from __future__ import annotations

import logging

from syncd import setup
from syncd.errors import ConfigError, written
from syncd.events import event
from syncd.language import english_of, say
from syncd.node import evolve, strangers
from syncd.node_files import OpenNode
from syncd.recovery.capture import Capture
from syncd.store.base import Store
from syncd.store.files import linked, linked_words


def check_start(opened: OpenNode) -> None:
    """Examine and mend. Raises ConfigError when this node cannot work as it is configured."""
    if opened.parent_id is not None and not opened.config.parent_urls:
        raise ConfigError(
            say("không có địa chỉ cấp trên", "no address of the parent"),
            say(
                "đặt parent_urls trong syncd.toml như trong mã gia nhập",
                "set parent_urls in syncd.toml as the token had it",
            ),
        )
    if opened.store.dialect != "sqlite":
        require_server(opened.store)
    evolve.bring_up(opened)  # before the triggers, which are made for the columns
    _check_capture(opened)
    _check_facts(opened)  # after the triggers, which are made anew when a setting differs from the recorded one
    strangers.tell(opened)
    if (path := linked(opened.store.held_files())) is not None:
        event("second-name", logging.WARNING, reason=english_of(linked_words(path)))
    if opened.store.dialect != "sqlite":
        forget_old_numbers(opened.store)
        _warn_of_others(opened)


def _check_facts(opened: OpenNode) -> None:
    """Settings that the database or other programs read from it."""
    wanted = {"name": opened.config.name or opened.facts["name"], "foreign_writes": opened.config.foreign_writes}
    changed = [(key, value) for key, value in wanted.items() if opened.facts.get(key) != value]
    if changed:
        with opened.store.apply("facts") as tx:
            setup.set_facts(tx, changed)


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
