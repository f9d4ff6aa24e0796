"""The stored form of a verdict: canonical text, read back exactly, refused when it is anything else."""

import json

import pytest

from conflict import ColumnVerdict, DetailError, Policy, decide, from_json, to_json
from conflict.limits import DETAIL_CHARS_MAX
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
    assert caught.value.hint


def test_integers_keep_their_64_bits() -> None:
    text = TEXT.replace('"Trần Thị Hoà"', str(-(2**63)))
    assert from_json(text)[0].seen == -(2**63)


def test_unknown_time_of_change_stays_unknown() -> None:
    assert from_json(TEXT.replace(":12,", ":null,"))[0].kept_changed_at_ms is None
