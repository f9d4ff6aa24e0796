"""Commits that no other test dies at: the process dies before and after each, a new one does the same again (I8).

Every scenario provokes one stage on a small tree over SQLite, and ends in the same check: the work is done exactly
once, every node shows what the keeper has, and what was stated compares. `ELSEWHERE` of
`tests/acceptance/test_failpoints.py` names the stages that are killed here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from schema.spec import Kind
from syncd import baseline, baseline_taking, cutting, failpoint, limits, log, restore
from syncd.backup import back_up
from syncd.cli import program
from syncd.config import Config
from syncd.enrolment import init_root
from syncd.errors import ConfigError
from syncd.identity import links
from syncd.identity.links import Side
from syncd.identity.match import match_changed
from syncd.node_files import DATABASE_FILE, open_node
from syncd.proposals import withdraw
from syncd.proposing import Wish, propose
from syncd.prune import Policy, prune
from syncd.store.base import Store
from tests.integration import handovers, registers
from tests.integration.baselines import assert_equal, backed_up, made, saved, stream_of, write_history
from tests.integration.shapes import Died, ThreeTiers, add_person, die_at, own_stream, three_tiers
from tests.nodes import ROOT_UNIT
from tests.trees import TreeBuilder, TreeNode

MOMENTS = ("before-commit", "after-commit")
NOW = Policy(keep_ms=0, retention_ms=0)
INSTANT = "2026-09-21T00:00:00.000Z"
Scenario = Callable[[Path, str, pytest.MonkeyPatch], None]


def twice(at: TreeNode, point: str, act: Callable[[], object]) -> None:
    """The node's process dies in `act`; a new one opens its database and does it again."""
    at.store.failpoint = die_at(point)
    with pytest.raises(Died):
        act()
    at.reopen()
    act()


# --- baselines, pruning, backups -------------------------------------------------------------------------------------


def _baseline(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    tiers = three_tiers(TreeBuilder(folder))
    commune = tiers.commune
    write_history(commune)
    stream_id = own_stream(commune)
    twice(commune, point, lambda: baseline.make(commune.node, stream_id))
    assert_equal(tiers)
    for node in tiers.nodes:
        assert node.value("SELECT count(*) FROM syncd_stream WHERE kind = ?", (int(Kind.BASELINE),)) == 1


def _group_that_cannot_be_applied(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    tiers = three_tiers(TreeBuilder(folder))
    write_history(tiers.commune)
    tiers.prove()
    stream_id = own_stream(tiers.commune)
    with tiers.district.store.apply("sabotage") as tx:
        tx.run("DELETE FROM person WHERE unit_id = ?", (tiers.commune.unit_id,))
        for cells in ("syncd_cell_stock", "syncd_cell_flow"):
            tx.run(f"DELETE FROM {cells} WHERE unit_id = ?", (tiers.commune.unit_id,))
    tiers.commune.sql("UPDATE person SET phone = '7'")
    tiers.settle()
    assert stream_of(tiers.district, stream_id).state == "stopped"
    made(tiers.commune, stream_id)
    twice(tiers.district, point, tiers.settle)
    assert_equal(tiers)


def _earlier_term_under_a_baseline(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    """What an earlier term says and is not applied yet lies in the baseline of a later one: it is stepped over."""
    builder = TreeBuilder(folder / "tree")
    builder.folder.mkdir()
    tiers = three_tiers(builder)
    commune, district = tiers.commune, tiers.district
    other = builder.child(district, "other", "42502")
    builder.settle()
    handovers.add(commune, commune.unit_id, "Một")
    tiers.settle()
    first = own_stream(commune)
    handovers.order(builder, "province", commune.unit_id, "other")
    tiers.settle()
    handovers.add(other, commune.unit_id, "Hai")
    other.node.write()
    query = "SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = 1 AND unit_id = ?"
    made(other, str(other.value(query, (commune.unit_id,))))
    tiers.settle()
    backed_up(tiers, folder)
    assert prune(district.store, NOW, district.node.clock())
    assert _unapplied(district, first).applied_seq == stream_of(district, first).floor_seq > 0
    twice(district, point, lambda: baseline_taking.take(district.store, district.node.applier, first))
    at = stream_of(district, first)
    assert (at.applied_seq, at.applied_hash) == (at.held_seq, at.held_hash)
    handovers.proven(builder, commune.unit_id, "other", "district", "province")
    assert handovers.names(district, commune.unit_id) == ["Hai", "Một"]


def _prune(folder: Path, point: str, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits, "PRUNE_ENVELOPES", 2)  # several steps: it dies at the first
    tiers, stream_id = _with_baselines(folder, 1)
    district = tiers.district
    twice(district, point, lambda: prune(district.store, NOW, district.node.clock()))
    at = stream_of(district, stream_id)
    assert at.floor_seq == at.held_seq
    assert district.value("SELECT count(*) FROM syncd_log WHERE stream_id = ?", (stream_id,)) == 0
    assert_equal(tiers)


def _prune_an_older_baseline(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    tiers, stream_id = _with_baselines(folder, 2)
    district = tiers.district
    twice(district, point, lambda: prune(district.store, NOW, district.node.clock()))
    seq = stream_of(district, stream_id).held_seq
    assert district.rows("SELECT of_id, at_seq FROM syncd_baseline") == [(stream_id, seq)]
    assert district.value("SELECT count(*) FROM syncd_stream WHERE kind = ?", (int(Kind.BASELINE),)) == 1
    assert_equal(tiers)


def _with_baselines(folder: Path, count: int) -> tuple[ThreeTiers, str]:
    """A register with some baselines, one after the other, all of it in a backup of the province."""
    builder = TreeBuilder(folder / "tree")
    builder.folder.mkdir()
    tiers = three_tiers(builder)
    for _ in range(count):
        write_history(tiers.commune)
        made(tiers.commune, own_stream(tiers.commune))
        tiers.settle()
    backed_up(tiers, folder)
    return tiers, own_stream(tiers.commune)


def _backup(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    tiers = three_tiers(TreeBuilder(folder))
    write_history(tiers.commune)
    tiers.prove()
    province, stick = tiers.province, folder / "stick"
    files = saved(province, folder)
    twice(province, point, lambda: back_up(province.node, files, stick))
    tiers.settle()
    for node in tiers.nodes:
        at = stream_of(node, own_stream(tiers.commune))
        assert at.backed_up_seq == at.held_seq
    assert Path(province.value("SELECT value FROM syncd_meta WHERE key = 'last_backup_path'")).exists()
    assert not list(stick.glob(".*.partial"))
    assert_equal(tiers)


# --- restoring: killed for good, so that nothing is tidied up on the way out -----------------------------------------


def _restore(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    tiers, file = _backed_up_commune(folder)
    target, key = folder / "new", folder / "files-commune" / "exchange.key"
    killed(lambda: _restoring(point, lambda: restore.restore(file, target, key)))
    assert not (target / DATABASE_FILE).exists(), "a database is there when it is complete"
    restore.restore(file, target, key)
    opened = open_node(target)
    try:
        with opened.store.read() as tx:
            found = tx.all("SELECT id, full_name FROM person ORDER BY id")
        assert opened.facts["restored_at"]
    finally:
        opened.close()
    assert found == tiers.province.rows("SELECT id, full_name FROM person ORDER BY id")


def _restore_keys(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    """The database is made in its place; what a death has left there is never written over."""
    tiers, file = _backed_up_commune(folder)
    target, key = folder / "new", folder / "files-commune" / "exchange.key"
    killed(lambda: _restoring(point, lambda: restore.restore_keys(file, target, key)))
    with pytest.raises(ConfigError, match="move all of"):
        restore.restore_keys(file, target, key)
    for path in target.glob(f"{DATABASE_FILE}*"):
        path.rename(folder / path.name)
    assert restore.restore_keys(file, target, key).node_id == tiers.commune.node.node_id
    opened = open_node(target)
    assert opened.facts["restored_at"]
    opened.close()


def _backed_up_commune(folder: Path) -> tuple[ThreeTiers, Path]:
    tiers = three_tiers(TreeBuilder(folder))
    write_history(tiers.commune)
    tiers.prove()
    return tiers, back_up(tiers.commune.node, saved(tiers.commune, folder), folder / "stick").path


def _restoring(point: str, act: Callable[[], object]) -> None:
    """In the child: the store that is restored into kills the process at `point`."""
    make, points = restore._new_store, failpoint.from_environment({failpoint.FAILPOINT: point})

    def armed(target: restore._Target, path: Path | None) -> Store:
        store = make(target, path)
        store.failpoint = points
        return store

    restore._new_store = armed
    act()


def killed(act: Callable[[], object]) -> None:
    """`act` in a process of its own, which kills itself there."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(1)  # it never came to the point, or failed before
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


# --- one person twice ------------------------------------------------------------------------------------------------


def _match(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    """Indexing or linking dies: one link at the end, of two sides."""
    tree = registers.registers(TreeBuilder(folder))
    for commune in (tree.a, tree.b):
        registers.person(commune, full_name="Nguyễn Thị Hoa", sex=2, citizen_id="012345678901")
    tree.settle()
    district = tree.district
    twice(district, point, lambda: match_changed(district.store, INSTANT, Random(7).randbytes))
    assert match_changed(district.store, INSTANT, Random(8).randbytes).persons == 0
    tree.settle()
    for node in (district, tree.province):
        assert node.rows("SELECT state, count(*), count(DISTINCT link_id) FROM person_link GROUP BY 1") == [
            ("linked", 2, 1)
        ]
    assert district.value("SELECT count(*) FROM syncd_identity_person") == 2
    handovers.proven(tree.builder, tree.a.unit_id, "a", "district", "province")


def _decision_on_a_link(folder: Path, point: str, patch: pytest.MonkeyPatch) -> None:
    directory = folder / "node"
    init_root(directory, ROOT_UNIT, Config(encrypted=False))
    link_id = _linked_by_hand(directory)
    arguments = ["identity", "unlink", link_id, "--author", "An", "--dir", str(directory)]
    with patch.context() as environment:
        environment.setenv(failpoint.FAILPOINT, point)
        killed(lambda: program.run(arguments))
    assert _states(directory) == {"unlinked" if point.endswith("after-commit") else "linked"}
    assert program.run(arguments) == 0
    assert _states(directory) == {"unlinked"}


def _linked_by_hand(directory: Path) -> str:
    opened = open_node(directory)
    unit_id, insert = opened.facts["unit_id"], handovers.PERSON + " RETURNING id"
    with opened.store.write("clerk") as tx:
        one, other = (
            Side(person_id=str(tx.value(insert, (unit_id, name))), unit_id=unit_id) for name in ("Hoa", "Hòa")
        )
        link_id = links.link(tx, (one, other), "An", INSTANT, Random(1).randbytes)
    opened.close()
    return link_id


def _states(directory: Path) -> set[str]:
    """Of the one link's two sides."""
    opened = open_node(directory)
    with opened.store.read() as tx:
        rows = tx.all("SELECT state FROM person_link")
    opened.close()
    assert len(rows) == 2
    return {row[0] for row in rows}


# --- proposals, units that passed on ---------------------------------------------------------------------------------


def _withdrawal(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    tiers = three_tiers(TreeBuilder(folder))
    row_id = add_person(tiers.commune)
    tiers.settle()
    district = tiers.district
    wish = Wish(
        table="person", row_id=row_id, unit_code=None, operation="update", wished={"phone": "0777"}, reason="thử",
        author="An",
    )  # fmt: skip
    proposal_id = propose(district.store, wish, district.node.clock()).proposal_id
    twice(district, point, lambda: withdraw(district.store, proposal_id, district.node.clock()))
    assert district.rows("SELECT id, withdrawn_at IS NULL FROM proposal") == [(proposal_id, 0)]
    assert_equal(tiers)
    assert tiers.commune.rows("SELECT phone FROM person") == [("0901",)]


def _proposal_follows_its_row(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    tree = handovers.country(TreeBuilder(folder))
    one, two, province = (handovers.at(tree, name) for name in ("one", "two", "province"))
    handovers.add_household(one, one.unit_id, "1", "Một")
    split = handovers.new_unit(tree, "north", "13")
    row_id = one.value("SELECT id FROM person")
    handovers.move(tree, "north", one.unit_id, split, "1")
    handovers.propose(province, one.unit_id, row_id, {"education": None}, {"education": "3"})
    handovers.among(tree, "north", "one", "two")  # the province is away
    handovers.order(tree, "north", split, "two")
    twice(province, point, tree.settle)
    handovers.proven(tree, split, "two", "north", "province")
    assert two.rows("SELECT unit_id, education FROM person") == [(split, "3")]
    assert province.rows("SELECT count(*), count(withdrawn_at) FROM proposal") == [(2, 1)]
    outcomes = province.rows("SELECT outcome FROM verdict WHERE row_id = ? ORDER BY 1", (row_id,))
    assert outcomes == [("accepted",), ("rejected",)]  # the wish beside its row; the withdrawn one


def _rows_of_a_unit_kept_elsewhere(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    """A change at the district of a unit that the commune keeps: its rows go back, the change is wished once."""
    tiers = three_tiers(TreeBuilder(folder))
    row_id = add_person(tiers.commune)
    tiers.prove()
    handovers.typed_past_the_guard(tiers.district, row_id, phone="0777")
    twice(tiers.district, point, lambda: tiers.district.node.write())
    assert tiers.district.value("SELECT count(*) FROM syncd_journal") == 0
    assert tiers.district.rows("SELECT phone FROM person") == [("0901",)]
    assert_equal(tiers)
    assert tiers.province.rows("SELECT phone FROM person") == [("0777",)]
    assert tiers.province.rows("SELECT count(*) FROM proposal") == [(1,)]


def _unit_that_went_elsewhere(folder: Path, point: str, _patch: pytest.MonkeyPatch) -> None:
    """Words about a unit that arrived, and whose key never did: they are let go once the unit is another's."""
    tree = handovers.country(TreeBuilder(folder))
    one, two, north = (handovers.at(tree, name) for name in ("one", "two", "north"))
    handovers.add(one, one.unit_id, "Một")
    tree.settle()
    row_id = one.value("SELECT id FROM person")
    handovers.order(tree, "north", one.unit_id, "two")
    tree.settle()
    for number in ("1", "2"):
        handovers.propose(north, one.unit_id, row_id, {"phone": None}, {"phone": number})
        tree.settle()
    handovers.order(tree, "north", one.unit_id, "one")
    tree.settle()
    stream_id = str(north.value("SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = ? AND unit_id = ?",
                                (int(Kind.OVERSIGHT), one.unit_id)))  # fmt: skip
    assert _unapplied(two, stream_id).applied_seq > 0
    twice(two, point, lambda: cutting.leave(two.store, two.node.tree()))
    at = stream_of(two, stream_id)
    assert (at.held_seq, at.held_hash) == (at.applied_seq, at.applied_hash)
    assert two.value("SELECT max(seq) FROM syncd_log WHERE stream_id = ?", (stream_id,)) == at.held_seq
    handovers.proven(tree, one.unit_id, "one", "north", "province")


def _unapplied(node: TreeNode, stream_id: str) -> log.Stream:
    """As if the last envelope of a stream had never been applied at a node."""
    seq = stream_of(node, stream_id).held_seq - 1
    with node.store.apply("sabotage") as tx:
        tx.run(
            "UPDATE syncd_stream SET applied_seq = ?, applied_hash = ? WHERE stream_id = ?",
            (seq, log.hash_at(tx, stream_id, seq), stream_id),
        )
    return stream_of(node, stream_id)


SCENARIOS: dict[str, Scenario] = {
    "baseline": _baseline,
    "take-baseline": _group_that_cannot_be_applied,
    "covered": _earlier_term_under_a_baseline,
    "prune": _prune,
    "prune-baseline": _prune_an_older_baseline,
    "backed-up": _backup,
    "restore": _restore,
    "restored": _restore_keys,
    "identity-index": _match,
    "identity-match": _match,
    "identity": _decision_on_a_link,
    "withdraw": _withdrawal,
    "follow": _proposal_follows_its_row,
    "set-aside": _rows_of_a_unit_kept_elsewhere,
    "leave": _unit_that_went_elsewhere,
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", SCENARIOS)
def test_death_at_a_commit_and_the_work_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, moment: str
) -> None:
    SCENARIOS[stage](tmp_path, f"{stage}:{moment}", monkeypatch)
