"""Upkeep: what a daemon does once a day: a comparison of its own content with its log, a recount of the cells,
baselines of its own registers, and pruning.

Enters: an open node and its settings. Leaves: shorter logs. Must hold: where there is nothing to do nothing is written;
a day without success is tried again the next; the thread lives, and its memory is kept, only while it works.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from syncd import limits
from syncd.config import Config
from syncd.errors import SyncdError, written
from syncd.events import event
from syncd.node.barriers import tell, unforeseen
from syncd.node_files import OpenNode
from syncd.store import pulse
from syncd.system import return_all_memory
from syncd.vitals import Vitals


class Upkeep:
    """Asked by the main thread when it is time; works on a thread of its own."""

    def __init__(self, opened: OpenNode, settings: Callable[[], Config], vitals: Vitals) -> None:
        self._opened = opened
        self._vitals = vitals
        self._settings = settings
        self._thread: threading.Thread | None = None
        # A thousand stations that a power cut has stopped together do not work at the same minute.
        spread_s = int(opened.node.node_id[:4], 16) / 0xFFFF * limits.UPKEEP_SPREAD_S
        self._due_at = time.monotonic() + limits.UPKEEP_FIRST_S + spread_s

    @property
    def wait_s(self) -> float:
        """Until `begin` has something to begin."""
        return max(self._due_at - time.monotonic(), 0.0)

    def begin(self) -> None:
        """Work if it is time."""
        if self.wait_s or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_at = time.monotonic() + limits.UPKEEP_S
        self._thread = threading.Thread(target=self._work, name="upkeep", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            with pulse.watched():
                run(self._opened, self._settings())
            self._vitals.waits("upkeep")
        except SyncdError as error:
            event("upkeep-failed", logging.WARNING, reason=written(error))
            self._vitals.fails("upkeep", error)
        except Exception as error:  # some row brought it about, perhaps: tomorrow again
            tell(error, worker="upkeep")
            self._vitals.fails("upkeep", unforeseen(error))
        finally:
            return_all_memory()  # of a register read whole; nothing else asks for it until somebody writes


def run(opened: OpenNode, config: Config) -> None:
    """One day's upkeep."""
    from syncd.recovery import cells, nightly

    run_alone = opened.node.barriers.run
    run_alone("compare with the logs", lambda: nightly.compare(opened.node), None)
    # Behind that: a row changed past the triggers is counted when it is sealed, and not before as well.
    run_alone("recount the cells", lambda: cells.check(opened.node), None)
    if config.prune:
        run_alone("prune", lambda: _prune(opened, config), None)


def _prune(opened: OpenNode, config: Config) -> None:
    from syncd.prune import Policy, make_due, prune

    made = make_due(opened.node)
    policy = Policy.of_days(config.keep_days, config.retention_days)
    cuts = prune(opened.store, policy, opened.node.clock())
    if made or cuts:
        event(
            "upkeep", baselines=len(made), streams=len(cuts), envelopes=sum(cut.envelopes for cut in cuts),
            bytes=sum(cut.size_bytes for cut in cuts),
        )  # fmt: skip
