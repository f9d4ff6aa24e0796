"""The streams a node writes itself: created when first needed, extended one sealed envelope at a time.

Enters: changes as blocks, digests as lines, in an open transaction. Leaves: envelopes at the end of own streams.
Must hold: a stream's first envelope names it, each one the one before; whoever calls holds the sequencing lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from schema.spec import Audience, Kind, Table
from schema.tables import SCHEMA_REVISION
from syncd import keys, log
from syncd.applying import Applier
from syncd.clock import Clock
from syncd.envelope import Adopted, Genesis, Header, Mark, stream_id_of
from syncd.log import Stream
from syncd.replication.pieces import Parts
from syncd.seal import PlainPart, seal_envelope
from syncd.store.base import Store, Tx
from syncd.tree import Tree
from syncd.verify import digest_stream
from syncd.wire import Schema, encode_bodies, encode_checkpoint

if TYPE_CHECKING:
    from syncd.security.identity import NodeKeys

RandomBytes = Callable[[int], bytes]
UNKNOWN = -1
WRITTEN_TO = "own = 1 AND ended = 0 AND kind <> 4"  # the own streams that rows are written to


class OwnStreams:
    """What this node writes. `load`ed heads are forgotten by `clear`, whenever another process may have moved them."""

    def __init__(
        self,
        store: Store,
        node_keys: NodeKeys,
        ring: keys.KeyRing,
        applier: Applier,
        clock: Clock,
        random_bytes: RandomBytes,
        wire_schema: Schema,
        tree: Callable[[], Tree],
        offset_ms: Callable[[], int | None],
        root_id: str,
        recovery_public: bytes,
    ) -> None:
        self._store = store
        self._keys = node_keys
        self._me = node_keys.node_id
        self._ring = ring
        self._applier = applier
        self._clock = clock
        self._random = random_bytes
        self._wire_schema = wire_schema
        self._tree = tree
        self._offset_ms = offset_ms
        self._root_id = root_id
        self._recovery_public = recovery_public
        self._own: dict[tuple[int, str | None], Stream] = {}
        self.is_unchecked = True  # own content may stand behind no checkpoint: at first from an earlier process
        self._heads: dict[str, int] = {}  # as this process has appended, or last looked

    def extended_by_others(self, heads: Mapping[str, int]) -> set[str]:
        """Own streams whose heads, as committed, another process of this node has moved since this was last asked."""
        moved = {key for key, seq in heads.items() if key not in self._heads or self._heads[key] != seq}
        self._heads |= {key: heads[key] for key in moved}
        return moved

    def clear(self) -> None:
        """Forget the heads."""
        self._own.clear()

    def discard_open(self) -> None:
        """`discard` whatever `open_groups` finds."""
        with self._store.read() as tx:
            opened = self.open_groups(tx)
        self.discard(opened)

    @staticmethod
    def open_groups(tx: Tx) -> list[Stream]:
        """Own streams of which a crash left a group open."""
        return log.streams(tx, "own = 1 AND open_from > 0")

    def discard(self, opened: Sequence[Stream]) -> None:
        """Say that their open groups are void; the journal still holds all of them."""
        for stream in opened:
            with self._store.apply("discard") as tx:
                self.append(tx, stream, Mark.DISCARD, {}, 0)

    def prepare(self, waiting: Sequence[tuple[int, str | None]]) -> bool:
        """Load the own streams that waiting rows belong to, creating those missing; False when one was created."""
        with self._store.read() as tx:
            self._own = {(stream.kind, stream.unit_id): stream for stream in log.streams(tx, WRITTEN_TO)}
        wanted = {(int(self._store.registry.by_number[tab].kind), unit) for tab, unit in waiting}
        missing = sorted(wanted - self._own.keys(), key=str)
        for kind, unit in missing:
            self.create(kind, unit)
        return not missing

    def create(self, kind: int, unit: str | None, term: int | None = None) -> Stream:
        tree = self._tree()
        if term is None:
            term = tree.term_to_write(unit or "") if kind == Kind.REGISTER else 1
        stream = Stream(
            stream_id=stream_id_of(kind, unit, self._me, term),
            kind=kind,
            unit_id=unit,
            keeper=self._me,
            term=term,
            own=True,
        )
        audiences = [] if kind == Kind.CONTROL else [Audience.SCOPE, Audience.CUSTODIAN]
        with self._store.write("create-stream") as tx:
            log.create(tx, stream)
            keys.new_epoch(
                tx, stream.stream_id, audiences, lambda audience: self._readers(tree, audience), self._keys.epoch_key
            )
        return stream

    def _readers(self, tree: Tree, audience: Audience) -> list[keys.Reader]:
        """Who reads what this node writes: itself, every ancestor (custodian only: the root), and the recovery key."""
        ids = [self._me, *tree.ancestors(self._me)] if audience is Audience.SCOPE else {self._me, self._root_id}
        readers = [
            keys.Reader(node_id=node_id, sealing_public=self._sealing_public(tree, node_id)) for node_id in sorted(ids)
        ]
        if self._recovery_public:
            readers.append(keys.Reader(node_id=keys.RECOVERY_READER, sealing_public=self._recovery_public))
        return readers

    def _sealing_public(self, tree: Tree, node_id: str) -> bytes:
        return self._keys.x25519_public if node_id == self._me else tree.nodes[node_id].sealing_public

    def of(self, table: Table, unit_id: str | None) -> Stream | None:
        return self._own.get((int(table.kind), unit_id))

    def append(
        self, tx: Tx, stream: Stream, mark: Mark, parts: Parts, rows: int, adopts: Adopted | None = None
    ) -> Stream:
        """Seal and append one envelope behind `stream`; its first may take over what another stream left."""
        bodies = self._bodies(stream, mark, parts)
        plains = [self._plain(tx, stream, audience, body) for audience, body in sorted(bodies.items())]
        first = stream.held_seq == 0
        header = Header(
            stream_id=stream.stream_id,
            seq=stream.held_seq + 1,
            previous=stream.held_hash,
            mark=int(mark),
            schema_revision=SCHEMA_REVISION,
            tree_seq=self._tree_seq(tx, stream),
            time_ms=self._clock(),
            clock_offset_ms=self._offset_ms(),
            rows=rows,
            genesis=Genesis(
                kind=stream.kind, unit=stream.unit_id, keeper=stream.keeper, term=stream.term, adopts=adopts
            )
            if first
            else None,
        )
        envelope = seal_envelope(header, plains, self._keys.sign, self._random)
        moved = log.append(tx, stream, envelope.header, envelope.hash, envelope.to_bytes())
        # Behind what another process appended, or what was rolled back here, this stays a head that nobody knows.
        self._heads[moved.stream_id] = (
            moved.held_seq if self._heads.get(moved.stream_id, stream.held_seq) == stream.held_seq else UNKNOWN
        )
        self._own[stream.kind, stream.unit_id] = moved
        if mark in (Mark.CHECKPOINT, Mark.ENDS):
            tx.run("UPDATE syncd_stream SET checkpoint_seq = ? WHERE stream_id = ?", (moved.held_seq, moved.stream_id))
        else:
            self.is_unchecked = True
        if self._me == self._root_id and not moved.open_from:
            self._applier.vouch(tx, moved)
        return moved

    def _bodies(self, stream: Stream, mark: Mark, parts: Parts) -> dict[int, bytes]:
        if mark not in (Mark.CHECKPOINT, Mark.ENDS):
            return encode_bodies({int(audience): blocks for audience, blocks in parts.items()}, self._wire_schema)
        stated: Any = (
            parts  # a checkpoint's parts are lines: what was digested is the content at the position it follows
        )
        return {
            int(audience): encode_checkpoint([replace(line, at_seq=stream.held_seq) for line in lines])
            for audience, lines in stated.items()
        }

    def _plain(self, tx: Tx, stream: Stream, audience: int, encoded: bytes) -> PlainPart:
        if audience == Audience.PUBLIC:
            return PlainPart(audience=audience, epoch=0, epoch_key=None, body=encoded)
        epoch = self._ring.newest_epoch(tx, stream.stream_id, audience) or 1
        key = self._ring.key(tx, stream.stream_id, audience, epoch)
        if key is None:  # its grants are gone or garbage; of an own stream the key is derived, and always the same
            key = self._keys.epoch_key(stream.stream_id, audience, epoch)
        return PlainPart(audience=audience, epoch=epoch, epoch_key=key, body=encoded)

    def _tree_seq(self, tx: Tx, stream: Stream) -> int:
        """The version of the unit tree this was written under: how far the root's stream about all units is applied."""
        if stream.kind == Kind.CONTROL or stream.unit_id is None:
            return 0
        return self._applier.tree_seq(tx, self._root_id)

    def digests(self, snapshot: Tx, stream: Stream) -> Parts:
        audiences = [Audience.PUBLIC] if stream.kind == Kind.CONTROL else [Audience.SCOPE, Audience.CUSTODIAN]
        parts: Parts = {}
        for audience in audiences:
            lines = digest_stream(snapshot, self._store.registry, stream, [audience], stream.held_seq)
            if lines:
                parts[audience] = lines  # type: ignore[assignment]  # a checkpoint's parts are lines
        return parts
