"""Pruning: logs forget what a baseline stands for and the custodian has in a verified backup (design §4, I9).

Enters: the logs, the baselines and the receipts held here, an operator's bounds. Leaves: logs that begin later, older
baselines gone; a plan in numbers when only asked.
Must hold: nothing beyond the newest whole baseline goes; nothing goes that the custodian has not signed as backed up,
unless it is older than a retention that the operator has set; what is young stays, because deciding looks back at it;
each step is a short transaction, after which everything is as consistent as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.spec import Kind
from syncd import baseline, floor, limits, log
from syncd.envelope import parse_envelope
from syncd.floor import Baseline
from syncd.log import Stream
from syncd.store.base import Store, Tx
from syncd.store.patience import patiently

if TYPE_CHECKING:
    from syncd.pipeline import Node

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`keep_ms`: how old an envelope is at least that goes; `retention_ms`: how old one is that goes without a backup
    of the custodian (0: none)."""

    keep_ms: int
    retention_ms: int

    @classmethod
    def of_days(cls, keep_days: int, retention_days: int) -> Policy:
        return cls(keep_ms=keep_days * DAY_MS, retention_ms=retention_days * DAY_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What goes of one stream: envelopes up to `to_seq`, or a baseline whole. `because`: 'backup' or 'age'."""

    stream_id: str
    kind: int
    unit_id: str | None
    from_seq: int
    to_seq: int
    envelopes: int
    size_bytes: int
    because: str


def prune(store: Store, policy: Policy, now_ms: int) -> list[Cut]:
    """Forget what may be forgotten; returns what went."""
    with store.read() as tx:
        planned = plan(tx, policy, now_ms)
    return [cut for cut in planned if _carry_out(store, cut)]


def plan(tx: Tx, policy: Policy, now_ms: int) -> list[Cut]:
    """What `prune` would forget now."""
    cuts: list[Cut] = []
    of_stream: dict[str, list[Baseline]] = {}
    for each in floor.baselines(tx):
        of_stream.setdefault(each.of_id, []).append(each)
    streams = {at.stream_id: at for at in log.streams(tx, "held_seq > 0")}
    shown_from: dict[tuple[str | None, int], str] = {}  # (unit, term) → why what came before may go
    for of_id, held in of_stream.items():
        at = streams.get(of_id)
        if at is None:
            continue
        to, because = _reach(tx, at, held, policy, now_ms)
        if to is not None:
            shown_from[at.unit_id, at.term] = because
            cuts += _cut(tx, at, to.at_seq, because)
        cuts += _older_baselines(tx, streams, at, held, policy, now_ms)
    for at in streams.values():
        cuts += _ended(tx, at, shown_from, policy, now_ms)
    return cuts


def due_baselines(tx: Tx, store: Store) -> list[str]:
    """Own registers' streams whose log has grown enough beyond their last baseline that a new one will pay: it travels
    once to every tier above, and lets each forget as much."""
    best = floor.newest(tx)
    due = []
    for at in log.streams(tx, "own = 1 AND kind = ? AND rejoin_seq = 0 AND open_from = 0", (int(Kind.REGISTER),)):
        known = best.get(at.stream_id)
        since = _size(tx, at.stream_id, known.at_seq if known else 0, at.held_seq)
        content = _size(tx, known.stream_id, 0, -1) if known else 2 * _rows(tx, store, at) * limits.BASELINE_ROW_BYTES
        if since >= max(limits.BASELINE_LOG_BYTES_MIN, content):
            due.append(at.stream_id)
    return due


def make_due(node: Node) -> list[Stream]:
    """Make the baselines that are due at this node."""
    with node.store.read() as tx:
        due = due_baselines(tx, node.store)
    made = [new for stream_id in due if (new := baseline.make(node, stream_id)) is not None]
    return [*made, *baseline.make_for_followers(node)]


def _reach(tx: Tx, at: Stream, held: list[Baseline], policy: Policy, now_ms: int) -> tuple[Baseline | None, str]:
    """The newest baseline up to which the log may go, and why."""
    for each in held:
        if each.is_whole and at.floor_seq < each.at_seq <= at.applied_seq:
            because = _because(tx, at, each.at_seq, each, policy, now_ms)
            if because:
                return each, because
    return None, ""


def _because(tx: Tx, at: Stream, seq: int, of: Baseline, policy: Policy, now_ms: int) -> str:
    """Why what a baseline stands for may go: the custodian has it, or it is old enough; empty when it may not."""
    age_ms = now_ms - _time_ms(tx, of)
    if age_ms < policy.keep_ms:
        return ""
    if at.backed_up_seq >= seq:
        return "backup"
    return "age" if policy.retention_ms and age_ms >= policy.retention_ms else ""


def _time_ms(tx: Tx, of: Baseline) -> int:
    """When the content that a baseline holds was written."""
    return parse_envelope(log.entries(tx, of.stream_id, 0, 1)[0].envelope).header.time_ms


def _older_baselines(
    tx: Tx, streams: dict[str, Stream], at: Stream, held: list[Baseline], policy: Policy, now_ms: int
) -> list[Cut]:
    """Older ones go whole, with what never became whole, once the custodian has a newer one's content."""
    best = next((each for each in held if each.is_whole), None)
    if best is None:
        return []
    # The newest holds younger content; it only has to be safe, not old.
    because = _because(tx, at, best.at_seq, best, Policy(keep_ms=0, retention_ms=policy.retention_ms), now_ms)
    if not because:
        return []
    return [
        cut
        for each in held
        if each.at_seq < best.at_seq and each.stream_id in streams
        for cut in _cut(tx, streams[each.stream_id], streams[each.stream_id].held_seq, because)
    ]


def _ended(tx: Tx, at: Stream, shown_from: dict[tuple[str | None, int], str], policy: Policy, now_ms: int) -> list[Cut]:
    """A term that has ended goes but for its end, where a later term's log begins with a baseline."""
    if at.kind != Kind.REGISTER or not at.ended or at.applied_seq < at.held_seq or at.floor_seq >= at.held_seq - 1:
        return []
    later = "kind = ? AND unit_id = ? AND term > ? AND floor_seq > 0 AND applied_seq >= floor_seq"
    begun = bool(log.streams(tx, later, (int(Kind.REGISTER), at.unit_id, at.term)))
    begun = begun or any(unit == at.unit_id and term > at.term for unit, term in shown_from)
    if not begun:
        return []
    last = parse_envelope(log.entries(tx, at.stream_id, at.held_seq - 1, 1)[0].envelope).header  # it stays: the end
    until = at.held_seq - 1
    age_ms = now_ms - last.time_ms
    if age_ms < policy.keep_ms:
        return []
    if at.backed_up_seq >= at.held_seq:
        return _cut(tx, at, until, "backup")
    is_old = policy.retention_ms and age_ms >= policy.retention_ms
    return _cut(tx, at, until, "age") if is_old else []


def _cut(tx: Tx, at: Stream, to_seq: int, because: str) -> list[Cut]:
    found = tx.one(
        "SELECT count(*), coalesce(sum(size), 0) FROM syncd_log WHERE stream_id = ? AND seq <= ?",
        (at.stream_id, to_seq),
    ) or (0, 0)
    return [
        Cut(
            stream_id=at.stream_id, kind=at.kind, unit_id=at.unit_id, from_seq=at.floor_seq + 1, to_seq=to_seq,
            envelopes=int(found[0]), size_bytes=int(found[1]), because=because,
        )
    ]  # fmt: skip


def _carry_out(store: Store, cut: Cut) -> bool:
    if cut.kind == Kind.BASELINE:
        return _drop(store, cut)
    gone = 0
    for seq in [*range(cut.from_seq - 1 + limits.PRUNE_ENVELOPES, cut.to_seq, limits.PRUNE_ENVELOPES), cut.to_seq]:
        forgotten = _forget(store, cut, seq)
        if forgotten is None:
            break
        gone += forgotten
    return gone > 0


@patiently
def _drop(store: Store, cut: Cut) -> bool:
    with store.apply("prune-baseline") as tx:
        tx.lock(cut.stream_id)
        return floor.drop(tx, cut.stream_id) > 0


@patiently
def _forget(store: Store, cut: Cut, seq: int) -> int | None:
    """How many envelopes up to `seq` are gone now; None: the stream was taken back meanwhile."""
    with store.apply("prune") as tx:
        tx.lock(f"receive {cut.stream_id}")
        at = log.stream(tx, cut.stream_id)
        return None if at is None or at.applied_seq < cut.to_seq else floor.forget(tx, at, seq)


def _size(tx: Tx, stream_id: str, after_seq: int, until_seq: int) -> int:
    bound, values = ("", ()) if until_seq < 0 else (" AND seq <= ?", (until_seq,))
    query = f"SELECT coalesce(sum(size), 0) FROM syncd_log WHERE stream_id = ? AND seq > ?{bound}"
    return int(tx.value(query, (stream_id, after_seq, *values)))


def _rows(tx: Tx, store: Store, at: Stream) -> int:
    return sum(
        int(tx.value(f"SELECT count(*) FROM {table.sql} WHERE unit_id = ?", (at.unit_id,)))
        for table in store.registry.of_kind(Kind.REGISTER)
    )
