"""The verdicts a person may give, by kind of disagreement. Pure; read by the commands and by whoever draws a page."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from conflict.case import CaseKind
from syncd.recovery.root_branches import AT_CHILD, BRANCH


class Verb(StrEnum):
    """What a person says."""

    KEEP_OURS = "keep-ours"  # what is kept stands
    TAKE_THEIRS = "take-theirs"  # what was wished is written
    VALUE = "value"  # neither: these values
    SAME_PERSON = "same-person"  # one person, one event, one move
    NOT_THE_SAME = "not-the-same"
    ASK_COMMUNE = "ask-commune"  # whoever keeps the row is asked
    DONE = "done"  # what had to be done at a machine is done: the case is closed until its cause shows up again
    LATER = "later"


# What is written in `resolution` for it: tiers of an older release refuse a word they do not know, and their stream of
# this node would stop. The word itself stands in the detail.
STORED_AS: Mapping[Verb, Verb] = {Verb.DONE: Verb.KEEP_OURS, Verb.TAKE_THEIRS: Verb.KEEP_OURS}
ANSWER, UNDO = "answer", "undo"  # further words in `resolution`: of the unit that was asked; of what is taken back
SETTLING = (Verb.KEEP_OURS, Verb.VALUE, Verb.SAME_PERSON, Verb.NOT_THE_SAME)
REVIEWS = frozenset({
    CaseKind.STALE_PROPOSAL, CaseKind.WISH_ON_DELETED_ROW, CaseKind.DELETE_PROPOSED, CaseKind.INSERT_RESEMBLES,
})  # fmt: skip
PERSONS = frozenset({
    CaseKind.DUPLICATE_CITIZEN_ID, CaseKind.DUPLICATE_INSURANCE_NO, CaseKind.DUPLICATE_PERSON,
})  # fmt: skip
MOVES = frozenset({CaseKind.DEPARTURE_WITHOUT_ARRIVAL, CaseKind.ARRIVAL_WITHOUT_DEPARTURE})

_V = Verb
_ALLOWED: Mapping[CaseKind, tuple[Verb, ...]] = {
    CaseKind.STALE_PROPOSAL: (_V.KEEP_OURS, _V.TAKE_THEIRS, _V.VALUE, _V.LATER),
    CaseKind.WISH_ON_DELETED_ROW: (_V.KEEP_OURS, _V.LATER),
    CaseKind.DELETE_PROPOSED: (_V.KEEP_OURS, _V.TAKE_THEIRS, _V.LATER),
    CaseKind.INSERT_RESEMBLES: (_V.SAME_PERSON, _V.NOT_THE_SAME, _V.KEEP_OURS, _V.TAKE_THEIRS, _V.LATER),
    CaseKind.DUPLICATE_CITIZEN_ID: (_V.SAME_PERSON, _V.NOT_THE_SAME, _V.VALUE, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.DUPLICATE_INSURANCE_NO: (_V.SAME_PERSON, _V.NOT_THE_SAME, _V.VALUE, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.DUPLICATE_PERSON: (_V.SAME_PERSON, _V.NOT_THE_SAME, _V.VALUE, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.DUPLICATE_HOUSEHOLD_NO: (_V.VALUE, _V.KEEP_OURS, _V.LATER),
    CaseKind.TWIN_EVENT: (_V.SAME_PERSON, _V.NOT_THE_SAME, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.DEPARTURE_WITHOUT_ARRIVAL: (_V.SAME_PERSON, _V.KEEP_OURS, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.ARRIVAL_WITHOUT_DEPARTURE: (_V.SAME_PERSON, _V.KEEP_OURS, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.UNRESOLVED_REFERENCE: (_V.VALUE, _V.KEEP_OURS, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.RULE_VIOLATED: (_V.VALUE, _V.KEEP_OURS, _V.ASK_COMMUNE, _V.LATER),
    CaseKind.FORK: (_V.DONE, _V.LATER),
    CaseKind.WRITES_BEYOND_TERM: (_V.DONE, _V.LATER),
}
OF_MACHINE = ("triggers", "found")  # what went past the triggers is in the log: no value is to be decided
ADOPTABLE = "stream_id"  # in the detail of late writes: the stream that `syncd adopt` takes
_NO_DETAIL: Mapping[str, Any] = {}
OF_THE_ASKED = (_V.KEEP_OURS, _V.VALUE)  # what a unit that was asked may answer with


def allowed(kind: str, detail: Mapping[str, Any] = _NO_DETAIL) -> tuple[Verb, ...]:
    """The verdicts a kind admits. What ends by itself with its cause (a clock) is only put off, and so are late writes
    that wait to be adopted: `syncd adopt` ends that case. `detail`: of a case, as stored."""
    if kind == CaseKind.WRITES_BEYOND_TERM and ADOPTABLE in detail:
        return (Verb.LATER,)
    if kind == CaseKind.RULE_VIOLATED and detail.get("what") in OF_MACHINE:
        return (Verb.DONE, Verb.LATER)
    if kind == CaseKind.FORK and BRANCH in detail:
        return (Verb.TAKE_THEIRS, Verb.DONE, Verb.LATER)
    if kind == CaseKind.FORK and AT_CHILD in detail:
        return (Verb.LATER,)
    try:
        return _ALLOWED.get(CaseKind(kind), (Verb.LATER,))
    except ValueError:  # of a newer release
        return (Verb.LATER,)
