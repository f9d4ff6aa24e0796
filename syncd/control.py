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
            connection.sendall(json.dumps(self._picture()).encode())


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
        place = json.loads((directory / CONTROL_FILE).read_bytes()[:CONTROL_FILE_BYTES_MAX])
        with socket.socket() as connection:  # no name to be looked up, and nothing that looks names up is loaded
            connection.settimeout(CLIENT_S_MAX)
            connection.connect(("127.0.0.1", int(place["port"])))
            connection.sendall(str(place["password"]).encode() + b"\n")
            answer = b""
            while received := connection.recv(limits.CHUNK_BYTES):
                answer += received
                if len(answer) > limits.CONTROL_BYTES_MAX:
                    return None, False
        return (dict(json.loads(answer)) if answer else None), False
    except TimeoutError:
        return None, True
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None, False  # no daemon, or one that has just ended: the caller says so
