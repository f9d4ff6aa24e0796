"""Two branches of the root's own streams: shown at both ends, until an officer at the root takes the other one in.

Enters: envelopes that a child offers for places where the root's log holds others; an officer's word. Leaves: cases;
which branch the root takes back, which one it has left.
Must hold: without that word neither end leaves its branch; with it nothing is lost: the branch that children hold is
the stream again, what the root has written since comes back as its wishes, and who followed it there gives way.
"""

from __future__ import annotations

import json
from dataclasses import replace

from conflict.case import CaseKind
from syncd import limits, log
from syncd.cases import open_case
from syncd.clock import instant_of
from syncd.envelope import Envelope
from syncd.log import Stream
from syncd.store.base import Tx

BRANCH = "branch"  # in the detail of a case at the root: the hash of the first envelope of the other branch
AT_CHILD = "at_child"  # in the detail of the same case at a child of the root
_TAKEN, _LEFT = "root_branches_taken", "root_branches_left"


def note(tx: Tx, at: Stream, envelope: Envelope, now_ms: int) -> bool:
    """A child offers another branch of an own stream; returns whether it is one that the root has left."""
    if envelope.hash.hex() in _read(tx, _LEFT).values():
        return True
    seq = envelope.header.seq
    open_case(
        tx, CaseKind.FORK, (at.stream_id, seq, envelope.hash.hex()), opened_at=instant_of(now_ms),
        detail={"seq": seq, BRANCH: envelope.hash.hex()}, stream_id=at.stream_id, unit_id=at.unit_id,
    )  # fmt: skip
    return False


def note_at_child(tx: Tx, at: Stream, seq: int, now_ms: int) -> None:
    """The parent, which is the root, holds another envelope behind `seq` of a stream of its own."""
    mine = log.hash_at(tx, at.stream_id, seq + 1) or b""
    open_case(
        tx, CaseKind.FORK, (at.stream_id, seq + 1, mine.hex()), opened_at=instant_of(now_ms),
        detail={"seq": seq + 1, AT_CHILD: 1}, stream_id=at.stream_id, unit_id=at.unit_id,
    )  # fmt: skip


def take(tx: Tx) -> None:
    """The officer's word: every other branch that is known is taken in. From now on the root seals nothing until the
    children have handed them over."""
    taken = _read(tx, _TAKEN)
    for stream_id, detail in tx.all(
        "SELECT c.stream_id, c.detail FROM syncd_case AS c JOIN syncd_stream AS s ON s.stream_id = c.stream_id"
        " WHERE c.kind = ? AND c.closed_at IS NULL AND s.own = 1 ORDER BY c.opened_at DESC, c.case_id",
        (CaseKind.FORK.value,),
    ):
        facts = json.loads(detail)
        branch = facts.get(BRANCH)
        if branch:  # of several of one stream the oldest; the others are offered again
            taken[stream_id] = f"{facts['seq']} {branch}"
            tx.run("UPDATE syncd_stream SET rejoin_seq = held_seq WHERE stream_id = ?", (stream_id,))
    _write(tx, _TAKEN, taken)


def give_up(tx: Tx) -> None:
    """What was to be taken in will not come any more: the root goes on where it stands."""
    for stream_id in _read(tx, _TAKEN):
        tx.run("UPDATE syncd_stream SET rejoin_seq = 0 WHERE stream_id = ?", (stream_id,))
    _write(tx, _TAKEN, {})


def taken(tx: Tx) -> dict[str, str]:
    """Streams that wait for another branch of them → position and hash of its first envelope."""
    return _read(tx, _TAKEN)


def is_taken(tx: Tx, envelope: Envelope) -> bool:
    """Whether a branch that begins so is waited for."""
    header = envelope.header
    return _read(tx, _TAKEN).get(header.stream_id) == f"{header.seq} {envelope.hash.hex()}"


def before(at: Stream | None, waited_for: str | None) -> Stream | None:
    """A stream as it stood at the common past, where another branch is waited for: what a child holds behind that is
    asked for as if it had been lost here."""
    if at is None or waited_for is None:
        return at
    return replace(at, held_seq=int(waited_for.partition(" ")[0]) - 1)


def leave(tx: Tx, at: Stream, seq: int) -> None:
    """The root gives up what it holds behind `seq` for the branch that comes, in this transaction."""
    waiting, mine = _read(tx, _TAKEN), log.hash_at(tx, at.stream_id, seq + 1)
    if waiting.pop(at.stream_id, None) is None or mine is None:
        return
    left = _read(tx, _LEFT)
    left[f"{at.stream_id} {seq + 1} {mine.hex()[:16]}"] = mine.hex()
    _write(tx, _TAKEN, waiting)
    _write(tx, _LEFT, dict(list(left.items())[-limits.BRANCHES_LEFT_MAX :]))


def _read(tx: Tx, key: str) -> dict[str, str]:
    found = tx.value("SELECT value FROM syncd_meta WHERE key = ?", (key,))
    return {} if found is None else dict(json.loads(found))


def _write(tx: Tx, key: str, value: dict[str, str]) -> None:
    tx.run(
        "INSERT INTO syncd_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, json.dumps(value)),
    )
