"""What became of one disagreement, step by step: who said what, what was written, what was taken back.

Enters: the verdicts about a proposal, or what was said about a case. Leaves: `Step`s, oldest first. Must hold: nothing
that was said is left out, also where it was taken back; a value that was written is told as it was written then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncd.protocol.decoding import json_object
from syncd.review.standing import Word, standing_word, word_of
from syncd.review.verbs import UNDO
from syncd.store.base import Tx

BY_RULE = "rule"  # decided by the keeper's program; `outcome` says what


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`verb`: a verdict's word, `undo`, or BY_RULE. `of`: the word that `undo` took back. `written`: column → (before,
    after) of what a person's word wrote."""

    verb: str
    author: str
    made_at: str
    reason: str = ""
    outcome: str = ""
    of: str = ""
    table: str | None = None
    written: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


_VERDICTS = """
    SELECT v.id, v.resolves, v.outcome, v.detail, v.decided_at, v.decided_by, p.table_name
    FROM verdict AS v LEFT JOIN proposal AS p ON p.id = v.proposal_id WHERE v.proposal_id = ?
    ORDER BY v.decided_at, v.id
"""


def of_proposal(tx: Tx, proposal_id: str) -> tuple[Step, ...]:
    """Every verdict about a proposal."""
    rows = tx.all(_VERDICTS, (proposal_id,))
    details = {row[0]: json_object(row[3]) for row in rows}
    return tuple(
        _step(details[id_], details.get(resolves, {}), outcome, made_at, author or "", table)
        for id_, resolves, outcome, _, made_at, author, table in rows
    )


def _step(
    detail: Mapping[str, Any], before: Mapping[str, Any], outcome: str, made_at: str, author: str, table: str | None
) -> Step:  # fmt: skip
    undone, person = detail.get("undone"), detail.get("person")
    if isinstance(undone, dict):
        of = before.get("person")
        return Step(verb=UNDO, author=author, made_at=made_at, reason=_text(undone, "reason"), outcome=outcome,
                    of=_text(of, "verb"))  # fmt: skip
    if not isinstance(person, dict):
        return Step(verb=BY_RULE, author=author, made_at=made_at, outcome=outcome)
    return Step(verb=_text(person, "verb"), author=author, made_at=made_at, reason=_text(person, "reason"),
                outcome=outcome, table=table, written=_pairs(detail.get("before"), detail.get("written")))  # fmt: skip


def of_case(said: Sequence[Word]) -> tuple[Step, ...]:
    """What was said about a case; a decision is a row for every unit concerned, and is told once."""
    verbs = {word.decision_id: word_of(word) for word in said if word.verb != UNDO}
    once = {(word.verb, word.undoes or word.decision_id): word for word in reversed(said)}
    return tuple(
        Step(verb=word_of(word), author=word.author, made_at=word.made_at, reason=word.reason or "",
             of=verbs.get(word.undoes or "", ""), table=word.table, written=dict(_effects(word)))
        for word in reversed(once.values())
    )  # fmt: skip


def _effects(word: Word) -> Iterator[tuple[str, tuple[Any, Any]]]:
    effects = json_object(word.detail).get("effects")
    for effect in effects if isinstance(effects, list) else []:
        if isinstance(effect, dict) and effect.get("do") == "write":
            yield from _pairs(effect.get("before"), effect.get("after")).items()


def _pairs(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    if not isinstance(after, dict):
        return {}
    old = before if isinstance(before, dict) else {}
    return {str(name): (old.get(name), value) for name, value in after.items()}


def _text(of: Any, key: str) -> str:
    return str(of.get(key) or "") if isinstance(of, dict) else ""


def may_be_undone(tx: Tx, said: Sequence[Word]) -> bool:
    """Whether a word of this node about a case stands."""
    tag = tx.value("SELECT value FROM syncd_meta WHERE key = 'tag'")
    return standing_word([word for word in said if word.id[28:] == tag], 0) is not None
