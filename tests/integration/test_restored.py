"""A tier restored from its backup while the others went on, and pruned: it finds back, and nothing typed is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.backup import back_up
from syncd.framing import FrameReader
from syncd.messages import position
from syncd.prune import Policy, prune
from tests.integration.baselines import (
    assert_equal,
    backed_up,
    made,
    restored,
    saved,
    stream_of,
    write_history,
)
from tests.integration.shapes import ThreeTiers, add_person, content, own_stream, three_tiers
from tests.postgres import PostgresMix
from tests.trees import TreeBuilder

NOW = Policy(keep_ms=0, retention_ms=0)
TIERS = ("province", "district", "commune")


@pytest.fixture(params=[(), TIERS], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    with postgres_mix.databases(request.param) as dsns:
        (tmp_path / "tree").mkdir()
        tree = three_tiers(TreeBuilder(tmp_path / "tree"), dsns)
        yield tree
        for node in tree.nodes:
            node.store.close()


@pytest.mark.parametrize("name", TIERS)
def test_a_tier_restored_from_its_last_backup_is_the_same_again(tiers: ThreeTiers, tmp_path: Path, name: str) -> None:
    at = getattr(tiers, name)
    write_history(tiers.commune)
    tiers.prove()
    made_backup = back_up(at.node, saved(at, tmp_path), tmp_path / "stick")
    restored(at, made_backup.path, tmp_path)
    add_person(tiers.commune)
    assert_equal(tiers)


@pytest.mark.parametrize("name", ["district", "commune"])
def test_yesterdays_copy_finds_back_although_the_others_have_pruned(
    tiers: ThreeTiers, tmp_path: Path, name: str
) -> None:
    at = getattr(tiers, name)
    write_history(tiers.commune)
    tiers.prove()
    yesterday = back_up(at.node, saved(at, tmp_path), tmp_path / "yesterday")
    write_history(tiers.commune)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    tiers.settle()
    backed_up(tiers, tmp_path)
    for node in tiers.nodes:
        prune(node.store, NOW, node.node.clock())
    add_person(tiers.commune, full_name="Sau khi cắt")
    tiers.prove()
    restored(at, yesterday.path, tmp_path)
    if name == "commune":
        add_person(tiers.commune, full_name="Gõ vào bản cũ")
    tiers.settle()
    names = [row[0] for row in tiers.province.rows("SELECT full_name FROM person")]
    assert "Sau khi cắt" in names
    assert ("Gõ vào bản cũ" in names) == (name == "commune")
    assert stream_of(at, stream_id).floor_seq > 0
    assert content(tiers.province, "person") == content(tiers.commune, "person")
    assert_equal(tiers)


def test_a_root_restored_after_everybody_pruned_by_its_own_word(tiers: ThreeTiers, tmp_path: Path) -> None:
    """What was pruned is in the very backup that let it be pruned."""
    write_history(tiers.commune)
    made(tiers.commune, own_stream(tiers.commune))
    tiers.prove()
    last = back_up(tiers.province.node, saved(tiers.province, tmp_path), tmp_path / "stick")
    tiers.settle()
    for node in tiers.nodes:
        prune(node.store, NOW, node.node.clock())
    add_person(tiers.commune, full_name="Sau bản sao lưu")
    tiers.prove()
    restored(tiers.province, last.path, tmp_path)
    tiers.settle()
    assert tiers.province.value("SELECT count(*) FROM person WHERE full_name = 'Sau bản sao lưu'") == 1
    assert_equal(tiers)


def test_a_restored_tier_names_whom_it_waits_for_until_all_is_here(tiers: ThreeTiers, tmp_path: Path) -> None:
    write_history(tiers.commune)
    tiers.prove()
    last = back_up(tiers.province.node, saved(tiers.province, tmp_path), tmp_path / "stick")
    add_person(tiers.commune, full_name="Sau bản sao lưu")
    tiers.settle()
    restored(tiers.province, last.path, tmp_path)
    child, link, desk = tiers.district.node.node_id, tiers.district.link, tiers.province.desk
    assert link is not None
    awaited = tiers.province.node.awaited
    assert awaited.children() == []
    awaited.expect([child])
    desk.pull(child, link.pull(0))
    assert awaited.children() == [child], "it was heard, but not about what goes up"
    link.take_hello(desk.hello(child, link.hello()), 0, 0)
    assert awaited.children() == [child], "what it announced is not here"
    while sending := link.next_push():
        link.take_push(desk.push(child, FrameReader(b"").feed(sending.body)))
    assert awaited.children() == []
    assert tiers.province.node.awaited._of == {}, "nothing is kept"
    tiers.settle()


def test_what_is_refused_is_not_waited_for(tiers: ThreeTiers) -> None:
    awaited, child = tiers.province.node.awaited, tiers.district.node.node_id
    awaited.expect([child])
    beyond = position("01900000-0000-7000-8000-0000000000aa", 5, b"x" * 32)
    awaited.announced(child, [beyond])
    assert awaited.children() == [child]
    awaited.refused(child, [beyond.stream_id])
    assert awaited.children() == []
