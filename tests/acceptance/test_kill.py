"""SIGKILL at random: commune, district and province die and come back while two programs keep committing at communes.

Afterwards every committed row is at the province exactly once with equal content, and a recount by plain SQL agrees
everywhere. Counted per stage (what each thread of the victim was in at its death); at least `INSIDE_SHARE` die inside
push, accept or pull: to get there, a part of the kills waits until the victim is in such a stage, the others strike
blindly.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.failpoint import read_stages
from tests.acceptance import recount
from tests.acceptance.processes import Station, Tree
from tests.acceptance.writers import TABLES, Writer
from tests.postgres import PostgresServer
from tests.waiting import until

# Writers who type at random record one death twice and the like: those cases are right, whatever they are.
ALARMS = (
    "SELECT kind, detail FROM syncd_case WHERE closed_at IS NULL"
    " AND kind IN ('fork', 'writes_beyond_term', 'checkpoint_mismatch', 'clock_far_off')"
)
SEED_VARIABLE = "SYNCD_TEST_KILL_SEED"
INSIDE_SHARE = 0.3
CARRYING = {"push", "accept", "pull"}
AIMED_SHARE = 0.6
AIM_S_MAX = 1.0
LOOK_S = 0.0005
BLIND_S_MAX = 0.3
ACCEPTING, WRITING = ("receive", "apply"), ("sequence", "create-stream", "checkpoint", "discard", "grant", "decide")
UNITS = {"425": ["42501", "42502"]}


@pytest.fixture
def seed() -> int:
    """A fresh seed, or the one to replay; named when the test fails."""
    return int(os.environ.get(SEED_VARIABLE, int.from_bytes(os.urandom(4), "big")))


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that this test may crash."""
    with PostgresServer.start() as server:
        yield server


def test_rows_survive_random_kills_on_sqlite(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    record_property("stages", run(tmp_path, seed, "sqlite", kills=20))


def test_rows_survive_random_kills_with_postgresql_at_the_province(
    tmp_path: Path, seed: int, postgres_dsn: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("stages", run(tmp_path, seed, postgres_dsn, kills=20))


@pytest.mark.long
def test_rows_survive_a_hundred_kills_on_sqlite(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    record_property("stages", run(tmp_path, seed, "sqlite", kills=100))


@pytest.mark.long
def test_rows_survive_a_hundred_kills_and_crashes_of_postgresql(
    tmp_path: Path, seed: int, own_server: PostgresServer, record_property: Callable[[str, object], None]
) -> None:
    """The server itself loses power three times, in the middle of it all."""
    record_property("stages", run(tmp_path, seed, own_server.create_database(), kills=100, server=own_server))


def run(folder: Path, seed: int, database: str, kills: int, server: PostgresServer | None = None) -> dict[str, int]:
    """One whole run; returns how many died in which stage."""
    with replayable(seed), contextlib.closing(Tree(folder)) as tree:
        chance = random.Random(seed)
        communes = grow(tree, database)
        writers = [Writer(commune.directory, chance.randrange(2**32)) for commune in communes]
        for writer in writers:
            writer.start()
        counts = trouble(tree, chance, kills, server)
        for writer in writers:
            writer.finish()
        for station in tree.stations:
            revive(station)
        tree.rest()
        check(tree, communes, writers)
        counts["commits"] = sum(sum(writer.commits.values()) for writer in writers)
        print(f"seed {seed}: {dict(counts)}")
        assert counts["carrying"] >= INSIDE_SHARE * kills, f"too few died where it matters: {dict(counts)}"
        return dict(counts)


def grow(tree: Tree, database: str) -> list[Station]:
    """A province, a district, two communes, all running."""
    province = tree.root(database, UNITS)
    district = tree.join(province, "425", hub=True)
    district.start()
    communes = [tree.join(district, code) for code in UNITS["425"]]
    for commune in communes:
        commune.start()
    for commune in communes:
        tree.keeps(commune)
    return communes


def trouble(tree: Tree, chance: random.Random, kills: int, server: PostgresServer | None) -> Counter[str]:
    """Kill and restart, again and again; the restarted node may die before it is ready."""
    counts: Counter[str] = Counter()
    crashes = {kills // 4, kills // 2, 3 * kills // 4} if server is not None else set()
    for number in range(kills):
        victim = chance.choice(tree.stations)
        if number in crashes and server is not None:
            server.crash()
            server.recover()
            counts["postgresql crashes"] += 1
        strike(victim, chance)
        found = inside(victim.stages)
        counts.update(f"{victim_kind(victim, tree)} in {stage}" for stage in found or {"nothing"})
        counts["carrying"] += bool(found & CARRYING)
        victim.spawn({})
        if chance.random() < 0.8:
            revive(victim)
    counts["kills"] = kills
    return counts


def strike(victim: Station, chance: random.Random) -> None:
    """SIGKILL, blindly after a while or when the victim is in a stage that carries."""
    aimed = chance.random() < AIMED_SHARE
    pause = threading.Event()
    if aimed:
        deadline = time.monotonic() + AIM_S_MAX
        while not inside(victim.stages) & CARRYING and time.monotonic() < deadline:
            pause.wait(LOOK_S)
    else:
        pause.wait(chance.uniform(0.0, BLIND_S_MAX))
    victim.kill()


def inside(stages: dict[str, str]) -> set[str]:
    """What the threads of a process are in, by the points they reached last: push, pull, accept, write."""
    found: set[str] = set()
    for thread, point in stages.items():
        stage, _, moment = point.rpartition(":")
        in_transaction = moment in ("begin", "before-commit")
        if thread == "sender" and (point in ("push:before-send", "push:after-reply") or in_transaction):
            found.add("push")
        elif thread == "puller" and point != "pull:before-send":
            found.add("pull")
        elif in_transaction and stage.startswith(ACCEPTING):
            found.add("accept")
        elif in_transaction and stage.startswith(WRITING):
            found.add("write")
    return found


def victim_kind(victim: Station, tree: Tree) -> str:
    return {0: "province", 1: "district"}.get(tree.stations.index(victim), "commune")


def revive(station: Station) -> None:
    """Until the daemon answers; it may have been started a moment ago."""
    until(station._answers, f"{station.code} runs again\n{station.log[-2000:]}")


def check(tree: Tree, communes: list[Station], writers: list[Writer]) -> None:
    """Every acknowledged row at the province exactly once, with the values acknowledged; the rest by the recount."""
    province = tree.stations[0]
    for commune, writer in zip(communes, writers, strict=True):
        for table, columns in TABLES.items():
            rows = province.rows(f"SELECT {', '.join(columns)} FROM {table} WHERE unit_id = '{commune.unit_id}'")
            found = Counter(tuple(None if value is None else str(value) for value in row) for row in rows)
            wanted = Counter(
                tuple(None if row[name] is None else str(row[name]) for name in columns)
                for row in writer.rows[table].values()
            )
            assert found == wanted, (
                f"{table} of {commune.code}: lost {list(wanted - found)[:3]}, surplus {list(found - wanted)[:3]}"
            )
            assert wanted, f"nobody wrote {table}: this proves nothing"
    assert recount.differences(tree.directories()) == []
    for station in tree.stations:
        assert station.rows(ALARMS) == [], station.code


@contextlib.contextmanager
def replayable(seed: int) -> Iterator[None]:
    """Name the seed and the command that uses it again when something fails."""
    try:
        yield
    except BaseException as error:
        name = os.environ.get("PYTEST_CURRENT_TEST", "tests/acceptance/test_kill.py").partition(" ")[0]
        error.add_note(f"seed {seed}; again with: {SEED_VARIABLE}={seed} python -m pytest -m '' '{name}'")
        raise


def test_stage_at_death_is_told_by_the_points_reached_last(tmp_path: Path) -> None:
    path = tmp_path / "stages"
    path.write_bytes(
        b"".join(text.ljust(64, b"\0") for text in (b"sender push:before-send", b"AnyIO worker thread receive:begin"))
    )
    assert inside(read_stages(path)) == {"push", "accept"}
    assert (
        inside({"sender": "push:done", "puller": "pull:before-send", "writer": "sequence-close:after-commit"}) == set()
    )
