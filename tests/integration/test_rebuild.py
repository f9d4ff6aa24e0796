"""Content altered behind the daemon's back is put back from the log, as a set, to any position the log still tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.spec import Audience, Kind
from syncd import log
from syncd.aggregate import recount
from syncd.errors import StoreError
from syncd.log import Stream
from syncd.rebuild import rebuild
from syncd.verify import digest_stream
from syncd.wire import CheckpointLine
from tests.integration.shapes import ThreeTiers, add_household, add_person, content, own_stream, tiers_on
from tests.postgres import PostgresMix
from tests.trees import TreeNode

TABLES = ("household", "person", "death", "birth", "migration", "verdict")


@pytest.fixture(params=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    """Three tiers; the one whose content is altered, and the keeper, over either database."""
    names = ("district", "commune") if request.param == "postgres" else ()
    with tiers_on(postgres_mix, tmp_path, names) as tree:
        yield tree


def write_history(at: TreeNode) -> list[str]:
    """Several envelopes: inserts, changes of counted columns, deletes."""
    household = add_household(at)
    people = [add_person(at, household, sex=1 + place % 2, phone=str(place)) for place in range(6)]
    at.node.write()
    at.sql("UPDATE person SET ethnic = '02', phone = NULL WHERE sex = 2")
    at.sql("INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-05', 1, 'tuổi già')", (people[0],))
    at.node.write()
    at.sql("DELETE FROM person WHERE id = ?", (people[1],))
    at.sql("INSERT INTO birth (born_on, sex) VALUES ('2026-03-06', 2)")
    at.node.write()
    return people


def digests(at: TreeNode, stream: Stream) -> list[CheckpointLine]:
    audiences = [Audience.PUBLIC] if stream.kind == Kind.CONTROL else [Audience.SCOPE, Audience.CUSTODIAN]
    with at.store.read() as tx:
        return digest_stream(tx, at.store.registry, stream, audiences, 0)


def stream_of(at: TreeNode, stream_id: str) -> Stream:
    with at.store.read() as tx:
        found = log.stream(tx, stream_id)
    assert found is not None
    return found


def rebuilt(at: TreeNode, stream_id: str, seq: int | None = None) -> None:
    """As production does: one transaction, the stream back to `seq`, or to where it stands."""
    stream = stream_of(at, stream_id)
    with at.store.apply("rebuild") as tx:
        rebuild(tx, at.node.applier, stream, {} if seq is None else {stream_id: seq})


def spoil(at: TreeNode, unit_id: str, people: list[str]) -> None:
    """Rows and cells altered, removed and added with triggers off."""
    with at.store.apply("sabotage") as tx:
        tx.run("UPDATE person SET full_name = 'Khác', ethnic = '05' WHERE id = ?", (people[2],))
        tx.run("DELETE FROM person WHERE id = ?", (people[3],))
        tx.run("DELETE FROM syncd_cell_flow WHERE unit_id = ?", (unit_id,))
        tx.run("INSERT INTO household (unit_id, number, kind) VALUES (?, '77', 'family')", (unit_id,))


@pytest.mark.parametrize("name", ["district", "commune"])
def test_content_altered_behind_the_daemon_is_put_back(tiers: ThreeTiers, name: str) -> None:
    at = getattr(tiers, name)
    people = write_history(tiers.commune)
    tiers.prove()
    stream_id = own_stream(tiers.commune)
    before, digested = {table: content(at, table) for table in TABLES}, digests(at, stream_of(at, stream_id))
    position = stream_of(at, stream_id)
    spoil(at, tiers.commune.unit_id, people)
    assert digests(at, position) != digested

    rebuilt(at, stream_id)

    assert {table: content(at, table) for table in TABLES} == before
    assert digests(at, position) == digested
    assert stream_of(at, stream_id) == position
    with at.store.read() as tx:
        assert recount(tx, at.store.registry) == []


def test_alarm_about_content_ends_when_it_is_put_back(tiers: ThreeTiers) -> None:
    people = write_history(tiers.commune)
    tiers.settle()
    spoil(tiers.district, tiers.commune.unit_id, people)
    tiers.prove()
    open_cases = "SELECT count(*) FROM syncd_case WHERE closed_at IS NULL"
    assert tiers.district.value(open_cases) > 0
    rebuilt(tiers.district, own_stream(tiers.commune))
    assert tiers.district.value(open_cases) == 0
    assert content(tiers.district, "person") == content(tiers.commune, "person")


def test_content_goes_back_to_every_whole_position_and_forward_again(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    tiers.prove()
    stream_id, now = own_stream(tiers.commune), {table: content(tiers.district, table) for table in TABLES}
    held = stream_of(tiers.district, stream_id).held_seq
    for seq in range(held, -1, -1):
        rebuilt(tiers.district, stream_id, seq)
        assert stream_of(tiers.district, stream_id).applied_seq == seq
        with tiers.district.store.read() as tx:
            assert recount(tx, tiers.district.store.registry) == []
    assert {table: content(tiers.district, table) for table in TABLES} == {table: [] for table in TABLES}
    tiers.settle()
    assert {table: content(tiers.district, table) for table in TABLES} == now


def test_pieces_of_an_open_or_void_group_are_left_out(tiers: ThreeTiers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.limits.GROUP_ROWS_MAX", 2)
    with tiers.commune.store.write("clerk") as tx:
        for number in range(7):
            tx.run("INSERT INTO household (number, kind) VALUES (?, 'family')", (str(number),))
    tiers.commune.store.failpoint = _die_at_close
    with pytest.raises(_Died):
        tiers.commune.node.write()
    tiers.commune.store.failpoint = lambda _point: None
    tiers.settle()
    wanted = content(tiers.commune, "household")
    stream_id = own_stream(tiers.commune)
    rebuilt(tiers.district, stream_id)
    assert content(tiers.district, "household") == wanted
    rebuilt(tiers.district, stream_id, stream_of(tiers.district, stream_id).held_seq - 1)  # inside the closed group
    assert content(tiers.district, "household") == []
    tiers.settle()
    assert content(tiers.district, "household") == wanted


class _Died(BaseException):
    pass


def _die_at_close(point: str) -> None:
    if point == "sequence-close:before-commit":
        raise _Died(point)


@pytest.mark.parametrize("kind", [Kind.OVERSIGHT, Kind.CONTROL])
def test_words_of_upper_tiers_and_records_of_nodes_are_put_back_too(tiers: ThreeTiers, kind: Kind) -> None:
    person = add_person(tiers.commune)
    tiers.settle()
    tiers.province.sql(
        "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by)"
        " VALUES (?, ?, '079080000001', '2026-11-01T00:00:00Z', 'A')",
        (tiers.commune.unit_id, person),
    )
    tiers.prove()
    at = tiers.commune
    tables = [table.name for table in at.store.registry.of_kind(kind)]
    before, keepers = [content(at, table) for table in tables], content_of_keepers(at)
    spoiled = "DELETE FROM person_check" if kind is Kind.OVERSIGHT else "DELETE FROM node"
    with at.store.apply("sabotage") as tx:
        tx.run(spoiled)
    for (stream_id,) in at.rows("SELECT stream_id FROM syncd_stream WHERE kind = ?", (int(kind),)):
        rebuilt(at, stream_id)
    assert [content(at, table) for table in tables] == before
    assert content_of_keepers(at) == keepers


def content_of_keepers(at: TreeNode) -> list[tuple[object, ...]]:
    return at.rows("SELECT unit_id, node_id, term, mine FROM syncd_keeper ORDER BY unit_id")


def test_rows_not_sealed_yet_are_not_thrown_away(tiers: ThreeTiers) -> None:
    write_history(tiers.commune)
    tiers.settle()
    add_person(tiers.commune, phone="mới")
    with pytest.raises(StoreError):
        rebuilt(tiers.commune, own_stream(tiers.commune))
    assert tiers.commune.value("SELECT count(*) FROM person WHERE phone = 'mới'") == 1
    tiers.prove()
