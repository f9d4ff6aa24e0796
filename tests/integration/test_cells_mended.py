"""Cells that something else has written to: a recount names unit, measure and difference, and they are put right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import limits
from syncd.aggregate import recount
from syncd.cli.case_words import case_words
from syncd.cli.program import run as syncd
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.node_files import OpenNode, open_node
from syncd.recovery import cells, nightly
from syncd.recovery.contents import TableDifference, differences, own_streams
from syncd.store.base import Tx
from syncd.upkeep import run as upkeep
from tests.postgres import PostgresServer

PEOPLE = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES ('A', 1, '1980-02-29', 'd', '01', 'usual'), ('B', 2, '1980-02-03', 'd', '01', 'usual')"
)
FLOWS = (
    "INSERT INTO death (person_id, died_on, sex) SELECT id, '2026-03-05', sex FROM person WHERE full_name = 'A'",
    "INSERT INTO migration (person_id, direction, moved_on) SELECT id, 'arrival', '2026-01-02' FROM person",
)
DAMAGE = {  # statement → measure, cells, counted, records
    "UPDATE syncd_cell_stock SET n = n + 1 WHERE sex = 1": ("population", 1, 2, 1),
    "DELETE FROM syncd_cell_stock": ("population", 2, 0, 2),
    "UPDATE syncd_cell_stock SET month = '1981-02' WHERE sex = 1": ("population", 2, 1, 1),
    "UPDATE syncd_cell_flow SET n = 7 WHERE kind = 'death'": ("death", 1, 7, 1),
    "UPDATE syncd_cell_flow SET n = 0 WHERE kind = 'arrival'": ("arrival", 1, 0, 2),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer
) -> Iterator[OpenNode]:
    """A root whose register has two persons, with what befell them."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    database = request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else "sqlite"
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), Config(database=database))
    found = open_node(tmp_path)
    with found.store.write("clerk") as tx:
        for statement in (PEOPLE, *FLOWS):
            tx.run(statement)
    found.node.write()
    yield found
    found.close()


def against_own_log(tx: Tx, opened: OpenNode) -> list[TableDifference]:
    return [each for at in own_streams(tx) for each in differences(tx, opened.node.applier, at)]


def damage(opened: OpenNode, statement: str) -> None:
    with opened.store.write("stranger") as tx:
        assert tx.run(statement) > 0


def recounted(opened: OpenNode) -> list[str]:
    with opened.store.read() as tx:
        return recount(tx, opened.store.registry)


def test_every_damage_is_named_and_mended(opened: OpenNode, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--dir", str(opened.directory)]
    for statement, (measure, differing, counted, records) in DAMAGE.items():
        damage(opened, statement)
        capsys.readouterr()
        assert syncd(["verify", "--full", "--json", *where]) == 1
        (told,) = json.loads(capsys.readouterr().out)["cells"]
        assert (told["measure"], told["cells"]) == (measure, differing)
        assert (told["counted"], told["records"]) == (counted, records)
        assert told["unit"] == "42 Tỉnh thử"
        assert syncd(["repair", "--dry-run", *where]) == 0
        assert recounted(opened) != [], "only asked"
        assert syncd(["repair", *where]) == 0
        assert recounted(opened) == [], statement
        assert syncd(["verify", "--full", *where]) == 0
    damage(opened, next(iter(DAMAGE)))
    assert syncd(["verify", "--full", *where]) == 1
    said = capsys.readouterr().out
    assert "Figures of 42 Tỉnh thử, population: 1 cells differ; they say 2, the records 1" in said
    assert "syncd repair" in said


def test_the_nightly_look_mends_and_leaves_a_case(opened: OpenNode) -> None:
    upkeep(opened, opened.config)
    cases = "SELECT kind, detail, unit_id FROM syncd_case WHERE closed_at IS NULL"
    with opened.store.read() as tx:
        assert tx.all(cases) == []
    damage(opened, next(iter(DAMAGE)))
    upkeep(opened, opened.config)
    assert recounted(opened) == []
    with opened.store.read() as tx:
        ((kind, detail, unit_id),) = tx.all(cases)
    assert unit_id == opened.facts["unit_id"]
    words = dict(case_words(kind, detail, "42 Tỉnh thử", ""))
    assert "population" in words["happened"]
    upkeep(opened, opened.config)
    with opened.store.read() as tx:
        assert len(tx.all(cases)) == 1, "it stays until somebody has read it, and comes once"


def test_what_went_past_the_triggers_is_found_the_same_night(opened: OpenNode) -> None:
    """As by a connection that switches triggers off for itself: no catalogue tells of it."""
    with opened.store.apply("unseen") as tx:
        tx.run("UPDATE person SET ethnic = '07' WHERE full_name = 'A'")
    upkeep(opened, opened.config)
    with opened.store.read() as tx:
        assert tx.one("SELECT 1 FROM syncd_journal") is None, "it is in the log"
        assert against_own_log(tx, opened) == []
        (detail,) = (row[0] for row in tx.all("SELECT detail FROM syncd_case WHERE closed_at IS NULL"))
    assert json.loads(detail)["what"] == "found"
    assert recounted(opened) == []
    mark = opened.store.change_mark()
    assert nightly.compare(opened.node) > 1
    assert opened.store.change_mark() == mark, "where nothing differs nothing is written"


def test_a_day_that_is_too_short_goes_on_where_the_one_before_ended(
    opened: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = nightly.compare(opened.node)
    monkeypatch.setattr(limits, "COMPARE_DAILY_S", 0.0)
    seen = set()
    for _ in range(streams):
        assert nightly.compare(opened.node) == 1
        with opened.store.read() as tx:
            seen.add(tx.value("SELECT value FROM syncd_meta WHERE key = ?", (nightly.GO_ON,)))
    assert len(seen) == streams > 1
    monkeypatch.undo()
    assert nightly.compare(opened.node) == streams
    with opened.store.read() as tx:
        assert tx.value("SELECT value FROM syncd_meta WHERE key = ?", (nightly.GO_ON,)) == ""


def test_what_waits_for_the_log_is_no_difference(opened: OpenNode) -> None:
    """Cells follow the log: a change that a clerk has just committed is not judged, nor counted twice by mending."""
    damage(opened, next(iter(DAMAGE)))
    with opened.store.write("clerk") as tx:
        tx.run("UPDATE person SET ethnic = '02'")
        tx.run(PEOPLE)
    with opened.store.read() as tx:
        assert cells.differences(tx, opened.store.registry) == []
    assert [each.measure for each in cells.mend(opened.node)] == ["population"]
    opened.node.write()
    assert recounted(opened) == []
