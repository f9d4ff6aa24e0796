"""Cases: one id for one disagreement, titles in both languages, an addressee for every kind."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict.case import Addressee, CaseKind, case_id
from conflict.errors import ConflictError

KINDS = st.sampled_from(list(CaseKind))


@given(kind=KINDS, parts=st.lists(st.text() | st.integers(), min_size=1, max_size=4), data=st.data())
def test_order_of_the_sides_matters_only_where_they_differ_in_role(
    kind: CaseKind, parts: list[str | int], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(parts))
    is_same = [str(part) for part in shuffled] == [str(part) for part in parts]
    assert (case_id(kind, *parts) == case_id(kind, *shuffled)) == (kind.is_symmetric or is_same)


def test_case_id_is_a_stable_uuid_text() -> None:
    # A recorded value: ids of open cases must survive an upgrade.
    assert case_id(CaseKind.DUPLICATE_PERSON, "row-2", "row-1") == "d87cb9cf-01af-7d61-a16c-8d273e6d088a"
    assert str(uuid.UUID(case_id(CaseKind.FORK, "a", 1))) == case_id(CaseKind.FORK, "a", 1)


def test_kinds_and_parts_are_kept_apart() -> None:
    ids = {case_id(kind, "row-1") for kind in CaseKind}
    assert len(ids) == len(CaseKind)
    assert case_id(CaseKind.RULE_VIOLATED, "ab", "c") != case_id(CaseKind.RULE_VIOLATED, "a", "bc")


def test_case_without_sides_is_refused() -> None:
    with pytest.raises(ConflictError) as caught:
        case_id(CaseKind.TWIN_EVENT)
    assert caught.value.what == "case twin_event names nothing that disagrees"
    assert caught.value.hint == "pass the ids of its sides"
    assert str(caught.value) == f"{caught.value.what}; {caught.value.hint}"


@pytest.mark.parametrize("kind", list(CaseKind))
def test_every_kind_has_both_titles_and_an_addressee(kind: CaseKind) -> None:
    assert kind.title_vi
    assert kind.title_en
    assert kind.title_vi != kind.title_en
    assert kind.addressee in Addressee


def test_no_two_kinds_share_a_title() -> None:
    assert len({kind.title_vi for kind in CaseKind}) == len({kind.title_en for kind in CaseKind}) == len(CaseKind)
