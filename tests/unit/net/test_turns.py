"""Large questions: one of a child at a time, few of all; small ones wait for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from syncd import limits
from syncd.errors import Busy
from syncd.net.turns import Turns
from syncd.retry import Retries

LARGE = limits.SMALL_QUESTION_BYTES + 1


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]  # a story is a coroutine function


def test_a_second_large_question_of_a_child_is_busy_and_others_are_answered() -> None:
    async def story() -> None:
        turns = Turns(wait_s=0.05)
        async with turns.turn("a", LARGE) as is_large:
            assert is_large
            with pytest.raises(Busy) as busy:
                async with turns.turn("a", LARGE):
                    pass
            assert "a" in busy.value.message
            async with turns.turn("a", 100) as is_other_large, turns.turn("b", LARGE):
                assert not is_other_large
                assert len(turns) == 2
        async with turns.turn("a", LARGE):
            pass
        assert len(turns) == 0

    run(story)


def test_a_large_question_waits_for_the_one_before_it() -> None:
    async def story() -> None:
        turns, order = Turns(wait_s=30.0), list[int]()

        async def ask(number: int) -> None:
            async with turns.turn("a", LARGE):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(ask(number) for number in range(8)))
        assert sorted(order) == list(range(8))
        assert len(turns) == 0

    run(story)


def test_a_question_that_fails_gives_its_turn_back() -> None:
    async def story() -> None:
        turns = Turns(wait_s=0.05)
        with pytest.raises(OSError, match="line"):
            async with turns.turn("a", LARGE):
                raise OSError("line")
        async with turns.turn("a", LARGE):
            pass

    run(story)


def test_few_large_questions_of_all_children_are_worked_at_together() -> None:
    async def story() -> None:
        turns, now, most = Turns(), [0], [0]

        async def work(child: str) -> None:
            async with turns.turn(child, LARGE) as is_large, turns.work(is_large):
                now[0] += 1
                most[0] = max(most[0], now[0])
                await asyncio.sleep(0)
                now[0] -= 1

        await asyncio.gather(*(work(f"child {number}") for number in range(40)))
        assert most[0] == limits.LARGE_QUESTIONS_MAX

    run(story)


def test_a_busy_parent_is_asked_again_no_sooner_than_it_says() -> None:
    retries = Retries()
    assert retries.decide(Busy("busy", hint="later")).delay_s >= limits.BUSY_WAIT_S
