"""Pruning: what may be forgotten, what never, and that whoever comes after still ends equal."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.spec import Kind
from syncd import baseline, floor, limits, log
from syncd.aggregate import recount
from syncd.backup import back_up
from syncd.cli.program import run as syncd
from syncd.prove import prove
from syncd.prune import DAY_MS, Policy, due_baselines, make_due, plan, prune
from syncd.rebuild import rebuild
from syncd.status import status
from tests.integration.baselines import assert_equal, backed_up, emptied, emptied_dsn, made, stream_of, write_history
from tests.integration.shapes import ThreeTiers, add_person, own_stream, tiers_on
from tests.nodes import Nodes
from tests.postgres import PostgresMix
from tests.trees import TreeNode
from tests.waiting import until

NOW = Policy(keep_ms=0, retention_ms=0)
MONTH = Policy.of_days(30, 0)


@pytest.fixture(params=[(), ("province", "district", "commune")], ids=["sqlite", "postgres"])
def tiers(request: pytest.FixtureRequest, tmp_path: Path, postgres_mix: PostgresMix) -> Iterator[ThreeTiers]:
    with tiers_on(postgres_mix, tmp_path, request.param) as tree:
        yield tree


def pruned(at: TreeNode, policy: Policy = NOW, now_ms: int | None = None) -> int:
    return sum(cut.envelopes for cut in prune(at.store, policy, at.node.clock() if now_ms is None else now_ms))


def test_nothing_goes_without_a_baseline(tiers: ThreeTiers, tmp_path: Path) -> None:
    write_history(tiers.commune)
    tiers.settle()
    backed_up(tiers, tmp_path)
    assert [pruned(node) for node in tiers.nodes] == [0, 0, 0]


def test_nothing_goes_before_the_custodian_has_backed_it_up(tiers: ThreeTiers, tmp_path: Path) -> None:
    write_history(tiers.commune)
    tiers.settle()
    backed_up(tiers, tmp_path)
    write_history(tiers.commune)
    made(tiers.commune, own_stream(tiers.commune))  # of what no backup holds yet
    tiers.settle()
    assert [pruned(node) for node in tiers.nodes] == [0, 0, 0]
    backed_up(tiers, tmp_path)
    assert all(pruned(node) > 0 for node in tiers.nodes)
    assert_equal(tiers)


def test_what_is_young_stays_and_what_is_old_goes(plain: ThreeTiers, tmp_path: Path) -> None:
    write_history(plain.commune)
    made(plain.commune, own_stream(plain.commune))
    plain.settle()
    backed_up(plain, tmp_path)
    now_ms = plain.builder.clock()
    assert [pruned(node, MONTH, now_ms) for node in plain.nodes] == [0, 0, 0]
    assert all(pruned(node, MONTH, now_ms + 31 * DAY_MS) > 0 for node in plain.nodes)


def test_past_retention_it_goes_without_a_backup(plain: ThreeTiers) -> None:
    write_history(plain.commune)
    made(plain.commune, own_stream(plain.commune))
    plain.settle()
    year = Policy.of_days(30, 365)
    now_ms = plain.builder.clock()
    assert pruned(plain.commune, year, now_ms + 100 * DAY_MS) == 0
    assert pruned(plain.commune, year, now_ms + 366 * DAY_MS) > 0
    assert_equal(plain)


def test_nothing_beyond_the_newest_whole_baseline_goes(tiers: ThreeTiers, tmp_path: Path) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    seq = stream_of(tiers.commune, stream_id).held_seq
    add_person(tiers.commune)
    tiers.settle()
    backed_up(tiers, tmp_path)
    for node in tiers.nodes:
        pruned(node)
        at = stream_of(node, stream_id)
        assert at.floor_seq == seq
        assert node.value("SELECT min(seq) FROM syncd_log WHERE stream_id = ?", (stream_id,)) == seq + 1
    assert_equal(tiers)


def test_a_dry_run_says_what_goes_and_changes_nothing(plain: ThreeTiers, tmp_path: Path) -> None:
    write_history(plain.commune)
    made(plain.commune, own_stream(plain.commune))
    plain.settle()
    backed_up(plain, tmp_path)
    logs = "SELECT stream_id, seq FROM syncd_log ORDER BY stream_id, seq"
    before = plain.district.rows(logs)
    with plain.district.store.read() as tx:
        planned = plan(tx, NOW, plain.builder.clock())
    assert plain.district.rows(logs) == before
    assert (
        sum(cut.envelopes for cut in planned) == pruned(plain.district) == len(before) - len(plain.district.rows(logs))
    )


def test_a_pruned_log_goes_in_short_steps(plain: ThreeTiers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PRUNE_ENVELOPES", 2)
    for _ in range(3):
        write_history(plain.commune)
    stream_id = own_stream(plain.commune)
    made(plain.commune, stream_id)
    plain.settle()
    backed_up(plain, tmp_path)
    steps: list[str] = []
    plain.district.store.failpoint = lambda name: steps.append(name) if name == "prune:after-commit" else None
    assert pruned(plain.district) > 4
    assert len(steps) > 2
    assert stream_of(plain.district, stream_id).floor_seq == stream_of(plain.district, stream_id).held_seq
    plain.district.store.failpoint = lambda _name: None
    assert_equal(plain)


def test_the_screen_still_counts_what_was_pruned(plain: ThreeTiers, tmp_path: Path) -> None:
    write_history(plain.commune)
    made(plain.commune, own_stream(plain.commune))
    plain.settle()
    backed_up(plain, tmp_path)

    def counts() -> tuple[int | None, int | None]:
        with plain.commune.store.read() as tx:
            own = status(tx).own
        return own.at_custodian, own.backed_up

    before = counts()
    assert before[0] == before[1]
    assert pruned(plain.commune) > 0
    assert counts() == before


def test_older_baselines_go_whole_once_a_newer_one_is_backed_up(tiers: ThreeTiers, tmp_path: Path) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    first = made(tiers.commune, stream_id)
    tiers.settle()
    backed_up(tiers, tmp_path)
    add_person(tiers.commune)
    tiers.commune.node.write()
    second = made(tiers.commune, stream_id)
    tiers.settle()
    for node in tiers.nodes:
        pruned(node)
        assert node.value("SELECT count(*) FROM syncd_baseline") == 2  # the newer one is in no backup yet
    backed_up(tiers, tmp_path)
    for node in tiers.nodes:
        pruned(node)
        assert node.rows("SELECT stream_id FROM syncd_baseline") == [(second.stream_id,)]
        assert node.value("SELECT count(*) FROM syncd_log WHERE stream_id = ?", (first.stream_id,)) == 0
    tiers.settle()  # nobody sends it to anybody again
    assert {node.value("SELECT count(*) FROM syncd_baseline") for node in tiers.nodes} == {1}
    assert_equal(tiers)


def test_a_baseline_is_due_once_the_log_has_outgrown_the_last_one(
    plain: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BASELINE_LOG_BYTES_MIN", 4_000)

    def due() -> list[str]:
        plain.commune.node.write()
        with plain.commune.store.read() as tx:
            return due_baselines(tx, plain.commune.store)

    write_history(plain.commune, 3)
    assert due() == []
    for _ in range(8):
        write_history(plain.commune, 3)
    assert due() == [own_stream(plain.commune)]
    assert len(make_due(plain.commune.node)) == 1
    assert due() == []
    assert make_due(plain.district.node) == []


def test_a_pruned_register_is_rebuilt_from_its_baseline(tiers: ThreeTiers, tmp_path: Path) -> None:
    write_history(tiers.commune)
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    add_person(tiers.commune)
    tiers.prove()
    backed_up(tiers, tmp_path)
    pruned(tiers.district)
    with tiers.district.store.apply("sabotage") as tx:
        tx.run("DELETE FROM person WHERE unit_id = ?", (tiers.commune.unit_id,))
    with tiers.district.store.apply("rebuild") as tx:
        rebuild(tx, tiers.district.node.applier, stream_of(tiers.district, stream_id), {})
    assert_equal(tiers)


@pytest.mark.parametrize("seed", range(6))
def test_after_any_sequence_of_prunes_a_newcomer_still_ends_equal(plain: ThreeTiers, tmp_path: Path, seed: int) -> None:
    """Writes, baselines, backups, exchanges and prunes at any tier in any order; then a tier loses its database."""
    source = random.Random(seed)
    for _ in range(30):
        action = source.randrange(6)
        node = source.choice(plain.nodes)
        if action == 0:
            write_history(plain.commune, source.randrange(2, 5))
        elif action == 1:
            plain.commune.node.write()
            if plain.commune.value("SELECT 1 FROM syncd_stream WHERE own = 1 AND kind = 1"):
                baseline.make(plain.commune.node, own_stream(plain.commune))
        elif action == 2:
            backed_up(plain, tmp_path)
        elif action == 3:
            pruned(node)
        elif action == 4:
            plain.builder.settle()
        elif plain.province.value("SELECT 1 FROM syncd_stream WHERE kind = 1 AND own = 0"):
            stream = plain.province.value("SELECT stream_id FROM syncd_stream WHERE kind = 1 AND own = 0")
            baseline.make(plain.province.node, stream)
        _check_floors(plain)
    emptied(plain, source.choice([plain.district, plain.commune]))
    assert_equal(plain)
    _check_floors(plain)


def _check_floors(tiers: ThreeTiers) -> None:
    """Whoever has forgotten something holds a whole baseline that reaches there."""
    for node in tiers.nodes:
        with node.store.read() as tx:
            best = floor.newest(tx)
            for at in log.streams(tx, "floor_seq > 0"):
                assert best[at.stream_id].at_seq >= at.floor_seq, node.name
                assert at.applied_seq >= at.floor_seq or at.state != "ok" or not at.own
            assert recount(tx, node.store.registry) == [] or tx.one("SELECT 1 FROM syncd_journal LIMIT 1")


def test_content_is_still_proven_where_every_checkpoint_was_pruned(tiers: ThreeTiers, tmp_path: Path) -> None:
    write_history(tiers.commune)
    tiers.prove()
    made(tiers.commune, own_stream(tiers.commune))
    tiers.settle()
    backed_up(tiers, tmp_path)
    for node in tiers.nodes:
        pruned(node)
    emptied(tiers, tiers.district, None if tiers.district.store.dialect == "sqlite" else emptied_dsn(tiers.district))
    tiers.settle()
    for node in tiers.nodes:
        assert node.value("SELECT count(*) FROM syncd_log AS l JOIN syncd_stream AS s ON s.stream_id = l.stream_id"
                          " WHERE s.kind = 1") == 0  # fmt: skip
        with node.store.read() as tx:
            proofs = prove(tx, node.store.registry, node.node.ring)
        assert {proof.kind for proof in proofs} == {"register", "oversight", "control"}  # no baseline by itself
        assert [proof.state for proof in proofs if proof.kind == "register"] == ["equal"], proofs
    tiers.commune.broken = True
    with tiers.commune.store.apply("sabotage") as tx:
        tx.run("UPDATE person SET full_name = 'Khác'")
    with tiers.commune.store.read() as tx:
        assert "differs" in {proof.state for proof in prove(tx, tiers.commune.store.registry, tiers.commune.node.ring)}


def test_control_and_oversight_logs_are_never_pruned(plain: ThreeTiers, tmp_path: Path) -> None:
    write_history(plain.commune)
    made(plain.commune, own_stream(plain.commune))
    plain.settle()
    backed_up(plain, tmp_path)
    for node in plain.nodes:
        pruned(node, Policy(keep_ms=0, retention_ms=1), plain.builder.clock() + 10_000 * DAY_MS)
        assert node.rows("SELECT kind FROM syncd_stream WHERE floor_seq > 0") == [(int(Kind.REGISTER),)]


def test_a_forgotten_place_in_a_log_is_no_fork(tiers: ThreeTiers, tmp_path: Path) -> None:
    """The parent stands below the child's floor, the child below the parent's: nobody cries wolf."""
    write_history(tiers.commune)
    tiers.settle()
    stream_id = own_stream(tiers.commune)
    made(tiers.commune, stream_id)
    tiers.settle()
    backed_up(tiers, tmp_path)
    for node in tiers.nodes:
        pruned(node)
        add_person(tiers.commune)
        tiers.settle()
    assert {node.value("SELECT count(*) FROM syncd_case") for node in tiers.nodes} == {0}
    assert stream_of(tiers.province, stream_id).floor_seq > 0
    assert_equal(tiers)


def test_by_hand_a_backup_lets_a_running_commune_prune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root()
        commune = nodes.joined(root, "01")
        commune.configure(keep_days=0)
        commune.start()
        until(lambda: commune.value("SELECT count(*) FROM unit") == 5, "the units came down")
        for number in range(20):
            commune.sql("INSERT INTO household (number, kind) VALUES (?, 'family')", str(number))
        assert syncd(["prune", "--baseline", "--dir", str(commune.directory), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert len(document["baselines"]) == 1
        assert document["cuts"] == []
        until(lambda: root.value("SELECT count(*) FROM syncd_baseline WHERE is_whole = 1") == 1, "the baseline arrived")
        assert syncd(["backup", str(tmp_path / "stick"), "--dir", str(root.directory)]) == 0
        commune.stop()
        commune.start()
        until(
            lambda: commune.value("SELECT max(backed_up_seq) FROM syncd_stream WHERE kind = 1"), "the receipt came down"
        )
        capsys.readouterr()
        assert syncd(["prune", "--dry-run", "--dir", str(commune.directory)]) == 0
        assert "would go; nothing went" in capsys.readouterr().out
        assert syncd(["prune", "--dir", str(commune.directory)]) == 0
        assert "backed up" in capsys.readouterr().out
        commune.sql("INSERT INTO household (number, kind) VALUES ('99', 'family')")
        until(lambda: root.value("SELECT count(*) FROM household") == 21, "what came after arrived")
    finally:
        nodes.close()


def test_the_daemon_prunes_by_itself(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root(keep_days=0, log_level="info")
        root.stop()
        for number in range(5):
            root.sql("INSERT INTO household (number, kind) VALUES (?, 'family')", str(number))
        node = root.opened().node
        node.write()
        assert baseline.make(node, str(root.value("SELECT stream_id FROM syncd_stream WHERE kind = 1"))) is not None
        back_up(node, root.directory, tmp_path / "stick")
        root.start(UPKEEP_FIRST_S="0")
        until(lambda: root.value("SELECT max(floor_seq) FROM syncd_stream") > 0, "the log was pruned")
        until(lambda: "upkeep" in root.log, "and its log says so")
    finally:
        nodes.close()
