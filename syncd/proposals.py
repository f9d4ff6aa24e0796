"""Proposals after they were written: listed with what became of them, taken back.

Enters: a store. Leaves: `Listed`, newest first; a withdrawal.
Must hold: only the author's node takes a proposal back, and only while nobody has decided; what is decided stays so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from syncd import limits
from syncd.clock import instant_of
from syncd.errors import UsageError
from syncd.language import say
from syncd.proposing import known_offset_ms
from syncd.protocol.decoding import json_object
from syncd.store.base import Row, Store, Tx
from syncd.store.patience import patiently

WAITING, REVIEW, WITHDRAWN, EXPIRED = "waiting", "review", "withdrawn", "expired"
PENDING = (WAITING, REVIEW)

# The verdict that stands: no other one resolves it. Where the verdict does not come, the newest notice of one.
_ALL = """
    SELECT p.id, p.unit_id, u.code, u.name, p.table_name, p.operation, p.row_id, p.wished, p.author, p.author_depth,
           p.reason, p.made_at, p.expires_at, p.withdrawn_at, coalesce(v.outcome, n.outcome),
           coalesce(v.decided_at, n.decided_at), v.decided_by
    FROM proposal AS p LEFT JOIN unit AS u ON u.id = p.unit_id
    LEFT JOIN verdict AS v ON v.proposal_id = p.id AND NOT EXISTS (SELECT 1 FROM verdict AS w WHERE w.resolves = v.id)
    LEFT JOIN notice AS n ON v.id IS NULL AND n.proposal_id = p.id AND NOT EXISTS (SELECT 1 FROM notice AS m
        WHERE m.proposal_id = n.proposal_id AND (m.decided_at > n.decided_at
            OR (m.decided_at = n.decided_at AND m.id > n.id)))
    WHERE {where} ORDER BY p.made_at DESC, p.id DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One proposal as an operator sees it, without the values wished. `state`: one of the constants above, or the
    outcome of the verdict that stands. `is_own`: made at this node."""

    id: str
    state: str
    is_own: bool
    made_at: str
    author: str
    node: str
    unit_id: str
    unit: str
    table: str
    operation: str
    row_id: str | None
    columns: tuple[str, ...]
    reason: str
    expires_at: str | None
    withdrawn_at: str | None
    decided_at: str | None
    decided_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What came of taking a proposal back. `state`: `withdrawn`, or the outcome where it was decided before."""

    proposal_id: str
    state: str
    was: str


def pending(tx: Tx, now_ms: int) -> list[Listed]:
    """Proposals that wait for their keeper or for a person, of every author this node can see."""
    where = "p.withdrawn_at IS NULL AND coalesce(v.outcome, n.outcome, 'review') = 'review'"
    return [each for each in _listed(tx, where, now_ms) if each.state in PENDING]


def every(tx: Tx, now_ms: int) -> list[Listed]:
    """All proposals this node can see, with what became of them."""
    return list(_listed(tx, "1 = 1", now_ms))


@patiently
def withdraw(store: Store, part: str, now_ms: int) -> Withdrawal:
    """Take back the own proposal whose id contains `part`, unless it is decided. Raises UsageError when it is unknown,
    another node's, or several are meant.
    """
    with store.write("withdraw") as tx:
        tx.lock("propose")
        found = _own(tx, part, now_ms)
        if found.state not in PENDING:
            return Withdrawal(proposal_id=found.id, state=found.state, was=found.state)
        tx.run("UPDATE proposal SET withdrawn_at = ? WHERE id = ?", (instant_of(now_ms), found.id))
    return Withdrawal(proposal_id=found.id, state=WITHDRAWN, was=found.state)


def _listed(tx: Tx, where: str, now_ms: int) -> Iterable[Listed]:
    offset_ms, tag = known_offset_ms(tx), _tag(tx)
    now = instant_of(now_ms - (offset_ms or 0))
    nodes = {node_id[28:]: name for node_id, name in tx.all("SELECT node_id, name FROM node ORDER BY term, id")}
    for row in tx.all(_ALL.format(where=where), (limits.CONFLICTS_SHOWN_MAX,)):
        yield _one(row, now, tag, nodes.get(row[0][28:], row[0][28:]))


def _one(row: Row, now: str, tag: str, node: str) -> Listed:
    return Listed(
        id=row[0], state=_state(row[14], row[13], row[12], now), is_own=row[0][28:] == tag, made_at=row[11],
        author=row[8], node=node, unit_id=row[1], unit=f"{row[2] or ''} {row[3] or ''}".strip(), table=row[4],
        operation=row[5], row_id=row[6], columns=_names(row[7]), reason=row[10], expires_at=row[12],
        withdrawn_at=row[13], decided_at=row[15], decided_by=row[16],
    )  # fmt: skip


def _state(outcome: str | None, withdrawn_at: str | None, expires_at: str | None, now: str) -> str:
    """What is decided stays decided; a withdrawal counts until then, and so does the end of its time."""
    if outcome is not None and outcome != REVIEW:
        return WITHDRAWN if outcome == "rejected" and withdrawn_at else outcome
    if withdrawn_at:
        return WITHDRAWN
    if outcome == REVIEW:
        return REVIEW
    return EXPIRED if expires_at and expires_at <= now else WAITING


def _names(wished: str) -> tuple[str, ...]:
    return tuple(sorted(json_object(wished)))


def _own(tx: Tx, part: str, now_ms: int) -> Listed:
    found = [each for each in _listed_like(tx, part.strip().lower(), now_ms) if part]
    own = [each for each in found if each.is_own]
    if found and not own:
        raise UsageError(
            say(
                "đề nghị này do máy {node} viết: chỉ máy đó rút lại được",
                "this proposal was made at {node}: only that node takes it back",
                node=found[0].node,
            ),
            say(
                "nhờ {node} chạy: syncd propose withdraw MÃ",
                "ask {node} to run: syncd propose withdraw ID",
                node=found[0].node,
            ),
        )  # fmt: skip
    if len(own) != 1:
        raise UsageError(
            say("{n} đề nghị của máy này có mã chứa {part}", "{n} proposals of this node have {part} in their id",
                n=len(own), part=part),
            say("xem mã: [[syncd propose list --all]]", "see the ids: [[syncd propose list --all]]"),
        )  # fmt: skip
    return own[0]


def _listed_like(tx: Tx, part: str, now_ms: int) -> Iterable[Listed]:
    if not part or not set(part) <= set("0123456789abcdef-"):
        return []
    return _listed(tx, f"CAST(p.id AS text) LIKE '%{part}%'", now_ms)


def _tag(tx: Tx) -> str:
    return str(tx.value("SELECT value FROM syncd_meta WHERE key = 'tag'"))
