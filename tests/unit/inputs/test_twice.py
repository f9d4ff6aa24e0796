"""Generated people who are written twice: seeded, agreed among units, noisy as hands are, with the truth beside."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from random import Random

import pytest

from schema.values import check_row
from syncd.errors import UsageError
from syncd.inputs import noise
from syncd.inputs.generate import TABLES, generate
from syncd.inputs.twice import MOVE, TWIN, Shares, WrittenHousehold, place_of, stories, written
from syncd.inputs.twice_rows import Truth, batches_twice, generate_twice, write_truth
from tests.unit.inputs.builders import TAG, UNIT, count, sqlite_store

TODAY = date(2026, 11, 20)
SHARES = Shares(duplicates=20, moves=30, twins=20, strangers=10, typing_errors=400)
WORLD = {"seed": 3, "units": 4, "persons": 1_500, "shares": SHARES, "today": TODAY}


def homes(unit: int, **changed: object) -> list[WrittenHousehold]:
    return list(written(unit=unit, **{**WORLD, **changed}))  # type: ignore[arg-type]  # what the tests change


def test_each_unit_tells_its_part_of_the_same_stories() -> None:
    apart = [home for unit in (1, 2, 3, 4) for home in homes(unit)]
    together = list(stories(**WORLD))  # type: ignore[arg-type]  # as above
    assert sorted(map(repr, apart)) == sorted(map(repr, together))
    assert homes(1) == homes(1) != homes(1, seed=4)


def test_who_moves_is_one_entity_in_two_units() -> None:
    sides: dict[str, set[int]] = defaultdict(set)
    for home in stories(**WORLD):  # type: ignore[arg-type]  # as above
        for person in home.people:
            if person.kind == MOVE:
                sides[person.entity].add(home.unit)
    movers = [units for units in sides.values() if len(units) == 2]
    assert 4 * 1_500 * 0.03 * 0.9 < len(movers) < 4 * 1_500 * 0.03 * 1.4


def test_one_unit_alone_has_duplicates_but_no_moves() -> None:
    kinds = Counter(person.kind for home in homes(1, units=1) for person in home.people)
    assert kinds["duplicate"] > 0
    assert MOVE not in kinds


def test_twins_share_day_mother_and_family_and_differ_in_name() -> None:
    seen = 0
    for home in homes(1, shares=Shares(twins=50, typing_errors=0)):
        if home.people[0].kind != TWIN or len(home.people) != 4 or home.people[2].entity == "":
            continue
        one, other = home.people[2].papers, home.people[3].papers
        assert one.born == other.born
        assert one.member.mother == other.member.mother is not None
        assert one.member.name != other.member.name
        assert one.member.name.split()[0] == other.member.name.split()[0]
        seen += 1
    assert seen > 10


def test_written_rows_obey_the_rules_and_the_truth_names_them_by_id_alone(tmp_path: Path) -> None:
    persons: list[str] = []
    truth: list[Truth] = []
    for rows, known in batches_twice(tag=TAG, unit_id=UNIT, seed=3, today=TODAY, households=homes(2)):
        for table, names in TABLES:
            for values in rows[table.name]:
                assert not check_row(table, dict(zip(names, values, strict=True)))
        persons += [str(row[0]) for row in rows["person"]]
        truth += known
    assert {each.person_id for each in truth} <= set(persons)
    assert len(set(persons)) == len(persons)
    write_truth(tmp_path / "truth.csv", truth)
    with (tmp_path / "truth.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["person_id"] for line in lines] == [each.person_id for each in truth]
    assert set(lines[0]) == {"person_id", "unit_id", "entity", "kind", "errors"}


def test_stories_are_written_beside_a_generated_register(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "node.db")
    base = generate(store, unit_id=UNIT, persons=50, seed=3, today=TODAY)
    more, truth = generate_twice(store, unit_id=UNIT, seed=3, today=TODAY, households=homes(1))
    both = base.plus(more)
    assert (count(store, "person"), count(store, "household")) == (both.persons, both.households)
    assert count(store, "migration") == both.migrations
    assert len(truth) > 50
    numbers = store.read()
    with numbers as tx:
        assert tx.value("SELECT count(*) - count(DISTINCT number) FROM household") == 0
    store.close()


@pytest.mark.parametrize("share", ["", "0/3", "4/3", "a/b", "1", "1/99999999"])
def test_a_place_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(UsageError):
        place_of(share)


def test_a_place_among_units_is_read() -> None:
    assert place_of("2/6") == (2, 6)


def test_every_slip_of_a_name_changes_what_it_says_it_changes() -> None:
    name = "Nguyễn Thị Hòa"
    made = {kind: slip(Random(5), name) for kind, (_, slip) in noise.NAME_SLIPS.items()}
    assert made["bare"] == "Nguyen Thi Hoa"
    assert made["upper"] == "NGUYỄN THỊ HÒA"
    assert made["telex"] == "Nguyeenx Thij Hoaf"
    assert made["vni"] == "Nguye6n4 Thi5 Hoa2"
    assert made["no_middle"] == "Nguyễn Hòa"
    assert made["given_first"] == "Hòa Nguyễn Thị"
    assert made["tone_place"] == "Nguyễn Thị Hoà"
    assert unicodedata.normalize("NFC", made["decomposed"]) == name
    assert noise.bare(made["tone"]) == noise.bare(name)
    assert made["letter"] != name != made["heard"]


def test_slips_of_dates_are_dates_or_say_that_only_the_year_is_known() -> None:
    random = Random(1)
    for _ in range(300):
        born, precision, kind = noise.typed_birth(random, "1990-05-11")
        date.fromisoformat(born)
        assert precision == ("y" if kind == "to_year" else "d")
        assert kind == "to_year" or born != "1990-05-11"


def test_a_wrong_digit_keeps_the_length() -> None:
    random = Random(1)
    for _ in range(200):
        typed = noise.typed_digits(random, "012345678901")
        assert len(typed) == 12
        assert typed.isdigit()
