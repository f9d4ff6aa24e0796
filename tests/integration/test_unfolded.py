"""A few bytes never become gigabytes in a tier's memory or tables; what people load in earnest is split and arrives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from syncd import log
from syncd.compress import compress
from syncd.envelope import Header
from syncd.seal import PlainPart, seal_envelope
from tests.integration.shapes import ThreeTiers, add_person, content, envelopes, own_stream, state, tiers_on
from tests.postgres import PostgresMix
from tests.trees import TreeNode

ROWS = 65_536
WIDE = "\U0001d54f"


def bomb(keeper: TreeNode, stream_id: str) -> bytes:
    """An envelope of the keeper's own that inserts 65 536 households with the longest hamlets one may send once."""
    table = keeper.store.registry.by_name["household"]
    columns = {column.number: column for column in table.all_columns[2:]}
    texts = {"kind": "family", "number": "1", "hamlet": WIDE * 200}
    data = [
        (None, [b"\0" + texts[column.name].encode()]) if column.name in texts else (True, None)
        for column in columns.values()
    ]
    ids = bytes(16 * ROWS)
    plain = msgspec.msgpack.encode([(table.number, 1, list(columns), ROWS, ids, data)])
    with keeper.store.read() as tx:
        at = log.stream(tx, stream_id)
    assert at is not None
    header = Header(
        stream_id=stream_id, seq=at.held_seq + 1, previous=at.held_hash, mark=0, schema_revision=1, tree_seq=0,
        time_ms=1_790_000_000_000, clock_offset_ms=0, rows=ROWS,
    )  # fmt: skip
    part = PlainPart(audience=1, epoch=1, epoch_key=keeper.keys.epoch_key(stream_id, 1, 1), body=plain)
    assert len(compress(plain)) < 1500
    return seal_envelope(header, [part], keeper.keys.sign, os.urandom).to_bytes()


@pytest.fixture(params=[(), ("district", "province")], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_mix, tmp_path, request.param) as found:
        yield found


def test_an_envelope_that_unfolds_to_gigabytes_stops_its_own_stream_with_words(tiers: ThreeTiers) -> None:
    other = tiers.builder.child(tiers.district, "other", "42502")
    tiers.settle()
    add_person(tiers.commune)
    add_person(other)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    tiers.district.desk.push(tiers.commune.node.node_id, [bomb(tiers.commune, stream_id)])
    tiers.district.node.apply_all()
    assert tiers.district.value("SELECT count(*) FROM household") == 0
    found, reason = state(tiers.district, stream_id)
    assert found == "stopped"
    assert "unfold" in (reason or "")
    add_person(other)
    tiers.settle()
    assert tiers.province.value("SELECT count(*) FROM person") == 3  # every other stream goes on


def test_a_load_of_long_equal_texts_travels_in_pieces_and_arrives(tiers: ThreeTiers) -> None:
    with tiers.commune.store.write("load") as tx:
        rows = [(str(number), WIDE * 200, WIDE * 40, WIDE * 200) for number in range(1, 9_001)]
        names = "number, kind, hamlet, enumeration_area, collaborator"
        tx.many(f"INSERT INTO household ({names}) VALUES (?, 'family', ?, ?, ?)", rows)
    tiers.settle()
    assert content(tiers.district, "household") == content(tiers.commune, "household")
    assert len(envelopes(tiers.commune, own_stream(tiers.commune))) > 2
