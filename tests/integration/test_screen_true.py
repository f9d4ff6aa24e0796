"""What the screen promises holds: previews make the checks of the run, single exchanges count, reloads say what they
leave, silence is heard of further up, what was taken back is so everywhere."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from syncd import control, keeping
from syncd.cli import program
from syncd.config import Config, load_config, write_config
from syncd.errors import SyncdError
from syncd.messages import Pull, Silent, decode, encode, raw_id
from syncd.review.verbs import Verb
from syncd.topology.silent import SilentBelow, within
from tests.integration.handovers import add_household, at, order
from tests.integration.registers import Registers, cases, person, registers
from tests.integration.test_conflicts_resolved import CITIZEN_ID, say, seen, state_everywhere, take_back
from tests.nodes import Nodes, TestNode
from tests.trees import TreeBuilder, TreeNode
from tests.waiting import until

DEAD = "https://127.0.0.1:9"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")


# --- previews -------------------------------------------------------------------------------------------------------


def refused(work: Callable[..., object], *given: Any, **how: Any) -> str:
    """What it is refused for; empty where it is not."""
    try:
        work(*given, **how)
    except SyncdError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def unit(tree: TreeBuilder, name: str) -> str:
    return at(tree, name).unit_id


def orders(tree: TreeBuilder) -> dict[str, tuple[TreeNode, str, str, dict[str, bool]]]:
    """name → (by whom, unit, to whom, how)."""
    province, north, one = at(tree, "province"), at(tree, "north"), at(tree, "one")
    return {
        "to whom it keeps": (north, unit(tree, "one"), "one", {}),
        "of another district": (north, unit(tree, "three"), "north", {}),
        "to another district": (north, unit(tree, "one"), "three", {}),
        "by who is below": (one, unit(tree, "one"), "north", {}),
        "by force below the root": (north, unit(tree, "one"), "two", {"forced": True}),
        "of the root's own by force": (province, unit(tree, "province"), "north", {"forced": True}),
        "while one is under way": (north, unit(tree, "two"), "one", {}),
        "as it should be": (north, unit(tree, "one"), "two", {}),
    }


def test_a_preview_of_an_order_is_refused_as_the_order_is(tree: TreeBuilder) -> None:
    order(tree, "north", unit(tree, "two"), "north")  # does not end: nobody exchanges
    for name, (by, unit_id, to, how) in orders(tree).items():
        to_node = at(tree, to).node.node_id
        preview = refused(keeping.plan, by.node, unit_id, to_node, **how)
        run = refused(keeping.order, by.node, unit_id, to_node, author="An", reason="", **how)
        assert preview == run, name
        assert bool(run) is (name != "as it should be"), run


def test_a_preview_of_a_move_is_refused_as_the_move_is(tree: TreeBuilder) -> None:
    north, one, two = at(tree, "north"), unit(tree, "one"), unit(tree, "two")
    add_household(at(tree, "one"), one, "1", "A")
    tree.settle()
    for name, from_unit, to_unit in (
        ("two stations", one, two), ("onto itself", one, one), ("into its district", one, unit(tree, "north")),
        ("of another district", unit(tree, "three"), one),
    ):  # fmt: skip
        move = keeping.Move(from_unit=from_unit, to_unit=to_unit, row_ids=None)
        with north.store.read() as tx:
            preview = refused(keeping.plan_move, north.node, tx, move)
        assert preview == refused(keeping.reassign, north.node, move, author="An", reason=""), name
        assert preview, name
    assert north.value("SELECT count(*) FROM reassignment") == 0


@pytest.fixture
def towns(tmp_path: Path) -> Iterator[Registers]:
    made = registers(TreeBuilder(tmp_path))
    yield made
    for node in made.nodes:
        node.store.close()


def twins(towns: Registers) -> str:
    """A case at the district: one citizen id in two communes."""
    for keeper in (towns.a, towns.b):
        person(keeper, full_name="Nguyễn Thị Bưởi", citizen_id=CITIZEN_ID)
    towns.settle()
    found = cases(towns.district)
    assert len(found) == 1
    return str(found[0][0])


def test_a_decision_that_is_taken_back_is_settled_nowhere(towns: Registers) -> None:
    case = twins(towns)
    say(towns, towns.district, case, Verb.NOT_THE_SAME)
    assert set(state_everywhere(towns, case).values()) == {"settled"}
    take_back(towns, towns.district, case)
    after = state_everywhere(towns, case)
    assert "settled" not in after.values()
    assert {after[name] for name in after if name not in ("district",)} == {"undone"}
    assert [each.verb for each in seen(towns.a, case).said][-1] == "undo"


def written(node: TreeNode) -> list[int]:
    return [int(node.value(f"SELECT count(*) FROM {name}")) for name in ("resolution", "syncd_journal")]


def test_a_preview_of_a_verdict_is_refused_as_the_verdict_is(towns: Registers) -> None:
    from syncd.review.desk import Asked
    from syncd.review.resolve import resolve, try_to_resolve

    case = twins(towns)
    for asked in (
        Asked(verb=Verb.TAKE_THEIRS, author="A"), Asked(verb=Verb.VALUE, author="A"),
        Asked(verb=Verb.VALUE, author="A", settings=("citizen_id=1",)), Asked(verb=Verb.NOT_THE_SAME, author="A"),
    ):  # fmt: skip
        given = (towns.district.store, case, asked, towns.district.node.clock(), bytes)
        before = written(towns.district)
        preview = refused(try_to_resolve, *given)
        assert written(towns.district) == before
        assert preview == refused(resolve, *given)
        assert bool(preview) is (asked.verb is not Verb.NOT_THE_SAME)


# --- silence further down -------------------------------------------------------------------------------------------


def test_a_district_tells_whom_it_has_not_heard_and_what_it_was_told(tree: TreeBuilder) -> None:
    north, one, two = at(tree, "north"), at(tree, "one").node.node_id, at(tree, "two").node.node_id
    further = "0f000000-0000-4000-8000-000000000001"
    with north.store.apply("test") as tx:
        tx.run("UPDATE syncd_peer SET last_success_at = '2020-01-01T00:00:00Z' WHERE node_id = ?", (two,))
    heard = {one: 5.0}
    below = SilentBelow(
        north.store, north.node.clock, lambda: heard, lambda: {further: (one, 9e5)}, lambda: 24 * 3600.0
    )  # fmt: skip
    north.node.silent_below = below
    assert north.link is not None
    pull = decode(encode(north.link.pull(0)), Pull)
    assert [each.node_id for each in pull.silent] == [two, further]
    assert pull.silent[0].for_s > pull.silent[1].for_s == 900_000
    heard[two] = 1.0
    assert [each.node_id for each in below()] == [two, further], "looked at again after a while"
    fresh = SilentBelow(north.store, north.node.clock, lambda: heard, dict, lambda: 24 * 3600.0)
    assert fresh() == []


def test_a_child_speaks_of_nodes_below_it_alone(tree: TreeBuilder) -> None:
    north, one, two = (at(tree, name).node.node_id for name in ("north", "one", "two"))
    root = at(tree, "north").node.tree().nodes[north].parent_id
    told = [Silent(raw_id(node_id), 5) for node_id in (north, one, two, str(root), str(uuid.uuid4()))]
    below = at(tree, "north").node.tree()
    assert [each.node_id for each in within(below, north, told)] == [one, two]
    assert list(within(below, one, told)) == []
    assert list(within(below, str(uuid.uuid4()), told)) == []


# --- one exchange, and reloads --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    made = Nodes(tmp_path_factory.mktemp("screen"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def root(nodes: Nodes) -> TestNode:
    return nodes.root()


def screen(node: TestNode, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = program.run([*arguments, "--dir", str(node.directory)])
    said = capsys.readouterr()
    return code, said.out + said.err


def use(node: TestNode, *urls: str, **settings: Any) -> None:
    config = load_config(node.directory, {})
    write_config(node.directory, structs.replace(config, parent_urls=list(urls), **settings))


def worker_error(node: TestNode, worker: str) -> str | None:
    """What the running daemon says of one of its threads."""
    found = (control.ask(node.directory) or {}).get("workers", {}).get(worker, {}).get("error")
    return None if found is None else str(found)


def test_one_exchange_tries_every_address_and_is_seen_as_a_success(
    nodes: Nodes, root: TestNode, capsys: pytest.CaptureFixture[str]
) -> None:
    commune = nodes.joined(root, "01")
    use(commune, DEAD, root.address)
    assert screen(commune, capsys, "sync", "--once")[0] == 0
    code, line = screen(commune, capsys, "status", "--check")
    assert (code, "everything is fine" in line) == (0, True), line
    told = json.loads(screen(commune, capsys, "status", "--json")[1])
    assert told["exchanged_by"] == "once"
    assert told["parent"]["last_success_at"]
    assert told["parent"]["last_error"] is None
    assert "exchanges by schedule" in screen(commune, capsys, "status")[1]
    use(commune, DEAD, "https://127.0.0.1:10")
    code, said = screen(commune, capsys, "sync", "--once")
    assert code == 75
    assert "127.0.0.1:9 " in said
    assert "127.0.0.1:10 " in said
    code, line = screen(commune, capsys, "status", "--check")
    assert (code, "the last try failed" in line) == (1, True), line
    use(commune, root.address, DEAD)
    assert screen(commune, capsys, "sync", "--once")[0] == 0
    assert screen(commune, capsys, "status", "--check")[0] == 0


def test_a_reload_takes_over_what_it_can_and_names_the_rest(
    nodes: Nodes, root: TestNode, capsys: pytest.CaptureFixture[str]
) -> None:
    commune = nodes.joined(root, "02")
    good = commune.config
    use(commune, DEAD)
    commune.start()
    until(lambda: "127.0.0.1:9" in (worker_error(commune, "sender") or ""), "the dead address was tried")
    assert screen(commune, capsys, "status", "--check")[0] < 2, "one try is no catastrophe"
    use(commune, root.address, name="Tên khác", listen="127.0.0.1:1")
    assert commune.process is not None
    commune.process.send_signal(signal.SIGHUP)
    until(lambda: "restart_for=" in commune.log, "what needs a restart is named")
    assert 'restart_for="name, listen"' in commune.log
    until(lambda: last_success(commune), "the other address is used without a restart")
    assert "syncd.toml has changed name, listen" in screen(commune, capsys, "status", "--check")[1]
    write_config(commune.directory, good)
    commune.process.send_signal(signal.SIGHUP)
    until(lambda: worker_error(commune, "settings") is None, "put back, nothing is left to say")
    assert commune.stop() == 0


def last_success(node: TestNode) -> str | None:
    peers = (control.ask(node.directory) or {}).get("peers", {})
    return next((peer["last_success_at"] for peer in peers.values()), None)


def test_every_setting_is_read_again_or_named(tmp_path: Path) -> None:
    from syncd.config import OF_COMMANDS, OF_RESTART, taken_over, waits_for_restart

    before, after = Config(), Config(
        name="b", database="postgresql://x", encrypted=False, listen="h:1", addresses=["https://a"],
        parent_urls=["https://p"], foreign_writes="propose", extra_tables="m:T", poll_ms=9, checkpoint_after_s=9.0,
        prune=False, keep_days=9, retention_days=9, language="en", log_level="debug", log_format="json",
        utc_offset_min=60, check_clock_s=9, check_parent_warning_s=9, check_parent_critical_s=9, check_child_h=9,
        check_failing_s=9, check_backlog_h=9, check_backlog_rows=9, check_backup_days=9, check_certificate_days=9,
        check_disk_mib=9,
    )  # fmt: skip
    assert [key for key in Config.__struct_fields__ if getattr(before, key) == getattr(after, key)] == []
    assert waits_for_restart(before, after) == list(OF_RESTART)
    works = taken_over(before, after)
    for key in Config.__struct_fields__:
        wanted = before if key in OF_RESTART else after
        assert getattr(works, key) == getattr(wanted, key), key
    assert not set(OF_COMMANDS) & set(OF_RESTART)
    assert "check_child_h" not in OF_COMMANDS, "a daemon tells its parent of silences by it"
