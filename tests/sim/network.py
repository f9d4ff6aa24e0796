"""A bad network between the child's `Link` and the parent's `Desk`: what client and server do, without sockets.

Enters: requests of a child as bytes. Leaves: answers, or `Gone` (nobody knows then how far the other side came).
Must hold: everything crosses as bytes; a broken push is treated as the server treats one: whole envelopes are taken,
the beginning of the next is kept.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from syncd import messages
from syncd.errors import EnvelopeError, Gap, SyncdError
from syncd.exchange import Desk
from syncd.framing import FrameReader
from syncd.messages import Hello, HelloReply, Message, Pull, PullReply, Push, PushReply
from syncd.net.http import MessageReader, prefixed
from tests.trees import TreeNode

T = TypeVar("T")
Alive = Callable[[TreeNode, Callable[[], T]], T]  # runs a node's work; Gone when the node dies of it


class Gone(Exception):  # noqa: N818 - not an error of the program: the line broke, or the other side died
    """No answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often things go wrong, as probabilities per request or commit."""

    lost: float = 0.0
    duplicated: float = 0.0
    late: float = 0.0
    cut: float = 0.0
    corrupt: float = 0.0  # a byte of the envelopes; what is around them, TLS protects
    crash: float = 0.0


@dataclass(slots=True, kw_only=True)
class Network:
    """Carries requests up and answers down; requests that were held back arrive at some later moment, in any order."""

    random: random.Random
    faults: Faults
    counts: Counter[str]
    alive: Alive[bytes]
    held_back: list[tuple[TreeNode, str, bytes]] = field(default_factory=list)

    def hello(self, child: TreeNode) -> None:
        """One hello of a child."""
        assert child.link is not None
        child.link.greet(lambda hello: messages.decode(self._ask(child, "hello", messages.encode(hello)), HelloReply))

    def push(self, child: TreeNode) -> bool:
        """One push, when there is anything; returns whether there was."""
        assert child.link is not None
        sending = child.link.next_push()
        if sending is None:
            return False
        self.counts["resumed"] += bool(sending.skipped_bytes)
        body = prefixed(messages.encode(Push(sending.skipped_bytes)), self._corrupted(sending.body))
        child.link.take_push(messages.decode(self._ask(child, "push", body), PushReply))
        return True

    def pull(self, child: TreeNode) -> bool:
        """One pull; returns whether anything came."""
        assert child.link is not None
        answer = self._ask(child, "pull", messages.encode(child.link.pull(0)))
        if self._happens(self.faults.cut):
            answer = self._cut(answer)
        head = MessageReader()
        rest = head.feed(answer)
        if head.message is None:
            raise Gone
        reply = messages.decode(head.message, PullReply)
        self.counts["resumed"] += bool(reply.skipped_bytes)
        try:
            frames = FrameReader(child.link.unfinished(reply))
            received = child.link.take_pull(reply, frames.feed(self._corrupted(rest)), frames.unfinished)
        except SyncdError as error:
            self.counts["refused"] += 1
            raise Gone from error
        return bool(reply.receipts) or bool(received and received.taken)

    def deliver_late(self) -> None:
        """A request that was held back arrives now; its answer finds nobody."""
        if self.held_back:
            child, route, request = self.held_back.pop(self.random.randrange(len(self.held_back)))
            self.counts["reordered"] += 1
            self._serve(child, route, request)

    def _ask(self, child: TreeNode, route: str, request: bytes) -> bytes:
        if self._happens(self.faults.lost):
            self.counts["lost"] += 1
            raise Gone
        if self._happens(self.faults.late):
            self.held_back.append((child, route, request))
            raise Gone
        if route == "push" and self._happens(self.faults.cut):
            self._serve(child, "broken push", self._cut(request))
            raise Gone
        answer = self._serve(child, route, request)
        if self._happens(self.faults.duplicated):
            self.counts["duplicated"] += 1
            answer = self._serve(child, route, request)
        if self._happens(self.faults.lost):
            self.counts["lost"] += 1
            raise Gone
        return answer

    def _serve(self, child: TreeNode, route: str, request: bytes) -> bytes:
        parent = child.parent
        assert parent is not None
        try:
            return self.alive(parent, lambda: _answer(parent.desk, child.node.node_id, route, request))
        except SyncdError as error:
            self.counts["refused"] += 1
            raise Gone from error

    def _cut(self, data: bytes) -> bytes:
        self.counts["truncated"] += 1
        return data[: self.random.randrange(len(data))]

    def _corrupted(self, data: bytes) -> bytes:
        if not data or not self._happens(self.faults.corrupt):
            return data
        self.counts["corrupted"] += 1
        place = self.random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << self.random.randrange(8))]) + data[place + 1 :]

    def _happens(self, probability: float) -> bool:
        return self.random.random() < probability


def _answer(desk: Desk, peer: str, route: str, request: bytes) -> bytes:
    if route == "hello":
        return messages.encode(desk.hello(peer, messages.decode(request, Hello)))
    if route == "pull":
        reply, sending = desk.pull(peer, messages.decode(request, Pull))
        return prefixed(messages.encode(reply), sending.body)
    return messages.encode(_take_push(desk, peer, request, route == "push"))


def _take_push(desk: Desk, peer: str, request: bytes, whole: bool) -> Message | PushReply:
    head = MessageReader()
    rest = head.feed(request)
    if head.message is None:
        raise Gap("a push ends before its message", hint="tried again by itself")
    skipped_bytes = messages.decode(head.message, Push).skipped_bytes
    kept = desk.unfinished(peer) if skipped_bytes else b""
    if len(kept) != skipped_bytes:
        raise Gap("other bytes are kept than were left out", hint="the next hello says where to go on")
    frames = FrameReader(kept)
    try:
        envelopes = frames.feed(rest)
        reply = desk.push(peer, envelopes)
    except EnvelopeError:
        if kept:  # of another frame than the one that came: two machines may be one node
            desk.keep_unfinished(peer, b"")
        raise
    if not whole and frames.unfinished:
        desk.keep_unfinished(peer, frames.unfinished)
    elif whole and kept:
        desk.keep_unfinished(peer, b"")
    return reply
