"""How results are laid out: widths, colours, JSON, times, and the words an operator types."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click
import pytest

from syncd.cli import output
from syncd.cli.propose import _sort
from syncd.cli.sql import _statements, _word
from syncd.cli.sql_refused import refusal
from syncd.cli.times import age, duration, moment

NOW_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Thing:
    name: str
    digest: bytes


def test_columns_line_up_with_vietnamese_text() -> None:
    drawn = output.table(["tên", "n"], [["Xã Sơn Hồng", "7"], ["Huyện", "1.204"]], (1,)).splitlines()
    assert drawn == ["tên              n", "Xã Sơn Hồng      7", "Huyện        1.204"]


def test_colours_need_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.paint("x", output.RED) == "x"


def test_no_color_is_obeyed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.colours_wanted(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.colours_wanted(Terminal())


def test_json_shows_dataclasses_bytes_and_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json({"thing": Thing("Hồng", b"\x01\xff")}, indent=None)
    text = capsys.readouterr().out
    assert "Hồng" in text
    assert json.loads(text) == {"thing": {"name": "Hồng", "digest": "01ff"}}


def test_moments_are_local_in_vietnamese_and_utc_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    assert moment("2026-11-21T20:00:00.000Z") == "22/11/2026 03:00:00"
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    assert moment("2026-11-21T20:00:00.000Z") == "2026-11-21 20:00:00Z"


def test_what_never_happened_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    assert age(None, NOW_MS) == "never"
    assert [duration(s) for s in (5, 300, 7200, 200_000)] == ["5 s", "5 min", "2 h", "2 d"]


def test_semicolons_in_texts_and_triggers_end_no_statement() -> None:
    script = (
        "INSERT INTO t VALUES ('a;b');\nCREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM u; END;\nSELECT 1; -- end"
    )
    assert [_word(each) for each in _statements(script)][:3] == ["insert", "create", "select"]
    assert len(list(_statements("SELECT ';'"))) == 1


def test_the_guards_words_come_in_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "syncd: bảng person, bản ghi 1: do máy A giữ; hãy gửi đề nghị bằng: x / "
        "table person, row 1: kept by A; propose instead: x"
    )
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    assert str(refusal(text)) == "table person, row 1: kept by A — propose instead: x"
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    assert str(refusal(text)) == "bảng person, bản ghi 1: do máy A giữ — hãy gửi đề nghị bằng: x"
    assert refusal("no such table: t") is None


@pytest.mark.parametrize(
    ("words", "flags", "expected"),
    [
        (("person", "7"), (False, False, None), ("update", "person", "7")),
        (("update", "person", "7"), (False, False, None), ("update", "person", "7")),
        (("delete", "person", "7"), (False, False, None), ("delete", "person", "7")),
        (("person", "7"), (False, True, None), ("delete", "person", "7")),
        (("person",), (True, False, "18133"), ("insert", "person", None)),
        (("insert", "person"), (False, False, "18133"), ("insert", "person", None)),
    ],
)
def test_a_proposal_may_be_worded_either_way(
    words: tuple[str, ...], flags: tuple[bool, bool, str | None], expected: tuple[str, str, str | None]
) -> None:
    assert _sort(words, *flags) == expected


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (("update", "person", "7"), (False, True, None)),
        (("person",), (False, False, None)),
        (("person",), (True, False, None)),
        (("person", "7"), (True, True, "1")),
        (("person", "7", "8"), (False, False, None)),
        (("insert",), (False, False, "1")),
    ],
)
def test_a_proposal_that_contradicts_itself_is_refused(
    words: tuple[str, ...], flags: tuple[bool, bool, str | None]
) -> None:
    with pytest.raises(click.UsageError):
        _sort(words, *flags)
