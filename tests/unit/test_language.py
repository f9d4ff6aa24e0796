"""Every operator's text stands in both languages and names the same facts in both: read from the source itself."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import syncd
from syncd.language import LANGUAGES, Both, decimal, language, number, prefer, say

PACKAGE = Path(syncd.__file__).parent
NAMES = ("say", "Both")


def texts() -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """(place, Vietnamese, English) of every pair in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
            if node.func.id in NAMES and len(node.args) >= 2:
                yield place, node.args[0], node.args[1]
            elif node.func.id == "option":
                named = {keyword.arg: keyword.value for keyword in node.keywords}
                yield place, named["vi"], named["en"]


def literal_texts() -> list[tuple[str, str, str]]:
    return [
        (place, vi.value, en.value)
        for place, vi, en in texts()
        if isinstance(vi, ast.Constant) and isinstance(en, ast.Constant)
    ]


def facts_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_there_are_texts_to_examine() -> None:
    assert len(literal_texts()) > 250


def test_every_text_has_both_languages() -> None:
    assert [place for place, vi, en in literal_texts() if not vi.strip() or not en.strip()] == []


def test_both_languages_name_the_same_facts() -> None:
    assert [(place, vi, en) for place, vi, en in literal_texts() if facts_of(vi) != facts_of(en)] == []


def test_longer_texts_are_not_the_same_in_both_languages() -> None:
    same = [place for place, vi, en in literal_texts() if vi == en and len(vi.split()) > 3]
    assert same == []


@pytest.mark.parametrize(("variable", "value", "expected"), [
    ("SYNCD_LANGUAGE", "vi", "vi"), ("SYNCD_LANGUAGE", "EN", "en"), ("LC_ALL", "vi_VN.UTF-8", "vi"),
    ("LANG", "en_US.UTF-8", "en"), ("LANG", "C", "en"),
])  # fmt: skip
def test_language_follows_the_setting_then_the_locale(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    for name in ("SYNCD_LANGUAGE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    assert language() == expected


def test_the_configured_language_stands_between_the_setting_and_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNCD_LANGUAGE", raising=False)
    monkeypatch.setenv("LANGUAGE", "en")
    try:
        prefer("vi")
        assert language() == "vi"
        monkeypatch.setenv("SYNCD_LANGUAGE", "en")
        assert language() == "en"
    finally:
        prefer("auto")


def test_texts_and_numbers_are_written_as_each_language_does(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {}
    for name in LANGUAGES:
        monkeypatch.setenv("SYNCD_LANGUAGE", name)
        written[name] = (say("{n} xã", "{n} communes", n=number(12345)), decimal(1234.56), Both("có", "yes").here)
    assert written == {
        "vi": ("12.345 xã", "1.234,6", "có"),
        "en": ("12,345 communes", "1,234.6", "yes"),
    }
