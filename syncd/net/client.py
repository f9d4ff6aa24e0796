"""The child's HTTPS: the only file that knows httpx.

Enters: messages, bodies of frames, the parent's addresses and id. Leaves: the parent's messages and envelopes, or
errors of ours with the remedy. Must hold: whoever answers has proven by its certificate to be the enrolled parent;
every wait has a bound; a broken answer loses nothing that arrived. One kept connection each for what goes up and what
comes down.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

# httpx loads its command line with rich, click and pygments where they are installed: 45 ms and 5 MB at every start of
# a station that never uses it. An empty module in its place makes httpx do without, as where they are not installed.
sys.modules.setdefault("httpx._main", ModuleType("httpx._main"))

import httpcore  # noqa: E402 - the line above must come first
import httpx  # noqa: E402

from syncd import limits, messages  # noqa: E402
from syncd.errors import Altered, EnvelopeError, ParentUnreachable, SyncdError, TooLarge, WrongPeer  # noqa: E402
from syncd.exchange import Link, Sending  # noqa: E402
from syncd.framing import FrameReader  # noqa: E402
from syncd.language import say  # noqa: E402
from syncd.messages import Hello, HelloReply, Pull, PullReply, Push, PushReply  # noqa: E402
from syncd.net import http  # noqa: E402
from syncd.net.deadlines import Backend, Deadline  # noqa: E402
from syncd.security import tls  # noqa: E402
from syncd.security.limits import JOIN_REPLY_BYTES_MAX, PEM_BYTES_MAX  # noqa: E402
from syncd.security.names import tls_name  # noqa: E402
from syncd.security.token import Token, require_ca  # noqa: E402

HOST = "syncd"  # the name that counts is the one TLS proves; a short one saves bytes in every request
DEFAULT_HEADERS = ("accept", "accept-encoding", "connection", "user-agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """An answer to a pull, as far as it came. `error`: why it ended early."""

    reply: PullReply
    envelopes: list[bytes]
    unfinished: bytes
    error: SyncdError | None
    size_bytes: int


class ParentClient:
    """Asks the parent. Used by two threads: one sends up (hello, push), one pulls down."""

    def __init__(self, urls: list[str], context: ssl.SSLContext, parent_id: str) -> None:
        self._addresses = _Addresses(urls)
        self._up = _Line(self._addresses, context, parent_id)
        self._down = _Line(self._addresses, context, parent_id)

    def hello(self, hello: Hello) -> HelloReply:
        return messages.decode(self._up.ask(http.HELLO, messages.encode(hello), limits.HANDSHAKE_BYTES_MAX), HelloReply)

    def push(self, sending: Sending) -> PushReply:
        body = http.prefixed(messages.encode(Push(sending.skipped_bytes)), sending.body)
        return messages.decode(self._up.ask(http.PUSH, body, limits.HANDSHAKE_BYTES_MAX), PushReply)

    def pull(self, pull: Pull, link: Link) -> Pulled:
        """Ask for what flows down; waits up to `pull.wait_ms` and as long again as an exchange may take."""
        return self._down.read(http.PULL, messages.encode(pull), _PullReader(link), pull.wait_ms / 1000)

    @property
    def address(self) -> str:
        """The one that is asked next."""
        return self._addresses.chosen

    def use(self, urls: list[str]) -> None:
        """Other addresses of the same parent, from the next question on."""
        self._addresses.use(urls)

    def close(self) -> None:
        self._up.close()
        self._down.close()


class JoinClient:
    """The two requests of a station that is not enrolled yet."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._addresses = _Addresses(list(token.parent_urls))

    def fetch_ca(self) -> str:
        """The root certificate, already compared with the token's fingerprint; of the first of the parent's addresses
        that has it."""
        for left in range(len(self._token.parent_urls) - 1, -1, -1):
            try:
                return self._fetch_ca()
            except (ParentUnreachable, WrongPeer):
                if not left:
                    raise
        raise ValueError("a token without addresses")

    def _fetch_ca(self) -> str:
        line = _Line(self._addresses, tls.probe_context(), self._token.parent_id)
        try:
            text = line.get(http.CA, PEM_BYTES_MAX).decode("ascii", "replace")
        finally:
            line.close()
        try:
            require_ca(text, self._token.ca_fingerprint)
        except WrongPeer:
            self._addresses.failed(self._addresses.chosen)
            raise
        return text

    def join(self, ca_pem: str, body: bytes) -> bytes:
        """Send the join request over TLS that proves the parent; returns the reply's bytes."""
        line = _Line(self._addresses, tls.join_context(ca_pem), self._token.parent_id)
        try:
            return line.ask(http.JOIN, body, JOIN_REPLY_BYTES_MAX)
        finally:
            line.close()


class _PullReader:
    """Cuts an answer to a pull into its message and envelopes while it arrives."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._head = http.MessageReader()
        self._frames: FrameReader | None = None
        self.reply: PullReply | None = None
        self.envelopes: list[bytes] = []
        self.size_bytes = 0

    def feed(self, data: bytes) -> None:
        self.size_bytes += len(data)
        if self.size_bytes > limits.PULL_ANSWER_BYTES_MAX:
            raise TooLarge(
                say("trả lời vượt {most} byte", "an answer above {most} bytes", most=limits.PULL_ANSWER_BYTES_MAX),
                hint=say("phần đã tới được giữ; sẽ tự thử lại", "what arrived is kept; tried again by itself"),
            )
        rest = self._head.feed(data)
        if self._head.message is not None and self._frames is None:
            self.reply = messages.decode(self._head.message, PullReply)
            self._frames = FrameReader(self._link.unfinished(self.reply))
        if self._frames is not None:
            self.envelopes += self._frames.feed(rest)
            if self.reply is not None and len(self.envelopes) > self.reply.frames:
                raise Altered(
                    say("trả lời mang nhiều gói hơn đã báo", "an answer brings more frames than it states"),
                    hint=say("sẽ tự thử lại", "tried again by itself"),
                )

    def result(self, error: SyncdError | None) -> Pulled:
        """What came. Raises `error` when not even the message did."""
        if self.reply is None or self._frames is None:
            raise error or Altered(
                say("trả lời thiếu phần thông điệp", "an answer without its message"),
                hint=say("sẽ tự thử lại", "tried again by itself"),
            )
        unfinished = b"" if isinstance(error, EnvelopeError) else self._frames.unfinished
        return Pulled(
            reply=self.reply, envelopes=self.envelopes, unfinished=unfinished, error=error, size_bytes=self.size_bytes
        )


class _Addresses:
    """The parent's addresses, tried in turn: what one line finds dead the other need not try."""

    def __init__(self, urls: list[str]) -> None:
        self.use(urls)

    def use(self, urls: list[str]) -> None:
        """These, from the next question on."""
        self._urls = [url.rstrip("/") for url in urls]

    @property
    def chosen(self) -> str:
        return self._urls[0]

    def failed(self, url: str) -> None:
        """Put this one last, unless another line has done so already."""
        urls = self._urls
        if urls[0] == url:
            self._urls = [*urls[1:], url]


class _Line:
    """One kept connection to whichever of the parent's addresses answers."""

    def __init__(self, addresses: _Addresses, context: ssl.SSLContext, parent_id: str) -> None:
        self._addresses = addresses
        self._parent_id = parent_id
        self._deadline = Deadline()
        self._client = httpx.Client(
            transport=_Transport(context, self._deadline),
            trust_env=False,
            follow_redirects=False,
            timeout=_timeout(0.0),
        )
        for name in DEFAULT_HEADERS:
            del self._client.headers[name]

    def ask(self, path: str, body: bytes, bytes_max: int) -> bytes:
        """POST; the answer's body."""
        return self._whole("POST", path, body, bytes_max)

    def get(self, path: str, bytes_max: int) -> bytes:
        """GET; the answer's body."""
        return self._whole("GET", path, None, bytes_max)

    def read(self, path: str, body: bytes, reader: _PullReader, wait_s: float) -> Pulled:
        """POST; the answer goes through `reader` while it arrives."""
        try:
            with self._answer("POST", path, body, wait_s) as (response, place):
                for chunk in _chunks(response, limits.PULL_ANSWER_BYTES_MAX, place):
                    reader.feed(chunk)
        except SyncdError as error:
            return reader.result(error)
        return reader.result(None)

    def close(self) -> None:
        self._client.close()

    def _whole(self, method: str, path: str, body: bytes | None, bytes_max: int) -> bytes:
        with self._answer(method, path, body, 0.0) as (response, place):
            return _bounded(response, bytes_max, place)

    @contextmanager
    def _answer(
        self, method: str, path: str, body: bytes | None, wait_s: float
    ) -> Iterator[tuple[httpx.Response, str]]:  # fmt: skip
        """The answer, its body still to be read, and who gives it; errors inside become ours. Meanwhile another line
        may choose another address."""
        url = self._addresses.chosen
        place = http.place_of(url, self._parent_id)
        request = self._client.build_request(
            method, url + path, content=body, headers={"host": HOST}, timeout=_timeout(wait_s),
            extensions={"sni_hostname": tls_name(self._parent_id)},
        )  # fmt: skip
        self._deadline.begin(limits.EXCHANGE_S_MAX + wait_s)
        try:
            response = self._send(request, place)
            try:
                if response.status_code != httpx.codes.OK:
                    raise http.decode_error(
                        response.status_code, _bounded(response, limits.ERROR_BYTES_MAX, place), place
                    )
                yield response, place
            finally:
                response.close()
                self._client.cookies.clear()  # a neighbour's, which would be kept and sent back
        except httpx.HTTPError as error:
            ours = _translate(error, place)
            self._addresses.failed(url)
            raise ours from error
        except (ParentUnreachable, WrongPeer):  # somebody else answers there: a portal, another machine
            self._addresses.failed(url)
            raise

    def _send(self, request: httpx.Request, place: str) -> httpx.Response:
        """The answer's head. Whatever the library meets in one that it did not foresee is the neighbour's doing."""
        try:
            return self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            if isinstance(error, httpx.RemoteProtocolError) and _is_no_http(error):
                raise _strange(place) from error
            raise
        except Exception as error:
            raise _strange(place) from error


def _is_no_http(error: BaseException) -> bool:
    """Whether what came was read and is no answer of HTTP; a line that closed before one came is none of its doing."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__module__.startswith("h11"):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _timeout(wait_s: float) -> httpx.Timeout:
    return httpx.Timeout(
        connect=limits.CONNECT_S_MAX,
        read=limits.EXCHANGE_S_MAX + wait_s,
        write=limits.EXCHANGE_S_MAX,
        pool=limits.CONNECT_S_MAX,
    )


class _Transport(httpx.HTTPTransport):
    """One kept connection, every wait of which ends by `deadline`."""

    def __init__(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        super().__init__(verify=context, trust_env=False)
        # The constructor has no word for sockets of one's own.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=limits.CLIENT_KEEP_ALIVE_S,
            network_backend=Backend(deadline),
        )


def _chunks(response: httpx.Response, bytes_max: int, place: str) -> Iterator[bytes]:
    """A body of at most `bytes_max` while it arrives; one that states more is not begun."""
    stated = response.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > bytes_max:
        raise _too_much(place)
    size = 0
    chunks = response.iter_raw()
    while True:
        try:
            chunk = next(chunks, None)
        except httpx.HTTPError:
            raise
        except Exception as error:
            raise _strange(place) from error
        if chunk is None:
            return
        size += len(chunk)
        if size > bytes_max:
            raise _too_much(place)
        yield chunk


def _bounded(response: httpx.Response, bytes_max: int, place: str) -> bytes:
    """A whole body of at most `bytes_max`."""
    return b"".join(_chunks(response, bytes_max, place))


def _too_much(place: str) -> ParentUnreachable:
    return ParentUnreachable(
        say("{place} gửi quá nhiều hoặc quá chậm", "{place} sends too much or too slowly", place=place),
        hint=say("kiểm tra thiết bị giữa máy này và cấp trên", "check what stands between this node and its parent"),
    )


def _strange(place: str) -> ParentUnreachable:
    return ParentUnreachable(
        say("{place} trả lời không như một máy", "{place} does not answer as a node does", place=place),
        hint=say(
            "kiểm tra địa chỉ cấp trên và thiết bị ở giữa", "check the parent's address, and what stands in between"
        ),
    )


def _translate(error: httpx.HTTPError, place: str) -> SyncdError:
    """What a failure of the network means to an operator."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return tls.explain(cause, place)
        cause = cause.__cause__ or cause.__context__
    why = _why(error)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ParentUnreachable(
            say("{place} không trả lời ({error})", "{place} does not answer ({error})", place=place, error=why),
            hint=say(
                "sẽ tự thử lại; kiểm tra cấp trên có đang chạy, địa chỉ và đường truyền",
                "tried again by itself; check that the parent runs, its address, and the line",
            ),
        )
    return ParentUnreachable(
        say("trao đổi với {place} bị đứt ({error})", "the exchange with {place} broke off ({error})", place=place,
            error=why),
        hint=say("phần đã tới được giữ; sẽ tự thử lại", "what arrived is kept; tried again by itself"),
    )  # fmt: skip


def _why(error: BaseException) -> str:
    """The system's reason where there is one, else the kind: a library's own words may quote what was received."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.strerror:
            return f"{type(error).__name__}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
