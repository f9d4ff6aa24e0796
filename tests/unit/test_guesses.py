"""Failed joins: some are answered and logged, a flood is neither; the table has a bound."""

from __future__ import annotations

import pytest

from syncd import limits
from syncd.net.guesses import Guesses


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_flood_is_told_once_and_time_forgives(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    guesses = Guesses(clock)
    assert sum(guesses.allows("192.0.2.1") for _ in range(1000)) == limits.JOIN_FAILURES_MAX
    assert [record.getMessage() for record in caplog.records] == ["join-flood"]
    assert guesses.allows("192.0.2.2")
    clock.now += 1 / limits.JOIN_FAILURES_S
    assert guesses.allows("192.0.2.1")
    assert not guesses.allows("192.0.2.1")


def test_one_network_is_one_guesser() -> None:
    guesses = Guesses(Clock())
    allowed = [guesses.allows(f"2001:db8:0:1::{host:x}") for host in range(100)]
    assert sum(allowed) == limits.JOIN_FAILURES_MAX
    assert guesses.allows("2001:db8:0:2::1")


def test_the_table_has_a_bound() -> None:
    guesses = Guesses(Clock())
    for host in range(2 * limits.JOIN_ADDRESSES_MAX):
        guesses.allows(f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}")
    assert len(guesses._left) == limits.JOIN_ADDRESSES_MAX
    assert guesses.allows("no address at all")
