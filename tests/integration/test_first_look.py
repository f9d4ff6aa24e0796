"""The index of everybody, made in steps: interrupted at any of them, whatever comes meanwhile, and at what cost.

In: a database with schema and triggers, invented persons. Out: what the index holds when it is noted as whole: each
person's keys, and no others.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import count
from pathlib import Path
from random import Random

import psycopg
import pytest

from syncd.identity import index, indexing, match, sweep
from syncd.identity.indexing import Indexing
from syncd.identity.keys import pack, unpack
from syncd.identity.looked import is_indexed, note_look
from syncd.identity.matching import Matching
from syncd.identity.people import People, everybody, some
from syncd.identity.scope import Scope
from syncd.inputs import generate
from syncd.store.base import Store, Tx, no_failpoint
from syncd.store.postgres import PostgresStore
from syncd.store.sqlite import SqliteStore, connect
from syncd.tree import Tree
from tests.schema_builders import IDENTITY, REGISTRY, UNIT, wipe_postgres

PERSONS, STEPS_MAX = 24, 300
TODAY = date(2026, 1, 1)
NOW = "2026-01-01T00:00:00.000Z"
TREE, SCOPE = Tree("here", {}, {}), Scope(node_id="here", branches={UNIT: "here"})
AMPLIFIED_MAX = 3  # bytes written, of the index's own; a page of SQLite is written at least twice


class DeathError(Exception):
    """The process ends here."""


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        installed = request.getfixturevalue("installed_sqlite")
        with closing(_sqlite(installed["plain"], tmp_path, None)) as made:
            yield made
        return
    dsn = request.getfixturevalue("installed_dsn")
    with psycopg.connect(dsn, autocommit=True) as connection:
        wipe_postgres(connection)
    with closing(PostgresStore(dsn, REGISTRY)) as made:
        _forget(made)
        yield made
        _forget(made)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts of each kind for a few persons."""
    monkeypatch.setattr(indexing, "IDENTITY_INDEX_PERSONS", 7)
    monkeypatch.setattr(indexing, "IDENTITY_SWEEP_PERSONS", 14)
    for module in (index, indexing, sweep):
        monkeypatch.setattr(module, "IDENTITY_INDEX_ROWS", 32)
    monkeypatch.setattr(sweep, "IDENTITY_SWEEP_KEYS", 45)
    monkeypatch.setattr(sweep, "IDENTITY_SWEEP_ROWS", 6)


def test_the_index_costs_by_its_size(
    installed_sqlite: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 000 persons in small: a transaction writes as many keys as the index has pages."""
    for module in (index, indexing, sweep):
        monkeypatch.setattr(module, "IDENTITY_INDEX_ROWS", 600)
    store = _sqlite(installed_sqlite["plain"], tmp_path, None)
    _add(store, 3_000)
    store.relax()
    path = tmp_path / "node.db"
    before = path.stat().st_size
    with closing(connect(path, None)) as beside:
        beside.execute("BEGIN")
        beside.execute("SELECT count(*) FROM syncd_meta").fetchall()  # all that is written from now on stays in the log
        _finish(store, Indexing(store))
        written = Path(f"{path}-wal").stat().st_size
    _require_whole(store)
    store.close()
    grown = path.stat().st_size - before
    assert grown > 500_000
    assert written < AMPLIFIED_MAX * grown


def test_interrupted_at_any_step_the_index_ends_as_it_should(store: Store, small_steps: None) -> None:
    """A process ends after each step in turn, and persons come, change and go before the next begins."""
    _add(store, PERSONS)
    steps = _finish(store, Indexing(store))
    _require_whole(store)
    assert steps > 20
    for number, stop in enumerate(range(1, steps, _stride(store))):
        _forget(store)
        first = Indexing(store)
        for _ in range(stop):
            first.step()
        _change(store, number)
        _finish(store, Indexing(store) if number % 2 else first)
        _require_whole(store)


@pytest.mark.parametrize("moment", ["before-commit", "after-commit"])
def test_a_death_at_any_commit_leaves_an_index_to_go_on_with(store: Store, small_steps: None, moment: str) -> None:
    """An error there ends no process: the same object goes on, or another."""
    _add(store, PERSONS)
    for stop in range(0, STEPS_MAX, _stride(store)):
        _forget(store)
        looking = Indexing(store)
        store.failpoint = _dies_at(f"identity-index:{moment}", stop)
        try:
            _finish(store, looking)
        except DeathError:
            store.failpoint = no_failpoint
            _finish(store, Indexing(store) if stop % 2 else looking)
            _require_whole(store)
        else:
            store.failpoint = no_failpoint
            assert stop > 12
            return


def test_two_processes_of_a_hub_make_one_index(store: Store, small_steps: None) -> None:
    """What one has laid where the other had been is in the index before either says that it is whole."""
    _add(store, PERSONS)
    alone = _finish(store, Indexing(store))
    for stop in range(1, alone, 2 * _stride(store)):
        _forget(store)
        one, other = Indexing(store), Indexing(store)
        for _ in range(stop):
            one.step()
        with store.apply("test") as tx:
            new = _copy(tx, str(tx.value("SELECT id FROM person ORDER BY id LIMIT 1")), f"{stop:04x}")
        other.step()
        _finish(store, one)
        _require_whole(store)
        with store.apply("test") as tx:
            tx.run("DELETE FROM person WHERE id = ?", (new,))


def test_an_index_begun_anew_by_a_command_that_died_is_made_whole(store: Store, small_steps: None) -> None:
    """By a daemon in the middle of its first look."""
    _add(store, PERSONS)
    steps = _finish(store, Indexing(store))
    for stop in range(1, steps, 3 * _stride(store)):
        _forget(store)
        looking = Indexing(store)
        for _ in range(stop):
            looking.step()
        store.failpoint = _dies_at("identity-index:before-commit", 2)
        with pytest.raises(DeathError):
            index.index_all(store)
        store.failpoint = no_failpoint
        _finish(store, looking)
        _require_whole(store)


def test_a_daemon_that_had_its_look_takes_another_after_a_command_that_died(store: Store, small_steps: None) -> None:
    """At whichever commit: the one that runs once anybody changes, the next one when it begins."""
    _add(store, PERSONS)
    matching = Matching(store, lambda: 0, bytes)
    _rest(matching)
    for stop in range(1, STEPS_MAX, _stride(store)):
        assert matching.step(TREE, lambda: False) is None
        store.failpoint = _dies_at("identity-index:before-commit", stop)
        try:
            match.match_all(store, SCOPE, NOW, Random(1).randbytes)
        except DeathError:
            store.failpoint = no_failpoint
            if stop % 2:
                _change(store, stop, matching)
            else:
                matching = Matching(store, lambda: 0, bytes)
            _rest(matching)
            _require_index(store)
        else:
            store.failpoint = no_failpoint
            assert stop > 8
            return


@pytest.mark.parametrize("moment", ["it is gone", "everybody is read", "all are noted"])
def test_who_changes_while_an_index_is_begun_anew_is_in_it(
    store: Store, small_steps: None, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """By a command, beside a daemon that had its look and notices the change."""
    _add(store, PERSONS)
    matching = Matching(store, lambda: 0, bytes)
    _rest(matching)
    changed: set[str] = set()

    def keys(people: People) -> index.KeyColumns:
        if moment == "everybody is read":
            changed.update(_change(store, 1, matching))
        return key_columns(people)

    def failpoint(at: str) -> None:
        if at == "identity-index:after-commit" and next(commits) == {"it is gone": 0, "all are noted": 2}.get(moment):
            changed.update(_change(store, 1, matching))

    key_columns, commits = index.key_columns, count()
    monkeypatch.setattr(index, "key_columns", keys)
    store.failpoint = failpoint
    match.match_all(store, SCOPE, NOW, Random(1).randbytes)
    store.failpoint = no_failpoint
    assert len(changed) == 4
    with store.read() as tx:
        assert is_indexed(tx)
        assert {row[0] for row in tx.all("SELECT person_id FROM syncd_identity_due")} == changed
        noted, wanted = _noted(tx), _wanted(tx)
    assert {person_id: noted.get(person_id) for person_id in wanted} == wanted
    assert _in_index(store) >= _entries(wanted)
    _rest(matching)
    with store.read() as tx:
        assert tx.value("SELECT count(*) FROM syncd_identity_due") == 0


def test_what_a_daemon_has_laid_beside_a_command_is_swept_before_the_index_is_whole(
    store: Store, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(store, PERSONS)

    def keys(people: People) -> index.KeyColumns:
        with store.apply("test") as tx:
            _copy(tx, str(tx.value("SELECT id FROM person ORDER BY id LIMIT 1")), "0001")
        Indexing(store).step()
        return key_columns(people)

    key_columns = index.key_columns
    monkeypatch.setattr(index, "key_columns", keys)
    match.match_all(store, SCOPE, NOW, Random(1).randbytes)
    with store.read() as tx:
        assert not is_indexed(tx)
    _finish(store, Indexing(store))
    _require_whole(store)


def test_who_changes_before_the_index_is_whole_stays_due(store: Store, small_steps: None) -> None:
    """Also in a process that has not taken a step of the look itself."""
    _add(store, PERSONS)
    Indexing(store).step()
    with store.read() as tx:
        changed = str(tx.value("SELECT person_id FROM syncd_identity_person ORDER BY person_id LIMIT 1"))
    matching = Matching(store, lambda: 0, bytes)
    assert matching.changed({changed}) == 0
    with store.read() as tx:
        assert tx.all("SELECT person_id FROM syncd_identity_due") == [(changed,)]


@pytest.mark.parametrize("had_its_look", [False, True])
def test_one_who_changes_has_nobody_matched_who_waits(store: Store, had_its_look: bool) -> None:
    """A daemon begins where everybody is due: these are matched in steps, between which other work goes on."""
    _add(store, PERSONS)
    _finish(store, Indexing(store))
    with store.write("test") as tx:
        changed = str(tx.value("SELECT id FROM person ORDER BY id LIMIT 1"))
        if had_its_look:
            note_look(tx, NOW)
    matching = Matching(store, lambda: 0, bytes)
    assert matching.changed({changed}) == 0
    _require_whole(store)
    _rest(matching)
    with store.read() as tx:
        assert tx.value("SELECT count(*) FROM syncd_identity_due") == 0


def test_who_goes_while_a_pair_is_judged_is_no_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server others commit between two statements of a transaction."""
    _add(store, PERSONS)
    with store.apply("test") as tx:
        new = _copy(tx, str(tx.value("SELECT id FROM person ORDER BY id LIMIT 1")), "0001")
    _finish(store, Indexing(store))
    asked: list[str] = []

    def later(tx: Tx, ids: Sequence[str]) -> People:
        tx.run("DELETE FROM person WHERE id = ?", (new,))
        asked.extend(ids)
        return some(tx, ids)

    monkeypatch.setattr(match, "some", later)
    with store.apply("test") as tx:
        assert match.match_new(tx, SCOPE, NOW, Random(1).randbytes).persons == PERSONS + 1
    assert new in asked


# --- persons ---------------------------------------------------------------------------------------------------------


def _people(persons: int, seed: int) -> Iterator[dict[str, list[generate.Values]]]:
    return generate.batches(tag=IDENTITY.tag, unit_id=UNIT, persons=persons, seed=seed, today=TODAY)


def _add(store: Store, persons: int) -> None:
    for rows in _people(persons, 1):
        with store.apply("test") as tx:
            generate.write(tx, rows)


def _change(store: Store, number: int, matching: Matching | None = None) -> set[str]:
    """One comes, one changes, one changes what no key is made of, one goes; whoever applies notes it. Returns whom."""
    with store.apply("test") as tx:
        ids = [row[0] for row in tx.all("SELECT id FROM person ORDER BY id")]
        one, other, third = (ids[(number + step) % len(ids)] for step in (0, 5, 11))
        tx.run("UPDATE person SET birth_date = ? WHERE id = ?", (f"{1930 + number % 70}-03-04", one))
        tx.run("UPDATE person SET ethnic = '02' WHERE id = ?", (third,))
        new = _copy(tx, other, f"{number:04x}")
        tx.run("DELETE FROM person WHERE id = ?", (other,))
    changed = {one, other, third, new}
    (matching or Matching(store, lambda: 0, bytes)).changed(changed)
    return changed


def _copy(tx: Tx, person_id: str, number: str) -> str:
    """One more person of these values; its id follows close."""
    names = ", ".join(column.name for column in REGISTRY.by_name["person"].columns)
    new = f"{person_id[:24]}{number}{IDENTITY.tag}"
    tx.run(
        f"INSERT INTO person (id, unit_id, {names}) SELECT ?, unit_id, {names} FROM person WHERE id = ?",
        (new, person_id),
    )
    return new


# --- looking ---------------------------------------------------------------------------------------------------------


def _stride(store: Store) -> int:
    """Every step on SQLite, some of them on PostgreSQL, where a commit is dearer."""
    return 1 if store.dialect == "sqlite" else 9


def _finish(store: Store, looking: Indexing) -> int:
    """Returns how many steps it took."""
    for steps in range(STEPS_MAX):
        with store.read() as tx:
            if is_indexed(tx):
                return steps
        looking.step()
    raise AssertionError(f"not whole after {STEPS_MAX} steps")


def _rest(matching: Matching) -> None:
    """Have a daemon look until there is nothing to look at."""
    for _ in range(STEPS_MAX):
        done = matching.step(TREE, lambda: False)
        if done is None or not done.more:
            return
    raise AssertionError(f"no end after {STEPS_MAX} steps")


def _forget(store: Store) -> None:
    with store.apply("test") as tx:
        for name in index.TABLES:
            tx.run(f"DELETE FROM {name}")
        tx.run("DELETE FROM syncd_meta WHERE key LIKE 'identity%'")


def _require_whole(store: Store) -> None:
    """The index is as it should be, and everybody is due."""
    _require_index(store)
    with store.read() as tx:
        assert {row[0] for row in tx.all("SELECT person_id FROM syncd_identity_due")} >= _wanted(tx).keys()


def _require_index(store: Store) -> None:
    """Each person's keys are in the index, beside the person, and no others."""
    with store.read() as tx:
        assert is_indexed(tx)
        wanted = _wanted(tx)
        assert _noted(tx) == wanted
    assert _in_index(store) == _entries(wanted)


def _wanted(tx: Tx) -> dict[str, bytes]:
    people = everybody(tx)
    return {people.ids[place]: pack(index.keys_at(people, place)) for place in range(len(people))}


def _noted(tx: Tx) -> dict[str, bytes]:
    return {row[0]: bytes(row[1]) for row in tx.all("SELECT person_id, keys FROM syncd_identity_person")}


def _in_index(store: Store) -> set[tuple[int, str]]:
    with store.read() as tx:
        return {(row[0], row[1]) for row in tx.all("SELECT key, person_id FROM syncd_identity_key")}


def _entries(keys: dict[str, bytes]) -> set[tuple[int, str]]:
    return {(key, person_id) for person_id, packed in keys.items() for key in unpack(packed)}


def _dies_at(point: str, after: int) -> Callable[[str], None]:
    left = [after]

    def failpoint(at: str) -> None:
        if at == point:
            left[0] -= 1
            if left[0] < 0:
                raise DeathError

    return failpoint


def _sqlite(installed: Path, folder: Path, key: bytes | None) -> SqliteStore:
    return SqliteStore(shutil.copy(installed, folder / "node.db"), REGISTRY, key)
