"""Checkpoints: one digest for one content, whatever database holds it (I1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from schema.spec import Audience, Kind
from syncd.envelope import stream_id_of
from syncd.log import Stream
from syncd.verify import compare, digest_stream
from syncd.wire import CheckpointLine
from tests.integration.shapes import lone_root
from tests.trees import TreeNode

TRICKY = (
    "Nguyễn Thị Bưởi",
    "e\u0301 và é",
    "tab\there",
    "line\nbreak",
    "cr\rhere",
    "back\\slash",
    "\\N",
    "\\.",
    "",
    " ",
    "'quote\"",
    "😀 đ Đ",
    "\b\f\v",
    "%s %% ?",
    "x" * 200,
)
WHEN = "2026-11-01T00:00:00Z"


@pytest.fixture
def pair(tmp_path: Path, postgres_dsn: str) -> Iterator[tuple[TreeNode, TreeNode]]:
    """The same node twice, on SQLite and on PostgreSQL, with the same rows of the same ids."""
    for name in ("lite", "post"):
        (tmp_path / name).mkdir()
    lite, post = lone_root(tmp_path / "lite"), lone_root(tmp_path / "post", postgres_dsn)
    assert lite.node.node_id == post.node.node_id
    for node in (lite, post):
        fill(node)
    yield lite, post
    lite.store.close()
    post.store.close()


def fill(at: TreeNode) -> None:
    """Rows in another order on each database; every type, NULLs among them."""
    tag, order = at.keys.tag, list(enumerate(TRICKY))
    with at.store.write("clerk") as tx:
        for place, text in order if at.store.dialect == "sqlite" else reversed(order):
            row_id = f"019a0000-{place * 4099:04x}-7000-8000-0000{tag}"
            tx.run(
                "INSERT INTO household (id, number, kind, hamlet, address, opened_on) VALUES (?, ?, 'family', ?, ?, ?)",
                (row_id, str(place), text, None if place % 2 else text, None if place % 3 else "0001-01-01"),
            )
            tx.run(
                "INSERT INTO person (id, full_name, sex, birth_date, birth_precision, ethnic, residence,"
                " mother_id, line_no) VALUES (?, ?, 1, '9999-12-31', 'y', '01', 'usual', ?, ?)",
                (row_id.replace("019a", "019b"), text, row_id if place % 2 else None, None if place % 2 else -(2**62)),
            )
            tx.run(
                "INSERT INTO death (id, person_id, died_on, cause) VALUES (?, ?, '2026-02-28', ?)",
                (row_id, row_id, text),
            )


def register_of(at: TreeNode) -> Stream:
    stream_id = stream_id_of(Kind.REGISTER, at.unit_id, at.node.node_id, 1)
    return Stream(stream_id=stream_id, kind=Kind.REGISTER, unit_id=at.unit_id, keeper=at.node.node_id, term=1, own=True)


def oversight_of(at: TreeNode, unit_id: str | None) -> Stream:
    return replace(register_of(at), kind=Kind.OVERSIGHT, unit_id=unit_id)


def lines(at: TreeNode, stream: Stream, *audiences: Audience) -> list[CheckpointLine]:
    with at.store.read() as tx:
        return digest_stream(tx, at.store.registry, stream, audiences, 7)


def test_digests_are_equal_on_both_databases_for_the_same_content(pair: tuple[TreeNode, TreeNode]) -> None:
    lite, post = pair
    found = lines(lite, register_of(lite), Audience.SCOPE, Audience.CUSTODIAN)
    assert found == lines(post, register_of(post), Audience.SCOPE, Audience.CUSTODIAN)
    assert {line.row_count for line in found} == {0, len(TRICKY)}
    both = [(line.table, line.audience) for line in found if line.table == 27]
    assert both == [(27, Audience.SCOPE), (27, Audience.CUSTODIAN)]


def test_digest_is_of_the_canonical_text_ordered_by_id(pair: tuple[TreeNode, TreeNode]) -> None:
    lite, _post = pair
    escapes = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}
    wanted = "".join(
        f"{row_id}\t{re.sub('[' + re.escape(''.join(escapes)) + ']', lambda m: escapes[m[0]], cause)}\n"
        for row_id, cause in lite.rows("SELECT id, cause FROM death ORDER BY id")
    )
    found = next(line for line in lines(lite, register_of(lite), Audience.CUSTODIAN) if line.table == 27)
    assert found.sha256 == sha256(wanted.encode()).digest()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE household SET hamlet = 'x' WHERE number = '3'",
        "UPDATE household SET hamlet = NULL WHERE hamlet = ''",
        "DELETE FROM household WHERE number = '0'",
        "UPDATE household SET address = hamlet, hamlet = address WHERE number = '1'",
    ],
)
def test_any_difference_of_content_is_a_difference_that_names_its_table(
    pair: tuple[TreeNode, TreeNode], change: str
) -> None:
    lite, post = pair
    stated = lines(lite, register_of(lite), Audience.SCOPE)
    with post.store.apply("sabotage") as tx:
        tx.run(change)
        found = compare(tx, post.store.registry, register_of(post), stated, WHEN)
    assert [difference.table for difference in found] == ["household"]
    assert post.rows("SELECT tab FROM syncd_checkpoint WHERE ok = 0") == [(24,)]


def test_equal_content_is_recorded_as_equal(pair: tuple[TreeNode, TreeNode]) -> None:
    lite, post = pair
    stated = lines(lite, register_of(lite), Audience.SCOPE, Audience.CUSTODIAN)
    with post.store.apply("verify") as tx:
        assert compare(tx, post.store.registry, register_of(post), stated, WHEN) == []
    assert post.value("SELECT count(*) FROM syncd_checkpoint WHERE ok = 1 AND seq = 7") == len(stated)


def test_line_of_an_unknown_table_or_audience_is_passed_over(pair: tuple[TreeNode, TreeNode]) -> None:
    lite, _post = pair
    unknown = [
        CheckpointLine(at_seq=1, table=9999, audience=1, row_count=1, sha256=bytes(32)),
        CheckpointLine(at_seq=1, table=24, audience=99, row_count=1, sha256=bytes(32)),
    ]
    with lite.store.apply("verify") as tx:
        assert compare(tx, lite.store.registry, register_of(lite), unknown, WHEN) == []


def test_stream_about_a_unit_holds_only_rows_that_its_keeper_minted(pair: tuple[TreeNode, TreeNode]) -> None:
    for node in pair:
        with node.store.apply("rows") as tx:
            for place, tag in enumerate((node.keys.tag, "0badcafe")):
                tx.run(
                    "INSERT INTO person_check (id, unit_id, person_id, citizen_id, checked_at, checked_by)"
                    " VALUES (?, ?, ?, '079000000000', ?, 'A')",
                    (f"019a0000-000{place}-7000-8000-0000{tag}", node.unit_id, node.unit_id, WHEN),
                )
        counts = {line.table: line.row_count for line in lines(node, oversight_of(node, node.unit_id), Audience.SCOPE)}
        assert counts[29] == 1
        assert counts[20] == 0, "units are rows about all"
        assert {line.table: line.row_count for line in lines(node, oversight_of(node, None), Audience.SCOPE)}[20] == 1
