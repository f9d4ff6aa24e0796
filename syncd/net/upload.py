"""One push while it arrives: message, then frames, taken over in transactions of bounded size.

Enters: chunks of a body. Leaves: envelopes with the `Desk`, one reply. Must hold: when the line breaks, whole envelopes
are kept and so is the beginning of the next; what the sender left out is exactly what was kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from syncd import limits, messages
from syncd.errors import Altered, EnvelopeError, Gap
from syncd.exchange import Desk
from syncd.framing import FrameReader
from syncd.messages import Push, PushReply
from syncd.net import http

Work = Callable[..., Awaitable[Any]]  # runs a function of the desk on a thread


class Upload:
    """One push while it arrives."""

    def __init__(self, desk: Desk, work: Work, peer: str) -> None:
        self._desk = desk
        self._work = work
        self._peer = peer
        self._head = http.MessageReader()
        self._frames: FrameReader | None = None
        self._resumed = False
        self._whole: list[bytes] = []
        self._whole_bytes = 0
        self._replies: list[PushReply] = []
        self.taken = 0

    async def feed(self, data: bytes) -> None:
        rest = self._head.feed(data)
        if self._frames is None:
            if self._head.message is None:
                return
            self._frames = await self._begin(messages.decode(self._head.message, Push))
        try:
            for envelope in self._frames.feed(rest):
                self._whole.append(envelope)
                self._whole_bytes += len(envelope)
            if self._whole_bytes >= limits.ACCEPT_BYTES_MAX:
                await self._accept()
        except EnvelopeError:
            await self._forget_kept()
            raise

    async def _begin(self, push: Push) -> FrameReader:
        """The frames after what was kept of an interrupted one."""
        if not push.skipped_bytes:
            return FrameReader()
        kept = await self._work(self._desk.unfinished, self._peer)
        if len(kept) != push.skipped_bytes:
            raise Gap(
                f"{push.skipped_bytes} bytes of a frame are left out, {len(kept)} are kept here",
                hint="the next hello says where to go on",
            )
        self._resumed = True
        return FrameReader(kept)

    async def finish(self) -> PushReply:
        """Take the rest over; the positions are committed when this returns."""
        self._head.require()
        if self._frames is not None and self._frames.unfinished:
            raise Altered("a push ends inside a frame", hint="tried again by itself")
        try:
            await self._accept()
        finally:
            await self._forget_kept()
        return _merged(self._replies)

    async def _forget_kept(self) -> None:
        """What was kept is used up, or was of another frame than the one that came: two machines may be one node."""
        if self._resumed:
            await self._work(self._desk.keep_unfinished, self._peer, b"")

    async def broken(self) -> None:
        """The connection broke: whole envelopes are taken over, the beginning of the next is kept."""
        await self._accept()
        if self._frames is not None and self._frames.unfinished:
            await self._work(self._desk.keep_unfinished, self._peer, self._frames.unfinished)

    async def _accept(self) -> None:
        if self._whole:
            whole, self._whole, self._whole_bytes = self._whole, [], 0
            self._replies.append(await self._work(self._desk.push, self._peer, whole))
            self.taken += len(whole)


def _merged(replies: list[PushReply]) -> PushReply:
    """Of several transactions of one push: the newest position per stream, everything else of all."""
    positions = {item.stream: item for reply in replies for item in reply.positions}
    refused = {item.stream: item for reply in reversed(replies) for item in reply.refused}
    receipts = dict.fromkeys(data for reply in replies for data in reply.receipts)
    return PushReply(positions=list(positions.values()), refused=list(refused.values()), receipts=list(receipts))
