"""What neighbours say of positions: the custodian's receipts on their way down, and how far the parent holds a stream.

Enters: signed receipts, positions of the parent. Leaves: what `status` shows as at the parent and at the province.
Must hold: a receipt is believed only with the custodian's signature and where it agrees with the log here; one that
contradicts it is a fork, and a case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from conflict.case import CaseKind
from syncd import log, messages, receipt
from syncd.cases import open_case
from syncd.clock import Clock, instant_of
from syncd.errors import EnvelopeError, ForkError, written
from syncd.events import event
from syncd.limits import PARENT_LIVES_S, RECEIPTS_FLOW_S
from syncd.messages import Position
from syncd.pasts import of_another_machine
from syncd.rejoin import Rejoin
from syncd.signals import LOG, RECEIPT, Signals
from syncd.store.base import Store, Tx
from syncd.tree import Tree


class Receipts:
    """Receipts as they pass through one node."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        elapsed_s: Callable[[], float],
        signals: Signals,
        rejoin: Rejoin,
        tree: Callable[[], Tree],
        root_id: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._elapsed_s = elapsed_s  # a clock that is set back would have receipts come for as long
        self._signals = signals
        self._rejoin = rejoin
        self._tree = tree
        self._root_id = root_id
        self._fresh: dict[str, receipt.Receipt] = {}  # received and checked, on the way into the database
        self._news_s = self._above_s = self._took_s = -inf  # when any was news last, and the like

    def take(self, signed: Sequence[bytes]) -> bool:
        """Record the custodian's receipts; returns whether any was news. A receipt our log contradicts is a fork."""
        root = self._tree().nodes.get(self._root_id)
        if root is None or not signed:
            return False
        receipts = [item for data in signed if (item := self._read(data, root.signing_public)) is not None]
        # While a stream is being taken anew the log here is the other branch's: the receipt comes again.
        receipts = [item for item in receipts if not self._rejoin.is_goal(item.stream_id)]
        # Children hear of them at once: on SQLite a large group being applied may hold the write lock for seconds.
        with self._store.read() as tx:
            news = [item for item in receipts if receipt.is_news(tx, item)]
            places = {item.stream_id: _place(item) for item in sorted(receipts, key=lambda item: item.seq)}
            elsewhere = of_another_machine(tx, places)
        if news:
            self._news_s = self._elapsed_s()
        self._fresh |= {item.stream_id: item for item in news if item.level == receipt.APPLIED}
        self._signals.emit(RECEIPT, [item.stream_id for item in news])
        with self._store.apply("receipts") as tx:
            receipt.note_backup(tx, receipts)
            for item in receipts:
                try:
                    receipt.store(tx, item)
                except ForkError:
                    open_case(
                        tx, CaseKind.FORK, (item.stream_id, item.seq), opened_at=instant_of(self._clock()),
                        detail={"seq": item.seq}, stream_id=item.stream_id,
                    )  # fmt: skip
        for item in news:
            if self._fresh.get(item.stream_id) is item:  # else a newer one came meanwhile, and is not stored yet
                del self._fresh[item.stream_id]
        if self._rejoin.signed_elsewhere(elsewhere):
            self._signals.emit(LOG, [item.stream_id for item in elsewhere])  # whoever writes and sends looks again
        return bool(news)

    def _read(self, data: bytes, signing_public: bytes) -> receipt.Receipt | None:
        """One receipt, or None for what is none: it says nothing, and keeps neither others nor rows back (I10)."""
        try:
            return receipt.read(data, self._root_id, signing_public)
        except EnvelopeError as error:
            event("receipt-refused", logging.WARNING, reason=written(error))
            return None

    def fresh(self) -> dict[str, receipt.Receipt]:
        """Stream → its newest receipt that is not in the database yet. To be asked for before the database is read:
        whatever is missing here is committed there."""
        return dict(self._fresh)

    def heard_above(self) -> None:
        """The parent has answered something."""
        self._above_s = self._elapsed_s()

    def took(self) -> None:
        """A child has handed in something."""
        self._took_s = self._elapsed_s()

    def are_coming(self) -> bool:
        """Whether receipts have come from above a moment ago; or will, since something came in a moment ago that this
        node may not even have come to send, and the parent lives."""
        now = self._elapsed_s()
        is_taking = now - self._took_s <= RECEIPTS_FLOW_S and now - self._above_s <= PARENT_LIVES_S
        return is_taking or now - self._news_s <= RECEIPTS_FLOW_S

    def note_parent(self, moved: Sequence[tuple[int, str]]) -> None:
        """Record how far the parent holds these of our streams; nothing is written when nothing moved."""
        if moved:
            with self._store.apply("parent-positions") as tx:
                tx.many(
                    "UPDATE syncd_stream SET parent_seq = ?,"
                    " state = CASE WHEN state = 'refused' THEN 'ok' ELSE state END WHERE stream_id = ?",
                    moved,
                )


def moved_above(tx: Tx, positions: Mapping[str, int], read: Iterable[log.Stream]) -> list[tuple[int, str]]:
    """Of these positions of the parent's, (seq, stream) wherever it holds more of our streams than was noted. `read`:
    streams as they stand, which are not read again."""
    known = {at.stream_id: at for at in read}
    known |= {at.stream_id: at for at in log.among(tx, {"stream_id": positions.keys() - known.keys()})}
    return [
        (seq, stream_id)
        for stream_id, seq in positions.items()
        if (at := known.get(stream_id)) is not None
        # What was refused once is there now all the same: another machine of this node has sent it.
        and (at.parent_seq < seq or (at.state == "refused" and at.held_seq <= seq))
    ]


def _place(item: receipt.Receipt) -> Position:
    return messages.position(item.stream_id, item.seq, item.hash)
