"""The stored form of a verdict: canonical text, read back exactly, refused when it is anything else."""

import json

import pytest

from conflict.decide import decide
from conflict.errors import DetailError
from conflict.limits import DETAIL_CHARS_MAX
from conflict.policy import Policy
from conflict.proposal import Newer
from conflict.verdict import ColumnVerdict, from_json, to_json
from tests.unit.conflict.builders import kept, proposal, rules

COLUMN = ColumnVerdict(
    column="full_name",
    seen="Trần Thị Hoà",
    kept=b"\x00\xff",
    wished=None,
    result="kept",
    policy=Policy.KEEPER,
    why="keeper_stands",
    kept_changed_at_ms=12,
)
TEXT = (
    '{"columns":[{"column":"full_name","kept":{"hex":"00ff"},"kept_changed_at_ms":12,"policy":"keeper",'
    '"result":"kept","seen":"Trần Thị Hoà","why":"keeper_stands","wished":null}]}'
)


def test_columns_have_one_canonical_text() -> None:
    assert to_json([COLUMN]) == TEXT
    assert from_json(TEXT) == (COLUMN,)


def test_detail_says_who_when_and_why_but_not_the_writes() -> None:
    verdict = decide(proposal(seen={"c": 1}, wished={"c": 3}), kept({"c": 2}), rules(c="upper"))
    detail = json.loads(verdict.detail_json())
    assert list(detail) == sorted(detail)
    assert {"author_node", "made_at_ms", "keeper_node", "why", "columns", "case"} <= set(detail)
    assert "writes" not in detail


def test_detail_is_one_canonical_text() -> None:
    wish = proposal(seen={"c": 1}, wished={"c": 3}, clock_offset_ms=7)
    side = kept({"c": 2}, clock_offset_ms=8, references=2, resembles=("row-2", "row-3"), changed_at_ms={"c": 5})
    verdict = decide(wish, side, rules(c="review"), [Newer(id="n", op="update", columns=frozenset({"z"}))])
    assert verdict.detail_json() == (
        '{"author_clock_offset_ms":7,"author_node":"district","case":"stale_proposal","columns":[{"column":"c","kept":2,'
        '"kept_changed_at_ms":5,"policy":"review","result":"review","seen":1,"why":"policy_review","wished":3}],'
        '"delete":false,"insert":false,"keeper_clock_offset_ms":8,"keeper_node":"commune","made_at_ms":1790000000000,'
        '"newer":[],"outcome":"review","proposal_id":"proposal-1","references":2,"resembles":["row-2","row-3"],'
        '"why":"columns"}'
    )


def test_detail_names_what_took_its_place() -> None:
    wish = proposal(seen={"c": 1}, wished={"c": 3})
    verdict = decide(wish, kept({"c": 1}), rules(), [Newer(id="n", op="update", columns=frozenset({"c"}))])
    assert json.loads(verdict.detail_json())["newer"] == ["n"]


def test_codes_and_keys_of_a_newer_version_are_read() -> None:
    newer = TEXT.replace("keeper_stands", "some_later_code").replace('"result"', '"later_key":[1],"result"')
    assert from_json(newer)[0].why == "some_later_code"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"columns":{"column":1}}',
        "[" * 100_000,
        TEXT.replace('"kept",', '"lost",'),
        TEXT.replace('"policy":"keeper"', '"policy":"oldest"'),
        TEXT.replace('"Trần Thị Hoà"', "1.5"),
        TEXT.replace('"Trần Thị Hoà"', "true"),
        TEXT.replace('"Trần Thị Hoà"', str(2**63)),
        TEXT.replace('"Trần Thị Hoà"', "[1]"),
        TEXT.replace('"00ff"', '"0x"'),
        TEXT.replace('"00ff"', "7"),
        TEXT.replace('"keeper_stands"', "null"),
        TEXT.replace('"kept_changed_at_ms":12', '"kept_changed_at_ms":"12"'),
        TEXT.replace('"wished":null', '"wish":null'),
        " " * (DETAIL_CHARS_MAX + 1),
    ],
)
def test_text_that_is_no_detail_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(DetailError) as caught:
        from_json(text)
    assert "Trần" not in str(caught.value)
    if len(text) > DETAIL_CHARS_MAX:
        assert str(caught.value) == "verdict detail too long; at most 4000000 characters are read"
    else:
        assert str(caught.value).startswith("not a verdict's detail (")
        assert caught.value.hint == "fetch the verdict again from the keeper's stream"


def test_refusal_names_the_kind_of_its_cause() -> None:
    with pytest.raises(DetailError, match=r"not a verdict's detail \(KeyError\)"):
        from_json("{}")


def test_longest_detail_is_read() -> None:
    assert from_json(TEXT.ljust(DETAIL_CHARS_MAX)) == (COLUMN,)


def test_integers_keep_their_64_bits() -> None:
    for extreme in (-(2**63), 2**63 - 1):
        assert from_json(TEXT.replace('"Trần Thị Hoà"', str(extreme)))[0].seen == extreme
    with pytest.raises(DetailError):
        from_json(TEXT.replace('"Trần Thị Hoà"', str(-(2**63) - 1)))


def test_unknown_time_of_change_stays_unknown() -> None:
    assert from_json(TEXT.replace(":12,", ":null,"))[0].kept_changed_at_ms is None
