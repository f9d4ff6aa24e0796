"""Every disagreement that no single write shows: how it arises, who finds it, when it ends (design §5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conflict.case import CaseKind, case_id
from syncd.detect.codes import Seen, seen_anew, spoken_against
from syncd.inputs.codes import load_codes, package_codes
from tests.integration.registers import (
    DAY_MS,
    Registers,
    birth,
    cases,
    death,
    insert,
    mother,
    move,
    person,
    registers,
)
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder

MIXTURES = {"sqlite": (), "postgres": ("province", "a")}
CITIZEN_ID = "042199000123"


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[Registers]:
    with postgres_mix.databases(MIXTURES[request.param]) as dsns:
        made = registers(TreeBuilder(tmp_path), dsns)
        yield made
        for node in made.nodes:
            node.store.close()


# --- one number twice -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        ("citizen_id", CaseKind.DUPLICATE_CITIZEN_ID, CITIZEN_ID),
        ("insurance_no", CaseKind.DUPLICATE_INSURANCE_NO, "GD4420123456789"),
    ],
)
def test_one_number_borne_twice_is_found_by_the_lowest_node_above_both(
    tree: Registers, column: str, kind: CaseKind, value: str
) -> None:
    ids = [person(tree.a, **{column: value}), person(tree.b, **{column: value}, birth_date="1990-01-01")]
    tree.settle()
    assert tree.found_at(kind) == {"district": 1}
    found, _, detail = cases(tree.district)[0]
    assert found == case_id(kind, *ids)
    assert value not in json.dumps(detail)
    tree.b.sql(f"UPDATE person SET {column} = NULL WHERE id = ?", (ids[1],))
    tree.settle()
    assert tree.found_at(kind) == {}
    tree.b.sql(f"UPDATE person SET {column} = ? WHERE id = ?", (value, ids[1]))
    tree.settle()
    assert [each[0] for each in cases(tree.district)] == [found]
    assert tree.district.value("SELECT openings FROM syncd_case WHERE case_id = ?", (found,)) == 2


def test_inside_one_unit_its_keeper_finds_it_and_across_branches_the_province(tree: Registers) -> None:
    person(tree.a, citizen_id=CITIZEN_ID)
    person(tree.a, citizen_id=CITIZEN_ID, full_name="Khác")
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_CITIZEN_ID) == {"a": 1}
    person(tree.c, citizen_id=CITIZEN_ID)
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_CITIZEN_ID) == {"a": 1, "province": 2}


def test_who_left_one_unit_and_lives_in_another_is_no_duplicate(tree: Registers) -> None:
    left = person(tree.a, citizen_id=CITIZEN_ID, residence="departed")
    move(tree.a, left, "departure")
    person(tree.b, citizen_id=CITIZEN_ID)
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_CITIZEN_ID) == {}


def test_household_number_twice_in_a_unit_until_one_is_closed(tree: Registers) -> None:
    first = insert(tree.a, "household", number="12", kind="family")
    insert(tree.a, "household", number="12", kind="family")
    insert(tree.b, "household", number="12", kind="family")
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_HOUSEHOLD_NO) == {"a": 1}
    tree.a.sql("UPDATE household SET closed_on = '2026-01-01' WHERE id = ?", (first,))
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_HOUSEHOLD_NO) == {}


def test_three_households_of_one_number_are_one_case_and_two_that_are_left_another(tree: Registers) -> None:
    ids = [insert(tree.a, "household", number="12", kind="family") for _ in range(3)]
    tree.settle()
    assert [case[0] for case in cases(tree.a)] == [case_id(CaseKind.DUPLICATE_HOUSEHOLD_NO, *ids)]
    tree.a.sql("UPDATE household SET number = '13' WHERE id = ?", (ids[0],))
    tree.settle()
    assert [case[0] for case in cases(tree.a)] == [case_id(CaseKind.DUPLICATE_HOUSEHOLD_NO, *ids[1:])]
    insert(tree.a, "household", number="12", kind="family")
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_HOUSEHOLD_NO) == {"a": 1}


# --- one event twice ------------------------------------------------------------------------------------------------


def test_one_birth_recorded_twice_within_a_week(tree: Registers) -> None:
    of = mother(tree.a)
    birth(tree.a, mother_id=of, born_on="2026-03-01")
    birth(tree.b, mother_id=of, born_on="2026-03-06")
    birth(tree.b, mother_id=of, born_on="2025-01-01")
    tree.settle()
    assert tree.found_at(CaseKind.TWIN_EVENT) == {"district": 1}


def test_twins_are_two_births(tree: Registers) -> None:
    of = mother(tree.a)
    one = person(tree.a, birth_date="2026-03-01", mother_id=of)
    other = person(tree.a, birth_date="2026-03-01", mother_id=of)
    birth(tree.a, mother_id=of, child_id=one, born_on="2026-03-01")
    birth(tree.a, mother_id=of, child_id=other, born_on="2026-03-01")
    birth(tree.a, mother_id=mother(tree.a), born_on="2026-03-01", sex=1)
    tree.settle()
    assert [cases(node) for node in tree.nodes] == [[]] * 5


def test_a_second_death_of_one_person_also_when_two_rows_are_linked(tree: Registers) -> None:
    gone = person(tree.a, residence="deceased")
    first = death(tree.a, gone)
    second = death(tree.a, gone, "2026-05-03")
    tree.settle()
    assert tree.found_at(CaseKind.TWIN_EVENT) == {"a": 1}
    tree.a.sql("DELETE FROM death WHERE id = ?", (second,))
    tree.settle()
    assert tree.found_at(CaseKind.TWIN_EVENT) == {}
    same = person(tree.b, residence="deceased")
    other = death(tree.b, same, "2026-05-03")
    tree.settle()
    assert tree.found_at(CaseKind.TWIN_EVENT) == {}
    link(tree, gone, same)
    tree.settle()
    assert tree.found_at(CaseKind.TWIN_EVENT) == {"district": 1}
    assert cases(tree.district)[0][0] == case_id(CaseKind.TWIN_EVENT, first, other)


# --- moves ----------------------------------------------------------------------------------------------------------


def test_departure_without_arrival_is_an_exception_after_ninety_days(tree: Registers) -> None:
    left = person(tree.a, residence="departed")
    gone = move(tree.a, left, "departure", "2026-09-01")
    came = move(tree.c, person(tree.c), "arrival", "2026-09-02")
    tree.settle()
    tree.later(60)
    assert tree.found_at(CaseKind.DEPARTURE_WITHOUT_ARRIVAL) == {}
    tree.later(30)
    assert tree.found_at(CaseKind.DEPARTURE_WITHOUT_ARRIVAL) == {"province": 1}
    assert tree.found_at(CaseKind.ARRIVAL_WITHOUT_DEPARTURE) == {"province": 1}
    for node, row in ((tree.a, gone), (tree.c, came)):
        node.sql("UPDATE migration SET match_id = '01900000-0000-7000-8000-00000000abcd' WHERE id = ?", (row,))
    tree.settle()
    assert tree.found_at(CaseKind.DEPARTURE_WITHOUT_ARRIVAL) == {}
    assert tree.found_at(CaseKind.ARRIVAL_WITHOUT_DEPARTURE) == {}


def test_a_move_is_matched_where_both_ends_are_seen_and_each_unit_sees_its_own_end(tree: Registers) -> None:
    left = person(tree.a, residence="departed")
    gone = move(tree.a, left, "departure", "2026-09-01")
    here = person(tree.b)
    came = move(tree.b, here, "arrival", "2026-09-03")
    tree.settle()
    link(tree, left, here)
    tree.settle()
    tree.later(200)
    assert [cases(node) for node in tree.nodes] == [[]] * 5
    query = "SELECT migration_id, state, method FROM move_match ORDER BY migration_id"
    both = sorted([(gone, "matched", "link"), (came, "matched", "link")])
    assert tree.district.rows(query) == both
    assert tree.province.rows(query) == both
    assert tree.a.rows(query) == [(gone, "matched", "link")]
    assert tree.b.rows(query) == [(came, "matched", "link")]
    counted = "SELECT sum(n) FROM v_population WHERE residence IN ('usual', 'absent') AND unit_id IN (?, ?)"
    assert int(tree.province.value(counted, (tree.a.unit_id, tree.b.unit_id))) == 1
    tree.b.sql("DELETE FROM migration WHERE id = ?", (came,))
    tree.settle()
    assert tree.district.value("SELECT count(*) FROM move_match WHERE state = 'apart'") == 2
    assert tree.found_at(CaseKind.DEPARTURE_WITHOUT_ARRIVAL) == {"province": 1}


# --- references and rules -------------------------------------------------------------------------------------------


def test_a_reference_that_stays_unresolved_is_found_after_its_grace_until_the_row_comes(tree: Registers) -> None:
    nobody = f"01900000-0000-7000-8000-0000{tree.b.keys.tag}"
    person(tree.a, mother_id=nobody)
    tree.settle()
    assert tree.found_at(CaseKind.UNRESOLVED_REFERENCE) == {}
    tree.later(15)
    assert tree.found_at(CaseKind.UNRESOLVED_REFERENCE) == {"district": 1}
    mother(tree.b, id=nobody)
    tree.settle()
    assert tree.found_at(CaseKind.UNRESOLVED_REFERENCE) == {}


def test_an_id_that_no_known_node_minted_is_missed_by_the_province(tree: Registers) -> None:
    birth(tree.a, mother_id="01900000-0000-7000-8000-0000deadbeef")
    tree.settle()
    tree.later(15)
    assert tree.found_at(CaseKind.UNRESOLVED_REFERENCE) == {"province": 1}


def test_rules_across_rows_name_the_rule_and_end_with_its_cause(tree: Registers) -> None:
    man, girl = person(tree.a), mother(tree.a, birth_date="2020-01-01")
    child = person(tree.a, sex=2, birth_date="2026-02-01")
    births = [birth(tree.a, mother_id=man), birth(tree.a, mother_id=girl), birth(tree.a, child_id=child)]
    late = mother(tree.a)
    birth(tree.a, mother_id=late, born_on="2025-12-01")
    births.append(birth(tree.a, mother_id=late, born_on="2026-04-01"))
    dead = person(tree.a, birth_date="2026-06-01", residence="deceased")
    died = death(tree.a, dead, "2026-05-01")
    tree.settle()
    rules = sorted(detail["rule"] for _, _, detail in cases(tree.a, CaseKind.RULE_VIOLATED))
    assert rules == [
        "births_too_close", "child_birth_date", "child_sex", "death_before_birth", "mother_age", "mother_not_female",
    ]  # fmt: skip
    for row in births:
        tree.a.sql("DELETE FROM birth WHERE id = ?", (row,))
    tree.a.sql("UPDATE death SET died_on = '2026-07-01' WHERE id = ?", (died,))
    tree.settle()
    assert cases(tree.a) == []


def test_a_person_marked_dead_or_gone_without_the_event_and_the_other_way_round(tree: Registers) -> None:
    dead = person(tree.a, residence="deceased")
    gone = person(tree.a, residence="departed")
    alive = person(tree.a)
    of_alive = death(tree.a, alive)
    tree.settle()
    assert cases(tree.a) == []
    tree.later(8)
    rules = sorted(detail["rule"] for _, _, detail in cases(tree.a))
    assert rules == ["death_not_marked", "deceased_without_death", "departed_without_departure"]
    died = death(tree.a, dead)
    move(tree.a, gone, "departure")
    tree.a.sql("DELETE FROM death WHERE id = ?", (of_alive,))
    tree.settle()
    assert cases(tree.a) == []
    tree.a.sql("DELETE FROM death WHERE id = ?", (died,))
    tree.settle()
    tree.later(8)
    assert [detail["rule"] for _, _, detail in cases(tree.a)] == ["deceased_without_death"]


def test_a_mother_of_another_commune_is_judged_above_both(tree: Registers) -> None:
    birth(tree.a, mother_id=person(tree.b))
    tree.settle()
    assert tree.found_at(CaseKind.RULE_VIOLATED) == {"district": 1}


# --- clocks, crashes, rest ------------------------------------------------------------------------------------------


def test_a_station_a_year_ahead_is_a_case_at_the_station_and_at_its_parent_until_its_clock_is_right(
    tree: Registers,
) -> None:
    right = tree.a.node.clock
    tree.a.node.clock = lambda: right() + 365 * DAY_MS
    tree.settle()
    assert tree.found_at(CaseKind.CLOCK_FAR_OFF) == {"a": 1, "district": 1}
    both = [*cases(tree.a), *cases(tree.district)]
    found = {round(detail["offset_s"] * 1000 / DAY_MS) for _, _, detail in both}
    assert found == {365}
    tree.a.node.clock = right
    tree.settle()
    assert tree.found_at(CaseKind.CLOCK_FAR_OFF) == {}


def test_what_a_crash_kept_from_being_looked_at_is_looked_at_by_the_next_process(tree: Registers) -> None:
    person(tree.a, citizen_id=CITIZEN_ID)
    person(tree.a, citizen_id=CITIZEN_ID)
    tree.a.node.write()
    tree.a.reopen()
    tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_CITIZEN_ID) == {"a": 1}


def test_a_quiet_node_reads_no_rows_and_writes_nothing(tree: Registers) -> None:
    person(tree.a)
    tree.settle()
    mark = tree.a.store.change_mark()
    detector = tree.a.node._detector()
    assert detector.run(tree.a.node.tree()).rows == 0
    assert tree.a.store.change_mark() == mark
    assert tree.a.node.look_again_s() is None


def test_a_large_group_is_looked_at_in_turns(tree: Registers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.limits.DETECT_ROWS", 10)
    tree.a.sql(
        "INSERT INTO household (number, kind) VALUES " + ", ".join("('7', 'family')" for _ in range(6)),
    )
    for number in range(30):
        insert(tree.a, "household", number=str(100 + number), kind="family")
        tree.a.node.write()
    for _ in range(8):
        tree.settle()
    assert tree.found_at(CaseKind.DUPLICATE_HOUSEHOLD_NO) == {"a": 1}


def link(tree: Registers, one: str, other: str) -> None:
    """As the district's officer says that two rows are one person."""
    rows = tree.district.rows("SELECT id, unit_id FROM person WHERE id IN (?, ?)", (one, other))
    with tree.district.store.write("link") as tx:
        for person_id, unit_id in rows:
            tx.run(
                "INSERT INTO person_link (unit_id, link_id, person_id, state, method, score, decided_by, decided_at)"
                " VALUES (?, '01900000-0000-7000-8000-00000000aaaa', ?, 'linked', 'person', 1000, 'cán bộ',"
                " '2026-09-21T00:00:00Z')",
                (unit_id, person_id),
            )


# --- codes ----------------------------------------------------------------------------------------------------------


def test_a_code_that_is_in_no_list_is_a_case_until_it_is_mended_or_listed(tree: Registers) -> None:
    with tree.province.store.write("test") as tx:
        load_codes(tx, package_codes())
    tree.settle()
    fine = person(tree.a)
    ids = [person(tree.a, ethnic="zz"), person(tree.a, education="99"), person(tree.b, ethnic="zz")]
    tree.settle()
    assert tree.found_at(CaseKind.RULE_VIOLATED) == {"a": 2, "b": 1}
    found = {case for node in (tree.a, tree.b) for case, _, _ in cases(node, CaseKind.RULE_VIOLATED)}
    rules = ("unknown_code:ethnic", "unknown_code:education", "unknown_code:ethnic")
    assert found == {case_id(CaseKind.RULE_VIOLATED, rule, row) for rule, row in zip(rules, ids, strict=True)}
    with tree.a.store.write("clerk") as tx:
        tx.run("UPDATE person SET education = '05' WHERE id = ?", (ids[1],))
        tx.run("UPDATE person SET marital = '77' WHERE id = ?", (fine,))
    tree.settle()
    rules_at_a = {detail["rule"] for _, _, detail in cases(tree.a, CaseKind.RULE_VIOLATED)}
    assert rules_at_a == {"unknown_code:ethnic", "unknown_code:marital"}
    with tree.province.store.write("test") as tx:
        tx.run("INSERT INTO code (list_name, version, code, name) VALUES ('ethnic', 2, 'zz', 'Thử')")
    tree.settle()
    tree.later(1)
    assert tree.found_at(CaseKind.RULE_VIOLATED) == {"a": 1}


def test_a_day_that_cannot_be_is_a_case_until_it_is_mended(tree: Registers) -> None:
    ids = [person(tree.a, birth_date=day) for day in ("0081-03-05", "2099-01-01", "1850-01-01", "1980-01-01")]
    died = person(tree.a, birth_date="1901-01-01", residence="departed")
    tree.settle()
    rules = ("date_long_ago:birth_date", "date_ahead:birth_date", "date_long_ago:birth_date")
    expected = {case_id(CaseKind.RULE_VIOLATED, rule, row) for rule, row in zip(rules, ids[:3], strict=True)}
    assert {case for case, _, detail in cases(tree.a, CaseKind.RULE_VIOLATED) if "date" in detail["rule"]} == expected
    with tree.a.store.write("clerk") as tx:
        tx.run("UPDATE person SET birth_date = '1981-03-05' WHERE id IN (?, ?, ?)", ids[:3])
        tx.run("UPDATE person SET birth_date = '0081-03-05' WHERE id = ?", (died,))
        tx.run("UPDATE household SET opened_on = '2099-01-01', closed_on = '0001-01-01'")
    tree.settle()
    found = [detail["rule"] for _, _, detail in cases(tree.a, CaseKind.RULE_VIOLATED) if "date" in detail["rule"]]
    assert set(found) <= {"date_long_ago:birth_date", "date_ahead:opened_on", "date_long_ago:closed_on"}
    assert found.count("date_long_ago:birth_date") == 1


def test_a_list_speaks_against_more_rows_than_fit_into_a_turn(tree: Registers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.limits.DETECT_FOUND_MAX", 2)
    for _ in range(5):
        person(tree.a, ethnic="zz", marital="77")
    tree.settle()
    tree.a.reopen()
    tree.settle()
    with tree.province.store.write("test") as tx:
        load_codes(tx, package_codes())
    for _ in range(8):
        tree.settle()
    assert tree.found_at(CaseKind.RULE_VIOLATED) == {"a": 10}


def test_a_list_of_any_length_speaks_against_rows_when_it_has_changed(tree: Registers) -> None:
    person(tree.a, ethnic="zz")
    count = 33_000 if tree.a.dsn is None else 3  # more than SQLite takes values in a statement
    with tree.a.store.apply("as it comes from the root") as tx:
        tx.many(
            "INSERT INTO code (list_name, version, code, name) VALUES ('ethnic', 1, ?, 'x')",
            [(f"{n}",) for n in range(count)],
        )
    registry = tree.a.store.registry
    with tree.a.store.read() as tx:
        noted = seen_anew(tx, registry, Seen(lists={"marital": {"1"}}))
        assert list(noted.left) == [("person", "ethnic")], "the one that has changed, and only while it is here"
        found, after = spoken_against(tx, registry, noted)
        assert (len(found), after.left) == (1, {})
        assert spoken_against(tx, registry, after) == ([], after)
        assert seen_anew(tx, registry, after) == after


def test_a_list_that_comes_after_the_rows_speaks_against_them(tree: Registers) -> None:
    person(tree.a, ethnic="zz")
    person(tree.b)
    tree.settle()
    assert tree.found_at(CaseKind.RULE_VIOLATED) == {}
    with tree.province.store.write("test") as tx:
        load_codes(tx, package_codes())
    tree.settle()
    assert tree.found_at(CaseKind.RULE_VIOLATED) == {"a": 1}
