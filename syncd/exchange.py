"""The exchange between a child and its parent, without a network: what each side says and does with what it hears.

Enters: messages and envelopes of the other side, already authenticated. Leaves: messages, envelopes, committed effects.
Must hold: nothing is taken as delivered but on a position the other side has committed; both sides may forget
everything in memory at any moment and go on from a new hello. `syncd/net` carries it over HTTPS, the simulator over a
bad network.
"""

from __future__ import annotations

import uuid
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from schema.tables import SCHEMA_REVISION
from syncd import limits, log, messages, quarantine, receipt
from syncd.declined import Declined
from syncd.envelope import decode_header
from syncd.errors import EnvelopeError, Unsupported
from syncd.framing import frame
from syncd.log import Stream
from syncd.messages import Hello, HelloReply, Owed, Partial, Position, Pull, PullReply, PushReply, Refusal
from syncd.pasts import common_pasts, lost_by, settled_forks
from syncd.pipeline import Node
from syncd.receipts import moved_above
from syncd.receive import FORKED, LATER, SETTLED, Received
from syncd.replication.owed import OwedStreams
from syncd.review.standing import WAIT_FOR_A_PERSON
from syncd.send import Batch, lacking
from syncd.signals import LOG
from syncd.store.base import Tx
from syncd.text import escaped
from syncd.topology.subtree import BOUND
from syncd.tree import Tree

SHORT_HASH_BYTES = 16
HEADER_OFFSET = 8  # frame length and envelope head


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A body of frames under way: the batch, its bytes, and how much of the first frame the receiver already has."""

    batch: Batch
    body: bytes
    skipped_bytes: int = 0


class Desk:
    """The parent's side: answers children. Keeps nothing between two questions."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def hello(self, peer: str, hello: Hello) -> HelloReply:
        """Where this node stands on the child's streams. Raises Unsupported when no protocol version is shared."""
        if not hello.protocol_min <= messages.PROTOCOL <= hello.protocol_max:
            raise Unsupported(
                f"node {peer} speaks protocol {hello.protocol_min} to {hello.protocol_max},"
                f" this node {messages.PROTOCOL}",
                hint="upgrade the older of the two nodes (parents first)",
            )
        with self._node.store.read() as tx:
            named = messages.by_stream(hello.up)
            tree = self._node.tree()
            of_child = log.among(tx, {"keeper": tree.below(peer), "stream_id": named.keys()})
            held = {stream.stream_id: stream for stream in of_child}
            partial = tx.one("SELECT stream_id, seq, bytes FROM syncd_partial WHERE node_id = ?", (peer,))
            settled = settled_forks(tx, named)
            told = [stream for key, stream in held.items() if hello.is_about(key)]
            lost = lost_by(tree, peer, named.keys(), told)
            # What is not held is not named: a question for streams that nobody knows has a short answer.
            stated = [_position_of(tx, held[key], item) for key, item in named.items() if key in held]
            late = quarantine.heard(tx, tree, peer, named, hello.is_about)
        self._node.awaited.announced(peer, list(named.values()), hello.is_first)
        self._node.rejoin.close_forks(settled)
        quarantine.note_heard(self._node.store, late)
        time_ms = self._node.clock() - (self._node.clock_offset_ms or 0)  # the root's, as far as it is known here
        self._node.note_clock(peer, hello.time_ms - time_ms)
        return HelloReply(
            protocol=messages.PROTOCOL,
            time_ms=time_ms,
            up=[*stated, *map(_held, lost)][: limits.STREAMS_MAX],  # of more that was lost it hears when these are back
            partial=None if partial is None else Partial(uuid.UUID(partial[0]).bytes, partial[1], len(partial[2])),
            credit_bytes=limits.PUSH_BYTES_MAX,
        )

    def push(self, peer: str, envelopes: Sequence[bytes]) -> PushReply:
        """Take a child's envelopes; the positions in the reply are committed."""
        received = self._node.accept(peer, envelopes)
        if received.taken:
            self._node.receipts.took()
        self._node.awaited.refused(peer, (key for key, (code, *_) in received.refused.items() if code != LATER))
        fresh = self._node.receipts.fresh()
        with self._node.store.read() as tx:
            # Only a receipt for what was just pushed is news (146 bytes): older ones have come down with a pull.
            receipts = [
                data
                for stream_id, stream in received.streams.items()
                for data in receipt.newest(tx, fresh, stream_id, stream.held_seq - 1)
            ]
        return PushReply(positions=_positions(received), refused=_refusals(received), receipts=receipts)

    def unfinished(self, peer: str) -> bytes:
        """The bytes of an interrupted frame that this node kept for the child."""
        with self._node.store.read() as tx:
            found = tx.value("SELECT bytes FROM syncd_partial WHERE node_id = ?", (peer,))
        return b"" if found is None else bytes(found)

    def keep_unfinished(self, peer: str, data: bytes) -> None:
        """Keep the beginning of a frame whose rest did not come; an empty one is forgotten."""
        place = frame_place(data)
        with self._node.store.apply("partial") as tx:
            tx.run("DELETE FROM syncd_partial WHERE node_id = ?", (peer,))
            if place is not None:
                tx.run(
                    "INSERT INTO syncd_partial (node_id, stream_id, seq, bytes) VALUES (?, ?, ?, ?)",
                    (peer, *place, data),
                )

    def pull(self, peer: str, pull: Pull, news: Iterable[str] = ()) -> tuple[PullReply, Sending]:
        """What the child lacks now. `news`: streams whose receipts came since it asked."""
        tree = self._node.tree()
        fresh = self._node.receipts.fresh()  # before the snapshot: what is not in the one is in the other
        with self._node.store.read() as tx:
            scope = tree.scope_of(peer)
            known = log.among(tx, {"unit_id": scope.units, "unit_id IS NULL AND keeper": scope.keepers})
            declined = {str(uuid.UUID(bytes=stream)) for stream in pull.declined}
            streams = [s for s in known if s.stream_id not in declined and tree.goes_down(s, peer)]
            down = messages.by_stream(pull.down)
            asked = common_pasts(tx, tree, peer, pull.want)
            streams = _first([*{s.stream_id: s for s in [*streams, *(s for s, _at in asked)]}.values()], pull.partial)
            theirs = {**down, **{s.stream_id: at for s, at in asked}}
            batch = lacking(tx, streams, theirs, limits.PULL_BYTES_MAX)
            if not batch.more:  # a restored keeper takes back what it wrote too late as well
                late = [s for s, _at in asked if s.ended and tree.is_within(s.keeper, peer)]
                reached = {s.stream_id: _held(s) for s in late if s.stream_id in batch.reached}
                spare = limits.PULL_BYTES_MAX - sum(len(entry.envelope) for _stream, entry in batch.entries)
                batch.entries += quarantine.lacking(tx, late, {**theirs, **reached}, spare, ())
            strange = down.keys() - {s.stream_id for s in known}
            strange -= {s.stream_id for s in log.among(tx, {"stream_id": strange})}
            forked = [key for key in batch.forked if key in down]
            was_unheard = self._node.rejoin.is_unheard
            want = self._node.rejoin.child_asked(tx, peer, down, forked, strange, pull.heard_ms)
            stated = {str(uuid.UUID(bytes=item.stream)): item.seq for item in pull.owed}
            wanted = {**dict.fromkeys(news, 0), **stated}
            receipts = receipt.newest_of(tx, fresh, wanted)
            receipts += self._of_backup(tx, peer, pull.backed_up_ms)
        if was_unheard and not self._node.rejoin.is_unheard:
            self._node.signals.emit(LOG, [self._node.node_id])  # whoever writes and concludes has waited for it
        sending = _sending(batch, pull.partial)
        reply = PullReply(
            time_ms=self._node.clock(),
            receipts=receipts,
            frames=len(batch.entries),
            skipped_bytes=sending.skipped_bytes,
            want=want,
        )
        return reply, sending

    def is_behind(self, pull: Pull) -> bool:
        """Whether receipts that the child lacks are on their way: the custodian has not applied yet what it holds, or
        its receipts come from above one after another."""
        owed = {str(uuid.UUID(bytes=item.stream)): item.seq for item in pull.owed}
        with self._node.store.read() as tx:
            held = [each for each in log.among(tx, {"stream_id": owed.keys()}) if each.held_seq > owed[each.stream_id]]
        if self._node.is_root:
            return any(each.applied_seq < each.held_seq and each.state != "stopped" for each in held)
        return any(each.custodian_seq < each.held_seq for each in held) and self._node.receipts.are_coming()

    def _of_backup(self, tx: Tx, peer: str, time_ms: int) -> list[bytes]:
        """The receipts of the custodian's backups since `time_ms`, of the streams the child keeps too."""
        found = receipt.of_backup_after(tx, time_ms)
        if not found:
            return []
        below = self._node.tree().below(peer)
        kept = log.among(tx, {"keeper": below})
        return [found[s.stream_id] for s in kept if s.stream_id in found and s.keeper in below]


class Link:
    """The child's side: asks its parent. What it remembers of the parent's positions is renewed by every hello."""

    def __init__(self, node: Node, parent: str) -> None:
        self._node = node
        self.parent = parent
        self._theirs: dict[str, Position] = {}
        self._partial: Partial | None = None
        self._unfinished = b""
        self._credit_bytes = limits.PUSH_BYTES_MAX
        self.has_greeted = False
        # A question broke off since the last hello: whoever answers next may be a restored copy, which lacks what this
        # side takes as delivered, and nothing else would tell before more is written here.
        self.was_cut = False
        self._heard_ms = 0  # by the parent's clock
        self._repeats = 0  # answers in a row that had something and changed nothing
        self.has_unnoted = False  # positions of the parent that `status` does not show yet
        self._unnoted: dict[str, int] = {}
        self._declined = Declined()
        self._streams_owed = OwedStreams(node.node_id)
        node.signals.subscribe(self._streams_owed.on_signal)
        self._asked: dict[str, int] = {}  # stream that may come → where it stood when the pull under way was asked
        self._blocked: dict[str, int] = {}  # stream → position the parent refused; tried again after the next hello
        # Late envelopes that were pushed, and those under way: of several branches the parent's position tells of one,
        # and of one that it has lost since nothing. They are offered anew once a day.
        self._late_sent: set[quarantine.Kept] = set()
        self._late_sending: set[quarantine.Kept] = set()
        self._late_since_ms = 0

    def greet(self, ask: Callable[[Hello], HelloReply]) -> None:
        """Open a session: `ask` the parent, in as many parts as there are, and learn from its answers."""
        replies = []
        for part in messages.in_parts(self.hello()):
            sent_ms = self._node.clock()
            replies.append(ask(part))
        self.take_hello(messages.merged(replies), sent_ms, self._node.clock())

    def hello(self) -> Hello:
        """The first message of a session, about all streams."""
        with self._node.store.read() as tx:
            late = quarantine.late_ends(tx)
            up = [_held(quarantine.standing(tx, at, late.get(at.stream_id, 0))) for at in self._up(tx, late)]
            waiting, cases = _health(tx)
        return Hello(messages.PROTOCOL, messages.PROTOCOL, SCHEMA_REVISION, self._node.clock(), up, waiting, cases)

    def take_hello(self, reply: HelloReply, sent_ms: int, received_ms: int) -> None:
        """Learn the parent's positions and clock: the offset is this clock minus the parent's, halfway of the trip."""
        self._theirs = {item.stream_id: item for item in reply.up if item.seq}
        self._streams_owed.look_at_all()
        self._partial = reply.partial
        self._heard_ms = reply.time_ms  # who asks once and ends, as `sync --once` does, has no earlier answer to name
        self._credit_bytes = min(max(reply.credit_bytes, limits.KIB), limits.PUSH_BYTES_MAX)
        self._blocked.clear()
        has_unfinished = self._node.rejoin.heard(reply.up)
        self.has_greeted = True
        self.was_cut = False
        if sent_ms - self._late_since_ms >= limits.LATE_OFFER_MS:
            self._late_sent, self._late_since_ms = set(), sent_ms
        if has_unfinished:
            self._node.signals.emit(LOG, [self._node.node_id])  # whoever applies has something to end
        self._node.clock_offset_ms = (sent_ms + received_ms) // 2 - reply.time_ms
        self._node.note_clock(self._node.node_id, self._node.clock_offset_ms)
        self._unnoted = {key: item.seq for key, item in self._theirs.items()}
        self.has_unnoted = True

    def next_push(self) -> Sending | None:
        """The next body for the parent, or None when it lacks nothing that it would take."""
        tree, now_ms = self._node.tree(), self._node.clock()
        chosen = self._streams_owed.due(tree, now_ms)
        with self._node.store.read() as tx:
            offers = self._node.rejoin.offers
            handed = [stream for key in offers if (stream := log.stream(tx, key)) is not None]
            up = self._up(tx, among=chosen)
            streams = [stream for stream in [*up, *handed] if self._may_push(stream.stream_id)]
            theirs = ChainMap(self._theirs, offers)
            batch = lacking(tx, _first(streams, self._partial), theirs, self._credit_bytes)
            if not batch.entries and (ends := quarantine.late_ends(tx)):
                late = [at for at in self._up(tx, ends, ends) if self._may_push(at.stream_id)]
                batch.entries = quarantine.lacking(tx, late, theirs, self._credit_bytes, self._late_sent)
                self._late_sending = {(key, entry.hash) for key, entry in batch.entries}
            is_quiet = not batch.entries and self.has_unnoted and not self._node.store.is_busy()
            moved = moved_above(tx, self._unnoted, up) if is_quiet else []
        self._streams_owed.looked(chosen, tree, now_ms, _elsewhere(up, self._theirs))
        for stream_id in batch.forked:  # an older copy or a clone was started here, or there (I13)
            self._node.rejoin.differs(theirs[stream_id])
        if batch.entries:
            return _sending(batch, self._partial)
        if is_quiet:
            self._note_positions(moved)
        return None

    def take_push(self, reply: PushReply) -> None:
        """Believe the parent's committed positions."""
        self._node.receipts.heard_above()
        self._partial = None
        self._late_sent |= self._late_sending
        self._late_sending = set()
        for item in reply.positions:
            self._theirs[item.stream_id] = item
            self._unnoted[item.stream_id] = item.seq
        for refusal in reply.refused:
            stream_id = str(uuid.UUID(bytes=refusal.stream))
            self._blocked[stream_id] = refusal.seq
            if refusal.code == SETTLED:
                self._node.rejoin.settled(stream_id)
            elif refusal.code == FORKED:
                self._node.rejoin.refused(stream_id)
            elif refusal.code not in (LATER, FORKED):
                self._note_refusal(stream_id, refusal)
        self.has_unnoted = True
        self._node.receipts.take(reply.receipts)

    @property
    def has_blocked(self) -> bool:
        """Whether the parent refused a stream in this session, or holds another past of one, so that a new hello is due
        after a while."""
        return bool(self._blocked) or self._node.rejoin.has_goals

    def pull(self, wait_s: float) -> Pull:
        """Ask for what flows down; the parent may wait `wait_s` for news, less while anything was declined."""
        heard_ms = self._heard_ms  # before the positions are read: a hello may be under way
        with self._node.store.read() as tx:
            tree = self._node.tree()
            keepers = self._keepers_elsewhere(tx, tree)
            above = [s for s in log.among(tx, {"keeper": keepers}) if not tree.goes_up(s)]
            unknown = self._node.rejoin.unknown_above
            down = [_held_short(s) for s in above if s.stream_id not in unknown]
            unvouched = [s for s in log.unvouched(tx, keepers) if tree.goes_up(s)][: limits.OWED_MAX]
            owed = [Owed(uuid.UUID(s.stream_id).bytes, s.custodian_seq) for s in unvouched]  # others once these came
            waiting, cases = _health(tx)
            backed_up_ms = receipt.heard_of_backup(tx)
            want = self._node.rejoin.wants(tx)
            wanted = log.among(tx, {"stream_id": {each.stream_id for each in want}})
            self._asked = {s.stream_id: s.held_seq for s in [*above, *wanted]}
        place = frame_place(self._unfinished)
        partial = None if place is None else Partial(uuid.UUID(place[0]).bytes, place[1], len(self._unfinished))
        declined = [messages.raw_id(stream_id) for stream_id in self._declined.streams(tree)]
        wait_ms = int(min(wait_s, self._declined.wait_s_max) * 1000)
        return Pull(down, owed, partial, wait_ms, waiting, cases, backed_up_ms, want, heard_ms, declined,
                    self._node.silent_below())  # fmt: skip

    def take_pull(self, reply: PullReply, envelopes: Sequence[bytes], unfinished: bytes = b"") -> Received | None:
        """Take what came down; `unfinished` is the beginning of a frame whose rest did not come."""
        self._unfinished = unfinished
        self._heard_ms = reply.time_ms
        self._node.receipts.heard_above()
        signs = self._node.rejoin.twin_signs
        has_news = self._node.receipts.take(reply.receipts) or self._node.rejoin.twin_signs != signs
        received = self._node.accept(self.parent, envelopes) if envelopes else None
        is_moving = has_news or unfinished or (received is not None and received.taken)
        self._repeats = 0 if is_moving or not (reply.receipts or envelopes) else self._repeats + 1
        self._declined.learn(self._asked, received)
        rejoin = self._node.rejoin
        if rejoin.told(self.parent, reply.want):
            self._theirs |= rejoin.offers
            self._node.signals.emit(LOG, rejoin.offers)
        return received

    @property
    def pause_s(self) -> float:
        """How long to wait before the next question: after an answer that changed nothing the same one would come again
        at once, without end."""
        if not self._repeats:
            return 0.0
        return float(min(limits.REPEAT_WAIT_S * 2 ** min(self._repeats, 10), limits.REPEAT_WAIT_S_MAX))

    def unfinished(self, reply: PullReply) -> bytes:
        """The bytes kept from the last answer, when the parent left them out of this one."""
        return self._unfinished if reply.skipped_bytes == len(self._unfinished) else b""

    def _may_push(self, stream_id: str) -> bool:
        return stream_id not in self._blocked and not self._node.rejoin.is_goal(stream_id)

    def _up(self, tx: Tx, late: Collection[str] = (), among: Collection[str] | None = None) -> list[Stream]:
        """What goes up, of all streams or `among` some; also those of which all that is here was written `late`."""
        tree = self._node.tree()
        found = log.streams(tx) if among is None else log.among(tx, {"stream_id": among})
        chosen = (at for at in found if among is None or at.stream_id in among)
        return [at for at in chosen if (at.held_seq or at.stream_id in late) and tree.goes_up(at)]

    @staticmethod
    def _keepers_elsewhere(tx: Tx, tree: Tree) -> frozenset[str]:
        """Who writes streams held here that do not go up: nobody at or below this node."""
        keepers = frozenset(row[0] for row in tx.all("SELECT DISTINCT keeper FROM syncd_stream"))
        return keepers - tree.below(tree.me)

    def _note_positions(self, moved: Sequence[tuple[int, str]]) -> None:
        """Record what the parent holds, once there is nothing more urgent and nobody else writes: it is for `status`
        alone, the next hello tells it again."""
        self._node.receipts.note_parent(moved)
        self._unnoted = {}
        self._node.rejoin.note_positions()
        self.has_unnoted = False

    def _note_refusal(self, stream_id: str, refusal: Refusal) -> None:
        with self._node.store.apply("refused") as tx:
            at = log.stream(tx, stream_id)
            if at is not None and not at.ended:  # what was written late is refused as it should be, and kept apart
                # Its envelopes are there, and yet count for nothing: no position takes that word back.
                state = "stopped" if refusal.code == BOUND else "refused"
                log.stop(tx, stream_id, state, escaped.line(refusal.text))


def frame_place(unfinished: bytes) -> tuple[str, int] | None:
    """Stream and position of an unfinished frame, once its header is complete."""
    size = int.from_bytes(unfinished[4:HEADER_OFFSET], "big") & 0xFFFFFF
    if len(unfinished) < HEADER_OFFSET + max(size, 1) or size > limits.HEADER_BYTES_MAX:
        return None
    try:
        header = decode_header(unfinished[HEADER_OFFSET : HEADER_OFFSET + size])
    except EnvelopeError:
        return None  # damaged on the way: the whole frame is sent again
    return header.stream_id, header.seq


def _sending(batch: Batch, partial: Partial | None) -> Sending:
    body = b"".join(frame(entry.envelope) for _stream_id, entry in batch.entries)
    if partial is not None and batch.entries:
        stream_id, entry = batch.entries[0]
        held = partial.bytes_held
        if (
            stream_id == str(uuid.UUID(bytes=partial.stream))
            and entry.seq == partial.seq
            and held < len(entry.envelope) + 4
        ):
            return Sending(batch=batch, body=body[held:], skipped_bytes=held)
    return Sending(batch=batch, body=body)


def _first(streams: list[Stream], partial: Partial | None) -> list[Stream]:
    """The stream of an interrupted envelope goes first, so that its kept bytes are used."""
    if partial is None:
        return streams
    stream_id = str(uuid.UUID(bytes=partial.stream))
    return sorted(streams, key=lambda stream: stream.stream_id != stream_id)


def _elsewhere(streams: Iterable[Stream], theirs: Mapping[str, Position]) -> list[str]:
    """Those on which a neighbour does not stand where this node does."""
    found = []
    for each in streams:
        at = theirs.get(each.stream_id)
        if at is None or at.seq != each.held_seq or not each.held_hash.startswith(at.hash):
            found.append(each.stream_id)
    return found


def _held(stream: Stream) -> Position:
    return messages.position(stream.stream_id, stream.held_seq, stream.held_hash)


def _held_short(stream: Stream) -> Position:
    """Enough of the hash to tell another past; a pull is sent for every change."""
    return messages.position(stream.stream_id, stream.held_seq, stream.held_hash[:SHORT_HASH_BYTES])


def _position_of(tx: Tx, stream: Stream, asked: Position) -> Position:
    return _held(quarantine.standing(tx, stream, asked.seq, asked.hash))


def _positions(received: Received) -> list[Position]:
    return [_held(stream) for stream in received.streams.values()]


def _refusals(received: Received) -> list[Refusal]:
    return [
        Refusal(uuid.UUID(stream_id).bytes, seq, code, text[:500])
        for stream_id, (code, seq, text) in received.refused.items()
    ]


def _health(tx: Tx) -> tuple[int, int]:
    """Rows not yet at the custodian, and open cases: what a parent's screen shows of this node."""
    sealed, journal, cases = tx.all(_HEALTH)[0]
    return int(sealed) + journal, cases


_HEALTH = f"""
    SELECT (SELECT coalesce(sum(l.rows), 0) FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id
            WHERE s.own = 1 AND l.seq > s.custodian_seq),
        (SELECT count(*) FROM syncd_journal),
        {WAIT_FOR_A_PERSON}
"""
