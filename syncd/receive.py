"""Receiving: envelopes from a neighbour into the log, checked, in one transaction (design §4; I4–I8).

Enters: envelope bytes from an authenticated neighbour. Leaves: the logs extended; per stream the position now held, or
why not.
Must hold: nothing enters a log that its keeper did not sign, that does not follow what is held, or that this neighbour
and this node have no part in; a stream refused stops no other; what was received before changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from conflict.case import CaseKind
from schema.spec import Kind
from syncd import floor, log, quarantine
from syncd.cases import open_case
from syncd.clock import instant_of
from syncd.envelope import Envelope, Position, check_follows, parse_envelope, verify_envelope
from syncd.errors import Altered, BeyondTerm, EnvelopeError, Foreign, Forked, Gap, Replayed, TooLarge
from syncd.log import Stream
from syncd.recovery import root_branches
from syncd.store.base import Tx
from syncd.terms import was_ordered
from syncd.topology import subtree
from syncd.tree import Tree

LATER, REFUSED, FORKED = "later", "refused", "forked"
SETTLED = "settled"  # another branch of a stream of the root, which it has left: whoever holds it gives way


@dataclass(slots=True, kw_only=True)
class Received:
    """What one batch did: streams as they now stand, and per stream the first refusal (code, position, text). `seen`:
    how many of its envelopes were dealt with, `here`: streams that the last transaction met; `beyond`: streams whose
    keeper goes on writing after its term."""

    streams: dict[str, Stream] = field(default_factory=dict)
    refused: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    taken: int = 0
    seen: int = 0
    here: set[str] = field(default_factory=set)
    beyond: dict[str, Stream] = field(default_factory=dict)


def receive(
    tx: Tx,
    tree: Tree,
    peer: str,
    envelopes: Sequence[bytes],
    now_ms: int,
    wanted: Container[str] = frozenset(),
    result: Received | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Received:
    """Take the envelopes that rightly continue what is held. Raises EnvelopeError only for bytes that are none.

    `wanted`: streams this node has asked for, or is being handed back, against the way they go as a rule. `result`: of
    the transaction before, which took the batch up to `seen`. `is_over`: whether this one has lasted long enough.
    """
    result = result or Received()
    result.here.clear()
    for data in envelopes[result.seen :]:
        _take_one(tx, tree, peer, data, now_ms, wanted, result)
        result.seen += 1
        if is_over():
            break
    return result


def _take_one(
    tx: Tx, tree: Tree, peer: str, data: bytes, now_ms: int, wanted: Container[str], result: Received
) -> None:
    envelope = parse_envelope(data)
    stream_id = envelope.header.stream_id
    if stream_id in result.refused:
        if stream_id in result.beyond:
            quarantine.put(tx, tree, result.beyond[stream_id], envelope, data, now_ms)
        return  # what follows a refusal cannot be taken either
    try:
        at = result.streams[stream_id] if stream_id in result.here else _find(tx, envelope)
        result.here.add(stream_id)
        result.streams[stream_id] = _take(tx, tree, peer, at, envelope, data, wanted)
        result.taken += 1
    except Replayed:
        result.streams[stream_id] = at
    except _NotYet as reason:
        result.refused[stream_id] = (LATER, envelope.header.seq, str(reason))
    except BeyondTerm as error:
        result.beyond[stream_id] = at
        quarantine.put(tx, tree, at, envelope, data, now_ms)
        result.refused[stream_id] = (REFUSED, envelope.header.seq, str(error))
    except EnvelopeError as error:
        code = LATER if isinstance(error, Gap) else FORKED if isinstance(error, Forked) else REFUSED
        code = subtree.BOUND if isinstance(error, subtree.NoRoom) else code
        if code == FORKED and at.own and tree.root_id == tree.me:
            code = SETTLED if root_branches.note(tx, at, envelope, now_ms) else FORKED
        else:
            _note(tx, result.streams.get(stream_id), envelope, error, now_ms)
        result.refused[stream_id] = (code, envelope.header.seq, str(error))


class _NotYet(Exception):  # noqa: N818 - not an error: the stream waits for a node record
    """Nobody has vouched yet for the stream's keeper."""


def _find(tx: Tx, envelope: Envelope) -> Stream:
    """The stream as held here, or as its genesis names it (position 0). Raises Gap when neither is there."""
    header = envelope.header
    tx.lock(f"receive {header.stream_id}")  # not the lock of applying, which may be waiting for these very envelopes
    found = log.stream(tx, header.stream_id)
    if found is not None:
        return found
    if header.genesis is None:
        raise Gap(
            f"envelope {header.seq} of stream {header.stream_id} came before its first",
            hint="the next exchange starts it from the beginning",
        )
    genesis = header.genesis
    return Stream(
        stream_id=header.stream_id,
        kind=genesis.kind,
        unit_id=genesis.unit,
        keeper=genesis.keeper,
        term=genesis.term,
        own=False,
    )


def _take(tx: Tx, tree: Tree, peer: str, at: Stream, envelope: Envelope, data: bytes, wanted: Container[str]) -> Stream:
    _check_same_past(tx, tree, at, envelope)
    if not at.ended or envelope.header.seq <= at.held_seq:  # what is late follows what is kept apart
        check_follows(envelope.header, Position(seq=at.held_seq, hash=at.held_hash))
    subtree.require_room(at)
    is_wanted = at.stream_id in wanted
    if at.own and not at.ended and not (is_wanted and at.rejoin_seq):
        raise Altered(
            f"stream {at.stream_id} is written here, yet {peer} holds more of it than this node",
            hint="this database is an older copy or was cloned: nothing is sealed until an operator has looked",
        )
    is_displaced = tree.is_displaced(at) and was_ordered(tx, tree, at)
    if not is_displaced:
        _authorise(tree, peer, at)
    _require_its_way(tree, peer, at, is_wanted)
    if at.kind == Kind.BASELINE and envelope.header.genesis is not None:
        floor.check_genesis(tree, envelope.header.genesis)
        if not is_wanted:
            floor.check_place(tx, envelope.header.genesis)
    if at.ended or not at.own:  # what its keeper wrote too late it takes back whole, and goes back to the end then
        _check_end(tree, at, envelope, is_displaced)
    verify_envelope(envelope, tree.nodes[at.keeper].signing_public)
    _check_whole(envelope)
    if at.held_seq == 0:
        log.create(tx, at)
    return log.append(tx, at, envelope.header, envelope.hash, data)


def _check_same_past(tx: Tx, tree: Tree, at: Stream, envelope: Envelope) -> None:
    """Raise Forked when the keeper signed another envelope for a place that is taken here, or after another past."""
    header = envelope.header
    if header.seq <= at.held_seq:
        held = log.hash_at(tx, at.stream_id, header.seq)
        is_other = held is not None and held != envelope.hash
    else:
        is_other = header.seq == at.held_seq + 1 and header.previous != at.held_hash
    keeper = tree.nodes.get(at.keeper)
    if is_other and keeper is not None:
        verify_envelope(envelope, keeper.signing_public)
        raise Forked(
            f"envelope {header.seq} of stream {at.stream_id} is another than the one kept here",
            hint="two machines extended one stream (a cloned disk or a restored copy): the sender takes this one over",
        )


def _check_end(tree: Tree, at: Stream, envelope: Envelope, is_displaced: bool) -> None:
    """Nothing follows the last envelope of a term, be it the keeper's own word or the custodian's; of two orders about
    one term the other stands."""
    term = tree.term_of(at)
    is_beyond = term is not None and term.ended_seq is not None and envelope.header.seq > term.ended_seq
    if at.ended or is_beyond or is_displaced:
        raise BeyondTerm(
            f"envelope {envelope.header.seq} of stream {at.stream_id} was written after the term of {at.keeper} ended",
            hint="it was put aside; `syncd conflicts list` names it, `syncd adopt` makes proposals of what it changes",
        )


def _check_whole(envelope: Envelope) -> None:
    """Chain and signature hold without a part's bytes, so a relay that dropped them would pass unnoticed; a part is
    absent for good reasons only where erasure says so, which this release does not know."""
    for part, data in zip(envelope.header.parts, envelope.parts, strict=True):
        if data is None:
            raise Altered(
                f"envelope {envelope.header.seq} of stream {envelope.header.stream_id} came without its part for"
                f" audience {part.audience}",
                hint="nothing was taken over; the next exchange fetches the whole one",
            )


def _authorise(tree: Tree, peer: str, at: Stream) -> None:
    keeps = tree.keeps(at)
    if keeps and peer == at.keeper and at.kind != Kind.REGISTER and tree.nodes[peer].status != "enrolled":
        keeps = False  # whoever has the stolen disk may say anything; what others heard before stands
    if keeps is None:
        raise _NotYet(f"no node record says yet that {at.keeper} keeps stream {at.stream_id}")
    if not keeps:
        raise Foreign(
            f"{at.keeper} does not keep {Kind(at.kind).name.lower()} stream {at.stream_id} in term {at.term}",
            hint="the unit's keeper is named by `syncd status`; nothing was taken",
        )


def _require_its_way(tree: Tree, peer: str, at: Stream, is_wanted: bool) -> None:
    if not is_wanted and not tree.comes_from(at, peer):
        raise Foreign(
            f"neighbour {peer} has no part in stream {at.stream_id} of {at.keeper}",
            hint="the tree gives this stream another way; nothing was taken",
        )


def _note(tx: Tx, at: Stream | None, envelope: Envelope, error: EnvelopeError, now_ms: int) -> None:
    """Make a refusal visible. A fork is a case; anything else stands in the sender's and this node's log."""
    header = envelope.header
    if isinstance(error, Gap | TooLarge):
        return
    held = at or log.stream(tx, header.stream_id)
    if held is not None and isinstance(error, Forked):
        open_case(
            tx, CaseKind.FORK, (header.stream_id, header.seq), opened_at=instant_of(now_ms),
            detail={"seq": header.seq}, stream_id=header.stream_id, unit_id=held.unit_id,
        )  # fmt: skip
