"""Messages of an exchange: numbers that no database could hold never reach one (I6)."""

from __future__ import annotations

import msgspec
import pytest

from syncd.errors import Altered
from syncd.limits import SAMPLES_MAX, TIME_MS_MAX, WANTS_MAX
from syncd.messages import Hello, HelloReply, Position, Pull, PullReply, Push, Sample, Want, decode, encode

POSITION = Position(bytes(16), 1, bytes(32))
WANT = Want(bytes(16), [Sample(1, bytes(16))])
MESSAGES = [
    Hello(1, 1, 1, 1, [POSITION], 1, 1),
    HelloReply(1, 1, [POSITION], None, 1),
    Push(1),
    Pull([POSITION], [], None, 1, 1, 1, 0, [WANT], 1),
    PullReply(1, [], 1, 1, [WANT]),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_number_below_zero_or_beyond_what_is_stored_is_refused(message: msgspec.Struct) -> None:
    fields = msgspec.structs.astuple(message)
    assert decode(encode(message), type(message)) == message
    for place, value in enumerate(fields):
        is_version = isinstance(message, Hello | HelloReply) and place < (2 if isinstance(message, Hello) else 1)
        if not isinstance(value, int) or is_version:  # versions are compared, never stored
            continue
        for number in (-1, 2**63):
            changed = msgspec.msgpack.encode([*fields[:place], number, *fields[place + 1 :]])
            with pytest.raises(Altered):
                decode(changed, type(message))


def test_time_that_has_no_text_is_refused() -> None:
    with pytest.raises(Altered):
        decode(encode(Hello(1, 1, 1, TIME_MS_MAX + 1, [], 0, 0)), Hello)


def test_position_beyond_what_is_stored_is_refused() -> None:
    with pytest.raises(Altered):
        decode(encode(Hello(1, 1, 1, 1, [Position(bytes(16), 2**63, bytes(32))], 0, 0)), Hello)


@pytest.mark.parametrize(
    "wants",
    [
        [Want(bytes(16), [])],
        [Want(bytes(16), [Sample(0, bytes(16))] * (SAMPLES_MAX + 1))],
        [WANT] * (WANTS_MAX + 1),
        [Want(bytes(16), [Sample(2**63, bytes(16))])],
        [Want(bytes(15), [Sample(1, bytes(16))])],
    ],
)
def test_question_for_a_past_beyond_its_bounds_is_refused(wants: list[Want]) -> None:
    with pytest.raises(Altered):
        decode(encode(Pull([], [], None, 0, 0, 0, 0, wants)), Pull)
    with pytest.raises(Altered):
        decode(encode(PullReply(1, [], 0, 0, wants)), PullReply)
