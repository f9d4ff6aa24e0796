"""Terms: the chain of keepers is a function of the set of orders, in whatever order they came (I4, I7)."""

from __future__ import annotations

import random
import uuid
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.limits import TERMS_BY_AGREEMENT, TERMS_BY_FORCE
from syncd.terms import Order, _chains
from syncd.tree import NodeRecord, Term, Tree
from tests.unit.test_tree import stream

UNIT = str(uuid.UUID(int=7))
BLOCK = TERMS_BY_AGREEMENT * TERMS_BY_FORCE


def node(name: str) -> NodeRecord:
    node_id = str(uuid.UUID(bytes=sha256(name.encode()).digest()[:16]))
    return NodeRecord(
        node_id=node_id, parent_id=None, name=name, signing_public=b"", sealing_public=b"", unit_id=UNIT, term=1,
        status="enrolled",
    )  # fmt: skip


def order(frm: str, term: int, to: str, *, depth: int = 0, forced: int | None = None, at: str = "2026-01-01") -> Order:
    return Order(
        id=node(f"{frm} {term} {to} {depth} {forced}").node_id, unit_id=UNIT, from_node=node(frm).node_id,
        from_term=term, to_node=node(to).node_id, forced_seq=forced, forced_hash=None if forced is None else bytes(32),
        is_revoked=False, ordered_at=at, by=node("root"), depth=depth,
    )  # fmt: skip


def chain(*orders: Order) -> list[tuple[int, str]]:
    found = _chains([node("a")], orders)[UNIT]
    return [(term.term, term.node_id) for term in found]


def named(*terms: tuple[int, str]) -> list[tuple[int, str]]:
    return [(term, node(name).node_id) for term, name in terms]


def test_orders_follow_one_another() -> None:
    assert chain(order("a", 1, "b"), order("b", 2, "a"), order("a", 3, "c")) == named(
        (1, "a"), (2, "b"), (3, "a"), (4, "c")
    )


def test_uppermost_tier_s_order_stands_whenever_it_was_given() -> None:
    below, above = order("a", 1, "b", depth=1, at="2025-01-01"), order("a", 1, "c", depth=0, at="2026-01-01")
    assert chain(below, above) == chain(above, below) == named((1, "a"), (2, "c"))


def test_forced_order_stands_before_any_and_begins_a_term_of_its_own() -> None:
    """Also where the other went to the same node, whose stream of the next term began at another end."""
    agreed, forced = order("a", 1, "b"), order("a", 1, "b", forced=3)
    begun = forced.to_term
    assert BLOCK <= begun < 2 * BLOCK
    assert chain(agreed, forced) == named((1, "a"), (begun, "b"))
    assert chain(agreed, forced, order("b", 2, "c"), order("c", 3, "a")) == named((1, "a"), (begun, "b"))
    again = order("c", begun + 1, "a", forced=0)
    assert chain(forced, order("b", begun, "c"), again) == named(
        (1, "a"), (begun, "b"), (begun + 1, "c"), (again.to_term, "a")
    )
    assert 2 * BLOCK <= again.to_term < 3 * BLOCK


def test_two_forced_orders_begin_two_terms_and_the_first_stands() -> None:
    """A restored custodian has lost the one and gives the other: whoever began by it is put aside, and begins by the
    first; the two streams bear two names."""
    first, again = order("a", 1, "b", forced=3), order("a", 1, "b", forced=2, at="2026-02-01")
    assert first.to_term // TERMS_BY_AGREEMENT != again.to_term // TERMS_BY_AGREEMENT
    assert chain(again) == named((1, "a"), (again.to_term, "b"))
    assert chain(again, order("b", again.to_term, "c"), first) == named((1, "a"), (first.to_term, "b"))


def test_who_hears_of_the_last_order_alone_knows_who_keeps_the_unit() -> None:
    assert _chains([], [order("b", 2, "c")])[UNIT][-1].node_id == node("c").node_id
    assert chain(order("b", 2, "c"), order("c", 3, "d"))[-1] == (4, node("d").node_id)


orders = st.lists(
    st.builds(
        order, st.sampled_from("abc"), st.sampled_from([1, 2, 3, 4, BLOCK, BLOCK + 1]), st.sampled_from("abc"),
        depth=st.integers(0, 2), forced=st.none() | st.integers(0, 3), at=st.sampled_from(["2025", "2026"]),
    ),
    max_size=9,
)  # fmt: skip


@given(found=orders, seed=st.integers(0, 9))
def test_same_orders_give_the_same_chain_however_they_came(found: list[Order], seed: int) -> None:
    shuffled = random.Random(seed).sample(found, len(found))
    assert chain(*found) == chain(*shuffled)
    numbers = [term for term, _node in chain(*found)]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("term", "is_displaced"),
    [(1, False), (2, True), (BLOCK, True), (BLOCK + 5000, False), (BLOCK + 5001, False), (BLOCK + 6000, True),
     (2 * BLOCK, False)],
)  # fmt: skip
def test_stream_of_a_term_that_the_unit_did_not_go_through_is_displaced(term: int, is_displaced: bool) -> None:
    at = stream(1, "n1", "n1", term)  # type: ignore[arg-type]  # a kind's number
    kept = [
        Term(unit_id=at.unit_id or "", term=1, node_id=at.keeper, began="record"),
        Term(unit_id=at.unit_id or "", term=BLOCK + 5000, node_id=at.keeper, began="forced"),
    ]
    assert Tree(at.keeper, {}, {}, {at.unit_id or "": kept}).is_displaced(at) is is_displaced
