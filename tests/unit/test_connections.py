"""Who is let go so that others are served: by a clock of the test's, without a network."""

from __future__ import annotations

from contextlib import ExitStack

from syncd import limits
from syncd.net.connections import Connection, Connections, Stage


class Desk:
    """Connections with a clock that the test moves, and the names of those let go."""

    def __init__(self, most: int) -> None:
        self.now = 0.0
        self.gone: list[str] = []
        self.connections = Connections(most, lambda: self.now)

    def comes(self, name: str, address: str = "10.0.0.1", stage: Stage = Stage.SILENT) -> Connection:
        entry = self.connections.enter(address, lambda: self.gone.append(name))
        self.connections.becomes(entry, stage)
        return entry

    def floods(self, number: int, address: str, stage: Stage = Stage.SILENT) -> None:
        for place in range(number):
            self.comes(f"{address} {place}", address, stage)


def test_silence_keeps_no_place_from_whoever_calls_from_the_same_address() -> None:
    desk = Desk(64)
    desk.floods(16, "10.0.0.1")
    assert not desk.connections.make_room("10.0.0.1"), "they have only just come"
    desk.now = limits.SILENT_GRACE_S
    assert desk.connections.make_room("10.0.0.1")
    assert desk.gone == ["10.0.0.1 0"], "the oldest goes"


def test_one_address_takes_half_of_the_places_of_strangers() -> None:
    desk = Desk(64)
    desk.floods(16, "10.0.0.1", Stage.HANDSHAKE)
    assert not desk.connections.make_room("10.0.0.1")
    assert desk.connections.make_room("10.0.0.2"), "whatever the other address does"


def test_one_address_takes_half_of_the_places_for_waiting() -> None:
    desk = Desk(64)
    with ExitStack() as stack:
        for _ in range(desk.connections.waiting_most // 2):
            assert desk.connections.may_wait("10.0.0.1")
            stack.enter_context(desk.connections.waiting("10.0.0.1"))
        assert not desk.connections.may_wait("10.0.0.1")
        assert desk.connections.may_wait("10.0.0.2")
    assert desk.connections.may_wait("10.0.0.1")


def test_answer_under_way_is_never_cut_off_for_another() -> None:
    desk = Desk(64)
    desk.floods(16, "10.0.0.1", Stage.BUSY)
    desk.now = 1000.0
    assert not desk.connections.make_room("10.0.0.1")
    assert desk.gone == []


def test_who_has_shown_a_certificate_has_as_long_as_a_handshake() -> None:
    desk = Desk(4)
    desk.comes("child").has_certificate = True
    desk.now = limits.SILENT_GRACE_S
    assert not desk.connections.make_room("10.0.0.1")
    desk.now = limits.HANDSHAKE_GRACE_S
    assert desk.connections.make_room("10.0.0.1")


def test_proven_children_take_no_places_of_their_address() -> None:
    desk = Desk(64)
    for place in range(40):
        desk.connections.prove(desk.comes(f"child {place}"), f"child {place}")
    assert desk.connections.make_room("10.0.0.1")
    assert desk.gone == []


def test_child_with_too_many_connections_loses_its_oldest_idle_one() -> None:
    desk = Desk(64)
    entries = [desk.comes(f"line {place}") for place in range(limits.CHILD_CONNECTIONS_MAX + 1)]
    for entry in entries[:-1]:
        desk.connections.prove(entry, "child")
    desk.connections.becomes(entries[3], Stage.IDLE)
    desk.connections.prove(entries[-1], "child")
    assert desk.gone == ["line 3"]
    desk.connections.prove(desk.comes("one more"), "child")
    assert desk.gone == ["line 3", "line 0"], "none is idle: the oldest"


def test_full_house_lets_an_idle_line_of_a_child_go() -> None:
    desk = Desk(4)
    for place in range(4):
        entry = desk.comes(f"child {place}")
        desk.connections.prove(entry, f"child {place}")
        desk.connections.becomes(entry, Stage.IDLE if place == 2 else Stage.BUSY)
    desk.now = limits.SILENT_GRACE_S
    assert desk.connections.make_room("10.0.0.9")
    assert desk.gone == ["child 2"]
    assert len(desk.connections) == 3


def test_who_has_left_is_counted_no_more() -> None:
    desk = Desk(4)
    entry = desk.comes("child")
    desk.connections.prove(entry, "child")
    stranger = desk.comes("stranger")
    for each in (entry, entry, stranger, stranger):
        desk.connections.leave(each)
    desk.connections.prove(stranger, "child")  # its question was read when it left
    assert len(desk.connections) == 0
    assert desk.connections.make_room("10.0.0.1")
