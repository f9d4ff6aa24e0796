"""Proving content: every stream's rows digested anew and compared with what its keeper stated (design §6).

Enters: one snapshot, the epoch keys held. Leaves: per stream what is equal, what differs, or why nothing can be said
yet. Must hold: hashes stored earlier are not trusted, the rows are read again; a stream is compared only with a
checkpoint that speaks of exactly the position its rows stand at; what this node can no longer be told of is not owed
to it; nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schema.spec import Audience, Kind, Registry
from syncd import floor, log
from syncd.envelope import Mark, parse_envelope
from syncd.errors import EnvelopeError
from syncd.keys import KeyRing
from syncd.language import say
from syncd.log import Stream
from syncd.open import open_parts
from syncd.status import is_past, stream_words
from syncd.store.base import Tx
from syncd.tree import load_tree
from syncd.verify import digest_stream, same
from syncd.wire import CheckpointLine, decode_checkpoint

EQUAL, DIFFERS, OPEN, PAST = "equal", "differs", "open", "past"


_IS_ROOT = """SELECT 1 FROM syncd_meta AS r JOIN syncd_meta AS n ON n.key = 'node_id' AND n.value = r.value
    WHERE r.key = 'root_id'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProof:
    """One table of a stream: what the keeper stated, what is here."""

    table: str
    audience: str
    rows_stated: int
    rows_found: int
    equal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProof:
    """One stream. `about`: its unit, or the node that writes it. `reason`: why it is open. `rows`: the first rows that
    differ from what the log here says, as `table id`."""

    stream_id: str
    kind: str
    about: str
    keeper: str
    own: bool
    seq: int
    hash: str
    state: str
    reason: str
    digest: str  # of what all readers share, so that two nodes can be compared at a glance
    tables: tuple[TableProof, ...]
    # What only one side of the stream has described (`extra_tables`): it was not compared.
    unknown: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    @property
    def differing(self) -> tuple[TableProof, ...]:
        return tuple(table for table in self.tables if not table.equal)


def prove(tx: Tx, registry: Registry, ring: KeyRing) -> list[StreamProof]:
    """Recompute and compare every stream that has rows here, in this one snapshot."""
    unsealed = _unsealed(tx, registry)
    names = _names(tx)
    streams = log.streams(tx, "held_seq > 0 AND kind <> ?", (int(Kind.BASELINE),))
    passed = {(at.unit_id, at.term) for at in streams if at.kind == Kind.REGISTER and at.applied_seq}
    # What a unit shows is the newest term's to state; the end of an earlier one was compared when the next began.
    streams = [
        at for at in streams if not (at.ended and any(unit == at.unit_id and term > at.term for unit, term in passed))
    ]
    begun = {(stream.kind, stream.unit_id) for stream in streams if stream.own}
    proofs = [
        _prove(tx, registry, ring, each, names[each.stream_id], (each.kind, each.unit_id) in unsealed)
        for each in streams
    ]
    return [
        *_without_past(tx, streams, proofs),
        *(_not_begun(kind, tx.value("SELECT name FROM unit WHERE id = ?", (unit,))) for kind, unit in unsealed - begun),
    ]


def _without_past(tx: Tx, streams: list[Stream], proofs: list[StreamProof]) -> list[StreamProof]:
    """What would stay open for ever, since nothing more of the stream comes here, is past: another keeps its unit."""
    if all(proof.state != OPEN for proof in proofs):  # as a rule
        return proofs
    tree = load_tree(tx)
    return [
        replace(proof, state=PAST, reason=_past_words()) if proof.state == OPEN and is_past(tree, at) else proof
        for at, proof in zip(streams, proofs, strict=True)
    ]


def _past_words() -> str:
    return say(
        "nhật ký này không còn về máy này: đơn vị của nó nay do máy khác giữ",
        "this stream does not come here any more: another node keeps its unit now",
    )


def _not_begun(kind: int, unit_name: str | None) -> StreamProof:
    """What was committed into a stream that has no envelope yet."""
    return StreamProof(
        stream_id="", kind=Kind(kind).name.lower(), about=unit_name or "", keeper="", own=True, seq=0, hash="",
        state=OPEN, reason=_unsealed_words(), digest="", tables=(),
    )  # fmt: skip


def _unsealed_words() -> str:
    return say("có thay đổi vừa ghi chưa vào nhật ký", "committed changes are not in the log yet")


def exit_code(proofs: list[StreamProof]) -> int:
    """0 all equal, 1 something differs, 75 something cannot be proven yet."""
    states = {proof.state for proof in proofs}
    if DIFFERS in states:
        return 1
    return 75 if OPEN in states else 0


def _prove(
    tx: Tx, registry: Registry, ring: KeyRing, stream: Stream, names: tuple[str, str], has_unsealed: bool
) -> StreamProof:
    try:
        stated, why = _stated(tx, ring, stream)
    except EnvelopeError as error:
        stated, why = None, str(error)
    if stream.own and has_unsealed:
        stated, why = None, _unsealed_words()
    tables, digest = ((), "") if stated is None else _compare(tx, registry, stream, stated)
    unknown = () if stated is None else _unknown(registry, stream, stated)
    state = OPEN if stated is None else EQUAL if all(table.equal for table in tables) else DIFFERS
    return StreamProof(
        stream_id=stream.stream_id,
        kind=Kind(stream.kind).name.lower(),
        about=names[0],
        keeper=names[1],
        own=stream.own,
        seq=stream.applied_seq,
        hash=stream.applied_hash.hex(),
        state=state,
        reason=why,
        digest=digest,
        tables=tables,
        unknown=unknown,
    )


def _unknown(registry: Registry, stream: Stream, stated: Mapping[int, list[CheckpointLine]]) -> tuple[str, ...]:
    """Tables the keeper has stated that are not described here, by number, and those it does not know, by name."""
    keepers = {line.table for lines in stated.values() for line in lines}
    ours = {
        table.number: table.name
        for table in registry.of_kind(Kind(stream.kind))
        if any(int(column.audience) in stated for column in table.columns)
    }
    missing = [str(number) for number in sorted(keepers - ours.keys())]
    return (*missing, *(ours[number] for number in sorted(ours.keys() - keepers)))


def _stated(tx: Tx, ring: KeyRing, stream: Stream) -> tuple[dict[int, list[CheckpointLine]] | None, str]:
    """Audience → lines of the checkpoint that speaks of the applied position; None and why when there is none. The
    columns of keepers only where they are sure to have been read (`Applier.compare`): who shall take the unit over
    holds their keys before it reads them."""
    has_all = stream.own or tx.one(_IS_ROOT) is not None
    if stream.applied_seq < stream.held_seq and stream.state != "ok":
        return None, stream.reason or say("việc đồng bộ đang dừng", "the stream stands still")
    last_rows, last_check = (
        int(
            tx.value(
                f"SELECT coalesce(max(seq), 0) FROM syncd_log WHERE stream_id = ? AND seq <= ? AND mark {marks}",
                (stream.stream_id, stream.applied_seq),
            )
        )
        for marks in (f"IN ({int(Mark.CLOSED)}, {int(Mark.OPEN)})", f"IN ({int(Mark.CHECKPOINT)}, {int(Mark.ENDS)})")
    )
    stated = (stream.stream_id, last_check) if last_check > last_rows else _end_of_baseline(tx, stream, last_rows)
    if stated is None:
        return None, say(
            "chưa có điểm đối soát tại vị trí {seq}", "no checkpoint at position {seq} yet", seq=stream.applied_seq
        )
    envelope = parse_envelope(log.entries(tx, stated[0], stated[1] - 1, 1)[0].envelope)
    keys = {
        (part.audience, part.epoch): key
        for part in envelope.header.parts
        if part.audience != Audience.PUBLIC
        and (part.audience != Audience.CUSTODIAN or has_all)
        and (key := ring.key(tx, stream.stream_id, part.audience, part.epoch)) is not None
    }
    bodies = open_parts(envelope, keys).bodies
    if not bodies:
        return None, say("chưa có khóa của nhật ký này", "the key of this stream has not arrived")
    return {audience: decode_checkpoint(body) for audience, body in bodies.items()}, ""


def _end_of_baseline(tx: Tx, stream: Stream, last_rows: int) -> tuple[str, int] | None:
    """Where the log tells of no digest any more: the last envelope of a baseline behind which no row has changed."""
    found = floor.newest_of(tx, [stream.stream_id]).get(stream.stream_id)
    if found is None or not last_rows <= found.at_seq <= stream.applied_seq:
        return None
    held = log.stream(tx, found.stream_id)
    return None if held is None else (held.stream_id, held.held_seq)


def _compare(
    tx: Tx, registry: Registry, stream: Stream, stated: Mapping[int, list[CheckpointLine]]
) -> tuple[tuple[TableProof, ...], str]:
    from hashlib import sha256

    proofs, whole = [], sha256()
    for audience in sorted(stated):
        lines = {line.table: line for line in stated[audience]}
        for found in digest_stream(tx, registry, stream, [Audience(audience)], stream.applied_seq):
            line = lines.get(found.table)
            if audience != Audience.CUSTODIAN:
                whole.update(found.table.to_bytes(2, "big") + found.sha256)
            if line is not None:
                proofs.append(
                    TableProof(
                        table=registry.by_number[found.table].name,
                        audience=Audience(audience).name.lower(),
                        rows_stated=line.row_count,
                        rows_found=found.row_count,
                        equal=same(tx, registry, stream, line, found),
                    )
                )
    return tuple(proofs), whole.hexdigest()


def _unsealed(tx: Tx, registry: Registry) -> set[tuple[int, str | None]]:
    return {
        (int(registry.by_number[tab].kind), None if registry.by_number[tab].kind is Kind.CONTROL else unit)
        for tab, unit in tx.all("SELECT DISTINCT tab, unit_id FROM syncd_journal")
    }


def _names(tx: Tx) -> dict[str, tuple[str, str]]:
    """Stream → what it speaks of, and the node that writes it."""
    rows = tx.all(
        "SELECT s.stream_id, u.code, u.name, n.name FROM syncd_stream AS s LEFT JOIN unit AS u ON u.id = s.unit_id"
        " LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = s.keeper"
    )
    return {row[0]: (stream_words(row[1], row[2], row[3]), row[3] or "") for row in rows}
