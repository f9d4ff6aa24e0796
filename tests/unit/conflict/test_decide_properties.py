"""What holds for every proposal: found by search rather than by example."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from conflict.decide import decide
from conflict.limits import CLOCK_OFFSET_MS_MAX
from conflict.policy import DELETE_POLICIES, Policy, Rules
from conflict.proposal import Kept, Proposal, Value
from conflict.verdict import Verdict, from_json, to_json
from tests.unit.conflict.builders import kept, proposal

COLUMNS = ("a", "b", "c", "d", "e")
Scene = tuple[Proposal, Kept, Rules]

# Few values, so that the three sides often meet.
VALUES: st.SearchStrategy[Value] = st.sampled_from([None, 1, 2, "a", "b", "a;b", "b;c", "a;b;c", b"\x01"])
ROWS = st.dictionaries(st.sampled_from(COLUMNS), VALUES)
WHOLE_ROWS = st.fixed_dictionaries(dict.fromkeys(COLUMNS, VALUES))
OFFSETS_MS = st.sampled_from([None, 0, 5, -5, CLOCK_OFFSET_MS_MAX + 1])
TIMES_MS = st.integers(min_value=0, max_value=20)
GROUPS = st.sampled_from([(), (("a", "b"),), (("a", "b"), ("c", "d")), (("b", "d", "e"),)])


@st.composite
def scenes(draw: st.DrawFn, op: str | None = None) -> Scene:
    chosen = op or draw(st.sampled_from(["insert", "update", "delete"]))
    wish = proposal(
        op=chosen,
        seen=draw(ROWS | WHOLE_ROWS),
        wished={} if chosen == "delete" else draw(ROWS | WHOLE_ROWS),
        author_tier_depth=draw(st.integers(0, 3)),
        made_at_ms=draw(TIMES_MS),
        clock_offset_ms=draw(OFFSETS_MS),
    )
    side = kept(
        draw(st.none() | ROWS | WHOLE_ROWS | st.just(wish.seen)),
        changed_at_ms=draw(st.none() | st.dictionaries(st.sampled_from(COLUMNS), TIMES_MS)),
        clock_offset_ms=draw(OFFSETS_MS),
        references=draw(st.integers(0, 1)),
        resembles=draw(st.sampled_from([(), ("row-9",)])),
    )
    return wish, side, draw(all_rules())


@st.composite
def all_rules(draw: st.DrawFn) -> Rules:
    return Rules(
        policies=draw(st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(list(Policy)))),
        default=draw(st.sampled_from(list(Policy))),
        groups=draw(GROUPS),
        delete_policy=draw(st.sampled_from(sorted(DELETE_POLICIES))),
    )


@given(scene=scenes(), data=st.data())
def test_same_inputs_give_the_same_verdict_whatever_their_order(scene: Scene, data: st.DataObject) -> None:
    wish, side, rules = scene

    def shuffled(values: Mapping[str, Value]) -> dict[str, Value]:
        return dict(data.draw(st.permutations(list(values.items()))))

    reordered = replace(wish, seen=shuffled(wish.seen), wished=shuffled(wish.wished))
    again = side if side.values is None else replace(side, values=shuffled(side.values))
    first, second = decide(wish, side, rules), decide(reordered, again, rules)
    assert first == second
    assert first.detail_json() == second.detail_json()
    assert list(first.writes) == list(second.writes)


@given(scene=scenes())
def test_every_wished_column_is_in_exactly_one_column_verdict(scene: Scene) -> None:
    wish, side, rules = scene
    verdict = decide(wish, side, rules)
    names = [column.column for column in verdict.columns]
    assert names == sorted(set(names))
    if wish.op != "delete":
        assert set(names) == set(wish.wished)
    for column in verdict.columns:
        assert column.wished == wish.wished.get(column.column)
        assert column.seen == wish.seen.get(column.column)
        assert column.kept == (side.values or {}).get(column.column)
        assert column.why


@given(scene=scenes(op="update"))
def test_accepted_wishes_are_written_or_kept_already(scene: Scene) -> None:
    wish, side, rules = scene
    verdict = decide(wish, side, rules)
    for column in verdict.columns:
        assert (column.column in verdict.writes) == (column.result == "accepted")
        if column.result in ("accepted", "already"):
            assert holds(after(side, verdict)[column.column], column.wished, column.policy)


@given(scene=scenes())
def test_kept_value_stands_while_its_column_waits_or_the_wish_lost(scene: Scene) -> None:
    wish, side, rules = scene
    verdict = decide(wish, side, rules)
    standing = {column.column for column in verdict.columns if column.result in ("kept", "review")}
    assert not standing & set(verdict.writes)
    assert not (standing and (verdict.delete or verdict.insert))


@given(scene=scenes())
def test_case_is_open_exactly_when_something_waits_for_a_person(scene: Scene) -> None:
    wish, side, rules = scene
    verdict = decide(wish, side, rules)
    assert (verdict.case is not None) == (verdict.outcome == "review")
    if verdict.columns:
        assert (verdict.outcome == "review") == any(column.result == "review" for column in verdict.columns)


@given(scene=scenes(op="update"))
def test_grouped_columns_are_never_split(scene: Scene) -> None:
    wish, side, rules = scene
    verdict = decide(wish, side, rules)
    for group in rules.groups:
        results = {column.result for column in verdict.columns if column.column in group} - {"already"}
        assert len(results) <= 1
        if "accepted" in results:
            assert results == {"accepted"}
            assert all(
                member in wish.wished
                or side.values is None
                or member not in side.values
                or (member in wish.seen and wish.seen[member] == side.values[member])
                for member in group
            )


@given(scene=scenes(op="update"))
def test_wish_on_a_row_unchanged_since_seen_is_accepted_under_every_policy(scene: Scene) -> None:
    wish, side, rules = scene
    values = {column: wish.seen.get(column) for column in COLUMNS}
    verdict = decide(replace(wish, seen=values), replace(side, values=values), rules)
    assert (verdict.outcome, {**values, **verdict.writes}) == ("accepted", {**values, **wish.wished})


@given(scene=scenes())
def test_deciding_again_after_the_writes_changes_nothing(scene: Scene) -> None:
    wish, side, rules = scene
    first = decide(wish, side, rules)
    if first.delete:
        side = replace(side, values=None)
    elif first.writes or first.insert:
        side = replace(side, values=after(side, first))
    second = decide(wish, side, rules)
    assert (second.outcome, second.writes, second.insert, second.delete) == (first.outcome, {}, False, False)
    results = {column.column: column.result for column in second.columns}
    for column in first.columns:
        expected = "already" if column.result == "accepted" else column.result
        assert results[column.column] == expected


@given(scene=scenes())
def test_stored_detail_gives_the_columns_back(scene: Scene) -> None:
    verdict = decide(*scene)
    assert from_json(verdict.detail_json()) == verdict.columns
    assert from_json(to_json(verdict.columns)) == verdict.columns


def after(side: Kept, verdict: Verdict) -> dict[str, Value]:
    return {**(side.values or {}), **verdict.writes}


def holds(value: Value, wished: Value, policy: Policy) -> bool:
    if policy is Policy.UNION and value != wished:
        return set(str(wished or "").split(";")) - {""} <= set(str(value).split(";"))
    return value == wished
