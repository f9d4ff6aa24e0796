"""Which pairs are looked at: once each, within the scope, never all of a large block."""

from __future__ import annotations

from array import array
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict.identity_names import read_name
from syncd import limits
from syncd.identity import keys
from syncd.identity.blocks import Blocks
from syncd.identity.scope import Scope, scope_of
from syncd.tree import NodeRecord, Tree

PERSON = {"sex": 1, "birth": "1990-05-17", "precision": "d", "citizen_id": "", "insurance_no": "", "phone": ""}


def columns(*kinds: list[int]) -> list[array[int]]:
    """Keys as everybody's arrays; kinds that are not given are empty."""
    found = [array("q", kind) for kind in kinds]
    return [*found, *(array("q", [0] * len(kinds[0])) for _ in range(keys.KINDS - len(kinds)))]


def pairs(blocks: Blocks) -> list[tuple[int, int]]:
    return list(blocks.pairs(lambda _one, _other: True))


def test_a_pair_that_shares_several_keys_is_met_once() -> None:
    blocks = Blocks(columns([1, 1, 0], [2, 2, 2], [3, 3, 3]), [0, 0, 0], 0)
    assert sorted(pairs(blocks)) == [(0, 1), (0, 2), (1, 2)]


def test_a_block_too_large_is_passed_over_and_its_pairs_meet_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.identity.blocks.IDENTITY_BLOCK_PERSONS_MAX", 3)
    blocks = Blocks(columns([0] * 5, [0] * 5, [7] * 5, [8, 8, 0, 0, 0]), [0] * 5, 0)
    assert pairs(blocks) == [(0, 1)]
    assert blocks.too_large == 1


def test_only_pairs_of_two_branches_or_of_this_node_itself_are_met() -> None:
    blocks = Blocks(columns([1] * 5), [0, 1, 1, 2, -1], 0)
    assert sorted(pairs(blocks)) == [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]


def test_a_shared_number_needs_no_likeness() -> None:
    blocks = Blocks(columns([1, 1, 0], [0, 0, 0], [0, 5, 5]), [0, 0, 0], 0)
    assert list(blocks.pairs(lambda _one, _other: False)) == [(0, 1)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_every_pair_with_a_key_in_common_is_met(people: list[tuple[int, int, int]]) -> None:
    kinds = [[kind * 10 + person[kind] if person[kind] else 0 for person in people] for kind in range(3)]
    wanted = {
        (one, other) for one, other in combinations(range(len(people)), 2)
        if any(kind[one] and kind[one] == kind[other] for kind in kinds)
    }  # fmt: skip
    found = pairs(Blocks(columns(*kinds), [0] * len(people), 0))
    assert len(found) == len(set(found))
    assert set(found) == wanted


def of(name: str, **changed: object) -> tuple[int, ...]:
    return keys.keys_of(read_name(name), **{**PERSON, **changed})  # type: ignore[arg-type]  # what the tests change


def test_keys_forgive_what_their_kind_forgives() -> None:
    true = of("Nguyễn Thị Hoa")
    assert set(of("THỊ HOA NGUYỄN")) & set(true[2:5])
    assert of("Nguyễn Thị Hoa", birth="1990-12-05")[3] == true[3]  # the year alone
    assert of("Nguyễn Thị Hoa", birth="1991-05-17")[4] == true[4]  # day and month alone
    swapped = of("Nguyễn Thị Ho", birth="1990-17-05"), of("Nguyễn Thị Hoa", birth="1990-17-05")
    assert swapped[0][5] == true[5]
    assert swapped[1][6] == true[6]
    assert of("Lê Hoa", phone="0901")[7] == of("Trần Hoa", phone="0901")[7] != 0


def test_what_a_row_does_not_say_is_no_key() -> None:
    assert of("Nguyễn Thị Hoa")[:2] == (0, 0)
    assert set(of("?", citizen_id="012345678901")[1:]) == {0}
    assert of("Nguyễn Thị Hoa", precision="y")[4:7] == (0, 0, 0)
    assert all(key < 1 << 63 for key in of("Nguyễn Thị Hoa", citizen_id="012345678901", phone="1", insurance_no="2"))


def test_keys_are_stored_and_read_back_and_name_nobody() -> None:
    found = of("Nguyễn Thị Hoa", citizen_id="012345678901")
    packed = keys.pack(found)
    assert keys.unpack(packed) == tuple(key for key in found if key)
    assert b"012345678901" not in packed


def record(node: str, parent: str | None) -> NodeRecord:
    return NodeRecord(
        node_id=node, parent_id=parent, name=node, signing_public=b"", sealing_public=b"", unit_id=f"u{node}", term=1,
        status="enrolled",
    )  # fmt: skip


def test_of_all_nodes_exactly_one_matches_a_pair() -> None:
    parents = {"p": None, "d1": "p", "d2": "p", "c1": "d1", "c2": "d1", "c3": "d2"}
    nodes = {node: record(node, parent) for node, parent in parents.items()}
    keepers = {f"u{node}": (node, 1) for node in parents}
    scopes = {node: scope_of(Tree(node, nodes, keepers)) for node in parents}
    for one, other, expected in [
        ("uc1", "uc2", "d1"), ("uc1", "uc3", "p"), ("uc1", "uc1", "c1"), ("uc1", "ud1", "d1"), ("up", "uc1", "p"),
    ]:  # fmt: skip
        assert [node for node, scope in scopes.items() if scope.has(one, other)] == [expected]
        assert [node for node, scope in scopes.items() if scope.has(other, one)] == [expected]


def test_a_unit_kept_nowhere_is_matched_nowhere() -> None:
    assert not Scope(node_id="d", branches={"a": "c"}).has("a", "b")
    assert not Scope(node_id="d", branches={"a": "c"}).has("b", "a")


def test_the_bounds_are_what_makes_the_cost_linear() -> None:
    assert limits.IDENTITY_BLOCK_PERSONS_MAX <= 1_000
    assert limits.IDENTITY_CANDIDATES_MAX <= limits.IDENTITY_BLOCK_PERSONS_MAX
