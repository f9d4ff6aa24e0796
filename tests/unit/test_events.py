"""The log: a line per event; what comes again for one cause is counted, in bounded memory."""

from __future__ import annotations

import gc
import io
import logging
import sys
import weakref
from collections.abc import Iterator

import pytest

from syncd import events, limits
from syncd.events import Counted, event


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, level = logging.getLogger(), events.LOGGER.level
    before, root_level = root.handlers[:], root.level
    stream = io.StringIO()
    events.set_up("info", "text", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(root_level)
    events.LOGGER.setLevel(level)


def test_a_warning_is_written_once_and_then_counted(log: io.StringIO) -> None:
    for number in range(500):
        event("retry", logging.WARNING, reason="parent away", after_s=number)
    assert log.getvalue().count("\n") == 1
    events.set_up("info", "text", log)  # as at a reload: what was counted is said first
    assert "repeated=499" in log.getvalue()
    assert log.getvalue().count("\n") == 2


def test_exchanges_are_never_counted_together(log: io.StringIO) -> None:
    for _ in range(20):
        event("push", peer="a", envelopes=1)
    assert log.getvalue().count("event") + log.getvalue().count("push") == 20


def test_other_texts_are_other_causes(log: io.StringIO) -> None:
    for number in range(10):
        event("retry", logging.WARNING, reason=f"reason {number % 2}")
    assert log.getvalue().count("\n") == 2


def test_whoever_makes_up_causes_fills_neither_log_nor_memory(log: io.StringIO) -> None:
    for number in range(20_000):
        event("hello-failed", logging.WARNING, peer="a", reason=f"made up {number}")
    assert log.getvalue().count("\n") <= limits.LOG_CAUSES_MAX + 1
    event("retry", logging.WARNING, reason="another event")
    assert "another event" in log.getvalue()


def test_lines_of_other_libraries_are_counted_too(log: io.StringIO) -> None:
    for _ in range(300):
        logging.getLogger("asyncio").error(
            "socket.accept() out of system resource", exc_info=(OSError, OSError(), None)
        )
    assert log.getvalue().count("socket.accept()") == 1


def test_a_line_that_is_counted_keeps_no_frame_alive() -> None:
    class Large:
        pass

    counted = Counted(lambda _record: None)

    def fail() -> weakref.ref[Large]:
        value = Large()
        try:
            raise OSError("disk")
        except OSError:
            record = logging.LogRecord("syncd", logging.ERROR, "", 0, "failed", None, sys.exc_info())
            assert counted.filter(record)
        return weakref.ref(value)

    kept = fail()
    gc.collect()
    assert kept() is None


def test_each_minute_says_how_often_and_a_quiet_cause_is_forgotten() -> None:
    told: list[logging.LogRecord] = []
    now = [0.0]
    counted = Counted(told.append, lambda: now[0])

    def came(reason: str) -> bool:
        record = logging.LogRecord("syncd", logging.WARNING, "", 0, "retry", None, None)
        record.fields = {"reason": reason}
        return counted.filter(record)

    assert came("a")
    assert not came("a")
    assert not came("a")
    now[0] += limits.LOG_REPEATED_S
    assert came("b")
    assert [record.__dict__["fields"] for record in told] == [{"reason": "a", "repeated": 2}]
    now[0] += limits.LOG_REPEATED_S
    assert came("b"), "nothing came again: it is a new cause"
    now[0] += limits.LOG_REPEATED_S
    assert came("a")
    assert len(told) == 1
    counted.flush()


def test_a_line_that_comes_when_the_stream_is_closed_is_left_unsaid(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(logging.getLogger().handlers)
    stream = io.StringIO()
    try:
        events.set_up("info", "text", stream)
        stream.close()
        event("too-late", logging.WARNING)
    finally:
        logging.getLogger().handlers[:] = before
    assert capsys.readouterr().err == ""
