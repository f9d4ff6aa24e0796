"""The way in: a person's verdict about one disagreement, in one transaction of this node (design §5).

Enters: a store, an id, what a person says. Leaves: rows that flow to every tier. Must hold: all of it or nothing; the
name of whoever decides is in the rows, which this node's streams sign; who may not decide is told who does.
"""

from __future__ import annotations

import contextlib

from syncd.errors import PermissionDenied, UsageError
from syncd.language import say
from syncd.review.cases import case_of, resolve_case
from syncd.review.desk import Asked, Desk, RandomBytes
from syncd.review.keeper import resolve_review, review_of, undo_review
from syncd.review.standing import words
from syncd.review.undo import undo_case
from syncd.review.verbs import allowed
from syncd.store.base import Store, Tx
from syncd.store.patience import patiently
from syncd.tree import load_tree


@patiently
def resolve(store: Store, conflict_id: str, asked: Asked, now_ms: int, random_bytes: RandomBytes) -> None:
    """Carry out a verdict about a review (the proposal's id) or a case. Raises UsageError, PermissionDenied."""
    with store.write("resolve") as tx:
        _resolve_in(tx, store, conflict_id, asked, now_ms, random_bytes)


@patiently
def try_to_resolve(store: Store, conflict_id: str, asked: Asked, now_ms: int, random_bytes: RandomBytes) -> None:
    """The very same, taken back at its end: what it would refuse is refused."""
    with contextlib.suppress(_TakenBack), store.write("resolve") as tx:
        _resolve_in(tx, store, conflict_id, asked, now_ms, random_bytes)
        raise _TakenBack


class _TakenBack(Exception):  # noqa: N818 - rolls a transaction back, and is no error
    pass


def _resolve_in(
    tx: Tx, store: Store, conflict_id: str, asked: Asked, now_ms: int, random_bytes: RandomBytes
) -> None:  # fmt: skip
    desk = _desk(tx, store, now_ms, random_bytes)
    review = review_of(desk, conflict_id)
    if review is not None:
        verbs = allowed(review.kind)
        if asked.verb not in verbs:
            raise UsageError(
                say("đề nghị này không nhận quyết định {verb}", "this proposal does not take {verb}",
                    verb=asked.verb.value),
                say("dùng một trong: {verbs}", "use one of: {verbs}", verbs=", ".join(verbs)),
            )  # fmt: skip
        resolve_review(desk, review, asked)
        return
    case = case_of(desk, conflict_id)
    if case is None:
        raise _nowhere(tx, desk, conflict_id)
    resolve_case(desk, case, asked)


@patiently
def undo(store: Store, conflict_id: str, asked: Asked, now_ms: int, random_bytes: RandomBytes) -> None:
    """Take back what was decided here. `asked`: who does so and why."""
    with store.write("resolve-undo") as tx:
        desk = _desk(tx, store, now_ms, random_bytes)
        review = review_of(desk, conflict_id)
        if review is not None:
            undo_review(desk, review, asked)
            return
        case = case_of(desk, conflict_id)
        if case is None:
            raise _nowhere(tx, desk, conflict_id)
        undo_case(desk, case, asked)


def _desk(tx: Tx, store: Store, now_ms: int, random_bytes: RandomBytes) -> Desk:
    tx.lock("syncd resolve")  # two officers at one hub must not both decide
    return Desk(tx=tx, registry=store.registry, tree=load_tree(tx), now_ms=now_ms, random_bytes=random_bytes)


def _nowhere(tx: Tx, desk: Desk, conflict_id: str) -> UsageError | PermissionDenied:
    """It is not known here, or waits for a keeper's first answer, or was found elsewhere."""
    unit_id = tx.value("SELECT unit_id FROM proposal WHERE id = ?", (conflict_id,))
    if unit_id is not None:
        return PermissionDenied(
            say("đề nghị này chờ {by} trả lời", "this proposal waits for {by}", by=desk.keeper_name(unit_id)),
            say("chờ lần trao đổi tiếp theo", "wait for the next exchange"),
        )
    said = words(tx, conflict_id)
    if said:
        by = next((n.name for n in desk.tree.nodes.values() if n.node_id[28:] == said[-1].id[28:]), "")
        return PermissionDenied(
            say("vụ việc này do máy {by} quyết định", "this case is decided by {by}", by=by),
            say("liên hệ {by}", "ask {by}", by=by),
        )
    return UsageError(
        say("không có xung đột nào mang mã {id}", "no conflict has the id {id}", id=conflict_id),
        say("xem: [[syncd conflicts list --all]]", "see: [[syncd conflicts list --all]]"),
    )
