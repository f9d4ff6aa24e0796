"""Who works in a directory is said in an operator's words, and a copy of it is not taken for it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.clock import time_ms_of
from syncd.control import Control, ask, asked
from syncd.errors import AlreadyRunning
from syncd.node.holding import INIT, JOIN, LOCK_FILE, RESTORE, RUN, SYNC, hold, require_original

SINCE = time_ms_of("2026-03-05T01:02:03.000Z")
SAID = (
    ("vi", "05/03/2026 08:02:03", "chờ lệnh đó xong"),
    ("en", "2026-03-05 01:02:03Z", "wait until it has ended"),
)
VERBS = (RUN, SYNC, RESTORE, INIT, JOIN)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "xa"
    place.mkdir()
    control = Control(place, lambda: {"pid": 7, "is_heard": True}, os.urandom, {"pid": 7})
    yield place
    control.close()


def refused(place: Path, verb: str) -> str:
    with pytest.raises(AlreadyRunning) as found:
        hold(place, verb)
    said = str(found.value)
    assert LOCK_FILE not in said
    return said


@pytest.mark.parametrize("wanted", VERBS)
@pytest.mark.parametrize(("language", "running", "again"), SAID)
def test_who_is_refused_hears_what_runs_since_when_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, language: str, running: str, again: str
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    for verb in VERBS:
        with hold(tmp_path, verb, lambda: SINCE):
            said = refused(tmp_path, wanted)
        assert f"pid {os.getpid()}" in said
        assert (running in said) is (verb == RUN)
        assert (again in said) is (verb != RUN)
        assert (f"kill {os.getpid()}" in said) is (verb == RUN and wanted != SYNC)
        assert ("syncd status" in said) is (verb == RUN and wanted in (RUN, SYNC))


@pytest.mark.parametrize("text", ["", "pid 12\n", "pid 12\nnothing that is a time of day", "\0\xff"])
def test_a_lock_that_says_little_is_told_all_the_same(tmp_path: Path, text: str) -> None:
    with hold(tmp_path, RUN):
        (tmp_path / LOCK_FILE).write_bytes(text.encode("latin-1"))
        refused(tmp_path, RUN)


def test_a_copy_of_a_directory_is_not_shown_as_running(running: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(running, copy)
    assert ask(running) is not None
    assert asked(copy) == (None, False)
    with pytest.raises(AlreadyRunning, match="pid 7") as found:
        require_original(copy)
    assert str(running.resolve()) in str(found.value)
    require_original(running)


def test_a_directory_that_was_moved_is_still_the_one_that_runs(running: Path, tmp_path: Path) -> None:
    moved = running.rename(tmp_path / "moved")
    assert ask(moved) is not None
    require_original(moved)


def test_a_copy_whose_original_has_ended_may_run(running: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(running, copy)
    place = json.loads((copy / "daemon.json").read_text())
    (copy / "daemon.json").write_text(json.dumps({**place, "port": 1}))
    require_original(copy)
