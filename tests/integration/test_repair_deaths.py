"""Mending that dies before or after any of its commits is done once, by whoever tries again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.node_files import open_node
from syncd.recovery import cells, found, put_back
from syncd.recovery.capture import Capture
from syncd.store.base import no_failpoint
from tests.integration.baselines import assert_equal, write_history
from tests.integration.shapes import Died, ThreeTiers, die_at, own_stream, three_tiers
from tests.trees import TreeBuilder, TreeNode

MOMENTS = ("before-commit", "after-commit")


def _past_triggers(tree: ThreeTiers) -> tuple[TreeNode, Callable[[], object]]:
    with tree.commune.store.apply("unseen") as tx:
        tx.run("UPDATE person SET ethnic = '07'")
    return tree.commune, lambda: found.journal(tree.commune.node)


def _copy(tree: ThreeTiers) -> tuple[TreeNode, Callable[[], object]]:
    with tree.district.store.apply("unseen") as tx:
        tx.run("UPDATE person SET phone = '07'")
    return tree.district, lambda: put_back.put_back(tree.district.node, own_stream(tree.commune))


def _cells(tree: ThreeTiers) -> tuple[TreeNode, Callable[[], object]]:
    with tree.commune.store.apply("unseen") as tx:
        tx.run("UPDATE syncd_cell_stock SET n = n + 1")
    return tree.commune, lambda: cells.check(tree.commune.node)


STAGES = {
    "journal-found": _past_triggers, "found-case": _past_triggers, "put-back": _copy, "cells": _cells,
    "cells-case": _cells,
}  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", STAGES)
def test_mending_that_dies_is_done_once(tmp_path: Path, stage: str, moment: str) -> None:
    tree = three_tiers(TreeBuilder(tmp_path))
    write_history(tree.commune)
    tree.prove()
    node, mend = STAGES[stage](tree)
    node.store.failpoint = die_at(f"{stage}:{moment}")
    with pytest.raises(Died):
        mend()
    node.store.failpoint = no_failpoint
    mend()
    tree.prove()
    assert_equal(tree)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_look_that_dies_before_it_is_noted_is_taken_again(tmp_path: Path, moment: str) -> None:
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), Config())
    opened = open_node(tmp_path)
    try:
        opened.store.failpoint = die_at("schema-seen" + f":{moment}")
        with pytest.raises(Died):
            Capture(opened).look()
        opened.store.failpoint = no_failpoint
        assert Capture(opened).look() is None
    finally:
        opened.close()
