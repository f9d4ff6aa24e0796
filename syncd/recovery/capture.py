"""Capture watched while the daemon runs: are the tables those that syncd knows, do the triggers see every write?

Enters: an open node; a look whenever something was committed (SQLite) or every few seconds (PostgreSQL).
Leaves: triggers put back, what was changed meanwhile journaled; or an error that says what another program did and
which statement takes it back.
Must hold: a look costs one number while nothing has changed; triggers are never made over tables they do not fit, and
those that stand in the way of the way back are removed; nothing is sealed before what went past them has been found.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing
from typing import Any

from conflict.case import CaseKind
from schema import triggers
from schema.fit import Misfit, misfits
from schema.views import put_back_missing
from syncd import limits
from syncd.cases import open_case
from syncd.clock import instant_of
from syncd.errors import StoreError
from syncd.events import event
from syncd.language import Both, say
from syncd.node import strangers
from syncd.node_files import OpenNode, connector, identity_of, raw_transaction
from syncd.recovery import found
from syncd.setup import set_facts
from syncd.store.causes import PUT_BACK

SEEN = "schema_seen"  # the mark of the catalogue up to which content is known to be in the log


class Capture:
    """The capture of one node. Used by the thread that sequences, and before it begins."""

    def __init__(self, opened: OpenNode) -> None:
        self._opened = opened
        self._store = opened.store
        with self._store.read() as tx:
            self._seen: str | None = tx.value("SELECT value FROM syncd_meta WHERE key = ?", (SEEN,))
        self._looked_at: str | None = None
        self._next_look = self._next_search = 0.0
        self.trouble: StoreError | None = None

    @property
    def has_more(self) -> bool:
        """Whether a look is due although nothing was committed."""
        return self.trouble is None and self._looked_at is not None and self._looked_at != self._seen

    def look(self) -> StoreError | None:
        """What keeps writes from being captured, or None; cheap while the catalogue stands as it was."""
        now = time.monotonic()
        if self._store.dialect != "sqlite" and now < self._next_look:
            return self.trouble
        self._next_look = now + limits.CAPTURE_LOOK_S
        mark = self._store.schema_mark()
        if mark != self._looked_at:
            self.trouble = self.examine()
            if self._looked_at is not None:  # at the start it has been said
                strangers.tell(self._opened)
            self._looked_at = self._store.schema_mark()
        if self.trouble is None and self._looked_at != self._seen and now >= self._next_search:
            self._search()
        return self.trouble

    def examine(self) -> StoreError | None:
        """Put triggers back where the tables fit; an error where they do not."""
        registry, config = self._store.registry, self._opened.config
        with closing(connector(self._opened.directory, config)()) as connection:
            unfit = misfits(connection, config.schema_dialect, registry)
            if unfit:
                self._free(connection, unfit)
                return refused(unfit)
            self._reinstall(connection, registry)
            if names := put_back_missing(connection, config.schema_dialect, registry):
                event("views-put-back", logging.WARNING, views=" ".join(names))
        return None

    def _reinstall(self, connection: Any, registry: Any) -> None:
        """Missing, altered or disabled triggers are put back."""
        opened, config, identity = self._opened, self._opened.config, identity_of(self._opened.facts)
        problems = triggers.problems(
            connection, config.schema_dialect, registry, identity, foreign_writes=config.foreign_writes
        )
        if not problems:
            return
        event("triggers-reinstalled", logging.WARNING, problems=len(problems), first=problems[0])
        if opened.facts.get("foreign_writes", config.foreign_writes) == config.foreign_writes:
            self._open_case(problems)  # first: after a power cut in between there is a case too many, never one too few
        if self._store.dialect != "sqlite":
            connection.execute(f"SET lock_timeout = {limits.MEND_LOCK_MS_MAX}")
        raw_transaction(connection, lambda: triggers.install(
            connection, config.schema_dialect, registry, identity, foreign_writes=config.foreign_writes
        ))  # fmt: skip

    def _free(self, connection: Any, unfit: list[Misfit]) -> None:
        """Triggers of ours that name what is not there make every write fail, and on SQLite every ALTER TABLE too: they
        go until the tables fit again. Those that followed a column to its new name stay, and go on capturing."""
        if self._store.dialect != "sqlite":
            return
        config, identity = self._opened.config, identity_of(self._opened.facts)
        registry = self._store.registry
        names = {each.table for each in unfit}
        wanted = triggers.expected_sqlite(
            config.schema_dialect, registry, identity, foreign_writes=config.foreign_writes
        )
        present = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall())
        broken = [name for name in names if present.get(f"syncd_{name}_update") == wanted[f"syncd_{name}_update"]]
        if broken:
            event("triggers-removed", logging.WARNING, tables=" ".join(sorted(broken)))
            raw_transaction(connection, lambda: triggers.remove(connection, config.schema_dialect))

    def _search(self) -> None:
        """The catalogue is another than when content was last known to be in the log: what went past the triggers is
        journaled. Seldom, however often other programs change their own tables."""
        if self._opened.node.rejoin.holds_back():
            return
        began = time.monotonic()
        mark = self._store.schema_mark()
        for each in found.journal(self._opened.node):
            event("past-triggers", logging.WARNING, stream=each.stream_id or None)
        with self._store.apply("schema-seen") as tx:
            set_facts(tx, [(SEEN, mark)])
        self._seen = mark
        took = time.monotonic() - began
        self._next_search = time.monotonic() + limits.SEARCH_REST * took

    def _open_case(self, problems: list[str]) -> None:
        """Writes went unseen while triggers were missing (those of another setting were intact)."""
        with self._store.apply("triggers") as tx:
            open_case(
                tx,
                CaseKind.RULE_VIOLATED,
                ("triggers", self._opened.node.node_id, len(problems), problems[0]),
                opened_at=instant_of(self._opened.node.clock()),
                detail={"what": "triggers", "problems": len(problems), "first": problems[0][:200]},
            )


def refused(unfit: list[Misfit]) -> StoreError:
    """What another program did, and the way back."""
    first = unfit[0]
    what = Both(first.what_vi, first.what_en).here
    backs = "; ".join(each.way_back for each in unfit if each.way_back)
    said = Both(
        "chương trình khác đã sửa cấu trúc bảng ({n} chỗ): {what}. Thay đổi chưa được gửi đi, không mất gì",
        "another program changed the tables ({n} places): {what}. Changes are not sent now, nothing is lost",
    )
    if not backs:  # a table that is gone took its rows along
        said = Both(
            "chương trình khác đã sửa cấu trúc bảng ({n} chỗ): {what}. Thay đổi chưa được gửi đi",
            "another program changed the tables ({n} places): {what}. Changes are not sent now",
        )
    return StoreError(
        say(*said, n=len(unfit), what=what),
        say(
            "chạy: {backs}; sau đó syncd tự tiếp tục, kể cả những gì đã ghi trong lúc này",
            "run: {backs}; then syncd goes on by itself, with what was written meanwhile",
            backs=backs,
        )
        if backs
        else say(*PUT_BACK),
    )
