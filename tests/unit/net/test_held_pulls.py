"""How long a parent holds a pull: no line is silent for so long that a firewall forgets it."""

from __future__ import annotations

import pytest

from syncd import limits
from syncd.messages import Owed, Pull
from syncd.net.server import held_s_max

OWED = Owed(bytes(16), 3)
FORGETS_S = 60.0


def pull(wait_s: float, owed: list[Owed]) -> Pull:
    return Pull([], owed, None, int(wait_s * 1000), 0, 0)


@pytest.mark.parametrize("wait_s", [0.0, 0.05, 1.5, limits.HINT_WAIT_S, limits.HINT_WAIT_S_MAX, 3_600.0])
@pytest.mark.parametrize("at_most_s", [limits.LARGE_WAIT_S, limits.HINT_WAIT_S, limits.HINT_WAIT_S_MAX])
def test_no_pull_is_held_for_longer_than_the_parent_holds_any(wait_s: float, at_most_s: float) -> None:
    without, with_owed = held_s_max(pull(wait_s, []), at_most_s), held_s_max(pull(wait_s, [OWED]), at_most_s)
    assert without == min(wait_s, at_most_s) <= with_owed <= at_most_s < FORGETS_S


def test_receipts_on_their_way_hold_a_pull_that_waits_for_a_moment() -> None:
    wait_s = limits.RECEIPT_WAIT_S
    assert held_s_max(pull(wait_s, []), limits.HINT_WAIT_S) == wait_s
    assert held_s_max(pull(wait_s, [OWED]), limits.HINT_WAIT_S) == limits.RECEIPT_BUSY_S_MAX
    assert held_s_max(pull(0.0, [OWED]), limits.HINT_WAIT_S) == 0.0, "who does not wait at all is answered at once"
