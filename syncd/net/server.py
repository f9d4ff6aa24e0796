"""The parent's HTTPS: the only file that knows Starlette; `accepting.py` knows uvicorn.

Enters: children's requests over mutual TLS. Leaves: what `Desk` and `admission` answer.
Must hold: every route but the two of join is closed to whoever shows no certificate, a foreign one, or one that is not
the enrolled child's newest; a body is bounded before it is read; the event loop never waits for the database; a broken
upload keeps whole envelopes and the beginning of the next.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from syncd import admission, limits, messages
from syncd.errors import Busy, SyncdError, TooLarge, TooMany, TrustError, WrongPeer
from syncd.exchange import Desk, Sending
from syncd.messages import Hello, HelloReply, Pull, PullReply, Silent
from syncd.net import http
from syncd.net.accepting import Acceptor, connections_most
from syncd.net.connections import Connections
from syncd.net.guesses import Guesses
from syncd.net.turns import Turns
from syncd.net.upload import Upload
from syncd.net.waiting import Waiter, Waiting
from syncd.node.barriers import tell, unforeseen
from syncd.pipeline import Node
from syncd.security import authority, enrol
from syncd.security.authority import Authority
from syncd.security.limits import JOIN_REQUEST_BYTES_MAX
from syncd.store import pulse
from syncd.topology.silent import within

T = TypeVar("T")
PUSH_BODY_BYTES_MAX = limits.PUSH_BYTES_MAX + limits.ENVELOPE_BYTES_MAX + limits.KIB
JOINS_AT_ONCE_MAX = 2  # a join costs signatures before anything is proven


class Observer(Protocol):
    """Who is told of successful exchanges, for status and log. Called on any thread; must be quick."""

    def child_seen(
        self, child: str, waiting_rows: int | None, open_cases: int | None, offset_ms: int | None,
        silent: Sequence[Silent] | None = None,
    ) -> None: ...  # fmt: skip

    def exchanged(self, event: str, peer: str, envelopes: int, size_bytes: int, duration_s: float) -> None: ...

    def failed(self, event: str, peer: str, error: Exception) -> None: ...


class Server:
    """Serves children on a socket until stopped; runs an event loop on the thread that calls `run`."""

    def __init__(
        self,
        node: Node,
        issuer: Authority,
        ca_pem: str,
        context: ssl.SSLContext,
        listener: socket.socket,
        observer: Observer,
    ) -> None:
        connections = Connections(connections_most())
        self._service = _Service(node, issuer, ca_pem, observer, connections)
        self._listener = listener
        config = uvicorn.Config(
            _application(self._service),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=limits.STRANGER_KEEP_ALIVE_S,
            timeout_graceful_shutdown=limits.SHUTDOWN_S_MAX,
        )
        self._server = Acceptor(config, context, connections)
        self._asked: pulse.Asked | None = None

    def run(self) -> None:
        """Serve; returns after `stop`."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """End: no new connections, requests in hand are answered. Callable from any thread."""
        self._server.should_exit = True
        self._service.release()

    def ask(self) -> None:
        """Have the loop show that it gets on. Callable from any thread."""
        if self._asked is not None:
            self._asked.ask()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._service.begin(loop)
        self._asked = pulse.Asked(loop.call_soon_threadsafe)
        self._asked.begin()
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            self._asked.end()
            self._service.end()


class _Service:
    """The routes. One per process."""

    def __init__(
        self, node: Node, issuer: Authority, ca_pem: str, observer: Observer, connections: Connections
    ) -> None:
        self.node = node
        self.connections = connections
        self.desk = Desk(node)
        self.observer = observer
        self.ca_pem = ca_pem.encode("ascii")
        self._issuer = issuer
        self._issued: set[bytes] = set()  # fingerprints of certificates found to be issued here
        self._waiting: Waiting | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self._guesses = Guesses(time.monotonic)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = anyio.CapacityLimiter(limits.SERVER_THREADS_MAX)
        self._joins = anyio.CapacityLimiter(JOINS_AT_ONCE_MAX)
        self._waiting = Waiting(self.node, loop)
        self._turns = Turns()

    def release(self) -> None:
        """Answer everybody who waits."""
        if self._loop is not None and self._waiting is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._waiting.close)

    def end(self) -> None:
        if self._waiting is not None:
            self._waiting.close()

    async def work(self, call: Callable[..., T], *values: Any) -> T:
        """Run database work on a thread, a bounded number at once."""
        return await anyio.to_thread.run_sync(pulse.watching, call, *values, limiter=self._threads)

    # --- join ----------------------------------------------------------------------------------------------------

    async def ca(self, _request: Request) -> Response:
        return Response(self.ca_pem)

    async def join(self, request: Request) -> Response:
        body = await _body(request, JOIN_REQUEST_BYTES_MAX)
        began = time.monotonic()
        try:
            reply = await anyio.to_thread.run_sync(pulse.watching, self._admit, body, limiter=self._joins)
        except TrustError as error:
            if self._guesses.allows(request.client.host if request.client else ""):
                raise
            raise TooMany("too many joins have failed", hint="ask the parent's operator for a new one") from error
        self.observer.exchanged("join", "", 0, len(body), time.monotonic() - began)
        return Response(reply)

    def _admit(self, body: bytes) -> bytes:
        admission.require_token(self.node, enrol.secret_of(body))
        return enrol.encode_reply(admission.admit(self.node, self._issuer, enrol.decode_request(body)))

    # --- who is there ----------------------------------------------------------------------------------------------

    async def proven(self, request: Request) -> str:
        """The enrolled child that asks."""
        peer = await self.work(self.child, request.scope["state"]["certificate"])
        self.connections.prove(request.scope["state"]["connection"], peer)
        return peer

    async def recognised(self, request: Request) -> str:
        """The child that this connection was before, where the endpoint itself checks the certificate before it answers
        anything: that spares a question a turn on a thread."""
        known: str | None = request.scope["state"]["connection"].child
        return known or await self.proven(request)

    def child(self, certificate: bytes | None) -> str:
        """The enrolled child that a certificate proves. Raises WrongPeer for everybody else."""
        if certificate is None:
            raise WrongPeer("no certificate was shown", hint="enrol this node with a token: syncd join TOKEN")
        print_ = sha256(certificate).digest()
        if print_ not in self._issued:
            authority.require_issued_by(certificate, [self._issuer.certificate])
            self._issued.add(print_)
        node_id = authority.node_id_of(certificate)
        self._require_enrolled(node_id)
        with self.node.store.read() as tx:
            enrolled = tx.value(
                "SELECT certificate_sha256 FROM syncd_peer WHERE node_id = ? AND role = 'child'", (node_id,)
            )
        if enrolled is None or bytes(enrolled) != print_:
            raise WrongPeer(
                f"node {node_id} was given another certificate since",
                hint="use the newest certificate, or join again with a new token",
            )
        return node_id

    def _require_enrolled(self, node_id: str) -> None:
        if not self.node.tree().is_child(node_id) and not self.node.reread_tree().is_child(node_id):
            known = self.node.tree().nodes.get(node_id)
            if known is not None and known.status == "revoked":
                raise WrongPeer(
                    f"node {node_id} is not enrolled any more: it was revoked",
                    hint="another machine keeps its unit now: switch this one off and remove syncd",
                )
            raise WrongPeer(
                f"node {node_id} is not enrolled below this node", hint="ask this node's operator for a token"
            )

    # --- hello, push, pull -----------------------------------------------------------------------------------------

    async def hello(self, request: Request, peer: str) -> Response:
        async with self._turns.turn(peer, _require_length(request, limits.HANDSHAKE_BYTES_MAX)) as is_large:
            body = await _body(request, limits.HANDSHAKE_BYTES_MAX)
            async with self._turns.work(is_large):
                hello, reply = await self.work(self._greeted, peer, body)
        self.observer.child_seen(peer, hello.waiting_rows, hello.open_cases, hello.time_ms - reply.time_ms)
        return Response(messages.encode(reply))

    def _greeted(self, peer: str, body: bytes) -> tuple[Hello, HelloReply]:
        hello = messages.decode(body, Hello)
        return hello, self.desk.hello(peer, hello)

    async def push(self, request: Request, peer: str) -> Response:
        began = time.monotonic()
        upload = Upload(self.desk, self.work, peer)
        size_bytes = await _read_upload(request, upload)
        reply = await upload.finish()
        self.observer.child_seen(peer, None, None, None)
        self.observer.exchanged("push", peer, upload.taken, size_bytes, time.monotonic() - began)
        return Response(messages.encode(reply))

    async def pull(self, request: Request, peer: str) -> Response:
        began = time.monotonic()
        if self._waiting is None:
            raise SyncdError("the server has not begun", hint="tried again by itself")
        certificate = request.scope["state"]["certificate"]
        async with self._turns.turn(peer, _require_length(request, limits.HANDSHAKE_BYTES_MAX)) as is_large:
            asked = await _body(request, limits.HANDSHAKE_BYTES_MAX)
            pull = await self.work(messages.decode, asked, Pull) if is_large else messages.decode(asked, Pull)
            waiter = self._waiting.enter(peer)
            try:
                reply, body = await self._news(pull, certificate, waiter, self._waiting, is_large)
            finally:
                self._waiting.leave(waiter)
        silent = await self.work(self._below, peer, pull) if pull.silent else pull.silent
        self.observer.child_seen(peer, pull.waiting_rows, pull.open_cases, None, silent)
        if reply.frames or reply.receipts:
            self.observer.exchanged("pull", peer, reply.frames, len(body), time.monotonic() - began)
        head = http.prefixed(messages.encode(reply))
        if len(body) <= limits.CHUNK_BYTES:
            return Response(head + body)
        return StreamingResponse(_chunks(head, body), headers={"content-length": str(len(head) + len(body))})

    def _below(self, peer: str, pull: Pull) -> Sequence[Silent]:
        return within(self.node.tree(), peer, pull.silent)

    def _lacking(self, certificate: bytes, pull: Pull, news: set[str]) -> tuple[PullReply, Sending]:
        peer = self.child(certificate)  # whoever waits may be revoked meanwhile, or be given another certificate
        return self.desk.pull(peer, pull, news)

    async def _news(
        self, pull: Pull, certificate: bytes, waiter: Waiter, waiting: Waiting, is_large: bool
    ) -> tuple[PullReply, bytes]:
        """What the child lacks, as soon as there is anything, or after its wait."""
        wait_s_max = limits.LARGE_WAIT_S if is_large else waiting.wait_s_max
        asked_at = time.monotonic()
        deadline = asked_at + min(pull.wait_ms / 1000, wait_s_max)
        last = asked_at + held_s_max(pull, wait_s_max)
        while True:
            async with self._turns.work(is_large):
                reply, sending = await self.work(self._lacking, certificate, pull, waiting.asks(waiter))
            left_s = deadline - time.monotonic()
            if left_s <= 0 and deadline < last and await self.work(self.desk.is_behind, pull):
                # What the child waits for comes as soon as this node gets to it: it is not sent away before.
                left_s = min(limits.RECEIPT_STEP_S, last - deadline)
                deadline = time.monotonic() + left_s
            if reply.frames or reply.receipts or left_s <= 0 or waiting.closed:
                return reply, sending.body
            try:
                async with asyncio.timeout(left_s):
                    await waiter.event.wait()
            except TimeoutError:
                if deadline >= last:
                    return reply, sending.body


def held_s_max(pull: Pull, wait_s_max: float) -> float:
    """How long a pull is held at most: as it asks, or longer while receipts that it waits for are on their way, which
    spares whoever asks for a moment to ask again. Never as long as firewalls take to forget a line."""
    wait_s = min(pull.wait_ms / 1000, wait_s_max)
    return max(wait_s, min(limits.RECEIPT_BUSY_S_MAX, wait_s_max)) if pull.owed and pull.wait_ms else wait_s


async def _read_upload(request: Request, upload: Upload) -> int:
    """Feed the body to `upload`; returns its size. What had arrived when it broke off is kept."""
    stated_bytes = _require_length(request, PUSH_BODY_BYTES_MAX)
    size_bytes = 0
    try:
        async for chunk in _stream(request, stated_bytes):
            size_bytes += len(chunk)
            await upload.feed(chunk)
    except (ClientDisconnect, TimeoutError):
        await upload.feed(request.scope.get("arrived", b""))
        await upload.broken()
        raise
    return size_bytes


async def _stream(request: Request, stated_bytes: int) -> AsyncIterator[bytes]:
    """The body's chunks. Raises ClientDisconnect; TimeoutError after a silence, or when all of it takes too long."""
    chunks = request.stream()
    deadline = time.monotonic() + limits.BODY_STALL_S_MAX + stated_bytes / limits.BODY_BYTES_PER_S_MIN
    while True:
        try:
            left_s = min(limits.BODY_STALL_S_MAX, deadline - time.monotonic())
            async with asyncio.timeout(max(left_s, 0.0)):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        yield chunk


async def _body(request: Request, bytes_max: int) -> bytes:
    """A small body as a whole."""
    stated_bytes = _require_length(request, bytes_max)
    body = bytearray()
    async for chunk in _stream(request, stated_bytes):
        body += chunk
    return bytes(body)


def _require_length(request: Request, bytes_max: int) -> int:
    """The stated length. Refuses a body without one (HTTP then holds the sender to it) or with too much."""
    stated = request.headers.get("content-length", "")
    if not stated.isascii() or not stated.isdigit() or int(stated) > bytes_max:
        raise TooLarge(
            f"a body of {stated[:20] or 'unknown'} bytes", hint=f"at most {bytes_max} bytes, stated in advance"
        )
    return int(stated)


async def _chunks(head: bytes, body: bytes) -> AsyncIterator[bytes]:
    """Head and body piece by piece, so that a slow child holds no second copy in the connection's buffer."""
    yield head
    for start in range(0, len(body), limits.CHUNK_BYTES):
        yield body[start : start + limits.CHUNK_BYTES]


def _later(error: SyncdError) -> dict[str, str]:
    """When to ask again, where that is known."""
    return {"retry-after": str(int(limits.BUSY_WAIT_S))} if isinstance(error, Busy) else {}


Endpoint = Callable[[Request], Awaitable[Response]]


def _application(service: _Service) -> ASGIApp:
    """All routes. What is not listed here does not exist. Without a framework's layers: of a question that waits for
    news in vain, and of hundreds of children there are no others for most of the day, they were a third of the cost."""
    routes = {
        ("GET", http.CA): _answered(service, service.ca),
        ("POST", http.JOIN): _answered(service, service.join),
        ("POST", http.HELLO): _answered(service, _for_children(service.proven, service.hello)),
        ("POST", http.PUSH): _answered(service, _for_children(service.proven, service.push)),
        ("POST", http.PULL): _answered(service, _for_children(service.recognised, service.pull)),
    }
    paths = {path for _method, path in routes}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = routes.get((scope["method"], scope["path"]))
        if endpoint is None:
            response = Response(status_code=405 if scope["path"] in paths else 404)
        else:
            response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return application


def _for_children(
    peer_of: Callable[[Request], Awaitable[str]], endpoint: Callable[[Request, str], Awaitable[Response]]
) -> Endpoint:
    """An endpoint behind the check of the certificate."""

    async def checked(request: Request) -> Response:
        peer = request.scope["peer"] = await peer_of(request)
        return await endpoint(request, peer)

    return checked


def _answered(service: _Service, endpoint: Endpoint) -> Endpoint:
    """An endpoint whose errors become answers. After one, the connection is closed: its body may not have been read."""

    async def answered(request: Request) -> Response:
        event = request.url.path.rpartition("/")[2]
        try:
            return await endpoint(request)
        except TooMany as error:  # said once, when they became too many
            return Response(http.encode_error(error), http.status_of(error), {"connection": "close"})
        except SyncdError as error:
            service.observer.failed(event, request.scope.get("peer", ""), error)
            return Response(http.encode_error(error), http.status_of(error), {"connection": "close", **_later(error)})
        except (ClientDisconnect, TimeoutError) as error:
            service.observer.failed(event, request.scope.get("peer", ""), error)
            return Response(status_code=http.STALLED, headers={"connection": "close"})
        except Exception as error:  # whatever a request made of our code ends that request alone
            tell(error, duty=f"serve {event}", about=request.scope.get("peer", "") or None)
            return Response(http.encode_error(unforeseen(error)), 500, headers={"connection": "close"})

    return answered
