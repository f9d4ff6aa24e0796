"""Connections as they are accepted, shake hands, speak HTTP/1.1 and end: the parent's end of the line below its routes.

Enters: a listening socket, a TLS context, the application. Leaves: requests for the application, bounded in number and
time. Must hold: nobody keeps a place by silence (handshake, head and answer have their time); without descriptors the
process goes on, and says so once; the database keeps some of them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from syncd import limits
from syncd.errors import ConfigError
from syncd.events import event
from syncd.language import say
from syncd.net.connections import Connection, Connections, Stage
from syncd.system import SCARCE, descriptor_limit

# Each connection would hold a buffer of 256 KiB from its first byte to its last. A record of TLS has up to 16, but is
# read in pieces, which OpenSSL puts together: questions are short, and an upload takes a few more turns of the loop.
sslproto.SSLProtocol.max_size = limits.TLS_BUFFER_BYTES


def connections_most() -> int:
    """How many connections this process can hold: the database, files and threads keep descriptors of their own."""
    limit = descriptor_limit()
    usable = limit - min(limits.DESCRIPTORS_KEPT, limit // 2)
    return max(min(limits.CONNECTIONS_MAX, usable * 8 // 9), 1)  # a ninth: those who wait for room


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket. Raises ConfigError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named; with it every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):  # who connects and says nothing at all stays with the kernel
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(limits.HANDSHAKE_S_MAX))
        listener.bind((host, port))
        listener.listen(limits.BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            say(
                "không mở được {host}:{port}: {reason}",
                "cannot listen on {host}:{port}: {reason}",
                host=host,
                port=port,
                reason=error.strerror,
            ),
            hint=say(
                "dừng chương trình đang giữ cổng đó, hoặc đổi `listen`",
                "stop the program that holds it, or change `listen`",
            ),
        ) from error
    return listener


class Acceptor(uvicorn.Server):
    """Uvicorn with an accept loop of ours: one that stops accepting while there is no room, instead of failing."""

    def __init__(self, config: uvicorn.Config, context: ssl.SSLContext, connections: Connections) -> None:
        super().__init__(config)
        self._context = context
        self._connections = connections
        self._under_way: set[asyncio.Task[None]] = set()
        self._told_at = -limits.SCARCE_TOLD_S
        self._untold = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self.servers = []
        for listener in sockets or []:
            listener.setblocking(False)
            self._begin(self._accept(listener))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No further connections; those there end as uvicorn ends them."""
        for task in list(self._under_way):
            task.cancel()
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, place = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in SCARCE:
                    self._scarce(error)
                await asyncio.sleep(limits.SCARCE_WAIT_S)
                continue
            if self._connections.make_room(place[0]):
                self._begin(self._greet(connection, place[0]))
            elif self._connections.may_wait(place[0]):
                self._begin(self._greet_later(connection, place[0]))
            else:
                connection.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _greet_later(self, accepted: socket.socket, address: str) -> None:
        """The same as soon as there is room."""
        deadline = time.monotonic() + limits.HANDSHAKE_S_MAX
        with self._connections.waiting(address):
            while not self._connections.make_room(address):
                if time.monotonic() >= deadline:
                    accepted.close()
                    return
                await asyncio.sleep(limits.ROOM_WAIT_S)
        await self._greet(accepted, address)

    async def _greet(self, accepted: socket.socket, address: str) -> None:
        """Shake hands; what comes then is the protocol's."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is None:
            return
        entry = self._connections.enter(address, partial(_end, task))
        make = partial(Protocol, self.config, self.server_state, self._connections, entry)
        try:
            await loop.connect_accepted_socket(
                make, accepted, ssl=self._context, ssl_handshake_timeout=limits.HANDSHAKE_S_MAX,
                ssl_shutdown_timeout=limits.GOODBYE_S_MAX,
            )  # fmt: skip
        except (OSError, asyncio.CancelledError):  # who did not get through the handshake is no event
            self._connections.leave(entry)
            with suppress(OSError):
                accepted.close()

    def _scarce(self, error: OSError) -> None:
        """No descriptor for who calls: make room, and say so now and then with the number of times."""
        self._connections.drop_one()
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at >= limits.SCARCE_TOLD_S:
            event(
                "descriptors-scarce", logging.WARNING, reason=error.strerror, times=self._untold,
                connections=len(self._connections),
            )  # fmt: skip
            self._told_at, self._untold = now, 0


def _end(task: asyncio.Task[None]) -> None:
    task.cancel()


class Protocol(H11Protocol):
    """HTTP/1.1 that tells the application which certificate the peer has shown, and gives nobody for ever."""

    def __init__(
        self, config: uvicorn.Config, state: uvicorn.server.ServerState, connections: Connections, entry: Connection
    ) -> None:
        super().__init__(config, state, {})
        self._connections = connections
        self._entry = entry
        self._deadline: asyncio.TimerHandle | None = None  # of a head
        self._stalled: asyncio.TimerHandle | None = None  # of an answer nobody reads

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn itself has it
        super().connection_made(transport)
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.app_state = {"certificate": certificate, "connection": self._entry}
        self._entry.let_go = transport.abort
        self._entry.has_certificate = certificate is not None
        self._connections.becomes(self._entry, Stage.SILENT)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        asked = self._asked
        if asked is not None and not asked.response_complete:
            self._unset_deadline()
            # A stranger is owed an answer once its question is whole: half a question is as cheap as silence.
            is_owed = self._entry.child is not None or not asked.more_body
            if is_owed and self._entry.stage is not Stage.BUSY:
                self._connections.becomes(self._entry, Stage.BUSY)
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._await_head()  # of a further question: uvicorn has just taken its own timer away

    def on_response_complete(self) -> None:
        proven = self._entry.child is not None
        self.timeout_keep_alive = limits.KEEP_ALIVE_S if proven else limits.STRANGER_KEEP_ALIVE_S
        super().on_response_complete()
        if self._is_idle:
            self._connections.becomes(self._entry, Stage.IDLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand the application what arrived just before the line broke: uvicorn would drop it, and on a bad line that
        can be all there is of a long upload."""
        self._unset_deadline()
        self._unset_stalled()
        self._connections.leave(self._entry)
        asked = self._asked
        if asked is not None:
            asked.scope["arrived"] = bytes(asked.body)  # type: ignore[typeddict-unknown-key]
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer takes nothing more of its answer for now."""
        super().pause_writing()
        self._unset_stalled()
        self._stalled = self.loop.call_later(limits.ANSWER_STALL_S_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        self._unset_stalled()
        super().resume_writing()

    def shutdown(self) -> None:
        """Let an idle connection go at once: a child that keeps it for its next question does not answer TLS's goodbye,
        and every stop would wait for it."""
        is_idle = self._is_idle
        super().shutdown()
        if is_idle and not self.transport.get_write_buffer_size():
            self.transport.abort()

    @property
    def _asked(self) -> RequestResponseCycle | None:
        """The question under way, or the last one."""
        return self.cycle  # uvicorn has None there before the first

    @property
    def _is_idle(self) -> bool:
        asked = self._asked
        return asked is None or asked.response_complete

    def _await_head(self) -> None:
        """A question begins in so much time, or the connection ends."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(limits.HEAD_S_MAX, self.transport.abort)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _unset_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
