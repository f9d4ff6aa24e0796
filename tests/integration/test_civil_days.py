"""A day is one of the country's calendar in everything that asks which day it is, early in the morning and at night.

At 06:30 of 1 December in Hanoi it is 30 November in UTC; at 23:30 it is 1 December in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conflict.case import CaseKind
from syncd.admission import unit_of_code
from syncd.clock import UTC_OFFSET_MIN, beginning_of, day_of, instant_of, live_at, time_ms_of
from syncd.config import Config, load_config
from syncd.errors import UsageError
from syncd.expiry import expires_at
from syncd.inputs.figures import month_of
from syncd.inputs.persons_csv import preview_persons
from syncd.keeping import unit_named
from syncd.startup import note_days
from tests.integration.registers import move, person
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder
from tests.unit.inputs.builders import UNIT, sqlite_store

DAY = "2026-12-01"
TIMES = {"06:30": "2026-11-30T23:30:00.000Z", "23:30": "2026-12-01T16:30:00.000Z"}
BORN = "household_number;line_no;full_name;sex;birth_date;ethnic\n"


@pytest.fixture(autouse=True)
def usual_days() -> Iterator[None]:
    yield
    live_at(UTC_OFFSET_MIN)


@pytest.mark.parametrize("instant", TIMES.values(), ids=TIMES)
def test_all_that_asks_for_the_day_means_the_countrys(tmp_path: Path, instant: str) -> None:
    now_ms = time_ms_of(instant)
    assert (day_of(now_ms), month_of(now_ms)) == (DAY, "2026-12")
    assert instant_of(beginning_of(DAY)) == "2026-11-30T17:00:00.000Z"
    assert expires_at("01/12/2026", now_ms) == "2026-12-01T17:00:00.000Z"
    with pytest.raises(UsageError):
        expires_at("30/11/2026", now_ms)
    store = sqlite_store(tmp_path / "node.db", depth=2)
    try:
        path = tmp_path / "born.csv"
        for day, refused in (("01/12/2026", 0), ("02/12/2026", 1)):
            path.write_text(f"{BORN}1;1;Trịnh Văn Sớm;1;{day};01\n", encoding="utf-8")
            report = preview_persons(store, path, unit_id=UNIT, clock=lambda: now_ms)
            assert report.households_refused == refused
    finally:
        store.close()


@pytest.mark.parametrize(("instant", "stands"), [*((each, 1) for each in TIMES.values()), ("2026-11-30T16:30:00Z", 0)])
def test_a_unit_and_a_case_begin_with_the_countrys_day(tmp_path: Path, instant: str, stands: int) -> None:
    builder = TreeBuilder(tmp_path)
    province = builder.root("province", "42")
    commune = builder.child(province, "a", "42501")
    builder.settle()
    builder.clock.now_ms = time_ms_of(instant)
    with province.store.write("test") as tx:
        for name, valid_from, valid_to in (("old", None, DAY), ("new", DAY, None)):
            tx.run(
                "INSERT INTO unit (parent_id, level, code, name, valid_from, valid_to)"
                " VALUES (?, 'commune', '42777', ?, ?, ?)",
                (province.unit_id, name, valid_from, valid_to),
            )
        expected = "new" if stands else "old"
        assert unit_of_code(tx, "42777", day_of(builder.clock.now_ms)).name == expected
        assert tx.value("SELECT name FROM unit WHERE id = ?", (unit_named(province.node, tx, "42777"),)) == expected
    # Ninety days before 1 December: on that day the move is overdue.
    move(commune, person(commune), "departure", moved_on="2026-09-02")
    builder.settle()
    alone = province.rows(
        "SELECT count(*) FROM syncd_case WHERE kind = ? AND closed_at IS NULL", (CaseKind.DEPARTURE_WITHOUT_ARRIVAL,)
    )
    assert alone == [(stands,)]


@pytest.mark.parametrize("is_sqlite", [True, False], ids=["sqlite", "postgres"])
def test_views_count_days_as_the_setting_says(
    is_sqlite: bool, tmp_path: Path, postgres_server: PostgresServer
) -> None:  # fmt: skip
    dsn = None if is_sqlite else postgres_server.create_database()
    builder = TreeBuilder(tmp_path)
    province = builder.root("province", "42", dsn)
    builder.settle()
    with province.store.write("test") as tx:
        tx.run(
            "INSERT INTO unit (parent_id, level, code, name, valid_from) VALUES (?, 'commune', '42778', 'x', ?)",
            (province.unit_id, (datetime.now(UTC) + timedelta(minutes=840)).date().isoformat()),
        )
    for offset, count in ((840, 1), (-720, 0), (840, 1)):  # 26 hours apart: never the same day
        note_days(province.store, Config(utc_offset_min=offset))
        assert province.value("SELECT count(*) FROM v_completeness WHERE unit_code = '42778'") == count


def test_the_offset_is_a_setting_and_bounded(tmp_path: Path) -> None:
    assert Config().utc_offset_min == UTC_OFFSET_MIN == 420
    live_at(0)
    assert day_of(time_ms_of(TIMES["06:30"])) == "2026-11-30"
    (tmp_path / "syncd.toml").write_text("utc_offset_min = 900\n", encoding="utf-8")
    with pytest.raises(Exception, match="-720"):
        load_config(tmp_path, {})
