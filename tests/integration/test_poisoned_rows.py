"""Rows that a hostile node signs: whatever stands in a control table, no neighbour's process ends; its stream stops or
the row is taken, everything else goes on (I10).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schema.replicated import HANDOVER, KEY_GRANT, NODE, REASSIGNMENT
from schema.spec import Audience, Column, Kind, Table, Type
from syncd import keys
from syncd.envelope import Genesis, Header, stream_id_of
from syncd.errors import RuleBroken, SyncdError
from syncd.seal import PlainPart, seal_envelope
from syncd.wire import INSERT, Block, encode_body
from tests.contained import Contained
from tests.grown import grow
from tests.integration.handovers import raw_order
from tests.integration.shapes import add_person, content, own_stream, state
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder, TreeNode, exchange

NOW = "2026-01-01T00:00:00Z"
INTS = (-(2**63), -1, 0, 1, 255, 256, 2**31, 2**32, 10**15 + 1, 2**63 - 1)
BYTES = (b"", b"short", bytes(31), bytes(32), bytes(33), bytes(80), b"\xff" * 80, bytes(100_000))
TEXTS = ("", "\x1b[2J", "x" * 201, "x" * 3000, "'; DROP TABLE node; --", "enrolled", "\u202e")
INSTANTS = ("", "x", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2026-02-30T00:00:00Z")
CONTROL = (NODE, KEY_GRANT, HANDOVER, REASSIGNMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """A province with two districts of a commune each."""

    builder: TreeBuilder
    province: TreeNode
    north: TreeNode
    commune: TreeNode
    south: TreeNode
    southern: TreeNode


@pytest.fixture(params=["sqlite", "postgres"])
def country(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[Country]:
    names = ("province", "north") if request.param == "postgres" else ()
    with postgres_mix.databases(names) as dsns:
        builder = TreeBuilder(tmp_path)
        grow(builder, _build_country, dsns)
        province, north, commune, south, southern = builder.nodes
        yield Country(builder=builder, province=province, north=north, commune=commune, south=south, southern=southern)
        for node in builder.nodes:
            node.store.close()


def _build_country(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    province = builder.root("province", "42", dsns.get("province"))
    north = builder.child(province, "north", "425", dsns.get("north"))
    commune = builder.child(north, "commune", "42501")
    south = builder.child(province, "south", "426")
    builder.child(south, "southern", "42601")
    builder.settle()
    add_person(commune)
    builder.settle()


def good(tree: Country, by: TreeNode, table: Table) -> dict[str, Any]:
    """A row of a control table as `by` would rightly write it."""
    me, unit = by.node.node_id, by.unit_id
    key = by.keys.x25519_public
    rows: dict[str, dict[str, Any]] = {
        "node": {
            "node_id": tree.southern.node.node_id, "parent_id": me, "name": "x", "signing_public": key,
            "sealing_public": key, "home_unit_id": unit, "term": 1, "status": "enrolled", "enrolled_at": NOW,
        },
        "key_grant": {
            "stream_id": own_stream(tree.commune), "audience": 1, "epoch": 1, "reader_id": tree.province.node.node_id,
            "sealed_key": bytes(80),
        },
        "handover": {
            "kept_unit_id": tree.commune.unit_id, "from_node_id": tree.commune.node.node_id, "from_term": 1,
            "to_node_id": me, "forced_seq": None, "forced_hash": None, "is_revoked": 0, "reason": "x", "author": "x",
            "ordered_at": NOW,
        },
        "reassignment": {
            "from_unit_id": unit, "to_unit_id": tree.southern.unit_id, "row_ids": bytes(16), "reason": "x",
            "author": "x", "ordered_at": NOW,
        },
    }  # fmt: skip
    return rows[table.name]


def beyond(column: Column) -> tuple[Any, ...]:
    """Values at a column's bounds and beyond, of its own wire type; what it takes besides NULL."""
    values = {Type.INT: INTS, Type.BYTES: BYTES, Type.TEXT: TEXTS, Type.INSTANT: INSTANTS}.get(column.type, ())
    return (None, *values)


def signed(by: TreeNode, table: Table, row: dict[str, Any], number: int) -> bytes:
    """The next envelope of `by`'s control stream, rightly signed, with this row."""
    stream_id = stream_id_of(Kind.CONTROL, None, by.node.node_id, 1)
    held = by.rows("SELECT held_seq, held_hash FROM syncd_stream WHERE stream_id = ?", (stream_id,))
    seq, previous = (int(held[0][0]), bytes(held[0][1])) if held else (0, bytes(32))
    columns = [column for column in table.columns if column.name in row]
    block = Block(
        table=table.number, op=INSERT, columns=tuple(column.number for column in columns),
        ids=[f"01900000-0000-7000-8abc-{number:04x}{by.keys.tag}"], values=[[row[column.name]] for column in columns],
    )  # fmt: skip
    body = encode_body([block], {table.number: {column.number: _wire(column) for column in columns}})
    header = Header(
        stream_id=stream_id, seq=seq + 1, previous=previous, mark=0, schema_revision=1, tree_seq=0,
        time_ms=1_790_000_000_000, clock_offset_ms=0, rows=1,
        genesis=None if seq else Genesis(kind=Kind.CONTROL, unit=None, keeper=by.node.node_id, term=1),
    )  # fmt: skip
    parts = [PlainPart(audience=0, epoch=0, epoch_key=None, body=body)]
    return seal_envelope(header, parts, by.keys.sign, by.node._random).to_bytes()


def _wire(column: Column) -> str:
    return "text" if column.type is Type.INSTANT else str(column.type)


def take_back(at: TreeNode, by: TreeNode) -> None:
    """As if the last envelope had never come: the same stream is tried with another row."""
    stream_id = stream_id_of(Kind.CONTROL, None, by.node.node_id, 1)
    seq, hash_ = by.rows("SELECT held_seq, held_hash FROM syncd_stream WHERE stream_id = ?", (stream_id,))[0]
    with at.store.apply("test") as tx:
        tx.run("DELETE FROM syncd_log WHERE stream_id = ? AND seq > ?", (stream_id, seq))
        tx.run(
            "UPDATE syncd_stream SET held_seq = ?, held_hash = ?, applied_seq = ?, applied_hash = ?, state = 'ok',"
            " reason = NULL WHERE stream_id = ?",
            (seq, bytes(hash_), seq, bytes(hash_), stream_id),
        )
        for table in CONTROL:
            tx.run(f"DELETE FROM {table.name} WHERE CAST(id AS text) LIKE '01900000-0000-7000-8abc-%'")
    at.node.refresh()


def turn(at: TreeNode) -> None:
    """What a daemon does after news; it must not raise, but for what is tried again as a whole."""
    at.node.apply_all()
    at.node.write()
    at.node.settle()


@pytest.mark.parametrize("name", [table.name for table in CONTROL])
@pytest.mark.parametrize("who", ["commune", "north", "province"])
def test_a_row_of_any_value_stops_its_stream_or_is_taken(
    country: Country, contained: Contained, name: str, who: str
) -> None:
    by: TreeNode = getattr(country, who)
    at = {"commune": country.north, "north": country.province, "province": country.north}[who]
    table = next(table for table in CONTROL if table.name == name)
    number = taken = 0
    for column in table.columns:
        for value in beyond(column):
            number += 1
            data = signed(by, table, {**good(country, by, table), column.name: value}, number)
            at.node.accept(by.node.node_id, [data])
            turn(at)
            taken += state(at, stream_id_of(Kind.CONTROL, None, by.node.node_id, 1))[0] == "ok"
            take_back(at, by)
    assert 0 < taken < number
    assert contained.bugs == []
    contained.stopped.clear()
    add_person(country.southern)
    for _ in range(4):
        for node in country.builder.nodes:
            node.node.write()
            if node.link is not None and node.parent is not None:
                exchange(node.link, node.parent.desk, node)
            turn(node)
    assert content(country.province, "person")
    assert {row[0] for row in country.province.rows("SELECT unit_id FROM person")} >= {country.southern.unit_id}


BAD: tuple[tuple[Table, dict[str, Any]], ...] = (
    (KEY_GRANT, {"audience": 0}), (KEY_GRANT, {"audience": 256}), (KEY_GRANT, {"epoch": -1}), (KEY_GRANT, {"epoch": 0}),
    (KEY_GRANT, {"epoch": 2**32}), (KEY_GRANT, {"sealed_key": b"x"}), (KEY_GRANT, {"sealed_key": bytes(81)}),
    (NODE, {"signing_public": b"short"}), (NODE, {"sealing_public": bytes(33)}), (NODE, {"term": -1}),
    (NODE, {"term": 2**62}), (NODE, {"status": "x"}), (NODE, {"enrolled_at": "x"}), (NODE, {"name": "x" * 201}),
    (HANDOVER, {"from_term": -1}), (HANDOVER, {"forced_seq": -1, "forced_hash": bytes(32)}), 
    (HANDOVER, {"forced_seq": 1}),
    (HANDOVER, {"forced_seq": 1, "forced_hash": b"x"}), (HANDOVER, {"is_revoked": 2}),
    (REASSIGNMENT, {"row_ids": b"x"}),
)  # fmt: skip


def test_a_program_is_refused_a_row_beyond_the_bounds_in_words(country: Country) -> None:
    for table, values in BAD:
        row = {**good(country, country.north, table), **values}
        insert = f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        with pytest.raises(RuleBroken, match=f"table {table.name}"):
            country.north.sql(insert, tuple(row.values()))


def test_a_key_that_nobody_can_seal_to_stops_the_grants_to_it_alone(country: Country, contained: Contained) -> None:
    """A hostile district hands its unit to a node of its own whose key is a point of low order."""
    country.north.sql(
        "INSERT INTO handover (kept_unit_id, from_node_id, from_term, to_node_id, is_revoked, reason, author,"
        " ordered_at) VALUES (?, ?, 1, ?, 0, 'x', 'x', ?)",
        (country.commune.unit_id, country.commune.node.node_id, _node_without_key(country), NOW),
    )
    rounds(country, 4)
    add_person(country.southern)
    raw_order(country.south, country.southern.unit_id, country.southern, 1, country.south)
    rounds(country, 8)
    kept = country.province.rows("SELECT node_id FROM syncd_keeper WHERE unit_id = ?", (country.southern.unit_id,))
    assert kept == [(country.south.node.node_id,)]
    cases = country.province.rows("SELECT detail FROM syncd_case WHERE kind = 'duty_stopped' AND closed_at IS NULL")
    assert [case for case in cases if "grant keys" in case[0] and "cannot be sealed to" in case[0]]
    assert contained.bugs == []
    contained.stopped.clear()


def _node_without_key(country: Country) -> str:
    """Enrolled by the northern district, under an id that is its signing key's, with a sealing key of zeros."""
    from syncd.security.identity import node_id_from_public

    public = bytes(range(32))
    country.north.sql(
        "INSERT INTO node (node_id, parent_id, name, signing_public, sealing_public, home_unit_id, term, status,"
        " enrolled_at) VALUES (?, ?, 'x', ?, ?, ?, 0, 'enrolled', ?)",
        (node_id_from_public(public), country.north.node.node_id, public, bytes(32), country.north.unit_id, NOW),
    )
    return node_id_from_public(public)


def rounds(country: Country, count: int) -> None:
    """So many turns of every node; an error of ours is an answer, not an end."""
    for _ in range(count):
        for node in country.builder.nodes:
            with suppress(SyncdError):
                node.node.write()
                if node.link is not None and node.parent is not None:
                    exchange(node.link, node.parent.desk, node)
                turn(node)


def test_a_station_writes_on_whatever_its_clerks_put_among_its_grants(country: Country) -> None:
    stream_id = own_stream(country.commune)
    with country.commune.store.write("clerk") as tx:  # well sealed, with a key of the clerk's choice
        to = keys.Reader(node_id=country.commune.node.node_id, sealing_public=country.commune.keys.x25519_public)
        keys.grant(tx, stream_id, int(Audience.SCOPE), 9, b"k" * keys.EPOCH_KEY_BYTES, to)
    for epoch in (2, 7, 2**32 - 1):
        country.commune.sql(
            "INSERT INTO key_grant (stream_id, audience, epoch, reader_id, sealed_key) VALUES (?, 1, ?, ?, ?)",
            (stream_id, epoch, country.commune.node.node_id, bytes(80)),
        )
    add_person(country.commune)
    country.builder.settle()
    assert content(country.province, "person") == content(country.commune, "person")
    country.commune.node.ring.forget()
    country.commune.sql("DELETE FROM key_grant WHERE stream_id = ?", (stream_id,))
    add_person(country.commune)
    country.builder.settle()
    assert content(country.north, "person") == content(country.commune, "person")
