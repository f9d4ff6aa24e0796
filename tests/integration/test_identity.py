"""One person in two communes: found at the lowest node above both, told to each side, taken apart for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from conflict.case import CaseKind
from syncd.errors import UsageError
from syncd.identity import index, links, match, moves
from syncd.identity.links import Side
from syncd.identity.looked import is_indexed, looked_at
from syncd.identity.match import Matched, match_all, match_changed, match_everybody
from syncd.identity.matching import Matching
from syncd.identity.people import People
from syncd.identity.words import own_sides, told
from syncd.store.base import Store
from tests.integration.registers import Registers, registers
from tests.integration.shapes import add_household, add_person, content
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder, TreeNode

NOW = "2026-09-21T00:00:00.000Z"
HOA: dict[str, Any] = {"full_name": "Nguyễn Thị Hoa", "sex": 2, "birth_date": "1990-05-17", "phone": None}
MIXTURES = {"sqlite": (), "postgres": ("province", "district", "a")}


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[Registers]:
    with postgres_mix.databases(MIXTURES[request.param]) as dsns:
        made = registers(TreeBuilder(tmp_path), dsns)
        yield made
        for node in made.nodes:
            node.store.close()


def matched(at: TreeNode) -> Matched:
    return match_changed(at.store, NOW, Random(7).randbytes)


def states(at: TreeNode) -> list[tuple[Any, ...]]:
    return at.rows("SELECT state, method, count(*) FROM person_link GROUP BY state, method ORDER BY 1, 2")


def pair(tree: Registers, **changed: Any) -> tuple[str, str]:
    """The same person typed at A and, changed, at B; known at the district."""
    one = add_person(tree.a, **HOA, citizen_id="012345678901")
    other = add_person(tree.b, **{**HOA, "citizen_id": "012345678901", **changed})
    tree.settle()
    return one, other


def open_cases(at: TreeNode, kind: CaseKind) -> int:
    return int(at.value("SELECT count(*) FROM syncd_case WHERE kind = ? AND closed_at IS NULL", (kind.value,)))


def test_each_commune_sees_its_own_side_of_a_link(tree: Registers) -> None:
    one, other = pair(tree, full_name="NGUYEN THI HOA")
    before = {node.name: content(node, "person") for node in tree.nodes}
    assert matched(tree.province).counts.linked == 0
    done = matched(tree.district)
    assert (done.persons, done.counts.linked) == (2, 1)
    tree.settle()
    assert {row[0] for row in tree.district.rows("SELECT person_id FROM person_link")} == {one, other}
    assert tree.a.rows("SELECT person_id, state FROM person_link") == [(one, "linked")]
    assert tree.b.rows("SELECT person_id, state FROM person_link") == [(other, "linked")]
    assert tree.c.rows("SELECT 1 FROM person_link") == []
    assert content(tree.province, "person_link") == content(tree.district, "person_link")
    assert {node.name: content(node, "person") for node in tree.nodes} == before
    with tree.province.store.read() as tx:
        assert links.linked_pairs(tx) == [tuple(sorted((one, other)))]


def test_a_node_matches_everybody_by_itself_in_steps_and_then_rests(tree: Registers) -> None:
    one, other = pair(tree, full_name="NGUYEN THI HOA")
    node = tree.district.node
    with tree.district.store.read() as tx:
        assert looked_at(tx) is None
    steps = 0
    while node.match(lambda: False).waiting:  # a part each time
        steps += 1
        if steps == 1:
            third = add_person(tree.a, **{**HOA, "full_name": "Trần Văn Ba", "sex": 1}, citizen_id="012345678902")
            fourth = add_person(tree.b, **{**HOA, "full_name": "Trần Văn Ba", "sex": 1}, citizen_id="012345678902")
            tree.settle()
    assert steps > 2
    assert {row[0] for row in tree.district.rows("SELECT person_id FROM person_link")} == {one, other, third, fourth}
    with tree.district.store.read() as tx:
        assert looked_at(tx) is not None
    mark = tree.district.store.change_mark()
    assert not node.match(lambda: True).waiting
    assert tree.district.store.change_mark() == mark
    tree.a.sql("UPDATE person SET citizen_id = NULL, birth_date = '1950-01-01' WHERE id = ?", (third,))
    tree.settle()  # from now on who changes is matched with the change
    assert tree.district.rows("SELECT DISTINCT state FROM person_link WHERE person_id = ?", (third,)) != [("linked",)]


def test_a_first_look_goes_on_in_another_process_where_it_was(tree: Registers) -> None:
    one, other = pair(tree)
    node = tree.district.node
    assert node.match(lambda: False).waiting
    node.matching = Matching(tree.district.store, node.clock, Random(3).randbytes)
    while node.match(lambda: False).waiting:
        pass
    assert {row[0] for row in tree.district.rows("SELECT person_id FROM person_link")} == {one, other}
    assert tree.province.node.match(lambda: True).waiting is False  # the pair is not the province's to match
    assert tree.district.rows("SELECT count(*) FROM person_link") == [(2,)]


def test_matching_loads_nothing_where_nobody_is_registered(tree: Registers) -> None:
    assert tree.c.node.matching.step(tree.c.node.tree(), lambda: True) is None
    assert not tree.c.node.match(lambda: True).waiting


def test_a_commune_is_told_of_its_own_row_alone(tree: Registers, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(tree, full_name="NGUYỄN THỊ HOA")
    matched(tree.district)
    tree.settle()
    with tree.a.store.read() as tx:
        (side,) = own_sides(tx)
        assert own_sides(tx, "proposed") == []
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    assert "Nguyễn Thị Hoa, sinh 17/05/1990" in told(side)
    assert "trùng số định danh" in told(side)
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    assert "same citizen id" in told(side)
    assert "NGUYỄN" not in told(side)


def test_unlinking_restores_and_the_pair_is_never_linked_again(tree: Registers) -> None:
    one, other = pair(tree)
    matched(tree.district)
    link_id = tree.district.value("SELECT link_id FROM person_link LIMIT 1")
    with tree.district.store.write("clerk") as tx:
        links.unlink(tx, link_id, "An", NOW)
    tree.settle()
    for at in (tree.a, tree.b, tree.district, tree.province):
        assert {row[0] for row in at.rows("SELECT state FROM person_link")} == {"unlinked"}
    tree.a.sql("UPDATE person SET phone = '0912000001' WHERE id = ?", (one,))
    tree.b.sql("UPDATE person SET phone = '0912000001' WHERE id = ?", (other,))
    tree.settle()
    assert matched(tree.district).persons == 2
    match_everybody(tree.district.store, NOW, Random(8).randbytes)
    assert states(tree.district) == [("unlinked", "person", 2)]
    with tree.district.store.read() as tx:
        assert links.linked_pairs(tx) == []


def test_what_only_looks_alike_waits_for_a_person_and_is_confirmed(tree: Registers) -> None:
    add_person(tree.a, **HOA)
    add_person(tree.b, **HOA)
    tree.settle()
    assert matched(tree.district).counts.proposed == 1
    assert open_cases(tree.district, CaseKind.DUPLICATE_PERSON) == 1
    link_id = tree.district.value("SELECT link_id FROM person_link LIMIT 1")
    with tree.district.store.write("clerk") as tx:
        links.confirm(tx, link_id, "An", NOW)
    assert open_cases(tree.district, CaseKind.DUPLICATE_PERSON) == 0
    tree.settle()
    assert tree.a.rows("SELECT state, method, decided_by FROM person_link") == [("linked", "person", "An")]
    match_everybody(tree.district.store, NOW, Random(8).randbytes)
    assert states(tree.district) == [("linked", "person", 2)]


def test_one_number_borne_by_two_persons_is_a_case_and_no_link(tree: Registers) -> None:
    one, other = pair(tree, full_name="Trần Văn Nam", sex=1, birth_date="1961-11-30")
    assert matched(tree.district).counts.clashes == 1
    assert states(tree.district) == []
    assert open_cases(tree.district, CaseKind.DUPLICATE_CITIZEN_ID) == 1
    sides = (Side(person_id=one, unit_id=tree.a.unit_id), Side(person_id=other, unit_id=tree.b.unit_id))
    with tree.district.store.write("clerk") as tx:
        link_id = links.part(tx, sides, "An", NOW, Random(1).randbytes)
    assert open_cases(tree.district, CaseKind.DUPLICATE_CITIZEN_ID) == 0
    match_everybody(tree.district.store, NOW, Random(8).randbytes)
    assert states(tree.district) == [("unlinked", "person", 2)]
    with tree.district.store.write("clerk") as tx:
        assert links.link(tx, sides, "An", NOW, Random(1).randbytes) == link_id
    assert states(tree.district) == [("linked", "person", 2)]


def test_a_row_is_never_linked_with_itself_nor_a_link_of_another_node_changed(tree: Registers) -> None:
    one, _ = pair(tree)
    matched(tree.district)
    tree.settle()
    side = Side(person_id=one, unit_id=tree.a.unit_id)
    link_id = tree.province.value("SELECT link_id FROM person_link LIMIT 1")
    with tree.province.store.write("clerk") as tx:
        with pytest.raises(UsageError, match=r"no link|không có liên kết"):
            links.unlink(tx, link_id, "An", NOW)
        with pytest.raises(UsageError):
            links.link(tx, (side, side), "An", NOW, Random(1).randbytes)


def test_what_another_node_decided_of_a_pair_stands(tree: Registers) -> None:
    """As after a unit has passed on: the province had taken the pair apart when it stood above both."""
    one, other = pair(tree)
    sides = (Side(person_id=one, unit_id=tree.a.unit_id), Side(person_id=other, unit_id=tree.b.unit_id))
    with tree.province.store.write("clerk") as tx:
        links.part(tx, sides, "An", NOW, Random(1).randbytes)
    tree.settle()
    assert matched(tree.district).counts.linked == 0
    assert states(tree.district) == [("unlinked", "person", 2)]


def test_a_link_whose_ground_is_gone_is_asked_about(tree: Registers) -> None:
    _, other = pair(tree)
    matched(tree.district)
    tree.b.sql("UPDATE person SET citizen_id = '099999999999' WHERE id = ?", (other,))
    tree.settle()
    assert matched(tree.district).counts.withdrawn == 0  # the district has done so by itself
    assert {row[0] for row in states(tree.district)} == {"proposed"}
    assert open_cases(tree.district, CaseKind.DUPLICATE_PERSON) == 1
    tree.b.sql("UPDATE person SET citizen_id = '012345678901' WHERE id = ?", (other,))
    tree.settle()
    assert {row[0] for row in states(tree.district)} == {"linked"}
    assert open_cases(tree.district, CaseKind.DUPLICATE_PERSON) == 0


def test_a_row_that_is_deleted_leaves_the_other_on_its_own(tree: Registers) -> None:
    _, other = pair(tree)
    matched(tree.district)
    tree.b.sql("DELETE FROM person WHERE id = ?", (other,))
    tree.settle()
    assert matched(tree.district).counts.withdrawn == 0  # the district has done so by itself
    assert {row[0] for row in states(tree.district)} == {"unlinked"}
    assert tree.district.value("SELECT count(*) FROM syncd_identity_person") == 1


def test_rows_of_one_commune_are_matched_by_the_commune_itself(tree: Registers) -> None:
    household = add_household(tree.a)
    for name in ("Nguyễn Thị Hoa", "NGUYỄN THỊ HOA"):
        add_person(tree.a, household, **{**HOA, "full_name": name, "citizen_id": "012345678901"})
    tree.settle()
    assert matched(tree.district).counts.linked == 0
    assert matched(tree.a).counts.linked == 1
    tree.settle()
    assert len(tree.a.rows("SELECT 1 FROM person_link")) == 2


def test_two_districts_are_matched_at_the_province(tree: Registers) -> None:
    add_person(tree.a, **HOA, insurance_no="4012345678")
    add_person(tree.c, **HOA, insurance_no="4012345678")
    tree.settle()
    assert matched(tree.district).counts.linked == 0
    assert matched(tree.province).counts.linked == 1
    tree.settle()
    assert states(tree.a) == states(tree.c) == [("linked", "insurance_no", 1)]


def twin_home(at: TreeNode, names: tuple[str, ...], sexes: tuple[int, ...] = (2, 2)) -> list[str]:
    household = add_household(at, str(at.value("SELECT count(*) + 1 FROM household")))
    mother = add_person(at, household, full_name="Lê Thị Mai", sex=2, birth_date="1985-02-03", phone="0901")
    return [
        add_person(at, household, full_name=name, sex=sex, birth_date="2015-06-07", mother_id=mother, phone="0901")
        for name, sex in zip(names, sexes, strict=True)
    ]


@pytest.mark.parametrize(
    ("names", "sexes"),
    [
        (("Nguyễn Minh Anh", "Nguyễn Minh Ánh"), (2, 2)),
        (("Nguyễn Hải Anh", "Nguyễn Hà Anh"), (2, 2)),
        (("Nguyễn Thị Lan", "Nguyễn Thị Loan"), (2, 2)),
        (("Nguyễn Minh Anh", "Nguyễn Minh Đức"), (2, 1)),
    ],
)
def test_twins_who_move_together_are_linked_each_with_itself(
    tree: Registers, names: tuple[str, str], sexes: tuple[int, int]
) -> None:
    first, second = twin_home(tree.a, names, sexes), twin_home(tree.b, names, sexes)
    tree.settle()
    matched(tree.district)
    with tree.district.store.read() as tx:
        linked = {frozenset(each) for each in links.linked_pairs(tx)}
    assert not linked & {frozenset((first[0], second[1])), frozenset((first[1], second[0])), frozenset(first)}
    assert matched(tree.a).counts.linked == matched(tree.b).counts.linked == 0


def test_a_move_is_paired_by_the_link_and_counts_once_at_every_date(tree: Registers) -> None:
    one, other = pair(tree)
    tree.a.sql("UPDATE person SET residence = 'departed' WHERE id = ?", (one,))
    for at, person, way, day in (
        (tree.a, one, "departure", "2026-03-01"), (tree.b, other, "arrival", "2026-03-10"),
    ):  # fmt: skip
        at.sql("INSERT INTO migration (person_id, direction, moved_on) VALUES (?, ?, ?)", (person, way, day))
    tree.settle()
    matched(tree.district)
    with tree.district.store.read() as tx:
        (move,) = moves.moves(tx).paired
        stays = moves.stays(tx, [one, other])
    assert (move.departure.unit_id, move.arrival.unit_id) == (tree.a.unit_id, tree.b.unit_id)
    from conflict.identity_moves import correction_at, counting_unit

    for on, unit in (("2026-02-01", tree.a), ("2026-03-05", tree.a), ("2026-03-10", tree.b), ("2026-09-01", tree.b)):
        assert counting_unit(stays, on) == unit.unit_id
        assert sum(stay.covers(on) for stay in stays) + correction_at(stays, on) == 1


def test_matching_one_by_one_finds_what_matching_everybody_finds(tree: Registers) -> None:
    """The index by groups against everybody at once."""
    with tree.district.store.read() as tx:
        assert not is_indexed(tx)
    assert match_everybody(tree.district.store, NOW, Random(1).randbytes).persons == 0
    people = [pair(tree), pair(tree, citizen_id="012345678902", phone="0909")]
    ids = [person for both in people for person in both]
    for person in ids:
        with tree.district.store.apply("test") as tx:
            index.update(tx, [person])
    scope = match._scope(tree.district.store)
    with tree.district.store.write("test") as tx:
        assert match.match_new(tx, scope, NOW, Random(2).randbytes).persons == 4
        assert match.match_new(tx, scope, NOW, Random(2).randbytes).persons == 0
    by_group = states(tree.district)
    tree.district.sql("DELETE FROM person_link")
    match_everybody(tree.district.store, NOW, Random(3).randbytes)
    assert states(tree.district) == by_group


def test_who_is_linked_while_everybody_is_matched_stays_linked(
    tree: Registers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the daemon, which has made whole the index that a command began; the command has not read these two."""
    pair(tree)
    matched(tree.district)

    def later(store: Store) -> tuple[People, index.KeyColumns, int]:
        found = index.index_all(store)
        for at in (tree.a, tree.b):
            add_person(at, full_name="Lường Văn Tám", sex=1, birth_date="1955-11-30", citizen_id="012345678902")
        tree.settle()
        while tree.district.node.match(lambda: False).waiting:
            pass
        assert states(tree.district) == [("linked", "citizen_id", 4)]
        return found

    monkeypatch.setattr(match, "index_all", later)
    assert match_everybody(tree.district.store, NOW, Random(2).randbytes).counts.withdrawn == 0
    assert states(tree.district) == [("linked", "citizen_id", 4)]


def test_once_matched_a_node_goes_on_by_itself(tree: Registers) -> None:
    """The first `syncd identity match` makes the index; from then on every change is matched as it arrives."""
    add_person(tree.a, **HOA, citizen_id="012345678901")
    tree.settle()
    assert states(tree.district) == []
    matched(tree.district)
    other = add_person(tree.b, **{**HOA, "citizen_id": "012345678901", "full_name": "NGUYEN THI HOA"})
    tree.settle()
    assert states(tree.district) == [("linked", "citizen_id", 2)]
    assert tree.b.rows("SELECT person_id, state FROM person_link") == [(other, "linked")]


def test_many_changed_rows_are_matched_by_one_walk_with_the_same_outcome(
    tree: Registers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A register typed or imported behind an index that was there: what no longer holds is withdrawn here too."""
    tam: dict[str, Any] = {
        "full_name": "Lường Văn Tám",
        "sex": 1,
        "birth_date": "1955-11-30",
        "citizen_id": "012345678902",
    }
    one, _other = (add_person(tree.a, **HOA, citizen_id="012345678901") for _ in range(2))
    gone, _left = (add_person(tree.a, **tam) for _ in range(2))
    assert matched(tree.a).counts.linked == 2
    tree.a.sql("UPDATE person SET citizen_id = '012345678999', full_name = 'Lò Văn Pó', sex = 1 WHERE id = ?", (one,))
    tree.a.sql("DELETE FROM person WHERE id = ?", (gone,))
    twice: dict[str, Any] = {
        "full_name": "Cầm Thị Én",
        "sex": 2,
        "birth_date": "1971-03-04",
        "citizen_id": "012345678777",
    }
    assert len([add_person(tree.a, **twice) for _ in range(2)]) == 2
    walked: list[int] = []

    def counted(*given: Any) -> Matched:
        walked.append(1)
        return match_all(*given)

    monkeypatch.setattr(match, "match_all", counted)
    monkeypatch.setattr(match, "IDENTITY_LOOKED_UP_MAX", 1)
    done = match_changed(tree.a.store, NOW, Random(9).randbytes)  # other ids than before
    assert (walked, done.persons, done.counts.linked, done.counts.withdrawn) == ([1], 5, 1, 2)
    assert states(tree.a) == [("linked", "citizen_id", 2), ("proposed", "score", 2), ("unlinked", "citizen_id", 2)]
    assert tree.a.value("SELECT count(*) FROM syncd_identity_due") == 0
    assert matched(tree.a).persons == 0
