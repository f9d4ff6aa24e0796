"""Ten planted bugs, one per part of the core: each a small change of the running code that the simulator must find.

Enters: a name. Leaves: a context in which that part is wrong. Must hold: outside of the context nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from schema.spec import Kind
from syncd import applying, decide, handover, lift, own_streams, pipeline, prune, receive, sequence
from syncd.log import Stream
from syncd.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """`breaks`: what is wrong, in a sentence. `make`: the wrong code, made from the right one."""

    part: str
    breaks: str
    owner: Any
    name: str
    make: Callable[[Any], Any]
    seeds_max: int = 100  # within so many seeds it must be found

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The core with this bug."""
        right = getattr(self.owner, self.name)
        setattr(self.owner, self.name, self.make(right))
        try:
            yield
        finally:
            setattr(self.owner, self.name, right)


def _forget_all(_right: Any) -> Any:
    def forget(tx: Any, _seen: Any) -> None:
        sequence.count_cut(tx)
        tx.run("DELETE FROM syncd_journal")

    return forget


def _goes_down(right: Any) -> Any:
    def goes_down(self: Tree, stream: Stream, child: str) -> bool:
        return bool(right(self, stream, child)) and (stream.kind != Kind.OVERSIGHT or stream.keeper == self.me)

    return goes_down


def _vouch(right: Any) -> Any:
    def vouch(self: Any, tx: Any, stream: Stream) -> None:
        right(self, tx, replace(stream, applied_seq=stream.held_seq, applied_hash=stream.held_hash))

    return vouch


def _late_digests(right: Any) -> Any:
    def digests(self: Any, _snapshot: Any, stream: Stream) -> Any:
        with self._store.read() as now:
            return right(self, now, stream)

    return digests


def _no_effect(right: Any) -> Any:
    def update(self: Any, table: Any, unit_id: str, rows: Any) -> None:
        right(self, table, unit_id, rows[:-1])

    return update


BUGS = (
    Bug(part="sequence", breaks="a cut forgets what was committed while it was being read",
        owner=sequence, name="_forget", make=_forget_all),
    Bug(part="accept", breaks="an envelope is taken over without a look at its signature",
        owner=receive, name="verify_envelope", make=lambda _right: lambda _envelope, _key: None, seeds_max=300),
    Bug(part="relay", breaks="what upper tiers say about a unit is not passed on by those between",
        owner=Tree, name="goes_down", make=_goes_down),
    Bug(part="receipt", breaks="the custodian signs what it holds as if it were applied",
        owner=applying.Applier, name="vouch", make=_vouch),
    Bug(part="prune", breaks="a log forgets what no backup of the custodian holds",
        owner=prune, name="_because", make=lambda _right: lambda *_args: "age", seeds_max=300),
    Bug(part="hand-over", breaks="a keeper begins before the end of the term before is applied there",
        owner=handover, name="_is_applied", make=lambda _right: lambda *_taken_over: True),
    Bug(part="verdict", breaks="a verdict is recorded, and the last row of its effect is not written",
        owner=decide._Desk, name="_update", make=_no_effect),
    Bug(part="checkpoint", breaks="digests are taken from a later snapshot than the cut they belong to",
        owner=own_streams.OwnStreams, name="digests", make=_late_digests, seeds_max=300),
    Bug(part="grant", breaks="who takes a unit over is given no keys of the earlier keepers",
        owner=pipeline, name="grant_followers", make=lambda _right: lambda _store, _tree, _ring, _barriers: 0),
    Bug(part="restore", breaks="what a left branch held is not written down as wishes",
        owner=lift, name="_keep", make=lambda _right: lambda *_args: None, seeds_max=300),
)  # fmt: skip
CHEAPEST = ("sequence", "relay", "hand-over", "verdict")  # found within a few seeds: the quick form
