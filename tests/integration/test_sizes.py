"""Rows of any size, in any number: everything a database took is sealed within the limits and is equal above.

Trees in one process over SQLite and PostgreSQL; at the real limits, and at small ones for random registers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.spec import Audience, Column, Kind, Table, Type
from schema.tables import registry
from syncd import baseline, limits, seal
from syncd.errors import RuleBroken
from tests.integration.shapes import ThreeTiers, add_household, content, own_stream, state, three_tiers
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder, TreeNode

FILE = Table(
    number=1000,
    name="attachment",
    kind=Kind.REGISTER,
    columns=(
        Column(number=2, name="scan", type=Type.BYTES),
        Column(number=3, name="words", type=Type.TEXT, chars_max=200_000),
        Column(number=4, name="secret", type=Type.BYTES, audience=Audience.CUSTODIAN),
    ),
)
TIERS = {"sqlite": (), "postgres": ("province", "commune")}
KIB, MIB = 1024, 1024 * 1024
HAN = [chr(code) for code in range(0x4E00, 0x9FA5)]


@pytest.fixture(params=TIERS)
def files(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    """Three tiers that replicate one table of files beside the records."""
    with postgres_mix.databases(TIERS[request.param]) as dsns:
        tiers = three_tiers(TreeBuilder(tmp_path, registry=registry((FILE,))), dsns)
        yield tiers
        for node in tiers.nodes:
            node.store.close()


def put(at: TreeNode, rows: list[tuple[bytes | None, str | None, bytes | None]]) -> None:
    with at.store.write("clerk") as tx:
        tx.many("INSERT INTO attachment (scan, words, secret) VALUES (?, ?, ?)", rows)


def assert_equal_above(tiers: ThreeTiers) -> None:
    tiers.prove()
    for table in ("attachment", "household"):
        wanted = content(tiers.commune, table)
        assert content(tiers.province, table) == wanted
        hidden = ("secret",) if table == "attachment" else ()
        assert content(tiers.district, table, without=hidden) == content(tiers.commune, table, without=hidden)
    for node in tiers.nodes:
        assert node.rows("SELECT stream_id, reason FROM syncd_stream WHERE state <> 'ok'") == []
        assert node.rows("SELECT stream_id, tab FROM syncd_checkpoint WHERE ok <> 1") == []
        assert node.value("SELECT max(size) FROM syncd_log") <= limits.ENVELOPE_BYTES_MAX


def test_what_fits_a_body_but_no_envelope_is_split(files: ThreeTiers) -> None:
    """Long values that do not pack, and long texts of a table whose rows are short as a rule."""
    noise = random.Random(1)
    rows = [(str(number), "family", "".join(noise.choices(HAN, k=2_000))) for number in range(1, 2_501)]
    with files.commune.store.write("clerk") as tx:
        tx.many("INSERT INTO household (number, kind, address) VALUES (?, ?, ?)", rows)
        tx.many("INSERT INTO attachment (scan) VALUES (?)", [(noise.randbytes(30 * KIB),) for _ in range(300)])
    assert_equal_above(files)


def test_a_baseline_of_long_values_is_split_too(tmp_path: Path) -> None:
    tiers, noise = three_tiers(TreeBuilder(tmp_path, registry=registry((FILE,)))), random.Random(3)
    put(tiers.commune, [(noise.randbytes(2 * MIB), None, noise.randbytes(MIB)) for _ in range(4)])
    tiers.prove()
    made = baseline.make(tiers.commune.node, own_stream(tiers.commune))
    assert made is not None
    longest = tiers.commune.value("SELECT max(size) FROM syncd_log WHERE stream_id = ?", (made.stream_id,))
    assert longest <= limits.ENVELOPE_BYTES_MAX


def test_a_value_that_no_envelope_holds_is_refused_by_the_database(files: ThreeTiers) -> None:
    before = content(files.commune, "attachment")
    with pytest.raises(RuleBroken, match="scan"):
        put(files.commune, [(bytes(3 * MIB + 1), None, None)])
    with pytest.raises(RuleBroken, match="4194304"):
        put(files.commune, [(bytes(2 * MIB), None, bytes(2 * MIB))])
    assert content(files.commune, "attachment") == before


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the real ones, as far as they are this node's own choice."""
    monkeypatch.setattr(seal, "PLAIN_BYTES_MAX", 160 * KIB)
    monkeypatch.setattr(seal, "PARTS_BYTES_MAX", 80 * KIB)
    monkeypatch.setattr(limits, "PIECE_BYTES", 60 * KIB)
    monkeypatch.setattr(limits, "BASELINE_PIECE_BYTES", 60 * KIB)
    monkeypatch.setattr(limits, "GROUP_ROWS_MAX", 500)


def _value(kind: str, size: int, noise: random.Random) -> bytes:
    return {"noise": noise.randbytes(size), "constant": b"a" * size, "few": bytes(noise.choices(b"ab", k=size))}[kind]


KINDS = st.sampled_from(["noise", "constant", "few"])
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.tuples(KINDS, st.integers(0, 30 * KIB))),
        st.one_of(st.none(), st.tuples(KINDS, st.integers(1, 8 * KIB))),
        st.one_of(st.none(), st.tuples(KINDS, st.integers(0, 30 * KIB))),
        st.sampled_from([1, 1, 1, 2, 30]),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, seed=st.integers(0, 1000), is_changed=st.booleans())
def test_any_register_is_sealed_within_the_limits(
    files: ThreeTiers, small_limits: None, rows: list[tuple[tuple[str, int] | None, ...]], seed: int, is_changed: bool
) -> None:
    noise = random.Random(seed)
    made = []
    for scan, words, secret, times in rows:
        for _ in range(int(times)):  # type: ignore[call-overload]  # the last of the four is a number
            made.append((
                None if scan is None else _value(*scan, noise),
                None if words is None else "".join(HAN[byte * 80] for byte in _value(*words, noise)),
                None if secret is None else _value(*secret, noise),
            ))  # fmt: skip
    if is_changed:
        with files.commune.store.write("clerk") as tx:
            tx.run("UPDATE attachment SET words = words || 'x' WHERE length(words) < 8000")
            tx.run("DELETE FROM attachment WHERE words IS NULL")
    put(files.commune, made)
    known = files.commune.value("SELECT coalesce(max(held_seq), 0) FROM syncd_stream WHERE own = 1 AND kind = 1")
    files.commune.node.write()
    found = files.commune.rows(
        "SELECT size FROM syncd_log WHERE stream_id = ? AND seq > ?", (own_stream(files.commune), known)
    )
    assert all(size <= seal.PARTS_BYTES_MAX + limits.HEADER_BYTES_MAX for (size,) in found)
    assert_equal_above(files)


def test_a_row_of_before_that_no_envelope_holds_stops_its_unit_alone(
    tmp_path: Path, postgres_dsn: str, small_limits: None
) -> None:
    """One journal with such a row and others; it is mended, and all goes on by itself."""
    for dsn in (None, postgres_dsn):
        builder = TreeBuilder(tmp_path / ("postgres" if dsn else "sqlite"), registry=registry((FILE,)))
        builder.folder.mkdir()
        tiers = three_tiers(builder, {"district": dsn} if dsn else {})
        at, noise = tiers.district, random.Random(4)
        put(at, [(noise.randbytes(1), None, None) for _ in range(2 * limits.GROUP_ROWS_MAX)])
        put(at, [(noise.randbytes(200 * KIB), None, None), (noise.randbytes(10), None, None)])
        too_long = at.value("SELECT id FROM attachment WHERE length(scan) > 100000")
        at.sql(
            "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by) VALUES"
            " (?, ?, '001200000001', '2026-11-01T00:00:00Z', 'A')",
            (tiers.commune.unit_id, too_long),
        )
        at.node.write()
        tiers.settle()
        stopped, reason = state(at, own_stream(at))
        assert stopped == "stopped"
        assert reason is not None
        assert too_long in reason
        assert "shorten the row or delete it" in reason
        assert tiers.province.rows("SELECT citizen_id FROM person_check") == [("001200000001",)]  # another stream
        assert tiers.province.rows("SELECT id FROM attachment") == []
        assert not at.node.has_backlog()  # nobody tries without end
        assert at.node.write() == 0
        head = at.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (own_stream(at),))
        tiers.settle()
        assert at.value("SELECT held_seq FROM syncd_stream WHERE stream_id = ?", (own_stream(at),)) == head
        at.sql("UPDATE attachment SET scan = NULL WHERE id = ?", (too_long,))
        assert at.node.has_backlog()
        tiers.prove()
        assert state(at, own_stream(at)) == ("ok", None)
        assert content(tiers.province, "attachment") == content(at, "attachment")


def test_a_row_that_was_too_long_may_also_be_deleted(tmp_path: Path, small_limits: None) -> None:
    tiers = three_tiers(TreeBuilder(tmp_path, registry=registry((FILE,))))
    put(tiers.commune, [(random.Random(5).randbytes(200 * KIB), None, None)])
    tiers.settle()
    assert state(tiers.commune, own_stream(tiers.commune))[0] == "stopped"
    tiers.commune.sql("DELETE FROM attachment")
    tiers.prove()
    assert state(tiers.commune, own_stream(tiers.commune)) == ("ok", None)
    add_household(tiers.commune)
    assert_equal_above(tiers)
