"""A process dies at every commit boundary, by name, one by one: before the commit and after it. Then life goes on.

The names are read from the code (`store.write("…")`, `store.apply("…")`): a new one without a scenario, here or in the
file that `ELSEWHERE` names, fails the first test. Each scenario (`scenarios.py`) lets the process in which the stage
occurs kill itself there (SYNCD_FAILPOINT), and starts it anew; all end in the same check: every row typed at the
commune is at the province exactly once, and a recount by plain SQL agrees. The province's stages run over SQLite and
PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from tests.acceptance import scenarios
from tests.acceptance.pairs import Pair
from tests.acceptance.processes import ROOT

MOMENTS = ("before-commit", "after-commit")
Scenario = Callable[[Pair, str], None]

SCENARIOS: dict[str, Sequence[Scenario]] = {
    "sequence-close": [scenarios.own_exchange],
    "sequence-piece": [scenarios.large_group],
    "discard": [scenarios.discard],
    "create-stream": [scenarios.own_exchange],
    "checkpoint": [scenarios.own_exchange],
    "parent-positions": [scenarios.own_exchange],
    "receipts": [scenarios.own_exchange],
    "receive": [scenarios.push_to_province, scenarios.news_for_commune],
    "apply": [scenarios.push_to_province, scenarios.news_for_commune],
    "grant": [scenarios.grant],
    "admit": [scenarios.admission],
    "refresh": [scenarios.admission],
    "partial": [scenarios.half_an_upload],
    "refused": [scenarios.refusal],
    "stop": [scenarios.stopped_stream],
    "rejoin-begin": [scenarios.restored],
    "rejoin-create": [scenarios.restored_early],
    "rejoin": [scenarios.restored],
    "rejoined": [scenarios.restored],
    "wishes": [scenarios.restored],
    "fork-closed": [scenarios.fork_ends],
    "decide": [scenarios.decision],
    "detect": [scenarios.disagreement],
    "resolve": [scenarios.resolution],
    "resolve-undo": [scenarios.taken_back],
    "clock": [scenarios.clock_is_right_again],
    "propose": [scenarios.proposal],
    "setup": [scenarios.init],
    "setup-root": [scenarios.init],
    "setup-keepers": [scenarios.init],
    "token": [scenarios.token],
    "import": [scenarios.import_units],
    "generate": [scenarios.generate],
    "facts": [scenarios.facts],
    "triggers": [scenarios.triggers],
    "peers": [scenarios.peers],
}
NOTHING_TO_CARRY = (scenarios.init,)  # another tree
# What a province's daemon commits, over PostgreSQL too; the last one there alone.
ON_POSTGRES: dict[str, Scenario] = {
    "receive": scenarios.push_to_province,
    "apply": scenarios.push_to_province,
    "grant": scenarios.grant,
    "admit": scenarios.admission,
    "partial": scenarios.half_an_upload,
    "journal-numbers": scenarios.start_of_the_province,
}

# Stages that die in a test of their own, before and after the commit, where provoking them is shorter.
DEATHS, HANDOVERS = "tests/integration/test_deaths.py", "tests/integration/test_handover_crashes.py"
REPAIRS = "tests/integration/test_repair_deaths.py"
EDGES = "tests/integration/test_edges_deaths.py"
ELSEWHERE: dict[str, str] = {
    "order": HANDOVERS,
    "end-term": HANDOVERS,
    "begin-term": HANDOVERS,
    "grant-follower": HANDOVERS,
    "cut-term": HANDOVERS,
    "late-writes": HANDOVERS,
    "adopt": HANDOVERS,
    "order-move": HANDOVERS,
    "reassign": HANDOVERS,
    "baseline": DEATHS,
    "take-baseline": DEATHS,
    "covered": DEATHS,
    "prune": DEATHS,
    "prune-baseline": DEATHS,
    "backed-up": DEATHS,
    "restore": DEATHS,
    "restored": DEATHS,
    "identity-index": DEATHS,
    "identity-match": DEATHS,
    "identity": DEATHS,
    "withdraw": DEATHS,
    "follow": DEATHS,
    "set-aside": DEATHS,
    "leave": DEATHS,
    "journal-found": REPAIRS,
    "found-case": REPAIRS,
    "put-back": REPAIRS,
    "cells": REPAIRS,
    "cells-case": REPAIRS,
    "schema-seen": REPAIRS,
    "duty-stopped": EDGES,
    "duty-goes-on": EDGES,
    "notice": EDGES,
    "strangers": EDGES,
    "root-branches": EDGES,
    "compared": EDGES,
    "rights": "tests/integration/test_postgres_roles.py",
}


def commit_stages() -> set[str]:
    """Every stage whose commits the stores name, from the code itself."""
    found: set[str] = set()
    for path in (ROOT / "syncd").rglob("*.py"):
        if "demo" not in path.parts:
            found |= set(re.findall(r"\.(?:write|apply)\(\s*\"([a-z-]+)\"", path.read_text()))
    return found


def test_every_commit_in_the_code_has_a_scenario_here() -> None:
    here = SCENARIOS.keys() | ON_POSTGRES.keys()
    assert commit_stages() == here | ELSEWHERE.keys()
    assert not here & ELSEWHERE.keys()


@pytest.mark.parametrize(("stage", "file"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_a_stage_that_dies_elsewhere_is_named_there(stage: str, file: str) -> None:
    assert f'"{stage}"' in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("stage", "scenario"),
    [
        pytest.param(stage, scenario, id=f"{stage}_{scenario.__name__}")
        for stage, all_ in SCENARIOS.items()
        for scenario in all_
    ],
)
def test_death_at_a_commit_loses_and_doubles_nothing(pair: Pair, stage: str, scenario: Scenario, moment: str) -> None:
    scenario(pair, f"{stage}:{moment}")
    if scenario not in NOTHING_TO_CARRY:
        pair.finish()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", ON_POSTGRES)
def test_death_at_a_commit_of_postgresql_loses_and_doubles_nothing(
    postgres_pair: Pair, stage: str, moment: str
) -> None:
    ON_POSTGRES[stage](postgres_pair, f"{stage}:{moment}")
    postgres_pair.finish()
