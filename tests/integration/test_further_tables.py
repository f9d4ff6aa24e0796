"""Tables of a deployment under any name both databases can hold, from a commune on SQLite to a province on PostgreSQL.

Names that are words of SQL, mixed-case names and Vietnamese ones; every stage builds statements of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from schema.spec import Audience, Column, Fold, Kind, Registry, Table, Type
from schema.tables import registry
from syncd.aggregate import recount
from syncd.cli.verify import proofs_text
from syncd.prove import StreamProof, prove
from syncd.recovery import found
from tests.integration.baselines import emptied, forget, made
from tests.integration.shapes import ThreeTiers, content, own_stream, three_tiers
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode

ORDER = Table(
    number=1000,
    name="order",
    kind=Kind.REGISTER,
    columns=(
        Column(number=2, name="group", type=Type.TEXT, policy="latest"),
        Column(number=3, name="select", type=Type.INT),
        Column(number=4, name="mask", type=Type.BYTES, audience=Audience.CUSTODIAN),
    ),
    indexes=(("group", "select"),),
)
TRACK = Table(
    number=1001,
    name="PlaylistTrack",
    kind=Kind.REGISTER,
    columns=(
        Column(number=2, name="OrderId", type=Type.UUID, references="order", inside_unit=True, on_delete="cascade"),
        Column(number=3, name="from", type=Type.DATE, nullable=False),
        Column(number=4, name="Sex", type=Type.INT),
    ),
    fold=Fold(measure="birth", columns=("Sex",), date_column="from"),
)
HOME = Table(
    number=1002,
    name="hộ_khẩu",
    kind=Kind.OVERSIGHT,
    columns=(Column(number=2, name="địa_chỉ", type=Type.TEXT, nullable=False, chars_max=100),),
)
# Names that our own statements have for other things, that are types, or words which not every list of words has.
ODD = ("mine", "date", "returning")
ODDS = tuple(
    Table(
        number=1100 + place,
        name=name,
        kind=Kind.REGISTER,
        columns=(
            Column(number=2, name=name, type=Type.TEXT),
            *(Column(number=n, name=each, type=Type.INT) for n, each in enumerate(sorted({*ODD} - {name}), start=3)),
        ),
        indexes=((name,),),
    )
    for place, name in enumerate(ODD)
)
FURTHER = (ORDER, TRACK, HOME, *ODDS)
NAMES = ("order", "PlaylistTrack", "hộ_khẩu", *ODD)
TIERS = {"up to PostgreSQL": ("province", "district"), "down to SQLite": ("commune",)}


@pytest.fixture(params=TIERS)
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    with postgres_server.databases(TIERS[request.param]) as dsns:
        made_of = three_tiers(TreeBuilder(tmp_path, registry=registry(FURTHER)), dsns)
        yield made_of
        for node in made_of.nodes:
            node.store.close()


def rows(at: TreeNode, name: str) -> list[tuple[Any, ...]]:
    """A table by the statement that anybody would write."""
    table = at.store.registry.by_name[name]
    columns = [column for column in table.all_columns if column.audience is not Audience.CUSTODIAN]
    quoted = ", ".join(f'"{column.name}"' for column in columns)
    return at.rows(f'SELECT {quoted} FROM "{name}" ORDER BY id')


def type_in(at: TreeNode) -> str:
    with at.store.write("clerk") as tx:
        order = tx.value("""INSERT INTO "order" ("group", "select", mask) VALUES ('a', 1, ?) RETURNING id""", (b"m",))
        tx.run("""INSERT INTO "order" ("group") VALUES ('b'), ('c')""")
        tx.run("""INSERT INTO "PlaylistTrack" ("OrderId", "from", "Sex") VALUES (?, '2026-05-01', 1)""", (order,))
        tx.run("""INSERT INTO "PlaylistTrack" ("from") VALUES ('2026-05-02')""")
        for name in ODD:
            tx.run(f"""INSERT INTO "{name}" ("{name}") VALUES ('a')""")
    at.sql("""INSERT INTO "hộ_khẩu" (unit_id, "địa_chỉ") VALUES (?, 'Số 1')""", (at.unit_id,))
    return str(order)


def assert_equal(tiers: ThreeTiers) -> None:
    tiers.prove()
    for node in tiers.nodes:
        assert [rows(node, name) for name in NAMES] == [rows(tiers.commune, name) for name in NAMES]
        assert node.rows("SELECT stream_id, reason FROM syncd_stream WHERE state <> 'ok'") == []
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        with node.store.read() as tx:
            assert recount(tx, node.store.registry) == []
            proofs = prove(tx, node.store.registry, node.node.ring)
        assert {(proof.state, proof.unknown) for proof in proofs} == {("equal", ())}
    assert content(tiers.province, "order") == content(tiers.commune, "order")  # what keepers alone read, too


def test_rows_of_every_name_are_inserted_changed_and_deleted_alike(tiers: ThreeTiers) -> None:
    order = type_in(tiers.commune)
    assert_equal(tiers)
    assert len(rows(tiers.province, "PlaylistTrack")) == 2
    tiers.commune.sql("""UPDATE "order" SET "select" = 7, "group" = 'z' WHERE "group" <> 'b'""")
    tiers.commune.sql("""UPDATE "PlaylistTrack" SET "from" = '2026-06-01' WHERE "OrderId" = ?""", (order,))
    tiers.commune.sql("""UPDATE "hộ_khẩu" SET "địa_chỉ" = 'Số 2'""")
    with tiers.commune.store.write("clerk") as tx:
        for name, other in pairwise((*ODD, ODD[0])):
            tx.run(f"""UPDATE "{name}" SET "{name}" = 'b', "{other}" = 2""")
    assert_equal(tiers)
    tiers.commune.sql("""DELETE FROM "order" WHERE id = ?""", (order,))  # its tracks go with it
    tiers.commune.sql("""DELETE FROM "hộ_khẩu" """)
    assert_equal(tiers)
    assert len(rows(tiers.province, "PlaylistTrack")) == 1


def test_what_was_written_past_the_triggers_is_found_whatever_its_name(tiers: ThreeTiers) -> None:
    order = type_in(tiers.commune)
    assert_equal(tiers)
    with tiers.commune.store.apply("past") as tx:
        tx.run("""UPDATE "order" SET "group" = 'q' WHERE id = ?""", (order,))
        tx.run("""DELETE FROM "PlaylistTrack" WHERE "OrderId" IS NULL""")
        tx.run("""UPDATE "hộ_khẩu" SET "địa_chỉ" = 'Số 3'""")
    assert len(found.look(tiers.commune.node)) == 2  # the register, and what the commune says of itself
    found.journal(tiers.commune.node, is_loss_meant=True)
    assert_equal(tiers)
    assert tiers.province.value("""SELECT "group" FROM "order" WHERE id = ?""", (order,)) == "q"


def test_a_baseline_and_wishes_carry_every_name(tiers: ThreeTiers) -> None:
    order = type_in(tiers.commune)
    assert_equal(tiers)
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    tiers.settle()
    wish(tiers, "order", order, "group")
    for name in ODD:
        row = tiers.commune.value(f'SELECT id FROM "{name}"')
        wish(tiers, name, row, name)
        assert tiers.province.value(f'SELECT "{name}" FROM "{name}_with_pending"') == "đ"
    assert tiers.province.value("""SELECT "group" FROM "order_with_pending" WHERE id = ?""", (order,)) == "đ"
    tiers.settle()
    assert tiers.commune.value("""SELECT "group" FROM "order" WHERE id = ?""", (order,)) == "đ"
    assert_equal(tiers)
    forget(tiers.commune, stream_id, made_at(tiers.commune))
    emptied(tiers, tiers.district)
    assert_equal(tiers)


def wish(tiers: ThreeTiers, table: str, row: str, column: str) -> None:
    """The province wishes `đ` where `a` stands."""
    tiers.province.sql(
        """INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at,
           author_depth) VALUES (?, ?, ?, 'update', ?, ?, 'A', 'r', '2026-11-01T00:00:00Z', 0)""",
        (tiers.commune.unit_id, table, row, f'{{"{column}": "a"}}', f'{{"{column}": "đ"}}'),
    )


def made_at(at: TreeNode) -> int:
    """The position of the only baseline of a node."""
    return int(at.value("SELECT at_seq FROM syncd_baseline"))


ADDED = Column(number=5, name="thêm", type=Type.TEXT)


def one_commune(folder: Path, above: Registry, below: Registry) -> tuple[TreeNode, TreeNode]:
    """A root and a commune that describe other tables; two rows were written and stated."""
    builder = TreeBuilder(folder, registry=above)
    root = builder.root()
    builder.registry = below
    commune = builder.child(root, "commune", "42501")
    builder.settle()
    commune.sql("""INSERT INTO "order" ("group") VALUES ('a'), ('b')""")
    builder.settle()
    commune.node.checkpoint()
    builder.settle()
    return root, commune


def not_compared(root: TreeNode) -> tuple[str, tuple[str, ...]]:
    """What proving says of the commune's register."""
    assert root.rows("SELECT tab FROM syncd_checkpoint WHERE ok <> 1") == []
    with root.store.read() as tx:
        proofs = prove(tx, root.store.registry, root.node.ring)
    (register,) = [proof for proof in proofs if proof.kind == "register" and not proof.own]
    return register.state, register.unknown


def test_what_a_parent_describes_before_its_children_is_no_difference(tmp_path: Path) -> None:
    wider = replace(ORDER, columns=(*ORDER.columns, ADDED))
    root, _ = one_commune(tmp_path, registry((wider, TRACK)), registry((ORDER,)))
    assert not_compared(root) == ("equal", ("PlaylistTrack",))


def test_a_table_that_a_tier_does_not_describe_is_named_as_not_compared(tmp_path: Path) -> None:
    root, commune = one_commune(tmp_path, registry((ORDER,)), registry((ORDER, TRACK)))
    assert not_compared(root) == ("equal", ("1001",))
    text = proofs_text([replace(PROOF, about="Xã 1", unknown=("1001",))])
    assert "1001" in text.splitlines()[-2]
    commune.sql("""INSERT INTO "PlaylistTrack" ("from") VALUES ('2026-05-02')""")
    assert commune.node.write() == 1


PROOF = StreamProof(
    stream_id="", kind="register", about="", keeper="", own=False, seq=1, hash="", state="equal", reason="", digest="",
    tables=(),
)  # fmt: skip
