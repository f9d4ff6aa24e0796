"""A tier's copy that is not what its own log says any more, put back (design §6, I1).

Enters: an open node. Leaves: tables of streams kept elsewhere as their logs tell them, and streams that go on.
Must hold: the keeper's log is right, never the copy; only streams that differ are touched; rows, cells and position in
one transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.spec import Kind
from syncd import limits, log
from syncd.errors import EnvelopeError, StoreError
from syncd.events import event
from syncd.log import Stream
from syncd.prove import DIFFERS, prove
from syncd.rebuild import rebuild
from syncd.recovery.contents import differences, may_judge
from syncd.status import STREAM_ABOUT, stream_words
from syncd.store.base import Tx
from syncd.store.patience import patiently

if TYPE_CHECKING:
    from syncd.pipeline import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A stream kept elsewhere that stands still, or whose rows differ here. `tables`: rows that differ from this node's
    own log, by table; empty where the log itself has what cannot be applied. `keeper`: the node that writes it."""

    stream_id: str
    about: str
    keeper: str
    is_stopped: bool
    tables: dict[str, int]
    rows: tuple[str, ...]


@patiently
def doubtful(node: Node) -> list[Copy]:
    """The streams of others that differ from what was stated, or that a group has stopped."""
    with node.store.read() as tx:
        differing = {
            proof.stream_id for proof in prove(tx, node.store.registry, node.ring)
            if proof.state == DIFFERS and not proof.own
        }  # fmt: skip
        stopped = log.streams(tx, "own = 0 AND state = 'stopped' AND kind <> ?", (int(Kind.BASELINE),))
        wanted = differing | {at.stream_id for at in stopped}
        return [
            _look(node, tx, at) for at in log.streams(tx) if at.stream_id in wanted and not at.own and may_judge(tx, at)
        ]


@patiently
def put_back(node: Node, stream_id: str) -> bool:
    """Show again what the log of a stream says up to its applied position, then go on; returns whether it could."""
    try:
        with node.store.apply("put-back") as tx:
            tx.lock(stream_id)
            at = log.stream(tx, stream_id)
            if at is None or at.own:
                return False
            touched = rebuild(tx, node.applier, at, {})
            node.applier.arrived(tx, log.stream(tx, stream_id) or at)
    except (EnvelopeError, StoreError) as error:
        node.applier.stop(stream_id, error)
        return False
    node.applier.changed(touched)
    event("content-put-back", logging.WARNING, stream=stream_id)
    node.applier.apply(stream_id)
    return True


def _look(node: Node, tx: Tx, at: Stream) -> Copy:
    try:
        tables = differences(tx, node.applier, at)
    except (EnvelopeError, StoreError):
        tables = []  # the log cannot be opened here, so it says nothing against the tables
    row = tx.one(f"SELECT u.code, u.name, n.name FROM syncd_stream AS s {STREAM_ABOUT} WHERE s.stream_id = ?",
                 (at.stream_id,)) or (None, None, None)  # fmt: skip
    return Copy(
        stream_id=at.stream_id,
        about=stream_words(*row),
        keeper=f"{row[2] or ''} · {at.keeper[28:]}".removeprefix(" · "),
        is_stopped=at.state == "stopped",
        tables={each.table.name: len(each.ids) + each.nameless for each in tables},
        rows=tuple(f"{each.table.name} {row_id}" for each in tables for row_id in each.ids[: limits.ROWS_NAMED_MAX]),
    )
