"""A parent with its own good certificate that answers as it likes.

Enters: the TLS files of an enrolled node, an address, what to answer. Leaves: how often each answer was given and how
many bytes were taken off it.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from syncd import messages
from syncd.net import http
from syncd.security import tls
from syncd.security.tls import TlsFiles

Answer = Callable[[str], Iterator[bytes]]  # path → what is sent, piece by piece
OK = b"HTTP/1.1 200 OK\r\n"
SENT_MAX = 256 * 2**20  # a client that takes so much has no bound


def _whole(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + headers + b"content-length: %d\r\n\r\n" % len(body) + body


def _hello() -> bytes:
    return messages.encode(messages.HelloReply(1, int(time.time() * 1000), [], None, 4096))


def _of(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> Answer:
    return lambda _path: iter([_whole(body, status, headers)])


def _endless(head: bytes, piece: bytes) -> Answer:
    return lambda _path: itertools.chain([head], itertools.repeat(piece))


def _slowly(head: bytes, piece: bytes) -> Answer:
    def pieces(_path: str) -> Iterator[bytes]:
        yield head
        while True:
            time.sleep(0.05)  # not a wait for anything: this is how slowly it speaks
            yield piece

    return pieces


def _flood(path: str) -> Iterator[bytes]:
    """A pull's answer of frames without end; everything else as it should be."""
    if path != http.PULL:
        yield _whole(_hello())
        return
    message = messages.encode(messages.PullReply(int(time.time() * 1000), [], 2**62, 0, []))
    yield OK + b"content-length: 99999999\r\n\r\n" + http.prefixed(message)
    yield from itertools.repeat((100).to_bytes(4, "big") + bytes(100))


def _flood_chunked(path: str) -> Iterator[bytes]:
    if path != http.PULL:
        yield _whole(_hello())
        return
    message = http.prefixed(messages.encode(messages.PullReply(int(time.time() * 1000), [], 2**62, 0, [])))
    yield OK + b"transfer-encoding: chunked\r\n\r\n" + b"%x\r\n" % len(message) + message + b"\r\n"
    yield from itertools.repeat(b"10004\r\n" + (2**16).to_bytes(4, "big") + bytes(2**16) + b"\r\n")


def _more_frames(path: str) -> Iterator[bytes]:
    """More frames than the message states."""
    if path != http.PULL:
        yield _whole(_hello())
        return
    message = messages.encode(messages.PullReply(int(time.time() * 1000), [], 1, 0, []))
    yield _whole(http.prefixed(message, ((100).to_bytes(4, "big") + bytes(100)) * 1000))


BAD_UTF8 = b"\x93\xa7Altered\xa2\xff\xfe\xa1h"
ANSWERS: Mapping[str, Answer] = {
    "bad UTF-8 in an error": _of(BAD_UTF8, b"400 x"),
    "bad UTF-8 in an answer": _of(BAD_UTF8),
    "an error that is none": _of(b"\x93\x01\x02\x03", b"500 x"),
    "an error of nested arrays": _of(b"\x91" * 4000, b"500 x"),
    "escape codes": _of(msgspec.msgpack.encode(("WrongPeer", "\x1b]0;owned\x07\x1b[2J\nline", "\x1b[2J")), b"403 x"),
    "nothing": _of(b""),
    "an array of another length": _of(b"\x90"),
    "numbers beyond 64 bits": _of(b"\x95\x01\xcf" + b"\xff" * 8 + b"\x90\xc0\x00"),
    "a message of 4 GB": _of(b"\xff\xff\xff\xff"),
    "no HTTP": lambda _path: iter([b"\x00\xff\r\n\r\n"]),
    "a status that is none": lambda _path: iter([b"HTTP/1.1 99999999999999999999 OK\r\n\r\n"]),
    "a length of many digits": lambda _path: iter([OK + b"content-length: " + b"9" * 5000 + b"\r\n\r\n"]),
    "a length below zero": lambda _path: iter([OK + b"content-length: -1\r\n\r\n"]),
    "two lengths": lambda _path: iter([OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nx"]),
    "a chunk of no length": lambda _path: iter([OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"]),
    "a chunk of many digits": lambda _path: iter([OK + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n"]),
    "elsewhere": _of(b"", b"302 x", b"location: https://evil.example/\r\n"),
    "packed": _of(b"\x1f\x8b" + bytes(50), headers=b"content-encoding: gzip\r\n"),
    "a cookie": _of(_hello(), headers=b"set-cookie: a=" + b"x" * 4000 + b"\r\n"),
    "headers without end": _endless(OK, b"x: y\r\n"),
    "a header without end": _endless(OK + b"x: ", bytes(b"y" * 1024)),
    "interim answers without end": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an error without end": _endless(b"HTTP/1.1 500 x\r\ncontent-length: 99999999999\r\n\r\n", bytes(2**16)),
    "an answer without end": _endless(OK + b"content-length: 99999999999\r\n\r\n", bytes(2**16)),
    "chunks without end": _endless(OK + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(2**16) + b"\r\n"),
    "a body until the end": _endless(OK + b"connection: close\r\n\r\n", bytes(2**16)),
    "frames without end": _flood,
    "frames in chunks without end": _flood_chunked,
    "more frames than stated": _more_frames,
    "headers that trickle": _slowly(OK, b"x"),
    "a body that trickles": _slowly(OK + b"content-length: 1000000\r\n\r\n", b"x"),
    "chunks that trickle": _slowly(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n\0\r\n"),
    "silence": lambda _path: itertools.chain([b""], _silence()),
}  # fmt: skip


def _silence() -> Iterator[bytes]:
    while True:
        time.sleep(0.05)
        yield b""


class HostileParent:
    """Serves until `close`; each connection gets the answer that `choose` names."""

    def __init__(self, files: Path, port: int, choose: Callable[[], str]) -> None:
        self._context = tls.server_context(TlsFiles.in_directory(files))
        self._listener = socket.create_server(("127.0.0.1", port), backlog=50)
        self._choose = choose
        self._ended = threading.Event()
        self.given: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        threads = []
        while not self._ended.is_set():
            try:
                connection, _address = self._listener.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with (
            contextlib.suppress(OSError),
            connection,
            self._context.wrap_socket(connection, server_side=True) as secure,
        ):
            self._converse(secure)

    def _converse(self, secure: ssl.SSLSocket) -> None:
        while path := self._request(secure):
            name = self._choose()
            self.given[name] += 1
            for piece in ANSWERS[name](path):
                if self._ended.is_set() or self.sent[name] > SENT_MAX:
                    return
                secure.sendall(piece)
                self.sent[name] += len(piece)

    def _request(self, secure: ssl.SSLSocket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            received = secure.recv(65536)
            if not received:
                return ""
            data += received
        head, _, body = data.partition(b"\r\n\r\n")
        self.heads.append(head)
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        while len(body) < length:
            body += secure.recv(65536)
        return head.split(b" ")[1].decode()
