"""A commit at a commune reaches the province: every mixture of databases, every depth of tree, any tables.

Whole trees in one process (tests/trees.py); the network has tests of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.spec import Column, Kind, Table, Type
from schema.tables import registry
from syncd.aggregate import recount
from tests.integration.shapes import (
    NAMES,
    Died,
    ThreeTiers,
    add_household,
    add_person,
    content,
    die_at,
    envelopes,
    own_stream,
    state,
    three_tiers,
    tiers_on,
    two_communes,
)
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode, finish

MIXTURES = {
    "sqlite": (),
    "postgres province": ("province",),
    "postgres district": ("district",),
    "postgres commune": ("commune",),
    "postgres": ("province", "district", "commune"),
}


@pytest.fixture(params=MIXTURES, ids=str)
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    """Three tiers over each mixture of databases."""
    with tiers_on(postgres_server, tmp_path, MIXTURES[request.param]) as tree:
        yield tree


def type_a_register(at: TreeNode) -> None:
    """Inserts of every kind, then changes of all of it."""
    households = [add_household(at, str(number)) for number in range(1, 4)]
    people = [
        add_person(at, household, full_name=name, sex=1 + place % 2)
        for place, name in enumerate(NAMES)
        for household in households
    ]
    at.sql("UPDATE person SET phone = NULL, education = '05' WHERE sex = 2")
    at.sql("UPDATE person SET residence = 'absent', ethnic = '02' WHERE id = ?", (people[0],))
    at.sql("DELETE FROM person WHERE id = ?", (people[1],))
    at.sql("INSERT INTO death (person_id, died_on, sex, cause) VALUES (?, '2026-03-05', 1, 'tuổi già')", (people[2],))
    at.sql("INSERT INTO birth (born_on, sex, weight_g) VALUES ('2026-03-06', 2, 3100)")
    at.sql("INSERT INTO migration (person_id, direction, moved_on) VALUES (?, 'departure', '2026-04-01')", (people[3],))
    at.sql("DELETE FROM household WHERE number = '99'")


def assert_proven(*nodes: TreeNode) -> None:
    """Checkpoints equal, cells equal a recount, nothing stopped, own changes at the custodian."""
    for node in nodes:
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        assert (
            node.rows("SELECT stream_id, reason FROM syncd_stream WHERE state <> 'ok' OR applied_seq <> held_seq") == []
        )
        assert node.rows("SELECT stream_id FROM syncd_stream WHERE own = 1 AND custodian_seq <> held_seq") == []
        with node.store.read() as tx:
            assert recount(tx, node.store.registry) == []


def test_register_typed_at_a_commune_is_equal_at_every_tier(tiers: ThreeTiers) -> None:
    type_a_register(tiers.commune)
    tiers.prove()
    for table in ("household", "person", "birth", "migration"):
        wanted = content(tiers.commune, table)
        assert wanted
        assert content(tiers.district, table) == content(tiers.province, table) == wanted
    assert tiers.province.value("SELECT count(*) FROM syncd_checkpoint WHERE ok = 1") > 0
    assert_proven(*tiers.nodes)


def test_custodian_only_column_is_at_the_province_and_nowhere_between(tiers: ThreeTiers) -> None:
    type_a_register(tiers.commune)
    tiers.commune.sql("UPDATE death SET cause = 'ngã'")
    tiers.prove()
    assert tiers.province.rows("SELECT cause FROM death") == tiers.commune.rows("SELECT cause FROM death") == [("ngã",)]
    assert tiers.district.rows("SELECT cause FROM death") == [(None,)]
    assert content(tiers.district, "death", without=("cause",)) == content(tiers.commune, "death", without=("cause",))
    stream_id = own_stream(tiers.commune)
    with tiers.district.store.read() as tx:
        ring = tiers.district.node.ring
        assert ring.key(tx, stream_id, 1, 1) is not None
        assert ring.key(tx, stream_id, 2, 1) is None
    assert_proven(*tiers.nodes)


def test_what_the_province_decides_arrives_at_the_commune_concerned(tiers: ThreeTiers) -> None:
    person = add_person(tiers.commune)
    tiers.settle()
    tiers.province.sql(
        "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by)"
        " VALUES (?, ?, '079080000001', '2026-11-01T00:00:00Z', 'A')",
        (tiers.commune.unit_id, person),
    )
    tiers.province.sql(
        "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'ward', '42999', 'Phường mới')",
        (tiers.province.unit_id,),
    )
    tiers.prove()
    for table in ("person_check", "unit"):
        assert content(tiers.commune, table) == content(tiers.district, table) == content(tiers.province, table)
    assert tiers.commune.value("SELECT citizen_id FROM person_check WHERE person_id = ?", (person,)) == "079080000001"
    assert_proven(*tiers.nodes)


def test_relay_carries_the_same_bytes(plain: ThreeTiers) -> None:
    type_a_register(plain.commune)
    plain.prove()
    stream_id = own_stream(plain.commune)
    assert (
        envelopes(plain.commune, stream_id)
        == envelopes(plain.district, stream_id)
        == envelopes(plain.province, stream_id)
    )


def test_tree_without_districts_needs_nothing_but_other_parents(tmp_path: Path) -> None:
    builder, root, one, two = two_communes(tmp_path)
    for at in (one, two):
        type_a_register(at)
    builder.settle()
    assert root.value("SELECT count(*) FROM person") == 2 * one.value("SELECT count(*) FROM person")
    assert one.value("SELECT count(*) FROM person WHERE unit_id <> ?", (one.unit_id,)) == 0, (
        "siblings see nothing of each other"
    )
    assert_proven(root, one, two)


def test_four_levels_need_nothing_but_other_parents(tmp_path: Path) -> None:
    builder = TreeBuilder(tmp_path)
    line = [builder.root("ministry", "00")]
    for name in ("province", "district", "commune"):
        line.append(builder.child(line[-1], name, f"0{len(line)}"))
    builder.settle()
    type_a_register(line[-1])
    builder.settle()
    for above in line[:-1]:
        assert content(above, "person") == content(line[-1], "person")
    assert line[0].rows("SELECT cause FROM death") == [("tuổi già",)]
    assert [above.rows("SELECT cause FROM death") for above in line[1:3]] == [[(None,)], [(None,)]]
    assert_proven(*line)


def test_reference_into_another_commune_blocks_nothing(tmp_path: Path) -> None:
    builder, root, one, two = two_communes(tmp_path)
    mother = add_person(one, full_name="Mẹ", sex=2)
    child = add_person(two, full_name="Con", mother_id=mother)
    unborn = add_person(two, full_name="Cháu", mother_id=f"019a0000-0000-7000-8000-0000{one.keys.tag}")
    builder.settle()
    assert dict(root.rows("SELECT id, mother_id FROM person WHERE mother_id IS NOT NULL")).keys() == {child, unborn}
    assert_proven(root, one, two)


SHELF = Table(
    number=1000,
    name="shelf",
    kind=Kind.REGISTER,
    columns=(
        Column(number=2, name="label", type=Type.TEXT, nullable=False),
        Column(number=3, name="photo", type=Type.BYTES),
    ),
)
BOOK = Table(
    number=1001,
    name="book",
    kind=Kind.REGISTER,
    columns=(
        Column(
            number=2,
            name="shelf_id",
            type=Type.UUID,
            nullable=False,
            references="shelf",
            inside_unit=True,
            on_delete="cascade",
        ),
        Column(number=3, name="title", type=Type.TEXT, nullable=False),
        Column(number=4, name="pages", type=Type.INT),
        Column(number=5, name="bought_on", type=Type.DATE),
        Column(number=6, name="read_at", type=Type.INSTANT),
    ),
)
PRIZE = Table(
    number=1002,
    name="prize",
    kind=Kind.OVERSIGHT,
    columns=(Column(number=2, name="title", type=Type.TEXT, nullable=False),),
)


@pytest.mark.parametrize("mixture", ["sqlite", "postgres"])
def test_tables_that_have_nothing_to_do_with_population_travel_alike(
    mixture: str, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    dsns = {name: postgres_server.create_database() for name in MIXTURES[mixture]}
    tree = three_tiers(TreeBuilder(tmp_path, registry=registry((SHELF, BOOK, PRIZE))), dsns)
    with tree.commune.store.write("clerk") as tx:
        for label, photo in (("Sử", b"\x00\xff\\"), ("Địa", None)):
            shelf = tx.value("INSERT INTO shelf (label, photo) VALUES (?, ?) RETURNING id", (label, photo))
            for pages in (-(2**63), 2**63 - 1, None):
                tx.run(
                    "INSERT INTO book (shelf_id, title, pages, bought_on, read_at)"
                    " VALUES (?, ?, ?, '0001-01-01', '2026-11-01T10:00:00.500Z')",
                    (shelf, f"Tập {pages}", pages),
                )
    tree.province.sql("INSERT INTO prize (unit_id, title) VALUES (?, 'Giải nhất')", (tree.commune.unit_id,))
    tree.settle()
    tree.commune.sql("DELETE FROM shelf WHERE label = 'Sử'")  # its books go with it
    tree.commune.sql("UPDATE book SET pages = 7")
    tree.prove()
    for table, rows in (("shelf", 1), ("book", 3), ("prize", 1)):
        wanted = content(tree.commune, table)
        assert len(wanted) == rows
        assert content(tree.district, table) == content(tree.province, table) == wanted
    assert_proven(*tree.nodes)
    finish()
    for dsn in dsns.values():
        postgres_server.drop_database(dsn)


@pytest.mark.parametrize("tiers", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("column", ["full_name", "id"])
def test_value_altered_behind_the_daemon_is_found_at_the_next_checkpoint(tiers: ThreeTiers, column: str) -> None:
    person = add_person(tiers.commune)
    tiers.settle()
    tiers.district.broken = True
    with tiers.district.store.apply("sabotage") as tx:
        if column == "id":
            tx.run("DELETE FROM person WHERE id = ?", (person,))
        else:
            tx.run("UPDATE person SET full_name = 'Khác' WHERE id = ?", (person,))
    tiers.prove()
    cases = tiers.district.rows("SELECT kind, stream_id, detail FROM syncd_case WHERE closed_at IS NULL")
    assert [(kind, stream_id) for kind, stream_id, _detail in cases] == [
        ("checkpoint_mismatch", own_stream(tiers.commune))
    ]
    assert '"table": "person"' in cases[0][2]
    assert tiers.province.rows("SELECT kind FROM syncd_case") == []


def test_mended_content_closes_the_alarm_at_the_next_checkpoint(plain: ThreeTiers) -> None:
    person = add_person(plain.commune)
    plain.settle()
    for name in ("Khác", NAMES[0]):
        with plain.district.store.apply("sabotage") as tx:
            tx.run("UPDATE person SET full_name = ? WHERE id = ?", (name, person))
        plain.commune.sql("UPDATE person SET phone = ? WHERE id = ?", (name[:5], person))
        plain.prove()
    assert plain.district.value("SELECT count(*) FROM syncd_case") == 1
    assert plain.district.value("SELECT count(*) FROM syncd_case WHERE closed_at IS NULL") == 0


def test_newer_schema_stops_its_stream_alone_and_goes_on_after_the_upgrade(
    plain: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_person(plain.commune)
    plain.settle()
    stream_id = own_stream(plain.commune)
    with monkeypatch.context() as newer:
        newer.setattr("syncd.own_streams.SCHEMA_REVISION", 2)  # what a newer release writes
        add_person(plain.commune, full_name="Mới")
        plain.commune.node.write()
    add_household(plain.commune)  # revision 1 again, in the same stream: waits behind
    plain.province.sql("UPDATE unit SET name = 'Tỉnh' WHERE id = ?", (plain.province.unit_id,))
    plain.settle()
    for above in (plain.district, plain.province):
        waiting, reason = state(above, stream_id)
        assert waiting == "waiting"
        assert "upgrade" in str(reason)
        assert above.value("SELECT count(*) FROM person") == 1
        assert above.value("SELECT count(*) FROM household") == 0
    assert plain.commune.value("SELECT name FROM unit WHERE id = ?", (plain.province.unit_id,)) == "Tỉnh"
    monkeypatch.setattr("syncd.applying.SCHEMA_REVISION", 2)
    plain.settle()
    assert content(plain.province, "person") == content(plain.commune, "person")
    assert_proven(*plain.nodes)


def test_crash_in_the_middle_of_a_large_group_discards_its_pieces_by_name(
    plain: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.limits.GROUP_ROWS_MAX", 3)
    with plain.commune.store.write("clerk") as tx:
        for number in range(10):
            tx.run("INSERT INTO household (number, kind) VALUES (?, 'family')", (str(number),))
    plain.commune.store.failpoint = die_at("sequence-close:before-commit")
    with pytest.raises(Died):
        plain.commune.node.write()
    plain.commune.reopen()
    plain.builder.settle()
    marks = [
        row[0]
        for row in plain.commune.rows(
            "SELECT mark FROM syncd_log WHERE stream_id = ? ORDER BY seq", (own_stream(plain.commune),)
        )
    ]
    assert marks == [1, 1, 1, 2, 1, 1, 1, 0], "three open pieces, discarded; then the group again"
    assert content(plain.province, "household") == content(plain.commune, "household")
    assert_proven(*plain.nodes)


@pytest.mark.parametrize("rows_max", [5_000, 70_000])
def test_bulk_delete_travels_in_pieces_that_receivers_accept(
    plain: ThreeTiers, monkeypatch: pytest.MonkeyPatch, rows_max: int
) -> None:
    """With pieces as in production, and with ones so large that the body's own bound must divide them."""
    count = 22_000
    monkeypatch.setattr("syncd.limits.GROUP_ROWS_MAX", rows_max)
    monkeypatch.setattr("syncd.wire.ENVELOPE_ROWS_MAX", 7_000)
    _fill_households(plain.commune, count)
    plain.settle()
    assert plain.province.value("SELECT count(*) FROM household") == count
    plain.commune.sql("DELETE FROM household")
    plain.prove()
    assert (
        plain.province.value("SELECT count(*) FROM household")
        == plain.district.value("SELECT count(*) FROM household")
        == 0
    )
    assert_proven(*plain.nodes)


def _fill_households(at: TreeNode, count: int) -> None:
    at.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO household (number, kind) SELECT CAST(i AS TEXT), 'family' FROM n",
        (count,),
    )
