"""Wake-ups inside one process: a stage that committed something tells whoever waits for it.

Must hold: a signal is only a hint; whoever is woken reads the database, and everything also works by polling alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

LOG, RECEIPT, APPLIED = "log", "receipt", "applied"
Listener = Callable[[str, frozenset[str]], None]


class Signals:
    """Topics with the stream ids concerned; listeners are called on the emitting thread and must be quick."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; returns the function that removes it."""
        with self._guard:
            self._listeners.append(listener)

        def remove() -> None:
            with self._guard:
                self._listeners.remove(listener)

        return remove

    def emit(self, topic: str, stream_ids: Iterable[str]) -> None:
        """Tell every listener that these streams have news."""
        changed = frozenset(stream_ids)
        if not changed:
            return
        with self._guard:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(topic, changed)
