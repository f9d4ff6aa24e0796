"""Which verdicts and resolutions stand: the newest word that nobody has taken back.

Enters: a transaction. Leaves: SQL conditions, counts by kind, the state of a case. Must hold: the same answer at every
node that holds the same rows; a case that opened again after its cause was gone is not settled by an older word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schema.views import PASSED_ON
from syncd.protocol.decoding import json_object
from syncd.review.verbs import MOVES, SETTLING, STORED_AS, UNDO, Verb
from syncd.store.base import Tx

_SETTLING = ", ".join(f"'{verb.value}'" for verb in SETTLING)

MOVE_KINDS = ", ".join(f"'{kind.value}'" for kind in sorted(MOVES))
# v: a review that waits. Another keeper's own verdict about the proposal, or a person's about this one, ends it.
OPEN_REVIEW = """v.outcome = 'review'
    AND NOT EXISTS (SELECT 1 FROM verdict AS w WHERE w.resolves = v.id)
    AND NOT EXISTS (SELECT 1 FROM verdict AS w WHERE w.proposal_id = v.proposal_id AND w.resolves IS NULL
        AND w.outcome NOT IN ('review', 'referred'))"""
# p: a proposal that nobody has decided. Of one that was only referred to another unit its author hears the verdict;
# elsewhere the word that it is decided there is all there is.
UNDECIDED = """NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND (v.outcome <> 'referred'
    OR substr(CAST(p.id AS text), 29) <> (SELECT value FROM syncd_meta WHERE key = 'tag')))
    AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.proposal_id = p.id)"""
# r: a row of `resolution` that nobody has taken back.
NOT_UNDONE = "NOT EXISTS (SELECT 1 FROM resolution AS z WHERE z.undoes = r.decision_id)"
# c: a case that is open and that nobody has settled since it opened.
UNSETTLED_CASE = f"""c.closed_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM resolution AS r WHERE r.case_id = c.case_id AND r.openings >= c.openings
    AND r.verdict IN ({_SETTLING}) AND {NOT_UNDONE})"""
# c: a case about records of a unit whose register went to a keeper that this node does not hear of.
_PASSED_ON = f"c.kind NOT IN ('fork', 'writes_beyond_term') AND c.unit_id IN ({PASSED_ON})"
# r: a question to a unit kept here that is not answered yet.
_LATER_WORD = """SELECT 1 FROM resolution AS y WHERE y.case_id = r.case_id AND y.unit_id = r.unit_id
    AND y.verdict <> 'undo' AND (y.made_at > r.made_at OR (y.made_at = r.made_at AND y.id > r.id))
    AND NOT EXISTS (SELECT 1 FROM resolution AS z WHERE z.undoes = y.decision_id)"""
ASKED_HERE = f"""r.verdict = 'ask-commune' AND {NOT_UNDONE} AND NOT EXISTS ({_LATER_WORD})
    AND r.unit_id IN (SELECT unit_id FROM syncd_keeper WHERE mine = 1)
    AND NOT EXISTS (SELECT 1 FROM syncd_case AS c WHERE c.case_id = r.case_id)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Disagreements of one kind that wait for a person. `here`: those that this node decides."""

    kind: str
    count: int
    here: int
    oldest_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One row of `resolution`."""

    id: str
    case_id: str
    decision_id: str
    kind: str
    verb: str
    table: str | None
    row_id: str | None
    detail: str
    reason: str
    author: str
    made_at: str
    openings: int
    undoes: str | None
    unit_id: str | None


def waiting(tx: Tx) -> list[Waiting]:
    """Counts by kind, the oldest first, the list of unmatched moves last."""
    rows = tx.all(
        f"SELECT v.case_kind, count(*), count(k.unit_id), min(v.decided_at) FROM verdict AS v"
        f" LEFT JOIN syncd_keeper AS k ON k.unit_id = v.unit_id AND k.mine = 1 WHERE {OPEN_REVIEW} GROUP BY v.case_kind"
    )
    rows += tx.all(
        f"SELECT c.kind, count(*), sum(CASE WHEN {_PASSED_ON} THEN 0 ELSE 1 END), min(c.opened_at)"
        f" FROM syncd_case AS c WHERE {UNSETTLED_CASE}"
        " GROUP BY c.kind"
    )
    rows += tx.all(
        f"SELECT r.case_kind, count(*), count(*), min(r.made_at) FROM resolution AS r WHERE {ASKED_HERE}"
        " GROUP BY r.case_kind"
    )
    found = [
        Waiting(kind=row[0] or "stale_proposal", count=int(row[1]), here=int(row[2]), oldest_at=row[3]) for row in rows
    ]
    return sorted(found, key=lambda each: (each.kind in MOVES, each.oldest_at or "", each.kind))


_REVIEWS = f"(SELECT count(*) FROM verdict AS v WHERE {OPEN_REVIEW})"
_CASES = f"(SELECT count(*) FROM syncd_case AS c WHERE c.kind NOT IN ({MOVE_KINDS}) AND {UNSETTLED_CASE})"
_ASKED = f"(SELECT count(*) FROM resolution AS r WHERE {ASKED_HERE})"
WAIT_FOR_A_PERSON = f"{_REVIEWS} + {_CASES} + {_ASKED}"


def open_reviews(tx: Tx) -> int:
    """Proposals that wait for a person, at whichever node."""
    return int(tx.value(f"SELECT {_REVIEWS}"))


def unsettled_cases(tx: Tx) -> int:
    """Cases found here that wait for a person, and questions to units kept here; not the list of unmatched moves."""
    return int(tx.value(f"SELECT {_CASES} + {_ASKED}"))


def unmatched_moves(tx: Tx) -> int:
    """The exception list (domain §3): every province has thousands, and nobody waits for each of them."""
    return int(tx.value(f"SELECT count(*) FROM syncd_case AS c WHERE c.kind IN ({MOVE_KINDS}) AND {UNSETTLED_CASE}"))


def words(tx: Tx, case_id: str) -> list[Word]:
    """Everything said about a case, oldest first."""
    rows = tx.all(
        "SELECT id, case_id, decision_id, case_kind, verdict, table_name, row_id, detail, reason, author, made_at,"
        " openings, undoes, unit_id FROM resolution WHERE case_id = ? ORDER BY made_at, id",
        (case_id,),
    )
    return [Word(**dict(zip(Word.__slots__, row, strict=True))) for row in rows]


def word_of(said: Word) -> str:
    """What a person said, where it is stored as another word."""
    if said.verb not in STORED_AS.values():
        return said.verb
    word = json_object(said.detail).get("word")
    return str(word) if word in STORED_AS else said.verb


def standing_word(said: Iterable[Word], openings: int) -> Word | None:
    """The newest word that nobody has taken back and that was said since the case opened."""
    every = list(said)
    undone = {word.undoes for word in every if word.undoes is not None}
    left = [
        word for word in every if word.verb != UNDO and word.decision_id not in undone and word.openings >= openings
    ]
    return left[-1] if left else None


def is_settled(word: Word | None) -> bool:
    """Whether a person has decided, so that nobody is asked any more."""
    return word is not None and word.verb in SETTLING


def withdraw_questions(tx: Tx, case_ids: Iterable[str], author: str, now: str) -> None:
    """What units were asked about cases that have closed by themselves is not asked any more."""
    for case_id in case_ids:
        said = words(tx, case_id)
        undone = {word.undoes for word in said}
        asked = [word for word in said if word.verb == Verb.ASK_COMMUNE and word.decision_id not in undone]
        undo_decision(tx, asked, author, "", now)


def undo_decision(tx: Tx, of: Iterable[Word], author: str, reason: str, now: str) -> None:
    """A row per row of a decision, which takes it back."""
    for word in of:
        tx.run(
            "INSERT INTO resolution (unit_id, case_id, decision_id, case_kind, verdict, table_name, row_id, detail,"
            " reason, author, made_at, openings, undoes) VALUES (?, ?, ?, ?, 'undo', ?, ?, '{}', ?, ?, ?, ?, ?)",
            (word.unit_id, word.case_id, word.id, word.kind, word.table, word.row_id, reason, author, now,
             word.openings, word.decision_id),
        )  # fmt: skip
