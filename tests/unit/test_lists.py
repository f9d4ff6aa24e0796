"""IN lists: everything is asked for once, by few texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd import limits
from syncd.store.base import in_lists


@given(st.integers(0, 3 * limits.LIST_VALUES_MAX))
def test_every_value_is_in_a_list_and_no_other(count: int) -> None:
    lists = list(in_lists(range(count)))
    assert {value for _marks, some in lists for value in some} == set(range(count))
    assert all(marks.count("?") == len(some) <= limits.LIST_VALUES_MAX for marks, some in lists)


def test_lists_of_all_lengths_have_few_texts() -> None:
    """Each is kept prepared, with room for all its values, in every connection that ever asked it."""
    texts = {marks for count in range(limits.LIST_VALUES_MAX + 1) for marks, _some in in_lists(range(count))}
    assert len(texts) <= 6
