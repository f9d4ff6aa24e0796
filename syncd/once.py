"""One exchange with the parent without a daemon: `syncd sync --once`.

Enters: an open node that no daemon serves. Leaves: everything written here is at the parent and everything for here is
applied, or an error (75: the parent is down, try later); when it last got through, for `status`. Must hold: the same
stages and the same checks as the daemon's, so nothing differs.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from syncd import limits
from syncd.config import require_parent_urls
from syncd.errors import ParentUnreachable, SyncdError, WrongPeer, written
from syncd.events import event
from syncd.exchange import Link
from syncd.language import Said, english_of, say
from syncd.messages import Position
from syncd.net.client import ParentClient
from syncd.node_files import OpenNode
from syncd.recovery.capture import Capture
from syncd.security import tls
from syncd.security.tls import TlsFiles
from syncd.startup import note_exchanged_by
from syncd.vitals import Vitals


@dataclass(slots=True, kw_only=True)
class Summary:
    """What moved. `waiting_rows`: own rows the custodian has not acknowledged yet."""

    rows_written: int = 0
    envelopes_sent: int = 0
    envelopes_received: int = 0
    receipts: int = 0
    refused: int = 0
    checkpoints: int = 0
    waiting_rows: int = 0


def sync_once(opened: OpenNode) -> Summary:
    """Write, send, receive, apply, until nothing moves. Raises ParentUnreachable, WrongPeer and the like."""
    summary = Summary()
    if opened.parent_id is None:
        _settle(opened, summary)
        return summary
    require_parent_urls(opened.config)
    vitals = Vitals(opened.node.clock, lambda: None)
    client = ParentClient(
        opened.config.parent_urls, tls.client_context(TlsFiles.in_directory(opened.directory)), opened.parent_id
    )
    try:
        exchange_at_any(opened, client, summary)
    except Exception as error:
        if isinstance(error, SyncdError):
            vitals.peer_failed(opened.parent_id, error)
        _note_failed(opened, vitals)
        raise
    finally:
        client.close()
    vitals.peer_seen(opened.parent_id, carried=True, offset_ms=opened.node.clock_offset_ms)
    _note(opened, vitals)
    return summary


def _note(opened: OpenNode, vitals: Vitals) -> None:
    note_exchanged_by(opened, "once")
    vitals.flush(opened.store)


def _note_failed(opened: OpenNode, vitals: Vitals) -> None:
    """What kept the exchange from succeeding is what is said, whatever keeps this from being written down."""
    try:
        _note(opened, vitals)
    except SyncdError as error:
        event("exchange-not-noted", logging.WARNING, reason=written(error))


def exchange_at_any(opened: OpenNode, client: ParentClient, summary: Summary) -> None:
    """The whole exchange, at the first of the parent's addresses that serves; each question that fails goes to the
    next one. Raises ParentUnreachable with what each of them said, or WrongPeer where all are somebody else."""
    failed: list[SyncdError] = []
    for _ in opened.config.parent_urls:
        try:
            _exchange(opened, client, summary)
        except (ParentUnreachable, WrongPeer) as error:
            failed.append(error)
        else:
            return
    if len(failed) == 1 or all(isinstance(error, WrongPeer) for error in failed):
        raise failed[-1]
    said = [error.message for error in failed]
    raise ParentUnreachable(
        say(
            "không địa chỉ nào của cấp trên dùng được: {said}",
            "none of the parent's addresses serves: {said}",
            said=Said("; ".join(said), "; ".join(map(english_of, said))),
        ),
        failed[-1].hint,
    ) from failed[-1]


def _exchange(opened: OpenNode, client: ParentClient, summary: Summary) -> None:
    link = Link(opened.node, opened.parent_id or "")
    followed: set[Position] = set()
    for _ in range(limits.SYNC_ROUNDS_MAX):
        _settle(opened, summary)
        moved = _send(opened, link, client, summary)
        moved = _receive(link, client, summary, 0) or moved
        owed = opened.node.rejoin.owed  # an answer without envelopes may ask for what the parent has lost
        if not moved and not opened.node.has_backlog() and owed <= followed:
            break
        followed |= owed
    summary.waiting_rows = await_receipts(link, client, summary)


def _settle(opened: OpenNode, summary: Summary) -> None:
    """Everything this node does by itself; what it writes on the way is sequenced too."""
    trouble = Capture(opened).look()
    if trouble is not None:
        raise trouble
    for _ in range(limits.SYNC_ROUNDS_MAX):
        summary.rows_written += opened.node.write()
        applied = opened.node.apply_all().applied
        settled = opened.node.settle()
        if not (settled.wrote or settled.waiting or applied or opened.node.has_backlog()):
            break
    summary.checkpoints += opened.node.checkpoint()


def _send(opened: OpenNode, link: Link, client: ParentClient, summary: Summary) -> bool:
    """Hello, and all that the parent lacks; whether it took any."""
    link.greet(client.hello)
    before = summary.envelopes_sent
    while (sending := link.next_push()) is not None:
        answer = client.push(sending)
        link.take_push(answer)
        summary.refused += len(answer.refused)
        summary.envelopes_sent += len(sending.batch.entries) if answer.positions else 0
    return summary.envelopes_sent > before


def _receive(link: Link, client: ParentClient, summary: Summary, wait_s: float) -> bool:
    """All that flows down; whether there was any."""
    moved = False
    for _ in range(limits.SYNC_ROUNDS_MAX * limits.SYNC_ROUNDS_MAX):
        pulled = client.pull(link.pull(wait_s), link)
        link.take_pull(pulled.reply, pulled.envelopes, pulled.unfinished)
        if pulled.error is not None:
            raise pulled.error
        summary.envelopes_received += len(pulled.envelopes)
        summary.receipts += len(pulled.reply.receipts)
        if not pulled.envelopes:
            break
        moved = True
    return moved


def await_receipts(link: Link, client: ParentClient, summary: Summary) -> int:
    """Give the custodian a moment: right below it its receipts come while we look, of one stream after the other. The
    parent is asked again as long as any brings more. Returns the rows still unacknowledged.
    """
    waiting = link.hello().waiting_rows
    while waiting:
        _receive(link, client, summary, limits.RECEIPT_WAIT_S)
        before, waiting = waiting, link.hello().waiting_rows
        if waiting >= before:
            break
    return waiting
