"""A duty that fails stops alone: it is logged, a case, tried again by itself; the others go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.errors import DiskFull, KeyMissing, TrustError
from syncd.node.barriers import Barriers
from tests.contained import Contained
from tests.integration.shapes import ThreeTiers, add_person, content, own_stream, state, three_tiers
from tests.trees import TreeBuilder, TreeNode

SECRET = "Nguyễn Thị Bưởi 079080000001"


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[ThreeTiers]:
    tree = three_tiers(TreeBuilder(tmp_path))
    yield tree
    for node in tree.nodes:
        node.store.close()


def fail() -> int:
    raise KeyError(SECRET)


def open_cases(at: TreeNode) -> list[dict[str, str]]:
    rows = at.rows("SELECT detail FROM syncd_case WHERE kind = 'duty_stopped' AND closed_at IS NULL")
    return [json.loads(row[0]) for row in rows]


def test_what_nobody_foresaw_is_a_bug_in_the_log_and_a_case_without_the_row_that_brought_it_about(
    tiers: ThreeTiers, contained: Contained, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Barriers(tiers.commune.store, tiers.commune.node.clock)
    assert made.run("count", fail, 7, stream_id=own_stream(tiers.commune)) == 7
    assert [case["duty"] for case in open_cases(tiers.commune)] == ["count"]
    assert "KeyError" in open_cases(tiers.commune)[0]["error"]
    assert len(contained.bugs) == 1
    assert "Traceback" in contained.bugs[0]
    assert SECRET not in contained.bugs[0] + str(open_cases(tiers.commune)) + caplog.text + capsys.readouterr().err
    contained.bugs.clear()


def test_a_duty_that_failed_waits_and_its_case_is_closed_when_it_succeeds(
    tiers: ThreeTiers, contained: Contained, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Barriers(tiers.commune.store, tiers.commune.node.clock)
    assert made.run("count", fail, 0) == 0
    assert made.run("count", lambda: 1, 0) == 0  # not due yet
    assert made.run("other", lambda: 1, 0) == 1
    assert made.next_due_s is not None
    monkeypatch.setattr("syncd.limits.DUTY_RETRY_S", 0.0)
    later = Barriers(tiers.commune.store, tiers.commune.node.clock)  # another process
    assert later.run("count", lambda: 1, 0) == 1
    assert open_cases(tiers.commune) == []
    contained.bugs.clear()


@pytest.mark.parametrize("error", [DiskFull("full", ""), MemoryError()])
def test_what_concerns_the_whole_node_passes(tiers: ThreeTiers, error: Exception) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        Barriers(tiers.commune.store, tiers.commune.node.clock).run("count", work, None)
    assert open_cases(tiers.commune) == []


def test_what_comes_with_a_later_exchange_is_no_case(tiers: ThreeTiers) -> None:
    def work() -> int:
        raise KeyMissing("no key", "")

    made = Barriers(tiers.commune.store, tiers.commune.node.clock)
    assert made.run("count", work, 7) == 7
    assert made.run("count", lambda: 1, 7) == 1
    assert open_cases(tiers.commune) == []


def test_an_error_of_ours_is_told_by_its_reason(tiers: ThreeTiers, contained: Contained) -> None:
    def work() -> int:
        raise TrustError("no such key", "enrol again")

    Barriers(tiers.commune.store, tiers.commune.node.clock).run("grant", work, 0)
    assert open_cases(tiers.commune)[0]["error"] == "no such key — enrol again"
    assert contained.bugs == []
    assert len(contained.stopped) == 1
    contained.stopped.clear()


@pytest.mark.parametrize("stage", ["receive", "apply"])
def test_a_stream_whose_rows_make_our_code_fail_stops_alone(
    tiers: ThreeTiers, contained: Contained, stage: str
) -> None:
    """The failure comes from a failpoint, since every known row that brought one about is refused by now."""
    sibling = tiers.builder.child(tiers.district, "sibling", "42502")
    tiers.settle()
    done: list[str] = []

    def failpoint(name: str) -> None:
        if name == f"{stage}:before-commit" and not done:
            done.append(name)
            raise ZeroDivisionError(SECRET)

    add_person(tiers.commune)
    add_person(sibling)
    tiers.district.store.failpoint = failpoint
    tiers.settle()
    tiers.district.store.failpoint = lambda _name: None
    assert done
    tiers.settle()
    assert {row[0] for row in tiers.district.rows("SELECT unit_id FROM person")} == {
        tiers.commune.unit_id, sibling.unit_id,
    }  # fmt: skip
    assert state(tiers.district, own_stream(tiers.commune))[0] == "ok"
    assert content(tiers.province, "person") == content(tiers.district, "person")
    assert contained.bugs
    assert SECRET not in "".join(contained.bugs)
    contained.bugs.clear()
