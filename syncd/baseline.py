"""Making baselines: the content of a unit's register at a position, as a stream of its own (design §1).

Enters: a snapshot that stands at exactly one position of a register's stream. Leaves: a stream (kind 4) that says of
what and where it is the content, in pieces that travel and resume like any other (`baseline_taking.py` takes it).
Must hold: only the keeper and the custodian make one; what it holds is exactly the position it names, digests included;
made twice it is the same bytes, so a restored node makes no second one.

It is sealed with the epoch keys of the stream it stands for: who may read the one may read the other, without a grant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from schema.spec import Audience, Column, Kind, Table
from schema.tables import SCHEMA_REVISION
from syncd import floor, limits, log
from syncd.compress import ZSTD_VERSION
from syncd.envelope import Adopted, Envelope, Genesis, Header, Mark, parse_envelope, stream_id_of
from syncd.errors import StoreError, TooLarge
from syncd.keys import KeyRing
from syncd.log import Stream
from syncd.replication import pieces
from syncd.seal import PlainPart, seal_envelope
from syncd.signals import LOG, RECEIPT
from syncd.store.base import Row, Store, Tx
from syncd.store.patience import patiently
from syncd.verify import digest_stream
from syncd.wire import INSERT, UPDATE, Block, Schema, encode_bodies, encode_checkpoint

if TYPE_CHECKING:
    from syncd.pipeline import Node

Plains = dict[Audience, bytes]
Keys = dict[Audience, tuple[int, bytes]]  # epoch and key


@patiently
def make(node: Node, stream_id: str) -> Stream | None:
    """Write a baseline of a register's stream at the position its rows stand at here; None when that is not possible
    now: rows wait for the log, a group is open, a key has not come, or nothing follows the last baseline. Its keeper
    and the custodian may.
    """
    with node.store.read() as snapshot:
        at = log.stream(snapshot, stream_id)
        if at is None or at.kind != Kind.REGISTER or not (at.own or node.is_root):
            return None
        if not _stands_still(snapshot, node.store, at):
            return None
        of = _stands_for(snapshot, at)
        new = _new_stream(node, at, of)
        if not of.seq or of.seq < at.floor_seq or log.stream(snapshot, new.stream_id) is not None:
            return None
        keys = _keys_of(snapshot, node.ring, at)
        if keys is None:
            return None
        sealed = _Sealer(node, snapshot, at, new, of, keys).seal()
    with node.store.apply("baseline") as tx:
        tx.lock(new.stream_id)
        if log.stream(tx, new.stream_id) is not None:
            return None  # another process of this hub was quicker
        log.create(tx, new)
        for envelope in sealed:
            new = log.append(tx, new, envelope.header, envelope.hash, envelope.to_bytes())
        floor.note(tx, new.stream_id, of)
        floor.note_whole(tx, new.stream_id)
        if node.is_root:
            node.applier.vouch(tx, new)
    node.signals.emit(LOG, [new.stream_id])
    if node.is_root:
        node.signals.emit(RECEIPT, [new.stream_id])
    return new


def make_for_followers(node: Node) -> list[Stream]:
    """As custodian: baselines for those who take over from a node that was revoked, where its log was pruned: its own
    baselines are not believed any more."""
    tree = node.tree()
    revoked = [
        term for chain in tree.terms.values() for term in chain
        if term.ended_seq is not None and term.node_id in tree.nodes and tree.nodes[term.node_id].status != "enrolled"
    ]  # fmt: skip
    made = []
    for term in revoked if node.is_root else ():
        stream_id = stream_id_of(Kind.REGISTER, term.unit_id, term.node_id, term.term)
        with node.store.read() as tx:
            at = log.stream(tx, stream_id)
        if at is not None and at.floor_seq and (new := make(node, stream_id)) is not None:
            made.append(new)
    return made


def _stands_still(snapshot: Tx, store: Store, at: Stream) -> bool:
    """Whether the rows of this snapshot are exactly those of the stream's position."""
    if not at.applied_seq or at.applied_seq < at.floor_seq or at.rejoin_seq or (at.own and at.open_from):
        return False
    later = "kind = ? AND unit_id = ? AND term > ? AND applied_seq > 0"  # then the rows are a later term's
    if log.streams(snapshot, later, (int(Kind.REGISTER), at.unit_id, at.term)):
        return False
    if not at.own:
        return True
    numbers = ", ".join(str(table.number) for table in store.registry.of_kind(Kind.REGISTER))
    waiting = f"SELECT 1 FROM syncd_journal WHERE tab IN ({numbers}) AND unit_id = ? LIMIT 1"
    return snapshot.one(waiting, (at.unit_id,)) is None


def _stands_for(tx: Tx, at: Stream) -> Adopted:
    """The applied position; of a stream that says itself where it ends the one before its last envelope, which changes
    no row and has to be held by whoever follows."""
    entries = log.entries(tx, at.stream_id, at.applied_seq - 1, 1)
    if entries and entries[0].mark is Mark.ENDS:
        return Adopted(
            stream_id=at.stream_id, seq=at.applied_seq - 1, hash=parse_envelope(entries[0].envelope).header.previous
        )
    return Adopted(stream_id=at.stream_id, seq=at.applied_seq, hash=at.applied_hash)


def _new_stream(node: Node, at: Stream, of: Adopted) -> Stream:
    return Stream(
        stream_id=stream_id_of(Kind.BASELINE, at.unit_id, node.node_id, at.term, of),
        kind=int(Kind.BASELINE), unit_id=at.unit_id, keeper=node.node_id, term=at.term, own=True,
    )  # fmt: skip


@dataclass(slots=True)
class _Sealer:
    """Reads the rows of one snapshot and seals them, piece by piece."""

    node: Node
    snapshot: Tx
    at: Stream
    new: Stream
    of: Adopted
    keys: Keys
    envelopes: list[Envelope] = field(default_factory=list)
    size_bytes: int = 0

    def seal(self) -> list[Envelope]:
        """Pieces of one group, then the digests."""
        schema = wire_schema(self.node.store)
        waiting: Plains | None = None
        for plains in self._pieces(schema):
            if waiting is not None:
                self._add(Mark.OPEN, waiting)
            waiting = plains
        self._add(Mark.CLOSED, waiting or {})
        self._add(Mark.ENDS, self._digests())
        return self.envelopes

    def _pieces(self, schema: Schema) -> Iterator[Plains]:
        for table in self.node.store.registry.of_kind(Kind.REGISTER):
            columns = [column for column in table.all_columns if column.number != 1]
            query = (
                f"SELECT {', '.join(column.sql for column in columns)} FROM {table.sql} WHERE unit_id = ? ORDER BY id"
            )
            for rows in pieces.read_rows(self.snapshot, table, query, (self.at.unit_id,), 0):
                yield from _encoded(table, columns, rows, schema)

    def _digests(self) -> Plains:
        plains: Plains = {}
        for audience in (Audience.SCOPE, Audience.CUSTODIAN):
            lines = digest_stream(self.snapshot, self.node.store.registry, self.at, [audience], self.of.seq)
            plains[audience] = encode_checkpoint(lines)
        return plains

    def _add(self, mark: Mark, plains: Plains) -> None:
        previous = self.envelopes[-1] if self.envelopes else None
        written = _header_at(self.snapshot, self.of)
        header = Header(
            stream_id=self.new.stream_id, seq=len(self.envelopes) + 1,
            previous=previous.hash if previous else log.NO_HASH, mark=int(mark), schema_revision=SCHEMA_REVISION,
            tree_seq=written.tree_seq, time_ms=written.time_ms, clock_offset_ms=written.clock_offset_ms,
            rows=0,  # it changes none
            genesis=None if previous else Genesis(
                kind=self.new.kind, unit=self.new.unit_id, keeper=self.new.keeper, term=self.new.term,
                adopts=self.of,
            ),
        )  # fmt: skip
        parts = [_part(self.keys, audience, plains[audience]) for audience in sorted(plains)]
        envelope = seal_envelope(header, parts, self.node.keys.sign, _nonces(parts))
        self.envelopes.append(envelope)
        self.size_bytes += sum(part.size for part in envelope.header.parts)
        if self.size_bytes > limits.BASELINE_BYTES_MAX:
            raise TooLarge(
                f"a baseline of stream {self.at.stream_id} would take more than {limits.BASELINE_BYTES_MAX} bytes",
                hint="its log is not pruned; give a unit of this size nodes of its own",
            )


def _header_at(tx: Tx, of: Adopted) -> Header:
    """The envelope that a baseline stands behind: time and unit tree are those of the content. Where it was pruned, an
    older baseline of the same place has them too."""
    entries = [entry for entry in log.entries(tx, of.stream_id, of.seq - 1, 1) if entry.seq == of.seq]
    if not entries:
        same = [each for each in floor.baselines(tx) if (each.of_id, each.at_seq) == (of.stream_id, of.seq)]
        entries = log.entries(tx, same[0].stream_id, 0, 1) if same else []
    if not entries:
        raise StoreError(
            f"log of stream {of.stream_id} lacks seq {of.seq}", hint="restore the last backup of this database"
        )
    return parse_envelope(entries[0].envelope).header


def _encoded(table: Table, columns: Sequence[Column], rows: list[Row], schema: Schema) -> Iterator[Plains]:
    """Rows as the bodies of one envelope, or of several where they are long."""
    blocks = {int(audience): [block] for audience, block in _blocks(table, columns, rows)}
    try:
        plains = encode_bodies(blocks, schema)
    except TooLarge:
        if len(rows) == 1:
            raise
    else:
        if sum(map(len, plains.values())) <= limits.BASELINE_PIECE_BYTES or len(rows) == 1:
            yield {Audience(audience): plain for audience, plain in plains.items()}
            return
    half = len(rows) // 2
    yield from _encoded(table, columns, rows[:half], schema)
    yield from _encoded(table, columns, rows[half:], schema)


def _blocks(table: Table, columns: Sequence[Column], rows: list[Row]) -> Iterator[tuple[Audience, Block]]:
    """An insert of what every reader sees; what fewer may read is added to it."""
    values = [list(column) for column in zip(*rows, strict=True)]
    for audience in (Audience.SCOPE, Audience.CUSTODIAN):
        chosen = [place for place, column in enumerate(columns) if column.number and column.audience is audience]
        if chosen or audience is Audience.SCOPE:
            yield (
                audience,
                Block(
                    table=table.number,
                    op=INSERT if audience is Audience.SCOPE else UPDATE,
                    columns=tuple(columns[place].number for place in chosen),
                    ids=values[0],
                    values=[values[place] for place in chosen],
                ),
            )


def _keys_of(tx: Tx, ring: KeyRing, at: Stream) -> Keys | None:
    """The newest keys of a stream; None while a grant of one is still on its way."""
    keys: Keys = {}
    for audience in (Audience.SCOPE, Audience.CUSTODIAN):
        epoch = ring.newest_epoch(tx, at.stream_id, int(audience)) or 1
        key = ring.key(tx, at.stream_id, int(audience), epoch)
        if key is None:
            return None
        keys[audience] = (epoch, key)
    return keys


def _part(keys: Keys, audience: Audience, body: bytes) -> PlainPart:
    epoch, key = keys[audience]
    return PlainPart(audience=int(audience), epoch=epoch, epoch_key=key, body=body)


def _nonces(parts: Sequence[PlainPart]) -> Callable[[int], bytes]:
    """Nonces that follow from what is sealed: the same content gives the same bytes, another one another nonce. What is
    encrypted also depends on the packer's release."""
    digest = sha256(b"syncd baseline nonce v1" + ZSTD_VERSION.encode())
    for part in parts:
        digest.update(sha256(part.epoch_key or b"").digest() + sha256(part.body).digest())
    made = 0

    def next_nonce(size: int) -> bytes:
        nonlocal made
        made += 1
        return sha256(digest.digest() + made.to_bytes(4, "big")).digest()[:size]

    return next_nonce


def wire_schema(store: Store) -> Schema:
    """The types of columns by number, as bodies are encoded with."""
    return {table.number: {column.number: str(column.type) for column in table.all_columns} for table in store.registry}
