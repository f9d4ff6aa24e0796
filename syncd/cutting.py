"""Cutting: a stream that is held beyond the end of its term goes back to that end (design §1, forced terms).

Enters: terms that the custodian ended by force, or of which another order stands. Leaves: content at that end; what
came after it kept apart.
Must hold: content, logs and what is kept apart change in one transaction per unit; the keeper itself goes back too,
once whatever it has written is in its log, so that it can take the unit again one day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conflict.case import CaseKind
from schema.spec import Kind
from syncd import floor, log, quarantine
from syncd.applying import Applier
from syncd.cases import close_case
from syncd.clock import instant_of
from syncd.log import Stream
from syncd.moved_rows import sources
from syncd.protocol.decoding import json_object
from syncd.rebuild import rebuild
from syncd.store.base import Row, Store, Tx
from syncd.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrun:
    """A stream of a unit that ends earlier than it is held here, or whose end nobody has noted yet. `goes_on`: its log
    began behind that end; cut to nothing, it comes anew up to there."""

    stream: Stream
    end_seq: int
    goes_on: bool = False


def overruns(tx: Tx, tree: Tree) -> dict[str, list[Overrun]]:
    """Unit → its streams that have to go back."""
    found = {unit_id: list(_overruns(tx, tree, unit_id)) for unit_id in tree.terms}
    return {unit_id: streams for unit_id, streams in found.items() if streams}


def cut(store: Store, applier: Applier, tree: Tree, unit_id: str, now_ms: int) -> None:
    """Take a unit's streams back to where they end."""
    with store.apply("cut-term") as tx:
        for seen in _overruns(tx, tree, unit_id):
            tx.lock(f"receive {seen.stream.stream_id}")
        beyond = list(_overruns(tx, tree, unit_id))
        applied = {each.stream.stream_id: each.end_seq for each in beyond if each.stream.applied_seq > each.end_seq}
        if applied:
            rebuild(tx, applier, beyond[0].stream, applied)
            for source in _sources(tx, tree, unit_id):
                rebuild(tx, applier, source, {})
        _cut(tx, applier, tree, beyond, now_ms)


def leave(store: Store, tree: Tree) -> None:
    """Let go of what was on its way here about units that have gone elsewhere meanwhile: no key for it will come."""
    with store.read() as tx:
        # Where a log was begun anew behind rows that are shown, nothing has to go.
        where = "own = 0 AND applied_seq < held_seq AND (applied_seq = 0 OR floor_seq <= applied_seq)"
        where += f" AND kind IN ({int(Kind.REGISTER)}, {int(Kind.OVERSIGHT)})"
        others = [stream for stream in log.streams(tx, where) if _is_elsewhere(tree, stream)]
    for stream in others:
        with store.apply("leave") as tx:
            tx.lock(f"receive {stream.stream_id}")
            at = log.stream(tx, stream.stream_id)
            if at is None or at.applied_seq >= at.held_seq or 0 < at.applied_seq < at.floor_seq:
                continue
            if at.applied_seq or not at.floor_seq:
                log.cut(tx, at, at.applied_seq)
                continue
            for of in [of for of in floor.baselines(tx) if of.of_id == at.stream_id]:
                floor.drop(tx, of.stream_id)  # both come again, should the unit come back
            floor.drop(tx, at.stream_id)


def _sources(tx: Tx, tree: Tree, of_unit: str) -> Iterator[Stream]:
    """A stream of each unit that rows came from: those that have not come any more are to be there again. A unit that
    has to go back itself is rebuilt in its turn, the others' rows being there or gone by then."""
    for source in sources(tx, of_unit):
        unit_id = source.unit_id or ""
        if unit_id not in tree.terms or not any(_overruns(tx, tree, unit_id)):
            yield source


def _is_elsewhere(tree: Tree, stream: Stream) -> bool:
    return stream.unit_id in tree.terms and tree.keeps(stream) is not None and not tree.is_for_me(stream)


def _overruns(tx: Tx, tree: Tree, unit_id: str) -> Iterator[Overrun]:
    chain = tree.terms[unit_id]
    ends = {(term.node_id, term.term): (term.ended_seq, term.ended_hash) for term in chain}
    streams = log.streams(tx, "kind = ? AND unit_id = ?", (int(Kind.REGISTER), unit_id))
    displaced = min((s.term for s in streams if tree.is_displaced(s)), default=None)
    for stream in streams:
        place = (stream.keeper, stream.term)
        if place not in ends:
            # What follows a keeper that another order put aside goes with it.
            seq: int | None = 0 if displaced is not None and stream.term >= displaced else None
            is_past = True
        else:
            seq, position_hash = ends[place]
            if seq is not None and 0 < seq < stream.floor_seq:
                yield Overrun(stream=stream, end_seq=0, goes_on=True)
                continue
            is_past = seq is not None and log.hash_at(tx, stream.stream_id, seq) == position_hash  # else: a fork
        if seq is not None and is_past and (stream.held_seq > seq or (stream.held_seq == seq and not stream.ended)):
            yield Overrun(stream=stream, end_seq=seq)


def _cut(tx: Tx, applier: Applier, tree: Tree, beyond: Sequence[Overrun], now_ms: int) -> None:
    for each in beyond:
        late = _late(tx, each)
        at = log.stream(tx, each.stream.stream_id) or each.stream  # as rebuilding has left it
        ended = log.cut(tx, at, each.end_seq)
        ended = ended if each.goes_on else log.end(tx, ended)
        if ended.applied_seq and tree.me == tree.root_id:
            applier.vouch_again(tx, ended)  # what it had signed beyond the end went with that
        elif each.stream.custodian_seq > each.end_seq:  # and is asked for anew
            tx.run("UPDATE syncd_stream SET custodian_seq = 0 WHERE stream_id = ?", (ended.stream_id,))
        _close_forks(tx, ended, now_ms)
        for of in [of for of in floor.baselines(tx) if of.of_id == ended.stream_id and of.at_seq > each.end_seq]:
            floor.drop(tx, of.stream_id)  # content beyond the end: nobody takes it, and nothing leans on it any more
        for seq, late_hash, envelope in late:
            quarantine.store(tx, tree, ended, seq, bytes(late_hash), bytes(envelope), now_ms)


def _close_forks(tx: Tx, ended: Stream, now_ms: int) -> None:
    """Two branches beyond the end are no question any more: each is kept apart."""
    query = "SELECT case_id, detail FROM syncd_case WHERE kind = ? AND stream_id = ? AND closed_at IS NULL"
    for case_id, detail in tx.all(query, (CaseKind.FORK.value, ended.stream_id)):
        if json_object(detail).get("seq", 0) > ended.held_seq:
            close_case(tx, case_id, instant_of(now_ms))


def _late(tx: Tx, each: Overrun) -> list[Row]:
    """Envelopes beyond an end, to be kept apart. None where the log begins behind that end: late writes are admitted in
    order, and their keeper, or who has the first of them, still offers all."""
    if each.stream.floor_seq > each.end_seq:
        return []
    query = "SELECT seq, hash, envelope FROM syncd_log WHERE stream_id = ? AND seq > ? ORDER BY seq"
    return tx.all(query, (each.stream.stream_id, each.end_seq))
