"""A station is stolen and replaced; a commune's own PC takes over what its district typed: real daemons, commands."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import enrolment
from tests.acceptance.processes import Station, Tree
from tests.waiting import until

STOLEN, FREE, DISTRICT = "42501", "42502", "425"
HOUSEHOLD = "INSERT INTO household (unit_id, number, kind) SELECT id, '{}', 'family' FROM unit WHERE code = '{}'"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """A running province and district; the units below have no station yet."""
    with contextlib.closing(Tree(tmp_path)) as found:
        province = found.root(units={DISTRICT: [STOLEN, FREE]})
        found.join(province, DISTRICT, hub=True).start()
        yield found


def numbers(at: Station, code: str) -> list[str]:
    query = f"SELECT number FROM household WHERE unit_id = (SELECT id FROM unit WHERE code = '{code}') ORDER BY 1"
    return [row[0] for row in at.rows(query)]


def types(at: Station, number: str, code: str) -> None:
    done = at.command("sql", HOUSEHOLD.format(number, code))
    assert done.returncode == 0, done.stderr


def successor(tree: Tree, parent: Station, code: str) -> Station:
    """Another machine for a unit that a station keeps."""
    done = parent.command("token", "--unit", code, "--successor")
    assert done.returncode == 0, done.stderr
    settings, directory = tree._settings(hub=False, database="sqlite"), tree.folder / f"{code}-new"
    station = tree._add(directory, code, enrolment.join(directory, done.stdout.strip(), settings), settings)
    station.start()
    return station


def refusal(at: Station) -> str | None:
    """What a running station last heard from its parent; its database learns of it only now and then."""
    return json.loads(at.command("status", "--json").stdout)["parent"]["last_error"]  # type: ignore[no-any-return]


def test_stolen_station_is_replaced_from_what_the_province_holds(tree: Tree) -> None:
    province, district = tree.stations
    old = tree.join(district, STOLEN)
    old.start()
    tree.keeps(old)
    types(old, "1", STOLEN)
    tree.rest()
    old.stop()
    types(old, "2", STOLEN)  # by the thief; the province has never seen it
    new = successor(tree, district, STOLEN)
    until(lambda: province.one(f"SELECT 1 FROM node WHERE node_id = '{new.node_id}'"), "the province knows the new PC")
    arguments = ("replace", STOLEN, "--to", new.node_id, "--stolen", "--reason", "mất trộm")
    said = province.command(*arguments, "--dry-run")
    assert "The old keeper is not asked: its register ends at position" in said.stdout
    assert "A preview: nothing was done." in said.stdout
    said = province.command(*arguments, "--dry-run", SYNCD_LANGUAGE="vi")
    assert "Máy cũ không được hỏi" in said.stdout
    assert "Xem trước, chưa làm gì." in said.stdout
    assert numbers(new, STOLEN) == []
    said = province.command(*arguments, "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["forced"] is True
    until(lambda: new.one("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the new PC keeps the unit")
    types(new, "3", STOLEN)
    stations = (new, district, province)
    until(lambda: all(numbers(each, STOLEN) == ["1", "3"] for each in stations), "every tier shows the unit")
    old.start()
    until(lambda: "not enrolled any more: it was revoked" in (refusal(old) or ""), "the stolen PC is refused")
    assert "đã bị thu hồi" in old.command("status", SYNCD_LANGUAGE="vi").stdout
    old.stop()
    tree.stations.remove(old)
    tree.rest()
    assert numbers(province, STOLEN) == ["1", "3"]
    answers = (tree.folder / f"{DISTRICT}.log").read_text(encoding="utf-8").count("served-pull")
    assert answers < 60, "the same envelopes are sent over and over to a child that refuses them"
    assert "hand_overs" in json.loads(province.command("status", "--json").stdout)
    assert json.loads(province.command("status", "--json").stdout)["hand_overs"] == []


def test_commune_s_own_pc_takes_over_what_its_district_typed(tree: Tree) -> None:
    province, district = tree.stations
    until(lambda: district.one(f"SELECT 1 FROM unit WHERE code = '{FREE}'"), "the district knows the unit")
    said = district.command("handover", FREE, "--to", "self")
    assert said.returncode == 0, said.stderr
    tree.keeps(district)
    for number in ("1", "2", "3"):
        types(district, number, FREE)
    commune = tree.join(district, FREE)
    commune.start()
    until(lambda: commune.one("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    assert numbers(commune, FREE) == ["1", "2", "3"]
    types(commune, "4", FREE)
    refused = district.command("sql", HOUSEHOLD.format("5", FREE))
    assert refused.returncode == 77
    tree.rest()
    for station in (commune, district, province):
        assert numbers(station, FREE) == ["1", "2", "3", "4"]
