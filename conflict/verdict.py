"""The verdict: what a keeper decided about a proposal, with everything that lost.

Enters: the columns' results. Leaves: `Verdict`, and its detail as canonical JSON text for one row of the keeper's
stream. Must hold (I12): whatever loses is here with its value, who wrote it, when, what its author had seen, and
why it lost. When the wish lost: `wished`, `author_node`, `made_at_ms`, `seen`, `why`. When the kept value lost:
`kept`, `keeper_node`, `kept_changed_at_ms`, `why`. So both can be proposed again.

The detail holds personal values: it takes the audience of the row it speaks of, and erasure must reach it.
"""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from json.encoder import encode_basestring as _json_text
from typing import Any, Literal, TypeAlias

from conflict.case import CaseKind
from conflict.errors import DetailError
from conflict.limits import DETAIL_CHARS_MAX, INT_MAX, INT_MIN
from conflict.policy import Policy
from conflict.proposal import Value
from conflict.record import record

Outcome: TypeAlias = Literal["accepted", "partly", "rejected", "review"]
Result: TypeAlias = Literal["accepted", "already", "kept", "review"]

RESULTS: tuple[Result, ...] = ("accepted", "already", "kept", "review")


class Why(StrEnum):
    """Why a column or a row came out as it did. Codes are stored: they may be added, never renamed."""

    UNCHANGED = "unchanged"  # the kept value is the one the author saw
    EQUAL = "equal"  # the kept value is the one wished
    NOTHING_WISHED = "nothing_wished"  # the author wished what it saw; the keeper's later change stands, nobody lost
    KEEPER_STANDS = "keeper_stands"  # policy keeper
    AUTHOR_UPPER = "author_upper"  # policy upper, the author is an upper tier
    AUTHOR_NOT_UPPER = "author_not_upper"
    LATER = "later"  # policy latest, the wish is later by corrected time
    NOT_LATER = "not_later"
    CLOCK_FAR_OFF = "clock_far_off"
    CLOCK_UNKNOWN = "clock_unknown"
    TIME_UNKNOWN = "time_unknown"  # nobody recorded when the kept value changed
    GREATER = "greater"
    NOT_GREATER = "not_greater"
    SMALLER = "smaller"
    NOT_SMALLER = "not_smaller"
    NOT_COMPARABLE = "not_comparable"  # values of two types, or a union of something that is not text
    UNION = "union"
    UNION_REMOVAL = "union_removal"  # one side removed a value: a union cannot say so
    UNION_TOO_LONG = "union_too_long"
    POLICY_REVIEW = "policy_review"
    GROUP = "group"  # another column of the group was decided so
    GROUP_INCOMPLETE = "group_incomplete"  # accepting would mix two writers' halves of one group
    UNKNOWN_COLUMN = "unknown_column"  # the keeper has no such column (a newer schema at the author)
    ROW_DELETED = "row_deleted"
    ROW_EXISTS = "row_exists"
    ROW_CHANGED = "row_changed"  # a delete of a row that changed since it was seen, or of which nothing was seen
    REFERENCED = "referenced"  # a delete of a row to which others refer
    RESEMBLES = "resembles"
    NEW = "new"  # an insert that resembles nothing
    COLUMNS = "columns"  # see the columns
    WITHDRAWN = "withdrawn"  # the author took it back before it was decided
    SUPERSEDED = "superseded"  # a newer proposal of the same author takes its place
    EXPIRED = "expired"  # it reached the keeper after the moment its author set
    MOVED = "moved"  # its row went to another unit of the keeper, and so does the decision
    AUTHOR_OUTSIDE = "author_outside"  # the author does not stand above the unit the row is in now
    MALFORMED = "malformed"  # it cannot be carried out as written
    RULE_VIOLATED = "rule_violated"  # a wished value breaks a rule of its table


@record
class ColumnVerdict:
    """One column: the three values, what became of the wish, under which policy, and why.

    `result`: accepted (written), already (kept holds it, nothing to write), kept (the kept value stands),
    review (the kept value stands until a person decides).
    """

    column: str
    seen: Value
    kept: Value
    wished: Value
    result: Result
    policy: Policy
    why: str
    kept_changed_at_ms: int | None = None


@record
class Verdict:
    """The decision about one proposal.

    * `outcome`: accepted (all of the wish stands), rejected (none), partly (some); review as soon as one column,
      or the row, waits for a person. The columns accepted are written at once even then.
    * `columns`: every wished column exactly once, by name; for a delete every column of the row.
    * `writes`: column → value to set, for an update or an insert. `insert`, `delete`: what to do with the row.
    * `case`: the kind of case to open, exactly when the outcome is review. `why`: a `Why` about the whole.
    * `newer`: the proposals that superseded it or columns of it.
    """

    outcome: Outcome
    columns: tuple[ColumnVerdict, ...]
    writes: Mapping[str, Value]
    delete: bool
    insert: bool
    case: CaseKind | None
    why: str
    proposal_id: str
    author_node: str
    made_at_ms: int
    author_clock_offset_ms: int | None
    keeper_node: str
    keeper_clock_offset_ms: int | None
    references: int
    resembles: tuple[str, ...]
    newer: tuple[str, ...] = ()

    def detail_json(self) -> str:
        """The verdict as canonical JSON text (sorted keys, no spaces, characters as they are), without `writes`,
        which the keeper's stream carries as rows. `from_json` reads its columns back."""
        return (
            f'{{"author_clock_offset_ms":{_json(self.author_clock_offset_ms)},"author_node":{_json(self.author_node)},'
            f'"case":{_json(self.case)},"columns":{_json_columns(self.columns)},'
            f'"delete":{_json(self.delete)},"insert":{_json(self.insert)},'
            f'"keeper_clock_offset_ms":{_json(self.keeper_clock_offset_ms)},"keeper_node":{_json(self.keeper_node)},'
            f'"made_at_ms":{_json(self.made_at_ms)},"newer":{_json_texts(self.newer)},"outcome":{_json(self.outcome)},'
            f'"proposal_id":{_json(self.proposal_id)},"references":{_json(self.references)},'
            f'"resembles":{_json_texts(self.resembles)},"why":{_json(self.why)}}}'
        )


def to_json(columns: Iterable[ColumnVerdict]) -> str:
    """Canonical JSON text `{"columns":[…]}`: the same columns give the same text on every machine."""
    return f'{{"columns":{_json_columns(columns)}}}'


def from_json(text: str) -> tuple[ColumnVerdict, ...]:
    """The columns in a text of `to_json` or `Verdict.detail_json`; keys it does not know are passed over, so that
    an older node reads a newer one's detail. Raises DetailError on anything else."""
    if len(text) > DETAIL_CHARS_MAX:
        raise DetailError("verdict detail too long", f"at most {DETAIL_CHARS_MAX} characters are read")
    try:
        return tuple(_column(plain) for plain in json.loads(text)["columns"])
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        # The cause's text may quote a value, so only its kind is repeated.
        what = f"not a verdict's detail ({type(cause).__name__})"
        raise DetailError(what, "fetch the verdict again from the keeper's stream") from cause


# Written out, keys in order: the encoder of `json` wants dictionaries made first, and is built at every call, which
# took three times as long; a keeper that was away writes thousands of details at once.
def _json_columns(columns: Iterable[ColumnVerdict]) -> str:
    return f"[{','.join([_json_column(column) for column in columns])}]"


def _json_column(of: ColumnVerdict) -> str:
    return (
        f'{{"column":{_json(of.column)},"kept":{_json(of.kept)},"kept_changed_at_ms":{_json(of.kept_changed_at_ms)},'
        f'"policy":{_json(of.policy)},"result":{_json(of.result)},"seen":{_json(of.seen)},"why":{_json(of.why)},'
        f'"wished":{_json(of.wished)}}}'
    )


def _json_texts(texts: Iterable[str]) -> str:
    return f"[{','.join([_json(text) for text in texts])}]"


def _json(value: Value) -> str:
    """One value as JSON. Bytes, which JSON has not, as an object: it cannot be mistaken for a text that happens to be
    hexadecimal."""
    if isinstance(value, str):
        return _json_text(value)
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f'{{"hex":"{value.hex()}"}}'
    return ("true" if value else "false") if isinstance(value, bool) else int.__repr__(value)


def _column(plain: Mapping[str, Any]) -> ColumnVerdict:
    return ColumnVerdict(
        column=_text(plain["column"]),
        seen=_value(plain["seen"]),
        kept=_value(plain["kept"]),
        wished=_value(plain["wished"]),
        result=RESULTS[RESULTS.index(plain["result"])],
        policy=Policy(plain["policy"]),
        why=_text(plain["why"]),
        kept_changed_at_ms=_instant_ms(plain["kept_changed_at_ms"]),
    )


def _text(plain: Any) -> str:
    if not isinstance(plain, str):
        raise TypeError  # told as what it was found in
    return plain


def _instant_ms(plain: Any) -> int | None:
    return None if plain is None else _int(plain)


def _int(plain: Any) -> int:
    if type(plain) is not int or not INT_MIN <= plain <= INT_MAX:
        raise TypeError
    return plain


def _value(plain: Any) -> Value:
    if plain is None or isinstance(plain, str):
        return plain
    if isinstance(plain, dict):
        return bytes.fromhex(_text(plain["hex"]))
    return _int(plain)
