"""Restored copies and clones find back: nothing that was acknowledged is lost, and all tiers end equal (I13).

Whole trees in one process; a copy of a node's database file is put back, or runs as a second machine.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.aggregate import recount
from syncd.exchange import Desk, Link
from syncd.framing import FrameReader
from syncd.messages import position
from syncd.pipeline import Node
from syncd.positions import HighWater, mark_restored
from syncd.proposing import Wish, propose
from syncd.store import sqlite
from syncd.store.base import Store
from tests.integration.shapes import ThreeTiers, add_household, add_person, content, envelopes, own_stream, three_tiers
from tests.postgres import PostgresServer
from tests.sim.template import Template
from tests.trees import TestClock, TreeBuilder, TreeNode, built, close, step

REGISTERS = ("household", "person", "death", "birth", "verdict")


@pytest.fixture(params=["sqlite", "postgres province"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    """Three tiers; the root over either database."""
    dsns = {"province": postgres_server.create_database()} if "postgres" in request.param else {}
    tree = three_tiers(TreeBuilder(tmp_path), dsns)
    yield tree
    for node in tree.nodes:
        node.store.close()
    for dsn in dsns.values():
        postgres_server.drop_database(dsn)


@dataclass
class Copy:
    """The database file of a node as it was at a moment."""

    at: TreeNode
    path: Path

    def put_back(self) -> None:
        """Instead of what the node has now."""
        self.at.node.store.close()
        _remove(self._place)
        shutil.copyfile(self.path, self._place)
        self.at.reopen()

    @property
    def _place(self) -> Path:
        return Path(self.at.store.path)  # type: ignore[attr-defined]  # SQLite's


def copy_of(at: TreeNode, name: str = "copy") -> Copy:
    """Yesterday's copy: everything committed, as a backup program takes it."""
    path = Path(at.store.path).with_suffix(f".{name}")  # type: ignore[attr-defined]  # SQLite's
    _remove(path)
    with contextlib.closing(sqlite.connect(at.store.path, None)) as connection:  # type: ignore[attr-defined]  # SQLite's
        connection.execute("VACUUM INTO ?", (str(path),))
    return Copy(at, path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def assert_equal(tiers: ThreeTiers) -> None:
    """Every register and every word of upper tiers equal at all tiers that keep them, proven by checkpoints."""
    tiers.prove()
    tiers.prove()
    for table in REGISTERS:
        assert content(tiers.district, table, without=("cause",)) == content(tiers.province, table, without=("cause",))
        unit = tiers.commune.unit_id
        kept = [row for row in content(tiers.province, table) if row[1] == unit]
        assert kept == [row for row in content(tiers.commune, table) if row[1] == unit], table
    for node in tiers.nodes:
        where = "state <> 'ok' OR applied_seq <> held_seq OR rejoin_seq <> 0"
        assert node.rows(f"SELECT kind, state, reason FROM syncd_stream WHERE {where}") == [], node.name
        assert node.rows("SELECT stream_id FROM syncd_stream WHERE own = 1 AND custodian_seq <> held_seq") == []
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        assert node.rows("SELECT kind, detail FROM syncd_case WHERE closed_at IS NULL") == [], node.name
        assert node.rows("SELECT op, row_id FROM syncd_wish") == []
        with node.store.read() as tx:
            assert recount(tx, node.store.registry) == []


def mark(at: TreeNode) -> HighWater:
    """What a daemon notes beside its database."""
    mark = HighWater(Path(at.store.path).parent)  # type: ignore[attr-defined]  # SQLite's
    with at.store.read() as tx:
        mark.note(tx)
    return mark


def awaits_answer(at: TreeNode) -> bool:
    return at.node.rejoin.awaits_answer


def names(at: TreeNode) -> set[str]:
    return {row[0] for row in at.rows("SELECT full_name FROM person")}


def test_yesterdays_copy_of_a_commune_takes_its_log_back(tiers: ThreeTiers) -> None:
    add_person(tiers.commune, full_name="Hôm qua")
    tiers.settle()
    yesterday = copy_of(tiers.commune)
    add_person(tiers.commune, full_name="Hôm nay")
    tiers.commune.sql("UPDATE person SET phone = '0999' WHERE full_name = 'Hôm qua'")
    tiers.prove()
    log_before = envelopes(tiers.province, own_stream(tiers.commune))
    yesterday.put_back()
    assert names(tiers.commune) == {"Hôm qua"}

    tiers.settle()

    assert names(tiers.commune) == {"Hôm qua", "Hôm nay"}
    assert tiers.commune.rows("SELECT phone FROM person WHERE full_name = 'Hôm qua'") == [("0999",)]
    assert envelopes(tiers.commune, own_stream(tiers.commune))[: len(log_before)] == log_before
    assert tiers.commune.value("SELECT count(*) FROM syncd_case") == 0
    assert_equal(tiers)


@pytest.mark.parametrize("is_sealed", [False, True], ids=["unsealed", "sealed"])
def test_what_was_typed_since_the_restore_becomes_proposals(tiers: ThreeTiers, is_sealed: bool) -> None:
    household = add_household(tiers.commune, "1")
    changed = add_person(tiers.commune, household, full_name="Sửa", phone="1", sex=1)
    disputed = add_person(tiers.commune, household, full_name="Tranh chấp", phone="1", sex=2, birth_date="1950-01-01")
    tiers.settle()
    yesterday = copy_of(tiers.commune)
    tiers.commune.sql("UPDATE person SET full_name = 'Hôm nay' WHERE id = ?", (disputed,))
    add_person(tiers.commune, household, full_name="Người mới", birth_date="1990-05-06", sex=2)
    tiers.settle()
    mark(tiers.commune)
    yesterday.put_back()
    if not is_sealed:
        tiers.commune.node.rejoin.watch(HighWater(tiers.builder.folder))
    tiers.commune.sql("UPDATE person SET phone = '2' WHERE id = ?", (changed,))
    tiers.commune.sql("UPDATE person SET full_name = 'Bản sao' WHERE id = ?", (disputed,))
    other = add_household(tiers.commune, "2")
    typed = add_person(tiers.commune, other, full_name="Gõ lại", birth_date="2001-02-03", sex=1)
    tiers.commune.sql(
        "INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-05', 1, 'tuổi già')", (typed,)
    )
    if is_sealed:
        tiers.commune.node.write()

    tiers.settle()

    assert names(tiers.commune) >= {"Sửa", "Hôm nay", "Người mới", "Gõ lại"}
    assert tiers.commune.value("SELECT phone FROM person WHERE id = ?", (changed,)) == "2"
    assert tiers.commune.value("SELECT full_name FROM person WHERE id = ?", (typed,)) == "Gõ lại", "it keeps its id"
    assert tiers.province.rows("SELECT cause FROM death") == [("tuổi già",)]
    outcomes = dict(tiers.province.rows(
        "SELECT p.row_id, v.outcome FROM proposal AS p JOIN verdict AS v ON v.proposal_id = p.id"
    ))  # fmt: skip
    assert outcomes[changed] == outcomes[typed] == outcomes[other] == "accepted"
    assert outcomes[disputed] == "review", "the custodian's branch stands until a person decides"
    wished = tiers.district.value("SELECT wished FROM proposal WHERE row_id = ?", (disputed,))
    assert "Bản sao" in wished
    assert all("cause" not in row[0] for row in tiers.district.rows("SELECT wished FROM proposal"))
    assert tiers.commune.value("SELECT count(*) FROM syncd_case WHERE kind = 'fork'") == int(is_sealed)
    assert_equal(tiers)


def test_older_copy_seals_nothing_until_its_parent_has_answered(tiers: ThreeTiers) -> None:
    add_person(tiers.commune, full_name="Hôm qua")
    tiers.settle()
    yesterday = copy_of(tiers.commune)
    add_person(tiers.commune, full_name="Hôm nay", birth_date="1999-01-01")
    tiers.settle()
    mark(tiers.commune)
    yesterday.put_back()
    commune = tiers.commune.node
    commune.rejoin.watch(HighWater(tiers.builder.folder))
    assert awaits_answer(tiers.commune)
    add_person(tiers.commune, full_name="Gõ thêm", birth_date="1988-08-08")
    held = tiers.commune.rows("SELECT stream_id, held_seq FROM syncd_stream WHERE own = 1")
    assert commune.write() == commune.checkpoint() == 0
    commune.settle()
    assert tiers.commune.rows("SELECT stream_id, held_seq FROM syncd_stream WHERE own = 1") == held
    tiers.settle()
    assert not awaits_answer(tiers.commune)
    assert names(tiers.province) == {"Hôm qua", "Hôm nay", "Gõ thêm"}
    assert_equal(tiers)
    mark(tiers.commune)
    commune.rejoin.watch(HighWater(tiers.builder.folder))
    assert not awaits_answer(tiers.commune)


def test_copy_that_is_said_to_be_one_awaits_an_answer_even_where_nothing_is_missing(tiers: ThreeTiers) -> None:
    add_person(tiers.commune)
    tiers.settle()
    mark(tiers.commune)
    mark_restored(tiers.builder.folder)
    tiers.commune.node.rejoin.watch(HighWater(tiers.builder.folder))
    assert awaits_answer(tiers.commune)
    tiers.settle()
    assert not tiers.commune.node.rejoin.holds_back()
    assert_equal(tiers)


def test_yesterdays_copy_of_a_district_takes_back_what_it_and_those_below_it_wrote(tmp_path: Path) -> None:
    builder = TreeBuilder(tmp_path)
    tiers = three_tiers(builder)
    add_person(tiers.commune, full_name="Hôm qua")
    tiers.prove()
    yesterday = copy_of(tiers.district)
    later = builder.child(tiers.district, "later", "42502")  # its record and keys are lost with the disk
    builder.settle()
    add_person(tiers.commune, full_name="Hôm nay", birth_date="1999-01-01")
    add_person(later, full_name="Xã mới", birth_date="1977-01-01")
    tiers.district.sql("INSERT INTO household (number, kind) VALUES ('7', 'family')")
    builder.settle()
    yesterday.put_back()
    tiers.district.sql("INSERT INTO household (number, kind) VALUES ('8', 'family')")
    assert tiers.district.value("SELECT count(*) FROM node WHERE name = 'later'") == 0
    builder.settle()
    assert names(tiers.district) == names(tiers.province) == {"Hôm qua", "Hôm nay", "Xã mới"}
    assert {row[0] for row in tiers.province.rows("SELECT number FROM household")} == {"7", "8"}
    add_person(later, full_name="Sau đó", birth_date="1971-01-01")
    builder.settle()
    assert "Sau đó" in names(tiers.province)
    assert_equal(tiers)


def test_district_takes_back_from_communes_what_its_own_parent_never_had(tmp_path: Path) -> None:
    builder = TreeBuilder(tmp_path)
    tiers = three_tiers(builder)
    person = add_person(tiers.commune)
    tiers.prove()
    yesterday = copy_of(tiers.district)
    propose_phone(tiers.district, person, "0777")
    tiers.district.node.write()
    for _ in range(3):  # the line to the province is broken, the commune hears its district
        step(tiers.commune)
        tiers.district.node.apply_all()
        tiers.district.node.settle()
        tiers.district.node.write()
    assert tiers.commune.value("SELECT phone FROM person") == "0777"
    yesterday.put_back()
    builder.settle()
    assert tiers.province.value("SELECT phone FROM person") == "0777"
    assert tiers.district.value("SELECT count(*) FROM proposal") == 1
    assert_equal(tiers)


def propose_phone(at: TreeNode, person: str, phone: str) -> None:
    wish = Wish(
        operation="update", table="person", row_id=person, unit_code=None, wished={"phone": phone}, author="A",
        reason="thử",
    )  # fmt: skip
    propose(at.store, wish, at.node.clock())


@pytest.mark.parametrize("has_typed", [False, True], ids=["idle", "typed since"])
def test_root_restored_from_an_older_copy_is_handed_its_own_streams_back(tmp_path: Path, has_typed: bool) -> None:
    builder = TreeBuilder(tmp_path)
    tiers = three_tiers(builder)
    person = add_person(tiers.commune)
    tiers.prove()
    yesterday = copy_of(tiers.province)
    new_unit = "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'ward', ?, ?)"
    tiers.province.sql(new_unit, (tiers.province.unit_id, "42998", "Hôm nay"))
    tiers.province.sql(
        "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by)"
        " VALUES (?, ?, '079080000001', '2026-11-01T00:00:00Z', 'A')",
        (tiers.commune.unit_id, person),
    )
    add_person(tiers.commune, full_name="Hôm nay", birth_date="1999-01-01")
    builder.settle()
    mark(tiers.province)
    yesterday.put_back()
    tiers.province.node.rejoin.watch(HighWater(builder.folder))
    if has_typed:
        tiers.province.sql(new_unit, (tiers.province.unit_id, "42999", "Gõ lại"))
        assert tiers.province.node.write() == 0, "children are asked first"
    builder.settle()
    for node in tiers.nodes:
        codes = {row[0] for row in node.rows("SELECT code FROM unit")}
        assert ("42998" in codes, "42999" in codes) == (True, has_typed), node.name
        assert node.value("SELECT count(*) FROM person_check") == 1
    assert not tiers.province.node.rejoin.holds_back()
    assert_equal(tiers)


class Clone:
    """A disk image started a second time: two machines are one node and take turns with the network."""

    def __init__(self, at: TreeNode, folder: Path) -> None:
        self._at = at
        path = folder / "clone.db"
        shutil.copyfile(copy_of(at).path, path)
        self._others: tuple[Callable[[], Store], Node | None] = (self._opener(path), None)

    def _opener(self, path: Path) -> Callable[[], Store]:
        return lambda: sqlite.SqliteStore(path, self._at.store.registry)

    def swap(self) -> None:
        """The other machine runs now."""
        at = self._at
        opener, node = self._others
        self._others = (at.opener, at.node)
        at.opener = opener
        at.node = node or Node(opener(), at.keys, at.node.clock, at.node._random)
        at.desk = Desk(at.node)
        at.link = None if at.parent is None else Link(at.node, at.parent.node.node_id)

    def close(self) -> None:
        if self._others[1] is not None:
            self._others[1].store.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[ThreeTiers]:
    tree = three_tiers(TreeBuilder(tmp_path))
    yield tree
    for node in tree.nodes:
        node.store.close()


@pytest.mark.parametrize("is_sealed", [False, True], ids=["unsealed", "sealed"])
def test_two_machines_of_one_disk_image_lose_nothing(plain: ThreeTiers, is_sealed: bool) -> None:
    shared = add_person(plain.commune, full_name="Chung", phone="0")
    plain.prove()
    clone = Clone(plain.commune, plain.builder.folder)
    add_person(plain.commune, full_name="Máy một", birth_date="1991-01-01")
    if is_sealed:
        plain.commune.node.write()
    clone.swap()
    add_person(plain.commune, full_name="Máy hai", birth_date="1962-01-01")
    plain.commune.sql("UPDATE person SET phone = '2' WHERE id = ?", (shared,))
    plain.settle()  # the second machine is first at the district
    assert names(plain.province) == {"Chung", "Máy hai"}
    clone.swap()
    plain.commune.sql("UPDATE person SET education = '05' WHERE id = ?", (shared,))
    plain.settle()
    assert names(plain.province) == names(plain.commune) == {"Chung", "Máy một", "Máy hai"}
    assert plain.province.rows("SELECT phone, education FROM person WHERE full_name = 'Chung'") == [("2", "05")]
    assert_equal(plain)
    clone.swap()  # and on they go, in turns
    add_person(plain.commune, full_name="Máy hai nữa", birth_date="1963-01-01")
    plain.settle()
    assert names(plain.commune) == {"Chung", "Máy một", "Máy hai", "Máy hai nữa"}
    clone.swap()
    plain.settle()
    assert names(plain.commune) == {"Chung", "Máy một", "Máy hai", "Máy hai nữa"}
    assert_equal(plain)
    clone.close()


def test_two_machines_of_a_district_image_lose_nothing_and_their_communes_follow(plain: ThreeTiers) -> None:
    person = add_person(plain.commune, phone="0")
    plain.prove()
    clone = Clone(plain.district, plain.builder.folder)
    propose_phone(plain.district, person, "1")
    plain.district.node.write()
    step(plain.commune)  # has heard of the first machine's word, which never reached the province
    clone.swap()
    household = "INSERT INTO household (number, kind) VALUES (?, 'family')"
    plain.district.sql(household, ("2",))
    plain.settle()
    clone.swap()
    plain.district.sql(household, ("1",))
    plain.settle()
    assert {row[0] for row in plain.province.rows("SELECT number FROM household")} == {"1", "2"}
    assert plain.province.value("SELECT phone FROM person WHERE id = ?", (person,)) == "1"
    assert_equal(plain)
    clone.close()


# --- death on the way back -------------------------------------------------------------------------------------------


class _Died(BaseException):
    """The process of the restored node dies here."""


def _prepared(folder: Path) -> Template:
    """A commune whose older copy was put back, typed into and sealed, beside neighbours that know more."""
    builder = TreeBuilder(folder)
    tiers = three_tiers(builder)
    household = add_household(tiers.commune, "1")
    shared = add_person(tiers.commune, household, full_name="Chung", phone="1")
    tiers.prove()
    yesterday = copy_of(tiers.commune)
    add_person(tiers.commune, household, full_name="Hôm nay", birth_date="1961-01-01")
    tiers.commune.sql("UPDATE person SET education = '05' WHERE id = ?", (shared,))
    tiers.settle()
    yesterday.put_back()
    other = add_household(tiers.commune, "2")
    add_person(tiers.commune, other, full_name="Gõ lại", birth_date="2001-02-03", sex=2)
    tiers.commune.sql("UPDATE person SET phone = '2' WHERE id = ?", (shared,))
    tiers.commune.node.write()
    add_person(tiers.commune, other, full_name="Chưa ghi", birth_date="1944-02-03", sex=1)
    close()
    return Template(folder=folder, nodes=tuple(builder.nodes))


def _run(template: Template, folder: Path, failpoint: Callable[[str], None]) -> ThreeTiers:
    """The way back; whenever the commune's process dies, a new one goes on."""
    folder.mkdir()
    source, clock = random.Random(1), TestClock()
    province, district, commune = template.copy(
        folder, lambda _name: clock, source, lambda name: failpoint if name == "commune" else lambda _point: None
    )
    tiers = ThreeTiers(builder=TreeBuilder(folder), province=province, district=district, commune=commune)
    tiers.builder.nodes += [province, district, commune]
    built.extend(tiers.nodes)
    for _ in range(40):
        try:
            tiers.settle()
        except _Died:
            commune.reopen()
        else:
            return tiers
    raise AssertionError("still dying")


def test_death_at_any_commit_of_the_way_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    template = _prepared(tmp_path)
    points: list[str] = []
    reference = _run(template, tmp_path / "reference", points.append)
    wanted = _outcome(reference)
    assert {"Chung", "Hôm nay", "Gõ lại", "Chưa ghi"} == names(reference.province)
    close()
    chosen = [point for point in dict.fromkeys(points) if not point.endswith(":begin")]
    assert {"rejoin-begin", "rejoin", "rejoined", "wishes"} <= {point.partition(":")[0] for point in chosen}
    for number, chosen_point in enumerate(chosen):
        left = [1]

        def die(point: str, chosen_point: str = chosen_point, left: list[int] = left) -> None:
            if point == chosen_point and left[0]:
                left[0] -= 1
                raise _Died(point)

        found = _run(template, tmp_path / str(number), die)
        assert not left[0], chosen_point
        assert _outcome(found) == wanted, chosen_point
        assert_equal(found)
        close()


def _outcome(tiers: ThreeTiers) -> list[list[tuple[object, ...]]]:
    """What a person sees at the end: the register, and what became of each wish."""
    return [
        tiers.province.rows("SELECT id, number FROM household ORDER BY id"),
        tiers.province.rows("SELECT id, full_name, phone, education FROM person ORDER BY id"),
        tiers.province.rows(
            "SELECT p.row_id, p.operation, p.wished, v.outcome FROM proposal AS p"
            " LEFT JOIN verdict AS v ON v.proposal_id = p.id ORDER BY p.row_id, p.operation"
        ),
    ]


def test_answers_that_come_twice_change_nothing(plain: ThreeTiers) -> None:
    add_person(plain.commune, full_name="Hôm qua")
    plain.prove()
    yesterday = copy_of(plain.commune)
    add_person(plain.commune, full_name="Hôm nay", birth_date="1961-01-01")
    plain.settle()
    yesterday.put_back()
    add_person(plain.commune, full_name="Gõ lại", birth_date="2001-02-03")
    plain.commune.node.write()
    link, desk, me = plain.commune.link, plain.district.desk, plain.commune.node.node_id
    assert link is not None
    link.take_hello(desk.hello(me, link.hello()), 1, 1)
    reply, sending = desk.pull(me, link.pull(0))
    envelopes_ = FrameReader(b"").feed(sending.body)
    for _ in range(3):
        link.take_pull(reply, envelopes_)
        plain.commune.node.apply_all()
        plain.commune.node.settle()
    link.take_pull(reply, envelopes_)
    plain.settle()
    assert names(plain.province) == {"Hôm qua", "Hôm nay", "Gõ lại"}
    assert plain.province.value("SELECT count(*) FROM proposal") == 1
    assert_equal(plain)


def test_branch_of_another_is_never_taken_for_the_parents_word(plain: ThreeTiers) -> None:
    """A parent cannot make a node leave its branch by envelopes that its key did not sign."""
    add_person(plain.commune)
    plain.settle()
    stream_id = own_stream(plain.commune)
    before = envelopes(plain.commune, stream_id)
    forged = bytearray(before[-1])
    head = int.from_bytes(forged[:4], "big") & 0xFFFFFF
    forged[4 + head + 3] ^= 1  # inside the signature
    held = plain.commune.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (stream_id,))
    plain.commune.node.rejoin.differs(position(stream_id, held + 1, bytes(32)))
    received = plain.commune.node.accept(plain.district.node.node_id, [bytes(forged)])
    assert received.taken == 0
    assert envelopes(plain.commune, stream_id) == before
    assert plain.commune.value("SELECT count(*) FROM syncd_wish") == 0
