"""What is noted of odd things, when the process dies before or after it is noted: a new one notes it once (I8)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.config import Config
from syncd.enrolment import init_root
from syncd.errors import StoreError
from syncd.node import strangers
from syncd.node.barriers import Barriers
from syncd.node_files import open_node
from syncd.recovery import nightly
from syncd.review import notices
from syncd.store.base import no_failpoint
from tests.contained import Contained
from tests.integration.handovers import at, country
from tests.integration.shapes import Died, die_at, lone_root
from tests.integration.test_notices import restored_to_before
from tests.integration.test_root_copies import branched, cases, rest
from tests.nodes import ROOT_UNIT
from tests.trees import TreeBuilder, TreeNode

MOMENTS = ("before-commit", "after-commit")


def fails() -> str:
    raise StoreError("odd", "mend it")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", ["duty-stopped", "duty-goes-on"])
def test_duty_that_stops_and_goes_on_is_one_case(
    tmp_path: Path, stage: str, moment: str, contained: Contained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.limits.DUTY_RETRY_S", 0.0)
    root = lone_root(tmp_path)

    def process(work: Callable[[], str]) -> str:
        """What a process of its own makes of the duty."""
        return Barriers(root.store, root.node.clock).run("odd duty", work, "otherwise", about="x")

    query = "SELECT closed_at IS NULL FROM syncd_case WHERE kind = 'duty_stopped'"
    if stage == "duty-goes-on":
        process(fails)
    root.store.failpoint = die_at(f"{stage}:{moment}")
    with pytest.raises(Died):
        process(fails if stage == "duty-stopped" else lambda: "done")
    root.store.failpoint = no_failpoint
    assert process(fails) == "otherwise"
    assert root.rows(query) == [(1,)]
    assert process(lambda: "done") == "done"
    assert root.rows(query) == [(0,)]
    contained.stopped.clear()


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_an_application_added_is_one_case(tmp_path: Path, moment: str) -> None:
    init_root(tmp_path, ROOT_UNIT, Config())
    opened = open_node(tmp_path)
    try:
        with opened.store.write("clerk") as tx:
            tx.run("CREATE UNIQUE INDEX theirs ON person (phone)")
        opened.store.failpoint = die_at("strangers" + f":{moment}")
        with pytest.raises(Died):
            strangers.tell(opened)
        opened.store.failpoint = no_failpoint
        strangers.tell(opened)
        with opened.store.read() as tx:
            assert tx.value("SELECT count(*) FROM syncd_case WHERE closed_at IS NULL") == 1
    finally:
        opened.close()


def dying(node: TreeNode, stage: str, moment: str, settle: Callable[[], object]) -> None:
    """The node's process dies there; a new one goes on."""
    node.store.failpoint = die_at(f"{stage}:{moment}")
    with pytest.raises(Died):
        settle()
    node.reopen()


@pytest.mark.parametrize("moment", MOMENTS)
def test_author_is_told_once(tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = country(TreeBuilder(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(notices, "tell", lambda _store, _tree: 0)  # until the one who is to tell it dies
        restored_to_before(tree, "two")
    north = at(tree, "north")
    north.store.failpoint = die_at("notice" + f":{moment}")
    with pytest.raises(Died):
        notices.tell(north.store, north.node.tree())
    north.reopen()
    rest(tree)
    north.node.forget_tree()
    rest(tree)
    assert at(tree, "province").value("SELECT count(*) FROM notice") == 3


@pytest.mark.parametrize("moment", MOMENTS)
def test_two_branches_of_the_root_are_noted_once(tmp_path: Path, moment: str) -> None:
    tree = country(TreeBuilder(tmp_path))
    branched(tree)
    north = at(tree, "north")
    dying(north, "root-branches", moment, lambda: rest(tree))
    rest(tree)
    assert len(cases(north)) == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_night_that_dies_at_its_mark_is_gone_on_with(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = at(country(TreeBuilder(tmp_path)), "north")
    streams = nightly.compare(north.node)
    monkeypatch.setattr("syncd.limits.COMPARE_DAILY_S", 0.0)
    dying(north, "compared", moment, lambda: nightly.compare(north.node))
    seen = set()
    for _ in range(streams):
        nightly.compare(north.node)
        seen.add(north.value("SELECT value FROM syncd_meta WHERE key = ?", (nightly.GO_ON,)))
    assert len(seen) == streams > 1
