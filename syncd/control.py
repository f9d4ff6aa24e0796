"""How `syncd status` asks a running daemon: a socket on loopback, its place and a password in a file of the node.

Enters: the daemon's picture of itself. Leaves: that picture as JSON to whoever can read `daemon.json`; `ask` returns
None when no daemon answers; `daemon.ended` says why it gave up. Must hold: nobody without access to the node's
directory learns anything; a silent client blocks nothing but itself, briefly.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from syncd import limits
from syncd.errors import SyncdError
from syncd.system import read_beginning, write_secret_file

CONTROL_FILE = "daemon.json"
ENDED_FILE = "daemon.ended"
CLIENT_S_MAX = 2.0
PASSWORD_BYTES = 16
CONTROL_FILE_BYTES_MAX = 4096
REQUEST_BYTES_MAX = 256
PLACE = "place"


class Control:
    """Answers on a thread of its own until closed."""

    def __init__(
        self,
        directory: Path,
        picture: Callable[[], dict[str, Any]],
        random_bytes: Callable[[int], bytes],
        facts: dict[str, Any],
    ) -> None:
        self._path = directory / CONTROL_FILE
        self._picture = picture
        self._password = random_bytes(PASSWORD_BYTES).hex()
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        write_secret_file(self._path, json.dumps({**facts, "port": port, "password": self._password}).encode())
        self._place = {PLACE: {"file": _identity(self._path), "directory": str(directory.resolve())}}
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more answers; the file goes, so that nobody takes an old one for a running daemon."""
        self._path.unlink(missing_ok=True)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with connection:
                try:
                    self._answer(connection)
                except OSError:
                    continue  # the client went away; there is nobody to tell
                except Exception as error:  # a picture that cannot be drawn is no reason never to answer again
                    from syncd.node.barriers import tell  # a screen need not load it

                    tell(error, worker="control")

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(CLIENT_S_MAX)
        line = b""
        while not line.endswith(b"\n") and len(line) < REQUEST_BYTES_MAX:
            received = connection.recv(REQUEST_BYTES_MAX)
            if not received:
                return
            line += received
        if hmac.compare_digest(line.strip(), self._password.encode()):
            connection.sendall(json.dumps({**self._picture(), **self._place}).encode())


def note_end(directory: Path, reason: str, at: str, rescued: str | None = None) -> None:
    """Leave word of why the daemon ended by itself: whoever looks afterwards finds no daemon to ask. `rescued`: where
    it has written down a database that was taken away.
    """
    write_secret_file(directory / ENDED_FILE, json.dumps({"reason": reason, "at": at, "rescued": rescued}).encode())


def forget_end(directory: Path) -> None:
    """A daemon works again."""
    (directory / ENDED_FILE).unlink(missing_ok=True)


def last_end(directory: Path) -> tuple[str | None, str | None]:
    """Why the last daemon ended by itself, and what it has rescued; None when it did not, or was started again."""
    try:
        found = json.loads(read_beginning(directory / ENDED_FILE, CONTROL_FILE_BYTES_MAX))
        return str(found["reason"]), found.get("rescued")
    except (SyncdError, ValueError, KeyError, TypeError, AttributeError):
        return None, None


def ask(directory: Path) -> dict[str, Any] | None:
    """The picture of the daemon running in `directory`; None when there is none (or it does not answer)."""
    return asked(directory)[0]


def asked(directory: Path) -> tuple[dict[str, Any] | None, bool]:
    """The picture, and whether a daemon is there that took the question and does not answer: it hangs, or was stopped
    in its steps."""
    try:
        live, other = _answered(directory)
        return (None if other else live), False
    except TimeoutError:
        return None, True
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None, False  # no daemon, or one that has just ended: the caller says so


def original_of(directory: Path) -> tuple[str, Any] | None:
    """Directory and pid of a running daemon, where `directory` is a copy of its."""
    try:
        live, other = _answered(directory)
        return (other, live.get("pid")) if live and other else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _identity(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_dev, found.st_ino]


def _answered(directory: Path) -> tuple[dict[str, Any] | None, str]:
    """The picture, and the directory of the daemon that drew it where that is another: a copied directory brings the
    original's port and password along, and would show its state as this one's."""
    place = json.loads((directory / CONTROL_FILE).read_bytes()[:CONTROL_FILE_BYTES_MAX])
    with socket.socket() as connection:  # no name to be looked up, and nothing that looks names up is loaded
        connection.settimeout(CLIENT_S_MAX)
        connection.connect(("127.0.0.1", int(place["port"])))
        connection.sendall(str(place["password"]).encode() + b"\n")
        answer = b""
        while received := connection.recv(limits.CHUNK_BYTES):
            answer += received
            if len(answer) > limits.CONTROL_BYTES_MAX:
                return None, ""
    live = dict(json.loads(answer)) if answer else {}
    drawn_in = live.pop(PLACE, None)
    is_other = drawn_in is not None and drawn_in["file"] != _identity(directory / CONTROL_FILE)
    return live or None, drawn_in["directory"] if is_other else ""
