"""What the status screen says, on real trees: counts, silence about what is not known, and the size of the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from syncd import baseline, log
from syncd.cli.output import width
from syncd.cli.status import with_live
from syncd.cli.status_text import CELLS_MAX, SCREEN_LINES, UNPROVEN_S, screen, verdict
from syncd.clock import instant_of, time_ms_of
from syncd.disagreements import Conflict, conflicts
from syncd.envelope import Mark
from syncd.errors import UsageError
from syncd.inputs.problem import not_in_list
from syncd.inputs.proposals_csv import propose_file
from syncd.proposing import Wish, parse_settings, propose, register_table
from syncd.prove import exit_code, prove
from syncd.status import ROW_MARKS, Status, StoppedStream, UnprovenStream, status, waiting_rows
from tests.grown import grow
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode, exchange

PERSON = (
    "INSERT INTO person (unit_id, full_name, sex, birth_date, birth_precision, ethnic, residence, education)"
    " VALUES (?, 'A', 1, '1990-01-01', 'd', '01', 'usual', '05')"
)
NOW_MS = 1_800_000_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def either_tree(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer
) -> Iterator[TreeBuilder]:
    """province ← district ← commune, settled; the province on either database."""
    yield from build(tmp_path, None if request.param == "sqlite" else request.getfixturevalue("postgres_dsn"))


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[TreeBuilder]:
    """The same, all on SQLite."""
    yield from build(tmp_path, None)


def build(folder: Path, dsn: str | None) -> Iterator[TreeBuilder]:
    builder = TreeBuilder(folder)
    grow(builder, _build_tiers, {} if dsn is None else {"province": dsn})
    yield builder
    for node in builder.nodes:
        node.store.close()


def _build_tiers(builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    root = builder.root(dsn=dsns.get("province"))
    district = builder.child(root, "district", "439")
    builder.settle()
    builder.child(district, "commune", "18133")
    builder.settle()


def of(node: TreeNode) -> Status:
    with node.store.read() as tx:
        return status(tx)


def state_checkpoints(tree: TreeBuilder) -> None:
    """Every node states what it keeps, and all compare it."""
    for node in tree.nodes:
        node.node.checkpoint()
    tree.settle()


def commune(tree: TreeBuilder) -> TreeNode:
    return tree.nodes[2]


def test_a_change_is_waiting_then_at_the_parent_then_at_the_province(either_tree: TreeBuilder) -> None:
    _root, district, node = either_tree.nodes
    before = of(node).own
    node.sql(PERSON, (node.unit_id,))
    assert (of(node).own.unsealed, of(node).own.waiting) == (1, 1)
    node.node.write()
    assert (of(node).own.unsealed, of(node).own.waiting, of(node).own.at_parent) == (0, 1, 0)
    assert node.link is not None
    exchange(node.link, district.desk, node)
    assert (of(node).own.waiting, of(node).own.at_parent) == (0, 1)
    either_tree.settle()
    own = of(node).own
    assert (own.waiting, own.at_parent, own.at_custodian) == (0, 0, (before.at_custodian or 0) + 1)


def test_waiting_rows_are_those_the_province_has_not_confirmed(tree: TreeBuilder) -> None:
    node = commune(tree)
    node.sql(PERSON, (node.unit_id,))
    with node.store.read() as tx:
        assert waiting_rows(tx) == 1
    tree.settle()
    with node.store.read() as tx:
        assert waiting_rows(tx) == 0


def test_a_very_long_log_is_not_added_up(tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    node = commune(tree)
    node.sql(PERSON, (node.unit_id,))
    tree.settle()
    monkeypatch.setattr("syncd.limits.STATUS_ENVELOPES_MAX", 0)
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    found = of(node)
    assert found.own.at_custodian is None
    assert "long log, not counted" in screen(found, None, NOW_MS)


def test_a_stopped_stream_is_shown_with_its_reason(either_tree: TreeBuilder) -> None:
    root, _, node = either_tree.nodes
    node.sql(PERSON, (node.unit_id,))
    either_tree.settle()
    with root.store.read() as tx:
        stream = log.streams(tx, "kind = 1 AND own = 0")[0]
    with root.store.apply("test") as tx:
        log.stop(tx, stream.stream_id, "stopped", "what happened — what to do")
    found = of(root)
    assert [(each.about, each.state, each.reason) for each in found.stopped] == [
        ("18133 commune", "stopped", "what happened — what to do")
    ]
    assert "what happened — what to do" in screen(found, None, NOW_MS)
    assert verdict(found, None, NOW_MS)[0] == 2


def test_a_stopped_daemon_is_said_so_and_no_success_is_invented(
    tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    text = screen(of(commune(tree)), None, NOW_MS)
    assert "daemon stopped; last recorded successful exchange: none yet" in text
    code, reasons = verdict(of(commune(tree)), None, NOW_MS)
    assert code == 1
    assert "the daemon is stopped" in reasons


def test_what_only_the_running_daemon_knows_is_shown(tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    state_checkpoints(tree)
    found = of(commune(tree))
    assert found.parent is not None
    live = {"peers": {found.parent.node_id: {"last_success_at": instant_of(NOW_MS - 5_000), "last_error": None}}}
    shown = with_live(found, live)
    assert "last successful exchange 5 s ago" in screen(shown, live, NOW_MS)
    assert verdict(shown, live, NOW_MS) == (0, [])


@pytest.mark.parametrize("language", ["vi", "en"])
def test_twelve_children_fit_on_one_screen(tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    found = of(tree.nodes[1])
    child = replace(
        found.children[0],
        unit="18133 Thị trấn Phố Châu rất là dài",
        last_success_at=instant_of(NOW_MS),
        waiting_rows=123_456,
    )
    stopped = StoppedStream(
        stream_id="s",
        kind="register",
        about="18133 commune",
        state="stopped",
        reason="because it is so",
        waiting_envelopes=1,
    )
    assert found.parent is not None
    parent = replace(found.parent, last_attempt_at=instant_of(NOW_MS), last_error="does not answer")
    checks = replace(found.checks, different=1, last_at=instant_of(NOW_MS), differences=("18133 commune: person",))
    full = replace(
        found,
        children=(child,) * 12,
        stopped=(stopped,) * 3,
        parent=parent,
        unapplied_envelopes=7,
        checks=checks,
        reviews=3,
    )
    lines = screen(full, {"pid": 1}, NOW_MS).splitlines()
    assert len(lines) <= SCREEN_LINES
    assert max(map(width, lines)) <= CELLS_MAX


def test_no_reason_and_no_remedy_is_cut_short(tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    found = of(commune(tree))
    reason = f"{'because of this and that ' * 9}indeed — do what is said here, to the last word"
    stopped = StoppedStream(
        stream_id="s", kind="register", about="18133 commune", state="stopped", reason=reason, waiting_envelopes=1
    )
    lines = screen(replace(found, stopped=(stopped,)), {}, NOW_MS).splitlines()
    assert max(map(width, lines)) <= CELLS_MAX
    assert " ".join(line.strip() for line in lines).count(reason) == 1
    assert "    — do what is said here, to the last word" in lines


def test_a_stored_reason_is_shown_in_the_operators_language(tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    reason = "no key yet for stream s — the stream goes on by itself when the key grant has arrived"
    stopped = StoppedStream(
        stream_id="s", kind="register", about="18133", state="waiting", reason=reason, waiting_envelopes=1
    )
    text = screen(replace(of(commune(tree)), stopped=(stopped,)), {}, NOW_MS)
    assert "Nhật ký 18133 chờ: chưa có khóa của nhật ký s — việc đồng bộ tự tiếp tục khi khóa tới" in text


def test_a_stream_without_a_checkpoint_behind_its_rows_is_never_fine_for_long(either_tree: TreeBuilder) -> None:
    root, _district, node = either_tree.nodes
    node.sql(PERSON, (node.unit_id,))
    either_tree.settle()
    assert "18133 commune" in [stream.about for stream in of(root).unproven]
    newest = max(time_ms_of(stream.changed_at or "") for stream in of(root).unproven)
    exchanged = replace(of(root), children=(), checks=replace(of(root).checks, different=0))
    assert verdict(exchanged, {}, newest + 1_000) == (0, [])
    code, reasons = verdict(exchanged, {}, newest + 1000 * int(UNPROVEN_S) + 1_000)
    assert code == 1
    assert any("18133" in reason for reason in reasons)
    state_checkpoints(either_tree)
    assert of(root).unproven == ()


def test_a_baseline_needs_no_checkpoint_of_its_own(either_tree: TreeBuilder) -> None:
    _root, _district, node = either_tree.nodes
    node.sql(PERSON, (node.unit_id,))
    state_checkpoints(either_tree)
    with node.store.read() as tx:
        stream_id = str(tx.value("SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = 1"))
    assert baseline.make(node.node, stream_id) is not None
    state_checkpoints(either_tree)
    for above in either_tree.nodes[:2]:
        assert above.value("SELECT count(*) FROM syncd_stream WHERE kind = 4 AND applied_seq = held_seq") == 1
        assert of(above).unproven == ()


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_screen_shows_whatever_monitoring_is_told(
    tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    found = of(tree.nodes[1])
    old = instant_of(NOW_MS - 1000 * int(UNPROVEN_S) - 1_000)
    late = UnprovenStream(stream_id="s", about="18136 Thị trấn Tây Sơn", changed_at=old)
    stopped = StoppedStream(
        stream_id="t", kind="register", about="18139 Xã Sơn Hồng", state="stopped", reason="r", waiting_envelopes=1
    )
    full = replace(found, unproven=(late, late), stopped=(stopped, replace(stopped, about="18133", state="waiting")),
                   rejoining=1, cases=2, checks=replace(found.checks, different=1, last_at=old))  # fmt: skip
    _, reasons = verdict(full, {"workers": {"writer": {"error": "locked"}}}, NOW_MS)
    text = screen(full, {"workers": {"writer": {"error": "locked"}}}, NOW_MS)
    for subject in ("18136 Thị trấn Tây Sơn", "18139 Xã Sơn Hồng", "18133", "locked", "commune", "2", "1"):
        assert any(subject in reason for reason in reasons)
        assert subject in text
    assert [reason for reason in reasons if late.about in reason][1:] == []
    unproven = next(reason for reason in reasons if late.about in reason)
    assert unproven in text
    assert unproven not in screen(full, {}, NOW_MS - 1000 * int(UNPROVEN_S))


def test_a_restored_node_is_not_fine_before_its_children_have_sent_what_it_lacks(
    tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    state_checkpoints(tree)
    found = of(tree.nodes[0])
    heard = replace(found, children=tuple(replace(each, last_success_at=instant_of(NOW_MS)) for each in found.children))
    assert verdict(heard, {"awaited": []}, NOW_MS) == verdict(heard, {"awaited": None}, NOW_MS) == (0, [])
    live = {"awaited": [each.node_id for each in heard.children]}
    said = "Just restored, what is missing here has yet to come from: 439 district"
    assert verdict(heard, live, NOW_MS) == (1, [said])
    assert said in screen(heard, live, NOW_MS)


def test_the_screen_says_whose_registers_are_written_here(tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    root, _district, node = tree.nodes
    assert "running · keeps unit 18133" in screen(of(node), {}, NOW_MS)
    assert "keeps unit 42" in screen(of(root), {}, NOW_MS)
    few = replace(of(node), kept_units=2, kept_codes=("18133", "18136"))
    assert "keeps 2 units: 18133, 18136" in screen(few, {}, NOW_MS)
    assert "keeps 70 units" in screen(replace(few, kept_units=70), {}, NOW_MS)
    assert "keeps no unit yet" in screen(replace(few, kept_units=0, kept_codes=()), {}, NOW_MS)


def test_row_marks_are_those_of_the_envelope() -> None:
    assert ROW_MARKS == (Mark.CLOSED, Mark.OPEN)


def test_a_wish_is_listed_until_decided_and_its_loser_afterwards(either_tree: TreeBuilder) -> None:
    _, district, node = either_tree.nodes
    node.sql(PERSON, (node.unit_id,))
    either_tree.settle()
    row_id = str(node.value("SELECT id FROM person"))
    node.sql("UPDATE person SET relation = '02'")
    done = propose(district.store, wish(district, row_id, "relation=03"), NOW_MS)
    assert done.seen == {"relation": None}
    assert [each.state for each in listed(district)] == ["waiting"]
    assert of(district).undecided == 1
    either_tree.settle()
    found = listed(district)
    assert [(each.state, each.id) for each in found] == [("lost", done.proposal_id)]
    side = found[0].columns[0]
    assert (side.column, side.seen, side.kept, side.wished, side.result) == ("relation", None, "02", "03", "kept")
    assert listed(node)[0].columns == found[0].columns


def test_a_wish_states_the_whole_group_it_saw(tree: TreeBuilder) -> None:
    _, district, node = tree.nodes
    node.sql(PERSON, (node.unit_id,))
    tree.settle()
    done = propose(
        district.store, wish(district, str(node.value("SELECT id FROM person")), "birth_date=1991-02-03"), NOW_MS
    )
    assert done.seen == {"birth_date": "1990-01-01", "birth_precision": "d"}


def test_the_keeper_itself_is_told_to_write(tree: TreeBuilder) -> None:
    node = commune(tree)
    node.sql(PERSON, (node.unit_id,))
    with pytest.raises(UsageError, match=r"SQL|sql"):
        propose(node.store, wish(node, str(node.value("SELECT id FROM person")), "phone=1"), NOW_MS)


@pytest.mark.parametrize("setting", ["nonsense=1", "sex=man", "sex=3", "citizen_id=12", "full_name="])
def test_a_wish_that_breaks_a_rule_is_refused_before_it_is_written(tree: TreeBuilder, setting: str) -> None:
    _, district, node = tree.nodes
    node.sql(PERSON, (node.unit_id,))
    tree.settle()
    row_id = str(node.value("SELECT id FROM person"))
    with pytest.raises(UsageError):
        propose(district.store, wish(district, row_id, setting), NOW_MS)
    assert district.value("SELECT count(*) FROM proposal") == 0


def test_a_code_that_its_list_does_not_have_is_refused_as_import_does(tree: TreeBuilder) -> None:
    root, district, node = tree.nodes
    root.sql("INSERT INTO code_list (name, version, title) VALUES ('education', 1, 'x')")
    root.sql("INSERT INTO code (list_name, version, code, name) VALUES ('education', 1, '05', 'x')")
    node.sql(PERSON, (node.unit_id,))
    tree.settle()
    row_id = str(node.value("SELECT id FROM person"))
    refused = " ".join(not_in_list("education"))
    with pytest.raises(UsageError) as error:
        propose(district.store, wish(district, row_id, "education=99"), NOW_MS)
    assert error.value.message.removeprefix("Education: ") in refused
    path = tree.folder / "wishes.csv"
    path.write_text(f"table,row_id,set\nperson,{row_id},education=99\nperson,{row_id},phone=1\n", encoding="utf-8")
    bulk = propose_file(district.store, path, None, NOW_MS)
    assert [(each.line, each.column) for each in bulk.problems.kept] == [(2, "row_id")]
    assert district.value("SELECT count(*) FROM proposal") == 0


def test_a_wish_for_what_is_so_already_is_not_written(tree: TreeBuilder) -> None:
    _, district, node = tree.nodes
    node.sql(PERSON, (node.unit_id,))
    tree.settle()
    row_id = str(node.value("SELECT id FROM person"))
    done = propose(district.store, wish(district, row_id, "education=05"), NOW_MS)
    assert (done.changes_nothing, done.proposal_id) == (True, "")
    path = tree.folder / "wishes.csv"
    path.write_text(f"table,row_id,set\nperson,{row_id},education=05\nperson,{row_id},phone=1\n", encoding="utf-8")
    bulk = propose_file(district.store, path, None, NOW_MS)
    assert (bulk.problems.errors, bulk.without_change, len(bulk.proposed)) == (0, 1, 2)
    assert district.rows("SELECT wished FROM proposal") == [('{"phone": "1"}',)]
    back = propose(district.store, wish(district, row_id, "education=05"), NOW_MS + 9)
    assert not back.changes_nothing, "it takes the place of the other wish of this author"


def test_a_setting_without_its_sign_is_told_so_and_not_repeated(
    tree: TreeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    with pytest.raises(UsageError, match="the = is missing") as error:
        wish(tree.nodes[1], "x", "educ")
    assert "educ" not in str(error.value)
    with pytest.raises(UsageError, match="educ: no such column"):
        wish(tree.nodes[1], "x", "educ=1")


def test_content_is_open_until_a_checkpoint_speaks_of_it_then_equal(tree: TreeBuilder) -> None:
    _, district, node = tree.nodes
    node.sql(PERSON, (node.unit_id,))
    tree.settle()
    assert proven(district) == 75
    checkpoint(tree)
    assert [proven(each) for each in tree.nodes] == [0, 0, 0]


def test_a_write_not_yet_in_the_log_is_not_called_equal(tree: TreeBuilder) -> None:
    node = commune(tree)
    checkpoint(tree)
    node.sql(PERSON, (node.unit_id,))
    assert proven(node) == 75


def test_an_altered_value_is_found_by_reading_the_rows_again(either_tree: TreeBuilder) -> None:
    root, _, node = either_tree.nodes
    node.sql(PERSON, (node.unit_id,))
    either_tree.settle()
    checkpoint(either_tree)
    with root.store.apply("sabotage") as tx:
        tx.run("UPDATE person SET phone = '1'")
    with root.store.read() as tx:
        proofs = prove(tx, root.store.registry, root.node.ring)
    assert [(each.about, [table.table for table in each.differing]) for each in proofs if each.differing] == [
        ("18133 commune", ["person"])
    ]
    assert exit_code(proofs) == 1


def wish(node: TreeNode, row_id: str, setting: str) -> Wish:
    table = register_table(node.store, "person")
    return Wish(
        operation="update",
        table="person",
        row_id=row_id,
        unit_code=None,
        wished=parse_settings(table, (setting,)),
        author=None,
        reason="r",
    )


def listed(node: TreeNode) -> list[Conflict]:
    with node.store.read() as tx:
        return list(conflicts(tx, True))


def checkpoint(tree: TreeBuilder) -> None:
    tree.settle()
    for each in tree.nodes:
        each.node.checkpoint()
    for _ in range(4):  # a checkpoint moves no rows, so nothing says that the tree still moves
        tree.settle()


def proven(node: TreeNode) -> int:
    with node.store.read() as tx:
        return exit_code(prove(tx, node.store.registry, node.node.ring))
