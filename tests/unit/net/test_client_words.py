"""What a failed exchange is called: by status, by kind, by the system's number; never in words that came over the
line."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import h11
import httpx
import pytest

from syncd.errors import ParentUnreachable, SyncdError
from syncd.net import client
from syncd.net.http import STALLED, decode_error

PLACE = "https://127.0.0.1:1 (node 0198b2c4-7a10-7d20-9c11-5a3f9e77ab02)"
WORDS = "Nguyễn Thị Bưởi"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")


@pytest.mark.parametrize("body", [b"", b"<html>", WORDS.encode()])
def test_a_parent_that_waited_in_vain_is_not_taken_for_a_stranger(body: bytes) -> None:
    found = decode_error(STALLED, body, PLACE)
    assert isinstance(found, ParentUnreachable)
    assert "waited in vain" in found.message
    assert "not as a node" not in str(found)


@pytest.mark.parametrize("status", [302, 403, 404, 407, 502, 503, 511])
def test_a_device_in_between_is_called_so_and_not_quoted(status: int) -> None:
    found = decode_error(status, f"<html>{WORDS}</html>".encode(), PLACE)
    assert f"status {status}, not as a node does" in found.message
    assert "Bưởi" not in str(found)


def caused(error: httpx.HTTPError, cause: BaseException) -> httpx.HTTPError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("error", "said"), [
    (caused(httpx.ConnectError(WORDS), ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
    (caused(httpx.ConnectError(WORDS), socket.gaierror(-2, "Name or service not known")), "Name or service"),
    (httpx.ReadTimeout(WORDS), "ReadTimeout"), (httpx.WriteError(WORDS), "WriteError"),
    (caused(httpx.RemoteProtocolError(WORDS), h11.RemoteProtocolError(WORDS)), "RemoteProtocolError"),
    (caused(httpx.ReadError(WORDS), ssl.SSLEOFError(8, "EOF occurred")), "TLS connection"),
])  # fmt: skip
def test_a_failed_exchange_is_told_by_its_kind_and_the_systems_reason(error: httpx.HTTPError, said: str) -> None:
    found = client._translate(error, PLACE)
    assert said in found.message
    assert "Bưởi" not in str(found)


@contextmanager
def speaking(answer: bytes) -> Iterator[str]:
    """Something that is no node listens and says this, without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with closing(listener.accept()[0]) as peer:
                peer.recv(4096)
                peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def test_after_a_stranger_the_next_address_is_asked() -> None:
    addresses = client._Addresses(["https://a/", "https://b", "https://c"])
    assert addresses.chosen == "https://a"
    addresses.failed("https://a")
    addresses.failed("https://a")
    assert addresses.chosen == "https://b", "the other line has found it dead already"
    addresses.use(["https://d"])
    addresses.failed("https://d")
    assert addresses.chosen == "https://d"
    with speaking(f"HTTP/1.1 200 OK\r\n\r\n{WORDS}".encode()) as first:
        both = client._Addresses([first, "https://127.0.0.1:9"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        line = client._Line(both, context, "0198b2c4-7a10-7d20-9c11-5a3f9e77ab02")
        with closing(line), pytest.raises(SyncdError) as caught:
            line.get("/v1/ca", 100)
        assert "Bưởi" not in str(caught.value)
        assert both.chosen == "https://127.0.0.1:9"
