"""The daemon: life, signals, wiring.

Enters: a node's directory. Leaves: an exit code. Must hold: one daemon per database; TERM finishes what is in hand and
ends with 0 within bounds; HUP takes new settings and certificates over or keeps the old ones; a bug is logged and its
turn tried again, only a server that cannot serve ends the process, with 1; idle, nothing is written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from syncd import __version__, failpoint, limits
from syncd.bell import Bell
from syncd.clock import Clock, instant_of, live_at, system_clock
from syncd.config import Config, load_config, require_parent_urls, restart_needed, taken_over, waits_for_restart
from syncd.control import Control, forget_end, note_end
from syncd.errors import DatabaseReplaced, SyncdError, written
from syncd.events import event, set_up
from syncd.exchange import Link
from syncd.language import prefer
from syncd.messages import Silent
from syncd.net.client import ParentClient
from syncd.node.barriers import tell
from syncd.node.holding import RUN, hold, require_original
from syncd.node.watchdog import Watchdog
from syncd.node_files import OpenNode, open_node, require_node
from syncd.reserve import Reserve
from syncd.security import tls
from syncd.security.names import ROOT_CERTIFICATE_FILE
from syncd.security.tls import TlsFiles
from syncd.startup import check_start, note_days, note_exchanged_by
from syncd.system import (
    hear_signals,
    notify_supervisor,
    raise_descriptor_limit,
    share_memory,
    signals_heard,
)
from syncd.topology.silent import SilentBelow
from syncd.upkeep import Upkeep
from syncd.vitals import Vitals
from syncd.workers import Applier, Life, Puller, Sender, Worker, Writer

if TYPE_CHECKING:
    from syncd.net.server import Server

RESCUED = "rescued-"  # folders with what was in a database that was taken away


def run(directory: Path, environment: Mapping[str, str] = os.environ, flags: Mapping[str, Any] | None = None) -> int:
    """Run the node in `directory` until TERM or INT; returns the exit code. Raises SyncdError when it cannot start."""
    heard_before = hear_signals()
    told_before, threading.excepthook = threading.excepthook, _tell_thread
    try:
        return _run(directory, environment, flags)
    finally:
        threading.excepthook = told_before
        for number, handler in heard_before.items():
            signal.signal(number, handler)


def _tell_thread(ended: threading.ExceptHookArgs) -> None:
    """A thread that nobody's barrier stands around: its end is logged without the words of a library."""
    if ended.exc_value is not None:
        tell(ended.exc_value, worker=ended.thread.name if ended.thread else None)


def _run(directory: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None) -> int:
    config = load_config(directory, environment, flags)
    require_node(directory, config)
    live_at(config.utc_offset_min)
    set_up(config.log_level, config.log_format)
    raise_descriptor_limit(limits.DESCRIPTORS_MAX)
    share_memory(limits.ARENAS_MAX)
    require_original(directory)
    with hold(directory, RUN):
        reserve = Reserve(directory, system_clock) if config.is_sqlite else None
        if reserve is not None:
            reserve.begin()
        opened = open_node(directory, config, failpoint=failpoint.from_environment(environment), is_starting=True)
        try:
            check_start(opened)
            note_exchanged_by(opened, "daemon")
            return Daemon(opened, lambda: load_config(directory, environment, flags), reserve=reserve).run()
        finally:
            opened.close()


class Daemon:
    """A running node. `run` belongs on the main thread: only there are signals heard."""

    def __init__(
        self,
        opened: OpenNode,
        reread: Callable[[], Config],
        clock: Clock = system_clock,
        reserve: Reserve | None = None,
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._config = opened.config
        self._reserve = reserve
        self._reread = reread
        self._life = Life(reserve)
        self._bell = Bell()  # the main thread's: something moved, a signal came, or the end
        self._life.at_end(self._bell.ring)
        self._signals: SimpleQueue[int] = SimpleQueue()
        self.vitals = Vitals(clock, self._bell.ring)
        self._files = TlsFiles.in_directory(opened.directory)
        self._contexts: list[Any] = []
        self._client: ParentClient | None = None
        self._server: Server | None = None
        self._server_thread: threading.Thread | None = None
        self._listening = ""
        if reserve is not None:
            opened.store.when_full = reserve.give_back
            reserve.changed = self._bell.ring

    def run(self) -> int:
        """Start everything, wait for the end, stop everything."""
        # Before anything is begun: who ends it then, ends it in good order. What came until now is done first.
        with contextlib.closing(self._bell), self._bell.rung_by(_signals(), self._on_signal):
            for number in signals_heard():
                self._on_signal(number, None)
            self._live()
        event("stopped", node=self._opened.node.node_id, reason=written(self._life.fatal) if self._life.fatal else None)
        if self._life.fatal is None:
            return 0
        self._leave_word(self._life.fatal)
        return 1

    def _live(self) -> None:
        """From the first thread's start to the last one's end."""
        workers = self._workers()
        self._start_server()
        control = Control(
            self._opened.directory, self._picture, os.urandom, {"pid": os.getpid(), "listen": self._listening}
        )
        try:
            for worker in workers:
                worker.start()
            event(
                "started",
                version=__version__,
                node=self._opened.node.node_id,
                listen=self._listening or None,
                pid=os.getpid(),
            )
            notify_supervisor("READY=1")
            forget_end(self._opened.directory)
            self._supervise()
        finally:
            self._life.end()
            notify_supervisor("STOPPING=1")
            self._stop(workers)
            control.close()

    def _leave_word(self, error: BaseException) -> None:
        """For `status`: why no daemon runs. A bug is named by its kind alone: its words may quote a value."""
        reason = written(error) if isinstance(error, SyncdError) else type(error).__name__
        rescued = self._rescue() if isinstance(error, DatabaseReplaced) else None
        try:
            note_end(self._opened.directory, reason, instant_of(self._clock()), rescued)
        except SyncdError as unwritten:
            event("end-not-noted", logging.WARNING, reason=written(unwritten))

    def _rescue(self) -> str | None:
        """Its files were taken away: what this process still sees may be all there is. The copy's path."""
        directory = self._opened.directory
        if len(list(directory.glob(f"{RESCUED}*"))) >= limits.RESCUES_MAX:
            return None  # somebody takes them away again and again: what was rescued is enough
        try:
            copy = self._opened.store.rescue(directory / f"{RESCUED}{instant_of(self._clock())[:19].replace(':', '')}")
        except (SyncdError, OSError) as error:
            event("not-rescued", logging.ERROR, reason=written(error))
            return None
        event("database-rescued" if copy else "not-rescued", logging.WARNING, file=str(copy) if copy else None)
        return None if copy is None else str(copy)

    def end(self) -> None:
        """Stop; callable from any thread."""
        self._life.end()

    # --- wiring --------------------------------------------------------------------------------------------------

    def _workers(self) -> list[Worker]:
        opened = self._opened
        workers: list[Worker] = [
            Writer(
                self._life, self.vitals, opened, lambda: (self._config.poll_ms / 1000, self._config.checkpoint_after_s)
            ),
            Applier(self._life, self.vitals, opened),
        ]
        if opened.parent_id is not None:
            context = tls.client_context(self._files)
            self._contexts.append(context)
            self._client = ParentClient(self._config.parent_urls, context, opened.parent_id)
            link = Link(opened.node, opened.parent_id)
            workers.append(Sender(self._life, self.vitals, opened, link, self._client))
            workers.append(Puller(self._life, self.vitals, opened, link, self._client))
        return workers

    def _start_server(self) -> None:
        if not self._config.listen:
            return
        from syncd.net.accepting import listen
        from syncd.net.server import Server
        from syncd.security.authority import load_issuer

        self._opened.store.is_asked_at_rest = True
        self._opened.node.silent_below = SilentBelow(
            self._opened.store, self._clock, self.vitals.heard_ago_s, self.vitals.silent_below,
            lambda: self._config.bounds.child_h * 3600.0,
        )  # fmt: skip
        context = tls.server_context(self._files)
        self._contexts.append(context)
        listener = listen(*self._config.listen_place)
        host, port = listener.getsockname()[:2]
        self._listening = f"{host}:{port}"
        ca_pem = (self._opened.directory / ROOT_CERTIFICATE_FILE).read_text(encoding="ascii")
        issuer = load_issuer(self._opened.directory)
        server = self._server = Server(self._opened.node, issuer, ca_pem, context, listener, _Observer(self.vitals))
        self._server_thread = threading.Thread(target=self._serve, args=(server,), name="server", daemon=True)
        self._server_thread.start()

    def _serve(self, server: Server) -> None:
        try:
            server.run()
        except Exception as error:  # whatever it is: without a server this process is of no use to its children
            event("bug", logging.ERROR, error=error, worker="server")
            self._life.fail(error)

    # --- life ------------------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        """The main thread: watchdog, times of exchanges to the disk, reloads; asleep while nothing happens."""
        watchdog = Watchdog(os.environ)
        flushed_at = time.monotonic()
        upkeep = Upkeep(self._opened, lambda: self._config, self.vitals)
        while not self._life.ending:
            waits = [upkeep.wait_s, *watchdog.waits]
            if self.vitals.is_dirty:
                waits.append(max(flushed_at + limits.FLUSH_S - time.monotonic(), 0.0))
            if self._full_since():
                waits.append(limits.RESERVE_LOOK_S)
            self._bell.wait(min(waits))
            self._obey_signals()
            upkeep.begin()
            if self._reserve is not None and self._reserve.full_since:
                self._reserve.regain()
            watchdog.feed(self._server)
            if self.vitals.is_dirty and time.monotonic() - flushed_at >= limits.FLUSH_S:
                self._flush(self.vitals.flush)
                flushed_at = time.monotonic()

    def _flush(self, write: Callable[[Any], None]) -> None:
        """Times of exchanges are worth a warning, not the process."""
        try:
            write(self._opened.store)
            self._opened.node.rejoin.note_positions()
        except SyncdError as error:
            event("flush-failed", logging.WARNING, reason=written(error))
        except Exception as error:  # what a neighbour said of itself may have brought it about
            tell(error, worker="flush")

    def _take_over(self) -> None:
        """New settings and certificates: all of them or none. What a running daemon cannot change under itself is
        named, and stays as it is."""
        try:
            config = self._reread()
            if self._client is not None:
                require_parent_urls(config)
            for context in self._contexts:
                tls.reload(context, self._files)
        except SyncdError as error:
            event("reload-failed", logging.ERROR, reason=written(error))
            self.vitals.fails("settings", error)
            return
        waiting = waits_for_restart(self._config, config)
        self._config = taken_over(self._config, config)
        prefer(config.language)
        live_at(config.utc_offset_min)
        note_days(self._opened.store, config)
        set_up(config.log_level, config.log_format)
        if self._client is not None:
            self._client.use(config.parent_urls)
        event("reloaded", restart_for=", ".join(waiting) or None)
        if waiting:
            self.vitals.fails("settings", restart_needed(waiting))
        else:
            self.vitals.waits("settings")

    def _stop(self, workers: list[Worker]) -> None:
        """Wait for what is in hand; a thread that only waits for the parent's answer is left behind."""
        if self._server is not None and self._server_thread is not None:
            self._server.stop()
            self._server_thread.join(2 * limits.SHUTDOWN_S_MAX)
        deadline = time.monotonic() + limits.SHUTDOWN_S_MAX
        for worker in workers:
            while worker.is_alive() and not worker.in_network and time.monotonic() < deadline:
                worker.join(0.02)
        self._flush(self.vitals.flush_last)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """It may come while the main thread holds any lock: note it, and leave the rest to the main loop."""
        self._signals.put(number)
        self._bell.ring()

    def _obey_signals(self) -> None:
        """What has come since the last look: the end, or settings to take over once."""
        numbers = set()
        with contextlib.suppress(Empty):
            while True:
                numbers.add(self._signals.get_nowait())
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self._life.end()
        elif numbers:
            self._take_over()

    def _picture(self) -> dict[str, Any]:
        return {
            **self.vitals.picture(), "pid": os.getpid(), "version": __version__, "node_id": self._opened.node.node_id,
            "parent_id": self._opened.parent_id, "listen": self._listening, "disk_full_since": self._full_since(),
            "awaited": self._awaited(), "files": dict(self._opened.store.held_files()),
            "is_heard": not self._opened.node.rejoin.is_unheard,
        }  # fmt: skip

    def _awaited(self) -> list[str] | None:
        """The children that may hold what this restored copy has lost; None while the database does not say."""
        try:
            return self._opened.node.awaited.children()
        except SyncdError as error:
            event("awaited-unknown", logging.WARNING, reason=written(error))
            return None

    def _full_since(self) -> str | None:
        """Since when the disk has been full."""
        return None if self._reserve is None else self._reserve.full_since


class _Observer:
    """What the server tells of children, into log and vitals."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def child_seen(
        self, child: str, waiting_rows: int | None, open_cases: int | None, offset_ms: int | None,
        silent: Sequence[Silent] | None = None,
    ) -> None:  # fmt: skip
        told = None if silent is None else [(each.node_id, each.for_s) for each in silent]
        self._vitals.peer_seen(child, waiting_rows=waiting_rows, open_cases=open_cases, offset_ms=offset_ms,
                               silent=told)  # fmt: skip

    def exchanged(self, name: str, peer: str, envelopes: int, size_bytes: int, duration_s: float) -> None:
        if peer:
            self._vitals.peer_seen(peer, carried=True)
        event(f"served-{name}", peer=peer or None, envelopes=envelopes, bytes=size_bytes, duration_s=duration_s)

    def failed(self, name: str, peer: str, error: Exception) -> None:
        if peer:
            self._vitals.peer_failed(peer, error)
        event(f"refused-{name}", logging.WARNING, peer=peer or None, reason=written(error) or type(error).__name__)


def _signals() -> list[int]:
    """Those this system has."""
    return [int(getattr(signal, name)) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
