"""The decision: a proposal against what is kept, under the table's rules.

Enters: `Proposal`, `Kept`, `Rules`. Leaves: one `Verdict`.
Must hold: pure (the same inputs, the same verdict, whatever the order of the mappings); every wished column is in
exactly one `ColumnVerdict`; columns of a group are written all or none; a kept value stands while anything about
it waits for a person; deciding again after the writes changes nothing (a replayed proposal is harmless).
"""

from collections.abc import Mapping, Sequence
from dataclasses import field

from conflict.case import CaseKind
from conflict.policy import Policy, Rules
from conflict.proposal import Kept, Newer, Proposal, Value
from conflict.record import record
from conflict.settle import Dispute, Settlement, settle
from conflict.standing import lapse, superseded_columns
from conflict.verdict import ColumnVerdict, Outcome, Result, Verdict, Why

__all__ = ["ColumnVerdict", "Kept", "Policy", "Proposal", "Rules", "Value", "Verdict", "Why", "decide"]

# A group takes the strictest of its members' results: a person before the keeper, the keeper before the wish.
_STRICTNESS: Mapping[Result, int] = {"accepted": 0, "already": 0, "kept": 1, "review": 2}
# Settlements that say nothing of a value are made once: thousands of proposals are decided at a time.
_SUPERSEDED = Settlement(result="kept", why=Why.SUPERSEDED)
_UNKNOWN_COLUMN = Settlement(result="review", why=Why.UNKNOWN_COLUMN)
_EQUAL = Settlement(result="already", why=Why.EQUAL)
_NOTHING_WISHED = Settlement(result="kept", why=Why.NOTHING_WISHED)


def decide(proposal: Proposal, kept: Kept, rules: Rules, newer: Sequence[Newer] = ()) -> Verdict:
    """Decide a proposal, once, at the keeper (I11): three-way per column of value seen, value kept, value wished.

    A proposal that does not stand any more (withdrawn, superseded by `newer`, expired) changes nothing; nor does a
    column that one of `newer` wishes.
    Update: unchanged since seen → accepted; kept equals wished → already so; changed meanwhile → the column's
    policy, or its group's. On a deleted row → case `wish_on_deleted_row`. Insert: accepted unless it resembles a
    kept row → case `insert_resembles`. Delete: case `delete_proposed`, unless the whole row as kept is what the author
    saw, nothing refers to it, and the table's delete policy settles it.
    """
    replaced = superseded_columns(proposal, newer, rules)
    scene = _Scene(proposal=proposal, kept=kept, rules=rules, replaced=replaced)
    lapsed = lapse(proposal, kept, replaced)
    if lapsed is not None:
        return _whole_row(scene, lapsed.result, lapsed.why, lapsed.case)
    if proposal.op == "insert":
        return _decide_insert(scene)
    if proposal.op == "delete":
        return _decide_delete(scene)
    if kept.values is None:
        return _whole_row(scene, "review", Why.ROW_DELETED, CaseKind.WISH_ON_DELETED_ROW)
    return _decide_update(scene, kept.values)


@record
class _Scene:
    """The inputs, carried together. `replaced`: column → the newer proposal that wishes it."""

    proposal: Proposal
    kept: Kept
    rules: Rules
    replaced: Mapping[str, str] = field(default_factory=dict)


# ── update ──


def _decide_update(scene: _Scene, kept_values: Mapping[str, Value]) -> Verdict:
    rules, settled = scene.rules, dict[str, Settlement]()
    for bundle in {rules.group_of(column) for column in scene.proposal.wished}:
        if len(bundle) == 1:
            settled[bundle[0]] = _settle_alone(scene, kept_values, bundle[0])
        else:
            settled.update(_settle_bundle(scene, kept_values, bundle))
    names = sorted(settled)
    columns = tuple([_column(scene, column, settled[column]) for column in names])
    writes = {column: settled[column].value for column in names if settled[column].result == "accepted"}
    outcome = _outcome(columns)
    case = CaseKind.STALE_PROPOSAL if outcome == "review" else None
    return _verdict(scene, outcome, Why.COLUMNS, columns=columns, writes=writes, case=case)


def _settle_alone(scene: _Scene, kept_values: Mapping[str, Value], column: str) -> Settlement:
    """The settlement of a column that decides for itself, as nearly all do: what `_settle_bundle` says of a group of
    one, without its sets."""
    if column in scene.replaced:
        return _SUPERSEDED
    if column not in kept_values:
        return _UNKNOWN_COLUMN
    seen, wished, kept = scene.proposal.seen, scene.proposal.wished[column], kept_values[column]
    is_seen = column in seen
    if is_seen and wished == seen[column]:
        return _nothing_wished(kept == wished)
    if kept == wished:
        return _EQUAL
    if is_seen and kept == seen[column]:
        return Settlement(result="accepted", why=Why.UNCHANGED, value=wished)
    return settle(_dispute(scene, column, wished))


def _settle_bundle(scene: _Scene, kept_values: Mapping[str, Value], bundle: tuple[str, ...]) -> dict[str, Settlement]:
    """The settlement of every wished column of a group."""
    seen, wished = scene.proposal.seen, scene.proposal.wished
    members = [column for column in bundle if column in wished]
    if members[0] in scene.replaced:
        return dict.fromkeys(members, _SUPERSEDED)
    if any(column not in kept_values for column in members):
        return dict.fromkeys(members, _UNKNOWN_COLUMN)
    if all(column in seen and wished[column] == seen[column] for column in members):
        return {column: _nothing_wished(kept_values[column] == wished[column]) for column in members}
    disputes = _settle_disputes(scene, kept_values, bundle)
    strictest = max([0, *(_STRICTNESS[settlement.result] for settlement in disputes.values())])
    settled = {}
    for column in members:
        if kept_values[column] == wished[column]:
            settled[column] = _EQUAL
        elif strictest:
            settled[column] = _as_the_group(disputes, column, strictest)
        else:
            accepted = Settlement(result="accepted", why=Why.UNCHANGED, value=wished[column])
            settled[column] = disputes.get(column, accepted)
    return settled


def _nothing_wished(is_equal: bool) -> Settlement:
    return _EQUAL if is_equal else _NOTHING_WISHED


def _settle_disputes(scene: _Scene, kept_values: Mapping[str, Value], bundle: tuple[str, ...]) -> dict[str, Settlement]:
    """The policy's answer for each column of the bundle that changed meanwhile and differs from the wish."""
    seen, wished = scene.proposal.seen, scene.proposal.wished
    disputes = {}
    for column in bundle:
        if column in seen and kept_values.get(column) == seen[column]:
            continue
        if column in wished and kept_values[column] != wished[column]:
            disputes[column] = settle(_dispute(scene, column, wished[column]))
        elif column not in wished and column in kept_values:
            disputes[column] = _settle_unwished(scene, column)
    return disputes


def _settle_unwished(scene: _Scene, column: str) -> Settlement:
    """A group's column that the author did not wish, and that changed or was not shown to be unchanged.

    To accept the rest would join the author's half to a half it never saw, so the best answer is review.
    """
    incomplete = Settlement(result="review", why=Why.GROUP_INCOMPLETE)
    if column not in scene.proposal.seen:
        return incomplete
    settlement = settle(_dispute(scene, column, scene.proposal.seen[column]))
    return settlement if _STRICTNESS[settlement.result] else incomplete


def _as_the_group(disputes: Mapping[str, Settlement], column: str, strictest: int) -> Settlement:
    own = disputes.get(column)
    if own is not None and _STRICTNESS[own.result] == strictest:
        return own
    deciders = [settlement for settlement in disputes.values() if _STRICTNESS[settlement.result] == strictest]
    incomplete = all(settlement.why == Why.GROUP_INCOMPLETE for settlement in deciders)
    return Settlement(result=deciders[0].result, why=Why.GROUP_INCOMPLETE if incomplete else Why.GROUP)


def _dispute(scene: _Scene, column: str, wished: Value) -> Dispute:
    return Dispute(
        column=column,
        seen=scene.proposal.seen.get(column),
        kept_value=_kept_value(scene, column),
        wished=wished,
        proposal=scene.proposal,
        kept=scene.kept,
        rules=scene.rules,
    )


def _outcome(columns: tuple[ColumnVerdict, ...]) -> Outcome:
    results = [column.result for column in columns if column.why != Why.NOTHING_WISHED]
    if "review" in results:
        return "review"
    if "kept" not in results:
        return "accepted"
    return "partly" if any(result != "kept" for result in results) else "rejected"


# ── insert and delete ──


def _decide_insert(scene: _Scene) -> Verdict:
    kept_values, wished = scene.kept.values, scene.proposal.wished
    if kept_values is not None:
        if all(column in kept_values and kept_values[column] == wished[column] for column in wished):
            return _whole_row(scene, "already", Why.EQUAL, None)
        return _whole_row(scene, "review", Why.ROW_EXISTS, CaseKind.INSERT_RESEMBLES)
    if scene.kept.resembles:
        return _whole_row(scene, "review", Why.RESEMBLES, CaseKind.INSERT_RESEMBLES)
    return _whole_row(scene, "accepted", Why.NEW, None)


def _decide_delete(scene: _Scene) -> Verdict:
    kept_values, seen = scene.kept.values, scene.proposal.seen
    if kept_values is None:
        return _whole_row(scene, "already", Why.ROW_DELETED, None)
    if dict(seen) != dict(kept_values):
        # A column that was not seen may have changed: nothing shows that the author meant to delete what is kept.
        return _whole_row(scene, "review", Why.ROW_CHANGED, CaseKind.DELETE_PROPOSED)
    if scene.kept.references:
        return _whole_row(scene, "review", Why.REFERENCED, CaseKind.DELETE_PROPOSED)
    policy = scene.rules.delete_policy
    if policy is Policy.KEEPER:
        return _whole_row(scene, "kept", Why.KEEPER_STANDS, None)
    if policy is Policy.LATEST:
        return _whole_row(scene, "accepted", Why.UNCHANGED, None)
    if policy is Policy.UPPER and scene.proposal.author_tier_depth < scene.kept.keeper_tier_depth:
        return _whole_row(scene, "accepted", Why.AUTHOR_UPPER, None)
    why = Why.AUTHOR_NOT_UPPER if policy is Policy.UPPER else Why.POLICY_REVIEW
    return _whole_row(scene, "review", why, CaseKind.DELETE_PROPOSED)


def _whole_row(scene: _Scene, result: Result, why: Why, case: CaseKind | None) -> Verdict:
    """A verdict in which the row is decided as one: every column has the same result.

    A delete lists the kept columns, or those seen when the row is gone: a row deleted is a row that lost.
    """
    outcomes: Mapping[Result, Outcome] = {"accepted": "accepted", "already": "accepted", "kept": "rejected"}
    op, wished = scene.proposal.op, scene.proposal.wished
    named = wished if op != "delete" else scene.kept.values or scene.proposal.seen
    columns = tuple(_column(scene, column, Settlement(result=result, why=why)) for column in sorted(named))
    return _verdict(
        scene,
        outcomes.get(result, "review"),
        why,
        columns=columns,
        writes={column: wished[column] for column in sorted(wished)} if result == "accepted" else {},
        case=case,
    )


# ── building ──


def _column(scene: _Scene, column: str, settlement: Settlement) -> ColumnVerdict:
    proposal, kept = scene.proposal, scene.kept
    return ColumnVerdict(
        column=column,
        seen=proposal.seen.get(column),
        kept=None if kept.values is None else kept.values.get(column),
        wished=proposal.wished.get(column),
        result=settlement.result,
        policy=scene.rules.delete_policy if proposal.op == "delete" else scene.rules.policy_of(column),
        why=settlement.why,
        kept_changed_at_ms=None if kept.changed_at_ms is None else kept.changed_at_ms.get(column),
    )


def _kept_value(scene: _Scene, column: str) -> Value:
    return None if scene.kept.values is None else scene.kept.values.get(column)


def _verdict(
    scene: _Scene,
    outcome: Outcome,
    why: Why,
    *,
    columns: tuple[ColumnVerdict, ...],
    writes: Mapping[str, Value],
    case: CaseKind | None,
) -> Verdict:
    op, is_done = scene.proposal.op, outcome == "accepted"
    return Verdict(
        outcome=outcome,
        columns=columns,
        writes=writes,
        delete=op == "delete" and is_done and scene.kept.values is not None,
        insert=op == "insert" and is_done and scene.kept.values is None,
        case=case,
        why=why,
        proposal_id=scene.proposal.id,
        author_node=scene.proposal.author_node,
        made_at_ms=scene.proposal.made_at_ms,
        author_clock_offset_ms=scene.proposal.clock_offset_ms,
        keeper_node=scene.kept.keeper_node,
        keeper_clock_offset_ms=scene.kept.clock_offset_ms,
        references=scene.kept.references,
        resembles=scene.kept.resembles,
        newer=tuple(sorted(set(scene.replaced.values()))) if scene.replaced else (),
    )
