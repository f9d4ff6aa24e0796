"""What others wrote moves no cursor and hides nothing where it is shown."""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd import events
from syncd.cli import output
from syncd.net import http
from syncd.text import escaped

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31mA\u202eB\u2066C\x00\r\ud800\u200b\U000e0041"
LETTERS = st.text(st.characters(categories=["L", "M", "N", "P", "S"], exclude_characters="\u061c"))


@dataclass(frozen=True, slots=True)
class Shown:
    name: str
    parts: tuple[str, ...]
    facts: dict[str, str]
    count: int


def harmless(text: str) -> bool:
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return not any(unicodedata.category(letter) in hidden for letter in text.replace("\n", ""))


@settings(max_examples=60)
@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert harmless(escaped.lines(text)) or any(letter in text for letter in "\xad\u0600\u0601\u0602\u0603\u0604\u0605")
    assert "\n" not in escaped.line(text)


@settings(max_examples=60)
@given(LETTERS)
def test_letters_stay_as_they_are(text: str) -> None:
    assert escaped.line(text) == text


def test_what_was_escaped_is_told_by_its_form() -> None:
    assert escaped.line("a\x1b[31mb\n\u202ec") == "a\\x1b[31mb⏎\\u202ec"


def test_a_document_is_escaped_through_and_through() -> None:
    found = escaped.tree([Shown(EVIL, (EVIL, "a\nb"), {EVIL: EVIL}, 7)])[0]
    assert harmless(found.name + "".join(found.parts) + "".join(found.facts) + "".join(found.facts.values()))
    assert found.parts[1] == "a⏎b"
    assert found.count == 7


@pytest.mark.parametrize("text", ["=1+1", "+84 901", "-x", "@SUM(A1)", "\tx", "\rx", "-1+2", "+cmd|' /C calc'!A0", "-"])
def test_a_spreadsheet_calculates_no_cell(text: str) -> None:
    assert escaped.for_spreadsheet(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+5", "-1.5", "-1,5", "7", "x=1", "Nguyễn", "", "'=1"])
def test_numbers_and_other_texts_stay_what_they_are(text: str) -> None:
    assert escaped.for_spreadsheet(text) == text


def test_results_are_shown_escaped_and_raw_where_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output.emit(EVIL.replace("\ud800", ""))
    assert harmless(capsys.readouterr().out)
    output.emit("\x1b[2J", raw=True)
    assert capsys.readouterr().out == "\x1b[2J\n"
    monkeypatch.setattr(output, "colours_wanted", lambda _stream=None: True)  # as on a terminal
    output.emit(output.paint("x", output.RED) + "\x1b]0;y\x07")
    assert capsys.readouterr().out == "\x1b[31mx\x1b[0m\\x1b]0;y\\x07\n"


def test_json_says_the_same_in_harmless_characters(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json({"name": EVIL})
    said = capsys.readouterr().out
    assert harmless(said)
    assert json.loads(said) == {"name": EVIL}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_line_is_one_line(form: str) -> None:
    stream = io.StringIO()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        events.set_up("info", form, stream)  # type: ignore[arg-type]  # one of the two
        events.event("refused", reason=f"{EVIL}\nfake line")
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
    said = stream.getvalue()
    assert said.count("\n") == 1
    assert harmless(said)


def test_a_neighbour_s_error_is_harmless_before_anybody_keeps_it() -> None:
    error = http.decode_error(500, msgspec.msgpack.encode(("WrongPeer", "\x1b[2J\nfake", "\x9bh")), "there")
    assert harmless(str(error))
    assert "\n" not in str(error)
    assert "\\x1b[2J⏎" in str(error)
