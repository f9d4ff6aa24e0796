"""Taking baselines: a log begins behind one, and the tables show what it holds (design §1).

Enters: the pieces of a baseline as they came, the stream it stands for. Leaves: that stream begun anew where the
baseline stands; content put in place of what the tables cannot follow to.
Must hold: nobody who stands beyond it is moved by it; what this node itself wrote it takes back only where it has asked
for it, and keeps as wishes what the custodian has not acknowledged; digests are compared before anything counts.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from schema.spec import Kind
from syncd import floor, log
from syncd.applying import Applier
from syncd.envelope import Adopted, Genesis, Mark, parse_envelope
from syncd.errors import EnvelopeError, StoreError
from syncd.lift import has_unsealed, lift
from syncd.log import Stream
from syncd.rebuild import rebuild, whole
from syncd.store.base import Store, Tx
from syncd.tree import Tree, load_tree


def taken(
    tx: Tx, tree: Tree, applier: Applier, streams: dict[str, Stream], wanted: Container[str], now_ms: int
) -> None:
    """After envelopes were taken into logs: record what baselines stand for; a stream held here less far begins anew
    behind a whole one. `streams` is brought up to date. `wanted`: what this node has asked for.
    """
    for stream in [found for found in streams.values() if found.kind == Kind.BASELINE and not found.own]:
        of, is_wanted = _note_first(tx, stream), stream.stream_id in wanted
        if of is None or (stream.applied_seq == stream.held_seq and not is_wanted):
            continue  # one that is asked for may be held already: where another branch stood in its way
        streams[stream.stream_id] = stream = log.mark_applied(tx, stream)  # it has no effect of its own
        if not stream.ended:
            continue
        floor.note_whole(tx, stream.stream_id)
        applier.arrived(tx, stream)
        at = _behind(tx, tree, stream, of, is_wanted)
        if at is not None:
            if at.own or at.held_seq >= of.seq:
                at = _make_way(tx, applier, at, of, now_ms)
            streams[at.stream_id] = floor.jump(tx, at, of)


def stands_for(tx: Tx, streams: dict[str, Stream]) -> set[str]:
    """The streams that whole baselines among `streams` stand for."""
    ended = [at for at in streams.values() if at.kind == Kind.BASELINE and at.ended]
    return {found.of_id for at in ended if (found := floor.baseline(tx, at.stream_id)) is not None}


def may_take(tree: Tree, at: Stream) -> bool:
    """Whether `take` is worth asking: its tables do not simply follow their log."""
    return at.kind == Kind.REGISTER and (
        at.applied_seq < at.floor_seq or at.state == "stopped" or at.unit_id in tree.terms
    )


def take(store: Store, applier: Applier, stream_id: str) -> bool:
    """Where a stream's tables cannot follow its log, but a baseline can show what lies ahead, put that in their place:
    the log begins behind them, a group stopped it, or what came before never comes. Returns whether anything moved.
    """
    with store.read() as tx:
        at = log.stream(tx, stream_id)
        if at is None:
            return False
        covered, ahead = _is_covered(tx, at), _ahead(tx, at)
    if covered:
        return _step_over(store, applier, stream_id)
    if ahead is None:
        return False
    try:
        with store.apply("take-baseline") as tx:
            tx.lock(stream_id)
            at = log.stream(tx, stream_id)
            ahead = None if at is None else _ahead(tx, at)
            if at is None or ahead is None:
                return False
            if at.own:
                at = applier.make_way(tx, at)  # what was typed meanwhile is kept
            if _begins_anew(tx, at, ahead):
                floor.forget(tx, at, ahead.at_seq)
            touched = rebuild(tx, applier, at, {stream_id: ahead.at_seq})
            moved = log.stream(tx, stream_id) or at
            _compare(tx, applier, moved, ahead)
            _cover(tx, applier, moved)
            applier.arrived(tx, moved)
    except (EnvelopeError, StoreError) as error:
        applier.stop(stream_id, error)
        return False
    applier.changed(touched)
    return True


def _step_over(store: Store, applier: Applier, stream_id: str) -> bool:
    """What an earlier term says lies in a baseline that is shown already."""
    with store.apply("covered") as tx:
        tx.lock(stream_id)
        at = log.stream(tx, stream_id)
        if at is None or at.applied_seq >= at.held_seq or not _is_covered(tx, at):
            return False
        applier.arrived(tx, log.mark_applied(tx, at))
    return True


def _is_covered(tx: Tx, at: Stream) -> bool:
    """Whether what a stream says lies in the baseline of a later term of its unit: it has no effect any more."""
    if at.kind != Kind.REGISTER or at.own or at.applied_seq >= at.held_seq:
        return False
    later = "kind = ? AND unit_id = ? AND term > ? AND floor_seq > 0 AND applied_seq >= floor_seq"
    return bool(log.streams(tx, later, (int(Kind.REGISTER), at.unit_id, at.term)))


def _ahead(tx: Tx, at: Stream) -> floor.Baseline | None:
    """The newest whole baseline beyond what the tables show, where they need one."""
    if at.kind != Kind.REGISTER or (at.own and not at.rejoin_seq):
        return None
    found = floor.newest_of(tx, [at.stream_id]).get(at.stream_id)
    if found is None or not max(at.applied_seq + 1, at.floor_seq) <= found.at_seq <= at.held_seq:
        return None
    if at.applied_seq >= at.floor_seq and at.state != "stopped" and not _begins_anew(tx, at, found):
        return None
    earlier = "kind = ? AND unit_id = ? AND term < ? AND own = 1 AND rejoin_seq > 0"  # applied to what they were
    return None if log.streams(tx, earlier, (int(Kind.REGISTER), at.unit_id, at.term)) else found


def _begins_anew(tx: Tx, at: Stream, found: floor.Baseline) -> bool:
    """Whether the log of a stream may begin behind a baseline although it is whole: what it takes a unit over from is
    not held here, and never comes where that was pruned above. What goes up only once it is backed up above (I9)."""
    entries = log.entries(tx, at.stream_id, 0, 1) if not at.applied_seq and not at.floor_seq else []
    genesis = parse_envelope(entries[0].envelope).header.genesis if entries else None
    if genesis is None or genesis.adopts is None:
        return False
    before = log.stream(tx, genesis.adopts.stream_id)
    if (0 if before is None else before.held_seq) >= genesis.adopts.seq:
        return False
    return at.backed_up_seq >= found.at_seq or not load_tree(tx).goes_up(at)


def _note_first(tx: Tx, stream: Stream) -> Adopted | None:
    """What a baseline stands for; recorded when its first envelope is met."""
    known = floor.baseline(tx, stream.stream_id)
    if known is not None:
        return Adopted(stream_id=known.of_id, seq=known.at_seq, hash=known.at_hash)
    first = tx.value("SELECT envelope FROM syncd_log WHERE stream_id = ? AND seq = 1", (stream.stream_id,))
    genesis = None if first is None else parse_envelope(bytes(first)).header.genesis
    if genesis is None or genesis.adopts is None:
        return None
    floor.note(tx, stream.stream_id, genesis.adopts)
    return genesis.adopts


def _behind(tx: Tx, tree: Tree, stream: Stream, of: Adopted, is_wanted: bool) -> Stream | None:
    """The stream that a whole baseline stands for, if that brings it further. What this node itself wrote it takes back
    only where it has asked for it; so it leaves a branch that is longer than the baseline."""
    tx.lock(f"receive {of.stream_id}")
    at = log.stream(tx, of.stream_id)
    if at is None:
        genesis = Genesis(kind=stream.kind, unit=stream.unit_id, keeper=stream.keeper, term=stream.term, adopts=of)
        keeper = floor.keeper_of(tree, genesis)
        if keeper is None or (keeper == tree.me and not is_wanted):
            return None
        at = Stream(
            stream_id=of.stream_id, kind=int(Kind.REGISTER), unit_id=stream.unit_id, keeper=keeper, term=stream.term,
            own=keeper == tree.me,
        )  # fmt: skip
        log.create(tx, at)
    if at.held_seq >= of.seq:
        is_branch = log.hash_at(tx, at.stream_id, of.seq) not in (None, of.hash)  # None: pruned here, so of this past
        return at if is_branch and is_wanted else None
    return None if at.own and not is_wanted else at


def _make_way(tx: Tx, applier: Applier, at: Stream, of: Adopted, now_ms: int) -> Stream:
    """An own stream is taken back by a baseline: what the custodian has not acknowledged stays as wishes of this node.
    Where the parent stands says nothing here: it may be on another branch. A replica leaves just that branch."""
    known = max(at.custodian_seq, at.backed_up_seq, at.floor_seq)
    seq = whole(tx, at, min(known, at.held_seq))
    if at.applied_seq >= at.floor_seq and (seq < at.held_seq or has_unsealed(tx, applier, at)):
        at = lift(tx, applier, at, seq, now_ms).stream
    if not at.own:
        return at
    tx.run("UPDATE syncd_stream SET rejoin_seq = ? WHERE stream_id = ?", (max(at.rejoin_seq, of.seq), at.stream_id))
    return replace(at, rejoin_seq=max(at.rejoin_seq, of.seq))


def _compare(tx: Tx, applier: Applier, at: Stream, found: floor.Baseline) -> None:
    """A baseline ends with the digests of its content."""
    rows = tx.all("SELECT envelope FROM syncd_log WHERE stream_id = ? AND mark = ?", (found.stream_id, int(Mark.ENDS)))
    for (envelope,) in rows:
        if at.applied_seq == found.at_seq:
            applier.compare(tx, at, parse_envelope(bytes(envelope)))


def _cover(tx: Tx, applier: Applier, at: Stream) -> None:
    """Earlier terms of the unit lie in the baseline: they are shown as far as they are held."""
    earlier = "kind = ? AND unit_id = ? AND term < ? AND own = 0 AND applied_seq < held_seq"
    for stream in log.streams(tx, earlier, (int(Kind.REGISTER), at.unit_id, at.term)):
        applier.arrived(tx, log.mark_applied(tx, stream))
