"""Messages of an exchange: numbers that no database could hold never reach one (I6)."""

from __future__ import annotations

import msgspec
import pytest

from syncd.errors import Altered
from syncd.limits import TIME_MS_MAX
from syncd.messages import Hello, HelloReply, Position, Pull, PullReply, Push, decode, encode

POSITION = Position(bytes(16), 1, bytes(32))
MESSAGES = [
    Hello(1, 1, 1, 1, [POSITION], 1, 1),
    HelloReply(1, 1, [POSITION], None, 1),
    Push(1),
    Pull([POSITION], [], None, 1, 1, 1),
    PullReply(1, [], 1, 1),
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
