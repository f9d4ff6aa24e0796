"""`python -m bench.fleet_children`: many stations in one process, made of the project's own classes.

Enters: commands as JSON lines on stdin. Leaves: one JSON line for each on stdout. Must hold: each child is a node of
its own (keys, certificate, database, two connections over TLS) that says what a daemon says. What differs from one:
its database is not encrypted and lies in memory, one thread waits for news, and a few threads write for all children.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from bench import data
from schema.install import Identity, statements
from schema.tables import registry
from syncd import limits, setup
from syncd.clock import system_clock
from syncd.config import Config
from syncd.errors import SyncdError
from syncd.exchange import Link
from syncd.identity_files import ensure_keys, new_tls_keys, save_joined
from syncd.net.client import JoinClient, ParentClient
from syncd.pipeline import Node
from syncd.security import enrol, tls
from syncd.security.tls import TlsFiles
from syncd.security.token import decode_token
from syncd.setup import Place
from syncd.store import sqlite
from syncd.store.sqlite import SqliteStore
from syncd.tree import NodeRecord

WRITERS = 4
HERD_S_MAX = 120.0
POLL_S = limits.HINT_WAIT_S_MAX  # as stations ask
AGAIN_S = 0.5  # after a failed question
INSERT = "INSERT INTO household (number, kind) VALUES (?, 'family')"
OWED = "SELECT count(*) FROM syncd_stream WHERE own = 1 AND kind = 1 AND custodian_seq < held_seq"
EMPTY = Config(encrypted=False)
NOBODY = Identity(
    node_id="b0b0b0b0-0000-8000-8000-0000d1d2d3d4", tag="d1d2d3d4", unit_id="c0c0c0c0-0000-8000-8000-0000e1e2e3e4"
)


@dataclass(eq=False)
class Child:
    """One station: a node, its link, its two lines to the parent."""

    directory: Path
    node: Node
    link: Link
    client: ParentClient
    unit_id: str
    turn: threading.RLock = field(default_factory=threading.RLock)  # a daemon's stages take turns on the database too
    thread: threading.Thread | None = None
    is_waiting: bool = False
    wait_s: float = 0.0
    failures: list[str] = field(default_factory=list)
    heard_at: float = 0.0
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def settle(self) -> None:
        with self.turn:
            for _ in range(20):
                wrote = self.node.write()
                applied = self.node.apply_all().applied
                if not (self.node.conclude().wrote or wrote or applied):
                    return

    def greet(self) -> None:
        sent_ms = self.node.clock()
        self.link.take_hello(self.client.hello(self.link.hello()), sent_ms, self.node.clock())

    def push(self) -> list[float]:
        """All that the parent lacks; seconds of each exchange."""
        spent = []
        if not self.link.has_greeted:
            self.greet()
        while (sending := self.link.next_push()) is not None:
            began = time.perf_counter()
            reply = self.client.push(sending)
            spent.append(time.perf_counter() - began)
            self.link.take_push(reply)
        return spent

    def pull(self, wait_s: float) -> bool:
        pulled = self.client.pull(self.link.pull(wait_s), self.link)
        self.link.take_pull(pulled.reply, pulled.envelopes, pulled.unfinished)
        if pulled.error is not None:
            raise pulled.error
        if pulled.envelopes:
            self.settle()
        return bool(pulled.envelopes)

    def write(self) -> None:
        with self.turn:
            with self.node.store.write("clerk") as tx:
                tx.run(INSERT, (str(next(self.numbers)),))
            self.node.write()

    def owes(self) -> bool:
        with self.node.store.read() as tx:
            return bool(tx.value(OWED))

    def keeps(self) -> bool:
        with self.node.store.read() as tx:
            return bool(tx.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"))

    def wait_for_news(self, watched: Callable[[Child], None]) -> None:
        """The thread of a child: long polls for as long as it is told to."""
        while self.is_waiting:
            try:
                self.pull(self.wait_s)
                self.wait_s = POLL_S
                watched(self)
            except SyncdError as error:
                if self.is_waiting:
                    self.failures.append(f"pull: {error}")
                    time.sleep(AGAIN_S)


def joined(directory: Path, token_text: str) -> tuple[Child, float]:
    """A child enrolled over TLS, its database made; and the seconds of its two questions."""
    token = decode_token(token_text)
    node_keys = ensure_keys(directory, EMPTY, os.urandom)
    tls_keys = new_tls_keys(EMPTY)
    body = enrol.encode_request(enrol.build_request(token, node_keys, tls_keys, token.unit_name))
    began = time.perf_counter()
    client = JoinClient(token)
    ca_pem = client.fetch_ca()
    reply = enrol.decode_reply(client.join(ca_pem, body))
    spent_s = time.perf_counter() - began
    enrol.check_reply(reply, token, node_keys, tls_keys, ca_pem)
    save_joined(directory, tls_keys, reply.certificate_pem, reply.issuer_pem, ca_pem)
    place = Place(
        name=token.unit_name, unit_id=reply.unit_id, unit_code=reply.unit_code, unit_name=reply.unit_name,
        unit_level="", recovery_public=reply.recovery_public,
        ancestors=tuple(
            NodeRecord(
                node_id=info.node_id, parent_id=info.parent_id, name=info.name, signing_public=info.ed25519_public,
                sealing_public=info.x25519_public, unit_id=info.unit_id, term=1, status="enrolled",
            )
            for info in reply.parents
        ),
    )  # fmt: skip
    identity = Identity(node_id=node_keys.node_id, tag=node_keys.tag, unit_id=place.unit_id)
    connection = sqlite.connect(directory / "syncd.db", None)
    connection.execute("BEGIN")
    for statement in _statements():
        connection.execute(_spoken_by(identity, statement))
    connection.execute("COMMIT")
    connection.close()
    store = SqliteStore(directory / "syncd.db", registry())
    setup.record_place(store, node_keys, place, system_clock())
    node = Node(store, node_keys, system_clock, os.urandom)
    context = tls.client_context(TlsFiles.in_directory(directory))
    link = Link(node, token.parent_id)
    return Child(
        directory=directory, node=node, link=link, unit_id=place.unit_id,
        client=ParentClient(list(token.parent_urls), context, token.parent_id),
    ), spent_s  # fmt: skip


@cache
def _statements() -> list[str]:
    """What makes a database, for a node that is none: writing it down anew takes longer than running it."""
    return list(statements("sqlite", registry(), NOBODY))


def _spoken_by(identity: Identity, statement: str) -> str:
    for named in ("node_id", "unit_id", "tag"):
        statement = statement.replace(getattr(NOBODY, named), getattr(identity, named))
    return statement


class Host:
    """The children of this process, and the commands about all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self.pool = ThreadPoolExecutor(WRITERS)
        self.watched: tuple[str, str] | None = None

    def join(self, tokens: list[str]) -> dict[str, Any]:
        """Enrol one after another; seconds of each."""
        spent = []
        for token in tokens:
            child, spent_s = joined(self.folder / f"{len(self.children)}", token)
            spent.append(spent_s)
            self.children.append(child)
        return {"seconds": spent}

    def wait(self) -> dict[str, Any]:
        """All of them wait for news from now on."""
        for child in self.children:
            self._wait(child)
        return {}

    def keep(self, within_s: float) -> dict[str, Any]:
        """Until every child knows that it keeps its unit; and the processor's seconds of this process meanwhile."""
        deadline, before = time.monotonic() + within_s, time.process_time()
        left = list(self.children)
        while left and time.monotonic() < deadline:
            left = [child for child in left if not child.keeps()]
            time.sleep(0.5)
        for child in self.children:
            child.settle()
            child.push()
        return {"left": len(left), "cpu_s": time.process_time() - before}

    def rest(self) -> dict[str, Any]:
        """Give memory back, as a daemon does after a while."""
        for child in self.children:
            child.node.store.relax()
        return {}

    def month(self, changes: int, seconds: float) -> dict[str, Any]:
        """`changes` of each child at random moments; seconds of each exchange that carried one."""
        began = time.monotonic()
        moments = [(random.uniform(0, seconds), child) for _ in range(changes) for child in self.children]
        jobs = []
        for at, child in sorted(moments, key=lambda moment: moment[0]):
            time.sleep(max(began + at - time.monotonic(), 0.0))
            jobs.append(self.pool.submit(self._change, child))
        spent = [second for job in jobs for second in job.result()]
        return {"seconds": spent, "failures": self._failures()}

    def gather(self) -> dict[str, Any]:
        """Everybody is off line and has a change to send."""
        for child in self.children:
            child.is_waiting = False
            child.client.close()
        for child in self.children:
            if child.thread is not None:
                child.thread.join(POLL_S + HERD_S_MAX)
            child.link.has_greeted = False
            child.write()
            child.client = self._new_client(child)
        return {}

    def herd(self, start_at: float) -> dict[str, Any]:
        """All at once: hello, one change up, its receipt down. When the last one was through, and how many were not."""
        threads = [threading.Thread(target=self._through, args=(child, start_at)) for child in self.children]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for child in self.children:
            self._wait(child)
        return {
            "last_s": max(child.heard_at for child in self.children) - start_at,
            "without_receipt": sum(child.owes() for child in self.children),
            "failures": self._failures(),
        }

    def watch(self, unit_id: str, name: str) -> dict[str, Any]:
        """From now on note when a child hears of a unit's new name."""
        self.watched = (unit_id, name)
        for child in self.children:
            child.heard_at = 0.0
        return {}

    def heard(self, within_s: float) -> dict[str, Any]:
        """When the last child heard (by the system's clock)."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and not all(child.heard_at for child in self.children):
            time.sleep(0.02)
        found = [child.heard_at for child in self.children]
        self.watched = None
        return {"last_at": max(found), "left": sum(not at for at in found)}

    def load(self, persons: int) -> dict[str, Any]:
        """The last child types in a whole register and sends it; seconds until all of it is at the parent."""
        child = self.children[-1]
        register = data.register(child.unit_id, child.node.keys.tag, persons)
        began = time.monotonic()
        with child.turn:
            with child.node.store.write("load") as tx:
                tx.many(data.INSERT_HOUSEHOLD, register.households)
                tx.many(data.INSERT_PERSON, register.persons)
            child.node.write()
            child.push()
        return {"seconds": time.monotonic() - began}

    def end(self) -> dict[str, Any]:
        for child in self.children:
            child.is_waiting = False
        os._exit(0)  # a thousand threads wait for the parent's answer

    def _wait(self, child: Child) -> None:
        child.is_waiting, child.wait_s = True, 0.0
        child.thread = threading.Thread(target=child.wait_for_news, args=(self._watch,), daemon=True)
        child.thread.start()

    def _watch(self, child: Child) -> None:
        if self.watched is not None and not child.heard_at:
            with child.node.store.read() as tx:
                found = tx.value("SELECT name FROM unit WHERE id = ?", self.watched[:1])
            if found == self.watched[1]:
                child.heard_at = time.time()

    def _change(self, child: Child) -> list[float]:
        try:
            with child.turn:
                child.write()
                return child.push()
        except SyncdError as error:
            child.failures.append(f"push: {error}")
            child.link.has_greeted = False
            return []

    def _through(self, child: Child, start_at: float) -> None:
        """What `syncd sync --once` does: send, ask as long as anything comes, then for receipts while more come."""
        time.sleep(max(start_at - time.time(), 0.0))
        try:
            child.greet()
            child.push()
            while child.pull(0):
                pass
            waiting = child.link.hello().waiting_rows
            while waiting:
                child.pull(1.5)
                before, waiting = waiting, child.link.hello().waiting_rows
                if waiting >= before:
                    break
        except SyncdError as error:
            child.failures.append(f"herd: {error}")
        child.heard_at = time.time()

    def _new_client(self, child: Child) -> ParentClient:
        return ParentClient(
            [child.client.address], tls.client_context(TlsFiles.in_directory(child.directory)), child.link.parent
        )

    def _failures(self) -> list[str]:
        found = [text for child in self.children for text in child.failures]
        for child in self.children:
            child.failures.clear()
        return found


def serve(lines: Iterable[str]) -> None:
    host = Host(Path(sys.argv[1]))
    for line in lines:
        name, values = json.loads(line)
        print(json.dumps(getattr(host, name)(*values)), flush=True)


if __name__ == "__main__":
    threading.stack_size(256 * 1024)
    serve(sys.stdin)
