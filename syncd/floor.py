"""Floors: where the logs of streams begin, and the baselines held here that stand for what came before.

Enters: streams, what a baseline's first envelope says. Leaves: rows of `syncd_baseline`; logs that begin later.
Must hold: a floor stands only where a whole baseline reaches, so whoever lacks what was forgotten takes that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from schema.spec import Kind
from syncd import limits, log
from syncd.envelope import Adopted, Genesis, stream_id_of
from syncd.errors import Foreign, Gap
from syncd.log import Stream
from syncd.store.base import Tx, in_lists
from syncd.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A baseline held here: the content of stream `of_id` at a position. `is_whole`: its last envelope is held."""

    stream_id: str
    of_id: str
    at_seq: int
    at_hash: bytes
    is_whole: bool


def check_genesis(tree: Tree, genesis: Genesis) -> None:
    """Raise Foreign unless a baseline stands for a register's stream of its own unit and term: the keeper's own, not
    beyond the end of its term and not if it was revoked; or made by the custodian, anybody's."""
    keeper = keeper_of(tree, genesis)
    if genesis.adopts is None or keeper is None:
        raise Foreign(
            f"{genesis.keeper} offers a baseline of a stream that unit {genesis.unit} never had in term {genesis.term}",
            hint="the sender is faulty or hostile; nothing was taken",
        )
    if genesis.keeper == tree.root_id:
        return
    at = Stream(
        stream_id=genesis.adopts.stream_id, kind=int(Kind.REGISTER), unit_id=genesis.unit, keeper=keeper,
        term=genesis.term, own=False,
    )  # fmt: skip
    term = tree.term_of(at)
    is_beyond = term is not None and term.ended_seq is not None and genesis.adopts.seq > term.ended_seq
    if is_beyond or tree.nodes[keeper].status != "enrolled":
        raise Foreign(
            f"a baseline of stream {at.stream_id} comes from a node that does not keep it any more",
            hint="nothing was taken; the root makes one where it is needed",
        )


def check_place(tx: Tx, genesis: Genesis) -> None:
    """Raise Foreign for a baseline of a position that never was, as far as the log here reaches; Gap where as many of
    its unit and term are held already as anybody needs."""
    of = genesis.adopts
    if of is None:
        return
    at = log.stream(tx, of.stream_id)
    found = None if at is None or at.held_seq < of.seq else log.hash_at(tx, of.stream_id, of.seq)
    if found not in (None, of.hash):
        raise Foreign(
            f"a baseline stands for position {of.seq} of stream {of.stream_id}, where another envelope is held",
            hint="the sender is faulty or hostile; nothing was taken",
        )
    same = "SELECT count(*) FROM syncd_stream WHERE kind = ? AND unit_id = ? AND term = ?"
    held = int(tx.value(same, (int(Kind.BASELINE), genesis.unit, genesis.term)))
    if held >= limits.BASELINES_MAX:
        raise Gap(
            f"{held} baselines of stream {of.stream_id} are held, and no more are taken",
            hint="those that are superseded are forgotten with the next upkeep, then it is taken",
        )


def keeper_of(tree: Tree, genesis: Genesis) -> str | None:
    """Who keeps the stream that a baseline stands for; None when no node known here does."""
    candidates = [genesis.keeper, *(tree.nodes if genesis.keeper == tree.root_id else ())]
    for node_id in candidates:
        named = stream_id_of(Kind.REGISTER, genesis.unit, node_id, genesis.term)
        if genesis.adopts is not None and named == genesis.adopts.stream_id:
            return str(node_id)
    return None


def note(tx: Tx, stream_id: str, of: Adopted) -> None:
    """Record what a baseline stands for; its end is not held yet."""
    tx.run(
        "INSERT INTO syncd_baseline (stream_id, of_id, at_seq, at_hash) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (stream_id) DO NOTHING",
        (stream_id, of.stream_id, of.seq, of.hash),
    )


def note_whole(tx: Tx, stream_id: str) -> None:
    """Record that a baseline is held to its end."""
    tx.run("UPDATE syncd_baseline SET is_whole = 1 WHERE stream_id = ? AND is_whole = 0", (stream_id,))


_ORDER = "ORDER BY of_id, at_seq DESC"


def baselines(tx: Tx) -> list[Baseline]:
    """Every baseline held here, of each stream the newest first."""
    return _baselines(tx, _ORDER)


def baselines_of(tx: Tx, of_ids: Iterable[str]) -> list[Baseline]:
    """The same of these streams alone."""
    lists = in_lists(sorted(of_ids))
    return [each for marks, some in lists for each in _baselines(tx, f"WHERE of_id IN ({marks}) {_ORDER}", some)]


def baseline(tx: Tx, stream_id: str) -> Baseline | None:
    """One of them."""
    found = _baselines(tx, "WHERE stream_id = ?", (stream_id,))
    return found[0] if found else None


def _baselines(tx: Tx, rest: str, values: Sequence[str] = ()) -> list[Baseline]:
    rows = tx.all(f"SELECT stream_id, of_id, at_seq, at_hash, is_whole FROM syncd_baseline {rest}", values)
    return [
        Baseline(stream_id=row[0], of_id=row[1], at_seq=row[2], at_hash=bytes(row[3]), is_whole=bool(row[4]))
        for row in rows
    ]


def newest(tx: Tx) -> dict[str, Baseline]:
    """Stream → its newest whole baseline."""
    return _newest(baselines(tx))


def newest_of(tx: Tx, of_ids: Iterable[str]) -> dict[str, Baseline]:
    """The same of these streams alone."""
    return _newest(baselines_of(tx, of_ids))


def _newest(held: Iterable[Baseline]) -> dict[str, Baseline]:
    found: dict[str, Baseline] = {}
    for each in held:
        if each.is_whole:
            found.setdefault(each.of_id, each)
    return found


def superseded(tx: Tx, stream_ids: Iterable[str]) -> set[str]:
    """Those of these baselines that nobody needs to be sent (and others of the same streams): a newer one is whole."""
    found, best, of_ids = set(), dict[str, int](), set[str]()
    for marks, some in in_lists(sorted(stream_ids)):
        of_ids |= {row[0] for row in tx.all(f"SELECT of_id FROM syncd_baseline WHERE stream_id IN ({marks})", some)}
    for each in baselines_of(tx, of_ids):  # the newest first
        if each.at_seq < best.get(each.of_id, 0):
            found.add(each.stream_id)
        elif each.is_whole:
            best.setdefault(each.of_id, each.at_seq)
    return found


def jump(tx: Tx, at: Stream, to: Adopted) -> Stream:
    """The log of `at` begins anew behind a baseline that reaches beyond its end; the tables follow when they are
    applied. Returns the stream as it now stands."""
    tx.run("DELETE FROM syncd_log WHERE stream_id = ?", (at.stream_id,))
    tx.run(
        "UPDATE syncd_stream SET held_seq = ?, held_hash = ?, floor_seq = ?, floor_hash = ?, open_from = 0"
        " WHERE stream_id = ?",
        (to.seq, to.hash, to.seq, to.hash, at.stream_id),
    )
    return replace(at, held_seq=to.seq, held_hash=to.hash, floor_seq=to.seq, floor_hash=to.hash, open_from=0)


def forget(tx: Tx, at: Stream, seq: int) -> int:
    """Prune the log of `at` up to `seq`, which is held; returns how many envelopes went."""
    found = log.hash_at(tx, at.stream_id, seq)
    if found is None or seq <= at.floor_seq:
        return 0
    rows = tx.value(
        "SELECT coalesce(sum(rows), 0) FROM syncd_log WHERE stream_id = ? AND seq <= ?", (at.stream_id, seq)
    )
    gone = tx.run("DELETE FROM syncd_log WHERE stream_id = ? AND seq <= ?", (at.stream_id, seq))
    tx.run(
        "UPDATE syncd_stream SET floor_seq = ?, floor_hash = ?, floor_rows = floor_rows + ? WHERE stream_id = ?",
        (seq, found, int(rows), at.stream_id),
    )
    return gone


def drop(tx: Tx, stream_id: str) -> int:
    """Forget a whole stream that another one stands for; returns how many envelopes went."""
    gone = tx.run("DELETE FROM syncd_log WHERE stream_id = ?", (stream_id,))
    for table in ("syncd_baseline", "syncd_receipt", "syncd_checkpoint", "syncd_partial", "syncd_stream"):
        tx.run(f"DELETE FROM {table} WHERE stream_id = ?", (stream_id,))
    return gone
