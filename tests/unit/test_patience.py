"""How long a command waits for a database, what it says meanwhile, and when it gives up. Time is the test's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncd import limits
from syncd.cli.reasons import told_once
from syncd.errors import DatabaseLocked, StoreError, TemporaryError
from syncd.store.patience import Patience, of_this_command, patient

SOURCES = [path for path in Path("syncd").rglob("*.py") if "tests" not in path.parts]


class Virtual:
    """A clock that stands still but for the sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.told: list[int] = []

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 0.5)

    def patience(self) -> Patience:
        return Patience(self.told.append, lambda: self.now_s, self.sleep)

    def free_at(self, seconds: float) -> str:
        """What a database says that others hold until then."""
        if self.now_s < seconds:
            raise DatabaseLocked("held", "")
        return "begun"


@pytest.mark.parametrize(
    ("free_at_s", "told"),
    [(0.0, []), (1.5, []), (2.5, [2]), (11.5, [2]), (30.0, [2, 12, 22]), (59.5, [2, 12, 22, 32, 42, 52])],
)
def test_a_wait_is_told_when_it_lasts_and_ends_when_the_database_is_free(free_at_s: float, told: list[int]) -> None:
    time = Virtual()
    assert time.patience().until_free(lambda: time.free_at(free_at_s), "x.db") == "begun"
    assert time.told == told


def test_after_its_time_a_command_gives_up_and_says_what_to_do() -> None:
    time = Virtual()
    with pytest.raises(DatabaseLocked) as ended:
        time.patience().until_free(lambda: time.free_at(61.0), "/dir/syncd.db")
    assert limits.PATIENCE_S <= time.now_s < limits.PATIENCE_S + 1
    assert "/dir/syncd.db" in str(ended.value)
    assert "run this command again" in ended.value.english


def test_only_a_locked_database_is_waited_for() -> None:
    time = Virtual()

    def broken() -> None:
        raise StoreError("damaged", "")

    with pytest.raises(StoreError):
        time.patience().until_free(broken, "x.db")
    assert time.now_s == 0


def test_nobody_is_patient_but_inside_a_command() -> None:
    assert of_this_command() is None
    with patient(lambda _seconds: None):
        assert of_this_command() is not None
    assert of_this_command() is None


def promises() -> list[str]:
    """Every text of the code that says that something is tried again without anybody's doing."""
    again = re.compile(r'"([^"]*(?:tried again by itself|tries again by itself|retried by itself|reconnects by itself|tự thử lại|tự kết nối lại)[^"]*)"')  # fmt: skip  # noqa: E501
    known = ("syncd/cli/reasons.py", "syncd/cli/case_words.py", "syncd/cli/review_words.py")  # screens tell of daemons
    return sorted({text for path in SOURCES if str(path) not in known for text in again.findall(path.read_text())})


@pytest.mark.parametrize("language", ["vi", "en"])
def test_no_command_promises_what_only_a_daemon_does(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    assert len(promises()) > 20
    for text in promises():
        shown = told_once(TemporaryError("what", text))
        assert "by itself" not in shown or "case" in shown, shown
        assert "tự thử lại" not in shown, shown
        assert "tự kết nối lại" not in shown, shown
